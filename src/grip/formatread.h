/* formatread.h - a format from the value that an item has for it; item.c owns what comes out. */
#ifndef GRIP_FORMATREAD_H
#define GRIP_FORMATREAD_H

#include "grip/item.h"

/* NULL with E set to the message of publishing 4.4. VALUE is not needed afterwards, but for lists that the format
 * holds a reference to. */
struct format *format_read(enum format_kind kind, const json_t *value, enum item_source source, struct err *e);
/* F may be NULL. */
void format_free(struct format *f);

#endif
