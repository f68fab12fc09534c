#include "origin/request.h"

#include "base/clock.h"
#include "base/log.h"
#include "io/resolver.h"
#include "io/tls.h"
#include "origin/demo.h"
#include "origin/failures.h"
#include "origin/pool.h"
#include "origin/testorigin.h"

#include <errno.h>

enum {
    QUEUE_MAX = 65536,     /* bytes of a request's body that wait for the origin */
    DESCRIPTOR_MS = 100,   /* between two looks whether there is a descriptor again */
    TEST_BODY_MAX = 100000 /* bytes of a request's body that the test target takes */
};

struct origin {
    struct loop *loop; /* borrowed */
    struct origin_settings settings;
    struct resolver *resolver; /* borrowed */
    struct stats *stats;       /* borrowed; NULL: nothing is counted */
    struct pool *pool;         /* owned */
    struct tls_client *tls;    /* owned */
    struct failures failures;  /* by failure_key() */
    struct buf head, key;      /* for composing requests and keys */
    struct buf demo;           /* the test target's page */
};

struct request {
    struct origin *origin; /* borrowed */
    const struct request_spec *spec;
    const struct request_ops *ops;
    void *user;
    struct target *target;          /* being asked; in spec->targets */
    uint64_t tried;                 /* bits of the targets that were tried */
    struct h1client *client;        /* owned while the request is under way */
    struct resolver_lookup *lookup; /* owned; while a name is looked up */
    struct address *addresses;      /* of the target; owned */
    unsigned n_addresses, next_address;
    struct timer timer;           /* connecting, then waiting for the answer */
    struct task task;             /* begins the request; tells of a failure; answers for the test target */
    enum request_failure failure; /* of the last target */
    char why[160];
    uint64_t active_at;   /* ms */
    uint64_t sent_at;     /* us */
    uint64_t waits_until; /* ms; for a descriptor; 0: there was one */
    bool waiting;         /* for a descriptor */
    bool sent;            /* bytes of the request have been sent to this target */
    bool retried;         /* a stale connection has been replaced */
    bool answered;        /* on_head() was called */
    bool paused;
    bool over;
};

static void set_timer(struct request *r);
static void next_target(struct request *r);
static void connect_next(struct request *r);
static void connect_target(struct request *r);
static void send_request(struct request *r);

/* targets */

/* The name that a target with TLS goes by: the host of the URI without its port. */
static struct str
server_name(const struct request *r, const struct target *t)
{
    struct str host = t->as_host != NULL ? str_c(t->as_host) : r->spec->host;
    ptrdiff_t end;
    if (t->trust_connect_host && t->host != NULL)
        return str_c(t->host);
    if (str_starts(host, STR("["))) {
        end = str_chr(host, ']');
        return str_sub(host, 1, end > 0 ? (size_t)end - 1 : 0);
    }
    end = str_chr(host, ':');
    return end < 0 ? host : str_sub(host, 0, (size_t)end);
}

/* What a connection has to be the same in to be used instead of a new one to the target. Those to targets that may not
 * be private are kept apart: nobody has looked at the addresses of others. Gone with the next call. */
static struct str
pool_key(struct request *r)
{
    const struct target *t = r->target;
    struct buf *b = &r->origin->key;
    struct str name;
    if (!t->ssl && !t->untrusted)
        return str_c(t->text);
    b->len = 0;
    if (t->untrusted)
        buf_adds(b, STR("untrusted "));
    if (t->ssl) {
        name = server_name(r, t);
        buf_addf(b, "%s %.*s ", t->insecure ? "tls-insecure" : "tls", STR_ARG(name));
        str_lower(b->ptr, b->len);
    }
    buf_adds(b, str_c(t->text));
    return buf_str(b);
}

/* The same for failures. Whoever asks must not be able to make up names for them. */
static struct str
failure_key(struct request *r, const struct target *t)
{
    struct buf *b = &r->origin->key;
    b->len = 0;
    buf_addf(b, "%d%d %s", t->ssl, t->insecure, t->text);
    return buf_str(b);
}

