"""Still more of the command socket: bytes on the wire, bad requests, DEALER peers."""

import re

import pytest

from harness import Stats, hold, tnet, unique, untnet


@pytest.fixture(scope="module")
def server(start_server, origin):
    return start_server("* localhost:%d" % origin.port, {"update_on_first_subscription": "false", "log_level": 3})


def test_replies_on_the_wire(server):
    assert server.command_raw(tnet({"method": "foo"})) in (b"50:7:success,5:false!9:condition,16:method-not-found,}",
                                                          b"50:9:condition,16:method-not-found,7:success,5:false!}")
    assert server.command_raw(tnet({"method": "recover"})) in (b"28:7:success,4:true!5:value,0:~}", b"28:5:value,0:~7:success,4:true!}")


def test_empty_id_is_none(server):
    assert untnet(server.command_raw(tnet({"method": "foo", "id": ""}))) == {"success": False, "condition": b"method-not-found"}


@pytest.mark.xfail_on_pushpin("does not answer")
@pytest.mark.parametrize("request_,id,how", [
    (b"T" + tnet({"method": "recover"}), None, "tnetstring parse failed"), (b'J{"method":"recover"}', None, "tnetstring parse failed"),
    (tnet({"method": "recover", "id": "q", "args": 5}), b"q", "parse failed"), (tnet({"id": "z"}), b"z", "parse failed"),
], ids=["T", "J", "args", "method"])
def test_bad_request_is_answered_and_logged(server, request_, id, how):
    want = {"success": False, "condition": b"bad-request"}
    assert untnet(server.command_raw(request_)) == (dict(want, id=id) if id else want)
    server.wait_log(r"^\[WARN\] .*zrpc server: received message with invalid format \(%s\), skipping$" % how)


def test_dealer_peer(server):
    q = server.socket("DEALER", server.tcp(server.command_port))
    q.send_multipart([b"", tnet({"method": "get-zmq-uris", "id": "1"})])
    empty, reply = q.recv_multipart()
    tcp = lambda port: b"tcp://127.0.0.1:%d" % port
    assert empty == b"" and untnet(reply)["value"] == {"command": tcp(server.command_port), "publish-pull": tcp(server.push_port),
                                                       "publish-sub": tcp(server.sub_port)}
    q.send_multipart([b"", b"a", b"b"])
    server.wait_log(r"^\[WARN\] .*zrpc server: received message with parts != 1, skipping$")
    q.close()


def test_request_is_logged(server):
    server.command("publish", {"items": []})
    server.wait_log(r"^\[DEBUG\] .*IN command: publish args=\{ \"items\": \[")


def test_publish_is_all_or_nothing(server, origin):
    ch = unique()
    with server.client() as c:
        c.send_request("GET", origin.serve(hold("stream", ch, body="o")))
        c.read_head()
        assert c.read_chunk() == b"o"
        server.wait_subscribed(ch)
        good = {"channel": ch, "http-stream": {"content": b"\xff"}}
        d = server.command("publish", {"items": [good, {"channel": ch}]})
        assert (d["condition"], d["value"]) == (b"bad-request", b"Invalid format: no formats specified")
        assert server.command("publish")["value"] == b"Invalid format: object does not contain 'items'"
        assert server.command("publish", {"items": {}})["value"] == b"Invalid format: object contains 'items' with wrong type"
        assert server.command("publish", {"items": [good, dict(good, id=None)]})["value"] is None
        assert c.read_chunks(2) == b"\xff\xff"


def test_http_connections_are_not_refreshed(server, origin):
    st = Stats(server)
    with server.client() as c:
        c.send_request("GET", origin.serve(hold("stream", unique(), body="o")))
        cid = st.wait("conn", type=b"http")["id"]
        assert server.command("refresh", {"cid": cid, "channel": "x"})["condition"] == b"item-not-found"
        assert server.command("conncheck", {"ids": [b"a", cid]})["value"] == [cid]
    st.close()


def test_websocket_is_known_by_the_id_of_its_stats(start_server):
    s = start_server("* test", {"update_on_first_subscription": "false"})
    st = Stats(s)
    with s.websocket("/ws") as w, s.websocket("/ws"):
        cid = st.wait("conn", type=b"ws")["id"]
        assert re.fullmatch(rb"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", cid)
        other = st.wait("conn", type=b"ws")["id"]
        assert sorted(s.command("conncheck", {"ids": [cid, b"none", other]})["value"]) == sorted([cid, other])
        assert s.command("refresh", {"cid": cid}).get("condition") is None
        w.send_text("still there")
        assert w.recv().payload == b"still there"
    st.wait("conn", id=cid, unavailable=True)
    assert s.command("conncheck", {"ids": [cid]})["value"] == []
    assert s.command("refresh", {"cid": cid})["condition"] == b"item-not-found"
    st.close()
