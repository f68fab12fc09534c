#include "test.h"

#include "base/mem.h"
#include "http1ref.h"
#include "proto/http1.h"

#include <stdlib.h>

enum { MAX_HEAD = 400 };

struct role {
    bool response, to_head;
};
static const struct role requests = {false, false}, responses = {true, false}, answers_to_head = {true, true};

static void
write_head(const struct http1_head *h, bool response, struct buf *out)
{
    if (response)
        buf_addf(out, "<%d %.*s", h->status, STR_ARG(h->reason));
    else
        buf_addf(out, "<%.*s %.*s", STR_ARG(h->method), STR_ARG(h->target));
    buf_addf(out, " %d", h->minor);
    for (unsigned i = 0; i < h->headers.n; i++)
        buf_addf(out, " [%.*s=%.*s]", STR_ARG(h->headers.at[i].name), STR_ARG(h->headers.at[i].value));
    if (h->framing == HTTP1_LENGTH)
        buf_addf(out, " %llu", (unsigned long long)h->length);
    buf_adds(out, h->framing == HTTP1_CHUNKED       ? STR(" chunked ")
                  : h->framing == HTTP1_UNTIL_CLOSE ? STR(" until-close ")
                                                    : STR(" "));
    buf_addf(out, "%s%s%s%s>", h->keep_alive ? "k" : "", h->close ? "c" : "", h->upgrade ? "u" : "",
             h->expect_continue ? "e" : "");
}

static void
begin(struct http1 *p, struct role role)
{
    http1_begin(p);
    if (role.to_head)
        http1_answer_to_head(p);
}

/* All events in PIECE, which is the next of the connection's bytes. False: the parser takes nothing more. */
static bool
take(struct http1 *p, struct role role, struct str piece, struct buf *out)
{
    for (;;) {
        switch (http1_next(p, &piece)) {
        case HTTP1_MORE:
            CHECK_INT(piece.len, 0);
            return true;
        case HTTP1_HEAD:
            write_head(http1_head(p), role.response, out);
            break;
        case HTTP1_BODY:
            CHECK(http1_body(p).len > 0);
            buf_adds(out, http1_body(p));
            break;
        case HTTP1_END:
            buf_addc(out, '.');
            begin(p, role);
            CHECK(!http1_started(p));
            if (piece.len == 0)
                return true;
            break;
        case HTTP1_BAD:
            buf_addf(out, "!%s %d %s", http1_bad(p), http1_bad_status(p), http1_bad_in_body(p) ? "body" : "head");
            CHECK_INT(http1_next(p, &piece), HTTP1_BAD);
            CHECK_INT(http1_eof(p), HTTP1_BAD);
            return false;
        }
    }
}

static void
finish(struct http1 *p, struct buf *out)
{
    bool started = http1_started(p);
    enum http1_event e = http1_eof(p);
    CHECK(started || e == HTTP1_MORE);
    if (e == HTTP1_END)
        buf_addc(out, '.');
    buf_addc(out, '~');
}

/* Cut into pieces: the first is FIRST long, all others STEP. */
static void
parse(struct str in, struct role role, size_t max_head, size_t first, size_t step, struct buf *out)
{
    struct http1 *p = http1_new(role.response ? HTTP1_RESPONSES : HTTP1_REQUESTS, max_head);
    bool more = true;
    begin(p, role);
    for (size_t at = 0, n = first; at < in.len && more; at += n, n = step)
        if ((more = take(p, role, str_sub(in, at, n), out)) && !http1_started(p))
            begin(p, role); /* who owns it may forget it between two messages, and take another */
    if (more)
        finish(p, out);
    http1_free(p);
}

static void
check_same(struct str in, struct str got, struct str want, const char *how)
{
    if (str_eq(got, want))
        return;
    print_error("%s: \"", how);
    for (size_t i = 0; i < in.len; i++)
        print_error((unsigned char)in.ptr[i] < 0x20 || (unsigned char)in.ptr[i] > 0x7e ? "\\x%02x" : "%c",
                    (unsigned char)in.ptr[i]);
    print_error("\"\n got %.*s\nwant %.*s\n", STR_ARG(got), STR_ARG(want));
    fail();
}

static struct buf got = BUF_INIT(1 << 20), want = BUF_INIT(1 << 20);

static void
check_cut(struct str in, struct role role, size_t max_head, size_t first, size_t step, const char *how)
{
    got.len = 0;
    parse(in, role, max_head, first, step, &got);
    check_same(in, buf_str(&got), buf_str(&want), how);
}

