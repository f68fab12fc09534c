/* header.h - ordered header list: find, replace, remove; list values and their parameters.
 *
 * Order, case and repetition are kept as they came (RFC 9110, 5). Names compare without regard to case. A list
 * entry's bytes are either copied into the list's own memory (headers_add) or borrowed (headers_view). */
#ifndef PROTO_HEADER_H
#define PROTO_HEADER_H

#include "base/buf.h"

struct header {
    struct str name, value;
};

struct headers_block; /* memory of copied bytes */

struct headers {
    struct header *at; /* owned array; n entries */
    unsigned n, cap;
    struct headers_block *blocks; /* owned */
};

void headers_init(struct headers *h);
void headers_clear(struct headers *h);

/* Append; the bytes are copied. */
void headers_add(struct headers *h, struct str name, struct str value);
/* Append; the bytes are borrowed and must outlive the list. */
void headers_view(struct headers *h, struct str name, struct str value);
/* Append copies of all of FROM's. */
void headers_copy(struct headers *h, const struct headers *from);

/* The first value of that name; ptr NULL when there is none. */
struct str headers_get(const struct headers *h, struct str name);
bool headers_has(const struct headers *h, struct str name);
unsigned headers_count(const struct headers *h, struct str name);
/* Bytes of all names and values. */
size_t headers_size(const struct headers *h);
void headers_remove(struct headers *h, struct str name);
/* Every header whose name begins with PREFIX, in any case. */
void headers_remove_prefix(struct headers *h, struct str prefix);
/* Remove all of that name, append one. */
void headers_set(struct headers *h, struct str name, struct str value);

/* What is kept for long lies packed, as "NAME:VALUE\n" each; a header of which that cannot be made is left out. */
void header_pack(struct buf *b, struct str name, struct str value);
/* Append views of what was packed. */
void headers_unpack(struct headers *h, struct str packed);

/* Cut *REST, one header value, at its next comma outside double quotes (a backslash in quotes escapes). The elements
 * are trimmed, empty ones are skipped. When quoting is broken, the rest of the line is one element.
 * false: no element left. Spec: grip, "Header syntax". */
bool header_element(struct str *rest, struct str *element);

/* Append the elements of all headers called NAME as one list, ", " between them. */
void headers_join(const struct headers *h, struct str name, struct buf *out);

/* Is TOKEN one of the comma-separated tokens of any header called NAME? Case is ignored. */
bool headers_list_has(const struct headers *h, struct str name, struct str token);

/* An element "FIRST; name=value; name2=\"v 2\"; flag": */
struct header_params {
    struct str first;  /* trimmed, not unquoted */
    struct header *at; /* owned array; values unquoted, in MEMORY */
    unsigned n;
    char *memory; /* owned */
};
/* 0, or -1 when a quoted value has no end (the element is to be dropped). header_params_clear() in either case. */
int header_params_parse(struct str element, struct header_params *out);
void header_params_clear(struct header_params *p);
/* The first parameter of that name (case ignored), ptr NULL when there is none. */
struct str header_param(const struct header_params *p, struct str name);

/* RFC 9110: a token (5.6.2), a field value without CR, LF, NUL or other control characters but tab (5.5). */
bool header_name_ok(struct str name);
bool header_value_ok(struct str value);

/* The usual reason phrase of a status code, "Undefined Reason" for one that has none. Spec: grip 4.4. */
struct str http_reason(int code);

#endif
