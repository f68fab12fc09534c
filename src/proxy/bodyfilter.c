#include "proxy/bodyfilter.h"

#include "base/mem.h"

enum { GROWTH_MAX = 1 << 20 }; /* bytes that ids may add to twice a body's length */

bool
bodyfilter_present(const struct instruct *in)
{
    for (unsigned i = 0; i < in->n_channels; i++)
        for (unsigned f = 0; f < in->channels[i].n_filters; f++)
            if (strcmp(in->channels[i].filters[f], "build-id") == 0)
                return true;
    return false;
}

static struct str
find_id(void *arg, struct str name)
{
    const struct instruct *in = arg;
    for (unsigned i = 0; i < in->n_channels; i++)
        if (str_eq(str_of(in->channels[i].name, in->channels[i].name_len), name))
            return str_c(in->channels[i].prev_id);
    return str_of(NULL, 0);
}

static int
fail(struct err *e)
{
    err_prefix(e, "filter error: build-id: ");
    return -1;
}

int
bodyfilter_init(const struct instruct *in, struct contentid *out, struct err *e)
{
    struct instruct *arg = (struct instruct *)(uintptr_t)in; /* is not written to */
    struct str format = str_c(instruct_get_meta(in, "id_format"));
    struct str encoding = str_c(instruct_get_meta(in, "id_encoding"));
    return contentid_init(out, format, encoding, find_id, arg, true, e) == 0 ? 0 : fail(e);
}

int
bodyfilter_put(struct contentid *c, struct str piece, bool last, struct buf *out, struct err *e)
{
    return contentid_put(c, piece, last, out, e) == 0 ? 0 : fail(e);
}

int
bodyfilter_apply(struct instruct *in, struct err *e)
{
    struct buf out = BUF_INIT(2 * in->body_len + GROWTH_MAX);
    struct contentid c;
    int rc;
    if (in->body_len == 0)
        return 0;
    rc = bodyfilter_init(in, &c, e);
    if (rc == 0)
        rc = bodyfilter_put(&c, str_of(in->body, in->body_len), true, &out, e);
    contentid_clear(&c);
    if (rc == 0) {
        mem_free(in->body);
        in->body_len = out.len;
        in->body = out.len > 0 ? buf_steal(&out) : NULL;
    }
    buf_clear(&out);
    return rc;
}
