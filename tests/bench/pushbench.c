// pushbench: a load generator and measuring tool for servers that hold HTTP streams, long-polls and
// WebSockets open and push published messages out to them. See README.md beside this file.
//
//   pushbench fanout   hold N connections, publish to them, count and time every delivery
//   pushbench hold     open N connections as fast as possible; what each costs to open and to keep
//   pushbench proxy    plain requests through a reverse proxy
//   pushbench echo     WebSocket messages to an origin and back
//   pushbench origin   a fast origin server to stand behind the proxy under test
//   pushbench floor    the least work a server can do: the figure that the others are compared with
//
// Linux only: epoll, and /proc for what the server under test uses. Talks to 127.0.0.0/8 and nothing else.

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

// ---------------------------------------------------------------------------------------------------------
// Small things

static const char *progname = "pushbench";

static _Noreturn __attribute__((format(printf, 1, 2))) void die(const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    fprintf(stderr, "%s: ", progname);
    vfprintf(stderr, format, ap);
    fputc('\n', stderr);
    va_end(ap);
    exit(2);
}

static void *checked(void *p)
{
    if (!p)
        die("out of memory");
    return p;
}

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void sleep_ns(uint64_t ns)
{
    struct timespec t = { (time_t)(ns / 1000000000u), (long)(ns % 1000000000u) };
    while (nanosleep(&t, &t) < 0 && errno == EINTR)
        ;
}

struct buf {
    char *p;
    size_t len, cap;
};

static void buf_add(struct buf *b, const void *p, size_t n)
{
    if (b->len + n > b->cap) {
        b->cap = (b->len + n) * 2;
        b->p = checked(realloc(b->p, b->cap));
    }
    memcpy(b->p + b->len, p, n);
    b->len += n;
}

static void buf_free(struct buf *b)
{
    free(b->p);
    *b = (struct buf){ 0 };
}

// The bytes of every plain body and of the filler in every message: the byte at offset i is known, so that
// a body that is cut, shifted or mixed up is seen.
enum { PATTERN_MAX = 4 << 20 };
static char pattern[PATTERN_MAX];

static void pattern_init(void)
{
    static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz0123456789";
    for (size_t i = 0; i < sizeof pattern; i++)
        pattern[i] = alphabet[(i + i / 1021) % (sizeof alphabet - 1)];
}

// ---------------------------------------------------------------------------------------------------------
// Options

enum mode { HTTP_STREAM, HTTP_RESPONSE, WS, SSE };
static const char *const mode_names[] = { "http-stream", "http-response", "ws", "sse" };

enum { MAX_PIDS = 64, MAX_HEADERS = 16, MAX_PROCS = 64 };

static struct {
    bool json, churn, any_body, deflate;
    const char *url, *publish, *listen, *relay, *spoil, *format;
    enum mode mode;
    uint64_t conns, channels, messages, size, window, concurrency, warmup, inflight, procs, sources, post;
    double rate, settle, seconds, idle, timeout;
    pid_t pids[MAX_PIDS];
    unsigned npids;
    const char *headers[MAX_HEADERS];
    unsigned nheaders;
} opt = {
    .format = "grip", .conns = 1, .channels = 1, .messages = 100, .size = 100, .window = 1, .concurrency = 1,
    .warmup = UINT64_MAX, .inflight = 256, .settle = 0.5, .seconds = 5, .timeout = 60,
};

static const struct option {
    const char *name, *commands, *help;
    enum { FLAG, TEXT, WHOLE, REAL, MODE, PIDS, HEADER } kind;
    void *to;
} options[] = {
    { "--url", "fanout hold proxy echo", "where clients connect; %c stands for the channel's name (c0, c1, ...)", TEXT, &opt.url },
    { "--publish", "fanout", "where messages are POSTed; %c as above", TEXT, &opt.publish },
    { "--format", "fanout", "body of a publish: grip (JSON item, the default) or raw (the message itself)", TEXT, &opt.format },
    { "--mode", "fanout hold", "http-stream (default), ws, sse; fanout also http-response", MODE, &opt.mode },
    { "--conns", "fanout hold proxy echo", "connections", WHOLE, &opt.conns },
    { "--channels", "fanout hold", "channels, the connections spread over them in turn (1)", WHOLE, &opt.channels },
    { "--messages", "fanout", "messages to publish, to the channels in turn (100)", WHOLE, &opt.messages },
    { "--size", "fanout echo", "bytes in a message (100)", WHOLE, &opt.size },
    { "--window", "fanout", "messages published and not yet delivered to all (1)", WHOLE, &opt.window },
    { "--concurrency", "fanout", "publishing connections (1)", WHOLE, &opt.concurrency },
    { "--rate", "fanout", "messages a second at most (no limit)", REAL, &opt.rate },
    { "--warmup", "fanout", "messages published first and left out of the figures (one a channel)", WHOLE, &opt.warmup },
    { "--inflight", "fanout hold", "connections being opened at a time (256)", WHOLE, &opt.inflight },
    { "--settle", "fanout hold", "seconds to wait for things to come to rest (0.5)", REAL, &opt.settle },
    { "--idle", "hold", "seconds to measure with all connections held and nothing happening (0)", REAL, &opt.idle },
    { "--seconds", "proxy echo", "how long to measure, after a fifth of that to warm up (5)", REAL, &opt.seconds },
    { "--churn", "proxy", "a new connection for each request", FLAG, &opt.churn },
    { "--post", "proxy", "send POST with a body of that many bytes", WHOLE, &opt.post },
    { "--any-body", "proxy", "do not check the body (for an origin other than pushbench's own)", FLAG, &opt.any_body },
    { "--procs", "fanout hold proxy echo", "client processes (as many as the limit of open files asks for)", WHOLE, &opt.procs },
    { "--sources", "fanout hold proxy echo", "source addresses 127.0.0.2 and on (one for each 20000 connections)", WHOLE, &opt.sources },
    { "--header", "fanout hold proxy echo", "a header line more in each request of a client; may be repeated", HEADER, NULL },
    { "--deflate", "fanout hold", "ask for compressed messages, and take no others", FLAG, &opt.deflate },
    { "--pid", "fanout hold proxy echo", "processes of the server under test, with commas; their children count too", PIDS, NULL },
    { "--timeout", "fanout hold", "seconds after which the run has failed (60)", REAL, &opt.timeout },
    { "--listen", "origin floor", "address and port, as in 127.0.0.1:8080", TEXT, &opt.listen },
    { "--relay", "floor", "instead: carry bytes between each client and a connection to this address and port", TEXT, &opt.relay },
    { "--spoil", "floor", "lose, double or garble one delivery in 500: to see that fanout notices", TEXT, &opt.spoil },
    { "--json", "fanout hold proxy echo", "print one JSON object", FLAG, &opt.json },
};

static bool takes(const struct option *o, const char *command)
{
    return strstr(o->commands, command) != NULL;
}

static _Noreturn void show_help(void)
{
    static const char *const commands[] = { "fanout", "hold", "proxy", "echo", "origin", "floor" };
    printf("usage: pushbench COMMAND [OPTION ...]\n");
    for (unsigned c = 0; c < sizeof commands / sizeof *commands; c++) {
        printf("\n%s\n", commands[c]);
        for (unsigned i = 0; i < sizeof options / sizeof *options; i++)
            if (takes(&options[i], commands[c]))
                printf("  %-14s %s\n", options[i].name, options[i].help);
    }
    exit(2);
}

static void add_pids(const char *list)
{
    while (*list) {
        char *end;
        long pid = strtol(list, &end, 10);
        if (end == list || pid <= 0 || opt.npids == MAX_PIDS)
            die("--pid: '%s' is not a list of process ids", list);
        opt.pids[opt.npids++] = (pid_t)pid;
        list = *end == ',' ? end + 1 : end;
    }
}

static void set_option(const struct option *o, const char *value)
{
    char nothing[] = "", *end = nothing;
    switch (o->kind) {
    case FLAG: *(bool *)o->to = true; break;
    case TEXT: *(const char **)o->to = value; break;
    case WHOLE: *(uint64_t *)o->to = strtoull(value, &end, 10); break;
    case REAL: *(double *)o->to = strtod(value, &end); break;
    case PIDS: add_pids(value); break;
    case HEADER:
        if (opt.nheaders == MAX_HEADERS)
            die("too many --header");
        opt.headers[opt.nheaders++] = value;
        break;
    case MODE:
        for (unsigned m = 0; m < sizeof mode_names / sizeof *mode_names; m++)
            if (!strcmp(value, mode_names[m])) {
                opt.mode = (enum mode)m;
                return;
            }
        die("no mode %s", value);
    }
    if (*end)
        die("%s takes a number, not '%s'", o->name, value);
}

static void parse_options(int argc, char **argv)
{
    for (int i = 2; i < argc; i++) {
        char *value = strchr(argv[i], '=');
        size_t n = value ? (size_t)(value - argv[i]) : strlen(argv[i]);
        const struct option *found = NULL;
        for (unsigned k = 0; k < sizeof options / sizeof *options; k++)
            if (strlen(options[k].name) == n && !strncmp(options[k].name, argv[i], n))
                found = &options[k];
        if (!found || !takes(found, argv[1]))
            die("%s has no option %.*s", argv[1], (int)n, argv[i]);
        if (value)
            value++;
        else if (found->kind != FLAG && !(value = argv[++i]))
            die("%s needs a value", found->name);
        set_option(found, value);
    }
}

// ---------------------------------------------------------------------------------------------------------
// What the server under test uses, from /proc

struct usage {
    double cpu, user, system;   // seconds; cpu is exact, the split is by the clock tick
    double pss, rss;            // bytes
};

// Fills pids with the processes named by --pid and all that descend from them.
static unsigned process_tree(pid_t *pids, unsigned max)
{
    static struct { pid_t pid, parent; } all[32768];
    unsigned n = 0, found = 0;
    DIR *d = opendir("/proc");
    struct dirent *e;
    while (d && (e = readdir(d)) && n < sizeof all / sizeof *all) {
        char path[300], line[512];
        if (!isdigit((unsigned char)e->d_name[0]))
            continue;
        snprintf(path, sizeof path, "/proc/%s/stat", e->d_name);
        FILE *f = fopen(path, "r");
        if (!f)
            continue;
        if (fgets(line, sizeof line, f)) {
            const char *after = strrchr(line, ')');
            int parent = 0;
            if (after && sscanf(after + 1, " %*c %d", &parent) == 1) {
                all[n].pid = (pid_t)atoi(e->d_name);
                all[n++].parent = parent;
            }
        }
        fclose(f);
    }
    if (d)
        closedir(d);
    for (unsigned i = 0; i < opt.npids; i++)
        pids[found++] = opt.pids[i];
    for (unsigned at = 0; at < found; at++)
        for (unsigned i = 0; i < n && found < max; i++) {
            bool known = all[i].parent != pids[at];
            for (unsigned k = 0; k < found; k++)
                known |= pids[k] == all[i].pid;
            if (!known)
                pids[found++] = all[i].pid;
        }
    return found;
}

