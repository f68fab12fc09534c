/* emit.h - the PUB socket: messages to whoever subscribed to their type (spec: stats 1).
 *
 * It is an XPUB socket, which to its peers is the same: it tells which types anybody has subscribed to, so that nothing
 * is composed for nobody. Messages are lost where a peer is slow. */
#ifndef STATS_EMIT_H
#define STATS_EMIT_H

#include "io/zsock.h"

#include <jansson.h>

enum emit_type { EMIT_CONN, EMIT_SUB, EMIT_MESSAGE, EMIT_ACTIVITY, EMIT_COUNTS, EMIT_REPORT, EMIT_TYPES };

struct emit;

/* ON_WANTED is called when the first peer subscribes to a type. NULL with E set: "unable to bind to SPEC: REASON". */
struct emit *emit_new(struct loop *l, struct zcontext *c, const char *spec, int ipc_mode, bool json,
                      void (*on_wanted)(void *arg, enum emit_type type), void *arg, struct err *e);
void emit_free(struct emit *e);

/* Has anybody subscribed to it? At debug level the log has. E may be NULL: there is no socket. */
bool emit_wanted(const struct emit *e, enum emit_type type);
/* Begin a message: an object with "from". */
json_t *emit_begin(const struct emit *e);
void emit_add_text(const struct emit *e, json_t *fields, const char *key, struct str value);
void emit_add_number(json_t *fields, const char *key, uint64_t value);
void emit_add_true(json_t *fields, const char *key);
/* Send it; the reference to FIELDS is taken over. */
void emit_send(struct emit *e, enum emit_type type, json_t *fields);

#endif
