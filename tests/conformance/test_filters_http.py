"""The filters http-check and http-modify, which ask a server about each item: streams, long-polls, WebSockets."""

import json
import queue
import time

import pytest

from harness import TIMEOUT, Reply, hold, instruct, item, unique
from test_filters import Streams
from ws_harness import wire_fixture, ws_item  # noqa: F401

pytestmark = pytest.mark.xfail_on_pushpin("1.41 does not have these filters")


@pytest.fixture(scope="module")
def server(start_server, origin):
    return start_server("* localhost:{o}\ndebug.test,debug localhost:{o}\npre.test,prefix=pre- localhost:{o}\n"
                        "moved.test,path_beg=/api,path_rem=4 localhost:{o}".format(o=origin.port),
                        {"update_on_first_subscription": "false", "connection_queue_max": 20000})


@pytest.fixture
def stream(server, origin):
    s = Streams(server, origin)
    yield s
    for c in s.open:
        c.close()


class Judge:
    """A filter's server. Each request waits in turn until the test answers it."""

    def __init__(self, origin, path=None):
        self.requests, self.answers = queue.Queue(), queue.Queue()
        self.url = origin.serve(self.serve, path)

    def serve(self, request):
        self.requests.put(request)
        return self.answers.get(timeout=TIMEOUT)

    def next(self):
        return self.requests.get(timeout=TIMEOUT)

    def answer(self, *args, **kw):
        self.answers.put(Reply(*args, **kw))

    def decide(self, *args, **kw):
        """Answers the next request, and returns it."""
        r = self.next()
        self.answer(*args, **kw)
        return r


@pytest.fixture
def judge(origin):
    return Judge(origin)


def check(ch):
    return ch + "; filter=http-check"


def modify(ch):
    return ch + "; filter=http-modify"


def url(judge):
    return "url=" + judge.url


# what is asked

@pytest.mark.parametrize("status", [200, 204])
def test_check_asks_and_delivers(server, stream, judge, status):
    ch = unique()
    c = stream(check(ch), [url(judge), "user=alice"])
    server.publish(item(ch, stream="hello", meta={"sender": "bob"}))
    r = judge.decide(status)
    assert (r.method, r.body, r.get("Content-Length")) == ("POST", b"", "0")
    assert json.loads(r.get("Sub-Meta")) == {"url": judge.url, "user": "alice"}
    assert json.loads(r.get("Pub-Meta")) == {"sender": "bob"}
    assert not r.has("Grip-Last") and r.has("Grip-Sig") and "filter:http-check" in r.get("Grip-Feature")
    assert c.read_chunks(5) == b"hello"


def test_check_can_drop(server, stream, judge):
    ch = unique()
    c = stream(check(ch), url(judge))
    server.publish(item(ch, stream="1"), item(ch, stream="2"))
    judge.decide(204, {"Action": "drop"})
    judge.decide(204)
    assert c.read_chunks(1) == b"2"


def test_body_of_an_answer_to_check_is_ignored(server, stream, judge):
    ch = unique()
    c = stream(check(ch), url(judge))
    server.publish(item(ch, stream="original"))
    judge.decide(200, body="something else")
    assert c.read_chunks(8) == b"original"


def test_modify_replaces(server, stream, judge):
    ch = unique()
    c = stream(modify(ch), url(judge))
    server.publish(item(ch, stream="what is published"))
    assert judge.decide(200, body="what is sent").body == b"what is published"
    assert c.read_chunks(12) == b"what is sent"


def test_modify_keeps_with_204_and_drops(server, stream, judge):
    ch = unique()
    c = stream(modify(ch), url(judge))
    server.publish(item(ch, stream="one"), item(ch, stream="two"), item(ch, stream="three"))
    judge.decide(204)
    judge.decide(200, {"Action": "drop"}, "not this")
    judge.decide(200, body="3")
    assert c.read_chunks(4) == b"one3"


