/* tlsbase.h - the TLS state of one connection, as io/conn drives it, and what server and client contexts share. */
#ifndef IO_TLSBASE_H
#define IO_TLSBASE_H

#include "io/tls.h"

#include <openssl/ssl.h>

enum { TLS_RECORD = SSL3_RT_MAX_PLAIN_LENGTH }; /* bytes of cleartext in a record at most */

struct tls {
    SSL *ssl;                  /* owned */
    struct tls_client *client; /* borrowed; NULL on the server's side */
    bool shaking;              /* conn's: the handshake has begun and is not over */
    bool wants_write;          /* conn's: nothing goes on before the socket can be written to */
    bool failed;               /* the stream is broken: OpenSSL must not be asked again */
    char key[];                /* of its sessions, ends in NUL; client's side only */
};

enum tls_result {
    TLS_DONE,
    TLS_WANT_READ,
    TLS_WANT_WRITE,
    TLS_END,   /* the peer has said that nothing more will come */
    TLS_FAILED /* *WHY says why; it is gone with the next call of any of these functions */
};

/* A connection with CTX's settings; KEY_LEN bytes of room for its key. NULL when memory is short. */
struct tls *tls_new(SSL_CTX *ctx, size_t key_len);
/* Before the first of the following. 0 or -1. */
int tls_set_fd(struct tls *t, int fd);
enum tls_result tls_handshake(struct tls *t, const char **why);
/* At most a record. */
enum tls_result tls_read(struct tls *t, char *to, size_t size, size_t *n, const char **why);
/* Is there anything to read? It stays there. */
enum tls_result tls_look(struct tls *t, const char **why);
/* At most a record of the LEN > 0 bytes is taken. After TLS_WANT_WRITE the next call repeats the same bytes, wherever
 * they lie by then, and may add more. */
enum tls_result tls_write(struct tls *t, const char *from, size_t len, size_t *n, const char **why);
/* Say that nothing more will come. */
enum tls_result tls_say_end(struct tls *t);

/* A context with what server and client have in common. NULL with E set. */
SSL_CTX *tls_context(const SSL_METHOD *method, struct err *e);
/* The first cause in OpenSSL's queue of errors, which is emptied. */
const char *tls_error_text(void);

#endif
