"""More of opening handshakes: what makes a request one for a WebSocket, and each thing that it has to have."""

import threading

import pytest

from harness import TEXT, certificate, client_tls, free_port, port_open, wait_for
from test_ws_handshake import INVALID
from ws_harness import masked, short, wire_fixture  # noqa: F401


@pytest.fixture(scope="module")
def tls_port():
    return free_port()


@pytest.fixture(scope="module")
def server(start_server, origin, tls_port):
    cert, key = certificate()
    p = origin.port
    s = start_server("woh localhost:%d,over_http\ntest test\nsock,sockjs=/ localhost:%d\n"
                     "byproto,proto=ws localhost:%d\nbyproto,proto=http test\nheaded,header=X-Route:yes localhost:%d\n"
                     "* localhost:%d\n" % (p, p, p, p, p), {"https_ports": tls_port, "x_forwarded_for": "append"},
                     {"runner/certs/localhost.crt": cert, "runner/certs/localhost.key": key})
    wait_for(lambda: port_open(tls_port), what="the TLS port")
    return s


def attempt(wire, **kw):
    d = wire.door()
    return wire.dial(d.path, **kw), d


# what asks for a WebSocket

@pytest.mark.xfail_on_pushpin("knows the lower case alone, and no lists")
@pytest.mark.parametrize("kw", [
    {"upgrade": "WebSocket"}, {"upgrade": "h2c, websocket"}, {"upgrade": "websocket, foo"}, {"upgrade": "foo", "headers": [("Upgrade", "websocket")]},
    {"connection": "keep-alive", "headers": [("Connection", "Upgrade")]}, {"connection": " Upgrade "}, {"connection": "uPgRaDe,,x"}], ids=short)
def test_lists_of_tokens(wire, kw):
    c, d = attempt(wire, **kw)
    v = d.next()
    assert v.get_all("Upgrade") == ["websocket"] and v.get_all("Connection") == ["Upgrade"]
    o = wire.keep(v.accept())
    c.open()
    o.send_text("x")
    assert c.text() == "x"


@pytest.mark.parametrize("kw", [{"upgrade": None}, {"upgrade": "h2c"}, {"upgrade": "websockets"}, {"upgrade": "websocket2"}, {"upgrade": "web socket"}],
                         ids=short)
def test_what_does_not_ask(wire, kw):
    """It is a plain request, whatever else it has."""
    c, d = attempt(wire, **kw)
    v = d.next()
    assert v.get("Sec-WebSocket-Key") in (c.key, None)
    v.reply(200, None, "plain")
    assert c.answer().body == b"plain"


@pytest.mark.xfail_on_pushpin("takes most of it")
@pytest.mark.parametrize("kw", [
    {"connection": None}, {"connection": "keep-alive"}, {"connection": "upgrades"}, {"connection": ""}, {"http": "HTTP/1.0"}, {"method": "POST"},
    {"method": "get"}, {"method": "HEAD"}, {"method": "X"}, {"key": None}, {"key": ""}, {"key": "x"}, {"key": "dGhlIHNhbXBsZSBub25jZQ="}, {"key": "dGhlIHNhbXBsZSBub25jZQ==="},
    {"key": "dGhlIHNhbXBsZSBub25jZ===" }, {"key": "dGhlIHNhbXBsZSBub25jZR=="}, {"key": "dGhl IHNhbXBsZSBub25jZQ=="}, {"key": "dGhlIHNhbXBsZSBub25-ZQ=="},
    {"key": "A" * 24}, {"headers": [("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")]}, {"headers": [("Content-Length", "3")]},
    {"headers": [("Transfer-Encoding", "chunked")]}, {"version": None}], ids=short)
@pytest.mark.parametrize("host", ["localhost", "woh"])
def test_what_is_refused(wire, kw, host):
    c, d = attempt(wire, host=host, **kw)
    r = c.client.read_head()
    assert r.status in ((400, 426) if kw.get("version", 13) is None else (400, 405, 505) if "http" in kw or kw.get("method") in ("HEAD", "get", "X") else (400,))
    if kw.get("method") not in ("HEAD", "get", "X") and "http" not in kw:
        assert r.get("Content-Type") == "text/plain" and c.client.exactly(len(INVALID)) == INVALID
    d.quiet(0.01)
    assert c.client.rest() is not None


@pytest.mark.xfail_on_pushpin("answers 400")
@pytest.mark.parametrize("version", ["12", "14", "13, 12", "8", "0", "013", "13.0", "x", "-13", "13;"])
def test_other_versions(wire, version):
    c, d = attempt(wire, version=version)
    r = c.answer()
    assert (r.status, r.reason, r.get_all("Sec-WebSocket-Version")) in ((426, "Upgrade Required", ["13"]), (400, "Bad Request", []))
    c.ended()
    d.quiet(0.01)


