#include "client/preface.h"

#include "base/mem.h"

int
preface_begin(struct conn *c, const struct h1server_port *port, struct err *e)
{
    char text[ADDRESS_TEXT_MAX];
    struct address a;
    struct preface *p;
    if (!address_literal(conn_peer(c, text), 0, &a) || !address_in_ranges(&a, port->trusted, port->n_trusted)) {
        err_set(e, "not an address whose PROXY header is believed (proxy_protocol_trusted)");
        return -1;
    }
    p = mem_zalloc(sizeof *p);
    proxyproto_init(&p->header);
    p->port = port;
    conn_begin_preface(c, p);
    return 0;
}

enum proxyproto_result
preface_read(struct preface *p, struct conn *c, struct str data, size_t *used, struct err *e)
{
    enum proxyproto_result r = proxyproto_read(&p->header, data, used, e);
    struct address a;
    if (r != PROXYPROTO_DONE)
        return r;
    if (p->header.family != PROXYPROTO_NONE) {
        if (!address_literal(str_c(p->header.source), 0, &a)) {
            err_set(e, "invalid address in the PROXY header");
            return PROXYPROTO_BAD;
        }
        conn_set_peer(c, &a);
    }
    conn_end_preface(c);
    return PROXYPROTO_DONE;
}
