#include "test.h"

#include "base/mem.h"
#include "grip/instruct.h"

#include <stdio.h>

#define JSON "Content-Type: application/grip-instruct"

static char text[8192]; /* views of a row's headers and body live here */

/* "Name: value\nName: value" */
static void
set_headers(struct headers *h, const char *lines)
{
    struct str rest = str_c(lines), line;
    headers_init(h);
    while (rest.len > 0 && str_split(&rest, '\n', &line)) {
        ptrdiff_t at = str_chr(line, ':');
        headers_add(h, str_sub(line, 0, (size_t)at), str_trim(str_from(line, (size_t)at + 1)));
    }
}

/* Documents are written with ' for ". */
static struct str
set_body(const char *body)
{
    size_t n = strlen(body);
    memcpy(text, body, n);
    for (size_t i = 0; i < n; i++)
        if (text[i] == '\'')
            text[i] = '"';
    return str_of(text, n);
}

static int
parse(int status, const char *lines, const char *body, struct instruct *out, struct err *e)
{
    struct headers h;
    int rc;
    set_headers(&h, lines);
    rc = instruct_parse(status, STR("Fine"), &h, set_body(body), out, e);
    headers_clear(&h);
    return rc;
}

/* What differs from an instruct that says nothing: "stream #a<1>+skip-self timeout=5 keep=k/55 a=1 next=/n/120". */
static void
describe(const struct instruct *in, struct buf *b)
{
    static const char *const holds[] = {"none", "response", "stream"};
    buf_addf(b, "%s", holds[in->hold]);
    for (unsigned i = 0; i < in->n_channels; i++) {
        const struct instruct_channel *c = &in->channels[i];
        CHECK_INT(c->name[c->name_len], 0);
        buf_addf(b, " #%s", c->name);
        if (c->prev_id != NULL)
            buf_addf(b, "<%s>", c->prev_id);
        for (unsigned f = 0; f < c->n_filters; f++)
            buf_addf(b, "+%s", c->filters[f]);
    }
    if (in->timeout != INSTRUCT_TIMEOUT)
        buf_addf(b, " timeout=%d", in->timeout);
    if (in->keep_alive != NULL)
        buf_addf(b, " keep=%s/%d%s", in->keep_alive, in->keep_alive_timeout,
                 in->keep_alive_mode == KEEP_ALIVE_INTERVAL ? "/interval" : "");
    for (unsigned i = 0; i < in->n_meta; i++)
        buf_addf(b, " %s=%s", in->meta[i].name, in->meta[i].value);
    if (in->next_link != NULL)
        buf_addf(b, " next=%s/%d", in->next_link, in->next_timeout);
    if (in->gone_link != NULL)
        buf_addf(b, " gone=%s", in->gone_link);
}

/* "200 Fine|X-A: 1|X-B: 2||body" */
static void
describe_response(const struct instruct *in, struct buf *b)
{
    buf_addf(b, "%d %s|", in->status, in->reason != NULL ? in->reason : "-");
    for (unsigned i = 0; i < in->headers.n; i++)
        buf_addf(b, "%.*s: %.*s|", STR_ARG(in->headers.at[i].name), STR_ARG(in->headers.at[i].value));
    buf_addf(b, "|%.*s", (int)in->body_len, in->body != NULL ? in->body : "");
}

static void
check_description(const struct instruct *in, void (*describe_cb)(const struct instruct *, struct buf *),
                  const char *want)
{
    struct buf b = BUF_INIT(65536);
    describe_cb(in, &b);
    CHECK_STR(buf_str(&b), want);
    buf_clear(&b);
}

