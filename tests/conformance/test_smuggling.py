"""Requests that two readers could understand differently: none of them may get past the proxy in two ways.

Each row is a request with something odd in it, and says what must become of it: refused, forwarded once, or waited for.
It is sent with HTTP/1.1 and 1.0; whole, cut in two at its edges, and byte by byte; always with an ordinary request
behind it, which must be answered where the connection lives on and never where it does not. Everything that arrives at
the origin is read by strict_http, which takes nothing but what RFC 9112 writes. See smuggling_rig.py.
"""

import re

import pytest

from harness import Reply
from smuggling_rig import Fault, Rig, cuts, new_tag, report, same

# what becomes of a row

INVALID = b"Failed to parse request: "
NAME, VALUE, LINE, TOKEN = (INVALID + t + b"\n" for t in (b"invalid header name", b"invalid header value", b"invalid new line",
                                                          b"invalid token"))
LENGTH, CODING = INVALID + b"invalid content length\n", INVALID + b"unsupported transfer encoding\n"
VERSION = INVALID + b"invalid HTTP version\n"
SIZE, SUFFIX, LARGE = (INVALID + t + b"\n" for t in (b"invalid chunk size", b"invalid chunk suffix", b"chunk too large"))
EVIL = b"GET /smuggled-{T} HTTP/1.1\r\nHost: o\r\n\r\n"
EVIL_LEN = len(EVIL) - len(b"{T}") + len(new_tag())      # on the wire


def refused(text=b"", status=400):
    return {"status": status, "text": text}


def forwarded(*bodies, host=b"o", **kw):
    """Bodies of the requests that the origin gets, the first for the row's own target. close: the connection ends then;
    then: what follows is refused with that; without: headers that do not go on; target: what becomes of it."""
    return dict(kw, bodies=bodies or (b"hello",), host=host)


HELLO = forwarded()
WAITED = {"wait": True}


class Row:
    """DATA with {T} for the tag and {V} for the version. old: what becomes of it with HTTP/1.0; None: there is no such
    variant."""

    def __init__(self, name, data, new, old="same", method="POST"):
        self.name, self.data, self.new, self.method = name, data, new, method
        self.old = None if b"{V}" not in data else new if old == "same" else old

    def talks(self):
        for version, what, n in (b"1.1", self.new, 6), (b"1.0", self.old, 2):
            if what is None:
                continue
            data = self.data.replace(b"{V}", version)
            for way, cut in cuts(data.replace(b"{T}", new_tag()), n):
                yield "%s, HTTP/%s, %s" % (self.name, version.decode(), way), self.talk(data, what, version == b"1.1", cut)

    def talk(self, data, what, persistent, cut):
        async def run(rig):
            tag = new_tag()
            sent = data.replace(b"{T}", tag)
            pieces = cut(sent)
            pieces[-1] += b"GET /end-%s HTTP/1.1\r\nHost: o\r\nConnection: close\r\n\r\n" % tag
            c = await rig.connect()
            await rig.send_pieces(c, pieces)
            if "wait" in what:
                await rig.barrier()
                same("before the end of the request", (c.data, c.gone), (b"", False))
                c.finish()
            await c.end()
            bodies = list(what.get("bodies", ()))
            answers = [m for m in c.answers([self.method] + ["GET"] * (len(bodies) or "own" in what)).messages if m.status != 100]
            on = persistent and not what.get("close") and "then" not in what
            if "status" in what:
                rig.refused += 1
                same("answers", [m.status for m in answers], [what["status"]])
                same("its version, type and Connection", (answers[0].version, answers[0].get(b"Content-Type"),
                        answers[0].get(b"Connection")),
                     (b"HTTP/1.1", b"text/plain", b"close"))
                if what["text"] not in answers[0].body or answers[0].body[-1:] != b"\n":
                    raise Fault("refused with %r" % answers[0].body)
            else:
                own = [what["own"]] if "own" in what else []
                then = [what["then"]] if "then" in what else [200] if (bodies or own) and on else []
                rig.refused += len(then) if "then" in what else 0
                same("answers", [m.status for m in answers], own + [200] * len(bodies) + then)
                if then == [200]:
                    same("the last answer", answers[-1].body, b"/end-" + tag)
            rig.later.append((" ".join((self.name, repr(persistent), repr(len(pieces)))),
                    lambda: self.look(rig, tag, what, on)))
        return run

    @staticmethod
    def look(rig, tag, what, on):
        got = rig.got.pop(tag, [])
        bodies = [b.replace(b"{T}", tag) for b in what.get("bodies", ())]
        same("bodies at the origin", [m.body for m in got], bodies + ([b""] if (bodies or "own" in what) and on else []))
        if not bodies:
            return
        same("Host at the origin", got[0].get(b"Host"), what["host"])
        if b"smuggled" in got[0].target or "target" in what and got[0].target != what["target"].replace(b"{T}", tag):
            raise Fault("target at the origin: %r" % got[0].target)
        for name in what.get("without", ()):
            same("%s at the origin" % name, got[0].get_all(name), [])


