"""More of SockJS: the other streaming transports, time limits, what is given up or too much."""

import json
import re
import time

import pytest

from harness import BINARY, TEXT, unique, wait_for
from test_ws_sockjs import Session, framed, messages, routes, taken
from ws_harness import wire_fixture, ws_item  # noqa: F401

LIMIT = 10                      # s for what comes after 5


@pytest.fixture(scope="module")
def server(start_server, origin):
    return start_server(routes(origin) + "other,sockjs=/sock,sockjs_as_path=/real localhost:%d\n"
                        "pre,path_beg=/pre,sockjs=/pre/s,sockjs_as_path=/ws test\nweb,sockjs=/ localhost:%d\n" % (origin.port, origin.port))


def start_stream(s, last, method="GET"):
    c = s.start(method, last)
    o = s.wire.keep(s.door.next().accept_grip())
    return c, o, c.read_head()


@pytest.mark.xfail_on_pushpin("has no streaming transports")
def test_eventsource(wire):
    s = Session(wire)
    c, o, r = start_stream(s, "eventsource")
    assert (r.status, r.chunked, r.get("Content-Type")) == (200, True, "text/event-stream")
    assert c.read_chunks(13) == b"\r\ndata: o\r\n\r\n"
    o.send_text("m:two\nlines")
    assert c.read_chunks(25) == b'data: a["two\\nlines"]\r\n\r\n'
    o.send_close(4001, "bye")
    assert c.read_chunks(23) == b'data: c[4001,"bye"]\r\n\r\n' and c.read_chunk() == b""


@pytest.mark.xfail_on_pushpin("has no streaming transports")
def test_percent_in_an_event(wire):
    s = Session(wire)
    c, o, r = start_stream(s, "eventsource")
    assert c.read_chunks(13) == b"\r\ndata: o\r\n\r\n"
    o.send_text("m:100%%22%")                       # SockJS clients undo such escapes
    assert c.read_chunks(29) == b'data: a["100%25%2522%25"]\r\n\r\n'


@pytest.mark.xfail_on_pushpin("has no streaming transports")
def test_htmlfile(wire):
    s = Session(wire)
    c, o, r = start_stream(s, "htmlfile?c=call.back")
    assert (r.status, r.chunked, r.get("Content-Type")) == (200, True, "text/html; charset=UTF-8")
    page = c.read_chunks(1028)
    assert b"parent.call.back;" in page and page[1024:1028] == b"\r\n\r\n"
    rest = page[1028:] or c.read_chunk()
    assert rest == b'<script>\np("o");\n</script>\r\n'
    o.send_text("m:</script>")
    text = c.read_chunk()
    m = re.fullmatch(rb'<script>\np\(("a.*")\);\n</script>\r\n', text)
    assert b"<" not in m.group(1) and json.loads(json.loads(m.group(1))[1:]) == ["</script>"]


@pytest.mark.parametrize("query", ["", "?c=", "?c=alert(1)", "?callback=a%3Bb"])
@pytest.mark.xfail_on_pushpin("has no streaming transports")
def test_htmlfile_needs_a_callback(wire, query):
    r = Session(wire).request("GET", "htmlfile" + query)
    assert (r.status, r.body) == (400, b"Bad Request\n")


@pytest.mark.xfail_on_pushpin("has no streaming transports")
def test_stream_makes_way_for_the_next(wire):
    s = Session(wire)
    c, o, r = start_stream(s, "xhr_streaming", "POST")
    c.read_chunks(2051)
    text, got = "x" * 10000, 0
    for _ in range(14):
        o.send_text("m:" + text)
    while True:
        chunk = c.read_chunk()
        if not chunk:
            break
        got += chunk.count(b'"' + text.encode() + b'"')
    c = s.start("POST", "xhr_streaming")
    assert c.read_head().status == 200 and c.read_chunks(2049)[:2049] == b"h" * 2048 + b"\n"
    o.send_text("m:last")
    seen = b""
    while b'"last"' not in seen:
        seen += c.read_chunk()
    assert got + seen.count(b'"' + text.encode() + b'"') == 14


