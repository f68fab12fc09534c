"""The reverse proxy's own promises: time limits, failover, early and broken answers, bodies that are larger than memory."""

import json
import os
import random
import re
import socket
import threading
import time

import pytest

from harness import (HOST, TIMEOUT, Client, Reply, build_head, chunked, free_port, hold, steadily, unique, wait_for,
                     without_grip)

SMALL = 4096            # of a socket whose owner reads slowly
MB = 1 << 20
MUCH = 20       # seconds: more than what shall take one does on the slowest machine, less than without a limit


@pytest.fixture(scope="module")
def dead():
    """A port that nobody listens on."""
    return free_port()


@pytest.fixture(scope="module")
def server(start_server, origin, dead):
    return start_server("""
* localhost:{o}
debug.test,debug localhost:{o}
header.test,header=Host:evil,header="X-Forwarded-For:9.9.9.9, 8.8.8.8",header=Content-Length:7,header=X-R:1 localhost:{o}
marked.test,orig_headers,header=X-Set:route localhost:{o}
woh.test localhost:{o},over_http
both.test,debug localhost:{d} localhost:{o}
""".format(o=origin.port, d=dead), {"update_on_first_subscription": "false"})


@pytest.fixture(scope="module")
def hasty(start_server, origin):
    """A server that gives nobody more than a second."""
    return start_server("* localhost:%d\ndebug.test,debug localhost:%d" % (origin.port, origin.port),
                        {"client_idle_timeout": "1", "activity_timeout": "1"})


@pytest.fixture(scope="module")
def brisk(start_server, origin):
    """One that gives clients their time until they ask."""
    return start_server("* localhost:%d\ndebug.test,debug localhost:%d" % (origin.port, origin.port), {"activity_timeout": "1"})


def took(what):
    begun = time.monotonic()
    what()
    return time.monotonic() - begun


def drain(c, total, look=lambda n: None):
    """Reads the rest of a body of so many bytes, keeping none of it."""
    n, c.buf = len(c.buf), b""
    c.sock.settimeout(60)
    while n < total:
        data = c.sock.recv(262144)
        assert data, "closed after %d bytes" % n
        n += len(data)
        look(n)
    assert n == total


class Flow:
    """Counts the bytes that a sendall() in another thread has got rid of."""

    def __init__(self, sock, total, piece=b"x" * 65536, framed=lambda p: p):
        self.sent, self.error = 0, None
        self.thread = threading.Thread(target=self.run, args=(sock, total, piece, framed), daemon=True)
        self.thread.start()

    def run(self, sock, total, piece, framed):
        try:
            while self.sent < total:
                sock.sendall(framed(piece))
                self.sent += len(piece)
        except OSError as e:
            self.error = e

    def wait_blocked(self):
        """Waits until nothing has gone out for a while; the bytes that did."""
        seen = [-1, time.monotonic()]

        def still():
            if self.sent != seen[0]:
                seen[:] = [self.sent, time.monotonic()]
            return time.monotonic() - seen[1] > 0.5
        wait_for(still, 30, "the sender to be stopped")
        return self.sent

    def join(self, timeout=60):
        self.thread.join(timeout)
        assert not self.thread.is_alive() and self.error is None, self.error


# headers

def test_forwarded_addresses_are_one_list(server, origin):
    p = origin.serve(Reply(200, {}, "x"))
    server.get(p, [("X-Forwarded-For", "1.1.1.1,2.2.2.2"), ("x-forwarded-for", " 3.3.3.3 ,")])
    assert origin.requests(p)[0].get_all("X-Forwarded-For") == ["1.1.1.1, 2.2.2.2, 3.3.3.3"]


def test_route_headers_neither_double_host_nor_break_framing(server, origin):
    p = origin.serve(Reply(200, {}, "x"))
    server.request("POST", p, {"X-Forwarded-For": "1.1.1.1"}, b"hello", host="header.test")
    r = origin.requests(p)[0]
    assert (r.get_all("Host"), r.get_all("Content-Length"), r.body, r.get("X-R")) == (["header.test"], ["5"], b"hello", "1")
    assert r.get_all("X-Forwarded-For") == ["9.9.9.9, 8.8.8.8"]


def test_order_of_marked_headers(server, origin):
    p = origin.serve(Reply(200, {}, "x"))
    mark = "eb9bf0f5-"
    name = "X-" + "n" * 400
    server.get(p, [(mark + "Old", "1"), ("X-Set", "client"), (name, "2"), ("Connection", "keep-alive")], host="marked.test")
    assert without_grip(origin.requests(p)[0]) == [
        ("Host", "marked.test"), (name, "2"), ("X-Set", "route"), (mark + "Host", "marked.test"), (mark + name, "2"),
        (mark + "Connection", "keep-alive"), (mark + "X-Set", "route"), (mark + "Old", "1")]