def post(name, fields, body, new, old="same", method="POST"):
    """FIELDS: header lines besides Host."""
    return Row(name, b"".join([method.encode(), b" /{T} HTTP/{V}\r\nHost: o\r\n"] + [f + b"\r\n" for f in fields] + [b"\r\n",
            body]), new, old,
               method)


def plain(b):
    return repr(b)[2:-1]


# the tables

CHUNKED = b"5\r\nhello\r\n0\r\n\r\n"

GOOD_LENGTHS = [b"5", b"05", b"0000000000000000000000005", b"5  ", b"\t5\t"]
BAD_LENGTHS = [b"", b"+5", b"-5", b"-0", b"0x5", b"5 5", b"5,5", b"5, 5", b"5,6", b"5;", b"5.0", b"5e0", b"five", b"\"5\"",
        b"5h", b"5_0", b"1 0", b"9223372036854775808", b"18446744073709551621", b"99999999999999999999999999",
        b"\xef\xbc\x95", b"5\xa0", b"\xa05"]
GOOD_CODINGS = [b"chunked", b"Chunked", b"CHUNKED", b"cHuNkEd", b"  chunked", b"chunked  ", b"\tchunked\t"]
BAD_CODINGS = [b"", b"identity", b"xchunked", b"chunkedx", b"chunke", b"chunked;x", b"chunked;q=1", b"chunked ; x",
        b"chunked,", b",chunked", b", chunked", b"chunked, chunked", b"chunked,chunked", b"identity, chunked",
        b"chunked, identity", b"gzip, chunked", b"chunked, gzip", b"gzip", b"deflate", b"trailers", b"\"chunked\"",
        b"'chunked'", b"chun ked", b"chunked foo", b"chunked\tfoo", b"chunked\xa0", b"\xa0chunked", b"\xffchunked",
        b"chunked\x80", b"chun\xc4\xb1ked", b"c%68unked", b"chunked=", b"chunked/1", b"5"]
CONTROLS = [b"\x00", b"\x01", b"\x08", b"\x0b", b"\x0c", b"\x1b", b"\x1f", b"\x7f"]


def lengths():
    for v in GOOD_LENGTHS:
        yield post("Content-Length:%s" % plain(v), [b"Content-Length: " + v], b"hello", HELLO)
    yield post("Content-Length without a space", [b"Content-Length:5"], b"hello", HELLO)
    yield post("Content-Length: 0 before a request", [b"Content-Length: 0"], b"GET /second-{T} HTTP/1.1\r\nHost: o\r\n\r\n",
               forwarded(b"", b""), forwarded(b""))
    yield post("Content-Length of a request in the body", [b"Content-Length: %d" % EVIL_LEN], EVIL, forwarded(EVIL))
    yield post("Content-Length of a request in the body, and a byte", [b"Content-Length: %d" % (EVIL_LEN + 1)], EVIL + b"x",
            forwarded(EVIL + b"x"))
    for v in BAD_LENGTHS:
        yield post("Content-Length:%s" % plain(v), [b"Content-Length: " + v], b"hello", refused(LENGTH))
    for c in CONTROLS:
        yield post("Content-Length with %s behind" % plain(c), [b"Content-Length: 5" + c], b"hello", refused(VALUE))
        yield post("Content-Length with %s before" % plain(c), [b"Content-Length: " + c + b"5"], b"hello", refused(VALUE))
    for a, b in (b"5", b"5"), (b"5", b"6"), (b"6", b"5"), (b"0", b"5"), (b"5", b"0"), (b"5", b""), (b"", b"5"), (b"5", b"05"), \
            (b"5", b"x"):
        for second in b"Content-Length", b"content-length", b"CONTENT-LENGTH":
            yield post("%s: twice, %s and %s" % (plain(second), plain(a), plain(b)),
                    [b"Content-Length: " + a, b"X: y", second + b": " + b], b"hello",
                       refused(INVALID))
    yield post("Content-Length: three times", [b"Content-Length: 5"] * 3, b"hello", refused(INVALID))
    for v in b"9223372036854775807", b"6000":
        yield post("Content-Length: %s and less" % plain(v), [b"Content-Length: " + v], b"hello", WAITED)


def codings():
    for v in GOOD_CODINGS:
        yield post("Transfer-Encoding:%s" % plain(v), [b"Transfer-Encoding: " + v], CHUNKED, HELLO, refused(CODING))
    yield post("Transfer-Encoding without a space", [b"Transfer-Encoding:chunked"], CHUNKED, HELLO, refused(CODING))
    for v in BAD_CODINGS:
        yield post("Transfer-Encoding:%s" % plain(v), [b"Transfer-Encoding: " + v], CHUNKED, refused(CODING))
    for c in CONTROLS:
        yield post("Transfer-Encoding with %s behind" % plain(c), [b"Transfer-Encoding: chunked" + c], CHUNKED, refused(VALUE))
        yield post("Transfer-Encoding with %s before" % plain(c), [b"Transfer-Encoding: " + c + b"chunked"], CHUNKED,
                refused(VALUE))
        yield post("Transfer-Encoding with %s within" % plain(c), [b"Transfer-Encoding: chun" + c + b"ked"], CHUNKED,
                refused(VALUE))
    for a in b"chunked", b"identity", b"", b"x":
        for b in b"chunked", b"identity", b"", b"x":
            yield post("Transfer-Encoding: twice, %s and %s" % (plain(a), plain(b)),
                    [b"Transfer-Encoding: " + a, b"transfer-encoding: " + b],
                       CHUNKED, refused(INVALID))


