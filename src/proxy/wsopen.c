#include "proxy/wsopen.h"

#include "base/clock.h"
#include "base/log.h"
#include "grip/wscontrol.h"
#include "origin/wsclient.h"
#include "origin/wsoverhttp.h"
#include "proto/digest.h"
#include "proxy/rejection.h"
#include "proxy/reqlog.h"
#include "proxy/rewrite.h"
#include "proxy/sockws.h"
#include "proxy/wsproxy.h"

#include <assert.h>

enum { QUEUE_MAX = 65536 }; /* bytes of a rejection that wait for a slow client before the origin waits too */

struct wsopen {
    struct proxy *proxy;         /* borrowed */
    struct xchg *x;              /* borrowed, joined */
    struct route *route;         /* reference held, until a wsproxy has it */
    struct clientreq req;        /* owned */
    struct wsclient *client;     /* to a WebSocket origin; NULL before and after */
    struct wsoverhttp *overhttp; /* to an HTTP origin; likewise */
    struct headers headers;      /* for the origin */
    struct buf path;             /* for the origin */
    struct rejection rejection;  /* by the origin; its status is 0 before there is one */
    uint64_t sent;               /* bytes of its body, or of our own answer */
    uint64_t began;              /* ms */
    bool over;
    bool exact_path;             /* the route says what it is for SockJS clients */
    struct wsopen_sockjs sockjs; /* its ops are NULL once the session knows what has become of us */
};

static const char invalid[] =
    "Request contained an Upgrade header with value \"websocket\" but the request was not a valid WebSocket request.\n";

/* the client's request */

bool
wsopen_wanted(const struct http1_head *head)
{
    return headers_list_has(&head->headers, STR("Upgrade"), STR("websocket"));
}

/* 16 bytes in base64: 22 characters and "==", the last of them without surplus bits. */
static bool
is_key(struct str key)
{
    struct buf bytes = BUF_INIT(32), again = BUF_INIT(32);
    bool ok = key.len == 24 && base64_decode(&bytes, key) == 0 && bytes.len == 16 &&
              base64_put(&again, buf_str(&bytes)) == 0 && str_eq(buf_str(&again), key);
    buf_clear(&bytes);
    buf_clear(&again);
    return ok;
}

/* 0, or the status to refuse with. */
static int
check(const struct http1_head *head)
{
    const struct headers *h = &head->headers;
    struct str version = headers_get(h, STR("Sec-WebSocket-Version"));
    if (!str_eq(head->method, STR("GET")) || head->minor < 1 || !head->upgrade || head->framing == HTTP1_CHUNKED ||
        (head->framing == HTTP1_LENGTH && head->length > 0) || !wsdeflate_offers_ok(h) || version.ptr == NULL ||
        headers_count(h, STR("Sec-WebSocket-Key")) != 1 || !is_key(headers_get(h, STR("Sec-WebSocket-Key"))))
        return 400;
    return headers_count(h, STR("Sec-WebSocket-Version")) == 1 && str_eq(version, STR("13")) ? 0 : 426;
}

bool
wsopen_refuse(struct xchg *x, struct clientreq *req)
{
    char peer[ADDRESS_TEXT_MAX];
    int status = check(xchg_head(x));
    struct headers h;
    if (status == 0)
        return false;
    log_info("request refused from=%s code=%d: not a valid WebSocket request", xchg_peer(x, peer).ptr, status);
    headers_init(&h);
    headers_view(&h, STR("Content-Type"), STR("text/plain"));
    if (status == 426)
        headers_view(&h, STR("Sec-WebSocket-Version"), STR("13"));
    clientreq_clear(req);
    x->close = true;
    x->minor = 1; /* so that it says so */
    xchg_respond(x, status, http_reason(status), &h, str_of(invalid, sizeof invalid - 1));
    headers_clear(&h);
    return true;
}

/* ending */

static void
wsopen_free(void *ptr)
{
    struct wsopen *o = ptr;
    clientreq_clear(&o->req);
    headers_clear(&o->headers);
    buf_clear(&o->path);
    rejection_clear(&o->rejection);
    if (o->route != NULL)
        route_unref(o->route);
    mem_free(o);
}

static void
finish(struct wsopen *o)
{
    const struct wsopen_session_ops *session = o->sockjs.ops;
    if (o->over)
        return;
    o->over = true;
    o->sockjs.ops = NULL;
    if (session != NULL)
        session->on_over(o->sockjs.session);
    if (o->client != NULL)
        wsclient_cancel(o->client);
    if (o->overhttp != NULL)
        wsoverhttp_cancel(o->overhttp);
    o->client = NULL;
    o->overhttp = NULL;
    loop_reap(o->proxy->loop, o, wsopen_free);
}

