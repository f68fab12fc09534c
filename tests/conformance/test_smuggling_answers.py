"""Answers of an origin that two readers could understand differently: none may reach a client in two ways.

Each row is an answer with something odd in it, and says what the client may get: the whole answer, a 502, or a
connection that breaks off before the answer's end. What it does get is read by strict_http. Then it asks for something
else, on the same connection if that lives: that answer must be the right one, whatever the origin has said before. Rows
are answers to HTTP/1.1 and 1.0; whole, cut in two at their edges, and byte by byte; to the handshake of a WebSocket, which
they refuse; and once with the next request sent at once. See smuggling_rig.py.
"""

import json
import os
import signal
import socket

import pytest

import strict_http
from harness import Reply, hold, item, unique, wait_for
from smuggling_rig import Fault, Rig, cuts, new_tag, report, same, whole
from test_smuggling import BAD_CODINGS, BAD_LENGTHS, CONTROLS, GOOD_CODINGS, GOOD_LENGTHS, plain

ERROR = b"Error while proxying to origin.\n"
POISON = b"HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\npoison-{T}"         # an answer that nobody asked for

SHAKE = b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

# what a client may get
BAD = "502"                     # the head is wrong
CUT = "502 or cut off"          # the body is
GOOD = "the answer"
ANY = "anything that is HTTP"


class Row:
    """DATA with {T} for the tag. end: what the origin does then: "stay", "close" or "reset". late: what it says after
    that, once its answer has been read."""

    def __init__(self, name, data, want, body=b"hello", end="stay", method="GET", late=b"", status=200):
        self.name, self.data, self.want, self.body = name, data, want, body
        self.end, self.method, self.late, self.status = end, method, late, status

    def talks(self):
        for version, n in ("1.1", 5), ("1.0", 2):
            for way, cut in cuts(self.data.replace(b"{T}", new_tag()), n):
                yield "%s, for HTTP/%s, %s" % (self.name, version, way), self.talk(version, cut, False)
        if self.method == "GET" and b" 101 " not in self.data:
            yield self.name + ", for a WebSocket's handshake", self.talk("1.1", whole, False, SHAKE)
        if not self.late:       # what comes when the next request has been sent looks like its answer to anybody
            yield self.name + ", pipelined", self.talk("1.1", whole, True)

    def talk(self, version, cut, pipelined, fields=b""):
        async def run(rig):
            tag = new_tag()
            said = rig.loop.create_future()
            host = await rig.take_host()
            try:
                await talk(rig, tag, said, host)
            finally:
                rig.give_host(host)

        async def talk(rig, tag, said, host):

            async def script(conn, m):
                try:
                    await rig.send_pieces(conn, cut(self.data.replace(b"{T}", tag)))
                    if self.late:
                        await rig.barrier()
                        conn.send(self.late.replace(b"{T}", tag))
                    conn.shut(self.end)
                    await rig.barrier()
                finally:
                    if not said.done():
                        said.set_result(None)

            rig.scripts[b"/" + tag] = script
            first = b"%s /%s HTTP/%s\r\nHost: %s\r\n%s\r\n" % (self.method.encode(), tag, version.encode(), host, fields)
            second = b"GET /next-%s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n" % (tag, host)
            c = await rig.connect()
            c.send(first + second if pipelined else first)
            await c.until(lambda: self.final(c), "the answer")
            await said
            del rig.scripts[b"/" + tag]
            if not pipelined and (version == "1.0" or fields):
                await c.end()
            if not pipelined and not c.gone:
                c.send(second)
            if not c.gone:
                await c.end()
            got = c.answers([self.method, "GET"])
            finals = [m for m in got.messages if m.status >= 200]
            self.check(finals[0] if finals else None, got, tag)
            if len(finals) > 1:
                same("the next answer", finals[1].body, b"/next-" + tag)
            else:
                if pipelined and finals and not finals[0].until_close and finals[0].get(b"Connection") != b"close":
                    raise Fault("no answer to the next request")
                again = await rig.connect()
                again.send(second)
                await again.end()
                same("the next answer, on a new connection", [m.body for m in again.answers(["GET"]).messages],
                        [b"/next-" + tag])
        return run

    def final(self, c):
        p = strict_http.responses([self.method])
        p.feed(c.data)
        return p.error or any(m.status >= 200 for m in p.messages)

    def check(self, m, got, tag):
        body = self.body.replace(b"{T}", tag)
        if self.want == ANY:
            return
        if m is None:
            if self.want != CUT:
                raise Fault("no answer but %r" % got.partial)
            return
        if m.status == 502 and self.want in (BAD, CUT):
            same("the error", m.body if self.method != "HEAD" else ERROR, ERROR)
        elif self.want == GOOD:
            same("status and body", (m.status, m.body), (self.status, body))
        else:
            raise Fault("%r, which was to be %s" % (m, self.want))