def both():
    for v in GOOD_CODINGS + BAD_CODINGS:
        for n in b"5", b"15":
            te, cl = b"Transfer-Encoding: " + v, b"Content-Length: " + n
            if n == b"5":
                yield post("Content-Length: %s, then Transfer-Encoding:%s" % (plain(n), plain(v)), [cl, te], CHUNKED,
                        refused(INVALID))
            else:
                yield post("Transfer-Encoding:%s, then Content-Length: %s" % (plain(v), plain(n)), [te, b"X: y", cl], CHUNKED,
                        refused(INVALID))


def names():
    good = ((b"Content-Length", b"5", b"hello", LENGTH), (b"Transfer-Encoding", b"chunked", CHUNKED, CODING))
    for name, value, body, why in good:
        for n in name.lower(), name.upper(), name.swapcase():
            yield post("name %s" % plain(n), [n + b": " + value], body, HELLO, HELLO if name[:1] == b"C" else refused(why))
        for n in [name + b" ", name + b"\t", b" " + name, b"\t" + name, name.replace(b"-", b" "), name + b";", name + b"=",
                b"(" + name, name + b"\"",
                  name + b"\x80", b"\xef\xbb\xbf" + name, b":" + name, name + b"/", name + b",", name + b"\r", b"\r" + name,
                          name + b"@", b"[" + name]:
            yield post("name %s" % plain(n), [n + b": " + value], body, refused(INVALID if b"\r" in n else NAME))
        for c in CONTROLS:
            for n in name + c, c + name, name.replace(b"-", b"-" + c):
                yield post("name %s" % plain(n), [n + b": " + value], body, refused(NAME))
        yield post("name %s without a colon" % plain(name), [name + b" " + value], body, refused(NAME))
        yield post("name %s alone" % plain(name), [name], body, refused(NAME))
        yield post("name %s cut by LF" % plain(name), [name[:7] + b"\n" + name[7:] + b": " + value], body, refused(LINE))
        # what only looks like it means nothing to us, and goes on like any header
        for n in [name.replace(b"-", b"_"), name + b"-", b"X-" + name, name.replace(b"-", b"."), name.replace(b"-", b""),
                name + b"2", name[:-1],
                  b"'" + name, name + b"'", b"!" + name, name + b"|"]:
            yield post("name %s beside the length" % plain(n), [n + b": " + value.replace(b"5", b"50"), b"Content-Length: 5"],
                    b"hello", HELLO)
    yield post("name empty", [b": 5"], b"hello", refused(NAME))
    yield post("name space", [b" : 5"], b"hello", refused(NAME))


def folds():
    for f in b" ", b"\t", b"  ":
        yield post("folded Transfer-Encoding by %s" % plain(f), [b"Transfer-Encoding:\r\n" + f + b"chunked"], CHUNKED,
                   refused(NAME))
        yield post("folded Content-Length by %s" % plain(f), [b"Content-Length:\r\n" + f + b"5"], b"hello", refused(NAME))
        yield post("folded value by %s" % plain(f), [b"Content-Length: 5", b"X: y\r\n" + f + b"z"], b"hello", refused(NAME))
        yield post("folded line with a header by %s" % plain(f), [b"X: y", f + b"Transfer-Encoding: chunked"], CHUNKED,
                refused(NAME))
        yield post("fold of nothing by %s" % plain(f), [b"Content-Length: 5", f], b"hello", refused(NAME))
        yield Row("fold before the first header by %s" % plain(f), b"POST /{T} HTTP/{V}\r\n" + f + b"Host: o\r\n\r\n",
                refused(NAME))
        yield post("folded list by %s" % plain(f), [b"Transfer-Encoding: chunked,\r\n" + f + b"chunked"], CHUNKED,
                refused(NAME))