TEST(headers_say_how_to_hold)
{
    static const struct {
        const char *lines, *want;
    } rows[] = {
        {"Grip-Foo: x", "none"},
        {"grip-hold: response", "response"},
        {"Grip-Hold: stream\nGrip-Hold: nonsense", "stream"},
        /* channels */
        {"Grip-Channel: a", "none #a"},
        {"Grip-Hold: stream\nGrip-Channel: a, b\nGRIP-CHANNEL: c", "stream #a #b #c"},
        {"Grip-Channel: a; prev-id=1; filter=x; filter=\"y;,\\\"z\"; other; FILTER=no", "none #a<1>+x+y;,\"z"},
        {"Grip-Channel: a; PREV-ID=1; prev-id=2", "none #a<1>"},
        {"Grip-Channel: a; prev-id", "none #a<>"},
        {"Grip-Channel:", "none"},
        {"Grip-Channel: , ,", "none"},
        {"Grip-Channel: ;prev-id=1", "none #<1>"},
        {"Grip-Channel: \"a,b\"", "none #\"a,b\""},
        {"Grip-Channel: a, \"b, c", "none #a #\"b, c"},
        {"Grip-Channel: a; prev-id=\"1, b", "none"},
        {"Grip-Channel: a; prev-id=\"1\"junk; filter=x", "none #a<1>+x"},
        {"Grip-Channel: a; filter=1; filter=2; filter=3; filter=4; filter=5", "none #a+1+2+3+4+5"},
        {"Grip-Channel: a; prev-id=1, b, a; filter=x, c, b; prev-id=2", "none #a+x #b<2> #c"},
        {"Grip-Channel: \xc3\xa9\x01", "none #\xc3\xa9\x01"},
        /* timeout */
        {"Grip-Timeout: 5\nGrip-Timeout: x", "none timeout=5"},
        {"Grip-Timeout: 0", "none timeout=5"},
        {"Grip-Timeout: +60", "none timeout=60"},
        {"Grip-Timeout: 31536001", "none timeout=31536000"},
        {"Grip-Timeout: 99999999999999999999", "none timeout=31536000"},
        /* keep-alive */
        {"Grip-Keep-Alive: k", "none keep=k/55"},
        {"Grip-Keep-Alive: two, words\nGrip-Keep-Alive: x", "none keep=two, words/55"},
        {"Grip-Keep-Alive: \"k\"; format=raw; timeout=0", "none keep=\"k\"/1"},
        {"Grip-Keep-Alive: \\n; Timeout=\" 7 \"; MODE=interval", "none keep=\\n/7/interval"},
        {"Grip-Keep-Alive: k; mode=idle", "none keep=k/55"},
        {"Grip-Keep-Alive: a\\r\\n\\\\\\x41\\x7eF\\q.; format=cstring", "none keep=a\r\n\\A~F./55"},
        {"Grip-Keep-Alive: \\q; format=cstring", "none"},
        {"Grip-Keep-Alive: a-2*V5; format=base64", "none keep=key/55"},
        {"Grip-Keep-Alive: =; format=base64", "none"},
        {"Grip-Keep-Alive: k; timeout=\"1", "none"},
        /* meta */
        {"Grip-Set-Meta: a=1, b=\"x, \\\"y\\\"; z\"; c=3\nGrip-Set-Meta: d", "none a=1 b=x, \"y\"; z d="},
        {"Grip-Set-Meta: a=1, b=2, a=3, A=4", "none a=3 b=2 A=4"},
        {"Grip-Set-Meta: a=\"1", "none"},
        {"Grip-Set-Meta:", "none"},
        /* links */
        {"Grip-Link: </n>; rel=next", "none next=/n/120"},
        {"Grip-Link: <http://h:80/n?a=b>; rel=\"next\"; timeout=0, </g>; rel=gone",
         "none next=http://h:80/n?a=b/0 gone=/g"},
        {"Grip-Link: </a>; rel=next; timeout=7\nGrip-Link: </b>; rel=next", "none next=/b/120"},
        {"Grip-Link: </a>; rel=gone, </b>; rel=gone; timeout=x", "none gone=/b"},
        {"Grip-Link: </a>, </b>;, junk", "none"},
        {"Grip-Link: </a>; rel=other; timeout=x, </b>; timeout=x, </c>; rel=Next", "none"},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        struct instruct in;
        struct err e = {""};
        if (parse(200, rows[i].lines, "", &in, &e) != 0)
            print_error("%s: %s\n", rows[i].lines, e.text);
        check_description(&in, describe, rows[i].want);
        CHECK(!in.from_json);
        instruct_clear(&in);
    }
}

