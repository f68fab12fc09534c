#include "test.h"

#include "proto/wstext.h"

#include <stdio.h>

static const unsigned char key[4] = {0x12, 0x34, 0x56, 0x78};
static const struct wsframe_limits limits = {.frame = 1000, .message = 1500};

enum role { FROM_CLIENT, FROM_SERVER };

/* What a reader says to BYTES that come STEP at a time. */
static void
check_read(struct str bytes, enum role role, const struct wsframe_limits *l, size_t step, const char *want,
           const char *name)
{
    struct wsframe f;
    struct buf line = BUF_INIT(1 << 26);
    wsframe_init(&f, role == FROM_CLIENT, l);
    wstext_read(&f, bytes, step, &line, NULL);
    if (!str_eq(buf_str(&line), str_c(want))) {
        print_error("%s, %zu at a time: \"%.200s\", want \"%.200s\"\n", name, step, line.len > 0 ? line.ptr : "", want);
        fail();
    }
    wsframe_clear(&f);
    buf_clear(&line);
}

/* Whole and byte by byte. */
static void
check_bytes(struct str bytes, enum role role, const struct wsframe_limits *l, const char *want, const char *name)
{
    check_read(bytes, role, l, bytes.len, want, name);
    check_read(bytes, role, l, 1, want, name);
}

/* Whole, byte by byte, and cut in two at every place; as a client's frames and as a server's. */
static void
check_frames(const char *frames, const char *want)
{
    for (enum role role = FROM_CLIENT; role <= FROM_SERVER; role++) {
        struct buf b = BUF_INIT(1 << 20);
        wstext_frames(&b, str_c(frames), role == FROM_CLIENT ? key : NULL);
        check_bytes(buf_str(&b), role, NULL, want, frames);
        for (size_t cut = 1; cut < b.len; cut++)
            check_read(buf_str(&b), role, NULL, cut, want, frames);
        buf_clear(&b);
    }
}

struct row {
    const char *frames, *want;
};

static void
check_rows(const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++)
        check_frames(rows[i].frames, rows[i].want);
}

TEST(messages_are_read) /* Autobahn 1 */
{
    static const struct row rows[] = {
        {"81:", "text()"},
        {"82:", "binary()"},
        {"81:hello", "text(hello)"},
        {"82:\xff\xfe", "binary(\xff\xfe)"},
        {"81:one|82:two|81:three", "text(one) binary(two) text(three)"},
    };
    check_rows(rows, countof(rows));
}

TEST(lengths_of_each_form_are_read)
{
    static const size_t sizes[] = {124, 125, 126, 127, 128, 255, 65534, 65535, 65536, 65537, 200000};
    for (size_t i = 0; i < countof(sizes); i++) {
        struct buf b = BUF_INIT(1 << 20), want = BUF_INIT(1 << 20);
        char *data = mem_alloc(sizes[i]);
        memset(data, 'x', sizes[i]);
        wstext_frame(&b, 0x82, str_of(data, sizes[i]), key);
        buf_addf(&want, "binary(%.*s)", (int)sizes[i], data);
        buf_addc(&want, '\0');
        check_bytes(buf_str(&b), FROM_CLIENT, NULL, want.ptr, "length");
        check_read(buf_str(&b), FROM_CLIENT, NULL, 997, want.ptr, "length");
        mem_free(data);
        buf_clear(&b);
        buf_clear(&want);
    }
}

TEST(lengths_that_are_none_are_refused)
{
    static const struct {
        const char *bytes;
        size_t len;
    } rows[] = {
        {"\x81\x7f\x80\0\0\0\0\0\0\0", 10}, /* highest bit */
        {"\x81\x7e\0\x05hello", 9},         /* longer forms than they need */
        {"\x81\x7e\0\x7d", 4},
        {"\x81\x7f\0\0\0\0\0\0\0\x05hello", 15},
        {"\x81\x7f\0\0\0\0\0\0\xff\xff", 10},
    };
    for (size_t i = 0; i < countof(rows); i++)
        check_bytes(str_of(rows[i].bytes, rows[i].len), FROM_SERVER, NULL, "!1002", "length");
}

