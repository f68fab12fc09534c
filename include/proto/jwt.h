/* jwt.h - keys and Grip-Sig tokens (JWT, RFC 7519): make ours, recognise a trusted proxy's.
 * Spec: grip 2, proxying 4.8 and 5, routes 3.3. */
#ifndef PROTO_JWT_H
#define PROTO_JWT_H

#include "base/buf.h"
#include "base/err.h"

struct jwt_key; /* HS256 secret, or an ES256 or RS256 key; refcounted, since snapshots share it */

/* TEXT: "TEXT", "base64:DATA" or "file:PATH" (PATH relative to DIR). NULL with E set when it cannot be read. An empty
 * TEXT is an error; the caller takes it for "no key". */
struct jwt_key *jwt_key_new(struct str text, const char *dir, struct err *e);
struct jwt_key *jwt_key_ref(struct jwt_key *k);
void jwt_key_unref(struct jwt_key *k);

/* The token with iss and exp = NOW + 3600 (NOW: seconds since 1970). Kept and handed out again within the same second
 * for the same issuer, since the text is the same. The view is valid until the next call with this key.
 * ptr NULL when signing failed (a public key, say). */
struct str jwt_make(struct jwt_key *k, struct str iss, uint64_t now);
/* Does TOKEN verify with K, and is its exp after NOW? */
bool jwt_verify(struct jwt_key *k, struct str token, uint64_t now);

#endif
