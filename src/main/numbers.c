#include "main/numbers.h"

#include "base/log.h"
#include "client/h1server.h"
#include "ctl/control.h"
#include "ctl/metrics.h"
#include "io/listener.h"
#include "proxy/proxy.h"

enum { METRICS_TIMEOUT_S = 30 };

/* stats */

static unsigned
subscribers(const void *channel, enum stats_transport mode, struct str *name)
{
    const struct channel *ch = channel;
    *name = ch->node.key;
    return channel_receivers(ch, (enum format_kind)mode);
}

void
numbers_count(struct numbers *n, struct channel *ch, enum format_kind kind)
{
    stats_sub(n->stats, &ch->counted, ch, (enum stats_transport)kind, channel_receivers(ch, kind));
}

static void
tell_sub(struct channel *ch, void *arg)
{
    const struct numbers *n = arg;
    for (int kind = 0; kind < FORMAT_KINDS; kind++)
        stats_sub_there(n->stats, &ch->counted, ch, (enum stats_transport)kind, channel_receivers(ch, kind));
}

static void
tell_subs(void *arg)
{
    struct numbers *n = arg;
    if (n->channels != NULL)
        walk_start(&n->telling, n->channels);
}

void
numbers_watch(struct numbers *n, struct loop *l, struct channels *c)
{
    n->channels = c;
    walk_init(&n->telling, l, tell_sub, NULL, n);
}

void
numbers_unwatch(struct numbers *n)
{
    if (n->channels != NULL)
        walk_stop(&n->telling);
    n->channels = NULL;
}

int
numbers_open(struct numbers *n, struct loop *l, struct zcontext *z, const struct config *c, struct err *e)
{
    static const struct stats_ops ops = {proxy_peer, proxy_ws_peer, proxy_ws_id, subscribers, tell_subs};
    struct stats_settings settings = {.spec = c->stats_spec,
                                      .ipc_mode = c->ipc_file_mode,
                                      .json = c->stats_json,
                                      .send_conns = c->stats_connection_send,
                                      .conn_ttl = (unsigned)c->stats_connection_ttl,
                                      .sub_ttl = (unsigned)c->stats_subscription_ttl,
                                      .sub_linger = (unsigned)c->subscription_linger,
                                      .report_interval = c->stats_report_interval,
                                      .block_size = (unsigned)c->message_block_size};
    n->stats = stats_new(l, z, &settings, &ops, n, e);
    return n->stats != NULL ? 0 : -1;
}

/* metrics */

static void
on_scraper(void *arg, int fd)
{
    struct metrics_port *m = arg;
    h1server_accept(m->scrapers, fd, NULL);
    listener_pause(m->listener, h1server_count(m->scrapers) >= METRICS_CONNECTIONS_MAX);
}

static void
on_closed(void *arg)
{
    struct metrics_port *m = arg;
    if (m->listener != NULL)
        listener_pause(m->listener, false);
}

static void
on_request(void *arg, struct xchg *x)
{
    struct metrics_port *m = arg;
    metrics_request(m->metrics, x);
}

static const struct h1server_ops scraper_ops = {on_request, control_bad_text, on_closed};

/* MESSAGES: also how many there were. */
static int
open_port(struct numbers *n, struct metrics_port *m, struct loop *l, const struct config *c,
          const struct config_metrics *from, bool messages, struct err *e)
{
    struct h1server_settings settings = {.max_head = METRICS_HEAD_MAX,
                                         .idle_timeout = METRICS_TIMEOUT_S,
                                         .activity_timeout = METRICS_TIMEOUT_S,
                                         .allow_no_host = true};
    struct listener_spec spec = {.addr = from->addr, .port = (uint16_t)from->port, .mode = -1};
    if (from->addr == NULL)
        return 0;
    if (str_starts(str_c(spec.addr), STR("ipc://")))
        spec = (struct listener_spec){.path = spec.addr + 6, .mode = c->ipc_file_mode};
    m->listener = listener_new(l, &spec, on_scraper, m, e);
    if (m->listener == NULL) {
        err_prefix(e, "unable to bind to prometheus port: %.300s: ", from->text);
        return -1;
    }
    m->metrics = metrics_new(n->stats, from->prefix, messages);
    m->scrapers = h1server_new(l, &settings, &scraper_ops, m);
    log_info("metrics server: %s", listener_name(m->listener));
    return 0;
}

int
numbers_open_metrics(struct numbers *n, struct loop *l, const struct config *c, struct err *e)
{
    return open_port(n, &n->ports[0], l, c, &c->metrics, true, e) == 0 &&
                   open_port(n, &n->ports[1], l, c, &c->proxy_metrics, false, e) == 0
               ? 0
               : -1;
}

/* the end */

void
numbers_stop(struct numbers *n)
{
    for (struct metrics_port *m = n->ports; m < n->ports + countof(n->ports); m++) {
        if (m->listener != NULL)
            listener_free(m->listener);
        m->listener = NULL;
        if (m->scrapers != NULL)
            h1server_shutdown(m->scrapers);
    }
}

void
numbers_close(struct numbers *n)
{
    numbers_stop(n);
    for (struct metrics_port *m = n->ports; m < n->ports + countof(n->ports); m++) {
        if (m->scrapers != NULL)
            h1server_free(m->scrapers);
        if (m->metrics != NULL)
            metrics_free(m->metrics);
    }
    if (n->stats != NULL)
        stats_free(n->stats);
}
