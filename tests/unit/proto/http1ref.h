/* http1ref.h - RFC 9112 read once more, as plainly as possible, to hold proto/http1 against.
 *
 * One string in, one line of text out that tells all events, in the form that test_http1.c writes too:
 *
 *   <method target minor [name=value]... framing flags>body.      a message and its end
 *   !reason status head|body                                      refused
 *   ~                                                             input ends within a message (or before one) */
#ifndef TESTS_HTTP1REF_H
#define TESTS_HTTP1REF_H

#include "base/buf.h"

#include <stdlib.h>

enum { REF_CHUNK_LINE = 256, REF_HEADERS = 64 };

struct ref {
    const char *p, *end;
    const char *mark; /* where the limit counts from */
    size_t limit;
    const char *too_long; /* what is said when it is passed */
    int too_long_status;
    bool response, to_head, body;
    const char *bad;
    int status;
    struct str names[REF_HEADERS], values[REF_HEADERS];
    unsigned n;
    struct buf *out;
};

static inline bool
ref_token(int c)
{
    return c > 0 && c < 0x80 &&
           strchr("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", c);
}

static inline bool
ref_text(int c)
{
    return c == '\t' || (c >= ' ' && c != 0x7f);
}

static inline bool
ref_visible(int c)
{
    return c > ' ' && c != 0x7f;
}

static inline bool
ref_fail(struct ref *r, const char *why, int status)
{
    r->bad = why;
    r->status = status;
    return false;
}

/* The next byte, or -1: none, or one too many. */
static inline int
ref_peek(struct ref *r)
{
    if (r->p == r->end)
        return -1;
    if ((size_t)(r->p - r->mark) == r->limit) {
        ref_fail(r, r->too_long, r->too_long_status);
        return -1;
    }
    return (unsigned char)*r->p;
}

static inline bool
ref_take(struct ref *r, int want, const char *why, int status)
{
    int c = ref_peek(r);
    if (c < 0)
        return false;
    if (c == want) {
        r->p++;
        return true;
    }
    return c == '\n' ? ref_fail(r, "invalid new line", 400) : ref_fail(r, why, status);
}

static inline bool
ref_line_end(struct ref *r, const char *why)
{
    return ref_take(r, '\r', why, 400) && ref_take(r, '\n', "invalid new line", 400);
}

static inline struct str
ref_run(struct ref *r, bool (*is)(int))
{
    const char *from = r->p;
    for (int c = ref_peek(r); c >= 0 && is(c); c = ref_peek(r))
        r->p++;
    return str_of(from, (size_t)(r->p - from));
}

static inline bool
ref_version(struct ref *r, int *minor)
{
    for (const char *want = "HTTP/1."; *want != '\0'; want++)
        if (!ref_take(r, *want, "invalid HTTP version", 505))
            return false;
    *minor = ref_peek(r);
    if (*minor != '1' && !ref_take(r, '0', "invalid HTTP version", 505))
        return false;
    r->p += *minor == '1';
    *minor -= '0';
    return true;
}

static inline bool
ref_request_line(struct ref *r, int *minor)
{
    struct str method = ref_run(r, ref_token), target;
    if (!ref_take(r, method.len > 0 ? ' ' : -2, "invalid token", 400))
        return false;
    target = ref_run(r, ref_visible);
    if (!ref_take(r, target.len > 0 ? ' ' : -2, "invalid token", 400))
        return false;
    buf_addf(r->out, "<%.*s %.*s", STR_ARG(method), STR_ARG(target));
    return ref_version(r, minor) && ref_line_end(r, "invalid new line");
}

