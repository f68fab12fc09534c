/* pushpind.c - builds everything, wires the callbacks, runs, reloads, stops. */
#include "base/clock.h"
#include "base/log.h"
#include "client/h1server.h"
#include "conf/config.h"
#include "conf/routes.h"
#include "io/loop.h"
#include "io/resolver.h"
#include "io/watch.h"
#include "io/zsock.h"
#include "main/descriptors.h"
#include "main/doors.h"
#include "main/numbers.h"
#include "main/options.h"
#include "main/ports.h"
#include "main/trim.h"
#include "origin/request.h"
#include "proxy/proxy.h"
#include "pub/channel.h"
#include "pub/fanout.h"
#include "pub/publish.h"
#include "ws/wsconn.h"

#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

enum {
    STOP_MS = 4000,         /* for what is under way when we are told to stop */
    STOP_LOOK_MS = 50,      /* between two looks whether all is done */
    ROUTES_DELAY_MS = 1000, /* from a change of the routes file to reading it */
    ROUTES_POLL_MS = 1000   /* between two looks at it where inotify does not work */
};

struct pushpind {
    struct options options;
    struct config *config;
    struct loop *loop;
    struct routes *routes;
    struct watch *watch; /* NULL with --route */
    struct zcontext *zcontext;
    struct numbers numbers;
    struct channels *channels;
    struct fanout *fanout;
    struct publish *publish;
    struct resolver *resolver;
    struct origin *origin;
    struct wsconns *wsconns;
    struct proxy *proxy;
    struct h1server *clients;
    struct ports *ports; /* where clients come in */
    struct doors doors;  /* where publishers do */
    size_t max_clients;
    struct trim trim;
    struct timer stop; /* set while stopping */
    uint64_t stop_at;  /* ms; 0: running */
    bool clients_told; /* that we stop */
};

/* clients */

static size_t
count_clients(const struct pushpind *p)
{
    return h1server_count(p->clients) + wsconns_clients(p->wsconns);
}

static void
pace_listeners(struct pushpind *p)
{
    bool full = count_clients(p) >= p->max_clients;
    ports_pause(p->ports, full);
}

static void
on_client(void *arg)
{
    struct pushpind *p = arg;
    if (count_clients(p) >= p->max_clients)
        pace_listeners(p);
}

static void
on_no_descriptor(void *arg)
{
    struct pushpind *p = arg;
    origin_shed(p->origin);
}

static void
on_request(void *arg, struct xchg *x)
{
    struct pushpind *p = arg;
    proxy_request(p->proxy, x);
}

static void
on_bad_request(void *arg, int status, const char *why, bool in_body, struct buf *out)
{
    struct pushpind *p = arg;
    proxy_bad_text(p->proxy, status, why, in_body, out);
}

static void
on_client_closed(void *arg)
{
    struct pushpind *p = arg;
    if (p->stop_at == 0)
        trim_note(&p->trim);
    if (p->stop_at == 0 && p->clients != NULL && count_clients(p) + 1 >= p->max_clients)
        pace_listeners(p);
}

static const struct h1server_ops client_ops = {on_request, on_bad_request, on_client_closed};

static int
open_listeners(struct pushpind *p, struct err *e)
{
    const struct config *c = p->config;
    struct h1server_settings settings = {.max_head = (size_t)c->client_buffer_size,
                                         .idle_timeout = (unsigned)c->client_idle_timeout,
                                         .activity_timeout = (unsigned)c->activity_timeout,
                                         .stats = p->numbers.stats};
    p->clients = h1server_new(p->loop, &settings, &client_ops, p);
    trim_init(&p->trim, p->loop, p->clients, p->origin, p->proxy);
    p->ports = ports_new(p->loop, c, p->clients, &(struct ports_ops){on_client, on_no_descriptor}, p, e);
    return p->ports != NULL ? 0 : -1;
}

/* channels */

static void
on_first(void *arg, struct str name)
{
    struct pushpind *p = arg;
    if (p->doors.zpub != NULL)
        zpub_subscribe(p->doors.zpub, name);
}

