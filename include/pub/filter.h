/* filter.h - filters of a subscription: which items it does not get, and which it gets with other content
 * (spec: publishing 6.4, 6.5; grip 13).
 *
 *   filter_begin() --> PASS, DROP, FAIL
 *                  --> ASK: a server has to be asked --filter_answered(), filter_go_on()--> PASS, DROP, FAIL, ASK
 *
 * Who asks is the hold's affair: pub knows no requests. filter_message() is for subscriptions that ask nobody. */
#ifndef PUB_FILTER_H
#define PUB_FILTER_H

#include "base/err.h"
#include "pub/hold.h"

/* The filter of that name, or -1: unknown names are skipped. */
int filter_find(struct str name);
/* Does it ask a server? The hold must be one that does, then. */
bool filter_asks(int filter);

enum filter_result {
    FILTER_PASS,
    FILTER_DROP,
    FILTER_FAIL, /* it cannot be filtered, or was made for other filters; whose hold is debugged ends, saying so */
    FILTER_ASK
};

/* Is there anything to be done before SUB may get M? */
static inline bool
filter_needed(const struct sub *sub, const struct msg *m)
{
    return (sub->more != NULL && sub->more->n_filters > 0) || m->format->content_filters != NULL;
}

/* Run SUB's filters over M. FILTER_PASS: *OUT is a reference for the caller, to M or to what became of it for this
 * subscription. FILTER_FAIL: E says why; the first failure of an item is logged. Never FILTER_ASK. */
enum filter_result filter_message(const struct sub *sub, struct msg *m, struct msg **out, struct err *e);

/* A message on its way through filters; which ones is settled at the beginning. */
struct filtering {
    struct msg *m;   /* reference held, with PASS and ASK: what has become of it so far */
    uint8_t n, next; /* FILTERS[next] to FILTERS[n - 1] are still to come */
    uint8_t filters[FILTERS_MAX];
};

/* The same, in steps. FILTER_PASS: F->m is the caller's reference. FILTER_ASK: go on when the server has answered, or
 * give up with filter_fail(); a FILTERING that is forgotten is ended with msg_unref(F->m). */
enum filter_result filter_begin(const struct sub *sub, struct msg *m, struct filtering *f, struct err *e);
/* While asking: is the server given the content, and may it answer with another? */
bool filter_modifies(const struct filtering *f);
/* The server lets the message pass. CONTENT: what takes the place of its own; ptr NULL: nothing does. */
void filter_answered(struct filtering *f, struct str content);
enum filter_result filter_go_on(const struct sub *sub, struct filtering *f, struct err *e);
/* The server has not answered as it should: E says why, and gets the filter's name in front; logged as above. */
enum filter_result filter_fail(struct filtering *f, struct err *e);
/* The server says that the message is to be dropped. */
enum filter_result filter_drop(struct filtering *f);

#endif
