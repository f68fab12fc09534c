"""Next and gone links beyond what goes over one wire: when the daemon stops, when the routes change, when many ask."""

import threading
import time

import pytest

from harness import TIMEOUT, Reply, hold, server_tls, unique, wait_for


@pytest.fixture(scope="module")
def server(start_server, origin):
    return start_server("*,id=all localhost:%d" % origin.port, {"update_on_first_subscription": "false"})


def link(path, rel="next", **params):
    return "<%s>; rel=%s%s" % (path, rel, "".join("; %s=%s" % kv for kv in params.items()))


def open_stream(server, path):
    c = server.client()
    c.send_request("GET", path)
    c.read_head(4 * TIMEOUT)
    assert c.read_chunks(1, 4 * TIMEOUT) == b"o"
    return c


def recover(server):
    assert server.control(path="/recover/", body=b"").status == 200


def test_gone_links_are_told_when_the_daemon_stops(start_server, origin):
    s = start_server("* localhost:%d" % origin.port, {"update_on_first_subscription": "false"})
    gone, ch = origin.serve(lambda r: time.sleep(0.3) or Reply(200, {}, "")), unique()
    open_stream(s, origin.serve(hold("stream", ch, {"Grip-Link": link(gone + "?stream", "gone")}, "o")))
    c = s.client()
    c.send_request("GET", origin.serve(hold("response", ch, {"Grip-Link": link(gone + "?response", "gone")}, "late")))
    wait_for(lambda: s.logs().count("subscribe http") >= 2, what="both to be held")
    s.process.terminate()
    assert s.process.wait(60) == 0
    assert c.read_response().body == b"late"
    assert sorted(r.query for r in origin.requests(gone)) == ["response", "stream"]
    assert "POST http://localhost%s?stream code=200 0" % gone in s.logs()


def test_link_follows_its_route_to_a_new_target(start_server, start_origin, origin):
    s = start_server("*,id=r localhost:%d" % origin.port, {"update_on_first_subscription": "false"})
    other, second = start_origin(), "/" + unique("n")
    other.serve(hold("stream", unique(), {"Grip-Link": link("/never")}, "new\n"), path=second)
    with open_stream(s, origin.serve(hold("stream", unique(), {"Grip-Link": link(second)}, "o"))) as c:
        s.write_routes("*,id=r localhost:%d" % other.port)
        wait_for(lambda: s.logs().count("routes loaded") >= 2, what="the routes to be read again")
        recover(s)
        assert c.read_chunks(4) == b"new\n"
    assert origin.requests(second) == []


def test_at_most_a_hundred_are_under_way_at_one_origin(server, origin):
    ch, base, go = unique(), "/" + unique("many"), threading.Event()
    now, most, lock = [0], [0], threading.Lock()

    def answer(request):
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        go.wait(4 * TIMEOUT)
        with lock:
            now[0] -= 1
        return hold("stream", ch, {"Grip-Link": link("/never")}, "back")
    origin.serve(answer, path=base + "/*")
    p = origin.serve(lambda r: hold("stream", ch, {"Grip-Link": link("%s/%s" % (base, r.query))}, "o"))
    clients = [open_stream(server, "%s?%d" % (p, n)) for n in range(130)]
    wait_for(lambda: server.logs().count("channel=%s\n" % ch) >= 130, 4 * TIMEOUT, "130 subscriptions")
    recover(server)
    wait_for(lambda: now[0] >= 100, 4 * TIMEOUT, "100 requests")
    time.sleep(0.3)
    assert most[0] == 100
    go.set()
    for c in clients:
        assert c.read_chunks(4, 4 * TIMEOUT) == b"back"
        c.close()


def test_https_link_elsewhere_is_asked_only_with_a_certificate_that_is_trusted(server, start_origin, origin):
    other = start_origin(tls=server_tls())
    url = "https://localhost:%d/next" % other.port
    with open_stream(server, origin.serve(Reply(200, {"Grip-Link": link(url)}, "o"))):
        server.wait_log("GET %s route=all error" % url)
    assert other.requests() == []


@pytest.mark.parametrize("ids,requests", [("; prev-id=1", 1), ("", 2)], ids=["with-ids", "without"])
def test_requests_that_differ_in_their_query_are_shared_when_ids_say_where_to_begin(server, origin, ids, requests):
    ch, go = unique(), threading.Event()
    second = origin.serve(lambda r: (go.wait(4 * TIMEOUT), hold("stream", ch, {"Grip-Link": link("/never")}, "back"))[1])
    p = origin.serve(lambda r: hold("stream", ch + ids, {"Grip-Link": link("%s?%s" % (second, r.query))}, "o"))
    clients = [open_stream(server, "%s?%d" % (p, n)) for n in range(2)]
    wait_for(lambda: server.logs().count("channel=%s\n" % ch) >= 2, what="2 subscriptions")
    recover(server)
    origin.wait_requests(second, requests)
    time.sleep(0.2)
    go.set()
    for c in clients:
        assert c.read_chunks(4) == b"back"
        c.close()
    assert len(origin.requests(second)) == requests


def test_reader_that_stops_does_not_stop_those_that_share_with_it(server, origin):
    """A body that the slow one cannot take: it is cut after a time, the other gets it all."""
    ch, body = unique(), b"y" * 8000000
    second = origin.serve(hold("stream", ch, {"Grip-Link": link("/never")}, body))
    p = origin.serve(hold("stream", ch, {"Grip-Link": link(second)}, "o"))
    fast = open_stream(server, p)
    slow = server.client(rcvbuf=4096)
    slow.send_request("GET", p)
    wait_for(lambda: server.logs().count("channel=%s\n" % ch) >= 2, what="2 subscriptions")
    recover(server)
    assert fast.read_chunks(len(body), 60) == body
    assert len(origin.requests(second)) == 1
    server.wait_log("client reads too slowly, closing: .*channel=%s" % ch, 20)
    slow.close()
    fast.close()