/* ending */

static void
request_free(void *ptr)
{
    struct request *r = ptr;
    mem_free(r->addresses);
    mem_free(r);
}

static void
finish(struct request *r)
{
    struct origin *o = r->origin;
    if (r->over)
        return;
    r->over = true;
    loop_timer_stop(o->loop, &r->timer);
    loop_cancel(o->loop, &r->task);
    if (r->lookup != NULL)
        resolver_cancel(r->lookup);
    if (r->client != NULL)
        h1client_close(r->client);
    r->client = NULL;
    r->lookup = NULL;
    loop_reap(o->loop, r, request_free);
}

_Static_assert(STATS_ORIGIN_CUT - STATS_ORIGIN_UNREACHABLE == (int)REQUEST_CUT, "counted in the order of their names");

static inline void
count(const struct request *r, enum stats_counter what, uint64_t n)
{
    stats_add(r->origin->stats, r->spec->group, what, n);
}

static void
fail(struct request *r, enum request_failure why, const char *text)
{
    if (r->over)
        return;
    finish(r);
    count(r, STATS_ORIGIN_UNREACHABLE + why, 1);
    r->ops->on_fail(r, why, text);
}

void
request_cancel(struct request *r)
{
    finish(r);
}

void
request_upgrade(struct request *r, struct conn *to, const struct conn_ops *ops, struct str *rest)
{
    *rest = r->client->rest;
    conn_move(&r->client->conn, to, ops);
    finish(r);
}

/* All targets failed before the request was sent: say which, or the one cause. */
static void
fail_unsent(struct request *r)
{
    struct buf text = BUF_INIT(1024);
    if (r->spec->n_targets == 1 && r->failure != REQUEST_UNREACHABLE) {
        fail(r, r->failure, r->why);
        return;
    }
    buf_adds(&text, STR("Unable to connect to any targets. Tried: "));
    for (unsigned i = 0; i < r->spec->n_targets; i++)
        buf_addf(&text, "%s%s", i > 0 ? ", " : "", r->spec->targets[i].text);
    if (buf_addc(&text, '\0') != 0)
        text.ptr[text.len - 1] = '\0';
    fail(r, r->failure, text.ptr);
    buf_clear(&text);
}

static void
target_failed(struct request *r, enum request_failure failure, const char *why)
{
    loop_timer_stop(r->origin->loop, &r->timer);
    if (r->client != NULL)
        h1client_close(r->client);
    r->client = NULL;
    r->failure = failure;
    if (why != r->why)
        snprintf(r->why, sizeof r->why, "%s", why);
    if (failure != REQUEST_BLOCKED && /* that depends on the route, not on the target alone */
        !failures_note(&r->origin->failures, failure_key(r, r->target)))
        log_info("target %s failed: %s", r->target->text, r->why);
    next_target(r);
}

/* what the connection says */

static void
on_connected(void *user)
{
    struct request *r = user;
    loop_timer_stop(r->origin->loop, &r->timer);
    send_request(r);
}

static void
on_head(void *user, struct http1_head *head)
{
    struct request *r = user;
    r->answered = true;
    r->active_at = clock_now();
    count(r, STATS_SERVER_HEADER_RECEIVED, 3 + head->reason.len + headers_size(&head->headers));
    stats_origin_answer(r->origin->stats, r->spec->group, head->status, clock_exact_us() - r->sent_at);
    r->ops->on_head(r, head);
}

static void
on_body(void *user, struct str piece)
{
    struct request *r = user;
    r->active_at = clock_now();
    count(r, STATS_SERVER_CONTENT_RECEIVED, piece.len);
    r->ops->on_body(r, piece);
}