TEST(documents_say_how_to_hold)
{
    static const struct {
        const char *lines, *body, *want;
    } rows[] = {
        {JSON, "{}", "none"},
        {JSON, "{'other': 1, 'response': {}}", "none"},
        {JSON "; charset=utf-8", "{'hold': {'channels': []}}", "response"},
        {JSON, "{'hold': {'mode': 'response', 'channels': [{'name': 'a'}], 'more': 1}}", "response #a"},
        {JSON, "{'hold': {'mode': 'stream', 'channels': [{'name': ''}, {'name': 'b', 'more': 1}]}}", "stream # #b"},
        {JSON, "{'hold': {'channels': [{'name': 'a', 'prev-id': '1', 'filters': ['x', '']}]}}", "response #a<1>+x+"},
        {JSON, "{'hold': {'channels': [{'name': 'a', 'filters': ['1', '2', '3', '4', '5']}, {'name': 'a'}]}}",
         "response #a"},
        {JSON, "{'hold': {'channels': [{'name': '\\u00e9\\n'}]}}", "response #\xc3\xa9\n"},
        {JSON, "{'hold': {'channels': [], 'timeout': 0}}", "response timeout=5"},
        {JSON, "{'hold': {'channels': [], 'timeout': 59.6}}", "response timeout=60"},
        {JSON, "{'hold': {'channels': [], 'timeout': '70'}}", "response timeout=70"},
        {JSON, "{'hold': {'channels': [], 'timeout': 1e300}}", "response timeout=31536000"},
        {JSON, "{'hold': {'channels': [], 'keep-alive': {'content': 'k'}}}", "response keep=k/55"},
        {JSON, "{'hold': {'channels': [], 'keep-alive': {'content': 1, 'content-bin': 'a2V5', 'timeout': 0}}}",
         "response keep=key/1"},
        {JSON, "{'hold': {'channels': [], 'keep-alive': {'content': 'k', 'mode': 'interval', 'timeout': 7}}}",
         "response keep=k/7/interval"},
        {JSON, "{'hold': {'channels': [], 'keep-alive': {'content': 'k', 'mode': 'idle'}}}", "response keep=k/55"},
        {JSON, "{'hold': {'channels': [], 'keep-alive': {'timeout': 5}}}", "response"},
        {JSON, "{'hold': {'channels': [], 'meta': {'b': '1', 'a': ''}}}", "response b=1 a="},
        /* together with headers */
        {JSON "\nGrip-Hold: stream\nGrip-Channel: a\nGrip-Timeout: 9", "{}", "stream #a timeout=9"},
        {JSON "\nGrip-Hold: stream\nGrip-Channel: a, b; prev-id=1\nGrip-Set-Meta: a=1, b=2",
         "{'hold': {'channels': [{'name': 'c'}, {'name': 'b'}], 'meta': {'b': '3'}}}", "response #a #b #c a=1 b=3"},
        {JSON "\nGrip-Timeout: 9\nGrip-Link: </n>; rel=next", "{'hold': {'channels': [], 'timeout': 6}}",
         "response timeout=6 next=/n/120"},
        {JSON "\nGrip-Keep-Alive: k; timeout=9; mode=interval", "{'hold': {'channels': []}}",
         "response keep=k/9/interval"},
        {JSON "\nGrip-Keep-Alive: k; timeout=9; mode=interval",
         "{'hold': {'channels': [], 'keep-alive': {'content': 'j'}}}", "response keep=j/55"},
        {JSON "\nGrip-Keep-Alive: k; timeout=9", "{'hold': {'channels': [], 'keep-alive': {'content': ''}}}",
         "response"},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        struct instruct in;
        struct err e = {""};
        if (parse(200, rows[i].lines, rows[i].body, &in, &e) != 0)
            print_error("%s: %s\n", rows[i].body, e.text);
        check_description(&in, describe, rows[i].want);
        CHECK(in.from_json);
        instruct_clear(&in);
    }
}