def test_absolute_target_with_a_query_alone(server, origin):
    origin.serve(Reply(200, {}, "root"), path="/")
    with server.client() as c:
        c.send("GET http://Some.Test?a=b HTTP/1.1\r\nHost: other\r\n\r\n")
        assert c.read_response().body == b"root"
    r = origin.requests("/")[-1]
    assert (r.target, r.get_all("Host")) == ("/?a=b", ["some.test"])


def test_websocket_events_of_a_client_are_refused(server, origin):
    p = origin.serve(Reply(200, {}, "x"))
    r = server.request("POST", p, {"Content-Type": "application/WebSocket-Events; a=b"}, b"OPEN\r\n", host="woh.test")
    assert (r.status, r.body) == (403, b"Client not allowed to send WebSocket events directly.\n")
    assert server.request("POST", p, {"Content-Type": "text/plain"}, b"x", host="woh.test").status == 200
    assert len(origin.requests(p)) == 1


# what is not HTTP, or could be understood in two ways

SMUGGLED = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.mark.parametrize("head", [
    "Content-Length: 0\r\nContent-Length: 0", "Content-Length: 5\r\nTransfer-Encoding: chunked", "Content-Length: +0", "Content-Length: 0, 0",
    "Content-Length: 0x0", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "Transfer-Encoding: identity",
    "Transfer-Encoding: chunked, chunked", "Transfer-Encoding: xchunked", "Transfer-Encoding:\x0bchunked", "Transfer-Encoding : chunked",
    " Transfer-Encoding: chunked", "X: y\r\n Transfer-Encoding: chunked", "X: y\nTransfer-Encoding: chunked", "X: y\rTransfer-Encoding: chunked",
    "Host: b", ": empty", "X\x00: y", "X: \x00"])
def test_ambiguous_request_is_refused_and_the_connection_closed(server, origin, head):
    n = len(origin.requests())
    with server.client() as c:
        c.send("POST / HTTP/1.1\r\nHost: a\r\n%s\r\n\r\n0\r\n\r\n%s" % (head, SMUGGLED))
        r = c.read_response()
        assert (r.status, r.get("Connection")) == (400, "close")
        c.closed()
    assert not origin.requests("/smuggled") and len(origin.requests()) == n


@pytest.mark.parametrize("version,head", [("1.0", "Transfer-Encoding: chunked")])
def test_coding_in_http_1_0_is_refused(server, origin, version, head):
    with server.client() as c:
        c.send("POST / HTTP/%s\r\nHost: a\r\n%s\r\n\r\n0\r\n\r\n" % (version, head))
        assert c.read_response().status == 400
        c.closed()


def test_rest_of_a_refused_chunked_body_is_no_request(server, origin):
    p = origin.serve(Reply(200, {}, "x"))
    with server.client() as c:
        c.send("POST %s HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello0\r\n\r\n%s" % (p, SMUGGLED))
        assert c.read_response().status == 400
        c.closed()
    assert not origin.requests("/smuggled")


@pytest.mark.parametrize("answer,why", [
    (b"HTTP/2.0 200 OK\r\n\r\n", "invalid response: "), (b"HTTP/1.1 20 OK\r\n\r\n", "invalid response: "),
    (b"HTTP/1.1 200 OK\nX: y\n\n", "invalid response: "), (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx", "invalid response: "),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n", "invalid response: "),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "invalid response: "), (b"HTTP/1.1 200 OK\r\nX y\r\n\r\n", "invalid response: "),
    (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "invalid response: "), (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 65 + b"\r\n", "invalid response: "),
    (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 9000 + b"\r\n\r\n", "invalid response: "), (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", "invalid response: "),
    (b"HTTP/1.1 200", "connection closed before response"), (b"HTTP/1.1 100 Continue\r\n\r\n", "connection closed before response")])
def test_malformed_answer_gives_502_and_says_why(server, origin, answer, why):
    def handler(request):
        request.conn.send(answer)
        request.conn.closing = True
    p = origin.serve(handler)
    assert (server.get(p).status, server.get(p).body) == (502, b"Error while proxying to origin.\n")
    r = server.get(p, host="debug.test")
    assert r.status == 502 and r.body.decode().startswith(why), r.body


