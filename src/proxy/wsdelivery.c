#include "proxy/wsholdbase.h"

#include "base/log.h"
#include "proto/wsdeflate.h"
#include "pub/filter.h"

enum { PIECES = 16 }; /* of one ws_send() */

static struct wshold *
of_hold(const struct hold *h)
{
    return container_of((struct hold *)(uintptr_t)h, struct wshold, hold);
}

/* The client reads too slowly, or not at all, and a message is too much. Close rather than leave a gap, unless the
 * configuration asks for gaps. false: the hold has been closed. */
static bool
miss(struct wshold *h)
{
    const struct route *route = h->hold.route;
    bool drop = wshold_proxy(h)->config->drop_for_slow_websockets;
    char peer[ADDRESS_TEXT_MAX];
    struct str from = ws_peer(wshold_client(h), peer);
    stats_add(wshold_proxy(h)->stats, wshold_owner(h)->group, STATS_DROPPED_QUEUE, 1);
    if (!h->losing)
        log_warn("client reads too slowly, %s: %.*s from=%.*s%s%s channel=%.*s queued=%zu",
                 drop ? "messages are dropped" : "closing", STR_ARG(wshold_uri(h)), STR_ARG(from),
                 route->explicit_id ? " route=" : "", route->explicit_id ? route->id : "",
                 STR_ARG(hold_channel(&h->hold)), ws_queued(wshold_client(h)));
    h->losing = true;
    if (drop)
        return true;
    wshold_owner(h)->ops->close(wshold_owner(h), WSFRAME_POLICY, STR(""), STATS_CLOSED_SLOW);
    return false;
}

/* published messages */

/* What waits for the client is bounded; an empty queue takes a message of any size. */
static bool
is_too_slow(struct wshold *h, size_t more)
{
    size_t queued = ws_queued(wshold_client(h));
    h->losing = h->losing && queued > 0;
    return queued > 0 && queued + more > (size_t)wshold_proxy(h)->config->connection_queue_max;
}

static struct ws_piece
piece_of(struct msg *m, bool pack)
{
    struct ws_piece p = {.payload = m->payload,
                         .framed = m->framed,
                         .owner = &m->shared,
                         .opcode = (uint8_t)msg_opcode(m->format),
                         .first = true,
                         .last = true};
    if (pack && p.opcode < WSFRAME_CLOSE) {
        struct shared_bytes *packed = msg_packed(m);
        p.framed = str_of(packed->data, packed->len);
        p.owner = &packed->shared;
        p.packed = true;
    }
    return p;
}

static void
flush(struct wshold *h, const struct ws_piece *pieces, unsigned n)
{
    if (n == 0)
        return;
    ws_send(wshold_client(h), pieces, n);
    stats_add(wshold_proxy(h)->stats, wshold_owner(h)->group, STATS_CLIENT_MESSAGES_SENT, n);
}

/* false: the hold has been closed. */
static bool
send_messages(struct wshold *h, struct msg *const *msgs, unsigned n)
{
    struct ws_piece pieces[PIECES];
    bool pack = ws_bits(wshold_client(h)) == WSDEFLATE_BITS;
    unsigned used = 0;
    for (unsigned i = 0; i < n; i++) {
        const struct format *f = msgs[i]->format;
        if (f->action == ACTION_CLOSE) {
            flush(h, pieces, used);
            wshold_owner(h)->ops->close(wshold_owner(h), f->has_close_code ? f->close_code : WSFRAME_NORMAL,
                                        str_c(f->close_reason), STATS_CLOSED_DONE);
            return false;
        }
        if (f->action == ACTION_REFRESH)
            wshold_owner(h)->ops->refresh(wshold_owner(h));
        if (f->action != ACTION_SEND)
            continue;
        if (used == PIECES) {
            flush(h, pieces, used);
            used = 0;
        }
        if (used == 0 && is_too_slow(h, msgs[i]->framed.len)) {
            if (!miss(h))
                return false;
            continue;
        }
        pieces[used++] = piece_of(msgs[i], pack);
    }
    flush(h, pieces, used);
    wslater_touch(h);
    return true;
}

/* Keep what may not stand between the pieces of the origin's message. */
static void
keep_waiting(struct wshold *h, struct msg *const *msgs, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        if (!backlog_add(&wshold_more(h)->waiting, msgs[i], (size_t)wshold_proxy(h)->config->connection_queue_max) &&
            !miss(h))
            return;
}

