/* http1.h - HTTP/1.0 and 1.1 (RFC 9112): bytes to heads and bodies, for both roles; heads and chunks to bytes.
 *
 * No socket, no clock, no global. A parser is fed with what came and hands out one event at a time:
 *
 *   http1_next(p, &in)  ->  HTTP1_HEAD   p->head is filled; valid until the next http1_begin() or http1_free()
 *                           HTTP1_BODY   p->body is a piece of the body, a view into IN
 *                           HTTP1_END    the message is complete; IN holds what follows it
 *                           HTTP1_MORE   all of IN is consumed and not enough
 *                           HTTP1_BAD    p->bad and p->bad_status say why; the parser takes nothing more
 *
 * Between two calls the caller may stop reading for as long as it likes. The verdict never depends on how the bytes
 * were cut. llhttp (strict, no lenient flag) does the work; what it lets through and RFC 9112 or the
 * specification (proxying 2, 8.3, 12) forbids is refused here. */
#ifndef PROTO_HTTP1_H
#define PROTO_HTTP1_H

#include "proto/header.h"

enum http1_event { HTTP1_MORE, HTTP1_HEAD, HTTP1_BODY, HTTP1_END, HTTP1_BAD };

enum { HTTP1_MAX_HEADERS = 64 };

enum http1_framing {
    HTTP1_NO_BODY, /* nothing follows the head */
    HTTP1_LENGTH,  /* head.length bytes, may be 0 */
    HTTP1_CHUNKED,
    HTTP1_UNTIL_CLOSE /* responses only */
};

struct http1_head {
    int minor;              /* 0 or 1: HTTP/1.minor */
    struct str method;      /* request: any token */
    struct str target;      /* request: as it came */
    int status;             /* response: 100..999 */
    struct str reason;      /* response: may be empty */
    struct headers headers; /* all, in order, values trimmed; framing headers included */
    enum http1_framing framing;
    uint64_t length;      /* with HTTP1_LENGTH */
    bool keep_alive;      /* may the connection be used after this message? version and Connection say so */
    bool close;           /* Connection: close was said */
    bool upgrade;         /* Connection names upgrade and there is an Upgrade header */
    bool expect_continue; /* request: Expect: 100-continue, HTTP/1.1 */
};

struct http1; /* opaque; about 350 bytes and the head's own */

enum http1_role { HTTP1_REQUESTS, HTTP1_RESPONSES };

/* MAX_HEAD: bytes of a head, its final empty line included. */
struct http1 *http1_new(enum http1_role role, size_t max_head);
void http1_free(struct http1 *p);

/* Requests: take HTTP/1.1 without Host too. */
void http1_allow_no_host(struct http1 *p);

/* Get ready for the next message on the connection (a new parser is). */
void http1_begin(struct http1 *p);
/* Responses: the request was HEAD, so nothing follows the head whatever it says. Before the head is there;
 * http1_begin() forgets it, but not after a 1xx head. */
void http1_answer_to_head(struct http1 *p);
/* Responses: 1xx heads are events too, each followed by HTTP1_END; call http1_begin() and go on. */

enum http1_event http1_next(struct http1 *p, struct str *in);
/* The peer has closed: HTTP1_END when that ends the message (until close), HTTP1_MORE when nothing of a message
 * had come, else HTTP1_BAD: it was cut off. */
enum http1_event http1_eof(struct http1 *p);

struct http1_head *http1_head(struct http1 *p);
/* Of the last HTTP1_BODY. */
struct str http1_body(const struct http1 *p);
/* Of HTTP1_BAD: a phrase such as "invalid header name" or "too many headers" (spec: proxying 2.2), and the status to
 * answer a request with: 400, 414, 431, 505. BAD_IN_BODY: the head was good. */
const char *http1_bad(const struct http1 *p);
int http1_bad_status(const struct http1 *p);
bool http1_bad_in_body(const struct http1 *p);
/* Has any byte of the next message arrived? (A whole empty line before a request line is none.) */
bool http1_started(const struct http1 *p);

/* Write a start line. The caller has checked method, target and reason. */
void http1_put_request(struct buf *b, struct str method, struct str target);
void http1_put_status(struct buf *b, int minor, int status, struct str reason);
void http1_put_header(struct buf *b, struct str name, struct str value);
/* "5\r\n"; the data and "\r\n" follow. Returns the bytes written to OUT. */
size_t http1_chunk_head(char out[18], uint64_t len);

#endif
