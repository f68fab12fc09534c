/* uri.h - URIs (RFC 3986) as the proxy needs them: split, normalise, resolve, escape; query strings; host names. */
#ifndef PROTO_URI_H
#define PROTO_URI_H

#include "base/buf.h"
#include "base/err.h"

/* Views into the text that was split; what is absent has ptr NULL. */
struct uri {
    struct str scheme;    /* as written */
    struct str authority; /* host[:port], without user@ */
    struct str host;      /* IPv6 without its brackets */
    struct str path;      /* may be empty */
    struct str query;     /* without '?' */
    struct str fragment;  /* without '#' */
    uint16_t port;        /* 0: none given */
};

/* Split an absolute URI or a reference to one. 0, or -1 when it is no URI (control characters, spaces, bad port). */
int uri_split(struct str text, struct uri *out);

/* Split "HOST", "HOST:PORT", "[IPV6]:PORT". 0, or -1 when it is not of letters, digits, '-', '.', '_' (labels of at
 * most 63 bytes, 253 in all), an IPv4 address or a bracketed IPv6 address with an optional port of 1..65535.
 * PORT is 0 when absent. Spec: routes 3.1 Better. */
int uri_host_port(struct str text, struct str *host, uint16_t *port);

/* Normalise the path and query of an origin-form target and append them to OUT. Spec: proxying 4.3: escaped
 * unreserved characters are decoded, other escapes upper-cased, characters that may not stand there are escaped, a '%'
 * that is no escape makes every '%' of its component "%25", dot segments (escaped dots too) are resolved, an empty
 * query and a fragment are kept. *PATH_LEN: how much of what was appended is the path. 0, or -1 when TARGET does not
 * begin with '/'. */
int uri_normalise(struct str target, struct buf *out, size_t *path_len);

/* Resolve REFERENCE against the absolute URI BASE (RFC 3986, 5) and append the result, without fragment. 0 or -1. */
int uri_resolve(struct str base, struct str reference, struct buf *out);

/* Next "name=value" of a query, both undecoded. */
bool uri_query_next(struct str *rest, struct str *name, struct str *value);
/* Append TEXT with %XX decoded; PLUS: '+' is a space. What is no escape stays. */
void uri_decode(struct str text, bool plus, struct buf *out);

/* 80, 443 or 0: the default port of http, https, ws, wss. */
uint16_t uri_default_port(struct str scheme);

#endif
