/* Bytes -> an origin's response: header lines, an empty line, a body. */
#include "grip/instruct.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Take the lines that a parser of heads would let through. */
static struct str
read_headers(struct str in, struct headers *h)
{
    struct str line;
    while (in.len > 0 && str_split(&in, '\n', &line) && line.len > 0) {
        ptrdiff_t at = str_chr(line, ':');
        struct str name = str_sub(line, 0, at < 0 ? 0 : (size_t)at), value = str_trim(str_from(line, (size_t)at + 1));
        if (header_name_ok(name) && header_value_ok(value))
            headers_view(h, name, value);
    }
    return in;
}

static void
check(const struct instruct *in)
{
    static const struct str hop[] = {{"Connection", 10}, {"Transfer-Encoding", 17}, {"Content-Length", 14}};
    assert(in->status >= 200 && in->status <= 999);
    assert(in->timeout >= 5 && in->keep_alive_timeout >= 1 && in->next_timeout >= 0);
    assert((in->keep_alive != NULL) == (in->keep_alive_len > 0));
    assert((in->body != NULL) == (in->body_len > 0));
    assert(in->reason == NULL || header_value_ok(str_c(in->reason)));
    for (unsigned i = 0; i < in->n_channels; i++) {
        assert(strlen(in->channels[i].name) == in->channels[i].name_len);
        for (unsigned j = 0; j < i && i < 50; j++)
            assert(strcmp(in->channels[i].name, in->channels[j].name) != 0);
    }
    for (unsigned i = 0; i < in->n_meta; i++)
        assert(instruct_get_meta(in, in->meta[i].name) == in->meta[i].value);
    for (unsigned i = 0; i < in->headers.n; i++) {
        assert(header_name_ok(in->headers.at[i].name) && header_value_ok(in->headers.at[i].value));
        assert(in->from_json || !str_istarts(in->headers.at[i].name, STR("Grip-")));
    }
    for (size_t i = 0; i < sizeof hop / sizeof *hop; i++)
        assert(!headers_has(&in->headers, hop[i]));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct headers h;
    struct instruct in;
    struct err e;
    struct str body;
    headers_init(&h);
    body = read_headers(str_of((const char *)data, size), &h);
    if (instruct_parse(200, STR("OK"), &h, body.ptr != NULL ? body : STR(""), &in, &e) == 0) {
        check(&in);
        instruct_clear(&in);
    }
    if (instruct_parse(200, STR("OK"), &h, str_of(NULL, 0), &in, &e) == 0) {
        assert(!in.from_json && in.body == NULL);
        check(&in);
        instruct_clear(&in);
    }
    headers_clear(&h);
    return 0;
}