static void add_memory(struct usage *u, pid_t pid)
{
    char path[64], line[256];
    snprintf(path, sizeof path, "/proc/%d/smaps_rollup", (int)pid);
    FILE *f = fopen(path, "r");
    unsigned long kb;
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "Rss: %lu", &kb) == 1)
            u->rss += kb * 1024.0;
        else if (sscanf(line, "Pss: %lu", &kb) == 1)
            u->pss += kb * 1024.0;
    if (f)
        fclose(f);
}

static struct usage server_usage(bool memory)
{
    struct usage u = { 0 };
    pid_t pids[256];
    unsigned n = opt.npids ? process_tree(pids, 256) : 0;
    for (unsigned i = 0; i < n; i++) {
        char path[64], line[512];
        clockid_t clock;
        struct timespec t;
        if (clock_getcpuclockid(pids[i], &clock) || clock_gettime(clock, &t))
            die("no process %d", (int)pids[i]);
        u.cpu += (double)t.tv_sec + t.tv_nsec * 1e-9;
        snprintf(path, sizeof path, "/proc/%d/stat", (int)pids[i]);
        FILE *f = fopen(path, "r");
        unsigned long user, system;
        if (f && fgets(line, sizeof line, f) && strrchr(line, ')') &&
            sscanf(strrchr(line, ')') + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) == 2) {
            u.user += (double)user / (double)sysconf(_SC_CLK_TCK);
            u.system += (double)system / (double)sysconf(_SC_CLK_TCK);
        }
        if (f)
            fclose(f);
        if (memory)
            add_memory(&u, pids[i]);
    }
    return u;
}

// The most resident memory since the call with RESET, bytes.
static double server_peak(bool reset)
{
    double bytes = 0;
    pid_t pids[256];
    unsigned n = opt.npids ? process_tree(pids, 256) : 0;
    for (unsigned i = 0; i < n; i++) {
        char path[64], line[256];
        unsigned long kb;
        snprintf(path, sizeof path, reset ? "/proc/%d/clear_refs" : "/proc/%d/status", (int)pids[i]);
        FILE *f = fopen(path, reset ? "w" : "r");
        if (f && reset)
            fputs("5\n", f);
        while (f && !reset && fgets(line, sizeof line, f))
            if (sscanf(line, "VmHWM: %lu", &kb) == 1)
                bytes += kb * 1024.0;
        if (f)
            fclose(f);
    }
    return bytes;
}

// Kernel memory of all sockets here, both ends of each connection: slab objects and queued data.
static double kernel_memory(void)
{
    char line[256];
    double bytes = 0;
    unsigned long n;
    FILE *f = fopen("/proc/meminfo", "r");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "Slab: %lu", &n) == 1)
            bytes += n * 1024.0;
    if (f)
        fclose(f);
    f = fopen("/proc/net/sockstat", "r");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "TCP: inuse %*u orphan %*u tw %*u alloc %*u mem %lu", &n) == 1)
            bytes += (double)n * (double)sysconf(_SC_PAGESIZE);
    if (f)
        fclose(f);
    return bytes;
}

// ---------------------------------------------------------------------------------------------------------
// Histogram of times in ns: 32 steps to each power of two, so a quantile is right to about 3 %

struct hist {
    uint64_t count, max;
    uint64_t at[64 * 32];
};

static void hist_add(struct hist *h, uint64_t v)
{
    unsigned i = (unsigned)v;
    if (v >= 32) {
        unsigned e = 63u - (unsigned)__builtin_clzll(v);
        i = (e - 4) * 32 + ((unsigned)(v >> (e - 5)) & 31);
    }
    h->at[i]++;
    h->count++;
    if (v > h->max)
        h->max = v;
}

static void hist_merge(struct hist *h, const struct hist *from)
{
    h->count += from->count;
    if (from->max > h->max)
        h->max = from->max;
    for (unsigned i = 0; i < sizeof h->at / sizeof *h->at; i++)
        h->at[i] += from->at[i];
}

static double hist_quantile(const struct hist *h, double q)
{
    uint64_t rank = (uint64_t)(q * (double)h->count), seen = 0;
    for (unsigned i = 0; i < sizeof h->at / sizeof *h->at; i++)
        if ((seen += h->at[i]) > rank)
            return i < 32 ? i : (double)(uint64_t)(32 + i % 32) * (double)(1ull << (i / 32 - 1));
    return (double)h->max;
}

// ---------------------------------------------------------------------------------------------------------
// The report: the same figures as lines for a reader or as one JSON object

static struct figure {
    const char *key, *label, *text;
    double value;
    int places;
} figures[64];
static unsigned nfigures;

static void report(const char *key, const char *label, double value, int places)
{
    figures[nfigures++] = (struct figure){ key, label, NULL, value, places };
}

static void report_text(const char *key, const char *label, const char *text)
{
    figures[nfigures++] = (struct figure){ key, label, text, 0, 0 };
}

static void print_json_text(const char *s)
{
    putchar('"');
    for (; *s; s++)
        if (*s == '"' || *s == '\\')
            printf("\\%c", *s);
        else if ((unsigned char)*s < ' ')
            printf("\\u%04x", *s);
        else
            putchar(*s);
    putchar('"');
}

static void print_report(void)
{
    if (opt.json)
        putchar('{');
    for (unsigned i = 0; i < nfigures; i++) {
        const struct figure *f = &figures[i];
        if (opt.json) {
            printf("%s\"%s\":", i ? "," : "", f->key);
            if (f->text)
                print_json_text(f->text);
            else
                printf("%.*f", f->places, f->value);
        } else if (f->text)
            printf("%-44s %s\n", f->label, f->text);
        else
            printf("%-44s %.*f\n", f->label, f->places, f->value);
    }
    if (opt.json)
        printf("}\n");
}

// ---------------------------------------------------------------------------------------------------------
// Reader: takes the bytes of one direction of a connection as they come, HTTP/1 messages or WebSocket frames

enum phase { HEAD, UNTIL_CLOSE, LENGTH, CHUNK_SIZE, CHUNK_DATA, CHUNK_END, TRAILER, FRAME_HEAD, FRAME_DATA };

struct reader {
    enum phase phase;
    bool request;        // requests: no length means no body, and frames are masked
    bool fin;            // the frame being read is its message's last
    bool deflated;       // the message is
    uint64_t left;       // bytes to come of the body, chunk or frame
    unsigned char mask[4];   // of the frame; the byte that is next comes first
    struct buf part;     // an incomplete head, chunk size or frame head
};

// What a reader calls. Each returns 0 to go on, STOP where the connection is done with, or BAD.
enum { STOP = 1, BAD = -1 };
struct sink {
    int (*head)(void *ctx, const char *head, size_t n);
    int (*body)(void *ctx, const char *p, size_t n);
    int (*end)(void *ctx);                                           // of a message
    int (*control)(void *ctx, unsigned opcode, const char *p, size_t n);   // a WebSocket control frame
    int (*frame)(void *ctx, unsigned first, uint64_t n);    // the head of another one: its first byte, and its length
};

// The value of a header, or NULL. The head ends with an empty line, so each value ends with \r.
static const char *header(const char *head, size_t n, const char *name)
{
    size_t k = strlen(name);
    const char *end = head + n;
    for (const char *p = head; (p = memchr(p, '\n', (size_t)(end - p))) && (size_t)(end - ++p) > k;)
        if (p[k] == ':' && !strncasecmp(p, name, k)) {
            for (p += k + 1; *p == ' '; p++)
                ;
            return p;
        }
    return NULL;
}

// Finds the next unit that ends with the given mark. Returns the bytes taken; *unit is NULL while it is incomplete.
static size_t next_unit(struct reader *r, const char *p, size_t n, const char *mark, const char **unit, size_t *len)
{
    size_t k = strlen(mark), had = r->part.len;
    const char *at;
    *unit = NULL;
    if (!had && (at = memmem(p, n, mark, k))) {
        *unit = p;
        return *len = (size_t)(at - p) + k;
    }
    buf_add(&r->part, p, n);
    if (!had)
        return n;
    size_t from = had < k ? 0 : had - k;
    if (!(at = memmem(r->part.p + from, r->part.len - from, mark, k)))
        return n;
    *unit = r->part.p;
    *len = (size_t)(at - r->part.p) + k;
    r->part.len = 0;
    return *len - had;
}

static int finish(struct reader *r, const struct sink *s, void *ctx)
{
    r->phase = HEAD;
    return s->end(ctx);
}

static int take_head(struct reader *r, const struct sink *s, void *ctx, const char *head, size_t n)
{
    int rc = s->head(ctx, head, n);
    if (rc)
        return rc;
    int status = r->request || n < 12 ? 0 : atoi(head + 9);
    const char *value;
    if (r->request && header(head, n, "Sec-WebSocket-Key") && header(head, n, "Upgrade")) {
        r->phase = FRAME_HEAD;
        return s->end(ctx);
    }
    if (status == 101) {
        r->phase = FRAME_HEAD;
    } else if (status == 204 || status == 304) {
        return finish(r, s, ctx);
    } else if ((value = header(head, n, "Transfer-Encoding")) && !strncasecmp(value, "chunked", 7)) {
        r->phase = CHUNK_SIZE;
    } else if ((value = header(head, n, "Content-Length"))) {
        r->left = strtoull(value, NULL, 10);
        r->phase = LENGTH;
        if (!r->left)
            return finish(r, s, ctx);
    } else if (r->request) {
        return finish(r, s, ctx);
    } else {
        r->phase = UNTIL_CLOSE;
    }
    return 0;
}

// How long a frame's head is, as far as its first bytes tell: a control frame's payload counts as head.
static size_t frame_head_size(const struct buf *b)
{
    const unsigned char *h = (const unsigned char *)b->p;
    if (b->len < 2)
        return 2;
    size_t size = h[1] & 127, mask = h[1] & 128 ? 4 : 0;
    return 2 + mask + (size == 126 ? 2 : size == 127 ? 8 : h[0] & 8 ? size : 0);
}

// Takes bytes of a frame's head from *p until it is whole; frames from a client are masked, those from a server are not.
static int take_frame_head(struct reader *r, const struct sink *s, void *ctx, const char *p, size_t n, size_t *taken)
{
    size_t need;
    *taken = 0;
    while (r->part.len < (need = frame_head_size(&r->part))) {
        size_t take = need - r->part.len < n ? need - r->part.len : n;
        if (!take)
            return 0;
        buf_add(&r->part, p, take);
        p += take, n -= take, *taken += take;
    }
    const unsigned char *h = (const unsigned char *)r->part.p;
    size_t size = h[1] & 127, more = size == 126 ? 2 : size == 127 ? 8 : 0;
    r->part.len = 0;
    if ((h[1] & 128) != (r->request ? 128 : 0))
        return BAD;
    if (r->request)
        memcpy(r->mask, h + 2 + more, 4);
    if (h[0] & 8)
        return s->control(ctx, h[0] & 15, (const char *)h + need - size, size);
    r->fin = h[0] & 128;
    if (h[0] & 15)
        r->deflated = h[0] & 64;
    r->left = more ? 0 : size;
    for (size_t i = 2; i < 2 + more; i++)
        r->left = r->left << 8 | h[i];
    int rc = s->frame ? s->frame(ctx, h[0], r->left) : 0;
    if (rc)
        return rc;
    if (r->left)
        r->phase = FRAME_DATA;
    return r->left || !r->fin ? 0 : s->end(ctx);
}

