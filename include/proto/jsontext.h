/* jsontext.h - a JSON or tnetstring value as one line for the debug log.
 *
 *   { "channel": "room", "n": 1 }   [ "a", true, null ]   "a \"quote\", \n and \xff"
 *
 * For people: it cannot be read back. Spec: stats 5.3. */
#ifndef PROTO_JSONTEXT_H
#define PROTO_JSONTEXT_H

#include "base/str.h"

#include <jansson.h>

enum { JSONTEXT_SIZE = 4096 }; /* bytes that do for a log line */

/* Write VALUE to OUT; it ends in "..." where SIZE (at least 4) is not enough. */
struct str jsontext(const json_t *value, char *out, size_t size);

#endif
