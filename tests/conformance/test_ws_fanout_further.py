"""More of what many clients get: frames of what is published, closes, who counts as a receiver."""

import json
import struct

import pytest

from harness import BINARY, CLOSE, CONT, PING, PONG, TEXT, item, unique


@pytest.fixture(scope="module")
def server(start_server):
    return start_server("* test", {"update_on_first_subscription": "false"})


def member(server, ch):
    w = server.websocket("/ws?channel=" + ch)
    server.wait_subscribed(ch)
    return w


def test_what_each_format_becomes(server):
    ch = unique()
    formats = [({"content": "t"}, (TEXT, b"t")), ({"content-bin": "AP8="}, (BINARY, b"\0\xff")), ({"content-bin": "dGV4dA==", "content": "no", "type": "text"}, (TEXT, b"text")),
               ({"type": "binary", "content": "b"}, (BINARY, b"b")), ({"action": "hint"}, None), ({"type": "ping"}, (PING, b"")),
               ({"type": "pong", "content": "p"}, (PONG, b"p")), ({"action": "refresh"}, None), ({"content": ""}, (TEXT, b""))]
    with member(server, ch) as w:
        server.publish(*[item(ch, ws=f) for f, frame in formats])
        for f, frame in formats:
            if frame:
                got = w.recv()
                assert (got.opcode, got.payload, got.fin) == frame + (True,)


@pytest.mark.parametrize("size", [8192, 8193, 16384, 20001])
@pytest.mark.parametrize("kind", ["content", "content-bin"])
def test_large_messages_come_in_frames(server, size, kind):
    ch = unique()
    with member(server, ch) as w:
        server.publish(item(ch, ws={kind: "QUFB" * (size // 3) + ("QQ==" if size % 3 == 1 else "QUE=" if size % 3 else "") if kind == "content-bin" else "A" * size}))
        frames = [w.recv() for _ in range((size + 8191) // 8192)]
        assert [f.opcode for f in frames] == [TEXT if kind == "content" else BINARY] + [CONT] * (len(frames) - 1)
        assert [f.fin for f in frames] == [False] * (len(frames) - 1) + [True]
        assert [len(f.payload) for f in frames] == [8192] * (len(frames) - 1) + [size - 8192 * (len(frames) - 1)]
        assert b"".join(f.payload for f in frames) == b"A" * size
        server.publish(item(ch, ws="next"))
        assert w.recv().payload == b"next"


def test_large_message_that_a_filter_rewrites(start_server, origin):
    s = start_server("* localhost:%d" % origin.port, {"update_on_first_subscription": "false"})
    ch = unique()

    def accept(request):
        o = request.conn.accept_websocket(request, {"Sec-WebSocket-Extensions": "grip"})
        o.send_text('c:{"type":"set-meta","name":"n","value":"%s"}' % ("v" * 100))
        o.send_text('c:{"type":"subscribe","channel":"%s","filters":["var-subst"]}' % ch)
        request.conn.wait_gone()
    with s.websocket(origin.serve(accept)) as w:
        s.wait_subscribed(ch)
        s.publish(item(ch, ws="%(n)s" * 200))
        frames = [w.recv() for _ in range(3)]
        assert [f.fin for f in frames] == [False, False, True] and b"".join(f.payload for f in frames) == b"v" * 20000


@pytest.mark.xfail_on_pushpin("drops the reason where there is no code")
@pytest.mark.parametrize("fmt,payload", [({}, b"\x03\xe8"), ({"reason": "bye"}, b"\x03\xe8bye"), ({"code": "4000"}, struct.pack(">H", 4000)), ({"code": 1000.4}, b"\x03\xe8"),
                                         ({"code": 3001, "reason": "r"}, struct.pack(">H", 3001) + b"r")])
def test_close_frames(server, fmt, payload):
    ch = unique()
    with member(server, ch) as w:
        server.publish(item(ch, ws=dict(fmt, action="close")), item(ch, ws="never"))
        f = w.recv()
        assert (f.opcode, f.payload) == (CLOSE, payload)
        w.send(CLOSE, payload)
        w.closed()


def test_receivers_are_those_that_take_a_format(server):
    ch = unique()

    def receivers(**formats):
        return server.control(body=json.dumps({"items": [item(ch, **formats)]}), headers={"Accept": "application/json"}).json()["receivers"]
    with member(server, ch) as w:
        assert (receivers(stream="x", response="y"), receivers(stream="x", ws="w")) == (0, 1)
        assert w.recv().payload == b"w"
