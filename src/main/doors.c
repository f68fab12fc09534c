#include "main/doors.h"

#include "base/log.h"
#include "ctl/bearer.h"
#include "ctl/command.h"
#include "ctl/control.h"
#include "io/listener.h"
#include "io/tls.h"
#include "io/zsock.h"
#include "main/ports.h"
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
    h1server_accept(d->publishers, fd, &d->how);
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

/* OUT: NULL when no token is asked for. 0, or -1 with E set. */
static int
read_token(const struct config *c, struct bearer **out, struct err *e)
{
    *out = NULL;
    if (*c->push_in_http_token == '\0')
        return 0;
    *out = bearer_new(str_c(c->push_in_http_token), c->dir, e);
    if (*out == NULL)
        err_prefix(e, "push_in_http_token cannot be read: ");
    return *out != NULL ? 0 : -1;
}

/* Publishers name the host in many ways or by its address, so it must have a certificate that is good for all. */
static struct tls_server *
open_tls(const struct config *c, struct tls_certs *certs, struct err *e)
{
    unsigned port = (unsigned)c->push_in_http_port;
    struct tls_server *s = tls_server_new(certs, (uint16_t)port, e);
    if (s == NULL || tls_server_has_default(s))
        return s;
    tls_server_free(s);
    err_set(e,
            "push_in_http_tls: there is no certificate for port %u that can be used: it would be default_%u.crt and "
            "default_%u.key in %s/runner/certs",
            port, port, port, c->dir);
    return NULL;
}

/* Who may come in, and how connections begin. */
static int
secure_control(struct doors *d, struct err *e)
{
    struct bearer *bearer;
    if (read_token(d->config, &bearer, e) != 0)
        return -1;
    control_set_bearer(d->control, bearer);
    if (!d->config->push_in_http_tls)
        return 0;
    d->certs = ports_certs(d->config);
    d->how.tls = open_tls(d->config, d->certs, e);
    return d->how.tls != NULL ? 0 : -1;
}

int
doors_check(const struct config *config)
{
    struct bearer *bearer;
    struct tls_certs *certs;
    struct tls_server *tls;
    struct err e;
    int rc = 0;
    if (config->push_in_http_port < 0)
        return 0;
    if (read_token(config, &bearer, &e) != 0) {
        log_err("%s", e.text);
        rc = -1;
    }
    if (bearer != NULL)
        bearer_free(bearer);
    if (!config->push_in_http_tls)
        return rc;
    certs = ports_certs(config);
    tls = open_tls(config, certs, &e);
    if (tls != NULL)
        tls_server_free(tls);
    else
        log_err("%s", e.text);
    tls_certs_free(certs);
    return tls != NULL ? rc : -1;
}

void
doors_reload(struct doors *d, const struct config *fresh)
{
    struct bearer *bearer;
    struct err e;
    if (d->certs != NULL)
        tls_certs_reload(d->certs);
    if (fresh == NULL || d->listener == NULL)
        return;
    if (read_token(fresh, &bearer, &e) == 0)
        control_set_bearer(d->control, bearer);
    else
        log_err("%s; the old token stays", e.text);
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
    if (secure_control(d, e) != 0)
        return -1;
    spec.port = (uint16_t)c->push_in_http_port;
    d->listener = listener_new(d->loop, &spec, on_publisher, d, e);
    if (d->listener == NULL)
        return -1;
    name = listener_name(d->listener);
    log_info("http control server: %s%s", is_any(c->push_in_http_addr) ? strrchr(name, ':') : name,
             d->how.tls != NULL ? " with TLS" : "");
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
    if (d->how.tls != NULL)
        tls_server_free(d->how.tls);
    if (d->certs != NULL)
        tls_certs_free(d->certs);
    if (d->command != NULL)
        command_free(d->command);
    if (d->zpub != NULL)
        zpub_free(d->zpub);
    d->listener = NULL;
    d->how.tls = NULL;
    d->certs = NULL;
    d->publishers = NULL;
    d->control = NULL;
    d->command = NULL;
    d->zpub = NULL; /* channels that end from now on need not be unsubscribed from */
}