def line_ends():
    lines = [b"POST /{T} HTTP/{V}", b"Host: o", b"Content-Length: 5", b"", b"hello"]
    for i, where in enumerate(("the request line", "Host", "a header", "the head")):
        for end, why in (b"\n", LINE), (b"\r", INVALID), (b"\r\r\n", INVALID), (b"\n\r", LINE), (b"\n\n", LINE), \
                (b"\r\x00\n", INVALID), (b"\x00\r\n", INVALID), (b"\x0b\n", INVALID), (b"\x00", INVALID):
            ends = [b"\r\n"] * 4 + [b""]
            ends[i] = end
            yield Row("%s ended by %s" % (where, plain(end)), b"".join(x for pair in zip(lines, ends) for x in pair),
                    refused(why))
    yield Row("all lines ended by LF", b"\n".join(lines), refused(LINE))
    yield Row("an empty line before", b"\r\n" + b"\r\n".join(lines), HELLO)
    yield Row("four empty lines before", b"\r\n" * 4 + b"\r\n".join(lines), HELLO)
    yield Row("LF before", b"\n" + b"\r\n".join(lines), refused(INVALID))
    yield Row("CR before", b"\r" + b"\r\n".join(lines), refused(LINE))
    yield Row("40 empty lines before", b"\r\n" * 40 + b"\r\n".join(lines), HELLO)
    yield Row("a space before", b" " + b"\r\n".join(lines), refused(TOKEN))
    for v, why in (b"a\nTransfer-Encoding: chunked", LINE), (b"a\rTransfer-Encoding: chunked", LINE), (b"a\n\nb", LINE), \
            (b"a\r\rb", LINE):
        yield post("value %s" % plain(v), [b"Content-Length: 5", b"X: " + v], b"hello", refused(why))
    for i in 0, 1, 2, 3:                # header lines after a space, as a line that is no header
        yield post("junk line %d" % i, [b"Content-Length: 5", (b"junk", b"\x00", b"=", b"GET / HTTP/1.1")[i]], b"hello",
                refused(NAME))


def start_lines():
    rest = b"\r\nHost: o\r\nContent-Length: 5\r\n\r\nhello"
    for v in b"HTTP/0.9", b"HTTP/1.2", b"HTTP/2.0", b"HTTP/2", b"HTTP/3.0", b"HTTP/0.0", b"http/1.1", b"Http/1.1", \
            b"HTTP/ 1.1", b"HTTP/1,1", b"HTTPS/1.1", b"HTTP/x.1", b"HTTP/+1.1", b"HTTP/01.1", b"HTTP 1.1", b"HTTP/1", b"HTTP", \
            b"XTTP/1.1", b"HTTP/1.\xd9\xa1", b"/x HTTP/1.1", b"\x00HTTP/1.1":
        yield Row("version %s" % plain(v), b"POST /{T} " + v + rest, refused(VERSION, 505))
    for v in b"HTTP/1.10", b"HTTP/1.1.1", b"HTTP/1.1x", b"HTTP/1.1 ", b"HTTP/1.1\t", b"HTTP/1.1\x00", b"HTTP/1.1 x", \
            b"HTTP/1.1,", b"HTTP/1.0\x0b", b"HTTP/1.0 HTTP/1.1":
        yield Row("version %s" % plain(v), b"POST /{T} " + v + rest, refused(LINE))
    for m in b"", b"\x00POST", b"PO\x00ST", b"P\xd6ST", b"POST:", b"(POST)", b"PO\rST", b"PO\nST", b"POST\t", b"{POST}", \
            b"POST/", b"\"POST\"", b"PO@T", b"P\x7fST":
        yield Row("method %s" % plain(m), m + b" /{T} HTTP/{V}" + rest, refused(INVALID))
    for t in b"*", b"x/{T}", b"o:80", b"ftp://o/{T}", b"http:/{T}", b"http//{T}", b"?{T}", b"#{T}", b"http://u@o/{T}", \
            b"http://o:x/{T}", b"http://o:99999/{T}", b"http:///{T}", b"http://o,p/{T}", b"http://o\\p/{T}", b"://o/{T}", \
            b"javascript:{T}", b"http://[::1/{T}":
        yield Row("target %s" % plain(t), b"POST " + t + b" HTTP/{V}" + rest, refused())
    for c in CONTROLS + [b"\t", b"\r", b"\n"]:
        for t in b"/{T}" + c, b"/" + c + b"{T}", b"/{T}?" + c + b"x":
            yield Row("target %s" % plain(t), b"POST " + t + b" HTTP/{V}" + rest, refused(INVALID))
    for sep in b"\t", b"  ", b" \t", b"\x0b", b"\xa0", b"\r", b"\x00":
        yield Row("%s behind the method" % plain(sep), b"POST" + sep + b"/{T} HTTP/{V}" + rest, refused(INVALID))
    for sep in b"  ", b" \t", b"\t":
        yield Row("%s behind the target" % plain(sep), b"POST /{T}" + sep + b"HTTP/{V}" + rest,
                refused(INVALID, 400 if sep == b"\t" else 505))
    for line in b"GET /{T}", b"GET", b"GET ", b"", b"/{T}", b"\x16\x03\x01\x02", b"GET /{T} ":
        why = refused(INVALID, 505 if line == b"GET /{T} " else 400)
        if line:
            yield Row("HTTP/0.9 %s" % plain(line), line + b"\r\n\r\n", why)
    yield Row("HTTP/2's preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", refused(VERSION, 505))
    for m in b"get", b"Post", b"PATCHED", b"M-SEARCH", b"!#$%&'*+-.^_`|~":
        yield Row("method %s" % plain(m), m + b" /{T} HTTP/{V}" + rest, HELLO, method=m.decode())
    for t, to in (b"/{T}\xff", b"/{T}%FF"), (b"/{T}%0d%0aX:%20y", b"/{T}%0D%0AX:%20y"), (b"/{T}%00", b"/{T}%00"), \
            (b"/{T}%", b"/{T}%25"), (b"/{T}\\x", b"/{T}%5Cx"), (b"/{T}\"<>", b"/{T}%22%3C%3E"), (b"/a/../{T}", b"/{T}"), \
            (b"/a/%2e%2e/{T}", b"/{T}"), (b"//o/{T}", b"//o/{T}"), (b"http://o/{T}", b"/{T}"), (b"HTTP://o/{T}", b"/{T}"), \
            (b"/http://p/{T}", b"/http://p/{T}"), (b"/{T}?a=%0d%0a", b"/{T}?a=%0D%0A"), (b"/;{T}", b"/;{T}"):
        yield Row("target %s" % plain(t), b"POST " + t + b" HTTP/{V}" + rest, forwarded(target=to))
    yield Row("a target longer than a head may be", b"GET /{T}" + b"a" * 9000 + b" HTTP/{V}\r\nHost: o\r\n\r\n",
            refused(status=414))
    yield Row("a header longer than a head may be", b"GET /{T} HTTP/{V}\r\nHost: o\r\nX: " + b"a" * 9000 + b"\r\n\r\n",
            refused(status=431))
    yield Row("65 headers", b"GET /{T} HTTP/{V}\r\nHost: o\r\n" + b"A: b\r\n" * 64 + b"\r\n",
            refused(INVALID + b"too many headers\n", 431))
    yield Row("64 headers", b"GET /{T} HTTP/{V}\r\nHost: o\r\n" + b"A: b\r\n" * 63 + b"\r\n", forwarded(b""), method="GET")


