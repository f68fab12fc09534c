#include "test.h"

#include "base/mem.h"
#include "grip/item.h"
#include "proto/jsonread.h"
#include "proto/tnet.h"

#include <stdio.h>

/* The item in JSON text, as if it had come by SOURCE. */
static struct item *
parse(const char *text, enum item_source source, const char *channel, struct err *e)
{
    json_t *v = jsonread_parse(str_c(text), NULL);
    struct item *i;
    if (v == NULL)
        print_error("not JSON: %s\n", text);
    CHECK(v != NULL);
    i = item_parse(v, source, str_c(channel), e);
    json_decref(v);
    return i;
}

static struct item *
good(const char *text)
{
    struct err e = {""};
    struct item *i = parse(text, ITEM_JSON, NULL, &e);
    if (i == NULL)
        print_error("%s: %s\n", text, e.text);
    CHECK(i != NULL);
    return i;
}

/* An item whose only format is NAME with these FIELDS. */
static const char *
with_format(const char *name, const char *fields)
{
    static char text[4000];
    snprintf(text, sizeof text, "{\"channel\":\"c\",\"formats\":{\"%s\":%s}}", name, fields);
    return text;
}

static struct item *
good_format(const char *name, const char *fields)
{
    return good(with_format(name, fields));
}

static void
check_error(const char *text, enum item_source source, const char *want)
{
    struct err e = {""};
    CHECK(parse(text, source, NULL, &e) == NULL);
    if (strcmp(e.text, want) != 0)
        print_error("for %s\n", text);
    CHECK_STR(str_c(e.text), want);
}

#define STREAM "\"http-stream\":{\"content\":\"x\"}"
#define FORMATS "\"formats\":{" STREAM "}"

TEST(item_errors)
{
    static const struct {
        const char *item, *message;
    } rows[] = {
        {"5", "publish item object is not an object"},
        {"null", "publish item object is not an object"},
        {"[]", "publish item object is not an object"},
        {"{}", "publish item object does not contain 'channel'"},
        {"{\"channel\":5," FORMATS "}", "publish item object contains 'channel' with wrong type"},
        {"{\"channel\":null," FORMATS "}", "publish item object contains 'channel' with wrong type"},
        {"{\"channel\":\"a\",\"id\":5," FORMATS "}", "publish item object contains 'id' with wrong type"},
        {"{\"channel\":\"a\",\"prev-id\":5," FORMATS "}", "publish item object contains 'prev-id' with wrong type"},
        {"{\"channel\":\"a\",\"formats\":[]}", "publish item object contains 'formats' with wrong type"},
        {"{\"channel\":\"a\",\"formats\":null," STREAM "}", "publish item object contains 'formats' with wrong type"},
        {"{\"channel\":\"a\"}", "no formats specified"},
        {"{\"channel\":\"a\",\"formats\":{}}", "no formats specified"},
        {"{\"channel\":\"a\",\"formats\":{}," STREAM "}", "no formats specified"},
        {"{\"channel\":\"a\",\"foo\":{}}", "no formats specified"},
        {"{\"channel\":\"a\",\"meta\":5," FORMATS "}", "publish item object contains 'meta' with wrong type"},
        {"{\"channel\":\"a\",\"meta\":{\"k\":5}," FORMATS "}", "'meta' contains 'k' with wrong type"},
        {"{\"channel\":\"a\",\"meta\":{\"j\":\"\",\"k\":null}," FORMATS "}", "'meta' contains 'k' with wrong type"},
        {"{\"channel\":\"a\",\"size\":-1," FORMATS "}", "publish item object contains 'size' with invalid value"},
        {"{\"channel\":\"a\",\"size\":[]," FORMATS "}", "publish item object contains 'size' with wrong type"},
        {"{\"channel\":\"a\",\"size\":true," FORMATS "}", "publish item object contains 'size' with wrong type"},
        {"{\"channel\":\"a\",\"size\":\"x\"," FORMATS "}", "publish item object contains 'size' with wrong type"},
        {"{\"channel\":\"a\",\"no-seq\":1," FORMATS "}", "publish item object contains 'no-seq' with wrong type"},
        /* the first mistake is told */
        {"{\"channel\":5,\"id\":5}", "publish item object contains 'channel' with wrong type"},
        {"{\"channel\":\"a\",\"id\":5,\"prev-id\":5}", "publish item object contains 'id' with wrong type"},
        {"{\"channel\":\"a\",\"prev-id\":5,\"formats\":5}", "publish item object contains 'prev-id' with wrong type"},
        {"{\"channel\":\"a\",\"meta\":5}", "no formats specified"},
        {"{\"channel\":\"a\",\"meta\":5,\"http-stream\":5}", "'http-stream' is not an object"},
        {"{\"channel\":\"a\",\"formats\":{\"ws-message\":5,\"http-stream\":5,\"http-response\":5}}",
         "'http-response' is not an object"},
        {"{\"channel\":\"a\",\"formats\":{\"ws-message\":{}," STREAM "}}",
         "'ws-message' does not contain 'content' or 'content-bin'"},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        check_error(rows[i].item, ITEM_JSON, rows[i].message);
        check_error(rows[i].item, ITEM_TNET, rows[i].message);
    }
}

