#include "proto/jsontext.h"

#include <inttypes.h>
#include <stdio.h>

/* Once something does not fit, nothing more is written. */
struct text {
    char *out;
    size_t len, size;
    bool full;
};

static void
put(struct text *t, const char *bytes, size_t len)
{
    if (t->full || len > t->size - t->len) {
        t->full = true;
        return;
    }
    memcpy(t->out + t->len, bytes, len);
    t->len += len;
}

static void
puts_c(struct text *t, const char *s)
{
    put(t, s, strlen(s));
}

static void
put_bytes(struct text *t, const char *bytes, size_t len)
{
    puts_c(t, "\"");
    for (size_t i = 0; i < len && !t->full; i++) {
        unsigned char c = (unsigned char)bytes[i];
        char hex[8];
        if (c == '\\' || c == '"') {
            put(t, "\\", 1);
            put(t, &bytes[i], 1);
        } else if (c == '\n') {
            puts_c(t, "\\n");
        } else if (c >= 0x20 && c < 0x7f) {
            put(t, &bytes[i], 1);
        } else {
            snprintf(hex, sizeof hex, "\\x%02x", c);
            puts_c(t, hex);
        }
    }
    puts_c(t, "\"");
}

static void put_value(struct text *t, const json_t *v);

static void
put_object(struct text *t, const json_t *v)
{
    const char *before = "{ ";
    for (void *at = json_object_iter((json_t *)(uintptr_t)v); at != NULL && !t->full;
         at = json_object_iter_next((json_t *)(uintptr_t)v, at)) {
        puts_c(t, before);
        put_bytes(t, json_object_iter_key(at), json_object_iter_key_len(at));
        puts_c(t, ": ");
        put_value(t, json_object_iter_value(at));
        before = ", ";
    }
    puts_c(t, json_object_size(v) > 0 ? " }" : "{}");
}

static void
put_array(struct text *t, const json_t *v)
{
    for (size_t i = 0; i < json_array_size(v) && !t->full; i++) {
        puts_c(t, i > 0 ? ", " : "[ ");
        put_value(t, json_array_get(v, i));
    }
    puts_c(t, json_array_size(v) > 0 ? " ]" : "[]");
}

static void
put_value(struct text *t, const json_t *v)
{
    char number[64];
    switch (json_typeof(v)) {
    case JSON_OBJECT:
        put_object(t, v);
        break;
    case JSON_ARRAY:
        put_array(t, v);
        break;
    case JSON_STRING:
        put_bytes(t, json_string_value(v), json_string_length(v));
        break;
    case JSON_INTEGER:
        snprintf(number, sizeof number, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
        puts_c(t, number);
        break;
    case JSON_REAL:
        snprintf(number, sizeof number, "%.17g", json_real_value(v));
        puts_c(t, number);
        break;
    case JSON_TRUE:
        puts_c(t, "true");
        break;
    case JSON_FALSE:
        puts_c(t, "false");
        break;
    case JSON_NULL:
        puts_c(t, "null");
        break;
    }
}

struct str
jsontext(const json_t *value, char *out, size_t size)
{
    struct text t = {.out = out, .size = size - 3};
    put_value(&t, value);
    if (t.full) {
        memcpy(out + t.len, "...", 3);
        t.len += 3;
    }
    return str_of(out, t.len);
}