static void
on_end(void *user)
{
    struct request *r = user;
    struct h1client *c = r->client;
    bool all_sent = r->spec->body->complete && conn_queued(&c->conn) == 0;
    r->client = NULL;
    if (c->reused && all_sent)
        pool_put(r->origin->pool, pool_key(r), c);
    else
        h1client_close(c);
    finish(r);
    r->ops->on_end(r);
}

static bool
idempotent(struct str method)
{
    static const char *const methods[] = {"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"};
    for (size_t i = 0; i < countof(methods); i++)
        if (str_eq(method, str_c(methods[i])))
            return true;
    return false;
}

static void
on_broken(void *user, bool no_answer, const char *why)
{
    struct request *r = user;
    struct h1client *c = r->client;
    r->client = NULL;
    snprintf(r->why, sizeof r->why, "%s", why);
    if (!r->sent) {
        h1client_close(c);
        connect_next(r);
        return;
    }
    if (c->reused && no_answer && !r->retried && idempotent(r->spec->method) && !r->spec->body->overflow) {
        r->retried = true;
        loop_timer_stop(r->origin->loop, &r->timer);
        h1client_close(c);
        r->sent = false;
        connect_target(r);
        return;
    }
    fail(r, r->answered ? REQUEST_CUT : REQUEST_LOST, r->why);
}

static void
on_drained(void *user)
{
    struct request *r = user;
    set_timer(r);
    r->ops->on_ready(r);
}

static const struct h1client_ops client_ops = {on_connected, on_head, on_body, on_end, on_broken, on_drained};

/* sending */

static void
put_body_framing(struct request *r, struct buf *b)
{
    const struct request_spec *s = r->spec;
    int64_t length = s->body->complete ? (int64_t)s->body->total : s->body->length;
    r->client->chunked = false;
    if (length > 0 || (length == 0 && !str_eq(s->method, STR("GET")) && !str_eq(s->method, STR("HEAD")) &&
                       !str_eq(s->method, STR("OPTIONS"))))
        buf_addf(b, "Content-Length: %lld\r\n", (long long)length);
    if (length < 0) {
        buf_adds(b, STR("Transfer-Encoding: chunked\r\n"));
        r->client->chunked = true;
    }
    buf_adds(b, STR("\r\n"));
}

static void
put_head(struct request *r, struct buf *b)
{
    const struct request_spec *s = r->spec;
    b->len = 0;
    http1_put_request(b, s->method, s->path);
    http1_put_header(b, STR("Host"), r->target->as_host != NULL ? str_c(r->target->as_host) : s->host);
    for (unsigned i = 0; i < s->headers->n; i++)
        http1_put_header(b, s->headers->at[i].name, s->headers->at[i].value);
    put_body_framing(r, b);
    count(r, STATS_SERVER_HEADER_SENT, s->method.len + s->path.len + headers_size(s->headers));
}

static int
send_piece(struct request *r, struct str head, struct str piece, bool last)
{
    struct conn_piece out[4];
    char size[18];
    unsigned n = 0;
    count(r, STATS_SERVER_CONTENT_SENT, piece.len);
    if (head.len > 0)
        out[n++] = (struct conn_piece){head, NULL};
    if (piece.len > 0) {
        if (r->client->chunked)
            out[n++] = (struct conn_piece){str_of(size, http1_chunk_head(size, piece.len)), NULL};
        out[n++] = (struct conn_piece){piece, NULL};
    }
    if (r->client->chunked && (piece.len > 0 || last)) {
        struct str tail = STR("\r\n0\r\n\r\n");
        out[n++] = (struct conn_piece){piece.len == 0 ? str_from(tail, 2) : last ? tail : str_sub(tail, 0, 2), NULL};
    }
    return n > 0 ? conn_sendv(&r->client->conn, out, n) : 0;
}

