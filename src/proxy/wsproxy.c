#include "proxy/wsproxy.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/slab.h"
#include "proxy/reqlog.h"
#include "proxy/wshold.h"
#include "proxy/wssort.h"

enum { QUEUE_MAX = 65536 }; /* bytes that wait for one side before the other waits too */

static inline void
count(struct wsproxy *w, enum stats_counter what, uint64_t n)
{
    stats_add(w->owner.proxy->stats, w->owner.group, what, n);
}

/* what comes behind it */

/* What the log line at its end says, and for filters the URI as asked for. */
struct wsend {
    uint64_t began;     /* ms of the monotonic clock */
    uint32_t asked_len; /* 0: as the origin has it */
    uint16_t closed;    /* the code of the first close frame, 0 before */
    uint8_t target_len; /* 0: the end is not logged */
    bool over_http;
};

/* NULL: none of that is needed. */
static struct wsend *
end_of(const struct wsproxy *w)
{
    return w->has_end ? (struct wsend *)(uintptr_t)(w + 1) : NULL;
}

/* Without a struct wsend it begins in what would be padding. */
static char *
text_of(struct wsproxy *w)
{
    return w->has_end ? (char *)(end_of(w) + 1) : w->text;
}

static struct str
prefix_of(struct wsproxy *w)
{
    return str_of(text_of(w), w->prefix_len);
}

static struct str
uri_of(struct wsproxy *w)
{
    return str_of(text_of(w) + w->prefix_len, w->uri_len);
}

/* As the client has asked for it. */
static struct str
asked_of(struct wsproxy *w)
{
    const struct wsend *end = end_of(w);
    struct str uri = uri_of(w);
    return end != NULL && end->asked_len > 0 ? str_of(uri.ptr + uri.len, end->asked_len) : uri;
}

static size_t
size_of(struct wsproxy *w)
{
    const struct wsend *end = end_of(w);
    size_t size = (size_t)(text_of(w) - (char *)w) + w->prefix_len + w->uri_len;
    return end != NULL ? size + end->asked_len + end->target_len : size;
}

/* ending */

static void
wsproxy_free(void *ptr)
{
    struct wsproxy *w = ptr;
    if (w->sort != NULL)
        wssort_free(w->sort);
    slab_free(w, size_of(w));
}

/* The first close frame counts, be it a peer's or what we were told to send. */
static void
note_close(struct wsproxy *w, int code)
{
    struct wsend *end = end_of(w);
    if (end != NULL && end->closed == 0)
        end->closed = (uint16_t)code;
}

static void
log_end(struct wsproxy *w)
{
    const struct wsend *end = end_of(w);
    struct reqlog_end e;
    if (end == NULL || end->target_len == 0)
        return;
    e = (struct reqlog_end){.uri = asked_of(w),
                            .target = str_of(uri_of(w).ptr + w->uri_len + end->asked_len, end->target_len),
                            .over_http = end->over_http,
                            .code = end->closed != 0 ? end->closed : WSFRAME_ABNORMAL,
                            .began = end->began};
    reqlog_end(w->owner.proxy, &e);
}

static void
log_session(const struct wsproxy *w, const char *what)
{
    char text[STATS_ID_MAX];
    struct str id = log_on(LOG_DEBUG) ? stats_conn_id(w->owner.proxy->stats, w->owner.live, text) : STR("");
    log_debug("%s ws session: %.*s", what, STR_ARG(id));
}

static void
leave(struct ws **side, int code, struct str reason)
{
    struct ws *ws = *side;
    *side = NULL;
    if (ws != NULL)
        ws_leave(ws, code, reason);
}

/* Nobody is joined any more, or is left now with these codes. */
static void
finish(struct wsproxy *w, int client_code, int origin_code, struct str reason, enum stats_counter why)
{
    if (w->over)
        return;
    w->over = true;
    table_remove(&w->owner.proxy->websockets, &w->in_proxy);
    log_end(w);
    if (w->hold != NULL) {
        log_session(w, "removed");
        wshold_close(w->hold);
    }
    stats_conn_end(w->owner.proxy->stats, w->owner.group, &w->owner.live, why);
    w->hold = NULL;
    leave(&w->client, client_code, reason);
    leave(&w->origin, origin_code, STR(""));
    loop_reap(w->owner.proxy->loop, w, wsproxy_free);
}

