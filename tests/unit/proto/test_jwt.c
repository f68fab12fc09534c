#include "test.h"

#include "base/mem.h"
#include "proto/jwt.h"
#include "proto/digest.h"

#include <errno.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NOW = 1700000000 };

static char dir[] = "/tmp/test_sig.XXXXXX";
static EVP_PKEY *ec, *rsa;

static void
write_file(const char *name, struct str bytes)
{
    char path[256];
    FILE *f;
    snprintf(path, sizeof path, "%s/%s", dir, name);
    f = fopen(path, "w");
    CHECK(f != NULL);
    CHECK_INT(fwrite(bytes.ptr, 1, bytes.len, f), bytes.len);
    fclose(f);
}

static void
remove_file(const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    unlink(path);
}

/* The PEM text of KEY under NAME. CIPHER may be NULL. */
static void
write_pem(const char *name, EVP_PKEY *key, bool private, const EVP_CIPHER *cipher)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char password[] = "secret", *ptr;
    long n;
    if (private)
        PEM_write_bio_PrivateKey(bio, key, cipher, NULL, 0, NULL, cipher != NULL ? password : NULL);
    else
        PEM_write_bio_PUBKEY(bio, key);
    n = BIO_get_mem_data(bio, &ptr);
    write_file(name, str_of(ptr, (size_t)n));
    BIO_free(bio);
}

static const char *const files[] = {"ec.pem",      "ec.pub",    "rsa.pem",    "rsa.pub", "p384.pem",
                                    "ed25519.pem", "crypt.pem", "params.pem", "bad.pem", "hex",
                                    "empty",       "odd",       "big",        "nothex"};

static int
begin(void **state)
{
    EVP_PKEY *p384 = EVP_EC_gen("P-384"), *ed25519 = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    struct buf big = BUF_INIT(70000);
    (void)state;
    if (mkdtemp(dir) == NULL)
        return -1;
    ec = EVP_EC_gen("P-256");
    rsa = EVP_RSA_gen(2048);
    write_pem("ec.pem", ec, true, NULL);
    write_pem("ec.pub", ec, false, NULL);
    write_pem("rsa.pem", rsa, true, NULL);
    write_pem("rsa.pub", rsa, false, NULL);
    write_pem("p384.pem", p384, true, NULL);
    write_pem("ed25519.pem", ed25519, true, NULL);
    write_pem("crypt.pem", rsa, true, EVP_aes_128_cbc());
    write_file("bad.pem", STR("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"));
    write_file("hex", STR(" 736563\n"));
    write_file("empty", STR("\n"));
    write_file("odd", STR("736563f"));
    write_file("nothex", STR("secret"));
    for (int i = 0; i < 70000; i++)
        buf_addc(&big, 'a');
    write_file("big", buf_str(&big));
    buf_clear(&big);
    EVP_PKEY_free(p384);
    EVP_PKEY_free(ed25519);
    return 0;
}

static int
end(void **state)
{
    (void)state;
    for (size_t i = 0; i < countof(files); i++)
        remove_file(files[i]);
    EVP_PKEY_free(ec);
    EVP_PKEY_free(rsa);
    return rmdir(dir);
}

static struct jwt_key *
key(const char *text)
{
    struct err e;
    struct jwt_key *k = jwt_key_new(str_c(text), dir, &e);
    if (k == NULL)
        print_error("%s: %s\n", text, e.text);
    CHECK(k != NULL);
    return k;
}

/* HEAD.CLAIMS signed by PKEY, or by SECRET when it is NULL: tokens as others make them. */
static void
make_token(struct buf *token, const char *head, const char *claims, EVP_PKEY *pkey, struct str secret)
{
    unsigned char sig[512];
    size_t len = sizeof sig;
    *token = BUF_INIT(65536);
    base64url_put(token, str_c(head));
    buf_addc(token, '.');
    base64url_put(token, str_c(claims));
    if (pkey == NULL) {
        hmac_sha256(secret, buf_str(token), sig);
        len = 32;
    } else {
        EVP_MD_CTX *ctx = EVP_MD_CTX_new();
        CHECK_INT(EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, pkey), 1);
        CHECK_INT(EVP_DigestSign(ctx, sig, &len, (unsigned char *)token->ptr, token->len), 1);
        EVP_MD_CTX_free(ctx);
    }
    if (pkey == ec) {
        const unsigned char *p = sig;
        ECDSA_SIG *s = d2i_ECDSA_SIG(NULL, &p, (long)len);
        unsigned char raw[64];
        BN_bn2binpad(ECDSA_SIG_get0_r(s), raw, 32);
        BN_bn2binpad(ECDSA_SIG_get0_s(s), raw + 32, 32);
        memcpy(sig, raw, len = 64);
        ECDSA_SIG_free(s);
    }
    buf_addc(token, '.');
    base64url_put(token, str_of((char *)sig, len));
}

