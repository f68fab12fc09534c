/* channels.c - what a million channels cost: bytes of memory each, and the longest that one call takes.
 *
 *   channels [N]
 *
 * Two tables are filled with N channels (1,000,000) of names and ids of eight bytes, one after the other:
 *   streams    each channel has one subscriber, and remembers the id of an item that it was sent
 *   lingering  each had a response hold that has left; the channel remembers the id for its linger time
 * Memory is what the kernel counts as private and dirty before and after, so it includes what malloc and slab lose; the
 * holds lie in memory that was touched before. Time is the thread's CPU time of each single call, since other work on
 * the machine would count in any other; the clock of the loop is moved by hand, so that all channels end in one tick.
 */
#include "base/clock.h"
#include "base/log.h"
#include "base/slab.h"
#include "pub/fanout.h"
#include "pub/publish.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { LINGER_S = 60 };

static struct loop *loop;
static struct channels *channels;
static struct fanout *fanout;
static struct publish *publisher;
static struct hold *holds;
static unsigned long n_channels = 1000000, delivered;

static void
count_delivery(struct sub *sub, struct msg *const *msgs, unsigned n)
{
    (void)sub, (void)msgs;
    delivered += n;
}

static void
no_update(struct hold *h, enum hold_update how)
{
    (void)h, (void)how;
}

static const struct hold_ops hold_ops = {.deliver = count_delivery, .update = no_update};

/* Bytes; private and dirty, of the whole process. */
static unsigned long long
memory(void)
{
    unsigned long long kb = 0;
    char line[200];
    FILE *f;
    malloc_trim(0);
    slab_trim();
    f = fopen("/proc/self/smaps_rollup", "re");
    while (f != NULL && fgets(line, sizeof line, f) != NULL)
        if (sscanf(line, "Private_Dirty: %llu", &kb) == 1)
            break;
    if (f != NULL)
        fclose(f);
    return kb * 1024;
}

static size_t
heap(void)
{
    struct mallinfo2 m = mallinfo2();
    return m.uordblks + m.hblkhd;
}

static double
cpu_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

static double
longer(double before, double longest)
{
    double ms = cpu_ms() - before;
    return ms > longest ? ms : longest;
}

static void
send_item(const char *channel, const char *id)
{
    struct err e;
    json_t *v = json_pack("{s:s, s:s, s:{s:{s:s}, s:{s:s}}}", "channel", channel, "id", id, "formats", "http-stream",
                          "content", "x", "http-response", "body", "x");
    struct item *item = item_parse(v, ITEM_JSON, str_of(NULL, 0), &e);
    if (item == NULL)
        abort();
    publish_item(publisher, item);
    item_unref(item);
    json_decref(v);
}

static void
on_last(void *arg, struct channel *ch)
{
    publish_channel_gone(arg, ch);
}

static void
begin(void)
{
    static const struct channels_settings settings = {.linger = LINGER_S};
    static const struct publish_settings no_ids = {.message_wait = 5000};
    static const struct limit_settings no_limit = {.rate = 0};
    static const struct channels_ops ops = {.on_last = on_last};
    clock_fake(1000000);
    loop = loop_new();
    channels = channels_new(loop, &settings);
    fanout = fanout_new(loop, &no_limit);
    publisher = publish_new(loop, &no_ids, channels, fanout);
    channels_listen(channels, &ops, publisher);
}

static void
end(void)
{
    publish_free(publisher);
    fanout_free(fanout);
    channels_free(channels);
    loop_free(loop);
}

static void
measure(const char *what, enum format_kind kind)
{
    double join = 0, leave = 0, expire = 0, recover = 0;
    unsigned long long before, full;
    size_t heap_before, heap_full;
    begin();
    for (unsigned long i = 0; i < n_channels; i++)
        hold_init(&holds[i], &hold_ops, kind, NULL, &holds[i]);
    before = memory();
    heap_before = heap();
    delivered = 0;
    for (unsigned long i = 0; i < n_channels; i++) {
        char name[24], id[24];
        double at = cpu_ms();
        snprintf(name, sizeof name, "c%07lu", i);
        snprintf(id, sizeof id, "%08lu", i);
        channels_subscribe(channels, &holds[i], str_c(name));
        join = longer(at, join);
        send_item(name, id);
        loop_poll(loop);
        if (kind == FORMAT_HTTP_STREAM)
            continue;
        at = cpu_ms();
        hold_clear(&holds[i]);
        leave = longer(at, leave);
    }
    full = memory();
    heap_full = heap();
    if (delivered != n_channels || channels_count(channels) != n_channels)
        abort();
    for (unsigned turns = 0; turns <= n_channels / 100 + 10; turns++) { /* in slices */
        double at = cpu_ms();
        if (turns == 0)
            channels_recover(channels);
        loop_poll(loop);
        recover = longer(at, recover);
    }
    for (unsigned long i = 0; kind == FORMAT_HTTP_STREAM && i < n_channels; i++) {
        double at = cpu_ms();
        hold_clear(&holds[i]);
        leave = longer(at, leave);
    }
    clock_fake_advance(LINGER_S * 1000 + 2 * WHEEL_TICK_MS);
    for (unsigned long turns = 0; channels_count(channels) > 0 && turns <= n_channels; turns++) {
        double at = cpu_ms();
        loop_poll(loop);
        expire = longer(at, expire);
    }
    printf(
        "%s: %.1f bytes a channel (malloc: %.1f), %.1f after all have gone; longest ms: join %.2f, leave %.2f, turn of "
        "the loop %.2f, of recovering %.2f\n",
        what, ((double)full - (double)before) / (double)n_channels,
        ((double)heap_full - (double)heap_before) / (double)n_channels,
        ((double)memory() - (double)before) / (double)n_channels, join, leave, expire, recover);
    if (channels_count(channels) > 0)
        abort();
    end();
}

int
main(int argc, char **argv)
{
    if (argc > 1)
        n_channels = strtoul(argv[1], NULL, 10);
    mallopt(M_MMAP_THRESHOLD, 256 * 1024); /* as main/pushpind does */
    mallopt(M_TRIM_THRESHOLD, 1024 * 1024);
    log_set_level(LOG_ERR);
    holds = calloc(n_channels, sizeof *holds);
    if (holds == NULL || n_channels == 0)
        return 2;
    measure("streams", FORMAT_HTTP_STREAM);
    measure("lingering", FORMAT_HTTP_RESPONSE);
    free(holds);
    return 0;
}
