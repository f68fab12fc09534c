#include "proto/sockjsframe.h"

#include "base/mem.h"
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

/* The number of the escape \uXXXX at the beginning of TEXT, or -1. */
static int
read_escape(struct str text)
{
    uint64_t code;
    if (text.len < 6 || !str_starts(text, STR("\\u")) || str_hex(str_sub(text, 2, 4), &code) != 0)
        return -1;
    return (int)code;
}

/* Replace halves of surrogate pairs, escaped, by U+FFFD. true: there were any. */
static bool
replace_halves(char *text, size_t len)
{
    bool any = false;
    for (size_t i = 0; i < len;) {
        int code = read_escape(str_of(text + i, len - i)), next;
        if (code < 0) {
            i += text[i] == '\\' ? 2 : 1;
            continue;
        }
        next = code >= 0xd800 && code < 0xdc00 ? read_escape(str_of(text + i + 6, len - i - 6)) : -1;
        if (next >= 0xdc00 && next < 0xe000) {
            i += 6;
        } else if (code >= 0xd800 && code < 0xe000) {
            memcpy(text + i + 2, "fffd", 4);
            any = true;
        }
        i += 6;
    }
    return any;
}

/* Scripts cut strings where they like, also between the halves of a surrogate pair, and JSON.stringify() sends a half
 * as an escape. Their WebSockets make U+FFFD of it; so do we, for libjansson takes no halves. */
static json_t *
parse_with_halves(struct str text, struct err *e)
{
    struct err again;
    json_t *value = jsonread_parse(text, e);
    char *copy = value == NULL && str_find(text, STR("\\u")) >= 0 ? str_dup(text) : NULL;
    if (copy != NULL && replace_halves(copy, text.len))
        value = jsonread_parse(str_of(copy, text.len), &again);
    mem_free(copy);
    return value;
}

json_t *
sockjsframe_parse(struct str text, bool or_string, struct err *e)
{
    bool marked = str_starts(text, STR("\xef\xbb\xbf")); /* which JSON on the wire does not have */
    json_t *value = marked ? NULL : parse_with_halves(text, e), *array;
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
