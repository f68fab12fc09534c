/* digest.h - base64, SHA-1, MD5 and keyed hashes. */
#ifndef PROTO_DIGEST_H
#define PROTO_DIGEST_H

#include "base/buf.h"

/* Append the base64 text of DATA (with padding), or base64url without padding. */
int base64_put(struct buf *b, struct str data);
int base64url_put(struct buf *b, struct str data);
/* Append what TEXT decodes to. Characters outside the alphabet are skipped, '=' ends it. 0, or -1 when B is full. */
int base64_decode(struct buf *b, struct str text);
/* Strict base64url without padding. 0, or -1 when TEXT is none. */
int base64url_decode(struct buf *b, struct str text);

void hmac_sha256(struct str key, struct str data, unsigned char out[32]);
void sha1(struct str data, unsigned char out[20]);
/* 0, or -1: the system's rules forbid MD5. Only for what need not be secret. */
int md5(struct str data, unsigned char out[16]);

#endif