static int take_body(struct reader *r, const struct sink *s, void *ctx, const char *p, size_t n)
{
    int rc = s->body(ctx, p, n);
    if (rc || r->phase == UNTIL_CLOSE || (r->left -= n))
        return rc;
    switch (r->phase) {
    case CHUNK_DATA:
        r->phase = CHUNK_END;
        r->left = 2;
        return 0;
    case FRAME_DATA:
        r->phase = FRAME_HEAD;
        return r->fin ? s->end(ctx) : 0;
    default:
        return finish(r, s, ctx);
    }
}

static int feed(struct reader *r, const struct sink *s, void *ctx, const char *p, size_t n)
{
    while (n) {
        const char *unit;
        size_t taken, len;
        int rc = 0;
        switch (r->phase) {
        case HEAD:
            taken = next_unit(r, p, n, "\r\n\r\n", &unit, &len);
            if (unit)
                rc = take_head(r, s, ctx, unit, len);
            break;
        case CHUNK_SIZE:
            taken = next_unit(r, p, n, "\r\n", &unit, &len);
            if (unit) {
                r->left = strtoull(unit, NULL, 16);
                r->phase = r->left ? CHUNK_DATA : TRAILER;
            }
            break;
        case TRAILER:
            taken = next_unit(r, p, n, "\r\n", &unit, &len);
            if (unit && len == 2)
                rc = finish(r, s, ctx);
            break;
        case CHUNK_END:
            taken = 1;
            if (*p != (r->left == 2 ? '\r' : '\n'))
                return BAD;
            if (!--r->left)
                r->phase = CHUNK_SIZE;
            break;
        case FRAME_HEAD:
            rc = take_frame_head(r, s, ctx, p, n, &taken);
            break;
        default:
            taken = r->phase == UNTIL_CLOSE || n < r->left ? n : r->left;
            rc = take_body(r, s, ctx, p, taken);
        }
        if (rc)
            return rc;
        p += taken;
        n -= taken;
    }
    return 0;
}

// ---------------------------------------------------------------------------------------------------------
// Addresses and requests

static struct sockaddr_in parse_address(const char *text, size_t n)
{
    char host[64];
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(80) };
    if (n >= sizeof host)
        die("address too long: %s", text);
    memcpy(host, text, n);
    host[n] = 0;
    char *colon = strchr(host, ':');
    if (colon) {
        *colon = 0;
        a.sin_port = htons((uint16_t)atoi(colon + 1));
    }
    if (!strcmp(host, "localhost"))
        strcpy(host, "127.0.0.1");
    if (inet_pton(AF_INET, host, &a.sin_addr) != 1 || ntohl(a.sin_addr.s_addr) >> 24 != 127)
        die("%.*s is not an address in 127.0.0.0/8", (int)n, text);
    return a;
}

struct target {
    struct sockaddr_in address;
    char host[64];
    const char *path;
};

static struct target parse_url(const char *option, const char *url)
{
    struct target t = { .path = "/" };
    if (!url || strncmp(url, "http://", 7))
        die("%s takes a URL, http://127.0.0.1:PORT/PATH", option);
    url += 7;
    size_t n = strcspn(url, "/");
    t.address = parse_address(url, n);
    snprintf(t.host, sizeof t.host, "%.*s", (int)n, url);
    if (url[n])
        t.path = url + n;
    return t;
}

// The path with each %c replaced by the channel's name.
static void expand_path(char *out, size_t cap, const char *path, unsigned channel)
{
    size_t n = 0;
    for (; *path && n + 12 < cap; path++)
        if (path[0] == '%' && path[1] == 'c') {
            n += (size_t)sprintf(out + n, "c%u", channel);
            path++;
        } else {
            out[n++] = *path;
        }
    out[n] = 0;
}

// The handshake's key is fixed, so its answer is known too.
#define WS_KEY "dGhlIHNhbXBsZSBub25jZQ=="
#define WS_ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

static struct buf make_request(const struct target *t, unsigned channel)
{
    struct buf b = { 0 };
    char text[4096], path[2048];
    expand_path(path, sizeof path, t->path, channel);
    int n = snprintf(text, sizeof text, "%s %s HTTP/1.1\r\nHost: %s\r\n", opt.post ? "POST" : "GET", path, t->host);
    if (opt.mode == WS)
        n += snprintf(text + n, sizeof text - (size_t)n,
                      "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " WS_KEY "\r\n");
    if (opt.deflate)
        n += snprintf(text + n, sizeof text - (size_t)n, "Sec-WebSocket-Extensions: permessage-deflate\r\n");
    if (opt.mode == SSE)
        n += snprintf(text + n, sizeof text - (size_t)n, "Accept: text/event-stream\r\n");
    if (opt.churn)
        n += snprintf(text + n, sizeof text - (size_t)n, "Connection: close\r\n");
    if (opt.post)
        n += snprintf(text + n, sizeof text - (size_t)n, "Content-Length: %llu\r\n", (unsigned long long)opt.post);
    for (unsigned i = 0; i < opt.nheaders; i++)
        n += snprintf(text + n, sizeof text - (size_t)n, "%s\r\n", opt.headers[i]);
    n += snprintf(text + n, sizeof text - (size_t)n, "\r\n");
    if ((size_t)n >= sizeof text)
        die("request too long");
    buf_add(&b, text, (size_t)n);
    buf_add(&b, pattern, opt.post);
    return b;
}

// A message: a line of exactly --size bytes that tells its channel and its number in that channel.
enum { MESSAGE_HEAD = 22, MESSAGE_MIN = MESSAGE_HEAD + 2 };

static void make_message(char *out, unsigned channel, unsigned number)
{
    char head[MESSAGE_HEAD + 1];
    snprintf(head, sizeof head, "PB1 %08x %08x ", channel, number);
    memcpy(out, head, MESSAGE_HEAD);
    memcpy(out + MESSAGE_HEAD, pattern, opt.size - MESSAGE_HEAD - 1);
    out[opt.size - 1] = '\n';
}

// ---------------------------------------------------------------------------------------------------------
// Workers: the client connections, in processes of their own, with their counts in shared memory

struct tally {
    _Atomic uint64_t held, delivered, duplicates, corrupt, reordered, requests, failed;
    struct hist latency;
    char error[256];         // the first failure, in words
};

static struct {
    _Atomic(size_t) field;   // which count of the tallies the parent waits for,
    _Atomic uint64_t target; // and the sum at which to wake it
} *wanted;
static struct tally *tallies;
static uint64_t *sent_ns;    // when each message was published
static uint64_t *last_ns;    // in each worker, when its last subscriber got it
static uint64_t total_messages;
static int wake_fd, stop_fd;
static pid_t worker_pids[MAX_PROCS];

static uint64_t sum(size_t field)
{
    uint64_t n = 0;
    for (unsigned w = 0; w < opt.procs; w++)
        n += *(_Atomic uint64_t *)((char *)&tallies[w] + field);
    return n;
}

struct conn {
    int fd;
    uint32_t channel;
    bool held, quiet;            // quiet: has had no message yet, so what comes is the origin's first words
    struct reader in;
    struct buf line, packed;     // packed: a compressed message, as far as it has come
    const char *out;             // what is left to send of the request
    size_t out_len, body_len;
    uint64_t sent;               // when the request went out
    uint32_t next;               // number of the message expected next
    uint8_t *seen;               // a bit for each message
};

static struct {
    unsigned id;
    struct tally *tally;
    const struct sink *sink;
    struct target target;
    struct buf *requests;        // one for each channel
    struct conn *conns;
    size_t nconns, opened, pending, expected_body;
    int epoll;
} me;

static __attribute__((format(printf, 1, 2))) int fail(const char *format, ...)
{
    if (!me.tally->failed) {
        va_list ap;
        va_start(ap, format);
        vsnprintf(me.tally->error, sizeof me.tally->error, format, ap);
        va_end(ap);
    }
    me.tally->failed++;
    return BAD;
}

static void now_held(struct conn *c)
{
    if (!c->held) {
        c->held = true;
        me.pending--;
        me.tally->held++;
    }
}

// Sends what is left of the request, and has epoll say when the rest can go.
static int send_request(struct conn *c, bool was_waiting)
{
    ssize_t n = send(c->fd, c->out, c->out_len, MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN && errno != ENOTCONN)
        return fail("send: %s", strerror(errno));
    if (n > 0) {
        c->out += n;
        c->out_len -= (size_t)n;
    }
    bool waiting = c->out_len != 0;
    struct epoll_event e = { .events = EPOLLIN | (waiting ? (uint32_t)EPOLLOUT : 0), .data.ptr = c };
    if (waiting != was_waiting && epoll_ctl(me.epoll, EPOLL_CTL_MOD, c->fd, &e) < 0)
        die("epoll_ctl: %s", strerror(errno));
    if (!waiting && opt.mode == HTTP_RESPONSE)
        now_held(c);
    return 0;
}

static int start_request(struct conn *c)
{
    const struct buf *b = &me.requests[c->channel];
    c->out = b->p;
    c->out_len = b->len;
    c->body_len = 0;
    c->sent = now_ns();
    return send_request(c, false);
}

static int open_conn(struct conn *c, size_t index)
{
    int on = 1;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        return fail("socket: %s", strerror(errno));
    if (opt.sources) {
        struct sockaddr_in from = { .sin_family = AF_INET };
        from.sin_addr.s_addr = htonl(0x7f000002u + (uint32_t)(index % opt.sources));
        setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
        if (bind(c->fd, (struct sockaddr *)&from, sizeof from) < 0)
            return fail("bind: %s", strerror(errno));
    }
    struct epoll_event e = { .events = EPOLLIN, .data.ptr = c };
    if (epoll_ctl(me.epoll, EPOLL_CTL_ADD, c->fd, &e) < 0)
        die("epoll_ctl: %s", strerror(errno));
    if (connect(c->fd, (struct sockaddr *)&me.target.address, sizeof me.target.address) < 0 && errno != EINPROGRESS)
        return fail("connect: %s", strerror(errno));
    return start_request(c);
}

static void close_conn(struct conn *c)
{
    close(c->fd);
    c->fd = -1;
    c->in.phase = HEAD;
    c->in.part.len = c->line.len = 0;
}