def hosts():
    def with_hosts(name, fields, new, old="same", target=b"/{T}"):
        return Row("Host " + name,
                b"POST " + target + b" HTTP/{V}\r\n" + b"".join(f + b"\r\n" for f in fields) + b"Content-Length: 5\r\n\r\nhello", new, old)
    yield with_hosts("missing", [], refused(INVALID), forwarded(host=b"localhost"))
    yield with_hosts("missing, absolute target", [], refused(INVALID), HELLO, b"http://o/{T}")
    for a, b in (b"Host: o", b"Host: o"), (b"Host: o", b"Host: p"), (b"Host: o", b"host: p"), (b"HOST: o", b"Host:"), \
            (b"Host:", b"Host: o"):
        yield with_hosts("%s and %s" % (plain(a), plain(b)), [a, b"X: y", b], refused(INVALID))
    yield with_hosts("twice, absolute target", [b"Host: o", b"Host: p"], refused(INVALID), target=b"http://o/{T}")
    for v in b"", b"a b", b"a,b", b"a, b", b"a/b", b"a@b", b"a\\b", b"a:x", b"a:99999", b"a:80:90", b"[::1", b"[::1]x", \
            b"::1", b"a?b", b"a#b", b"http://a", b"a\"b", b"a;b", b"a\xffb", b"a%00b", b"a..b", b".", b"a\tb", b"*", b"a=b", \
            b"(a)":
        yield with_hosts(plain(v) or "empty", [b"Host: " + v], refused())
    for c in CONTROLS:
        yield with_hosts(plain(c), [b"Host: o" + c], refused(VALUE))
    for t, h in (b"http://p/{T}", b"p"), (b"http://p:81/{T}", b"p:81"), (b"https://p/{T}", b"p"), \
            (b"http://[::1]/{T}", b"[::1]"):
        yield with_hosts("o, target %s" % plain(t), [b"Host: o"], forwarded(host=h), target=t)
    for v in b"o:80", b" o ", b"\to", b"O":
        yield with_hosts(plain(v), [b"Host:" + v], HELLO)
    for n in b"Host ", b" Host", b"Host\t", b"Ho\x00st", b"H\xf6st":
        yield with_hosts("named %s" % plain(n), [n + b": o"], refused(NAME))
    yield with_hosts("and X-Forwarded-Host, Forwarded, X-Host", [b"Host: o", b"X-Forwarded-Host: p", b"Forwarded: host=p",
            b"X-Host: p"], HELLO)