TEST(the_response_for_the_client)
{
    static const struct {
        int status;
        const char *lines, *body, *want;
    } rows[] = {
        {200, "Grip-Foo: x\nX-A: 1\nx-a: 2", "body", "200 Fine|X-A: 1|x-a: 2||body"},
        {404, "Grip-Foo: x", "", "404 Fine||"},
        {200, "Grip-Status: 404", "", "404 -||"},
        {200, "Grip-Status: +201 All Made\nGrip-Status: x", "", "201 All Made||"},
        {200, "Grip-Status: 999", "", "999 -||"},
        {200,
         "Connection: X-A, close\nConnection: x-b\nX-A: 1\nX-B: 2\nX-C: 3\nKeep-Alive: 5\nProxy-Connection: x\n"
         "Transfer-Encoding: chunked\nContent-Length: 3\nTrailer: X-T\nTE: trailers\nUpgrade: h2c\n"
         "Content-Encoding: gzip\nGRIP-X: x",
         "", "200 Fine|X-C: 3|Content-Encoding: gzip||"},
        {200,
         "Grip-Expose-Headers: x-a, content-type\nGrip-Expose-Headers: X-C\nX-A: 1\nX-B: 2\nX-C: 3\nContent-Type: t",
         "", "200 Fine|X-A: 1|X-C: 3|Content-Type: t||"},
        {200, "Grip-Expose-Headers: Connection, Grip-Foo\nX-A: 1\nConnection: close\nGrip-Foo: x", "", "200 Fine||"},
        {200, "Grip-Expose-Headers: ,\nX-A: 1", "", "200 Fine|X-A: 1||"},
        {200, "Grip-Hold: stream\nContent-Type: Application/Grip-Instruct", "{",
         "200 Fine|Content-Type: Application/Grip-Instruct||{"},
        /* documents */
        {200, JSON "\nX-A: 1", "{}", "200 -||"},
        {200, JSON "\nGrip-Status: 404 Lost", "{'response': {}}", "404 Lost||"},
        {200, JSON "\nGrip-Status: 404 Lost", "{'response': {'code': 201}}", "201 -||"},
        {200, JSON "\nGrip-Status: 404 Lost", "{'response': {'reason': 'Found'}}", "404 Found||"},
        {200, JSON, "{'response': {'code': '203', 'reason': 'Odd', 'body': 'hi'}}", "203 Odd||hi"},
        {200, JSON, "{'response': {'code': 200, 'reason': ''}}", "200 ||"},
        {200, JSON, "{'response': {'code': 999.4}}", "999 -||"},
        {200, JSON, "{'response': {'headers': {'X-B': '1', 'X-A': '', 'Grip-Foo': 'x'}}}",
         "200 -|X-B: 1|X-A: |Grip-Foo: x||"},
        {200, JSON, "{'response': {'headers': [['Set-Cookie', 'a=1'], ['set-cookie', 'b=2']]}}",
         "200 -|Set-Cookie: a=1|set-cookie: b=2||"},
        {200, JSON,
         "{'response': {'headers': {'content-length': '1', 'Connection': 'x', 'Keep-Alive': '1', "
         "'Content-Encoding': 'gzip', 'Transfer-Encoding': 'chunked', 'X-A': '1'}}}",
         "200 -|X-A: 1||"},
        {200, JSON "\nGrip-Expose-Headers: X-B", "{'response': {'headers': {'X-A': '1'}}}", "200 -|X-A: 1||"},
        {200, JSON, "{'response': {'body': 'no', 'body-bin': 'eWVz'}}", "200 -||yes"},
        {200, JSON, "{'response': {'body': ''}}", "200 -||"},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        struct instruct in;
        struct err e = {""};
        if (parse(rows[i].status, rows[i].lines, rows[i].body, &in, &e) != 0)
            print_error("%s, %s: %s\n", rows[i].lines, rows[i].body, e.text);
        check_description(&in, describe_response, rows[i].want);
        instruct_clear(&in);
    }
}

