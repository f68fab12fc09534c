#include "io/address.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

_Static_assert(sizeof(struct sockaddr_un) <= sizeof((struct address *)0)->bytes, "room for every family");
_Static_assert(sizeof((struct sockaddr_un *)0)->sun_path > ADDRESS_PATH_MAX, "room for the path and its NUL");
_Static_assert(INET6_ADDRSTRLEN <= ADDRESS_TEXT_MAX, "room for the text");

bool
address_from(const struct sockaddr *from, uint16_t port, struct address *out)
{
    if (from->sa_family == AF_INET) {
        struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};
        in.sin_addr = ((const struct sockaddr_in *)(const void *)from)->sin_addr;
        out->len = sizeof in;
        memcpy(out->bytes, &in, sizeof in);
        return true;
    }
    if (from->sa_family == AF_INET6) {
        struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
        in6.sin6_addr = ((const struct sockaddr_in6 *)(const void *)from)->sin6_addr;
        out->len = sizeof in6;
        memcpy(out->bytes, &in6, sizeof in6);
        return true;
    }
    return false;
}

bool
address_literal(struct str host, uint16_t port, struct address *out)
{
    char text[INET6_ADDRSTRLEN];
    struct sockaddr_in in = {.sin_family = AF_INET};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
    if (host.len == 0 || host.len >= sizeof text || str_chr(host, '\0') >= 0)
        return false;
    memcpy(text, host.ptr, host.len);
    text[host.len] = '\0';
    if (inet_pton(AF_INET, text, &in.sin_addr) == 1)
        return address_from((const struct sockaddr *)&in, port, out);
    if (inet_pton(AF_INET6, text, &in6.sin6_addr) == 1)
        return address_from((const struct sockaddr *)&in6, port, out);
    return false;
}

bool
address_unix(struct str path, struct address *out)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    if (path.len == 0 || path.len > ADDRESS_PATH_MAX || str_chr(path, '\0') >= 0)
        return false;
    memcpy(un.sun_path, path.ptr, path.len);
    out->len = sizeof un;
    memcpy(out->bytes, &un, sizeof un);
    return true;
}

/* The four bytes of an IPv4 address, mapped ones too; NULL for others. */
static const unsigned char *
ipv4_bytes(const struct sockaddr *sa)
{
    const struct in6_addr *in6 = &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr;
    if (sa->sa_family == AF_INET)
        return (const unsigned char *)&((const struct sockaddr_in *)(const void *)sa)->sin_addr;
    return sa->sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(in6) ? &in6->s6_addr[12] : NULL;
}

struct str
address_text(const struct address *a, char text[ADDRESS_TEXT_MAX])
{
    const struct sockaddr *sa = address_sockaddr(a);
    const unsigned char *v4 = ipv4_bytes(sa);
    text[0] = '\0';
    if (v4 != NULL)
        inet_ntop(AF_INET, v4, text, ADDRESS_TEXT_MAX);
    else if (sa->sa_family == AF_INET6)
        inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr, text, ADDRESS_TEXT_MAX);
    return str_c(text);
}

void
address_ipv6(const struct address *a, unsigned char out[16])
{
    const struct sockaddr *sa = address_sockaddr(a);
    const unsigned char *v4 = ipv4_bytes(sa);
    memset(out, 0, 16);
    if (v4 != NULL) {
        out[10] = out[11] = 0xff;
        memcpy(out + 12, v4, 4);
    } else if (sa->sa_family == AF_INET6) {
        memcpy(out, &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr, 16);
    }
}

void
address_from_ipv6(const unsigned char ip[16], struct address *out)
{
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
    memcpy(&in6.sin6_addr, ip, 16);
    out->len = sizeof in6;
    memcpy(out->bytes, &in6, sizeof in6);
}

int
address_range_parse(struct str text, struct address_range *out)
{
    ptrdiff_t slash = str_chr(text, '/');
    struct str host = slash < 0 ? text : str_sub(text, 0, (size_t)slash);
    unsigned whole = str_chr(host, ':') >= 0 ? 128 : 32;
    struct address a;
    uint64_t bits = whole;
    if (!address_literal(host, 0, &a))
        return -1;
    if (slash >= 0 && (str_u64(str_from(text, (size_t)slash + 1), &bits) != 0 || bits > whole))
        return -1;
    address_ipv6(&a, out->ip);
    out->bits = (unsigned)bits + 128 - whole;
    return 0;
}

bool
address_in_ranges(const struct address *a, const struct address_range *ranges, unsigned n)
{
    unsigned char ip[16];
    address_ipv6(a, ip);
    for (unsigned i = 0; i < n; i++) {
        unsigned whole = ranges[i].bits / 8, rest = ranges[i].bits % 8;
        if (memcmp(ip, ranges[i].ip, whole) == 0 && (rest == 0 || (ip[whole] ^ ranges[i].ip[whole]) >> (8 - rest) == 0))
            return true;
    }
    return false;
}

bool
address_is_private(const struct address *a)
{
    const struct sockaddr *sa = address_sockaddr(a);
    const unsigned char *v4 = ipv4_bytes(sa);
    if (v4 != NULL)
        return v4[0] == 127 || v4[0] == 10 || v4[0] == 0 || (v4[0] == 172 && (v4[1] & 0xf0) == 16) ||
               (v4[0] == 192 && v4[1] == 168) || (v4[0] == 169 && v4[1] == 254);
    if (sa->sa_family == AF_INET6) {
        const struct in6_addr *in6 = &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr;
        return IN6_IS_ADDR_LOOPBACK(in6) || IN6_IS_ADDR_UNSPECIFIED(in6) || (in6->s6_addr[0] & 0xfe) == 0xfc ||
               IN6_IS_ADDR_LINKLOCAL(in6);
    }
    return false;
}

int
address_lookup(const char *name, char text[ADDRESS_TEXT_MAX], struct err *e)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_family = AF_UNSPEC}, *list;
    int rc = getaddrinfo(name, NULL, &hints, &list);
    if (rc == 0) {
        rc = getnameinfo(list->ai_addr, list->ai_addrlen, text, ADDRESS_TEXT_MAX, NULL, 0, NI_NUMERICHOST);
        freeaddrinfo(list);
    }
    if (rc != 0)
        err_set(e, "%s", gai_strerror(rc));
    return rc == 0 ? 0 : -1;
}
