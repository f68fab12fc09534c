#include "client/xchg.h"

void
xchg_respond(struct xchg *x, int status, struct str reason, const struct headers *h, struct str body)
{
    xchg_start(x, status, reason, h, (int64_t)body.len);
    if (body.len > 0)
        xchg_send_str(x, body);
    xchg_end(x);
}

void
xchg_respond_text(struct xchg *x, int status, struct str body)
{
    struct header type = {STR("Content-Type"), STR("text/plain")};
    struct headers h = {&type, 1, 1, NULL};
    xchg_respond(x, status, http_reason(status), &h, body);
}
