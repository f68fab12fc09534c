/* contentid.h - templates in the content of items and responses (spec: publishing 6.5, "Template syntax").
 *
 *   "Hi %(name)s, 100%%"     contentid_subst()      meta of the subscription
 *   "id: %I, %(other)I"      contentid_put()        ids: the default one, or the text given; as they are or in hex
 *
 * %X is a directive, %(ARG)X one with an argument in which \c means c. A body may come in pieces: a directive that is
 * cut in two waits for its other half. Pure functions. */
#ifndef GRIP_CONTENTID_H
#define GRIP_CONTENTID_H

#include "base/buf.h"
#include "base/err.h"

enum { CONTENTID_MAX_FIELD = 4096 }; /* bytes of a directive with its argument */

/* The value of NAME; ptr NULL when there is none. */
typedef struct str contentid_lookup(void *arg, struct str name);

/* Append TEXT with %(NAME)s replaced. 0, or -1 with E. What was appended by then is of no use. */
int contentid_subst(struct str text, contentid_lookup *lookup, void *arg, struct buf *out, struct err *e);

struct contentid {
    char *id; /* owned; the default one, id_len bytes; NULL: there is none */
    size_t id_len;
    bool hex;
    struct buf cut; /* the directive that a piece ended in */
    size_t at;      /* bytes that came before CUT */
};

/* FORMAT is the template of the default id, in which %(CHANNEL)s is what LOOKUP says; ptr NULL: an error. ENCODING:
 * ptr NULL, or "hex". LENIENT: where FORMAT has no value there is no default id, which is an error only for who asks
 * for it. 0, or -1 with E. contentid_clear() in either case. */
int contentid_init(struct contentid *c, struct str format, struct str encoding, contentid_lookup *lookup, void *arg,
                   bool lenient, struct err *e);
void contentid_clear(struct contentid *c);
/* Append the next piece of a body, ids put in. LAST: nothing follows. 0, or -1 with E, which ends it. */
int contentid_put(struct contentid *c, struct str piece, bool last, struct buf *out, struct err *e);

#endif
