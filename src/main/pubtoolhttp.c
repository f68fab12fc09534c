#include "main/pubtool.h"

#include "base/mem.h"
#include "proto/digest.h"
#include "proto/http1.h"
#include "proto/uri.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <time.h>

enum {
    WAIT_MS = 30000,
    MAX_HEAD = 65536,      /* bytes of the answer's head */
    TOKEN_LIFE = 600,      /* seconds */
    MAX_CREDENTIAL = 65536 /* bytes of an Authorization value */
};

/* Where a base URL leads to. */
struct target {
    struct uri uri;
    bool tls;
    uint16_t port;
    char *host; /* owned */
    char *peer; /* owned "HOST:PORT" */
};

bool
pubtool_is_http(const char *spec)
{
    return str_istarts(str_c(spec), STR("http:")) || str_istarts(str_c(spec), STR("https:"));
}

static int
target_init(struct target *t, const char *spec, struct err *e)
{
    struct buf peer = BUF_INIT(1024);
    *t = (struct target){.tls = false};
    if (uri_split(str_c(spec), &t->uri) != 0 || t->uri.host.len == 0 || t->uri.host.len > 255) {
        err_set(e, "invalid URL");
        return -1;
    }
    t->tls = str_ieq(t->uri.scheme, STR("https"));
    t->port = t->uri.port != 0 ? t->uri.port : uri_default_port(t->uri.scheme);
    t->host = str_dup(t->uri.host);
    buf_addf(&peer, strchr(t->host, ':') != NULL ? "[%s]:%u" : "%s:%u", t->host, t->port);
    t->peer = buf_steal(&peer);
    return 0;
}

static void
target_clear(struct target *t)
{
    mem_free(t->host);
    mem_free(t->peer);
}

/* The value of query parameter NAME, decoded. false: there is none. */
static bool
query_value(struct str query, struct str name, struct buf *out)
{
    struct str key, value;
    while (uri_query_next(&query, &key, &value))
        if (str_eq(key, name)) {
            uri_decode(value, true, out);
            return true;
        }
    return false;
}

/* A JSON web token (RFC 7519) by which ISS shows that it knows KEY. */
static void
put_jwt(struct buf *out, struct str iss, struct str key)
{
    json_t *claims = json_pack("{s:s%,s:I}", "iss", iss.ptr, iss.len, "exp", (json_int_t)time(NULL) + TOKEN_LIFE);
    char *text = claims != NULL ? json_dumps(claims, JSON_COMPACT) : NULL;
    unsigned char mac[32];
    size_t start = out->len;
    base64url_put(out, STR("{\"typ\":\"JWT\",\"alg\":\"HS256\"}"));
    buf_addc(out, '.');
    base64url_put(out, str_c(text != NULL ? text : "{}"));
    hmac_sha256(key, str_from(buf_str(out), start), mac);
    buf_addc(out, '.');
    base64url_put(out, str_of((const char *)mac, sizeof mac));
    free(text);
    json_decref(claims);
}

/* GRIP clients write credentials into the URL: "?key=TOKEN", or "?iss=NAME&key=base64:SECRET" for a signed token. */
static void
put_url_auth(struct buf *out, struct str query)
{
    struct buf key = BUF_INIT(query.len), iss = BUF_INIT(query.len), secret = BUF_INIT(query.len + 3);
    if (query_value(query, STR("key"), &key) && key.len > 0) {
        struct str k = buf_str(&key);
        buf_addf(out, "Bearer ");
        if (str_starts(k, STR("base64:"))) {
            base64_decode(&secret, str_from(k, 7));
            k = buf_str(&secret);
        }
        if (query_value(query, STR("iss"), &iss) && iss.len > 0)
            put_jwt(out, buf_str(&iss), k);
        else
            buf_adds(out, k);
    }
    buf_clear(&key);
    buf_clear(&iss);
    buf_clear(&secret);
}

/* Does what is sent stay within this machine? */
static bool
is_local(const struct target *t)
{
    struct str host = str_c(t->host);
    unsigned char v4[4];
    return str_ieq(host, STR("localhost")) || str_eq(host, STR("::1")) ||
           (inet_pton(AF_INET, t->host, v4) == 1 && v4[0] == 127);
}

/* Write the value of the Authorization header, nothing for none. What was asked for by option must be possible; what
 * stands in the URL is left out where the network could read it. */
static int
put_auth(struct buf *out, const struct pubtool *p, const struct target *t, struct err *e)
{
    int full = 0;
    if ((p->user != NULL || p->bearer != NULL) && !t->tls) {
        err_set(e, "Authentication requires https");
        return -1;
    }
    if (p->token != NULL && !t->tls && !is_local(t)) {
        err_set(e, "a token goes to another machine by https only");
        return -1;
    }
    if (p->user != NULL)
        full = buf_addf(out, "Basic ") | base64_put(out, str_c(p->user));
    else if (p->bearer != NULL)
        full = buf_addf(out, "Bearer %s", p->bearer);
    else if (p->token != NULL)
        full = buf_addf(out, "Bearer %s", p->token);
    else if (t->tls && t->uri.query.len < MAX_CREDENTIAL / 4)
        put_url_auth(out, t->uri.query);
    if (full == 0 && out->len == 0 && p->env_token != NULL && (t->tls || is_local(t)))
        full = buf_addf(out, "Bearer %s", p->env_token);
    if (full != 0 || !header_value_ok(buf_str(out))) {
        err_set(e, "the credentials cannot be sent in a header");
        return -1;
    }
    return 0;
}