/* The same as the reference says: whole, byte by byte, and, where THOROUGH, cut in two at every place. */
static void
check_like_reference(struct str in, struct role role, size_t max_head, bool thorough)
{
    want.len = 0;
    ref_parse(in, role.response, role.to_head, max_head, &want);
    check_cut(in, role, max_head, in.len, 1, "whole");
    check_cut(in, role, max_head, 1, 1, "byte by byte");
    for (size_t i = 1; i < in.len && thorough; i++)
        check_cut(in, role, max_head, i, in.len, "cut in two");
}

static void
check_says(struct str in, struct role role, const char *expected)
{
    got.len = 0;
    parse(in, role, MAX_HEAD, in.len, 1, &got);
    check_same(in, buf_str(&got), str_c(expected), "whole");
    check_like_reference(in, role, MAX_HEAD, true);
}

struct row {
    struct str in;
    const char *expected;
};

static void
check_rows(const struct row *rows, size_t n, struct role role)
{
    for (size_t i = 0; i < n; i++)
        check_says(rows[i].in, role, rows[i].expected);
}

#define H "Host: x\r\n"
#define CHUNKED "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n"
#define CHUNKED_HEAD "<POST / 1 [Host=x] [Transfer-Encoding=chunked] chunked k>"

TEST(good_requests_are_read)
{
    static const struct row rows[] = {
        {STR("GET /a?b HTTP/1.1\r\n" H "\r\n"), "<GET /a?b 1 [Host=x] k>.~"},
        {STR("GET / HTTP/1.0\r\n\r\n"), "<GET / 0 >.~"},
        {STR("\r\n\r\nBREW /caf\xc3\xa9\\\"<> HTTP/1.0\r\n\r\n\r\n"), "<BREW /caf\xc3\xa9\\\"<> 0 >.~"},
        {STR("CONNECT a:1 HTTP/1.1\r\n" H "\r\nHEAD * HTTP/1.1\r\n" H "\r\n"),
         "<CONNECT a:1 1 [Host=x] k>.<HEAD * 1 [Host=x] k>.~"},
        {STR("PRI * HTTP/1.1\r\nhOST:\r\nA: \t b \t c\t \r\nB:\xff\r\n\r\n"),
         "<PRI * 1 [hOST=] [A=b \t c] [B=\xff] k>.~"},
        {STR("POST / HTTP/1.1\r\n" H "Content-Length: 005 \t\r\n\r\nhelloGET"),
         "<POST / 1 [Host=x] [Content-Length=005] 5 k>hello.~"},
        {STR("GET / HTTP/1.1\r\n" H "Content-Length: 0\r\n\r\n"), "<GET / 1 [Host=x] [Content-Length=0] 0 k>.~"},
        {STR("POST / HTTP/1.1\r\n" H "Content-Length: 9223372036854775807\r\n\r\nab"),
         "<POST / 1 [Host=x] [Content-Length=9223372036854775807] 9223372036854775807 k>ab~"},
        {STR(CHUNKED "0\r\n\r\n"), CHUNKED_HEAD ".~"},
        {STR(CHUNKED "5\r\nhello\r\n00a ;\r\n"), CHUNKED_HEAD "hello!invalid chunk size 400 body"},
        {STR(CHUNKED "5;a=\"b\\\" \xff\";c ; d\r\nhello\r\n0Fe\r\n"), CHUNKED_HEAD "hello~"},
        {STR(CHUNKED
             "000000000000a\r\n0123456789\r\n0;\r\nA: b\r\nContent-Length: 7\r\nC:\r\n\r\nGET / HTTP/1.0\r\n\r\n"),
         CHUNKED_HEAD "0123456789.<GET / 0 >.~"},
        {STR("POST / HTTP/1.1\r\n" H "transfer-encoding: CHunked\t \r\n\r\n0\r\n\r\n"),
         "<POST / 1 [Host=x] [transfer-encoding=CHunked] chunked k>.~"},
    };
    check_rows(rows, countof(rows), requests);
}