def answer(name, fields, content, want, start=b"HTTP/1.1 200 OK", **kw):
    return Row(name, start + b"\r\n" + b"".join(f + b"\r\n" for f in fields) + b"\r\n" + content, want, **kw)


CHUNKED = b"5\r\nhello\r\n0\r\n\r\n"
LENGTH5, TE = b"Content-Length: 5", b"Transfer-Encoding: chunked"


def framings():
    for v in GOOD_LENGTHS:
        yield answer("Content-Length:%s" % plain(v), [b"Content-Length: " + v], b"hello", GOOD)
    for v in BAD_LENGTHS:
        yield answer("Content-Length:%s" % plain(v), [b"Content-Length: " + v], b"hello", BAD)
    for v in GOOD_CODINGS:
        yield answer("Transfer-Encoding:%s" % plain(v), [b"Transfer-Encoding: " + v], CHUNKED, GOOD)
    for v in BAD_CODINGS:
        yield answer("Transfer-Encoding:%s" % plain(v), [b"Transfer-Encoding: " + v], CHUNKED, BAD)
        yield answer("Content-Length and Transfer-Encoding:%s" % plain(v), [LENGTH5, b"Transfer-Encoding: " + v], CHUNKED, BAD)
    for v in GOOD_CODINGS[:3]:
        for n in b"5", b"0", b"15":
            yield answer("Content-Length: %s and Transfer-Encoding:%s" % (plain(n), plain(v)),
                    [b"Content-Length: " + n, b"Transfer-Encoding: " + v], CHUNKED, BAD)
            yield answer("Transfer-Encoding:%s and Content-Length: %s" % (plain(v), plain(n)),
                    [b"Transfer-Encoding: " + v, b"Content-Length: " + n], CHUNKED, BAD)
    for a, b in (b"5", b"5"), (b"5", b"6"), (b"0", b"5"), (b"5", b"0"), (b"5", b""), (b"5", b"x"):
        yield answer("Content-Length: %s and %s" % (plain(a), plain(b)), [b"Content-Length: " + a, b"content-length: " + b],
                b"hello", BAD)
    for a, b in (b"chunked", b"chunked"), (b"chunked", b"identity"), (b"identity", b"chunked"), (b"", b"chunked"):
        yield answer("Transfer-Encoding: %s and %s" % (plain(a), plain(b)), [b"Transfer-Encoding: " + a,
                b"transfer-encoding: " + b], CHUNKED, BAD)
    yield answer("HTTP/1.0 with chunks", [TE], CHUNKED, BAD, start=b"HTTP/1.0 200 OK")
    yield answer("HTTP/1.0 with chunks, kept alive", [TE, b"Connection: keep-alive"], CHUNKED, BAD, start=b"HTTP/1.0 200 OK")
    yield answer("HTTP/1.0 with a length", [LENGTH5], b"hello", GOOD, start=b"HTTP/1.0 200 OK")
    yield answer("HTTP/1.0 with a length, kept alive", [LENGTH5, b"Connection: keep-alive"], b"hello", GOOD,
            start=b"HTTP/1.0 200 OK")
    for v in b"Content-Length", b"Transfer-Encoding", b"close, Content-Length", b"X, Content-Length, Transfer-Encoding", b",", \
            b"a b", b"Connection":
        yield answer("Connection: %s, with a length" % plain(v), [b"Connection: " + v, LENGTH5], b"hello", GOOD)
        yield answer("Connection: %s, with chunks" % plain(v), [TE, b"Connection: " + v], CHUNKED, GOOD)
    for n in b"Content_Length", b"Transfer_Encoding", b"Content-Length-", b"X-Transfer-Encoding", b"Trailer", b"Keep-Alive", \
            b"Upgrade", b"Proxy-Connection":
        yield answer("%s beside the length" % plain(n), [n + b": 50, chunked, close", LENGTH5], b"hello", GOOD)


