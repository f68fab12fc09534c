"""More of SockJS: the other streaming transports, time limits, what is given up or too much."""

import hashlib
import json
import re
import threading
import time

import pytest

from harness import BINARY, PING, PONG, TEXT, TIMEOUT, unique, wait_for
from test_ws_sockjs import Session, fetch, framed, messages, routes, taken
from ws_harness import Wire, wire_fixture, ws_frame, ws_item  # noqa: F401

LIMIT = 10                      # s for what comes after 5


@pytest.fixture(scope="module")
def server(start_server, origin):
    return start_server(routes(origin) + "other,sockjs=/sock,sockjs_as_path=/real localhost:%d\n"
                        "pre,path_beg=/pre,sockjs=/pre/s,sockjs_as_path=/ws test\nweb,sockjs=/ localhost:%d\n" % (origin.port, origin.port))


@pytest.fixture(scope="module", autouse=True)
def beating(server, origin):
    """A poll, a stream and a WebSocket, opened before all else; the last test looks at them."""
    w = Wire(server, origin)
    s = Session(w)
    s.open()
    t = Session(w)
    t.open()
    start = time.monotonic()
    poll, stream = s.start("POST", "xhr"), t.start("GET", "eventsource")
    yield poll, stream, framed(w)[0], start
    w.close()


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


@pytest.mark.xfail_on_pushpin("loses what comes in several frames")
def test_empty_messages_count_too(wire):
    s = Session(wire)
    o = s.open()
    n, got = 4000000, 0         # far more than may wait, as JSON
    sender = threading.Thread(target=lambda: o.raw(ws_frame(TEXT, b"m:") * n), daemon=True)
    sender.start()
    sender.join(1)              # nobody polls meanwhile: the origin has to wait
    while got < n:
        some = messages(s.poll())
        assert not any(some)
        got += len(some)
    sender.join(TIMEOUT)
    assert got == n


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


# answers, byte by byte

def raw_answer(wire, method, path, headers=None, body=b"", host="as"):
    c = wire.keep(wire.server.client())
    c.send_request(method, path, headers, body, host=host)
    head = c.until(b"\r\n\r\n")
    n = re.search(rb"\r\nContent-Length: (\d+)\r\n", head)
    return head + (c.exactly(int(n.group(1))) if n else b"")


def own(*lines, origin=b"http://x"):
    tail = [b"Cache-Control: no-store, no-cache, must-revalidate, max-age=0", b"Access-Control-Allow-Origin: " + origin]
    if origin != b"*":
        tail.append(b"Access-Control-Allow-Credentials: true")
    return b"\r\n".join(list(lines) + tail) + b"\r\n"


def whole(status, type, body, origin=b"http://x"):
    return (b"HTTP/1.1 " + status + b"\r\n" + own(b"Content-Type: " + type, origin=origin) +
            b"Content-Length: %d\r\n\r\n" % len(body) + body)


ORIGIN = {"Origin": "http://x"}


def test_bytes_of_polls(wire):
    s = Session(wire)
    c = s.start("POST", "xhr", ORIGIN)
    o = wire.keep(s.door.next().accept_grip())
    r = c.read_response()
    assert r.body == b"o\n"
    o.raw(ws_frame(TEXT, "m:m1") + ws_frame(TEXT, "m:m2"))
    time.sleep(0.05)
    assert raw_answer(wire, "POST", s.base + "/xhr", ORIGIN) == whole(b"200 OK", b"text/plain", b'a["m1","m2"]\n')
    o.send_text("m:m\u00fc\"\\\n")
    time.sleep(0.05)
    assert raw_answer(wire, "GET", s.base + "/jsonp?c=a.b", ORIGIN) == whole(
        b"200 OK", b"application/javascript", '/**/a.b("a[\\"m\u00fc\\\\\\"\\\\\\\\\\\\n\\"]");\n'.encode())
    assert raw_answer(wire, "POST", s.base + "/jsonp_send?c=cb", ORIGIN, b"d=%5B%22x%22%5D") == whole(
        b"200 OK", b"application/javascript", b'/**/cb("ok");\n')
    assert raw_answer(wire, "POST", s.base + "/jsonp_send", ORIGIN, b"d=%5B%22y%22%5D") == whole(b"200 OK", b"text/plain", b"ok")
    assert raw_answer(wire, "POST", s.base + "/xhr_send", ORIGIN, b'["z"]') == b"HTTP/1.1 204 No Content\r\n" + own() + b"\r\n"
    assert o.texts(3) == ["x", "y", "z"]
    o.send_close(4001, "by\"e")
    time.sleep(0.05)
    assert raw_answer(wire, "POST", s.base + "/xhr", ORIGIN) == whole(b"200 OK", b"text/plain", b'c[4001,"by\\"e"]\n')
    assert raw_answer(wire, "GET", s.base + "/jsonp?callback=cb", ORIGIN) == whole(
        b"200 OK", b"application/javascript", b'/**/cb("c[4001,\\"by\\\\\\"e\\"]");\n')