TEST(connection_and_expect_are_understood)
{
    static const struct row rows[] = {
        {STR("GET / HTTP/1.1\r\n" H "Connection: a, CLOSE\t\r\n\r\n"), "<GET / 1 [Host=x] [Connection=a, CLOSE] c>.~"},
        {STR("GET / HTTP/1.1\r\n" H "Connection: a\r\nconnection: ,close,\r\n\r\n"),
         "<GET / 1 [Host=x] [Connection=a] [connection=,close,] c>.~"},
        {STR("GET / HTTP/1.1\r\n" H "Connection: closed\r\n\r\n"), "<GET / 1 [Host=x] [Connection=closed] k>.~"},
        {STR("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"), "<GET / 0 [Connection=Keep-Alive] k>.~"},
        {STR("GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n"),
         "<GET / 0 [Connection=keep-alive, close] c>.~"},
        {STR("GET / HTTP/1.1\r\n" H "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\nx"),
         "<GET / 1 [Host=x] [Connection=keep-alive, Upgrade] [Upgrade=websocket] ku>.~"},
        {STR("POST / HTTP/1.1\r\n" H "Connection: upgrade\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\nabGET"),
         "<POST / 1 [Host=x] [Connection=upgrade] [Upgrade=h2c] [Content-Length=2] 2 ku>ab.~"},
        {STR("GET / HTTP/1.1\r\n" H "Upgrade: websocket\r\n\r\n"), "<GET / 1 [Host=x] [Upgrade=websocket] k>.~"},
        {STR("GET / HTTP/1.1\r\n" H "Connection: upgrade\r\n\r\n"), "<GET / 1 [Host=x] [Connection=upgrade] k>.~"},
        {STR("PUT / HTTP/1.1\r\n" H "Expect: 100-Continue\r\nContent-Length: 1\r\n\r\na"),
         "<PUT / 1 [Host=x] [Expect=100-Continue] [Content-Length=1] 1 ke>a.~"},
        {STR("PUT / HTTP/1.1\r\n" H "Expect: 100-continue\r\nContent-Length: 0\r\n\r\n"),
         "<PUT / 1 [Host=x] [Expect=100-continue] [Content-Length=0] 0 k>.~"},
        {STR("PUT / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\na"),
         "<PUT / 0 [Expect=100-continue] [Content-Length=1] 1 >a.~"},
    };
    check_rows(rows, countof(rows), requests);
}

TEST(bad_requests_are_refused_with_their_reason)
{
    static const struct row rows[] = {
        {STR("\x16\x03\x01"), "!invalid token 400 head"},
        {STR(" GET / HTTP/1.1\r\n"), "!invalid token 400 head"},
        {STR("GET\r\n\r\n"), "!invalid token 400 head"},
        {STR("GET /\r\n\r\n"), "!invalid token 400 head"},
        {STR("GET  / HTTP/1.1\r\n"), "!invalid token 400 head"},
        {STR("GET /\x7f HTTP/1.1\r\n"), "!invalid token 400 head"},
        {STR("G\0T"), "!invalid token 400 head"},
        {STR("GET / HTTP/2.0\r\n"), "!invalid HTTP version 505 head"},
        {STR("GET / HTTP/0.9\r\n"), "!invalid HTTP version 505 head"},
        {STR("GET / HTTP/1.2\r\n"), "!invalid HTTP version 505 head"},
        {STR("GET / http/1.1\r\n"), "!invalid HTTP version 505 head"},
        {STR("GET / HTTP/1.1 \r\n"), "!invalid new line 400 head"},
        {STR("GET / HTTP/1.1\n"), "!invalid new line 400 head"},
        {STR("GET / HTTP/1.1\r\r\n"), "!invalid new line 400 head"},
        {STR("\nGET / HTTP/1.1\r\n"), "!invalid new line 400 head"},
        {STR("\r\n\rGET"), "!invalid new line 400 head"},
        {STR("GET / HTTP/1.1\r\nHost: x\nA: b\r\n"), "!invalid new line 400 head"},
        {STR("GET / HTTP/1.1\r\nHost: x\rA: b\r\n"), "!invalid new line 400 head"},
        {STR("GET / HTTP/1.1\r\nHost: x\r\n\n"), "!invalid new line 400 head"},
        {STR("GET / HTTP/1.1\r\nHost: x\r\n\rx"), "!invalid new line 400 head"},
        {STR("GET / HTTP/1.1\r\nbad header\r\n\r\n"), "!invalid header name 400 head"},
        {STR("GET / HTTP/1.1\r\nHost : x\r\n"), "!invalid header name 400 head"},
        {STR("GET / HTTP/1.1\r\n: x\r\n"), "!invalid header name 400 head"},
        {STR("GET / HTTP/1.1\r\nA\r\n"), "!invalid header name 400 head"},
        {STR("GET / HTTP/1.1\r\nHost: x\r\n y\r\n"), "!invalid header name 400 head"},
        {STR("GET / HTTP/1.1\r\n Host: x\r\n"), "!invalid header name 400 head"},
        {STR("GET / HTTP/1.1\r\nA\xff: x\r\n"), "!invalid header name 400 head"},
        {STR("GET / HTTP/1.1\r\nA: x\0y\r\n"), "!invalid header value 400 head"},
        {STR("GET / HTTP/1.1\r\nA: x\x7fy\r\n"), "!invalid header value 400 head"},
        {STR("GET / HTTP/1.1\r\n\r\n"), "!missing Host header 400 head"},
        {STR("GET / HTTP/1.1\r\n" H H "\r\n"), "!more than one Host header 400 head"},
        {STR("GET / HTTP/1.0\r\n" H "hosT: y\r\n\r\n"), "!more than one Host header 400 head"},
    };
    check_rows(rows, countof(rows), requests);
}

