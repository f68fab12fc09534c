/* wscontrol.h - what an origin says on a WebSocket in GRIP mode: the extension's parameters, and "c:" messages
 * (spec: websocket 4.1, 5). Pure functions. */
#ifndef GRIP_WSCONTROL_H
#define GRIP_WSCONTROL_H

#include "base/err.h"
#include "proto/header.h"
#include "proto/wsframe.h"

#include <jansson.h>

enum wscontrol_type {
    WSCONTROL_SUBSCRIBE,
    WSCONTROL_UNSUBSCRIBE,
    WSCONTROL_DETACH,
    WSCONTROL_SESSION,
    WSCONTROL_SET_META,
    WSCONTROL_KEEP_ALIVE,
    WSCONTROL_SEND_DELAYED,
    WSCONTROL_FLUSH_DELAYED
};

enum { WSCONTROL_KEEP_ALIVE_S = 55, WSCONTROL_DELAYED_S = 1 };

struct wscontrol {
    enum wscontrol_type type;
    struct str channel;    /* subscribe, unsubscribe; a view into DOC, like the next */
    const json_t *filters; /* subscribe: array of strings, NULL when absent */
    struct str id;         /* session; ptr NULL when absent */
    struct str name;       /* set-meta */
    struct str value;      /* set-meta; ptr NULL: remove */
    /* keep-alive, send-delayed */
    bool has_content;
    char *content; /* owned; content_len bytes, NULL when empty */
    size_t content_len;
    enum wsframe_opcode opcode;
    int timeout;   /* s, at least 1 */
    bool interval; /* keep-alive: a fixed period, whatever else is sent */
    json_t *doc;   /* owned */
};

/* Parse what follows "c:". 0: wscontrol_clear() OUT. -1: E says why; nothing to clear. */
int wscontrol_parse(struct str text, struct wscontrol *out, struct err *e);
void wscontrol_clear(struct wscontrol *c);

/* Does the answer to a handshake turn GRIP on? ELEMENT (a view) is the extension as it was written, PREFIX gets that of
 * content messages. */
bool wscontrol_extension(const struct headers *h, struct str *element, struct buf *prefix);

#endif
