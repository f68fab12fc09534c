#include "proto/jwt.h"

#include "base/mem.h"
#include "proto/digest.h"
#include "proto/jsonread.h"
#include "proto/secret.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdio.h>

enum {
    LIFETIME = 3600, /* seconds */
    MAX_TOKEN = 8192,
    MAX_ISS = 4096,
    ES256_HALF = 32 /* bytes of r and of s */
};

enum alg { HS256, ES256, RS256 };
static const char *const alg_names[] = {[HS256] = "HS256", [ES256] = "ES256", [RS256] = "RS256"};

struct jwt_key {
    unsigned refs;
    enum alg alg;      /* constant */
    struct buf secret; /* HS256 */
    EVP_PKEY *pkey;    /* owned; ES256 and RS256, else NULL */
    bool can_sign;     /* constant: not a public key */
    struct buf token;  /* the last one made; empty: none */
    char *token_iss;   /* owned; its issuer */
    size_t token_iss_len;
    uint64_t token_time; /* seconds since 1970: when it was made */
};

static int
fail(struct err *e, const char *text)
{
    err_set(e, "%s", text);
    return -1;
}

/* Without it OpenSSL would ask on the terminal for the password of an encrypted key. */
static int
no_password_cb(char *buf, int size, int writing, void *arg)
{
    (void)buf, (void)size, (void)writing, (void)arg;
    return -1;
}

static int
find_alg(struct jwt_key *k, struct err *e)
{
    char curve[32] = "";
    if (EVP_PKEY_get_base_id(k->pkey) == EVP_PKEY_RSA) {
        k->alg = RS256;
        return 0;
    }
    if (EVP_PKEY_get_base_id(k->pkey) != EVP_PKEY_EC)
        return fail(e, "the key is neither an EC nor an RSA key");
    EVP_PKEY_get_utf8_string_param(k->pkey, OSSL_PKEY_PARAM_GROUP_NAME, curve, sizeof curve, NULL);
    if (strcmp(curve, SN_X9_62_prime256v1) != 0)
        return fail(e, "the EC key is not one of the curve P-256");
    k->alg = ES256;
    return 0;
}

static int
read_pem(struct jwt_key *k, struct str text, struct err *e)
{
    BIO *bio = BIO_new_mem_buf(text.ptr, (int)text.len);
    int rc = -1;
    k->pkey = PEM_read_bio_PrivateKey(bio, NULL, no_password_cb, NULL);
    k->can_sign = k->pkey != NULL;
    if (k->pkey == NULL) {
        BIO_reset(bio);
        k->pkey = PEM_read_bio_PUBKEY(bio, NULL, no_password_cb, NULL);
    }
    if (k->pkey != NULL)
        rc = find_alg(k, e);
    else
        fail(e, "no private or public key that can be read without a password");
    BIO_free(bio);
    return rc;
}

static bool
is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static int
read_hex(struct jwt_key *k, struct str text, struct err *e)
{
    size_t i = 0;
    while (text.len > 0 && is_space(*text.ptr))
        text = str_from(text, 1);
    while (text.len > 0 && is_space(text.ptr[text.len - 1]))
        text.len--;
    if (text.len == 0)
        return fail(e, "the file is empty");
    for (; i + 1 < text.len; i += 2) {
        int high = str_hexdigit(text.ptr[i]), low = str_hexdigit(text.ptr[i + 1]);
        if (high < 0 || low < 0)
            break;
        buf_addc(&k->secret, (char)(high << 4 | low));
    }
    return i == text.len ? 0 : fail(e, "neither PEM nor hexadecimal text");
}

/* What a file has is PEM or hexadecimal text; else the bytes are the key. */
static int
read_key(struct jwt_key *k, struct str text, const char *dir, struct err *e)
{
    struct secret s;
    int rc = secret_read(&s, text, dir, e);
    if (rc == 0 && s.path.len == 0) {
        buf_adds(&k->secret, buf_str(&s.bytes));
    } else if (rc == 0) {
        rc = str_starts(buf_str(&s.bytes), STR("-----BEGIN")) ? read_pem(k, buf_str(&s.bytes), e)
                                                              : read_hex(k, buf_str(&s.bytes), e);
        if (rc != 0)
            err_prefix(e, "%s: ", s.path.ptr);
    }
    secret_clear(&s);
    return rc;
}