void
wsproxy_shutdown(struct wsproxy *w)
{
    note_close(w, WSFRAME_GOING_AWAY);
    finish(w, WSFRAME_GOING_AWAY, WSFRAME_GOING_AWAY, STR(""), STATS_CLOSED_SHUTDOWN);
}

/* Pass a close frame on. A side that has sent its own is parted with it. */
static void
close_side(struct ws **side, int code, struct str reason)
{
    struct ws *ws = *side;
    if (ws == NULL)
        return;
    if (ws->close_received)
        *side = NULL;
    ws_close(ws, code, reason);
}

/* FROM has said something to TO: when that is too slow it has to wait. Either may be gone. */
static void
pace(struct ws *from, struct ws *to)
{
    if (from != NULL && to != NULL && ws_queued(to) > QUEUE_MAX)
        ws_pause(from, true);
}

/* what the client says */

static void
on_client_message(struct ws *ws, const struct ws_piece *p)
{
    struct wsproxy *w = ws->user;
    w->amid = !p->last;
    count(w, STATS_CLIENT_CONTENT_RECEIVED, p->payload.len);
    count(w, STATS_CLIENT_MESSAGES_RECEIVED, p->last);
    if (w->origin == NULL)
        return;
    ws_send(w->origin, p, 1);
    pace(w->client, w->origin);
}

static void
send_control(struct ws *to, uint8_t opcode, struct str payload)
{
    struct ws_piece p = {
        .payload = payload, .opcode = opcode, .first = true, .last = true, .asks = opcode == WSFRAME_PING};
    ws_send(to, &p, 1);
}

static void
on_client_control(struct ws *ws, enum wsframe_opcode opcode, struct str payload)
{
    struct wsproxy *w = ws->user;
    if (w->origin != NULL) {
        send_control(w->origin, opcode, payload);
        pace(w->client, w->origin);
    } else if (opcode == WSFRAME_PING && ws_queued(ws) < QUEUE_MAX) {
        send_control(ws, WSFRAME_PONG, payload);
    }
}

static void
on_client_close(struct ws *ws, int code, struct str reason)
{
    struct wsproxy *w = ws->user;
    note_close(w, code);
    if (ws->close_sent) { /* the answer to the origin's */
        w->client = NULL;
        close_side(&w->origin, code, reason);
        finish(w, 0, WSFRAME_NORMAL, STR(""), STATS_CLOSED_DONE);
    } else if (w->origin != NULL && !w->amid) {
        close_side(&w->origin, code, reason); /* which answers */
    } else {                                  /* an origin that waits for the rest of a message may never do so */
        leave(&w->origin, code, reason);
        close_side(&w->client, code, reason);
        finish(w, 0, 0, STR(""), STATS_CLOSED_DONE);
    }
}

static void
on_client_drained(struct ws *ws)
{
    struct wsproxy *w = ws->user;
    if (w->origin != NULL)
        ws_pause(w->origin, false);
}

static void
on_client_gone(struct ws *ws, const char *why)
{
    struct wsproxy *w = ws->user;
    log_debug("client of %.*s: %s", STR_ARG(uri_of(w)), why);
    w->client = NULL;
    finish(w, 0, WSFRAME_GOING_AWAY, STR(""), STATS_CLOSED_CLIENT);
}

static const struct ws_user_ops client_ops = {on_client_message, on_client_control, on_client_close, on_client_drained,
                                              on_client_gone};

/* what the origin says */