#define BODY "\"body\":\"\""

/* Where an error differs for tnetstrings, tnet says how; SAME: it is the same. */
#define SAME ""

TEST(format_errors)
{
    static const struct {
        const char *format, *fields, *message, *tnet; /* tnet NULL: no error there */
    } rows[] = {
        {"http-stream", "5", "'http-stream' is not an object", SAME},
        {"http-stream", "{}", "'http-stream' does not contain 'content' or 'content-bin'",
         "'http-stream' does not contain 'content'"},
        {"http-stream", "{\"content\":5}", "'http-stream' contains 'content' with wrong type", SAME},
        {"http-stream", "{\"content\":null}", "'http-stream' contains 'content' with wrong type", SAME},
        {"http-stream", "{\"content-bin\":5}", "'http-stream' contains 'content-bin' with wrong type",
         "'http-stream' does not contain 'content'"},
        {"http-stream", "{\"content-bin\":5,\"content\":\"x\"}", "'http-stream' contains 'content-bin' with wrong type",
         NULL},
        {"http-stream", "{\"action\":5}", "'http-stream' contains 'action' with wrong type", SAME},
        {"http-stream", "{\"action\":\"foo\"}", "'http-stream' contains 'action' with unknown value", SAME},
        {"http-stream", "{\"action\":\"break\"}", "'http-stream' contains 'action' with unknown value", SAME},
        {"http-stream", "{\"action\":\"\"}", "'http-stream' contains 'action' with unknown value", SAME},
        {"http-stream", "{\"content\":\"\",\"content-filters\":5}",
         "'http-stream' contains 'content-filters' with wrong type", SAME},
        {"http-stream", "{\"content\":\"\",\"content-filters\":[\"a\",5]}",
         "content-filters contains element with wrong type", SAME},
        {"http-response", "[]", "'http-response' is not an object", SAME},
        {"http-response", "{}", "'http-response' does not contain 'body', 'body-bin', or 'body-patch'",
         "'http-response' does not contain 'body' or 'body-patch'"},
        {"http-response", "{\"action\":\"foo\"," BODY "}", "'http-response' contains 'action' with unknown value",
         SAME},
        {"http-response", "{\"action\":null," BODY "}", "'http-response' contains 'action' with wrong type", SAME},
        {"http-response", "{\"body\":5}", "'http-response' contains 'body' with wrong type", SAME},
        {"http-response", "{\"body-bin\":5}", "'http-response' contains 'body-bin' with wrong type",
         "'http-response' does not contain 'body' or 'body-patch'"},
        {"http-response", "{\"body-patch\":5}", "'http-response' contains 'body-patch' with wrong type", SAME},
        {"http-response", "{\"code\":[]," BODY "}", "'http-response' contains 'code' with wrong type", SAME},
        {"http-response", "{\"code\":null," BODY "}", "'http-response' contains 'code' with wrong type", SAME},
        {"http-response", "{\"code\":true," BODY "}", "'http-response' contains 'code' with wrong type", SAME},
        {"http-response", "{\"code\":\"2xx\"," BODY "}", "'http-response' contains 'code' with wrong type", SAME},
        {"http-response", "{\"code\":1000," BODY "}", "'http-response' contains 'code' with invalid value", SAME},
        {"http-response", "{\"code\":199," BODY "}", "'http-response' contains 'code' with invalid value", SAME},
        {"http-response", "{\"code\":-1," BODY "}", "'http-response' contains 'code' with invalid value", SAME},
        {"http-response", "{\"code\":4294967496," BODY "}", "'http-response' contains 'code' with invalid value", SAME},
        {"http-response", "{\"reason\":5," BODY "}", "'http-response' contains 'reason' with wrong type", SAME},
        {"http-response", "{\"reason\":\"a\\r\\nB: c\"," BODY "}",
         "'http-response' contains 'reason' with invalid value", SAME},
        {"http-response", "{\"reason\":\"a\\u0000\"," BODY "}", "'http-response' contains 'reason' with invalid value",
         SAME},
        {"http-response", "{\"headers\":5," BODY "}", "'http-response' contains 'headers' with wrong type", SAME},
        {"http-response", "{\"headers\":null," BODY "}", "'http-response' contains 'headers' with wrong type", SAME},
        {"http-response", "{\"headers\":[5]," BODY "}", "headers contains element with wrong type", SAME},
        {"http-response", "{\"headers\":[{}]," BODY "}", "headers contains element with wrong type", SAME},
        {"http-response", "{\"headers\":[[\"a\"]]," BODY "}", "headers contains list with wrong number of elements",
         SAME},
        {"http-response", "{\"headers\":[[\"a\",\"b\",\"c\"]]," BODY "}",
         "headers contains list with wrong number of elements", SAME},
        {"http-response", "{\"headers\":[[1,\"b\"]]," BODY "}", "header contains name element with wrong type", SAME},
        {"http-response", "{\"headers\":[[\"a\",1]]," BODY "}", "header contains value element with wrong type", SAME},
        {"http-response", "{\"headers\":{\"a\":1}," BODY "}", "headers contains 'a' with wrong type", SAME},
        {"http-response", "{\"headers\":{\"a b\":\"\"}," BODY "}", "headers contains invalid name", SAME},
        {"http-response", "{\"headers\":{\"\":\"\"}," BODY "}", "headers contains invalid name", SAME},
        {"http-response", "{\"headers\":[[\"a:\",\"\"]]," BODY "}", "headers contains invalid name", SAME},
        {"http-response", "{\"headers\":[[\"a\",\"b\\nc\"]]," BODY "}", "headers contains invalid value", SAME},
        {"http-response", "{\"headers\":{\"Connection\":\"\\u0000\"}," BODY "}", "headers contains invalid value",
         SAME},
        {"http-response", "{\"content-filters\":5," BODY "}",
         "'http-response' contains 'content-filters' with wrong type", SAME},
        {"http-response", "{\"content-filters\":[[]]," BODY "}", "content-filters contains element with wrong type",
         SAME},
        {"ws-message", "\"x\"", "'ws-message' is not an object", SAME},
        {"ws-message", "{}", "'ws-message' does not contain 'content' or 'content-bin'", SAME},
        {"ws-message", "{\"type\":\"binary\"}", "'ws-message' does not contain 'content' or 'content-bin'", SAME},
        {"ws-message", "{\"content\":5}", "'ws-message' contains 'content' with wrong type", SAME},
        {"ws-message", "{\"content-bin\":5}", "'ws-message' contains 'content-bin' with wrong type", SAME},
        {"ws-message", "{\"action\":5}", "'ws-message' contains 'action' with wrong type", SAME},
        {"ws-message", "{\"action\":\"foo\"}", "'ws-message' contains 'action' with unknown value", SAME},
        {"ws-message", "{\"type\":5,\"content\":\"\"}", "'ws-message' contains 'type' with wrong type", SAME},
        {"ws-message", "{\"type\":\"foo\",\"content\":\"\"}", "'ws-message' contains 'type' with unknown value", SAME},
        {"ws-message", "{\"content\":\"\",\"content-filters\":5}",
         "'ws-message' contains 'content-filters' with wrong type", SAME},
        {"ws-message", "{\"content\":\"\",\"content-filters\":[5]}", "content-filters contains element with wrong type",
         SAME},
        {"ws-message", "{\"content-bin\":\"/w==\",\"type\":\"text\"}",
         "'ws-message' contains 'content-bin' with invalid value", NULL},
        {"ws-message", "{\"action\":\"close\",\"code\":[]}", "'ws-message' contains 'code' with wrong type", SAME},
        {"ws-message", "{\"action\":\"close\",\"code\":\"\"}", "'ws-message' contains 'code' with wrong type", SAME},
        {"ws-message", "{\"action\":\"close\",\"code\":-1}", "'ws-message' contains 'code' with invalid value", SAME},
        {"ws-message", "{\"action\":\"close\",\"reason\":5}", "'ws-message' contains 'reason' with wrong type", SAME},
        {"ws-message", "{\"action\":\"close\",\"reason\":\"a\\u0000b\"}",
         "'ws-message' contains 'reason' with invalid value", SAME},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        const char *text = with_format(rows[i].format, rows[i].fields);
        check_error(text, ITEM_JSON, rows[i].message);
        if (rows[i].tnet != NULL)
            check_error(text, ITEM_TNET, *rows[i].tnet != '\0' ? rows[i].tnet : rows[i].message);
        else
            item_unref(parse(text, ITEM_TNET, NULL, NULL));
    }
}

