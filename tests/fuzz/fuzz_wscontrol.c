/* Up to the first NUL a header's value that may turn GRIP on, then a control message. */
#include "grip/wscontrol.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What those who act on it rely on. */
static void
check(const struct wscontrol *c)
{
    bool timed = c->type == WSCONTROL_KEEP_ALIVE || c->type == WSCONTROL_SEND_DELAYED;
    if ((c->type == WSCONTROL_SUBSCRIBE || c->type == WSCONTROL_UNSUBSCRIBE) && c->channel.len == 0)
        abort();
    if (c->type == WSCONTROL_SET_META && c->name.len == 0)
        abort();
    if (timed && (c->timeout < 1 || (c->opcode != WSFRAME_TEXT && c->opcode != WSFRAME_BINARY &&
                                     c->opcode != WSFRAME_PING && c->opcode != WSFRAME_PONG)))
        abort();
    if ((c->content == NULL) != (c->content_len == 0) || (c->content_len > 0 && !c->has_content))
        abort();
    if (c->opcode >= WSFRAME_CLOSE && c->content_len > WSFRAME_CONTROL_MAX)
        abort();
    if (c->opcode == WSFRAME_TEXT && !str_utf8(str_of(c->content, c->content_len)))
        abort(); /* a client would have to close the connection */
    for (size_t i = 0; i < json_array_size(c->filters); i++)
        if (!json_is_string(json_array_get(c->filters, i)))
            abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str all = str_of((const char *)data, size), value, element = STR("");
    struct buf prefix = BUF_INIT(1 << 20);
    struct headers h;
    struct wscontrol c;
    struct err e;
    if (!str_split(&all, '\0', &value))
        return 0;
    headers_init(&h);
    headers_view(&h, STR("Sec-WebSocket-Extensions"), value);
    if (wscontrol_extension(&h, &element, &prefix) && !str_starts(element, STR("grip")))
        abort();
    if (wscontrol_parse(all.ptr != NULL ? all : STR(""), &c, &e) == 0) {
        check(&c);
        wscontrol_clear(&c);
    }
    headers_clear(&h);
    buf_clear(&prefix);
    return 0;
}