static const struct target *
target_of(const struct wsopen *o)
{
    if (o->overhttp != NULL)
        return wsoverhttp_target(o->overhttp);
    return o->client != NULL ? wsclient_target(o->client) : NULL;
}

static void
log_result(struct wsopen *o, enum reqlog_result result, int code)
{
    struct reqlog r = {.req = &o->req,
                       .route = o->route,
                       .x = o->x,
                       .result = result,
                       .code = code,
                       .size = o->sent,
                       .began = o->began};
    r.target = target_of(o);
    r.over_http = o->overhttp != NULL;
    reqlog_write(o->proxy, &r);
}

/* A client with a WebSocket expects nothing more on this connection. HEADERS of the answer; they may have views into
 * the session, so that the answer is begun before it is told of the end. */
static void
prepare_refusal(struct wsopen *o, struct headers *h)
{
    if (o->sockjs.ops != NULL)
        o->sockjs.ops->put_headers(o->sockjs.session, h);
    else
        o->x->close = true;
}

/* MESSAGE (without line end) is for debug mode. */
static void
answer_error(struct wsopen *o, int status, const char *message)
{
    struct xchg *x = o->x;
    struct buf text = BUF_INIT(4096);
    struct headers h;
    headers_init(&h);
    if (o->proxy->config->debug || o->route->debug)
        buf_addf(&text, "%s\n", message);
    else
        buf_adds(&text, STR("Error while proxying to origin.\n"));
    o->sent = text.len;
    log_result(o, REQLOG_DONE, status);
    prepare_refusal(o, &h);
    xchg_start(x, status, http_reason(status), &h, (int64_t)text.len);
    finish(o);
    xchg_send_str(x, buf_str(&text));
    xchg_end(x);
    headers_clear(&h);
    buf_clear(&text);
}

/* the origin agrees */

/* Headers of the origin's answer that are between it and us. */
static bool
is_ours(struct str name, bool over_http)
{
    if (str_ieq(name, STR("Sec-WebSocket-Accept")) || str_ieq(name, STR("Sec-WebSocket-Extensions")))
        return true;
    return over_http &&
           (str_ieq(name, STR("Content-Type")) || str_ieq(name, STR("Keep-Alive-Interval")) ||
            str_ieq(name, STR("Content-Bytes-Accepted")) || (str_istarts(name, STR("Set-Meta-")) && name.len > 9));
}

/* The client's 101. EXTENSIONS: what was agreed with it, may be empty. */
static void
put_answer(struct wsopen *o, const struct http1_head *head, bool test, struct str extensions, struct headers *out)
{
    struct buf accept = BUF_INIT(64);
    if (!test) {
        struct headers all;
        headers_init(&all);
        rewrite_response(&head->headers, &all);
        for (unsigned i = 0; i < all.n; i++)
            if (!is_ours(all.at[i].name, o->overhttp != NULL))
                headers_view(out, all.at[i].name, all.at[i].value);
        headers_clear(&all);
    }
    wsclient_put_accept(headers_get(&o->req.headers, STR("Sec-WebSocket-Key")), &accept);
    headers_view(out, STR("Upgrade"), STR("websocket"));
    headers_view(out, STR("Connection"), STR("Upgrade"));
    headers_add(out, STR("Sec-WebSocket-Accept"), buf_str(&accept));
    if (extensions.len > 0)
        headers_add(out, STR("Sec-WebSocket-Extensions"), extensions);
    buf_clear(&accept);
}

static void
put_origin_uri(struct wsopen *o, struct buf *b)
{
    buf_adds(b, clientreq_scheme(&o->req));
    buf_adds(b, o->route->as_host != NULL ? str_c(o->route->as_host) : o->req.authority);
    buf_adds(b, buf_str(&o->path));
}

