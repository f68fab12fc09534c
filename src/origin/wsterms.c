#include "origin/wsterms.h"

#include "base/log.h"
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
    headers_init(&t->meta);
    t->keep_alive = 0;
}

void
wsterms_clear(struct wsterms *t)
{
    headers_clear(&t->meta);
}

bool
wsterms_is_events(const struct headers *h)
{
    struct str type = headers_get(h, STR("Content-Type"));
    ptrdiff_t at = str_chr(type, ';');
    return str_ieq(str_trim(at < 0 ? type : str_sub(type, 0, (size_t)at)), STR("application/websocket-events"));
}

/* The list is made anew, since one that is only added to would grow with each response. */
static void
set_meta(struct wsterms *t, struct str name, struct str value)
{
    struct buf whole = BUF_INIT(META_BYTES);
    struct headers fresh;
    struct str old;
    headers_init(&fresh);
    buf_adds(&whole, STR("Meta-"));
    if (buf_adds(&whole, name) != 0 || value.len >= META_BYTES)
        goto out;
    old = headers_get(&t->meta, buf_str(&whole));
    if (str_eq(old, value))
        goto out;
    for (unsigned i = 0; i < t->meta.n; i++)
        if (!str_ieq(t->meta.at[i].name, buf_str(&whole)))
            headers_add(&fresh, t->meta.at[i].name, t->meta.at[i].value);
    if (value.len > 0 && fresh.n < META_MAX)
        headers_add(&fresh, buf_str(&whole), value);
    headers_clear(&t->meta);
    t->meta = fresh;
    headers_init(&fresh);
out:
    headers_clear(&fresh);
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