def test_many_interim_answers_are_skipped(server, origin):
    p = origin.serve(b"HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n" * 50 + b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    with server.client() as c:
        for _ in range(2):
            r = c.get(p)
            assert (r.status, r.body, r.has("Link")) == (200, b"ok", False)


# answers that break off

def test_debug_text_does_not_fill_up_a_broken_answer(server, origin):
    def handler(request):
        request.conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 60\r\n\r\nhalf")
        request.conn.closing = True
    p = origin.serve(handler)
    with server.client() as c:
        c.send_request("GET", p, host="debug.test")
        assert c.read_head().get("Content-Length") == "60"
        assert c.rest() == b"half"


def test_debug_text_ends_a_broken_chunked_answer(server, origin):
    def handler(request):
        request.conn.start_chunked()
        request.conn.send_chunk(b"half")
        request.conn.send(b"5\r\n")
        time.sleep(0.05)
        request.conn.closing = True
    p = origin.serve(handler)
    with server.client() as c:
        c.send_request("GET", p, host="debug.test")
        assert c.read_head().chunked
        rest = c.rest()
        assert b"half" in rest and b"\n\nconnection closed before response\n" in rest and b"\r\n0\r\n" not in rest


def test_broken_answer_to_an_http_1_0_client_ends_with_a_reset(server, origin):
    go = threading.Event()

    def handler(request):
        request.conn.start_chunked()
        request.conn.send_chunk(b"half")
        go.wait(TIMEOUT)
        request.conn.closing = True
    p = origin.serve(handler)
    with server.client() as c:
        c.send_request("GET", p, version="HTTP/1.0")
        c.until(b"\r\n\r\nhalf")
        go.set()
        with pytest.raises(ConnectionResetError):
            c.sock.recv(100)


# early answers

def test_early_answer_of_an_origin_that_reads_no_further(server, origin):
    """It answers, then closes with bytes unread: a reset is on the answer's heels."""
    def handler(request):
        request.conn.send(Reply(413, {"X-A": "1"}, "too much", reason="Too Large", close=True).encode())
        request.conn.closing = True
    p = origin.serve(handler, early=True)
    for _ in range(5):
        with server.client() as c:
            c.send(build_head("POST %s HTTP/1.1" % p, {"Host": "a", "Content-Length": str(50 * MB)}))
            flow = Flow(c.sock, 50 * MB)
            r = c.read_response()
            assert (r.status, r.body, r.get("Connection")) == (413, b"too much", "close")
            c.closed()
            flow.thread.join(TIMEOUT)


def test_client_that_is_slow_to_notice_an_early_answer_gets_it(server, origin):
    """It sends for longer than the two seconds that we wait for one that is silent."""
    p = origin.serve(Reply(401, {}, "no", close=True), early=True)

    def talk(tick):
        with server.client() as c:
            c.send(build_head("POST %s HTTP/1.1" % p, {"Host": "a", "Content-Length": str(50 * MB)}))
            for _ in range(35):
                c.send(b"x" * 20000)
                time.sleep(0.1)
                tick()
            assert c.read_response().status == 401
    steadily(0.95, talk)


def test_upload_goes_on_while_the_answer_runs(server, origin):
    """Whoever answers as it reads gets the whole body."""
    def handler(request):
        request.conn.start_chunked()
        n = 0
        while n < 200000:
            n += len(request.conn.exactly(50000))
            request.conn.send_chunk(b"%d " % n)
        request.conn.send_chunk()
    p = origin.serve(handler, early=True)
    with server.client() as c:
        c.send(build_head("POST %s HTTP/1.1" % p, {"Host": "a", "Content-Length": "200000"}))
        c.send(b"x" * 50000)
        assert c.read_head().get("Connection") == "close"
        assert c.read_chunks(6) == b"50000 "
        c.send(b"x" * 150000)
        assert c.read_chunks(21).endswith(b"200000 ")


# the client's end

def test_upload_and_half_close_before_the_origin_has_read(server, origin):
    """The end of the input is behind bytes that wait for the origin: the client has not left."""
    go = threading.Event()

    def handler(request):
        go.wait(4 * TIMEOUT)
        drain(request.conn, int(request.get("Content-Length")))
        request.conn.reply(200, {}, request.get("Content-Length"))
    p = origin.serve(handler, early=True)
    total = 24 * MB
    with server.client() as c:
        c.sock.settimeout(60)
        c.send(build_head("POST %s HTTP/1.1" % p, {"Host": "a", "Content-Length": str(total), "Connection": "close"}))
        flow = Flow(c.sock, total)
        assert flow.wait_blocked() < total
        go.set()
        flow.join()
        c.shutdown_write()
        assert c.read_response(timeout=30).body == str(total).encode()


def test_half_close_while_the_last_bytes_are_held_back(server, origin):
    go = threading.Event()

    def handler(request):
        go.wait(4 * TIMEOUT)
        drain(request.conn, int(request.get("Content-Length")))
        request.conn.reply(200, {}, request.get("Content-Length"))
    p = origin.serve(handler, early=True)
    with server.client() as c:
        c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * MB)
        c.send(build_head("POST %s HTTP/1.1" % p, {"Host": "a", "Content-Length": str(12 * MB), "Connection": "close"}))
        flow = Flow(c.sock, 12 * MB)
        threading.Timer(1, go.set).start()
        flow.join()
        c.shutdown_write()
        assert c.read_response(timeout=30).body == str(12 * MB).encode()


def test_client_that_leaves_while_the_origin_thinks_is_noticed(server, origin):
    gone = threading.Event()

    def handler(request):
        if request.conn.wait_gone():
            gone.set()
    p = origin.serve(handler)
    with server.client() as c:
        c.send_request("GET", p)
        origin.wait_request(p)
    assert gone.wait(TIMEOUT)
    server.wait_log(r"GET http://localhost%s -> \S+ error$" % p)


