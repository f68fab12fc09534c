#include "proxy/reqlog.h"

#include "base/log.h"

static void
put_field(struct buf *b, const char *name, struct str value)
{
    if (value.ptr != NULL)
        buf_addf(b, " %s=%.*s", name, STR_ARG(value));
}

void
reqlog_write(struct proxy *p, const struct reqlog *r)
{
    struct buf b = BUF_INIT(16000);
    const struct headers *h = &r->req->headers;
    char peer[ADDRESS_TEXT_MAX];
    if (!log_on(LOG_INFO))
        return;
    buf_addf(&b, "%.*s ", STR_ARG(r->req->method));
    clientreq_put_uri(r->req, &b);
    if (r->target != NULL)
        buf_addf(&b, " -> %s", r->target->text);
    if (p->config->log_from) {
        struct str from = xchg_peer(r->x, peer);
        put_field(&b, "from", from.len > 0 ? from : str_of(NULL, 0));
    }
    put_field(&b, "ref", headers_get(h, STR("Referer")));
    if (r->route != NULL && r->route->explicit_id)
        put_field(&b, "route", str_c(r->route->id));
    if (r->result == REQLOG_DONE)
        buf_addf(&b, " code=%d %llu", r->code, (unsigned long long)r->size);
    else
        buf_adds(&b, r->result == REQLOG_ACCEPT ? STR(" accept") : STR(" error"));
    if (r->retry)
        buf_adds(&b, STR(" retry"));
    if (p->config->log_user_agent)
        put_field(&b, "ua", headers_get(h, STR("User-Agent")));
    log_info("%.*s", STR_ARG(buf_str(&b)));
    buf_clear(&b);
}
