/* configfile.h - the text of pushpin.conf: sections, keys, raw values; quoting and lists in values.
 *
 * inih finds sections and keys. As distributions build it, it knows lines of 200 bytes only, gives no line numbers and
 * cuts values at " ;". So it is fed a short stand-in "name=LINE" for each key line, and the values are ours. */
#ifndef CONF_CONFIGFILE_H
#define CONF_CONFIGFILE_H

#include "base/err.h"
#include "conf/config.h"

#include <stdio.h>

struct config_entry {
    char *section; /* owned; "" before the first section line */
    char *name;    /* owned */
    char *raw;     /* owned; all that follows '=', quotes and comments included */
    unsigned line;
    unsigned section_line; /* where the section began */
};

struct config_file {
    char *path;              /* owned; for messages */
    struct config_entry *at; /* owned; in the order of the file */
    unsigned n, cap;
};

/* Read all of STREAM. 0, or -1 with E set ("PATH:LINE: WHAT"). config_file_clear() in either case. */
int config_file_read(struct config_file *f, const char *path, FILE *stream, struct err *e);
void config_file_clear(struct config_file *f);
/* The last one of that section and name, or NULL. */
struct config_entry *config_file_find(const struct config_file *f, const char *section, const char *name);

/* What a raw value says: quotes and escapes resolved, trimmed, without comment. Commas are text. To be mem_free()d;
 * NULL with E set when a quote has no end. */
char *config_value_text(const char *raw, struct err *e);
/* The same, split at commas outside quotes; empty elements are dropped. config_list_clear() in either case. */
int config_value_list(const char *raw, struct config_list *out, struct err *e);

/* TEXT becomes the list's. */
void config_list_add(struct config_list *l, char *text);
void config_list_clear(struct config_list *l);

#endif