static void
to_client(struct wsproxy *w, const struct ws_piece *p)
{
    if (w->client == NULL)
        return;
    ws_send(w->client, p, 1);
    count(w, STATS_CLIENT_CONTENT_SENT, p->payload.len);
    count(w, STATS_CLIENT_MESSAGES_SENT, p->last);
    if (w->hold != NULL && p->opcode < WSFRAME_CLOSE)
        wshold_sent(w->hold, p->last);
    pace(w->origin, w->client);
}

static void
on_origin_message(struct ws *ws, const struct ws_piece *p)
{
    struct wsproxy *w = ws->user;
    struct ws_piece out;
    enum wssort_result r;
    if (!w->grip) {
        to_client(w, p);
        return;
    }
    if (w->sort == NULL)
        w->sort = wssort_new(prefix_of(w));
    r = wssort_next(w->sort, p, &out);
    if (r == WSSORT_CONTENT)
        to_client(w, &out);
    else if (r == WSSORT_CONTROL)
        wshold_control(w->hold, out.payload);
    wssort_done(w->sort, p);
    if (p->last) {
        wssort_free(w->sort);
        w->sort = NULL;
    }
}

static void
on_origin_control(struct ws *ws, enum wsframe_opcode opcode, struct str payload)
{
    struct wsproxy *w = ws->user;
    if (w->client == NULL)
        return;
    send_control(w->client, opcode, payload);
    if (w->hold != NULL)
        wshold_sent_control(w->hold);
    pace(w->origin, w->client);
}

static void
on_origin_close(struct ws *ws, int code, struct str reason)
{
    struct wsproxy *w = ws->user;
    note_close(w, code);
    if (ws->close_sent) /* the answer to the client's */
        w->origin = NULL;
    close_side(&w->client, code, reason);
    if (w->client == NULL)
        finish(w, 0, WSFRAME_NORMAL, STR(""), STATS_CLOSED_DONE);
}

static void
on_origin_drained(struct ws *ws)
{
    struct wsproxy *w = ws->user;
    if (w->client != NULL)
        ws_pause(w->client, false);
}

static void
on_origin_gone(struct ws *ws, const char *why)
{
    struct wsproxy *w = ws->user;
    log_debug("origin of %.*s: %s", STR_ARG(uri_of(w)), why);
    w->origin = NULL;
    finish(w, WSFRAME_INTERNAL, 0, STR(""), STATS_CLOSED_ORIGIN);
}

static const struct ws_user_ops origin_ops = {on_origin_message, on_origin_control, on_origin_close, on_origin_drained,
                                              on_origin_gone};

/* what the hold asks for */

static struct wsproxy *
of_owner(const struct wshold_owner *o)
{
    return container_of((struct wshold_owner *)(uintptr_t)o, struct wsproxy, owner);
}

static void
on_hold_close(struct wshold_owner *o, int code, struct str reason, enum stats_counter why)
{
    note_close(of_owner(o), code);
    finish(of_owner(o), code, WSFRAME_NO_CODE, reason, why);
}

static void
on_hold_detach(struct wshold_owner *o)
{
    struct wsproxy *w = of_owner(o);
    leave(&w->origin, WSFRAME_NO_CODE, STR(""));
    if (w->client != NULL)
        ws_pause(w->client, false); /* it is read, to no end */
}

static void
on_hold_refresh(struct wshold_owner *o)
{
    struct wsproxy *w = of_owner(o);
    if (w->origin != NULL)
        ws_refresh(w->origin);
}

static struct str
on_hold_uri(const struct wshold_owner *o)
{
    return uri_of(of_owner(o));
}

/* As a URI of the web. */
static void
put_uri(const struct wshold_owner *o, struct buf *out)
{
    struct str uri = asked_of(of_owner(o));
    if (str_istarts(uri, STR("ws"))) {
        buf_adds(out, STR("http"));
        uri = str_from(uri, 2);
    }
    buf_adds(out, uri);
}

static const struct wshold_ops wshold_ops = {on_hold_close, on_hold_detach, on_hold_refresh, on_hold_uri, put_uri};

/* by its id */

