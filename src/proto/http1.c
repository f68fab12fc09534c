#include "proto/http1.h"

#include "base/slab.h"
#include "proto/http1scan.h"

#include <llhttp.h>

/* Who does what. http1scan reads every byte of a head, a chunk line and the trailers first and refuses what the
 * grammar forbids, so that the verdict and its words do not depend on the version of llhttp. A head that passed is
 * split here, its framing decided, and given to llhttp behind a start line that llhttp knows. llhttp must come to the
 * same framing, or the message is refused: what two readers understand differently is what smuggling is made of.
 * From then on it leads through the body; of chunk lines it sees the size, of trailers nothing.
 *
 * No slice of a body that it is given holds more than one event, so it never needs to be paused. */

enum { KEPT_BYTES = 2048 }; /* memory of a head that is kept for the next one, at most */

enum phase {
    BEFORE, /* nothing of the message has come */
    IN_HEAD,
    IN_LENGTH,
    IN_CHUNK_SIZE,
    IN_CHUNK_DATA,
    IN_CHUNK_SUFFIX,
    IN_TRAILERS,
    UNTIL_CLOSE,
    ENDED,
    FAILED
};

struct http1 {
    llhttp_t llhttp;
    struct http1_scan scan;
    enum phase phase;
    bool response;       /* constant: the role */
    bool no_host;        /* constant: HTTP/1.1 without Host is taken too */
    bool answer_to_head; /* of this message */
    bool cr;             /* BEFORE: half of an empty line has come */
    bool complete;       /* llhttp has seen the end of the message */
    bool bad_in_body;
    struct buf bytes;       /* the head as it came, but for tabs around values */
    struct http1_head head; /* views into bytes */
    struct str body;        /* view into the caller's input */
    uint64_t left;          /* bytes of the body or the chunk; until close: more than will ever come */
    const char *bad;        /* constant text */
    int bad_status;
};

static int
on_headers_complete(llhttp_t *l)
{
    const struct http1 *p = l->data;
    bool chunked = (l->flags & F_CHUNKED) != 0;
    bool length = (l->flags & F_CONTENT_LENGTH) != 0;
    bool agreed = false;
    switch (p->head.framing) {
    case HTTP1_NO_BODY:
        agreed = p->response || (!chunked && !length);
        break;
    case HTTP1_LENGTH:
        agreed = !chunked && length && l->content_length == p->head.length;
        break;
    case HTTP1_CHUNKED:
        agreed = chunked && !length;
        break;
    case HTTP1_UNTIL_CLOSE:
        agreed = !chunked && !length && (l->flags & F_TRANSFER_ENCODING) == 0;
        break;
    }
    return !agreed ? -1 : p->head.framing == HTTP1_NO_BODY ? 1 : 0; /* 1: no body, whatever the head says */
}

static int
on_body(llhttp_t *l, const char *at, size_t len)
{
    struct http1 *p = l->data;
    p->body = str_of(at, len);
    return 0;
}

static int
on_message_complete(llhttp_t *l)
{
    struct http1 *p = l->data;
    p->complete = true;
    return 0;
}

static const llhttp_settings_t settings = {
    .on_headers_complete = on_headers_complete,
    .on_body = on_body,
    .on_message_complete = on_message_complete,
};

static void
refuse(struct http1 *p, const char *why, int status)
{
    p->bad_in_body = p->phase > IN_HEAD;
    p->phase = FAILED;
    p->bad = why;
    p->bad_status = status;
}

/* 0, or -1 when llhttp refuses it. An upgrade is none of its business, so that stop counts as success. */
static int
feed(struct http1 *p, struct str bytes)
{
    llhttp_errno_t e = llhttp_execute(&p->llhttp, bytes.ptr, bytes.len);
    return e == HPE_OK || (e == HPE_PAUSED_UPGRADE && p->complete) ? 0 : -1;
}

struct http1 *
http1_new(enum http1_role role, size_t max_head)
{
    struct http1 *p = slab_alloc(sizeof *p);
    p->response = role == HTTP1_RESPONSES;
    buf_init(&p->bytes, max_head);
    headers_init(&p->head.headers);
    http1_begin(p);
    return p;
}

