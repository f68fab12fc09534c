/* wsevents.h - bodies of type application/websocket-events (spec: websocket 6.2).
 *
 *   TEXT 5\r\nhello\r\n        a type, the length of the content in hexadecimal, the content
 *   OPEN\r\n                   without a length there is no content
 */
#ifndef PROTO_WSEVENTS_H
#define PROTO_WSEVENTS_H

#include "base/buf.h"

enum wsevent_type {
    WSEVENT_OPEN,
    WSEVENT_TEXT,
    WSEVENT_BINARY,
    WSEVENT_PING,
    WSEVENT_PONG,
    WSEVENT_CLOSE,
    WSEVENT_DISCONNECT,
    WSEVENT_UNKNOWN /* to be skipped */
};

struct wsevent {
    enum wsevent_type type;
    struct str content; /* a view; empty when there is none */
};

enum wsevents_result { WSEVENTS_EVENT, WSEVENTS_END, WSEVENTS_BAD };

/* The next event of *REST, which moves on. */
enum wsevents_result wsevents_next(struct str *rest, struct wsevent *out);
/* Is all of BODY well-formed? N (may be NULL): how many events it has. */
bool wsevents_ok(struct str body, unsigned *n);
/* Append an event; empty content is left out. 0, or -1 when B is full. */
int wsevents_put(struct buf *b, enum wsevent_type type, struct str content);

#endif
