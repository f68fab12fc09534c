/* answer.h - answers in the shape that the client asked for: as they are, with cross-origin headers, or as JSON-P.
 *
 *   answer_start, answer_send ..., answer_finish, then xchg_end()         a body that comes in pieces
 *   answer_whole, then xchg_end()                                         one that is there
 *
 * Each returns the bytes of the body that it gave to the client. */
#ifndef PROXY_ANSWER_H
#define PROXY_ANSWER_H

#include "proxy/clientreq.h"

/* LENGTH as for xchg_start(): of the body before it is wrapped. H grows by cross-origin headers. */
size_t answer_start(struct xchg *x, const struct clientreq *c, int status, struct str reason, struct headers *h,
                    int64_t length);
size_t answer_send(struct xchg *x, const struct clientreq *c, struct str piece);
size_t answer_finish(struct xchg *x, const struct clientreq *c);

/* HELD: a hold has it for its final answer, which has a form of its own as JSON-P. */
size_t answer_whole(struct xchg *x, const struct clientreq *c, int status, struct str reason, struct headers *h,
                    struct str body, bool held);
/* The same of type text/plain with the usual reason. */
size_t answer_text(struct xchg *x, const struct clientreq *c, int status, struct str text);

#endif