static void
on_last(void *arg, struct channel *ch)
{
    struct pushpind *p = arg;
    publish_channel_gone(p->publish, ch);
    stats_sub_gone(p->numbers.stats, &ch->counted);
    if (p->doors.zpub != NULL)
        zpub_unsubscribe(p->doors.zpub, ch->node.key);
}

static void
on_dropped(void *arg, struct sub *sub)
{
    struct pushpind *p = arg;
    fanout_sub_gone(p->fanout, sub);
}

static void
on_moved(void *arg, struct sub *from, struct sub *to)
{
    struct pushpind *p = arg;
    fanout_sub_moved(p->fanout, from, to);
}

static void
on_count(void *arg, struct channel *ch, enum format_kind kind)
{
    struct pushpind *p = arg;
    numbers_count(&p->numbers, ch, kind);
}

static void
on_full(void *arg, bool full)
{
    struct pushpind *p = arg;
    doors_pause(&p->doors, full || p->stop_at != 0);
}

static const struct channels_ops channels_ops = {on_first, on_last, on_dropped, on_moved, on_count};

static void
build_pub(struct pushpind *p)
{
    const struct config *c = p->config;
    struct channels_settings channels = {(unsigned)c->subscription_linger, c->update_on_first_subscription};
    struct limit_settings limits = {c->message_rate, c->message_hwm, c->message_block_size};
    struct publish_settings publish = {c->id_cache_ttl, c->message_wait};
    p->channels = channels_new(p->loop, &channels);
    p->fanout = fanout_new(p->loop, &limits);
    p->publish = publish_new(p->loop, &publish, p->channels, p->fanout);
    channels_listen(p->channels, &channels_ops, p);
    numbers_watch(&p->numbers, p->loop, p->channels);
    fanout_set_stats(p->fanout, p->numbers.stats);
    fanout_set_frame_max(p->fanout, (size_t)c->client_buffer_size);
    publish_set_stats(p->publish, p->numbers.stats, c->message_block_size);
    fanout_on_full(p->fanout, on_full, p);
}

static int
build_proxy(struct pushpind *p, struct err *e)
{
    const struct config *c = p->config;
    struct origin_settings settings = {
        .max_head = (size_t)c->client_buffer_size,
        .connect_timeout = (unsigned)c->origin_connect_timeout,
        .response_timeout = (unsigned)c->origin_response_timeout,
        .activity_timeout = (unsigned)c->activity_timeout,
        .max_idle = (unsigned)c->client_maxconn / 10 + 1,
        .publish_port = c->push_in_http_port > 0 && !c->push_in_http_tls ? (unsigned)c->push_in_http_port : 0};
    struct wsconns_settings ws = {.activity_timeout = (unsigned)c->activity_timeout,
                                  .ping_interval = (unsigned)c->websocket_ping_interval,
                                  .frame_max = (size_t)c->client_buffer_size,
                                  .on_closed = on_client_closed,
                                  .arg = p};
    p->resolver = resolver_new(p->loop, NULL);
    p->origin = origin_new(p->loop, &settings, p->resolver);
    p->wsconns = wsconns_new(p->loop, &ws);
    p->proxy = proxy_new(p->loop, c, p->routes, p->origin, p->channels, p->wsconns, e);
    if (p->proxy == NULL)
        return -1;
    p->doors = (struct doors){.loop = p->loop,
                              .config = c,
                              .channels = p->channels,
                              .publish = p->publish,
                              .proxy = p->proxy,
                              .origin = p->origin};
    origin_set_stats(p->origin, p->numbers.stats);
    proxy_set_stats(p->proxy, p->numbers.stats);
    return 0;
}

/* routes */

static void
on_routes_changed(void *arg)
{
    (void)arg;
    log_info("routes file changed, reloading");
}

static void
on_routes_settled(void *arg)
{
    struct pushpind *p = arg;
    routes_load(p->routes, NULL);
}

/* Started with nothing at all, as somebody does who tries it: then the built-in test target answers. */
static void
serve_something(struct pushpind *p)
{
    if (p->config->path != NULL || p->options.n_routes > 0 || access(p->config->routesfile, F_OK) == 0)
        return;
    log_info("no routes file either: everything goes to the built-in test target (* test)");
    options_add_route(&p->options, "* test");
}