@pytest.mark.parametrize("method,path,status,body", [
    ("GET", "/sock/nope", b"404 Not Found", b"Not Found\n"), ("GET", "/sock/0/s/jsonp", b"400 Bad Request", b"Bad Request\n"),
    ("GET", "/sock/0/s/jsonp?callback=", b"400 Bad Request", b"Bad Request\n"), ("GET", "/sock/0/s/jsonp?c=a%3Bb", b"400 Bad Request", b"Bad Request\n"),
    ("POST", "/sock/0/nosuch/xhr_send", b"404 Not Found", b"Not Found\n"), ("GET", "/sock/0/s/jsonp_send?d=%5B%5D", b"404 Not Found", b"Not Found\n"),
    ("GET", "/sock/0/s/htmlfile", b"400 Bad Request", b"Bad Request\n"), ("DELETE", "/sock/info", b"404 Not Found", b"Not Found\n"),
    ("GET", "/sock//s/jsonp?c=x", b"404 Not Found", b"Not Found\n"), ("POST", "/sock/0//xhr", b"404 Not Found", b"Not Found\n"),
    ("POST", "/sock/0/s/xhr/", b"404 Not Found", b"Not Found\n"), ("GET", "/sock/iframe.htm", b"404 Not Found", b"Not Found\n"),
    ("GET", "/sock/iframe/x.html", b"404 Not Found", b"Not Found\n"), ("GET", "/sock/Info", b"404 Not Found", b"Not Found\n")])
def test_bytes_of_errors(wire, method, path, status, body):
    assert raw_answer(wire, method, path) == whole(status, b"text/plain", body, origin=b"*")
    assert raw_answer(wire, method, path, ORIGIN) == whole(status, b"text/plain", body)


@pytest.mark.xfail_on_pushpin("a preflight does not say what is allowed")
@pytest.mark.parametrize("path,methods", [
    ("/sock/info", b"OPTIONS, GET"), ("/sock/iframe-1.html", b"OPTIONS, GET"), ("/sock/0/s/jsonp", b"OPTIONS, GET"),
    ("/sock/0/s/eventsource", b"OPTIONS, GET"), ("/sock/0/s/htmlfile", b"OPTIONS, GET"), ("/sock/0/s/xhr", b"OPTIONS, POST"),
    ("/sock/0/s/xhr_streaming", b"OPTIONS, POST"), ("/sock/0/s/xhr_send", b"OPTIONS, POST"), ("/sock/0/s/jsonp_send", b"OPTIONS, POST")])
def test_bytes_of_a_preflight(wire, path, methods):
    got = raw_answer(wire, "OPTIONS", path, {"Origin": "http://x", "Access-Control-Request-Method": "POST",
                                             "Access-Control-Request-Headers": "X-A, content-type"})
    assert got.startswith(b"HTTP/1.1 204 No Content\r\nContent-Type: text/plain\r\n") and got.endswith(b"\r\n\r\n")
    assert b"\r\nAccess-Control-Allow-Methods: " + methods + b"\r\n" in got
    assert b"\r\nAccess-Control-Allow-Headers: X-A, content-type\r\n" in got
    assert own() + b"\r\n" in got and b"Content-Length" not in got
    got = raw_answer(wire, "OPTIONS", path)
    assert b"Allow-Headers" not in got and b"Allow-Credentials" not in got and b"Access-Control-Allow-Origin: *\r\n" in got


@pytest.mark.parametrize("path", ["/sock", "/sock/", "/sock/what/ever", "/sock/a/b/c/d", "/sock/websocket"])
def test_options_of_anything(wire, path):
    assert raw_answer(wire, "OPTIONS", path).startswith(b"HTTP/1.1 204 No Content\r\n")


def test_info_is_random(wire):
    bodies = [fetch(wire, "GET", "/sock/info?t=%d" % i) for i in range(8)]
    rx = re.compile(rb'\{"cookie_needed":false,"entropy":(\d+),"origins":\["\*:\*"\],"websocket":true\}\n')
    numbers = [int(rx.fullmatch(r.body).group(1)) for r in bodies]
    assert len(set(numbers)) == 8 and max(numbers) < 1 << 32 and max(numbers) > 1 << 24


