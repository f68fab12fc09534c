#include "test.h"

#include "proto/wsdeflate.h"
#include "proto/wstext.h"

static const unsigned char key[4] = {0x12, 0x34, 0x56, 0x78};

/* agreeing */

TEST(offers_are_accepted_or_declined)
{
    static const struct {
        const char *offer, *answer; /* NULL: declined */
        unsigned bits;
        bool their_context;
    } rows[] = {
        {"permessage-deflate", "permessage-deflate; server_no_context_takeover", 15, true},
        {"permessage-deflate; client_max_window_bits", "permessage-deflate; server_no_context_takeover", 15, true},
        {"Permessage-Deflate;client_max_window_bits=12", "permessage-deflate; server_no_context_takeover", 15, true},
        {"permessage-deflate; client_no_context_takeover",
         "permessage-deflate; server_no_context_takeover; client_no_context_takeover", 15, false},
        {"permessage-deflate; server_max_window_bits=15",
         "permessage-deflate; server_no_context_takeover; server_max_window_bits=15", 15, true},
        {"permessage-deflate; server_max_window_bits=\"10\"",
         "permessage-deflate; server_no_context_takeover; server_max_window_bits=10", 10, true},
        {"x-foo; a=\"b, c\", permessage-deflate", "permessage-deflate; server_no_context_takeover", 15, true},
        {"permessage-deflate; bogus, permessage-deflate", "permessage-deflate; server_no_context_takeover", 15, true},
        {"permessage-deflate; server_max_window_bits=8",
         "permessage-deflate; server_no_context_takeover; server_max_window_bits=8", 8, true},
        {"permessage-deflate; server_max_window_bits=7", NULL, 0, false},
        {"permessage-deflate; server_max_window_bits=16", NULL, 0, false},
        {"permessage-deflate; server_max_window_bits=09", NULL, 0, false},
        {"permessage-deflate; server_max_window_bits", NULL, 0, false},
        {"permessage-deflate; client_max_window_bits=7", NULL, 0, false},
        {"permessage-deflate; client_max_window_bits=16", NULL, 0, false},
        {"permessage-deflate; client_max_window_bits=x", NULL, 0, false},
        {"permessage-deflate; server_no_context_takeover=1", NULL, 0, false},
        {"permessage-deflate; server_no_context_takeover; server_no_context_takeover", NULL, 0, false},
        {"permessage-deflate; bogus=1", NULL, 0, false},
        {"x-webkit-deflate-frame", NULL, 0, false},
        {"", NULL, 0, false},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        struct headers h;
        struct buf answer = BUF_INIT(1000);
        struct wsdeflate_params p;
        headers_init(&h);
        headers_view(&h, STR("X-Other"), STR("permessage-deflate"));
        headers_view(&h, STR("sec-websocket-extensions"), str_c(rows[i].offer));
        CHECK_INT(wsdeflate_accept(&h, &p, &answer), rows[i].answer != NULL);
        if (rows[i].answer != NULL)
            CHECK_STR(buf_str(&answer), rows[i].answer);
        CHECK_INT(p.bits, rows[i].bits);
        CHECK_INT(p.their_context, rows[i].their_context);
        headers_clear(&h);
        buf_clear(&answer);
    }
}

TEST(answers_are_understood_or_refused)
{
    static const struct {
        const char *answer;
        int rc;
        unsigned bits;
        bool their_context;
    } rows[] = {
        {"grip", 0, 0, false},
        {"permessage-deflate", 0, 15, true},
        {"permessage-deflate, grip; message-prefix=\"\"", 0, 15, true},
        {"permessage-deflate; server_no_context_takeover", 0, 15, false},
        {"permessage-deflate; client_no_context_takeover; server_max_window_bits=8", 0, 15, true},
        {"permessage-deflate; client_max_window_bits=15", -1, 0, false}, /* was not offered */
        {"permessage-deflate; bogus", -1, 0, false},
        {"permessage-deflate, permessage-deflate", -1, 0, false},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        struct headers h;
        struct wsdeflate_params p;
        headers_init(&h);
        headers_view(&h, STR("Sec-WebSocket-Extensions"), str_c(rows[i].answer));
        CHECK_INT(wsdeflate_agreed(&h, &p), rows[i].rc);
        if (rows[i].rc == 0) {
            CHECK_INT(p.bits, rows[i].bits);
            CHECK_INT(p.their_context, rows[i].their_context);
        }
        headers_clear(&h);
    }
}