void
http1_free(struct http1 *p)
{
    if (p == NULL)
        return;
    headers_clear(&p->head.headers);
    buf_clear(&p->bytes);
    slab_free(p, sizeof *p);
}

void
http1_begin(struct http1 *p)
{
    struct headers h = p->head.headers;
    bool interim = p->head.status >= 100 && p->head.status < 200; /* the final answer is still to come */
    if (h.blocks != NULL)
        headers_clear(&h); /* the caller has added some of its own */
    h.n = 0;
    p->head = (struct http1_head){.headers = h};
    if (p->bytes.cap > KEPT_BYTES)
        buf_clear(&p->bytes);
    p->bytes.len = 0;
    p->phase = BEFORE;
    p->answer_to_head = p->answer_to_head && interim;
    p->cr = p->complete = p->bad_in_body = false;
    p->body = str_of(NULL, 0);
    p->bad = NULL;
    p->bad_status = 0;
    llhttp_init(&p->llhttp, p->response ? HTTP_RESPONSE : HTTP_REQUEST, &settings);
    p->llhttp.data = p;
}

void
http1_allow_no_host(struct http1 *p)
{
    p->no_host = true;
}

void
http1_answer_to_head(struct http1 *p)
{
    p->answer_to_head = true;
}

/* Skip what is no message yet; at its first byte the head begins. Empty lines are not counted: who owns the parser may
 * forget it after each of them, and the verdict would depend on how they came. */
static void
skip_empty_lines(struct http1 *p, struct str *in)
{
    for (; in->len > 0 && !p->response && (p->cr || *in->ptr == '\r'); *in = str_from(*in, 1)) {
        if (p->cr && *in->ptr != '\n') {
            refuse(p, "invalid new line", 400);
            return;
        }
        p->cr = !p->cr;
    }
    if (in->len == 0)
        return;
    p->phase = IN_HEAD;
    if (p->response)
        http1_scan_response(&p->scan, p->bytes.max);
    else
        http1_scan_request(&p->scan, p->bytes.max);
}

/* Has the section that is being scanned ended? TAKEN: what of IN belongs to it. */
static bool
scan(struct http1 *p, struct str *in, struct str *taken)
{
    *taken = str_sub(*in, 0, http1_scan(&p->scan, *in));
    *in = str_from(*in, taken->len);
    if (p->scan.state == SCAN_BAD)
        refuse(p, p->scan.bad, p->scan.status);
    return p->scan.state == SCAN_DONE;
}

static struct str
cut_line(struct str *rest)
{
    ptrdiff_t lf = str_chr(*rest, '\n');
    struct str line = str_sub(*rest, 0, (size_t)lf - 1);
    *rest = str_from(*rest, (size_t)lf + 1);
    return line;
}

/* The value without the white space around it. Versions of llhttp differ in what a tab there means, so it sees none. */
static struct str
trim_value(char *p, char *end)
{
    for (; p < end && (*p == ' ' || *p == '\t'); p++)
        *p = ' ';
    for (; end > p && (end[-1] == ' ' || end[-1] == '\t'); end--)
        end[-1] = ' ';
    return str_of(p, (size_t)(end - p));
}

static void
split_start_line(struct http1 *p, struct str line)
{
    struct http1_head *h = &p->head;
    if (p->response) {
        h->minor = line.ptr[7] - '0';
        h->status = (line.ptr[9] - '0') * 100 + (line.ptr[10] - '0') * 10 + line.ptr[11] - '0';
        h->reason = str_from(line, 13); /* empty too where even the space is missing */
        return;
    }
    h->minor = line.ptr[line.len - 1] - '0';
    str_split(&line, ' ', &h->method);
    str_split(&line, ' ', &h->target);
}

/* The scanner has seen to it that every line is as it should be. Returns the header lines and the empty one. */
static struct str
split_head(struct http1 *p)
{
    struct str rest = buf_str(&p->bytes), fields;
    split_start_line(p, cut_line(&rest));
    fields = rest;
    while (*rest.ptr != '\r') {
        struct str line = cut_line(&rest), name = str_sub(line, 0, (size_t)str_chr(line, ':'));
        char *value = p->bytes.ptr + (name.ptr - p->bytes.ptr) + name.len + 1;
        headers_view(&p->head.headers, name, trim_value(value, value + (line.len - name.len - 1)));
    }
    return fields;
}

