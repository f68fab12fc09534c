#include "proxy/clientreq.h"

#include "proto/uri.h"
#include "proxy/jsonp.h"

/* An absolute target's authority stands for the Host header (RFC 9112, 3.2.2); the rest is the target. ROOTED: memory
 * for a target that lacked its '/', as in "http://host?query". */
static int
split_target(struct clientreq *c, const struct http1_head *head, struct str *target, struct buf *rooted, struct err *e)
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
        if (target->len == 0 || *target->ptr != '/') {
            buf_addc(rooted, '/');
            buf_adds(rooted, *target);
            *target = buf_str(rooted);
        }
        break;
    }
    if (target->len == 0 || *target->ptr != '/') {
        err_set(e, "Request target must be a path or an absolute http or https URI.\n");
        return 400;
    }
    return 0;
}

/* Path, query and authority as they count from here on, in memory of C's own. */
static int
normalise(struct clientreq *c, struct str target, struct str host, struct err *e)
{
    struct buf b = BUF_INIT(4 * target.len + c->authority.len + 64);
    size_t authority_at, host_at = (size_t)(host.ptr - c->authority.ptr);
    buf_room(&b, target.len + c->authority.len);
    if (uri_normalise(target, &b, &c->path_len) != 0) {
        buf_clear(&b);
        err_set(e, "Invalid request target.\n");
        return 400;
    }
    authority_at = b.len;
    buf_adds(&b, c->authority);
    str_lower(b.ptr + authority_at, c->authority.len);
    c->memory = b.ptr;
    c->path = str_of(b.ptr, authority_at);
    c->authority = str_of(b.ptr + authority_at, c->authority.len);
    c->host = str_sub(c->authority, host_at, host.len);
    return 0;
}

int
clientreq_init(struct clientreq *c, const struct http1_head *head, bool secure, struct err *e)
{
    struct str target, host;
    struct buf rooted = BUF_INIT(head->target.len + 1);
    uint16_t port;
    int status;
    *c = (struct clientreq){.method = head->method, .secure = secure};
    headers_init(&c->headers);
    if (str_eq(head->method, STR("CONNECT"))) {
        err_set(e, "Method not allowed.\n");
        return 405;
    }
    if (split_target(c, head, &target, &rooted, e) != 0)
        return 400;
    if (uri_host_port(c->authority, &host, &port) != 0) {
        err_set(e, "Invalid Host.\n");
        status = 400;
    } else {
        status = normalise(c, target, host, e);
    }
    buf_clear(&rooted);
    if (status != 0)
        return status;
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

/* All texts of C into memory of its own. */
static void
own_texts(struct clientreq *c)
{
    size_t size = c->method.len + c->authority.len + c->host.len + c->path.len;
    struct buf b = BUF_INIT(size);
    buf_room(&b, size); /* so that nothing moves */
    c->method = append(&b, c->method);
    c->authority = append(&b, c->authority);
    c->host = append(&b, c->host);
    c->path = append(&b, c->path);
    c->memory = b.ptr;
}

void
clientreq_copy(struct clientreq *to, const struct clientreq *from)
{
    *to = *from;
    own_texts(to);
    headers_init(&to->headers);
    headers_copy(&to->headers, &from->headers);
    if (from->jsonp != NULL)
        to->jsonp = jsonp_copy(from->jsonp);
}

void
clientreq_replace(struct clientreq *c, struct str method, struct str path, size_t path_len)
{
    char *old = c->memory;
    c->method = method;
    c->path = path;
    c->path_len = path_len;
    own_texts(c);
    mem_free(old);
}

void
clientreq_clear(struct clientreq *c)
{
    headers_clear(&c->headers);
    mem_free(c->jsonp);
    mem_free(c->memory);
    c->jsonp = NULL;
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
