"""A table of permessage-deflate: each offer with messages of each size and kind, for clients without and with TLS and over HTTP."""

import os
import random
import struct
import zlib

import pytest

from harness import BINARY, CLOSE, CONT, PING, TEXT, certificate, client_tls, free_port, port_open, unique, wait_for
from test_ws_frames_further import Echo, ending
from ws_harness import Wire, close_bytes, masked, short, wire_fixture, ws_item  # noqa: F401


@pytest.fixture(scope="module")
def tls_port():
    return free_port()


@pytest.fixture(scope="module")
def server(start_server, origin, tls_port):
    cert, key = certificate()
    s = start_server("woh localhost:%d,over_http\n* localhost:%d\n" % (origin.port, origin.port),
                     {"https_ports": tls_port, "allow_compression": "true"},
                     {"runner/certs/localhost.crt": cert, "runner/certs/localhost.key": key})
    wait_for(lambda: port_open(tls_port), what="the TLS port")
    return s


OFFERS = {                                              # and what has to be in the answer
    "permessage-deflate": "",
    "permessage-deflate; client_max_window_bits": "",
    "permessage-deflate; client_max_window_bits=9": "",
    "permessage-deflate; client_max_window_bits=15; client_no_context_takeover": "client_no_context_takeover",
    "permessage-deflate; server_no_context_takeover": "server_no_context_takeover",
    "permessage-deflate; server_no_context_takeover; client_no_context_takeover": "client_no_context_takeover",
    "permessage-deflate; server_max_window_bits=15": "server_max_window_bits=15",
    "permessage-deflate; server_max_window_bits=9": "server_max_window_bits=9",
    "permessage-deflate; server_max_window_bits=8; client_max_window_bits=8": "server_max_window_bits=8",
    "permessage-deflate; server_max_window_bits=12; server_no_context_takeover; client_max_window_bits": "server_max_window_bits=12",
    'permessage-deflate; server_max_window_bits="10"': "server_max_window_bits=10",
    "permessage-deflate; server_max_window_bits=7, permessage-deflate; server_max_window_bits=11": "server_max_window_bits=11",
    "x-webkit-deflate-frame, permessage-deflate; mode=x, PerMessage-Deflate; Client_No_Context_Takeover": "client_no_context_takeover",
}
SIZES = [0, 1, 2, 16, 64, 125, 126, 256, 1024, 4096, 8192, 8193, 16384, 32768, 65536, 131072]


class Squeezer:
    """One end's compression as an answer has it."""

    def __init__(self, answer, sends_as, level=6):
        self.params = [p.strip() for p in answer.split(";")]
        other = {"client": "server", "server": "client"}[sends_as]
        self.fresh_out = sends_as + "_no_context_takeover" in self.params
        self.fresh_in = other + "_no_context_takeover" in self.params
        bits = {p.partition("=")[0]: int(p.partition("=")[2].strip('"') or 15) for p in self.params if "window_bits" in p}
        self.bits_in, self.bits_out = bits.get(other + "_max_window_bits", 15), bits.get(sends_as + "_max_window_bits", 15)
        self.level = level
        self.comp = self.deco = None

    def deflate(self, data):
        if self.comp is None or self.fresh_out:
            self.comp = zlib.compressobj(self.level, zlib.DEFLATED, -self.bits_out)
        return (self.comp.compress(data) + self.comp.flush(zlib.Z_SYNC_FLUSH))[:-4]

    def inflate(self, data):
        if self.deco is None or self.fresh_in:
            self.deco = zlib.decompressobj(-self.bits_in)
        return self.deco.decompress(data + b"\x00\x00\xff\xff")


