/* [document, patch] -> the document is left alone, and the result can be written. */
#include "proto/jsonpatch.h"
#include "proto/jsonread.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_t *both = jsonread_parse(str_of((const char *)data, size), NULL), *before, *result;
    const json_t *doc = json_array_get(both, 0);
    struct err e = {""};
    if (doc != NULL) {
        before = json_deep_copy(doc);
        result = jsonpatch_apply(doc, json_array_get(both, 1), &e);
        if (!json_equal(doc, before) || (result == NULL) != (e.text[0] != '\0'))
            abort();
        if (result != NULL) {
            char *text = json_dumps(result, JSON_ENCODE_ANY | JSON_COMPACT | JSON_SORT_KEYS);
            if (text == NULL)
                abort();
            free(text);
        }
        json_decref(result);
        json_decref(before);
    }
    json_decref(both);
    return 0;
}
