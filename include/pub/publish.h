/* publish.h - the one way in for published items, whoever brings them: drop repeated ids, put into order, fan out.
 *
 *   control, zpub, command --publish_item()--> lastids (duplicate?) > seq (in order?) > fanout > holds
 */
#ifndef PUB_PUBLISH_H
#define PUB_PUBLISH_H

#include "grip/item.h"
#include "io/loop.h"
#include "stats/stats.h"

struct channels;
struct fanout;

struct publish_settings {
    int id_cache_ttl; /* s; <= 0: repeated ids are not looked for */
    int message_wait; /* ms an item waits for its predecessor */
};

struct publish;

/* CHANNELS and FANOUT are borrowed. */
struct publish *publish_new(struct loop *l, const struct publish_settings *settings, struct channels *channels,
                            struct fanout *fanout);
void publish_free(struct publish *p);
/* Count in S, borrowed. BLOCK_SIZE: bytes that count as one block; <= 0: blocks are not counted. */
void publish_set_stats(struct publish *p, struct stats *s, int block_size);

/* Publish; a reference is taken where the item must wait. Returns how many connections are subscribed to its channel
 * now and take one of its formats (0 for a duplicate), whether it was delivered at once or waits for its predecessor.
 */
unsigned publish_item(struct publish *p, struct item *item);

/* CH is about to end: what waits for it or is on its way is dropped. */
struct channel;
void publish_channel_gone(struct publish *p, struct channel *ch);

#endif
