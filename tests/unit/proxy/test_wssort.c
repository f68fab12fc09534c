#include "test.h"

#include "base/mem.h"
#include "proxy/wssort.h"

/* Messages "1first|second" (the opcode, then fragments), cut into pieces of at most STEP bytes -> what comes of them:
 * "text" for content, "c{...}" for control; pieces are put together. */
static void
sort(struct wssort *s, const char *message, size_t step, struct buf *line)
{
    struct str fragments = str_c(message + 1), fragment;
    struct buf content = BUF_INIT(200000);
    bool first = true, any = false;
    while (str_split(&fragments, '|', &fragment)) {
        do {
            struct str part = str_sub(fragment, 0, step);
            char *copy = mem_alloc(part.len + 1);
            struct ws_piece in = {.opcode = (uint8_t)(message[0] - '0'), .first = first}, out;
            enum wssort_result r;
            memcpy(copy, part.ptr, part.len);
            fragment = str_from(fragment, part.len);
            in.payload = str_of(copy, part.len);
            in.last = fragment.len == 0 && fragments.ptr == NULL;
            r = wssort_next(s, &in, &out);
            first = false;
            if (r == WSSORT_CONTROL)
                buf_addf(line, "[c %.*s]", STR_ARG(out.payload));
            if (r == WSSORT_CONTENT) {
                CHECK_INT(out.opcode, in.opcode);
                CHECK_INT(out.first, !any);
                CHECK_INT(out.last, in.last);
                any = true;
                buf_adds(&content, out.payload);
                if (out.last)
                    buf_addf(line, "[%.*s]", STR_ARG(buf_str(&content)));
            }
            wssort_done(s, &in);
            mem_free(copy);
        } while (fragment.len > 0);
    }
    buf_clear(&content);
}

TEST(messages_are_sorted)
{
    static const struct {
        const char *prefix, *message, *want;
    } rows[] = {
        {"m:", "1m:hello", "[hello]"},
        {"m:", "2m:hello", "[hello]"},
        {"m:", "1m:", "[]"},
        {"m:", "1m", ""},
        {"m:", "1", ""},
        {"m:", "1x:hello", ""},
        {"m:", "1hello", ""},
        {"m:", "1m:one| two| m:three", "[one two m:three]"},
        {"m:", "1m|:split", "[split]"},
        {"m:", "1|m|:|split", "[split]"},
        {"m:", "1secret |m:secret |secret", ""},
        {"m:", "1c:{}", "[c {}]"},
        {"m:", "1c:", "[c ]"},
        {"m:", "1c|:{|}", "[c {}]"},
        {"m:", "1c", ""},
        {"m:", "2c:{}", ""},
        {"", "1everything", "[everything]"},
        {"", "1", "[]"},
        {"", "1c", "[c]"},
        {"", "1c|x", "[cx]"},
        {"", "1c:x", "[c x]"},
        {"", "2c:x", "[c:x]"},
        {"c:m:", "1c:m:x", "[c m:x]"},
        {"c:m:", "2c:m:x", "[x]"},
        {"longer prefix ", "1longer prefix x", "[x]"},
        {"longer prefix ", "1longer| pre|fix |x", "[x]"},
        {"longer prefix ", "1longer prefix", ""},
        {"cx", "1cx1", "[1]"},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        for (size_t step = 1; step <= 20; step++) {
            struct wssort *s = wssort_new(str_c(rows[i].prefix));
            struct buf line = BUF_INIT(1000), want = BUF_INIT(1000);
            for (int round = 0; round < 2; round++) {
                sort(s, rows[i].message, step, &line);
                buf_adds(&want, str_c(rows[i].want));
            }
            CHECK(str_eq(buf_str(&line), buf_str(&want)));
            wssort_free(s);
            buf_clear(&line);
            buf_clear(&want);
        }
    }
}

TEST(control_messages_are_bounded)
{
    for (size_t over = 0; over < 2; over++) {
        struct wssort *s = wssort_new(STR("m:"));
        struct buf text = BUF_INIT(100000), line = BUF_INIT(200000);
        buf_adds(&text, STR("1c:"));
        memset(buf_room(&text, WSSORT_CONTROL_MAX), 'x', WSSORT_CONTROL_MAX);
        text.len += WSSORT_CONTROL_MAX - 2 + over;
        buf_addc(&text, '\0');
        sort(s, text.ptr, 1000, &line);
        CHECK_INT(line.len, over ? 0 : WSSORT_CONTROL_MAX - 2 + 4);
        line.len = 0;
        sort(s, "1m:after", 1000, &line);
        CHECK_STR(buf_str(&line), "[after]");
        wssort_free(s);
        buf_clear(&text);
        buf_clear(&line);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_are_sorted),
        cmocka_unit_test(control_messages_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
