/* bearer.h - a token that whoever comes in has to bring: "Authorization: Bearer TOKEN" (RFC 6750, 2.1). */
#ifndef CTL_BEARER_H
#define CTL_BEARER_H

#include "base/err.h"
#include "proto/header.h"

enum { BEARER_MAX = 4096 }; /* bytes of a token */

struct bearer;

/* TEXT: "TOKEN", "base64:DATA" or "file:PATH" (PATH relative to DIR; space around the file's text is not of the token).
 * A token is of visible ASCII characters, as a header can carry it. NULL with E set when it is none. */
struct bearer *bearer_new(struct str text, const char *dir, struct err *e);
void bearer_free(struct bearer *b);
/* Is the token among the headers, in the one Authorization that there is? How long that takes does not tell in what a
 * wrong one differs. */
bool bearer_admits(const struct bearer *b, const struct headers *h);

#endif