def test_modify_to_nothing(server, stream, judge):
    ch = unique()
    c = stream(modify(ch), url(judge))
    server.publish(item(ch, stream="one"), item(ch, stream="two"))
    judge.decide(200, body="")
    judge.decide(204)
    assert c.read_chunks(3) == b"two"


def test_others_get_what_was_published(server, stream, judge):
    ch = unique()
    plain, c = stream(ch), stream(modify(ch), url(judge))
    server.publish(item(ch, stream="for all"))
    assert plain.read_chunks(7) == b"for all"
    judge.decide(200, body="for one")
    assert c.read_chunks(7) == b"for one"


def test_ids_of_the_client_are_told(server, origin, stream, judge):
    a, b = unique(), unique()
    c = stream(["%s; prev-id=1; filter=http-check" % a, "%s; prev-id=7" % b, unique()],
               [url(judge)], **{"Grip-Link": "</next>; rel=next"})
    server.publish(item(a, stream="x", id="2", prev_id="1"))
    r = judge.decide(204)
    assert sorted(r.get_all("Grip-Last")) == sorted(["%s; last-id=1" % a, "%s; last-id=7" % b])
    assert c.read_chunks(1) == b"x"
    server.publish(item(a, stream="y", id="3", prev_id="2"))
    assert "%s; last-id=2" % a in judge.decide(204).get_all("Grip-Last")
    assert c.read_chunks(1) == b"y"


def test_meta_that_is_not_ascii(server, stream, judge):
    ch = unique()
    c = stream(check(ch), [url(judge), "name=" + "Bj\u00f6rn".encode().decode("latin-1")])
    server.publish(item(ch, stream="x", meta={"from": "\u4e2d\n\x7f"}))
    r = judge.decide(204)
    assert json.loads(r.get("Sub-Meta"))["name"] == "Bj\u00f6rn"
    assert json.loads(r.get("Pub-Meta")) == {"from": "\u4e2d\n\x7f"}
    assert c.read_chunks(1) == b"x"


# where

def test_url_is_relative_to_the_request(server, origin):
    ch, base = unique(), "/%s/" % unique()
    judge = Judge(origin, base + "ask")
    path = origin.serve(hold("stream", check(ch), {"Grip-Set-Meta": "url=ask?q=1"}, "o"), base + "page")
    with server.client() as c:
        c.send_request("GET", path)
        c.read_head()
        assert c.read_chunks(1) == b"o"
        server.wait_subscribed(ch)
        server.publish(item(ch, stream="x"))
        r = judge.decide(204)
        assert (r.target, r.get("Host")) == (base + "ask?q=1", "localhost")
        assert c.read_chunks(1) == b"x"


def test_url_of_the_same_host_goes_through_the_route(server, origin):
    ch, name = unique(), unique()
    judge = Judge(origin, "/" + name)
    path = origin.serve(hold("stream", check(ch), {"Grip-Set-Meta": "url=http://moved.test/api/" + name}, "o"))
    with server.client() as c:
        c.send_request("GET", "/api" + path, host="moved.test")
        c.read_head()
        assert c.read_chunks(1) == b"o"
        server.wait_subscribed(ch)
        server.publish(item(ch, stream="x"))
        assert judge.decide(204).get("Host") == "moved.test"
        assert c.read_chunks(1) == b"x"


def test_url_elsewhere(server, stream, start_origin):
    other = start_origin()
    judge, ch = Judge(other), unique()
    c = stream(check(ch), "url=http://localhost:%d%s" % (other.port, judge.url))
    server.publish(item(ch, stream="x"))
    assert judge.decide(204).get("Host") == "localhost:%d" % other.port
    assert c.read_chunks(1) == b"x"


# when it fails

@pytest.mark.parametrize("answer,why", [
    (Reply(500), "the server answers with status 500"), (Reply(302, {"Location": "/"}), "the server answers with status 302"),
    (Reply(201, {"Action": "drop"}), "the server answers with status 201"),
    (b"what is this?\r\n\r\n", "the server cannot be asked: ")])
