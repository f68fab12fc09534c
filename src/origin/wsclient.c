#include "origin/wsclient.h"

#include "origin/testws.h"
#include "proto/digest.h"

#include <sys/random.h>

struct wsclient {
    struct loop *loop;       /* borrowed */
    struct wsconns *conns;   /* borrowed */
    struct request *request; /* owned; NULL when over */
    const struct handshake_ops *ops;
    void *user;
    struct request_spec spec;
    struct request_body body; /* none */
    struct headers headers;
    struct buf key; /* as sent, in base64 */
    bool offer_deflate, over;
};

static void
wsclient_free(void *ptr)
{
    struct wsclient *c = ptr;
    headers_clear(&c->headers);
    buf_clear(&c->key);
    mem_free(c);
}

static void
finish(struct wsclient *c)
{
    if (c->over)
        return;
    c->over = true;
    loop_reap(c->loop, c, wsclient_free);
}

static void
fail(struct wsclient *c, enum request_failure why, const char *text)
{
    finish(c);
    c->ops->on_fail(c->user, why, text);
}

void
wsclient_cancel(struct wsclient *c)
{
    if (c->over)
        return;
    request_cancel(c->request);
    finish(c);
}

/* the answer */

void
wsclient_put_accept(struct str key, struct buf *out)
{
    unsigned char hash[20];
    struct buf b = BUF_INIT(256);
    buf_adds(&b, key);
    buf_adds(&b, STR("258EAFA5-E914-47DA-95CA-C5AB0DC85B11"));
    sha1(buf_str(&b), hash);
    base64_put(out, str_of((const char *)hash, sizeof hash));
    buf_clear(&b);
}

/* NULL when the 101 agrees to what we asked for (RFC 6455, 4.1), else why not. */
static const char *
check_answer(const struct wsclient *c, const struct http1_head *head, struct wsdeflate_params *params)
{
    struct buf want = BUF_INIT(64);
    struct str accept = headers_get(&head->headers, STR("Sec-WebSocket-Accept"));
    bool right;
    wsclient_put_accept(buf_str(&c->key), &want);
    right = str_eq(accept, buf_str(&want));
    buf_clear(&want);
    *params = (struct wsdeflate_params){0, false};
    if (!headers_list_has(&head->headers, STR("Upgrade"), STR("websocket")) || !head->upgrade)
        return "invalid response: 101 without upgrade to websocket";
    if (!right)
        return "invalid response: wrong Sec-WebSocket-Accept";
    if (c->offer_deflate && wsdeflate_agreed(&head->headers, params) != 0)
        return "invalid response: extension that was not offered";
    return NULL;
}

static void
open_conn(struct wsclient *c, struct request *r, struct http1_head *head)
{
    struct wsdeflate_params params;
    const char *why = check_answer(c, head, &params);
    struct str rest;
    struct ws *origin;
    if (why != NULL) {
        request_cancel(r);
        fail(c, REQUEST_LOST, why);
        return;
    }
    origin = wsconn_new(c->conns, WSCONN_CLIENT, &params);
    request_upgrade(r, wsconn_conn(origin), &wsconn_conn_ops, &rest);
    finish(c);
    wsconn_start(origin, rest);
    c->ops->on_open(c->user, head, origin);
}

static void
on_head(struct request *r, struct http1_head *head)
{
    struct wsclient *c = request_user(r);
    if (head->status != 101) {
        c->ops->on_head(c->user, head);
        return;
    }
    if (request_target(r)->kind != TARGET_TEST) {
        open_conn(c, r, head);
        return;
    }
    request_cancel(r);
    finish(c);
    c->ops->on_open(c->user, head, testws_new(c->loop));
}

static void
on_body(struct request *r, struct str piece)
{
    struct wsclient *c = request_user(r);
    c->ops->on_body(c->user, piece);
}

static void
on_end(struct request *r)
{
    struct wsclient *c = request_user(r);
    finish(c);
    c->ops->on_end(c->user);
}

static void
on_fail(struct request *r, enum request_failure why, const char *text)
{
    fail(request_user(r), why, text);
}

static void
on_ready(struct request *r)
{
    (void)r;
}

static const struct request_ops request_ops = {on_head, on_body, on_end, on_fail, on_ready};

/* the request */

static void
make_key(struct buf *key)
{
    char bytes[16];
    if (getrandom(bytes, sizeof bytes, 0) != sizeof bytes)
        memset(bytes, 0, sizeof bytes); /* too early after boot; it need not be secret */
    base64_put(key, str_of(bytes, sizeof bytes));
}

static void
put_headers(struct wsclient *c, const struct wsclient_spec *s)
{
    struct headers *h = &c->headers;
    headers_view(h, STR("Upgrade"), STR("websocket"));
    headers_view(h, STR("Connection"), STR("Upgrade"));
    headers_view(h, STR("Sec-WebSocket-Version"), STR("13"));
    headers_view(h, STR("Sec-WebSocket-Key"), buf_str(&c->key));
    if (s->offer_deflate)
        headers_view(h, STR("Sec-WebSocket-Extensions"), STR("permessage-deflate"));
    for (unsigned i = 0; i < s->headers->n; i++)
        headers_view(h, s->headers->at[i].name, s->headers->at[i].value);
    if (s->offer_grip)
        headers_view(h, STR("Sec-WebSocket-Extensions"), STR("grip"));
}

struct wsclient *
wsclient_new(struct loop *l, struct origin *o, struct wsconns *conns, const struct wsclient_spec *spec,
             const struct handshake_ops *ops, void *user)
{
    struct wsclient *c = mem_zalloc(sizeof *c);
    c->loop = l;
    c->conns = conns;
    c->ops = ops;
    c->user = user;
    c->offer_deflate = spec->offer_deflate;
    c->body.complete = true;
    buf_init(&c->key, 32);
    make_key(&c->key);
    headers_init(&c->headers);
    put_headers(c, spec);
    c->spec = (struct request_spec){.method = STR("GET"),
                                    .path = spec->path,
                                    .test_prefix = spec->test_prefix,
                                    .host = spec->host,
                                    .headers = &c->headers,
                                    .body = &c->body,
                                    .targets = spec->targets,
                                    .n_targets = spec->n_targets,
                                    .upgrade = true,
                                    .group = spec->group};
    c->request = request_new(o, &c->spec, &request_ops, c);
    return c;
}

const struct target *
wsclient_target(const struct wsclient *c)
{
    return request_target(c->request);
}

void
wsclient_pause(struct wsclient *c, bool pause)
{
    request_pause(c->request, pause);
}