static int on_event(struct conn *c, uint32_t events)
{
    static char data[256 << 10];
    int rc = 0;
    if (events & EPOLLOUT && (rc = send_request(c, true)))
        return rc;
    if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
        return 0;
    ssize_t n = recv(c->fd, data, sizeof data, 0);
    if (n < 0 && errno == EAGAIN)
        return 0;
    if (n < 0)
        return fail("recv: %s", strerror(errno));
    if (n == 0)
        return fail("connection closed by the server");
    rc = feed(&c->in, me.sink, c, data, (size_t)n);
    if (rc == BAD && !me.tally->failed)
        return fail("bytes that are not the protocol");
    return rc;
}

static _Noreturn void worker(unsigned id, const struct sink *sink, const struct target *target)
{
    struct epoll_event events[512];
    me.id = id;
    me.tally = &tallies[id];
    me.sink = sink;
    me.target = *target;
    me.nconns = opt.conns / opt.procs + (id < opt.conns % opt.procs);
    me.conns = checked(calloc(me.nconns + 1, sizeof *me.conns));
    me.requests = checked(calloc(opt.channels, sizeof *me.requests));
    for (unsigned k = 0; k < opt.channels; k++)
        me.requests[k] = make_request(target, k);
    const char *size = strstr(target->path, "size=");
    me.expected_body = size && !opt.any_body ? strtoul(size + 5, NULL, 10) : SIZE_MAX;
    me.epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event stop = { .events = EPOLLIN, .data.ptr = NULL };
    epoll_ctl(me.epoll, EPOLL_CTL_ADD, stop_fd, &stop);

    size_t inflight = opt.inflight / opt.procs ? opt.inflight / opt.procs : 1;
    for (bool stopping = false; !stopping;) {
        while (me.opened < me.nconns && me.pending < inflight && !me.tally->failed) {
            size_t index = me.opened * opt.procs + id;
            struct conn *c = &me.conns[me.opened++];
            c->channel = (uint32_t)(index % opt.channels);
            c->quiet = true;
            c->seen = total_messages ? checked(calloc(total_messages / opt.channels / 8 + 1, 1)) : NULL;
            me.pending++;
            open_conn(c, index);
        }
        int n = epoll_wait(me.epoll, events, 512, -1);
        for (int i = 0; i < n; i++) {
            struct conn *c = events[i].data.ptr;
            if (!c)
                stopping = true;
            else if (c->fd >= 0 && on_event(c, events[i].events)) {
                close_conn(c);
                if (opt.churn && !me.tally->failed)
                    open_conn(c, (size_t)(c - me.conns) * opt.procs + id);
            }
        }
        uint64_t target_now = wanted->target;
        if (me.tally->failed || (sum(wanted->field) >= target_now &&
                                 atomic_compare_exchange_strong(&wanted->target, &target_now, UINT64_MAX)))
            eventfd_write(wake_fd, 1);
    }
    for (size_t i = 0; i < me.opened; i++)
        if (me.conns[i].fd >= 0)
            close(me.conns[i].fd);
    _exit(0);
}

static void *shared_memory(size_t n)
{
    void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return p == MAP_FAILED ? checked(NULL) : p;
}

static int stop_write_fd = -1;

static void start_workers(const struct sink *sink, const struct target *target)
{
    struct rlimit files;
    int pipe_fds[2];
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    uint64_t each = files.rlim_cur - 64;
    if (!opt.procs)
        opt.procs = (opt.conns + each - 1) / each;
    if (!opt.procs || opt.procs > MAX_PROCS || opt.conns > opt.procs * each)
        die("%llu connections do not fit %llu client processes with %llu open files each",
            (unsigned long long)opt.conns, (unsigned long long)opt.procs, (unsigned long long)files.rlim_cur);
    if (!opt.sources && opt.conns > 20000)
        opt.sources = (opt.conns + 19999) / 20000;
    tallies = shared_memory(opt.procs * sizeof *tallies);
    wanted = shared_memory(sizeof *wanted);
    sent_ns = shared_memory((total_messages + 1) * sizeof *sent_ns);
    last_ns = shared_memory((total_messages + 1) * opt.procs * sizeof *last_ns);
    wanted->target = UINT64_MAX;
    if (pipe2(pipe_fds, O_CLOEXEC) < 0 || (wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) < 0)
        die("pipe: %s", strerror(errno));
    stop_fd = pipe_fds[0];
    stop_write_fd = pipe_fds[1];
    for (unsigned w = 0; w < opt.procs; w++) {
        worker_pids[w] = fork();
        if (worker_pids[w] < 0)
            die("fork: %s", strerror(errno));
        if (!worker_pids[w]) {
            close(stop_write_fd);   // so that the end of the parent, however it comes, is seen as the end of the run
            worker(w, sink, target);
        }
    }
}

static void stop_workers(void)
{
    close(stop_write_fd);
    for (unsigned w = 0; w < opt.procs; w++)
        waitpid(worker_pids[w], NULL, 0);
}

static double workers_cpu(void)
{
    double cpu = 0;
    for (unsigned w = 0; w < opt.procs; w++) {
        clockid_t clock;
        struct timespec t;
        if (!clock_getcpuclockid(worker_pids[w], &clock) && !clock_gettime(clock, &t))
            cpu += (double)t.tv_sec + t.tv_nsec * 1e-9;
    }
    return cpu;
}

static const char *run_error(void)
{
    for (unsigned w = 0; w < opt.procs; w++)
        if (tallies[w].failed)
            return tallies[w].error;
    return NULL;
}

static uint64_t deadline;

// Waits until the sum of a count reaches the target. False: a worker failed, or nothing moved for ten seconds.
static bool await(size_t field, uint64_t target)
{
    uint64_t last = sum(field), moved = now_ns();
    wanted->target = UINT64_MAX;
    wanted->field = field;
    wanted->target = target;
    while (sum(field) < target) {
        struct pollfd p = { .fd = wake_fd, .events = POLLIN };
        eventfd_t n;
        if (poll(&p, 1, 100) > 0)
            eventfd_read(wake_fd, &n);
        uint64_t now = now_ns(), at = sum(field);
        if (at != last) {
            last = at;
            moved = now;
        }
        if (run_error() || now - moved > 10000000000u || now > deadline)
            return false;
    }
    return !run_error();
}

static void set_deadline(void)
{
    deadline = now_ns() + (uint64_t)(opt.timeout * 1e9);
}

static void finish_report(const char *error)
{
    report_text("error", "error", error ? error : "none");
    report("ok", "ok", !error, 0);
    print_report();
    if (error)
        fprintf(stderr, "%s: FAILED: %s\n", progname, error);
}

// ---------------------------------------------------------------------------------------------------------
// Subscribers, for fanout and hold

static bool read_hex(const char *p, unsigned *value)
{
    *value = 0;
    for (unsigned i = 0; i < 8; i++, p++)
        if (*p >= '0' && *p <= '9')
            *value = *value << 4 | (unsigned)(*p - '0');
        else if (*p >= 'a' && *p <= 'f')
            *value = *value << 4 | (unsigned)(*p - 'a' + 10);
        else
            return false;
    return true;
}

static int on_message(struct conn *c, const char *line, size_t n)
{
    unsigned channel = 0, number = 0;
    if (opt.mode == SSE) {
        if (n == 1 || strncmp(line, "data: ", 6) || n == 7)
            return 0;
        line += 6, n -= 6;
    }
    if (n < MESSAGE_MIN || memcmp(line, "PB1 ", 4)) {
        if (c->quiet)
            return 0;
        me.tally->corrupt++;
        return fail("a line that is no message: %.*s", n < 60 ? (int)n : 60, line);
    }
    bool read = read_hex(line + 4, &channel) && read_hex(line + 13, &number);
    uint64_t index = (uint64_t)number * opt.channels + channel;
    if (!read || n != opt.size || channel != c->channel || index >= total_messages || !sent_ns[index] ||
        memcmp(line + MESSAGE_HEAD, pattern, n - MESSAGE_HEAD - 1)) {
        me.tally->corrupt++;
        return fail("a message of %zu bytes on channel c%u that was not sent so: %.*s", n, c->channel, MESSAGE_HEAD, line);
    }
    c->quiet = false;
    if (c->seen[number / 8] & 1 << number % 8) {
        me.tally->duplicates++;
        return fail("message %u came twice on channel c%u", number, channel);
    }
    c->seen[number / 8] |= (uint8_t)(1 << number % 8);
    if (number != c->next)
        me.tally->reordered++;
    c->next = number + 1;
    uint64_t now = now_ns();
    if (index >= opt.warmup)
        hist_add(&me.tally->latency, now - sent_ns[index]);
    last_ns[me.id * total_messages + index] = now;
    me.tally->delivered++;
    return 0;
}

static int sub_head(void *ctx, const char *head, size_t n)
{
    struct conn *c = ctx;
    int status = n > 12 ? atoi(head + 9) : 0;
    const char *accept = header(head, n, "Sec-WebSocket-Accept");
    if (status != (opt.mode == WS ? 101 : 200))
        return fail("answered %.*s", (int)strcspn(head, "\r"), head);
    if (opt.mode == WS && (!accept || strncmp(accept, WS_ACCEPT, strlen(WS_ACCEPT))))
        return fail("wrong Sec-WebSocket-Accept");
    if (opt.deflate && !header(head, n, "Sec-WebSocket-Extensions"))
        return fail("no compression was agreed");
    now_held(c);
    return 0;
}

static int sub_lines(struct conn *c, const char *p, size_t n)
{
    while (n) {
        const char *end = memchr(p, '\n', n);
        size_t len = end ? (size_t)(end - p) + 1 : n;
        int rc = 0;
        if (!end || c->line.len)
            buf_add(&c->line, p, len);
        if (end) {
            rc = c->line.len ? on_message(c, c->line.p, c->line.len) : on_message(c, p, len);
            c->line.len = 0;
        }
        if (rc)
            return rc;
        p += len;
        n -= len;
    }
    return 0;
}

// A compressed message is whole: inflated, it is lines like any other. It refers to no earlier one.
static int sub_inflate(struct conn *c)
{
    static z_stream z;
    static char text[1 << 20];
    struct buf packed = c->packed;
    if (!z.state && inflateInit2(&z, -15) != Z_OK)
        die("inflateInit2");
    c->packed = (struct buf){ 0 };
    buf_add(&packed, "\0\0\377\377", 4);
    inflateReset(&z);
    z.next_in = (unsigned char *)packed.p;
    z.avail_in = (unsigned)packed.len;
    z.next_out = (unsigned char *)text;
    z.avail_out = sizeof text;
    int rc = inflate(&z, Z_SYNC_FLUSH);
    buf_free(&packed);
    if ((rc != Z_OK && rc != Z_BUF_ERROR) || !z.avail_out)
        return fail("a message that cannot be inflated");
    return sub_lines(c, text, sizeof text - z.avail_out);
}

