#include "proto/http1.h"

void
http1_put_request(struct buf *b, struct str method, struct str target)
{
    buf_adds(b, method);
    buf_addc(b, ' ');
    buf_adds(b, target);
    buf_adds(b, STR(" HTTP/1.1\r\n"));
}

void
http1_put_status(struct buf *b, int minor, int status, struct str reason)
{
    buf_addf(b, "HTTP/1.%d %03d ", minor, status);
    buf_adds(b, reason);
    buf_adds(b, STR("\r\n"));
}

void
http1_put_header(struct buf *b, struct str name, struct str value)
{
    buf_adds(b, name);
    buf_adds(b, STR(": "));
    buf_adds(b, value);
    buf_adds(b, STR("\r\n"));
}

size_t
http1_chunk_head(char out[18], uint64_t len)
{
    size_t n = 1;
    for (uint64_t rest = len >> 4; rest > 0; rest >>= 4)
        n++;
    for (size_t i = n; i-- > 0; len >>= 4)
        out[i] = "0123456789abcdef"[len & 15];
    out[n] = '\r';
    out[n + 1] = '\n';
    return n + 2;
}
