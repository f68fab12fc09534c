/* pushpind.c - builds everything, wires the callbacks, runs, reloads, stops. */
#include "base/clock.h"
#include "base/log.h"
#include "base/slab.h"
#include "client/h1server.h"
#include "conf/config.h"
#include "conf/routes.h"
#include "ctl/command.h"
#include "ctl/control.h"
#include "ctl/zpub.h"
#include "io/listener.h"
#include "io/loop.h"
#include "io/resolver.h"
#include "io/watch.h"
#include "io/zsock.h"
#include "main/numbers.h"
#include "main/options.h"
#include "main/ports.h"
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
#include <sys/resource.h>
#include <sys/stat.h>

enum {
    STOP_MS = 4000,          /* for what is under way when we are told to stop */
    STOP_LOOK_MS = 50,       /* between two looks whether all is done */
    ROUTES_DELAY_MS = 1000,  /* from a change of the routes file to reading it */
    ROUTES_POLL_MS = 1000,   /* between two looks at it where inotify does not work */
    SPARE_DESCRIPTORS = 256, /* for sockets and files that are no client's */
    TRIM_AFTER = 1000,       /* closed connections after which memory is given back to the system */
    TRIM_DELAY_MS = 200,     /* and the quiet before that */
    CONTROL_IDLE_S = 60,
    CONTROL_HEAD_S = 30
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
    struct zpub *zpub;
    struct command *command; /* NULL: not configured */
    struct resolver *resolver;
    struct origin *origin;
    struct wsconns *wsconns;
    struct proxy *proxy;
    struct h1server *clients;
    struct control *control;
    struct h1server *publishers;       /* connections to the control port */
    struct ports *ports;               /* where clients come in */
    struct listener *control_listener; /* NULL: not configured */
    size_t max_clients;
    unsigned closed; /* clients that have left since memory was given back */
    struct timer trim;
    struct timer stop; /* set while stopping */
    uint64_t stop_at;  /* ms; 0: running */
    bool clients_told; /* that we stop */
};

/* descriptors */

/* Raise the limit as far as it goes, and say how many clients that allows. */
static size_t
raise_descriptors(const struct config *config)
{
    size_t clients = (size_t)config->client_maxconn, pool = clients / 10, most;
    rlim_t want = clients + clients + pool + SPARE_DESCRIPTORS; /* every client may wait for its origin */
    struct rlimit r;
    if (getrlimit(RLIMIT_NOFILE, &r) != 0)
        return clients;
    if (r.rlim_cur < want) {
        struct rlimit higher = {want, r.rlim_max < want ? want : r.rlim_max};
        if (setrlimit(RLIMIT_NOFILE, &higher) == 0) {
            r = higher;
        } else {
            higher = (struct rlimit){r.rlim_max, r.rlim_max};
            if (r.rlim_cur < r.rlim_max && setrlimit(RLIMIT_NOFILE, &higher) == 0)
                r = higher;
        }
    }
    most = r.rlim_cur > 2 * SPARE_DESCRIPTORS ? r.rlim_cur - SPARE_DESCRIPTORS : r.rlim_cur / 2;
    if (most >= clients)
        log_info("descriptor limit %llu: up to %zu clients (client_maxconn)", (unsigned long long)r.rlim_cur, clients);
    else
        log_warn(
            "descriptor limit %llu: only %zu of %zu clients (client_maxconn); raise it with ulimit -n or LimitNOFILE",
            (unsigned long long)r.rlim_cur, most, clients);
    return most < clients ? most : clients;
}

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
on_trim(struct timer *t)
{
    struct pushpind *p = container_of(t, struct pushpind, trim);
    if (p->closed > 0) {
        p->closed = 0;
        origin_trim(p->origin);
        loop_timer(p->loop, t, TRIM_DELAY_MS); /* by then what this has closed is freed */
    } else {
        slab_trim();
        malloc_trim(0);
    }
}

static void
on_client_closed(void *arg)
{
    struct pushpind *p = arg;
    if (++p->closed >= TRIM_AFTER && p->stop_at == 0)
        loop_timer(p->loop, &p->trim, TRIM_DELAY_MS);
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
    p->ports = ports_new(p->loop, c, p->clients, &(struct ports_ops){on_client, on_no_descriptor}, p, e);
    return p->ports != NULL ? 0 : -1;
}

