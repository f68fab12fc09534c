#include "proto/uri.h"

#include "proto/octet.h"

enum { HOST_MAX = 253, LABEL_MAX = 63 };

/* Any of the bytes in SET? C is no NUL. */
static bool
one_of(char c, const char *set)
{
    return c != '\0' && strchr(set, c) != NULL;
}

static bool
is_escape(const char *p, const char *end)
{
    return end - p >= 3 && p[0] == '%' && str_hexdigit(p[1]) >= 0 && str_hexdigit(p[2]) >= 0;
}

static char
unescaped(const char *p)
{
    return (char)(str_hexdigit(p[1]) << 4 | str_hexdigit(p[2]));
}

/* Cut *REST before the first byte of SET, or at its end. */
static struct str
cut_before(struct str *rest, const char *set)
{
    struct str part;
    size_t n = 0;
    while (n < rest->len && !one_of(rest->ptr[n], set))
        n++;
    part = str_sub(*rest, 0, n);
    *rest = str_from(*rest, n);
    return part;
}

/* SCHEME ":" at the start of *REST, cut off; ptr NULL when there is none. */
static struct str
cut_scheme(struct str *rest)
{
    size_t n = 0;
    struct str scheme = str_of(NULL, 0);
    while (n < rest->len &&
           (octet_is_alpha(rest->ptr[n]) || (n > 0 && (octet_is_digit(rest->ptr[n]) || one_of(rest->ptr[n], "+-.")))))
        n++;
    if (n > 0 && n < rest->len && rest->ptr[n] == ':') {
        scheme = str_sub(*rest, 0, n);
        *rest = str_from(*rest, n + 1);
    }
    return scheme;
}

static int
read_port(struct str digits, uint16_t *port)
{
    uint64_t n;
    if (digits.len > 5 || str_u64(digits, &n) != 0 || n == 0 || n > UINT16_MAX)
        return -1;
    *port = (uint16_t)n;
    return 0;
}

/* Eight groups of at most four hexadecimal digits, some of them once left out with "::", the last two perhaps written
 * as an IPv4 address. */
static bool
is_ipv6(struct str s)
{
    const char *p = s.ptr, *end = p + s.len;
    int groups = 0;
    bool gap = s.len >= 2 && p[0] == ':' && p[1] == ':';
    if (gap)
        p += 2;
    while (p < end) {
        const char *from = p;
        while (p < end && str_hexdigit(*p) >= 0)
            p++;
        if (p < end && *p == '.') {
            unsigned dots = 0;
            uint64_t n;
            struct str rest = str_of(from, (size_t)(end - from)), part;
            for (; str_split(&rest, '.', &part); dots++)
                if (part.len > 3 || str_u64(part, &n) != 0 || n > 255)
                    return false;
            return dots == 4 && (gap ? groups + 2 < 8 : groups + 2 == 8);
        }
        if (p == from || p - from > 4)
            return false;
        groups++;
        if (p == end)
            break;
        if (*p++ != ':' || p == end)
            return false;
        if (*p == ':') {
            if (gap)
                return false;
            gap = true;
            p++;
        }
    }
    return gap ? groups < 8 : groups == 8;
}

/* [IPV6] or any other host, cut off from the front of an authority without user; the brackets are dropped.
 * 0, or -1 when brackets are wrong. */
static int
cut_host(struct str *rest, struct str *host)
{
    if (rest->len > 0 && *rest->ptr == '[') {
        ptrdiff_t end = str_chr(*rest, ']');
        if (end < 0)
            return -1;
        *host = str_sub(*rest, 1, (size_t)end - 1);
        *rest = str_from(*rest, (size_t)end + 1);
        return is_ipv6(*host) ? 0 : -1;
    }
    *host = cut_before(rest, ":");
    return 0;
}

/* The host of a URI may be any registered name (RFC 3986, 3.2.2), but nothing that others could cut elsewhere. */
static int
split_authority(struct uri *u)
{
    struct str rest = u->authority;
    ptrdiff_t at = str_chr(rest, '@');
    bool bracket;
    for (size_t i = 0; i < rest.len; i++)
        if (one_of(rest.ptr[i], "\\\"<>^`{|}"))
            return -1;
    if (at >= 0)
        rest = u->authority = str_from(rest, (size_t)at + 1);
    bracket = rest.len > 0 && *rest.ptr == '[';
    if (cut_host(&rest, &u->host) != 0)
        return -1;
    for (size_t i = 0; i < u->host.len && !bracket; i++)
        if (one_of(u->host.ptr[i], "@[]"))
            return -1;
    if (rest.len > 0 && *rest.ptr != ':')
        return -1;
    return rest.len <= 1 ? 0 : read_port(str_from(rest, 1), &u->port);
}