TEST(fields_of_an_item)
{
    struct item *i = good("{\"channel\":\"room\",\"id\":\"2\",\"prev-id\":\"1\",\"no-seq\":true,\"size\":7.5,"
                          "\"meta\":{\"sender\":\"bob\"},\"extra\":[1]," FORMATS ",\"ws-message\":5}");
    CHECK_STR(i->channel, "room");
    CHECK_STR(i->id, "2");
    CHECK_STR(i->prev_id, "1");
    CHECK(i->no_seq);
    CHECK_INT(i->size, 8);
    CHECK_STR(str_c(json_string_value(json_object_get(i->meta, "sender"))), "bob");
    CHECK(i->formats[FORMAT_HTTP_RESPONSE] == NULL && i->formats[FORMAT_WS_MESSAGE] == NULL);
    CHECK_INT(i->formats[FORMAT_HTTP_STREAM]->kind, FORMAT_HTTP_STREAM);
    CHECK_STR(format_content(i->formats[FORMAT_HTTP_STREAM]), "x");
    CHECK(item_ref(i) == i);
    item_unref(i);
    CHECK_STR(i->channel, "room");
    item_unref(i);
}

TEST(what_is_absent)
{
    struct item *i = good("{\"channel\":\"\"," STREAM "}");
    CHECK(i->channel.ptr != NULL && i->channel.len == 0);
    CHECK(i->id.ptr == NULL && i->prev_id.ptr == NULL);
    CHECK(!i->no_seq && i->size == -1 && i->meta == NULL);
    CHECK(i->formats[FORMAT_HTTP_STREAM] != NULL);
    CHECK(i->formats[FORMAT_HTTP_STREAM]->content_filters == NULL);
    item_unref(i);
    i = good("{\"channel\":\"a\",\"id\":\"\",\"formats\":{\"foo\":5}}"); /* reaches nobody, and is no error */
    CHECK(i->id.ptr != NULL && i->id.len == 0);
    for (int k = 0; k < FORMAT_KINDS; k++)
        CHECK(i->formats[k] == NULL);
    item_unref(i);
}

