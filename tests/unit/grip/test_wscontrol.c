#include "test.h"

#include "base/mem.h"
#include "grip/wscontrol.h"

#include <stdio.h>

/* What was read, in short, or "!" and why not. */
static void
describe(const char *text, char *out, size_t size)
{
    struct wscontrol c;
    struct err e;
    if (wscontrol_parse(str_c(text), &c, &e) != 0) {
        snprintf(out, size, "!%s", e.text);
        return;
    }
    switch (c.type) {
    case WSCONTROL_SUBSCRIBE:
        snprintf(out, size, "subscribe %.*s filters=%zu", STR_ARG(c.channel), json_array_size(c.filters));
        break;
    case WSCONTROL_UNSUBSCRIBE:
        snprintf(out, size, "unsubscribe %.*s", STR_ARG(c.channel));
        break;
    case WSCONTROL_DETACH:
        snprintf(out, size, "detach");
        break;
    case WSCONTROL_SESSION:
        snprintf(out, size, "session %s%.*s", c.id.ptr != NULL ? "" : "none", STR_ARG(c.id));
        break;
    case WSCONTROL_SET_META:
        snprintf(out, size, "set-meta %.*s=%.*s%s", STR_ARG(c.name), STR_ARG(c.value),
                 c.value.ptr != NULL ? "" : "none");
        break;
    case WSCONTROL_KEEP_ALIVE:
    case WSCONTROL_SEND_DELAYED:
        snprintf(out, size, "%s %d %s%.*s %d%s", c.type == WSCONTROL_KEEP_ALIVE ? "keep-alive" : "send-delayed",
                 (int)c.opcode, c.has_content ? "" : "none", (int)c.content_len, c.content != NULL ? c.content : "",
                 c.timeout, c.interval ? " interval" : "");
        break;
    case WSCONTROL_FLUSH_DELAYED:
        snprintf(out, size, "flush-delayed");
        break;
    }
    wscontrol_clear(&c);
}

TEST(messages_are_read)
{
#define INVALID(key) "!grip control object contains '" key "' with invalid value"
#define WRONG(key) "!grip control object contains '" key "' with wrong type"
    static const struct {
        const char *text, *want;
    } rows[] = {
        {"{\"type\":\"subscribe\",\"channel\":\"a\"}", "subscribe a filters=0"},
        {" { \"type\" : \"subscribe\" , \"channel\" : \"a\", \"filters\": [\"x\", \"y\"], \"more\": [1] } ",
         "subscribe a filters=2"},
        {"{\"type\":\"unsubscribe\",\"channel\":\"a\"}", "unsubscribe a"},
        {"{\"type\":\"detach\"}", "detach"},
        {"{\"type\":\"session\"}", "session none"},
        {"{\"type\":\"session\",\"id\":\"s\"}", "session s"},
        {"{\"type\":\"set-meta\",\"name\":\"n\",\"value\":\"v\"}", "set-meta n=v"},
        {"{\"type\":\"set-meta\",\"name\":\"n\"}", "set-meta n=none"},
        {"{\"type\":\"keep-alive\"}", "keep-alive 1 none 55"},
        {"{\"type\":\"keep-alive\",\"content\":\"\"}", "keep-alive 1  55"},
        {"{\"type\":\"keep-alive\",\"content\":\"t\",\"timeout\":5,\"mode\":\"interval\"}",
         "keep-alive 1 t 5 interval"},
        {"{\"type\":\"keep-alive\",\"content\":\"t\",\"timeout\":\"7\",\"mode\":\"idle\"}", "keep-alive 1 t 7"},
        {"{\"type\":\"keep-alive\",\"content\":\"t\",\"timeout\":0}", "keep-alive 1 t 55"},
        {"{\"type\":\"keep-alive\",\"content\":\"t\",\"timeout\":1.6}", "keep-alive 1 t 2"},
        {"{\"type\":\"keep-alive\",\"content\":\"t\",\"message-type\":\"ping\"}", "keep-alive 9 t 55"},
        {"{\"type\":\"keep-alive\",\"content-bin\":\"aGk=\"}", "keep-alive 2 hi 55"},
        {"{\"type\":\"keep-alive\",\"content-bin\":\"aGk=\",\"message-type\":\"text\"}", "keep-alive 1 hi 55"},
        {"{\"type\":\"send-delayed\",\"content\":\"t\"}", "send-delayed 1 t 1"},
        {"{\"type\":\"send-delayed\"}", "send-delayed 1 none 1"},
        {"{\"type\":\"flush-delayed\"}", "flush-delayed"},
        {"", "!grip control message is not valid json"},
        {"not json", "!grip control message is not valid json"},
        {"{\"type\":\"detach\"} trailing", "!grip control message is not valid json"},
        {"[]", "!grip control packet is not an object"},
        {"5", "!grip control packet is not an object"},
        {"{}", "!grip control object does not contain 'type'"},
        {"{\"type\":5}", WRONG("type")},
        {"{\"type\":\"nosuch\"}", "!'type' contains unknown value: nosuch"},
        {"{\"type\":\"subscribe\"}", "!grip control object does not contain 'channel'"},
        {"{\"type\":\"subscribe\",\"channel\":\"\"}", INVALID("channel")},
        {"{\"type\":\"subscribe\",\"channel\":5}", WRONG("channel")},
        {"{\"type\":\"subscribe\",\"channel\":\"a\",\"filters\":\"x\"}", WRONG("filters")},
        {"{\"type\":\"subscribe\",\"channel\":\"a\",\"filters\":[1]}", "!filters contains value with wrong type"},
        {"{\"type\":\"set-meta\",\"name\":\"\"}", INVALID("name")},
        {"{\"type\":\"set-meta\",\"name\":\"n\",\"value\":5}", WRONG("value")},
        {"{\"type\":\"keep-alive\",\"content\":5}", WRONG("content")},
        {"{\"type\":\"keep-alive\",\"content\":\"t\",\"timeout\":-1}", INVALID("timeout")},
        {"{\"type\":\"keep-alive\",\"content\":\"t\",\"message-type\":\"foo\"}", INVALID("message-type")},
        {"{\"type\":\"keep-alive\",\"content\":\"t\",\"mode\":\"foo\"}", INVALID("mode")},
        {"{\"type\":\"keep-alive\",\"content-bin\":\"/w==\",\"message-type\":\"text\"}", INVALID("content-bin")},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        char got[400];
        describe(rows[i].text, got, sizeof got);
        CHECK_STR(str_c(got), rows[i].want);
    }
}

