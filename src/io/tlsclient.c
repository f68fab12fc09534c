#include "base/clock.h"
#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"
#include "io/address.h"
#include "io/tlsbase.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

enum {
    SESSIONS = 256,   /* kept at most; the oldest makes room */
    ROOTS_MS = 60000, /* between two looks whether the system's roots have changed */
    NAME_LEN = 253    /* bytes of a host name */
};

struct session {
    struct map_node node;
    struct list_node by_age;
    SSL_SESSION *session; /* reference held */
    char key[];
};

struct tls_client {
    SSL_CTX *ctx;        /* reference held; NULL until it is needed */
    struct map sessions; /* of struct session; owned */
    struct list by_age;  /* the same; the oldest first */
    uint64_t looked_at;  /* ms; at the file of roots */
    int64_t mtime;       /* of that file, ns; 0: there is none */
};

struct tls_client *
tls_client_new(void)
{
    struct tls_client *c = mem_zalloc(sizeof *c);
    map_init(&c->sessions);
    list_init(&c->by_age);
    return c;
}

static void
drop(struct tls_client *c, struct session *s)
{
    map_remove(&c->sessions, &s->node);
    list_remove(&c->by_age, &s->by_age);
    SSL_SESSION_free(s->session);
    mem_free(s);
}

void
tls_client_free(struct tls_client *c)
{
    while (!list_empty(&c->by_age))
        drop(c, container_of(list_first(&c->by_age), struct session, by_age));
    map_clear(&c->sessions);
    SSL_CTX_free(c->ctx);
    mem_free(c);
}

static struct session *
find(struct tls_client *c, const char *key)
{
    struct map_node *node = map_find(&c->sessions, str_c(key));
    return node != NULL ? container_of(node, struct session, node) : NULL;
}

/* OpenSSL has a session that can be resumed; with TLS 1.3 that is some time after the handshake. */
static int
on_session(SSL *ssl, SSL_SESSION *session)
{
    struct tls *t = SSL_get_app_data(ssl);
    struct tls_client *c = t->client;
    struct session *s = find(c, t->key);
    size_t n = strlen(t->key);
    if (s != NULL)
        drop(c, s);
    if (c->by_age.n >= SESSIONS)
        drop(c, container_of(list_first(&c->by_age), struct session, by_age));
    s = mem_zalloc(sizeof *s + n + 1);
    memcpy(s->key, t->key, n);
    s->node.key = str_of(s->key, n);
    s->session = session;
    map_add(&c->sessions, &s->node);
    list_push_back(&c->by_age, &s->by_age);
    return 1; /* the reference is ours now */
}

/* The file of trusted roots; the directory of them is looked into anew for each name. */
static const char *
roots_file(void)
{
    const char *path = secure_getenv(X509_get_default_cert_file_env());
    return path != NULL ? path : X509_get_default_cert_file();
}

static int64_t
roots_mtime(void)
{
    struct stat st;
    if (stat(roots_file(), &st) != 0)
        return 0;
    return (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
}

/* Trust what the system trusts, and notice when that changes. */
static void
load_roots(struct tls_client *c)
{
    X509_STORE *store;
    int64_t mtime;
    if (c->looked_at != 0 && clock_now() - c->looked_at < ROOTS_MS)
        return;
    mtime = roots_mtime();
    if (c->looked_at == 0 || mtime != c->mtime) {
        store = X509_STORE_new();
        if (store != NULL) {
            X509_STORE_set_default_paths(store);
            SSL_CTX_set_cert_store(c->ctx, store);
        }
    }
    c->looked_at = clock_now();
    c->mtime = mtime;
    ERR_clear_error();
}

static int
prepare(struct tls_client *c, struct err *e)
{
    if (c->ctx == NULL) {
        static const unsigned char alpn[] = "\x08http/1.1";
        c->ctx = tls_context(TLS_client_method(), e);
        if (c->ctx == NULL)
            return -1;
        SSL_CTX_set_session_cache_mode(c->ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
        SSL_CTX_sess_set_new_cb(c->ctx, on_session);
        SSL_CTX_set_alpn_protos(c->ctx, alpn, sizeof alpn - 1);
    }
    load_roots(c);
    return 0;
}

/* Whom we want to talk to. An address is no server name (RFC 6066, 3), but certificates may have it. */
static int
set_name(SSL *ssl, const char *name)
{
    struct address a;
    if (address_literal(str_c(name), 0, &a))
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name);
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return SSL_set_tlsext_host_name(ssl, name) == 1 && SSL_set1_host(ssl, name) == 1;
}

struct tls *
tls_connect(struct tls_client *c, struct str name, bool insecure, struct str place, struct err *e)
{
    char host[NAME_LEN + 1];
    struct session *session;
    struct tls *t;
    if (name.len > 0 && name.ptr[name.len - 1] == '.')
        name.len--; /* no certificate has the dot of the root */
    if (name.len == 0 || name.len > NAME_LEN || str_chr(name, '\0') >= 0) {
        err_set(e, "invalid server name");
        return NULL;
    }
    memcpy(host, name.ptr, name.len);
    host[name.len] = '\0';
    if (prepare(c, e) != 0)
        return NULL;
    t = tls_new(c->ctx, 2 + name.len + place.len);
    if (t == NULL || set_name(t->ssl, host) != 1) {
        err_set(e, "invalid server name");
        if (t != NULL)
            tls_free(t);
        return NULL;
    }
    /* with a session comes the trust that its first connection had */
    snprintf(t->key, 3 + name.len + place.len, "%d%s %.*s", insecure, host, STR_ARG(place));
    t->client = c;
    SSL_set_verify(t->ssl, insecure ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, NULL);
    SSL_set_connect_state(t->ssl);
    session = find(c, t->key);
    if (session != NULL)
        SSL_set_session(t->ssl, session->session);
    return t;
}
