"""More of WebSocket-over-HTTP: headers, limits, what is accepted in part, every way to end, each of them told once."""

import os
import re
import signal
import threading
import time

import pytest

from harness import BINARY, CLOSE, PING, PONG, TEXT, Origin, free_port, unique
from ws_harness import EVENTS, Door, close_bytes, control, masked, short, wire_fixture, ws_item  # noqa: F401


@pytest.fixture(scope="module")
def ports():
    return {"down": free_port(), "moving": free_port()}


@pytest.fixture(scope="module")
def server(start_server, origin, ports):
    p = origin.port
    return start_server("woh localhost:%d,over_http\none localhost:%d,over_http,one_event\n"
                        "raw,no_grip localhost:%d,over_http\nbug,debug localhost:%d,over_http\n"
                        "moving localhost:%d,over_http localhost:%d,over_http\npre,prefix=pre- localhost:%d,over_http\n"
                        "* localhost:%d\n" % (p, p, p, ports["down"], ports["moving"], p, p, p),
                        {"message_rate": 100000})


def names(head):
    return [n for n, _ in head.headers]


# headers

def test_order_of_the_request(wire):
    d = wire.door()
    c = wire.dial(d.path, host="woh", headers=[("Origin", "http://x"), ("User-Agent", "t")], protocols="chat")
    v = d.next()
    assert names(v) == ["Host", "Sec-WebSocket-Version", "Sec-WebSocket-Protocol", "Origin", "User-Agent", "Grip-Feature",
                        "Sec-WebSocket-Extensions", "Grip-Sig", "Accept", "Connection-Id", "Content-Type", "Content-Length"]
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", v.cid)
    v.open(headers=[("X-A", "b"), ("Grip-Foo", "bar"), ("Connection-Id", "mine"), ("Set-Meta-", "x"), ("Content-Bytes-Accepted", "0")])
    r = c.open().response
    assert r.get("Grip-Foo") == "bar" and r.get("Connection-Id") == "mine" and r.get("Set-Meta-") == "x" and r.get("X-A") == "b"
    assert names(r)[-3:] == ["Upgrade", "Connection", "Sec-WebSocket-Accept"]
    c.send_text("x")
    assert not [n for n in names(d.next()) if n.lower().startswith("meta")]


@pytest.mark.xfail_on_pushpin("shows it to the client")
def test_accepted_bytes_are_not_shown(wire):
    c, d = wire.woh(headers=[("Content-Bytes-Accepted", "0")])
    assert not c.response.has("Content-Bytes-Accepted")


def test_no_grip_route(wire):
    d = wire.door()
    c = wire.dial(d.path, host="raw")
    v = d.next()
    assert not v.has("Sec-WebSocket-Extensions") and not v.has("Grip-Sig") and not v.has("Grip-Feature")
    v.open(("TEXT", "m:raw"), grip="grip")
    c.open()
    assert c.text() == "m:raw"


@pytest.mark.xfail_on_pushpin("repeats an older one")
def test_disconnect_is_signed_anew(wire):
    c, d = wire.woh()
    time.sleep(1.1)
    c.close()
    v = d.next()
    assert v.body == b"DISCONNECT\r\n" and len(v.get_all("Grip-Sig")) == 1
    assert v.get("Grip-Sig") != d.visits[0].get("Grip-Sig")
    assert v.get_all("Content-Type") == [EVENTS] and v.get_all("Accept") == [EVENTS]


@pytest.mark.parametrize("name,value,after", [
    ("set-meta-USER", "carl", [("meta-user", "carl")]), ("Set-Meta-User", "", []), ("SET-META-other", "x y", [("meta-other", "x y"), ("meta-user", "bob")])])
def test_meta_names_compare_without_case(wire, name, value, after):
    c, d = wire.woh(headers=[("Set-Meta-User", "bob")])
    c.send_text("x")
    d.next().events_reply(headers=[(name, value)])
    c.send_text("y")
    assert sorted((n.lower(), x) for n, x in d.next().headers if n.lower().startswith("meta-")) == after


def test_rejection_shows_all_headers(wire):
    d = wire.door()
    c = wire.dial(d.path, host="woh")
    d.next().reply(403, [("Set-Meta-User", "bob"), ("Keep-Alive-Interval", "30"), ("Content-Type", "text/x"), ("X-A", "b")], "no")
    r = c.answer()
    assert (r.get("Set-Meta-User"), r.get("Content-Type"), r.get("X-A"), r.body) == ("bob", "text/x", "b", b"no")
    c.close()
    d.quiet(0.05)


