/* preface.h - what comes before the first request where a proxy in front tells for whom it connects. */
#ifndef CLIENT_PREFACE_H
#define CLIENT_PREFACE_H

#include "client/h1server.h"
#include "io/conn.h"
#include "proto/proxyproto.h"

/* One block without pointers to other memory of its own: conn_begin_preface() owns it. */
struct preface {
    struct proxyproto header;
    const struct h1server_port *port; /* borrowed */
};

/* Expect a header on C, an accepted socket of PORT. -1 with E set: not from that peer. */
int preface_begin(struct conn *c, const struct h1server_port *port, struct err *e);
/* For on_preface(). With DONE the header is over, and C knows the client's address. */
enum proxyproto_result preface_read(struct preface *p, struct conn *c, struct str data, size_t *used, struct err *e);

#endif
