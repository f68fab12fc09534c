/* secret.h - texts of settings that stand for a secret: "TEXT", "base64:DATA" or "file:PATH". */
#ifndef PROTO_SECRET_H
#define PROTO_SECRET_H

#include "base/buf.h"
#include "base/err.h"

enum { SECRET_MAX = 65536 }; /* bytes */

struct secret {
    struct buf bytes; /* what a file has is not looked at: it may end with a newline */
    struct buf path;  /* of the file, with a zero behind it; empty: it is not from a file */
};

/* PATH is relative to DIR. 0, or -1 with E set; secret_clear() in either case. An empty TEXT is an error. */
int secret_read(struct secret *s, struct str text, const char *dir, struct err *e);
/* What can be seen of it in memory is overwritten. */
void secret_clear(struct secret *s);

#endif
