"""What the log says of WebSockets; commands that find them by the ids of stats messages."""

import struct

import pytest

from harness import CLOSE, WsClient
from test_ws_stats import stats  # noqa: F401
from ws_harness import control, wire_fixture  # noqa: F401


@pytest.fixture(scope="module")
def server(start_server, origin):
    return start_server("* localhost:{o}\nas.test,as_host=other.test,id=named localhost:{o}\nwoh.test localhost:{o},over_http".format(o=origin.port),
                        {"log_from": "true", "x_forwarded_for": "truncate:1,append"})


def serve(origin, answer=lambda frames: None):
    """A path where the origin takes a WebSocket and does with it what ANSWER says."""
    def handler(request):
        frames = request.conn.accept_websocket(request)
        answer(frames)
        request.conn.wait_gone(5)
    return origin.serve(handler)


def echo_close(frames):
    f = frames.recv()
    frames.send(CLOSE, f.payload)


def ended(server, pattern):
    return server.wait_log(r"^\[INFO\] \S+ \S+ GET %s duration=\d+(\.\d+)?$" % pattern)


def test_beginning_is_logged(server, origin):
    p = serve(origin)
    with server.websocket(p, {"X-Forwarded-For": "192.0.2.7, 192.0.2.8"}):
        assert server.wait_log(r"GET ws://localhost%s -> localhost:%d from=192\.0\.2\.8 code=101 0$" % (p, origin.port))
    p = serve(origin)
    with server.websocket(p):
        assert server.wait_log(r"GET ws://localhost%s -> localhost:%d from=127\.0\.0\.1 code=101 0$" % (p, origin.port))


@pytest.mark.xfail_on_pushpin("logs nothing at the end")
@pytest.mark.parametrize("code,shown", [(1000, 1000), (4001, 4001), (None, 1005)])
def test_end_by_the_client_is_logged(server, origin, code, shown):
    p = serve(origin, echo_close)
    with server.websocket(p + "?q") as w:
        w.send_close(code)
        assert w.recv().opcode == CLOSE
        assert ended(server, r"ws://localhost%s\?q -> localhost:%d closed=%d" % (p, origin.port, shown))


@pytest.mark.xfail_on_pushpin("logs nothing at the end")
def test_end_by_the_origin_is_logged_as_the_client_knew_it(server, origin):
    p = serve(origin, lambda frames: frames.send(CLOSE, struct.pack(">H", 3000)))
    with server.websocket(p, host="as.test:81") as w:
        assert w.recv().code == 3000
        w.send_close(3000)
        assert ended(server, r"ws://as\.test:81%s -> localhost:%d closed=3000" % (p, origin.port))


@pytest.mark.xfail_on_pushpin("logs nothing at the end")
def test_end_without_a_close_frame_is_logged(server, origin):
    p = serve(origin)
    server.websocket(p).close()
    assert ended(server, r"ws://localhost%s -> localhost:%d closed=1006" % (p, origin.port))


@pytest.mark.xfail_on_pushpin("logs nothing at the end")
def test_end_of_one_over_http_is_logged(server, origin):
    from harness import Reply
    p = origin.serve(lambda request: Reply(200, {"Content-Type": "application/websocket-events", "Sec-WebSocket-Extensions": "grip"},
                                           b"OPEN\r\n" if b"OPEN" in request.body else request.body))
    with server.websocket(p, host="woh.test") as w:
        w.send_close(1001)
        assert w.recv().code == 1001
        assert ended(server, r"ws://woh\.test%s -> localhost:%d\[http\] closed=1001" % (p, origin.port))


@pytest.mark.xfail_on_pushpin("logs nothing at the end")
def test_end_by_a_publisher_is_logged(server, origin):
    from harness import unique
    ch = unique()
    p = origin.serve(lambda request: request.conn.accept_websocket(request, {"Sec-WebSocket-Extensions": "grip"}).send_text(
        'c:{"type": "subscribe", "channel": "%s"}' % ch) or request.conn.wait_gone(5) and None)
    with server.websocket(p) as w:
        server.wait_subscribed(ch)
        server.publish({"channel": ch, "formats": {"ws-message": {"action": "close", "code": 4002}}})
        assert w.recv().code == 4002
        assert ended(server, r"ws://localhost%s -> localhost:%d closed=4002" % (p, origin.port))


def test_no_route_has_no_content_type(start_server):
    s = start_server("here.test test")
    w = WsClient(s.http_port, "/", host="elsewhere.test", expect=502)
    assert w.response.body == b"No route for host: elsewhere.test\n" and not w.response.has("Content-Type")
    w.close()
    assert s.wait_log(r"GET ws://elsewhere\.test/ code=502 34$")


# ids

@pytest.mark.parametrize("over_http", [False, True])
def test_commands_find_a_connection_by_its_id(wire, server, stats, over_http):
    """One over HTTP is refreshed, the other is left alone."""
    c, x = wire.woh(host="woh.test") if over_http else wire.pair()
    id = stats.wait("conn", type=b"ws")["id"]
    other = b"00000000-0000-4000-8000-000000000000"
    assert server.command("conncheck", {"ids": [other, id]})["value"] == [id]
    assert server.command("refresh", {"cid": other})["condition"] == b"item-not-found"
    assert server.command("refresh", {"cid": id})["success"] is True
    if over_http:
        assert x.next().body == b""
    else:
        x.quiet(0.05)
    c.close()
    assert stats.wait("conn", id=id, unavailable=True)
    assert server.command("conncheck", {"ids": [id]})["value"] == []


def test_commands_find_a_detached_connection(wire, server, stats):
    c, d = wire.woh(("TEXT", control("detach")), host="woh.test")
    id = stats.wait("conn", type=b"ws")["id"]
    v = d.next()
    assert v.body == b"CLOSE\r\n"
    v.events_reply()
    assert server.command("conncheck", {"ids": [id]})["value"] == [id]
    assert server.command("refresh", {"cid": id})["success"] is True
    d.quiet(0.05)