@pytest.mark.parametrize("value", [";", "x;;y", "=", "x; =1", "x; a=", 'x; a="', "x y", "x; a b", "x, ;", '"x"', "x; a=b c", "x; a=@", 'x; a="b"c', 'x; a="b\\"', "@"], ids=ascii)
def test_malformed_extensions(wire, value):
    c, d = attempt(wire, extensions=value)
    r = c.answer()
    assert (r.status, r.body) == (400, INVALID)
    c.ended()
    d.quiet(0.01)


@pytest.mark.parametrize("value", ["x", "x;", "x; a", "x; a=b; c", 'x; a="b"', 'x; a="b\\"; ,c" ;d', "x,y", "x ; a = b", "x,, y", "permessage-deflate; client_max_window_bits, permessage-deflate"])
def test_wellformed_extensions(wire, value):
    c, d = attempt(wire, extensions=value)
    d.next().accept()
    assert not c.open().response.has("Sec-WebSocket-Extensions")


def test_no_route_for_it(wire, start_server, origin):
    server = start_server("known localhost:%d\n" % origin.port)
    c = wire.dial("/x?y", host="nobody:81", server=server)
    r = c.answer()
    assert (r.status, r.body) == (502, b"No route for host: nobody\n") and not r.has("Content-Type")
    c.ended()
    server.wait_log(r"GET ws://nobody:81/x\?y code=502 \d+$")


# routes

def test_route_by_protocol(wire):
    c, d = attempt(wire, host="byproto")
    o = wire.keep(d.next().accept())
    c.open()
    c.send_text("x")
    assert o.text() == "x"
    assert wire.server.request("GET", "/", host="byproto").status == 200


def test_headers_of_the_route_and_forwarding(wire, tls_port):
    c, d = attempt(wire, host="headed", headers=[("X-Route", "no"), ("X-Forwarded-For", "9.9.9.9"), ("Keep-Alive", "1"), ("TE", "trailers"),
                                                 ("Proxy-Connection", "x"), ("Connection", "X-Hop"), ("X-Hop", "1"), ("Accept-Encoding", "gzip")])
    v = d.next()
    assert v.get_all("X-Route") == ["yes"] and v.get("X-Forwarded-For") == "9.9.9.9, 127.0.0.1" and not v.has("X-Forwarded-Proto")
    for name in ("Keep-Alive", "TE", "Proxy-Connection", "X-Hop", "Accept-Encoding"):
        assert not v.has(name), name
    names = [n for n, _ in v.headers]
    assert names[-1] == "Sec-WebSocket-Extensions" and names[:5] == ["Host", "Upgrade", "Connection", "Sec-WebSocket-Version", "Sec-WebSocket-Key"]
    c, d = attempt(wire, port=tls_port, tls=client_tls(certificate()[0]))
    v = d.next()
    assert v.get_all("X-Forwarded-Proto") == ["wss"]
    v.accept()
    c.open()
    c.close()
    wire.server.wait_log(r"GET wss://localhost%s -> \S+ closed=1006 duration=" % d.path)


def test_protocols_are_not_interpreted(wire):
    c, d = attempt(wire, protocols="a, b", headers=[("Sec-WebSocket-Protocol", "c")])
    v = d.next()
    assert v.get_all("Sec-WebSocket-Protocol") == ["a, b", "c"]
    v.accept([("Sec-WebSocket-Protocol", "never asked for")])
    assert c.open().response.get_all("Sec-WebSocket-Protocol") == ["never asked for"]


# what the client sends before the answer

def test_much_before_the_answer(wire):
    """It waits, and nothing is lost."""
    c, d = attempt(wire)
    v = d.next()
    sent = [b"%d " % i + b"x" * 20000 for i in range(100)]
    t = threading.Thread(target=c.raw, args=(b"".join(masked(TEXT, m) for m in sent),), daemon=True)
    t.start()
    t.join(0.2)
    o = wire.keep(v.accept())
    c.open()
    assert [o.message()[1] for _ in sent] == sent
    t.join(5)


def test_violation_before_the_answer(wire):
    c, d = attempt(wire)
    v = d.next()
    c.raw(masked(3, b"x"))
    o = wire.keep(v.accept())
    c.open()
    assert c.closing()[0] == 1002 and o.closing()[0] == 1001


def test_request_behind_a_rejection(wire):
    """A client with a rejected WebSocket expects nothing more on the connection."""
    c, d = attempt(wire)
    c.raw(b"GET /second HTTP/1.1\r\nHost: localhost\r\n\r\n")
    d.next().reply(403, None, "no")
    r = c.answer()
    assert r.status == 403 and r.body == b"no"
    c.client.rest()
    assert not wire.origin.requests("/second")
