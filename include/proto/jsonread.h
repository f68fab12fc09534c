/* jsonread.h - typed reads from JSON values, with error text.
 *
 * WHERE is what the messages call the object: "hold", "'http-stream'", "publish item object". A missing key is no
 * error: the out value is left alone and *FOUND (may be NULL) false. A wrong type is:
 * "WHERE contains 'KEY' with wrong type". */
#ifndef PROTO_JSONREAD_H
#define PROTO_JSONREAD_H

#include "base/err.h"
#include "base/str.h"

#include <jansson.h>

/* Parse TEXT, all of it, at most DEPTH levels as jansson limits it; a UTF-8 byte order mark is skipped. NUL in strings
 * is allowed. NULL with E set when it is not JSON. */
json_t *jsonread_parse(struct str text, struct err *e);

/* A view into the JSON value. */
int jsonread_str(const json_t *o, const char *key, const char *where, struct str *out, bool *found, struct err *e);
int jsonread_bool(const json_t *o, const char *key, const char *where, bool *out, bool *found, struct err *e);
/* Numbers (fractions rounded to nearest) and strings that are a whole decimal number; all else is a wrong type.
 * What does not fit is clamped. Spec: publishing 1. */
int jsonread_int(const json_t *o, const char *key, const char *where, int64_t *out, bool *found, struct err *e);
/* Borrowed references. */
int jsonread_object(const json_t *o, const char *key, const char *where, json_t **out, struct err *e);
int jsonread_array(const json_t *o, const char *key, const char *where, json_t **out, struct err *e);

static inline struct str
jsonread_text(const json_t *string)
{
    return str_of(json_string_value(string), json_string_length(string));
}

#endif