/* publishers */

static void
on_publisher(void *arg, int fd)
{
    struct pushpind *p = arg;
    h1server_accept(p->publishers, fd, NULL);
}

static void
on_control_request(void *arg, struct xchg *x)
{
    struct pushpind *p = arg;
    control_request(p->control, x);
}

static void
recover_all(void *arg)
{
    struct pushpind *p = arg;
    publish_forget(p->publish);
    proxy_recover(p->proxy);
}

static const struct h1server_ops publisher_ops = {on_control_request, control_bad_text, NULL};
static const struct control_ops control_ops = {recover_all};

static int
open_control(struct pushpind *p, struct err *e)
{
    const struct config *c = p->config;
    struct h1server_settings settings = {.max_head = (size_t)c->push_in_http_max_headers_size,
                                         .idle_timeout = CONTROL_IDLE_S,
                                         .activity_timeout = CONTROL_HEAD_S,
                                         .allow_no_host = true};
    struct control_settings control = {.max_body = (size_t)c->push_in_http_max_body_size};
    struct listener_spec spec = {.addr = c->push_in_http_addr, .mode = -1, .on_full = on_no_descriptor};
    p->control = control_new(p->loop, &control, p->publish, &control_ops, p);
    p->publishers = h1server_new(p->loop, &settings, &publisher_ops, p);
    if (c->push_in_http_port < 0)
        return 0;
    spec.port = (uint16_t)c->push_in_http_port;
    p->control_listener = listener_new(p->loop, &spec, on_publisher, p, e);
    if (p->control_listener == NULL)
        return -1;
    log_info("http control server: %s", listener_name(p->control_listener));
    return 0;
}

/* commands */

static bool
connection_exists(void *arg, struct str id)
{
    struct pushpind *p = arg;
    return proxy_connection_exists(p->proxy, id);
}

static int
refresh_connection(void *arg, struct str cid)
{
    struct pushpind *p = arg;
    return proxy_refresh_connection(p->proxy, cid);
}

static void
refresh_channel(void *arg, struct str channel)
{
    struct pushpind *p = arg;
    proxy_refresh_channel(p->proxy, channel);
}

static const struct command_ops command_ops = {connection_exists, recover_all, refresh_connection, refresh_channel};

static int
open_zmq(struct pushpind *p, struct err *e)
{
    const struct config *c = p->config;
    struct zpub_settings zpub = {.pull_spec = c->push_in_spec,
                                 .sub_specs = c->push_in_sub_specs,
                                 .sub_connect = c->push_in_sub_connect,
                                 .ipc_mode = c->ipc_file_mode};
    struct command_settings command = {
        .spec = c->command_spec, .ipc_mode = c->ipc_file_mode, .publish_pull = c->push_in_spec};
    if (!c->push_in_sub_connect && c->push_in_sub_specs.n > 0)
        command.publish_sub = c->push_in_sub_specs.at[0];
    p->zpub = zpub_new(p->loop, p->zcontext, &zpub, p->publish, e);
    if (p->zpub == NULL)
        return -1;
    if (*c->command_spec == '\0')
        return 0;
    p->command = command_new(p->loop, p->zcontext, &command, &command_ops, p, p->publish, e);
    return p->command != NULL ? 0 : -1;
}

/* channels */

static void
on_first(void *arg, struct str name)
{
    struct pushpind *p = arg;
    if (p->zpub != NULL)
        zpub_subscribe(p->zpub, name);
}

static void
on_last(void *arg, struct channel *ch)
{
    struct pushpind *p = arg;
    publish_channel_gone(p->publish, ch);
    stats_sub_gone(p->numbers.stats, &ch->counted);
    if (p->zpub != NULL)
        zpub_unsubscribe(p->zpub, ch->node.key);
}

static void
on_dropped(void *arg, struct sub *sub)
{
    struct pushpind *p = arg;
    fanout_sub_gone(p->fanout, sub);
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
    if (p->zpub != NULL)
        zpub_pause(p->zpub, full);
    if (p->control != NULL)
        control_pause(p->control, full);
}

static const struct channels_ops channels_ops = {on_first, on_last, on_dropped, on_count};

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
    p->numbers.channels = p->channels;
    fanout_set_stats(p->fanout, p->numbers.stats);
    publish_set_stats(p->publish, p->numbers.stats, c->message_block_size);
    fanout_on_full(p->fanout, on_full, p);
}

