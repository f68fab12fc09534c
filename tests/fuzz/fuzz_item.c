/* Any bytes, taken for JSON and for a tnetstring -> an item that keeps its promises. */
#include "grip/item.h"
#include "proto/jsonread.h"
#include "proto/tnet.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_format(const struct format *f, int kind)
{
    if ((int)f->kind != kind || (f->content == NULL) != (f->content_len == 0) || f->code < 200 || f->code > 999)
        abort();
    for (unsigned i = 0; i < f->headers.n; i++)
        if (!header_name_ok(f->headers.at[i].name) || !header_value_ok(f->headers.at[i].value))
            abort();
    if (kind == FORMAT_WS_MESSAGE && f->ws_type == WS_TEXT && !str_utf8(format_content(f)))
        abort();
    if (f->close_reason != NULL && (strlen(f->close_reason) > 123 || !str_utf8(str_c(f->close_reason))))
        abort();
}

static void
try_value(json_t *v, enum item_source source)
{
    struct err e = {""};
    struct item *i = v != NULL ? item_parse(v, source, str_of(NULL, 0), &e) : NULL;
    if (v != NULL && i == NULL && e.text[0] == '\0')
        abort();
    json_decref(v);
    if (i == NULL)
        return;
    for (int k = 0; k < FORMAT_KINDS; k++)
        if (i->formats[k] != NULL)
            check_format(i->formats[k], k);
    item_unref(i);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = str_of((const char *)data, size);
    try_value(jsonread_parse(text, NULL), ITEM_JSON);
    try_value(tnet_parse(text, NULL, NULL), ITEM_TNET);
    return 0;
}