def test_item_is_skipped_when_the_server_fails(server, stream, judge, answer, why):
    ch = unique()
    c = stream(modify(ch), url(judge))
    server.publish(item(ch, stream="1", id="first"), item(ch, stream="2"))
    judge.next()
    judge.answers.put(answer)
    judge.decide(204)
    assert c.read_chunks(1) == b"2"
    server.wait_log(r"\[WARN\].* item skipped: channel=%s id=first: filter error: http-modify: %s" % (ch, why))


def test_content_of_100000_bytes_and_no_more(server, stream, judge):
    ch = unique()
    c = stream(modify(ch), url(judge))
    server.publish(item(ch, stream="1"), item(ch, stream="2"))
    judge.decide(200, body="a" * 100001)
    judge.decide(200, body="b" * 100000)
    assert c.read_chunks(100000) == b"b" * 100000
    server.wait_log(r"channel=%s .*http-modify: the server's content is longer than 100000 bytes" % ch)


@pytest.mark.parametrize("meta,why", [("url=ftp://localhost/x", "the url is none that can be asked"),
                                      ("url=http://localhost:1/", "the server cannot be asked: ")])
def test_url_that_is_no_use(server, stream, meta, why):
    ch, other = unique(), unique()
    c = stream([check(ch), other], meta)
    server.publish(item(ch, stream="1"), item(other, stream="2"))
    assert c.read_chunks(1) == b"2"
    server.wait_log(r"item skipped: channel=%s .*http-check: %s" % (ch, why))


def test_without_a_url_nobody_is_asked(server, stream):
    ch = unique()
    c = stream(ch + "; filter=http-check; filter=var-subst; filter=http-modify", "name=Ann")
    server.publish(item(ch, stream="Hi %(name)s"))
    assert c.read_chunks(6) == b"Hi Ann"


def test_debugged_stream_ends_with_the_reason(server, stream, judge):
    ch = unique()
    c = stream(check(ch), url(judge), host="debug.test")
    server.publish(item(ch, stream="1"))
    judge.decide(403)
    text = b"\n\nfilter error: http-check: the server answers with status 403\n"
    assert c.read_chunks(len(text)) == text
    assert c.read_chunk() == b""


def test_client_that_left_is_not_waited_for(server, stream, judge):
    ch, other = unique(), unique()
    c, stays = stream([check(ch), other], url(judge)), stream(ch)
    server.publish(item(ch, stream="1"))
    r = judge.next()
    c.close()
    server.wait_unsubscribed(other)
    assert r.conn.wait_gone()
    judge.answer(204)
    server.publish(item(ch, stream="2"))
    assert stays.read_chunks(2) == b"12"


# order

def test_items_of_a_client_keep_their_order(server, stream, judge):
    ch, other = unique(), unique()
    c = stream([check(ch), other], url(judge))
    server.publish(item(ch, stream="1"))
    judge.next()
    server.publish(item(other, stream="2"), item(ch, stream="3"), item(other, stream="4"))
    c.quiet()
    judge.answer(204)
    assert c.read_chunks(2) == b"12"
    judge.decide(204)
    assert c.read_chunks(2) == b"34"


def test_clients_do_not_wait_for_each_other(server, stream, origin):
    ch, slow, fast = unique(), Judge(origin), Judge(origin)
    a, b = stream(check(ch), url(slow)), stream(check(ch), url(fast))
    server.publish(item(ch, stream="1"))
    slow.next()
    fast.decide(204)
    assert b.read_chunks(1) == b"1"
    slow.answer(204)
    assert a.read_chunks(1) == b"1"


def test_close_waits_for_its_turn(server, stream, judge):
    ch = unique()
    c = stream(modify(ch), url(judge))
    server.publish(item(ch, stream="1"), item(ch, **{"formats": {"http-stream": {"action": "close"}}}))
    judge.decide(200, body="last words")
    assert c.read_chunks(10) == b"last words"
    assert c.read_chunk() == b""


