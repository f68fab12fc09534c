#include "proxy/reqlog.h"

#include "base/clock.h"
#include "base/log.h"
#include "proto/jsonwrite.h"
#include "proxy/rewrite.h"

/* What a line of JSON has at most, so that it is never cut: bytes of texts, and channels. */
enum { URI_MAX = 4000, TEXT_MAX = 250, LASTS_MAX = 5 };

/* Texts with ptr NULL are left out. */
struct fields {
    struct str from, referer, route, user_agent;
};

/* From whom: the peer, and with a WebSocket whom it speaks for, if that is believed. In MEMORY or PEER. */
static struct str
from_of(const struct proxy *p, const struct reqlog *r, struct buf *memory, char peer[ADDRESS_TEXT_MAX])
{
    if (r->req->ws)
        rewrite_client_address(p, r->req, memory);
    return memory->len > 0 ? buf_str(memory) : xchg_peer(r->x, peer);
}

static struct fields
fields_of(const struct proxy *p, const struct reqlog *r, struct buf *memory, char peer[ADDRESS_TEXT_MAX])
{
    const struct headers *h = &r->req->headers;
    struct fields f = {.referer = headers_get(h, STR("Referer"))};
    if (p->config->log_from) {
        f.from = from_of(p, r, memory, peer);
        if (f.from.len == 0)
            f.from.ptr = NULL;
    }
    if (r->route != NULL && r->route->explicit_id)
        f.route = str_c(r->route->id);
    if (p->config->log_user_agent)
        f.user_agent = headers_get(h, STR("User-Agent"));
    return f;
}

/* Milliseconds as seconds. */
static void
put_seconds(struct buf *b, const char *name, uint64_t ms)
{
    buf_addf(b, "%s%llu.%03u", name, (unsigned long long)(ms / 1000), (unsigned)(ms % 1000));
}

static void
put_field(struct buf *b, const char *name, struct str value)
{
    if (value.ptr == NULL)
        return;
    buf_addf(b, " %s=", name);
    buf_adds(b, value);
}

/* The next Grip-Last header from *I on: which channel, and its last id. */
static bool
next_last(const struct headers *h, unsigned *i, struct header_params *params, struct str *id)
{
    while (h != NULL && *i < h->n) {
        const struct header *at = &h->at[(*i)++];
        if (!str_ieq(at->name, STR("Grip-Last")))
            continue;
        if (header_params_parse(at->value, params) == 0) {
            *id = header_param(params, STR("last-id"));
            return true;
        }
        header_params_clear(params);
    }
    return false;
}

static void
put_lasts(struct buf *b, const struct headers *sent, bool json)
{
    struct header_params params;
    struct str id;
    unsigned i = 0, n = 0;
    while (next_last(sent, &i, &params, &id)) {
        if (!json) {
            buf_addf(b, " #%.*s=%.*s", STR_ARG(params.first), STR_ARG(id));
        } else {
            buf_adds(b, n++ == 0 ? STR(", \"last_ids\": {") : STR(", "));
            jsonwrite_string(str_sub(params.first, 0, TEXT_MAX), b);
            buf_adds(b, STR(": "));
            jsonwrite_string(str_sub(id, 0, TEXT_MAX), b);
        }
        header_params_clear(&params);
        if (json && n == LASTS_MAX)
            break;
    }
    if (n > 0)
        buf_addc(b, '}');
}

static void
put_text(struct buf *b, const struct reqlog *r, const struct fields *f, bool times)
{
    buf_adds(b, r->req->method);
    buf_addc(b, ' ');
    clientreq_put_uri(r->req, b);
    if (r->target != NULL)
        buf_addf(b, " -> %s%s", r->target->text, r->over_http ? "[http]" : "");
    put_field(b, "from", f->from);
    put_field(b, "ref", f->referer);
    put_field(b, "route", f->route);
    if (r->result == REQLOG_DONE)
        buf_addf(b, " code=%d %llu", r->code, (unsigned long long)r->size);
    else
        buf_adds(b, r->result == REQLOG_ACCEPT ? STR(" accept") : STR(" error"));
    if (r->retry)
        buf_adds(b, STR(" retry"));
    if (r->shared > 0)
        buf_addf(b, " shared=%u", r->shared);
    put_field(b, "ua", f->user_agent);
    put_lasts(b, r->sent, false);
    if (times)
        put_seconds(b, " time=", clock_now() - r->began);
    if (times && r->has_origin_time)
        put_seconds(b, " origin_time=", r->origin_time);
}