/* How long the origin may be quiet now, in ms; 0: for ever. */
static uint64_t
quiet_limit(const struct request *r)
{
    const struct origin_settings *s = &r->origin->settings;
    bool whole = r->spec->body->complete && conn_queued(&r->client->conn) == 0;
    if (r->paused)
        return 0; /* it waits for us, and we for the client, who has its own limit */
    if (!r->answered && whole && s->response_timeout > 0)
        return (uint64_t)s->response_timeout * 1000;
    return (uint64_t)s->activity_timeout * 1000;
}

/* Begin to wait for the origin, or for the next thing from it. */
static void
set_timer(struct request *r)
{
    uint64_t limit = quiet_limit(r);
    r->active_at = clock_now();
    if (limit > 0)
        loop_timer(r->origin->loop, &r->timer, limit);
    else
        loop_timer_stop(r->origin->loop, &r->timer);
}

static void
on_timer(struct timer *t)
{
    struct request *r = container_of(t, struct request, timer);
    uint64_t limit, quiet;
    if (r->waiting) {
        r->waiting = false;
        connect_next(r);
        return;
    }
    if (r->client != NULL && r->client->conn.connecting) {
        h1client_close(r->client);
        r->client = NULL;
        snprintf(r->why, sizeof r->why, "%s timed out", r->target->ssl ? "connection or TLS handshake" : "connection");
        r->failure = REQUEST_TIMEOUT;
        connect_next(r);
        return;
    }
    if (conn_moved(&r->client->conn))
        r->active_at = clock_now();
    limit = quiet_limit(r);
    quiet = clock_now() - r->active_at;
    if (limit == 0)
        return;
    if (quiet >= limit)
        fail(r, REQUEST_TIMEOUT, "no response in time");
    else
        loop_timer(r->origin->loop, t, limit - quiet);
}

/* The connection is there: everything that has come of the request goes out. */
static void
send_request(struct request *r)
{
    struct origin *o = r->origin;
    r->sent = true;
    r->sent_at = clock_exact_us();
    h1client_begin(r->client, str_eq(r->spec->method, STR("HEAD")));
    r->client->upgrade = r->spec->upgrade;
    put_head(r, &o->head);
    send_piece(r, buf_str(&o->head), buf_str(&r->spec->body->kept), r->spec->body->complete);
    set_timer(r);
    if (r->paused)
        conn_pause(&r->client->conn);
    if (!r->spec->body->complete && conn_queued(&r->client->conn) == 0)
        r->ops->on_ready(r);
}

void
request_send(struct request *r, struct str piece)
{
    if (!r->over && r->sent && r->target->kind == TARGET_TEST)
        loop_later(r->origin->loop, &r->task);
    if (r->over || !r->sent || r->client == NULL)
        return; /* it is in what is kept, and goes out with that */
    r->active_at = clock_now();
    send_piece(r, STR(""), piece, r->spec->body->complete);
    if (r->spec->body->complete)
        set_timer(r);
}

bool
request_full(const struct request *r)
{
    return !r->sent || (r->client != NULL && conn_queued(&r->client->conn) > QUEUE_MAX);
}

void
request_pause(struct request *r, bool pause)
{
    r->paused = pause;
    if (r->client == NULL || !r->sent)
        return;
    set_timer(r);
    if (pause)
        conn_pause(&r->client->conn);
    else
        conn_resume(&r->client->conn);
}

/* connecting */

/* No descriptor is left: others give theirs back soon. false: we have waited long enough. */
static bool
wait_for_descriptor(struct request *r)
{
    struct origin *o = r->origin;
    int error = errno;
    pool_shed(o->pool);
    if (r->waits_until == 0)
        r->waits_until = clock_now() + (uint64_t)o->settings.connect_timeout * 1000;
    r->waiting = clock_now() < r->waits_until;
    if (r->waiting)
        loop_timer(o->loop, &r->timer, DESCRIPTOR_MS);
    errno = error;
    return r->waiting;
}

static struct tls *
start_tls(struct request *r, struct err *e)
{
    const struct target *t = r->target;
    return tls_connect(r->origin->tls, server_name(r, t), t->insecure, str_c(t->text), e);
}