def test_too_much_that_waits_is_skipped(server, stream, judge):
    ch, other = unique(), unique()
    c = stream([check(ch), other], url(judge))
    server.publish(item(ch, stream="1"))
    judge.next()
    server.publish(*[item(other, stream="%04d" % i + "x" * 996, id=str(i)) for i in range(40)])
    server.wait_log(r"item skipped: channel=%s id=39: too much waits for a filter's server" % other)
    judge.answer(204)
    assert c.read_chunks(1) == b"1"
    got = c.read_chunks(18 * 1000)
    assert [got[i:i + 4] for i in range(0, len(got), 1000)] == [b"%04d" % i for i in range(18)]


def test_a_hundred_requests_a_second(server, stream, origin):
    ch = unique()
    c = stream(check(ch), "url=" + origin.serve(Reply(204)))
    began = time.monotonic()
    server.publish(*[item(ch, stream="x") for _ in range(60)])
    assert c.read_chunks(60) == b"x" * 60
    assert time.monotonic() - began > 0.4  # ten at once, fifty at a hundred a second


# with others

def test_filters_before_it_save_the_request(server, stream, judge):
    ch = unique()
    c = stream(ch + "; filter=skip-self; filter=http-check", [url(judge), "user=bob"])
    server.publish(item(ch, stream="1", meta={"sender": "bob"}), item(ch, stream="2", meta={"n": "2"}))
    assert json.loads(judge.decide(204).get("Pub-Meta")) == {"n": "2"}
    assert c.read_chunks(1) == b"2"
    assert judge.requests.empty()


def test_filters_see_what_those_before_made_of_it(server, stream, judge):
    ch = unique()
    filters = "; filter=var-subst; filter=http-modify; filter=var-subst"
    c = stream(ch + filters, [url(judge), "user=bob"])
    server.publish(item(ch, stream="hi %(user)s"))
    assert judge.decide(200, body="bye %(user)s").body == b"hi bob"
    assert c.read_chunks(7) == b"bye bob"


def test_two_servers_filters(server, stream, judge):
    ch = unique()
    c = stream(ch + "; filter=http-check; filter=http-modify", url(judge))
    server.publish(item(ch, stream="1"))
    assert judge.decide(200).body == b""
    assert judge.decide(200, body="one").body == b"1"
    assert c.read_chunks(3) == b"one"


def test_content_filters_of_an_item_name_modify(server, stream, judge):
    ch = unique()
    c = stream(modify(ch), url(judge))
    form = {"content": "1", "content-filters": ["var-subst"]}
    server.publish(item(ch, formats={"http-stream": form}),
                   item(ch, formats={"http-stream": dict(form, content="2", **{"content-filters": ["http-modify"]})}))
    assert judge.decide(200, body="two").body == b"2"
    assert c.read_chunks(3) == b"two"


@pytest.mark.parametrize("filters", [["http-check"] * 6, ["http-modify", "a", "b", "c", "d", "e"]])
def test_five_filters_at_most(server, origin, filters):
    ch = unique()
    path = origin.serve(hold("stream", ch + "".join("; filter=" + f for f in filters)))
    r = server.get(path, host="debug.test")
    assert (r.status, r.body.decode()) == (502, "Failed to parse accept instructions: too many filters for channel '%s'\n" % ch)
    path = origin.serve(instruct({"hold": {"mode": "stream", "channels": [{"name": ch, "filters": filters}]}}))
    r = server.get(path, host="debug.test")
    assert (r.status, r.body.decode()) == (502, "Failed to parse accept instructions: too many filters for channel '%s'\n" % ch)


# long-polls

def poll(server, origin, ch, judge, filter, mode="response", host="localhost", **headers):
    path = origin.serve(hold(mode, "%s; filter=%s" % (ch, filter), dict({"Grip-Set-Meta": url(judge)}, **headers), "timeout"))
    c = server.client()
    c.send_request("GET", path, host=host)
    server.wait_subscribed(ch)
    return c


def test_long_poll_is_answered_by_what_passes(server, origin, judge):
    ch = unique()
    with poll(server, origin, ch, judge, "http-check") as c:
        server.publish(item(ch, response="1"), item(ch, response="2"), item(ch, response="3"))
        judge.decide(204, {"Action": "drop"})
        judge.decide(500)
        judge.decide(204)
        assert c.read_response().body == b"3"
    assert judge.requests.empty()


