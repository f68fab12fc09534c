#include "io/resolver.h"

#include "base/log.h"
#include "io/loopbase.h"

#include <event2/dns.h>
#include <event2/util.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

enum { NAME_MAX_BYTES = 253, LABEL_MAX_BYTES = 63, PARTING_TURNS = 3 };

struct resolver {
    struct evdns_base *dns; /* owned */
    struct loop *loop;      /* borrowed */
    struct list lookups;    /* of struct resolver_lookup: their callbacks are to come */
    size_t asking;          /* requests that libevent will answer yet, cancelled ones included */
    struct task parting;    /* after resolver_free() */
    unsigned turns;         /* until the memory may go */
};

/* Freed when neither the owner nor libevent knows it any more. */
struct resolver_lookup {
    struct list_node node; /* in resolver->lookups */
    struct resolver *resolver;
    struct evdns_getaddrinfo_request *request; /* libevent's; NULL when answered */
    struct timer limit;
    struct task tell;
    resolver_cb *cb; /* NULL when cancelled or told */
    void *arg;
    const char *why; /* constant text; NULL when there are addresses */
    uint16_t port;
    unsigned n;
    struct address addresses[RESOLVER_ADDRESSES];
};

/* A name server that failed is the reason of a lookup that fails, and that one is logged by who wanted it. */
static void
on_dns_log(int is_warning, const char *text)
{
    (void)is_warning;
    log_debug("resolver: %s", text);
}

struct resolver *
resolver_new(struct loop *l, const char *resolv_conf)
{
    struct resolver *r = mem_zalloc(sizeof *r);
    r->loop = l;
    list_init(&r->lookups);
    r->dns = evdns_base_new(loop_base(l), 0);
    if (r->dns == NULL)
        abort();
    evdns_set_log_fn(on_dns_log);
    /* without the file it asks the local host, as the C library does */
    evdns_base_resolv_conf_parse(r->dns, DNS_OPTIONS_ALL, resolv_conf != NULL ? resolv_conf : "/etc/resolv.conf");
    evdns_base_set_option(r->dns, "timeout", "3");
    evdns_base_set_option(r->dns, "getaddrinfo-allow-skew", "1"); /* s between the A and the AAAA answer */
    return r;
}

static bool
good_name(struct str name)
{
    struct str label;
    if (str_ends(name, STR("."))) /* the root, written out */
        name.len--;
    if (name.len == 0 || name.len > NAME_MAX_BYTES)
        return false;
    for (size_t i = 0; i < name.len; i++) {
        if (name.ptr[i] <= ' ' || name.ptr[i] >= 0x7f)
            return false;
    }
    while (str_split(&name, '.', &label)) {
        if (label.len == 0 || label.len > LABEL_MAX_BYTES)
            return false;
    }
    return true;
}

static void
free_lookup(void *ptr)
{
    mem_free(ptr);
}

/* The owner's callback comes no more. */
static void
part(struct resolver_lookup *q)
{
    struct loop *l = q->resolver->loop;
    q->cb = NULL;
    list_remove(&q->resolver->lookups, &q->node);
    loop_timer_stop(l, &q->limit);
    loop_cancel(l, &q->tell);
    if (q->request != NULL)
        evdns_getaddrinfo_cancel(q->request); /* which calls on_answer() once more */
    else
        loop_reap(l, q, free_lookup);
}

static void
on_tell(struct task *t)
{
    struct resolver_lookup *q = container_of(t, struct resolver_lookup, tell);
    resolver_cb *cb = q->cb;
    part(q);
    cb(q->addresses, q->n, q->why, q->arg);
}

static void
on_limit(struct timer *t)
{
    struct resolver_lookup *q = container_of(t, struct resolver_lookup, limit);
    q->n = 0;
    q->why = "lookup timed out";
    on_tell(&q->tell);
}

static void
take_addresses(struct resolver_lookup *q, const struct evutil_addrinfo *list)
{
    for (const struct evutil_addrinfo *a = list; a != NULL && q->n < RESOLVER_ADDRESSES; a = a->ai_next) {
        if (address_from(a->ai_addr, q->port, &q->addresses[q->n]))
            q->n++;
    }
}

static void
on_answer(int result, struct evutil_addrinfo *list, void *arg)
{
    struct resolver_lookup *q = arg;
    loop_woke(q->resolver->loop);
    q->resolver->asking--;
    q->request = NULL;
    if (q->cb == NULL) {
        loop_reap(q->resolver->loop, q, free_lookup);
    } else {
        take_addresses(q, list);
        if (q->n == 0)
            q->why = result == EVUTIL_EAI_NONAME ? "no such name" : "lookup failed";
        loop_later(q->resolver->loop, &q->tell);
    }
    if (list != NULL)
        evutil_freeaddrinfo(list);
}

static void
ask(struct resolver_lookup *q, struct str name)
{
    struct evutil_addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_protocol = IPPROTO_TCP};
    struct evdns_getaddrinfo_request *request;
    char text[NAME_MAX_BYTES + 2];
    snprintf(text, sizeof text, "%.*s", STR_ARG(name));
    loop_timer(q->resolver->loop, &q->limit, RESOLVER_TIME);
    q->resolver->asking++;
    request = evdns_getaddrinfo(q->resolver->dns, text, NULL, &hints, on_answer, q);
    if (request != NULL) /* otherwise on_answer() has been called */
        q->request = request;
}

struct resolver_lookup *
resolver_find(struct resolver *r, struct str name, uint16_t port, resolver_cb *cb, void *arg)
{
    struct resolver_lookup *q = mem_zalloc(sizeof *q);
    q->resolver = r;
    q->cb = cb;
    q->arg = arg;
    q->port = port;
    timer_init(&q->limit, on_limit);
    task_init(&q->tell, on_tell);
    list_push_back(&r->lookups, &q->node);
    if (address_literal(name, port, &q->addresses[0])) {
        q->n = 1;
        loop_later(r->loop, &q->tell);
    } else if (!good_name(name)) {
        q->why = "bad name";
        loop_later(r->loop, &q->tell);
    } else {
        ask(q, name);
    }
    return q;
}

void
resolver_cancel(struct resolver_lookup *q)
{
    part(q);
}

/* Cancelled requests are answered in the turns to come, and libevent looks at its own state then. */
static void
on_parting(struct task *t)
{
    struct resolver *r = container_of(t, struct resolver, parting);
    if (r->asking > 0 || r->turns-- > 0) {
        loop_later(r->loop, &r->parting);
        return;
    }
    evdns_base_free(r->dns, 0);
    mem_free(r);
}

void
resolver_free(struct resolver *r)
{
    while (!list_empty(&r->lookups))
        part(container_of(list_first(&r->lookups), struct resolver_lookup, node));
    r->turns = PARTING_TURNS;
    task_init(&r->parting, on_parting);
    loop_later(r->loop, &r->parting);
}