static void
connect_next(struct request *r)
{
    struct origin *o = r->origin;
    while (r->next_address < r->n_addresses) {
        const struct address *a = &r->addresses[r->next_address++];
        struct tls *tls = NULL;
        struct err e;
        if (r->target->ssl && (tls = start_tls(r, &e)) == NULL) {
            snprintf(r->why, sizeof r->why, "TLS handshake failed: %.100s", e.text);
            break;
        }
        r->client = h1client_new(o->loop, a, tls, o->settings.max_head, &client_ops, r);
        if (r->client == NULL && (errno == EMFILE || errno == ENFILE) && wait_for_descriptor(r)) {
            r->next_address--;
            return;
        }
        if (r->client != NULL) {
            loop_timer(o->loop, &r->timer, (uint64_t)o->settings.connect_timeout * 1000);
            return;
        }
        snprintf(r->why, sizeof r->why, "%s", strerror(errno));
    }
    target_failed(r, r->failure, r->why[0] != '\0' ? r->why : "cannot connect");
}

static void
have_addresses(struct request *r, const struct address *addresses, unsigned n)
{
    unsigned kept = 0;
    r->addresses = mem_realloc(r->addresses, n * sizeof *r->addresses);
    for (unsigned i = 0; i < n; i++)
        if (!r->target->untrusted || !address_is_private(&addresses[i]))
            r->addresses[kept++] = addresses[i];
    if (n > 0 && kept == 0) {
        target_failed(r, REQUEST_BLOCKED, "Error: Origin host/IP blocked.");
        return;
    }
    r->n_addresses = kept;
    r->next_address = 0;
    connect_next(r);
}

static void
on_lookup(const struct address *addresses, unsigned n, const char *why, void *arg)
{
    struct request *r = arg;
    char text[160];
    (void)why;
    r->lookup = NULL;
    if (n > 0) {
        have_addresses(r, addresses, n);
        return;
    }
    snprintf(text, sizeof text, "DNS lookup failed for %s", r->target->host);
    target_failed(r, REQUEST_NO_NAME, text);
}

static void
connect_target(struct request *r)
{
    struct origin *o = r->origin;
    struct target *t = r->target;
    struct address a;
    if (t->kind == TARGET_UNIX) {
        if (!address_unix(str_c(t->path), &a))
            target_failed(r, REQUEST_UNREACHABLE, "path of the Unix socket is too long");
        else
            have_addresses(r, &a, 1);
    } else if (address_literal(str_c(t->host), t->port, &a)) {
        have_addresses(r, &a, 1);
    } else {
        r->lookup = resolver_find(o->resolver, str_c(t->host), t->port, on_lookup, r);
    }
}

static bool
take_pooled(struct request *r)
{
    struct h1client *c;
    if (r->spec->upgrade)
        return false; /* what is pooled may be stale, and this cannot be sent twice */
    while ((c = pool_take(r->origin->pool, pool_key(r), &client_ops, r)) != NULL) {
        bool silent = !conn_input_came(&c->conn);
        if (silent && (idempotent(r->spec->method) || !conn_has_input(&c->conn))) {
            r->client = c;
            return true;
        }
        h1client_close(c); /* gone, or it says what nobody asked for: that must not be taken for our answer */
    }
    return false;
}

/* choosing */

/* The first target that was not tried yet, those that failed lately last; NULL when there is none. */
static struct target *
choose(struct request *r)
{
    struct target *late = NULL;
    for (unsigned i = 0; i < r->spec->n_targets && i < 64; i++) {
        struct target *t = &r->spec->targets[i];
        if (r->tried & (uint64_t)1 << i)
            continue;
        if (r->spec->n_targets == 1 || !failures_has(&r->origin->failures, failure_key(r, t)))
            return t;
        if (late == NULL)
            late = t;
    }
    return late;
}

