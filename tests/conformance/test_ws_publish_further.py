"""More of publishing to WebSockets: what is refused, each filter on its own and together, slow clients."""

import base64
import json
import os
import zlib

import pytest

from harness import BINARY, CLOSE, CONT, PING, PONG, TEXT, item, unique
from test_ws_publish import filtered
from ws_harness import control, short, wire_fixture, ws_item  # noqa: F401


@pytest.fixture(scope="module")
def server(start_server, origin):
    p = origin.port
    return start_server("woh localhost:%d,over_http\nbug,debug localhost:%d\nnamed,id=slowroute localhost:%d\n* localhost:%d\n" % (p, p, p, p),
                        {"message_rate": 100000, "connection_queue_max": 100000})


# what is refused

@pytest.mark.parametrize("fmt,message", [
    ("text", "'ws-message' is not an object"), ([], "'ws-message' is not an object"), (None, "'ws-message' is not an object"),
    ({"action": 5, "content": "x"}, "'ws-message' contains 'action' with wrong type"),
    ({"action": "what", "content": "x"}, "'ws-message' contains 'action' with unknown value"),
    ({"action": "break"}, "'ws-message' contains 'action' with unknown value"),
    ({"type": 5, "content": "x"}, "'ws-message' contains 'type' with wrong type"),
    ({"type": "TEXT", "content": "x"}, "'ws-message' contains 'type' with unknown value"),
    ({"type": "close"}, "'ws-message' contains 'type' with unknown value"),
    ({"content": None}, "'ws-message' contains 'content' with wrong type"), ({"content": ["x"]}, "'ws-message' contains 'content' with wrong type"),
    ({"content-bin": None}, "'ws-message' contains 'content-bin' with wrong type"),
    ({"content": "x", "content-filters": "a"}, "'ws-message' contains 'content-filters' with wrong type"),
    ({"content": "x", "content-filters": [1]}, "content-filters contains element with wrong type"),
    ({"action": "close", "code": "abc"}, "'ws-message' contains 'code' with wrong type"),
    ({"action": "close", "code": True}, "'ws-message' contains 'code' with wrong type"),
    ({"action": "close", "code": None}, "'ws-message' contains 'code' with wrong type"),
    ({"action": "close", "reason": 5}, "'ws-message' contains 'reason' with wrong type"),
    ({"type": "binary"}, "'ws-message' does not contain 'content' or 'content-bin'")] + [
    ({"action": "close", "code": code}, "'ws-message' contains 'code' with invalid value")
    for code in (-1, 0, 1, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65536 + 1000)], ids=short)
@pytest.mark.xfail_on_pushpin("takes some of them, or has no text for it")
def test_what_is_refused(wire, fmt, message):
    r = wire.server.publish({"channel": "c", "formats": {"ws-message": fmt}}, expect=400)
    assert r.body == ("Invalid format: %s\n" % message).encode()


@pytest.mark.parametrize("fields,code,reason", [
    ({"code": "4001"}, 4001, ""), ({"code": 1000.4}, 1000, ""), ({"code": 3000, "reason": ""}, 3000, ""), ({"code": 1014, "reason": "x" * 123}, 1014, "x" * 123),
    ({"code": 4999, "reason": "\u2603"}, 4999, "\u2603"), ({"code": 1001, "content": "ignored", "type": "binary"}, 1001, "")], ids=short)
def test_closes(wire, fields, code, reason):
    ch = unique()
    c, o = wire.member(ch)
    wire.server.publish(ws_item(ch, action="close", **fields))
    assert c.closing() == (code, reason)
    assert o.closing() == (1000, "")
    c.close()


@pytest.mark.parametrize("code", [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999])
def test_codes(wire, code):
    ch = unique()
    c, o = wire.member(ch)
    wire.server.publish(ws_item(ch, action="close", code=code, reason="why"))
    assert c.closing() == (code, "why")


def test_close_ends_the_connection_without_an_answer_too(wire):
    ch = unique()
    c, o = wire.member(ch)
    wire.server.publish(ws_item(ch, action="close"), ws_item(ch, "late"))
    assert c.closing()[0] == 1000
    wire.server.wait_unsubscribed(ch)
    wire.server.publish(ws_item(ch, "later"))
    c.quiet(0.05)
    c.send_close(1000)
    c.ended()


# what arrives

@pytest.mark.parametrize("fields,message", [
    ({"content_bin": "!!a G\nk="}, (BINARY, b"hi")), ({"content_bin": ""}, (BINARY, b"")), ({"content": "", "type": "binary"}, (BINARY, b"")),
    ({"content_bin": "aGk=", "type": "pong"}, (PONG, b"hi")), ({"content": "x" * 125, "type": "ping"}, (PING, b"x" * 125)),
    ({"content": "x", "unknown": {"a": 1}}, (TEXT, b"x")), ({"content": "x", "code": 5, "reason": "r"}, (TEXT, b"x")),
    ({"content": "\u0000\u2028"}, (TEXT, b"\x00\xe2\x80\xa8"))], ids=short)