static int
build_proxy(struct pushpind *p, struct err *e)
{
    const struct config *c = p->config;
    struct origin_settings settings = {.max_head = (size_t)c->client_buffer_size,
                                       .connect_timeout = (unsigned)c->origin_connect_timeout,
                                       .response_timeout = (unsigned)c->origin_response_timeout,
                                       .activity_timeout = (unsigned)c->activity_timeout,
                                       .max_idle = (unsigned)c->client_maxconn / 10 + 1,
                                       .publish_port = c->push_in_http_port > 0 ? (unsigned)c->push_in_http_port : 0};
    struct wsconns_settings ws = {.activity_timeout = (unsigned)c->activity_timeout,
                                  .ping_interval = (unsigned)c->websocket_ping_interval,
                                  .on_closed = on_client_closed,
                                  .arg = p};
    p->resolver = resolver_new(p->loop, NULL);
    p->origin = origin_new(p->loop, &settings, p->resolver);
    p->wsconns = wsconns_new(p->loop, &ws);
    p->proxy = proxy_new(p->loop, c, p->routes, p->origin, p->channels, p->wsconns, e);
    if (p->proxy == NULL)
        return -1;
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

static void
build_routes(struct pushpind *p, unsigned *skipped)
{
    static const struct watch_ops ops = {on_routes_changed, on_routes_settled};
    struct watch_settings settings = {.delay = ROUTES_DELAY_MS, .poll = ROUTES_POLL_MS};
    const char *path;
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
    open = h1server_count(p->clients) + h1server_count(p->publishers) + wsconns_count(p->wsconns);
    if ((open == 0 && !proxy_busy(p->proxy)) || clock_now() >= p->stop_at)
        loop_stop(p->loop);
    else
        loop_timer(p->loop, t, STOP_LOOK_MS);
}

static void
free_listeners(struct pushpind *p)
{
    if (p->ports != NULL)
        ports_close(p->ports);
    if (p->control_listener != NULL)
        listener_free(p->control_listener);
    p->control_listener = NULL;
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
    free_listeners(p);
    h1server_shutdown(p->publishers);
    numbers_stop(&p->numbers);
    zpub_pause(p->zpub, true);
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
        return;
    }
    p->config->log_level = fresh->log_level;
    p->config->debug = fresh->debug;
    p->config->log_from = fresh->log_from;
    p->config->log_user_agent = fresh->log_user_agent;
    p->config->log_time = fresh->log_time;
    p->config->log_json = fresh->log_json;
    log_set_level(fresh->log_level);
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
    timer_init(&p->trim, on_trim);
    /* before a port is open: who finds it open may send one */
    loop_on_signal(p->loop, SIGTERM, on_stop, p);
    loop_on_signal(p->loop, SIGINT, on_stop, p);
    loop_on_signal(p->loop, SIGHUP, on_reload, p);
    p->max_clients = raise_descriptors(p->config);
    build_routes(p, NULL);
    p->zcontext = zsock_context_new();
    if (numbers_open(&p->numbers, p->loop, p->zcontext, p->config, e) != 0)
        return -1;
    build_pub(p);
    if (build_proxy(p, e) != 0 || open_listeners(p, e) != 0 || open_control(p, e) != 0 ||
        numbers_open_metrics(&p->numbers, p->loop, p->config, e) != 0 || open_zmq(p, e) != 0)
        return -1;
    return 0;
}

/* What start() built, as far as it came. */
static void
end(struct pushpind *p)
{
    if (p->loop != NULL) {
        loop_timer_stop(p->loop, &p->stop);
        loop_timer_stop(p->loop, &p->trim);
    }
    free_listeners(p);
    if (p->clients != NULL)
        h1server_free(p->clients);
    if (p->ports != NULL)
        ports_free(p->ports);
    if (p->publishers != NULL)
        h1server_free(p->publishers);
    if (p->control != NULL)
        control_free(p->control);
    if (p->command != NULL)
        command_free(p->command);
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
    if (p->channels != NULL)
        channels_free(p->channels);
    if (p->zpub != NULL)
        zpub_free(p->zpub);
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
    if (skipped > 0 || ports_check(p->config) != 0)
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
