/* Any body -> events -> a body that has the same events. */
#include "proto/wsevents.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf b = BUF_INIT(1 << 24), second = BUF_INIT(1 << 24);
    struct str rest = str_of((const char *)data, size), again;
    struct str whole = rest;
    struct wsevent e;
    enum wsevents_result r;
    unsigned n = 0, m = 0;
    while ((r = wsevents_next(&rest, &e)) == WSEVENTS_EVENT) {
        if (e.content.len > 0 && (e.content.ptr < whole.ptr || e.content.ptr + e.content.len > whole.ptr + whole.len))
            abort();
        if (e.type == WSEVENT_UNKNOWN)
            continue;
        n++;
        if (wsevents_put(&b, e.type, e.content) != 0)
            abort();
    }
    if (wsevents_ok(whole, NULL) != (r == WSEVENTS_END))
        abort();
    if (!wsevents_ok(buf_str(&b), &m) || m != n)
        abort();
    again = buf_str(&b);
    while (wsevents_next(&again, &e) == WSEVENTS_EVENT)
        wsevents_put(&second, e.type, e.content);
    if (!str_eq(buf_str(&b), buf_str(&second)))
        abort();
    buf_clear(&b);
    buf_clear(&second);
    return 0;
}
