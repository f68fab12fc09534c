#include "proxy/clientreq.h"

#include "proto/uri.h"

/* An absolute target's authority stands for the Host header (RFC 9112, 3.2.2); the rest is the target. */
static int
split_target(struct clientreq *c, const struct http1_head *head, struct str *target, struct err *e)
{
    static const char *const schemes[] = {"http://", "https://"};
    *target = head->target;
    c->authority = headers_get(&head->headers, STR("Host"));
    if (c->authority.ptr == NULL)
        c->authority = STR("localhost");
    for (size_t i = 0; i < countof(schemes); i++) {
        struct str scheme = str_c(schemes[i]), rest;
        size_t n = 0;
        if (!str_istarts(*target, scheme))
            continue;
        rest = str_from(*target, scheme.len);
        while (n < rest.len && rest.ptr[n] != '/' && rest.ptr[n] != '?' && rest.ptr[n] != '#')
            n++;
        c->authority = str_sub(rest, 0, n);
        *target = str_from(rest, n);
        if (target->len == 0)
            *target = STR("/");
        break;
    }
    if (target->len == 0 || *target->ptr != '/') {
        err_set(e, "Request target must be a path or an absolute http or https URI.\n");
        return 400;
    }
    return 0;
}

int
clientreq_init(struct clientreq *c, const struct http1_head *head, bool secure, struct err *e)
{
    struct str target, host;
    struct buf b;
    uint16_t port;
    size_t path_len, host_at;
    *c = (struct clientreq){.method = head->method, .secure = secure};
    headers_init(&c->headers);
    if (str_eq(head->method, STR("CONNECT"))) {
        err_set(e, "Method not allowed.\n");
        return 405;
    }
    if (split_target(c, head, &target, e) != 0)
        return 400;
    if (uri_host_port(c->authority, &host, &port) != 0) {
        err_set(e, "Invalid Host.\n");
        return 400;
    }
    buf_init(&b, 4 * target.len + host.len + 64);
    if (uri_normalise(target, &b, &path_len) != 0) {
        buf_clear(&b);
        err_set(e, "Invalid request target.\n");
        return 400;
    }
    host_at = b.len;
    buf_adds(&b, host);
    str_lower(b.ptr + host_at, host.len);
    c->memory = b.ptr;
    c->path = str_of(b.ptr, host_at);
    c->path_len = path_len;
    c->host = str_of(b.ptr + host_at, host.len);
    for (unsigned i = 0; i < head->headers.n; i++)
        headers_view(&c->headers, head->headers.at[i].name, head->headers.at[i].value);
    return 0;
}

static struct str
append(struct buf *b, struct str s)
{
    size_t at = b->len;
    buf_adds(b, s);
    return str_of(b->ptr + at, s.len);
}

void
clientreq_copy(struct clientreq *to, const struct clientreq *from)
{
    size_t size = from->method.len + from->authority.len + from->host.len + from->path.len;
    struct buf b = BUF_INIT(size);
    buf_room(&b, size); /* so that nothing moves */
    *to = *from;
    to->method = append(&b, from->method);
    to->authority = append(&b, from->authority);
    to->host = append(&b, from->host);
    to->path = append(&b, from->path);
    to->memory = b.ptr;
    headers_init(&to->headers);
    headers_copy(&to->headers, &from->headers);
}

void
clientreq_clear(struct clientreq *c)
{
    headers_clear(&c->headers);
    mem_free(c->memory);
    c->memory = NULL;
}

struct str
clientreq_scheme(const struct clientreq *c)
{
    if (c->ws)
        return c->secure ? STR("wss://") : STR("ws://");
    return c->secure ? STR("https://") : STR("http://");
}

void
clientreq_put_uri(const struct clientreq *c, struct buf *b)
{
    buf_adds(b, clientreq_scheme(c));
    buf_adds(b, c->authority);
    buf_adds(b, c->path);
}
