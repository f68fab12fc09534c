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
    stats_add(w->proxy->stats, w->group, what, n);
}

/* ending */

static size_t
size_of(const struct wsproxy *w)
{
    return sizeof *w + w->uri_len + w->asked_len + w->target_len;
}

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
    if (w->closed == 0)
        w->closed = (uint16_t)code;
}

static void
log_end(const struct wsproxy *w)
{
    struct reqlog_end end = {.uri = str_of(w->text, w->uri_len),
                             .target = str_of(w->text + w->uri_len + w->asked_len, w->target_len),
                             .over_http = w->over_http,
                             .code = w->closed != 0 ? w->closed : WSFRAME_ABNORMAL,
                             .began = w->began};
    if (w->asked_len > 0)
        end.uri = str_of(w->text + w->uri_len, w->asked_len);
    if (w->target_len > 0)
        reqlog_end(w->proxy, &end);
}

static void
log_session(const struct wsproxy *w, const char *what)
{
    char text[STATS_ID_MAX];
    struct str id = log_on(LOG_DEBUG) ? stats_conn_id(w->proxy->stats, w->live, text) : STR("");
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
    if (!list_in(&w->in_proxy))
        return;
    list_remove(&w->proxy->websockets, &w->in_proxy);
    log_end(w);
    if (w->hold != NULL) {
        log_session(w, "removed");
        wshold_close(w->hold);
    }
    stats_conn_end(w->proxy->stats, w->group, &w->live, why);
    w->hold = NULL;
    leave(&w->client, client_code, reason);
    leave(&w->origin, origin_code, STR(""));
    loop_reap(w->proxy->loop, w, wsproxy_free);
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
    log_debug("client of %.*s: %s", (int)w->uri_len, w->text, why);
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
    if (w->sort == NULL) {
        to_client(w, p);
        return;
    }
    r = wssort_next(w->sort, p, &out);
    if (r == WSSORT_CONTENT)
        to_client(w, &out);
    else if (r == WSSORT_CONTROL)
        wshold_control(w->hold, out.payload);
    wssort_done(w->sort, p);
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
    log_debug("origin of %.*s: %s", (int)w->uri_len, w->text, why);
    w->origin = NULL;
    finish(w, WSFRAME_INTERNAL, 0, STR(""), STATS_CLOSED_ORIGIN);
}

static const struct ws_user_ops origin_ops = {on_origin_message, on_origin_control, on_origin_close, on_origin_drained,
                                              on_origin_gone};

/* what the hold asks for */

static void
on_hold_close(void *user, int code, struct str reason, enum stats_counter why)
{
    note_close(user, code);
    finish(user, code, WSFRAME_NO_CODE, reason, why);
}

static void
on_hold_detach(void *user)
{
    struct wsproxy *w = user;
    leave(&w->origin, WSFRAME_NO_CODE, STR(""));
    if (w->client != NULL)
        ws_pause(w->client, false); /* it is read, to no end */
}

static void
on_hold_refresh(void *user)
{
    struct wsproxy *w = user;
    if (w->origin != NULL)
        ws_refresh(w->origin);
}

static struct str
id_of(void *user, char text[STATS_ID_MAX])
{
    const struct wsproxy *w = user;
    return stats_conn_id(w->proxy->stats, w->live, text);
}

/* As a URI of the web. */
static void
put_uri(const void *user, struct buf *out)
{
    const struct wsproxy *w = user;
    struct str uri = w->asked_len > 0 ? str_of(w->text + w->uri_len, w->asked_len) : str_of(w->text, w->uri_len);
    if (str_istarts(uri, STR("ws"))) {
        buf_adds(out, STR("http"));
        uri = str_from(uri, 2);
    }
    buf_adds(out, uri);
}

static const struct wshold_ops wshold_ops = {on_hold_close, on_hold_detach, on_hold_refresh, id_of, put_uri};

/* beginning */

static void
begin_hold(struct wsproxy *w, const struct wsproxy_begin *b)
{
    struct wshold_begin hb = {.client = b->client,
                              .route = b->route,
                              .target = b->target,
                              .uri = str_of(w->text, w->uri_len),
                              .ops = &wshold_ops,
                              .group = w->group,
                              .user = w};
    log_session(w, "added");
    w->hold = wshold_new(w->proxy, &hb);
    for (unsigned i = 0; b->channels != NULL && i < b->channels->n; i++)
        if (str_ieq(b->channels->at[i].name, STR("Grip-Channel")))
            wshold_subscribe(w->hold, b->channels->at[i].value);
}

static struct wsproxy *
wsproxy_alloc(const struct wsproxy_begin *b)
{
    struct wsproxy like = {.uri_len = (uint32_t)b->uri.len}, *w;
    struct str target = str_sub(str_c(b->target->text), 0, UINT8_MAX);
    if (log_on(LOG_INFO))
        like.target_len = (uint8_t)target.len;
    if ((like.target_len > 0 || b->prefix.ptr != NULL) && !str_eq(b->asked, b->uri)) /* for the log, or filters */
        like.asked_len = (uint32_t)b->asked.len;
    w = slab_alloc(size_of(&like));
    *w = like;
    memcpy(w->text, b->uri.ptr, b->uri.len);
    memcpy(w->text + w->uri_len, b->asked.ptr, w->asked_len);
    memcpy(w->text + w->uri_len + w->asked_len, target.ptr, w->target_len);
    return w;
}

void
wsproxy_new(struct proxy *p, const struct wsproxy_begin *b)
{
    struct wsproxy *w = wsproxy_alloc(b);
    w->proxy = p;
    w->began = clock_now();
    w->over_http = b->over_http;
    w->client = b->client;
    w->origin = b->origin;
    w->live = b->live;
    w->group = (uint16_t)b->group;
    list_push_back(&p->websockets, &w->in_proxy);
    ws_join(w->client, &client_ops, w);
    ws_join(w->origin, &origin_ops, w);
    if (b->prefix.ptr != NULL)
        w->sort = wssort_new(b->prefix);
    if (w->sort != NULL || b->channels != NULL || b->target->subs.n > 0)
        begin_hold(w, b);
    route_unref(b->route); /* the hold has its own */
}
