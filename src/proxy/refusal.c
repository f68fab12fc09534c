#include "proxy/refusal.h"

#include "base/clock.h"
#include "proxy/answer.h"
#include "proxy/reqlog.h"

struct refusal {
    struct proxy *proxy;  /* borrowed */
    struct xchg *x;       /* borrowed, joined */
    struct clientreq req; /* owned */
    struct route *route;  /* reference held; NULL: none */
    int status;
    struct buf text;
    uint64_t began; /* ms */
    struct task task;
};

static void
refusal_free(void *ptr)
{
    struct refusal *r = ptr;
    clientreq_clear(&r->req);
    buf_clear(&r->text);
    if (r->route != NULL)
        route_unref(r->route);
    mem_free(r);
}

static void
end(struct refusal *r, enum reqlog_result result, uint64_t size)
{
    struct reqlog line = {.req = &r->req,
                          .route = r->route,
                          .x = r->x,
                          .result = result,
                          .code = r->status,
                          .size = size,
                          .began = r->began};
    reqlog_write(r->proxy, &line);
    loop_cancel(r->proxy->loop, &r->task);
    loop_reap(r->proxy->loop, r, refusal_free);
}

static void
answer(struct refusal *r)
{
    struct xchg *x = r->x;
    struct headers none;
    size_t size;
    headers_init(&none);
    if (r->req.ws) /* as Pushpin does */
        size = answer_whole(x, &r->req, r->status, http_reason(r->status), &none, buf_str(&r->text), false);
    else
        size = answer_text(x, &r->req, r->status, buf_str(&r->text));
    end(r, REQLOG_DONE, size);
    xchg_end(x);
}

static void
on_body(struct xchg *x, struct str piece)
{
    (void)x;
    (void)piece;
}

static void
on_body_end(struct xchg *x)
{
    answer(x->user);
}

static void
on_task(struct task *t)
{
    answer(container_of(t, struct refusal, task));
}

static void
on_gone(struct xchg *x, const char *why)
{
    (void)why;
    end(x->user, REQLOG_ERROR, 0);
}

static void
nothing(struct xchg *x)
{
    (void)x;
}

static const struct xchg_user_ops xchg_user_ops = {on_body, on_body_end, nothing, on_gone, nothing};

void
refusal_new(struct proxy *p, struct xchg *x, struct clientreq *req, struct route *route, int status, struct str text)
{
    struct refusal *r = mem_zalloc(sizeof *r);
    r->proxy = p;
    r->x = x;
    r->req = *req;
    r->route = route;
    r->status = status;
    r->began = clock_now();
    buf_init(&r->text, text.len);
    buf_adds(&r->text, text);
    task_init(&r->task, on_task);
    xchg_join(x, &xchg_user_ops, r);
    if (x->body_complete || xchg_head(x)->expect_continue) /* or the client would be told to go on */
        answer(r);
    else
        loop_later(p->loop, &r->task);
}