/* Does OpenSSL agree that the token's signature is PKEY's? */
static bool
openssl_verifies(struct str token, EVP_PKEY *pkey)
{
    struct buf sig = BUF_INIT(1024);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    unsigned char *der = NULL;
    size_t at = token.len;
    bool good;
    int n;
    while (token.ptr[at - 1] != '.')
        at--;
    CHECK_INT(base64url_decode(&sig, str_from(token, at)), 0);
    if (pkey == ec) {
        ECDSA_SIG *s = ECDSA_SIG_new();
        CHECK_INT(sig.len, 64);
        ECDSA_SIG_set0(s, BN_bin2bn((unsigned char *)sig.ptr, 32, NULL),
                       BN_bin2bn((unsigned char *)sig.ptr + 32, 32, NULL));
        sig.len = 0;
        n = i2d_ECDSA_SIG(s, &der);
        buf_add(&sig, der, (size_t)n);
        OPENSSL_free(der);
        ECDSA_SIG_free(s);
    }
    CHECK_INT(EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, pkey), 1);
    good = EVP_DigestVerify(ctx, (unsigned char *)sig.ptr, sig.len, (const unsigned char *)token.ptr, at - 1) == 1;
    EVP_MD_CTX_free(ctx);
    buf_clear(&sig);
    return good;
}

static void
check_parts(struct str token, const char *head, const char *claims)
{
    struct buf b = BUF_INIT(65536);
    struct str part;
    CHECK(str_split(&token, '.', &part));
    CHECK_INT(base64url_decode(&b, part), 0);
    CHECK_STR(buf_str(&b), head);
    b.len = 0;
    CHECK(str_split(&token, '.', &part));
    CHECK_INT(base64url_decode(&b, part), 0);
    CHECK_STR(buf_str(&b), claims);
    buf_clear(&b);
}

TEST(keys_are_read_from_text_base64_and_files)
{
    static const char *const same[] = {"sec", "base64:c2Vj", "file:hex"};
    struct jwt_key *first = key("sec");
    for (size_t i = 0; i < countof(same); i++) {
        struct jwt_key *k = key(same[i]);
        CHECK(jwt_verify(first, jwt_make(k, STR("x"), NOW), NOW));
        jwt_key_unref(k);
    }
    jwt_key_unref(first);
    jwt_key_unref(key("base64:c2U="));
    jwt_key_unref(key("base64:c2U")); /* padding is often left out */
    jwt_key_unref(key("base64"));
}

TEST(keys_that_cannot_be_read)
{
    static const struct {
        const char *text, *want; /* %s in WANT is the directory */
    } rows[] = {
        {"", "the key is empty"},
        {"base64:", "the key is empty"},
        {"base64:====", "bad base64 text"},
        {"base64:c", "bad base64 text"},
        {"base64:c2Vj!", "bad base64 text"},
        {"base64:c2Vj====", "bad base64 text"},
        {"base64:c2U=c2U=", "bad base64 text"},
        {"base64:c2=", "bad base64 text"},
        {"file:", "%s/: not a plain file"},
        {"file:none", "%s/none: No such file or directory"},
        {"file:/nowhere/none", "/nowhere/none: No such file or directory"},
        {"file:empty", "%s/empty: the file is empty"},
        {"file:odd", "%s/odd: neither PEM nor hexadecimal text"},
        {"file:nothex", "%s/nothex: neither PEM nor hexadecimal text"},
        {"file:big", "%s/big: too large for a key"},
        {"file:bad.pem", "%s/bad.pem: no private or public key that can be read without a password"},
        {"file:crypt.pem", "%s/crypt.pem: no private or public key that can be read without a password"},
        {"file:p384.pem", "%s/p384.pem: the EC key is not one of the curve P-256"},
        {"file:ed25519.pem", "%s/ed25519.pem: the key is neither an EC nor an RSA key"},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        const char *at = strstr(rows[i].want, "%s");
        struct err e = {""};
        char want[256];
        snprintf(want, sizeof want, "%s%s", at != NULL ? dir : "", at != NULL ? at + 2 : rows[i].want);
        CHECK(jwt_key_new(str_c(rows[i].text), dir, &e) == NULL);
        CHECK_STR(str_c(e.text), want);
        CHECK_INT(ERR_peek_error(), 0); /* else the next TLS connection would fail by it */
    }
    CHECK(jwt_key_new(STR("file:a\0b"), dir, NULL) == NULL);
}