#define POST "POST / HTTP/1.1\r\n" H

TEST(unclear_framing_is_refused)
{
    static const struct row rows[] = {
        {STR(POST "Content-Length: x\r\n\r\n"), "!invalid content length 400 head"},
        {STR(POST "Content-Length:\r\n\r\n"), "!invalid content length 400 head"},
        {STR(POST "Content-Length: +5\r\n\r\n"), "!invalid content length 400 head"},
        {STR(POST "Content-Length: -5\r\n\r\n"), "!negative content length 400 head"},
        {STR(POST "Content-Length: 5, 5\r\n\r\n"), "!invalid content length 400 head"},
        {STR(POST "Content-Length: 5 5\r\n\r\n"), "!invalid content length 400 head"},
        {STR(POST "Content-Length: 0x5\r\n\r\n"), "!invalid content length 400 head"},
        {STR(POST "Content-Length: 9223372036854775808\r\n\r\n"), "!invalid content length 400 head"},
        {STR(POST "Content-Length: 99999999999999999999999\r\n\r\n"), "!invalid content length 400 head"},
        {STR(POST "Content-Length: 5\r\ncontent-length: 5\r\n\r\n"), "!more than one Content-Length header 400 head"},
        {STR(POST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"),
         "!both Content-Length and Transfer-Encoding 400 head"},
        {STR(POST "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n"),
         "!both Content-Length and Transfer-Encoding 400 head"},
        {STR(POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"),
         "!more than one Transfer-Encoding header 400 head"},
        {STR(POST "Transfer-Encoding: gzip, chunked\r\n\r\n"), "!unsupported transfer encoding 400 head"},
        {STR(POST "Transfer-Encoding: chunked, chunked\r\n\r\n"), "!unsupported transfer encoding 400 head"},
        {STR(POST "Transfer-Encoding: xchunked\r\n\r\n"), "!unsupported transfer encoding 400 head"},
        {STR(POST "Transfer-Encoding: chunked;a=b\r\n\r\n"), "!unsupported transfer encoding 400 head"},
        {STR(POST "Transfer-Encoding: \"chunked\"\r\n\r\n"), "!unsupported transfer encoding 400 head"},
        {STR(POST "Transfer-Encoding:\r\n\r\n"), "!unsupported transfer encoding 400 head"},
        {STR("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), "!unsupported transfer encoding 400 head"},
    };
    check_rows(rows, countof(rows), requests);
}

TEST(bad_chunks_and_trailers_are_refused)
{
    static const struct row rows[] = {
        {STR(CHUNKED "ZZ\r\n"), CHUNKED_HEAD "!invalid chunk size 400 body"},
        {STR(CHUNKED "-1\r\n"), CHUNKED_HEAD "!invalid chunk size 400 body"},
        {STR(CHUNKED "\r\n"), CHUNKED_HEAD "!invalid chunk size 400 body"},
        {STR(CHUNKED ";a\r\n"), CHUNKED_HEAD "!invalid chunk size 400 body"},
        {STR(CHUNKED " 5\r\n"), CHUNKED_HEAD "!invalid chunk size 400 body"},
        {STR(CHUNKED "5 \r\n"), CHUNKED_HEAD "!invalid chunk size 400 body"},
        {STR(CHUNKED "0x5\r\n"), CHUNKED_HEAD "!invalid chunk size 400 body"},
        {STR(CHUNKED "5;\0\r\n"), CHUNKED_HEAD "!invalid chunk size 400 body"},
        {STR(CHUNKED "5\n"), CHUNKED_HEAD "!invalid new line 400 body"},
        {STR(CHUNKED "5;a\n"), CHUNKED_HEAD "!invalid new line 400 body"},
        {STR(CHUNKED "5\rx"), CHUNKED_HEAD "!invalid new line 400 body"},
        {STR(CHUNKED "ffffffff\r\nab"), CHUNKED_HEAD "ab~"},
        {STR(CHUNKED "100000000\r\n"), CHUNKED_HEAD "!chunk too large 400 body"},
        {STR(CHUNKED "ffffffffffffffffff\r\n"), CHUNKED_HEAD "!chunk too large 400 body"},
        {STR(CHUNKED "5\r\nabcdeXX"), CHUNKED_HEAD "abcde!invalid chunk suffix 400 body"},
        {STR(CHUNKED "5\r\nabcde\rX"), CHUNKED_HEAD "abcde!invalid chunk suffix 400 body"},
        {STR(CHUNKED "5\r\nabcde\n"), CHUNKED_HEAD "abcde!invalid new line 400 body"},
        {STR(CHUNKED "0\r\n\n"), CHUNKED_HEAD "!invalid new line 400 body"},
        {STR(CHUNKED "0\r\n\rx"), CHUNKED_HEAD "!invalid new line 400 body"},
        {STR(CHUNKED "0\r\nA: b\n\r\n"), CHUNKED_HEAD "!invalid new line 400 body"},
        {STR(CHUNKED "0\r\nA b\r\n\r\n"), CHUNKED_HEAD "!invalid header name 400 body"},
        {STR(CHUNKED "0\r\nA: b\r\n c\r\n\r\n"), CHUNKED_HEAD "!invalid header name 400 body"},
        {STR(CHUNKED "0\r\nA: \x01\r\n\r\n"), CHUNKED_HEAD "!invalid header value 400 body"},
    };
    check_rows(rows, countof(rows), requests);
}

TEST(responses_are_read)
{
    static const struct row rows[] = {
        {STR("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"), "<200 OK 1 [Content-Length=3] 3 k>abc.~"},
        {STR("HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n"), "<200  1 [Content-Length=0] 0 k>.~"},
        {STR("HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n"), "<200  1 [Content-Length=0] 0 k>.~"},
        {STR("HTTP/1.0 999 \xe4 b\t c \r\n\r\nab"), "<999 \xe4 b\t c  0 until-close >ab.~"},
        {STR("HTTP/1.1 200 OK\r\n\r\n"), "<200 OK 1 until-close >.~"},
        {STR("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nA: b\r\n\r\n"),
         "<200 OK 1 [Transfer-Encoding=chunked] chunked k>a.~"},
        {STR("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: a\r\n\r\nHTTP/1.1 204 No\r\nContent-Length: "
             "9\r\n\r\n"),
         "<100 Continue 1 k>.<103 Early 1 [Link=a] k>.<204 No 1 [Content-Length=9] k>.~"},
        {STR("HTTP/1.1 304 \r\nTransfer-Encoding: chunked\r\n\r\nHTTP/1.1 304 \r\nContent-Length: 8\r\n\r\n"),
         "<304  1 [Transfer-Encoding=chunked] k>.<304  1 [Content-Length=8] k>.~"},
        {STR("HTTP/1.1 101 Go\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"),
         "<101 Go 1 [Connection=upgrade] [Upgrade=websocket] ku>.~"},
        {STR("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\na"),
         "<200 OK 0 [Connection=keep-alive] [Content-Length=1] 1 k>a.~"},
    };
    static const struct row to_head[] = {
        {STR("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"),
         "<200 OK 1 [Content-Length=3] k>.<200 OK 1 k>.~"},
        {STR("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), "<200 OK 1 [Transfer-Encoding=chunked] k>.~"},
    };
    check_rows(rows, countof(rows), responses);
    check_rows(to_head, countof(to_head), answers_to_head);
}

TEST(bad_responses_are_refused)
{
    static const struct row rows[] = {
        {STR("hello"), "!invalid HTTP version 505 head"},
        {STR("\r\nHTTP/1.1 200 OK\r\n"), "!invalid HTTP version 505 head"},
        {STR("HTTP/2.0 200 OK\r\n"), "!invalid HTTP version 505 head"},
        {STR("HTTP/1.1\r\n"), "!invalid HTTP version 400 head"},
        {STR("HTTP/1.1  200 OK\r\n"), "!invalid status 400 head"},
        {STR("HTTP/1.1 abc OK\r\n"), "!invalid status 400 head"},
        {STR("HTTP/1.1 099 OK\r\n"), "!invalid status 400 head"},
        {STR("HTTP/1.1 20 OK\r\n"), "!invalid status 400 head"},
        {STR("HTTP/1.1 2000 OK\r\n"), "!invalid status 400 head"},
        {STR("HTTP/1.1 200 O\0K\r\n"), "!invalid status 400 head"},
        {STR("HTTP/1.1 200 OK\n"), "!invalid new line 400 head"},
        {STR("HTTP/1.1 200\n"), "!invalid new line 400 head"},
        {STR("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n"),
         "!more than one Content-Length header 400 head"},
        {STR("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n"), "!unsupported transfer encoding 400 head"},
        {STR("HTTP/1.1 204 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"),
         "!both Content-Length and Transfer-Encoding 400 head"},
    };
    check_rows(rows, countof(rows), responses);
}

/* FORMAT with N bytes of C in the middle. */
static struct str
filled(struct buf *b, const char *before, char c, size_t n, const char *after)
{
    b->len = 0;
    buf_adds(b, str_c(before));
    memset(buf_room(b, n), c, n);
    b->len += n;
    buf_adds(b, str_c(after));
    return buf_str(b);
}

TEST(sizes_are_bounded)
{
    struct buf b = BUF_INIT(10000);
    const size_t around = strlen("GET / HTTP/1.0\r\nA: \r\n\r\n");
    struct str in = filled(&b, "GET / HTTP/1.0\r\nA: ", 'x', MAX_HEAD - around, "\r\n\r\n");
    check_like_reference(in, requests, MAX_HEAD, true);
    CHECK(str_ends(buf_str(&got), STR("x] >.~")));
    check_says(filled(&b, "GET / HTTP/1.0\r\nA: ", 'x', MAX_HEAD - around + 1, "\r\n\r\n"), requests,
               "!header too large 431 head");
    check_says(filled(&b, "HTTP/1.1 200 ", 'x', MAX_HEAD, ""), responses, "!header too large 431 head");
    check_says(filled(&b, "GET /", 'x', MAX_HEAD, ""), requests, "!request line too long 414 head");
    check_says(filled(&b, "GET /", 'x', MAX_HEAD - strlen("GET / HTTP/1.0\r\n"), " HTTP/1.0\r\n\r\n"), requests,
               "!header too large 431 head");
    check_says(filled(&b, CHUNKED "0\r\nA:", 'x', MAX_HEAD, ""), requests, CHUNKED_HEAD "!header too large 431 body");
    check_says(filled(&b, CHUNKED, '0', 300, ""), requests, CHUNKED_HEAD "!invalid chunk size 400 body");
    check_says(filled(&b, CHUNKED "0;", 'x', 300, ""), requests, CHUNKED_HEAD "!invalid chunk size 400 body");
    check_says(filled(&b, CHUNKED "0;", 'x', 252, "\r\n\r\n"), requests, CHUNKED_HEAD ".~");
    buf_clear(&b);
}

TEST(headers_and_trailers_are_counted)
{
    struct buf b = BUF_INIT(10000);
    for (int trailers = 0; trailers < 2; trailers++)
        for (int n = 64; n <= 65; n++) {
            b.len = 0;
            buf_adds(&b, trailers ? STR(CHUNKED "0\r\n") : STR("GET / HTTP/1.0\r\n"));
            for (int i = 0; i < n; i++)
                buf_adds(&b, STR("A:\r\n"));
            buf_adds(&b, STR("\r\n"));
            check_like_reference(buf_str(&b), requests, MAX_HEAD, true);
            CHECK_INT(str_find(buf_str(&got), STR("!too many headers 431")) >= 0, n == 65);
        }
    buf_clear(&b);
}

TEST(any_number_of_empty_lines_may_stand_before_a_request)
{
    struct buf b = BUF_INIT(10000);
    for (int i = 0; i < 300; i++)
        buf_adds(&b, STR("\r\n"));
    buf_adds(&b, STR("GET / HTTP/1.0\r\n\r\n"));
    check_says(buf_str(&b), requests, "<GET / 0 >.~");
    buf_clear(&b);
}

static const struct {
    const struct role *role;
    struct str in;
} good[] = {
    {&requests,
     STR("GET /a?b HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: w\r\n\r\nG /2 HTTP/1.0\r\n\r\n")},
    {&requests,
     STR("POST /p HTTP/1.1\r\nHost:x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhelloA * HTTP/1.0\r\n\r\n")},
    {&requests, STR("P /p HTTP/1.1\r\nTransfer-Encoding: "
                    "chunked\r\nHost:\r\n\r\n5;a=b\r\nhello\r\na\r\n0123456789\r\n0\r\nT: t\r\n\r\n")},
    {&requests, STR("\r\n\r\nBREW /caf\xc3\xa9 HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\nGET /")},
    {&requests, STR("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n1")},
    {&requests, STR("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n1\r\n")},
    {&responses, STR("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabcHTTP/1.1 200 OK\r\n\r\nxyz")},
    {&responses,
     STR("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 \r\ntransfer-encoding:chunked\r\n\r\n1\r\na\r\n0\r\n\r\n")},
    {&responses,
     STR("HTTP/1.0 204\r\nContent-Length: 4\r\n\r\nHTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n")},
    {&answers_to_head,
     STR("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nHTTP/1.1 404 No\r\nTransfer-Encoding: chunked\r\n\r\n")},
};

/* Every byte of a message that is good or nearly so replaced, removed, and pushed aside by each of a set. */
TEST(reader_agrees_with_the_reference_on_mutations)
{
    static const char bytes[] = "\r\n \t:\0\x7f\x80,;a019\"/HF-";
    static char text[512];
    unsigned n = 0;
    for (size_t g = 0; g < countof(good); g++) {
        struct str in = good[g].in;
        check_like_reference(in, *good[g].role, MAX_HEAD, true);
        for (size_t at = 0; at < in.len; at++)
            for (size_t b = 0; b < 2 * sizeof bytes - 1; b++) { /* the last one deletes */
                size_t added = b < 2 * (sizeof bytes - 1), skipped = b >= sizeof bytes - 1;
                memcpy(text, in.ptr, at);
                text[at] = bytes[b % (sizeof bytes - 1)];
                memcpy(text + at + added, in.ptr + at + skipped, in.len - at - skipped);
                check_like_reference(str_of(text, in.len + added - skipped), *good[g].role, MAX_HEAD, n++ % 6 == 0);
            }
    }
}

TEST(heads_at_every_limit_agree_with_the_reference)
{
    for (size_t g = 0; g < countof(good); g++)
        for (size_t max = 1; max < good[g].in.len; max++)
            check_like_reference(good[g].in, *good[g].role, max, max % 5 == 0);
}

TEST(garbage_is_refused_at_its_first_byte)
{
    struct http1 *p = http1_new(HTTP1_REQUESTS, MAX_HEAD);
    struct str in = STR("\x16");
    CHECK_INT(http1_next(p, &in), HTTP1_BAD);
    CHECK_INT(http1_bad_status(p), 400);
    CHECK_STR(str_c(http1_bad(p)), "invalid token");
    http1_free(p);
}

TEST(body_is_a_view_and_the_rest_stays_with_the_caller)
{
    struct http1 *p = http1_new(HTTP1_REQUESTS, MAX_HEAD);
    struct str text = STR("PUT / HTTP/1.0\r\nContent-Length: 3\r\n\r\nabcGET /"), in = text;
    CHECK_INT(http1_next(p, &in), HTTP1_HEAD);
    CHECK_STR(in, "abcGET /");
    CHECK_INT(http1_next(p, &in), HTTP1_BODY);
    CHECK(http1_body(p).ptr == text.ptr + text.len - 8);
    CHECK_INT(http1_next(p, &in), HTTP1_END);
    CHECK_STR(in, "GET /");
    CHECK_INT(http1_next(p, &in), HTTP1_END);
    CHECK_INT(http1_eof(p), HTTP1_END);
    CHECK_STR(http1_head(p)->method, "PUT");
    http1_free(p);
}

TEST(end_of_input_is_judged_by_where_it_comes)
{
    struct http1 *p = http1_new(HTTP1_REQUESTS, MAX_HEAD);
    struct str in = STR("\r\n\r");
    CHECK_INT(http1_next(p, &in), HTTP1_MORE);
    CHECK(http1_started(p)); /* half an empty line must not be forgotten */
    CHECK_INT(http1_eof(p), HTTP1_MORE);
    in = STR("\nP");
    CHECK_INT(http1_next(p, &in), HTTP1_MORE);
    CHECK(http1_started(p));
    CHECK_INT(http1_eof(p), HTTP1_BAD);
    CHECK(!http1_bad_in_body(p));
    http1_begin(p);
    in = STR("PUT / HTTP/1.0\r\nContent-Length: 3\r\n\r\nab");
    CHECK_INT(http1_next(p, &in), HTTP1_HEAD);
    CHECK_INT(http1_next(p, &in), HTTP1_BODY);
    CHECK_INT(http1_next(p, &in), HTTP1_MORE);
    CHECK_INT(http1_eof(p), HTTP1_BAD);
    CHECK(http1_bad_in_body(p));
    CHECK_STR(str_c(http1_bad(p)), "message cut off");
    http1_free(p);
}

TEST(parser_is_used_again_for_the_next_message_whatever_was_added_to_the_head)
{
    struct http1 *p = http1_new(HTTP1_REQUESTS, 8192);
    struct buf b = BUF_INIT(10000);
    for (size_t i = 0; i < 5000; i += 700) {
        struct str in = filled(&b, "GET / HTTP/1.0\r\nA: ", 'x', i, "\r\n\r\n");
        CHECK_INT(http1_next(p, &in), HTTP1_HEAD);
        CHECK_INT(headers_get(&http1_head(p)->headers, STR("a")).len, i);
        headers_set(&http1_head(p)->headers, STR("A"), STR("b"));
        CHECK_INT(http1_next(p, &in), HTTP1_END);
        http1_begin(p);
    }
    CHECK_INT(http1_head(p)->headers.n, 0);
    http1_free(p);
    http1_free(NULL);
    buf_clear(&b);
}

TEST(final_answer_to_head_has_no_body_after_an_interim_one_either)
{
    struct http1 *p = http1_new(HTTP1_RESPONSES, MAX_HEAD);
    struct str in = STR(
        "HTTP/1.1 103 \r\n\r\nHTTP/1.1 200 \r\nContent-Length: 1\r\n\r\nHTTP/1.1 200 \r\nContent-Length: 1\r\n\r\n");
    static const enum http1_framing framings[] = {HTTP1_NO_BODY, HTTP1_NO_BODY, HTTP1_LENGTH};
    http1_answer_to_head(p);
    for (size_t i = 0; i < countof(framings); i++) {
        CHECK_INT(http1_next(p, &in), HTTP1_HEAD);
        CHECK_INT(http1_head(p)->framing, framings[i]);
        CHECK_INT(http1_next(p, &in), framings[i] == HTTP1_NO_BODY ? HTTP1_END : HTTP1_MORE);
        http1_begin(p);
    }
    http1_free(p);
}

TEST(heads_and_chunks_are_written)
{
    struct buf b = BUF_INIT(1000);
    char out[18];
    http1_put_request(&b, STR("GET"), STR("/a"));
    http1_put_header(&b, STR("A"), STR("b"));
    http1_put_status(&b, 0, 200, STR("OK"));
    http1_put_status(&b, 1, 204, STR(""));
    CHECK_STR(buf_str(&b), "GET /a HTTP/1.1\r\nA: b\r\nHTTP/1.0 200 OK\r\nHTTP/1.1 204 \r\n");
    CHECK_STR(str_of(out, http1_chunk_head(out, 0)), "0\r\n");
    CHECK_STR(str_of(out, http1_chunk_head(out, 15)), "f\r\n");
    CHECK_STR(str_of(out, http1_chunk_head(out, 16)), "10\r\n");
    CHECK_STR(str_of(out, http1_chunk_head(out, UINT64_MAX)), "ffffffffffffffff\r\n");
    buf_clear(&b);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_requests_are_read),
        cmocka_unit_test(connection_and_expect_are_understood),
        cmocka_unit_test(bad_requests_are_refused_with_their_reason),
        cmocka_unit_test(unclear_framing_is_refused),
        cmocka_unit_test(bad_chunks_and_trailers_are_refused),
        cmocka_unit_test(responses_are_read),
        cmocka_unit_test(bad_responses_are_refused),
        cmocka_unit_test(sizes_are_bounded),
        cmocka_unit_test(headers_and_trailers_are_counted),
        cmocka_unit_test(any_number_of_empty_lines_may_stand_before_a_request),
        cmocka_unit_test(reader_agrees_with_the_reference_on_mutations),
        cmocka_unit_test(heads_at_every_limit_agree_with_the_reference),
        cmocka_unit_test(garbage_is_refused_at_its_first_byte),
        cmocka_unit_test(body_is_a_view_and_the_rest_stays_with_the_caller),
        cmocka_unit_test(end_of_input_is_judged_by_where_it_comes),
        cmocka_unit_test(parser_is_used_again_for_the_next_message_whatever_was_added_to_the_head),
        cmocka_unit_test(final_answer_to_head_has_no_body_after_an_interim_one_either),
        cmocka_unit_test(heads_and_chunks_are_written),
    };
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    buf_clear(&got);
    buf_clear(&want);
    return rc;
}
