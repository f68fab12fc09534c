#include "origin/wsoverhttpbase.h"

#include "base/log.h"

enum {
    KEEP_ALIVE_MIN = 20, /* s */
    META_MAX = 64,       /* items, and bytes of one */
    META_BYTES = 8192
};

/* headers */

static void
set_meta(struct wsoverhttp *w, struct str name, struct str value)
{
    struct buf whole = BUF_INIT(META_BYTES);
    buf_adds(&whole, STR("Meta-"));
    if (buf_adds(&whole, name) == 0 && value.len < META_BYTES) {
        headers_remove(&w->meta, buf_str(&whole));
        if (value.len > 0 && w->meta.n < META_MAX)
            headers_add(&w->meta, buf_str(&whole), value);
    }
    buf_clear(&whole);
}

static void
set_keep_alive(struct wsoverhttp *w, struct str value)
{
    int64_t seconds = 0;
    if (str_i64(value, &seconds) != 0 || seconds <= 0) {
        w->keep_alive = 0;
        return;
    }
    if (seconds < KEEP_ALIVE_MIN) {
        log_info("Keep-Alive-Interval %lld of %s is below the minimum, using %d", (long long)seconds,
                 w->route->targets[0].text, KEEP_ALIVE_MIN);
        seconds = KEEP_ALIVE_MIN;
    }
    w->keep_alive = seconds > 86400 ? 86400 : (int)seconds;
}

static void
read_headers(struct wsoverhttp *w, const struct headers *h)
{
    static const struct str set_meta_prefix = {"Set-Meta-", 9};
    struct str interval = headers_get(h, STR("Keep-Alive-Interval"));
    for (unsigned i = 0; i < h->n; i++)
        if (str_istarts(h->at[i].name, set_meta_prefix) && h->at[i].name.len > set_meta_prefix.len)
            set_meta(w, str_from(h->at[i].name, set_meta_prefix.len), h->at[i].value);
    if (interval.ptr != NULL)
        set_keep_alive(w, interval);
}

/* events */

/* The code of an origin's CLOSE that may be passed on. */
static int
close_code(struct str content, struct str *reason)
{
    int code = wsframe_close_code(content, reason);
    if (content.len == 0)
        return WSFRAME_NO_CODE;
    if (content.len >= 2 && wsframe_code_ok(code) && str_utf8(*reason))
        return code;
    *reason = STR("");
    return content.len >= 2 && code == 0 ? WSFRAME_NORMAL : WSFRAME_INTERNAL;
}

static void
give_message(struct wsoverhttp *w, enum wsframe_opcode opcode, struct str content)
{
    struct ws_piece p = {.payload = content, .opcode = (uint8_t)opcode, .first = true, .last = true};
    if (w->ws.user_ops == NULL)
        return;
    if (opcode < WSFRAME_CLOSE)
        w->ws.user_ops->on_message(&w->ws, &p);
    else
        w->ws.user_ops->on_control(&w->ws, opcode, content);
}

static void
give_close(struct wsoverhttp *w, struct str content)
{
    const struct ws_user_ops *ops = w->ws.user_ops;
    struct str reason;
    int code = close_code(content, &reason);
    w->ws.close_received = true;
    if (w->ws.close_sent)
        w->ws.user_ops = NULL;
    if (ops != NULL)
        ops->on_close(&w->ws, code, reason);
}

/* One event of a response. false: what follows it does not count. */
static bool
give(struct wsoverhttp *w, const struct wsevent *e)
{
    switch (e->type) {
    case WSEVENT_TEXT:
        give_message(w, WSFRAME_TEXT, e->content);
        return true;
    case WSEVENT_BINARY:
        give_message(w, WSFRAME_BINARY, e->content);
        return true;
    case WSEVENT_PING:
    case WSEVENT_PONG:
        give_message(w, e->type == WSEVENT_PING ? WSFRAME_PING : WSFRAME_PONG, e->content);
        return true;
    case WSEVENT_CLOSE:
        give_close(w, e->content);
        return false;
    case WSEVENT_OPEN:
    case WSEVENT_DISCONNECT:
        wsoverhttp_fail(w, "the origin has disconnected");
        return false;
    case WSEVENT_UNKNOWN:
        break;
    }
    return true;
}

