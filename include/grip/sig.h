/* sig.h - keys and Grip-Sig tokens (JWT, RFC 7519): make ours, recognise a trusted proxy's.
 * Spec: grip 2, proxying 4.8 and 5, routes 3.3. */
#ifndef GRIP_SIG_H
#define GRIP_SIG_H

#include "base/buf.h"
#include "base/err.h"

struct sig_key; /* HS256 secret, or an ES256 or RS256 key; refcounted, since snapshots share it */

/* TEXT: "TEXT", "base64:DATA" or "file:PATH" (PATH relative to DIR). NULL with E set when it cannot be read. An empty TEXT is
 * an error; the caller takes it for "no key". */
struct sig_key *sig_key_new(struct str text, const char *dir, struct err *e);
struct sig_key *sig_key_ref(struct sig_key *k);
void sig_key_unref(struct sig_key *k);

/* The token with iss and exp = NOW + 3600 (NOW: seconds since 1970). Kept and handed out again within the same second
 * for the same issuer, since the text is the same. The view is valid until the next call with this key.
 * ptr NULL when signing failed (a public key, say). */
struct str sig_make(struct sig_key *k, struct str iss, uint64_t now);
/* Does TOKEN verify with K, and is its exp after NOW? */
bool sig_verify(struct sig_key *k, struct str token, uint64_t now);

#endif