static inline bool
ref_status_line(struct ref *r, int *minor, int *status)
{
    struct str reason = {NULL, 0};
    if (!ref_version(r, minor) || !ref_take(r, ' ', "invalid HTTP version", 400))
        return false;
    *status = 0;
    for (int i = 0; i < 3; i++) {
        int c = ref_peek(r);
        bool good = c >= '0' + (i == 0) && c <= '9';
        if (!ref_take(r, good ? c : -2, "invalid status", 400))
            return false;
        *status = *status * 10 + c - '0';
    }
    if (ref_peek(r) == ' ') {
        r->p++;
        reason = ref_run(r, ref_text);
    }
    buf_addf(r->out, "<%d %.*s", *status, STR_ARG(reason));
    return ref_line_end(r, "invalid status");
}

static inline bool
ref_fields(struct ref *r)
{
    for (r->n = 0; ref_peek(r) != '\r'; r->n++) {
        int c = ref_peek(r);
        if (c < 0)
            return false;
        if (!ref_token(c))
            return ref_take(r, -2, "invalid header name", 400);
        if (r->n == REF_HEADERS)
            return ref_fail(r, "too many headers", 431);
        r->names[r->n] = ref_run(r, ref_token);
        if (!ref_take(r, ':', "invalid header name", 400))
            return false;
        r->values[r->n] = str_trim(ref_run(r, ref_text));
        if (!ref_line_end(r, "invalid header value"))
            return false;
    }
    return ref_line_end(r, "");
}

static inline int
ref_find(const struct ref *r, const char *name, struct str *value)
{
    int found = 0;
    for (unsigned i = r->n; i-- > 0;)
        if (str_ieq(r->names[i], str_c(name))) {
            *value = r->values[i];
            found++;
        }
    return found;
}

static inline bool
ref_says(const struct ref *r, const char *option)
{
    for (unsigned i = 0; i < r->n; i++) {
        struct str rest = r->values[i], part;
        while (str_ieq(r->names[i], STR("connection")) && str_split(&rest, ',', &part))
            if (str_ieq(str_trim(part), str_c(option)))
                return true;
    }
    return false;
}

static inline bool
ref_chunks(struct ref *r, size_t max_head)
{
    for (;;) {
        uint64_t size = 0;
        bool some = false;
        r->mark = r->p;
        r->limit = REF_CHUNK_LINE;
        r->too_long = "invalid chunk size";
        r->too_long_status = 400;
        for (int c = ref_peek(r); c >= 0 && str_hexdigit((char)c) >= 0; c = ref_peek(r), some = true) {
            if (size * 16 > UINT32_MAX)
                return ref_fail(r, "chunk too large", 400);
            size = size * 16 + (unsigned)str_hexdigit((char)c);
            r->p++;
        }
        if (some && ref_peek(r) == ';')
            ref_run(r, ref_text);
        if (!ref_take(r, some ? '\r' : -2, "invalid chunk size", 400) || !ref_take(r, '\n', "invalid new line", 400))
            return false;
        r->mark = r->p;
        r->limit = SIZE_MAX;
        if (size == 0)
            break;
        if ((uint64_t)(r->end - r->p) < size) {
            buf_add(r->out, r->p, (size_t)(r->end - r->p));
            r->p = r->end;
            return false;
        }
        buf_add(r->out, r->p, size);
        r->p += size;
        if (!ref_take(r, '\r', "invalid chunk suffix", 400) || !ref_take(r, '\n', "invalid chunk suffix", 400))
            return false;
    }
    r->limit = max_head;
    r->too_long = "header too large";
    r->too_long_status = 431;
    return ref_fields(r);
}