TEST(a_fifo_is_not_waited_for)
{
    char path[256];
    snprintf(path, sizeof path, "%s/fifo", dir);
    CHECK_INT(mkfifo(path, 0600), 0);
    CHECK(jwt_key_new(STR("file:fifo"), dir, NULL) == NULL);
    unlink(path);
}

TEST(our_tokens)
{
    static const struct {
        const char *key, *alg;
    } rows[] = {{"sec", "HS256"}, {"file:ec.pem", "ES256"}, {"file:rsa.pem", "RS256"}};
    for (size_t i = 0; i < countof(rows); i++) {
        struct jwt_key *k = key(rows[i].key);
        char head[64];
        snprintf(head, sizeof head, "{\"typ\":\"JWT\",\"alg\":\"%s\"}", rows[i].alg);
        check_parts(jwt_make(k, STR("pushpin"), NOW), head, "{\"exp\":1700003600,\"iss\":\"pushpin\"}");
        check_parts(jwt_make(k, STR("a\"\\\n\xc3\xa9"), NOW), head,
                    "{\"exp\":1700003600,\"iss\":\"a\\\"\\\\\\u000a\xc3\xa9\"}");
        check_parts(jwt_make(k, STR(""), NOW), head, "{\"exp\":1700003600,\"iss\":\"\"}");
        CHECK(jwt_verify(k, jwt_make(k, STR("x"), NOW), NOW));
        CHECK(jwt_verify(k, jwt_make(k, STR("x"), NOW), NOW + 3599));
        CHECK(!jwt_verify(k, jwt_make(k, STR("x"), NOW), NOW + 3600));
        jwt_key_unref(k);
    }
}

TEST(openssl_agrees_with_our_signatures)
{
    struct jwt_key *k = key("file:ec.pem");
    for (int i = 0; i < 100; i++) /* now and then r or s begins with a zero byte */
        CHECK(openssl_verifies(jwt_make(k, STR("x"), NOW + (unsigned)i), ec));
    jwt_key_unref(k);
    k = key("file:rsa.pem");
    CHECK(openssl_verifies(jwt_make(k, STR("x"), NOW), rsa));
    jwt_key_unref(k);
}

TEST(public_keys_verify_and_do_not_sign)
{
    static const char *const rows[][2] = {{"file:ec.pem", "file:ec.pub"}, {"file:rsa.pem", "file:rsa.pub"}};
    for (size_t i = 0; i < countof(rows); i++) {
        struct jwt_key *private = key(rows[i][0]), *public = key(rows[i][1]);
        CHECK(jwt_verify(public, jwt_make(private, STR("x"), NOW), NOW));
        CHECK(jwt_make(public, STR("x"), NOW).ptr == NULL);
        CHECK_INT(ERR_peek_error(), 0);
        jwt_key_unref(private);
        jwt_key_unref(public);
    }
}

TEST(a_token_is_kept_for_a_second)
{
    struct jwt_key *k = key("file:ec.pem"); /* whose signatures differ each time */
    char *first = str_dup(jwt_make(k, STR("a"), NOW));
    CHECK_STR(jwt_make(jwt_key_ref(k), STR("a"), NOW), first);
    CHECK(!str_eq(jwt_make(k, STR("b"), NOW), str_c(first)));
    CHECK(!str_eq(jwt_make(k, STR("a"), NOW), str_c(first)));
    mem_free(first);
    first = str_dup(jwt_make(k, STR("a"), NOW));
    CHECK(!str_eq(jwt_make(k, STR("a"), NOW + 1), str_c(first)));
    CHECK(!str_eq(jwt_make(k, STR("a"), NOW), str_c(first)));
    mem_free(first);
    jwt_key_unref(k);
    jwt_key_unref(k);
}

TEST(issuers_have_a_limit)
{
    struct jwt_key *k = key("sec");
    char *iss = mem_zalloc(4097);
    CHECK(jwt_make(k, str_of(iss, 4097), NOW).ptr == NULL);
    CHECK(jwt_make(k, str_of(iss, 4096), NOW).len > 4096 * 6);
    mem_free(iss);
    jwt_key_unref(k);
}

