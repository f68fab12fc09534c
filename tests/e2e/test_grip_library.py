"""A backend and a publisher made with npm's @fanoutio/grip, GRIP's own library for JavaScript."""

import base64

import pytest

from harness import free_port, unique
from nodejs import node_fixture, npm_modules_fixture                    # noqa: F401
from ws_harness import Dialed

TEXT = "plain, \u00fc, \u2603, \U0001f600, \x00\x1f\x7f\u2028, end\n"
BYTES = bytes(range(256))
KEY = "0123456789abcdef0123456789abcdef"


class Application:
    def __init__(self, node, start_server):
        port = free_port()
        config = {"sig_iss": "pushpin", "sig_key": KEY, "update_on_first_subscription": "false"}
        self.server = start_server("*,path_beg=/ws localhost:%d,over_http\n* localhost:%d" % (port, port), config)
        self.stranger = start_server("* localhost:%d" % port, dict(config, sig_key="another"))
        url = "http://127.0.0.1:%d/?iss=pushpin&key=%s&verify-iss=pushpin" % (self.server.control_port, KEY)
        self.thing = node.start("grip", port=port, url=url)
        self.thing.wait("listening")

    def publish(self, channel, content, **ids):
        content = {"text": content} if isinstance(content, str) else {"bytes": base64.b64encode(content).decode()}
        self.thing.tell("publish", channel=channel, **content, **ids)
        self.thing.wait("published")


@pytest.fixture(scope="module")
def app(node, start_server):
    return Application(node, start_server)


def test_wrong_signature_is_refused(app):
    assert app.stranger.get("/stream?channel=a").status == 403


@pytest.mark.parametrize("content", [TEXT, BYTES], ids=["text", "bytes"])
def test_stream(app, content):
    channel = unique()
    with app.server.client() as c:
        c.send_request("GET", "/stream?channel=" + channel)
        assert c.read_head().status == 200
        assert c.read_chunks(6) == b"first\n"
        app.server.wait_subscribed(channel)
        app.publish(channel, content)
        want = content.encode() if isinstance(content, str) else content
        while True:                 # what keeps the stream alive may come before
            got = c.read_chunk()
            if got != b"alive\n\x00":
                break
        assert got + c.read_chunks(len(want) - len(got)) == want
        assert c.read_chunk() == b"alive\n\x00"


@pytest.mark.parametrize("content", [TEXT, BYTES], ids=["text", "bytes"])
def test_poll(app, content):
    channel = unique()
    with app.server.client() as c:
        c.send_request("GET", "/poll?channel=" + channel)
        app.server.wait_subscribed(channel)
        app.publish(channel, content)
        r = c.read_response()
        assert (r.status, r.get("X-A"), r.body) == (201, "1", content.encode() if isinstance(content, str) else content)


@pytest.mark.parametrize("content", [TEXT, BYTES], ids=["text", "bytes"])
def test_websocket(app, content):
    channel = unique()
    ws = Dialed(app.server.http_port, "/ws?channel=" + channel).open()
    app.server.wait_subscribed(channel)
    ws.send_text(TEXT)
    assert ws.text() == TEXT
    ws.send_text("as me")
    ws.send_text("hello")
    assert ws.text() == "me: hello"
    ws.send(2, BYTES)
    assert ws.recv_message() == (2, BYTES)
    app.publish(channel, content)
    assert ws.recv_message() == ((1, content.encode()) if isinstance(content, str) else (2, content))
    ws.send_close(4001)
    f = ws.recv()
    assert (f.opcode, f.code) == (8, 4001)
    ws.close()


@pytest.mark.parametrize("order", ["close", "detach"])
def test_websocket_is_given_up(app, order):
    channel = unique()
    ws = Dialed(app.server.http_port, "/ws?channel=" + channel).open()
    app.server.wait_subscribed(channel)
    ws.send_text(order)
    if order == "close":
        f = ws.recv()
        assert (f.opcode, f.code) == (8, 1000)         # the library's close() writes 0
        ws.send_close(1000)
    else:
        app.publish(channel, "still here")
        assert ws.text() == "still here"
    ws.close()


def test_ids_put_items_in_order(app):
    channel = unique()
    with app.server.client() as c:
        c.send_request("GET", "/stream?channel=" + channel)
        assert c.read_head().status == 200 and c.read_chunks(6) == b"first\n"
        app.server.wait_subscribed(channel)
        app.publish(channel, "1", itemId="1")
        app.publish(channel, "3", itemId="3", prevId="2")
        app.publish(channel, "2", itemId="2", prevId="1")
        app.publish(channel, "2", itemId="2", prevId="1")
        app.publish(channel, "4", itemId="4", prevId="3")
        got = b""
        while len(got) < 4:
            got += c.read_chunk().replace(b"alive\n\x00", b"")
        assert got == b"1234"