TEST(offers_that_are_no_lists)
{
    static const struct {
        const char *offer;
        bool ok;
    } rows[] = {
        {"x-unknown; a=b, x-other", true},
        {"a", true},
        {"x; a=\"unterminated", false},
        {";;;", false},
        {"permessage-deflate; a=\"", false},
        {"a b", false},
        {"x; a b=c", false},
        {"x; a=b c", false},
        {"x; a=", false},
        {"x; =b", false},
        {"x; a=@", false},
        {"x;; a", false},
        {"x; a=\"b\"c", false},
        {"x; a=\"b\\", false},
        {"x; a=\"b\\\"", false},
        {"\"x\"", false},
        {"x, ;", false},
        {"x ; a = b ;c", true},
        {"x; a=\"b\\\";, c\"; d, y", true},
        {"x;", true}, /* no grammar has it, but clients might */
        {"x,, y", true},
        {"", true},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        struct headers h;
        headers_init(&h);
        headers_view(&h, STR("Sec-WebSocket-Extensions"), str_c(rows[i].offer));
        CHECK_INT(wsdeflate_offers_ok(&h), rows[i].ok);
        headers_clear(&h);
    }
}

/* messages */

static void
fill(char *data, size_t size, unsigned kind)
{
    uint32_t r = 1;
    for (size_t i = 0; i < size; i++) {
        r = r * 1664525 + 1013904223;
        if (kind == 0)
            data[i] = 'a';
        else if (kind == 1)
            data[i] = "alpha beta "[i % 11];
        else
            data[i] = (char)(r >> 24);
    }
}

/* Squeezed in pieces, sent as fragments of which each is a piece, read STEP bytes at a time. */
static void
check_round(struct str data, size_t piece, unsigned bits, size_t step)
{
    struct wsdeflater *d = wsdeflater_new(bits, piece < data.len);
    struct buf frames = BUF_INIT(1 << 24), out = BUF_INIT(1 << 24), line = BUF_INIT(1 << 24), want = BUF_INIT(1 << 24);
    struct wsframe f;
    for (int round = 0; round < 2; round++) { /* the second message knows nothing of the first */
        struct str rest = data;
        bool first = true, last;
        do {
            struct str part = str_sub(rest, 0, piece);
            rest = str_from(rest, part.len);
            last = rest.len == 0;
            out.len = 0;
            CHECK_INT(wsdeflater_put(d, part, last, &out), 0);
            wstext_frame(&frames, (first ? 0x42u : 0u) | (last ? 0x80u : 0u), buf_str(&out), key);
            first = false;
        } while (!last);
        buf_addf(&want, "%sbinary(", round > 0 ? " " : "");
        buf_adds(&want, data);
        buf_addc(&want, ')');
    }
    wsframe_init(&f, true, NULL);
    wsframe_allow_deflate(&f, false);
    wstext_read(&f, buf_str(&frames), step, &line, NULL);
    CHECK(str_eq(buf_str(&line), buf_str(&want)));
    wsframe_clear(&f);
    wsdeflater_free(d);
    buf_clear(&frames);
    buf_clear(&out);
    buf_clear(&line);
    buf_clear(&want);
}

