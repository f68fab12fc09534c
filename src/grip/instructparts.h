/* instructparts.h - what the readers of headers and of JSON documents fill an instruct with. */
#ifndef GRIP_INSTRUCTPARTS_H
#define GRIP_INSTRUCTPARTS_H

#include "grip/instruct.h"

enum { INSTRUCT_MIN_TIMEOUT = 5, INSTRUCT_MIN_KEEP_ALIVE = 1 };

/* The Grip-* headers of H. They leave status 0 when there is no Grip-Status. */
int instruct_read_headers(const struct headers *h, struct instruct *out, struct err *e);
/* The application/grip-instruct document BODY, its response included. */
int instruct_read_json(struct str body, struct instruct *out, struct err *e);

/* Append; a name that is there already is merged at the end of parsing. The bytes are copied. */
struct instruct_channel *instruct_add_channel(struct instruct *in, struct str name);
void instruct_add_meta(struct instruct *in, struct str name, struct str value);
/* Append the filter; -1 with E set when the channel has all it may have. */
int instruct_add_filter(struct instruct_channel *c, struct str filter, struct err *e);

/* Replace *FIELD by a copy of TEXT; NULL when its ptr is. */
void instruct_set(char **field, struct str text);
/* Replace the keep-alive data; without a byte there is none. */
void instruct_set_keep_alive(struct instruct *in, struct str data);
/* N seconds, not negative, within MIN and a year. */
int instruct_seconds(int64_t n, int min);

static inline bool
instruct_status_ok(int64_t code)
{
    return code >= 200 && code <= 999;
}

/* What becomes a C string must not have a NUL. */
static inline bool
instruct_has_nul(struct str s)
{
    return str_chr(s, '\0') >= 0;
}

#endif