/* HTTP/1.0, so that the answer needs no chunks and ends the connection. */
static int
put_request(struct buf *out, const struct pubtool *p, const struct target *t, size_t length, struct err *e)
{
    struct buf auth = BUF_INIT(MAX_CREDENTIAL);
    struct str path = t->uri.path;
    int rc = -1;
    while (str_ends(path, STR("/")))
        path.len--;
    if (put_auth(&auth, p, t, e) != 0)
        goto out;
    rc = buf_addf(out, "POST %.*s/publish/ HTTP/1.0\r\n", STR_ARG(path)) |
         buf_addf(out, "Host: %.*s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n",
                  STR_ARG(t->uri.authority), length);
    if (auth.len > 0)
        rc |= buf_addf(out, "Authorization: %.*s\r\n", STR_ARG(buf_str(&auth)));
    rc |= buf_addf(out, "\r\n");
    if (rc != 0)
        err_set(e, "the URL is too long");
out:
    buf_clear(&auth);
    return rc;
}

static char *
item_body(const json_t *item)
{
    json_t *doc = json_pack("{s:[O]}", "items", item);
    char *text = json_dumps(doc, JSON_COMPACT);
    json_decref(doc);
    return text;
}

/* The next event of the answer, reading as needed. HTTP1_BAD: E is set. */
static enum http1_event
next_event(struct pubconn *c, struct http1 *parser, struct str *in, char *chunk, size_t size, struct err *e)
{
    for (;;) {
        enum http1_event event = http1_next(parser, in);
        ssize_t n;
        if (event == HTTP1_BAD)
            err_set(e, "bad answer from %s: %s", c->peer, http1_bad(parser));
        if (event != HTTP1_MORE)
            return event;
        n = pubconn_read(c, chunk, size, e);
        if (n < 0)
            return HTTP1_BAD;
        if (n == 0)
            break;
        *in = str_of(chunk, (size_t)n);
    }
    if (http1_eof(parser) == HTTP1_END)
        return HTTP1_END;
    err_set(e, "%s closed the connection without a whole answer", c->peer);
    return HTTP1_BAD;
}

/* Read the answer; its body goes to TEXT, as much as fits. Returns the status, or -1 with E set. */
static int
read_answer(struct pubconn *c, struct http1 *parser, struct refusal *why)
{
    char chunk[16384];
    struct str in = {chunk, 0};
    int status = -1;
    for (;;) {
        enum http1_event event = next_event(c, parser, &in, chunk, sizeof chunk, &why->e);
        struct http1_head *head = http1_head(parser);
        if (event == HTTP1_HEAD && head->status >= 200) {
            status = head->status;
            err_set(&why->e, "HTTP/1.%d %d %.*s", head->minor, head->status, STR_ARG(head->reason));
        } else if (event == HTTP1_BODY) {
            struct str piece = str_sub(http1_body(parser), 0, why->text.max - why->text.len);
            buf_adds(&why->text, piece);
        } else if (event == HTTP1_END && status < 0) {
            http1_begin(parser); /* that was a 1xx */
        } else if (event != HTTP1_HEAD) {
            return status; /* when the body was cut off, the server has decided nevertheless */
        }
    }
}

static int
exchange(struct pubconn *c, struct str head, struct str body, struct refusal *why)
{
    struct http1 *parser = http1_new(HTTP1_RESPONSES, MAX_HEAD);
    struct err unsent = {""};
    int status;
    /* A server that refuses a request early stops reading it: its answer says more than our broken pipe. */
    bool sent = pubconn_write(c, head, &unsent) == 0 && pubconn_write(c, body, &unsent) == 0;
    status = read_answer(c, parser, why);
    if (status < 0 && !sent)
        why->e = unsent;
    http1_free(parser);
    return status == 200 ? 0 : -1;
}

int
pubtool_http(const struct pubtool *p, const json_t *item, struct refusal *why)
{
    struct pubconn c = {.fd = -1, .deadline = pubtool_now() + (p->timeout > 0 ? p->timeout : WAIT_MS)};
    struct buf head = BUF_INIT(2 * MAX_CREDENTIAL);
    struct target t;
    char *body = NULL;
    int rc = -1;
    if (target_init(&t, p->spec, &why->e) != 0)
        return -1;
    body = item_body(item);
    if (body == NULL) {
        err_set(&why->e, "the item cannot be written as JSON");
        goto out;
    }
    if (put_request(&head, p, &t, strlen(body), &why->e) != 0)
        goto out;
    c.peer = t.peer;
    if (pubconn_open(&c, t.host, t.port, t.tls, &why->e) == 0)
        rc = exchange(&c, buf_str(&head), str_c(body), why);
    pubconn_close(&c);
out:
    buf_clear(&head);
    target_clear(&t);
    free(body);
    return rc;
}