TEST(pings_and_pongs_are_read) /* Autobahn 2 */
{
    static const struct row rows[] = {
        {"89:", "ping()"},
        {"89:hello", "ping(hello)"},
        {"8a:\x01\xff", "pong(\x01\xff)"},
        {"89:a|89:b|8a:c|81:t", "ping(a) ping(b) pong(c) text(t)"},
    };
    char data[127] = {0};
    check_rows(rows, countof(rows));
    memset(data, 'p', sizeof data);
    for (size_t size = 125; size <= 126; size++) {
        struct buf b = BUF_INIT(1000), want = BUF_INIT(1000);
        wstext_frame(&b, 0x89, str_of(data, size), key);
        buf_addf(&want, "ping(%.*s)", (int)size, data);
        buf_addc(&want, '\0');
        check_bytes(buf_str(&b), FROM_CLIENT, NULL, size == 125 ? want.ptr : "!1002", "ping");
        buf_clear(&b);
        buf_clear(&want);
    }
}

TEST(reserved_bits_are_refused) /* Autobahn 3 */
{
    static const struct row rows[] = {
        {"91:x", "!1002"},
        {"a1:x", "!1002"},
        {"c1:x", "!1002"},
        {"f1:x", "!1002"},
        {"c9:x", "!1002"},
        {"98:", "!1002"},
        {"81:a|c1:b|81:c", "text(a) !1002"},
        {"01:a|c0:b", "!1002"},
    };
    check_rows(rows, countof(rows));
}

TEST(reserved_opcodes_are_refused) /* Autobahn 4 */
{
    static const struct row rows[] = {
        {"83:", "!1002"},
        {"84:x", "!1002"},
        {"85:x", "!1002"},
        {"86:x", "!1002"},
        {"87:x", "!1002"},
        {"8b:", "!1002"},
        {"8c:x", "!1002"},
        {"8d:x", "!1002"},
        {"8e:x", "!1002"},
        {"8f:x", "!1002"},
        {"81:a|83:b", "text(a) !1002"},
    };
    check_rows(rows, countof(rows));
}

TEST(fragments_are_put_in_order) /* Autobahn 5 */
{
    static const struct row rows[] = {
        {"01:one|80:two", "text(onetwo)"},
        {"02:|00:|80:", "binary()"},
        {"01:a|00:b|00:c|80:d|81:e", "text(abcd) text(e)"},
        {"01:a|89:p|80:b", "ping(p) text(ab)"},
        {"01:a|8a:p|00:b|89:q|80:c", "pong(p) ping(q) text(abc)"},
        {"01:a|88:\x03\xe8|80:b", "close(1000,) text(ab)"},
        {"09:p", "!1002"},
        {"0a:p", "!1002"},
        {"08:", "!1002"},
        {"80:x", "!1002"},
        {"00:x", "!1002"},
        {"01:a|81:b", "!1002"},
        {"01:a|02:b", "!1002"},
        {"81:a|80:b", "text(a) !1002"},
        {"01:a|09:p|80:b", "!1002"},
    };
    check_rows(rows, countof(rows));
}

/* Autobahn 6: at which byte is text refused? Not before it must be, and not later. BAD -1: it is good; -2: not before
 * its end. */
