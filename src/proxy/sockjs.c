#include "proxy/sockjs.h"

#include "proto/digest.h"
#include "proto/uri.h"
#include "proxy/socksession.h"
#include "proxy/wsopen.h"

#include <sys/random.h>

enum { BODY_MAX = 100000 }; /* bytes of a request */

/* A request whose body is being read. */
struct sockjs {
    struct proxy *proxy;
    struct xchg *x;      /* borrowed, joined */
    struct clientreq c;  /* owned */
    struct route *route; /* reference held */
    struct buf body;
    bool over;
};

/* Where a path leads: what follows the endpoint's, cut at each '/'. */
struct place {
    struct str first;     /* "info", "websocket", SRV */
    struct str sid, last; /* ptr NULL: the path is shorter */
    bool longer;
};

static const struct transport {
    const char *name;
    enum sockreq_kind kind;
    bool get, post;
} transports[] = {
    {"xhr", SOCKREQ_XHR, false, true},
    {"xhr_send", SOCKREQ_XHR_SEND, false, true},
    {"xhr_streaming", SOCKREQ_XHR_STREAMING, false, true},
    {"jsonp", SOCKREQ_JSONP, true, true},
    {"jsonp_send", SOCKREQ_JSONP_SEND, true, true},
    {"eventsource", SOCKREQ_EVENTSOURCE, true, false},
    {"htmlfile", SOCKREQ_HTMLFILE, true, false},
};

/* the path */

bool
sockjs_wants(const struct route *route, const struct clientreq *c)
{
    return route->sockjs != NULL && *route->sockjs != '\0' && str_starts(clientreq_pathname(c), str_c(route->sockjs));
}

/* What follows the endpoint's path, its '/' included. */
static struct str
rest_of(const struct route *route, const struct clientreq *c)
{
    struct str prefix = str_c(route->sockjs);
    return str_from(clientreq_pathname(c), str_ends(prefix, STR("/")) ? prefix.len - 1 : prefix.len);
}

/* false: it leads nowhere. */
static bool
find_place(struct str rest, struct place *p)
{
    *p = (struct place){.first = STR("")};
    if (rest.len == 0)
        return true;
    if (*rest.ptr != '/')
        return false;
    rest = str_from(rest, 1);
    str_split(&rest, '/', &p->first);
    if (rest.ptr != NULL)
        str_split(&rest, '/', &p->sid);
    if (rest.ptr != NULL)
        str_split(&rest, '/', &p->last);
    p->longer = rest.ptr != NULL;
    return true;
}

static bool
is_session(const struct place *p)
{
    return p->first.len > 0 && p->sid.len > 0 && p->last.len > 0 && !p->longer;
}

static bool
is_iframe(const struct place *p)
{
    return p->sid.ptr == NULL && str_starts(p->first, STR("iframe")) && str_ends(p->first, STR(".html")) &&
           p->first.len >= 11;
}

static bool
is_info(const struct place *p)
{
    return p->sid.ptr == NULL && str_eq(p->first, STR("info"));
}

/* NULL: not one of a session, or not by this method. */
static const struct transport *
find_transport(const struct place *p, struct str method)
{
    for (size_t i = 0; is_session(p) && i < countof(transports); i++) {
        const struct transport *t = &transports[i];
        if (str_eq(p->last, str_c(t->name)) &&
            ((t->get && str_eq(method, STR("GET"))) || (t->post && str_eq(method, STR("POST")))))
            return t;
    }
    return NULL;
}

/* the request to the origin */

static bool
is_callback(struct str pair)
{
    return str_starts(pair, STR("callback=")) || str_starts(pair, STR("c="));
}