@pytest.mark.xfail_on_pushpin("has no streaming transports")
def test_second_stream_is_refused(wire):
    s = Session(wire)
    c, o, r = start_stream(s, "xhr_streaming", "POST")
    c.read_chunks(2051)
    r = s.request("POST", "xhr_streaming")
    assert r.body.endswith(b'\nc[2010,"Another connection still open"]\n')
    o.send_text("m:one")
    assert c.read_chunks(9) == b'a["one"]\n'


@pytest.mark.xfail_on_pushpin("has no streaming transports")
def test_transports_of_a_session_may_change(wire):
    s = Session(wire)
    o = s.open()
    c = s.start("GET", "eventsource")
    assert c.read_head().status == 200 and c.read_chunks(2) == b"\r\n"
    c.close()
    o.gone(1)


def test_methods_of_transports(wire):
    for method, last in (("GET", "xhr_streaming"), ("GET", "xhr_send"), ("POST", "eventsource"), ("POST", "htmlfile?c=x")):
        assert Session(wire).request(method, last).status == 404


# time

def test_session_without_a_poll_ends(wire):
    s = Session(wire)
    begun = time.monotonic()
    o = s.open()
    o.gone(LIMIT)
    assert time.monotonic() - begun > 3
    assert s.send("too late").status == 404


@pytest.mark.xfail_on_pushpin("cuts the connection to the origin")
def test_origin_is_told_of_a_session_that_ends(wire):
    s = Session(wire)
    o = s.open()
    assert o.closing(LIMIT)[0] == 1001


def test_end_of_a_session_over_http(wire):
    s = Session(wire, "woh")
    c = s.start("POST", "xhr")
    s.door.next().open()
    assert c.read_response().body == b"o\n"
    assert s.door.next(LIMIT).body == b"DISCONNECT\r\n"


def test_closed_session_is_forgotten(wire):
    s = Session(wire)
    o = s.open()
    o.send_close(4001, "bye")
    wait_for(lambda: s.send("x").body == b'c[4001,"bye"]\n')
    wait_for(lambda: s.send("x").status == 404, LIMIT)


# sessions

def test_sessions_of_routes_are_apart(wire):
    s = Session(wire)
    o = s.open()
    t = Session(wire, "other")
    t.base = s.base
    assert t.send("x").status == 404


@pytest.mark.xfail_on_pushpin("finds sessions on other routes, but takes the server part for granted")
def test_server_part_does_not_matter(wire):
    s = Session(wire)
    o = s.open()
    s.base = s.base.replace("/000/", "/123/")
    assert taken(s.send("x")) and o.text() == "x"


def test_path_of_the_route_does_not_matter_to_the_origin_path(wire):
    s = Session(wire, "pre", None, "/pre/s/000/")
    assert s.poll() == b"o\n"
    s.send("echo")
    assert s.poll() == b'a["echo"]\n'


@pytest.mark.xfail_on_pushpin("has no greeting")
def test_endpoint_at_the_root(wire):
    assert wire.server.request("GET", "/", host="web").body == b"Welcome to SockJS!\n"
    assert wire.server.request("GET", "/info", host="web").json()["websocket"] is True
    s = Session(wire, "web", "/websocket", "/000/")
    s.open()


def test_session_that_is_being_opened(wire):
    s = Session(wire)
    c = s.start("POST", "xhr")
    v = s.door.next()
    assert s.poll() == b'c[2010,"Another connection still open"]\n'
    assert s.send("early").status == 404
    v.accept_grip()
    assert c.read_response().body == b"o\n"


def test_client_that_leaves_while_the_session_is_being_opened(wire):
    s = Session(wire)
    mark = unique("mark")
    c = s.start("POST", "xhr?" + mark)
    s.door.next()
    c.close()
    assert wire.server.wait_log(r"GET ws://as/real\?%s -> \S+ error$" % mark)
    t = Session(wire)
    t.base = s.base
    t.open()


def test_unreachable_origin(wire, start_server):
    from harness import free_port
    server = start_server("*,sockjs=/sock localhost:%d\n" % free_port())
    r = server.request("POST", "/sock/000/s/xhr")
    assert r.status == 502 and r.get("Access-Control-Allow-Origin") == "*"
    assert server.request("POST", "/sock/000/s/xhr_send", body=b'["x"]').status == 404


# limits

