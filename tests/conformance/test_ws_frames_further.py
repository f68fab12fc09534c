"""A whole table of frames, right and wrong, before an origin that echoes: WebSocket, over HTTP, and for clients with TLS.

The cases are those that conformance suites for RFC 6455 try. All connections of a table are open at once, and each is
told all that it has to say before any answer is read. What breaks the protocol has to do so inside its message or
frame: none of these is complete when the close frame comes.
"""

import os
import struct

import pytest

from harness import BINARY, CLOSE, CONT, PING, PONG, TEXT, Closed, certificate, client_tls, free_port, port_open, wait_for
from ws_harness import Visit, Wire, close_bytes, masked, wire_fixture, ws_frame  # noqa: F401

LIMIT = 20                                              # s for the answers of one table
MODES = ["websocket", "over HTTP", "TLS"]
NAMES = {"TEXT": TEXT, "BINARY": BINARY, "PING": PING, "PONG": PONG, "CLOSE": CLOSE}


class Echo:
    """An origin's path where each connection gets back what it sends; what it sent is kept by its query."""

    def __init__(self, origin):
        self.seen = {}
        self.path = origin.serve(self.enter)

    def enter(self, request):
        seen = self.seen.setdefault(request.target.partition("?")[2], [])
        v = Visit(request)
        if request.method == "POST":
            self.over_http(v, seen)
        else:
            self.frames(v.accept(), seen)

    def frames(self, peer, seen):
        opcode, data = None, []
        try:
            while True:
                f = peer.recv(60)
                if f.opcode < 8:
                    opcode = f.opcode or opcode
                    data.append(f.payload)
                    if f.fin:
                        seen.append((opcode, b"".join(data)))
                        peer.send(*seen[-1])
                        data = []
                    continue
                seen.append((f.opcode, f.payload))
                if f.opcode == CLOSE:
                    peer.send(CLOSE, f.payload)
                    return
                if f.opcode == PING:
                    peer.send(PONG, f.payload)
        except (Closed, OSError):
            seen.append(None)

    def over_http(self, v, seen):
        out = []
        for name, content in v.events:
            content = content or b""
            if name == "OPEN":
                out.append("OPEN")
            elif name == "DISCONNECT":
                seen.append((CLOSE, close_bytes(1001)))
            else:
                seen.append((NAMES[name], content))
                if name != "PONG":
                    out.append(({"PING": "PONG"}.get(name, name), content))
        v.events_reply(*out)


@pytest.fixture(scope="module")
def tls_port():
    return free_port()


@pytest.fixture(scope="module")
def server(start_server, origin, tls_port):
    cert, key = certificate()
    s = start_server("woh localhost:%d,over_http\n* localhost:%d\n" % (origin.port, origin.port), {"https_ports": tls_port},
                     {"runner/certs/localhost.crt": cert, "runner/certs/localhost.key": key})
    wait_for(lambda: port_open(tls_port), what="the TLS port")
    return s


@pytest.fixture(scope="module", params=MODES)
def table(request, server, origin, tls_port):
    t = Table(server, origin, request.param, tls_port)
    yield t
    t.wire.close()


class Table:
    def __init__(self, server, origin, mode, tls_port):
        self.wire, self.echo, self.mode, self.n = Wire(server, origin), Echo(origin), mode, 0
        self.how = {"websocket": {}, "over HTTP": {"host": "woh"},
                    "TLS": {"port": tls_port, "tls": client_tls(certificate()[0])}}[mode]

    def open(self):
        self.n += 1
        c = self.wire.dial("%s?%d" % (self.echo.path, self.n), **self.how)
        c.query = str(self.n)
        return c

    def seen(self, c):
        return self.echo.seen[c.query]

    def run(self, cases):
        """cases: name -> (bytes or a list of pieces that are sent one by one, what has to come back, the close code of
        a violation or None)."""
        conns = [(name, case, self.open()) for name, case in cases.items()]
        for _, _, c in conns:
            c.open()
        for _, (say, _, code), c in conns:
            for piece in [say] if isinstance(say, bytes) else say:
                try:
                    c.raw(piece)
                except OSError:
                    assert code                         # cut while it was still talking
            if code is None:
                c.raw(masked(CLOSE, close_bytes(1000, "done")))
        wrong = [w for w in (self.check(name, case, c) for name, case, c in conns) if w]
        for _, _, c in conns:
            c.close()
        assert not wrong, "\n".join(wrong)

    def check(self, name, case, c):
        say, back, code = case
        got, end = read_all(c)
        want_end = close_bytes(1000, "done") if code is None else struct.pack(">H", code)
        if end is None or (end != want_end if code is None else end[:2] != want_end):
            return "%s: closed with %r after %r" % (name, end, got[-3:])
        if got != back if code is None else got != back[:len(got)]:
            return "%s: came back as %s" % (name, brief(got))
        if code is None:
            return None
        seen = wait_for(lambda: self.seen(c) and self.seen(c)[-1] in (None, (CLOSE, close_bytes(1001))) and self.seen(c), LIMIT)
        said = [(PING, p) if op == PONG else (op, p) for op, p in back]
        if seen != said + [(CLOSE, close_bytes(1001))]:
            return "%s: the origin got %s" % (name, brief(seen))
        return None


