/* wsterms.h - what a response to a WebSocket over HTTP says: is it one, what it sets for later requests, and may its
 * events go to the client? (spec: websocket 6.3, 6.4) */
#ifndef ORIGIN_WSTERMS_H
#define ORIGIN_WSTERMS_H

#include "proto/header.h"

/* What later requests go by. */
struct wsterms {
    char *meta; /* owned; the Meta-* headers that the origin has set, packed in meta_len bytes */
    uint32_t meta_len;
    int keep_alive; /* s without another request after which the origin is asked; 0: it is not */
};

void wsterms_init(struct wsterms *t);
void wsterms_clear(struct wsterms *t);
/* Has nothing been set? */
static inline bool
wsterms_empty(const struct wsterms *t)
{
    return t->meta_len == 0 && t->keep_alive == 0;
}
/* Append the headers: views. */
void wsterms_put_meta(const struct wsterms *t, struct headers *out);
/* Read a response's headers. TARGET is for the log. */
void wsterms_read(struct wsterms *t, const struct headers *h, const char *target);

/* Is it a body of events? */
bool wsterms_is_events(const struct headers *h);
/* Is all of BODY well-formed, and nothing in it that RFC 6455 does not let us pass on? */
bool wsterms_may_pass(struct str body);
/* The code of a CLOSE event that may be passed on, and its reason. */
int wsterms_close_code(struct str content, struct str *reason);

#endif