def test_long_poll_modified(server, origin, judge):
    ch = unique()
    with poll(server, origin, ch, judge, "http-modify") as c:
        server.publish(item(ch, response={"body": "body", "code": 201}))
        assert judge.decide(200, body="another body").body == b"body"
        r = c.read_response()
        assert (r.status, r.body, r.get("Content-Length")) == (201, b"another body", "12")


def test_debugged_long_poll_says_why(server, origin, judge):
    ch = unique()
    with poll(server, origin, ch, judge, "http-check", host="debug.test") as c:
        server.publish(item(ch, response="1"))
        judge.decide(500)
        r = c.read_response()
        assert (r.status, r.body) == (502, b"filter error: http-check: the server answers with status 500\n")


def test_long_poll_in_json(server, origin, judge):
    ch = unique()
    doc = {"hold": {"channels": [{"name": ch, "filters": ["http-check"]}], "meta": {"url": judge.url}}}
    with server.client() as c:
        c.send_request("GET", origin.serve(instruct(doc)))
        server.wait_subscribed(ch)
        server.publish(item(ch, response="1"))
        assert json.loads(judge.decide(204).get("Sub-Meta")) == {"url": judge.url}
        assert c.read_response().body == b"1"


def test_time_out_comes_first(server, origin, judge):
    ch = unique()
    with poll(server, origin, ch, judge, "http-check", **{"Grip-Timeout": "5"}) as c:
        server.publish(item(ch, response="1"))
        r = judge.next()
        assert c.read_response().body == b"timeout"
        assert r.conn.wait_gone()
        judge.answer(204)
        c.send_request("GET", origin.serve(Reply(200, body="next")))
        assert c.read_response().body == b"next"


# asking again while a filter's server is asked

def test_what_waits_survives_asking_the_origin_again(server, origin, judge):
    ch = unique()
    first = hold("response", "%s; prev-id=1; filter=http-check" % ch, {"Grip-Set-Meta": url(judge)})
    path = origin.serve([first, hold("response", "%s; prev-id=1; filter=http-check" % ch, {"Grip-Set-Meta": url(judge)})])
    with server.client() as c:
        c.send_request("GET", path)
        server.wait_subscribed(ch)
        server.publish(item(ch, response="2", id="2", prev_id="1"))
        r = judge.next()
        assert server.control("POST", "/recover", body=b"").status == 200
        origin.wait_requests(path, 2)
        assert r.conn.wait_gone()
        judge.answer(204)
        judge.decide(204)  # asked about anew
        assert c.read_response().body == b"2"


def test_stream_follows_its_link_while_a_filter_is_asked(server, origin, judge):
    ch, next_path = unique(), "/" + unique()
    headers = [("Grip-Set-Meta", url(judge)), ("Grip-Link", "<%s>; rel=next" % next_path)]
    channel = "%s; prev-id=%%s; filter=http-check" % ch
    origin.serve(hold("stream", channel % "3", headers, "23"), next_path)
    path = origin.serve(hold("stream", channel % "1", headers, "1"))
    with server.client() as c:
        c.send_request("GET", path)
        c.read_head()
        assert c.read_chunks(1) == b"1"
        server.wait_subscribed(ch)
        server.publish(item(ch, stream="2", id="2", prev_id="1"))
        r = judge.next()
        assert server.control("POST", "/recover", body=b"").status == 200
        assert c.read_chunks(2) == b"23"  # the link has what the filter still thought about
        assert r.conn.wait_gone()
        judge.answer(204)
        server.publish(item(ch, stream="4", id="4", prev_id="3", **{"no-seq": True}))
        judge.decide(204)
        assert c.read_chunks(1) == b"4"


# WebSockets

