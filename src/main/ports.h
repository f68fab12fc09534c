/* ports.h - the sockets that clients connect to, and the certificates of those that speak TLS. */
#ifndef MAIN_PORTS_H
#define MAIN_PORTS_H

#include "client/h1server.h"
#include "conf/config.h"

struct ports;

struct ports_ops {
    void (*on_accept)(void *arg); /* after each accepted connection */
    void (*on_full)(void *arg);   /* no descriptor is left: give up some that are not needed */
};

/* All that CONFIG names, for CLIENTS; both are borrowed. NULL with E set when a socket cannot be opened. */
struct ports *ports_new(struct loop *l, const struct config *config, struct h1server *clients,
                        const struct ports_ops *ops, void *arg, struct err *e);
/* Stop and go on accepting. */
void ports_pause(struct ports *p, bool pause);
/* Accept no more, for ever. */
void ports_close(struct ports *p);
/* After the connections of CLIENTS. */
void ports_free(struct ports *p);
/* Read the certificates again. */
void ports_reload(struct ports *p);

/* The certificates beside the file of CONFIG, for whoever serves them. */
struct tls_certs *ports_certs(const struct config *config);
/* Log what is wrong with the certificates. 0, or -1 when something is. */
int ports_check(const struct config *config);

#endif
