#include "origin/wsoverhttpbase.h"

/* events */

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
    int code = wsterms_close_code(content, &reason);
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
    struct wsoverhttp_more *m = w->more;
    wsoverhttp_read_terms(w, &head->headers);
    if (body.len == 0 && wsoverhttp_keep_alive(w) > 0) {
        if (w->left)
            wsoverhttp_end(w);
        else
            wsoverhttp_start_keep_alive(w); /* not yet: OPEN is sent again */
        return;
    }
    if (!wsterms_may_pass(body) || wsevents_next(&rest, &e) != WSEVENTS_EVENT || e.type != WSEVENT_OPEN) {
        wsoverhttp_fail_open(w, REQUEST_LOST, "invalid response to OPEN");
        return;
    }
    w->state = WOH_IDLE;
    wsoverhttp_start_keep_alive(w);
    if (!w->left) {
        list_remove(&w->set->apart, &m->apart);
        m->ops->on_open(m->user, head, &w->ws);
        w->state = WOH_ASKING; /* nothing is sent before all has been heard */
        give_all(w, rest);
        if (w->state == WOH_ASKING)
            w->state = WOH_IDLE;
    }
    wsround_kick(w);
    wsoverhttp_settle(w);
}

void
wsanswer_take(struct wsoverhttp *w, struct http1_head *head, struct str body, bool with_disconnect)
{
    struct str accepted = headers_get(&head->headers, STR("Content-Bytes-Accepted"));
    struct wsoverhttp_more *m = w->more;
    uint64_t n = UINT64_MAX;
    bool waited = !wsqueue_empty(&m->queue);
    if (accepted.ptr == NULL || str_u64(accepted, &n) != 0)
        n = UINT64_MAX;
    if (with_disconnect) {
        wsoverhttp_end(w);
        return;
    }
    if (!wsterms_may_pass(body)) {
        wsoverhttp_fail(w, "invalid events in a response");
        return;
    }
    if (wsqueue_accept(&m->queue, n) != 0) {
        wsoverhttp_fail(w, "invalid Content-Bytes-Accepted in a response");
        return;
    }
    m->retries = 0;
    wsoverhttp_read_terms(w, &head->headers);
    if (!w->left)
        give_all(w, body); /* still ASKING */
    if (w->state != WOH_ASKING)
        return;
    w->state = WOH_IDLE;
    if (w->ws.close_sent && !w->ws.close_received && wsqueue_empty(&m->queue) && wsoverhttp_keep_alive(w) == 0 &&
        !w->left) {
        wsoverhttp_fail(w, "CLOSE was not answered");
        return;
    }
    if (w->ws.close_sent && w->ws.close_received && w->ws.user_ops == NULL)
        wsoverhttp_user_left(w);
    wsoverhttp_start_keep_alive(w);
    if (waited && w->ws.user_ops != NULL)
        w->ws.user_ops->on_drained(&w->ws); /* or what was not accepted waits for more to come */
    wsround_kick(w);
    wsoverhttp_settle(w);
}