/* C as the origin gets it. LEAVE_OUT: parameters that are only for SockJS. */
static void
make_origin_request(const struct route *route, struct clientreq *c, bool leave_out)
{
    struct str query = str_from(c->path, c->path_len), pair;
    struct buf path = BUF_INIT(c->path.len + 65536);
    size_t path_len;
    char mark = '?';
    if (route->sockjs_as_path != NULL) {
        buf_adds(&path, str_c(route->sockjs_as_path));
    } else {
        struct str prefix = str_c(route->sockjs);
        buf_adds(&path, str_sub(prefix, 0, str_ends(prefix, STR("/")) ? prefix.len - 1 : prefix.len));
        buf_adds(&path, STR("/websocket"));
    }
    path_len = path.len;
    if (query.len > 0)
        query = str_from(query, 1);
    else
        query.ptr = NULL;
    while (str_split(&query, '&', &pair)) {
        if (leave_out && is_callback(pair))
            continue;
        buf_addc(&path, mark);
        buf_adds(&path, pair);
        mark = '&';
    }
    clientreq_replace(c, STR("GET"), buf_str(&path), path_len);
    buf_clear(&path);
    c->ws = true;
}

/* answers that need no session */

static void
not_found(struct sockreq *r)
{
    sockreq_text(r, 404, STR("Not Found\n"));
}

static void
respond_info(struct sockreq *r)
{
    struct header type = {STR("Content-Type"), STR("application/json; charset=UTF-8")};
    struct headers h = {&type, 1, 1, NULL};
    struct buf b = BUF_INIT(256);
    uint32_t entropy = 0;
    if (getrandom(&entropy, sizeof entropy, 0) != sizeof entropy)
        entropy = (uint32_t)(uintptr_t)r; /* too early after boot; it need not be secret */
    buf_addf(&b, "{\"cookie_needed\":false,\"entropy\":%lu,\"origins\":[\"*:*\"],\"websocket\":true}\n",
             (unsigned long)entropy);
    sockreq_respond(r, 200, &h, buf_str(&b));
    buf_clear(&b);
}

static void
put_escaped(struct str text, struct buf *out)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (c == '"' || c == '&' || c == '<')
            buf_addf(out, "&#%d;", c);
        else
            buf_addc(out, c);
    }
}

static void
put_iframe(const struct proxy *p, struct buf *out)
{
    buf_adds(out, STR("<!DOCTYPE html>\n<html>\n<head>\n<meta http-equiv=\"X-UA-Compatible\" content=\"IE=edge\">\n"
                      "<meta http-equiv=\"Content-Type\" content=\"text/html; charset=UTF-8\">\n<script src=\""));
    put_escaped(str_c(p->config->sockjs_url), out);
    buf_adds(out, STR("\"></script>\n<script>\ndocument.domain = document.domain;\nSockJS.bootstrap_iframe();\n"
                      "</script>\n</head>\n<body>\n<p>This page is for SockJS, which loads it behind the scenes.</p>\n"
                      "</body>\n</html>\n"));
}

/* The MD5 of BODY, as Pushpin's; any other will do where there is none. */
static void
put_tag(struct str body, struct buf *out)
{
    enum { SIZE = 16 };
    unsigned char hash[20];
    if (md5(body, hash) != 0)
        sha1(body, hash);
    buf_addc(out, '"');
    for (size_t i = 0; i < SIZE; i++)
        buf_addf(out, "%02x", hash[i]);
    buf_addc(out, '"');
}

/* The one answer that may be kept, so its headers are not the common ones. */
static void
respond_iframe(const struct proxy *p, struct sockreq *r, const struct clientreq *c)
{
    struct buf body = BUF_INIT(1 << 20), tag = BUF_INIT(64);
    struct headers h;
    struct xchg *x = r->x;
    put_iframe(p, &body);
    put_tag(buf_str(&body), &tag);
    headers_init(&h);
    headers_view(&h, STR("ETag"), buf_str(&tag));
    if (!str_eq(headers_get(&c->headers, STR("If-None-Match")), buf_str(&tag)))
        headers_view(&h, STR("Content-Type"), STR("text/html; charset=UTF-8"));
    headers_view(&h, STR("Cache-Control"), STR("public, max-age=31536000"));
    sockreq_put_origin(r, &h);
    if (headers_has(&h, STR("Content-Type")))
        xchg_respond(x, 200, http_reason(200), &h, buf_str(&body));
    else
        xchg_respond(x, 304, http_reason(304), &h, STR(""));
    sockreq_free(r);
    headers_clear(&h);
    buf_clear(&body);
    buf_clear(&tag);
}