struct jwt_key *
jwt_key_new(struct str text, const char *dir, struct err *e)
{
    struct jwt_key *k = mem_zalloc(sizeof *k);
    k->refs = 1;
    k->alg = HS256;
    k->can_sign = true;
    buf_init(&k->secret, SECRET_MAX);
    buf_init(&k->token, 4 * MAX_ISS * 6); /* each byte of an issuer may need an escape of six */
    ERR_set_mark();
    if (read_key(k, text, dir, e) != 0) {
        jwt_key_unref(k);
        k = NULL;
    }
    ERR_pop_to_mark(); /* what stays in OpenSSL's queue would be taken for an error of the next TLS connection */
    return k;
}

struct jwt_key *
jwt_key_ref(struct jwt_key *k)
{
    k->refs++;
    return k;
}

void
jwt_key_unref(struct jwt_key *k)
{
    if (k == NULL || --k->refs > 0)
        return;
    EVP_PKEY_free(k->pkey);
    if (k->secret.ptr != NULL)
        OPENSSL_cleanse(k->secret.ptr, k->secret.cap);
    buf_clear(&k->secret);
    buf_clear(&k->token);
    mem_free(k->token_iss);
    mem_free(k);
}

static void
put_json_string(struct buf *b, struct str s)
{
    buf_addc(b, '"');
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if (c < 0x20)
            buf_addf(b, "\\u%04x", c);
        else if (c == '"' || c == '\\')
            buf_addf(b, "\\%c", c);
        else
            buf_addc(b, (char)c);
    }
    buf_addc(b, '"');
}

/* OpenSSL writes ECDSA signatures as DER, tokens have r and s side by side. */
static int
es256_from_der(const unsigned char *der, size_t len, struct buf *out)
{
    ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &der, (long)len);
    unsigned char *raw = (unsigned char *)buf_room(out, 2 * ES256_HALF);
    int rc = -1;
    if (sig != NULL && raw != NULL && BN_bn2binpad(ECDSA_SIG_get0_r(sig), raw, ES256_HALF) == ES256_HALF &&
        BN_bn2binpad(ECDSA_SIG_get0_s(sig), raw + ES256_HALF, ES256_HALF) == ES256_HALF) {
        out->len += 2 * ES256_HALF;
        rc = 0;
    }
    ECDSA_SIG_free(sig);
    return rc;
}

/* *DER is OPENSSL_free()d by the caller. Its length, or -1. */
static int
es256_to_der(struct str raw, unsigned char **der)
{
    const unsigned char *p = (const unsigned char *)raw.ptr;
    ECDSA_SIG *sig;
    BIGNUM *r, *s;
    int n = -1;
    if (raw.len != 2 * ES256_HALF)
        return -1;
    sig = ECDSA_SIG_new();
    r = BN_bin2bn(p, ES256_HALF, NULL);
    s = BN_bin2bn(p + ES256_HALF, ES256_HALF, NULL);
    if (sig != NULL && r != NULL && s != NULL && ECDSA_SIG_set0(sig, r, s) == 1) {
        r = s = NULL; /* they are SIG's now */
        n = i2d_ECDSA_SIG(sig, der);
    }
    BN_free(r);
    BN_free(s);
    ECDSA_SIG_free(sig);
    return n;
}

/* Append the signature of DATA as it stands in a token before its base64. */
static int
sign_pkey(const struct jwt_key *k, struct str data, struct buf *out)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    size_t len = (size_t)EVP_PKEY_get_size(k->pkey);
    unsigned char *sig = mem_alloc(len);
    int rc = -1;
    if (EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, k->pkey) == 1 &&
        EVP_DigestSign(ctx, sig, &len, (const unsigned char *)data.ptr, data.len) == 1)
        rc = k->alg == ES256 ? es256_from_der(sig, len, out) : buf_add(out, sig, len);
    mem_free(sig);
    EVP_MD_CTX_free(ctx);
    return rc;
}

static int
sign(const struct jwt_key *k, struct str data, struct buf *out)
{
    unsigned char mac[32];
    int rc;
    if (k->alg == HS256) {
        hmac_sha256(buf_str(&k->secret), data, mac);
        return buf_add(out, mac, sizeof mac);
    }
    ERR_set_mark();
    rc = sign_pkey(k, data, out);
    ERR_pop_to_mark();
    return rc;
}

