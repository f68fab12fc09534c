#include "proxy/proxy.h"

#include "base/clock.h"
#include "base/log.h"
#include "origin/wsoverhttp.h"
#include "proxy/asker.h"
#include "proxy/context.h"
#include "proxy/exchange.h"
#include "proxy/jsonp.h"
#include "proxy/links.h"
#include "proxy/refusal.h"
#include "proxy/rewrite.h"
#include "proxy/sharing.h"
#include "proxy/sockjs.h"
#include "proxy/socksession.h"
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

/* For WebSockets over HTTP. */
static void
sign(void *arg, const struct route *route, struct headers *out)
{
    rewrite_sign(arg, route, out);
}

struct proxy *
proxy_new(struct loop *l, const struct config *config, struct routes *routes, struct origin *origin,
          struct channels *channels, struct wsconns *wsconns, struct err *e)
{
    struct proxy *p = mem_zalloc(sizeof *p);
    struct wsoverhttps_settings overhttp = {.max_left = (unsigned)config->client_maxconn, .sign = sign, .arg = p};
    p->loop = l;
    p->config = config;
    p->routes = routes;
    p->origin = origin;
    p->channels = channels;
    p->wsconns = wsconns;
    table_init(&p->websockets, wsproxy_hash);
    p->overhttp = wsoverhttps_new(l, origin, &overhttp);
    p->updates = updates_new(l);
    p->socksessions = socksessions_new(p);
    p->links = links_new(p);
    p->askers = askers_new(p);
    p->sharings = sharings_new(p);
    if (load_key(config, "sig_key", config->sig_key, &p->sig_key, e) != 0 ||
        load_key(config, "upstream_key", config->upstream_key, &p->upstream_key, e) != 0) {
        proxy_free(p);
        return NULL;
    }
    if (p->sig_key != NULL && jwt_make(p->sig_key, str_c(config->sig_iss), clock_wall() / 1000).ptr == NULL)
        log_warn("sig_key cannot sign (a public key?): requests to origins go without Grip-Sig");
    return p;
}

void
proxy_free(struct proxy *p)
{
    proxy_shutdown(p);
    wsoverhttps_free(p->overhttp);
    table_clear(&p->websockets);
    if (p->sig_key != NULL)
        jwt_key_unref(p->sig_key);
    if (p->upstream_key != NULL)
        jwt_key_unref(p->upstream_key);
    socksessions_free(p->socksessions);
    askers_free(p->askers);
    sharings_free(p->sharings);
    links_free(p->links);
    updates_free(p->updates);
    mem_free(p);
}

void
proxy_set_stats(struct proxy *p, struct stats *s)
{
    p->stats = s;
}

struct str
proxy_peer(const void *who, char text[ADDRESS_TEXT_MAX])
{
    return xchg_peer(who, text);
}

struct str
proxy_ws_peer(const void *who, char text[ADDRESS_TEXT_MAX])
{
    const struct wsproxy *w = who;
    return w->client != NULL ? ws_peer(w->client, text) : STR("");
}

struct str
proxy_ws_id(const void *who, char text[UUID_SIZE])
{
    const struct wsproxy *w = who;
    return uuid_text(w->id, text);
}

