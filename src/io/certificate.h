/* certificate.h - a certificate with its chain and its key, read from two PEM files. */
#ifndef IO_CERTIFICATE_H
#define IO_CERTIFICATE_H

#include "base/err.h"

#include <openssl/x509.h>

struct certificate {
    X509 *leaf; /* reference held, like all here; NULL: none */
    EVP_PKEY *key;
    STACK_OF(X509) * chain; /* may be empty */
};

/* 0, or -1 with E set and OUT empty: a file cannot be read, is no PEM, or the key belongs to another certificate. */
int certificate_read(const char *crt_path, const char *key_path, struct certificate *out, struct err *e);
void certificate_clear(struct certificate *c);

#endif