static void
build_routes(struct pushpind *p, unsigned *skipped)
{
    static const struct watch_ops ops = {on_routes_changed, on_routes_settled};
    struct watch_settings settings = {.delay = ROUTES_DELAY_MS, .poll = ROUTES_POLL_MS};
    const char *path;
    serve_something(p);
    p->routes = routes_new(p->config->routesfile, p->options.routes, p->options.n_routes);
    path = routes_path(p->routes);
    if (path != NULL && !p->options.check)
        p->watch = watch_new(p->loop, path, &settings, &ops, p);
    if (routes_load(p->routes, skipped) != 0 && skipped != NULL)
        *skipped = 1;
}

/* signals */

static void
tell_clients(struct pushpind *p)
{
    p->clients_told = true;
    h1server_shutdown(p->clients);
    proxy_shutdown(p->proxy);
}

static void
on_stop_timer(struct timer *t)
{
    struct pushpind *p = container_of(t, struct pushpind, stop);
    size_t open;
    if (!p->clients_told && fanout_busy(p->fanout) && clock_now() + STOP_MS / 2 < p->stop_at) {
        loop_timer(p->loop, t, 0); /* what was published before is delivered first */
        return;
    }
    if (!p->clients_told)
        tell_clients(p);
    open = h1server_count(p->clients) + doors_count(&p->doors) + wsconns_count(p->wsconns);
    if (open == 0 && !proxy_busy(p->proxy)) {
        loop_stop(p->loop);
    } else if (clock_now() >= p->stop_at) {
        if (open > 0)
            log_info("connections cut off after %d seconds: %zu", STOP_MS / 1000, open);
        loop_stop(p->loop);
    } else {
        loop_timer(p->loop, t, STOP_LOOK_MS);
    }
}

static void
on_stop(int signo, void *arg)
{
    struct pushpind *p = arg;
    (void)signo;
    if (p->stop_at != 0) {
        loop_stop(p->loop); /* asked twice: at once */
        return;
    }
    log_info("stopping...");
    p->stop_at = clock_now() + STOP_MS;
    ports_close(p->ports);
    doors_stop(&p->doors);
    numbers_stop(&p->numbers);
    fanout_hurry(p->fanout);
    if (!fanout_busy(p->fanout))
        tell_clients(p);
    timer_init(&p->stop, on_stop_timer);
    loop_timer(p->loop, &p->stop, 0);
}

/* The keys that may change while we run. */
static void
reload_config(struct pushpind *p)
{
    struct err e;
    struct config *fresh = config_load(&p->options.config, &e);
    if (fresh == NULL) {
        log_err("%s; the old settings stay", e.text);
        doors_reload(&p->doors, NULL);
        return;
    }
    p->config->log_level = fresh->log_level;
    p->config->debug = fresh->debug;
    p->config->log_from = fresh->log_from;
    p->config->log_user_agent = fresh->log_user_agent;
    p->config->log_time = fresh->log_time;
    p->config->log_json = fresh->log_json;
    log_set_level(fresh->log_level);
    doors_reload(&p->doors, fresh);
    config_free(fresh);
}

static void
on_reload(int signo, void *arg)
{
    struct pushpind *p = arg;
    (void)signo;
    log_reopen();
    log_info("reloading");
    reload_config(p);
    ports_reload(p->ports);
    routes_load(p->routes, NULL);
}

/* start and end */

static int
make_directory(const char *dir, struct err *e)
{
    if (mkdir(dir, 0755) == 0 || errno == EEXIST)
        return 0;
    err_set(e, "failed to create directory: %s: %s", dir, strerror(errno));
    return -1;
}

static int
start(struct pushpind *p, struct err *e)
{
    if (make_directory(p->config->rundir, e) != 0)
        return -1;
    p->loop = loop_new();
    /* before a port is open: who finds it open may send one */
    loop_on_signal(p->loop, SIGTERM, on_stop, p);
    loop_on_signal(p->loop, SIGINT, on_stop, p);
    loop_on_signal(p->loop, SIGHUP, on_reload, p);
    p->max_clients = descriptors_raise(p->config);
    build_routes(p, NULL);
    p->zcontext = zsock_context_new();
    if (numbers_open(&p->numbers, p->loop, p->zcontext, p->config, e) != 0)
        return -1;
    build_pub(p);
    /* the clients' ports at last: a start that fails must have taken no client, least of all from an instance that
     * shares them */
    return build_proxy(p, e) == 0 && doors_open_control(&p->doors, e) == 0 &&
                   numbers_open_metrics(&p->numbers, p->loop, p->config, e) == 0 &&
                   doors_open_zmq(&p->doors, p->zcontext, e) == 0 && open_listeners(p, e) == 0
               ? 0
               : -1;
}