TEST(channel_of_the_envelope_goes_first)
{
    struct item *i = parse("{\"channel\":5," STREAM "}", ITEM_JSON, "outer", NULL);
    CHECK_STR(i->channel, "outer");
    item_unref(i);
    i = parse("{\"channel\":\"inner\"," STREAM "}", ITEM_JSON, "", NULL);
    CHECK_STR(i->channel, "inner");
    item_unref(i);
}

TEST(null_ids_are_absent_in_tnetstrings_only)
{
    static const char text[] = "{\"channel\":\"a\",\"id\":null,\"prev-id\":null," STREAM "}";
    struct item *i = parse(text, ITEM_TNET, NULL, NULL);
    CHECK(i->id.ptr == NULL && i->prev_id.ptr == NULL);
    item_unref(i);
    check_error(text, ITEM_JSON, "publish item object contains 'id' with wrong type");
}

TEST(actions)
{
    static const struct {
        const char *name;
        enum format_action action;
    } rows[] = {{"hint", ACTION_HINT}, {"close", ACTION_CLOSE}, {"refresh", ACTION_REFRESH}};
    for (size_t n = 0; n < countof(rows); n++) {
        for (int k = 0; k < FORMAT_KINDS; k++) {
            char fields[100];
            struct item *i;
            snprintf(fields, sizeof fields, "{\"action\":\"%s\",\"content\":5,\"body\":5,\"headers\":5}", rows[n].name);
            i = good_format(format_name((enum format_kind)k), fields); /* nothing but the action is read */
            CHECK_INT(i->formats[k]->action, rows[n].action);
            CHECK(i->formats[k]->content == NULL && i->formats[k]->content_len == 0);
            item_unref(i);
        }
    }
}

