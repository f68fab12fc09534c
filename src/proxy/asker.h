/* asker.h - requests to the servers that filters ask about items (spec: grip 13).
 *
 *   ask_begin() --> bucket of its URL: [ ask, ask, ... ] --in turn, at a pace--> links_post() --> server
 *   user        <--answered(), failed()---------------------------------------------'
 *
 * A URL gets RATE requests a second, and no more than so many at a time; all together there are never more than
 * ASKER_AT_ONCE under way. What waits is bounded too. */
#ifndef PROXY_ASKER_H
#define PROXY_ASKER_H

#include "proxy/context.h"
#include "proxy/links.h"

struct askers;
struct ask;
struct ask_bucket;

enum {
    ASKER_RATE = 100,          /* requests a second and URL */
    ASKER_URL_AT_ONCE = 100,   /* requests to one URL */
    ASKER_AT_ONCE = 500,       /* requests, all together */
    ASKER_URL_QUEUE = 10000,   /* that wait for their turn, for one URL */
    ASKER_QUEUE = 100000,      /* all together */
    ASKER_TIMEOUT_MS = 10000,  /* from the start of a request to the end of its answer */
    ASKER_CONTENT_MAX = 100000 /* bytes of an answer */
};

/* The ask is over with answered(), failed() and ask_cancel(). */
struct ask_ops {
    /* Its turn has come: what to send. SPEC has the URL; route, home and body are to be set, headers to be added. -1:
     * they would be too long, and failed() follows. */
    int (*prepare)(struct ask *a, struct link_spec *spec, struct headers *headers);
    /* DROP: the item is not to be delivered. CONTENT: what it is to say; ptr NULL: what it says. */
    void (*answered)(struct ask *a, bool drop, struct str content);
    void (*failed)(struct ask *a, const char *why);
};

/* Embedded in what asks. */
struct ask {
    struct askers *all;        /* NULL: not under way */
    const struct ask_ops *ops; /* constant */
    struct list_node in_queue; /* of the bucket, until it is started */
    struct ask_bucket *bucket; /* borrowed: it stays as long as it is used */
    struct link *link;         /* owned once it is started */
    struct timer timer;
    struct buf content;
    int status;
    bool wants_content, drop;
};

struct askers *askers_new(struct proxy *p);
/* After the last ask. */
void askers_free(struct askers *all);

void ask_init(struct ask *a, const struct ask_ops *ops);
/* Ask URL, absolute, copied. WANTS_CONTENT: the answer may have some. Nothing is called back within the call. -1: too
 * many wait. */
int ask_begin(struct askers *all, struct ask *a, struct str url, bool wants_content);
void ask_cancel(struct ask *a);

#endif
