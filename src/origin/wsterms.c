#include "origin/wsterms.h"

#include "base/log.h"
#include "base/mem.h"
#include "proto/wsevents.h"
#include "proto/wsframe.h"

enum {
    KEEP_ALIVE_MIN = 20, /* s */
    META_MAX = 64,       /* items, and bytes of one */
    META_BYTES = 8192
};

void
wsterms_init(struct wsterms *t)
{
    *t = (struct wsterms){.meta = NULL};
}

void
wsterms_clear(struct wsterms *t)
{
    mem_free(t->meta);
    wsterms_init(t);
}

void
wsterms_put_meta(const struct wsterms *t, struct headers *out)
{
    headers_unpack(out, str_of(t->meta, t->meta_len));
}

bool
wsterms_is_events(const struct headers *h)
{
    struct str type = headers_get(h, STR("Content-Type"));
    ptrdiff_t at = str_chr(type, ';');
    return str_ieq(str_trim(at < 0 ? type : str_sub(type, 0, (size_t)at)), STR("application/websocket-events"));
}

/* WHOLE, with its "Meta-", takes the place of its like. An empty value removes it. */
static void
replace_meta(struct wsterms *t, struct str whole, struct str value)
{
    struct buf fresh = BUF_INIT(META_MAX * (2 * META_BYTES + 2));
    struct headers old;
    unsigned n = 0;
    headers_init(&old);
    wsterms_put_meta(t, &old);
    for (unsigned i = 0; i < old.n; i++) {
        if (str_ieq(old.at[i].name, whole))
            continue;
        header_pack(&fresh, old.at[i].name, old.at[i].value);
        n++;
    }
    if (value.len > 0 && n < META_MAX)
        header_pack(&fresh, whole, value);
    headers_clear(&old);
    mem_free(t->meta);
    t->meta = fresh.len > 0 ? str_dup(buf_str(&fresh)) : NULL; /* no more bytes than needed */
    t->meta_len = (uint32_t)fresh.len;
    buf_clear(&fresh);
}

static void
set_meta(struct wsterms *t, struct str name, struct str value)
{
    struct buf whole = BUF_INIT(META_BYTES);
    buf_adds(&whole, STR("Meta-"));
    if (buf_adds(&whole, name) == 0 && value.len < META_BYTES)
        replace_meta(t, buf_str(&whole), value);
    buf_clear(&whole);
}

static void
set_keep_alive(struct wsterms *t, struct str value, const char *target)
{
    int64_t seconds = 0;
    if (str_i64(value, &seconds) != 0 || seconds <= 0) {
        t->keep_alive = 0;
        return;
    }
    if (seconds < KEEP_ALIVE_MIN) {
        if (t->keep_alive != KEEP_ALIVE_MIN) /* once */
            log_info("Keep-Alive-Interval %lld of %s is below the minimum, using %d", (long long)seconds, target,
                     KEEP_ALIVE_MIN);
        seconds = KEEP_ALIVE_MIN;
    }
    t->keep_alive = seconds > 86400 ? 86400 : (int)seconds;
}

void
wsterms_read(struct wsterms *t, const struct headers *h, const char *target)
{
    static const struct str set_meta_prefix = {"Set-Meta-", 9};
    struct str interval = headers_get(h, STR("Keep-Alive-Interval"));
    for (unsigned i = 0; i < h->n; i++)
        if (str_istarts(h->at[i].name, set_meta_prefix) && h->at[i].name.len > set_meta_prefix.len)
            set_meta(t, str_from(h->at[i].name, set_meta_prefix.len), h->at[i].value);
    if (interval.ptr != NULL)
        set_keep_alive(t, interval, target);
}

int
wsterms_close_code(struct str content, struct str *reason)
{
    int code = wsframe_close_code(content, reason);
    if (content.len == 0)
        return WSFRAME_NO_CODE;
    if (content.len >= 2 && wsframe_code_ok(code) && str_utf8(*reason))
        return code;
    *reason = STR("");
    return content.len >= 2 && code == 0 ? WSFRAME_NORMAL : WSFRAME_INTERNAL;
}

bool
wsterms_may_pass(struct str body)
{
    enum wsevents_result r;
    struct wsevent e;
    while ((r = wsevents_next(&body, &e)) == WSEVENTS_EVENT)
        if ((e.type == WSEVENT_TEXT && !str_utf8(e.content)) ||
            ((e.type == WSEVENT_PING || e.type == WSEVENT_PONG) && e.content.len > WSFRAME_CONTROL_MAX))
            return false;
    return r == WSEVENTS_END;
}
