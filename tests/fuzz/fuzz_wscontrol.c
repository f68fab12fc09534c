/* Up to the first NUL a header's value that may turn GRIP on, then a control message. */
#include "grip/wscontrol.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

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
        if (c.content_len > 0 && c.opcode >= WSFRAME_CLOSE && c.content_len > WSFRAME_CONTROL_MAX)
            abort();
        wscontrol_clear(&c);
    }
    headers_clear(&h);
    buf_clear(&prefix);
    return 0;
}