def brief(messages):
    return [m if m is None or len(m[1]) < 40 else (m[0], len(m[1])) for m in messages]


def read_all(c):
    """All messages before the close frame, and its payload; None: there was none."""
    got = []
    try:
        while True:
            opcode, data = c.message(LIMIT)
            if opcode == CLOSE:
                return got, data
            got.append((opcode, data))
    except (Closed, TimeoutError):
        return got, None


def bytewise(data):
    return [data[i:i + 1] for i in range(len(data))]


def cut(data, n):
    return [data[i:i + n] for i in range(0, len(data), n)]


def parts(opcode, *payloads, fin=True):
    return b"".join(masked(opcode if i == 0 else CONT, p, fin=fin and i == len(payloads) - 1) for i, p in enumerate(payloads))


def open_frame(opcode, payload, size):
    """The beginning of a frame that would have SIZE bytes more than the payload."""
    whole = masked(opcode, payload + b"x" * size)
    return whole[:len(whole) - size]


# framing

SIZES = [0, 1, 125, 126, 127, 128, 4096, 8192, 65535, 65536, 150000]


def framing():
    for opcode, what in ((TEXT, "text"), (BINARY, "binary")):
        for n in SIZES:
            data = (b"*" if opcode == TEXT else b"\xfe") * n
            frame = masked(opcode, data)
            yield "%s of %d" % (what, n), (frame, [(opcode, data)], None)
            yield "%s of %d in pieces" % (what, n), (cut(frame, 997 if n > 1000 else 3), [(opcode, data)], None)
        yield what + " byte by byte", (bytewise(masked(opcode, b"*" * 130)), [(opcode, b"*" * 130)], None)


def pings():
    yield "empty ping", (masked(PING), [(PONG, b"")], None)
    yield "ping", (masked(PING, b"Hello"), [(PONG, b"Hello")], None)
    yield "binary ping", (masked(PING, bytes(range(120, 245))), [(PONG, bytes(range(120, 245)))], None)
    yield "ping byte by byte", (bytewise(masked(PING, b"x" * 125)), [(PONG, b"x" * 125)], None)
    yield "pongs of nothing", (masked(PONG) + masked(PONG, b"unsolicited") + masked(PING, b"p"), [(PONG, b"p")], None)
    many = [b"payload-%d" % i for i in range(10)]
    yield "ten pings", (b"".join(masked(PING, p) for p in many), [(PONG, p) for p in many], None)
    yield "ten pings byte by byte", (bytewise(b"".join(masked(PING, p) for p in many)), [(PONG, p) for p in many], None)
    for opcode, what in ((PING, "ping"), (PONG, "pong"), (CLOSE, "close")):
        for n in (126, 127, 65535, 65536):
            yield "%s of %d" % (what, n), (masked(opcode, b"x" * n)[:8], [], 1002)
        yield what + " in fragments", (masked(opcode, b"\x03\xe8", fin=False)[:1], [], 1002)
        yield what + " not masked", (ws_frame(opcode, b"\x03\xe8")[:2], [], 1002)


