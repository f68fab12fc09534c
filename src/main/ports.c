#include "main/ports.h"

#include "base/log.h"
#include "base/mem.h"
#include "io/listener.h"
#include "io/tls.h"

#include <limits.h>
#include <stdio.h>

struct client_port {
    struct ports *ports;
    struct listener *listener; /* owned; NULL when it is closed */
    struct h1server_port how;  /* its tls is owned */
};

struct ports {
    struct h1server *clients; /* borrowed */
    struct ports_ops ops;
    void *arg;
    struct tls_certs *certs; /* owned; NULL without TLS */
    unsigned n;
    struct client_port at[];
};

static void
on_client(void *arg, int fd)
{
    struct client_port *port = arg;
    struct ports *p = port->ports;
    h1server_accept(p->clients, fd, &port->how);
    p->ops.on_accept(p->arg);
}

static void
on_full(void *arg)
{
    struct client_port *port = arg;
    port->ports->ops.on_full(port->ports->arg);
}

/* Also for the control port, whose certificate lies with the others. */
static bool
uses_tls(const struct config *c)
{
    if (c->push_in_http_tls && c->push_in_http_port >= 0)
        return true;
    for (unsigned i = 0; i < c->n_listeners; i++)
        if (c->listeners[i].tls)
            return true;
    return false;
}

struct tls_certs *
ports_certs(const struct config *c)
{
    char dir[PATH_MAX];
    snprintf(dir, sizeof dir, "%s/runner/certs", c->dir);
    return tls_certs_new(dir);
}

static struct tls_server *
open_tls(const struct config *c, struct tls_certs *certs, unsigned port, struct err *e)
{
    struct tls_server *s = tls_server_new(certs, (uint16_t)port, e);
    if (s != NULL && !tls_server_has_default(s))
        log_warn("port %u has no certificate of its own, default_%u.crt and .key in %s/runner/certs: it serves only "
                 "clients that ask for a name that has one",
                 port, port, c->dir);
    return s;
}

static int
open_port(struct ports *p, struct loop *l, const struct config *c, const struct config_listener *from, struct err *e)
{
    struct client_port *port = &p->at[p->n++];
    struct listener_spec spec = {.addr = from->addr,
                                 .port = from->port,
                                 .path = from->path,
                                 .mode = from->mode,
                                 .user = from->user,
                                 .group = from->group,
                                 .share = c->reuse_port,
                                 .on_full = on_full};
    port->ports = p;
    port->how.proxy = from->proxy_protocol;
    port->how.trusted = c->proxy_protocol_trusted.at;
    port->how.n_trusted = c->proxy_protocol_trusted.n;
    if (from->tls && (port->how.tls = open_tls(c, p->certs, from->port, e)) == NULL)
        return -1;
    port->listener = listener_new(l, &spec, on_client, port, e);
    if (port->listener == NULL)
        return -1;
    if (from->path != NULL)
        log_info("listening on \"%s\" (pathname)", from->path);
    else
        log_info("listening on %s", listener_name(port->listener));
    return 0;
}

struct ports *
ports_new(struct loop *l, const struct config *config, struct h1server *clients, const struct ports_ops *ops, void *arg,
          struct err *e)
{
    struct ports *p = mem_zalloc(sizeof *p + config->n_listeners * sizeof p->at[0]);
    p->clients = clients;
    p->ops = *ops;
    p->arg = arg;
    if (uses_tls(config)) {
        p->certs = ports_certs(config);
        tls_certs_check(p->certs, LOG_WARN);
    }
    for (unsigned i = 0; i < config->n_listeners; i++) {
        if (open_port(p, l, config, &config->listeners[i], e) != 0) {
            ports_free(p);
            return NULL;
        }
    }
    return p;
}

void
ports_pause(struct ports *p, bool pause)
{
    for (unsigned i = 0; i < p->n; i++)
        if (p->at[i].listener != NULL)
            listener_pause(p->at[i].listener, pause);
}

void
ports_close(struct ports *p)
{
    for (unsigned i = 0; i < p->n; i++) {
        if (p->at[i].listener != NULL)
            listener_free(p->at[i].listener);
        p->at[i].listener = NULL;
    }
}

void
ports_free(struct ports *p)
{
    ports_close(p);
    for (unsigned i = 0; i < p->n; i++)
        if (p->at[i].how.tls != NULL)
            tls_server_free(p->at[i].how.tls);
    if (p->certs != NULL)
        tls_certs_free(p->certs);
    mem_free(p);
}

void
ports_reload(struct ports *p)
{
    if (p->certs != NULL)
        tls_certs_reload(p->certs);
}

int
ports_check(const struct config *config)
{
    struct tls_certs *certs;
    unsigned bad;
    struct err e;
    if (!uses_tls(config))
        return 0;
    certs = ports_certs(config);
    bad = tls_certs_check(certs, LOG_ERR);
    for (unsigned i = 0; i < config->n_listeners; i++) {
        struct tls_server *s = config->listeners[i].tls ? open_tls(config, certs, config->listeners[i].port, &e) : NULL;
        if (s != NULL)
            tls_server_free(s);
    }
    tls_certs_free(certs);
    return bad > 0 ? -1 : 0;
}