TEST(text_is_utf8)
{
    static const struct {
        const char *text;
        int bad;
    } rows[] = {
        {"Hello-\xc2\xb5@\xc3\x9f\xc3\xb6\xc3\xa4\xc3\xbc\xc3\xa0\xc3\xa1-UTF-8!!", -1},
        {"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5", -1},
        {"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80"
         "edited",
         12}, /* a surrogate */
        {"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xf4\x90\x80\x80"
         "edited",
         12},
        {"\xce", -2},
        {"\xce\xba\xe1", -2},
        {"\xce\xba\xe1\xbd", -2},
        {"\xce\xba\xe1\xbd\xb9\xcf", -2},
        /* first and last of each length */
        {"\x7f", -1},
        {"\xc2\x80", -1},
        {"\xdf\xbf", -1},
        {"\xe0\xa0\x80", -1},
        {"\xef\xbf\xbf", -1},
        {"\xf0\x90\x80\x80", -1},
        {"\xf4\x8f\xbf\xbf", -1},
        {"\xf7\xbf\xbf\xbf", 0},
        {"\xf8\x88\x80\x80\x80", 0},
        {"\xfb\xbf\xbf\xbf\xbf", 0},
        {"\xfc\x84\x80\x80\x80\x80", 0},
        {"\xfd\xbf\xbf\xbf\xbf\xbf", 0},
        {"\xed\x9f\xbf", -1},
        {"\xee\x80\x80", -1},
        {"\xef\xbf\xbd", -1},
        {"\xf4\x90\x80\x80", 1},
        /* continuation bytes of nothing */
        {"\x80", 0},
        {"\xbf", 0},
        {"\x80\xbf\x80\xbf", 0},
        {"a\x80", 1},
        {"\xc3\xa4\x80", 2},
        /* first bytes that nothing follows */
        {"\xc3 ", 1},
        {"\xe3 \x81", 1},
        {"\xe3\x81 ", 2},
        {"\xf3\x81\x81 ", 3},
        {"\xc3\xc3", 1},
        {"\xf0\x9d\x84\xc3", 3},
        /* bytes that are never right */
        {"\xfe", 0},
        {"\xff", 0},
        {"\xfe\xfe\xff\xff", 0},
        {"\xc0", 0},
        {"\xc1\xbf", 0},
        {"\xf5\x80\x80\x80", 0},
        /* overlong forms */
        {"\xc0\xaf", 0},
        {"\xc0\x80", 0},
        {"\xe0\x80\xaf", 1},
        {"\xe0\x9f\xbf", 1},
        {"\xf0\x80\x80\xaf", 1},
        {"\xf0\x8f\xbf\xbf", 1},
        {"\xf8\x80\x80\x80\xaf", 0},
        /* surrogates */
        {"\xed\xa0\x80", 1},
        {"\xed\xad\xbf", 1},
        {"\xed\xaf\xbf\xed\xbf\xbf", 1},
        {"\xed\xb0\x80", 1},
        {"\xed\xbf\xbf", 1},
        /* beyond the word that is looked at at once */
        {"0123456789abcdef\xe2\x98\x83 0123456", -1},
        {"0123456789abcdef\xe2\x98 0123456", 18},
        {"0123456\x80", 7},
        {"01234567\x80", 8},
        {"\xef\xbb\xbf"
         "bom",
         -1},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        struct str text = str_c(rows[i].text);
        for (size_t cut = 0; cut <= text.len; cut++) { /* cut: the length of the first of two fragments */
            struct buf b = BUF_INIT(1000), line = BUF_INIT(1000);
            struct wsframe f;
            size_t used, want;
            wsframe_init(&f, true, NULL);
            wstext_frame(&b, 0x01, str_sub(text, 0, cut), key);
            wstext_frame(&b, 0x80, str_from(text, cut), key);
            wstext_read(&f, buf_str(&b), 1, &line, &used);
            if (rows[i].bad == -1) {
                CHECK(str_starts(buf_str(&line), STR("text(")) && used == b.len);
            } else {
                CHECK_STR(buf_str(&line), "!1007");
                want = b.len;
                if (rows[i].bad >= 0)
                    want = 6 + (size_t)rows[i].bad + 1 + ((size_t)rows[i].bad >= cut ? 6 : 0);
                CHECK_INT(used, want);
            }
            wsframe_clear(&f);
            buf_clear(&b);
            buf_clear(&line);
        }
        CHECK_INT(str_utf8(text), rows[i].bad == -1);
    }
    check_frames("82:\xff\xfe", "binary(\xff\xfe)");
}

TEST(closes_are_checked) /* Autobahn 7 */
{
    static const struct row rows[] = {
        {"88:", "close(1005,)"},
        {"88:\x03\xe8", "close(1000,)"},
        {"88:\x03\xe8"
         "bye",
         "close(1000,bye)"},
        {"88:\x03\xe9g\xc3\xbc", "close(1001,g\xc3\xbc)"},
        {"88:\x03", "!1002"},
        {"88:\x03\xe8\xff\xff", "!1007"},
        {"88:\x03\xe8\xc3", "!1007"},
        {"81:a|88:\x03\xe8", "text(a) close(1000,)"},
    };
    static const int good[] = {1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010,
                               1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999};
    static const int wrong[] = {0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535};
    check_rows(rows, countof(rows));
    for (size_t i = 0; i < countof(good) + countof(wrong); i++) {
        bool ok = i < countof(good);
        int code = ok ? good[i] : wrong[i - countof(good)];
        char payload[2] = {(char)(code >> 8), (char)code}, want[32];
        struct buf b = BUF_INIT(100);
        snprintf(want, sizeof want, "close(%d,)", code);
        wstext_frame(&b, 0x88, str_of(payload, 2), key);
        check_bytes(buf_str(&b), FROM_CLIENT, NULL, ok ? want : "!1002", "code");
        CHECK_INT(wsframe_code_ok(code), ok);
        buf_clear(&b);
    }
}

