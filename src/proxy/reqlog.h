/* reqlog.h - one line per request (spec: proxying 11), as text or as a JSON object. */
#ifndef PROXY_REQLOG_H
#define PROXY_REQLOG_H

#include "proxy/clientreq.h"
#include "proxy/context.h"

enum reqlog_result { REQLOG_DONE, REQLOG_ACCEPT, REQLOG_ERROR };

struct reqlog {
    const struct clientreq *req;
    const struct route *route;   /* NULL: none was found */
    const struct target *target; /* NULL: none was chosen */
    struct xchg *x;              /* for the peer's address */
    enum reqlog_result result;
    int code;      /* with REQLOG_DONE */
    uint64_t size; /* bytes of the body sent */
    bool retry;
    unsigned shared;            /* the number of a request to the origin for several clients; 0: it was for this one */
    bool over_http;             /* a WebSocket carried by requests */
    const struct headers *sent; /* to the origin, for their Grip-Last; NULL: there is none */
    uint64_t began;             /* ms of the monotonic clock: the request was there */
    bool has_origin_time;
    uint64_t origin_time; /* ms from asking the origin to the head of its answer */
};

void reqlog_write(struct proxy *p, const struct reqlog *r);

/* The end of a WebSocket, whose beginning reqlog_write() told of. */
struct reqlog_end {
    struct str uri, target; /* as at the beginning */
    bool over_http;
    int code;       /* of the close frame */
    uint64_t began; /* ms of the monotonic clock */
};

void reqlog_end(const struct proxy *p, const struct reqlog_end *end);

#endif
