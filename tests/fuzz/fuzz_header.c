/* Any bytes as the value of a header: elements, their parameters, tokens of a list. */
#include "proto/header.h"

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
    return 0;
}
