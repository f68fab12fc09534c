/* exchangebase.h - one exchange, as the files about it see it.
 *
 *   exchange.c          its life: the request collected and sent, an answer passed on, the ends
 *   exchangeinstruct.c  an answer that is an instruct: refused, answered, or handed over to a hold
 *
 * An exchange belongs to itself, until it is over. It is joined to the client's xchg, and owns its request to the
 * origin; what of the answer is looked at later is kept here, its head with the request. */
#ifndef PROXY_EXCHANGEBASE_H
#define PROXY_EXCHANGEBASE_H

#include "grip/instruct.h"
#include "proxy/exchange.h"
#include "proxy/reqlog.h"
#include "proxy/sharing.h"

/* drawn in exchange.h */
enum exchange_state { EX_COLLECT, EX_ASK, EX_DEFER, EX_RELAY, EX_INSTRUCT, EX_FIRST, EX_OVER };

struct exchange {
    struct proxy *proxy;  /* borrowed */
    struct xchg *x;       /* borrowed, joined */
    struct route *route;  /* reference held */
    struct clientreq req; /* owned */
    enum exchange_state state;
    /* towards the origin */
    struct request *request; /* NULL before and after; with a share it is borrowed */
    struct share share;
    struct request_spec spec;
    struct request_body body;
    struct headers headers; /* spec.headers */
    struct buf path;        /* spec.path */
    struct timer timer;     /* while collecting */
    /* towards the client */
    struct http1_head *head;  /* of the answer; the request's */
    struct buf answer;        /* EX_DEFER, EX_INSTRUCT: the body so far */
    struct task task;         /* EX_DEFER: the turn is over */
    struct instruct instruct; /* EX_FIRST */
    uint64_t sent;            /* bytes of the body given to the client */
    uint64_t began, asked;    /* ms: the request was there, the origin was asked */
    uint64_t answered;        /* ms: the head of its answer was there; 0: it is not */
    struct httphold *old;     /* owned; the hold for which this is a retry */
};

/* exchange.c */

/* Does the client get to see what went wrong? */
bool exchange_debugging(const struct exchange *ex);
/* Answer by ourselves; the exchange is over. MESSAGE (without line end) is for debug mode. */
void exchange_answer_error(struct exchange *ex, int status, const char *message);
/* Pass a piece of the answer's body on. */
void exchange_give(struct exchange *ex, struct str piece);
/* The answer has been given to its end; its request is over already. */
void exchange_end_answer(struct exchange *ex);
/* Write the line about the request into the log, while all it tells of is there. */
void exchange_log(struct exchange *ex, enum reqlog_result result, int code);
/* The exchange is over: stop all that is under way. Whoever is joined to the xchg now goes on with it. */
void exchange_finish(struct exchange *ex);

/* exchangeinstruct.c */

/* Do what the instruct says; its whole body is in ex->answer. The exchange is over. */
void exchange_instruct(struct exchange *ex);
/* Its body is too long to be read first: only the first part of a stream may be so long, and that is passed on
 * (EX_FIRST); else the exchange is over. */
void exchange_begin_first(struct exchange *ex);
/* All of that has been passed on: hold. */
void exchange_end_first(struct exchange *ex);

#endif