#define HOLD(rest) "{'hold': {'channels': [{'name': 'x'}], " rest "}}"
#define CHANNEL(rest) "{'hold': {'channels': [" rest "]}}"
#define RESPONSE(rest) "{'response': {" rest "}}"

TEST(errors_are_told_in_words)
{
    static const struct {
        const char *lines, *body, *want;
    } rows[] = {
        {"Grip-Hold: foo", "", "Grip-Hold must be set to either 'response' or 'stream'"},
        {"Grip-Hold:", "", "Grip-Hold must be set to either 'response' or 'stream'"},
        {"Grip-Hold: Stream", "", "Grip-Hold must be set to either 'response' or 'stream'"},
        {"Grip-Channel: a; filter=x; filter=x; filter=x; filter=x; filter=x; filter=x", "",
         "too many filters for channel 'a'"},
        {"Grip-Timeout: x", "", "failed to parse Grip-Timeout"},
        {"Grip-Timeout:", "", "failed to parse Grip-Timeout"},
        {"Grip-Timeout: 5s", "", "failed to parse Grip-Timeout"},
        {"Grip-Timeout: +-5", "", "failed to parse Grip-Timeout"},
        {"Grip-Timeout: -1", "", "Grip-Timeout has invalid value"},
        {"Grip-Timeout: -99999999999999999999", "", "Grip-Timeout has invalid value"},
        {"Grip-Keep-Alive: ; timeout=5", "", "Grip-Keep-Alive cannot be empty"},
        {"Grip-Keep-Alive:", "", "Grip-Keep-Alive cannot be empty"},
        {"Grip-Keep-Alive: x; mode=foo", "", "no such Grip-Keep-Alive mode 'foo'"},
        {"Grip-Keep-Alive: x; mode=Idle", "", "no such Grip-Keep-Alive mode 'Idle'"},
        {"Grip-Keep-Alive: x; timeout=foo", "", "failed to parse Grip-Keep-Alive timeout value"},
        {"Grip-Keep-Alive: x; timeout", "", "failed to parse Grip-Keep-Alive timeout value"},
        {"Grip-Keep-Alive: x; timeout=-1", "", "Grip-Keep-Alive timeout has invalid value"},
        {"Grip-Keep-Alive: \\x1; format=cstring", "", "failed to parse Grip-Keep-Alive cstring format"},
        {"Grip-Keep-Alive: \\x1g; format=cstring", "", "failed to parse Grip-Keep-Alive cstring format"},
        {"Grip-Keep-Alive: a\\; format=cstring", "", "failed to parse Grip-Keep-Alive cstring format"},
        {"Grip-Keep-Alive: x; format=foo", "", "no such Grip-Keep-Alive format 'foo'"},
        {"Grip-Set-Meta: =x", "", "Grip-Set-Meta cannot be empty"},
        {"Grip-Set-Meta: a=1, ;b=2", "", "Grip-Set-Meta cannot be empty"},
        {"Grip-Status: abc", "", "Grip-Status contains invalid status code"},
        {"Grip-Status:", "", "Grip-Status contains invalid status code"},
        {"Grip-Status: 20x", "", "Grip-Status contains invalid status code"},
        {"Grip-Status: -1", "", "Grip-Status contains invalid status code"},
        {"Grip-Status: 199", "", "Grip-Status contains invalid status code"},
        {"Grip-Status: 1000", "", "Grip-Status contains invalid status code"},
        {"Grip-Link: foo; rel=next", "", "failed to parse Grip-Link value"},
        {"Grip-Link: <>; rel=next", "", "failed to parse Grip-Link value"},
        {"Grip-Link: ; rel=next", "", "failed to parse Grip-Link value"},
        {"Grip-Link: <; rel=next", "", "failed to parse Grip-Link value"},
        {"Grip-Link: <http://h:port/>; rel=other", "", "Grip-Link contains invalid link"},
        {"Grip-Link: </x>; rel=next; timeout=x", "", "failed to parse Grip-Link timeout value"},
        {"Grip-Link: </x>; rel=next; timeout=-1", "", "Grip-Link timeout has invalid value"},
        /* documents */
        {JSON "\nGrip-Timeout: x", "{}", "failed to parse Grip-Timeout"},
        {JSON, "", "failed to parse application/grip-instruct content as JSON"},
        {JSON, "not json", "failed to parse application/grip-instruct content as JSON"},
        {JSON, "{} x", "failed to parse application/grip-instruct content as JSON"},
        {JSON, "[]", "instruct must be an object"},
        {JSON, "{'hold': 1}", "instruct contains 'hold' with wrong type"},
        {JSON, "{'hold': null}", "instruct contains 'hold' with wrong type"},
        {JSON, HOLD("'mode': 5"), "hold contains 'mode' with wrong type"},
        {JSON, HOLD("'mode': 'foo'"), "hold 'mode' must be set to either 'response' or 'stream'"},
        {JSON, HOLD("'mode': 'stream\\u0000'"), "hold 'mode' must be set to either 'response' or 'stream'"},
        {JSON, "{'hold': {}}", "hold does not contain 'channels'"},
        {JSON, "{'hold': {'channels': 'x'}}", "hold contains 'channels' with wrong type"},
        {JSON, "{'hold': {'channels': null}}", "hold contains 'channels' with wrong type"},
        {JSON, CHANNEL("1"), "channel is not an object"},
        {JSON, CHANNEL("{}"), "channel does not contain 'name'"},
        {JSON, CHANNEL("{'name': 5}"), "channel contains 'name' with wrong type"},
        {JSON, CHANNEL("{'name': 'a\\u0000b'}"), "channel contains 'name' with wrong type"},
        {JSON, CHANNEL("{'name': 'x', 'prev-id': 5}"), "channel contains 'prev-id' with wrong type"},
        {JSON, CHANNEL("{'name': 'x', 'prev-id': '\\u0000'}"), "channel contains 'prev-id' with wrong type"},
        {JSON, CHANNEL("{'name': 'x', 'filters': 'y'}"), "channel contains 'filters' with wrong type"},
        {JSON, CHANNEL("{'name': 'x', 'filters': ['y', 1]}"), "filters contains value with wrong type"},
        {JSON, CHANNEL("{'name': 'x', 'filters': ['y\\u0000']}"), "filters contains value with wrong type"},
        {JSON, CHANNEL("{'name': 'x', 'filters': ['1', '2', '3', '4', '5', '6']}"), "too many filters for channel 'x'"},
        {JSON, HOLD("'timeout': []"), "hold contains 'timeout' with wrong type"},
        {JSON, HOLD("'timeout': true"), "hold contains 'timeout' with wrong type"},
        {JSON, HOLD("'timeout': 'abc'"), "hold contains 'timeout' with wrong type"},
        {JSON, HOLD("'timeout': -1"), "hold contains 'timeout' with invalid value"},
        {JSON, HOLD("'keep-alive': 'x'"), "hold contains 'keep-alive' with wrong type"},
        {JSON, HOLD("'keep-alive': {'content': 1}"), "keep-alive contains 'content' with wrong type"},
        {JSON, HOLD("'keep-alive': {'content-bin': 1}"), "keep-alive contains 'content-bin' with wrong type"},
        {JSON, HOLD("'keep-alive': {'content': 'k', 'timeout': {}}"), "keep-alive contains 'timeout' with wrong type"},
        {JSON, HOLD("'keep-alive': {'content': 'k', 'timeout': -1}"),
         "keep-alive contains 'timeout' with invalid value"},
        {JSON, HOLD("'keep-alive': {'content': 'k', 'mode': 1}"), "keep-alive contains 'mode' with wrong type"},
        {JSON, HOLD("'keep-alive': {'content': 'k', 'mode': 'x'}"),
         "keep-alive 'mode' must be set to either 'idle' or 'interval'"},
        {JSON, HOLD("'meta': 'x'"), "hold contains 'meta' with wrong type"},
        {JSON, HOLD("'meta': {'a': '1', 'key': 1}"), "'meta' contains 'key' with wrong type"},
        {JSON, HOLD("'meta': {'key': '\\u0000'}"), "'meta' contains 'key' with wrong type"},
        {JSON, "{'response': 1}", ""},
        {JSON, "{'response': null}", ""},
        {JSON, RESPONSE("'code': []"), "response contains 'code' with wrong type"},
        {JSON, RESPONSE("'code': 1000"), "response contains 'code' with invalid value"},
        {JSON, RESPONSE("'code': 199"), "response contains 'code' with invalid value"},
        {JSON, RESPONSE("'code': -1"), "response contains 'code' with invalid value"},
        {JSON, RESPONSE("'reason': 1"), "response contains 'reason' with wrong type"},
        {JSON, RESPONSE("'reason': 'a\\r\\nX: y'"), "response contains 'reason' with invalid value"},
        {JSON, RESPONSE("'headers': 1"), "response contains 'headers' with wrong type"},
        {JSON, RESPONSE("'headers': [1]"), "headers contains element with wrong type"},
        {JSON, RESPONSE("'headers': [['a']]"), "headers contains list with wrong number of elements"},
        {JSON, RESPONSE("'headers': [['a', 'b', 'c']]"), "headers contains list with wrong number of elements"},
        {JSON, RESPONSE("'headers': [[1, 'b']]"), "header contains name element with wrong type"},
        {JSON, RESPONSE("'headers': [['a', 1]]"), "header contains value element with wrong type"},
        {JSON, RESPONSE("'headers': {'a': 1}"), "headers contains 'a' with wrong type"},
        {JSON, RESPONSE("'headers': {'a b': '1'}"), "headers contains invalid name"},
        {JSON, RESPONSE("'headers': [['', '1']]"), "headers contains invalid name"},
        {JSON, RESPONSE("'headers': {'a': 'b\\r\\nc: d'}"), "headers contains 'a' with invalid value"},
        {JSON, RESPONSE("'body': 1"), "response contains 'body' with wrong type"},
        {JSON, RESPONSE("'body': 'x', 'body-bin': 1"), "response contains 'body-bin' with wrong type"},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        struct instruct in;
        struct err e = {"untouched"};
        if (parse(200, rows[i].lines, rows[i].body, &in, &e) == 0)
            print_error("accepted: %s, %s\n", rows[i].lines, rows[i].body);
        CHECK_STR(str_c(e.text), rows[i].want);
        CHECK(parse(200, rows[i].lines, rows[i].body, &in, NULL) != 0);
    }
}

