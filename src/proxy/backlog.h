/* backlog.h - messages that wait for their hold: references, in order, bounded in bytes. */
#ifndef PROXY_BACKLOG_H
#define PROXY_BACKLOG_H

#include "pub/msg.h"

enum { BACKLOG_COST = 64 }; /* bytes that a message counts for, besides its content */

struct backlog {
    struct msg **at; /* owned array of references; n entries */
    unsigned n, cap;
    size_t bytes;
};

/* false: there is no room for M. An empty backlog takes a message of any size. */
bool backlog_add(struct backlog *b, struct msg *m, size_t max);
void backlog_clear(struct backlog *b);

#endif
