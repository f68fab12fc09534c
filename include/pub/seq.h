/* seq.h - order by prev-id: an item whose predecessor has not come yet waits for it (spec: publishing 6.2). */
#ifndef PUB_SEQ_H
#define PUB_SEQ_H

#include "pub/channel.h"

struct seq;

enum { SEQ_WAITING_MAX = 100 }; /* items that wait, per channel */

/* WAIT: ms until an item goes out without its predecessor. DELIVER is called for each item whose turn it is. */
struct seq *seq_new(struct loop *l, unsigned wait, void (*deliver)(void *arg, struct channel *ch, struct item *item),
                    void *arg);
void seq_free(struct seq *s);
/* Deliver ITEM and what it was waited for, or keep it. false: it was dropped, there is no room for it. */
bool seq_add(struct seq *s, struct channel *ch, struct item *item);
/* CH is about to end: what waits in it is dropped. */
void seq_channel_gone(struct seq *s, struct channel *ch);

#endif