/* Answer a client that has a WebSocket: its connection becomes an endpoint. */
static struct ws *
upgrade(struct wsopen *o, const struct http1_head *head, bool test, struct str element, struct buf **pending)
{
    struct buf extensions = BUF_INIT(16384);
    struct wsdeflate_params params = {0, false};
    struct headers h;
    struct ws *client;
    if (o->proxy->config->allow_compression)
        wsdeflate_accept(&o->req.headers, &params, &extensions);
    if (element.len > 0) {
        if (extensions.len > 0)
            buf_adds(&extensions, STR(", "));
        buf_adds(&extensions, element);
    }
    headers_init(&h);
    put_answer(o, head, test, buf_str(&extensions), &h);
    client = wsconn_new(o->proxy->wsconns, WSCONN_SERVER, &params);
    *pending = xchg_upgrade(o->x, head->status == 101 ? head->reason : http_reason(101), &h, wsconn_conn(client),
                            &wsconn_conn_ops);
    headers_clear(&h);
    buf_clear(&extensions);
    return client;
}

static void
start_conn(struct ws *conn, struct buf *pending)
{
    wsconn_start(conn, pending != NULL ? buf_str(pending) : STR(""));
    if (pending == NULL)
        return;
    buf_clear(pending);
    mem_free(pending);
}

/* Where ROUTE's numbers count. */
static unsigned
group_of(const struct route *route)
{
    return route->explicit_id && route->slot <= UINT16_MAX ? route->slot : 0;
}

/* Both sides are there. */
static void
on_open(void *user, struct http1_head *head, struct ws *origin)
{
    struct wsopen *o = user;
    struct buf prefix = BUF_INIT(UINT16_MAX), uri = BUF_INIT(1 << 20), asked = BUF_INIT(1 << 20);
    struct buf address = BUF_INIT(ADDRESS_TEXT_MAX), *pending;
    const struct wsopen_session_ops *session = o->sockjs.ops;
    struct ws *conn = NULL;
    struct wsproxy_begin b = {.origin = origin,
                              .route = o->route,
                              .target = target_of(o),
                              .group = group_of(o->route),
                              .secure = o->x->secure};
    bool ours = !o->route->no_grip && !o->req.trusted, test, grip;
    struct str element = STR("");
    assert(b.target != NULL); /* somebody has agreed */
    test = b.target->kind == TARGET_TEST;
    grip = !test && !o->route->no_grip && wscontrol_extension(&head->headers, &element, &prefix);
    log_result(o, REQLOG_DONE, 101);
    rewrite_client_address(o->proxy, &o->req, &address);
    b.address = buf_str(&address);
    put_origin_uri(o, &uri);
    clientreq_put_uri(&o->req, &asked);
    b.uri = buf_str(&uri);
    b.asked = buf_str(&asked);
    b.over_http = o->overhttp != NULL;
    o->sockjs.ops = NULL;
    if (session != NULL)
        b.client = session->on_open(o->sockjs.session);
    else
        b.client = conn = upgrade(o, head, test, grip && !ours ? element : STR(""), &pending);
    if (o->sockjs.framed)
        b.client = sockws_new(o->proxy->loop, conn);
    if (ours && grip)
        b.prefix = prefix.ptr != NULL ? buf_str(&prefix) : STR("");
    if (ours && test)
        b.channels = &head->headers;
    o->client = NULL;
    o->overhttp = NULL;
    o->route = NULL; /* the wsproxy's now */
    wsproxy_new(o->proxy, &b);
    if (conn != NULL)
        start_conn(conn, pending);
    finish(o);
    buf_clear(&prefix);
    buf_clear(&uri);
    buf_clear(&address);
    buf_clear(&asked);
}

/* the origin answers with something else, which the client gets */

static void
on_head(void *user, struct http1_head *head)
{
    struct wsopen *o = user;
    struct headers h;
    headers_init(&h);
    rewrite_response(&head->headers, &h);
    prepare_refusal(o, &h);
    rejection_begin(&o->rejection, o->x, head, &h, (size_t)o->proxy->config->client_buffer_size);
    headers_clear(&h);
}

static void
pause_origin(struct wsopen *o, bool pause)
{
    if (o->client != NULL)
        wsclient_pause(o->client, pause);
    if (o->overhttp != NULL)
        wsoverhttp_pause(o->overhttp, pause);
}

static void
on_body(void *user, struct str piece)
{
    struct wsopen *o = user;
    if (piece.len == 0)
        return;
    o->sent += piece.len;
    rejection_body(&o->rejection, piece);
    if (xchg_queued(o->x) > QUEUE_MAX)
        pause_origin(o, true);
}

static void
on_end(void *user)
{
    struct wsopen *o = user;
    struct xchg *x = o->x;
    rejection_flush(&o->rejection, true);
    log_result(o, REQLOG_DONE, o->rejection.status);
    o->client = NULL;
    o->overhttp = NULL;
    finish(o);
    xchg_end(x);
}

