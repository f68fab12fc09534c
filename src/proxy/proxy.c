#include "proxy/proxy.h"

#include "base/log.h"
#include "proxy/context.h"
#include "proxy/exchange.h"
#include "proxy/reqlog.h"
#include "proxy/rewrite.h"
#include "proxy/updates.h"
#include "proxy/wsopen.h"
#include "proxy/wsproxy.h"

static int
load_key(const struct config *config, const char *name, const char *text, struct jwt_key **out, struct err *e)
{
    *out = NULL;
    if (*text == '\0')
        return 0;
    *out = jwt_key_new(str_c(text), config->dir, e);
    if (*out == NULL)
        err_prefix(e, "%s cannot be read: ", name);
    return *out != NULL ? 0 : -1;
}

struct proxy *
proxy_new(struct loop *l, const struct config *config, struct routes *routes, struct origin *origin,
          struct channels *channels, struct wsconns *wsconns, struct err *e)
{
    struct proxy *p = mem_zalloc(sizeof *p);
    p->loop = l;
    p->config = config;
    p->routes = routes;
    p->origin = origin;
    p->channels = channels;
    p->wsconns = wsconns;
    list_init(&p->websockets);
    p->updates = updates_new(l);
    if (load_key(config, "sig_key", config->sig_key, &p->sig_key, e) != 0 ||
        load_key(config, "upstream_key", config->upstream_key, &p->upstream_key, e) != 0) {
        proxy_free(p);
        return NULL;
    }
    return p;
}

void
proxy_free(struct proxy *p)
{
    if (p->sig_key != NULL)
        jwt_key_unref(p->sig_key);
    if (p->upstream_key != NULL)
        jwt_key_unref(p->upstream_key);
    updates_free(p->updates);
    mem_free(p);
}

static bool
is_secure(const struct proxy *p, struct xchg *x, const struct headers *h)
{
    struct str proto;
    if (x->secure || !p->config->accept_x_forwarded_protocol)
        return x->secure;
    proto = headers_get(h, STR("X-Forwarded-Proto"));
    if (proto.ptr == NULL)
        proto = headers_get(h, STR("X-Forwarded-Protocol"));
    return str_eq(proto, STR("https")) || str_eq(proto, STR("wss"));
}

static void
no_route(struct proxy *p, struct xchg *x, struct clientreq *req)
{
    struct buf text = BUF_INIT(1024);
    struct reqlog r = {.req = req, .x = x, .result = REQLOG_DONE, .code = 502};
    buf_addf(&text, "No route for host: %.*s\n", STR_ARG(req->host));
    r.size = x->to_head ? 0 : text.len;
    reqlog_write(p, &r);
    clientreq_clear(req);
    if (req->ws)
        x->close = true;
    xchg_respond_text(x, 502, buf_str(&text));
    buf_clear(&text);
}

void
proxy_request(void *arg, struct xchg *x)
{
    struct proxy *p = arg;
    struct http1_head *head = xchg_head(x);
    struct clientreq req;
    struct route_query q;
    struct route *route;
    struct err e;
    int status;
    bool ws = wsopen_wanted(head);
    status = clientreq_init(&req, head, is_secure(p, x, &head->headers), &e);
    if (status == 0 && ws && wsopen_refuse(x, &req))
        return;
    if (status != 0) {
        log_info("request refused code=%d: %s", status, e.text);
        x->close = true;
        xchg_respond_text(x, status, str_c(e.text));
        return;
    }
    req.trusted = rewrite_trusted(p, &req.headers);
    req.ws = ws;
    q = (struct route_query){.host = req.host, .path = clientreq_pathname(&req), .ws = ws, .ssl = req.secure};
    if (p->config->accept_pushpin_route)
        q.id = headers_get(&req.headers, STR("Pushpin-Route"));
    route = routes_find(p->routes, &q);
    if (route == NULL)
        no_route(p, x, &req);
    else if (ws)
        wsopen_begin(p, x, &req, route);
    else
        exchange_begin(p, x, &req, route);
}

void
proxy_bad_text(void *arg, int status, const char *why, bool in_body, struct buf *out)
{
    struct proxy *p = arg;
    (void)in_body;
    if (status == 431 && str_starts(str_c(why), STR("header too large")))
        buf_addf(out, "Request header size exceeded limit of %d bytes.\n", p->config->client_buffer_size);
    else if (status == 414)
        buf_addf(out, "Request line exceeded limit of %d bytes.\n", p->config->client_buffer_size);
    else
        buf_addf(out, "Failed to parse request: %s\n", why);
}

void
proxy_shutdown(struct proxy *p)
{
    while (!list_empty(&p->websockets))
        wsproxy_shutdown(container_of(list_first(&p->websockets), struct wsproxy, in_proxy));
}

static void
recover_one(struct hold *h, void *arg)
{
    (void)arg;
    h->ops->update(h, UPDATE_LOW);
}

void
proxy_recover(struct proxy *p)
{
    channels_each_hold(p->channels, recover_one, NULL);
}

bool
proxy_connection_exists(const struct proxy *p, struct str id)
{
    (void)p, (void)id;
    return false; /* ids are given out with the stats messages */
}