def test_client_that_leaves_in_the_middle_of_an_upload_is_noticed(server, origin):
    gone = threading.Event()

    def handler(request):
        if request.conn.wait_gone():
            gone.set()
    p = origin.serve(handler, early=True)
    with server.client() as c:
        c.send(build_head("POST %s HTTP/1.1" % p, {"Host": "a", "Content-Length": "100000"}) + b"x" * 20000)
        origin.wait_request(p)
    assert gone.wait(TIMEOUT)


@pytest.mark.parametrize("mode", ["response", "stream"])
@pytest.mark.parametrize("more", ["", "GET / HTTP/1.1\r\nHost: a\r\n\r\n"])
def test_half_close_of_a_request_that_is_held_means_that_the_client_has_left(server, origin, mode, more):
    """It is a half-close until the origin answers, and nobody waits for a hold like that."""
    ch, go = unique(), threading.Event()

    def handler(request):
        go.wait(TIMEOUT)
        return hold(mode, ch, body="first")
    p = origin.serve(handler)
    with server.client() as c:
        c.send(build_head("GET %s HTTP/1.1" % p, {"Host": "a", "Connection": "close"}) + more.encode())
        c.shutdown_write()
        origin.wait_request(p)
        time.sleep(0.1)
        go.set()
        server.wait_log(r"unsubscribe http://a%s channel=%s" % (p, ch))
        c.rest()


@pytest.mark.parametrize("version,headers", [("HTTP/1.1", {"Connection": "Foo, CLOSE"}), ("HTTP/1.0", {}), ("HTTP/1.0", {"Connection": "x"})])
def test_half_close_of_a_last_request_is_answered(server, origin, version, headers):
    go = threading.Event()
    p = origin.serve(lambda request: go.wait(TIMEOUT) and Reply(200, {}, "late"))
    with server.client() as c:
        c.send_request("GET", p, headers, version=version)
        c.shutdown_write()
        origin.wait_request(p)
        time.sleep(0.1)
        go.set()
        assert c.read_response().body == b"late"
        c.closed()


@pytest.mark.parametrize("version,headers", [("HTTP/1.1", {}), ("HTTP/1.0", {"Connection": "Keep-Alive"})])
def test_half_close_of_a_connection_that_stays_open_means_that_the_client_has_left(server, origin, version, headers):
    gone = threading.Event()
    p = origin.serve(lambda request: request.conn.wait_gone() and gone.set())
    with server.client() as c:
        c.send_request("GET", p, headers, version=version)
        origin.wait_request(p)
        c.shutdown_write()
        assert gone.wait(TIMEOUT)
        c.closed()


# the origin's end

