#include "proto/sockjsframe.h"

#include "proto/jsonread.h"

void
sockjsframe_piece(struct sockjsframe *f, struct str piece, bool binary, bool first, bool last, struct buf *out)
{
    if (first) {
        jsonwrite_init(&f->json);
        f->cut = false;
        buf_addc(out, '"');
    }
    if (binary && !f->cut && str_chr(piece, '\0') >= 0) {
        jsonwrite_piece(&f->json, str_sub(piece, 0, (size_t)str_chr(piece, '\0')), out);
        f->cut = true;
    } else if (!f->cut) {
        jsonwrite_piece(&f->json, piece, out);
    }
    if (last) {
        jsonwrite_end(&f->json, out);
        buf_addc(out, '"');
    }
}

void
sockjsframe_array(struct str strings, struct buf *out)
{
    buf_adds(out, STR("a["));
    buf_adds(out, strings);
    buf_addc(out, ']');
}

void
sockjsframe_close(int code, struct str reason, struct buf *out)
{
    buf_addf(out, "c[%d,", code);
    jsonwrite_string(reason.len > 0 ? reason : STR("Connection closed"), out);
    buf_addc(out, ']');
}

static bool
is_of_strings(const json_t *array)
{
    for (size_t i = 0; i < json_array_size(array); i++)
        if (!json_is_string(json_array_get(array, i)))
            return false;
    return json_is_array(array);
}

json_t *
sockjsframe_parse(struct str text, bool or_string, struct err *e)
{
    bool marked = str_starts(text, STR("\xef\xbb\xbf")); /* which JSON on the wire does not have */
    json_t *value = marked ? NULL : jsonread_parse(text, e), *array;
    if (marked)
        err_set(e, "not JSON at byte 0: byte order mark");
    if (value == NULL || is_of_strings(value))
        return value;
    if (or_string && json_string_length(value) > 0) {
        array = json_array();
        if (json_array_append_new(array, value) == 0)
            return array;
        json_decref(array);
    } else {
        json_decref(value);
    }
    err_set(e, "not an array of strings");
    return NULL;
}