def heads():
    for name, value, body in (b"Content-Length", b"5", b"hello"), (b"Transfer-Encoding", b"chunked", CHUNKED):
        for n in [name + b" ", name + b"\t", b" " + name, b"\t" + name, name.replace(b"-", b" "), name + b";", b"(" + name,
                name + b"\x80", b":" + name, name + b"\r", b"\r" + name, b"\xef\xbb\xbf" + name]:
            yield answer("name %s" % plain(n), [n + b": " + value], body, BAD)
        for c in CONTROLS:
            for n in name + c, c + name:
                yield answer("name %s" % plain(n), [n + b": " + value], body, BAD)
            for v in value + c, c + value:
                yield answer("%s: %s" % (plain(name), plain(v)), [name + b": " + v], body, BAD)
        yield answer("name %s cut by LF" % plain(name), [name[:7] + b"\n" + name[7:] + b": " + value], body, BAD)
        for f in b" ", b"\t":
            yield answer("%s folded by %s" % (plain(name), plain(f)), [name + b":\r\n" + f + value], body, BAD)
            yield answer("%s behind a fold by %s" % (plain(name), plain(f)), [b"X: y", f + name + b": " + value], body, BAD)
    for c in CONTROLS + [b"\r", b"\n", b"\r\n X", b"\r\n\t"]:
        yield answer("a value with %s" % plain(c), [LENGTH5, b"X: a" + c + b"b"], b"hello", BAD)
    for n in b"", b" ", b"X", b"X Y", b"\x00":
        yield answer("a name %s" % plain(n), [LENGTH5, n + b": y" if n != b"X" else n], b"hello", BAD)
    lines = [b"HTTP/1.1 200 OK", LENGTH5, b"X: y", b"", b"hello"]
    for i, where in enumerate(("the status line", "the length", "a header", "the head")):
        for end in b"\n", b"\r", b"\r\r\n", b"\n\r", b"\n\n", b"\r\x00\n", b"\x00\r\n", b"\x0b\n":
            ends = [b"\r\n"] * 4 + [b""]
            ends[i] = end
            yield Row("%s ended by %s" % (where, plain(end)), b"".join(x for pair in zip(lines, ends) for x in pair), BAD,
                    end="close")
    yield Row("all lines ended by LF", b"\n".join(lines), BAD)
    yield answer("65 headers", [LENGTH5] + [b"A: b"] * 64, b"hello", BAD)
    yield answer("64 headers", [LENGTH5] + [b"A: b"] * 63, b"hello", GOOD)
    yield answer("a header that is too long", [LENGTH5, b"X: " + b"a" * 9000], b"hello", BAD)
    yield answer("a reason that is too long", [LENGTH5], b"hello", BAD, start=b"HTTP/1.1 200 " + b"a" * 9000)
    yield answer("obs-text", [LENGTH5, b"X: \xff\x80"], b"hello", GOOD)


