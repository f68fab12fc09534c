#include "main/pubtool.h"

#include <errno.h>
#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CONNECT_MS = 10000 }; /* for one address, so that a dead one leaves time for the next */

uint64_t
pubtool_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* 0 when FD is ready, else -1 with errno set. */
static int
wait_for(int fd, short events, uint64_t deadline)
{
    struct pollfd p = {.fd = fd, .events = events};
    uint64_t now = pubtool_now();
    int n = now < deadline ? poll(&p, 1, (int)(deadline - now)) : 0;
    if (n == 0)
        errno = ETIMEDOUT;
    return n > 0 ? 0 : -1;
}

/* A connected socket, or -1 with errno set. */
static int
connect_one(const struct addrinfo *a, uint64_t deadline)
{
    int fd = socket(a->ai_family, a->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, a->ai_protocol), on = 1, why;
    uint64_t limit = pubtool_now() + CONNECT_MS;
    socklen_t len = sizeof why;
    if (fd < 0)
        return -1;
    if (connect(fd, a->ai_addr, a->ai_addrlen) != 0 && errno != EINPROGRESS)
        goto fail;
    if (wait_for(fd, POLLOUT, limit < deadline ? limit : deadline) != 0)
        goto fail;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &why, &len) != 0)
        goto fail;
    errno = why;
    if (why != 0)
        goto fail;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
fail:
    why = errno;
    close(fd);
    errno = why;
    return -1;
}

static int
tcp_open(struct pubconn *c, const char *host, uint16_t port, struct err *e)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV}, *list;
    char service[8];
    int rc;
    snprintf(service, sizeof service, "%u", port);
    rc = getaddrinfo(host, service, &hints, &list);
    if (rc != 0) {
        err_set(e, "cannot find the address of %s: %s", host, rc == EAI_SYSTEM ? strerror(errno) : gai_strerror(rc));
        return -1;
    }
    for (const struct addrinfo *a = list; a != NULL && c->fd < 0; a = a->ai_next)
        c->fd = connect_one(a, c->deadline);
    if (c->fd < 0)
        err_set(e, "%s (os error %d): cannot connect to %s%s", strerror(errno), errno, c->peer,
                errno == ECONNREFUSED ? ", is pushpind running there?" : "");
    freeaddrinfo(list);
    return c->fd < 0 ? -1 : 0;
}

/* What went wrong in TLS, in words. */
static void
tls_error(const struct pubconn *c, struct err *e)
{
    unsigned long code = ERR_peek_last_error();
    long verdict = SSL_get_verify_result(c->ssl);
    if (verdict != X509_V_OK)
        err_set(e, "the certificate of %s is not trusted: %s", c->peer, X509_verify_cert_error_string(verdict));
    else if (code != 0)
        err_set(e, "no TLS with %s: %s", c->peer,
                ERR_reason_error_string(code) != NULL ? ERR_reason_error_string(code) : "unknown reason");
    else
        err_set(e, "no TLS with %s: the connection was closed", c->peer);
}

/* After a call on c->ssl that returned RC: 1 try again, 0 the peer has closed, -1 failed. */
static int
tls_again(struct pubconn *c, int rc, struct err *e)
{
    int why = SSL_get_error(c->ssl, rc);
    if (why == SSL_ERROR_ZERO_RETURN)
        return 0;
    if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE) {
        if (wait_for(c->fd, why == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT, c->deadline) == 0)
            return 1;
        err_set(e, "%s: %s", c->peer, strerror(errno));
    } else if (why == SSL_ERROR_SYSCALL && errno != 0) {
        err_set(e, "%s: %s", c->peer, strerror(errno));
    } else {
        tls_error(c, e);
    }
    return -1;
}

/* The certificate must name HOST; server name indication is for names only (RFC 6066, 3). */
static int
expect_host(SSL *ssl, const char *host)
{
    unsigned char address[16];
    if (inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1)
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host);
    return SSL_set1_host(ssl, host) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1;
}

static int
tls_open(struct pubconn *c, const char *host, struct err *e)
{
    SSL_CTX *ctx = c->ctx = SSL_CTX_new(TLS_client_method());
    int rc, again;
    if (ctx == NULL || SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) != 1 ||
        SSL_CTX_set_default_verify_paths(ctx) != 1 || (c->ssl = SSL_new(ctx)) == NULL || !expect_host(c->ssl, host) ||
        SSL_set_fd(c->ssl, c->fd) != 1) {
        err_set(e, "cannot set up TLS for %s", c->peer);
        return -1;
    }
    /* Servers that close without a close_notify are common, and the verdict is in the head of the answer. */
    SSL_set_options(c->ssl, SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_set_mode(c->ssl, SSL_MODE_ENABLE_PARTIAL_WRITE);
    SSL_set_verify(c->ssl, SSL_VERIFY_PEER, NULL);
    do {
        ERR_clear_error();
        errno = 0;
        rc = SSL_connect(c->ssl);
        again = rc == 1 ? 1 : tls_again(c, rc, e);
    } while (rc != 1 && again == 1);
    if (again == 0)
        tls_error(c, e);
    return rc == 1 ? 0 : -1;
}

int
pubconn_open(struct pubconn *c, const char *host, uint16_t port, bool tls, struct err *e)
{
    c->fd = -1;
    c->ssl = NULL;
    c->ctx = NULL;
    if (tcp_open(c, host, port, e) != 0)
        return -1;
    return tls ? tls_open(c, host, e) : 0;
}

static ssize_t
write_some(struct pubconn *c, struct str bytes, struct err *e)
{
    for (;;) {
        ssize_t n;
        ERR_clear_error();
        errno = 0;
        if (c->ssl != NULL) {
            int again;
            n = SSL_write(c->ssl, bytes.ptr, bytes.len < INT32_MAX ? (int)bytes.len : INT32_MAX);
            again = n > 0 ? 1 : tls_again(c, (int)n, e);
            if (again == 0)
                err_set(e, "%s: the connection was closed", c->peer);
            if (again != 1)
                return -1;
        } else {
            n = send(c->fd, bytes.ptr, bytes.len, MSG_NOSIGNAL);
            if (n < 0 && (errno != EAGAIN || wait_for(c->fd, POLLOUT, c->deadline) != 0)) {
                err_set(e, "%s: %s", c->peer, strerror(errno));
                return -1;
            }
        }
        if (n > 0)
            return n;
    }
}

int
pubconn_write(struct pubconn *c, struct str bytes, struct err *e)
{
    while (bytes.len > 0) {
        ssize_t n = write_some(c, bytes, e);
        if (n < 0)
            return -1;
        bytes = str_from(bytes, (size_t)n);
    }
    return 0;
}

ssize_t
pubconn_read(struct pubconn *c, char *to, size_t size, struct err *e)
{
    for (;;) {
        ssize_t n;
        ERR_clear_error();
        errno = 0;
        if (c->ssl != NULL) {
            int again;
            n = SSL_read(c->ssl, to, (int)size);
            again = n > 0 ? 1 : tls_again(c, (int)n, e);
            if (n > 0 || again != 1)
                return n > 0 ? n : again;
        } else {
            n = recv(c->fd, to, size, 0);
            if (n >= 0)
                return n;
            if (errno != EAGAIN || wait_for(c->fd, POLLIN, c->deadline) != 0) {
                err_set(e, "%s: %s", c->peer, strerror(errno));
                return -1;
            }
        }
    }
}

void
pubconn_close(struct pubconn *c)
{
    SSL_free(c->ssl);
    SSL_CTX_free(c->ctx);
    if (c->fd >= 0)
        close(c->fd);
}