static void
respond_options(struct sockreq *r, const struct place *p, const struct clientreq *c)
{
    static const char *const by_get[] = {"jsonp", "eventsource", "htmlfile"};
    struct buf asked = BUF_INIT(65536);
    struct headers h;
    bool get = is_info(p) || is_iframe(p);
    for (size_t i = 0; i < countof(by_get); i++)
        get = get || str_eq(p->last, str_c(by_get[i]));
    headers_init(&h);
    headers_view(&h, STR("Content-Type"), STR("text/plain"));
    headers_view(&h, STR("Access-Control-Allow-Methods"), get ? STR("OPTIONS, GET") : STR("OPTIONS, POST"));
    headers_join(&c->headers, STR("Access-Control-Request-Headers"), &asked);
    if (asked.len > 0)
        headers_view(&h, STR("Access-Control-Allow-Headers"), buf_str(&asked));
    headers_view(&h, STR("Access-Control-Max-Age"), STR("86400"));
    sockreq_respond(r, 204, &h, STR(""));
    headers_clear(&h);
    buf_clear(&asked);
}

/* C is neither one of a session nor a WebSocket. */
static void
respond_plain(struct proxy *p, struct xchg *x, const struct clientreq *c, bool found, const struct place *place)
{
    struct sockreq *r = sockreq_new(x, SOCKREQ_PLAIN, c);
    bool there = found && str_eq(c->method, STR("GET"));
    if (str_eq(c->method, STR("OPTIONS")))
        respond_options(r, place, c);
    else if (there && is_info(place))
        respond_info(r);
    else if (there && is_iframe(place))
        respond_iframe(p, r, c);
    else if (there && place->first.len == 0 && place->sid.ptr == NULL)
        sockreq_text(r, 200, STR("Welcome to SockJS!\n"));
    else
        not_found(r);
}

/* sessions */

/* The value of D among the parameters, decoded. */
static void
read_messages(struct str params, struct buf *out)
{
    struct str name, value;
    while (uri_query_next(&params, &name, &value)) {
        if (!str_eq(name, STR("d")))
            continue;
        uri_decode(value, true, out);
        return;
    }
}

static void
send_messages(struct socksession *s, struct sockreq *r, const struct clientreq *c, struct str body)
{
    struct buf decoded = BUF_INIT(BODY_MAX + 65536);
    json_t *messages;
    struct err e;
    if (s == NULL || socksession_is_opening(s)) {
        not_found(r);
        return;
    }
    if (r->callback != NULL && !sockreq_callback_ok(r)) {
        sockreq_text(r, 400, STR("Bad Request\n"));
        return;
    }
    if (r->kind == SOCKREQ_JSONP_SEND) {
        read_messages(str_eq(c->method, STR("GET")) ? str_from(c->path, c->path_len + 1) : body, &decoded);
        body = buf_str(&decoded);
    }
    messages = sockjsframe_parse(body, false, &e);
    if (messages != NULL)
        socksession_send(s, r, messages);
    else
        sockreq_text(r, 400, STR("Payload expected\n"));
    json_decref(messages);
    buf_clear(&decoded);
}

/* true: a session is being opened, which has C and ROUTE now. */
static bool
poll(struct proxy *p, struct sockreq *r, struct str sid, struct clientreq *c, struct route *route)
{
    struct socksession *s = socksessions_find(p->socksessions, route, sid);
    bool calls = r->kind == SOCKREQ_JSONP || r->kind == SOCKREQ_HTMLFILE;
    if (calls && !sockreq_callback_ok(r)) {
        sockreq_text(r, 400, STR("Bad Request\n"));
        return false;
    }
    if (s != NULL) {
        socksession_poll(s, r);
        return false;
    }
    if (socksessions_full(p->socksessions)) {
        sockreq_text(r, 503, STR("Too many sessions\n"));
        return false;
    }
    sid.ptr = str_dup(sid); /* it is part of C's path */
    make_origin_request(route, c, calls);
    headers_remove(&c->headers, STR("Content-Type"));
    socksession_open(p->socksessions, sid, r, c, route);
    mem_free((char *)(uintptr_t)sid.ptr);
    return true;
}