def start_lines():
    for s in b"HTTP/0.9 200 OK", b"HTTP/1.2 200 OK", b"HTTP/1.10 200 OK", b"HTTP/2.0 200 OK", b"HTTP/2 200 OK", \
            b"HTTP/3 200 OK", b"http/1.1 200 OK", b"HTTP/ 1.1 200 OK", b"HTTPS/1.1 200 OK", b"ICY 200 OK", b"200 OK", b"", \
            b"HTTP/1.1", b"HTTP/1.1 ", b"HTTP/1.1  200 OK", b"HTTP/1.1\t200 OK", b" HTTP/1.1 200 OK", \
            b"\xef\xbb\xbfHTTP/1.1 200 OK", b"\r\nHTTP/1.1 200 OK", b"\nHTTP/1.1 200 OK", b"HTTP/1.1 20 OK", \
            b"HTTP/1.1 2000 OK", b"HTTP/1.1 2xx OK", b"HTTP/1.1 000 OK", b"HTTP/1.1 099 OK", b"HTTP/1.1 +20 OK", \
            b"HTTP/1.1 -20 OK", b"HTTP/1.1 0x2 OK", b"HTTP/1.1 2 0 OK", b"HTTP/1.1 200\tOK", b"HTTP/1.1 200OK", \
            b"HTTP/1.1 OK 200", b"HTTP/1.1 200 O\x00K", b"HTTP/1.1 200 O\rK", b"HTTP/1.1 200 O\nK", b"HTTP/1.1 200 O\x0bK", \
            b"HTTP/1.1 200 O\x7fK", b"HTTP/1.1 \xd9\xa1\xd9\xa2\xd9\xa3 OK", b"GET / HTTP/1.1", \
            b"HTTP/1.1 200 OK\r\nHTTP/1.1 200 OK", b"hello", b"<html>", b"\x16\x03\x01\x02", \
            b"\x00\x00\x12\x04\x00\x00\x00\x00\x00":
        yield answer("start line %s" % plain(s), [LENGTH5], b"hello", BAD, start=s, end="close")
    for s in b"HTTP/1.1 200", b"HTTP/1.1 200 ", b"HTTP/1.1 200  OK ", b"HTTP/1.1 200 \xff", b"HTTP/1.1 200 HTTP/1.1 404", \
            b"HTTP/1.0 200 OK", b"HTTP/1.1 200 \t":
        yield answer("start line %s" % plain(s), [LENGTH5], b"hello", GOOD, start=s)
    for n in 299, 399, 418, 499, 599, 600, 999, 205:
        yield answer("status %d" % n, [LENGTH5], b"hello", GOOD, start=b"HTTP/1.1 %d X" % n, status=n)


