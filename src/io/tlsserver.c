#include "base/mem.h"
#include "io/tlsbase.h"
#include "io/tlscerts.h"

#include <openssl/err.h>

struct tls_server {
    SSL_CTX *ctx;            /* reference held */
    struct tls_certs *certs; /* borrowed */
    uint16_t port;
};

/* Called for every handshake, with and without a server name. */
static int
on_server_name(SSL *ssl, int *alert, void *arg)
{
    struct tls_server *s = arg;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    const struct certificate *cert = tls_certs_find(s->certs, name, s->port);
    if (cert == NULL) {
        *alert = SSL_AD_UNRECOGNIZED_NAME;
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    }
    if (SSL_use_cert_and_key(ssl, cert->leaf, cert->key, cert->chain, 1) != 1) {
        *alert = SSL_AD_INTERNAL_ERROR;
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    }
    return SSL_TLSEXT_ERR_OK;
}

/* A client that offers protocols and not ours would speak another one: it is told in the handshake (RFC 7301, 3.2). */
static int
on_alpn(SSL *ssl, const unsigned char **out, unsigned char *len, const unsigned char *offered, unsigned n, void *arg)
{
    static const unsigned char ours[] = "\x08http/1.1\x08http/1.0";
    unsigned char *chosen;
    (void)ssl, (void)arg;
    if (SSL_select_next_proto(&chosen, len, ours, sizeof ours - 1, offered, n) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL; /* no_application_protocol */
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

struct tls_server *
tls_server_new(struct tls_certs *certs, uint16_t port, struct err *e)
{
    struct tls_server *s;
    SSL_CTX *ctx = tls_context(TLS_server_method(), e);
    if (ctx == NULL)
        return NULL;
    s = mem_zalloc(sizeof *s);
    s->ctx = ctx;
    s->certs = certs;
    s->port = port;
    SSL_CTX_set_dh_auto(ctx, 1);
    SSL_CTX_set_mode(ctx, SSL_MODE_NO_AUTO_CHAIN); /* the chain is what the file has */
    /* sessions live in the clients' tickets, not with us; the keys of the tickets are new with each start */
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_tlsext_servername_callback(ctx, on_server_name);
    SSL_CTX_set_tlsext_servername_arg(ctx, s);
    SSL_CTX_set_alpn_select_cb(ctx, on_alpn, NULL);
    return s;
}

void
tls_server_free(struct tls_server *s)
{
    SSL_CTX_free(s->ctx);
    mem_free(s);
}

bool
tls_server_has_default(struct tls_server *s)
{
    return tls_certs_find(s->certs, NULL, s->port) != NULL;
}

struct tls *
tls_accept(struct tls_server *s)
{
    struct tls *t = tls_new(s->ctx, 0);
    if (t != NULL)
        SSL_set_accept_state(t->ssl);
    return t;
}
