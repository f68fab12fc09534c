#include "proto/jsonread.h"

json_t *
jsonread_parse(struct str text, struct err *e)
{
    json_error_t je;
    json_t *value;
    if (str_starts(text, STR("\xef\xbb\xbf")))
        text = str_from(text, 3);
    if (text.ptr == NULL)
        text = STR("");
    value = json_loadb(text.ptr, text.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, &je);
    if (value == NULL && json_error_code(&je) == json_error_numeric_overflow) /* JSON's numbers have no limit */
        value = json_loadb(text.ptr, text.len, JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, &je);
    if (value == NULL)
        err_set(e, "not JSON at byte %d: %s", je.position, je.text);
    return value;
}

static int
wrong_type(struct err *e, const char *where, const char *key)
{
    err_set(e, "%s contains '%s' with wrong type", where, key);
    return -1;
}

static void
tell(bool *found, bool is)
{
    if (found != NULL)
        *found = is;
}

int
jsonread_str(const json_t *o, const char *key, const char *where, struct str *out, bool *found, struct err *e)
{
    const json_t *v = json_object_get(o, key);
    tell(found, v != NULL);
    if (v == NULL)
        return 0;
    if (!json_is_string(v))
        return wrong_type(e, where, key);
    *out = jsonread_text(v);
    return 0;
}

int
jsonread_bool(const json_t *o, const char *key, const char *where, bool *out, bool *found, struct err *e)
{
    const json_t *v = json_object_get(o, key);
    tell(found, v != NULL);
    if (v == NULL)
        return 0;
    if (!json_is_boolean(v))
        return wrong_type(e, where, key);
    *out = json_is_true(v);
    return 0;
}

/* To the nearest, halves away from zero. */
static int64_t
rounded(double d)
{
    int64_t n;
    if (d >= 0x1p63)
        return INT64_MAX;
    if (d < -0x1p63)
        return INT64_MIN;
    n = (int64_t)d;
    d -= (double)n;
    return n + (d >= 0.5) - (d <= -0.5);
}

/* A decimal number with an optional sign and nothing else; 0 or -1. */
static int
number_of_text(struct str s, int64_t *out)
{
    struct str digits = s.len > 0 && (*s.ptr == '-' || *s.ptr == '+') ? str_from(s, 1) : s;
    if (digits.len == 0)
        return -1;
    for (size_t i = 0; i < digits.len; i++)
        if (digits.ptr[i] < '0' || digits.ptr[i] > '9')
            return -1;
    if (str_i64(s, out) != 0)
        *out = *s.ptr == '-' ? INT64_MIN : INT64_MAX;
    return 0;
}

int
jsonread_int(const json_t *o, const char *key, const char *where, int64_t *out, bool *found, struct err *e)
{
    const json_t *v = json_object_get(o, key);
    tell(found, v != NULL);
    if (v == NULL)
        return 0;
    if (json_is_integer(v))
        *out = json_integer_value(v);
    else if (json_is_real(v))
        *out = rounded(json_real_value(v));
    else if (!json_is_string(v) || number_of_text(jsonread_text(v), out) != 0)
        return wrong_type(e, where, key);
    return 0;
}

int
jsonread_object(const json_t *o, const char *key, const char *where, json_t **out, struct err *e)
{
    json_t *v = json_object_get(o, key);
    if (v == NULL)
        return 0;
    if (!json_is_object(v))
        return wrong_type(e, where, key);
    *out = v;
    return 0;
}

int
jsonread_array(const json_t *o, const char *key, const char *where, json_t **out, struct err *e)
{
    json_t *v = json_object_get(o, key);
    if (v == NULL)
        return 0;
    if (!json_is_array(v))
        return wrong_type(e, where, key);
    *out = v;
    return 0;
}
