/* wssort.h - an origin's messages in GRIP mode: which are content, which control, which are dropped (spec: websocket
 * 4.2).
 *
 *   DECIDE --prefix--> CONTENT: its pieces, less the prefix
 *          --"c:"----> CONTROL: the whole message
 *          ----------> DROP
 *
 * What is needed to decide is kept, however the message is cut; a control message is put together. */
#ifndef PROXY_WSSORT_H
#define PROXY_WSSORT_H

#include "base/buf.h"
#include "ws/ws.h"

enum { WSSORT_CONTROL_MAX = 65536 }; /* bytes of a control message; what is longer is dropped */

enum wssort_result { WSSORT_NOTHING, WSSORT_CONTENT, WSSORT_CONTROL };

struct wssort;

struct wssort *wssort_new(struct str prefix);
void wssort_free(struct wssort *s);
/* CONTENT: OUT is to be sent. CONTROL: its payload is what follows "c:". Valid until wssort_done(). */
enum wssort_result wssort_next(struct wssort *s, const struct ws_piece *in, struct ws_piece *out);
/* After each piece: what is no longer needed is given back. */
void wssort_done(struct wssort *s, const struct ws_piece *in);

#endif