/* What start() built, as far as it came. */
static void
end(struct pushpind *p)
{
    if (p->loop != NULL)
        loop_timer_stop(p->loop, &p->stop);
    trim_stop(&p->trim);
    if (p->ports != NULL)
        ports_close(p->ports);
    if (p->clients != NULL)
        h1server_free(p->clients);
    if (p->ports != NULL)
        ports_free(p->ports);
    doors_close(&p->doors);
    if (p->proxy != NULL)
        proxy_shutdown(p->proxy);
    if (p->wsconns != NULL)
        wsconns_free(p->wsconns);
    if (p->proxy != NULL)
        proxy_free(p->proxy);
    if (p->origin != NULL)
        origin_free(p->origin);
    if (p->resolver != NULL)
        resolver_free(p->resolver);
    if (p->fanout != NULL)
        fanout_free(p->fanout);
    numbers_unwatch(&p->numbers);
    if (p->channels != NULL)
        channels_free(p->channels);
    if (p->publish != NULL)
        publish_free(p->publish);
    numbers_close(&p->numbers);
    if (p->watch != NULL)
        watch_close(p->watch);
    if (p->loop != NULL) {
        for (int i = 0; i < 4; i++)
            loop_poll(p->loop); /* what was closed is freed */
        if (p->zcontext != NULL)
            zsock_context_free(p->zcontext);
        if (p->routes != NULL)
            routes_free(p->routes);
        loop_free(p->loop);
    } else if (p->routes != NULL) {
        routes_free(p->routes);
    }
    if (p->config != NULL)
        config_free(p->config);
    mem_free(p->options.routes);
}

/* --check: would a start accept all of it? */
static int
check(struct pushpind *p)
{
    struct err e;
    unsigned skipped = 0;
    int rc = 0;
    p->loop = loop_new();
    build_routes(p, &skipped);
    p->channels = channels_new(p->loop, &(struct channels_settings){0});
    if (build_proxy(p, &e) != 0) {
        log_err("%s", e.text);
        rc = 1;
    }
    if (skipped > 0 || (ports_check(p->config) | doors_check(p->config)) != 0)
        rc = 1;
    puts(rc == 0 ? "configuration and routes are good" : "configuration or routes have errors, see above");
    return rc;
}

int
main(int argc, char **argv)
{
    struct pushpind p = {.config = NULL};
    struct err e;
    int rc = 1;
    enum options_result parsed = options_parse(argc, argv, &p.options);
    if (parsed != OPTIONS_RUN) {
        mem_free(p.options.routes);
        return parsed == OPTIONS_DONE ? 0 : 1;
    }
    signal(SIGPIPE, SIG_IGN);
    mallopt(M_MMAP_THRESHOLD, 256 * 1024);
    mallopt(M_TRIM_THRESHOLD, 1024 * 1024);
    if (p.options.config.log_level != NULL) /* else what is said while the file is read would never be seen */
        log_set_level((int)strtol(p.options.config.log_level, NULL, 10)); /* options_parse() has looked at it */
    if (log_open(p.options.logfile, &e) != 0 || (p.config = config_load(&p.options.config, &e)) == NULL) {
        log_err("%s", e.text);
        goto out;
    }
    log_set_level(p.config->log_level);
    if (p.options.check) {
        rc = check(&p);
        goto out;
    }
    if (start(&p, &e) != 0) {
        log_err("%s", e.text);
        goto out;
    }
    log_info("started");
    if (p.options.logfile != NULL && log_on(LOG_INFO)) {
        puts("started");
        fflush(stdout);
    }
    loop_run(p.loop);
    rc = 0;
out:
    end(&p);
    return rc;
}