/* What RFC 6455 does not let us pass on. */
static bool
may_pass(struct str body)
{
    struct wsevent e;
    while (wsevents_next(&body, &e) == WSEVENTS_EVENT)
        if ((e.type == WSEVENT_TEXT && !str_utf8(e.content)) ||
            ((e.type == WSEVENT_PING || e.type == WSEVENT_PONG) && e.content.len > WSFRAME_CONTROL_MAX))
            return false;
    return true;
}

static void
give_all(struct wsoverhttp *w, struct str body)
{
    struct wsevent e;
    while (w->state != WOH_OVER && wsevents_next(&body, &e) == WSEVENTS_EVENT)
        if (!give(w, &e))
            break;
}

/* whole responses */

void
wsanswer_opened(struct wsoverhttp *w, struct http1_head *head, struct str body)
{
    struct wsevent e;
    struct str rest = body;
    read_headers(w, &head->headers);
    if (body.len == 0 && w->keep_alive > 0) {
        if (w->left)
            wsoverhttp_end(w);
        else
            wsoverhttp_start_keep_alive(w); /* not yet: OPEN is sent again */
        return;
    }
    if (!wsevents_ok(body, NULL) || !may_pass(body) || wsevents_next(&rest, &e) != WSEVENTS_EVENT ||
        e.type != WSEVENT_OPEN) {
        wsoverhttp_fail_open(w, REQUEST_LOST, "invalid response to OPEN");
        return;
    }
    w->state = WOH_IDLE;
    wsoverhttp_start_keep_alive(w);
    if (!w->left) {
        w->ops->on_open(w->user, head, &w->ws);
        w->state = WOH_ASKING; /* nothing is sent before all has been heard */
        give_all(w, rest);
        if (w->state == WOH_ASKING)
            w->state = WOH_IDLE;
    }
    wsround_kick(w);
}

void
wsanswer_take(struct wsoverhttp *w, struct http1_head *head, struct str body, bool with_disconnect)
{
    struct str accepted = headers_get(&head->headers, STR("Content-Bytes-Accepted"));
    uint64_t n = UINT64_MAX;
    bool waited = !wsqueue_empty(&w->queue);
    if (accepted.ptr == NULL || str_u64(accepted, &n) != 0)
        n = UINT64_MAX;
    if (with_disconnect) {
        wsoverhttp_end(w);
        return;
    }
    if (!wsevents_ok(body, NULL) || !may_pass(body)) {
        wsoverhttp_fail(w, "invalid events in a response");
        return;
    }
    if (wsqueue_accept(&w->queue, n) != 0) {
        wsoverhttp_fail(w, "invalid Content-Bytes-Accepted in a response");
        return;
    }
    w->retries = 0;
    read_headers(w, &head->headers);
    if (!w->left)
        give_all(w, body); /* still ASKING */
    if (w->state != WOH_ASKING)
        return;
    w->state = WOH_IDLE;
    if (w->ws.close_sent && !w->ws.close_received && wsqueue_empty(&w->queue) && w->keep_alive == 0 && !w->left) {
        wsoverhttp_fail(w, "CLOSE was not answered");
        return;
    }
    if (w->ws.close_sent && w->ws.close_received && w->ws.user_ops == NULL)
        wsoverhttp_user_left(w);
    wsoverhttp_start_keep_alive(w);
    if (waited && w->ws.user_ops != NULL)
        w->ws.user_ops->on_drained(&w->ws); /* or what was not accepted waits for more to come */
    wsround_kick(w);
}
