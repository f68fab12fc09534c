/* jsonpatch.h - JSON pointer (RFC 6901) and JSON patch (RFC 6902); "/" is accepted for the root too. */
#ifndef PROTO_JSONPATCH_H
#define PROTO_JSONPATCH_H

#include "base/err.h"

#include <jansson.h>

/* Apply the list PATCH to a copy of DOC. A new reference, or NULL with E set; DOC is never changed. */
json_t *jsonpatch_apply(const json_t *doc, const json_t *patch, struct err *e);

#endif