TEST(control_frames_hold_125_bytes)
{
    for (int n = 125; n <= 126; n++) {
        char text[300], got[400];
        snprintf(text, sizeof text, "{\"type\":\"keep-alive\",\"message-type\":\"pong\",\"content\":\"%0*d\"}", n, 0);
        describe(text, got, sizeof got);
        CHECK_INT(got[0] == '!', n == 126);
    }
}

TEST(extension_turns_grip_on)
{
    static const struct {
        const char *first, *second; /* header values; second may be NULL */
        const char *prefix;         /* NULL: no GRIP mode */
    } rows[] = {
        {"grip", NULL, "m:"},
        {"grip; message-prefix=\"x-\"", NULL, "x-"},
        {"grip; message-prefix=q:", NULL, "q:"},
        {"grip; message-prefix=\"a;b, c\"", NULL, "a;b, c"},
        {"grip; message-prefix=\"\"", NULL, ""},
        {"grip; message-prefix=\"\";x=y", NULL, ""},
        {"grip; message-prefix=", NULL, NULL},
        {"grip; message-prefix", NULL, NULL},
        {"grip; message-prefix=\"x", NULL, NULL},
        {"GRIP", NULL, NULL},
        {"gripe", NULL, NULL},
        {"permessage-deflate", NULL, NULL},
        {"x-foo; a=b, grip ;message-prefix=p, grip", NULL, "p"},
        {"x-foo", "grip; message-prefix=k", "k"},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        struct headers h;
        struct str element = STR("");
        struct buf prefix = BUF_INIT(100);
        headers_init(&h);
        headers_view(&h, STR("Sec-WebSocket-Extensions"), str_c(rows[i].first));
        if (rows[i].second != NULL)
            headers_view(&h, STR("sec-websocket-extensions"), str_c(rows[i].second));
        CHECK_INT(wscontrol_extension(&h, &element, &prefix), rows[i].prefix != NULL);
        if (rows[i].prefix != NULL) {
            CHECK_STR(buf_str(&prefix), rows[i].prefix);
            CHECK(str_starts(element, STR("grip")));
        }
        headers_clear(&h);
        buf_clear(&prefix);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_are_read),
        cmocka_unit_test(control_frames_hold_125_bytes),
        cmocka_unit_test(extension_turns_grip_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
