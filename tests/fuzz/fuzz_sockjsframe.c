/* Any text -> messages -> a frame whose array has the same messages; and any bytes as a message, however they are cut
 * -> the same valid JSON. */
#include "proto/jsonread.h"
#include "proto/sockjsframe.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_array(struct str text)
{
    struct buf strings = BUF_INIT(1 << 24), frame = BUF_INIT(1 << 24);
    struct sockjsframe f;
    struct err e;
    json_t *messages = sockjsframe_parse(text, true, &e), *again;
    if (messages == NULL)
        return;
    for (size_t i = 0; i < json_array_size(messages); i++) {
        if (i > 0)
            buf_addc(&strings, ',');
        sockjsframe_piece(&f, jsonread_text(json_array_get(messages, i)), false, true, true, &strings);
    }
    sockjsframe_array(buf_str(&strings), &frame);
    again = sockjsframe_parse(str_from(buf_str(&frame), 1), false, &e);
    if (again == NULL || !json_equal(messages, again))
        abort();
    json_decref(messages);
    json_decref(again);
    buf_clear(&strings);
    buf_clear(&frame);
}

static void
put_in_pieces(struct str bytes, bool binary, size_t step, struct buf *out)
{
    struct sockjsframe f;
    size_t at = 0;
    do {
        sockjsframe_piece(&f, str_sub(bytes, at, step), binary, at == 0, at + step >= bytes.len, out);
        at += step;
    } while (at < bytes.len);
}

static void
check_message(struct str bytes, bool binary)
{
    struct buf out = BUF_INIT(1 << 24);
    struct err e;
    json_t *value;
    put_in_pieces(bytes, binary, bytes.len + 1, &out);
    for (size_t step = 1; step <= 4; step++) {
        struct buf pieces = BUF_INIT(1 << 24);
        put_in_pieces(bytes, binary, step, &pieces);
        if (!str_eq(buf_str(&pieces), buf_str(&out)))
            abort();
        buf_clear(&pieces);
    }
    value = jsonread_parse(buf_str(&out), &e);
    if (!json_is_string(value))
        abort();
    json_decref(value);
    buf_clear(&out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str bytes = str_of((const char *)data, size);
    check_array(bytes);
    check_message(bytes, false);
    check_message(bytes, true);
    return 0;
}
