/* zpub.h - items published by ZeroMQ (spec: publishing 5).
 *
 *   PUSH peers --[body]----------> PULL --+
 *   PUB peers  --[channel][body]-> SUB ---+--> grip/item --> pub/publish
 *   PUB peers  <--subscriptions--- SUB <-- zpub_subscribe(), zpub_unsubscribe() <-- first and last subscriber
 *
 * A body is JSON after a "J", or a tnetstring, after a "T" or plain. What cannot be read is skipped with a warning, a
 * few lines a second for each socket. */
#ifndef CTL_ZPUB_H
#define CTL_ZPUB_H

#include "conf/config.h"
#include "io/zsock.h"
#include "pub/publish.h"

struct zpub_settings {
    const char *pull_spec;        /* bound; NULL or "": no PULL socket */
    struct config_list sub_specs; /* borrowed; empty: no SUB socket */
    bool sub_connect;             /* connect to all SUB_SPECS instead of binding them */
    int ipc_mode;                 /* permissions of bound ipc: sockets; -1: as the umask says */
};

struct zpub;

/* All but E are borrowed; SETTINGS is not needed afterwards. NULL with E set: "unable to bind to SPEC: REASON". */
struct zpub *zpub_new(struct loop *l, struct zcontext *c, const struct zpub_settings *settings, struct publish *p,
                      struct err *e);
void zpub_free(struct zpub *z);

/* Stop and go on taking items. */
void zpub_pause(struct zpub *z, bool pause);

/* CHANNEL has its first subscriber, or has lost its last one; once each, in turns. */
void zpub_subscribe(struct zpub *z, struct str channel);
void zpub_unsubscribe(struct zpub *z, struct str channel);

#endif