static void
on_fail(void *user, enum request_failure why, const char *text)
{
    struct wsopen *o = user;
    struct xchg *x = o->x;
    if (o->rejection.status == 0) {
        answer_error(o, why == REQUEST_TIMEOUT ? 504 : 502, text);
        return;
    }
    rejection_flush(&o->rejection, false);
    log_result(o, REQLOG_ERROR, 0);
    o->client = NULL;
    o->overhttp = NULL;
    finish(o);
    xchg_abort(x);
}

static const struct handshake_ops handshake_ops = {on_open, on_head, on_body, on_end, on_fail};

/* the client meanwhile */

static void
on_client_body(struct xchg *x, struct str piece)
{
    (void)x, (void)piece;
}

static void
on_client_body_end(struct xchg *x)
{
    (void)x;
}

static void
on_client_drained(struct xchg *x)
{
    struct wsopen *o = x->user;
    pause_origin(o, false);
}

static void
on_client_gone(struct xchg *x, const char *why)
{
    struct wsopen *o = x->user;
    (void)why;
    log_result(o, REQLOG_ERROR, 0);
    finish(o);
}

static void
on_client_shutdown(struct xchg *x)
{
    (void)x; /* what is under way may end */
}

static const struct xchg_user_ops xchg_user_ops = {on_client_body, on_client_body_end, on_client_drained,
                                                   on_client_gone, on_client_shutdown};

/* The client's handshake is its own affair. */
static void
remove_handshake(struct headers *h, bool over_http)
{
    headers_remove(h, STR("Sec-WebSocket-Key"));
    headers_remove(h, STR("Sec-WebSocket-Extensions"));
    if (!over_http)
        headers_remove(h, STR("Sec-WebSocket-Version"));
}

static void
ask(struct wsopen *o)
{
    struct proxy *p = o->proxy;
    const struct route *route = o->route;
    struct wsclient_spec spec = {.path = buf_str(&o->path),
                                 .test_prefix = o->exact_path ? 0 : rewrite_test_prefix(route),
                                 .host = rewrite_host(route, &o->req),
                                 .headers = &o->headers,
                                 .targets = route->targets,
                                 .n_targets = route->n_targets,
                                 .offer_deflate = p->config->allow_compression,
                                 .offer_grip = !route->no_grip,
                                 .group = group_of(route)};
    o->client = wsclient_new(p->loop, p->origin, p->wsconns, &spec, &handshake_ops, o);
}

static void
ask_over_http(struct wsopen *o)
{
    struct wsoverhttp_spec spec = {.path = buf_str(&o->path),
                                   .host = rewrite_host(o->route, &o->req),
                                   .headers = &o->headers,
                                   .route = o->route,
                                   .group = group_of(o->route)};
    if (!o->req.trusted && !o->route->no_grip) { /* what rewrite_sign() has made is made anew each time */
        headers_remove(&o->headers, STR("Grip-Sig"));
        spec.sign = true;
    }
    if (!o->route->no_grip)
        headers_view(&o->headers, STR("Sec-WebSocket-Extensions"), STR("grip"));
    o->overhttp = wsoverhttp_new(o->proxy->overhttp, &spec, &handshake_ops, o);
}

void
wsopen_begin(struct proxy *p, struct xchg *x, struct clientreq *req, struct route *route,
             const struct wsopen_sockjs *sockjs)
{
    struct wsopen *o = mem_zalloc(sizeof *o);
    bool over_http = route->targets[0].over_http;
    o->proxy = p;
    o->x = x;
    o->began = clock_now();
    o->route = route;
    o->req = *req;
    headers_init(&o->headers);
    rejection_init(&o->rejection);
    buf_init(&o->path, 1 << 20);
    xchg_join(x, &xchg_user_ops, o);
    if (sockjs != NULL) {
        o->sockjs = *sockjs;
        o->exact_path = route->sockjs_as_path != NULL;
    }
    if (o->exact_path) {
        buf_adds(&o->path, o->req.path);
    } else if (rewrite_path(route, &o->req, &o->path) != 0) {
        answer_error(o, 502, "the route's path_rem leaves a path that does not begin with '/'");
        return;
    }
    rewrite_request(p, route, &o->req, x, &o->headers);
    remove_handshake(&o->headers, over_http);
    if (over_http)
        ask_over_http(o);
    else
        ask(o);
}
