/* command.h - questions and orders of operators on a ZeroMQ socket (spec: publishing 7).
 *
 *   REQ, DEALER --[envelope][empty][{method, args, id}]--> ROUTER --> method --> callbacks that main sets
 *               <--[envelope][empty][{id, success, value or condition}]---+
 *
 * Every request that can be told from its envelope is answered, bad ones with "bad-request" and a warning in the log.
 */
#ifndef CTL_COMMAND_H
#define CTL_COMMAND_H

#include "io/zsock.h"
#include "pub/publish.h"

struct command_ops {
    bool (*connection_exists)(void *arg, struct str id);
    /* Forget all last ids and update all HTTP holds. */
    void (*recover)(void *arg);
    /* -1: no WebSocket has this id. */
    int (*refresh_connection)(void *arg, struct str cid);
    void (*refresh_channel)(void *arg, struct str channel);
};

struct command_settings {
    const char *spec; /* bound */
    int ipc_mode;     /* permissions of a bound ipc: socket; -1: as the umask says */
    /* What get-zmq-uris tells; NULL or "": there is none. */
    const char *publish_pull;
    const char *publish_sub; /* the first one that is bound; none when the SUB socket connects */
};

struct command;

/* All but E are borrowed; SETTINGS is not needed afterwards. NULL with E set: "unable to bind to SPEC: REASON". */
struct command *command_new(struct loop *l, struct zcontext *c, const struct command_settings *settings,
                            const struct command_ops *ops, void *arg, struct publish *p, struct err *e);
void command_free(struct command *c);

#endif