/* RFC 7515, A.1 */
TEST(the_example_of_the_standard)
{
    const struct str token =
        STR("eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQog"
            "Imh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
    struct jwt_key *k =
        key("base64:AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ+EstJQLr/T+1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow==");
    CHECK(jwt_verify(k, token, 1300819379));
    CHECK(!jwt_verify(k, token, 1300819380));
    jwt_key_unref(k);
}

#define HEAD(alg) "{\"alg\":\"" alg "\"}"
#define EXP "{\"exp\":1700000001}"

TEST(tokens_of_others)
{
    static const struct {
        const char *head, *claims;
        bool good;
    } rows[] = {
        {HEAD("HS256"), EXP, true},
        {"{\"alg\":\"HS256\",\"typ\":\"other\",\"kid\":1}", "{\"iss\":\"x\",\"exp\":1700000000.5,\"nbf\":9999999999}",
         true},
        {HEAD("HS256"), "{\"exp\":9e99}", true},
        {HEAD("HS256"), "{\"exp\":1700000000}", false},
        {HEAD("HS256"), "{\"exp\":1700000000.0}", false},
        {HEAD("HS256"), "{\"exp\":-1}", false},
        {HEAD("HS256"), "{\"exp\":\"1700000001\"}", false},
        {HEAD("HS256"), "{\"exp\":true}", false},
        {HEAD("HS256"), "{\"exp\":null}", false},
        {HEAD("HS256"), "{\"iss\":\"x\"}", false},
        {HEAD("HS256"), "[1700000001]", false},
        {HEAD("HS256"), "1700000001", false},
        {HEAD("HS256"), "", false},
        {HEAD("HS256"), "{", false},
        {HEAD("none"), EXP, false},
        {HEAD("hs256"), EXP, false},
        {HEAD("HS256\\u0000"), EXP, false},
        {HEAD("HS512"), EXP, false},
        {HEAD("RS256"), EXP, false},
        {"{\"alg\":1}", EXP, false},
        {"{\"alg\":\"HS256\",\"crit\":[\"x\"]}", EXP, false},
        {"{}", EXP, false},
        {"[]", EXP, false},
        {"", EXP, false},
    };
    struct jwt_key *k = key("sec");
    for (size_t i = 0; i < countof(rows); i++) {
        struct buf token;
        make_token(&token, rows[i].head, rows[i].claims, NULL, STR("sec"));
        if (jwt_verify(k, buf_str(&token), NOW) != rows[i].good)
            print_error("%s %s\n", rows[i].head, rows[i].claims);
        CHECK_INT(jwt_verify(k, buf_str(&token), NOW), rows[i].good);
        buf_clear(&token);
        make_token(&token, rows[i].head, rows[i].claims, NULL, STR("other"));
        CHECK(!jwt_verify(k, buf_str(&token), NOW));
        buf_clear(&token);
    }
    jwt_key_unref(k);
}

TEST(tokens_of_others_by_key_pairs)
{
    struct jwt_key *ec_key = key("file:ec.pub"), *rsa_key = key("file:rsa.pub");
    struct buf token;
    make_token(&token, HEAD("ES256"), EXP, ec, STR(""));
    CHECK(jwt_verify(ec_key, buf_str(&token), NOW));
    CHECK(!jwt_verify(ec_key, buf_str(&token), NOW + 1));
    CHECK(!jwt_verify(rsa_key, buf_str(&token), NOW));
    buf_clear(&token);
    make_token(&token, HEAD("RS256"), EXP, rsa, STR(""));
    CHECK(jwt_verify(rsa_key, buf_str(&token), NOW));
    CHECK(!jwt_verify(ec_key, buf_str(&token), NOW));
    buf_clear(&token);
    make_token(&token, HEAD("HS256"), EXP, rsa, STR("")); /* good signature, wrong name */
    CHECK(!jwt_verify(rsa_key, buf_str(&token), NOW));
    buf_clear(&token);
    CHECK_INT(ERR_peek_error(), 0);
    jwt_key_unref(ec_key);
    jwt_key_unref(rsa_key);
}

/* Everybody has the public key: its text must not do as a secret. */
TEST(a_public_key_is_no_secret)
{
    static const char *const names[] = {"ec", "rsa"}, *const algs[] = {HEAD("HS256"), HEAD("RS256"), HEAD("ES256")};
    for (size_t i = 0; i < countof(names); i++) {
        char path[256], pem[4096], text[64];
        struct jwt_key *k;
        struct buf token;
        FILE *f;
        size_t n;
        snprintf(path, sizeof path, "%s/%s.pub", dir, names[i]);
        f = fopen(path, "r");
        CHECK(f != NULL);
        n = fread(pem, 1, sizeof pem, f);
        fclose(f);
        snprintf(text, sizeof text, "file:%s.pub", names[i]);
        k = key(text);
        for (size_t a = 0; a < countof(algs); a++) {
            make_token(&token, algs[a], EXP, NULL, str_of(pem, n));
            CHECK(!jwt_verify(k, buf_str(&token), NOW));
            buf_clear(&token);
        }
        jwt_key_unref(k);
    }
}

TEST(a_token_that_was_tampered_with)
{
    static const char *const keys[] = {"sec", "file:ec.pem", "file:rsa.pem"};
    for (size_t i = 0; i < countof(keys); i++) {
        struct jwt_key *k = key(keys[i]);
        struct str token = jwt_make(k, STR("x"), NOW);
        char *copy = str_dup(token);
        size_t n = token.len;
        for (size_t at = 0; at < n; at += 7) {
            copy[at] = copy[at] == 'A' ? 'w' : 'A'; /* high bits: the low ones of the last may have no meaning */
            CHECK(!jwt_verify(k, str_of(copy, n), NOW));
            copy[at] = token.ptr[at];
        }
        for (size_t len = 0; len < n; len++)
            CHECK(!jwt_verify(k, str_of(copy, len), NOW));
        CHECK(jwt_verify(k, str_of(copy, n), NOW));
        mem_free(copy);
        jwt_key_unref(k);
    }
    CHECK_INT(ERR_peek_error(), 0);
}

TEST(no_token_at_all)
{
    static const char *const rows[] = {
        "",   "garbage", ".",     "..",         "...",
        "a.", "a.b",     "a.b.c", "eyJ9.eyJ9.", "eyJhbGciOiJub25lIn0.eyJleHAiOjE4MDAwMDAwMDB9."};
    struct jwt_key *k = key("sec");
    for (size_t i = 0; i < countof(rows); i++)
        CHECK(!jwt_verify(k, str_c(rows[i]), NOW));
    CHECK(!jwt_verify(k, str_of(NULL, 0), NOW));
    jwt_key_unref(k);
}

TEST(tokens_have_a_limit)
{
    struct jwt_key *k = key("sec");
    char *claims = mem_zalloc(8192);
    for (int more = 0; more < 2; more++) {
        struct buf token;
        int n = snprintf(claims, 8192, "{\"exp\":9999999999,\"pad\":\"");
        size_t len = more ? 6096 : 6095; /* of the claims: the shorter token is one of 8192 bytes */
        memset(claims + n, 'x', len - (size_t)n - 2);
        memcpy(claims + len - 2, "\"}", 3);
        make_token(&token, HEAD("HS256"), claims, NULL, STR("sec"));
        CHECK_INT(token.len, 8192 + more);
        CHECK_INT(jwt_verify(k, buf_str(&token), NOW), !more);
        buf_clear(&token);
    }
    mem_free(claims);
    jwt_key_unref(k);
}

/* openssl ecparam -genkey writes the parameters before the key. */
TEST(a_key_behind_its_parameters)
{
    struct buf b = BUF_INIT(8192);
    BIO *bio = BIO_new(BIO_s_mem());
    struct jwt_key *k;
    char *ptr;
    long n;
    PEM_write_bio_PrivateKey_traditional(bio, ec, NULL, NULL, 0, NULL, NULL);
    n = BIO_get_mem_data(bio, &ptr);
    buf_adds(&b, STR("-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"));
    buf_add(&b, ptr, (size_t)n);
    write_file("params.pem", buf_str(&b));
    k = key("file:params.pem");
    CHECK(openssl_verifies(jwt_make(k, STR("x"), NOW), ec));
    jwt_key_unref(k);
    BIO_free(bio);
    buf_clear(&b);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_are_read_from_text_base64_and_files),
        cmocka_unit_test(keys_that_cannot_be_read),
        cmocka_unit_test(a_fifo_is_not_waited_for),
        cmocka_unit_test(our_tokens),
        cmocka_unit_test(openssl_agrees_with_our_signatures),
        cmocka_unit_test(public_keys_verify_and_do_not_sign),
        cmocka_unit_test(a_token_is_kept_for_a_second),
        cmocka_unit_test(issuers_have_a_limit),
        cmocka_unit_test(the_example_of_the_standard),
        cmocka_unit_test(tokens_of_others),
        cmocka_unit_test(tokens_of_others_by_key_pairs),
        cmocka_unit_test(a_public_key_is_no_secret),
        cmocka_unit_test(a_token_that_was_tampered_with),
        cmocka_unit_test(no_token_at_all),
        cmocka_unit_test(tokens_have_a_limit),
        cmocka_unit_test(a_key_behind_its_parameters),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