int
uri_split(struct str text, struct uri *out)
{
    *out = (struct uri){.port = 0};
    for (size_t i = 0; i < text.len; i++)
        if (!octet_is_visible(text.ptr[i]))
            return -1;
    if (text.ptr == NULL)
        text = STR("");
    out->scheme = cut_scheme(&text);
    if (str_starts(text, STR("//"))) {
        text = str_from(text, 2);
        out->authority = cut_before(&text, "/?#");
        if (split_authority(out) != 0)
            return -1;
    }
    out->path = cut_before(&text, "?#");
    if (text.len > 0 && *text.ptr == '?') {
        text = str_from(text, 1);
        out->query = cut_before(&text, "#");
    }
    if (text.len > 0)
        out->fragment = str_from(text, 1);
    return 0;
}

/* Labels of letters, digits, '-' and '_', none of them empty but for one behind a last dot. */
static bool
is_name(struct str host)
{
    struct str rest = host, label;
    if (host.len == 0 || host.len > HOST_MAX)
        return false;
    while (str_split(&rest, '.', &label)) {
        bool root = rest.ptr == NULL && host.len > 1;
        if (label.len > LABEL_MAX || (label.len == 0 && !root))
            return false;
        for (size_t i = 0; i < label.len; i++)
            if (!octet_is_alpha(label.ptr[i]) && !octet_is_digit(label.ptr[i]) && !one_of(label.ptr[i], "-_"))
                return false;
    }
    return true;
}

int
uri_host_port(struct str text, struct str *host, uint16_t *port)
{
    bool bracket = text.len > 0 && *text.ptr == '[';
    *port = 0;
    if (cut_host(&text, host) != 0 || (!bracket && !is_name(*host)))
        return -1;
    if (text.len == 0)
        return 0;
    return *text.ptr == ':' ? read_port(str_from(text, 1), port) : -1;
}

/* Remove "." and ".." from a path (RFC 3986, 5.2.4) in place; returns its new length. What is written is never longer
 * than what was read, so the two may share the memory. */
static size_t
remove_dots(char *path, size_t len)
{
    struct str in = str_of(path, len);
    size_t out = 0;
    while (in.len > 0) {
        struct str segment;
        bool slash = *in.ptr == '/';
        size_t n = slash;
        while (n < in.len && in.ptr[n] != '/')
            n++;
        segment = str_sub(in, slash, n - slash);
        if (!str_eq(segment, STR(".")) && !str_eq(segment, STR(".."))) {
            memmove(path + out, in.ptr, n);
            out += n;
            in = str_from(in, n);
            continue;
        }
        if (slash && segment.len == 2) {
            while (out > 0 && path[--out] != '/')
                ;
        }
        in = str_from(in, n);
        if (slash && in.len == 0)
            path[out++] = '/'; /* "/a/.." is "/" */
        else if (!slash)
            in = str_from(in, 1); /* "../a" is "a" */
    }
    return out;
}

/* Append COMPONENT with its escapes in their normal form. 0, or -1 when OUT is full. */
static int
put_normal(struct str component, struct buf *out)
{
    static const char hex[] = "0123456789ABCDEF";
    const char *end = component.ptr + component.len;
    bool escapes = true; /* is every '%' one? else they all stand for themselves */
    for (const char *p = component.ptr; p < end && escapes; p++)
        escapes = *p != '%' || is_escape(p, end);
    for (const char *p = component.ptr; p < end; p++) {
        char c = *p, escaped[3] = {'%', 0, 0};
        bool escape = escapes && c == '%';
        if (escape) {
            c = unescaped(p);
            p += 2;
        }
        if (escape ? octet_is_unreserved(c)
                   : octet_is_visible(c) && (unsigned char)c < 0x80 && c != '%' && !one_of(c, "\"<>\\^`{|}#")) {
            if (buf_addc(out, c) != 0)
                return -1;
            continue;
        }
        escaped[1] = hex[(unsigned char)c >> 4];
        escaped[2] = hex[(unsigned char)c & 15];
        if (buf_add(out, escaped, 3) != 0)
            return -1;
    }
    return 0;
}