/* The request is there with its whole BODY. C and ROUTE are taken over. */
static void
answer(struct proxy *p, struct xchg *x, struct clientreq *c, struct route *route, struct str body)
{
    struct place place;
    bool found = find_place(rest_of(route, c), &place), opens = false;
    const struct transport *t = found ? find_transport(&place, c->method) : NULL;
    struct sockreq *r;
    if (t == NULL) {
        respond_plain(p, x, c, found, &place);
    } else {
        r = sockreq_new(x, t->kind, c);
        if (t->kind == SOCKREQ_XHR_SEND || t->kind == SOCKREQ_JSONP_SEND)
            send_messages(socksessions_find(p->socksessions, route, place.sid), r, c, body);
        else
            opens = poll(p, r, place.sid, c, route);
    }
    if (opens)
        return;
    clientreq_clear(c);
    route_unref(route);
}

/* the body */

static void
sockjs_free(void *ptr)
{
    struct sockjs *s = ptr;
    buf_clear(&s->body);
    mem_free(s);
}

static void
finish(struct sockjs *s)
{
    if (!s->over)
        loop_reap(s->proxy->loop, s, sockjs_free);
    s->over = true;
}

static void
drop(struct sockjs *s)
{
    clientreq_clear(&s->c);
    route_unref(s->route);
    finish(s);
}

static void
on_body(struct xchg *x, struct str piece)
{
    struct sockjs *s = x->user;
    if (buf_adds(&s->body, piece) == 0)
        return;
    sockreq_text(sockreq_new(x, SOCKREQ_PLAIN, &s->c), 400, STR("Request too large.\n"));
    drop(s);
}

static void
on_body_end(struct xchg *x)
{
    struct sockjs *s = x->user;
    answer(s->proxy, x, &s->c, s->route, buf_str(&s->body));
    finish(s);
}

static void
on_drained(struct xchg *x)
{
    (void)x;
}

static void
on_gone(struct xchg *x, const char *why)
{
    (void)why;
    drop(x->user);
}

static const struct xchg_user_ops user_ops = {on_body, on_body_end, on_drained, on_gone, on_drained};

static void
read_body(struct proxy *p, struct xchg *x, struct clientreq *c, struct route *route)
{
    struct sockjs *s = mem_zalloc(sizeof *s);
    s->proxy = p;
    s->x = x;
    s->c = *c;
    s->route = route;
    buf_init(&s->body, BODY_MAX);
    xchg_join(x, &user_ops, s);
}

/* WebSockets */

static void
open_websocket(struct proxy *p, struct xchg *x, struct clientreq *c, struct route *route)
{
    struct wsopen_sockjs sockjs = {.ops = NULL};
    struct place place;
    bool found = find_place(rest_of(route, c), &place);
    bool raw = found && place.sid.ptr == NULL && str_eq(place.first, STR("websocket"));
    sockjs.framed = found && is_session(&place);
    if (!raw && !sockjs.framed) {
        x->close = true;
        not_found(sockreq_new(x, SOCKREQ_PLAIN, c));
        clientreq_clear(c);
        route_unref(route);
        return;
    }
    make_origin_request(route, c, false);
    wsopen_begin(p, x, c, route, &sockjs);
}

void
sockjs_request(struct proxy *p, struct xchg *x, struct clientreq *c, struct route *route)
{
    if (c->ws)
        open_websocket(p, x, c, route);
    else if (x->body_complete)
        answer(p, x, c, route, STR(""));
    else
        read_body(p, x, c, route);
}