@pytest.mark.xfail_on_pushpin("takes what is not the last answer for it")
@pytest.mark.parametrize("raw", [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"], ids=short)
def test_interim_answers(wire, raw):
    d = wire.door()
    c = wire.dial(d.path, host="woh")
    v = d.next()
    v.conn.send(raw)
    v.open()
    c.open()
    c.send_text("x")
    v = d.next()
    v.conn.send(raw)
    v.events_reply(("TEXT", "m:y"))
    assert c.text() == "y"


def test_unreachable_in_debug_mode(wire):
    r = wire.dial("/", host="bug").answer()
    assert r.status == 502 and re.fullmatch(rb"Unable to connect to any targets\. Tried: .+\n", r.body)


@pytest.mark.xfail_on_pushpin("sends nothing about it")
def test_short_interval_is_raised_and_said(wire):
    c, d = wire.woh(headers=[("Keep-Alive-Interval", "5")])
    line = wire.server.wait_log(r"\[INFO\] .*Keep-Alive-Interval.*").group()
    assert re.search(r"\b5\b", line) and re.search(r"\b20\b", line)
    n = wire.server.logs().count("Keep-Alive-Interval")
    c.send_text("x")
    d.next().events_reply(("TEXT", "m:y"), headers=[("Keep-Alive-Interval", "5")])
    assert c.text() == "y"
    assert wire.server.logs().count("Keep-Alive-Interval") == n


# events

@pytest.mark.parametrize("raw", [b"TEXT 0000000000000000000000005\r\nm:abc\r\n", b"TEXT 5\r\nm:abc\r\nPING 0\r\n\r\n", b"NOPE 3\r\nabc\r\nTEXT 5\r\nm:abc\r\n",
                                 b"ping 2\r\nxx\r\nTEXT 5\r\nm:abc\r\n"], ids=short)
def test_odd_events(wire, raw):
    c, d = wire.woh()
    c.send_text("x")
    d.next().events_reply(raw=raw)
    assert c.text() == "abc"


@pytest.mark.xfail_on_pushpin("cuts the connection, or reads something else into it")
@pytest.mark.parametrize("raw", [
    b"TEXT 5\r\nm:ab", b"TEXT 5\r\nm:abcd\r\n", b"TEXT +3\r\nm:a\r\n", b"TEXT 0x3\r\nm:a\r\n", b"TEXT 3 \r\nm:a\r\n", b"TEXT  3\r\nm:a\r\n",
    b"TEXT 3\nm:a\n", b"TEXT 5\r\nm:abc\rTEXT 3\r\nm:d\r\n", b"TEXT 5\r\nm:abc\r", b"TEXT\n", b"TEXT", b"TEXT 3\r\nm:a\r\nPING", b"\r\n",
    b" 3\r\nabc\r\n", b"TEXT ffffffffffffffffff\r\nm:a\r\n", b"TEXT ffffffffffffffff\r\nm:a\r\n", b"TEXT 4\r\nm:\xff\xfe\r\n", b"TEXT 3\r\nm:\xc3\r\n",
    b"PING 7e\r\n" + b"x" * 126 + b"\r\n", b"PONG 80\r\n" + b"x" * 128 + b"\r\n"], ids=short)
def test_bad_events(wire, raw):
    c, d = wire.woh()
    c.send_text("x")
    d.next().events_reply(raw=raw)
    assert c.closing()[0] == 1011
    c.send_close(1011)
    c.ended()
    d.quiet(0.03)


@pytest.mark.xfail_on_pushpin("passes codes on that may not be sent")
@pytest.mark.parametrize("content,code", [
    (close_bytes(0), 1000), (close_bytes(0, "why"), 1000), (close_bytes(999), 1011), (close_bytes(1004), 1011), (close_bytes(1005), 1011),
    (close_bytes(1006), 1011), (close_bytes(1015), 1011), (close_bytes(2999), 1011), (close_bytes(5000), 1011), (b"\x03", 1011),
    (close_bytes(3000, "ok"), 3000), (close_bytes(1014), 1014), (b"", 1000)], ids=short)
def test_codes_of_the_origin(wire, content, code):
    c, d = wire.woh()
    c.send_text("x")
    d.next().events_reply(("TEXT", "m:before"), ("CLOSE", content) if content else "CLOSE", ("TEXT", "m:behind"), "nonsense")
    assert c.text() == "before"
    assert c.closing()[0] == code
    c.send_close(code)
    v = d.next()
    assert v.events == [("CLOSE", close_bytes(code))]
    v.events_reply()
    c.ended()
    d.quiet(0.03)


@pytest.mark.xfail_on_pushpin("drops the events, and the connection without a word")
@pytest.mark.parametrize("last", ["DISCONNECT", "OPEN"])
def test_what_comes_before_the_origins_end(wire, last):
    c, d = wire.woh()
    c.send_text("x")
    d.next().events_reply(("TEXT", "m:one"), ("BINARY", "m:two"), last, ("TEXT", "m:three"))
    assert c.text() == "one" and c.binary() == b"two"
    assert c.closing()[0] == 1011
    c.send_close(1011)
    c.ended()
    d.quiet(0.1)


def test_disconnect_while_opening(wire):
    c, d = wire.woh(("TEXT", "m:hi"), "DISCONNECT")
    assert c.until_end()[-1:][0][0] in (TEXT, CLOSE)
    d.quiet(0.05)


def test_response_of_the_largest_size(wire):
    c, d = wire.woh()
    c.send_text("x")
    text = b"m:" + b"x" * (1000000 - 2 - len(b"TEXT f423f\r\n\r\n"))
    raw = b"TEXT %x\r\n%s\r\n" % (len(text), text)
    assert len(raw) == 1000000
    d.next().events_reply(raw=raw)
    assert c.text() == text[2:].decode()
    c.send_text("x")
    d.next().events_reply(raw=raw + b"PING\r\n")
    c.gone()


# what is sent when

def test_message_of_the_largest_size(wire):
    c, d = wire.woh()
    c.send_binary(b"x" * 200000)
    assert d.next().body == b"BINARY 30d40\r\n" + b"x" * 200000 + b"\r\n"


@pytest.mark.xfail_on_pushpin("cuts the connection, and tells neither side why")
@pytest.mark.parametrize("fragments", [False, True])
def test_message_that_is_too_large(wire, fragments):
    c, d = wire.woh()
    if fragments:
        c.send(TEXT, b"x" * 150000, fin=False)
        c.send(0, b"x" * 50001, fin=False)
    else:
        c.send_binary(b"x" * 200001)
    assert c.closing()[0] == 1009
    v = d.next()
    assert v.body == b"DISCONNECT\r\n"
    v.events_reply()
    c.send_close(1009)
    c.ended()
    d.quiet(0.05)


def test_waiting_messages_are_limited(wire):
    """Never more than 200000 bytes of content in one request, and nothing lost."""
    c, d = wire.woh()
    c.send_text("first")
    v = d.next()
    sent = [b"%d " % i + b"x" * 60000 for i in range(12)] + [b"y" * 190000, b"z" * 200000, b"end"]
    t = threading.Thread(target=c.raw, args=(b"".join(masked(BINARY, m) for m in sent),), daemon=True)
    t.start()
    time.sleep(0.2)
    v.events_reply()
    got = []
    while len(got) < len(sent):
        v = d.next()
        assert sum(len(x) for _, x in v.events) <= 200000
        got += [x for _, x in v.events]
        v.events_reply()
    t.join(5)
    assert got == sent


@pytest.mark.xfail_on_pushpin("counts bytes, so that empty events ride along")
def test_one_event_is_one_event(wire):
    c, d = wire.woh(host="one")
    c.raw(masked(TEXT, b"1") + masked(PING) + masked(TEXT) + masked(BINARY, b"4") + masked(CLOSE, close_bytes(1000)))
    got = []
    for _ in range(5):
        v = d.next()
        assert len(v.events) == 1
        got += v.events
        v.events_reply(*(["CLOSE"] if len(got) == 5 else []))
    assert got == [("TEXT", b"1"), ("PING", None), ("TEXT", None), ("BINARY", b"4"), ("CLOSE", b"\x03\xe8")]
    assert c.closing()[0] == 1000
    c.ended()
    d.quiet(0.05)


def test_one_event_and_a_client_that_vanishes(wire):
    c, d = wire.woh(host="one")
    c.send_text("1")
    v = d.next()
    c.send_text("2")
    c.send(PING)
    c.close()
    time.sleep(0.05)
    got = v.events
    v.events_reply()
    while got[-1][0] != "DISCONNECT":
        v = d.next()
        got += v.events
        v.events_reply()
    assert got == [("TEXT", b"1"), ("TEXT", b"2"), ("PING", None), ("DISCONNECT", None)]
    d.quiet(0.1)


def test_refresh_with_waiting_messages(wire):
    ch = unique()
    c, d = wire.woh(("TEXT", control("subscribe", channel=ch)))
    wire.server.wait_subscribed(ch)
    c.send_text("one")
    v = d.next()
    c.send_text("two")
    wire.server.publish(ws_item(ch, action="refresh"), ws_item(ch, "mark"))
    assert c.text() == "mark"
    v.events_reply()
    v = d.next()
    assert v.events == [("TEXT", b"two")]
    v.events_reply()
    d.quiet(0.1)


def test_events_reach_the_client_before_the_next_request(wire):
    c, d = wire.woh(("TEXT", "m:1"), ("TEXT", control("subscribe", channel=unique())), ("PING", b"p"), ("TEXT", "m:2"))
    assert [c.message() for _ in range(3)] == [(TEXT, b"1"), (PING, b"p"), (TEXT, b"2")]
    c.send(PONG, b"p")
    assert d.next().events == [("PONG", b"p")]


# accepted in part

def accept(n):
    return [("Content-Bytes-Accepted", str(n))]


def test_part_of_a_message_before_a_close(wire):
    c, d = wire.woh()
    c.send_text("first")
    v = d.next()
    c.send_text("hello")
    c.send_close(1000, "bye")
    time.sleep(0.05)
    v.events_reply()
    v = d.next()
    assert v.events == [("TEXT", b"hello"), ("CLOSE", b"\x03\xe8bye")]
    v.events_reply(headers=accept(3) + [("Keep-Alive-Interval", "20")])
    d.quiet(0.05)
    wire.server.command("refresh", {"cid": v.cid})
    v = d.next()
    assert v.events == [("TEXT", b"lo"), ("CLOSE", b"\x03\xe8bye")] and v.get("Content-Bytes-Replayed") == "7"
    v.events_reply("CLOSE")
    assert c.closing()[0] == 1000


@pytest.mark.xfail_on_pushpin("drops the connection without a word")
@pytest.mark.parametrize("n", [5, 7, 9, 11])
def test_all_but_the_close(wire, n):
    c, d = wire.woh()
    c.send_text("first")
    v = d.next()
    c.send_text("hello")
    c.send_close(1000, "bye")
    time.sleep(0.05)
    v.events_reply()
    d.next().events_reply(headers=accept(n))
    assert c.closing()[0] == 1011
    d.quiet(0.05)


def test_all_with_the_close(wire):
    c, d = wire.woh()
    c.send_text("first")
    v = d.next()
    c.send_text("hello")
    c.send_close(1000, "bye")
    time.sleep(0.05)
    v.events_reply()
    d.next().events_reply("CLOSE", headers=accept(10))
    assert c.closing()[0] == 1000
    d.quiet(0.05)


def test_part_by_part(wire):
    c, d = wire.woh()
    c.send_text("0123456789")
    d.next().events_reply(headers=accept(2))
    c.send_text("abc")
    v = d.next()
    assert (v.events, v.get("Content-Bytes-Replayed")) == ([("TEXT", b"23456789"), ("TEXT", b"abc")], "8")
    v.events_reply(headers=accept(5))
    c.send_text("d")
    v = d.next()
    assert (v.events, v.get("Content-Bytes-Replayed")) == ([("TEXT", b"789"), ("TEXT", b"abc"), ("TEXT", b"d")], "6")
    v.events_reply(headers=accept(7))
    d.quiet(0.05)
    c.send_text("e")
    v = d.next()
    assert v.events == [("TEXT", b"e")] and not v.has("Content-Bytes-Replayed")


def test_refresh_sends_what_was_not_accepted(wire):
    ch = unique()
    c, d = wire.woh(("TEXT", control("subscribe", channel=ch)))
    wire.server.wait_subscribed(ch)
    c.send_text("hello")
    d.next().events_reply(("TEXT", "m:mark"), headers=accept(1))
    assert c.text() == "mark"
    wire.server.publish(ws_item(ch, action="refresh"))
    v = d.next()
    assert (v.events, v.get("Content-Bytes-Replayed")) == ([("TEXT", b"ello")], "4")


@pytest.mark.xfail_on_pushpin("drops the connection without a word")
def test_none_of_one_event(wire):
    """The origin cannot be given more, so that there would be no end of it."""
    c, d = wire.woh(host="one")
    c.send_text("1")
    v = d.next()
    c.send_text("2")
    c.send_text("3")
    time.sleep(0.05)
    v.events_reply()
    v = d.next()
    assert v.events == [("TEXT", b"2")]
    v.events_reply(headers=accept(0))
    assert c.closing()[0] == 1011


@pytest.mark.parametrize("n,events,replayed", [(0, [("TEXT", b"one"), ("TEXT", b"two")], "3"), (1, [("TEXT", b"ne"), ("TEXT", b"two")], "2")])
def test_what_came_meanwhile_is_new(wire, n, events, replayed):
    c, d = wire.woh()
    c.send_text("one")
    v = d.next()
    c.send_text("two")
    time.sleep(0.05)
    v.events_reply(headers=accept(n))
    v = d.next()
    assert (v.events, v.get("Content-Bytes-Replayed")) == (events, replayed)


@pytest.mark.parametrize("n", ["0", "3", "-1", "x"])
def test_answer_to_nothing(wire, n):
    """Only a number above what was offered is wrong."""
    ch = unique()
    c, d = wire.woh(("TEXT", control("subscribe", channel=ch)))
    wire.server.wait_subscribed(ch)
    wire.server.publish(ws_item(ch, action="refresh"))
    d.next().events_reply(("TEXT", "m:x"), headers=accept(n))
    if n == "3":
        c.gone()
    else:
        assert c.text() == "x"


# ends

def test_client_that_vanishes_with_words(wire):
    c, d = wire.woh()
    c.send_text("last words")
    c.close()
    got = []
    while not got or got[-1][0] != "DISCONNECT":
        v = d.next()
        got += v.events
        v.events_reply()
    assert got == [("TEXT", b"last words"), ("DISCONNECT", None)]
    d.quiet(0.1)


def test_client_that_vanishes_after_the_origins_close(wire):
    c, d = wire.woh()
    c.send_text("x")
    d.next().events_reply("CLOSE")
    assert c.closing()[0] == 1000
    c.close()
    v = d.next()
    assert v.body == b"DISCONNECT\r\n"
    v.events_reply()
    d.quiet(0.1)


@pytest.mark.xfail_on_pushpin("drops the connection without a word")
def test_close_that_is_not_answered(wire):
    c, d = wire.woh()
    c.send_close(1000)
    d.next().events_reply(("TEXT", "m:x"))
    assert c.text() == "x"
    assert c.closing()[0] == 1011
    c.ended()
    d.quiet(0.1)


def test_violation_of_the_client(wire):
    c, d = wire.woh()
    c.raw(masked(3, b"x"))
    assert c.closing()[0] == 1002
    v = d.next()
    assert v.body == b"DISCONNECT\r\n"
    v.events_reply()
    d.quiet(0.1)


def test_published_close_is_told_once(wire):
    ch = unique()
    c, d = wire.woh(("TEXT", control("subscribe", channel=ch)))
    wire.server.wait_subscribed(ch)
    wire.server.publish(ws_item(ch, action="close", code=4000, reason="why"))
    assert c.closing() == (4000, "why")
    c.close()
    v = d.next()
    assert v.body == b"CLOSE\r\n"
    v.events_reply()
    d.quiet(0.1)


def test_detached_client_that_vanishes(wire):
    ch = unique()
    c, d = wire.woh(("TEXT", control("subscribe", channel=ch)), ("TEXT", control("detach")))
    v = d.next()
    assert v.body == b"CLOSE\r\n"
    v.events_reply()
    c.send_close(4000)
    assert c.closing()[0] in (1000, 4000)
    c.ended()
    d.quiet(0.1)


def test_client_that_vanishes_while_its_open_is_rejected(wire):
    d = wire.door()
    c = wire.dial(d.path, host="woh")
    v = d.next()
    c.close()
    time.sleep(0.03)
    v.reply(403)
    d.quiet(0.1)


@pytest.mark.xfail_on_pushpin("stays with the first target")
def test_later_requests_may_go_to_another_target(wire, ports):
    first = Origin(port=ports["moving"])
    d = wire.door()
    e = Door(first, d.path)
    c = wire.dial(d.path, host="moving")
    e.next().open()
    c.open()
    first.stop()
    c.send_text("one")
    v = d.next(4)
    assert v.events == [("TEXT", b"one")]
    v.events_reply(("TEXT", "m:second"))
    assert c.text() == "second"


@pytest.mark.xfail_on_pushpin("ends the connection")
def test_messages_are_collected_during_a_retry(wire):
    c, d = wire.woh()
    c.send_text("one")
    d.next().reply(502)
    c.send_text("two")
    v = d.next(4)
    assert v.events == [("TEXT", b"one"), ("TEXT", b"two")] or v.events == [("TEXT", b"one")]
    v.events_reply(("TEXT", "m:ok"))
    assert c.text() == "ok"


def test_client_that_vanishes_during_a_retry(wire):
    c, d = wire.woh()
    c.send_text("one")
    d.next().reply(503)
    c.close()
    got = []
    while not got or got[-1][0] != "DISCONNECT":
        v = d.next(4)
        got += v.events
        v.events_reply()
    assert got == [("TEXT", b"one"), ("DISCONNECT", None)]
    d.quiet(0.1)


# direct use

@pytest.mark.parametrize("ctype", [EVENTS, "Application/WebSocket-Events", EVENTS + " ; x=y"])
def test_direct_use(wire, ctype):
    d = wire.door()
    r = wire.server.request("POST", d.path, [("Content-Type", ctype)], b"OPEN\r\n", host="woh")
    assert (r.status, r.body) == (403, b"Client not allowed to send WebSocket events directly.\n")
    c = wire.keep(wire.server.client())
    c.send_request("POST", d.path, [("Content-Type", ctype)], b"OPEN\r\n", host="other")
    v = d.next()
    assert v.body == b"OPEN\r\n"
    v.reply(200, None, "plain")
    assert c.read_response().body == b"plain"


def test_plain_requests_of_the_route(wire):
    d = wire.door()
    c = wire.keep(wire.server.client())
    c.send_request("POST", d.path, [("Content-Type", "text/plain")], b"x", host="woh")
    v = d.next()
    assert v.body == b"x" and v.get("Content-Type") == "text/plain" and not v.has("Connection-Id")
    v.reply(200, None, "plain")
    assert c.read_response().body == b"plain"


# properties of the target, and the end of the proxy

@pytest.mark.parametrize("over_http", [False, True])
@pytest.mark.parametrize("props,host", [("host=other.example", "other.example"), ("host=other.example:81", "other.example:81")])
def test_host_of_the_target(wire, start_server, origin, over_http, props, host):
    server = start_server("*,as_host=route.example localhost:%d,%s%s\n" % (origin.port, props, ",over_http" if over_http else ""))
    d = wire.door()
    c = wire.dial(d.path, host="asked.example", server=server)
    v = d.next()
    assert v.get_all("Host") == [host]
    if over_http:
        v.open()
        c.open()
        c.send_text("x")
        assert d.next().get_all("Host") == [host]


@pytest.mark.parametrize("over_http", [False, True])
def test_target_that_may_not_be_reached(wire, start_server, origin, over_http):
    server = start_server("* localhost:%d,untrusted%s\n" % (origin.port, ",over_http" if over_http else ""))
    d = wire.door()
    r = wire.dial(d.path, server=server).answer()
    assert (r.status, r.body) == (502, b"Error while proxying to origin.\n")
    d.quiet(0.02)


@pytest.mark.xfail_on_pushpin("tells nobody")
def test_end_of_the_proxy(wire, start_server, origin):
    server = start_server("* localhost:%d,over_http\n" % origin.port)
    c, d = wire.woh(server=server)
    e, f = wire.woh(server=server)
    e.send_text("x")
    v = f.next()
    os.kill(server.pid, signal.SIGTERM)
    assert c.closing()[0] == 1001 and e.closing()[0] == 1001
    w = d.next()
    assert w.body == b"DISCONNECT\r\n"
    w.events_reply()
    v.events_reply()
    w = f.next()
    assert w.body == b"DISCONNECT\r\n"
    w.events_reply()
