/* tlscerts.h - which certificate goes with a name. */
#ifndef IO_TLSCERTS_H
#define IO_TLSCERTS_H

#include "io/certificate.h"
#include "io/tls.h"

/* The certificate for what a client calls the server (NULL: nothing) on a port, or NULL when there is none: that of the
 * name, of "_" in place of its first label, of "default_PORT". Files that have changed are read again. Borrowed until
 * the next call. */
const struct certificate *tls_certs_find(struct tls_certs *c, const char *server_name, uint16_t port);

#endif
