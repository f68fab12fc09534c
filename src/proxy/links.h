/* links.h - requests to next links and gone links (spec: reliability 2.2 to 2.4, 6), and to the servers that filters
 * ask, which are found in the same way.
 *
 *   streamhold --links_get()--> link, link, link --share--> fetch --> origin/request --> the route's targets,
 *   httphold   --links_gone()-------------------> link --------> fetch                   or the link's own host
 *   netfilter  --links_post()-------------------> link --------> fetch
 *
 * Equal requests under way share one fetch until its answer begins; each reader is told the whole answer. Answers are
 * handed over as they come: a reader that cannot take more pauses, which holds up those that share with it, so one that
 * pauses too long then is parted from it. */
#ifndef PROXY_LINKS_H
#define PROXY_LINKS_H

#include "proxy/context.h"

struct links;
struct link;

/* The user's link is over after on_end(), on_fail() and link_close(). */
struct link_ops {
    void (*on_head)(void *user, const struct http1_head *head); /* may close the link */
    void (*on_body)(void *user, struct str piece);              /* likewise */
    void (*on_end)(void *user);
    void (*on_fail)(void *user, const char *why);
    void (*on_slow)(void *user); /* others wait for this reader: it must close its link */
};

/* All is borrowed for the call. */
struct link_spec {
    struct route *route;        /* of the client's request */
    struct str home;            /* the client's request URI: where the route's targets are responsible */
    struct str url;             /* absolute */
    const struct headers *last; /* Grip-Last headers, for a POST others too */
    struct str body;            /* of a POST; borrowed until the link is over */
};

struct links *links_new(struct proxy *p);
/* Requests under way are given up. */
void links_free(struct links *ls);
/* Is a gone link still being told? */
bool links_busy(const struct links *ls);

/* GET; nothing is called back within the call. NULL: the URL is none that can be asked. *SHARED (may be NULL): the
 * request was under way already. */
struct link *links_get(struct links *ls, const struct link_spec *spec, const struct link_ops *ops, void *user,
                       bool *shared);
/* POST; otherwise the same. */
struct link *links_post(struct links *ls, const struct link_spec *spec, const struct link_ops *ops, void *user);
void link_pause(struct link *k, bool pause);
void link_close(struct link *k);
/* POST to a gone link; the outcome is logged only. */
void links_gone(struct links *ls, const struct link_spec *spec);

/* Append the name of the origin that would be asked, for limits. */
void links_put_origin(const struct link_spec *spec, struct buf *out);

#endif
