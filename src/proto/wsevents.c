#include "proto/wsevents.h"

#include "base/mem.h"

static const char *const names[] = {
    [WSEVENT_OPEN] = "OPEN", [WSEVENT_TEXT] = "TEXT",   [WSEVENT_BINARY] = "BINARY",         [WSEVENT_PING] = "PING",
    [WSEVENT_PONG] = "PONG", [WSEVENT_CLOSE] = "CLOSE", [WSEVENT_DISCONNECT] = "DISCONNECT",
};

static enum wsevent_type
type_of(struct str name)
{
    size_t i = 0;
    while (i < countof(names) && !str_eq(name, str_c(names[i])))
        i++;
    return i < countof(names) ? (enum wsevent_type)i : WSEVENT_UNKNOWN;
}

/* Content of LEN bytes and the end of its line, which the last one of a body may lack. */
static enum wsevents_result
take_content(struct str *rest, uint64_t len, struct wsevent *out)
{
    if (len > rest->len)
        return WSEVENTS_BAD;
    out->content = str_sub(*rest, 0, (size_t)len);
    *rest = str_from(*rest, (size_t)len);
    if (rest->len == 0)
        return WSEVENTS_EVENT;
    if (!str_starts(*rest, STR("\r\n")))
        return WSEVENTS_BAD;
    *rest = str_from(*rest, 2);
    return WSEVENTS_EVENT;
}

enum wsevents_result
wsevents_next(struct str *rest, struct wsevent *out)
{
    ptrdiff_t end = str_find(*rest, STR("\r\n")), space;
    struct str line;
    uint64_t len;
    if (rest->len == 0)
        return WSEVENTS_END;
    if (end <= 0)
        return WSEVENTS_BAD;
    line = str_sub(*rest, 0, (size_t)end);
    *rest = str_from(*rest, (size_t)end + 2);
    space = str_chr(line, ' ');
    out->content = str_of(NULL, 0);
    out->type = type_of(space < 0 ? line : str_sub(line, 0, (size_t)space));
    if (space < 0)
        return WSEVENTS_EVENT;
    if (space == 0 || str_hex(str_from(line, (size_t)space + 1), &len) != 0)
        return WSEVENTS_BAD;
    return take_content(rest, len, out);
}

bool
wsevents_ok(struct str body, unsigned *n)
{
    struct wsevent e;
    enum wsevents_result r;
    unsigned count = 0;
    while ((r = wsevents_next(&body, &e)) == WSEVENTS_EVENT)
        count++;
    if (n != NULL)
        *n = count;
    return r == WSEVENTS_END;
}

int
wsevents_put(struct buf *b, enum wsevent_type type, struct str content)
{
    size_t start = b->len;
    int rc = buf_adds(b, str_c(names[type]));
    if (rc == 0 && content.len > 0)
        rc = buf_addf(b, " %zx\r\n", content.len);
    if (rc == 0 && content.len > 0)
        rc = buf_adds(b, content);
    if (rc == 0)
        rc = buf_adds(b, STR("\r\n"));
    if (rc != 0)
        b->len = start;
    return rc;
}