def contents(n):
    r = random.Random(n)
    text = (" ".join(r.choice(["alpha", "beta", "gamma", "\u03b4\u03ad\u03bb\u03c4\u03b1"]) for _ in range(n // 4 + 1))).encode()[:n]
    return (TEXT, text.decode("utf-8", "ignore").encode()), (BINARY, os.urandom(n)), (BINARY, b"\0" * n), (TEXT, b"x" * n)


@pytest.mark.parametrize("mode", ["websocket", "over HTTP", "TLS"])
def test_each_offer_with_each_size(server, origin, tls_port, mode):
    wire, echo = Wire(server, origin), Echo(origin)
    how = {"websocket": {}, "over HTTP": {"host": "woh"}, "TLS": {"port": tls_port, "tls": client_tls(certificate()[0])}}[mode]
    conns = [(offer, want, wire.dial("%s?%d" % (echo.path, i), extensions=offer, **how)) for i, (offer, want) in enumerate(OFFERS.items())]
    try:
        for i, (offer, want, c) in enumerate(conns):
            answer = c.open().response.get_all("Sec-WebSocket-Extensions")
            assert len(answer) == 1 and answer[0].startswith("permessage-deflate"), offer
            z = Squeezer(answer[0], "client", level=i % 10)
            assert not want or want in z.params, (offer, answer)
            assert set(z.params[1:]) <= {"server_no_context_takeover", want}, (offer, answer)
            c.inflate, c.squeeze = z.inflate, z.deflate
        for n in SIZES:
            for opcode, data in contents(n):
                for i, (_, _, c) in enumerate(conns):
                    if (n + i) % 3 == 2:                # as it is, which leaves the context alone
                        c.send(opcode, data)
                        continue
                    out = c.squeeze(data)
                    at = len(out) // 3
                    if (n + i) % 3 == 1:
                        c.send(opcode, out, rsv=4)
                    else:                               # in fragments, one of them empty
                        c.raw(masked(opcode, out[:at], fin=False, rsv=4) + masked(CONT, b"", fin=False) + masked(CONT, out[at:]))
                for offer, _, c in conns:
                    assert c.message() == (opcode, data), (offer, n)
    finally:
        wire.close()


@pytest.mark.parametrize("mode", ["websocket", "TLS"])
def test_megabytes(server, origin, tls_port, mode):
    wire, echo = Wire(server, origin), Echo(origin)
    how = {"websocket": {}, "TLS": {"port": tls_port, "tls": client_tls(certificate()[0])}}[mode]
    try:
        for data in (b"\0" * (16 << 20), os.urandom(1 << 20) * 4):
            c = wire.dial(echo.path, extensions="permessage-deflate", **how).open()
            z = Squeezer(c.response.get("Sec-WebSocket-Extensions"), "client", 1)
            c.inflate = z.inflate
            c.send(BINARY, z.deflate(data), rsv=4)
            assert c.message(60) == (BINARY, data)
            c.close()
    finally:
        wire.close()


@pytest.mark.xfail_on_pushpin("declines them")
@pytest.mark.parametrize("bits", range(8, 16))
def test_published_within_each_window(wire, bits):
    ch = unique()
    c, o = wire.pair(grip=True, extensions="permessage-deflate; server_max_window_bits=%d" % bits)
    z = Squeezer(c.response.get("Sec-WebSocket-Extensions"), "client")
    assert z.bits_in == bits
    c.inflate = z.inflate
    o.subscribe(ch)
    wire.server.wait_subscribed(ch)
    r = random.Random(bits)
    text = "".join(r.choice("abcdefgh") * r.randint(1, 9) for _ in range(5000))
    for what in (text, "short", "", text + text):
        wire.server.publish(ws_item(ch, what))
        o.send_text("m:" + what)
        assert sorted(c.texts(2)) == [what, what]


@pytest.mark.parametrize("offer", [
    "permessage-deflate; server_max_window_bits=08",
    "permessage-deflate; server_max_window_bits=16",
    "permessage-deflate; client_max_window_bits=0", "permessage-deflate; client_max_window_bits=08",
    "permessage-deflate; client_no_context_takeover=true", "permessage-deflate; server_max_window_bits=9; server_max_window_bits=9",
    "permessage-deflate-x", "deflate", "permessage-bzip2"], ids=short)
def test_offers_that_cannot_be(wire, offer):
    """What is declined, and not refused, leaves the connection as it is."""
    d = wire.door()
    c = wire.dial(d.path, extensions=offer)
    o = wire.keep(d.next().accept())
    c.open()
    assert not c.response.has("Sec-WebSocket-Extensions")
    o.send_text("plain")
    f = c.recv()
    assert (f.opcode, f.rsv, f.payload) == (TEXT, 0, b"plain")


# what the origin agrees to

@pytest.mark.parametrize("answer", [
    "permessage-deflate", "permessage-deflate; server_no_context_takeover", "permessage-deflate; client_no_context_takeover",
    "permessage-deflate; server_max_window_bits=10; client_no_context_takeover; server_no_context_takeover", "grip, permessage-deflate",
    "PERMESSAGE-DEFLATE"], ids=short)
def test_answers_of_the_origin(wire, answer):
    c, v = wire.approach(extensions="permessage-deflate")
    o = wire.keep(v.accept([("Sec-WebSocket-Extensions", answer)]))
    c.open()
    theirs = Squeezer(answer.replace("grip, ", "").lower(), "server")
    ours = Squeezer(c.response.get("Sec-WebSocket-Extensions"), "client")
    c.inflate, o.inflate = ours.inflate, theirs.inflate
    prefix = b"m:" if "grip" in answer else b""
    for n in (0, 5, 1000, 70000):
        for opcode, data in contents(n):
            c.send(opcode, ours.deflate(data), rsv=4)
            assert o.message() == (opcode, data)
            o.send(opcode, theirs.deflate(prefix + data), rsv=4)
            assert c.message() == (opcode, data)
        o.send(BINARY, prefix + b"as it is")
        assert c.binary() == b"as it is"


@pytest.mark.xfail_on_pushpin("does not look so closely")
@pytest.mark.parametrize("answer", ["permessage-deflate; client_max_window_bits=10", "permessage-deflate; bogus", "permessage-deflate, permessage-deflate",
                                    "permessage-deflate; server_max_window_bits=7"], ids=short)
def test_answers_that_were_not_offered(wire, answer):
    c, v = wire.approach()
    v.accept([("Sec-WebSocket-Extensions", answer)])
    assert c.answer().status == 502


# violations

def deflated(data):
    return Squeezer("permessage-deflate", "client").deflate(data)


VIOLATIONS = {
    "rsv1 of a ping": (masked(PING, b"x", rsv=4)[:1], 1002), "rsv1 of a close": (masked(CLOSE, close_bytes(1000), rsv=4)[:1], 1002),
    "rsv1 of a continuation": (masked(TEXT, deflated(b"x"), fin=False, rsv=4) + masked(CONT, b"", rsv=4)[:1], 1002),
    "rsv2": (masked(TEXT, deflated(b"x"), rsv=6)[:1], 1002), "rsv3": (masked(TEXT, deflated(b"x"), rsv=5)[:1], 1002),
    "bad text": (masked(TEXT, deflated(b"\xff\xfe" + b"x" * 100), rsv=4), 1007), "unfinished text": (masked(TEXT, deflated(b"abc\xe2\x82"), rsv=4), 1007),
    "bad text, with more to come": (masked(TEXT, deflated(b"\xc0\xaf"), fin=False, rsv=4), 1007),
    "bad block": (masked(BINARY, b"\x07" + b"x" * 20, rsv=4), None), "far too far back": (masked(BINARY, b"\x02\x02\x00", rsv=4), None),
}


@pytest.mark.xfail_on_pushpin("cuts the connection without a close frame")
@pytest.mark.parametrize("name", list(VIOLATIONS))
def test_violations(wire, name):
    say, code = VIOLATIONS[name]
    c, o = wire.pair(extensions="permessage-deflate")
    c.raw(say)
    got, end = ending(c)
    assert got == [] and end is not None and (struct.unpack(">H", end[:2])[0] == code if code else end[:2] in (b"\x03\xea", b"\x03\xef"))
    assert ending(o) == ([], close_bytes(1001))
