/* address.h - where a socket can be connected or bound to: IPv4, IPv6, or the path of a Unix socket. */
#ifndef IO_ADDRESS_H
#define IO_ADDRESS_H

#include "base/err.h"
#include "base/str.h"

enum { ADDRESS_PATH_MAX = 107, ADDRESS_TEXT_MAX = 46 };

struct address {
    unsigned len; /* bytes that are used */
    _Alignas(8) unsigned char bytes[112];
};

struct sockaddr;
static inline const struct sockaddr *
address_sockaddr(const struct address *a)
{
    return (const void *)a->bytes;
}

/* Fill OUT when HOST is an IPv4 address or an IPv6 address without brackets. */
bool address_literal(struct str host, uint16_t port, struct address *out);
/* Fill OUT from a socket's own form; false for families other than IPv4 and IPv6. PORT replaces the port. */
bool address_from(const struct sockaddr *from, uint16_t port, struct address *out);
/* Fill OUT with the path of a Unix socket; false when it is empty or longer than ADDRESS_PATH_MAX. */
bool address_unix(struct str path, struct address *out);
/* The IP address as text without port; an IPv4 address mapped to IPv6 is shown as IPv4. Empty for a Unix socket. */
struct str address_text(const struct address *a, char text[ADDRESS_TEXT_MAX]);
/* An IP address in the form of IPv6, IPv4 mapped to it; all zero for a Unix socket. And back, with port 0. */
void address_ipv6(const struct address *a, unsigned char out[16]);
void address_from_ipv6(const unsigned char ip[16], struct address *out);

/* The addresses that share their first BITS with IP. */
struct address_range {
    unsigned char ip[16]; /* IPv4 mapped to IPv6 */
    unsigned bits;
};
/* "192.0.2.0/24", "2001:db8::/32", or an address alone. 0 or -1. */
int address_range_parse(struct str text, struct address_range *out);
/* Is A, an IP address, one of the N ranges? */
bool address_in_ranges(const struct address *a, const struct address_range *ranges, unsigned n);
/* Is it an address of this machine or of a private network? (spec: routes 4.2, untrusted) */
bool address_is_private(const struct address *a);
/* The first address of NAME as text, asking the system: it blocks, so only before the loop runs. 0 or -1. */
int address_lookup(const char *name, char text[ADDRESS_TEXT_MAX], struct err *e);

#endif