@pytest.mark.parametrize("over_http", [False, True])
def test_what_arrives(wire, fields, message, over_http):
    ch = unique()
    if over_http:
        c, d = wire.woh(("TEXT", control("subscribe", channel=ch)))
        wire.server.wait_subscribed(ch)
    else:
        c, o = wire.member(ch)
    wire.server.publish(ws_item(ch, **fields))
    assert c.message() == message


@pytest.mark.parametrize("size", [125, 126, 8191, 8192, 8193, 16384, 65535, 65536, 100000])
def test_sizes(wire, size):
    ch = unique()
    c, o = wire.member(ch)
    text = "0123456789abcdef" * (size // 16 + 1)
    wire.server.publish(ws_item(ch, text[:size]), ws_item(ch, content_bin=base64.b64encode(text[:size].encode()).decode()), ws_item(ch, "after"))
    assert c.text() == text[:size] and c.binary() == text[:size].encode() and c.text() == "after"


def frames_of(c):
    """A message's frames as (opcode, fin, size)."""
    got = []
    while not got or not got[-1][1]:
        f = c.recv()
        got.append((f.opcode, f.fin, len(f.payload)))
    return got


@pytest.mark.parametrize("size,frames", [
    (8191, [(TEXT, True, 8191)]), (8192, [(TEXT, True, 8192)]), (8193, [(TEXT, False, 8192), (CONT, True, 1)]),
    (16384, [(TEXT, False, 8192), (CONT, True, 8192)]), (20000, [(TEXT, False, 8192), (CONT, False, 8192), (CONT, True, 3616)])])
def test_frames_of_large_messages(wire, size, frames):
    ch = unique()
    c, o = wire.pair(grip=True)
    o.control("set-meta", name="x", value="x")
    o.subscribe(ch, filters=["var-subst"])
    wire.settle(o)
    wire.server.publish(ws_item(ch, "x" * size))
    assert frames_of(c) == frames
    wire.server.publish(ws_item(ch, "%(x)s" + "x" * (size - 1)))
    assert frames_of(c) == frames
    o.send_text("m:" + "x" * size)
    assert max(n for _, _, n in frames_of(c)) <= 8192


def test_frames_with_another_buffer_size(wire, start_server, origin):
    ch = unique()
    server = start_server("* localhost:%d\n" % origin.port, {"client_buffer_size": 10000, "allow_compression": "true"})
    c, o = wire.pair(grip=True, server=server)
    d, p = wire.pair(grip=True, server=server, extensions="permessage-deflate")
    for x in (o, p):
        x.subscribe(ch)
    for x, y in ((c, o), (d, p)):
        mark = unique()
        y.send_text("m:" + mark)
        x.recv()
    server.wait_subscribed(ch)
    data = os.urandom(25000)
    server.publish(ws_item(ch, content_bin=base64.b64encode(data).decode()))
    assert frames_of(c) == [(BINARY, False, 10000), (CONT, False, 10000), (CONT, True, 5000)]
    packed = b""
    for i, rsv in ((0, 4), (1, 0), (2, 0)):
        f = d.recv()
        assert (f.opcode, f.rsv) == (BINARY if i == 0 else CONT, rsv) and len(f.payload) <= 10000
        packed += f.payload
    assert f.fin and zlib.decompressobj(-15).decompress(packed + b"\x00\x00\xff\xff") == data
    p.send_binary(b"m:" + data)
    f, rest = d.recv(), frames_of(d)
    assert f.rsv == 4 and not f.fin and max([len(f.payload)] + [n for _, _, n in rest]) <= 10000


def test_tnet_items(wire):
    ch = unique()
    c, o = wire.member(ch)
    wire.server.zpush({"channel": ch.encode(), "ws-message": {"content": "\u2603".encode()}})
    wire.server.zpush({"channel": ch, "formats": {"ws-message": {"type": b"ping"}}})
    wire.server.zpush({"channel": ch, "formats": {"ws-message": {"action": "close", "code": 4000, "reason": b"why"}}})
    assert c.text() == "\u2603" and c.message() == (PING, b"") and c.closing() == (4000, "why")


@pytest.mark.xfail_on_pushpin("does not say how many there are")
def test_receivers(wire):
    ch = unique()
    c, o = wire.member(ch)
    d, p = wire.member(ch)
    r = wire.server.control("POST", "/publish/", {"Accept": "application/json"}, json.dumps(
        {"items": [ws_item(ch, "x"), item(ch, stream="y"), ws_item(ch, action="hint")]}).encode())
    assert r.json()["message"] == "Published" and r.json()["receivers"] == 4
    wire.server.wait_log(r"publish channel=%s receivers=2" % ch)


@pytest.mark.xfail_on_pushpin("what is published while a message of the origin is incomplete is dropped")
def test_all_that_comes_amid_a_message(wire):
    ch = unique()
    c, o = wire.member(ch)
    o.send(TEXT, b"m:one ", fin=False)
    assert c.recv().payload == b"one "
    wire.server.publish(*[ws_item(ch, "%d" % i) for i in range(30)])
    o.send(PING, b"p")
    assert c.recv().opcode == PING
    o.send(CONT, b"two")
    assert c.recv().payload == b"two"
    assert c.texts(30) == ["%d" % i for i in range(30)]
    o.send(TEXT, b"dropped", fin=False)              # nothing of it reaches the client, so nothing waits for its end
    wire.server.publish(ws_item(ch, "at once"))
    assert c.text() == "at once"


@pytest.mark.xfail_on_pushpin("what is published while a message of the origin is incomplete is dropped")
def test_close_amid_a_message(wire):
    ch = unique()
    c, o = wire.member(ch)
    o.send(TEXT, b"m:one ", fin=False)
    assert c.recv().payload == b"one "
    wire.server.publish(ws_item(ch, "waits"), ws_item(ch, action="close", code=4000))
    o.send(CONT, b"two")
    assert c.recv().payload == b"two"
    assert c.text() == "waits" and c.closing()[0] == 4000


# slow clients

@pytest.mark.xfail_on_pushpin("drops single messages without a trace")
def test_slow_client_is_closed_and_logged(wire):
    ch = unique()
    c, o = wire.member(ch, host="named")
    big = "x" * 90000
    sent = 0
    while not any("client reads too slowly" in x for x in wire.server.logs().splitlines()):
        wire.server.publish(*[ws_item(ch, "%d " % (sent + i) + big) for i in range(10)])
        sent += 10
        assert sent < 1000
    line = wire.server.wait_log(r"\[WARN\].*client reads too slowly.*").group()
    assert "channel=" + ch in line and "route=slowroute" in line
    got = 0
    while True:
        opcode, data = c.message()
        if opcode == CLOSE:
            break
        assert data.split()[0] == b"%d" % got
        got += 1
    assert data[:2] == b"\x03\xf0" and 0 < got < sent
    assert o.closing()[0] == 1000
    wire.server.wait_log(r"closed=1008 duration=")


@pytest.mark.xfail_on_pushpin("drops what its buffer does not hold")
def test_message_larger_than_the_queue(wire):
    ch = unique()
    c, o = wire.member(ch)
    text = "0123456789" * 50000
    wire.server.publish(ws_item(ch, text))
    assert c.text() == text
    wire.server.publish(ws_item(ch, text))
    assert c.text() == text


# filters

@pytest.mark.parametrize("user,skip,delivered", [
    ("bob", "alice,  bob  ,carl", False), ("bob", "bob,bob", False), ("bob", ",,bob,,", False), ("bob", "alice", True), ("", "", True), ("", ",", True),
    (None, "bob", True), ("a b", "a b", False), ("bob", "BOB", True), ("bob", "bob;alice", True)])
def test_skip_users(wire, user, skip, delivered):
    ch, c, o = filtered(wire, ["skip-users"], {"user": user} if user is not None else {})
    wire.server.publish(ws_item(ch, "x", meta={"skip_users": skip}), ws_item(ch, "end"))
    assert c.texts(2 if delivered else 1)[-1] == "end"


@pytest.mark.parametrize("user,sender,delivered", [("bob", "bob", False), ("bob", "alice", True), ("", "", True), (None, "bob", True), (None, "", True),
                                                   ("bob", None, True), ("\u2603", "\u2603", False)])
def test_skip_self(wire, user, sender, delivered):
    ch, c, o = filtered(wire, ["skip-self"], {"user": user} if user is not None else {})
    wire.server.publish(ws_item(ch, "x", meta={"sender": sender} if sender is not None else {}), ws_item(ch, "end"))
    assert c.texts(2 if delivered else 1)[-1] == "end"


def test_filters_in_order(wire):
    ch, c, o = filtered(wire, ["nosuch", "skip-self", "var-subst", "skip-users"], {"user": "bob"})
    wire.server.publish(ws_item(ch, "%(user)s", meta={"sender": "bob"}), ws_item(ch, "%(user)s", meta={"skip_users": "bob"}),
                        ws_item(ch, "%(nosuch)s", meta={"sender": "bob"}), ws_item(ch, "%(user)s!", meta={"sender": "al"}))
    assert c.text() == "bob!"


@pytest.mark.parametrize("content,got", [("%%", "%"), ("%(a)s%(b)s", "12"), ("%(a)s%%%(a)s", "1%1"), ("%(x\\)y)s", "paren"), ("%(b\\\\s)s", "slash"),
                                         ("none", "none"), ("", ""), ("%(empty)s", "")])
def test_var_subst(wire, content, got):
    ch, c, o = filtered(wire, ["var-subst"], {"a": "1", "b": "2", "x)y": "paren", "b\\s": "slash", "empty": ""})
    wire.server.publish(ws_item(ch, content))
    assert c.text() == got


def test_var_subst_of_bytes_and_pings(wire):
    ch, c, o = filtered(wire, ["var-subst"], {"a": "\u2603"})
    wire.server.publish(ws_item(ch, content_bin=base64.b64encode(b"\xff%(a)s").decode()), ws_item(ch, "%(a)s", type="ping"))
    assert c.message() == (BINARY, b"\xff\xe2\x98\x83") and c.message() == (PING, b"\xe2\x98\x83")


@pytest.mark.xfail_on_pushpin("a message that cannot be filtered arrives as an empty one")
@pytest.mark.parametrize("content,error", [
    ("%(none)s", "No such variable 'none' at position 2"), ("a%x", "Unknown directive 'x' at position 2"), ("%s", "Directive 's' requires argument at position 1"),
    ("100%", None), ("%(abc", None), ("%(abc)", None), ("%(abc\\", None)])
def test_filter_errors(wire, content, error):
    ch, c, o = filtered(wire, ["var-subst"])
    wire.server.publish(ws_item(ch, content), ws_item(ch, "end"))
    assert c.text() == "end"
    line = wire.server.wait_log(r"\[WARN\].*channel=%s.*|\[WARN\].*%s.*" % (ch, ch)).group()
    if error:
        assert error.split(" at position")[0] in line


@pytest.mark.xfail_on_pushpin("a message that cannot be filtered arrives as an empty one")
def test_filter_error_ends_a_debugging_connection(wire):
    ch = unique()
    c, o = wire.pair(grip=True, host="bug")
    o.subscribe(ch, filters=["var-subst"])
    wire.settle(o)
    wire.server.publish(ws_item(ch, "%(none)s"))
    code, reason = c.closing()
    assert code == 1011 and reason.startswith("filter error: var-subst: No such variable 'none' at position")
    assert o.closing()[0] == 1000


def build_id(wire, encoding=None, fmt=None, filters=("build-id",)):
    ch = unique()
    c, o = wire.pair(grip=True)
    o.control("set-meta", name="id_format", value=fmt if fmt is not None else "v-%(" + ch + ")s")
    if encoding:
        o.control("set-meta", name="id_encoding", value=encoding)
    o.subscribe(ch, filters=list(filters))
    wire.settle(o)
    return ch, c, o


@pytest.mark.xfail_on_pushpin("uses the id before this one")
def test_build_id(wire):
    ch, c, o = build_id(wire)
    wire.server.publish(ws_item(ch, "[%I] %(other)I %%", id="i1"), ws_item(ch, "%I", id="i2", prev_id="i1"))
    assert c.texts(2) == ["[v-i1] other %", "v-i2"]
    ch, c, o = build_id(wire, "hex")
    wire.server.publish(ws_item(ch, "[%I] %(AB)I", id="i1"))
    assert c.text() == "[%s] 4142" % b"v-i1".hex()


@pytest.mark.xfail_on_pushpin("a message that cannot be filtered arrives as an empty one")
def test_build_id_that_fails(wire):
    for kw in ({"fmt": "%(nosuch)s"}, {"encoding": "base64"}, {"fmt": "%x"}):
        ch, c, o = build_id(wire, **kw)
        wire.server.publish(ws_item(ch, "%I", id="1"))
        wire.server.wait_log(r"\[WARN\].*%s" % ch)
        c.quiet(0.03)


@pytest.mark.parametrize("sub,pub,delivered", [
    (["build-id", "var-subst"], ["build-id", "var-subst"], True), (["var-subst", "build-id"], ["build-id", "var-subst"], False),
    (["skip-users", "var-subst", "skip-self"], ["var-subst"], True), (["var-subst"], ["var-subst", "var-subst"], False), ([], ["nosuch"], False),
    (["nosuch"], [], True)])
def test_content_filters(wire, sub, pub, delivered):
    ch = unique()
    c, o = wire.pair(grip=True)
    o.control("set-meta", name="id_format", value="x")
    o.subscribe(ch, filters=sub)
    wire.settle(o)
    wire.server.publish(ws_item(ch, "x", id="1", content_filters=pub), ws_item(ch, "end"))
    assert c.texts(2 if delivered else 1)[-1] == "end"