def test_tag_of_the_iframe(wire):
    r = fetch(wire, "GET", "/sock/iframe.html", {"Origin": "http://x"})
    assert r.get("ETag") == '"%s"' % hashlib.md5(r.body).hexdigest()
    names = [n for n, _ in r.headers]
    assert names[:3] == ["ETag", "Content-Type", "Cache-Control"] and r.get("Access-Control-Allow-Origin") == "http://x"
    for tag in (r.get("ETag").upper(), r.get("ETag").strip('"'), "W/" + r.get("ETag"), "*"):
        assert fetch(wire, "GET", "/sock/iframe.html", {"If-None-Match": tag}).status == 200
    r = fetch(wire, "GET", "/sock/iframe123.html", {"If-None-Match": r.get("ETag")})
    assert r.status == 304 and r.reason == "Not Modified" and not r.has("Content-Type") and r.get("Access-Control-Allow-Origin") == "*"


@pytest.mark.xfail_on_pushpin("takes any text for a callback")
@pytest.mark.parametrize("query", ["?c=alert(1)", "?callback=a%0Ab", "?c=", "?callback=1a", "?c=a-b"])
def test_callback_of_a_send(wire, query):
    s = Session(wire)
    o = s.open()
    r = s.request("POST", "jsonp_send" + query, None, b"d=%5B%22x%22%5D")
    assert (r.status, r.body) == (400, b"Bad Request\n")
    o.quiet(0.02)


@pytest.mark.parametrize("callback", ["a", "$", "_x.y", "a.b.c1", "a[0]", "jQuery123_456"])
def test_good_callbacks(wire, callback):
    s = Session(wire)
    c = s.start("GET", "jsonp?c=" + callback)
    s.door.next().accept()
    assert c.read_response().body == b'/**/%s("o");\n' % callback.encode()


@pytest.mark.xfail_on_pushpin("closes the connection after each poll")
def test_rejected_session_can_be_tried_again(wire):
    s = Session(wire)
    c = wire.keep(wire.server.client())
    c.send_request("GET", s.base + "/jsonp?c=x", None, b"", host="as")
    s.door.next().reply(403, [("Content-Type", "text/x"), ("X-Why", "because"), ("Access-Control-Allow-Origin", "other")], "no")
    r = c.read_response()
    assert (r.status, r.body, r.get("Content-Type"), r.get("X-Why")) == (403, b"no", "text/x", "because")
    s.open()


# messages

@pytest.mark.parametrize("text", ["\u2028", "\ud7ff\ue000", "\ufdd0\uffff", "\x7f", "\x00mid", "a\x1fb", "\U0010ffff"], ids=ascii)
def test_odd_characters(wire, text):
    s = Session(wire)
    o = s.open()
    assert taken(s.send(text)) and o.text() == text
    o.send_text("m:" + text)
    assert messages(s.poll()) == [text]


@pytest.mark.parametrize("raw", [b'["a"]x', b'["a",]', b"['a']", b'[["a"]]', b'[null]', b'[true]', b'{"a":"b"}', b'["\xff"]', b"\xef\xbb\xbf[]"],
                         ids=ascii)
def test_more_nonsense(wire, raw):
    s = Session(wire)
    o = s.open()
    r = s.send(raw=raw)
    assert (r.status, r.body) == (400, b"Payload expected\n")
    assert taken(s.send("fine")) and o.text() == "fine"


def test_close_without_a_code(wire):
    s = Session(wire)
    o = s.open()
    o.send_close()
    time.sleep(0.05)
    assert s.poll() == b'c[0,"Connection closed"]\n'


def test_requests_after_the_close(wire):
    """Every request has the same answer, until the session is forgotten."""
    s = Session(wire)
    o = s.open()
    o.send_close(4001, "bye")
    wait_for(lambda: s.send("x").body == b'c[4001,"bye"]\n')
    assert s.request("GET", "jsonp?c=cb").body == b'/**/cb("c[4001,\\"bye\\"]");\n'
    assert s.request("POST", "jsonp_send", None, b"d=%5B%22x%22%5D").body == b'c[4001,"bye"]\n'
    c = s.start("POST", "xhr_streaming")
    assert c.read_head().status == 200 and c.read_chunks(2049 + 14) == b"h" * 2048 + b'\nc[4001,"bye"]\n' and c.read_chunk() == b""


