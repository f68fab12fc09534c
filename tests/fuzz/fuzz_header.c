/* Any bytes as the value of a header: elements, their parameters, tokens of a list; a WebSocket's extensions. */
#include "proto/wsdeflate.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool
inside(struct str part, struct str whole)
{
    return part.len == 0 || (part.ptr >= whole.ptr && part.ptr + part.len <= whole.ptr + whole.len);
}

static void
parse_element(struct str element)
{
    struct header_params p;
    if (header_params_parse(element, &p) == 0) {
        size_t n = p.first.len;
        for (unsigned i = 0; i < p.n; i++) {
            n += p.at[i].name.len + p.at[i].value.len;
            if (header_param(&p, p.at[i].name).ptr == NULL)
                abort();
        }
        if (n > element.len)
            abort();
    }
    header_params_clear(&p);
}

/* What is accepted has an answer that is well-formed itself. */
static void
read_extensions(struct str value)
{
    struct headers h, back;
    struct buf answer = BUF_INIT(1 << 16);
    struct wsdeflate_params p;
    headers_init(&h);
    headers_init(&back);
    headers_view(&h, STR("Sec-WebSocket-Extensions"), value);
    wsdeflate_offers_ok(&h);
    wsdeflate_agreed(&h, &p);
    if (wsdeflate_accept(&h, &p, &answer)) {
        headers_view(&back, STR("Sec-WebSocket-Extensions"), buf_str(&answer));
        if (p.bits < WSDEFLATE_BITS_MIN || p.bits > WSDEFLATE_BITS || !wsdeflate_offers_ok(&back) ||
            wsdeflate_agreed(&back, &p) != 0)
            abort();
    }
    headers_clear(&h);
    headers_clear(&back);
    buf_clear(&answer);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str value = str_of((const char *)data, size), rest = value, element;
    struct headers h;
    headers_init(&h);
    headers_view(&h, STR("A"), value);
    while (header_element(&rest, &element)) {
        if (element.len == 0 || !inside(element, value))
            abort();
        parse_element(element);
        headers_add(&h, STR("B"), element);
        if (header_name_ok(element) && !headers_list_has(&h, STR("b"), element))
            abort();
    }
    headers_list_has(&h, STR("a"), STR("x"));
    headers_set(&h, STR("a"), headers_get(&h, STR("b")));
    headers_clear(&h);
    read_extensions(value);
    return 0;
}