static inline void
pass(struct wshold *h, struct msg *const *msgs, unsigned n)
{
    if (h->amid)
        keep_waiting(h, msgs, n);
    else
        send_messages(h, msgs, n);
}

static void
deliver(struct sub *sub, struct msg *const *msgs, unsigned n)
{
    pass(of_hold(sub->hold), msgs, n);
}

void
wsdelivery_resume(struct wshold *h)
{
    struct backlog b = h->more->waiting;
    h->more->waiting = (struct backlog){.at = NULL};
    if (send_messages(h, b.at, b.n) && h->more->due)
        wslater_flush(h);
    backlog_clear(&b);
}

/* A message cannot be filtered. Whoever debugs wants to see that at once. */
static void
unfiltered(struct sub *sub, const char *why)
{
    struct wshold *h = of_hold(sub->hold);
    if (wshold_proxy(h)->config->debug || h->hold.route->debug)
        wshold_owner(h)->ops->close(wshold_owner(h), WSFRAME_INTERNAL, str_c(why), STATS_CLOSED_ERROR);
}

/* filters that ask a server */

/* M has come to an end; PASSED, with PASS, comes with a reference. */
static void
on_filtered(struct hold *hold, struct msg *m, enum filter_result result, struct msg *passed, struct err *e)
{
    struct wshold *h = of_hold(hold);
    struct sub *sub = hold_find(hold, m->item->channel);
    if (sub != NULL && result == FILTER_PASS)
        pass(h, &passed, 1);
    else if (sub != NULL)
        stats_add(wshold_proxy(h)->stats, wshold_owner(h)->group, STATS_DROPPED_FILTER, 1);
    if (sub != NULL && result == FILTER_FAIL)
        unfiltered(sub, e->text);
    if (passed != NULL)
        msg_unref(passed);
}

static void
on_turn(struct hold *hold, struct msg *m, unsigned how)
{
    struct sub *sub = hold_find(hold, m->item->channel);
    struct msg *passed = NULL;
    enum filter_result result;
    struct err e;
    (void)how;
    if (sub == NULL)
        return;
    result = netfilter_run(of_hold(hold)->more->asking, sub, m, &passed, &e);
    if (result != FILTER_ASK)
        on_filtered(hold, m, result, passed, &e);
}

static void
deliver_asking(struct sub *sub, struct msg *const *msgs, unsigned n)
{
    struct wshold *h = of_hold(sub->hold);
    for (unsigned i = 0; i < n && !h->closed; i++) {
        if (!netfilter_busy(h->more->asking))
            on_turn(&h->hold, msgs[i], 1);
        else if (!netfilter_keep(h->more->asking, msgs[i], 1))
            stats_add(wshold_proxy(h)->stats, wshold_owner(h)->group, STATS_DROPPED_QUEUE, 1);
    }
}

static void
put_uri(const struct hold *hold, struct buf *out)
{
    const struct wshold *h = of_hold(hold);
    wshold_owner(h)->ops->put_uri(wshold_owner(h), out);
}

static void
put_meta(const struct hold *hold, json_t *out)
{
    wsmeta_put(of_hold(hold)->more->meta, out);
}

static void
update(struct hold *hold, enum hold_update how)
{
    struct wshold *h = of_hold(hold);
    if (how == UPDATE_HIGH) /* the other is for HTTP holds */
        wshold_owner(h)->ops->refresh(wshold_owner(h));
}

static struct str
get_meta(const struct hold *hold, struct str name)
{
    const struct wshold_more *m = of_hold(hold)->more;
    return m != NULL ? wsmeta_get(m->meta, name) : str_of(NULL, 0);
}

const struct hold_ops wsdelivery_ops = {deliver, update, get_meta, unfiltered};
static const struct hold_ops asking_ops = {deliver_asking, update, get_meta, unfiltered};

void
wsdelivery_begin_asking(struct wshold *h)
{
    static const struct netfilter_ops ops = {put_uri, put_meta, NULL, on_filtered, on_turn};
    if (wshold_more(h)->asking == NULL)
        h->more->asking = netfilter_new(wshold_proxy(h), &h->hold, &ops);
    h->hold.ops = &asking_ops;
    h->hold.filters_itself = true;
}
