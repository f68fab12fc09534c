"""More of the built-in test target by WebSocket: pieces, control frames, channels, compression."""

import pytest

from harness import BINARY, CONT, PING, PONG, TEXT, unique
from ws_harness import close_bytes, masked, short, wire_fixture, ws_item  # noqa: F401


@pytest.fixture(scope="module")
def server(start_server):
    return start_server("* test\n*,path_beg=/pre test\n")


@pytest.fixture(scope="module")
def origin(start_origin):
    return start_origin()


def echo(wire, path="/ws", **kw):
    return wire.dial(path, **kw).open()


def test_head(wire):
    r = echo(wire, headers=[("Origin", "http://x"), ("Cookie", "a")]).response
    assert [n for n, _ in r.headers] == ["Upgrade", "Connection", "Sec-WebSocket-Accept"]


def test_fragments_are_kept(wire):
    c = echo(wire)
    c.send(TEXT, b"one", fin=False)
    f = c.recv()
    assert (f.opcode, f.payload, f.fin) == (TEXT, b"one", False)
    c.send(PING, b"p")
    assert c.recv().opcode == PONG
    c.send(CONT, b"two", fin=False)
    assert c.recv().payload == b"two"
    c.send(CONT, b"")
    f = c.recv()
    assert (f.opcode, f.fin) == (CONT, True)


@pytest.mark.xfail_on_pushpin("a ping is echoed as a ping")
@pytest.mark.parametrize("payload", [b"", b"x", b"\xff" * 125], ids=short)
def test_control_frames(wire, payload):
    c = echo(wire)
    c.send(PING, payload)
    assert c.message() == (PONG, payload)
    c.send(PONG, payload)
    assert c.message() == (PONG, payload)


@pytest.mark.parametrize("query", ["?channel=%s", "?x=y&channel=%s&channel=%s", "?channel=%s&channel="])
def test_channels(wire, query):
    ch = unique()
    c = echo(wire, "/ws" + query.replace("%s", ch))
    wire.server.wait_subscribed(ch)
    wire.server.publish(ws_item(ch, "one"), ws_item(ch, "AAE=", type="binary"), ws_item(ch, action="close", code=4000, reason="why"))
    assert c.text() == "one" and c.binary() == b"AAE=" and c.closing() == (4000, "why")


def test_decoded_channel(wire):
    ch = unique()
    echo(wire, "/ws?channel=%s%%20%%E2%%98%%83" % ch)
    wire.server.wait_subscribed(ch + " \u2603")


@pytest.mark.parametrize("path", ["/pre/ws", "/pre/ws/", "/ws/?channel=x"])
def test_paths(wire, path):
    c = echo(wire, path)
    c.send_text("x")
    assert c.text() == "x"


@pytest.mark.parametrize("path", ["/WS", "/ws//", "/pre", "/prews", "/pre/ws/x", "//ws", "/stream"])
def test_no_such_path(wire, path):
    r = wire.dial(path).answer()
    assert (r.status, r.get("Content-Type"), r.body) == (404, "text/plain", b"no such test resource\n")
    assert not r.has("Grip-Channel")


def test_log(wire):
    mark = unique()
    c = echo(wire, "/ws?" + mark)
    wire.server.wait_log(r"GET ws://localhost/ws\?%s -> test code=101 0$" % mark)
    c.raw(masked(8, close_bytes(4001)))
    assert c.closing()[0] == 4001
    wire.server.wait_log(r"GET ws://localhost/ws\?%s -> test closed=4001 duration=[0-9.]+$" % mark)


def test_violations(wire):
    for data, code in ((masked(3, b"x"), 1002), (masked(TEXT, b"\xff"), 1007), (masked(8, b"\x03"), 1002)):
        c = echo(wire)
        c.raw(data)
        assert c.closing()[0] == code
        c.ended()
