/* The first line is a token, the second and third are values of Authorization; the third only if there is one. */
#include "ctl/bearer.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Would one who reads the RFC slowly let VALUE in? */
static bool
is_token(struct str value, struct str token)
{
    value = str_trim(value);
    if (value.len < token.len + 7 || !str_istarts(value, STR("Bearer ")) || !str_ends(value, token))
        return false;
    for (size_t i = 7; i < value.len - token.len; i++)
        if (value.ptr[i] != ' ')
            return false;
    return true;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str rest = str_of((const char *)data, size), token = {NULL, 0}, value;
    struct bearer *b;
    struct headers h;
    bool want;
    str_split(&rest, '\n', &token);
    if (str_starts(token, STR("file:")) || str_starts(token, STR("base64:")))
        return 0;
    b = bearer_new(token, NULL, NULL);
    if (b == NULL)
        return 0;
    headers_init(&h);
    while (h.n < 2 && str_split(&rest, '\n', &value))
        headers_view(&h, STR("Authorization"), value);
    want = h.n == 1 && is_token(h.at[0].value, token);
    assert(bearer_admits(b, &h) == want);
    headers_clear(&h);
    bearer_free(b);
    return 0;
}
