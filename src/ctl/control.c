#include "ctl/control.h"

#include "base/log.h"
#include "ctl/bearer.h"
#include "proto/jsonread.h"

#include <stdio.h>

enum {
    USUAL_BODY = 16384, /* bytes */
    REQUEST_MS = 30000  /* from the head to the last byte of the body */
};

/* One request while its body comes. */
struct ctlreq {
    struct control *control; /* borrowed */
    struct xchg *x;          /* borrowed, joined */
    struct buf body;
    struct timer timer;
    struct list_node waiting; /* in control->waiting while publishing is paused */
    bool json;                /* the answer's type */
    char *method, *path;      /* owned */
};

struct control {
    struct loop *loop; /* borrowed */
    struct control_settings settings;
    struct publish *publish; /* borrowed */
    struct bearer *bearer;   /* owned; NULL: no token is asked for */
    struct control_ops ops;
    void *arg;
    bool paused;
    struct list waiting; /* of ctlreq: whole, and waiting for their turn */
    struct task task;    /* publishes them, as long as it may */
};

static void
ctlreq_free(void *ptr)
{
    struct ctlreq *r = ptr;
    buf_clear(&r->body);
    mem_free(r->method);
    mem_free(r->path);
    mem_free(r);
}

static void
finish(struct ctlreq *r)
{
    if (list_in(&r->waiting))
        list_remove(&r->control->waiting, &r->waiting);
    loop_timer_stop(r->control->loop, &r->timer);
    loop_reap(r->control->loop, r, ctlreq_free);
}

/* FIRST: a header to begin with, or NULL. ITEMS: how many were published; -1: not a publish. */
static void
answer(struct ctlreq *r, int status, const char *type, const struct header *first, struct str body, int items)
{
    struct header list[2];
    struct headers h = {list, 0, 2, NULL};
    struct xchg *x = r->x;
    char more[ADDRESS_TEXT_MAX + 16] = "", peer[ADDRESS_TEXT_MAX];
    if (items >= 0)
        snprintf(more, sizeof more, " items=%d", items);
    else if (status == 401) /* who knocks is not logged elsewhere */
        snprintf(more, sizeof more, " from=%.*s", STR_ARG(xchg_peer(x, peer)));
    log_info("control: %s %s code=%d %zu%s", r->method, r->path, status, body.len, more);
    if (first != NULL)
        list[h.n++] = *first;
    list[h.n++] = (struct header){STR("Content-Type"), str_c(type)};
    finish(r);
    xchg_respond(x, status, http_reason(status), &h, body);
}

static void
answer_text(struct ctlreq *r, int status, struct str text)
{
    answer(r, status, "text/plain", NULL, text, -1);
}

/* The last element of Accept that we know decides; false: there is none. */
static bool
negotiate(const struct headers *h, bool *json)
{
    bool any = false, found = false;
    *json = false;
    for (unsigned i = 0; i < h->n; i++) {
        struct str rest = h->at[i].value, element;
        if (!str_ieq(h->at[i].name, STR("Accept")))
            continue;
        any = true;
        while (header_element(&rest, &element)) {
            ptrdiff_t at = str_chr(element, ';');
            struct str type = str_trim(at >= 0 ? str_sub(element, 0, (size_t)at) : element);
            if (str_eq(type, STR("text/plain")) || str_eq(type, STR("text/*")) || str_eq(type, STR("*/*")) ||
                str_eq(type, STR("*"))) {
                *json = false;
                found = true;
            } else if (str_eq(type, STR("application/json")) || str_eq(type, STR("application/*"))) {
                *json = true;
                found = true;
            }
        }
    }
    return !any || found;
}

static void
refuse_format(struct ctlreq *r, const char *why)
{
    struct buf text = BUF_INIT(1024);
    buf_addf(&text, "Invalid format: %s\n", why);
    answer_text(r, 400, buf_str(&text));
    buf_clear(&text);
}

/* All items are parsed before the first is published. Returns how many, or -1 with E set. */
static int
parse_items(const json_t *list, struct item **items, struct err *e)
{
    int n = 0;
    for (size_t i = 0; i < json_array_size(list); i++) {
        items[n] = item_parse(json_array_get(list, i), ITEM_JSON, str_of(NULL, 0), e);
        if (items[n] == NULL) {
            while (n > 0)
                item_unref(items[--n]);
            return -1;
        }
        n++;
    }
    return n;
}

