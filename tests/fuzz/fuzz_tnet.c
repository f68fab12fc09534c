/* Any bytes -> value -> bytes -> a value that is written in the same bytes. (json_equal() does not find keys with NUL.)
 */
#include "proto/tnet.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf b = BUF_INIT(1 << 24), second = BUF_INIT(1 << 24);
    size_t used = 0;
    struct err e;
    json_t *v = tnet_parse(str_of((const char *)data, size), &used, &e), *again;
    if (v == NULL)
        return 0;
    if (used == 0 || used > size || tnet_put(&b, v) != 0)
        abort();
    again = tnet_parse(buf_str(&b), &used, &e);
    if (again == NULL || used != b.len || tnet_put(&second, again) != 0 || !str_eq(buf_str(&b), buf_str(&second)))
        abort();
    json_decref(v);
    json_decref(again);
    buf_clear(&b);
    buf_clear(&second);
    return 0;
}
