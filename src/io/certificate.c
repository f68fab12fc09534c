#include "io/certificate.h"

#include "base/str.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>

static const char *
reason(void)
{
    unsigned long code = ERR_peek_error();
    const char *text = ERR_reason_error_string(code);
    ERR_clear_error();
    return text != NULL ? text : "unreadable";
}

/* Nobody is there to be asked for a passphrase. */
static int
no_passphrase(char *buf, int size, int writing, void *arg)
{
    (void)buf, (void)size, (void)writing, (void)arg;
    return -1;
}

static int
read_chain(FILE *f, struct certificate *out)
{
    X509 *next;
    out->leaf = PEM_read_X509_AUX(f, NULL, no_passphrase, NULL);
    out->chain = sk_X509_new_null();
    if (out->leaf == NULL || out->chain == NULL)
        return -1;
    while ((next = PEM_read_X509(f, NULL, no_passphrase, NULL)) != NULL) {
        if (sk_X509_push(out->chain, next) <= 0) {
            X509_free(next);
            return -1;
        }
    }
    /* the end of the file is the one error that is none */
    if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
        return -1;
    ERR_clear_error();
    return 0;
}

static int
read_key(FILE *f, struct certificate *out)
{
    out->key = PEM_read_PrivateKey(f, NULL, no_passphrase, NULL);
    return out->key != NULL ? 0 : -1;
}

static int
read_file(const char *path, int (*read)(FILE *f, struct certificate *out), struct certificate *out, struct err *e)
{
    FILE *f = fopen(path, "re");
    int rc;
    if (f == NULL) {
        err_set(e, "%s: %s", path, strerror(errno));
        return -1;
    }
    ERR_clear_error();
    rc = read(f, out);
    fclose(f);
    if (rc != 0)
        err_set(e, "%s: %s", path, reason());
    return rc;
}

int
certificate_read(const char *crt_path, const char *key_path, struct certificate *out, struct err *e)
{
    *out = (struct certificate){NULL, NULL, NULL};
    if (read_file(crt_path, read_chain, out, e) == 0 && read_file(key_path, read_key, out, e) == 0) {
        if (X509_check_private_key(out->leaf, out->key) == 1)
            return 0;
        err_set(e, "%s: the key does not belong to the certificate", key_path);
        ERR_clear_error();
    }
    certificate_clear(out);
    return -1;
}

void
certificate_clear(struct certificate *c)
{
    X509_free(c->leaf);
    EVP_PKEY_free(c->key);
    sk_X509_pop_free(c->chain, X509_free);
    *c = (struct certificate){NULL, NULL, NULL};
}
