#include "proto/header.h"

#include "base/mem.h"
#include "base/slab.h"
#include "proto/octet.h"

struct headers_block {
    struct headers_block *next;
    size_t used, size;
    char data[];
};

/* Of the sizes that nearly every request needs: these are taken from slabs, what is larger from the heap. */
enum { BLOCK = 512, FIRST = 16 };

void
headers_init(struct headers *h)
{
    *h = (struct headers){NULL, 0, 0, NULL};
}

static void
array_free(struct headers *h)
{
    if (h->cap == FIRST)
        slab_free(h->at, FIRST * sizeof *h->at);
    else
        mem_free(h->at);
}

static void
grow(struct headers *h)
{
    unsigned cap = h->cap > 0 ? h->cap * 2 : FIRST;
    struct header *at = cap == FIRST ? slab_alloc(cap * sizeof *at) : mem_alloc(cap * sizeof *at);
    if (h->n > 0)
        memcpy(at, h->at, h->n * sizeof *at);
    array_free(h);
    h->at = at;
    h->cap = cap;
}

void
headers_clear(struct headers *h)
{
    while (h->blocks != NULL) {
        struct headers_block *b = h->blocks;
        h->blocks = b->next;
        if (b->size == BLOCK)
            slab_free(b, sizeof *b + BLOCK);
        else
            mem_free(b);
    }
    array_free(h);
    headers_init(h);
}

static struct str
copy(struct headers *h, struct str s)
{
    struct headers_block *b = h->blocks;
    char *to;
    if (s.len == 0)
        return STR("");
    if (b == NULL || b->size - b->used < s.len) {
        size_t size = s.len > BLOCK ? s.len : BLOCK;
        b = size == BLOCK ? slab_alloc(sizeof *b + size) : mem_alloc(sizeof *b + size);
        b->used = 0;
        b->size = size;
        b->next = h->blocks;
        h->blocks = b;
    }
    to = b->data + b->used;
    memcpy(to, s.ptr, s.len);
    b->used += s.len;
    return str_of(to, s.len);
}

void
headers_view(struct headers *h, struct str name, struct str value)
{
    if (h->n == h->cap)
        grow(h);
    h->at[h->n++] = (struct header){name, value};
}

void
headers_add(struct headers *h, struct str name, struct str value)
{
    struct str n = copy(h, name), v = copy(h, value);
    headers_view(h, n, v);
}

void
headers_copy(struct headers *h, const struct headers *from)
{
    for (unsigned i = 0; i < from->n; i++)
        headers_add(h, from->at[i].name, from->at[i].value);
}

void
header_pack(struct buf *b, struct str name, struct str value)
{
    if (str_chr(name, ':') >= 0 || str_chr(name, '\n') >= 0 || str_chr(value, '\n') >= 0)
        return;
    buf_adds(b, name);
    buf_addc(b, ':');
    buf_adds(b, value);
    buf_addc(b, '\n');
}

void
headers_unpack(struct headers *h, struct str packed)
{
    struct str line;
    while (packed.len > 0 && str_split(&packed, '\n', &line)) {
        size_t colon = (size_t)str_chr(line, ':');
        headers_view(h, str_sub(line, 0, colon), str_from(line, colon + 1));
    }
}

struct str
headers_get(const struct headers *h, struct str name)
{
    for (unsigned i = 0; i < h->n; i++)
        if (str_ieq(h->at[i].name, name))
            return h->at[i].value.ptr != NULL ? h->at[i].value : STR("");
    return str_of(NULL, 0);
}

bool
headers_has(const struct headers *h, struct str name)
{
    return headers_get(h, name).ptr != NULL;
}

unsigned
headers_count(const struct headers *h, struct str name)
{
    unsigned n = 0;
    for (unsigned i = 0; i < h->n; i++)
        n += str_ieq(h->at[i].name, name);
    return n;
}

size_t
headers_size(const struct headers *h)
{
    size_t size = 0;
    for (unsigned i = 0; i < h->n; i++)
        size += h->at[i].name.len + h->at[i].value.len;
    return size;
}

static void
remove_matching(struct headers *h, struct str name, bool (*matches)(struct str, struct str))
{
    unsigned kept = 0;
    for (unsigned i = 0; i < h->n; i++)
        if (!matches(h->at[i].name, name))
            h->at[kept++] = h->at[i];
    h->n = kept;
}

void
headers_remove(struct headers *h, struct str name)
{
    remove_matching(h, name, str_ieq);
}

void
headers_remove_prefix(struct headers *h, struct str prefix)
{
    remove_matching(h, prefix, str_istarts);
}

void
headers_set(struct headers *h, struct str name, struct str value)
{
    headers_remove(h, name);
    headers_add(h, name, value);
}

/* Offset of the first C outside double quotes, or -1. A quote that is left open reaches to the end. */
static ptrdiff_t
find_unquoted(struct str s, char c)
{
    bool quoted = false;
    for (size_t i = 0; i < s.len; i++) {
        if (quoted && s.ptr[i] == '\\')
            i++;
        else if (s.ptr[i] == '"')
            quoted = !quoted;
        else if (!quoted && s.ptr[i] == c)
            return (ptrdiff_t)i;
    }
    return -1;
}

bool
header_element(struct str *rest, struct str *element)
{
    while (rest->ptr != NULL && rest->len > 0) {
        ptrdiff_t at = find_unquoted(*rest, ',');
        *element = str_trim(at < 0 ? *rest : str_sub(*rest, 0, (size_t)at));
        *rest = at < 0 ? str_of(NULL, 0) : str_from(*rest, (size_t)at + 1);
        if (element->len > 0)
            return true;
    }
    return false;
}

