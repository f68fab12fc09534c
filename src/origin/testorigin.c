#include "origin/testorigin.h"

#include "proto/uri.h"

static struct str
answer_as(struct http1_head *head, int status, struct str type, struct str body)
{
    head->status = status;
    head->reason = http_reason(status);
    headers_add(&head->headers, STR("Content-Type"), type);
    head->framing = HTTP1_LENGTH;
    head->length = body.len;
    return body;
}

static struct str
answer(struct http1_head *head, int status, struct str body)
{
    return answer_as(head, status, STR("text/plain"), body);
}

static void
add_channels(struct http1_head *head, struct str query)
{
    struct str name, value;
    bool any = false;
    while (uri_query_next(&query, &name, &value)) {
        struct buf channel = BUF_INIT(65536);
        uri_decode(value, true, &channel);
        if (str_eq(name, STR("channel")) && channel.len > 0) {
            headers_add(&head->headers, STR("Grip-Channel"), buf_str(&channel));
            any = true;
        }
        buf_clear(&channel);
    }
    if (!any)
        headers_add(&head->headers, STR("Grip-Channel"), STR("test"));
}

static void
hold(struct http1_head *head, struct str mode, struct str query)
{
    headers_add(&head->headers, STR("Grip-Hold"), mode);
    add_channels(head, query);
}

/* Begin an answer: the path proper, of which one '/' at the end is ignored, and its query. */
static struct str
begin(struct str path, struct str *query, struct http1_head *head)
{
    ptrdiff_t at = str_chr(path, '?');
    *query = at >= 0 ? str_from(path, (size_t)at + 1) : str_of(NULL, 0);
    *head = (struct http1_head){.minor = 1, .keep_alive = true};
    headers_init(&head->headers);
    if (at >= 0)
        path = str_sub(path, 0, (size_t)at);
    return path.len > 1 && str_ends(path, STR("/")) ? str_sub(path, 0, path.len - 1) : path;
}

struct str
testorigin_upgrade(struct str path, struct http1_head *head)
{
    struct str query;
    path = begin(path, &query, head);
    if (!str_eq(path, STR("/ws")))
        return answer(head, 404, STR("no such test resource\n"));
    head->status = 101;
    head->reason = http_reason(101);
    add_channels(head, query);
    return STR("");
}

struct str
testorigin_answer(struct str path, bool too_large, struct str demo, struct http1_head *head)
{
    struct str query, body;
    path = begin(path, &query, head);
    if (too_large)
        return answer(head, 400, STR("request too large\n"));
    if (str_eq(path, STR("/")))
        return answer(head, 200, STR("Hello from the pushpind test handler!\n"));
    if (str_eq(path, STR("/response"))) {
        body = answer(head, 200, STR("nothing for now\n"));
        hold(head, STR("response"), query);
        return body;
    }
    if (str_eq(path, STR("/stream"))) {
        body = answer(head, 200, STR("[stream opened]\n"));
        hold(head, STR("stream"), query);
        return body;
    }
    if (str_eq(path, STR("/sse"))) {
        body = answer_as(head, 200, STR("text/event-stream"), STR("data: [stream opened]\n\n"));
        hold(head, STR("stream"), query);
        return body;
    }
    if (str_eq(path, STR("/demo"))) {
        headers_add(&head->headers, STR("Cache-Control"), STR("no-cache"));
        return answer_as(head, 200, STR("text/html; charset=utf-8"), demo);
    }
    return answer(head, 404, STR("no such test resource\n"));
}