TEST(contents)
{
    static const struct {
        const char *format, *fields, *want;
    } rows[] = {
        {"http-stream", "{\"content\":\"\"}", ""},
        {"http-stream", "{\"action\":\"send\",\"content\":\"gr\\u00fc\\u00dfe\"}",
         "gr\xc3\xbc\xc3\x9f"
         "e"},
        {"http-stream", "{\"content-bin\":\"Ymlu\",\"content\":\"text\"}", "bin"},
        {"http-stream", "{\"content-bin\":\"!!!\"}", ""},
        {"http-stream", "{\"content-bin\":\"Zm\\n9v\"}", "foo"},
        {"http-response", "{\"body\":\"b\"}", "b"},
        {"http-response", "{\"body-bin\":\"Ymlu\",\"body\":\"text\",\"body-patch\":5}", "bin"},
        {"http-response", "{\"body\":\"b\",\"body-patch\":5}", "b"},
        {"ws-message", "{\"content\":\"c\"}", "c"},
        {"ws-message", "{\"content-bin\":\"Ymlu\",\"content\":\"text\"}", "bin"},
    };
    for (size_t n = 0; n < countof(rows); n++) {
        struct item *i = good_format(rows[n].format, rows[n].fields);
        for (int k = 0; k < FORMAT_KINDS; k++) {
            if (i->formats[k] == NULL)
                continue;
            CHECK_STR(format_content(i->formats[k]), rows[n].want);
            CHECK((i->formats[k]->content == NULL) == (*rows[n].want == '\0'));
        }
        item_unref(i);
    }
}

TEST(status_of_a_response)
{
    static const struct {
        const char *fields;
        int code;
        const char *reason;
    } rows[] = {
        {"{" BODY "}", 200, NULL},
        {"{\"code\":404," BODY "}", 404, NULL},
        {"{\"code\":200.7," BODY "}", 201, NULL},
        {"{\"code\":\"201\",\"reason\":\"Made\"," BODY "}", 201, "Made"},
        {"{\"code\":999,\"reason\":\"\"," BODY "}", 999, NULL},
    };
    for (size_t n = 0; n < countof(rows); n++) {
        struct item *i = good_format("http-response", rows[n].fields);
        const struct format *f = i->formats[FORMAT_HTTP_RESPONSE];
        CHECK_INT(f->code, rows[n].code);
        CHECK((f->reason == NULL) == (rows[n].reason == NULL));
        if (f->reason != NULL)
            CHECK_STR(str_c(f->reason), rows[n].reason);
        item_unref(i);
    }
}

