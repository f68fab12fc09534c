/* socksession.h - a session of a SockJS client that sends requests, shown to wsproxy as the client's endpoint (spec:
 * sockjs-and-test-handler 4).
 *
 *   sessions --route, SID--> socksession ==ws== wsproxy ==ws== origin
 *                              |-- poll     the request that waits for frames
 *                              '-- sender   one whose messages the origin has not taken yet
 *
 *   OPENING --the origin agrees--> OPEN --the origin closes--> CLOSED, which is remembered for a while
 *      '--it does not                '--no poll for a while, poll given up, origin lost: over
 */
#ifndef PROXY_SOCKSESSION_H
#define PROXY_SOCKSESSION_H

#include "proto/sockjsframe.h"
#include "proxy/context.h"
#include "proxy/sockreq.h"

struct socksession;
struct socksessions;

struct socksessions *socksessions_new(struct proxy *p);
/* The sessions' requests have ended before. */
void socksessions_free(struct socksessions *all);

/* NULL: there is none. */
struct socksession *socksessions_find(struct socksessions *all, const struct route *route, struct str sid);
/* There are as many as there may be clients. */
bool socksessions_full(const struct socksessions *all);
/* Ask the origin for a session; R is answered when it has agreed. R, C and the reference to ROUTE are taken over. C is
 * the request as the origin is to get it. */
void socksession_open(struct socksessions *all, struct str sid, struct sockreq *r, struct clientreq *c,
                      struct route *route);
/* R waits for frames; taken over. */
void socksession_poll(struct socksession *s, struct sockreq *r);
/* R brings MESSAGES, strings; R is taken over. */
void socksession_send(struct socksession *s, struct sockreq *r, const json_t *messages);
/* Nothing can be sent to it yet. */
bool socksession_is_opening(const struct socksession *s);

#endif