static int sub_body(void *ctx, const char *p, size_t n)
{
    struct conn *c = ctx;
    if (opt.deflate != c->in.deflated)
        return fail(opt.deflate ? "a message that is not compressed" : "a compressed message");
    if (!opt.deflate)
        return sub_lines(c, p, n);
    buf_add(&c->packed, p, n);
    return 0;
}

static int sub_end(void *ctx)
{
    struct conn *c = ctx;
    int rc = c->packed.len ? sub_inflate(c) : 0;
    if (rc)
        return rc;
    if (c->line.len)
        return fail("a message cut short");
    if (opt.mode == WS)
        return 0;
    if (opt.mode == HTTP_RESPONSE)
        return start_request(c);
    return fail("a held response ended");
}

static int sub_control(void *ctx, unsigned opcode, const char *p, size_t n)
{
    struct conn *c = ctx;
    char pong[6 + 125] = { (char)0x8a, (char)(0x80 | n) };   // masked with zeros
    if (opcode == 10)
        return 0;
    if (opcode != 9)
        return fail("the server closed a WebSocket");
    memcpy(pong + 6, p, n);
    return send(c->fd, pong, 6 + n, MSG_NOSIGNAL) == (ssize_t)(6 + n) ? 0 : fail("pong: %s", strerror(errno));
}

static const struct sink subscriber = { sub_head, sub_body, sub_end, sub_control, NULL };

// ---------------------------------------------------------------------------------------------------------
// fanout

struct publisher {
    int fd;
    bool busy, closing;      // closing: the server said that it closes after this answer
    struct reader in;
};

static int pub_head(void *ctx, const char *head, size_t n)
{
    const char *connection = header(head, n, "Connection");
    if (n < 12 || head[9] != '2')
        die("publish answered %.*s", (int)strcspn(head, "\r"), head);
    ((struct publisher *)ctx)->closing = connection && !strncasecmp(connection, "close", 5);
    return 0;
}

static int pub_body(void *ctx, const char *p, size_t n)
{
    (void)ctx, (void)p, (void)n;
    return 0;
}

static int pub_end(void *ctx)
{
    ((struct publisher *)ctx)->busy = false;
    return 0;
}

static const struct sink publish_reply = { pub_head, pub_body, pub_end, NULL, NULL };