TEST(messages_come_back_as_they_were)
{
    static const size_t sizes[] = {0,     1, 2, 3, 125, 126, 1000, WSFRAME_ROOM - 1, WSFRAME_ROOM, WSFRAME_ROOM + 1,
                                   100000};
    char *data = mem_alloc(100000);
    for (unsigned kind = 0; kind < 3; kind++) {
        fill(data, 100000, kind);
        for (size_t i = 0; i < countof(sizes); i++) {
            struct str s = str_of(data, sizes[i]);
            check_round(s, 1 << 20, 15, 1 << 20);
            check_round(s, 1000, 9, 1 << 20);
            check_round(s, 1 << 20, 8, 1 << 20);
            check_round(s, 1 << 20, 12, 1);
        }
    }
    mem_free(data);
}

/* RFC 7692, 7.2.3: the examples. */
TEST(examples_of_the_rfc)
{
    static const struct {
        const char *name, *bytes;
        size_t len;
        const char *want;
    } rows[] = {
        {"one frame", "\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00", 9, "text(Hello)"},
        {"fragments", "\x41\x03\xf2\x48\xcd\x80\x04\xc9\xc9\x07\x00", 11, "text(Hello)"},
        {"context", "\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00\xc1\x05\xf2\x00\x11\x00\x00", 16, "text(Hello) text(Hello)"},
        {"no compression", "\xc1\x0b\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00", 13, "text(Hello)"},
        {"last block", "\xc1\x08\xf3\x48\xcd\xc9\xc9\x07\x00\x00", 10, "text(Hello)"},
        {"two blocks", "\xc1\x0d\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00", 15, "text(Hello)"},
        {"empty", "\xc1\x01\x00", 3, "text()"},
        {"nonsense", "\xc1\x04\xff\xff\xff\xff", 6, "!1002"},
        {"bad text", "\xc1\x07\x00\x01\x00\xfe\xff\xff\x00", 9, "!1007"},
        {"plain message", "\x81\x02hi\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00", 13, "text(hi) text(Hello)"},
        {"ping amid it", "\x41\x03\xf2\x48\xcd\x89\x01p\x80\x04\xc9\xc9\x07\x00", 14, "ping(p) text(Hello)"},
        {"compressed ping", "\xc9\x01\x00", 3, "!1002"},
        {"rsv1 on a continuation", "\x41\x03\xf2\x48\xcd\xc0\x04\xc9\xc9\x07\x00", 11, "!1002"},
        {"last block with a successor", "\xc1\x0f\xf3\x48\xcd\xc9\xc9\x07\x00\xf3\x48\xcd\xc9\xc9\x07\x00\x00", 17,
         "text(HelloHello)"},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        for (size_t step = 1; step <= rows[i].len; step++) {
            struct wsframe f;
            struct buf line = BUF_INIT(1000);
            wsframe_init(&f, false, NULL);
            wsframe_allow_deflate(&f, true);
            wstext_read(&f, str_of(rows[i].bytes, rows[i].len), step, &line, NULL);
            CHECK_STR(buf_str(&line), rows[i].want);
            wsframe_clear(&f);
            buf_clear(&line);
        }
    }
}

TEST(an_earlier_message_is_forgotten_where_that_was_agreed)
{
    static const char bytes[] = "\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00\xc1\x05\xf2\x00\x11\x00\x00";
    struct wsframe f;
    struct buf line = BUF_INIT(1000);
    wsframe_init(&f, false, NULL);
    wsframe_allow_deflate(&f, false);
    wstext_read(&f, str_of(bytes, 16), 16, &line, NULL);
    CHECK_STR(buf_str(&line), "text(Hello) !1002");
    wsframe_clear(&f);
    buf_clear(&line);
}

