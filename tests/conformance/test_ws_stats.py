"""Messages of the stats PUB socket about WebSockets."""

import re

import pytest

from harness import Stats, unique
from ws_harness import wire_fixture, ws_item  # noqa: F401

UUID = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$")


@pytest.fixture(scope="module")
def server(start_server, origin):
    p = origin.port
    return start_server("woh localhost:%d,over_http\nroute.test,id=r1 localhost:%d\n* localhost:%d\n" % (p, p, p))


@pytest.fixture
def stats(server):
    s = Stats(server)
    yield s
    s.close()


def test_connection(wire, stats):
    c, o = wire.pair()
    d = stats.wait("conn", type=b"ws")
    assert UUID.match(d["id"]) and d["peer-address"] == b"127.0.0.1" and d["ttl"] == 120
    assert "route" not in d and "ssl" not in d
    c.send_close(1000)
    o.closing()
    o.send_close(1000)
    assert stats.wait("conn", id=d["id"], unavailable=True)


def test_connection_of_a_route_with_an_id(wire, stats):
    c, o = wire.pair(host="route.test")
    d = stats.wait("conn", type=b"ws")
    assert d["route"] == b"r1"
    c.close()
    assert stats.wait("conn", id=d["id"], unavailable=True)["route"] == b"r1"


def test_id_is_that_which_the_origin_knows(wire, stats):
    c, d = wire.woh()
    assert stats.wait("conn", type=b"ws")["id"] == d.visits[0].cid.encode()


def test_subscription(wire, stats):
    ch = unique()
    c, o = wire.member(ch)
    d = stats.wait("sub", channel=ch.encode())
    assert (d["mode"], d["subscribers"]) == (b"ws", 1)
    o.control("unsubscribe", channel=ch)
    assert stats.wait("sub", channel=ch.encode(), unavailable=True)["mode"] == b"ws"


def test_message(wire, server, stats):
    ch = unique()
    c, o = wire.member(ch)
    server.publish(ws_item(ch, "x", id="1"))
    assert c.text() == "x"
    d = stats.wait("message", channel=ch.encode())
    assert (d["transport"], d["count"], d["item-id"]) == (b"ws-message", 1, b"1")
