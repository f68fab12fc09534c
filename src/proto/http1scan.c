#include "proto/http1scan.h"

#include "proto/octet.h"
#include "proto/http1.h"

/* A chunk line has a size of at most eight digits that count; extensions nobody reads get the rest. */
enum { CHUNK_LINE_MAX = 256 };

static const char new_line[] = "invalid new line";
static const char version[] = "invalid HTTP version";
static const char chunk_size[] = "invalid chunk size";
static const char chunk_suffix[] = "invalid chunk suffix";

static void
begin(struct http1_scan *s, enum http1_scan_state state, size_t max)
{
    *s = (struct http1_scan){.state = state, .left = max};
}

void
http1_scan_request(struct http1_scan *s, size_t max)
{
    begin(s, SCAN_METHOD, max);
}

void
http1_scan_response(struct http1_scan *s, size_t max)
{
    begin(s, SCAN_VERSION, max);
    s->response = true;
}

void
http1_scan_trailers(struct http1_scan *s, size_t max)
{
    begin(s, SCAN_FIELD, max);
}

void
http1_scan_chunk(struct http1_scan *s)
{
    begin(s, SCAN_SIZE, CHUNK_LINE_MAX);
}

void
http1_scan_suffix(struct http1_scan *s)
{
    begin(s, SCAN_SUFFIX, 2);
}

static void
refuse(struct http1_scan *s, const char *why, int status)
{
    s->state = SCAN_BAD;
    s->bad = why;
    s->status = status;
}

static void
go(struct http1_scan *s, enum http1_scan_state state)
{
    s->state = state;
    s->n = 0;
}

/* C ends what was read and is not what should end it: a line feed is a line end without its CR, whatever was due. */
static void
refuse_at(struct http1_scan *s, char c, const char *why, int status)
{
    if (c == '\n')
        refuse(s, new_line, 400);
    else
        refuse(s, why, status);
}

/* The second half of a line end. */
static void
line_feed(struct http1_scan *s, char c, enum http1_scan_state next, const char *why)
{
    if (c == '\n')
        go(s, next);
    else
        refuse(s, why, 400);
}

/* All functions below: go on at P, which is before END, and return how far the bytes were good. */

static const char *
scan_word(struct http1_scan *s, const char *p, const char *end)
{
    const char *from = p;
    bool method = s->state == SCAN_METHOD;
    while (p < end && (method ? octet_is_token(*p) : octet_is_visible(*p)))
        p++;
    s->n |= p > from;
    if (p == end)
        return p;
    if (*p != ' ' || s->n == 0) {
        refuse_at(s, *p, "invalid token", 400);
        return p;
    }
    go(s, method ? SCAN_TARGET : SCAN_VERSION);
    return p + 1;
}

static const char *
scan_version(struct http1_scan *s, const char *p)
{
    static const char text[] = "HTTP/1.";
    if (s->n < sizeof text - 1 ? *p == text[s->n] : *p == '0' || *p == '1') {
        if (++s->n == sizeof text)
            go(s, SCAN_VERSION_END);
        return p + 1;
    }
    refuse_at(s, *p, version, 505);
    return p;
}

static const char *
scan_version_end(struct http1_scan *s, const char *p)
{
    if (*p == (s->response ? ' ' : '\r')) {
        go(s, s->response ? SCAN_STATUS : SCAN_LINE_LF);
        return p + 1;
    }
    refuse_at(s, *p, s->response ? version : new_line, 400);
    return p;
}

static const char *
scan_status(struct http1_scan *s, const char *p)
{
    if (s->n < 3 && octet_is_digit(*p) && (s->n > 0 || *p != '0'))
        s->n++;
    else if (s->n == 3 && *p == ' ')
        go(s, SCAN_REASON);
    else if (s->n == 3 && *p == '\r')
        go(s, SCAN_LINE_LF);
    else
        refuse_at(s, *p, "invalid status", 400);
    return s->state == SCAN_BAD ? p : p + 1;
}

/* Text up to a CR: a reason, a header value, chunk extensions. */
static const char *
scan_text(struct http1_scan *s, const char *p, const char *end, enum http1_scan_state next, const char *why)
{
    while (p < end && octet_is_text(*p))
        p++;
    if (p == end)
        return p;
    if (*p != '\r') {
        refuse_at(s, *p, why, 400);
        return p;
    }
    go(s, next);
    return p + 1;
}

