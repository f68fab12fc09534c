#include "ctl/bearer.h"

#include "base/mem.h"
#include "proto/digest.h"
#include "proto/secret.h"

#include <openssl/crypto.h>
#include <stdlib.h>
#include <sys/random.h>

/* The token itself is not kept: two are the same when their keyed hashes are, and those have the same length. */
struct bearer {
    unsigned char key[32]; /* random, of this bearer alone */
    unsigned char mac[32]; /* of the token */
};

static bool
is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* As editors and echo leave it in a file. */
static struct str
trim(struct str s)
{
    while (s.len > 0 && is_space(*s.ptr))
        s = str_from(s, 1);
    while (s.len > 0 && is_space(s.ptr[s.len - 1]))
        s.len--;
    return s;
}

static int
check_token(struct str token, struct err *e)
{
    size_t i = 0;
    while (i < token.len && token.ptr[i] > 0x20 && token.ptr[i] < 0x7f)
        i++;
    if (token.len == 0)
        err_set(e, "the token is empty");
    else if (token.len > BEARER_MAX)
        err_set(e, "the token has more than %d bytes", BEARER_MAX);
    else if (i < token.len)
        err_set(e, "the token has spaces or other characters that are no visible ASCII");
    else
        return 0;
    return -1;
}

struct bearer *
bearer_new(struct str text, const char *dir, struct err *e)
{
    struct bearer *b = NULL;
    struct secret s;
    if (secret_read(&s, text, dir, e) == 0) {
        struct str token = buf_str(&s.bytes);
        if (s.path.len > 0)
            token = trim(token);
        if (check_token(token, e) == 0) {
            b = mem_zalloc(sizeof *b);
            if (getrandom(b->key, sizeof b->key, 0) != sizeof b->key)
                abort();
            hmac_sha256(str_of((const char *)b->key, sizeof b->key), token, b->mac);
        } else if (s.path.len > 0) {
            err_prefix(e, "%s: ", s.path.ptr);
        }
    }
    secret_clear(&s);
    return b;
}

void
bearer_free(struct bearer *b)
{
    mem_free(b);
}

/* The token of an Authorization header; ptr NULL: it is of another kind. */
static struct str
token_of(struct str value)
{
    static const struct str scheme = {"Bearer ", 7};
    value = str_trim(value);
    if (!str_istarts(value, scheme))
        return str_of(NULL, 0);
    value = str_from(value, scheme.len);
    while (str_starts(value, STR(" ")))
        value = str_from(value, 1);
    return value;
}

bool
bearer_admits(const struct bearer *b, const struct headers *h)
{
    struct str given = {NULL, 0};
    unsigned char mac[32];
    unsigned n = 0;
    for (unsigned i = 0; i < h->n; i++)
        if (str_ieq(h->at[i].name, STR("Authorization")) && n++ == 0)
            given = token_of(h->at[i].value);
    if (n != 1 || given.ptr == NULL)
        return false;
    hmac_sha256(str_of((const char *)b->key, sizeof b->key), given, mac);
    return CRYPTO_memcmp(mac, b->mac, sizeof mac) == 0;
}