@pytest.mark.parametrize("version", ["HTTP/1.0", "HTTP/1.1"])
def test_slow_client_gets_all_of_an_answer_that_ends_with_the_connection(server, origin, version):
    """The origin has closed long before its last bytes are read."""
    total = 24 * MB
    sent = threading.Event()

    def handler(request):
        request.conn.send(b"HTTP/1.1 200 OK\r\n\r\n")
        request.conn.sock.settimeout(30)
        for _ in range(total // MB):
            request.conn.send(b"x" * MB)
        request.conn.closing = True
        sent.set()
    p = origin.serve(handler)
    with Client(server.http_port, rcvbuf=SMALL) as c:
        c.send_request("GET", p, version=version)
        assert c.read_head().status == 200
        n, begun = len(c.buf), time.monotonic()
        time.sleep(0.5)
        c.sock.settimeout(30)
        while True:
            data = c.sock.recv(65536)
            n += len(data)
            if not data or data.endswith(b"0\r\n\r\n"):
                break
            if n > 20 * MB and time.monotonic() - begun < 3:
                time.sleep(0.05)
        assert sent.is_set() and n >= total


# targets

class Full:
    """A listener that answers no SYN: its queue is full."""

    def __init__(self):
        self.socks = [socket.socket()]
        self.port = free_port()
        self.socks[0].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socks[0].bind((HOST, self.port))
        self.socks[0].listen(0)
        for _ in range(8):
            s = socket.socket()
            s.settimeout(0.3)
            self.socks.append(s)
            try:
                s.connect((HOST, self.port))
            except OSError:
                return

    def close(self):
        for s in self.socks:
            s.close()


@pytest.fixture
def full():
    f = Full()
    yield f
    f.close()


def test_target_that_cannot_be_connected_to_in_time(start_server, origin, full):
    s = start_server("one.test,debug 127.0.0.1:{f}\n* 127.0.0.1:{f} localhost:{o}".format(f=full.port, o=origin.port),
                     {"origin_connect_timeout": "1"})
    p = origin.serve(Reply(200, {}, "second"))
    assert 0.9 < took(lambda: s.get(p)) < 9          # where 10 is the default
    assert s.get(p).body == b"second"
    r = s.get(p, host="one.test")
    assert (r.status, r.reason, r.body) == (504, "Gateway Timeout", b"connection timed out\n")


def test_failed_target_is_asked_last_for_a_while_and_first_again(start_server, start_origin):
    port = free_port()
    second = start_origin()
    s = start_server("* 127.0.0.1:%d 127.0.0.1:%d" % (port, second.port))
    second.serve(Reply(200, {}, "second"), path="/")
    begun = time.monotonic()
    assert s.get("/").body == b"second"
    first = start_origin(port=port)
    first.serve(Reply(200, {}, "first"), path="/")
    assert s.get("/").body == b"second" or time.monotonic() - begun > 4
    wait_for(lambda: s.get("/").body == b"first", 10, "the first target to be asked again", 0.2)
    assert time.monotonic() - begun > 3


def test_failed_target_is_still_asked_when_the_others_fail(start_server, start_origin):
    ports = free_port(), free_port()
    s = start_server("* 127.0.0.1:%d 127.0.0.1:%d" % ports, {"debug": "true"})
    r = s.get("/")
    assert (r.status, r.body) == (502, b"Unable to connect to any targets. Tried: 127.0.0.1:%d, 127.0.0.1:%d\n" % ports)
    start_origin(port=ports[1]).serve(Reply(200, {}, "up"), path="/")
    assert s.get("/").body == b"up"


def test_body_is_sent_to_the_target_that_takes_it(server, origin):
    p = origin.serve(lambda request: Reply(200, {}, str(len(request.body))))
    assert server.request("POST", p, body=b"x" * 50000, host="both.test").body == b"50000"
    with server.client() as c:
        c.send(build_head("POST %s HTTP/1.1" % p, {"Host": "both.test", "Transfer-Encoding": "chunked"}))
        c.send(chunked(b"y" * 150000, b"z" * 150000))
        assert c.read_response().body == b"300000"


class Stale:
    """Answers the first request of each connection and closes at the second, without a word, as many times as asked."""

    def __init__(self, origin, times):
        self.left, self.methods = times, []
        self.path = origin.serve(self.handle)

    def handle(self, request):
        if request.query == "first":
            return Reply(200, {}, "ok")
        self.methods.append(request.method)
        if self.left > 0:
            self.left -= 1
            request.conn.closing = True
            return None
        return Reply(200, {}, "again")


@pytest.mark.parametrize("method,times,status,asked", [
    ("GET", 1, 200, 2), ("HEAD", 1, 200, 2), ("PUT", 1, 200, 2), ("DELETE", 1, 200, 2), ("OPTIONS", 1, 200, 2), ("GET", 2, 502, 2),
    ("POST", 1, 502, 1), ("PATCH", 1, 502, 1), ("PURGE", 1, 502, 1)])
def test_stale_connection_is_replaced_once_where_that_is_safe(start_server, start_origin, method, times, status, asked):
    o = start_origin()
    s = start_server("* 127.0.0.1:%d" % o.port)
    stale = Stale(o, times)
    assert s.get(stale.path + "?first").status == 200
    r = s.request(method, stale.path, body=b"body" if method in ("PUT", "POST", "PATCH") else b"")
    assert r.status == status
    assert stale.methods == [method] * asked
    assert o.accepted == asked


def test_fresh_connection_that_breaks_is_not_replaced(start_server, start_origin):
    o = start_origin()
    s = start_server("* 127.0.0.1:%d" % o.port)
    stale = Stale(o, 1)
    assert s.get(stale.path).status == 502
    assert stale.methods == ["GET"]


# time limits

def test_silent_client_is_closed_without_a_word(hasty):
    begun = time.monotonic()
    with hasty.client() as c:
        c.closed()
        assert 0.8 < time.monotonic() - begun < MUCH


def test_single_bytes_of_a_head_buy_no_time(hasty):
    begun = time.monotonic()
    with hasty.client() as c:
        with pytest.raises((OSError, AssertionError)):
            for byte in "GET / HTTP/1.1\r\nHost: a\r\nX-Long: " + "x" * 100:
                c.send(byte)
                time.sleep(0.1)
                assert not c.buf
        assert 0.8 < time.monotonic() - begun < MUCH
        assert not c.buf


def test_idle_time_begins_after_the_answer(hasty, origin):
    p = origin.serve(Reply(200, {}, "x"))

    def talk(tick):
        with hasty.client() as c:
            for _ in range(6):
                tick()
                assert c.get(p).status == 200
                tick()
                time.sleep(0.25)
            c.closed()
    steadily(0.33, talk)        # a request, a pause and a request together take less than a second


def test_body_that_drips_in_gets_408(hasty, origin):
    p = origin.serve(Reply(200, {}, "x"))

    def talk(tick):
        with hasty.client() as c:
            begun = time.monotonic()
            c.send(build_head("POST %s HTTP/1.1" % p, {"Host": "a", "Content-Length": "5000"}))
            stop = threading.Event()

            def drip():
                try:
                    while not stop.wait(0.1):
                        c.send(b"x")
                        tick()
                except OSError:
                    pass
            thread = threading.Thread(target=drip, daemon=True)
            thread.start()
            try:
                r = c.read_response()
            finally:
                stop.set()
                thread.join()
            assert (r.status, r.get("Connection")) == (408, "close")
            assert 0.8 < time.monotonic() - begun < MUCH
    steadily(0.45, talk)
    assert not origin.requests(p)


def test_origin_that_does_not_answer_gives_504(brisk, origin):
    p = origin.serve(lambda request: request.conn.wait_gone() and None)
    assert (brisk.get(p).status, brisk.get(p).body) == (504, b"Error while proxying to origin.\n")
    assert brisk.get(p, host="debug.test").body == b"no response in time\n"


def test_origin_that_stops_in_the_middle_is_cut_off(brisk, origin):
    def handler(request):
        request.conn.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n")
        sent.append(time.monotonic())
        request.conn.wait_gone()
    p = origin.serve(handler)
    for _ in range(20):
        with brisk.client() as c:
            sent, begun = [], time.monotonic()
            c.send_request("GET", p)
            r = c.read_head()
            if r.status == 504 and (not sent or sent[0] - begun > 0.9):     # the machine stood still
                continue
            assert r.chunked
            assert c.rest() == b"4\r\nhalf\r\n"
            return
    raise AssertionError("the machine stands still all the time")


def test_response_timeout_begins_when_the_request_is_whole(start_server, origin):
    s = start_server("debug.test,debug localhost:{o}\n* localhost:{o}".format(o=origin.port), {"origin_response_timeout": "1"})
    p = origin.serve(lambda request: request.conn.wait_gone() and None)
    r = [None]
    assert 0.8 < took(lambda: r.insert(0, s.get(p, host="debug.test"))) < MUCH
    assert (r[0].status, r[0].body) == (504, b"no response in time\n")
    assert s.get(p).body == b"Error while proxying to origin.\n"
    q = origin.serve(lambda request: Reply(200, {}, str(len(request.body))))

    def upload(tick):
        with s.client() as c:
            c.send(build_head("POST %s HTTP/1.1" % q, {"Host": "a", "Content-Length": "80000"}))
            for _ in range(4):
                time.sleep(0.4)
                tick()
                c.send(b"x" * 20000)
            assert c.read_response().body == b"80000"
    steadily(0.9, upload)
    with s.client() as c:
        c.send(build_head("POST %s HTTP/1.1" % p, {"Host": "debug.test", "Content-Length": "40000"}))
        c.send(b"x" * 20000)
        time.sleep(1.5)
        c.send(b"x" * 20000)
        begun = time.monotonic()
        assert c.read_response().status == 504
        assert 0.8 < time.monotonic() - begun < MUCH


def test_slow_answer_is_not_cut_by_the_response_timeout(start_server, origin):
    s = start_server("* localhost:%d" % origin.port, {"origin_response_timeout": "1"})

    def handler(request):
        request.conn.start_chunked()
        for _ in range(3):
            time.sleep(0.7)
            request.conn.send_chunk(b"x")
        time.sleep(1.3)
        request.conn.send_chunk()
    p = origin.serve(handler)
    wait_for(lambda: s.get(p).body == b"xxx", what="an answer whose beginning is not late by chance")


def test_client_that_reads_nothing_is_closed(brisk, origin):
    gone = threading.Event()

    def handler(request):
        request.conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (100 * MB))
        flow = Flow(request.conn.sock, 100 * MB)
        flow.thread.join(4 * TIMEOUT)
        if flow.error is not None:
            gone.set()
    p = origin.serve(handler)
    with Client(brisk.http_port, rcvbuf=SMALL) as c:
        c.send_request("GET", p)
        assert gone.wait(4 * TIMEOUT)