def reserved():
    small = masked(TEXT, b"Hello") + masked(PING, b"p")
    back = [(TEXT, b"Hello"), (PONG, b"p")]
    for rsv in range(1, 8):
        for opcode, what in ((TEXT, "text"), (BINARY, "binary"), (PING, "ping"), (PONG, "pong"), (CLOSE, "close")):
            yield "rsv %d of a %s" % (rsv, what), (small + masked(opcode, b"\x03\xe8", rsv=rsv)[:1], back, 1002)
        yield "rsv %d of a continuation" % rsv, (masked(TEXT, b"a", fin=False) + masked(CONT, b"b", rsv=rsv), [], 1002)
    for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15):
        yield "opcode %d, empty" % opcode, (masked(opcode)[:1], [], 1002)
        yield "opcode %d" % opcode, (small + masked(opcode, b"payload")[:1], back, 1002)
        yield "opcode %d amid a message" % opcode, (masked(TEXT, b"a", fin=False) + masked(opcode)[:1], [], 1002)
        yield "opcode %d byte by byte" % opcode, (bytewise(masked(opcode, b"payload")), [], 1002)


def fragments():
    two, five = (b"fragment1", b"fragment2"), tuple(b"fragment%d" % i for i in range(1, 6))
    yield "two", (parts(TEXT, *two), [(TEXT, b"fragment1fragment2")], None)
    yield "two byte by byte", (bytewise(parts(TEXT, *two)), [(TEXT, b"fragment1fragment2")], None)
    ping = masked(TEXT, b"fragment1", fin=False) + masked(PING, b"p") + masked(CONT, b"fragment2")
    yield "ping between", (ping, [(PONG, b"p"), (TEXT, b"fragment1fragment2")], None)
    yield "ping between, byte by byte", (bytewise(ping), [(PONG, b"p"), (TEXT, b"fragment1fragment2")], None)
    yield "pings between five", (
        masked(TEXT, five[0], fin=False) + masked(CONT, five[1], fin=False) + masked(PING, b"1") + masked(CONT, five[2], fin=False) +
        masked(CONT, five[3], fin=False) + masked(PING, b"2") + masked(CONT, five[4]),
        [(PONG, b"1"), (PONG, b"2"), (TEXT, b"".join(five))], None)
    yield "empty ones", (parts(TEXT, b"", b"", b"middle", b"", b""), [(TEXT, b"middle")], None)
    yield "nothing but empty ones", (parts(BINARY, b"", b"", b""), [(BINARY, b"")], None)
    yield "nothing in many", (parts(TEXT, *[b""] * 500), [(TEXT, b"")], None)
    for fin in (True, False):
        alone = masked(CONT, b"non-continuation", fin=fin)
        yield "alone, fin %d" % fin, (alone[:1], [], 1002)
        yield "alone, fin %d, then text" % fin, (alone + masked(TEXT, b"Hello"), [], 1002)
        yield "alone, fin %d, byte by byte" % fin, (bytewise(alone), [], 1002)
        yield "one behind the end, fin %d" % fin, (parts(TEXT, *two) + alone[:1], [(TEXT, b"fragment1fragment2")], 1002)
        for opcode in (TEXT, BINARY):
            yield "message %d amid another, fin %d" % (opcode, fin), (
                masked(TEXT, b"fragment1", fin=False) + masked(opcode, b"fragment2", fin=fin)[:1], [], 1002)
    yield "not masked behind a good one", (masked(TEXT, b"one ", fin=False) + ws_frame(CONT, b"two")[:2], [], 1002)
    yield "length with the highest bit", (b"\x82\xff\x80" + b"\0" * 7 + b"\1\2\3\4", [], 1002)


# text

