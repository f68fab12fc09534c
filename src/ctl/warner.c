#include "ctl/warner.h"

#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>

static void
on_time(struct timer *t)
{
    struct warner *w = container_of(t, struct warner, timer);
    if (w->lines > WARNER_LINES)
        log_warn("%s: %u more warnings left out", w->name, w->lines - WARNER_LINES);
    w->lines = 0;
}

void
warner_init(struct warner *w, struct loop *l, const char *name)
{
    timer_init(&w->timer, on_time);
    w->loop = l;
    w->name = name;
    w->lines = 0;
}

void
warner_stop(struct warner *w)
{
    loop_timer_stop(w->loop, &w->timer);
}

void
warner_warn(struct warner *w, const char *format, ...)
{
    char text[512];
    va_list args;
    if (w->lines++ == 0)
        loop_timer(w->loop, &w->timer, WARNER_TIME);
    if (w->lines > WARNER_LINES)
        return;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    log_warn("%s: %s", w->name, text);
}
