"""WebSockets under settings that conformance knows nothing of, and by the handful."""

import pytest

from harness import free_port, unique, wait_for
from test_metrics import Metrics
from ws_harness import wire_fixture, ws_item  # noqa: F401

BIG = "x" * 400000      # the sockets between server and client take a few of these


@pytest.fixture(scope="module")
def metrics():
    return Metrics(free_port())


@pytest.fixture(scope="module")
def server(start_server, origin, metrics):
    return start_server("* localhost:%d\n" % origin.port,
                        {"drop_for_slow_websockets": "true", "prometheus_port": "127.0.0.1:%d" % metrics.port, "message_rate": "0"})


def test_a_slow_one_loses_messages_and_stays(wire, metrics):
    ch, n = unique(), 60
    c, o = wire.member(ch)
    for i in range(n):
        wire.server.zpush(ws_item(ch, "%d " % i + BIG))
    wait_for(lambda: metrics.get("message_sent") == n, what="all of them")
    lost = metrics.get("message_dropped", reason="queue")
    assert 0 < lost < n and metrics.get("connection_closed", reason="slow") == 0
    got = [int(c.text().split()[0]) for _ in range(n - int(lost))]
    assert got == sorted(got) and got[0] == 0
    wire.server.publish(ws_item(ch, "there again"))
    assert c.text() == "there again"
    assert wire.server.logs().count("messages are dropped: ") == 1