TEST(close_reasons_of_123_bytes)
{
    char payload[130] = "\x03\xe8";
    memset(payload + 2, 'r', 124);
    for (size_t n = 125; n <= 126; n++) {
        struct buf b = BUF_INIT(200);
        char want[200];
        snprintf(want, sizeof want, "close(1000,%.*s)", (int)n - 2, payload + 2);
        wstext_frame(&b, 0x88, str_of(payload, n), key);
        check_bytes(buf_str(&b), FROM_CLIENT, NULL, n == 125 ? want : "!1002", "reason");
        buf_clear(&b);
    }
}

TEST(masking_goes_by_role)
{
    struct buf masked = BUF_INIT(100), plain = BUF_INIT(100);
    wstext_frame(&masked, 0x81, STR("x"), key);
    wstext_frame(&plain, 0x81, STR("x"), NULL);
    check_bytes(buf_str(&masked), FROM_CLIENT, NULL, "text(x)", "masked");
    check_bytes(buf_str(&masked), FROM_SERVER, NULL, "!1002", "masked");
    check_bytes(buf_str(&plain), FROM_SERVER, NULL, "text(x)", "plain");
    check_bytes(buf_str(&plain), FROM_CLIENT, NULL, "!1002", "plain");
    buf_clear(&masked);
    buf_clear(&plain);
}

TEST(mask_is_the_same_whatever_the_pieces)
{
    char whole[100], pieces[100];
    for (size_t i = 0; i < sizeof whole; i++)
        whole[i] = pieces[i] = (char)i;
    wsframe_mask(whole, sizeof whole, key, 0);
    for (size_t i = 0; i < sizeof whole; i++)
        CHECK_INT(whole[i], (char)((char)i ^ (char)key[i & 3]));
    for (size_t at = 0, n = 1; at < sizeof pieces; at += n, n = n % 13 + 1)
        wsframe_mask(pieces + at, at + n < sizeof pieces ? n : sizeof pieces - at, key, at);
    CHECK(memcmp(whole, pieces, sizeof whole) == 0);
}

TEST(limits_are_kept) /* a frame, and a message in fragments, of one byte more */
{
    char data[1001];
    memset(data, 'x', sizeof data);
    for (unsigned over = 0; over < 2; over++) {
        struct buf b = BUF_INIT(10000), line = BUF_INIT(10000);
        struct wsframe f;
        size_t used;
        wstext_frame(&b, 0x82, str_of(data, 1000 + over), key);
        wsframe_init(&f, true, &limits);
        wstext_read(&f, buf_str(&b), 1, &line, &used);
        CHECK(over ? str_eq(buf_str(&line), STR("!1009")) && used == 8 : str_starts(buf_str(&line), STR("binary")));
        wsframe_clear(&f);
        b.len = line.len = 0;
        wstext_frame(&b, 0x02, str_of(data, 1000), key);
        wstext_frame(&b, 0x89, str_of(data, 125), key); /* does not count */
        wstext_frame(&b, 0x80, str_of(data, 500 + over), key);
        wsframe_init(&f, true, &limits);
        wstext_read(&f, buf_str(&b), b.len, &line, NULL);
        CHECK(str_ends(buf_str(&line), over ? STR(" !1009") : STR("x)")));
        wsframe_clear(&f);
        buf_clear(&b);
        buf_clear(&line);
    }
}

TEST(pieces_come_as_soon_as_they_are_there)
{
    struct buf b = BUF_INIT(100);
    struct wsframe f;
    struct wsframe_out out;
    struct wsframe_in in;
    wsframe_init(&f, true, NULL);
    CHECK(wsframe_is_idle(&f));
    wstext_frame(&b, 0x81, STR("hello"), key);
    in = (struct wsframe_in){b.ptr, 8, NULL};
    CHECK_INT(wsframe_next(&f, &in, &out), WSFRAME_DATA);
    CHECK_STR(out.bytes, "he");
    CHECK(out.first && !out.last && in.len == 0 && !wsframe_is_idle(&f));
    CHECK_INT(wsframe_next(&f, &in, &out), WSFRAME_MORE);
    in = (struct wsframe_in){b.ptr + 8, 3, NULL};
    CHECK_INT(wsframe_next(&f, &in, &out), WSFRAME_DATA);
    CHECK_STR(out.bytes, "llo");
    CHECK(!out.first && out.last && wsframe_is_idle(&f));
    wsframe_clear(&f);
    buf_clear(&b);
}

