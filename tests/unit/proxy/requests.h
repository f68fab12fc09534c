/* requests.h - heads of requests from texts, for the tests of proxy. */
#ifndef TESTS_REQUESTS_H
#define TESTS_REQUESTS_H

#include "proto/http1.h"

/* "Name: value\nName: value" */
static inline void
read_headers(struct headers *h, const char *lines)
{
    struct str rest = str_c(lines), line;
    headers_init(h);
    while (rest.len > 0 && str_split(&rest, '\n', &line)) {
        ptrdiff_t at = str_chr(line, ':');
        headers_add(h, str_sub(line, 0, (size_t)at), str_trim(str_from(line, (size_t)at + 1)));
    }
}

static inline void
read_head(struct http1_head *head, const char *method, const char *target, const char *lines)
{
    *head = (struct http1_head){.minor = 1, .method = str_c(method), .target = str_c(target), .keep_alive = true};
    read_headers(&head->headers, lines);
}

/* The other way round. */
static inline struct str
write_headers(const struct headers *h)
{
    static char text[65536];
    struct buf b = {text, 0, sizeof text, sizeof text};
    for (unsigned i = 0; i < h->n; i++)
        buf_addf(&b, "%s%.*s: %.*s", i > 0 ? "\n" : "", STR_ARG(h->at[i].name), STR_ARG(h->at[i].value));
    return buf_str(&b);
}

#endif
