"""More of GRIP on WebSockets: prefixes in pieces, control messages of every form, what they leave alone."""

import os
import re
import threading
import time

import pytest

from harness import BINARY, CLOSE, CONT, PING, PONG, TEXT, steadily, unique
from test_ws_grip import KEY, trusted
from ws_harness import close_bytes, control, masked, short, wire_fixture, ws_item  # noqa: F401


@pytest.fixture(scope="module")
def server(start_server, origin):
    p = origin.port
    return start_server("woh localhost:%d,over_http\nbug,debug localhost:%d\nraw,no_grip localhost:%d\n"
                        "pre,prefix=pre- localhost:%d\ntest test\n* localhost:%d\n" % ((p,) * 5),
                        {"upstream_key": KEY.decode(), "log_level": "3", "connection_subscription_max": "5"})


# activation

@pytest.mark.parametrize("value,prefix", [
    ("grip", "m:"), ("grip ;x=y", "m:"), ('grip; message-prefix="x-"', "x-"), ("grip; message-prefix=q:", "q:"), ('grip;message-prefix=""', ""),
    ("x-foo, grip; message-prefix=z", "z"), ("grip; message-prefix=a, grip; message-prefix=b", "a"), ('x; a="grip, b", grip', "m:"),
    ('grip; message-prefix="a\\"b"', 'a"b'), ("grip; Message-Prefix=k", "k"),
    ("grip; message-prefix=", None), ("GRIP", None), ("grip2", None), ("x-grip", None), ("x; grip", None), ("Grip", None)], ids=short)
def test_extension(wire, value, prefix):
    c, o = wire.pair(accept=[("Sec-WebSocket-Extensions", value)])
    assert not c.response.has("Sec-WebSocket-Extensions")
    o.send_text((prefix or "") + "text")
    assert c.text() == "text"
    o.send_text('c:{"type":"nosuch"}')
    o.send_text((prefix or "") + "end")
    assert c.texts(1 if prefix is not None else 2)[-1] == "end"


def test_no_grip_route_passes_all(wire):
    c, o = wire.pair(host="raw", accept=[("Sec-WebSocket-Extensions", "grip")])
    for text in ("m:x", 'c:{"type":"detach"}', "plain"):
        o.send_text(text)
        assert c.text() == text


# prefixes

@pytest.mark.xfail_on_pushpin("looks at the first frame alone")
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("pieces", [[b"m", b":te", b"xt"], [b"", b"m", b"", b":", b"text"], [b"m:", b"text"], [b"m:text", b""],
                                    [bytes([b]) for b in b"m:text"]], ids=short)
def test_prefix_in_pieces(wire, opcode, pieces):
    c, o = wire.pair(grip=True)
    o.send_parts(opcode, pieces)
    assert c.message() == (opcode, b"text")
    wire.barrier(c, o)


@pytest.mark.xfail_on_pushpin("looks at the first frame alone")
@pytest.mark.parametrize("pieces", [[b"m", b"x", b"m:y"], [b"", b"", b""], [b"m", b""], [b"x", b"m:y"], [b"", b"x"], [b"c", b"x"]], ids=short)
def test_no_prefix_in_pieces(wire, pieces):
    c, o = wire.pair(grip=True)
    o.send_parts(TEXT, pieces)
    o.send_parts(BINARY, pieces)
    wire.barrier(c, o)


@pytest.mark.xfail_on_pushpin("a control frame between fragments ends the connection")
def test_pings_between_pieces(wire):
    c, o = wire.pair(grip=True)
    o.send(TEXT, b"m", fin=False)
    o.send(PING, b"1")
    assert c.message() == (PING, b"1")
    o.send(CONT, b":", fin=False)
    o.send(PING, b"2")
    assert c.message() == (PING, b"2")
    o.send(CONT, b"text")
    assert c.text() == "text"
    o.send(TEXT, b"dropped", fin=False)
    o.send(PONG, b"3")
    assert c.message() == (PONG, b"3")
    o.send(CONT, b"m:too")
    wire.barrier(c, o)


def test_empty_messages(wire):
    c, o = wire.pair(grip=True)
    o.send_text("m:")
    o.send_binary(b"m:")
    assert [c.message() for _ in range(2)] == [(TEXT, b""), (BINARY, b"")]
    c, o = wire.pair(grip="")
    o.send_text("")
    o.send_binary(b"")
    assert [c.message() for _ in range(2)] == [(TEXT, b""), (BINARY, b"")]


def test_binary_that_looks_like_control(wire):
    c, o = wire.pair(grip="c")
    o.send_binary(control("detach").encode())
    assert c.binary() == control("detach").encode()[1:]
    o.send_text("c")
    o.send_text("cx")
    assert c.texts(2) == ["", "x"]
    c, o = wire.pair(grip=True)
    o.send_binary(control("detach").encode())
    wire.barrier(c, o)
    c.send_text("x")
    assert o.text() == "x"