TEST(headers_of_a_response)
{
    static const struct {
        const char *headers, *want;
    } rows[] = {
        {"[]", ""},
        {"{}", ""},
        {"[[\"X-B\",\"2\"],[\"X-A\",\"1\"],[\"x-b\",\"\"]]", "X-B: 2\nX-A: 1\nx-b: \n"},
        {"{\"X-B\":\"2\",\"X-A\":\"1\",\"x-a\":\"3\",\"X\":\"0\"}", "X: 0\nX-A: 1\nX-B: 2\nx-a: 3\n"},
        {"{\"Content-length\":\"1\",\"TRANSFER-ENCODING\":\"x\",\"connection\":\"x\",\"Keep-Alive\":\"x\",\"K\":\"v\"}",
         "K: v\n"},
        {"[[\"Grip-Hold\",\"x\"],[\"grip-expose-headers\",\"X\"],[\"GRIP-x\",\"\"],[\"Grips\",\"y\"]]",
         "grip-expose-headers: X\nGrips: y\n"},
        {"[[\"X\",\"tab\\tand gr\\u00fc\\u00df\"]]", "X: tab\tand gr\xc3\xbc\xc3\x9f\n"},
    };
    for (size_t n = 0; n < countof(rows); n++) {
        char fields[500], got[500] = "";
        struct item *i;
        const struct headers *h;
        snprintf(fields, sizeof fields, "{\"headers\":%s," BODY "}", rows[n].headers);
        i = good_format("http-response", fields);
        h = &i->formats[FORMAT_HTTP_RESPONSE]->headers;
        for (unsigned k = 0; k < h->n; k++) {
            size_t at = strlen(got);
            snprintf(got + at, sizeof got - at, "%.*s: %.*s\n", STR_ARG(h->at[k].name), STR_ARG(h->at[k].value));
        }
        CHECK_STR(str_c(got), rows[n].want);
        item_unref(i);
    }
}

TEST(patch_and_filters_outlive_the_value)
{
    struct item *i =
        good_format("http-response", "{\"body-patch\":[{\"op\":\"add\"}],\"content-filters\":[\"a\",\"b\"]}");
    const struct format *f = i->formats[FORMAT_HTTP_RESPONSE];
    CHECK_INT(json_array_size(f->body_patch), 1);
    CHECK_INT(json_array_size(f->content_filters), 2);
    CHECK(f->content == NULL);
    item_unref(i);
    i = good_format("http-stream", "{\"content\":\"\",\"content-filters\":[]}");
    CHECK(i->formats[FORMAT_HTTP_STREAM]->content_filters != NULL);
    item_unref(i);
}

TEST(types_of_a_ws_message)
{
    static const struct {
        const char *fields;
        enum format_ws_type type;
    } rows[] = {
        {"{\"content\":\"x\"}", WS_TEXT},
        {"{\"content-bin\":\"eA==\"}", WS_BINARY},
        {"{\"content\":\"x\",\"type\":\"binary\"}", WS_BINARY},
        {"{\"content-bin\":\"eA==\",\"type\":\"text\"}", WS_TEXT},
        {"{\"type\":\"ping\"}", WS_PING},
        {"{\"type\":\"pong\"}", WS_PONG},
        {"{\"type\":\"ping\",\"content-bin\":\"/w==\"}", WS_PING},
    };
    for (size_t n = 0; n < countof(rows); n++) {
        struct item *i = good_format("ws-message", rows[n].fields);
        CHECK_INT(i->formats[FORMAT_WS_MESSAGE]->ws_type, rows[n].type);
        item_unref(i);
    }
}

TEST(control_frame_has_room_for_125_bytes)
{
    for (int n = 125; n <= 126; n++) {
        char fields[300], x[127] = "";
        memset(x, 'x', (size_t)n);
        snprintf(fields, sizeof fields, "{\"type\":\"pong\",\"content\":\"%.*s\"}", n, x);
        if (n == 125)
            item_unref(good_format("ws-message", fields));
        else
            check_error(with_format("ws-message", fields), ITEM_JSON,
                        "'ws-message' contains 'content' with invalid value");
    }
}

TEST(close_codes_that_may_be_sent)
{
    static const int allowed[] = {1000, 1001, 1003, 1007, 1011, 1014, 3000, 4000, 4999};
    static const int refused[] = {0, 1, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65536 + 1000};
    char fields[100];
    for (size_t n = 0; n < countof(allowed); n++) {
        struct item *i;
        snprintf(fields, sizeof fields, "{\"action\":\"close\",\"code\":%d}", allowed[n]);
        i = good_format("ws-message", fields);
        CHECK(i->formats[FORMAT_WS_MESSAGE]->has_close_code);
        CHECK_INT(i->formats[FORMAT_WS_MESSAGE]->close_code, allowed[n]);
        CHECK(i->formats[FORMAT_WS_MESSAGE]->close_reason == NULL);
        item_unref(i);
    }
    for (size_t n = 0; n < countof(refused); n++) {
        snprintf(fields, sizeof fields, "{\"action\":\"close\",\"code\":%d}", refused[n]);
        check_error(with_format("ws-message", fields), ITEM_JSON, "'ws-message' contains 'code' with invalid value");
    }
}