static int
make(struct jwt_key *k, struct str iss, uint64_t now)
{
    struct buf part = BUF_INIT(k->token.max);
    int rc = -1;
    buf_addf(&part, "{\"typ\":\"JWT\",\"alg\":\"%s\"}", alg_names[k->alg]);
    base64url_put(&k->token, buf_str(&part));
    buf_addc(&k->token, '.');
    part.len = 0;
    buf_addf(&part, "{\"exp\":%llu,\"iss\":", (unsigned long long)now + LIFETIME);
    put_json_string(&part, iss);
    buf_addc(&part, '}');
    base64url_put(&k->token, buf_str(&part));
    part.len = 0;
    if (sign(k, buf_str(&k->token), &part) == 0) {
        buf_addc(&k->token, '.');
        rc = base64url_put(&k->token, buf_str(&part));
    }
    buf_clear(&part);
    return rc;
}

struct str
jwt_make(struct jwt_key *k, struct str iss, uint64_t now)
{
    if (!k->can_sign || iss.len > MAX_ISS)
        return str_of(NULL, 0);
    if (k->token.len > 0 && k->token_time == now && str_eq(iss, str_of(k->token_iss, k->token_iss_len)))
        return buf_str(&k->token);
    k->token.len = 0;
    if (make(k, iss, now) != 0) {
        k->token.len = 0;
        return str_of(NULL, 0);
    }
    if (!str_eq(iss, str_of(k->token_iss, k->token_iss_len))) {
        mem_free(k->token_iss);
        k->token_iss = str_dup(iss);
        k->token_iss_len = iss.len;
    }
    k->token_time = now;
    return buf_str(&k->token);
}

static bool
verify_pkey(const struct jwt_key *k, struct str data, struct str sig)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    unsigned char *der = NULL;
    bool good = EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, k->pkey) == 1;
    if (k->alg == ES256) {
        int n = es256_to_der(sig, &der);
        good = good && n > 0;
        sig = str_of((const char *)der, n > 0 ? (size_t)n : 0);
    }
    good = good && EVP_DigestVerify(ctx, (const unsigned char *)sig.ptr, sig.len, (const unsigned char *)data.ptr,
                                    data.len) == 1;
    OPENSSL_free(der);
    EVP_MD_CTX_free(ctx);
    return good;
}

static bool
verify(const struct jwt_key *k, struct str data, struct str sig)
{
    unsigned char mac[32];
    bool good;
    if (k->alg == HS256) {
        hmac_sha256(buf_str(&k->secret), data, mac);
        return sig.len == sizeof mac && CRYPTO_memcmp(sig.ptr, mac, sizeof mac) == 0;
    }
    ERR_set_mark();
    good = verify_pkey(k, data, sig);
    ERR_pop_to_mark();
    return good;
}

/* The JSON object that PART of a token is, or NULL. */
static json_t *
decode_object(struct str part)
{
    struct buf text = BUF_INIT(MAX_TOKEN);
    json_t *o = NULL;
    if (base64url_decode(&text, part) == 0)
        o = jsonread_parse(buf_str(&text), NULL);
    buf_clear(&text);
    if (json_is_object(o))
        return o;
    json_decref(o);
    return NULL;
}

/* The key decides the algorithm, not the token: otherwise a public RSA key could be used as an HMAC secret. A token
 * that says how else it is to be understood ("crit") is not for us. */
static bool
head_ok(const struct jwt_key *k, struct str part)
{
    json_t *head = decode_object(part);
    struct str alg = jsonread_text(json_object_get(head, "alg"));
    bool ok = str_eq(alg, str_c(alg_names[k->alg])) && json_object_get(head, "crit") == NULL;
    json_decref(head);
    return ok;
}

static bool
claims_ok(struct str part, uint64_t now)
{
    json_t *claims = decode_object(part);
    const json_t *exp = json_object_get(claims, "exp");
    bool ok = false;
    if (json_is_integer(exp))
        ok = json_integer_value(exp) > 0 && (uint64_t)json_integer_value(exp) > now;
    else if (json_is_real(exp))
        ok = json_real_value(exp) > (double)now;
    json_decref(claims);
    return ok;
}

bool
jwt_verify(struct jwt_key *k, struct str token, uint64_t now)
{
    struct str rest = token, head, claims;
    struct buf sig = BUF_INIT(MAX_TOKEN);
    bool good;
    if (token.len > MAX_TOKEN || !str_split(&rest, '.', &head) || !str_split(&rest, '.', &claims) || rest.ptr == NULL)
        return false;
    /* a second dot in REST is no base64; the signature is looked at before anything that it should vouch for */
    good = base64url_decode(&sig, rest) == 0 &&
           verify(k, str_sub(token, 0, head.len + 1 + claims.len), buf_str(&sig)) && head_ok(k, head) &&
           claims_ok(claims, now);
    buf_clear(&sig);
    return good;
}