@pytest.mark.xfail_on_pushpin("has no streaming transports")
def test_stream_is_opened_by_a_poll(wire):
    s = Session(wire)
    o = s.open()
    o.send_text("m:early")
    c = s.start("POST", "xhr_streaming")
    assert c.read_head().status == 200
    assert c.read_chunks(2049 + 11) == b"h" * 2048 + b'\na["early"]\n'
    o.send_text("m:later")
    assert c.read_chunks(11) == b'a["later"]\n'


@pytest.mark.xfail_on_pushpin("has no streaming transports")
@pytest.mark.parametrize("last,method,head", [("xhr_streaming", "POST", b"application/javascript; charset=UTF-8"),
                                              ("eventsource", "GET", b"text/event-stream"),
                                              ("htmlfile?c=cb", "GET", b"text/html; charset=UTF-8")])
def test_heads_of_streams(wire, last, method, head):
    s = Session(wire)
    c = s.start(method, last, ORIGIN)
    s.door.next().accept_grip()
    got = c.until(b"\r\n\r\n")
    assert got.startswith(b"HTTP/1.1 200 OK\r\n" + own(b"Content-Type: " + head)) and b"Transfer-Encoding: chunked" in got
    assert b"Content-Length" not in got


@pytest.mark.xfail_on_pushpin("has no streaming transports")
@pytest.mark.parametrize("last,method,rejected", [("xhr_streaming", "POST", 403), ("eventsource", "GET", 500), ("htmlfile?c=cb", "GET", 404)])
def test_rejected_streams(wire, last, method, rejected):
    s = Session(wire)
    c = s.start(method, last)
    s.door.next().reply(rejected, {"Content-Type": "text/x"}, "no")
    r = c.read_response()
    assert (r.status, r.body, r.get("Content-Type")) == (rejected, b"no", "text/x")


@pytest.mark.xfail_on_pushpin("cuts the connection to the origin")
def test_stream_that_is_given_up(wire):
    s = Session(wire)
    c = s.start("POST", "xhr_streaming")
    o = wire.keep(s.door.next().accept_grip())
    c.read_head()
    c.read_chunks(2051)
    c.close()
    assert o.closing(2)[0] == 1001
    t = Session(wire)
    t.base = s.base
    t.open()


def test_poll_given_up_over_http(wire):
    s = Session(wire, "woh")
    c = s.start("POST", "xhr")
    s.door.next().open()
    c.read_response()
    c = s.start("POST", "xhr")
    c.quiet(0.05)
    c.close()
    assert s.door.next().body == b"DISCONNECT\r\n"
    s.door.quiet(0.1)


# logs and other things of the origin's side

def test_log_of_a_session(wire, origin):
    mark = unique("q")
    s = Session(wire)
    c = s.start("POST", "xhr?" + mark)
    o = wire.keep(s.door.next().accept_grip())
    c.read_response()
    wire.server.wait_log(r"GET ws://as/real\?%s -> localhost:%d code=101 0$" % (mark, origin.port))
    o.send_close(4001)
    wire.server.wait_log(r"GET ws://as/real\?%s -> localhost:%d closed=4001 duration=[0-9.]+$" % (mark, origin.port))
    s.poll()
    assert s.base not in wire.server.logs()


def test_log_of_a_framed_websocket(wire, origin):
    mark = unique("q")
    d = wire.door("/real")
    c = wire.dial("/sock/000/%s/websocket?%s" % (unique(), mark), host="as")
    o = wire.keep(d.next().accept_grip())
    c.open()
    c.send_close(4001)
    o.closing()
    o.send_close(4001)
    wire.server.wait_log(r"GET ws://as/real\?%s -> localhost:%d closed=4001 duration=[0-9.]+$" % (mark, origin.port))


@pytest.mark.parametrize("last", ["websocket", "anything", "xhr"])
def test_last_part_of_a_websocket(wire, last):
    d = wire.door("/real")
    c = wire.dial("/sock/a/%s/%s?callback=kept&c=1" % (unique(), last), host="as")
    v = d.next()
    assert v.target == "/real?callback=kept&c=1"
    v.accept()
    assert c.open().text() == "o"


@pytest.mark.parametrize("path", ["/sock", "/sock/", "/sock/a", "/sock/a/b", "/sock/a/b/c/d", "/sock/websocket/", "/sock/info"])
def test_websockets_elsewhere(wire, path):
    r = wire.dial(path, host="as").answer()
    assert (r.status, r.get("Content-Type"), r.body) == (404, "text/plain", b"Not Found\n")