def chunks():
    def body(name, data, new):
        return post("chunk " + name, [b"Transfer-Encoding: chunked"], data, new, None)
    tail = b"\r\nhello\r\n0\r\n\r\n"
    for s in b"5", b"05", b"00000000000000000000000000005", b"5;a", b"5;a=b", b"5;a=\"b\"", b"5;a=\"b;c\"", b"5;a;b;c", \
            b"5;" + b"a" * 200, b"5;", b"5;;", b"5; a", b"5;a = b", b"5;\"", b"5;\xff":
        yield body("line %s" % plain(s), s + tail, HELLO)
    for s in b"", b" ", b"+5", b"-5", b"0x5", b"0X5", b"x5", b" 5", b"\t5", b"5 ", b"5\t", b"5 ;a", b"5\t;a", b"5,a", b"5 5", \
            b"5=", b"5.", b"5_", b"g", b"5g", b"five", b"5\x00", b"\x005", b"5\x0b", b"5\xa0", b"\xef\xbc\x95", b";a", \
            b"\"5\"", b"5:", b"5;a\x00b", b"5;a\x0b", b"5;a\x7f", b"5;" + b"a" * 300, b"0" * 300 + b"5", b"#5", b"5#", b"5%", \
            b"%35":
        yield body("line %s" % plain(s), s + tail, refused(SIZE))
    for s in b"5\n", b"5;a\n", b"5;a=\"\n\"", b"5\r", b"5;a\rb", b"5;a=\"\r\n\"\r", b"\n", b"5\r\x00", b"5;a=\"b\r\n\x00", \
            b"5\r\r":
        rest = b"hello\r\n0\r\n\r\n"
        yield body("line %s" % plain(s), s + rest, refused(INVALID))
    for s in b"100000005", b"000100000005", b"ffffffffffffffff", b"10000000000000005", b"FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5":
        yield body("size %s" % plain(s), s + tail, refused(LARGE))
    yield body("size FFFFFFFF and less", b"FFFFFFFF" + tail, WAITED)
    for d, why in (b"helloX\r\n", SUFFIX), (b"hello\n", INVALID), (b"hello\r", SUFFIX), (b"hello\rX\n", SUFFIX), \
            (b"hello\n\r", INVALID), (b"hello", SUFFIX), (b"hello \r\n", SUFFIX), (b"hello\x00\r\n", SUFFIX), \
            (b"helloworld\r\n", SUFFIX), (b"hell\r\n", INVALID), (b"hello\r\r\n", SUFFIX), (b"hello\r\n\r\n", SIZE), \
            (b"hello;\r\n", SUFFIX):
        yield body("data %s" % plain(d), b"5\r\n" + d + b"0\r\n\r\n", refused(why))
    for last in b"00", b"0000000", b"0;a=b":
        yield body("last %s" % plain(last), b"5\r\nhello\r\n" + last + b"\r\n\r\n", HELLO)
    for end, why in (b"0\r\n", NAME), (b"0\n\r\n", LINE), (b"0\r\n\n", LINE), (b"0\r\r\n\r\n", LINE), (b"0\r\n\r", LINE), \
            (b"0\n\n", LINE), (b"0 \r\n\r\n", SIZE), (b"-0\r\n\r\n", SIZE), (b"0x0\r\n\r\n", SIZE), (b"", INVALID), \
            (b"\r\n", SIZE), (b"0\r\nX\r\n\r\n", NAME), (b"0\r\nX : y\r\n\r\n", NAME), (b"0\r\n X: y\r\n\r\n", NAME), \
            (b"0\r\nX: y\r\n z\r\n\r\n", NAME), (b"0\r\nX: y\n\r\n", LINE), (b"0\r\nX: \x00\r\n\r\n", VALUE), \
            (b"0\r\n\x00: y\r\n\r\n", NAME), (b"0\r\nX: y\r\r\n", LINE), (b"0\r\n: y\r\n\r\n", NAME), \
            (b"0\r\nX: y\r\n\n", LINE), (b"0\r\nX\xff: y\r\n\r\n", NAME):
        yield body("end %s" % plain(end), b"5\r\nhello\r\n" + end, refused(why))
    for t in b"X: y", b"X:", b"Content-Length: 50", b"Content-Length: x", b"Transfer-Encoding: chunked", \
            b"Transfer-Encoding: identity", b"Host: p", b"Connection: close", b"Expect: 100-continue", b"Upgrade: websocket", \
            b"Trailer: X", b"Grip-Sig: x":
        yield body("trailer %s" % plain(t), b"5\r\nhello\r\n0\r\n" + t + b"\r\n\r\n",
                forwarded(without=[t.partition(b":")[0]] if t[:4] not in (b"Host", b"Grip", b"Cont") else []))
    yield body("trailers: 65", b"5\r\nhello\r\n0\r\n" + b"A: b\r\n" * 65 + b"\r\n", refused(INVALID, 431))
    yield body("trailers too long", b"5\r\nhello\r\n0\r\nA: " + b"a" * 9000 + b"\r\n\r\n", refused(status=431))
    yield body("of one byte each", b"1\r\nh\r\n1\r\ne\r\n1\r\nl\r\n1\r\nl\r\n1\r\no\r\n0\r\n\r\n", HELLO)
    yield body("none", b"0\r\n\r\n", forwarded(b""))
    yield body("that is a request", b"%x\r\n" % EVIL_LEN + EVIL + b"\r\n0\r\n\r\n", forwarded(EVIL))
    yield body("that is a request, too short", b"%x\r\n" % (EVIL_LEN - 1) + EVIL + b"\r\n0\r\n\r\n", refused(INVALID))
    yield body("that ends before a request", b"0\r\n\r\n" + EVIL.replace(b"smuggled", b"second"), forwarded(b"", b""))


