#include "origin/requestbase.h"

#include "base/clock.h"
#include "base/log.h"
#include "io/resolver.h"
#include "io/tls.h"

#include <assert.h>
#include <errno.h>

enum { DESCRIPTOR_MS = 100 }; /* between two looks whether there is a descriptor again */

/* keys */

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

/* Connections to targets that may not be private are kept apart: nobody has looked at the addresses of others. */
struct str
targets_pool_key(struct request *r)
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

/* choosing */

struct target *
targets_choose(struct request *r)
{
    struct target *late = NULL;
    assert(r->spec->targets != NULL);
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

bool
targets_take_pooled(struct request *r)
{
    struct h1client *c;
    if (r->spec->upgrade)
        return false; /* what is pooled may be stale, and this cannot be sent twice */
    while ((c = pool_take(r->origin->pool, targets_pool_key(r), &request_client_ops, r)) != NULL) {
        bool silent = !conn_input_came(&c->conn);
        if (silent && (request_idempotent(r->spec->method) || !conn_has_input(&c->conn))) {
            r->client = c;
            return true;
        }
        h1client_close(c); /* gone, or it says what nobody asked for: that must not be taken for our answer */
    }
    return false;
}

/* All targets failed before the request was sent: say which, or the one cause. */
static void
fail_unsent(struct request *r)
{
    struct buf text = BUF_INIT(1024);
    if (r->spec->n_targets == 1 && r->failure != REQUEST_UNREACHABLE) {
        request_fail(r, r->failure, r->why);
        return;
    }
    buf_adds(&text, STR("Unable to connect to any targets. Tried: "));
    for (unsigned i = 0; i < r->spec->n_targets; i++)
        buf_addf(&text, "%s%s", i > 0 ? ", " : "", r->spec->targets[i].text);
    if (buf_addc(&text, '\0') != 0)
        text.ptr[text.len - 1] = '\0';
    request_fail(r, r->failure, text.ptr);
    buf_clear(&text);
}

void
targets_next(struct request *r)
{
    r->target = targets_choose(r);
    if (r->target == NULL) {
        r->target = &r->spec->targets[r->spec->n_targets - 1];
        fail_unsent(r);
        return;
    }
    r->tried |= (uint64_t)1 << (r->target - r->spec->targets);
    r->failure = REQUEST_UNREACHABLE;
    r->why[0] = '\0';
    if (r->target->kind == TARGET_TEST) {
        request_answer_test(r);
        return;
    }
    if (targets_take_pooled(r))
        request_go(r);
    else
        targets_connect(r);
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
    targets_next(r);
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

void
targets_connect_next(struct request *r)
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
        r->client = h1client_new(o->loop, a, tls, o->settings.max_head, &request_client_ops, r);
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
    targets_connect_next(r);
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

void
targets_connect(struct request *r)
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
