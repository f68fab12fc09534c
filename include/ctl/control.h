/* control.h - the HTTP control port: /, /publish, /recover (spec: publishing 4).
 *
 * With a bearer every request has to bring its token, but for a look at /. */
#ifndef CTL_CONTROL_H
#define CTL_CONTROL_H

#include "client/xchg.h"
#include "io/loop.h"
#include "pub/publish.h"

struct bearer;
struct control;

struct control_settings {
    size_t max_body; /* bytes */
};

struct control_ops {
    void (*recover)(void *arg);
};

/* PUBLISH is borrowed. */
struct control *control_new(struct loop *l, const struct control_settings *settings, struct publish *publish,
                            const struct control_ops *ops, void *arg);
void control_free(struct control *c);
/* Who may come in from now on; B is taken over. NULL: everybody, as at first. */
void control_set_bearer(struct control *c, struct bearer *b);

/* While paused, publish requests wait for their answer, so that publishers do not get ahead of what can be delivered.
 */
void control_pause(struct control *c, bool pause);

/* For h1server_ops; ARG is the control. */
void control_request(void *arg, struct xchg *x);
void control_bad_text(void *arg, int status, const char *why, bool in_body, struct buf *out);

#endif