def chunks():
    def body(name, data, want, **kw):
        return answer("chunk " + name, [TE], data, want, **kw)
    tail = b"\r\nhello\r\n0\r\n\r\n"
    for s in b"5", b"05", b"00000000000005", b"5;a", b"5;a=\"b\"", b"5;" + b"a" * 200:
        yield body("line %s" % plain(s), s + tail, GOOD)
    for s in b"", b" ", b"+5", b"-5", b"0x5", b" 5", b"5 ", b"5\t", b"5 ;a", b"5,a", b"5 5", b"g", b"5g", b"5\x00", b"\x005", \
            b"5\xa0", b";a", b"5;a\x00b", b"5;" + b"a" * 300, b"0" * 300 + b"5", b"100000005", b"ffffffffffffffff", \
            b"10000000000000005", b"5\n", b"5;a\n", b"5\r", b"5;a\rb", b"\n", b"5\r\x00":
        yield body("line %s" % plain(s), s + tail, CUT, end="close")
    for d in b"helloX\r\n", b"hello\n", b"hello\r", b"hello\rX\n", b"hello\n\r", b"hello", b"helloworld\r\n", b"hell\r\n", \
            b"hello\r\r\n", b"hello\r\n\r\n":
        yield body("data %s" % plain(d), b"5\r\n" + d + b"0\r\n\r\n", CUT, end="close")
        yield body("data %s, staying" % plain(d), b"5\r\n" + d + b"0\r\n\r\n" + POISON, CUT)
    for e in b"0\r\n", b"0\n\r\n", b"0\r\n\n", b"0\r\n\r", b"0\n\n", b"0 \r\n\r\n", b"-0\r\n\r\n", b"", b"\r\n", b"0", b"0\r", \
            b"0\r\nX\r\n\r\n", b"0\r\nX : y\r\n\r\n", b"0\r\nX: y\r\n z\r\n\r\n", b"0\r\nX: y\n\r\n", b"0\r\nX: \x00\r\n\r\n", \
            b"0\r\nX: y\r\n", b"0\r\n: y\r\n\r\n", b"5\r\nhell", b"5\r\n", b"5", b"FFFFFFFF\r\nhello":
        for how in "close", "reset":
            yield body("end %s, then %s" % (plain(e), how), b"5\r\nhello\r\n" + e, CUT, end=how)
        yield body("end %s, then an answer" % plain(e), b"5\r\nhello\r\n" + e + b"\r\n" + POISON if e[-1:] != b"F" else e,
                CUT if e not in (b"0\r\n", b"0\r\nX: y\r\n") else GOOD, end="close")
    for t in b"X: y", b"Content-Length: 50", b"Transfer-Encoding: chunked", b"Connection: close", b"Set-Cookie: a=b", \
            b"Grip-Hold: stream":
        yield body("trailer %s" % plain(t), b"5\r\nhello\r\n0\r\n" + t + b"\r\n\r\n", GOOD)
    yield body("trailers: 65", b"5\r\nhello\r\n0\r\n" + b"A: b\r\n" * 65 + b"\r\n", CUT)
    yield body("trailers too long", b"5\r\nhello\r\n0\r\nA: " + b"a" * 9000 + b"\r\n\r\n", CUT)
    yield body("that is an answer", b"%x\r\n" % (len(POISON) + 5) + POISON + b"\r\n0\r\n\r\n", GOOD, body=POISON)


def lengths():
    for how in "close", "reset":
        for sent in b"", b"h", b"hell":
            yield answer("%d of 5 bytes, then %s" % (len(sent), how), [LENGTH5], sent, CUT, end=how)
            yield answer("%d of 5 bytes to HTTP/1.0, then %s" % (len(sent), how), [LENGTH5], sent, CUT,
                    start=b"HTTP/1.0 200 OK", end=how)
    yield answer("no length, then close", [], b"hello", GOOD, end="close")
    yield answer("no length, Connection: close", [b"Connection: close"], b"hello", GOOD, end="close")
    yield answer("no length, Connection: keep-alive", [b"Connection: keep-alive"], b"hello", GOOD, end="close")
    yield answer("no length, then reset", [], b"hello", CUT, end="reset")
    yield answer("no length, and an answer in it", [], b"hello" + POISON, GOOD, body=b"hello" + POISON, end="close")
    yield answer("all of it, then close", [LENGTH5], b"hello", GOOD, end="close")
    for n in b"100000", b"9223372036854775807":
        yield answer("Content-Length: %s and less" % plain(n), [b"Content-Length: " + n], b"hello" + POISON, CUT, end="close")
    for head in b"", b"H", b"HTTP/1.1", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n", \
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r":
        for how in "close", "reset":
            yield Row("head cut off after %d, then %s" % (len(head), how), head, BAD, end=how)