TEST(a_document_comes_with_200_and_is_read_whole)
{
    struct headers h;
    struct instruct in;
    struct err e;
    CHECK(parse(201, JSON, "{}", &in, &e) != 0);
    CHECK_STR(str_c(e.text), "response code for application/grip-instruct content must be 200");
    set_headers(&h, JSON);
    CHECK(instruct_parse(200, STR("OK"), &h, str_of(NULL, 0), &in, &e) != 0);
    CHECK_STR(str_c(e.text), "failed to parse application/grip-instruct content as JSON");
    headers_clear(&h);
    set_headers(&h, "Grip-Hold: stream\nX-A: 1");
    CHECK_INT(instruct_parse(200, STR(""), &h, str_of(NULL, 0), &in, &e), 0);
    check_description(&in, describe_response, "200 |X-A: 1||");
    instruct_clear(&in);
    headers_clear(&h);
}

TEST(which_responses_are_instructs)
{
    static const struct {
        const char *lines;
        bool present, json;
    } rows[] = {
        {"", false, false},
        {"X-Grip-Foo: 1\nContent-Type: text/plain", false, false},
        {"grip-: 1", true, false},
        {"GRIP-Foo: 1", true, false},
        {JSON, true, true},
        {JSON ";x", true, true},
        {"content-type: application/grip-instruct", true, true},
        {"Content-Type: Application/Grip-Instruct", false, false},
        {"Content-Type: application/grip-instruct2", false, false},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        struct headers h;
        set_headers(&h, rows[i].lines);
        CHECK_INT(instruct_present(&h), rows[i].present);
        CHECK_INT(instruct_is_json(&h), rows[i].json);
        headers_clear(&h);
    }
}

