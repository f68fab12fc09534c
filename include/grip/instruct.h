/* instruct.h - the instructions of one origin response (spec: grip 1, 3, 4, 5, 6): Grip-* headers or a JSON document
 * -> hold mode, channels, timeouts, links, and the response for the client. Pure functions. */
#ifndef GRIP_INSTRUCT_H
#define GRIP_INSTRUCT_H

#include "base/err.h"
#include "proto/header.h"

enum hold_mode { HOLD_NONE, HOLD_MODE_RESPONSE, HOLD_MODE_STREAM };
enum keep_alive_mode { KEEP_ALIVE_IDLE, KEEP_ALIVE_INTERVAL };

enum { INSTRUCT_MAX_FILTERS = 5, INSTRUCT_TIMEOUT = 55, INSTRUCT_NEXT_TIMEOUT = 120 };

struct instruct_channel {
    char *name; /* owned, name_len bytes and a NUL; without the route's prefix */
    size_t name_len;
    char *prev_id;                       /* owned; NULL when absent */
    char *filters[INSTRUCT_MAX_FILTERS]; /* owned */
    unsigned n_filters;
};

struct instruct_meta {
    char *name, *value; /* owned */
};

struct instruct {
    enum hold_mode hold;
    struct instruct_channel *channels; /* owned; in order, each name once (the last prev-id and filters win) */
    unsigned n_channels;
    int timeout;      /* seconds of a response hold, at least 5 */
    char *keep_alive; /* owned, keep_alive_len bytes; NULL when there is none */
    size_t keep_alive_len;
    int keep_alive_timeout; /* seconds, at least 1 */
    enum keep_alive_mode keep_alive_mode;
    struct instruct_meta *meta; /* owned; each name once */
    unsigned n_meta;
    char *next_link;  /* owned; URL as written, NULL when absent */
    int next_timeout; /* seconds */
    char *gone_link;  /* owned */
    bool from_json;
    /* the response for the client */
    int status;
    char *reason;           /* owned; NULL: the usual phrase */
    struct headers headers; /* Grip-*, hop-by-hop, framing removed and Grip-Expose-Headers applied.
                               Content-Encoding is kept: whoever sends a stream or a published response drops it */
    char *body;             /* owned; body_len bytes */
    size_t body_len;
};

/* Is a response with these headers an instruct? (grip 1) */
bool instruct_present(const struct headers *h);
/* Is it one whose body is the JSON document? */
bool instruct_is_json(const struct headers *h);

/* Parse an origin's response. BODY is the whole body, or ptr NULL when it is too long to be read first: then OUT has
 * no body and a JSON document is an error. 0: OUT is filled, instruct_clear() it. -1: E says why; nothing to clear. */
int instruct_parse(int status, struct str reason, const struct headers *h, struct str body, struct instruct *out,
                   struct err *e);
void instruct_init(struct instruct *in);
void instruct_clear(struct instruct *in);
/* Does any channel have a prev-id? Its name, or NULL. */
const struct instruct_channel *instruct_prev_id(const struct instruct *in);
const char *instruct_get_meta(const struct instruct *in, const char *name);

#endif