def test_large_content(wire):
    c, o = wire.pair(grip=True)
    data = os.urandom(100000)
    o.send_binary(b"m:" + data)
    o.send_text("not for the client" * 10000)
    o.send_binary(b"m:" + data[::-1])
    assert c.binary() == data and c.binary() == data[::-1]


@pytest.mark.xfail_on_pushpin("control messages larger than its buffer are dropped")
def test_size_of_control_messages(wire):
    ch, other = unique(), unique()
    c, o = wire.pair(grip=True)

    def padded(channel, size):
        text = control("subscribe", channel=channel)
        return (text[:-1] + ',"pad":"' + "x" * (size - len(text) - 10) + '"}').encode()
    o.send_parts(TEXT, [padded(other, 66000)[:40000], padded(other, 66000)[40000:]])
    text = padded(ch, 65000)
    o.send_parts(TEXT, [text[:1], text[1:30000], text[30000:]])
    wire.server.wait_subscribed(ch)
    assert other not in wire.server.subscriptions()


# control messages

@pytest.mark.parametrize("text,log", [
    ("c:nope", "grip control message is not valid json"), ("c:[]", "grip control packet is not an object"),
    ("c:5", "grip control packet is not an object"), ('c:{"type":"what"}', "'type' contains unknown value: what"),
    ('c:{"type":"subscribe","channel":""}', "grip control object contains 'channel' with invalid value"),
    ('c:{"type":"unsubscribe","channel":""}', "grip control object contains 'channel' with invalid value"),
    ('c:{"type":"set-meta","name":""}', "grip control object contains 'name' with invalid value"),
    ('c:{"type":"subscribe","channel":"a","filters":[1]}', "filters contains value with wrong type")], ids=short)
def test_reasons_in_the_log(wire, text, log):
    c, o = wire.pair(grip=True)
    o.send_text(text)
    wire.barrier(c, o)
    wire.server.wait_log(r"\[DEBUG\].*" + re.escape(log))


@pytest.mark.parametrize("doc", [
    '{"type":"subscribe"}', '{"type":"subscribe","channel":null}', '{"type":"subscribe","channel":["z"]}', '{"type":"SUBSCRIBE","channel":"z"}',
    '{"type":"subscribe","channel":"z","filters":{}}', '{"type":"subscribe","channel":"z","filters":["a",null]}', '{"Type":"subscribe","channel":"z"}',
    "{'type':'subscribe','channel':'z'}", '{"type":"subscribe","channel":"z"', '{"type":"subscribe","channel":"z"}}', "",
    '{"type":"set-meta","name":"a","value":5}', '{"type":"set-meta","value":"x"}', '{"type":"set-meta","name":null}',
    '{"type":"keep-alive","content":"a","timeout":-1}', '{"type":"keep-alive","content":"a","timeout":{}}', '{"type":"keep-alive","content":["a"]}',
    '{"type":"keep-alive","content":"a","mode":"often","timeout":1}', '{"type":"keep-alive","content-bin":5}',
    '{"type":"send-delayed","content":5}', '{"type":"send-delayed","content":"a","timeout":-5}', '{"type":"send-delayed","content":"a","message-type":"close"}',
    '{"type":"send-delayed","content":"a","message-type":5}', '{"type":"session","id":5}', '{"type":null}', '[{"type":"subscribe","channel":"z"}]'], ids=short)
@pytest.mark.parametrize("over_http", [False, True])
def test_invalid_control_messages(wire, doc, over_http):
    if over_http:
        c, d = wire.woh(("TEXT", "c:" + doc), ("TEXT", "m:mark"), ("TEXT", control("flush-delayed")), ("TEXT", "m:end"))
        assert c.texts(2) == ["mark", "end"]
    else:
        c, o = wire.pair(grip=True)
        o.send_text("c:" + doc)
        o.control("flush-delayed")
        wire.barrier(c, o)
        wire.settle(o)
    assert "z" not in wire.server.subscriptions()


@pytest.mark.parametrize("doc", ['{"type":"subscribe","channel":"%s","filters":[]}', '{"channel":"%s","type":"subscribe","filters":["nosuch","skip-self"]}',
                                 '\t{"type":\n"subscribe","channel":"%s","x":{"type":"detach"}}\r\n ', '{"type":"sub\\u0073cribe","channel":"%s"}'], ids=short)
def test_valid_control_messages(wire, doc):
    ch = unique()
    c, o = wire.pair(grip=True)
    o.send_text("c:" + doc % ch)
    wire.server.wait_subscribed(ch)
    wire.server.wait_log(r"\[INFO\].* subscribe ws://localhost%s channel=%s$" % (c.request.split()[1].decode(), ch))
    wire.server.publish(ws_item(ch, "x"))
    assert c.text() == "x"