static void
answer_test(struct request *r)
{
    const struct request_body *body = r->spec->body;
    struct http1_head head;
    struct str text;
    if (!body->complete && !body->overflow && body->kept.len <= TEST_BODY_MAX) {
        if (!r->sent) {
            r->sent = true;
            r->ops->on_ready(r); /* until it is complete, or too much */
        }
        return;
    }
    if (r->spec->upgrade)
        text = testorigin_upgrade(str_from(r->spec->path, r->spec->test_prefix), &head);
    else
        text = testorigin_answer(str_from(r->spec->path, r->spec->test_prefix),
                                 body->overflow || body->kept.len > TEST_BODY_MAX, buf_str(&r->origin->demo), &head);
    r->ops->on_head(r, &head);
    if (!r->over && text.len > 0 && !str_eq(r->spec->method, STR("HEAD")))
        r->ops->on_body(r, text);
    if (!r->over) {
        finish(r);
        r->ops->on_end(r);
    }
    headers_clear(&head.headers);
}

static void
next_target(struct request *r)
{
    r->target = choose(r);
    if (r->target == NULL) {
        r->target = &r->spec->targets[r->spec->n_targets - 1];
        fail_unsent(r);
        return;
    }
    r->tried |= (uint64_t)1 << (r->target - r->spec->targets);
    r->failure = REQUEST_UNREACHABLE;
    r->why[0] = '\0';
    if (r->target->kind == TARGET_TEST) {
        answer_test(r);
        return;
    }
    if (take_pooled(r))
        send_request(r);
    else
        connect_target(r);
}

static void
on_task(struct task *t)
{
    struct request *r = container_of(t, struct request, task);
    if (r->target != NULL && r->target->kind == TARGET_TEST)
        answer_test(r);
    else
        next_target(r);
}

/* The usual case costs no further turn of the loop: a whole request, and an idle connection to the first target. */
static bool
send_at_once(struct request *r)
{
    if (!r->spec->body->complete)
        return false;
    r->target = choose(r);
    if (r->target->kind != TARGET_TEST && take_pooled(r)) {
        r->tried |= (uint64_t)1 << (r->target - r->spec->targets);
        send_request(r);
        return true;
    }
    r->target = NULL;
    return false;
}

struct request *
request_new(struct origin *o, const struct request_spec *spec, const struct request_ops *ops, void *user)
{
    struct request *r = mem_zalloc(sizeof *r);
    r->origin = o;
    r->spec = spec;
    r->ops = ops;
    r->user = user;
    timer_init(&r->timer, on_timer);
    task_init(&r->task, on_task);
    if (!send_at_once(r))
        loop_later(o->loop, &r->task);
    return r;
}

void *
request_user(const struct request *r)
{
    return r->user;
}

bool
request_is_sent(const struct request *r)
{
    return r->sent;
}

const struct target *
request_target(const struct request *r)
{
    return r->target;
}

struct origin *
origin_new(struct loop *l, const struct origin_settings *settings, struct resolver *resolver)
{
    struct origin *o = mem_zalloc(sizeof *o);
    o->loop = l;
    o->settings = *settings;
    o->resolver = resolver;
    o->pool = pool_new(l, settings->max_idle);
    o->tls = tls_client_new();
    failures_init(&o->failures);
    buf_init(&o->head, 1 << 24);
    buf_init(&o->key, 1 << 24);
    buf_init(&o->demo, 1 << 20);
    demo_put(settings->publish_port, &o->demo);
    return o;
}

void
origin_set_stats(struct origin *o, struct stats *s)
{
    o->stats = s;
}

void
origin_trim(struct origin *o)
{
    pool_trim(o->pool);
}

void
origin_shed(struct origin *o)
{
    pool_shed(o->pool);
}

void
origin_free(struct origin *o)
{
    pool_free(o->pool);
    failures_clear(&o->failures);
    buf_clear(&o->head);
    buf_clear(&o->key);
    buf_clear(&o->demo);
    tls_client_free(o->tls);
    mem_free(o);
}