TEST(nothing_is_read_after_an_error)
{
    struct wsframe f;
    struct wsframe_out out;
    char bytes[] = "\x83\0\x81\0";
    struct wsframe_in in = {bytes, 4, NULL};
    wsframe_init(&f, false, NULL);
    CHECK_INT(wsframe_next(&f, &in, &out), WSFRAME_BAD);
    CHECK_INT(wsframe_next(&f, &in, &out), WSFRAME_BAD);
    CHECK_INT(out.code, 1002);
    wsframe_clear(&f);
}

TEST(close_payloads_are_written)
{
    char out[WSFRAME_CONTROL_MAX], longer[200];
    struct str reason;
    CHECK_INT(wsframe_put_close(out, WSFRAME_NO_CODE, STR("x")), 0);
    CHECK_INT(wsframe_put_close(out, 4000, STR("why")), 5);
    CHECK_INT(wsframe_close_code(str_of(out, 5), &reason), 4000);
    CHECK_STR(reason, "why");
    for (size_t i = 0; i + 1 < sizeof longer; i += 2)
        memcpy(longer + i, "\xc3\xa9", 2);
    CHECK_INT(wsframe_put_close(out, 1000, str_of(longer, 200)), 2 + 122); /* no character is cut in two */
    CHECK_INT(wsframe_put_close(out, 1000, str_of(longer, 122)), 2 + 122);
    memset(longer, 'r', sizeof longer);
    CHECK_INT(wsframe_put_close(out, 1000, str_of(longer, 200)), 125);
}

TEST(long_messages_are_cut)
{
    struct wsframe_spec spec = {.opcode = WSFRAME_TEXT, .last = true, .compressed = true};
    struct buf b = BUF_INIT(1000);
    CHECK_INT(wsframe_put(&b, spec, STR("hello"), 2), 0);
    CHECK(str_eq(buf_str(&b), STR("\x41\x02he\x00\x02ll\x80\x01o")));
    b.len = 0;
    spec.compressed = false;
    CHECK_INT(wsframe_put(&b, spec, STR("abcd"), 2), 0);
    CHECK(str_eq(buf_str(&b), STR("\x01\x02"
                                  "ab\x80\x02"
                                  "cd")));
    b.len = 0;
    CHECK_INT(wsframe_put(&b, spec, STR("ab"), 2), 0);
    CHECK_INT(wsframe_put(&b, spec, STR(""), 2), 0);
    CHECK_INT(wsframe_put(&b, spec, STR("abc"), 0), 0);
    CHECK(str_eq(buf_str(&b), STR("\x81\x02"
                                  "ab\x81\x00\x81\x03"
                                  "abc")));
    spec.last = false;
    b.len = 0;
    CHECK_INT(wsframe_put(&b, spec, STR("abc"), 2), 0);
    CHECK(str_eq(buf_str(&b), STR("\x01\x02"
                                  "ab\x00\x01"
                                  "c")));
    buf_clear(&b);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_are_read),
        cmocka_unit_test(lengths_of_each_form_are_read),
        cmocka_unit_test(lengths_that_are_none_are_refused),
        cmocka_unit_test(pings_and_pongs_are_read),
        cmocka_unit_test(reserved_bits_are_refused),
        cmocka_unit_test(reserved_opcodes_are_refused),
        cmocka_unit_test(fragments_are_put_in_order),
        cmocka_unit_test(text_is_utf8),
        cmocka_unit_test(closes_are_checked),
        cmocka_unit_test(close_reasons_of_123_bytes),
        cmocka_unit_test(masking_goes_by_role),
        cmocka_unit_test(mask_is_the_same_whatever_the_pieces),
        cmocka_unit_test(limits_are_kept),
        cmocka_unit_test(pieces_come_as_soon_as_they_are_there),
        cmocka_unit_test(nothing_is_read_after_an_error),
        cmocka_unit_test(close_payloads_are_written),
        cmocka_unit_test(long_messages_are_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