def test_unusual_channel_names(wire):
    names = [unique() + x for x in ("\u2603", " space ", "/a?b=c&d", "%20", "x" * 1000)]
    c, o = wire.pair(grip=True)
    o.subscribe(*names)
    wire.settle(o) if False else None
    wire.server.wait_subscribed(*names)
    wire.server.publish(*[ws_item(n, "%d" % i) for i, n in enumerate(names)])
    assert c.texts(5) == ["0", "1", "2", "3", "4"]


def test_subscription_limit_is_said(wire):
    c, o = wire.pair(grip=True)
    o.subscribe(*[unique() for _ in range(6)])
    wire.barrier(c, o)
    wire.server.wait_log(r"wssession: too many subscriptions")


@pytest.mark.parametrize("n,ok", [(5, True), (6, False), (20, False)])
@pytest.mark.parametrize("host,reason", [("localhost", ""), ("bug", "too many filters for channel '%s'")])
def test_number_of_filters(wire, n, ok, host, reason):
    ch = unique()
    c, o = wire.pair(grip=True, host=host)
    o.subscribe(ch, filters=["skip-self", "skip-users", "require-sub", "nosuch", "skip-self", "x"][:n] + ["y"] * (n - 6))
    if ok:
        wire.server.wait_subscribed(ch)
    else:
        assert c.closing() == (1011, reason % ch if reason else "")
        assert o.closing()[0] == 1000


@pytest.mark.xfail_on_pushpin("drops all that carry require_sub")
def test_require_sub(wire):
    """The names are those of the origin, without the route's prefix."""
    a, b = unique(), unique()
    c, o = wire.pair(grip=True, host="pre")
    o.subscribe(a, filters=["require-sub"])
    o.subscribe(b)
    wire.server.wait_subscribed("pre-" + a, "pre-" + b)
    for need in (b, a, unique(), "", "pre-" + b):
        wire.server.publish(ws_item("pre-" + a, "needs " + need, meta={"require_sub": need}))
    wire.server.publish(ws_item("pre-" + a, "end"))
    assert c.texts(4) == ["needs " + b, "needs " + a, "needs ", "end"]


# sent later

@pytest.mark.parametrize("fields,message", [
    ({"content": ""}, (TEXT, b"")), ({}, (TEXT, b"")), ({"content": "x", "content_bin": "eQ=="}, (BINARY, b"y")),
    ({"content_bin": "eQ==", "message_type": "text"}, (TEXT, b"y")), ({"content_bin": "", "message_type": "ping"}, (PING, b"")),
    ({"content": "x", "message_type": "binary"}, (BINARY, b"x")), ({"content": "x", "timeout": "1"}, (TEXT, b"x")),
    ({"content": "x", "timeout": 0.6}, (TEXT, b"x")), ({"content": "x", "timeout": 0}, (TEXT, b"x"))], ids=short)
def test_delayed(wire, fields, message):
    c, o = wire.pair(grip=True)
    start = time.monotonic()
    o.control("send-delayed", **fields)
    assert c.message(3) == message
    assert 0.8 < time.monotonic() - start < 20


def test_delayed_message_is_lost_with_the_connection(wire):
    c, o = wire.pair(grip=True)
    o.control("send-delayed", content="later", timeout=60)
    wire.barrier(c, o)
    o.send_close(1000)
    assert c.closing()[0] == 1000


def test_flush_of_nothing(wire):
    c, o = wire.pair(grip=True)
    o.control("flush-delayed")
    wire.barrier(c, o)


def test_delayed_to_a_detached_client(wire):
    c, o = wire.pair(grip=True)
    o.control("send-delayed", content="later")
    o.control("keep-alive", content="tick", timeout=1, mode="interval")
    o.control("detach")
    assert o.closing()[0] == 1000
    o.send_close(1000)
    o.ended()
    got = set(c.texts(2, 4))
    while got != {"later", "tick"}:
        got.add(c.text(3))


def test_empty_keep_alives(wire):
    c, o = wire.pair(grip=True)
    o.control("keep-alive", content="", timeout=1)
    assert c.message(3) == (TEXT, b"") and c.message(3) == (TEXT, b"")
    o.control("keep-alive", content="new", message_type="ping", timeout=1)
    got = c.message(3)
    while got == (TEXT, b""):
        got = c.message(3)
    assert got == (PING, b"new")


def test_interval_does_not_wait_for_idleness(wire):
    c, o = wire.pair(grip=True)
    o.control("keep-alive", content="tick", timeout=1, mode="interval")
    end = time.monotonic() + 30
    got = None
    while got != "tick" and time.monotonic() < end:
        o.send_text("m:busy")
        got = c.text(3)
        time.sleep(0.03)
    assert got == "tick"