/* What the head means; then the body. */
static inline bool
ref_rest(struct ref *r, int minor, int status, size_t max_head)
{
    struct str host, coding = {NULL, 0}, length = {NULL, 0}, expect = {NULL, 0}, upgrade;
    uint64_t n = 0, there;
    int64_t below = 0;
    int hosts = ref_find(r, "host", &host), codings = ref_find(r, "transfer-encoding", &coding);
    int lengths = ref_find(r, "content-length", &length);
    bool none = r->response && (r->to_head || status < 200 || status == 204 || status == 304);
    bool chunked = codings > 0 && !none, close = ref_says(r, "close");
    bool until_close = r->response && codings + lengths == 0 && !none;
    if (!r->response && hosts > 1)
        return ref_fail(r, "more than one Host header", 400);
    if (!r->response && hosts == 0 && minor == 1)
        return ref_fail(r, "missing Host header", 400);
    if (codings > 1)
        return ref_fail(r, "more than one Transfer-Encoding header", 400);
    if (lengths > 1)
        return ref_fail(r, "more than one Content-Length header", 400);
    if (codings > 0 && (minor == 0 || !str_ieq(coding, STR("chunked"))))
        return ref_fail(r, "unsupported transfer encoding", 400);
    if (lengths > 0 && (str_u64(length, &n) != 0 || n > INT64_MAX))
        return ref_fail(
            r, str_i64(length, &below) == 0 && below < 0 ? "negative content length" : "invalid content length", 400);
    if (lengths > 0 && codings > 0)
        return ref_fail(r, "both Content-Length and Transfer-Encoding", 400);
    ref_find(r, "expect", &expect);
    buf_addf(r->out, " %d", minor);
    for (unsigned i = 0; i < r->n; i++)
        buf_addf(r->out, " [%.*s=%.*s]", STR_ARG(r->names[i]), STR_ARG(r->values[i]));
    if (lengths > 0 && !none)
        buf_addf(r->out, " %llu", (unsigned long long)n);
    buf_adds(r->out, chunked ? STR(" chunked ") : until_close ? STR(" until-close ") : STR(" "));
    if (!close && !until_close && (minor == 1 || ref_says(r, "keep-alive")))
        buf_addc(r->out, 'k');
    if (close)
        buf_addc(r->out, 'c');
    if (ref_says(r, "upgrade") && ref_find(r, "upgrade", &upgrade) > 0)
        buf_addc(r->out, 'u');
    if (!r->response && minor == 1 && (chunked || n > 0) && str_ieq(expect, STR("100-CONTINUE")))
        buf_addc(r->out, 'e');
    buf_addc(r->out, '>');
    r->body = true;
    if (chunked)
        return ref_chunks(r, max_head);
    there = (uint64_t)(r->end - r->p);
    if (none)
        n = 0;
    else if (until_close)
        n = there;
    buf_add(r->out, r->p, n < there ? n : there);
    r->p += n < there ? n : there;
    return n <= there;
}

/* One message. */
static inline bool
ref_message(struct ref *r, size_t max_head)
{
    int minor = 0, status = 0;
    size_t before;
    r->body = false;
    r->limit = SIZE_MAX;
    for (r->mark = r->p; !r->response && ref_peek(r) == '\r';) {
        r->p++;
        if (!ref_take(r, '\n', "invalid new line", 400))
            return false;
    }
    if (r->p == r->end)
        return false;
    r->mark = r->p;
    r->limit = max_head;
    r->too_long = r->response ? "header too large" : "request line too long";
    r->too_long_status = r->response ? 431 : 414;
    before = r->out->len;
    if (!(r->response ? ref_status_line(r, &minor, &status) : ref_request_line(r, &minor)))
        goto cut;
    r->too_long = "header too large";
    r->too_long_status = 431;
    if (!ref_fields(r))
        goto cut;
    if (ref_rest(r, minor, status, max_head))
        return true;
    if (r->body)
        return false;
cut:
    r->out->len = before;
    return false;
}

static inline void
ref_parse(struct str in, bool response, bool to_head, size_t max_head, struct buf *out)
{
    struct ref r = {.p = in.ptr, .end = in.ptr + in.len, .response = response, .to_head = to_head, .out = out};
    while (r.p < r.end && ref_message(&r, max_head))
        buf_addc(out, '.');
    if (r.bad != NULL)
        buf_addf(out, "!%s %d %s", r.bad, r.status, r.body ? "body" : "head");
    else
        buf_addc(out, '~');
}

#endif