/* The parser of heads lets none through, but it is not this file's to know. */
TEST(channels_with_a_nul_in_headers_are_refused)
{
    struct headers h;
    struct instruct in;
    struct err e;
    headers_init(&h);
    headers_add(&h, STR("Grip-Channel"), STR("a\0b"));
    CHECK(instruct_parse(200, STR("OK"), &h, STR(""), &in, &e) != 0);
    CHECK_STR(str_c(e.text), "failed to parse Grip-Channel");
    headers_clear(&h);
}

TEST(bytes_may_be_any)
{
    struct instruct in;
    CHECK_INT(
        parse(200, JSON,
              "{'hold': {'channels': [], 'keep-alive': {'content-bin': 'AP8='}}, 'response': {'body': 'a\\u0000b'}}",
              &in, NULL),
        0);
    CHECK(in.keep_alive_len == 2 && memcmp(in.keep_alive, "\0\xff", 2) == 0);
    CHECK(in.body_len == 3 && memcmp(in.body, "a\0b", 3) == 0);
    instruct_clear(&in);
    CHECK_INT(parse(200, "Grip-Keep-Alive: \\x00\\xff; format=cstring", "a", &in, NULL), 0);
    CHECK(in.keep_alive_len == 2 && memcmp(in.keep_alive, "\0\xff", 2) == 0);
    instruct_clear(&in);
}