TEST(close_reason_is_cut_to_what_a_frame_holds)
{
    char fields[400], reason[200];
    struct item *i = good_format("ws-message", "{\"action\":\"close\",\"reason\":\"why\"}");
    CHECK(!i->formats[FORMAT_WS_MESSAGE]->has_close_code);
    CHECK_STR(str_c(i->formats[FORMAT_WS_MESSAGE]->close_reason), "why");
    item_unref(i);
    memset(reason, 'r', 122);
    memcpy(reason + 122, "\xc3\xbc", 3); /* its second byte is one too many */
    snprintf(fields, sizeof fields, "{\"action\":\"close\",\"reason\":\"%s\"}", reason);
    i = good_format("ws-message", fields);
    reason[122] = '\0';
    CHECK_STR(str_c(i->formats[FORMAT_WS_MESSAGE]->close_reason), reason);
    item_unref(i);
}

static struct item *
parse_tnet(struct str text, struct err *e)
{
    json_t *v = tnet_parse(text, NULL, e);
    struct item *i;
    CHECK(v != NULL);
    i = item_parse(v, ITEM_TNET, str_of(NULL, 0), e);
    json_decref(v);
    return i;
}

/* An item with these raw BYTES as the field KEY of its FORMAT. */
static struct item *
parse_tnet_format(const char *format, const char *key, struct str bytes, struct err *e)
{
    json_t *v = json_pack("{s:o, s:{s:{s:o}}}", "channel", json_string_nocheck("\xff\x01"), "formats", format, key,
                          json_stringn_nocheck(bytes.ptr, bytes.len));
    struct buf text = BUF_INIT(1000);
    struct item *i;
    CHECK_INT(tnet_put(&text, v), 0);
    i = parse_tnet(buf_str(&text), e);
    json_decref(v);
    buf_clear(&text);
    return i;
}

TEST(tnetstrings_carry_raw_bytes)
{
    struct str raw = str_of("\0\xff\r\n", 4);
    struct err e = {""};
    struct item *i = parse_tnet_format("http-stream", "content", raw, &e);
    CHECK_STR(i->channel, "\xff\x01");
    CHECK(str_eq(format_content(i->formats[FORMAT_HTTP_STREAM]), raw));
    item_unref(i);
    i = parse_tnet_format("http-response", "body", raw, &e);
    CHECK(str_eq(format_content(i->formats[FORMAT_HTTP_RESPONSE]), raw));
    item_unref(i);
    i = parse_tnet_format("ws-message", "content-bin", raw, &e);
    CHECK(str_eq(format_content(i->formats[FORMAT_WS_MESSAGE]), raw));
    CHECK_INT(i->formats[FORMAT_WS_MESSAGE]->ws_type, WS_BINARY);
    item_unref(i);
    CHECK(parse_tnet_format("ws-message", "content", raw, &e) == NULL);
    CHECK_STR(str_c(e.text), "'ws-message' contains 'content' with invalid value");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(item_errors),
        cmocka_unit_test(format_errors),
        cmocka_unit_test(fields_of_an_item),
        cmocka_unit_test(what_is_absent),
        cmocka_unit_test(channel_of_the_envelope_goes_first),
        cmocka_unit_test(null_ids_are_absent_in_tnetstrings_only),
        cmocka_unit_test(actions),
        cmocka_unit_test(contents),
        cmocka_unit_test(status_of_a_response),
        cmocka_unit_test(headers_of_a_response),
        cmocka_unit_test(patch_and_filters_outlive_the_value),
        cmocka_unit_test(types_of_a_ws_message),
        cmocka_unit_test(control_frame_has_room_for_125_bytes),
        cmocka_unit_test(close_codes_that_may_be_sent),
        cmocka_unit_test(close_reason_is_cut_to_what_a_frame_holds),
        cmocka_unit_test(tnetstrings_carry_raw_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