/* The value of the header NAME, which may stand there once; ptr NULL without one. */
static struct str
only(struct http1 *p, struct str name, const char *if_repeated)
{
    struct str value = headers_get(&p->head.headers, name);
    if (value.ptr != NULL && headers_count(&p->head.headers, name) > 1 && p->phase != FAILED)
        refuse(p, if_repeated, 400);
    return value;
}

static bool
is_negative(struct str number)
{
    int64_t n;
    return str_i64(number, &n) == 0 && n < 0;
}

/* What follows the head (RFC 9112, 6.3), and nothing that could be understood in two ways. */
static void
decide_framing(struct http1 *p)
{
    struct http1_head *h = &p->head;
    struct str coding = only(p, STR("Transfer-Encoding"), "more than one Transfer-Encoding header");
    struct str length = only(p, STR("Content-Length"), "more than one Content-Length header");
    if (p->phase == FAILED)
        return;
    if (coding.ptr != NULL && (h->minor == 0 || !str_ieq(coding, STR("chunked"))))
        refuse(p, "unsupported transfer encoding", 400);
    else if (length.ptr != NULL && (str_u64(length, &h->length) != 0 || h->length > INT64_MAX))
        refuse(p, is_negative(length) ? "negative content length" : "invalid content length", 400);
    else if (coding.ptr != NULL && length.ptr != NULL)
        refuse(p, "both Content-Length and Transfer-Encoding", 400);
    else if (p->response && (p->answer_to_head || h->status < 200 || h->status == 204 || h->status == 304))
        h->framing = HTTP1_NO_BODY;
    else if (coding.ptr != NULL)
        h->framing = HTTP1_CHUNKED;
    else if (length.ptr != NULL)
        h->framing = HTTP1_LENGTH;
    else
        h->framing = p->response ? HTTP1_UNTIL_CLOSE : HTTP1_NO_BODY;
}

static void
decide_connection(struct http1 *p)
{
    struct http1_head *h = &p->head;
    const struct headers *all = &h->headers;
    bool body = h->framing == HTTP1_CHUNKED || (h->framing == HTTP1_LENGTH && h->length > 0);
    h->close = headers_list_has(all, STR("Connection"), STR("close"));
    h->keep_alive = !h->close && h->framing != HTTP1_UNTIL_CLOSE &&
                    (h->minor > 0 || headers_list_has(all, STR("Connection"), STR("keep-alive")));
    h->upgrade = headers_has(all, STR("Upgrade")) && headers_list_has(all, STR("Connection"), STR("upgrade"));
    h->expect_continue =
        !p->response && h->minor > 0 && body && str_ieq(headers_get(all, STR("Expect")), STR("100-continue"));
}

static void
begin_body(struct http1 *p)
{
    enum phase next = ENDED;
    if (p->head.framing == HTTP1_LENGTH && p->head.length > 0)
        next = IN_LENGTH;
    else if (p->head.framing == HTTP1_CHUNKED)
        next = IN_CHUNK_SIZE;
    else if (p->head.framing == HTTP1_UNTIL_CLOSE)
        next = UNTIL_CLOSE;
    p->left = next == UNTIL_CLOSE ? UINT64_MAX : p->head.length;
    if (p->complete != (next == ENDED))
        refuse(p, "invalid header", 400);
    else
        p->phase = next;
    http1_scan_chunk(&p->scan);
}

static enum http1_event
read_head(struct http1 *p, struct str *in)
{
    struct str taken, fields;
    bool whole = scan(p, in, &taken);
    if (p->phase == FAILED)
        return HTTP1_BAD;
    buf_adds(&p->bytes, taken); /* there is room: the scanner knows the limit */
    if (!whole)
        return HTTP1_MORE;
    fields = split_head(p);
    if (!p->response && only(p, STR("Host"), "more than one Host header").ptr == NULL && p->head.minor > 0 &&
        !p->no_host)
        refuse(p, "missing Host header", 400);
    if (p->phase != FAILED)
        decide_framing(p);
    if (p->phase == FAILED)
        return HTTP1_BAD;
    decide_connection(p);
    if (feed(p, p->response ? STR("HTTP/1.1 200 OK\r\n") : STR("POST / HTTP/1.1\r\n")) != 0 || feed(p, fields) != 0)
        refuse(p, "invalid header", 400);
    else
        begin_body(p);
    return p->phase == FAILED ? HTTP1_BAD : HTTP1_HEAD;
}

