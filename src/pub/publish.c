#include "pub/publish.h"

#include "base/log.h"
#include "pub/fanout.h"
#include "pub/lastids.h"
#include "pub/seq.h"

struct publish {
    struct channels *channels; /* borrowed */
    struct fanout *fanout;     /* borrowed */
    struct seq *seq;           /* owned */
    struct stats *stats;       /* borrowed; NULL: nothing is counted */
    int block_size;            /* <= 0: blocks are not counted */
    struct lastids *lastids;   /* owned; NULL: repeated ids are not looked for */
};

static unsigned
receivers(const struct channel *ch, const struct item *item)
{
    unsigned n = 0;
    for (int kind = 0; ch != NULL && kind < FORMAT_KINDS; kind++)
        if (item->formats[kind] != NULL)
            n += channel_receivers(ch, kind);
    return n;
}

_Static_assert((int)STATS_HTTP_RESPONSE == FORMAT_HTTP_RESPONSE && (int)STATS_HTTP_STREAM == FORMAT_HTTP_STREAM &&
                   (int)STATS_WS_MESSAGE == FORMAT_WS_MESSAGE && (int)STATS_TRANSPORTS == FORMAT_KINDS,
               "a format's kind is the transport that it is counted for");

static unsigned
blocks_of(const struct publish *p, const struct item *item, const struct format *f)
{
    return p->block_size > 0 ? msg_blocks(item, f, p->block_size) : 0;
}

static void
count_item(struct publish *p, const struct channel *ch, const struct item *item)
{
    unsigned most = 0;
    for (int kind = 0; kind < FORMAT_KINDS; kind++) {
        const struct format *f = item->formats[kind];
        struct stats_message m = {.channel = item->channel, .item_id = item->id, .how = (enum stats_transport)kind};
        if (f == NULL)
            continue;
        m.blocks = blocks_of(p, item, f);
        if (m.blocks > most)
            most = m.blocks;
        m.count = ch != NULL ? channel_receivers(ch, f->kind) : 0;
        if (m.count == 0)
            continue;
        log_debug("relaying to %u %s subscribers", m.count, format_name(f->kind));
        stats_message(p->stats, &m);
    }
    stats_item(p->stats, most);
}

/* It is the item's turn; CH is NULL when nobody is there. */
static void
deliver(void *arg, struct channel *ch, struct item *item)
{
    struct publish *p = arg;
    count_item(p, ch, item);
    log_info("publish channel=%.*s receivers=%u", STR_ARG(item->channel), receivers(ch, item));
    if (ch != NULL)
        fanout_item(p->fanout, ch, item);
}

struct publish *
publish_new(struct loop *l, const struct publish_settings *settings, struct channels *channels, struct fanout *fanout)
{
    struct publish *p = mem_zalloc(sizeof *p);
    p->channels = channels;
    p->fanout = fanout;
    p->seq = seq_new(l, settings->message_wait > 0 ? (unsigned)settings->message_wait : 0, deliver, p);
    if (settings->id_cache_ttl > 0)
        p->lastids = lastids_new((uint64_t)settings->id_cache_ttl * 1000);
    return p;
}

void
publish_free(struct publish *p)
{
    if (p->lastids != NULL)
        lastids_free(p->lastids);
    seq_free(p->seq);
    mem_free(p);
}

void
publish_set_stats(struct publish *p, struct stats *s, int block_size)
{
    p->stats = s;
    p->block_size = block_size;
}

static void
log_drop(const struct item *item, const char *reason)
{
    log_info("drop channel=%.*s id=%.*s reason=%s", STR_ARG(item->channel), STR_ARG(item->id), reason);
}

unsigned
publish_item(struct publish *p, struct item *item)
{
    struct channel *ch;
    unsigned n;
    if (p->lastids != NULL && item->id.ptr != NULL && lastids_seen(p->lastids, item->channel, item->id)) {
        log_drop(item, "duplicate");
        return 0;
    }
    ch = channels_find(p->channels, item->channel);
    n = receivers(ch, item);
    if (ch == NULL || item->no_seq)
        deliver(p, ch, item);
    else if (!seq_add(p->seq, ch, item))
        log_drop(item, "sequence");
    return n;
}

void
publish_channel_gone(struct publish *p, struct channel *ch)
{
    seq_channel_gone(p->seq, ch);
    fanout_channel_gone(p->fanout, ch);
}