static void
publish_list(struct ctlreq *r, const json_t *list)
{
    struct item **items = mem_alloc(json_array_size(list) * sizeof(struct item *));
    struct err e;
    unsigned receivers = 0;
    int n = parse_items(list, items, &e);
    if (n < 0) {
        refuse_format(r, e.text);
    } else {
        for (int i = 0; i < n; i++) {
            receivers += publish_item(r->control->publish, items[i]);
            item_unref(items[i]);
        }
        if (r->json) {
            char text[80];
            snprintf(text, sizeof text, "{\"message\":\"Published\",\"receivers\":%u}\n", receivers);
            answer(r, 200, "application/json", NULL, str_c(text), n);
        } else {
            answer(r, 200, "text/plain", NULL, STR("Published\n"), n);
        }
    }
    mem_free(items);
}

static void
publish(struct ctlreq *r)
{
    struct err e;
    json_t *doc = jsonread_parse(buf_str(&r->body), &e);
    json_t *items = doc != NULL ? json_object_get(doc, "items") : NULL;
    if (doc == NULL)
        answer_text(r, 400, STR("Body is not valid JSON.\n"));
    else if (!json_is_object(doc))
        answer_text(r, 400, STR("Invalid format.\n"));
    else if (items == NULL)
        refuse_format(r, "object does not contain 'items'");
    else if (!json_is_array(items))
        refuse_format(r, "object contains 'items' with wrong type");
    else
        publish_list(r, items);
    json_decref(doc);
}

static void
recover(struct ctlreq *r)
{
    r->control->ops.recover(r->control->arg);
    if (r->json)
        answer(r, 200, "application/json", NULL, STR("{\"message\":\"Updated\"}\n"), -1);
    else
        answer_text(r, 200, STR("Updated\n"));
}

static void
dispatch(struct ctlreq *r)
{
    struct str path = str_c(r->path);
    bool is_publish, is_recover;
    if (path.len > 1 && str_ends(path, STR("/")))
        path = str_sub(path, 0, path.len - 1);
    is_publish = str_eq(path, STR("/publish"));
    is_recover = str_eq(path, STR("/recover"));
    if (str_eq(path, STR("/"))) {
        answer_text(r, 200, STR("Pushpin API\n"));
    } else if (!is_publish && !is_recover) {
        answer_text(r, 404, STR("Not Found\n"));
    } else if (!str_eq(str_c(r->method), STR("POST"))) {
        struct buf text = BUF_INIT(65536);
        buf_addf(&text, "Method not allowed: %s.\n", r->method);
        answer(r, 405, "text/plain", &(struct header){STR("Allow"), STR("POST")}, buf_str(&text), -1);
        buf_clear(&text);
    } else if (is_publish && r->control->paused) {
        loop_timer_stop(r->control->loop, &r->timer);
        list_push_back(&r->control->waiting, &r->waiting);
    } else if (is_publish) {
        publish(r);
    } else {
        recover(r);
    }
}

static void
on_body(struct xchg *x, struct str piece)
{
    struct ctlreq *r = x->user;
    buf_adds(&r->body, piece); /* its length was looked at first */
}

static void
on_body_end(struct xchg *x)
{
    struct ctlreq *r = x->user;
    if (x->close && xchg_more_input(x) && xchg_head(x)->framing == HTTP1_LENGTH) /* else it is another request */
        answer_text(r, 400, STR("Request body exceeded Content-Length.\n"));
    else
        dispatch(r);
}

static void
on_drained(struct xchg *x)
{
    (void)x;
}

static void
on_gone(struct xchg *x, const char *why)
{
    (void)why;
    finish(x->user);
}

static const struct xchg_user_ops xchg_user_ops = {on_body, on_body_end, on_drained, on_gone, on_drained};

static void
on_timer(struct timer *t)
{
    struct ctlreq *r = container_of(t, struct ctlreq, timer);
    struct xchg *x = r->x;
    log_info("control: %s %s: the body took too long", r->method, r->path);
    finish(r);
    xchg_abort(x);
}

static bool
needs_length(struct str method)
{
    return !str_eq(method, STR("GET")) && !str_eq(method, STR("HEAD")) && !str_eq(method, STR("DELETE")) &&
           !str_eq(method, STR("OPTIONS"));
}