/* At most LEFT bytes of the body; THEN: the phase behind them. */
static enum http1_event
read_data(struct http1 *p, struct str *in, enum phase then)
{
    struct str part = str_sub(*in, 0, in->len < p->left ? in->len : (size_t)p->left);
    *in = str_from(*in, part.len);
    p->body = str_of(NULL, 0);
    p->left -= part.len;
    if (feed(p, part) != 0 || p->body.len != part.len || (p->left == 0 && p->complete != (then == ENDED))) {
        refuse(p, "invalid body", 400);
        return HTTP1_BAD;
    }
    if (p->left == 0) {
        p->phase = then;
        http1_scan_suffix(&p->scan);
    }
    return HTTP1_BODY;
}

static void
read_chunk_size(struct http1 *p, struct str *in)
{
    struct str taken;
    char line[18];
    if (!scan(p, in, &taken))
        return;
    p->left = p->scan.size;
    if (feed(p, str_of(line, http1_chunk_head(line, p->left))) != 0) {
        refuse(p, "invalid chunk size", 400);
    } else if (p->left > 0) {
        p->phase = IN_CHUNK_DATA;
    } else {
        p->phase = IN_TRAILERS;
        http1_scan_trailers(&p->scan, p->bytes.max);
    }
}

/* The line end behind a chunk's data, or the trailers: for llhttp both are just that line end. */
static void
read_chunk_end(struct http1 *p, struct str *in)
{
    struct str taken;
    bool last = p->phase == IN_TRAILERS;
    if (!scan(p, in, &taken))
        return;
    if (feed(p, STR("\r\n")) != 0 || p->complete != last) {
        refuse(p, "invalid chunk suffix", 400);
        return;
    }
    p->phase = last ? ENDED : IN_CHUNK_SIZE;
    http1_scan_chunk(&p->scan);
}

enum http1_event
http1_next(struct http1 *p, struct str *in)
{
    enum http1_event e = HTTP1_MORE;
    while (e == HTTP1_MORE && p->phase < ENDED && in->len > 0) {
        switch (p->phase) {
        case BEFORE:
            skip_empty_lines(p, in);
            break;
        case IN_HEAD:
            e = read_head(p, in);
            break;
        case IN_LENGTH:
        case UNTIL_CLOSE:
            e = read_data(p, in, ENDED);
            break;
        case IN_CHUNK_SIZE:
            read_chunk_size(p, in);
            break;
        case IN_CHUNK_DATA:
            e = read_data(p, in, IN_CHUNK_SUFFIX);
            break;
        case IN_CHUNK_SUFFIX:
        case IN_TRAILERS:
            read_chunk_end(p, in);
            break;
        case ENDED:
        case FAILED:
            break;
        }
    }
    if (e != HTTP1_MORE)
        return e;
    return p->phase == ENDED ? HTTP1_END : p->phase == FAILED ? HTTP1_BAD : HTTP1_MORE;
}

enum http1_event
http1_eof(struct http1 *p)
{
    if (p->phase == BEFORE)
        return HTTP1_MORE;
    if (p->phase == UNTIL_CLOSE && llhttp_finish(&p->llhttp) == HPE_OK)
        p->phase = ENDED;
    if (p->phase < ENDED)
        refuse(p, "message cut off", 400);
    return p->phase == ENDED ? HTTP1_END : HTTP1_BAD;
}

struct http1_head *
http1_head(struct http1 *p)
{
    return &p->head;
}

struct str
http1_body(const struct http1 *p)
{
    return p->body;
}

const char *
http1_bad(const struct http1 *p)
{
    return p->bad;
}

int
http1_bad_status(const struct http1 *p)
{
    return p->bad_status;
}

bool
http1_bad_in_body(const struct http1 *p)
{
    return p->bad_in_body;
}

bool
http1_started(const struct http1 *p)
{
    return p->phase != BEFORE || p->cr;
}
