/* tnet.h - tnetstrings <-> JSON values.
 *
 * LENGTH:DATA and a type byte: ',' bytes, '#' integer, '^' float, '!' boolean, '~' null, '}' map, ']' list.
 * Byte strings become JSON strings that may hold any bytes (jansson's unchecked strings): use
 * json_string_value() with json_string_length(). Spec: publishing 5.3. */
#ifndef PROTO_TNET_H
#define PROTO_TNET_H

#include "base/buf.h"
#include "base/err.h"

#include <jansson.h>

enum { TNET_MAX_DEPTH = 64 };

/* Parse the tnetstring at the start of TEXT; *USED bytes of it (may be NULL). A new reference, or NULL. Lengths are
 * checked against what is there; nesting beyond TNET_MAX_DEPTH is refused. */
json_t *tnet_parse(struct str text, size_t *used, struct err *e);
/* Append VALUE. 0, or -1 with nothing added when the buffer's maximum is reached or VALUE is nested beyond
 * TNET_MAX_DEPTH. */
int tnet_put(struct buf *b, const json_t *value);

#endif
