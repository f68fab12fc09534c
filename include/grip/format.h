/* format.h - one format of a published item: http-response, http-stream or ws-message (spec: publishing 2). */
#ifndef GRIP_FORMAT_H
#define GRIP_FORMAT_H

#include "proto/header.h"

#include <jansson.h>

enum format_kind { FORMAT_HTTP_RESPONSE, FORMAT_HTTP_STREAM, FORMAT_WS_MESSAGE, FORMAT_KINDS };
enum format_action { ACTION_SEND, ACTION_HINT, ACTION_CLOSE, ACTION_REFRESH };
enum format_ws_type { WS_TEXT, WS_BINARY, WS_PING, WS_PONG };

struct format {
    enum format_kind kind;
    enum format_action action;
    char *content; /* owned; body or content, content_len bytes; NULL when empty or absent */
    size_t content_len;
    json_t *content_filters; /* reference held: list of strings; NULL when absent */
    /* http-response */
    int code;               /* 200 unless given */
    char *reason;           /* owned, NUL-terminated; NULL: the usual phrase */
    struct headers headers; /* in the order in which they apply; names and values are checked */
    json_t *body_patch;     /* reference held; NULL unless the content is a patch */
    /* ws-message */
    enum format_ws_type ws_type;
    bool has_close_code; /* action close */
    int close_code;
    char *close_reason; /* owned; NULL when absent */
};

/* "http-response", "http-stream", "ws-message". */
const char *format_name(enum format_kind kind);
static inline struct str
format_content(const struct format *f)
{
    return str_of(f->content, f->content_len);
}

#endif