GREEK = "\u03ba\u1f79\u03c3\u03bc\u03b5".encode()
GOOD_TEXT = {
    "empty": b"", "greek": GREEK, "long": b"Hello-\xc2\xb5@\xc3\x9f\xc3\xb6\xc3\xa4\xc3\xbc\xc3\xa0\xc3\xa1-UTF-8!!" * 5,
    "first of 1": b"\x00", "first of 2": b"\xc2\x80", "first of 3": b"\xe0\xa0\x80", "first of 4": b"\xf0\x90\x80\x80",
    "last of 1": b"\x7f", "last of 2": b"\xdf\xbf", "last of 3": b"\xef\xbf\xbf", "last of 4": b"\xf4\x8f\xbf\xbf",
    "before surrogates": b"\xed\x9f\xbf", "behind surrogates": b"\xee\x80\x80", "replacement": b"\xef\xbf\xbd",
    "byte order mark": b"\xef\xbb\xbfx", "reversed mark": b"\xef\xbf\xbe",
}
# noncharacters, which are allowed: U+nFFFE and U+nFFFF of each plane, and those of the Arabic block
GOOD_TEXT.update(("U+%X" % c, chr(c).encode()) for plane in range(17) for c in (plane << 16 | 0xfffe, plane << 16 | 0xffff))
GOOD_TEXT.update(("U+%X" % c, chr(c).encode()) for c in (0xfdd0, 0xfdef))

BAD_TEXT = {
    "greek and surrogate": GREEK + b"\xed\xa0\x80edited", "beyond": GREEK + b"\xf4\x90\x80\x80edited",
    "first of 5": b"\xf8\x88\x80\x80\x80", "first of 6": b"\xfc\x84\x80\x80\x80\x80",
    "last of 5": b"\xfb\xbf\xbf\xbf\xbf", "last of 6": b"\xfd\xbf\xbf\xbf\xbf\xbf", "0x1fffff": b"\xf7\xbf\xbf\xbf",
    "0x110000": b"\xf4\x90\x80\x80", "stray 80": b"\x80", "stray bf": b"\xbf", "stray 80 bf 80": b"\x80\xbf\x80",
    "all strays": bytes(range(0x80, 0xc0)),
    "fe": b"\xfe", "ff": b"\xff", "fe fe ff ff": b"\xfe\xfe\xff\xff",
}
# lone first bytes of 2 to 6, each before a space, and what lacks its last byte
BAD_TEXT.update(("lone %02x" % c, bytes([c, 0x20])) for c in range(0xc0, 0x100))
BAD_TEXT.update(("short before text: " + s.hex(), s + b"x") for s in (
    b"\xdf", b"\xef\xbf", b"\xf4\x8f\xbf", b"\xe0\xa0", b"\xf0\x90\x80", b"\xc2", b"\xe2\x82", b"\xf0\x9f\x98"))
# overlong forms of '/', of NUL, and of the largest that fit fewer bytes
BAD_TEXT.update(("overlong " + s.hex(), s) for s in (
    b"\xc0\xaf", b"\xe0\x80\xaf", b"\xf0\x80\x80\xaf", b"\xf8\x80\x80\x80\xaf", b"\xfc\x80\x80\x80\x80\xaf",
    b"\xc1\xbf", b"\xe0\x9f\xbf", b"\xf0\x8f\xbf\xbf", b"\xf8\x87\xbf\xbf\xbf", b"\xfc\x83\xbf\xbf\xbf\xbf",
    b"\xc0\x80", b"\xe0\x80\x80", b"\xf0\x80\x80\x80", b"\xf8\x80\x80\x80\x80", b"\xfc\x80\x80\x80\x80\x80"))
# surrogates, alone and in pairs
BAD_TEXT.update(("surrogate " + s.hex(), s) for s in (
    b"\xed\xa0\x80", b"\xed\xad\xbf", b"\xed\xae\x80", b"\xed\xaf\xbf", b"\xed\xb0\x80", b"\xed\xbe\x80", b"\xed\xbf\xbf",
    b"\xed\xa0\x80\xed\xb0\x80", b"\xed\xa0\x80\xed\xbf\xbf", b"\xed\xad\xbf\xed\xb0\x80", b"\xed\xad\xbf\xed\xbf\xbf",
    b"\xed\xae\x80\xed\xb0\x80", b"\xed\xae\x80\xed\xbf\xbf", b"\xed\xaf\xbf\xed\xb0\x80", b"\xed\xaf\xbf\xed\xbf\xbf"))
UNFINISHED = [b"\xc2", b"\xdf", b"\xe0", b"\xe0\xa0", b"\xef\xbf", b"\xf0", b"\xf0\x90", b"\xf0\x90\x80", b"\xf4\x8f\xbf",
              GREEK[:-1], GREEK[:3]]