/* May this request come in? A look at / tells nothing and is what health checks do. */
static bool
allowed(const struct control *c, const struct http1_head *head)
{
    bool looks = str_eq(head->target, STR("/")) && head->framing == HTTP1_NO_BODY &&
                 (str_eq(head->method, STR("GET")) || str_eq(head->method, STR("HEAD")));
    return c->bearer == NULL || looks || bearer_admits(c->bearer, &head->headers);
}

/* Before anything else is said, and before a body is taken. */
static void
refuse_stranger(struct ctlreq *r)
{
    static const struct header challenge = {{"WWW-Authenticate", 16}, {"Bearer", 6}};
    answer(r, 401, "text/plain", &challenge,
           STR("Unauthorized: send the header 'Authorization: Bearer TOKEN' with the token that push_in_http_token "
               "has.\n"),
           -1);
}

/* Room for a body of usual size is made at once; longer ones grow as they come. */
static void
begin_body(struct ctlreq *r, const struct http1_head *head)
{
    if (head->length > 0 && head->length <= USUAL_BODY)
        buf_room(&r->body, (size_t)head->length);
    loop_timer(r->control->loop, &r->timer, REQUEST_MS);
}

void
control_request(void *arg, struct xchg *x)
{
    struct control *c = arg;
    struct http1_head *head = xchg_head(x);
    struct ctlreq *r = mem_zalloc(sizeof *r);
    bool acceptable = negotiate(&head->headers, &r->json);
    r->control = c;
    r->x = x;
    r->method = str_dup(head->method);
    r->path = str_dup(head->target);
    log_debug("httpserver: IN %s %s", r->method, r->path);
    buf_init(&r->body, c->settings.max_body);
    timer_init(&r->timer, on_timer);
    x->say_connection = true;
    x->close = !headers_list_has(&head->headers, STR("Connection"), STR("keep-alive"));
    xchg_join(x, &xchg_user_ops, r);
    if (!allowed(c, head))
        refuse_stranger(r);
    else if (head->framing == HTTP1_CHUNKED || (head->framing == HTTP1_NO_BODY && needs_length(head->method)))
        answer_text(r, 411, STR("Request requires Content-Length.\n"));
    else if (head->framing == HTTP1_LENGTH && head->length > c->settings.max_body)
        answer_text(r, 413, STR("Request body too large.\n"));
    else if (!acceptable)
        answer_text(r, 406, STR("Not Acceptable. Supported formats are text/plain and application/json.\n"));
    else
        begin_body(r, head);
}

void
control_bad_text(void *arg, int status, const char *why, bool in_body, struct buf *out)
{
    struct str text = str_c(why);
    (void)arg, (void)in_body;
    if (status == 431 || status == 414)
        buf_adds(out, STR("Request header too large.\n"));
    else if (str_eq(text, STR("invalid content length")))
        buf_adds(out, STR("Bad Content-Length.\n"));
    else if (str_eq(text, STR("negative content length"))) /* any body is longer */
        buf_adds(out, STR("Request body exceeded Content-Length.\n"));
    else
        buf_adds(out, STR("Failed to parse request header.\n"));
}

static void
on_task(struct task *t)
{
    struct control *c = container_of(t, struct control, task);
    while (!c->paused && !list_empty(&c->waiting)) {
        struct ctlreq *r = container_of(list_pop_front(&c->waiting), struct ctlreq, waiting);
        publish(r);
    }
}

void
control_pause(struct control *c, bool pause)
{
    c->paused = pause;
    if (!pause && !list_empty(&c->waiting))
        loop_later(c->loop, &c->task);
}

struct control *
control_new(struct loop *l, const struct control_settings *settings, struct publish *p, const struct control_ops *ops,
            void *arg)
{
    struct control *c = mem_zalloc(sizeof *c);
    c->loop = l;
    c->settings = *settings;
    c->publish = p;
    c->ops = *ops;
    c->arg = arg;
    list_init(&c->waiting);
    task_init(&c->task, on_task);
    return c;
}

void
control_set_bearer(struct control *c, struct bearer *b)
{
    if (c->bearer != NULL)
        bearer_free(c->bearer);
    c->bearer = b;
}

void
control_free(struct control *c)
{
    loop_cancel(c->loop, &c->task);
    control_set_bearer(c, NULL);
    mem_free(c);
}
