"""More of WebSockets passed through: the order of headers, rejections, ends and what the log says of them."""

import json
import os
import re
import signal
import threading
import time

import pytest

from harness import BINARY, CLOSE, PING, PONG, TEXT, free_port, server_tls, unique
from ws_harness import Door, close_bytes, control, masked, short, wire_fixture, ws_frame, ws_item  # noqa: F401

BAD_GATEWAY = b"Error while proxying to origin.\n"


@pytest.fixture(scope="module")
def down():
    return free_port()


@pytest.fixture(scope="module")
def server(start_server, origin, down):
    p = origin.port
    return start_server("down localhost:%d\nbug,debug localhost:%d\nnext localhost:%d localhost:%d\n"
                        "woh localhost:%d,over_http\nrewritten,as_host=elsewhere,path_beg=/pre,path_rem=4 localhost:%d\n"
                        "test test\nraw,no_grip localhost:%d\n* localhost:%d\n" % (down, down, down, p, p, p, p, p),
                        {"allow_compression": "true"})


def names(head):
    return [n for n, _ in head.headers]


# the handshake's headers

def test_order_of_the_request(wire):
    c, v = wire.approach(headers=[("Origin", "http://x"), ("X-Thing", "1")], protocols="chat", extensions="permessage-deflate")
    assert names(v) == ["Host", "Upgrade", "Connection", "Sec-WebSocket-Version", "Sec-WebSocket-Key", "Sec-WebSocket-Extensions",
                        "Sec-WebSocket-Protocol", "Origin", "X-Thing", "Grip-Sig", "Grip-Feature", "Sec-WebSocket-Extensions"]
    assert v.get_all("Sec-WebSocket-Extensions") == ["permessage-deflate", "grip"]
    c, v = wire.approach(host="raw")
    assert v.get_all("Sec-WebSocket-Extensions") == ["permessage-deflate"]


def test_order_of_the_answer(wire):
    c, v = wire.approach(extensions="permessage-deflate")
    v.accept([("X-Custom", "1"), ("Set-Cookie", "a=1"), ("Grip-Foo", "bar"), ("Sec-WebSocket-Protocol", "chat"), ("Content-Length", "0")],
             reason="Go On")
    r = c.open().response
    assert r.reason == "Go On"
    assert names(r) == ["X-Custom", "Set-Cookie", "Grip-Foo", "Sec-WebSocket-Protocol", "Upgrade", "Connection",
                        "Sec-WebSocket-Accept", "Sec-WebSocket-Extensions"]
    assert r.get("Upgrade") == "websocket" and r.get("Connection") == "Upgrade"


def test_empty_reason(wire):
    c, v = wire.approach()
    v.accept(reason="")
    assert c.open().response.reason in ("", "Switching Protocols")


@pytest.mark.xfail_on_pushpin("takes what is not the last answer for it")
@pytest.mark.parametrize("interim", [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n",
                                     b"HTTP/1.1 102 Processing\r\n\r\n" * 3], ids=short)
@pytest.mark.parametrize("then", ["101", "403"])
def test_interim_answers(wire, interim, then):
    c, v = wire.approach()
    v.conn.send(interim)
    if then == "101":
        o = wire.keep(v.accept())
        c.response = c.client.read_head()
        while c.response.status in (100, 102, 103):
            c.response = c.client.read_head()
        assert c.response.status == 101
        c.send_text("x")
        assert o.text() == "x"
    else:
        v.reply(403, {"Content-Type": "text/plain"}, "no")
        c.response = c.client.read_head()
        while c.response.status in (100, 102, 103):
            c.response = c.client.read_head()
        assert c.response.status == 403 and c.client.exactly(2) == b"no"


# rejections

@pytest.mark.parametrize("status", [200, 204, 301, 302, 307, 400, 401, 403, 404, 426, 429, 500, 502, 503, 504, 599])
def test_rejections(wire, status):
    c, v = wire.approach()
    body = b"" if status == 204 else b"body %d" % status
    v.reply(status, [("Location", "/x"), ("Retry-After", "9"), ("Set-Cookie", "a"), ("Set-Cookie", "b")], body, reason="Why Not",
            length=status != 204)
    r = c.answer()
    assert (r.status, r.reason, r.body) == (status, "Why Not", body)
    assert r.get("Location") == "/x" and r.get("Retry-After") == "9" and r.get_all("Set-Cookie") == ["a", "b"]
    assert status == 204 or r.get("Content-Length") == str(len(body))
    c.ended()


