/* crowd.h - what the tests of pub share: a loop with a clock moved by hand, a channel table, holds that note what they
 * are given, and items.
 *
 *   hold_new("name") --crowd_join()--> channel;  what it gets is added to its text: "1 2 3 " */
#ifndef TESTS_PUB_CROWD_H
#define TESTS_PUB_CROWD_H

#include "test.h"

#include "base/clock.h"
#include "base/log.h"
#include "pub/channel.h"
#include "pub/filter.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct member {
    struct hold hold;
    char got[400];                                   /* contents, each with a space behind it */
    unsigned n_got;                                  /* messages */
    unsigned calls;                                  /* of deliver */
    unsigned low, high;                              /* updates */
    unsigned leave_after;                            /* messages after which it leaves; 0: never */
    void (*then)(struct member *m, struct sub *sub); /* called after each deliver; NULL: nothing */
    const char *user;                                /* meta "user"; NULL: none */
    char client[256];                                /* what fetching ahead may touch lies around client + 128 */
    bool left;
};

static struct loop *loop;
static struct channels *channels;

static inline void
crowd_leave(struct member *m)
{
    hold_clear(&m->hold);
    m->left = true;
}

static void
deliver_to_member(struct sub *sub, struct msg *const *msgs, unsigned n)
{
    struct member *m = container_of(sub->hold, struct member, hold);
    CHECK(!m->left);
    CHECK(n > 0);
    m->calls++;
    for (unsigned i = 0; i < n; i++) {
        size_t used = strlen(m->got);
        if (used + 20 < sizeof m->got)
            snprintf(m->got + used, sizeof m->got - used, "%.*s ", STR_ARG(msgs[i]->payload));
        m->n_got++;
        if (m->n_got == m->leave_after) {
            crowd_leave(m);
            return;
        }
    }
    if (m->then != NULL)
        m->then(m, sub);
}

static void
update_member(struct hold *h, enum hold_update how)
{
    struct member *m = container_of(h, struct member, hold);
    *(how == UPDATE_HIGH ? &m->high : &m->low) += 1;
}

static struct str
member_meta(const struct hold *h, struct str name)
{
    const struct member *m = container_of(h, struct member, hold);
    return m->user != NULL && str_eq(name, STR("user")) ? str_c(m->user) : str_of(NULL, 0);
}

static const struct hold_ops member_ops = {.deliver = deliver_to_member, .update = update_member, .meta = member_meta};

static inline struct member *
member_new(enum format_kind kind)
{
    struct member *m = mem_zalloc(sizeof *m);
    hold_init(&m->hold, &member_ops, kind, NULL, m->client + 128);
    return m;
}

static inline struct sub *
crowd_join(struct member *m, const char *channel)
{
    return channels_subscribe(channels, &m->hold, str_c(channel));
}

static inline void
member_free(struct member *m)
{
    if (!m->left)
        crowd_leave(m);
    mem_free(m);
}

/* An http-stream item, and an http-response one of the same text. */
static inline struct item *
item_new(const char *channel, const char *content, const char *id, const char *prev_id)
{
    struct err e;
    json_t *v = json_pack("{s:s, s:{s:{s:s}, s:{s:s}}, s:s*, s:s*}", "channel", channel, "formats", "http-stream",
                          "content", content, "http-response", "body", content, "id", id, "prev-id", prev_id);
    struct item *i = item_parse(v, ITEM_JSON, str_of(NULL, 0), &e);
    CHECK(i != NULL);
    json_decref(v);
    return i;
}

/* The log goes to a file while a test looks at it. */
static char crowd_log[] = "/tmp/test_pub.XXXXXX";

static inline void
begin_log(void)
{
    int fd;
    strcpy(crowd_log + strlen(crowd_log) - 6, "XXXXXX");
    fd = mkstemp(crowd_log);
    CHECK(fd >= 0);
    close(fd);
    CHECK_INT(log_open(crowd_log, NULL), 0);
}

/* How many lines have TEXT in them. */
static inline unsigned
logged(const char *text)
{
    char line[4096];
    unsigned n = 0;
    FILE *f = fopen(crowd_log, "r");
    CHECK(f != NULL);
    while (fgets(line, sizeof line, f) != NULL)
        n += strstr(line, text) != NULL;
    fclose(f);
    return n;
}

static inline void
end_log(void)
{
    CHECK_INT(log_open(NULL, NULL), 0);
    unlink(crowd_log);
}

#endif