def good_text():
    for name, text in GOOD_TEXT.items():
        yield name, (masked(TEXT, text), [(TEXT, text)], None)
        yield name + ", in fragments", (parts(TEXT, *(bytewise(text) or [b"", b""])), [(TEXT, text)], None)
        yield name + ", byte by byte", (bytewise(masked(TEXT, b"<" + text + b">")), [(TEXT, b"<" + text + b">")], None)
    yield "begun in a fragment", (parts(TEXT, GREEK[:1], b"", GREEK[1:4], b"", GREEK[4:]), [(TEXT, GREEK)], None)


def bad_text():
    for name, text in BAD_TEXT.items():
        yield name, (open_frame(TEXT, text, 4), [], 1007)
        yield name + ", behind much", (open_frame(TEXT, b"x" * 70000 + text, 4), [], 1007)
        yield name + ", in fragments", (parts(TEXT, *bytewise(b"ok" + text), fin=False), [], 1007)
        yield name + ", in the second fragment", (masked(TEXT, b"good ", fin=False) + open_frame(CONT, text, 100000), [], 1007)
        yield name + ", byte by byte", (bytewise(open_frame(TEXT, text, 1)), [], 1007)


def unfinished_text():
    for text in UNFINISHED:
        yield text.hex(), (masked(TEXT, text), [], 1007)
        yield text.hex() + " behind more", (masked(TEXT, b"hello" + text), [], 1007)
        yield text.hex() + " in fragments", (parts(TEXT, *bytewise(text), b""), [], 1007)
        yield text.hex() + " and a fragment of ASCII", (parts(TEXT, text, b"x", fin=False), [], 1007)
        yield text.hex() + " behind a message", (masked(TEXT, b"fine") + masked(TEXT, text), [(TEXT, b"fine")], 1007)
    yield "binary need not be text", (masked(BINARY, b"\xff\xfe") + masked(BINARY, b"\xed\xa0\x80"),
                                      [(BINARY, b"\xff\xfe"), (BINARY, b"\xed\xa0\x80")], None)


# closing

GOOD_CODES = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999]
BAD_CODES = [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 9999, 65535]


def bad_closes():
    for code in BAD_CODES:
        yield "code %d" % code, (masked(CLOSE, struct.pack(">H", code)), [], 1002)
        yield "code %d with a reason" % code, (masked(CLOSE, close_bytes(code, "reason")), [], 1002)
    yield "one byte", (masked(CLOSE, b"\x03"), [], 1002)
    yield "byte by byte", (bytewise(masked(CLOSE, b"\x03")), [], 1002)
    yield "too long", (masked(CLOSE, close_bytes(1000, "x" * 124))[:2], [], 1002)
    for name, text in BAD_TEXT.items():
        yield "reason: " + name, (masked(CLOSE, close_bytes(1000, text)), [], 1007)
    for text in UNFINISHED:
        yield "unfinished reason: " + text.hex(), (masked(CLOSE, close_bytes(1000, b"why" + text)), [], 1007)


def run(table, cases):
    cases = list(cases)
    assert len(dict(cases)) == len(cases)
    table.run(dict(cases))


@pytest.mark.parametrize("cases", [
    framing, fragments, good_text,
    pytest.param(pings, marks=pytest.mark.xfail_on_pushpin("cuts connections without a close frame")),
    pytest.param(reserved, marks=pytest.mark.xfail_on_pushpin("cuts connections without a close frame, and accepts RSV2 and RSV3")),
    pytest.param(bad_text, marks=pytest.mark.xfail_on_pushpin("text is not checked")),
    pytest.param(unfinished_text, marks=pytest.mark.xfail_on_pushpin("text is not checked")),
    pytest.param(bad_closes, marks=pytest.mark.xfail_on_pushpin("takes all numbers"))], ids=lambda f: f.__name__)
def test_frames(table, cases):
    run(table, cases())


