#include "origin/h1client.h"

#include "base/slab.h"
#include "io/tls.h"
#include "origin/pool.h"

#include <stdio.h>

enum { INTERIM_MAX = 1000 }; /* 1xx heads before an answer: who says more than that will not come to it */

static struct h1client *
of_conn(struct conn *c)
{
    return container_of(c, struct h1client, conn);
}

static void
h1client_free(void *ptr)
{
    struct h1client *c = ptr;
    if (c->parser != NULL)
        http1_free(c->parser);
    slab_free(c, sizeof *c);
}

void
h1client_close(struct h1client *c)
{
    if (c->closed)
        return;
    c->closed = true;
    c->ops = NULL;
    pool_forget(c);
    conn_close(&c->conn);
    loop_reap(c->conn.loop, c, h1client_free);
}

static void
fail(struct h1client *c, const char *why)
{
    const struct h1client_ops *ops = c->ops;
    if (ops != NULL)
        ops->on_fail(c->user, !c->answered, why);
    h1client_close(c);
}

/* The connection is the user's, who takes it within the call or closes. */
static void
switch_protocols(struct h1client *c, struct str *in)
{
    if (http1_next(c->parser, in) != HTTP1_END) {
        fail(c, "invalid response");
        return;
    }
    c->rest = *in;
    *in = str_from(*in, in->len);
    c->ops->on_head(c->user, http1_head(c->parser));
}

/* An interim answer (RFC 9110, 15.2) is read over; 101 is none, where it was not asked for. */
static bool
skip_interim(struct h1client *c, struct str *in)
{
    struct http1_head *head = http1_head(c->parser);
    if (head->status >= 200)
        return false;
    if (head->status == 101 && c->upgrade) {
        switch_protocols(c, in);
        return true;
    }
    if (head->status == 101 || http1_next(c->parser, in) != HTTP1_END)
        fail(c, "invalid response: unexpected 101");
    else if (++c->interim > INTERIM_MAX)
        fail(c, "invalid response: too many 1xx");
    else
        http1_begin(c->parser);
    return true;
}

/* An answer to HEAD, a 204 or a 304 ends with its head, whatever that announces. Origins that send the body all the
 * same are not rare, and it may come when the next request is on its way, and be taken for its answer. */
static bool
may_have_body(const struct http1_head *head)
{
    struct str length = headers_get(&head->headers, STR("Content-Length"));
    if (head->framing != HTTP1_NO_BODY)
        return false;
    return headers_has(&head->headers, STR("Transfer-Encoding")) || (length.ptr != NULL && !str_eq(length, STR("0")));
}

static void
end(struct h1client *c, bool reusable)
{
    const struct h1client_ops *ops = c->ops;
    c->ops = NULL;
    c->reused = reusable;
    ops->on_end(c->user);
}

static void
on_event(struct h1client *c, enum http1_event event, struct str *in)
{
    char text[128];
    switch (event) {
    case HTTP1_HEAD:
        if (skip_interim(c, in))
            break;
        c->doubtful = may_have_body(http1_head(c->parser));
        c->ops->on_head(c->user, http1_head(c->parser));
        break;
    case HTTP1_BODY:
        c->ops->on_body(c->user, http1_body(c->parser));
        break;
    case HTTP1_END:
        /* bytes behind the answer belong to nothing that we asked */
        end(c, in->len == 0 && http1_head(c->parser)->keep_alive && !c->conn.eof && !c->doubtful);
        break;
    case HTTP1_BAD:
        snprintf(text, sizeof text, "invalid response: %s", http1_bad(c->parser));
        fail(c, text);
        break;
    case HTTP1_MORE:
        break;
    }
}

static void
on_data(struct conn *conn, struct str data)
{
    struct h1client *c = of_conn(conn);
    enum http1_event event;
    if (c->ops == NULL || c->parser == NULL) {
        fail(c, "invalid response: bytes that nobody asked for");
        return;
    }
    c->answered = true;
    do {
        event = http1_next(c->parser, &data);
        on_event(c, event, &data);
    } while (!c->closed && c->ops != NULL && event != HTTP1_MORE && event != HTTP1_END && event != HTTP1_BAD);
}

static void
on_eof(struct conn *conn)
{
    struct h1client *c = of_conn(conn);
    enum http1_event event = HTTP1_BAD;
    if (c->ops != NULL && c->parser != NULL)
        event = http1_eof(c->parser);
    if (event == HTTP1_END) {
        end(c, false);
        h1client_close(c);
    } else {
        fail(c, "connection closed before response");
    }
}

static void
on_error(struct conn *conn, const char *why)
{
    fail(of_conn(conn), why);
}

static void
on_drained(struct conn *conn)
{
    struct h1client *c = of_conn(conn);
    if (c->ops != NULL)
        c->ops->on_drained(c->user);
}

static void
on_connected(struct conn *conn)
{
    struct h1client *c = of_conn(conn);
    if (c->ops != NULL)
        c->ops->on_connected(c->user);
}

static const struct conn_ops conn_ops = {on_data, on_eof, on_error, on_drained, on_connected, NULL};

struct h1client *
h1client_new(struct loop *l, const struct address *to, struct tls *tls, size_t max_head, const struct h1client_ops *ops,
             void *user)
{
    struct h1client *c = slab_alloc(sizeof *c);
    if (conn_connect(&c->conn, l, to, &conn_ops) != 0) {
        if (tls != NULL)
            tls_free(tls);
        slab_free(c, sizeof *c);
        return NULL;
    }
    if (tls != NULL)
        conn_start_tls(&c->conn, tls);
    c->ops = ops;
    c->user = user;
    c->max_head = max_head;
    return c;
}

void
h1client_begin(struct h1client *c, bool to_head)
{
    if (c->parser == NULL)
        c->parser = http1_new(HTTP1_RESPONSES, c->max_head);
    else
        http1_begin(c->parser);
    if (to_head)
        http1_answer_to_head(c->parser);
    c->answered = c->upgrade = false;
    c->interim = 0;
    conn_resume(&c->conn);
}