def test_client_that_reads_a_little_now_and_then_is_served(brisk, origin):
    total = 8 * MB

    def handler(request):
        request.conn.sock.settimeout(30)
        request.conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % total)
        request.conn.send(b"x" * total)
    p = origin.serve(handler)

    def talk(tick):
        with Client(brisk.http_port, rcvbuf=SMALL) as c:
            c.send_request("GET", p)
            assert c.read_head().status == 200
            n, begun = len(c.buf), time.monotonic()
            while time.monotonic() - begun < 3:
                n += len(c.sock.recv(65536))
                time.sleep(0.1)
                tick()
            assert n < total
            c.buf = b""
            drain(c, total - n, lambda n: tick())
    steadily(0.45, talk)


def test_no_limit(start_server, origin):
    s = start_server("* localhost:%d" % origin.port, {"client_idle_timeout": "0", "activity_timeout": "0"})

    def handler(request):
        time.sleep(0.3)
        request.conn.read_request_body(request)
        return Reply(200, {}, "late")
    p = origin.serve(handler, early=True)
    with s.client() as c:
        time.sleep(0.3)
        c.send(build_head("POST %s HTTP/1.1" % p, {"Host": "a", "Content-Length": "20000"}))
        time.sleep(0.3)
        c.send(b"x" * 20000)
        assert c.read_response().body == b"late"
        c.quiet(0.3)


# large bodies