int
uri_normalise(struct str target, struct buf *out, size_t *path_len)
{
    size_t begin = out->len;
    struct str part;
    if (target.len == 0 || *target.ptr != '/')
        return -1;
    part = cut_before(&target, "?#");
    if (put_normal(part, out) != 0)
        goto full;
    *path_len = remove_dots(out->ptr + begin, out->len - begin);
    out->len = begin + *path_len;
    while (target.len > 0) { /* at '?', then at '#' */
        bool query = *target.ptr == '?';
        if (buf_addc(out, *target.ptr) != 0)
            goto full;
        target = str_from(target, 1);
        part = query ? cut_before(&target, "#") : cut_before(&target, "");
        if (put_normal(part, out) != 0)
            goto full;
    }
    return 0;
full:
    out->len = begin;
    return -1;
}

/* The base's path up to its last slash, and the reference's behind it (RFC 3986, 5.2.3). */
static int
put_merged(const struct uri *base, struct str path, struct buf *out)
{
    struct str directory = base->path;
    while (directory.len > 0 && directory.ptr[directory.len - 1] != '/')
        directory.len--;
    if (base->path.len == 0 && base->authority.ptr != NULL)
        directory = STR("/");
    return buf_adds(out, directory) == 0 && buf_adds(out, path) == 0 ? 0 : -1;
}

/* The path of the result; *QUERY becomes the query that goes with it. */
static int
put_path(const struct uri *base, const struct uri *ref, struct buf *out, struct str *query)
{
    size_t begin = out->len;
    bool own = ref->scheme.ptr != NULL || ref->authority.ptr != NULL || ref->path.len > 0;
    *query = own || ref->query.ptr != NULL ? ref->query : base->query;
    if (!own)
        return buf_adds(out, base->path);
    if (ref->scheme.ptr != NULL || ref->authority.ptr != NULL || *ref->path.ptr == '/') {
        if (buf_adds(out, ref->path) != 0)
            return -1;
    } else if (put_merged(base, ref->path, out) != 0) {
        return -1;
    }
    if (out->len > begin)
        out->len = begin + remove_dots(out->ptr + begin, out->len - begin);
    return 0;
}

int
uri_resolve(struct str base, struct str reference, struct buf *out)
{
    struct uri b, r;
    struct str scheme, authority, query;
    size_t begin = out->len, path;
    if (uri_split(base, &b) != 0 || b.scheme.ptr == NULL || uri_split(reference, &r) != 0)
        return -1;
    scheme = r.scheme.ptr != NULL ? r.scheme : b.scheme;
    authority = r.scheme.ptr != NULL || r.authority.ptr != NULL ? r.authority : b.authority;
    if (buf_adds(out, scheme) != 0 || buf_addc(out, ':') != 0)
        goto fail;
    if (authority.ptr != NULL && (buf_adds(out, STR("//")) != 0 || buf_adds(out, authority) != 0))
        goto fail;
    path = out->len;
    if (put_path(&b, &r, out, &query) != 0)
        goto fail;
    if (authority.ptr == NULL && str_starts(str_from(buf_str(out), path), STR("//")))
        goto fail; /* would be read as an authority */
    if (query.ptr != NULL && (buf_addc(out, '?') != 0 || buf_adds(out, query) != 0))
        goto fail;
    return 0;
fail:
    out->len = begin;
    return -1;
}

bool
uri_query_next(struct str *rest, struct str *name, struct str *value)
{
    struct str part;
    while (str_split(rest, '&', &part)) {
        ptrdiff_t at = str_chr(part, '=');
        if (part.len == 0)
            continue;
        *name = at < 0 ? part : str_sub(part, 0, (size_t)at);
        *value = at < 0 ? STR("") : str_from(part, (size_t)at + 1);
        return true;
    }
    return false;
}

void
uri_decode(struct str text, bool plus, struct buf *out)
{
    const char *end = text.len > 0 ? text.ptr + text.len : text.ptr;
    for (const char *p = text.ptr; p < end; p++) {
        if (is_escape(p, end)) {
            buf_addc(out, unescaped(p));
            p += 2;
        } else if (plus && *p == '+') {
            buf_addc(out, ' ');
        } else {
            buf_addc(out, *p);
        }
    }
}

uint16_t
uri_default_port(struct str scheme)
{
    if (str_ieq(scheme, STR("http")) || str_ieq(scheme, STR("ws")))
        return 80;
    return str_ieq(scheme, STR("https")) || str_ieq(scheme, STR("wss")) ? 443 : 0;
}