def junk():
    whole_ones = (("a length", [LENGTH5], b"hello"), ("chunks", [TE], CHUNKED), ("no body", [b"Content-Length: 0"], b""))
    for j in POISON, b"x", b"\r\n", b"\n", b"\x00", b"0\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 ", \
            b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n", POISON * 3:
        for name, fields, body in whole_ones:
            want = dict(body=b"hello" if body else b"")
            yield answer("%s, %s behind" % (name, plain(j)), fields, body + j, GOOD, **want)
            yield answer("%s, %s later" % (name, plain(j)), fields, body, GOOD, late=j, **want)
    for name, kw in ("304 with a length", dict(start=b"HTTP/1.1 304 Not Modified", status=304)), \
            ("204 with a length", dict(start=b"HTTP/1.1 204 No Content", status=204)), \
            ("HEAD with a length", dict(method="HEAD")):
        yield answer(name, [b"Content-Length: %d" % len(POISON)], b"", GOOD, body=b"", **kw)
        yield answer(name + " and a body", [b"Content-Length: 15"], b"poison-{T}", GOOD, body=b"", **kw)
        yield answer(name + " and a body that is an answer", [b"Content-Length: %d" % (len(POISON) + 5)], POISON, GOOD,
                body=b"", **kw)
        yield answer(name + " and that later", [b"Content-Length: %d" % (len(POISON) + 5)], b"", GOOD, body=b"", late=POISON,
                **kw)
        yield answer(name + ", with chunks", [TE], CHUNKED, GOOD, body=b"", **kw)
        yield answer(name + ", with chunks later", [TE], b"", GOOD, body=b"", late=CHUNKED, **kw)
        yield answer(name + ", and Transfer-Encoding", [LENGTH5, TE], b"", BAD, **kw)
        yield answer(name + ", twice", [LENGTH5, b"Content-Length: 6"], b"", BAD, **kw)
        yield answer(name + ", which is bad", [b"Content-Length: 5x"], b"", BAD, **kw)
        yield answer(name + ", and Connection: close", [LENGTH5, b"Connection: close"], POISON, GOOD, body=b"", end="close",
                **kw)
        yield answer(name + " without it", [], POISON, GOOD, body=b"", **kw)


def interim():
    ok = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
    for n in 100, 102, 103, 110, 199:
        yield Row("%d before" % n, b"HTTP/1.1 %d X\r\nLink: </x>\r\n\r\n" % n + ok, GOOD)
        yield Row("%d before, with a length" % n, b"HTTP/1.1 %d X\r\nContent-Length: 5\r\n\r\n" % n + ok, GOOD)
        yield Row("%d before, with a body" % n, b"HTTP/1.1 %d X\r\nContent-Length: 5\r\n\r\nhello" % n + ok, BAD)
        yield Row("%d before, with chunks" % n, b"HTTP/1.1 %d X\r\nTransfer-Encoding: chunked\r\n\r\n" % n + CHUNKED + ok, BAD)
        yield Row("%d before, with bad framing" % n, b"HTTP/1.1 %d X\r\nTransfer-Encoding: x\r\n\r\n" % n + ok, BAD)
        yield Row("%d before, with LF" % n, b"HTTP/1.1 %d X\r\n\n" % n + ok, BAD)
        yield Row("%d alone" % n, b"HTTP/1.1 %d X\r\n\r\n" % n, BAD, end="close")
        yield Row("%d before, for HEAD" % n, b"HTTP/1.1 %d X\r\n\r\n" % n + ok[:-5], GOOD, body=b"", method="HEAD")
    yield Row("20 before", b"HTTP/1.1 100 Continue\r\n\r\n" * 20 + ok, GOOD)
    yield Row("5000 before", b"HTTP/1.1 100 Continue\r\n\r\n" * 5000 + ok, BAD)
    for fields in b"", b"Upgrade: websocket\r\nConnection: Upgrade\r\n", b"Upgrade: h2c\r\nConnection: Upgrade\r\n", \
            b"Content-Length: 5\r\n":
        yield Row("101 with %s" % plain(fields), b"HTTP/1.1 101 Switching Protocols\r\n" + fields + b"\r\n" + POISON, BAD)


