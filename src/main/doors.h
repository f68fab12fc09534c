/* doors.h - where publishers and operators come in: the control port, ZeroMQ intake, the command socket.
 *
 *   publishers --HTTP--> listener --fd--> publishers (h1server) --> control --.
 *              --PULL, SUB--> zpub -------------------------------------------+--> publish
 *   operators  --REP--> command ----------------------------------------------'--> proxy: refresh; channels: recover */
#ifndef MAIN_DOORS_H
#define MAIN_DOORS_H

#include "client/h1server.h"
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
    struct tls_certs *certs;  /* NULL: the control port is without TLS */
    struct h1server_port how; /* connections to it begin; its tls is owned */
    struct zpub *zpub;
    struct command *command;
};

/* 0, or -1 with E set. */
int doors_open_control(struct doors *d, struct err *e);
int doors_open_zmq(struct doors *d, struct zcontext *z, struct err *e);
/* Would a start open the control port? 0, or -1 when that was logged. */
int doors_check(const struct config *config);
/* Read certificates again, and take the token of FRESH; NULL: the settings could not be read, the old ones stay. */
void doors_reload(struct doors *d, const struct config *fresh);
/* Connections to the control port. */
size_t doors_count(const struct doors *d);
/* Take nothing for a while, or go on. */
void doors_pause(struct doors *d, bool pause);
/* Take nothing new, for ever; what is under way may end. */
void doors_stop(struct doors *d);
/* All that is open is cut, as far as it came. */
void doors_close(struct doors *d);

#endif
