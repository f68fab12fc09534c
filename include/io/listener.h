/* listener.h - a listening socket: accepting, and backing off at the descriptor limit.
 *
 * While no descriptor is left it stops for a moment instead of spinning: clients wait in the kernel's queue. */
#ifndef IO_LISTENER_H
#define IO_LISTENER_H

#include "base/err.h"
#include "io/loop.h"

#include <stdint.h>

struct listener;

/* Where to listen. */
struct listener_spec {
    const char *addr;           /* IP address, IPv6 without brackets; NULL: PATH */
    uint16_t port;              /* 0: any free one */
    const char *path;           /* of a Unix socket; a socket file that nobody serves is replaced */
    int mode;                   /* of the Unix socket; -1: as the umask says */
    const char *user, *group;   /* of the Unix socket; NULL: ours */
    bool share;                 /* the port with other processes of the same user that say so too */
    void (*on_full)(void *arg); /* no descriptor is left: give up some that are not needed; NULL: there are none */
};

/* ON_ACCEPT takes over FD, non-blocking and close-on-exec. NULL with E set: "failed to bind ADDR:PORT: REASON". */
struct listener *listener_new(struct loop *l, const struct listener_spec *spec, void (*on_accept)(void *arg, int fd),
                              void *arg, struct err *e);
void listener_free(struct listener *li);
/* Stop and go on accepting. */
void listener_pause(struct listener *li, bool pause);
/* "0.0.0.0:7999", "[::]:7999" or the path, as the log names it; with the port that the system chose. */
const char *listener_name(const struct listener *li);

#endif