def instructions():
    def row(name, response, want=ANY, **kw):
        text = json.dumps({"response": response}).encode()
        return answer("instruct " + name, [b"Content-Type: application/grip-instruct", b"Content-Length: %d" % len(text)],
                text, want, **kw)
    for h in {"Transfer-Encoding": "chunked"}, {"Content-Length": "50"}, {"content-length": "0"}, \
            {"Connection": "keep-alive"}, {"Connection": "Content-Length"}, {"X": "a\r\nY: b"}, {"X": "a\nb"}, {"X": "\x00"}, \
            {"X\r\nY": "b"}, {"X ": "b"}, {"": "b"}, {"X:": "b"}, {"Keep-Alive": "x"}, {"Upgrade": "h2c"}, {"Trailer": "X"}, \
            {"X": "\r\n\r\n" + POISON.decode()}:
        yield row("headers %r" % h, {"code": 200, "headers": h, "body": "hello"})
    for code in 99, 100, 101, 199, 204, 304, 999, 1000, 0, -1, 200.5, "200", 65536 + 200:
        yield row("code %r" % code, {"code": code, "body": "hello"})
    for reason in "a\r\nX: y", "\x00", "\n", "", "\x80", "a" * 9000:
        yield row("reason %r" % reason[:20], {"code": 200, "reason": reason, "body": "hello"})


TABLES = [framings, heads, start_lines, chunks, lengths, junk, interim, instructions]


@pytest.fixture(scope="module")
def rig():
    r = Rig()
    yield r
    r.close()


@pytest.fixture(scope="module")
def server(start_server, rig):
    s = start_server(rig.routes())
    rig.server = s
    return s


@pytest.mark.xfail_on_pushpin("passes on much of this")
@pytest.mark.parametrize("table", TABLES, ids=lambda t: t.__name__)
def test_odd_answers_reach_the_client_one_way_or_not_at_all(server, rig, table):
    talks = [talk for row in table() for talk in row.talks()]
    faults = rig.run(talks)
    assert not faults, report(faults, len(talks))


# connections that wait in the pool

class Stopped:
    """The server does nothing meanwhile; all that comes is there at once when it goes on."""

    def __init__(self, server):
        self.pid = server.pid

    def __enter__(self):
        os.kill(self.pid, signal.SIGSTOP)
        wait_for(lambda: open("/proc/%d/stat" % self.pid).read().rpartition(")")[2].split()[0] == "T",
                what="the server to stop")

    def __exit__(self, *_):
        os.kill(self.pid, signal.SIGCONT)


@pytest.fixture(scope="module")
def pool_server(start_server, origin):
    return start_server("* 127.0.0.1:%d" % origin.port)


