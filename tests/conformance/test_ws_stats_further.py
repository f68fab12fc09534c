"""More of connection ids: commands know those that stats messages tell of."""

import pytest

from test_ws_stats import server, stats  # noqa: F401
from ws_harness import control, wire_fixture  # noqa: F401


@pytest.mark.parametrize("over_http", [False, True])
def test_commands_find_a_connection_by_its_id(wire, server, stats, over_http):
    """One over HTTP is refreshed, the other is left alone."""
    c, x = wire.woh() if over_http else wire.pair()
    id = stats.wait("conn", type=b"ws")["id"]
    other = b"00000000-0000-4000-8000-000000000000"
    assert server.command("conncheck", {"ids": [other, id]})["value"] == [id]
    assert server.command("refresh", {"cid": other})["condition"] == b"item-not-found"
    assert server.command("refresh", {"cid": id})["success"] is True
    if over_http:
        assert x.next().body == b""
    else:
        x.quiet(0.05)
    c.close()
    assert stats.wait("conn", id=id, unavailable=True)
    assert server.command("conncheck", {"ids": [id]})["value"] == []


def test_commands_find_a_detached_connection(wire, server, stats):
    c, d = wire.woh(("TEXT", control("detach")))
    id = stats.wait("conn", type=b"ws")["id"]
    v = d.next()
    assert v.body == b"CLOSE\r\n"
    v.events_reply()
    assert server.command("conncheck", {"ids": [id]})["value"] == [id]
    assert server.command("refresh", {"cid": id})["success"] is True
    d.quiet(0.05)
