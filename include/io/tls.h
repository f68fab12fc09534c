/* tls.h - TLS for both sides: certificates by name, sessions, and the state of one connection.
 *
 *   certs/  a.example.com.crt .key                      tls_certs, read when a client asks for them and when they
 * change
 *           _.example.com.crt .key                          |
 *           default_443.crt .key            tls_server: one for each listening port --tls_accept()--> tls
 *
 *   the system's roots, sessions to resume  tls_client: one for all origins --------tls_connect()--> tls
 *
 * A struct tls is handed to conn_start_tls(), and behaves like any other connection from then on. TLS 1.2 and 1.3 with
 * the ciphers of Mozilla's "intermediate" profile; ALPN is http/1.1, or http/1.0. */
#ifndef IO_TLS_H
#define IO_TLS_H

#include "base/err.h"
#include "base/str.h"

struct tls;

/* Pairs of PEM files in a directory: NAME.crt (the leaf first, then its chain) and NAME.key. */
struct tls_certs;
struct tls_certs *tls_certs_new(const char *dir);
/* Its servers are freed before. */
void tls_certs_free(struct tls_certs *c);
/* Read all again that is in use, now. */
void tls_certs_reload(struct tls_certs *c);
/* Try every pair in the directory and log what is wrong with it at LEVEL. How many are bad. */
unsigned tls_certs_check(struct tls_certs *c, int level);

/* What a listening socket gives to its connections. CERTS is borrowed. */
struct tls_server;
struct tls_server *tls_server_new(struct tls_certs *certs, uint16_t port, struct err *e);
/* Its connections are closed before. */
void tls_server_free(struct tls_server *s);
/* Is there a certificate for clients that name no server, or an unknown one? */
bool tls_server_has_default(struct tls_server *s);
/* The server's side of a new connection. NULL when memory is short. */
struct tls *tls_accept(struct tls_server *s);

/* What connections to origins share. The system's roots are read when the first of them needs them. */
struct tls_client;
struct tls_client *tls_client_new(void);
/* Its connections are closed before. */
void tls_client_free(struct tls_client *c);
/* The client's side of a new connection to the server NAME, a host name or an IP address without brackets. INSECURE:
 * whatever certificate it has. It resumes a session that one with the same NAME, INSECURE and PLACE had. NULL with E
 * set. */
struct tls *tls_connect(struct tls_client *c, struct str name, bool insecure, struct str place, struct err *e);

/* Before it was handed over. */
void tls_free(struct tls *t);

#endif