static const char *
scan_field(struct http1_scan *s, const char *p)
{
    if (*p == '\r') {
        go(s, SCAN_LAST_LF);
        return p + 1;
    }
    if (!octet_is_token(*p)) {
        refuse_at(s, *p, "invalid header name", 400);
    } else if (s->fields == HTTP1_MAX_HEADERS) {
        refuse(s, "too many headers", 431);
    } else {
        s->fields++;
        go(s, SCAN_NAME);
    }
    return p;
}

static const char *
scan_name(struct http1_scan *s, const char *p, const char *end)
{
    while (p < end && octet_is_token(*p))
        p++;
    if (p == end)
        return p;
    if (*p != ':') {
        refuse_at(s, *p, "invalid header name", 400);
        return p;
    }
    go(s, SCAN_VALUE);
    return p + 1;
}

static const char *
scan_size(struct http1_scan *s, const char *p)
{
    int digit = str_hexdigit(*p);
    if (digit >= 0 && s->size >> 28 != 0) {
        refuse(s, "chunk too large", 400);
    } else if (digit >= 0) {
        s->size = s->size << 4 | (unsigned)digit;
        s->n = 1;
    } else if (s->n > 0 && (*p == ';' || *p == '\r')) {
        go(s, *p == ';' ? SCAN_EXTENSION : SCAN_SIZE_LF);
    } else {
        refuse_at(s, *p, chunk_size, 400);
    }
    return s->state == SCAN_BAD ? p : p + 1;
}

static const char *
scan_suffix(struct http1_scan *s, const char *p)
{
    if (*p == '\r')
        go(s, SCAN_SUFFIX_LF);
    else
        refuse_at(s, *p, chunk_suffix, 400);
    return s->state == SCAN_BAD ? p : p + 1;
}

static const char *
step(struct http1_scan *s, const char *p, const char *end)
{
    switch (s->state) {
    case SCAN_METHOD:
    case SCAN_TARGET:
        return scan_word(s, p, end);
    case SCAN_VERSION:
        return scan_version(s, p);
    case SCAN_VERSION_END:
        return scan_version_end(s, p);
    case SCAN_STATUS:
        return scan_status(s, p);
    case SCAN_REASON:
        return scan_text(s, p, end, SCAN_LINE_LF, "invalid status");
    case SCAN_FIELD:
        return scan_field(s, p);
    case SCAN_NAME:
        return scan_name(s, p, end);
    case SCAN_VALUE:
        return scan_text(s, p, end, SCAN_VALUE_LF, "invalid header value");
    case SCAN_SIZE:
        return scan_size(s, p);
    case SCAN_EXTENSION:
        return scan_text(s, p, end, SCAN_SIZE_LF, chunk_size);
    case SCAN_SUFFIX:
        return scan_suffix(s, p);
    case SCAN_LINE_LF:
    case SCAN_VALUE_LF:
        line_feed(s, *p, SCAN_FIELD, new_line);
        break;
    case SCAN_LAST_LF:
    case SCAN_SIZE_LF:
        line_feed(s, *p, SCAN_DONE, new_line);
        break;
    case SCAN_SUFFIX_LF:
        line_feed(s, *p, SCAN_DONE, chunk_suffix);
        break;
    case SCAN_DONE:
    case SCAN_BAD:
        break;
    }
    return s->state == SCAN_BAD ? p : p + 1;
}

static void
refuse_length(struct http1_scan *s)
{
    if (s->state == SCAN_SIZE || s->state == SCAN_EXTENSION || s->state == SCAN_SIZE_LF)
        refuse(s, chunk_size, 400);
    else if (s->state < SCAN_FIELD && !s->response)
        refuse(s, "request line too long", 414);
    else
        refuse(s, "header too large", 431);
}

size_t
http1_scan(struct http1_scan *s, struct str in)
{
    const char *p = in.ptr, *end;
    if (in.len == 0)
        return 0;
    end = p + (in.len < s->left ? in.len : s->left);
    while (p < end && s->state < SCAN_DONE)
        p = step(s, p, end);
    if (s->state < SCAN_DONE && in.len > s->left)
        refuse_length(s);
    s->left -= (size_t)(p - in.ptr);
    return (size_t)(p - in.ptr);
}