/* At most MAX bytes of VALUE, so that the line is never cut. */
static void
put_member(struct buf *b, const char *name, struct str value, size_t max)
{
    if (value.ptr == NULL)
        return;
    buf_addf(b, "%s\"%s\": ", b->len > 1 ? ", " : "", name);
    jsonwrite_string(str_sub(value, 0, max), b);
}

static void
put_json(struct buf *b, const struct reqlog *r, const struct fields *f, bool times)
{
    struct buf uri = BUF_INIT(b->max);
    clientreq_put_uri(r->req, &uri);
    buf_addc(b, '{');
    put_member(b, "method", r->req->method, TEXT_MAX);
    put_member(b, "uri", buf_str(&uri), URI_MAX);
    put_member(b, "target", str_c(r->target != NULL ? r->target->text : NULL), TEXT_MAX);
    put_member(b, "from", f->from, TEXT_MAX);
    put_member(b, "referer", f->referer, TEXT_MAX);
    put_member(b, "route", f->route, TEXT_MAX);
    if (r->result == REQLOG_DONE)
        buf_addf(b, ", \"code\": %d, \"size\": %llu", r->code, (unsigned long long)r->size);
    else
        buf_adds(b, r->result == REQLOG_ACCEPT ? STR(", \"accept\": true") : STR(", \"error\": true"));
    if (r->retry)
        buf_adds(b, STR(", \"retry\": true"));
    if (r->shared > 0)
        buf_addf(b, ", \"shared\": %u", r->shared);
    put_member(b, "user_agent", f->user_agent, TEXT_MAX);
    put_lasts(b, r->sent, true);
    if (times)
        put_seconds(b, ", \"time\": ", clock_now() - r->began);
    if (times && r->has_origin_time)
        put_seconds(b, ", \"origin_time\": ", r->origin_time);
    buf_addc(b, '}');
    buf_clear(&uri);
}

void
reqlog_write(struct proxy *p, const struct reqlog *r)
{
    struct buf b = BUF_INIT(1 << 24), memory = BUF_INIT(65536);
    char peer[ADDRESS_TEXT_MAX];
    struct fields f;
    if (!log_on(LOG_INFO))
        return;
    f = fields_of(p, r, &memory, peer);
    if (p->config->log_json)
        put_json(&b, r, &f, p->config->log_time);
    else
        put_text(&b, r, &f, p->config->log_time);
    log_info("%.*s", STR_ARG(buf_str(&b)));
    buf_clear(&b);
    buf_clear(&memory);
}

void
reqlog_end(const struct proxy *p, const struct reqlog_end *end)
{
    struct buf b = BUF_INIT(1 << 24);
    uint64_t ms = clock_now() - end->began;
    if (!p->config->log_json) {
        buf_addf(&b, "GET %.*s -> %.*s%s closed=%d", STR_ARG(end->uri), STR_ARG(end->target),
                 end->over_http ? "[http]" : "", end->code);
        put_seconds(&b, " duration=", ms);
    } else {
        buf_addc(&b, '{');
        put_member(&b, "method", STR("GET"), TEXT_MAX);
        put_member(&b, "uri", end->uri, URI_MAX);
        put_member(&b, "target", end->target, TEXT_MAX);
        buf_addf(&b, ", \"closed\": %d", end->code);
        put_seconds(&b, ", \"duration\": ", ms);
        buf_addc(&b, '}');
    }
    log_info("%.*s", STR_ARG(buf_str(&b)));
    buf_clear(&b);
}