@pytest.mark.parametrize("first", ["the request", "the bytes"])
@pytest.mark.parametrize("data", [POISON.replace(b"{T}", b"t000000t"), b"x",
        b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n", b""],
                         ids=["answer", "byte", "408", "end"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_what_came_on_an_idle_connection_is_nobodys_answer(pool_server, origin, method, data, first):
    seen = []

    def handler(request):
        seen.append(request.conn)
        return Reply(200, {}, "first")
    p, q = origin.serve(handler), origin.serve(Reply(200, {}, "second"))

    def speak():
        if data:
            seen[0].send(data)
        else:
            seen[0].sock.shutdown(socket.SHUT_RDWR)
    with pool_server.client() as c:
        assert c.get(p).body == b"first"
        with Stopped(pool_server):
            if first == "the bytes":
                speak()
            c.send_request(method, q, {"Content-Length": "0"})
            if first == "the request":
                speak()
        assert c.read_response().body == b"second"
    assert len(origin.requests(q)) == 1


@pytest.mark.parametrize("start", ["200 OK", "304 Not Modified", "204 No Content"])
def test_connection_whose_answer_announced_a_body_that_may_not_come_is_not_used_again(pool_server, origin, start):
    """The body may come late, and would be taken for the next answer."""
    p = origin.serve(b"HTTP/1.1 %s\r\nContent-Length: 5\r\n\r\n" % start.encode())
    q = origin.serve(Reply(200, {}, "next"))
    method = "HEAD" if start[:3] == "200" else "GET"
    with pool_server.client() as c:
        assert c.get(q).status == 200
        c.send_request(method, p)
        assert c.read_response(method).status == int(start[:3])
        assert c.get(q).body == b"next"
    assert origin.requests(q)[-1].conn is not origin.requests(p)[-1].conn


# what publishers say

ODD_HEADERS = [{"Transfer-Encoding": "chunked"}, {"transfer-encoding": "identity"}, {"Content-Length": "50"},
        {"content-length": "0"}, {"Content-Length": "x"}, {"Connection": "close"}, {"Connection": "Content-Length"},
        {"Keep-Alive": "x"}, {"Upgrade": "h2c"}, {"X": "a\r\nY: b"}, {"X": "a\nb"}, {"X": "a\rb"}, {"X": "\x00"},
        {"X": "\x7f"}, {"X\r\nY": "b"}, {"X\nY": "b"}, {"X ": "b"}, {" X": "b"}, {"X:": "b"}, {"": "b"}, {"X": " a "},
        {"X": "\r\n\r\n" + POISON.decode()}, {"\u00e9": "b"}, {"X": "\u00e9"}]


def check_strictly(c, second):
    """All that came is one whole answer, or a refusal, and then the second."""
    p = strict_http.responses(["GET", "GET"])
    p.feed(c.all)
    if c.eof:
        p.end()
    assert p.error is None and p.partial == b"", (p.error, c.all)
    assert [m.body for m in p.messages][1:] == ([second] if not c.eof else []), c.all
    return p.messages[0]


@pytest.mark.parametrize("response", [{"headers": h, "body": "hello"} for h in ODD_HEADERS] +
                         [{"code": n, "body": "hello"} for n in (100, 101, 199, 204, 304, 99, 1000, -1, 0)] +
                         [{"reason": t, "body": "hello"} for t in ("a\r\nX: y", "\x00", "", "\u00e9", "a\n", " ")], ids=repr)
def test_published_response_is_one_answer_or_none(pool_server, origin, response):
    ch = unique()
    p, q = origin.serve(hold("response", ch)), origin.serve(Reply(200, {}, "second"))
    with pool_server.client() as c:
        c.send_request("GET", p)
        pool_server.wait_subscribed(ch)
        pool_server.publish(item(ch, response=dict({"code": 200}, **response)), expect=None)
        pool_server.publish(item(ch, response="good"))          # for the case that the first was refused
        c.read_response()
        if not c.eof:
            c.get(q)
        first = check_strictly(c, b"second")
        assert first.body in (b"hello", b"good", b"") and first.get(b"Y") is None


@pytest.mark.parametrize("headers", ODD_HEADERS, ids=repr)
@pytest.mark.parametrize("by", ["instruct", "published"])
def test_stream_begins_with_one_head(pool_server, origin, headers, by):
    ch = unique()
    doc = {"hold": {"mode": "stream", "channels": [{"name": ch}]},
            "response": {"headers": headers if by == "instruct" else {}, "body": "open"}}
    p, q = origin.serve(Reply(200, {"Content-Type": "application/grip-instruct"}, json.dumps(doc))), \
            origin.serve(Reply(200, {}, "second"))
    with pool_server.client() as c:
        c.send_request("GET", p)
        if c.read_head().status == 200:
            assert c.read_chunks(4) == b"open"
            pool_server.wait_subscribed(ch)
            pool_server.publish(item(ch, stream={"content": "x", "headers": headers} if by == "published" else "x"),
                    expect=None)
            pool_server.publish(item(ch, stream={"action": "close"}))
            while c.read_chunk():
                pass
        else:
            c.exactly(len(ERROR))
        c.get(q)
        first = check_strictly(c, b"second")
        assert first.body in (b"openx", b"open", ERROR) and first.get(b"Y") is None
