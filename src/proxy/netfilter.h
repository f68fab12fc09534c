/* netfilter.h - a hold's items on their way through filters that ask a server: http-check and http-modify (spec:
 * grip 13).
 *
 *   hold --netfilter_run()---> asker --> server        one item at a time, so that the client gets them in order;
 *        <--filtered()-------'
 *        --netfilter_keep()--> [ item, item, ... ]     what comes meanwhile waits, within a limit
 *        <--take()-------------'
 *
 * Only a hold with such a filter has one. */
#ifndef PROXY_NETFILTER_H
#define PROXY_NETFILTER_H

#include "proxy/context.h"
#include "pub/filter.h"

struct netfilter;

struct netfilter_ops {
    /* For a request: the URI that the client asked for, the subscription's meta as members of an object, the ids that
     * the client has. PUT_LAST may be NULL. */
    void (*put_uri)(const struct hold *h, struct buf *out);
    void (*put_meta)(const struct hold *h, json_t *out);
    void (*put_last)(const struct hold *h, struct headers *out);
    /* M is through. PASS: PASSED is what has become of it, with a reference for the hold; FAIL: E says why. The
     * subscription may have ended meanwhile. Like take() it may close the hold. */
    void (*filtered)(struct hold *h, struct msg *m, enum filter_result result, struct msg *passed, struct err *e);
    /* M, which was kept, in its turn. HOW is what the hold has said of it. */
    void (*take)(struct hold *h, struct msg *m, unsigned how);
};

/* H owns it, and it has H's route until it is stopped. */
struct netfilter *netfilter_new(struct proxy *p, struct hold *h, const struct netfilter_ops *ops);
/* Nothing is called back any more, nothing waits. */
void netfilter_stop(struct netfilter *n);
/* It is stopped, and not in a callback. */
void netfilter_free(struct netfilter *n);

/* Has M to be kept, since others are before it? */
bool netfilter_busy(const struct netfilter *n);
/* Run SUB's filters over M, as filter_message() does. FILTER_ASK: filtered() will tell. */
enum filter_result netfilter_run(struct netfilter *n, const struct sub *sub, struct msg *m, struct msg **passed,
                                 struct err *e);
/* false: there is no room for M, which is logged once for an item. */
bool netfilter_keep(struct netfilter *n, struct msg *m, unsigned how);
/* Give back what is not through yet, in order: the caller has the references. Nobody is asked then. NULL: no more. */
struct msg *netfilter_give_back(struct netfilter *n);
/* What was said of the item whose turn is next; 0: nothing waits. */
unsigned netfilter_next(const struct netfilter *n);

#endif
