#include "stats/prom.h"

#include "stats/counters.h"
#include "stats/parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct text {
    const struct stats *stats;
    const char *prefix;
    bool messages;
    struct buf *out;
};

static void
put_help(const struct text *t, const char *name, const char *type, const char *help)
{
    buf_addf(t->out, "# HELP %s%s %s\n", t->prefix, name, help);
    buf_addf(t->out, "# TYPE %s%s %s\n", t->prefix, name, type);
}

static void
put_label(const struct text *t, unsigned *n, const char *name, const char *value)
{
    if (name == NULL)
        return;
    buf_addf(t->out, "%s%s=\"", (*n)++ == 0 ? "{" : ",", name);
    for (; *value != '\0'; value++) {
        if (*value == '\n')
            buf_adds(t->out, STR("\\n"));
        else
            buf_addf(t->out, "%s%c", *value == '"' || *value == '\\' ? "\\" : "", *value);
    }
    buf_addc(t->out, '"');
}

/* NAME and SUFFIX, the labels, the space in front of the value. LE: of a histogram's bucket. */
static void
put_series(const struct text *t, const struct stats_group *g, const char *name, const char *label, const char *value,
           const char *le)
{
    unsigned n = 0;
    buf_addf(t->out, "%s%s", t->prefix, name);
    put_label(t, &n, g->id != NULL ? "route" : NULL, g->id);
    put_label(t, &n, label, value);
    put_label(t, &n, le != NULL ? "le" : NULL, le);
    buf_adds(t->out, n > 0 ? STR("} ") : STR(" "));
}

static void
put_counter(const struct text *t, const struct stats_group *g, unsigned i)
{
    const struct counter *c = &counters[i];
    bool shown = t->messages || i < STATS_RECEIVED || i > STATS_SENT_LAST;
    if (i == STATS_RECEIVED && g->id != NULL)
        return;
    put_series(t, g, c->metric, c->label, c->value, NULL);
    buf_addf(t->out, "%llu\n", shown ? (unsigned long long)g->n[i] : 0);
}

static void
put_counters(const struct text *t)
{
    for (unsigned first = 0, end; first < STATS_COUNTERS; first = end) {
        put_help(t, counters[first].metric, "counter", counters[first].help);
        for (end = first; end < STATS_COUNTERS && strcmp(counters[end].metric, counters[first].metric) == 0; end++)
            continue;
        groups_each (t->stats, g)
            for (unsigned i = first; i < end; i++)
                put_counter(t, g, i);
    }
}

static void
put_gauges(const struct text *t)
{
    put_help(t, "connection_connected", "gauge", "Number of concurrent connections");
    groups_each (t->stats, g) {
        put_series(t, g, "connection_connected", NULL, NULL, NULL);
        buf_addf(t->out, "%u\n", g->connections);
    }
    put_help(t, "connection_held", "gauge", "Number of connections that wait for messages");
    groups_each (t->stats, g)
        for (enum stats_transport how = 0; how < STATS_TRANSPORTS; how++) {
            put_series(t, g, "connection_held", "transport", stats_transport_name(how), NULL);
            buf_addf(t->out, "%u\n", g->held[how]);
        }
}

static void
put_histogram(const struct text *t, const struct stats_group *g, const char *name, const char *label, const char *value,
              const struct stats_histogram *h)
{
    char full[64];
    uint64_t n = 0;
    snprintf(full, sizeof full, "%s_bucket", name);
    for (unsigned i = 0; i <= STATS_BUCKETS; i++) {
        char le[24] = "+Inf";
        if (i < STATS_BUCKETS)
            snprintf(le, sizeof le, "%g", stats_bucket_bound(i) / 1e6);
        n += h->n[i];
        put_series(t, g, full, label, value, le);
        buf_addf(t->out, "%llu\n", (unsigned long long)n);
    }
    snprintf(full, sizeof full, "%s_sum", name);
    put_series(t, g, full, label, value, NULL);
    buf_addf(t->out, "%llu.%06llu\n", (unsigned long long)(h->sum / 1000000), (unsigned long long)(h->sum % 1000000));
    snprintf(full, sizeof full, "%s_count", name);
    put_series(t, g, full, label, value, NULL);
    buf_addf(t->out, "%llu\n", (unsigned long long)n);
}

static void
put_histograms(const struct text *t)
{
    static const char *const delivery = "message_delivery_seconds", *const origin = "origin_response_seconds";
    put_help(t, delivery, "histogram", "Time from an item's turn to its bytes being written to a client");
    groups_each (t->stats, g)
        for (enum stats_transport how = 0; how < STATS_TRANSPORTS; how++)
            put_histogram(t, g, delivery, "transport", stats_transport_name(how), &g->delivery[how]);
    put_help(t, origin, "histogram", "Time from a request being sent to an origin to the head of its answer");
    groups_each (t->stats, g)
        put_histogram(t, g, origin, NULL, NULL, &g->origin);
}

static void
put_memory(const struct text *t)
{
    static const char *const name = "process_resident_memory_bytes";
    char line[128], *resident;
    FILE *f = fopen("/proc/self/statm", "re");
    if (f == NULL)
        return;
    if (fgets(line, sizeof line, f) != NULL && (resident = strchr(line, ' ')) != NULL) { /* behind all of it */
        put_help(t, name, "gauge", "Resident memory in bytes");
        buf_addf(t->out, "%s%s %llu\n", t->prefix, name,
                 strtoull(resident, NULL, 10) * (unsigned long long)sysconf(_SC_PAGESIZE));
    }
    fclose(f);
}

void
prom_put(const struct stats *s, const char *prefix, bool messages, struct buf *out)
{
    struct text t = {s, prefix, messages, out};
    stats_pass_seconds(s->parts);
    put_counters(&t);
    put_gauges(&t);
    put_histograms(&t);
    put_memory(&t);
}
