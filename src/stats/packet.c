#include "stats/packet.h"

#include "proto/tnet.h"

/* With U+FFFD for each byte that cannot stand there. */
static json_t *
clean_text(struct str s)
{
    struct buf b = BUF_INIT(3 * s.len);
    json_t *value;
    for (size_t i = 0; i < s.len;) {
        size_t n = 1;
        while (n < 4 && n < s.len - i && !str_utf8(str_sub(s, i, n)))
            n++;
        if (str_utf8(str_sub(s, i, n))) {
            buf_add(&b, s.ptr + i, n);
            i += n;
        } else {
            buf_adds(&b, STR("\xEF\xBF\xBD"));
            i++;
        }
    }
    value = json_stringn_nocheck(b.ptr, b.len);
    buf_clear(&b);
    return value;
}

json_t *
packet_text(struct str s, bool json)
{
    if (json && !str_utf8(s))
        return clean_text(s);
    return json_stringn_nocheck(s.ptr != NULL ? s.ptr : "", s.len);
}

static int
put_json(const char *buffer, size_t size, void *data)
{
    return buf_add(data, buffer, size);
}

int
packet_put(struct buf *b, const char *type, bool json, const json_t *fields)
{
    size_t before = b->len;
    int rc = buf_addf(b, "%s %c", type, json ? 'J' : 'T');
    if (rc == 0 && json)
        rc = json_dump_callback(fields, put_json, b, JSON_COMPACT | JSON_SORT_KEYS);
    else if (rc == 0)
        rc = tnet_put(b, fields);
    if (rc != 0)
        b->len = before;
    return rc;
}
