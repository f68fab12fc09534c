/* proxyproto.h - the header that a load balancer puts in front of a connection: the PROXY protocol, versions 1 and 2.
 *
 *   "PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n"     version 1: a line of at most 107 bytes
 *   12 bytes of signature, command, family, length, addresses, TLVs    version 2
 *
 * Bytes are taken as they come, and never one behind the header. */
#ifndef PROTO_PROXYPROTO_H
#define PROTO_PROXYPROTO_H

#include "base/err.h"
#include "base/str.h"

enum proxyproto_result { PROXYPROTO_DONE, PROXYPROTO_MORE, PROXYPROTO_BAD };
enum proxyproto_family { PROXYPROTO_NONE, PROXYPROTO_IPV4, PROXYPROTO_IPV6 };

enum {
    PROXYPROTO_LINE_MAX = 107, /* bytes of version 1's line, with its end */
    PROXYPROTO_MAX = 4096      /* bytes of version 2's header, with all that it carries */
};

struct proxyproto {
    /* when it is DONE */
    enum proxyproto_family family; /* NONE: it names no client, or not by an IP address; the socket's own counts */
    char source[46];               /* the client's address as text, ends in NUL; not looked at further in version 1 */
    /* while it is read */
    unsigned len;  /* bytes of it so far */
    unsigned size; /* version 2: of the whole header, once that is known */
    unsigned char bytes[PROXYPROTO_LINE_MAX];
};

void proxyproto_init(struct proxyproto *p);
/* Take bytes of IN; *USED: how many. With MORE that is all of them. BAD: E says why. */
enum proxyproto_result proxyproto_read(struct proxyproto *p, struct str in, size_t *used, struct err *e);

#endif