def connections():
    length, chunked = [b"Content-Length: 5"], [b"Transfer-Encoding: chunked"]
    for v in b"Content-Length", b"content-length", b"Transfer-Encoding", b"Host", \
            b"keep-alive, Content-Length, Transfer-Encoding, Host", b"X, Host", b"Content-Length;x", b",,Content-Length,,", \
            b"\"Content-Length\"", b"Connection", b"", b",", b"a b", b"\xff":
        yield post("Connection: %s, with a length" % plain(v), [b"Connection: " + v] + length, b"hello", HELLO,
                None if b"keep" in v else HELLO)
        yield post("Connection: %s, chunked" % plain(v), chunked + [b"Connection: " + v], CHUNKED, HELLO, refused(CODING))
    yield post("Connection: close, Content-Length", [b"Connection: close, Content-Length"] + length, b"hello",
            forwarded(close=True))
    yield post("Connection: twice, close last", [b"Connection: keep-alive", b"Connection: close"] + length, b"hello",
            forwarded(close=True))
    yield post("Connection: Grip-Sig, X", [b"Connection: Grip-Sig, X", b"X: 1"] + length, b"hello", forwarded(without=[b"X"]))
    yield post("Connection: closed", [b"Connection: closed"] + length, b"hello", HELLO)
    for n in b"Proxy-Connection", b"Keep-Alive", b"TE", b"Upgrade", b"Trailer":
        gone = [] if n == b"Trailer" else [n]
        yield post("%s: chunked, close" % plain(n), [n + b": chunked, close"] + length, b"hello", forwarded(without=gone))
    for v in b"100-continue", b"100-Continue", b"100-continue, x", b"200-ok", b"", b"100":
        yield post("Expect: %s" % plain(v), [b"Expect: " + v] + length, b"hello", forwarded(without=[b"Expect"]))
        yield post("Expect: %s, chunked" % plain(v), [b"Expect: " + v] + chunked, CHUNKED, forwarded(without=[b"Expect"]),
                refused(CODING))
    yield post("Expect: 100-continue, twice", [b"Expect: 100-continue"] * 2 + length, b"hello", HELLO)
    for m in "GET", "HEAD", "OPTIONS", "DELETE", "TRACE":
        yield post("%s with a length" % m, length, b"hello", HELLO, method=m)
        yield post("%s with chunks" % m, chunked, CHUNKED, HELLO, refused(CODING) if m != "HEAD" else None, method=m)
        yield post("%s with a bad length" % m, [b"Content-Length: x"], b"hello", refused(LENGTH),
                method=m) if m != "HEAD" else post("%s with a wanted length" % m, [b"Content-Length: 6000"], b"", WAITED,
                method=m)
        yield post("%s with a request in its body" % m, [b"Content-Length: %d" % EVIL_LEN], EVIL, forwarded(EVIL), method=m)
    for v in b"h2c", b"TLS/1.0", b"websocke", b"x, y", b"":
        yield post("Upgrade: %s with a length" % plain(v), [b"Connection: Upgrade, HTTP2-Settings", b"HTTP2-Settings: x",
                b"Upgrade: " + v] + length, b"hello",
                   forwarded(without=[b"Upgrade", b"HTTP2-Settings"]))
    shake = [b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Version: 13",
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]
    bad = refused(b"not a valid WebSocket request")
    yield post("Upgrade: websocket with a length", shake + length, b"hello", bad, method="GET")
    yield post("Upgrade: websocket with chunks", shake + chunked, CHUNKED, bad, refused(CODING), method="GET")
    yield post("Upgrade: websocket, POST", shake, b"", bad)
    yield post("Upgrade: websocket, version 1", [s.replace(b"13", b"1") for s in shake], b"", dict(bad, status=426), bad,
            method="GET")
    yield post("Upgrade: websocket without Connection", shake[1:], EVIL, bad, method="GET")
    yield post("Upgrade: websocket, refused, with early data", shake, EVIL, forwarded(b"", close=True), bad, method="GET")
    for t in b"o:80", b"/{T}", b"*", b"http://o/{T}":
        yield Row("CONNECT %s" % plain(t), b"CONNECT " + t + b" HTTP/{V}\r\nHost: o\r\n\r\n" + EVIL,
                refused(b"Method not allowed.\n", 405))
    yield Row("OPTIONS *", b"OPTIONS * HTTP/{V}\r\nHost: o\r\n\r\n" + EVIL, refused())
    many = b"".join(b"GET /%d-{T} HTTP/1.1\r\nHost: o\r\n\r\n" % i for i in range(20))
    yield post("20 requests behind it", length, b"hello" + many, forwarded(b"hello", *[b""] * 20), HELLO)
    yield post("a bad request behind it", length, b"hello" + EVIL.replace(b"Host: o", b"Host : o"), forwarded(then=400), None)