/* The id is random: some bits of it are as good as a hash. */
static uint32_t
hash_of(const unsigned char id[UUID_BYTES])
{
    uint32_t hash;
    memcpy(&hash, id, sizeof hash);
    return hash;
}

uint32_t
wsproxy_hash(const struct table_node *node)
{
    return hash_of(container_of((struct table_node *)(uintptr_t)node, struct wsproxy, in_proxy)->id);
}

struct wsproxy *
wsproxy_find(const struct proxy *p, struct str id)
{
    unsigned char bytes[UUID_BYTES];
    if (uuid_parse(id, bytes) != 0)
        return NULL;
    for (struct table_node *n = table_bucket(&p->websockets, hash_of(bytes)); n != NULL; n = n->next) {
        struct wsproxy *w = container_of(n, struct wsproxy, in_proxy);
        if (memcmp(w->id, bytes, sizeof bytes) == 0)
            return w;
    }
    return NULL;
}

/* beginning */

static void
count_begin(struct wsproxy *w, const struct wsproxy_begin *b)
{
    struct stats_conn c = {.who = w,
                           .ws = true,
                           .address = b->address,
                           .route = b->group > 0 ? b->route->id : NULL,
                           .slot = b->group,
                           .secure = b->secure};
    w->owner.live = stats_conn_start(w->owner.proxy->stats, &c);
}

static void
begin_hold(struct wsproxy *w, const struct wsproxy_begin *b)
{
    log_session(w, "added");
    w->hold = wshold_new(b->client, b->route, b->target);
    for (unsigned i = 0; b->channels != NULL && i < b->channels->n; i++)
        if (str_ieq(b->channels->at[i].name, STR("Grip-Channel")))
            wshold_subscribe(w->hold, b->channels->at[i].value);
}

static size_t
put(char *to, struct str text)
{
    if (text.len > 0)
        memcpy(to, text.ptr, text.len);
    return text.len;
}

static struct wsproxy *
wsproxy_alloc(const struct wsproxy_begin *b)
{
    bool logged = log_on(LOG_INFO), grip = b->prefix.ptr != NULL;
    struct str asked = (logged || grip) && !str_eq(b->asked, b->uri) ? b->asked : STR("");
    struct str target = logged ? str_sub(str_c(b->target->text), 0, UINT8_MAX) : STR("");
    size_t text = b->prefix.len + b->uri.len + asked.len + target.len;
    bool has_end = asked.len + target.len > 0;
    struct wsproxy *w =
        slab_alloc(has_end ? sizeof *w + sizeof(struct wsend) + text : offsetof(struct wsproxy, text) + text);
    char *to;
    w->has_end = has_end;
    w->grip = grip;
    w->prefix_len = (uint16_t)b->prefix.len;
    w->uri_len = (uint32_t)b->uri.len;
    if (has_end)
        *end_of(w) = (struct wsend){.began = clock_now(),
                                    .asked_len = (uint32_t)asked.len,
                                    .target_len = (uint8_t)target.len,
                                    .over_http = b->over_http};
    to = text_of(w);
    to += put(to, b->prefix);
    to += put(to, b->uri);
    to += put(to, asked);
    put(to, target);
    return w;
}

void
wsproxy_new(struct proxy *p, const struct wsproxy_begin *b)
{
    struct wsproxy *w = wsproxy_alloc(b);
    w->owner = (struct wshold_owner){.proxy = p, .ops = &wshold_ops, .group = (uint16_t)b->group};
    w->client = b->client;
    w->origin = b->origin;
    if (ws_id(b->origin) != NULL)
        memcpy(w->id, ws_id(b->origin), sizeof w->id);
    else
        uuid_make(w->id);
    table_add(&p->websockets, &w->in_proxy);
    ws_join(w->client, &client_ops, w);
    ws_join(w->origin, &origin_ops, w);
    count_begin(w, b);
    if (w->grip || b->channels != NULL || b->target->subs.n > 0)
        begin_hold(w, b);
    route_unref(b->route); /* the hold has its own */
}