def test_closes(table):
    """Each code and length of reason comes back, and nothing behind it counts."""
    reasons = [b"", b"x", b"x" * 122, b"x" * 123, "\u00e9".encode() * 61, GREEK]
    closes = [(code, b"") for code in GOOD_CODES] + [(code, b"why") for code in GOOD_CODES] + [(1000, r) for r in reasons]
    conns = [(table.open(), close_bytes(*c)) for c in closes]
    for c, payload in conns:
        c.open()
        c.raw(masked(TEXT, b"before") + masked(CLOSE, payload) + masked(TEXT, b"behind") + masked(CLOSE, payload) + masked(PING, b"p"))
    for c, payload in conns:
        assert read_all(c) == ([(TEXT, b"before")], payload)
        c.ended()
        assert table.seen(c) == [(TEXT, b"before"), (CLOSE, payload)]
        c.close()


def test_close_amid_a_message(table):
    """The origin may wait for the message's end for ever, so that it need not be asked."""
    conns = [table.open() for _ in range(3)]
    for c in conns:
        c.open()
        c.raw(masked(TEXT, b"never finished", fin=False) + masked(CLOSE, close_bytes(1000, "done")))
    for c in conns:
        got, end = read_all(c)
        assert got == [] and end[:2] == b"\x03\xe8"
        c.ended()
        c.close()


KIB, MIB = 1 << 10, 1 << 20


@pytest.mark.parametrize("opcode", [TEXT, BINARY], ids=["text", "binary"])
def test_messages_up_to_16_mib(table, opcode):
    """The size of the message, and of its fragments."""
    if table.mode == "over HTTP":
        pytest.skip("messages over HTTP have at most 200000 bytes")
    for size, fragment in ((64 * KIB, 0), (256 * KIB, 0), (MIB, 0), (4 * MIB, 0), (16 * MIB, 0), (256 * KIB, 64), (MIB, 1000),
                           (4 * MIB, 64 * KIB), (16 * MIB, MIB)):
        data = ("\u00b5x" * size).encode()[:size - size % 3] if opcode == TEXT else os.urandom(4 * KIB) * (size // (4 * KIB))
        c = table.open().open()
        c.raw(parts(opcode, *cut(data, fragment)) if fragment else masked(opcode, data))
        assert c.message(60) == (opcode, data)
        c.close()


def test_thousands_of_small_messages(table):
    c = table.open().open()
    sent = [(TEXT if i % 3 else BINARY, b"*" * (i % 200)) for i in range(1000)]
    c.raw(b"".join(masked(*m) for m in sent) + masked(CLOSE, close_bytes(1000)))
    assert read_all(c) == (sent, close_bytes(1000))


# the same of an origin, whose frames are not masked

def unmasked(opcode, payload=b"", fin=True, rsv=0):
    return ws_frame(opcode, payload, fin, None, rsv)


def ending(peer):
    """The whole messages and pings, and the close frame's payload, which may come amid a message."""
    got, opcode, data = [], None, b""
    try:
        while True:
            f = peer.recv(LIMIT)
            if f.opcode == CLOSE:
                return got, f.payload
            opcode, data = f.opcode or opcode, data + f.payload
            if f.fin:
                got.append((opcode, data))
                data = b""
    except (Closed, TimeoutError):
        return got, None


@pytest.mark.xfail_on_pushpin("cuts both connections without a close frame, or passes it on")
@pytest.mark.parametrize("cases", [pings, reserved, fragments, bad_text, unfinished_text, bad_closes], ids=lambda f: f.__name__)
def test_frames_of_an_origin(wire, monkeypatch, cases):
    """It is told why, and the client that it has failed."""
    monkeypatch.setitem(globals(), "masked", unmasked)
    tried = [(name, case) for name, case in cases() if case[2] and "not masked" not in name]
    tried += [("masked", (ws_frame(BINARY, b"x", True, b"1234")[:2], [], 1002))]
    pairs = [(name, case, wire.pair()) for name, case in tried]
    wrong = []
    for name, (say, _, _), (c, o) in pairs:
        o.raw(say if isinstance(say, bytes) else b"".join(say))
    for name, (_, back, code), (c, o) in pairs:
        back = [(PING, data) if opcode == PONG else (opcode, data) for opcode, data in back]
        got, told = ending(c), ending(o)
        c.close()
        o.close()
        if got != (back, close_bytes(1011)) or told != ([], close_bytes(code)):
            wrong.append("%s: the client got %s and %r, the origin %s" % (name, brief(got[0]), got[1], told))
    assert not wrong, "\n".join(wrong)