def streamed():
    """Bodies of which the origin has got a part before the rest comes."""
    big = EVIL.replace(b"{T}", b"big") * 300
    length, chunked = [b"Content-Length: %d" % len(big)], [b"Transfer-Encoding: chunked"]
    data = b"%x\r\n" % len(big) + big + b"\r\n"
    yield post("streamed: by length", length, big, forwarded(big))
    yield post("streamed: by length, with a request behind", length, big + EVIL.replace(b"smuggled", b"second"),
            forwarded(big, b""), forwarded(big))
    yield post("streamed: by chunks", chunked, data + b"0\r\n\r\n", forwarded(big), None)
    yield post("streamed: by two chunks", chunked, data + data + b"0\r\nX: y\r\n\r\n", forwarded(big + big), None)
    yield post("streamed: less than the length", [b"Content-Length: 900000"], big, WAITED)
    yield post("streamed: less than the chunk", chunked, b"FFFFFF\r\n" + big, WAITED, None)
    for bad, why in (b"0x5\r\nhello\r\n", SIZE), (b"5\nhello", LINE), (b"5\r\nhelloX\r\n", SUFFIX), \
            (b"0\r\nX : y\r\n\r\n", NAME), (b"0\n\r\n", LINE), (b"0\r\n\n", LINE), (b"100000005\r\n", LARGE), (EVIL, SIZE):
        yield post("streamed: then %s" % plain(bad), chunked, data + bad, refused(why), None)


def jsonp():
    """Requests that a query spells out (host jp: auto_cross_origin)."""
    def row(name, query, new):
        return Row("JSON-P " + name, b"GET /{T}?callback=cb&" + query + b" HTTP/1.1\r\nHost: jp\r\n\r\n", new, method="GET")
    for h in b'{"Transfer-Encoding":"chunked"}', b'{"Content-Length":"50"}', b'{"Connection":"Host","X":"y"}', \
            b'{"transfer-ENCODING":"chunked","Host":"p"}', b'{"Expect":"100-continue"}', b'{"Upgrade":"websocket"}', \
            b'{"Keep-Alive":"x"}':
        h = b"".join(b"%%%02X" % c for c in h)
        yield row(str(h), b"_method=POST&_body=hello&_headers=" + h, forwarded(host=b"jp",
                without=[b"Transfer-Encoding", b"Expect", b"Upgrade"]))
    for h in b'{"X":"a\\r\\nY: b"}', b'{"X\\r\\nY":"b"}', b'{"X ":"b"}', b'{"X:":"b"}', b'{"":"b"}', b'{"X":"a\\u0000"}', \
            b'{"X":"a\\nb"}', b'{"X":["a"]}', b'{"X":5}', b'[]', b'{':
        h = b"".join(b"%%%02X" % c for c in h)
        yield row(str(h), b"_method=POST&_body=hello&_headers=" + h, {"own": 400})
    for m in b"GET%20/%20HTTP/1.1%0d%0aX:", b"A%20B", b"%00", b"", b"CONNECT", b"A%0d%0aB", b"%C3%A9":
        yield row("_method " + plain(m), b"_body=hello&_method=" + m, {"own": 400})


TABLES = [lengths, codings, both, names, folds, line_ends, start_lines, hosts, chunks, connections, streamed, jsonp]


@pytest.fixture(scope="module")
def rig():
    r = Rig()
    yield r
    r.close()


@pytest.fixture(scope="module")
def server(start_server, rig):
    s = start_server("* localhost:%d\njp,aco localhost:%d" % (rig.port, rig.port))
    rig.server = s
    return s


@pytest.mark.xfail_on_pushpin("takes much of this, and answers it with HTTP/1.0")
@pytest.mark.parametrize("table", TABLES, ids=lambda t: t.__name__)
def test_odd_requests_go_one_way_or_none(server, rig, table):
    talks = [talk for row in table() for talk in row.talks()]
    faults = rig.run(talks)
    assert not faults, report(faults, len(talks))


def test_each_refused_request_has_one_line_in_the_log(server, rig):
    before = len(re.findall(r"refused.* code=", server.logs()))
    rig.refused = 0
    talks = [talk for row in folds() for talk in row.talks()] + [talk for row in hosts() for talk in row.talks()]
    assert rig.run(talks) == []
    lines = [line for line in server.logs().splitlines() if "refused" in line][before:]
    assert len(lines) == rig.refused
    for line in lines:
        assert re.match(r"\[INFO\] .* request refused from=127\.0\.0\.1 code=4\d\d: .*", line), line


def test_rest_of_an_upload_that_was_answered_early_is_no_request(start_server, start_origin):
    """The origin answers before it has read the body: the connections on both sides are of no further use."""
    origin = start_origin()
    server = start_server("* 127.0.0.1:%d" % origin.port)

    def handler(request):
        request.conn.reply(200, {}, "early")
        request.conn.wait_gone()
        request.conn.closing = True     # what has come is the rest of that body
    origin.serve(handler, "/early", early=True)
    origin.serve(Reply(200, {}, "other"), "/other")
    evil = EVIL.replace(b"{T}", b"x") * 400
    with server.client() as c:
        c.send(b"POST /early HTTP/1.1\r\nHost: o\r\nContent-Length: %d\r\n\r\n" % (2 * len(evil)) + evil)
        r = c.read_response()
        assert (r.status, r.body, r.get("Connection")) == (200, b"early", "close")
        c.send(evil + EVIL)
        assert c.rest() == b""
    assert server.get("/other").body == b"other"
    assert [r.path for r in origin.requests()] == ["/early", "/other"]
    assert origin.requests()[1].conn is not origin.requests()[0].conn
