"""share_all: clients that ask for the same at the same time share one request to the origin."""

import queue
import threading

import pytest

from harness import TIMEOUT, Reply, hold, instruct, item, unique, wait_for


@pytest.fixture(scope="module")
def server(start_server, origin):
    return start_server("* localhost:{o}\nother.test,id=other localhost:{o}\ndebug.test,debug localhost:{o}".format(o=origin.port),
                        {"share_all": "true", "update_on_first_subscription": "false"})


class Gate:
    """A path of the origin where requests wait until the test answers them, in order."""

    def __init__(self, origin):
        self.origin, self.replies = origin, queue.Queue()
        self.path = origin.serve(lambda request: self.replies.get(timeout=TIMEOUT))

    def asked(self, n):
        return self.origin.wait_requests(self.path, n)

    def answer(self, reply):
        self.replies.put(reply)


@pytest.fixture
def gate(origin):
    return Gate(origin)


def ask(server, gate, n=1, method="GET", host="localhost", query="", **kw):
    """N clients that have asked, the first one before the others. A request to another path that came behind them is done."""
    out = []
    for _ in range(n):
        c = server.client()
        c.send_request(method, gate.path + query, host=host, **kw)
        out.append(c)
    return out


def settled(server, origin):
    """What was sent to the server before has been read by now."""
    assert server.get(origin.serve(Reply(200, body="x"))).body == b"x"


def test_one_request_for_all(server, origin, gate):
    first = ask(server, gate)
    gate.asked(1)
    clients = first + ask(server, gate, 4)
    settled(server, origin)
    gate.answer(Reply(200, {"X-A": "b"}, "for all"))
    for c in clients:
        r = c.read_response()
        assert (r.status, r.get("X-A"), r.body) == (200, "b", b"for all")
        c.close()
    assert len(origin.requests(gate.path)) == 1
    lines = [l for l in server.logs().splitlines() if gate.path in l and " shared=" in l]
    assert len(lines) == 5 and len({l.split(" shared=")[1] for l in lines}) == 1


def test_who_comes_after_the_answer_asks_anew(server, origin, gate):
    gate.answer(Reply(200, body="1"))
    gate.answer(Reply(200, body="2"))
    assert server.get(gate.path).body == b"1"
    assert server.get(gate.path).body == b"2"
    assert " shared=" not in "".join(l for l in server.logs().splitlines() if gate.path in l)


@pytest.mark.parametrize("other", [dict(method="OPTIONS"), dict(host="other.test"), dict(query="?x"), dict(headers={"Range": "bytes=0-1"}),
                                   dict(headers={"If-None-Match": '"a"'}), dict(headers={"Accept-Encoding": "gzip"}),
                                   dict(method="POST", body=b"x")])
def test_others_ask_for_themselves(server, origin, gate, other):
    a, = ask(server, gate)
    gate.asked(1)
    b, = ask(server, gate, **other)
    gate.asked(2)
    gate.answer(Reply(200, body="answer"))
    gate.answer(Reply(200, body="answer"))
    for c in (a, b):
        assert c.read_response().body == b"answer"
        c.close()


def test_the_first_may_leave(server, origin, gate):
    a, = ask(server, gate)
    gate.asked(1)
    b, = ask(server, gate)
    settled(server, origin)
    a.close()
    server.wait_log(r"GET http://localhost%s -> \S+ error" % gate.path)
    gate.answer(Reply(200, body="still"))
    assert b.read_response().body == b"still"
    b.close()


def test_when_all_have_left_it_is_given_up(server, origin, gate):
    a, = ask(server, gate)
    request, = gate.asked(1)
    b, = ask(server, gate)
    settled(server, origin)
    a.close()
    b.close()
    assert request.conn.wait_gone()
    gate.answer(Reply(204))


def test_failure_is_told_to_all(server, origin, gate):
    a, = ask(server, gate)
    gate.asked(1)
    b, = ask(server, gate)
    settled(server, origin)
    gate.answer(b"what is this?\r\n\r\n")
    for c in (a, b):
        assert c.read_response().status == 502
        c.close()


def test_each_becomes_its_own_hold(server, origin, gate):
    ch = unique()
    a, = ask(server, gate)
    gate.asked(1)
    b, c = ask(server, gate, 2)
    settled(server, origin)
    gate.answer(hold("stream", ch, {"Grip-Status": "203 Mine"}, "open"))
    for x in (a, b, c):
        assert x.read_head().status == 203
        assert x.read_chunks(4) == b"open"
    a.close()
    wait_for(lambda: server.logs().count("unsubscribe http://localhost%s " % gate.path) == 1, what="a to be gone")
    server.publish(item(ch, stream="x"))
    for x in (b, c):
        assert x.read_chunks(1) == b"x"
        x.close()


def test_json_for_all(server, origin, gate):
    a, = ask(server, gate)
    gate.asked(1)
    b, = ask(server, gate)
    settled(server, origin)
    gate.answer(instruct({"response": {"code": 201, "body": "made"}}))
    for c in (a, b):
        r = c.read_response()
        assert (r.status, r.body) == (201, b"made")
        c.close()


def test_large_answer_at_the_pace_of_the_slowest(server, origin, gate):
    body = bytes(range(256)) * 20000
    a, = ask(server, gate)
    gate.asked(1)
    slow = server.client(rcvbuf=4096)
    slow.send_request("GET", gate.path)
    settled(server, origin)
    gate.answer(Reply(200, body=body))
    threads = []
    for c in (a, slow):
        got = queue.Queue()
        threading.Thread(target=lambda c=c, got=got: got.put(c.read_response(timeout=30).body), daemon=True).start()
        threads.append(got)
    for got in threads:
        assert got.get(timeout=30) == body
    for c in (a, slow):
        c.close()


def test_who_reads_nothing_does_not_hold_up_the_others(server, origin, gate):
    body = bytes(range(256)) * 100000       # more than all buffers on the way
    dead = server.client(rcvbuf=4096)
    dead.send_request("GET", gate.path)
    gate.asked(1)
    a, = ask(server, gate)
    settled(server, origin)
    gate.answer(Reply(200, body=body))
    assert a.read_response(timeout=60).body == body
    server.wait_log(r"client reads too slowly, closing: others wait for the same answer: %s " % gate.path)
    assert len(origin.requests(gate.path)) == 1
    for c in (a, dead):
        c.close()


def test_pipelined_requests_are_answered_in_order(server, origin, gate):
    other, = ask(server, gate)
    gate.asked(1)
    a, = ask(server, gate, n=1)
    a.send_request("GET", gate.path)
    settled(server, origin)
    gate.answer(Reply(200, body="1"))
    gate.answer(Reply(200, body="2"))
    assert other.read_response().body == b"1"
    assert [a.read_response().body for _ in range(2)] == [b"1", b"2"]
    assert len(origin.requests(gate.path)) == 2
    for c in (a, other):
        c.close()