@pytest.mark.xfail_on_pushpin("sends other things")
def test_ends_of_a_framed_websocket(wire):
    c, o, v = framed(wire)
    o.send_text("m:last")
    o.close()
    assert c.text() == 'a["last"]'
    assert json.loads(c.text()[1:])[0] == 1011
    assert c.closing()[0] == 1011
    c, o, v = framed(wire)
    c.send_text('["last"]')
    c.close()
    assert o.text() == "last" and o.closing()[0] == 1001
    c, o, v = framed(wire)
    c.send_close(4001, "bye")
    assert o.closing() == (4001, "bye")
    o.send_close(4001, "bye")
    assert c.closing() == (4001, "bye")             # no frame of SockJS before it
    c, o, v = framed(wire)
    o.send(PING, b"p")
    assert o.message() == (PONG, b"p")


def test_raw_websocket_without_sockjs_as_path(wire):
    d = wire.door("/sock/websocket")
    c = wire.dial("/sock/websocket?x=1", host="plain")
    v = d.next()
    assert v.target == "/sock/websocket?x=1"
    o = wire.keep(v.accept())
    c.open()
    o.send_text("as it is")
    assert c.text() == "as it is"


def test_subscriptions_of_a_session_end_with_it(wire):
    ch = unique()
    s = Session(wire)
    o = s.open()
    o.subscribe(ch)
    wire.server.wait_subscribed(ch)
    c = s.start("POST", "xhr")
    c.quiet(0.05)
    c.close()
    wire.server.wait_unsubscribed(ch)


def test_send_while_another_waits(wire):
    """The origin reads nothing until all is full."""
    s = Session(wire)
    o = s.open()
    waiting, n = s.start("POST", "xhr_send", None, json.dumps(["x" * 90000]).encode()), 1
    while True:
        try:
            waiting.fill(0.3)
            assert taken(waiting.read_response())
        except TimeoutError:
            r = s.send("more")
            if r.status == 400:
                break
            assert taken(r)                             # it was only slow
            n += 1
            continue
        waiting, n = s.start("POST", "xhr_send", None, json.dumps(["x" * 90000]).encode()), n + 1
        assert n < 1000
    assert (r.body, r.get("Content-Type")) == (b"Already sending\n", "text/plain")
    done = threading.Thread(target=lambda: [o.text() for _ in range(n)], daemon=True)
    done.start()
    assert taken(waiting.read_response())
    done.join(20)
    assert taken(s.send("and on"))


def test_published_pings_ask_nobody(wire):
    """SockJS has no pings; those of the origin are answered, those of others are not the origin's affair."""
    ch = unique()
    s = Session(wire)
    o = s.open()
    c, p, v = framed(wire)
    for x in (o, p):
        x.subscribe(ch)
        wire.settle(x)
    wire.server.publish(ws_item(ch, "not for SockJS", type="ping"), ws_item(ch, "nor this", type="pong"), ws_item(ch, "text"))
    assert messages(s.poll()) == ["text"] and c.text() == 'a["text"]'
    for x in (o, p):
        x.control("send-delayed", content="nor this", message_type="ping")
        x.control("flush-delayed")
        x.send(PING, b"of the origin")
        assert x.message() == (PONG, b"of the origin")


def test_page_of_the_iframe(wire, start_server):
    body = start_server("*,sockjs=/s test\n", {"sockjs_url": "https://x/s.js?a=1&b"}).get("/s/iframe.html").body
    assert re.search(rb'<script src="https://x/s\.js\?a=1&(#38;|amp;)?b"></script>', body)
    for part in (b'<meta http-equiv="X-UA-Compatible" content="IE=edge"', b'<meta http-equiv="Content-Type" content="text/html; charset=UTF-8"',
                 b"document.domain = document.domain;", b"SockJS.bootstrap_iframe();"):
        assert part in body
    assert body.lower().startswith(b"<!doctype html>")


@pytest.mark.xfail_on_pushpin("has no streaming transports")
def test_heartbeats(beating):
    """Looks at what was opened first: nothing has been sent to these for 25 seconds."""
    poll, stream, ws, start = beating
    assert poll.read_response(timeout=30).body == b"h\n"
    assert 23 < time.monotonic() - start
    stream.read_head()
    got = b""
    while not got.endswith(b"data: h\r\n\r\n"):
        got += stream.read_chunk()
    assert got == b"\r\ndata: h\r\n\r\n"
    assert ws.text() == "h"