void
headers_join(const struct headers *h, struct str name, struct buf *out)
{
    size_t start = out->len;
    for (unsigned i = 0; i < h->n; i++) {
        struct str rest = h->at[i].value, element;
        if (!str_ieq(h->at[i].name, name))
            continue;
        while (header_element(&rest, &element)) {
            if (out->len > start)
                buf_adds(out, STR(", "));
            buf_adds(out, element);
        }
    }
}

bool
headers_list_has(const struct headers *h, struct str name, struct str token)
{
    for (unsigned i = 0; i < h->n; i++) {
        struct str rest = h->at[i].value, part;
        if (!str_ieq(h->at[i].name, name))
            continue;
        while (str_split(&rest, ',', &part))
            if (str_ieq(str_trim(part), token))
                return true;
    }
    return false;
}

/* The quoted string at the start of S without quotes and backslashes, written to *MEMORY. Returns how long the quoted
 * form is, or -1 without a closing quote. */
static ptrdiff_t
unquote(struct str s, char **memory, struct str *out)
{
    char *to = *memory;
    for (size_t i = 1; i < s.len; i++) {
        if (s.ptr[i] == '"') {
            *out = str_of(*memory, (size_t)(to - *memory));
            *memory = to;
            return (ptrdiff_t)i + 1;
        }
        if (s.ptr[i] == '\\' && i + 1 < s.len)
            i++;
        *to++ = s.ptr[i];
    }
    return -1;
}

int
header_params_parse(struct str element, struct header_params *out)
{
    ptrdiff_t at = str_chr(element, ';');
    struct str rest = at < 0 ? str_of(NULL, 0) : str_from(element, (size_t)at + 1);
    char *memory;
    *out = (struct header_params){.first = str_trim(at < 0 ? element : str_sub(element, 0, (size_t)at))};
    if (rest.ptr == NULL)
        return 0;
    memory = out->memory = mem_alloc(rest.len);
    while (rest.ptr != NULL) {
        struct header p = {STR(""), STR("")};
        size_t i = 0;
        rest = str_trim(rest);
        while (i < rest.len && rest.ptr[i] != '=' && rest.ptr[i] != ';')
            i++;
        p.name = str_trim(str_sub(rest, 0, i));
        if (i < rest.len && rest.ptr[i] == '=') {
            rest = str_trim(str_from(rest, i + 1));
            if (rest.len > 0 && *rest.ptr == '"') {
                ptrdiff_t n = unquote(rest, &memory, &p.value);
                if (n < 0)
                    return -1;
                rest = str_from(rest, (size_t)n);
                at = str_chr(rest, ';'); /* what stands between is ignored */
            } else {
                at = str_chr(rest, ';');
                p.value = str_trim(at < 0 ? rest : str_sub(rest, 0, (size_t)at));
            }
        } else {
            at = i < rest.len ? (ptrdiff_t)i : -1;
        }
        rest = at < 0 ? str_of(NULL, 0) : str_from(rest, (size_t)at + 1);
        if (p.name.len == 0)
            continue;
        out->at = mem_realloc(out->at, (out->n + 1) * sizeof *out->at);
        out->at[out->n++] = p;
    }
    return 0;
}

void
header_params_clear(struct header_params *p)
{
    mem_free(p->at);
    mem_free(p->memory);
    *p = (struct header_params){.at = NULL};
}

struct str
header_param(const struct header_params *p, struct str name)
{
    for (unsigned i = 0; i < p->n; i++)
        if (str_ieq(p->at[i].name, name))
            return p->at[i].value;
    return str_of(NULL, 0);
}

bool
header_name_ok(struct str name)
{
    for (size_t i = 0; i < name.len; i++)
        if (!octet_is_token(name.ptr[i]))
            return false;
    return name.len > 0;
}

bool
header_value_ok(struct str value)
{
    for (size_t i = 0; i < value.len; i++)
        if (!octet_is_text(value.ptr[i]))
            return false;
    return true;
}

struct str
http_reason(int code)
{
    static const struct {
        int code;
        const char *text;
    } known[] = {
        {100, "Continue"},
        {101, "Switching Protocols"},
        {102, "Processing"},
        {200, "OK"},
        {201, "Created"},
        {202, "Accepted"},
        {203, "Non-Authoritative Information"},
        {204, "No Content"},
        {205, "Reset Content"},
        {206, "Partial Content"},
        {207, "Multi-Status"},
        {208, "Already Reported"},
        {226, "IM Used"},
        {300, "Multiple Choices"},
        {301, "Moved Permanently"},
        {302, "Found"},
        {303, "See Other"},
        {304, "Not Modified"},
        {305, "Use Proxy"},
        {306, "Reserved"},
        {307, "Temporary Redirect"},
        {308, "Permanent Redirect"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {402, "Payment Required"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {406, "Not Acceptable"},
        {407, "Proxy Authentication Required"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {410, "Gone"},
        {411, "Length Required"},
        {412, "Precondition Failed"},
        {413, "Request Entity Too Large"},
        {414, "Request-URI Too Long"},
        {415, "Unsupported Media Type"},
        {416, "Requested Range Not Satisfiable"},
        {417, "Expectation Failed"},
        {422, "Unprocessable Entity"},
        {423, "Locked"},
        {424, "Failed Dependency"},
        {426, "Upgrade Required"},
        {428, "Precondition Required"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {505, "HTTP Version Not Supported"},
        {506, "Variant Also Negotiates"},
        {507, "Insufficient Storage"},
        {508, "Loop Detected"},
        {510, "Not Extended"},
        {511, "Network Authentication Required"},
    };
    for (size_t i = 0; i < countof(known); i++)
        if (known[i].code == code)
            return str_c(known[i].text);
    return STR("Undefined Reason");
}
