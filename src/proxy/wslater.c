#include "proxy/wsholdbase.h"

#include <stdlib.h>

void
wslater_start_keep_alive(struct wshold *h)
{
    struct wshold_more *m = h->more;
    loop_timer(wshold_proxy(h)->loop, &m->keep_alive_timer,
               (uint64_t)m->keep_alive_s * 1000 - (uint64_t)random() % 1000);
}

static void
send_now(struct wshold *h, const struct wslater *l)
{
    struct ws_piece p = {.payload = str_of(l->content, l->len), .opcode = l->opcode, .first = true, .last = true};
    ws_send(wshold_client(h), &p, 1);
}

static void
on_keep_alive(struct timer *t)
{
    struct wshold_more *m = container_of(t, struct wshold_more, keep_alive_timer);
    struct wshold *h = m->owner;
    wslater_start_keep_alive(h);
    if (h->amid || ws_queued(wshold_client(h)) > 0)
        return;
    send_now(h, &m->keep_alive);
    stats_activity(wshold_proxy(h)->stats, wshold_owner(h)->group, 1);
}

void
wslater_flush(struct wshold *h)
{
    struct wshold_more *m = h->more;
    struct wslater l;
    if (m == NULL || !m->delayed.set)
        return;
    if (h->amid) {
        m->due = true;
        return;
    }
    l = m->delayed;
    m->delayed = (struct wslater){.set = false};
    m->due = false;
    loop_timer_stop(wshold_proxy(h)->loop, &m->delayed_timer);
    send_now(h, &l);
    mem_free(l.content);
    wslater_touch(h);
}

static void
on_delayed(struct timer *t)
{
    wslater_flush(container_of(t, struct wshold_more, delayed_timer)->owner);
}

/* Take the control message's content over. */
static struct wslater
take_content(struct wscontrol *c)
{
    struct wslater l = {c->content, c->content_len, (uint8_t)c->opcode, true};
    c->content = NULL;
    return l;
}

void
wslater_set_keep_alive(struct wshold *h, struct wscontrol *c)
{
    struct wshold_more *m = wshold_more(h);
    mem_free(m->keep_alive.content);
    m->keep_alive = (struct wslater){.set = false};
    loop_timer_stop(wshold_proxy(h)->loop, &m->keep_alive_timer);
    if (!c->has_content)
        return;
    m->keep_alive = take_content(c);
    m->keep_alive_s = c->timeout;
    m->interval = c->interval;
    wslater_start_keep_alive(h);
}

void
wslater_delay(struct wshold *h, struct wscontrol *c)
{
    struct wshold_more *m = wshold_more(h);
    if (m->delayed.set && h->amid)
        return; /* one may wait, and nothing can be sent now */
    wslater_flush(h);
    m->delayed = take_content(c);
    loop_timer(wshold_proxy(h)->loop, &m->delayed_timer, (uint64_t)c->timeout * 1000);
}

/* beginning and end */

void
wslater_init(struct wshold_more *m)
{
    timer_init(&m->keep_alive_timer, on_keep_alive);
    timer_init(&m->delayed_timer, on_delayed);
}

void
wslater_stop(struct wshold *h)
{
    loop_timer_stop(wshold_proxy(h)->loop, &h->more->keep_alive_timer);
    loop_timer_stop(wshold_proxy(h)->loop, &h->more->delayed_timer);
}

void
wslater_clear(struct wshold_more *m)
{
    mem_free(m->keep_alive.content);
    mem_free(m->delayed.content);
}
