#include "main/doors.h"

#include "base/log.h"
#include "client/h1server.h"
#include "ctl/command.h"
#include "ctl/control.h"
#include "io/listener.h"
#include "io/zsock.h"
#include "origin/origin.h"
#include "proxy/proxy.h"
#include "pub/channel.h"
#include "pub/publish.h"

enum {
    CONTROL_IDLE_S = 60, /* on the control port, between requests and for a head */
    CONTROL_HEAD_S = 30  /* without progress in a body or an answer */
};

/* the control port */

static void
on_publisher(void *arg, int fd)
{
    struct doors *d = arg;
    h1server_accept(d->publishers, fd, NULL);
}

static void
on_no_descriptor(void *arg)
{
    struct doors *d = arg;
    origin_shed(d->origin);
}

static void
on_control_request(void *arg, struct xchg *x)
{
    struct doors *d = arg;
    control_request(d->control, x);
}

static void
recover_all(void *arg)
{
    struct doors *d = arg;
    channels_recover(d->channels);
}

static const struct h1server_ops publisher_ops = {on_control_request, control_bad_text, NULL};
static const struct control_ops control_ops = {recover_all};

/* All addresses: the log shows none then. */
static bool
is_any(const char *addr)
{
    return strcmp(addr, "0.0.0.0") == 0 || strcmp(addr, "::") == 0;
}

int
doors_open_control(struct doors *d, struct err *e)
{
    const struct config *c = d->config;
    struct h1server_settings settings = {.max_head = (size_t)c->push_in_http_max_headers_size,
                                         .idle_timeout = CONTROL_IDLE_S,
                                         .activity_timeout = CONTROL_HEAD_S,
                                         .allow_no_host = true};
    struct control_settings control = {.max_body = (size_t)c->push_in_http_max_body_size};
    struct listener_spec spec = {.addr = c->push_in_http_addr, .mode = -1, .on_full = on_no_descriptor};
    const char *name;
    d->control = control_new(d->loop, &control, d->publish, &control_ops, d);
    d->publishers = h1server_new(d->loop, &settings, &publisher_ops, d);
    if (c->push_in_http_port < 0)
        return 0;
    spec.port = (uint16_t)c->push_in_http_port;
    d->listener = listener_new(d->loop, &spec, on_publisher, d, e);
    if (d->listener == NULL)
        return -1;
    name = listener_name(d->listener);
    log_info("http control server: %s", is_any(c->push_in_http_addr) ? strrchr(name, ':') : name);
    return 0;
}

/* ZeroMQ */

static bool
connection_exists(void *arg, struct str id)
{
    struct doors *d = arg;
    return proxy_connection_exists(d->proxy, id);
}

static int
refresh_connection(void *arg, struct str cid)
{
    struct doors *d = arg;
    return proxy_refresh_connection(d->proxy, cid);
}

static void
refresh_channel(void *arg, struct str channel)
{
    struct doors *d = arg;
    proxy_refresh_channel(d->proxy, channel);
}

static const struct command_ops command_ops = {connection_exists, recover_all, refresh_connection, refresh_channel};

int
doors_open_zmq(struct doors *d, struct zcontext *z, struct err *e)
{
    const struct config *c = d->config;
    struct zpub_settings zpub = {.pull_spec = c->push_in_spec,
                                 .sub_specs = c->push_in_sub_specs,
                                 .sub_connect = c->push_in_sub_connect,
                                 .ipc_mode = c->ipc_file_mode};
    struct command_settings command = {
        .spec = c->command_spec, .ipc_mode = c->ipc_file_mode, .publish_pull = c->push_in_spec};
    if (!c->push_in_sub_connect && c->push_in_sub_specs.n > 0)
        command.publish_sub = c->push_in_sub_specs.at[0];
    d->zpub = zpub_new(d->loop, z, &zpub, d->publish, e);
    if (d->zpub == NULL)
        return -1;
    if (*c->command_spec == '\0')
        return 0;
    d->command = command_new(d->loop, z, &command, &command_ops, d, d->publish, e);
    return d->command != NULL ? 0 : -1;
}

/* all of them */

size_t
doors_count(const struct doors *d)
{
    return h1server_count(d->publishers);
}

void
doors_pause(struct doors *d, bool pause)
{
    if (d->zpub != NULL)
        zpub_pause(d->zpub, pause);
    if (d->control != NULL)
        control_pause(d->control, pause);
}

void
doors_stop(struct doors *d)
{
    if (d->listener != NULL)
        listener_free(d->listener);
    d->listener = NULL;
    h1server_shutdown(d->publishers);
    zpub_pause(d->zpub, true);
}

void
doors_close(struct doors *d)
{
    if (d->listener != NULL)
        listener_free(d->listener);
    if (d->publishers != NULL)
        h1server_free(d->publishers);
    if (d->control != NULL)
        control_free(d->control);
    if (d->command != NULL)
        command_free(d->command);
    if (d->zpub != NULL)
        zpub_free(d->zpub);
    d->listener = NULL;
    d->publishers = NULL;
    d->control = NULL;
    d->command = NULL;
    d->zpub = NULL; /* channels that end from now on need not be unsubscribed from */
}
