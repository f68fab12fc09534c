/* configset.h - one key of the table: its value's text -> the member of struct config. */
#ifndef CONF_CONFIGSET_H
#define CONF_CONFIGSET_H

#include "conf/configkeys.h"

/* Set the member of row K, as a value of TYPE (the row's own unless that is KEY_ELSEWHERE), to the raw value RAW, or to
 * the row's own value when RAW is NULL. The global settings come first, since the others' texts name them. 0, or -1
 * with E set: what would be right. */
int config_set(struct config *c, const struct config_key *k, enum key_type type, const char *raw, struct err *e);
/* TEXT (mem_free()d) with {libdir}, {rundir} and {ipc_prefix} replaced; NULL with E set when that gets too long. */
char *config_expand(const struct config *c, char *text, struct err *e);
/* Free what the row's member holds. */
void config_unset(struct config *c, const struct config_key *k);
/* L's strings become C's. */
void config_add_listener(struct config *c, struct config_listener l);
void config_clear_listeners(struct config *c);

#endif