def test_request_body_that_is_too_large(wire):
    s = Session(wire)
    o = s.open()
    r = s.send(raw=b'["' + b"x" * 100000 + b'"]')
    assert (r.status, r.body) == (400, b"Request too large.\n")
    assert taken(s.send("y" * 99000)) and o.text() == "y" * 99000


@pytest.mark.xfail_on_pushpin("may crash, or lose what comes in several frames")
def test_too_much_for_the_client(wire):
    s = Session(wire)
    o = s.open()
    o.send_text("m:" + "x" * 250000)
    o.gone(LIMIT)
    assert s.send("x").status == 404


@pytest.mark.xfail_on_pushpin("loses what comes in several frames")
def test_origin_waits_for_a_client_that_polls_slowly(wire):
    s = Session(wire)
    o = s.open()
    text = "x" * 10000
    for _ in range(30):
        o.send_text("m:" + text)
    got = []
    while len(got) < 30:
        got += messages(s.poll())
    assert got == [text] * 30


# messages

def test_binary_messages_become_text(wire):
    s = Session(wire)
    o = s.open()
    o.send_binary(b"m:a\xffb")
    assert messages(s.poll()) == ["a\ufffdb"]
    o.send_binary(b"m:a\0b")
    assert messages(s.poll()) == ["a"]


@pytest.mark.xfail_on_pushpin("decodes too little")
def test_jsonp_send_by_get(wire):
    s = Session(wire)
    o = s.open()
    r = s.request("GET", "jsonp_send?d=%5B%22a+b%22%5D&callback=back")
    assert (r.status, r.get("Content-Type"), r.body) == (200, "application/javascript", b'/**/back("ok");\n')
    assert o.text() == "a b"


def test_half_of_a_surrogate_pair(wire):
    s = Session(wire)
    o = s.open()
    r = s.send(raw=rb'["cut\ud83d","\ude00 \ud83d\ude00 \\ud83d"]')     # as JSON.stringify() makes it of a cut string
    assert r.status in (200, 204)
    assert [o.text(), o.text()] == ["cut\ufffd", "\ufffd \U0001f600 \\ud83d"]


@pytest.mark.parametrize("raw", [b"", b"d=", b"x=1", b"d=%22text%22", b'["plain"]'])
def test_jsonp_send_of_nonsense(wire, raw):
    s = Session(wire)
    s.open()
    r = s.request("POST", "jsonp_send", {"Content-Type": "application/x-www-form-urlencoded"}, raw)
    assert (r.status, r.body) == (400, b"Payload expected\n")


@pytest.mark.xfail_on_pushpin("closes the connection after each poll")
def test_connection_is_kept(wire):
    s = Session(wire)
    o = s.open()
    c = wire.keep(wire.server.client())
    for text in ("one", "two", "three"):
        o.send_text("m:" + text)
        c.send_request("POST", s.base + "/xhr", {}, b"", host="as")
        assert c.read_response().body == b'a["%s"]\n' % text.encode()


# the websocket transport

@pytest.mark.xfail_on_pushpin("loses what comes in several frames")
def test_websocket_message_in_pieces(wire):
    c, o, v = framed(wire)
    o.send(TEXT, b"m:on", fin=False)
    o.send(0, b"e \xe2\x98", fin=False)
    o.send(0, b"\x83")
    assert c.text() == 'a["one \u2603"]'
    c.send(TEXT, b'["on', fin=False)
    c.send(0, b'e"]')
    assert o.text() == "one"
    c.send(BINARY, b'["binary"]')
    assert o.text() == "binary"


@pytest.mark.xfail_on_pushpin("the close comes without SockJS's own close frame before it")
def test_websocket_closed_by_a_publisher(wire):
    ch = unique()
    c, o, v = framed(wire)
    o.subscribe(ch)
    wire.server.wait_subscribed(ch)
    wire.server.publish(ws_item(ch, action="close", code=4000, reason="why"))
    assert c.text() == 'c[4000,"why"]'
    assert c.closing()[0] == 4000


def test_websocket_of_the_test_target(wire):
    c = wire.dial("/sock/000/%s/websocket" % unique(), host="test")
    c.open()
    assert c.text() == "o"
    c.send_text('["echo"]')
    assert c.text() == 'a["echo"]'
