/* A template gives the same result whole and cut anywhere; the first byte says where. */
#include "grip/contentid.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct str
look_up(void *arg, struct str name)
{
    (void)arg;
    return name.len % 3 == 0 ? str_of(NULL, 0) : name;
}

static int
put(struct str text, size_t cut, bool hex, struct buf *out, struct err *e)
{
    struct contentid c;
    int rc = contentid_init(&c, STR("<%(ab)s>"), hex ? STR("hex") : str_of(NULL, 0), look_up, NULL, false, e);
    if (rc == 0 && cut > 0)
        rc = contentid_put(&c, str_sub(text, 0, cut), false, out, e);
    for (size_t i = cut; rc == 0 && cut > 0 && i < text.len; i++)
        rc = contentid_put(&c, str_sub(text, i, 1), false, out, e);
    if (rc == 0)
        rc = contentid_put(&c, cut > 0 ? STR("") : text, true, out, e);
    contentid_clear(&c);
    return rc;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf whole = BUF_INIT(1 << 20), parts = BUF_INIT(1 << 20), other = BUF_INIT(1 << 20);
    struct err e = {""}, f = {""};
    struct str text;
    int rc;
    if (size == 0 || size > CONTENTID_MAX_FIELD)
        return 0;
    text = str_of((const char *)data + 1, size - 1);
    contentid_subst(text, look_up, NULL, &other, NULL);
    rc = put(text, 0, data[0] & 1, &whole, &e);
    if (put(text, 1 + data[0] / 2, data[0] & 1, &parts, &f) != rc)
        abort();
    if (rc == 0 && !str_eq(buf_str(&whole), buf_str(&parts)))
        abort();
    if (rc != 0 && strcmp(e.text, f.text) != 0)
        abort();
    buf_clear(&whole);
    buf_clear(&parts);
    buf_clear(&other);
    return 0;
}
