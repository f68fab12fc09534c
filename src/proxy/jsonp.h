/* jsonp.h - JSON-P: requests unwrapped from a query, answers wrapped into a script (spec: proxying 9.2, 9.3; grip 11).
 *
 *   GET /x?callback=cb&_method=PUT&_body=hi  ->  PUT /x, "hi"
 *   404, "none"  ->  cb({"code": 404, "reason": "Not Found", "headers": {}, "body": "none"});     extended
 *   404, "none"  ->  cb(none);                                                                    basic
 *
 * An answer that goes out in pieces is wrapped as they come. */
#ifndef PROXY_JSONP_H
#define PROXY_JSONP_H

#include "proto/jsonwrite.h"
#include "proxy/clientreq.h"
#include "conf/routes.h"

struct jsonp {
    bool basic;
    struct jsonwrite body; /* extended: of the answer that is being wrapped */
    char end[2];           /* basic: a line end that came last, which is left out when nothing follows it */
    unsigned n_end;
    size_t callback_len;
    char callback[];
};

enum jsonp_result { JSONP_NONE, JSONP_UNWRAPPED, JSONP_BAD };

/* Is C a JSON-P request by the parameters of ROUTE (NULL: the usual ones)? Then it becomes the one that it carries,
 * C->jsonp is set, and BODY filled. JSONP_BAD: E says which parameter is wrong, to be answered with 400; C is as it
 * was. */
enum jsonp_result jsonp_unwrap(const struct route *route, struct clientreq *c, struct buf *body, struct err *e);
/* It is called in the page's script: nothing but a name may stand there. */
bool jsonp_is_callback(struct str s);
/* A copy; free it with mem_free(). */
struct jsonp *jsonp_copy(const struct jsonp *j);

/* Wrap an answer: append its beginning, each piece of its body, its end. */
void jsonp_begin(struct jsonp *j, int status, struct str reason, const struct headers *h, struct buf *out);
void jsonp_piece(struct jsonp *j, struct str piece, struct buf *out);
void jsonp_end(struct jsonp *j, struct buf *out);
/* Wrap a hold's whole answer. */
void jsonp_held(struct jsonp *j, int status, struct str reason, const struct headers *h, struct str body,
                struct buf *out);

#endif
