#include "proto/digest.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

static int
put(struct buf *b, struct str data, const char *alphabet, bool pad)
{
    const unsigned char *p = (const unsigned char *)data.ptr;
    size_t n = data.len, size = pad ? (n + 2) / 3 * 4 : n / 3 * 4 + (n % 3 > 0 ? n % 3 + 1 : 0);
    char *out = buf_room(b, size), *begin = out;
    if (out == NULL)
        return -1;
    for (; n >= 3; n -= 3, p += 3) {
        *out++ = alphabet[p[0] >> 2];
        *out++ = alphabet[(p[0] & 3) << 4 | p[1] >> 4];
        *out++ = alphabet[(p[1] & 15) << 2 | p[2] >> 6];
        *out++ = alphabet[p[2] & 63];
    }
    if (n > 0) {
        unsigned second = n == 2 ? p[1] : 0;
        *out++ = alphabet[p[0] >> 2];
        *out++ = alphabet[(p[0] & 3) << 4 | second >> 4];
        if (n == 2)
            *out++ = alphabet[(second & 15) << 2];
        else if (pad)
            *out++ = '=';
        if (pad)
            *out++ = '=';
    }
    b->len += (size_t)(out - begin);
    return 0;
}

static const char standard[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char url[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

int
base64_put(struct buf *b, struct str data)
{
    return put(b, data, standard, true);
}

int
base64url_put(struct buf *b, struct str data)
{
    return put(b, data, url, false);
}

/* The six bits that C stands for, -1 for a character outside the alphabet whose last two are LAST. */
static int
sextet(char c, const char *last)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == last[0] ? 62 : c == last[1] ? 63 : -1;
}

static int
decode(struct buf *b, struct str text, const char *last, bool strict)
{
    size_t room = text.len / 4 * 3 + 3;
    char *out = buf_room(b, room), *begin = out;
    unsigned bits = 0, have = 0, digits = 0;
    if (out == NULL)
        return -1;
    for (size_t i = 0; i < text.len && (strict || text.ptr[i] != '='); i++) {
        int v = sextet(text.ptr[i], last);
        if (v < 0) {
            if (strict)
                return -1;
            continue;
        }
        digits++;
        bits = bits << 6 | (unsigned)v;
        have += 6;
        if (have >= 8) {
            have -= 8;
            *out++ = (char)(bits >> have);
        }
    }
    if (strict && digits % 4 == 1)
        return -1;
    b->len += (size_t)(out - begin);
    return 0;
}

int
base64_decode(struct buf *b, struct str text)
{
    return decode(b, text, "+/", false);
}

int
base64url_decode(struct buf *b, struct str text)
{
    return decode(b, text, "-_", true);
}

void
hmac_sha256(struct str key, struct str data, unsigned char out[32])
{
    unsigned len = 32;
    HMAC(EVP_sha256(), key.len > 0 ? key.ptr : "", (int)key.len, (const unsigned char *)data.ptr, data.len, out, &len);
}

void
sha1(struct str data, unsigned char out[20])
{
    if (EVP_Digest(data.ptr, data.len, out, NULL, EVP_sha1(), NULL) != 1)
        abort();
}

int
md5(struct str data, unsigned char out[16])
{
    return EVP_Digest(data.ptr, data.len, out, NULL, EVP_md5(), NULL) == 1 ? 0 : -1;
}
