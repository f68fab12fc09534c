/* pool.h - idle connections by target; the youngest is used first, the oldest makes room. */
#ifndef ORIGIN_POOL_H
#define ORIGIN_POOL_H

#include "origin/h1client.h"

struct pool;

enum { POOL_IDLE_S = 55 };

struct pool *pool_new(struct loop *l, unsigned max_idle);
void pool_free(struct pool *p);
/* An idle connection for KEY, or NULL. */
struct h1client *pool_take(struct pool *p, struct str key, const struct h1client_ops *ops, void *user);
/* Keep C for the next request to KEY. */
void pool_put(struct pool *p, struct str key, struct h1client *c);
/* Close all idle connections, since descriptors are short. */
void pool_shed(struct pool *p);
/* Only a few idle connections stay, without their parsers. */
void pool_trim(struct pool *p);
/* C is closing. */
void pool_forget(struct h1client *c);

#endif
