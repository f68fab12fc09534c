#include "proxy/cors.h"

/* A script may see these without being told. */
static bool
is_simple(struct str name)
{
    static const char *const names[] = {"Cache-Control", "Content-Language", "Content-Length", "Content-Type",
                                        "Expires",       "Last-Modified",    "Pragma"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (str_ieq(name, str_c(names[i])))
            return true;
    return str_istarts(name, STR("Access-Control-")) || str_istarts(name, STR("Grip-"));
}

static bool
came_before(const struct headers *h, unsigned at)
{
    for (unsigned i = 0; i < at; i++)
        if (str_ieq(h->at[i].name, h->at[at].name))
            return true;
    return false;
}

static void
put_names(const struct headers *h, struct buf *out)
{
    for (unsigned i = 0; i < h->n; i++) {
        if (is_simple(h->at[i].name) || came_before(h, i))
            continue;
        if (out->len > 0)
            buf_adds(out, STR(", "));
        buf_adds(out, h->at[i].name);
    }
}

static void
add(struct headers *h, struct str name, struct str value)
{
    if (value.len > 0 && !headers_has(h, name))
        headers_add(h, name, value);
}

static struct str
either(struct str asked, struct str usual)
{
    return asked.len > 0 ? asked : usual;
}

void
cors_add(const struct headers *request, struct headers *h)
{
    struct buf allowed = BUF_INIT(1 << 20), exposed = BUF_INIT(1 << 20);
    struct str method = headers_get(request, STR("Access-Control-Request-Method"));
    headers_join(request, STR("Access-Control-Request-Headers"), &allowed);
    put_names(h, &exposed);
    add(h, STR("Access-Control-Allow-Methods"), either(method, STR("OPTIONS, HEAD, GET, POST, PUT, DELETE")));
    add(h, STR("Access-Control-Allow-Headers"), buf_str(&allowed));
    add(h, STR("Access-Control-Expose-Headers"), buf_str(&exposed));
    add(h, STR("Access-Control-Allow-Credentials"), STR("true"));
    add(h, STR("Access-Control-Allow-Origin"), either(headers_get(request, STR("Origin")), STR("*")));
    add(h, STR("Access-Control-Max-Age"), STR("3600"));
    buf_clear(&allowed);
    buf_clear(&exposed);
}