TEST(lookups)
{
    struct instruct in;
    CHECK_INT(parse(200, "Grip-Channel: a, b; prev-id=1, c; prev-id=2\nGrip-Set-Meta: x=1", "", &in, NULL), 0);
    CHECK_STR(str_c(instruct_prev_id(&in)->name), "b");
    CHECK_STR(str_c(instruct_get_meta(&in, "x")), "1");
    CHECK(instruct_get_meta(&in, "X") == NULL);
    instruct_clear(&in);
    CHECK(instruct_prev_id(&in) == NULL);
}

/* Comparing all with all would take minutes. */
TEST(a_document_of_many_channels_is_read_at_once)
{
    enum { N = 200000 };
    struct buf b = BUF_INIT(64 * N);
    struct headers h;
    struct instruct in;
    buf_adds(&b, STR("{\"hold\":{\"channels\":["));
    for (int i = 0; i < N; i++)
        buf_addf(&b, "%s{\"name\":\"%d\"}", i > 0 ? "," : "", i % (N - 10));
    buf_adds(&b, STR("]}}"));
    set_headers(&h, JSON);
    CHECK_INT(instruct_parse(200, STR("OK"), &h, buf_str(&b), &in, NULL), 0);
    CHECK_INT(in.n_channels, N - 10);
    CHECK_STR(str_c(in.channels[N - 11].name), "199989");
    instruct_clear(&in);
    headers_clear(&h);
    buf_clear(&b);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(headers_say_how_to_hold),
        cmocka_unit_test(documents_say_how_to_hold),
        cmocka_unit_test(the_response_for_the_client),
        cmocka_unit_test(errors_are_told_in_words),
        cmocka_unit_test(a_document_comes_with_200_and_is_read_whole),
        cmocka_unit_test(which_responses_are_instructs),
        cmocka_unit_test(channels_with_a_nul_in_headers_are_refused),
        cmocka_unit_test(bytes_may_be_any),
        cmocka_unit_test(lookups),
        cmocka_unit_test(a_document_of_many_channels_is_read_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