@pytest.mark.parametrize("say", [lambda o: o.send_text("m:busy"), lambda o: o.send(PING, b"busy"), lambda o: o.send_parts(TEXT, [b"m:bu", b"sy"])])
def test_what_is_sent_restarts_an_idle_keep_alive(wire, say):
    def talk(tick):
        c, o = wire.pair(grip=True)
        o.control("keep-alive", content="tick", timeout=2)      # which takes a second at least
        for _ in range(9):
            tick()
            say(o)
            assert c.message()[1] == b"busy"
            tick()
            time.sleep(0.25)
        assert c.text(3) == "tick"
    steadily(0.33, talk)


def test_client_messages_do_not_restart_a_keep_alive(wire):
    c, o = wire.pair(grip=True)
    o.control("keep-alive", content="tick", timeout=1)
    stop = threading.Event()

    def talk():
        while not stop.wait(0.1):
            c.send_text("busy")
    t = threading.Thread(target=talk, daemon=True)
    t.start()
    try:
        assert c.text(3) == "tick"
    finally:
        stop.set()
        t.join()


# metadata

def test_removing_metadata(wire):
    ch = unique()
    c, o = wire.pair(grip=True)
    o.control("set-meta", name="user", value="bob")
    o.control("set-meta", name="USER", value="other")
    o.subscribe(ch, filters=["skip-self", "var-subst"])
    wire.settle(o)
    wire.server.publish(ws_item(ch, "1", meta={"sender": "bob"}), ws_item(ch, "2 %(user)s %(USER)s"))
    assert c.text() == "2 bob other"
    o.control("set-meta", name="user", value="")
    wire.settle(o)
    wire.server.publish(ws_item(ch, "3 [%(user)s]", meta={"sender": "bob"}))
    assert c.text() == "3 []"
    o.control("set-meta", name="user")
    wire.settle(o)
    wire.server.publish(ws_item(ch, "4", meta={"sender": "bob"}), ws_item(ch, "%(user)s"), ws_item(ch, "5"))
    assert c.texts(2) == ["4", "5"]


# detach

@pytest.mark.xfail_on_pushpin("loses what follows in the same packet")
def test_what_comes_with_a_detach(wire):
    ch = unique()
    c, o = wire.member(ch)
    from harness import ws_frame
    o.raw(ws_frame(TEXT, b"m:before") + ws_frame(TEXT, control("detach")) + ws_frame(TEXT, b"m:after"))
    assert c.text() == "before"
    assert o.closing()[0] == 1000
    wire.server.publish(ws_item(ch, "still there"))
    got = c.text()
    assert (c.text() if got == "after" else got) == "still there"


def test_detached_client_is_read(wire):
    """All that it says is thrown away, so that its close is seen."""
    ch = unique()
    c, o = wire.member(ch)
    o.control("detach")
    o.closing()
    o.send_close(1000)
    c.send_binary(b"x" * 3000000)
    c.send_close(4001, "bye")
    assert c.closing()[0] in (1000, 4001)
    c.ended()


def test_detached_twice(wire):
    c, o = wire.pair(grip=True)
    from harness import ws_frame
    o.raw(ws_frame(TEXT, control("detach")) * 3)
    assert o.closing()[0] == 1000
    o.send_close(1000)
    o.ended()
    assert wire.server.alive()


# trusted clients

@pytest.mark.xfail_on_pushpin("the extension is removed from the answer")
def test_trusted_client_over_http(wire):
    d = wire.door()
    c = wire.dial(d.path, host="woh", headers=trusted())
    v = d.next()
    assert v.get_all("Grip-Sig") == [trusted()[0][1]] or v.has("Grip-Sig")
    v.open(("TEXT", "m:raw"), ("TEXT", control("subscribe", channel="zz")), grip='grip; message-prefix="k"')
    r = c.open().response
    assert r.get_all("Sec-WebSocket-Extensions") == ['grip; message-prefix="k"']
    assert c.texts(2) == ["m:raw", control("subscribe", channel="zz")]
    assert "zz" not in wire.server.subscriptions()


def test_trusted_client_of_the_test_target(wire):
    ch = unique()
    c = wire.dial("/ws?channel=" + ch, host="test", headers=trusted()).open()
    c.send_text("x")
    assert c.text() == "x"
    assert ch not in wire.server.subscriptions()


def test_trusted_client_may_send_events(wire):
    d = wire.door()
    c = wire.keep(wire.server.client())
    c.send_request("POST", d.path, trusted() + [("Content-Type", "application/websocket-events")], b"OPEN\r\n", host="woh")
    v = d.next()
    assert v.body == b"OPEN\r\n"
    v.events_reply("OPEN")
    assert c.read_response().body == b"OPEN\r\n"