def resident(server):
    with open("/proc/%d/smaps_rollup" % server.pid) as f:
        return int(re.search(r"^Rss:\s+(\d+) kB", f.read(), re.M).group(1)) * 1024


def few(server):
    """How many bytes more are a few: a sanitizer keeps what was freed, and its shadow is larger than any machine."""
    with open("/proc/%d/status" % server.pid) as f:
        size = int(re.search(r"^VmSize:\s+(\d+) kB", f.read(), re.M).group(1)) * 1024
    return 4 * MB if size < 1 << 40 else 400 * MB


def echo(request):
    length = int(request.get("Content-Length"))
    request.conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % length)
    sock, left = request.conn.sock, length - len(request.conn.buf)
    sock.settimeout(60)
    sock.sendall(request.conn.buf)
    request.conn.buf = b""
    while left > 0:
        data = sock.recv(262144)
        if not data:
            return
        left -= len(data)
        sock.sendall(data)


def test_large_body_passes_up_and_down_in_little_memory(server, origin):
    p = origin.serve(echo, early=True)
    total = 300 * MB
    server.request("POST", p, body=b"x" * 200000)
    idle = resident(server)
    with server.client() as c:
        c.send(build_head("POST %s HTTP/1.1" % p, {"Host": "a", "Content-Length": str(total)}))
        flow = Flow(c.sock, total, bytes(range(256)) * 256)
        r = c.read_head()
        assert (r.status, r.get("Content-Length")) == (200, str(total))
        seen = {}
        drain(c, total, lambda n: seen.setdefault(n // (10 * MB), resident(server)) if n // (10 * MB) not in seen else None)
        flow.join()
    assert len(seen) > total // (20 * MB)
    assert max(seen.values()) - idle < few(server), "resident memory grew by %d kB" % ((max(seen.values()) - idle) // 1024)


def test_client_that_stops_reading_stops_the_origin(server, origin):
    total = 192 * MB      # the kernel may keep some 70 MB on the two ways
    flows = []
    done = threading.Event()

    def handler(request):
        request.conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % total)
        request.conn.sock.settimeout(60)
        flows.append(Flow(request.conn.sock, total))
        flows[0].join()
        done.set()
    p = origin.serve(handler)
    idle = resident(server)
    with Client(server.http_port, rcvbuf=65536) as c:
        c.send_request("GET", p)
        wait_for(lambda: flows, what="the origin to begin")
        assert flows[0].wait_blocked() < total // 2
        assert resident(server) - idle < few(server)
        c.read_head()
        drain(c, total)
    assert done.wait(TIMEOUT)


def test_origin_that_stops_reading_stops_the_client(server, origin):
    total = 192 * MB      # the kernel may keep some 70 MB on the two ways
    go = threading.Event()

    def handler(request):
        go.wait(4 * TIMEOUT)
        drain(request.conn, total)
        request.conn.reply(200, {}, str(total))
    p = origin.serve(handler, early=True)
    idle = resident(server)
    with server.client() as c:
        c.sock.settimeout(60)
        c.send(build_head("POST %s HTTP/1.1" % p, {"Host": "a", "Content-Length": str(total)}))
        flow = Flow(c.sock, total)
        assert flow.wait_blocked() < total // 2
        assert resident(server) - idle < few(server)
        go.set()
        flow.join()
        assert c.read_response(timeout=60).body == str(total).encode()


# all at once

class Crowd:
    """Clients that do everything a client may do, each by a random sequence of its own that is always the same."""

    def __init__(self, server, origin):
        self.server, self.wrong = server, []
        self.echo = origin.serve(self.answer)
        self.early = origin.serve(lambda r: Reply(403, {}, "no", close=r.query == "close"), early=True)
        self.broken = origin.serve(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\nConnection: close\r\n\r\nhalf")

    @staticmethod
    def answer(request):
        kind, body = request.query, request.body
        if kind == "chunked":
            request.conn.start_chunked()
            for at in range(0, len(body), 30000):
                request.conn.send_chunk(body[at:at + 30000])
            request.conn.send_chunk()
            return None
        if kind == "close":
            return Reply(200, {}, body, length=False, close=True)
        return Reply(200, {}, body)

    def body(self, rng):
        return bytes([rng.randrange(256)]) * rng.choice([0, 1, 9999, 10001, 70000, 100001, 400000])

    def exchange(self, c, rng):
        """A request whose answer is read, on a connection that may have carried others; False: it has ended."""
        body, kind = self.body(rng), rng.choice(["length", "chunked", "close"])
        version = rng.choice(["HTTP/1.1", "HTTP/1.1", "HTTP/1.0"])
        headers = [("Connection", "close")] if rng.random() < 0.2 else []
        if version == "HTTP/1.1" and rng.random() < 0.5:
            headers.append(("Transfer-Encoding", "chunked"))
            data = chunked(*[body[at:at + 20000] for at in range(0, len(body), 20000)])
        else:
            headers.append(("Content-Length", str(len(body))))
            data = body
        data = build_head("POST %s?%s %s" % (self.echo, kind, version), [("Host", "a")] + headers) + data
        while data:
            n = rng.choice([1, 100, 5000, 65536, len(data)])
            c.send(data[:n])
            data = data[n:] if rng.random() < 0.9 else c.send(data[n:]) or b""
        r = c.read_response(timeout=60)
        if r.status != 200 or r.body != body:
            self.wrong.append((kind, version, headers, len(body), r.status, len(r.body)))
        return version == "HTTP/1.1" and not r.has("Connection")

    def leave(self, c, rng):
        """A client that goes away at some time, in some manner."""
        what = rng.randrange(4)
        path = rng.choice([self.echo + "?chunked", self.early, self.early + "?close", self.broken])
        head = build_head("POST %s HTTP/1.1" % path, {"Host": "a", "Content-Length": "300000"})
        c.send(head[:rng.randrange(1, len(head))] if what == 0 else head + b"x" * rng.choice([0, 5000, 50000]))
        if what == 2:
            c.shutdown_write()
        time.sleep(rng.random() * 0.03)
        if what == 3:
            c.reset()

    def client(self, seed):
        rng = random.Random(seed)
        try:
            for _ in range(6):
                with self.server.client() as c:
                    if rng.random() < 0.4:
                        self.leave(c, rng)
                    else:
                        while self.exchange(c, rng) and rng.random() < 0.7:
                            pass
        except Exception as e:
            self.wrong.append(e)

    def run(self, n):
        threads = [threading.Thread(target=self.client, args=(seed,)) for seed in range(n)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert not self.wrong, self.wrong[:5]


def descriptors(server):
    return len(os.listdir("/proc/%d/fd" % server.pid))


def test_clients_of_all_kinds_at_once(start_server, start_origin):
    o = start_origin()
    s = start_server("* 127.0.0.1:%d" % o.port, {"log_level": "1"})
    crowd = Crowd(s, o)
    idle = descriptors(s)
    crowd.run(24)
    o.drop_connections()
    wait_for(lambda: descriptors(s) <= idle + 8, 20, "all connections to be closed")  # it opens some of its own last
    before = resident(s)
    crowd.run(24)
    assert resident(s) - before < few(s)


# the log

def test_times_in_the_log(start_server, origin):
    s = start_server("* localhost:%d" % origin.port, {"log_time": "true"})

    def handler(request):
        time.sleep(0.2)
        request.conn.start_chunked()
        time.sleep(0.2)
        request.conn.send_chunk(b"x")
        request.conn.send_chunk()
    p = origin.serve(handler)
    s.get(p)
    m = s.wait_log(r"GET http://localhost%s -> \S+ code=200 1 time=(\d+\.\d{3}) origin_time=(\d+\.\d{3})$" % p)
    assert 0.3 < float(m.group(1)) < MUCH and 0.1 < float(m.group(2)) <= float(m.group(1))


def test_log_as_json(start_server, origin):
    s = start_server("* localhost:%d" % origin.port, {"log_format": "json", "log_time": "true", "log_from": "true", "log_user_agent": "true"})
    p = origin.serve(Reply(200, {}, "hello"))
    s.get(p, {"Referer": 'http://a/"q"\\', "User-Agent": "t/1 \xe9"})
    d = json.loads(s.wait_log(r"^\[INFO\] \S+ \S+ (\{.*%s.*\})$" % p).group(1))
    times = d.pop("time"), d.pop("origin_time")
    assert all(0 <= t < MUCH for t in times)
    assert d == {"method": "GET", "uri": "http://localhost" + p, "target": "localhost:%d" % origin.port, "from": "127.0.0.1",
                 "referer": 'http://a/"q"\\', "code": 200, "size": 5, "user_agent": "t/1 \ufffd"}


def test_json_line_is_whole_however_long_its_fields_are(start_server, origin):
    s = start_server("* localhost:%d" % origin.port, {"log_format": "json", "client_buffer_size": "60000", "log_user_agent": "true"})
    p = origin.serve(Reply(200, {}, "hello"))
    s.get(p + "?" + "q" * 20000, {"User-Agent": "\x01".replace("\x01", '"') * 20000})
    d = json.loads(s.wait_log(r"^\[INFO\] \S+ \S+ (\{.*%s.*\})$" % p).group(1))
    assert d["code"] == 200 and d["uri"].startswith("http://localhost" + p)


@pytest.mark.parametrize("form,pattern", [
    ("text", r"GET http://localhost%s -> \S+ accept retry #%s=7$"), ("json", r'\{"method": "GET", .*%s".*"retry": true, "last_ids": \{"%s": "7"\}\}$')])
def test_last_ids_that_were_sent_are_logged(start_server, origin, form, pattern):
    s = start_server("* localhost:%d" % origin.port, {"log_format": form})
    ch = unique()
    p = origin.serve(hold("response", ch + "; prev-id=7"))
    with s.client() as c:
        c.send_request("GET", p)
        s.wait_subscribed(ch)
        s.wait_log(pattern % (p, ch))
