/* doors.h - where publishers and operators come in: the control port, ZeroMQ intake, the command socket.
 *
 *   publishers --HTTP--> listener --fd--> publishers (h1server) --> control --.
 *              --PULL, SUB--> zpub -------------------------------------------+--> publish
 *   operators  --REP--> command ----------------------------------------------'--> proxy: refresh; channels: recover */
#ifndef MAIN_DOORS_H
#define MAIN_DOORS_H

#include "conf/config.h"
#include "ctl/zpub.h"
#include "io/loop.h"

struct doors {
    /* borrowed; set before the first of the following */
    struct loop *loop;
    const struct config *config;
    struct channels *channels;
    struct publish *publish;
    struct proxy *proxy;
    struct origin *origin;
    /* owned; NULL: not open */
    struct control *control;
    struct h1server *publishers; /* connections to the control port */
    struct listener *listener;
    struct zpub *zpub;
    struct command *command;
};

/* 0, or -1 with E set. */
int doors_open_control(struct doors *d, struct err *e);
int doors_open_zmq(struct doors *d, struct zcontext *z, struct err *e);
/* Connections to the control port. */
size_t doors_count(const struct doors *d);
/* Take nothing for a while, or go on. */
void doors_pause(struct doors *d, bool pause);
/* Take nothing new, for ever; what is under way may end. */
void doors_stop(struct doors *d);
/* All that is open is cut, as far as it came. */
void doors_close(struct doors *d);

#endif
