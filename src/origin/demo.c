#include "origin/demo.h"

/* src/origin/demo.html */
static const unsigned char page[] = {
#include "origin/demo.inc"
};

void
demo_put(unsigned port, struct buf *out)
{
    static const struct str mark = {"@PORT@", 6};
    struct str text = str_of((const char *)page, sizeof page);
    size_t at = (size_t)str_find(text, mark);
    buf_adds(out, str_sub(text, 0, at));
    buf_addf(out, "%u", port);
    buf_adds(out, str_from(text, at + mark.len));
}