def member(wire, judge, *filters, prefix="m:", host="localhost", **meta):
    ch = unique()
    c, o = wire.pair(grip=True, host=host)
    for k, v in dict(meta, url=judge.url).items():
        o.control("set-meta", name=k, value=v)
    o.subscribe(ch, filters=list(filters))
    wire.settle(o)
    return ch, c, o


def test_websocket_check(wire, judge):
    ch, c, o = member(wire, judge, "http-check", user="bob")
    wire.server.publish(ws_item(ch, "1", meta={"sender": "eve"}), ws_item(ch, "2"), ws_item(ch, "3"))
    r = judge.decide(204)
    assert (r.method, r.body) == ("POST", b"")
    assert json.loads(r.get("Sub-Meta")) == {"url": judge.url, "user": "bob"}
    assert json.loads(r.get("Pub-Meta")) == {"sender": "eve"}
    judge.decide(204, {"Action": "drop"})
    judge.decide(200)
    assert c.texts(2) == ["1", "3"]


def test_websocket_modify(wire, judge):
    ch, c, o = member(wire, judge, "http-modify", "var-subst", user="bob")
    wire.server.publish(ws_item(ch, "1"), ws_item(ch, "2"))
    assert judge.decide(200, body="hi %(user)s").body == b"1"
    judge.decide(204)
    assert c.texts(2) == ["hi bob", "2"]


@pytest.mark.parametrize("type,body,why", [("text", b"\xff", "is not UTF-8, as a text message must be"),
                                           ("ping", b"x" * 126, "is longer than 125 bytes, as a ping or pong may be")])
def test_websocket_content_that_cannot_be_sent(wire, judge, type, body, why):
    ch, c, o = member(wire, judge, "http-modify")
    wire.server.publish(ws_item(ch, "1", type=type, id="a"), ws_item(ch, "2"))
    judge.decide(200, body=body)
    judge.decide(204)
    assert c.text() == "2"
    wire.server.wait_log(r"item skipped: channel=%s id=a: filter error: http-modify: the server's content %s" % (ch, why))


def test_websocket_keeps_order_over_channels(wire, judge):
    ch, c, o = member(wire, judge, "http-check")
    other = unique()
    o.subscribe(other)
    wire.settle(o)
    wire.server.publish(ws_item(ch, "1"), ws_item(other, "2"))
    judge.decide(204)
    assert c.texts(2) == ["1", "2"]


def test_websocket_close_waits_for_its_turn(wire, judge):
    ch, c, o = member(wire, judge, "http-check")
    wire.server.publish(ws_item(ch, "1"), ws_item(ch, action="close", code=4000))
    judge.decide(204)
    judge.decide(204)
    assert c.text() == "1"
    assert c.closing() == (4000, "")


def test_websocket_that_unsubscribes_gets_nothing_more(wire, judge):
    ch, c, o = member(wire, judge, "http-check")
    wire.server.publish(ws_item(ch, "1"), ws_item(ch, "2"))
    judge.next()
    o.control("unsubscribe", channel=ch)
    wire.barrier(c, o)
    judge.answer(204)
    other = unique()
    o.subscribe(other)
    wire.settle(o)
    wire.server.publish(ws_item(other, "3"))
    assert c.text() == "3"
    assert judge.requests.empty()


def test_debugged_websocket_is_closed_with_the_reason(wire, judge):
    ch, c, o = member(wire, judge, "http-check", host="debug.test")
    wire.server.publish(ws_item(ch, "1"))
    judge.decide(500)
    assert c.closing() == (1011, "filter error: http-check: the server answers with status 500")


def test_url_of_a_websocket_on_a_moved_route(wire, origin):
    name, ch = unique(), unique()
    judge = Judge(origin, "/" + name)
    door = wire.door()
    c = wire.keep(wire.dial("/api" + door.path, host="moved.test"))
    o = wire.keep(door.next().accept_grip())
    c.open()
    o.control("set-meta", name="url", value=name)
    o.subscribe(ch, filters=["http-check"])
    wire.settle(o)
    wire.server.publish(ws_item(ch, "1"))
    assert judge.decide(204).get("Host") == "moved.test"
    assert c.text() == "1"