TEST(a_quiet_reader_keeps_only_what_may_be_referred_to)
{
    static const char bytes[] = "\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00\xc1\x05\xf2\x00\x11\x00\x00";
    for (int keep = 0; keep < 2; keep++) {
        struct wsframe f;
        struct buf line = BUF_INIT(1000);
        wsframe_init(&f, false, NULL);
        wsframe_allow_deflate(&f, keep);
        CHECK(wsframe_is_idle(&f));
        wstext_read(&f, str_of(bytes, 2), 2, &line, NULL);
        CHECK(!wsframe_is_idle(&f));
        wstext_read(&f, str_of(bytes + 2, 7), 7, &line, NULL);
        CHECK_INT(wsframe_is_idle(&f), !keep);
        if (keep)
            wstext_read(&f, str_of(bytes + 9, 7), 7, &line, NULL);
        CHECK_STR(buf_str(&line), keep ? "text(Hello) text(Hello)" : "text(Hello)");
        wsframe_clear(&f);
        buf_clear(&line);
    }
}

TEST(a_window_stands_for_an_inflater)
{
    static char window[WSDEFLATE_WINDOW], room[1000];
    struct wsinflater *i = wsinflater_new(STR(""));
    struct str in = str_of("\xf2\x48\xcd\xc9\xc9\x07\x00\x00\x00\xff\xff", 11);
    size_t n;
    CHECK_INT(wsinflater_window(i, NULL), 0);
    CHECK_INT(wsinflater_get(i, &in, room, sizeof room), 5);
    CHECK_INT(wsinflater_window(i, NULL), 5);
    n = wsinflater_window(i, window);
    CHECK_STR(str_of(window, n), "Hello");
    wsinflater_free(i);
    i = wsinflater_new(str_of(window, n));
    in = str_of("\xf2\x00\x11\x00\x00\x00\x00\xff\xff", 9);
    CHECK_INT(wsinflater_get(i, &in, room, sizeof room), 5);
    CHECK_STR(str_of(room, 5), "Hello");
    wsinflater_free(i);
}

/* A few bytes that inflate to a lot are handed out a room at a time, and the limit holds for what they become. */
TEST(inflation_is_bounded)
{
    static const struct wsframe_limits limits = {.message = 1000000};
    enum { SIZE = 10000000 };
    char *data = mem_zalloc(SIZE), *room = mem_alloc(WSFRAME_ROOM);
    struct wsdeflater *d = wsdeflater_new(15, false);
    struct buf out = BUF_INIT(1 << 24), frame = BUF_INIT(1 << 24);
    struct wsframe f;
    struct wsframe_in in;
    struct wsframe_out o;
    enum wsframe_event event;
    size_t total = 0;
    wsdeflater_put(d, str_of(data, SIZE), true, &out);
    CHECK(out.len < 20000);
    wstext_frame(&frame, 0xc2, buf_str(&out), key);
    wsframe_init(&f, true, &limits);
    wsframe_allow_deflate(&f, false);
    in = (struct wsframe_in){frame.ptr, frame.len, room};
    while ((event = wsframe_next(&f, &in, &o)) == WSFRAME_DATA) {
        CHECK(o.bytes.len <= WSFRAME_ROOM);
        total += o.bytes.len;
    }
    CHECK_INT(event, WSFRAME_BAD);
    CHECK_INT(o.code, WSFRAME_TOO_BIG);
    CHECK(total <= 1000000);
    wsframe_clear(&f);
    wsdeflater_free(d);
    buf_clear(&out);
    buf_clear(&frame);
    mem_free(data);
    mem_free(room);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(offers_are_accepted_or_declined),
        cmocka_unit_test(answers_are_understood_or_refused),
        cmocka_unit_test(offers_that_are_no_lists),
        cmocka_unit_test(messages_come_back_as_they_were),
        cmocka_unit_test(examples_of_the_rfc),
        cmocka_unit_test(an_earlier_message_is_forgotten_where_that_was_agreed),
        cmocka_unit_test(a_quiet_reader_keeps_only_what_may_be_referred_to),
        cmocka_unit_test(a_window_stands_for_an_inflater),
        cmocka_unit_test(inflation_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