/* A request goes to ROUTE. */
static void
count_request(struct proxy *p, struct xchg *x, const struct clientreq *req, const struct route *route)
{
    const struct http1_head *head = xchg_head(x);
    struct buf address = BUF_INIT(ADDRESS_TEXT_MAX);
    struct stats_conn c = {.who = x, .secure = x->secure};
    if (p->stats == NULL)
        return;
    if (route->explicit_id && route->slot <= UINT16_MAX) {
        c.slot = route->slot;
        c.route = route->id;
    }
    rewrite_client_address(p, req, &address);
    if (address.len > 0)
        c.address = buf_str(&address);
    x->group = (uint16_t)c.slot;
    x->live = stats_conn_start(p->stats, &c);
    stats_add(p->stats, c.slot, STATS_CLIENT_HEADER_RECEIVED,
              head->method.len + head->target.len + headers_size(&head->headers));
    buf_clear(&address);
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

/* What cannot be understood ends the connection. TEXT is a line. A 405 says what would be taken (RFC 9110, 15.5.6);
 * but for CONNECT that is everything. */
static void
refuse_head(struct xchg *x, int status, struct str text)
{
    struct header lines[] = {{STR("Content-Type"), STR("text/plain")},
                             {STR("Allow"), STR("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")}};
    struct headers h = {lines, status == 405 ? 2 : 1, 2, NULL};
    char peer[ADDRESS_TEXT_MAX];
    log_info("request refused from=%s code=%d: %.*s", xchg_peer(x, peer).ptr, status, (int)text.len - 1, text.ptr);
    x->close = true;
    x->minor = 1; /* so that it says so */
    xchg_respond(x, status, http_reason(status), &h, text);
}

static void
no_route(struct proxy *p, struct xchg *x, struct clientreq *req)
{
    struct buf text = BUF_INIT(1024);
    buf_addf(&text, "No route for host: %.*s\n", STR_ARG(req->host));
    if (req->ws)
        x->close = true;
    refusal_new(p, x, req, NULL, 502, buf_str(&text));
    buf_clear(&text);
}

/* WebSocket-over-HTTP is spoken by us and by proxies that we trust, not by clients. */
static bool
may_ask(const struct route *route, const struct clientreq *req)
{
    struct str type;
    for (unsigned i = 0; i < route->n_targets && !req->trusted; i++) {
        if (!route->targets[i].over_http)
            continue;
        type = headers_get(&req->headers, STR("Content-Type"));
        if (type.ptr != NULL && str_chr(type, ';') >= 0)
            type = str_sub(type, 0, (size_t)str_chr(type, ';'));
        return !str_ieq(str_trim(type), STR("application/websocket-events"));
    }
    return true;
}

/* JSON-P. 0, or -1: the client has been answered, and REQ and ROUTE are gone. */
static int
unwrap(struct proxy *p, struct xchg *x, struct clientreq *req, struct route *route, struct buf *body)
{
    struct err e;
    if (!x->body_complete || jsonp_unwrap(route, req, body, &e) != JSONP_BAD)
        return 0;
    refusal_new(p, x, req, route, 400, str_c(e.text));
    return -1;
}

void
proxy_request(void *arg, struct xchg *x)
{
    struct proxy *p = arg;
    struct http1_head *head = xchg_head(x);
    struct clientreq req;
    struct buf body = BUF_INIT((size_t)p->config->client_buffer_size);
    struct route_query q;
    struct route *route;
    struct err e;
    int status;
    bool ws = wsopen_wanted(head);
    if (headers_has(&head->headers, STR("Pushpin-Check"))) {
        xchg_respond_text(x, 200, STR("This is pushpind, a GRIP proxy. It takes the place of Pushpin here.\n"));
        return;
    }
    status = clientreq_init(&req, head, is_secure(p, x, &head->headers), &e);
    if (status == 0 && ws && wsopen_refuse(x, &req))
        return;
    if (status != 0) {
        refuse_head(x, status, str_c(e.text));
        return;
    }
    req.trusted = rewrite_trusted(p, &req.headers);
    req.ws = ws;
    q = (struct route_query){.host = req.host, .path = clientreq_pathname(&req), .ws = ws, .ssl = req.secure};
    if (p->config->accept_pushpin_route)
        q.id = headers_get(&req.headers, STR("Pushpin-Route"));
    route = routes_find(p->routes, &q);
    if (route != NULL && sockjs_wants(route, &req)) {
        sockjs_request(p, x, &req, route);
        return;
    }
    req.cross_origin = !ws && (p->config->auto_cross_origin || (route != NULL && route->aco));
    if (req.cross_origin && unwrap(p, x, &req, route, &body) != 0)
        return;
    if (route == NULL)
        no_route(p, x, &req);
    else if (ws)
        wsopen_begin(p, x, &req, route, NULL);
    else if (!may_ask(route, &req))
        refusal_new(p, x, &req, route, 403, STR("Client not allowed to send WebSocket events directly.\n"));
    else {
        count_request(p, x, &req, route);
        exchange_begin(p, x, &req, buf_str(&body), route);
    }
    buf_clear(&body);
}

void
proxy_bad_text(void *arg, int status, const char *why, bool in_body, struct buf *out)
{
    struct proxy *p = arg;
    (void)in_body;
    if (status == 414 || (status == 431 && str_starts(str_c(why), STR("header too large"))))
        buf_addf(out, "Request header size exceeded limit of %d bytes.\n", p->config->client_buffer_size);
    else if (strcmp(why, "negative content length") == 0) /* something else only at the control port */
        buf_addf(out, "Failed to parse request: invalid content length\n");
    else
        buf_addf(out, "Failed to parse request: %s\n", why);
}

static void
shut_down(struct table_node *node, void *arg)
{
    (void)arg;
    wsproxy_shutdown(container_of(node, struct wsproxy, in_proxy));
}

void
proxy_shutdown(struct proxy *p)
{
    table_each(&p->websockets, shut_down, NULL);
}

bool
proxy_busy(const struct proxy *p)
{
    return links_busy(p->links);
}

size_t
proxy_telling(const struct proxy *p)
{
    return wsoverhttps_left(p->overhttp);
}

bool
proxy_connection_exists(const struct proxy *p, struct str id)
{
    return wsproxy_find(p, id) != NULL || stats_conn_exists(p->stats, id); /* these are given out with stats messages */
}

int
proxy_refresh_connection(struct proxy *p, struct str id)
{
    struct wsproxy *w = wsproxy_find(p, id);
    if (w == NULL)
        return -1;
    if (w->origin != NULL)
        ws_refresh(w->origin);
    return 0;
}

void
proxy_refresh_channel(struct proxy *p, struct str name)
{
    struct channel *ch = channels_find(p->channels, name);
    uint32_t n = 0;
    struct sub *const *at = ch != NULL ? channel_subs(ch, FORMAT_WS_MESSAGE, &n) : NULL;
    for (uint32_t i = 0; i < n; i++)
        if (at[i] != NULL)
            at[i]->hold->ops->update(at[i]->hold, UPDATE_HIGH);
}