@pytest.mark.xfail_on_pushpin("does not say that it closes")
def test_rejection_says_close(wire):
    c, v = wire.approach()
    v.reply(403, None, "no")
    assert c.answer().get_all("Connection") == ["close"]
    c.ended()


@pytest.mark.xfail_on_pushpin("answers 502 to what its buffer does not hold")
@pytest.mark.parametrize("size", [8191, 8192, 8193, 100000, 1500000])
@pytest.mark.parametrize("chunks", [False, True])
def test_rejection_of_any_size(wire, size, chunks):
    c, v = wire.approach()
    body = os.urandom(size // 4) * 4
    if chunks:
        v.conn.start_chunked(403)
        for i in range(0, len(body), 50000):
            v.conn.send_chunk(body[i:i + 50000])
        v.conn.send_chunk()
        v.done.set()
    else:
        v.reply(403, None, body)
    assert c.answer().body == body
    c.ended()


@pytest.mark.parametrize("host", ["localhost", "woh"])
@pytest.mark.parametrize("framing", ["chunked", "until the end"])
def test_short_rejection_gets_a_length(wire, host, framing):
    d = wire.door()
    c = wire.dial(d.path, host=host)
    if framing == "chunked":
        d.next().raw(b"HTTP/1.1 403 No\r\nTransfer-Encoding: chunked\r\nX-A: b\r\n\r\n3\r\nwhy\r\n1\r\n?\r\n0\r\n\r\n")
    else:
        d.next().raw(b"HTTP/1.1 403 No\r\nX-A: b\r\n\r\nwhy?", close=True)
    r = c.answer()
    assert (r.status, r.reason, r.get("X-A"), r.get("Content-Length"), r.body) == (403, "No", "b", "4", b"why?")
    assert not r.has("Transfer-Encoding")


def test_rejection_that_ends_with_the_connection(wire):
    c, v = wire.approach()
    v.raw(b"HTTP/1.0 403 No\r\nX-A: b\r\n\r\nuntil the end", close=True)
    r = c.answer()
    assert (r.status, r.body, r.get("X-A")) == (403, b"until the end", "b")


def test_rejection_that_is_cut_off(wire):
    c, v = wire.approach()
    v.raw(b"HTTP/1.1 403 No\r\nContent-Length: 100\r\n\r\nhalf", close=True)
    assert c.client.read_head().status == 403
    assert c.client.rest() == b"half"


def test_own_answers_have_no_type(wire):
    for host, body in (("down", BAD_GATEWAY),):
        r = wire.dial("/", host=host).answer()
        assert (r.status, r.reason, r.body) == (502, "Bad Gateway", body) and not r.has("Content-Type")
    c, v = wire.approach()
    v.hang_up()
    r = c.answer()
    assert (r.status, r.body) == (502, BAD_GATEWAY) and not r.has("Content-Type")
    c.ended()


def test_unreachable_in_debug_mode(wire, down):
    r = wire.dial("/", host="bug").answer()
    assert r.status == 502 and re.fullmatch(rb"Unable to connect to any targets\. Tried: .+\n", r.body)


def test_next_target(wire):
    c, o = wire.pair(host="next")
    c.send_text("x")
    assert o.text() == "x"


@pytest.mark.parametrize("raw", [
    b"HTTP/1.1 101\r\n\r\n", b"HTTP/1.1 101 Switching Protocols\r\n\r\n", b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n",
    b"HTTP/1.1 10 X\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 5, 6\r\n\r\nhello", b"\x00\x01\x02", b"HTTP/1.1 101 Sw\r\nBad Header\r\n\r\n"],
    ids=short)
def test_broken_answers(wire, raw):
    c, v = wire.approach()
    v.raw(raw, close=True)
    r = c.answer()
    assert (r.status, r.body) == (502, BAD_GATEWAY)


@pytest.mark.xfail_on_pushpin("does not look at them")
@pytest.mark.parametrize("drop", ["Upgrade", "Connection"])
def test_answer_without_upgrade(wire, drop):
    c, v = wire.approach()
    v.accept(drop=(drop,))
    assert c.answer().status == 502


# the log

def log_end(wire, uri, target, code):
    return wire.server.wait_log(r"\[INFO\] \S+ \S+ GET %s -> %s closed=%d duration=(\d+(?:\.\d+)?)$"
                                % (re.escape(uri), re.escape(target), code))


def test_log_of_a_connection(wire, origin):
    uri = "ws://localhost%s?" + unique()
    c, o = wire.pair(query="?" + uri[len("ws://localhost%s?"):])
    uri %= c.request.split()[1].decode().split("?")[0]
    target = "localhost:%d" % origin.port
    wire.server.wait_log(r"GET %s -> %s code=101 0$" % (re.escape(uri), target))
    c.send_close(4001, "bye")
    assert o.closing() == (4001, "bye")
    o.send_close(4001)
    c.closing()
    assert float(log_end(wire, uri, target, 4001).group(1)) < 60
    assert len(re.findall(re.escape(uri) + " -> ", wire.server.logs())) == 2


def mark_of(c, host):
    return "ws://%s%s" % (host, c.request.split()[1].decode())


@pytest.mark.xfail_on_pushpin("says nothing of the end")
@pytest.mark.parametrize("how,code", [
    ("client", 1001), ("empty close", 1005), ("origin", 3333), ("client vanishes", 1006), ("client resets", 1006), ("origin vanishes", 1006),
    ("violation", 1006), ("bad text", 1006), ("origin's violation", 1006), ("publish", 4444), ("woh", 4001), ("woh vanishes", 1006),
    ("woh fails", 1006), ("test", 1000)])
def test_log_of_an_end(wire, origin, how, code):
    target = "localhost:%d" % origin.port
    host = "localhost"
    if how.startswith("woh"):
        host, target = "woh", target + "[http]"
        c, d = wire.woh()
        if how == "woh":
            c.send_text("x")
            d.next().events_reply(("CLOSE", close_bytes(4001)))
            c.closing()
            c.send_close(4001)
        elif how == "woh vanishes":
            c.close()
        else:
            c.send_text("x")
            d.next().reply(500)
            c.closing()
    elif how == "test":
        host, target = "test", "test"
        c = wire.dial("/ws?" + unique(), host="test").open()
        c.send_close(1000)
        c.closing()
    elif how == "publish":
        ch = unique()
        c, o = wire.member(ch)
        wire.server.publish(ws_item(ch, action="close", code=4444))
        c.closing()
    else:
        c, o = wire.pair()
        if how == "client":
            c.send_close(1001, "going")
            o.closing()
            o.send_close(1001)
        elif how == "empty close":
            c.send_close()
            o.closing()
            o.send_close(1000)
        elif how == "origin":
            o.send_close(3333)
            c.closing()
            c.send_close(3333)
        elif how == "client vanishes":
            c.close()
        elif how == "client resets":
            c.reset()
        elif how == "origin vanishes":
            o.close()
        elif how == "violation":
            c.raw(masked(3, b"x"))
        elif how == "bad text":
            c.raw(masked(TEXT, b"\xff"))
        else:
            o.raw(ws_frame(3, b"x"))
    log_end(wire, mark_of(c, host), target, code)


@pytest.mark.xfail_on_pushpin("says nothing of the end")
def test_log_has_the_uri_as_requested(wire, origin):
    d = wire.door("/" + unique("in"))
    path = "/pre" + d.path + "?q=1"
    c = wire.dial(path, host="rewritten", headers=[("Referer", "http://page/")])
    v = d.next()
    assert v.get("Host") == "elsewhere" and v.target == d.path + "?q=1"
    o = wire.keep(v.accept())
    c.open()
    c.close()
    log_end(wire, "ws://rewritten" + path, "localhost:%d" % origin.port, 1006)


def test_log_of_a_rejection(wire, origin):
    c, v = wire.approach()
    v.reply(403, None, "nope")
    c.answer()
    wire.server.wait_log(r"GET %s -> localhost:%d code=403 4$" % (re.escape(mark_of(c, "localhost")), origin.port))
    c = wire.dial("/" + unique(), host="down")
    c.answer()
    wire.server.wait_log(r"GET %s( -> \S+)? code=502 32$" % re.escape(mark_of(c, "down")))
    assert mark_of(c, "down") + " closed=" not in wire.server.logs()


@pytest.mark.xfail_on_pushpin("says nothing of the end")
def test_log_as_json(wire, start_server, origin):
    server = start_server("* localhost:%d\n" % origin.port, {"log_format": "json"})
    c, o = wire.pair(server=server)
    c.send_close(4001)
    o.closing()
    o.send_close(4001)
    text = server.wait_log(r'(\{.*"closed".*\})$').group(1)
    doc = json.loads(text)
    assert doc.pop("duration") < 60
    assert doc == {"method": "GET", "uri": mark_of(c, "localhost"), "target": "localhost:%d" % origin.port, "closed": 4001}


@pytest.mark.xfail_on_pushpin("says nothing of the end")
def test_log_of_a_shutdown(wire, start_server, origin):
    server = start_server("* localhost:%d\n" % origin.port)
    c, o = wire.pair(server=server)
    os.kill(server.pid, signal.SIGTERM)
    c.closing()
    server.wait_log(r"closed=1001 duration=")


# closing

def test_close_without_a_code(wire):
    c, o = wire.pair()
    c.send_close()
    assert o.closing()[0] == 1000
    o.send_close()
    assert c.closing()[0] in (None, 1000)
    c.ended()
    c, o = wire.pair()
    o.send_close()
    assert c.closing()[0] == 1000


@pytest.mark.xfail_on_pushpin("waits as long as the other side likes")
def test_close_that_is_never_answered(wire):
    """All at once, since it takes ten seconds: of the client, the origin, a publisher."""
    ch = unique()
    c, o = wire.pair()
    d, p = wire.pair()
    e, q = wire.member(ch)
    start = time.monotonic()
    c.send_close(4001)
    p.send_close(4002)
    wire.server.publish(ws_item(ch, action="close", code=4003))
    assert o.closing()[0] == 4001 and d.closing()[0] == 4002 and e.closing()[0] == 4003 and q.closing()[0] == 1000
    assert c.closing(14)[0] == 1011
    assert 8 < time.monotonic() - start < 40
    for x in (o, d, e, q):
        x.ended(4)
    p.until_end(5)


@pytest.mark.xfail_on_pushpin("the rest gets TCP's end only")
def test_side_that_remains_is_told(wire):
    c, o = wire.pair()
    c.send_text("last")
    c.send(BINARY, b"words", fin=False)
    c.close()
    assert o.text() == "last"
    f = o.recv()
    if f.opcode == BINARY:
        f = o.recv()
    assert f.opcode == CLOSE and f.code == 1001
    c, o = wire.pair()
    o.send_text("last")
    o.reset()
    got = c.until_end()
    assert got[-1] == (CLOSE, close_bytes(1011))


def test_large_message_before_a_close(wire):
    c, o = wire.pair()
    data = os.urandom(3000000)
    o.send_binary(data)
    o.send_close(4000, "done")
    time.sleep(0.2)
    assert c.binary() == data
    assert c.closing() == (4000, "done")


def test_large_message_before_a_disconnect(wire):
    c, o = wire.pair()
    data = os.urandom(3000000)
    o.send_binary(data)
    o.close()
    time.sleep(0.2)
    assert c.binary() == data
    assert c.closing()[0] == 1011


def test_message_of_megabytes(wire):
    c, o = wire.pair()
    data = os.urandom(1 << 20) * 16
    for a, b in ((c, o), (o, c)):
        t = threading.Thread(target=a.send_binary, args=(data,), daemon=True)
        t.start()
        assert b.binary(60) == data
        t.join()


# addresses in the log

@pytest.mark.parametrize("rules,sent,seen", [
    ("", "9.9.9.9", "127.0.0.1"), ("append", "9.9.9.9", "127.0.0.1"), ("truncate:1,append", "8.8.8.8, 9.9.9.9", "9.9.9.9"),
    ("truncate:2", "7.7.7.7, 8.8.8.8, 9.9.9.9", "8.8.8.8"), ("truncate:0,append", "9.9.9.9", "127.0.0.1")])
@pytest.mark.xfail_on_pushpin("believes anybody, unless truncate:0 is there")
def test_address_in_the_log(wire, start_server, origin, rules, sent, seen):
    server = start_server("* localhost:%d\n" % origin.port, {"log_from": "true", "x_forwarded_for": rules})
    d = wire.door()
    wire.dial(d.path, server=server, headers=[("X-Forwarded-For", sent)])
    d.next().accept()
    server.wait_log(r"GET ws://localhost%s -> \S+ from=%s code=101 0$" % (d.path, re.escape(seen)))


# targets with TLS

@pytest.mark.parametrize("over_http", [False, True])
def test_targets_with_tls(wire, start_server, start_origin, over_http):
    origin = start_origin(tls=server_tls())
    server = start_server("* localhost:%d,ssl,insecure%s\n" % (origin.port, ",over_http" if over_http else ""))
    d = Door(origin)
    c = wire.dial(d.path, server=server)
    v = d.next()
    if over_http:
        v.open()
        c.open()
        c.send_text("x")
        v = d.next()
        v.events_reply(("TEXT", "m:y"))
        assert v.events == [("TEXT", b"x")] and c.text() == "y"
        c.close()
        v = d.next()
        assert v.events == [("DISCONNECT", None)]
        v.events_reply()
    else:
        o = wire.keep(v.accept())
        c.open()
        data = os.urandom(300000)
        c.send_binary(data)
        assert o.binary() == data
        o.send_binary(data)
        assert c.binary() == data
        o.send_close(4001)
        assert c.closing()[0] == 4001
    d.close()


# pings of the proxy

@pytest.mark.xfail_on_pushpin("has no such key")
def test_ping_interval(wire, start_server, origin):
    server = start_server("* localhost:%d\n" % origin.port, {"websocket_ping_interval": "1"})
    c, o = wire.pair(server=server)
    opcode, payload = c.message(5)
    assert opcode == PING
    c.send(PONG, payload)
    assert o.message(5)[0] == PING                      # the origin is asked as well, and does not hear the client's answer
    c.send(PONG, b"unsolicited")
    assert o.message(5) == (PONG, b"unsolicited")


# two proxies, one behind the other

@pytest.fixture(scope="module")
def chain(start_server, origin):
    inner = start_server("woh localhost:%d,over_http\n* localhost:%d\n" % (origin.port, origin.port),
                         {"upstream_key": "between", "allow_compression": "true"})
    outer = start_server("* localhost:%d\n" % inner.http_port, {"sig_key": "between", "allow_compression": "true"})
    return outer, inner


@pytest.mark.xfail_on_pushpin("the outer proxy never learns of GRIP")
@pytest.mark.parametrize("over_http", [False, True])
@pytest.mark.parametrize("prefix", [None, "k-"])
def test_two_proxies(wire, chain, over_http, prefix):
    outer, inner = chain
    ch = unique()
    d = wire.door()
    c = wire.dial(d.path, host="woh" if over_http else "localhost", server=outer, extensions="permessage-deflate")
    v = d.next()
    if over_http:
        v.open(("TEXT", control("subscribe", channel=ch)), ("TEXT", (prefix or "m:") + "hello"),
               grip='grip; message-prefix="%s"' % prefix if prefix else "grip")
        c.open()
    else:
        o = wire.keep(v.accept_grip(prefix))
        c.open()
        o.subscribe(ch)
        o.send_text((prefix or "m:") + "hello")
    c.use_deflate()
    assert c.text() == "hello"
    outer.wait_subscribed(ch)
    assert ch not in inner.subscriptions()
    outer.publish(ws_item(ch, "published"))
    assert c.text() == "published"
    c.send_text("up")
    if over_http:
        v = d.next()
        assert v.events == [("TEXT", b"up")]
        v.events_reply(("CLOSE", close_bytes(4001, "bye")))
    else:
        assert o.text() == "up"
        o.send_close(4001, "bye")
    assert c.closing() == (4001, "bye")


def test_client_on_a_unix_socket(wire, start_server, origin, tmp_path):
    at = str(tmp_path / "s")
    start = start_server("* localhost:%d\n" % origin.port, {"local_ports": at, "log_from": "true"})
    d = wire.door()
    c = wire.dial(d.path, port=at)
    o = wire.keep(d.next().accept())
    c.open()
    c.send_text("up")
    o.send_text("down")
    assert (o.text(), c.text()) == ("up", "down")
    c.close()
    start.wait_log(r"GET ws://localhost%s -> localhost:%d code=101 0$" % (d.path, origin.port))
    start.wait_log(r"GET ws://localhost%s -> localhost:%d closed=1006 duration=" % (d.path, origin.port))


# flow

@pytest.mark.parametrize("reader", ["client", "origin"])
def test_side_that_reads_late(wire, reader):
    """What it has not read holds the other side back, and all of it comes."""
    c, o = wire.pair()
    a, b = (o, c) if reader == "client" else (c, o)
    text = b"x" * 200000
    state = {"sent": 0, "on": True}

    def talk():
        while state["on"]:
            a.send_binary(b"%d " % state["sent"] + text)
            state["sent"] += 1
    t = threading.Thread(target=talk, daemon=True)
    t.start()
    n = -1
    while n != state["sent"]:                           # until it is stuck
        n = state["sent"]
        assert n < 1000, "two hundred megabytes wait somewhere"
        time.sleep(0.2)
    state["on"] = False
    for i in range(n + 1):
        assert b.binary() == b"%d " % i + text
    t.join(10)
    b.send_text("still here")
    assert a.text() == "still here"


def test_many_at_once(wire):
    pairs = [wire.pair() for _ in range(100)]
    for i, (c, o) in enumerate(pairs):
        c.send_text("up %d" % i)
        o.send_text("down %d" % i)
    for i, (c, o) in enumerate(pairs):
        assert (o.text(), c.text()) == ("up %d" % i, "down %d" % i)
        c.send_close(3000 + i)
    for i, (c, o) in enumerate(pairs):
        assert o.closing()[0] == 3000 + i
        o.send_close(3000 + i)
        assert c.closing()[0] == 3000 + i
        c.ended()
