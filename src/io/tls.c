#include "base/mem.h"
#include "io/tlsbase.h"

#include <errno.h>
#include <openssl/err.h>
#include <stdio.h>

/* Mozilla's "intermediate" profile, version 5.7; those of TLS 1.3 are OpenSSL's own. */
static const char ciphers[] = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
                              "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
                              "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:"
                              "DHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES256-GCM-SHA384:DHE-RSA-CHACHA20-POLY1305";

const char *
tls_error_text(void)
{
    unsigned long code = ERR_peek_error();
    const char *text = code != 0 ? ERR_reason_error_string(code) : NULL;
    ERR_clear_error();
    return text != NULL ? text : "unknown error";
}

SSL_CTX *
tls_context(const SSL_METHOD *method, struct err *e)
{
    SSL_CTX *ctx;
    ERR_clear_error();
    ctx = SSL_CTX_new(method);
    if (ctx == NULL || SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) != 1 ||
        SSL_CTX_set_cipher_list(ctx, ciphers) != 1 || SSL_CTX_set1_groups_list(ctx, "X25519:P-256:P-384") != 1) {
        err_set(e, "TLS cannot be set up: %s", tls_error_text());
        SSL_CTX_free(ctx);
        return NULL;
    }
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    /* what waits may be moved and added to; an idle connection keeps no record buffers */
    SSL_CTX_set_mode(ctx,
                     SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
    return ctx;
}

struct tls *
tls_new(SSL_CTX *ctx, size_t key_len)
{
    struct tls *t;
    SSL *ssl = SSL_new(ctx);
    if (ssl == NULL) {
        ERR_clear_error();
        return NULL;
    }
    t = mem_zalloc(sizeof *t + key_len + 1);
    t->ssl = ssl;
    SSL_set_app_data(ssl, t);
    return t;
}

void
tls_free(struct tls *t)
{
    SSL_free(t->ssl);
    ERR_clear_error();
    mem_free(t);
}

int
tls_set_fd(struct tls *t, int fd)
{
    return SSL_set_fd(t->ssl, fd) == 1 ? 0 : -1;
}

/* What the queue of errors says, in words for a log line. */
static const char *
failure_text(struct tls *t, int error, int system)
{
    static char text[256];
    unsigned long code = ERR_peek_error();
    long verified = SSL_get_verify_result(t->ssl);
    if (error == SSL_ERROR_SYSCALL)
        snprintf(text, sizeof text, "%s", system != 0 ? strerror(system) : "connection lost");
    else if (ERR_GET_REASON(code) == SSL_R_UNEXPECTED_EOF_WHILE_READING)
        snprintf(text, sizeof text, "connection closed without TLS's own end");
    else if (ERR_GET_REASON(code) == SSL_R_CERTIFICATE_VERIFY_FAILED && verified != X509_V_OK)
        snprintf(text, sizeof text, "certificate verify failed: %s", X509_verify_cert_error_string(verified));
    else
        snprintf(text, sizeof text, "%s", tls_error_text());
    ERR_clear_error();
    return text;
}

static enum tls_result
result(struct tls *t, int rc, bool writing, const char **why)
{
    int system = errno, error = rc == 1 ? SSL_ERROR_NONE : SSL_get_error(t->ssl, rc);
    switch (error) {
    case SSL_ERROR_NONE:
        return TLS_DONE;
    case SSL_ERROR_WANT_READ:
        return TLS_WANT_READ;
    case SSL_ERROR_WANT_WRITE:
        return TLS_WANT_WRITE;
    case SSL_ERROR_ZERO_RETURN:
        return TLS_END;
    default:
        /* a socket that takes no more may still hold what the peer said last */
        t->failed = !writing || error != SSL_ERROR_SYSCALL;
        *why = failure_text(t, error, system);
        return TLS_FAILED;
    }
}

/* Must not be asked any more; the reason has been given. */
static enum tls_result
failed_before(const char **why)
{
    *why = "connection lost";
    return TLS_FAILED;
}

enum tls_result
tls_handshake(struct tls *t, const char **why)
{
    if (t->failed)
        return failed_before(why);
    ERR_clear_error();
    return result(t, SSL_do_handshake(t->ssl), false, why);
}

enum tls_result
tls_read(struct tls *t, char *to, size_t size, size_t *n, const char **why)
{
    *n = 0;
    if (t->failed)
        return failed_before(why);
    ERR_clear_error();
    return result(t, SSL_read_ex(t->ssl, to, size, n), false, why);
}

enum tls_result
tls_look(struct tls *t, const char **why)
{
    char byte;
    size_t n;
    if (t->failed)
        return failed_before(why);
    ERR_clear_error();
    return result(t, SSL_peek_ex(t->ssl, &byte, 1, &n), false, why);
}

enum tls_result
tls_write(struct tls *t, const char *from, size_t len, size_t *n, const char **why)
{
    *n = 0;
    if (t->failed)
        return failed_before(why);
    ERR_clear_error();
    return result(t, SSL_write_ex(t->ssl, from, len, n), true, why);
}

enum tls_result
tls_say_end(struct tls *t)
{
    const char *why;
    int rc;
    if (t->failed || SSL_in_init(t->ssl))
        return TLS_FAILED;
    ERR_clear_error();
    rc = SSL_shutdown(t->ssl);
    return rc >= 0 ? TLS_DONE : result(t, rc, true, &why); /* 0: said, and the peer has not said so yet */
}
