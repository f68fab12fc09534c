/* The first byte says what the others are: a token; head and claims of one that is signed well; an issuer; a key. */
#include "proto/jwt.h"
#include "proto/digest.h"

#include <assert.h>

enum { NOW = 1700000000 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What stands before the line's end, dot, what stands behind it, dot, a good signature. */
static void
sign(struct str text, struct buf *token)
{
    unsigned char mac[32];
    struct str head = text;
    str_split(&text, '\n', &head);
    base64url_put(token, head);
    buf_addc(token, '.');
    base64url_put(token, text);
    hmac_sha256(STR("sec"), buf_str(token), mac);
    buf_addc(token, '.');
    base64url_put(token, str_of((char *)mac, sizeof mac));
}

static void
check_issuer(struct jwt_key *k, struct str iss)
{
    struct str token = jwt_make(k, iss, NOW);
    if (iss.len > 4096) {
        assert(token.ptr == NULL);
        return;
    }
    /* what is no UTF-8 makes no JSON, and bytes that are escaped may make a token that is too long */
    assert(token.ptr != NULL);
    assert(jwt_verify(k, token, NOW) || !str_utf8(iss) || token.len > 8192);
    assert(!jwt_verify(k, token, NOW + 3600));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct jwt_key *k, *other;
    struct str text;
    struct buf token = BUF_INIT(1 << 22);
    if (size == 0)
        return 0;
    k = jwt_key_new(STR("sec"), NULL, NULL);
    text = str_of((const char *)data + 1, size - 1);
    switch (*data & 3) {
    case 0:
        jwt_verify(k, text, NOW);
        break;
    case 1:
        sign(text, &token);
        jwt_verify(k, buf_str(&token), NOW);
        break;
    case 2:
        check_issuer(k, text);
        break;
    case 3:
        if (str_starts(text, STR("file:")))
            break;
        other = jwt_key_new(text, NULL, NULL);
        if (other != NULL)
            assert(jwt_verify(other, jwt_make(other, STR("x"), NOW), NOW));
        jwt_key_unref(other);
        break;
    }
    buf_clear(&token);
    jwt_key_unref(k);
    return 0;
}