static void open_publisher(struct publisher *p, const struct target *t)
{
    int on = 1;
    p->closing = false;
    p->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (p->fd < 0 || connect(p->fd, (const struct sockaddr *)&t->address, sizeof t->address) < 0)
        die("cannot connect to %s to publish: %s", t->host, strerror(errno));
    setsockopt(p->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

static void await_reply(struct publisher *p)
{
    char data[4096];
    while (p->busy) {
        ssize_t n = recv(p->fd, data, sizeof data, 0);
        if (n <= 0)
            die("publish: %s", n ? strerror(errno) : "connection closed");
        if (feed(&p->in, &publish_reply, p, data, (size_t)n))
            die("publish: bytes that are not HTTP");
    }
}

static void publish(struct publisher *p, const struct target *t, uint64_t index)
{
    static char *message;
    static struct buf body, request;
    unsigned channel = (unsigned)(index % opt.channels);
    char path[2048], head[4096];
    if (!message)
        message = checked(malloc(opt.size));
    make_message(message, channel, (unsigned)(index / opt.channels));
    body.len = request.len = 0;
    if (!strcmp(opt.format, "raw")) {
        buf_add(&body, message, opt.size);
    } else {
        static const char *const formats[] = {
            [HTTP_STREAM] = "\"http-stream\":{\"content\":\"", [SSE] = "\"http-stream\":{\"content\":\"",
            [HTTP_RESPONSE] = "\"http-response\":{\"body\":\"", [WS] = "\"ws-message\":{\"content\":\"",
        };
        int n = snprintf(head, sizeof head, "{\"items\":[{\"channel\":\"c%u\",\"formats\":{%s", channel, formats[opt.mode]);
        buf_add(&body, head, (size_t)n);
        buf_add(&body, message, opt.size - 1);
        buf_add(&body, "\\n\"}}}]}", 8);
    }
    expand_path(path, sizeof path, t->path, channel);
    int n = snprintf(head, sizeof head, "POST %s HTTP/1.1\r\nHost: %s\r\nConnection: keep-alive\r\nContent-Type: %s\r\nContent-Length: %zu\r\n\r\n", path,
                     t->host, *opt.format == 'r' ? "text/plain" : "application/json", body.len);
    buf_add(&request, head, (size_t)n);
    buf_add(&request, body.p, body.len);
    await_reply(p);
    if (p->closing) {
        close(p->fd);
        open_publisher(p, t);
    }
    sent_ns[index] = now_ns();
    for (size_t done = 0; done < request.len;) {
        ssize_t k = send(p->fd, request.p + done, request.len - done, MSG_NOSIGNAL);
        if (k <= 0)
            die("publish: %s", strerror(errno));
        done += (size_t)k;
    }
    p->busy = true;
}

// Deliveries due once messages 0 to count-1 have reached every subscriber of theirs.
static uint64_t deliveries_of(uint64_t count)
{
    uint64_t rounds = count / opt.channels, rest = count % opt.channels;
    uint64_t each = opt.conns / opt.channels, more = opt.conns % opt.channels;   // the first channels have one more
    return rounds * opt.conns + rest * each + (rest < more ? rest : more);
}

static bool publish_range(struct publisher *pubs, const struct target *t, uint64_t from, uint64_t to)
{
    uint64_t start = now_ns();
    for (uint64_t i = from; i < to; i++) {
        if (i >= from + opt.window && !await(offsetof(struct tally, delivered), deliveries_of(i - opt.window + 1)))
            return false;
        if (opt.mode == HTTP_RESPONSE && i)
            sleep_ns((uint64_t)(opt.settle * 1e9));   // for the clients' next polls to be held
        if (opt.rate > 0) {
            uint64_t due = start + (uint64_t)((double)(i - from) * 1e9 / opt.rate), now = now_ns();
            if (due > now)
                sleep_ns(due - now);
        }
        publish(&pubs[i % opt.concurrency], t, i);
    }
    return await(offsetof(struct tally, delivered), deliveries_of(to));
}

static int compare_double(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static int cmd_fanout(void)
{
    struct target target = parse_url("--url", opt.url), to = parse_url("--publish", opt.publish);
    if (opt.size < MESSAGE_MIN || opt.size > PATTERN_MAX)
        die("--size is at least %d", MESSAGE_MIN);
    if (!opt.messages || !opt.window || !opt.concurrency || !opt.channels || opt.conns < opt.channels)
        die("--messages, --window, --concurrency and --channels are at least 1, and a channel has a connection");
    if (opt.warmup == UINT64_MAX)
        opt.warmup = opt.channels;
    if (opt.mode == HTTP_RESPONSE && (opt.window > 1 || opt.channels > 1))
        die("http-response takes --window 1 --channels 1: a poll is not held before the message ahead has come");
    total_messages = opt.warmup + opt.messages;
    set_deadline();
    start_workers(&subscriber, &target);

    const char *error = NULL;
    struct usage before = { 0 }, after = { 0 };
    double clients = 0;
    uint64_t start = 0, end = 0;
    struct publisher *pubs = checked(calloc(opt.concurrency, sizeof *pubs));
    for (uint64_t i = 0; i < opt.concurrency; i++)
        open_publisher(&pubs[i], &to);
    if (!await(offsetof(struct tally, held), opt.conns)) {
        error = "not all connections were held";
    } else {
        sleep_ns((uint64_t)(opt.settle * 1e9));
        if (!publish_range(pubs, &to, 0, opt.warmup)) {
            error = "deliveries lost while warming up";
        } else {
            before = server_usage(false);
            clients = workers_cpu();
            start = now_ns();
            if (!publish_range(pubs, &to, opt.warmup, total_messages))
                error = "deliveries lost";
            if (opt.mode == HTTP_RESPONSE)
                sleep_ns((uint64_t)(opt.settle * 1e9));   // the polls that follow the last message count too
            after = server_usage(false);
            clients = workers_cpu() - clients;
            sleep_ns((uint64_t)(opt.settle * 1e9));   // for a duplicate to show itself
        }
    }
    uint64_t due = deliveries_of(total_messages), came = sum(offsetof(struct tally, delivered));
    if (!error && sum(offsetof(struct tally, failed)))
        error = "failed after the last delivery";
    stop_workers();

    struct hist *latency = checked(calloc(1, sizeof *latency));
    double *reach = checked(calloc(opt.messages, sizeof *reach));
    for (unsigned w = 0; w < opt.procs; w++)
        hist_merge(latency, &tallies[w].latency);
    for (uint64_t m = 0; m < opt.messages; m++) {
        uint64_t last = 0;
        for (unsigned w = 0; w < opt.procs; w++)
            if (last_ns[w * total_messages + opt.warmup + m] > last)
                last = last_ns[w * total_messages + opt.warmup + m];
        if (last > end)
            end = last;
        reach[m] = last > sent_ns[opt.warmup + m] ? (double)(last - sent_ns[opt.warmup + m]) * 1e-6 : 0;
    }
    qsort(reach, opt.messages, sizeof *reach, compare_double);
    double measured = (double)latency->count, wall = end > start ? (double)(end - start) * 1e-9 : 0;
    double per = measured ? 1e6 / measured : 0, ticks = after.user + after.system - before.user - before.system;
    report_text("command", "command", "fanout");
    report_text("mode", "mode", mode_names[opt.mode]);
    report("conns", "connections", (double)opt.conns, 0);
    report("channels", "channels", (double)opt.channels, 0);
    report("messages", "messages measured", (double)opt.messages, 0);
    report("size", "bytes a message", (double)opt.size, 0);
    report("window", "window", (double)opt.window, 0);
    report("held", "connections held", (double)sum(offsetof(struct tally, held)), 0);
    report("deliveries", "deliveries measured", measured, 0);
    report("lost", "deliveries lost, of all sent", (double)due - (double)came, 0);
    report("duplicates", "duplicates", (double)sum(offsetof(struct tally, duplicates)), 0);
    report("corrupt", "corrupt", (double)sum(offsetof(struct tally, corrupt)), 0);
    report("reordered", "out of order", (double)sum(offsetof(struct tally, reordered)), 0);
    report("wall_s", "first publish to last delivery, s", wall, 4);
    report("deliveries_per_s", "deliveries/s", wall > 0 ? measured / wall : 0, 0);
    report("latency_p50_us", "delivery latency p50, us", hist_quantile(latency, 0.5) * 1e-3, 1);
    report("latency_p99_us", "delivery latency p99, us", hist_quantile(latency, 0.99) * 1e-3, 1);
    report("latency_max_us", "delivery latency max, us", (double)latency->max * 1e-3, 1);
    report("reach_all_p50_ms", "a message reaches its last subscriber p50, ms", reach[opt.messages / 2], 3);
    report("reach_all_max_ms", "a message reaches its last subscriber max, ms", reach[opt.messages - 1], 3);
    if (opt.npids) {
        report("server_cpu_s", "server CPU, s", after.cpu - before.cpu, 4);
        report("server_cpu_us_per_delivery", "server CPU us per delivery", (after.cpu - before.cpu) * per, 3);
        report("server_user_share", "of that, in user mode", ticks > 0 ? (after.user - before.user) / ticks : 0, 2);
        report("server_cpu_us_per_message", "server CPU us per message", (after.cpu - before.cpu) * 1e6 / (double)opt.messages, 1);
        report("server_cores", "server cores busy", wall > 0 ? (after.cpu - before.cpu) / wall : 0, 2);
    }
    report("client_cpu_us_per_delivery", "client CPU us per delivery", clients * per, 3);
    const char *cause = run_error();
    finish_report(error && cause ? cause : error);
    return error != NULL;
}

// ---------------------------------------------------------------------------------------------------------
// hold

static int cmd_hold(void)
{
    struct target target = parse_url("--url", opt.url);
    if (opt.mode == HTTP_RESPONSE)
        die("hold cannot tell when a long-poll is held; use http-stream or ws");
    if (!opt.channels)
        die("--channels is at least 1");
    total_messages = 0;
    set_deadline();
    struct usage fresh = server_usage(true);
    double kernel_fresh = kernel_memory();
    uint64_t start = now_ns();
    start_workers(&subscriber, &target);
    bool ok = await(offsetof(struct tally, held), opt.conns);
    double wall = (double)(now_ns() - start) * 1e-9;
    double clients = workers_cpu();
    sleep_ns((uint64_t)(opt.settle * 1e9));
    struct usage held = server_usage(true), idle = held;
    double kernel_held = kernel_memory(), n = (double)sum(offsetof(struct tally, held));
    uint64_t idle_start = now_ns();
    if (opt.idle > 0) {
        sleep_ns((uint64_t)(opt.idle * 1e9));
        idle = server_usage(false);
    }
    double idle_wall = (double)(now_ns() - idle_start) * 1e-9;
    const char *error = run_error();
    if (!ok && !error)
        error = "not all connections were held";
    stop_workers();
    sleep_ns((uint64_t)(opt.settle * 1e9) + 500000000u);
    struct usage closed = server_usage(true);
    double kernel_closed = kernel_memory();

    report_text("command", "command", "hold");
    report_text("mode", "mode", mode_names[opt.mode]);
    report("conns", "connections", (double)opt.conns, 0);
    report("held", "connections held", n, 0);
    report("inflight", "being opened at a time", (double)opt.inflight, 0);
    report("wall_s", "time to hold them, s", wall, 3);
    report("holds_per_s", "connections held/s", n / wall, 0);
    report("client_cpu_us_per_conn", "client CPU us per connection", clients * 1e6 / n, 2);
    if (opt.npids) {
        report("server_cpu_us_per_conn", "server CPU us per connection", (held.cpu - fresh.cpu) * 1e6 / n, 2);
        report("server_fresh_pss_kb", "server memory (PSS) with none held, KiB", fresh.pss / 1024, 0);
        report("server_held_pss_kb", "server memory (PSS) with all held, KiB", held.pss / 1024, 0);
        report("server_closed_pss_kb", "server memory (PSS) after all closed, KiB", closed.pss / 1024, 0);
        report("pss_bytes_per_conn", "server memory per connection (PSS), bytes", (held.pss - fresh.pss) / n, 0);
        report("rss_bytes_per_conn", "server memory per connection (RSS), bytes", (held.rss - fresh.rss) / n, 0);
        report("given_back_share", "share of that given back after closing", held.pss > fresh.pss ? (held.pss - closed.pss) / (held.pss - fresh.pss) : 0, 2);
        report("close_cpu_us_per_conn", "server CPU us per closed connection", (closed.cpu - idle.cpu) * 1e6 / n, 2);
        if (opt.idle > 0)
            report("idle_cpu_percent", "server CPU while idle, % of a core", (idle.cpu - held.cpu) / idle_wall * 100, 3);
    }
    report("kernel_bytes_per_conn", "kernel memory per connection, both ends", (kernel_held - kernel_fresh) / n, 0);
    report("kernel_left_bytes_per_conn", "of that, left after closing", (kernel_closed - kernel_fresh) / n, 0);
    finish_report(error);
    return error != NULL;
}

// ---------------------------------------------------------------------------------------------------------
// proxy

static int req_head(void *ctx, const char *head, size_t n)
{
    (void)ctx;
    if (n < 12 || atoi(head + 9) != 200)
        return fail("answered %.*s", (int)strcspn(head, "\r"), head);
    return 0;
}

static int req_body(void *ctx, const char *p, size_t n)
{
    struct conn *c = ctx;
    if (me.expected_body != SIZE_MAX && (c->body_len + n > me.expected_body || memcmp(p, pattern + c->body_len, n)))
        return fail("a body that is not the origin's, at byte %zu", c->body_len);
    c->body_len += n;
    return 0;
}

static int req_end(void *ctx)
{
    struct conn *c = ctx;
    if (me.expected_body != SIZE_MAX && c->body_len != me.expected_body)
        return fail("a body of %zu bytes, not %zu", c->body_len, me.expected_body);
    hist_add(&me.tally->latency, now_ns() - c->sent);
    me.tally->requests++;
    return opt.churn ? STOP : start_request(c);
}

static const struct sink requester = { req_head, req_body, req_end, NULL, NULL };

// What the workers have counted since EARLY was taken, which is merged once more.
static void hist_since(struct hist *h, const struct hist *early)
{
    for (unsigned w = 0; w < opt.procs; w++)
        hist_merge(h, &tallies[w].latency);
    h->count -= early->count;
    for (unsigned i = 0; i < sizeof h->at / sizeof *h->at; i++)
        h->at[i] -= early->at[i];
}

static int cmd_proxy(void)
{
    struct target target = parse_url("--url", opt.url);
    struct hist *early = checked(calloc(1, sizeof *early)), *latency = checked(calloc(1, sizeof *latency));
    if (opt.post > PATTERN_MAX)
        die("--post is at most %d", PATTERN_MAX);
    opt.inflight = opt.conns;
    opt.mode = HTTP_STREAM;
    start_workers(&requester, &target);
    sleep_ns((uint64_t)(opt.seconds * 0.2e9));
    for (unsigned w = 0; w < opt.procs; w++)
        hist_merge(early, &tallies[w].latency);
    struct usage before = server_usage(false);
    double clients = workers_cpu();
    uint64_t start = now_ns(), first = sum(offsetof(struct tally, requests));
    sleep_ns((uint64_t)(opt.seconds * 1e9));
    struct usage after = server_usage(false);
    clients = workers_cpu() - clients;
    double n = (double)(sum(offsetof(struct tally, requests)) - first), wall = (double)(now_ns() - start) * 1e-9;
    hist_since(latency, early);
    const char *error = run_error();
    if (!error && n == 0)
        error = "no request was answered";
    stop_workers();
    double ticks = after.user + after.system - before.user - before.system;
    report_text("command", "command", "proxy");
    report("conns", "connections", (double)opt.conns, 0);
    report("churn", "a new connection for each request", opt.churn, 0);
    report("requests", "requests measured", n, 0);
    report("wall_s", "time, s", wall, 3);
    report("requests_per_s", "requests/s", n / wall, 0);
    report("latency_p50_us", "latency p50, us", hist_quantile(latency, 0.5) * 1e-3, 1);
    report("latency_p99_us", "latency p99, us", hist_quantile(latency, 0.99) * 1e-3, 1);
    report("latency_max_us", "latency max, warm-up included, us", (double)latency->max * 1e-3, 1);
    if (opt.npids) {
        report("server_cpu_us_per_request", "server CPU us per request", n ? (after.cpu - before.cpu) * 1e6 / n : 0, 2);
        report("server_user_share", "of that, in user mode", ticks > 0 ? (after.user - before.user) / ticks : 0, 2);
        report("server_cores", "server cores busy", (after.cpu - before.cpu) / wall, 2);
    }
    report("client_cpu_us_per_request", "client CPU us per request", n ? clients * 1e6 / n : 0, 2);
    finish_report(error);
    return error != NULL;
}

// ---------------------------------------------------------------------------------------------------------
// echo

static struct buf echo_frame;    // the message, as a client sends it

static void make_echo_frame(void)
{
    size_t n = opt.size, k = n < 126 ? 2 : n < 65536 ? 4 : 10;
    char head[14] = { (char)0x82, (char)(0x80 | (n < 126 ? n : n < 65536 ? 126 : 127)) };
    for (size_t i = k; i > 2; i--, n >>= 8)
        head[i - 1] = (char)n;
    buf_add(&echo_frame, head, k + 4);   // masked with zeros
    buf_add(&echo_frame, pattern, opt.size);
}

static int send_echo(struct conn *c)
{
    c->out = echo_frame.p;
    c->out_len = echo_frame.len;
    c->body_len = 0;
    c->sent = now_ns();
    return send_request(c, false);
}

static int echo_head(void *ctx, const char *head, size_t n)
{
    struct conn *c = ctx;
    if (n < 12 || atoi(head + 9) != 101)
        return fail("answered %.*s", (int)strcspn(head, "\r"), head);
    now_held(c);
    return send_echo(c);
}

static int echo_body(void *ctx, const char *p, size_t n)
{
    struct conn *c = ctx;
    if (c->body_len + n > opt.size || memcmp(p, pattern + c->body_len, n))
        return fail("a message that was not sent so, at byte %zu", c->body_len);
    c->body_len += n;
    return 0;
}

static int echo_end(void *ctx)
{
    struct conn *c = ctx;
    if (c->body_len != opt.size)
        return fail("a message of %zu bytes, not %llu", c->body_len, (unsigned long long)opt.size);
    hist_add(&me.tally->latency, now_ns() - c->sent);
    me.tally->requests++;
    return send_echo(c);
}

static const struct sink echo_sink = { echo_head, echo_body, echo_end, sub_control, NULL };

static int cmd_echo(void)
{
    struct target target = parse_url("--url", opt.url);
    struct hist *early = checked(calloc(1, sizeof *early)), *latency = checked(calloc(1, sizeof *latency));
    if (!opt.size || opt.size > PATTERN_MAX)
        die("--size is from 1 to %d", PATTERN_MAX);
    opt.inflight = opt.conns;
    opt.mode = WS;
    make_echo_frame();
    struct usage idle = server_usage(true);
    server_peak(true);
    start_workers(&echo_sink, &target);
    sleep_ns((uint64_t)(opt.seconds * 0.2e9));
    for (unsigned w = 0; w < opt.procs; w++)
        hist_merge(early, &tallies[w].latency);
    struct usage before = server_usage(false);
    double clients = workers_cpu();
    uint64_t start = now_ns(), first = sum(offsetof(struct tally, requests));
    sleep_ns((uint64_t)(opt.seconds * 1e9));
    struct usage after = server_usage(false);
    clients = workers_cpu() - clients;
    double n = (double)(sum(offsetof(struct tally, requests)) - first), wall = (double)(now_ns() - start) * 1e-9;
    double all = (double)sum(offsetof(struct tally, requests)), peak = server_peak(false);
    hist_since(latency, early);
    const char *error = run_error();
    if (!error && n == 0)
        error = "no message came back";
    stop_workers();
    report_text("command", "command", "echo");
    report("conns", "connections", (double)opt.conns, 0);
    report("size", "bytes a message", (double)opt.size, 0);
    report("echoes", "messages measured, there and back", n, 0);
    report("wall_s", "time, s", wall, 3);
    report("echoes_per_s", "messages/s", n / wall, 0);
    report("carried_mb", "carried in each direction, warm-up included, MB", all * (double)opt.size * 1e-6, 0);
    report("latency_p50_us", "there and back p50, us", hist_quantile(latency, 0.5) * 1e-3, 1);
    report("latency_p99_us", "there and back p99, us", hist_quantile(latency, 0.99) * 1e-3, 1);
    if (opt.npids) {
        report("server_cpu_us_per_echo", "server CPU us, there and back", n ? (after.cpu - before.cpu) * 1e6 / n : 0, 2);
        report("server_cores", "server cores busy", (after.cpu - before.cpu) / wall, 2);
        report("peak_kb", "most resident memory above idle, KiB", (peak - idle.rss) / 1024, 0);
    }
    report("client_cpu_us_per_echo", "client CPU us, there and back", n ? clients * 1e6 / n : 0, 2);
    finish_report(error);
    return error != NULL;
}

// ---------------------------------------------------------------------------------------------------------
// What origin and floor share: a server of one thread

struct list;
struct peer {
    int fd;
    bool dead, post, ws;
    struct reader in;
    struct buf body, out;        // out: what the socket would not take yet
    char path[512];
    struct list *list;           // floor: where it is subscribed, and its place there
    size_t slot;
    struct peer *other;          // floor --relay: the other side
    struct peer *next_dead;
};

static int server_epoll;
static struct peer *dead_peers;
static const struct sink *server_sink;

static struct peer *add_peer(int fd)
{
    int on = 1;
    struct peer *p = checked(calloc(1, sizeof *p));
    struct epoll_event e = { .events = EPOLLIN, .data.ptr = p };
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    p->fd = fd;
    p->in.request = true;
    if (epoll_ctl(server_epoll, EPOLL_CTL_ADD, fd, &e) < 0)
        die("epoll_ctl: %s", strerror(errno));
    return p;
}

static void kill_peer(struct peer *p)
{
    if (p->dead)
        return;
    p->dead = true;
    close(p->fd);
    p->next_dead = dead_peers;
    dead_peers = p;
}

static void watch(struct peer *p, uint32_t events)
{
    struct epoll_event e = { .events = events, .data.ptr = p };
    epoll_ctl(server_epoll, EPOLL_CTL_MOD, p->fd, &e);
}

static void flush(struct peer *p)
{
    ssize_t n = send(p->fd, p->out.p, p->out.len, MSG_NOSIGNAL);
    if (n > 0) {
        memmove(p->out.p, p->out.p + n, p->out.len - (size_t)n);
        p->out.len -= (size_t)n;
    }
    if (!p->out.len)
        watch(p, EPOLLIN);
    else if (n < 0 && errno != EAGAIN)
        kill_peer(p);
}

static void send_parts(struct peer *p, const char *a, size_t an, const char *b, size_t bn)
{
    struct iovec v[2] = { { (void *)(uintptr_t)a, an }, { (void *)(uintptr_t)b, bn } };
    ssize_t n = p->out.len ? 0 : writev(p->fd, v, 2);
    size_t done = n > 0 ? (size_t)n : 0;
    if (done == an + bn)
        return;
    if (!p->out.len)
        watch(p, EPOLLOUT);
    if (done < an)
        buf_add(&p->out, a + done, an - done);
    done = done > an ? done - an : 0;
    buf_add(&p->out, b + done, bn - done);
}

static void answer(struct peer *p, const char *headers, const char *body, size_t n)
{
    char head[1024];
    int k = snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n%s\r\n", n, headers);
    send_parts(p, head, (size_t)k, body, n);
}

static int peer_head(void *ctx, const char *head, size_t n)
{
    struct peer *p = ctx;
    const char *path = memchr(head, ' ', n), *end;
    if (!path || !(end = strpbrk(path + 1, " \r")) || (size_t)(end - path) >= sizeof p->path)
        return BAD;
    snprintf(p->path, sizeof p->path, "%.*s", (int)(end - path - 1), path + 1);
    p->post = *head == 'P';
    p->body.len = 0;
    return 0;
}

static int peer_body(void *ctx, const char *data, size_t n)
{
    buf_add(&((struct peer *)ctx)->body, data, n);
    return 0;
}

static unsigned long query_number(const struct peer *p, const char *name, unsigned long otherwise)
{
    const char *at = strstr(p->path, name);
    return at ? strtoul(at + strlen(name), NULL, 10) : otherwise;
}

static struct peer *(*on_accept)(int fd);
static void (*on_bytes)(struct peer *p, const char *data, size_t n);
static void (*on_close)(struct peer *p);

static _Noreturn void serve(void)
{
    static char data[256 << 10];
    struct epoll_event events[512];
    struct rlimit files;
    int on = 1;
    if (!opt.listen)
        die("--listen ADDRESS:PORT is needed");
    struct sockaddr_in address = parse_address(opt.listen, strlen(opt.listen));
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, 65535) < 0)
        die("cannot listen on %s: %s", opt.listen, strerror(errno));
    server_epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event e = { .events = EPOLLIN, .data.ptr = NULL };
    epoll_ctl(server_epoll, EPOLL_CTL_ADD, fd, &e);
    for (;;) {
        int n = epoll_wait(server_epoll, events, 512, -1);
        for (int i = 0; i < n; i++) {
            struct peer *p = events[i].data.ptr;
            int client;
            if (!p) {
                while ((client = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0)
                    on_accept(client);
                if (errno == EMFILE)
                    die("out of open files: the limit is %llu", (unsigned long long)files.rlim_cur);
                continue;
            }
            if (p->dead)
                continue;
            if (events[i].events & EPOLLOUT)
                flush(p);
            if (p->dead || !(events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
                continue;
            ssize_t k = recv(p->fd, data, sizeof data, 0);
            if (k > 0)
                on_bytes(p, data, (size_t)k);
            else if (k == 0 || errno != EAGAIN)
                kill_peer(p);
        }
        while (dead_peers) {
            struct peer *p = dead_peers;
            dead_peers = p->next_dead;
            on_close(p);
            buf_free(&p->in.part);
            buf_free(&p->body);
            buf_free(&p->out);
            free(p);
        }
    }
}

static void feed_peer(struct peer *p, const char *data, size_t n)
{
    if (feed(&p->in, server_sink, p, data, n))
        kill_peer(p);
}

static void nothing(struct peer *p)
{
    (void)p;
}

// ---------------------------------------------------------------------------------------------------------
// origin

static uint32_t rotate(uint32_t x, int n)
{
    return x << n | x >> (32 - n);
}

static void sha1_block(uint32_t h[5], const unsigned char *p)
{
    uint32_t w[80], a = h[0], b = h[1], c = h[2], d = h[3], e = h[4];
    for (int i = 0; i < 80; i++) {
        w[i] = i < 16 ? (uint32_t)p[4 * i] << 24 | (uint32_t)p[4 * i + 1] << 16 | (uint32_t)p[4 * i + 2] << 8 | p[4 * i + 3]
                      : rotate(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
        uint32_t f = i < 20   ? ((b & c) | (~b & d)) + 0x5a827999
                     : i < 40 ? (b ^ c ^ d) + 0x6ed9eba1
                     : i < 60 ? ((b & c) | (b & d) | (c & d)) + 0x8f1bbcdc
                              : (b ^ c ^ d) + 0xca62c1d6;
        uint32_t next = rotate(a, 5) + f + e + w[i];
        e = d, d = c, c = rotate(b, 30), b = a, a = next;
    }
    h[0] += a, h[1] += b, h[2] += c, h[3] += d, h[4] += e;
}

// The Sec-WebSocket-Accept for a key of 24 characters.
static void ws_accept(const char *key, size_t n, char out[32])
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint32_t h[5] = { 0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0 };
    unsigned char block[128] = { 0 }, sum[21] = { 0 };
    size_t at = 0;
    n = n < 24 ? n : 24;
    memcpy(block, key, n);
    memcpy(block + n, "258EAFA5-E914-47DA-95CA-C5AB0DC85B11", 36);
    block[n + 36] = 0x80;
    block[126] = (unsigned char)((n + 36) * 8 >> 8);
    block[127] = (unsigned char)((n + 36) * 8);
    sha1_block(h, block);
    sha1_block(h, block + 64);
    for (int i = 0; i < 20; i++)
        sum[i] = (unsigned char)(h[i / 4] >> (24 - 8 * (i % 4)));
    for (int i = 0; i < 21; i += 3) {
        uint32_t v = (uint32_t)sum[i] << 16 | (uint32_t)sum[i + 1] << 8 | sum[i + 2];
        for (int k = 18; k >= 0; k -= 6)
            out[at++] = letters[v >> k & 63];
    }
    strcpy(out + 27, "=");
}

// WebSocket-over-HTTP: subscribes on OPEN, sends TEXT and BINARY back, agrees to CLOSE.
static int answer_ws_events(struct peer *p, const char *channel)
{
    struct buf out = { 0 };
    char text[256];
    buf_add(&p->body, "", 1);
    for (char *at = p->body.p, *end = at + p->body.len - 1; at < end;) {
        char *line = at, *eol = strstr(at, "\r\n");
        if (!eol)
            return BAD;
        at = eol + 2;
        char *space = memchr(line, ' ', (size_t)(eol - line));
        size_t size = space ? strtoul(space + 1, NULL, 16) : 0;
        if (space) {
            if ((size_t)(end - at) < size + 2)
                return BAD;
            at += size + 2;
        }
        if (!strncmp(line, "OPEN", 4)) {
            char control[160];
            int n = snprintf(control, sizeof control, "c:{\"type\":\"subscribe\",\"channel\":\"%s\"}", channel);
            n = snprintf(text, sizeof text, "OPEN\r\nTEXT %x\r\n%s\r\n", n, control);
            buf_add(&out, text, (size_t)n);
        } else if (strncmp(line, "DISCONNECT", 10) && strncmp(line, "PONG", 4)) {
            buf_add(&out, line, (size_t)(at - line));
        }
    }
    answer(p, "Content-Type: application/websocket-events\r\nSec-WebSocket-Extensions: grip; message-prefix=\"\"\r\n", out.p, out.len);
    buf_free(&out);
    return 0;
}

static int origin_end(void *ctx)
{
    struct peer *p = ctx;
    char channel[128] = "", headers[256];
    const char *at = strstr(p->path, "channel=");
    if (at)
        snprintf(channel, sizeof channel, "%.*s", (int)strcspn(at + 8, "&"), at + 8);
    if (!strncmp(p->path, "/ws", 3))
        return answer_ws_events(p, channel);
    bool stream = !strncmp(p->path, "/stream", 7);
    if (stream || !strncmp(p->path, "/response", 9)) {
        snprintf(headers, sizeof headers, "Content-Type: text/plain\r\nGrip-Hold: %s\r\nGrip-Channel: %s\r\n",
                 stream ? "stream" : "response", channel);
        answer(p, headers, stream ? "held\n" : "timeout\n", stream ? 5 : 8);
        return 0;
    }
    unsigned long size = query_number(p, "size=", 2);
    if (size > PATTERN_MAX || p->body.len > PATTERN_MAX || memcmp(p->body.p ? p->body.p : "", pattern, p->body.len)) {
        static const char bad[] = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";
        send_parts(p, bad, sizeof bad - 1, "", 0);
        return 0;
    }
    answer(p, "Content-Type: text/plain\r\n", pattern, size);
    return 0;
}

// A WebSocket: each frame goes back as it comes.
static int origin_frame(void *ctx, unsigned first, uint64_t n)
{
    char head[10] = { (char)first, (char)(n < 126 ? n : n < 65536 ? 126 : 127) };
    size_t size = n < 126 ? 2 : n < 65536 ? 4 : 10;
    for (size_t i = size; i > 2; i--, n >>= 8)
        head[i - 1] = (char)n;
    struct peer *p = ctx;
    p->body.len = 0;
    buf_add(&p->body, head, size);
    if (!p->in.left)
        send_parts(p, p->body.p, p->body.len, "", 0);
    return 0;
}

static int origin_ws_body(struct peer *p, const char *data, size_t n)
{
    unsigned char *mask = p->in.mask, turned[4];
    size_t at = p->body.len;
    buf_add(&p->body, data, n);
    for (size_t i = 0; i < n; i++)
        p->body.p[at + i] ^= (char)mask[i & 3];
    for (size_t i = 0; i < 4; i++)
        turned[i] = mask[(i + n) & 3];
    memcpy(mask, turned, 4);
    send_parts(p, p->body.p, p->body.len, "", 0);
    p->body.len = 0;
    return 0;
}

static int origin_body(void *ctx, const char *data, size_t n)
{
    struct peer *p = ctx;
    return p->ws ? origin_ws_body(p, data, n) : peer_body(ctx, data, n);
}

static int origin_control(void *ctx, unsigned opcode, const char *data, size_t n)
{
    (void)ctx, (void)data, (void)n;
    return opcode == 8 ? STOP : 0;
}

static int origin_head(void *ctx, const char *head, size_t n)
{
    struct peer *p = ctx;
    const char *key = header(head, n, "Sec-WebSocket-Key");
    char text[256], accept[32];
    int rc = peer_head(ctx, head, n);
    if (rc || p->post || !key || !header(head, n, "Upgrade"))
        return rc;
    ws_accept(key, strcspn(key, "\r"), accept);
    int k = snprintf(text, sizeof text, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                                        "Sec-WebSocket-Accept: %s\r\n\r\n", accept);
    p->ws = true;
    send_parts(p, text, (size_t)k, "", 0);
    return 0;
}

static int origin_request_end(void *ctx)
{
    return ((struct peer *)ctx)->ws ? 0 : origin_end(ctx);
}

static const struct sink origin_sink = { origin_head, origin_body, origin_request_end, origin_control, origin_frame };

static _Noreturn void cmd_origin(void)
{
    server_sink = &origin_sink;
    on_accept = add_peer;
    on_bytes = feed_peer;
    on_close = nothing;
    serve();
}

// ---------------------------------------------------------------------------------------------------------
// floor

struct list {
    struct peer **peers;
    size_t n, cap;
};

enum { FLOOR_CHANNELS = 1 << 17 };
static struct list floor_lists[3][FLOOR_CHANNELS];   // for HTTP_STREAM, HTTP_RESPONSE and WS

static void subscribe(struct peer *p, struct list *l)
{
    if (l->n == l->cap) {
        l->cap = l->cap ? l->cap * 2 : 4;
        l->peers = checked(realloc(l->peers, l->cap * sizeof *l->peers));
    }
    p->list = l;
    p->slot = l->n;
    l->peers[l->n++] = p;
}

static void unsubscribe(struct peer *p)
{
    if (p->list) {
        struct peer *last = p->list->peers[--p->list->n];
        p->list->peers[p->slot] = last;
        last->slot = p->slot;
        p->list = NULL;
    }
}

static void send_whole(const struct peer *p, const char *data, size_t n)
{
    if (send(p->fd, data, n, MSG_NOSIGNAL) != (ssize_t)n && errno == EAGAIN)
        die("a subscriber is slow; floor keeps nothing for it: use a smaller --window");
}

static void send_to_all(const struct list *l, char *data, size_t n)
{
    static unsigned sends;
    for (size_t i = 0; i < l->n; i++) {
        bool spoil = opt.spoil && ++sends % 500 == 0;
        if (l->peers[i]->dead || (spoil && *opt.spoil == 'l'))
            continue;
        if (spoil)
            data[n - 5] ^= *opt.spoil == 'g';
        send_whole(l->peers[i], data, n);
        if (spoil && *opt.spoil == 'd')
            send_whole(l->peers[i], data, n);
        if (spoil)
            data[n - 5] ^= *opt.spoil == 'g';
    }
}

// Reads only what pushbench itself publishes: one item, channel cN, content without escapes other than \n.
static int floor_publish(struct peer *p)
{
    static struct buf content, framed;
    char head[128];
    buf_add(&p->body, "", 1);
    const char *channel = strstr(p->body.p, "\"channel\":\"c"), *at = strstr(p->body.p, "\"content\":\"");
    unsigned long number = channel ? strtoul(channel + 12, NULL, 10) : FLOOR_CHANNELS;
    enum mode mode = !at ? HTTP_RESPONSE : strstr(p->body.p, "\"ws-message\"") ? WS : HTTP_STREAM;
    if (mode == HTTP_RESPONSE)
        at = strstr(p->body.p, "\"body\":\"");
    if (!at || number >= FLOOR_CHANNELS)
        return BAD;
    content.len = framed.len = 0;
    for (at = strchr(at, ':') + 2; *at && *at != '"'; at++)
        if (at[0] == '\\' && at[1] == 'n')
            buf_add(&content, "\n", 1), at++;
        else
            buf_add(&content, at, 1);
    size_t n = content.len, k;
    if (mode == HTTP_STREAM) {
        k = (size_t)snprintf(head, sizeof head, "%zx\r\n", n);
    } else if (mode == HTTP_RESPONSE) {
        k = (size_t)snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", n);
    } else {
        head[0] = (char)0x81;
        head[1] = (char)(n < 126 ? n : n < 65536 ? 126 : 127);
        k = n < 126 ? 2 : n < 65536 ? 4 : 10;
        for (size_t i = k; i > 2; i--, n >>= 8)
            head[i - 1] = (char)n;
    }
    buf_add(&framed, head, k);
    buf_add(&framed, content.p, content.len);
    if (mode == HTTP_STREAM)
        buf_add(&framed, "\r\n", 2);
    struct list *l = &floor_lists[mode][number];
    send_to_all(l, framed.p, framed.len);
    while (mode == HTTP_RESPONSE && l->n)
        unsubscribe(l->peers[l->n - 1]);
    answer(p, "", "Published\n", 10);
    return 0;
}

static int floor_end(void *ctx)
{
    static const char stream[] = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nheld\n\r\n";
    static const char ws[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " WS_ACCEPT "\r\n\r\n";
    struct peer *p = ctx;
    if (p->post)
        return floor_publish(p);
    unsigned long number = query_number(p, "channel=c", 0);
    if (!strncmp(p->path, "/plain", 6)) {
        answer(p, "Content-Type: text/plain\r\n", pattern, query_number(p, "size=", 2) % PATTERN_MAX);
        return 0;
    }
    if (number >= FLOOR_CHANNELS)
        return BAD;
    enum mode mode = !strncmp(p->path, "/ws", 3) ? WS : !strncmp(p->path, "/response", 9) ? HTTP_RESPONSE : HTTP_STREAM;
    subscribe(p, &floor_lists[mode][number]);
    if (mode != HTTP_RESPONSE)
        send_parts(p, mode == WS ? ws : stream, (mode == WS ? sizeof ws : sizeof stream) - 1, "", 0);
    buf_free(&p->body);
    buf_free(&p->in.part);
    return 0;
}

static void floor_bytes(struct peer *p, const char *data, size_t n)
{
    if (!p->list)   // what a held client says is not listened to
        feed_peer(p, data, n);
}

static const struct sink floor_sink = { peer_head, peer_body, floor_end, NULL, NULL };

// --relay: bytes go across as they come, one connection to the origin for each client.
static struct peer *relay_accept(int fd)
{
    struct sockaddr_in address = parse_address(opt.relay, strlen(opt.relay));
    int out = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (out < 0 || (connect(out, (struct sockaddr *)&address, sizeof address) < 0 && errno != EINPROGRESS))
        die("cannot reach %s: %s", opt.relay, strerror(errno));
    struct peer *p = add_peer(fd);
    p->other = add_peer(out);
    p->other->other = p;
    return p;
}

static void relay_bytes(struct peer *p, const char *data, size_t n)
{
    if (p->other && !p->other->dead)
        send_parts(p->other, data, n, "", 0);
}

static void relay_close(struct peer *p)
{
    if (p->other) {
        p->other->other = NULL;
        kill_peer(p->other);
    }
}

static _Noreturn void cmd_floor(void)
{
    server_sink = &floor_sink;
    on_accept = opt.relay ? relay_accept : add_peer;
    on_bytes = opt.relay ? relay_bytes : floor_bytes;
    on_close = opt.relay ? relay_close : unsubscribe;
    serve();
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    if (argc < 2 || !strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))
        show_help();
    pattern_init();
    parse_options(argc, argv);
    if (!strcmp(argv[1], "fanout"))
        return cmd_fanout();
    if (!strcmp(argv[1], "hold"))
        return cmd_hold();
    if (!strcmp(argv[1], "proxy"))
        return cmd_proxy();
    if (!strcmp(argv[1], "echo"))
        return cmd_echo();
    if (!strcmp(argv[1], "origin"))
        cmd_origin();
    if (!strcmp(argv[1], "floor"))
        cmd_floor();
    show_help();
}
