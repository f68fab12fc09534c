"""WebSockets as libraries speak them: Debian's python3-websockets and python3-wsproto and npm's ws, each as client and as
backend, through the proxy, with GRIP and over HTTP, with and without compression and TLS."""

import concurrent.futures
import itertools
import random

import pytest

from harness import certificate, free_port, unique
from nodejs import node_fixture, npm_modules_fixture                    # noqa: F401
from ws_harness import ws_item
from ws_libraries import (PARTS, Loop, Script, WebsocketsCaller, WebsocketsOrigin, WsCaller, WsOrigin, WsprotoCaller,
                          WsprotoOrigin, echo_over_http)

CALLERS = ("websockets", "wsproto", "ws")
BACKENDS = tuple(way + name for name in CALLERS for way in ("", "grip-")) + ("tls-websockets", "woh", "test")
MB = 1 << 20
WAYS = {"plain": (False, False), "deflate": (True, False), "wss": (False, True), "wss-deflate": (True, True)}
TEXT = "plain, \u00fc, \u2603, \U0001f600, \x00\x1f\x7f\u2028\ufffd, end"
LONG = "all work and no play makes a dull boy \u2603 "


class Backends:
    """The three libraries' origins, each started when it is first asked for, and one for WebSocket-over-HTTP."""

    def __init__(self, loop, origin):
        self.ports = {name: {False: free_port(), True: free_port()} for name in CALLERS}
        self.ports["websockets"]["tls"] = free_port()
        self.loop = loop
        self.started = {}
        self.woh_port = origin.port
        origin.serve(echo_over_http, "/woh")

    def routes(self):
        to = {prefix + name: ports[grip] for name, ports in self.ports.items() for prefix, grip in (("", False), ("grip-", True))}
        return "\n".join(["*,path_beg=/%s localhost:%d" % route for route in to.items()]
                         + ["*,path_beg=/tls-websockets localhost:%d,ssl,insecure" % self.ports["websockets"]["tls"]]
                         + ["*,path_beg=/woh localhost:%d,over_http" % self.woh_port, "*,path_beg=/test test"])

    def get(self, name, node):
        if name not in self.started:
            self.started[name] = {"websockets": lambda ports: WebsocketsOrigin(self.loop, ports), "wsproto": WsprotoOrigin,
                                  "ws": lambda ports: WsOrigin(node, ports)}[name](self.ports[name])
        return self.started[name]

    def stop(self):
        for o in self.started.values():
            o.stop()


@pytest.fixture(scope="module")
def loop():
    found = Loop()
    yield found
    found.close()


@pytest.fixture(scope="module")
def backends(loop, origin):
    b = Backends(loop, origin)
    yield b
    b.stop()


@pytest.fixture(scope="module")
def server(start_server, backends):
    return start_server(backends.routes(), {"update_on_first_subscription": "false"})


@pytest.fixture(scope="module")
def squeezing(start_server, backends):
    """A server that compresses and has TLS."""
    tls = free_port()
    cert, key = certificate("localhost")
    s = start_server(backends.routes(), {"update_on_first_subscription": "false", "allow_compression": "true", "https_ports": tls},
                     {"runner/certs/default_%d.crt" % tls: cert, "runner/certs/default_%d.key" % tls: key})
    s.tls_port = tls
    return s


class Setting:
    """A caller, a backend and the way between them."""

    def __init__(self, request, caller, backend, way):
        get = request.getfixturevalue
        self.name, (self.deflate, self.tls) = backend, WAYS[way]
        self.server = get("server" if way == "plain" else "squeezing")
        library = backend.replace("grip-", "").replace("tls-", "")
        node = get("node") if "ws" in (caller, library) else None
        self.caller = {"websockets": lambda: WebsocketsCaller(get("loop")), "wsproto": WsprotoCaller,
                       "ws": lambda: WsCaller(node)}[caller]()
        self.origin = get("backends").get(library, node) if library in CALLERS else None
        self.calls = []

    def call(self, channel=None):
        """A connection, with a .tag by which the origin knows it."""
        tag = unique("tag")
        path = "/test/ws" if self.name == "test" else "/" + self.name
        path += "?tag=%s&channel=%s" % (tag, channel or tag)
        protocols = () if self.name == "test" else ("x-other", "chat")
        c = self.caller.open(self.server.tls_port if self.tls else self.server.http_port, path, protocols, self.deflate, self.tls)
        c.tag = tag
        assert c.deflated == bool(self.deflate)
        assert c.protocol == ("chat" if protocols else None)
        return c


@pytest.fixture
def setting(request, caller, backend, way):
    return Setting(request, caller, backend, way)


def everything(callers=CALLERS, backends=BACKENDS, ways=("plain", "wss-deflate"), more=()):
    return pytest.mark.parametrize("caller,backend,way", [*itertools.product(callers, backends, ways), *more])


def echoed(call, message):
    call.send(message)
    return call.receive() == message


@everything(more=[("websockets", "grip-ws", "deflate"), ("wsproto", "ws", "deflate"), ("ws", "woh", "deflate"),
                  ("websockets", "woh", "wss"), ("wsproto", "grip-ws", "wss"), ("ws", "test", "wss")])
def test_conversation(setting):
    c = setting.call()
    for message in (TEXT, b"\x00\xff" * 100, "", b"", "x" * 125, "x" * 126, "x" * 65535, "x" * 65536, LONG * 100):
        assert echoed(c, message), message[:100]
    c.send_parts(["in ", "three \u2603", " parts"])
    assert c.receive() == "in three \u2603 parts"
    c.send_parts([b"a" * 70000, b"b" * 70000])
    assert c.receive() == b"a" * 70000 + b"b" * 70000
    c.ping(b"are you there?")
    if setting.name != "test":
        c.send("parts")
        assert c.receive() == "".join(PARTS)
        c.send("ping here?")
        assert c.receive() == "pong here?"
    if setting.origin:                  # to backends compression is offered whatever the client wants
        c.send("agreed")
        assert ("permessage-deflate" in c.receive()) == (setting.server.config.get("allow_compression") == "true")
    c.close(4321, "enough \u2603")
    assert c.ended() == (4321, "enough \u2603")
    if setting.origin:
        assert setting.origin.closed(c.tag) == (4321, "enough \u2603")


@everything(backends=("websockets", "grip-wsproto", "woh"), ways=("plain",),
            more=[("websockets", "ws", "wss-deflate"), ("wsproto", "tls-websockets", "wss"), ("ws", "grip-websockets", "wss-deflate"),
                  ("ws", "test", "wss-deflate"), ("wsproto", "test", "plain"), ("websockets", "grip-ws", "plain")])
def test_large_messages(setting):
    c = setting.call()
    n = 150000 if setting.name == "woh" else MB          # what waits for a request is limited
    text = LONG * (n // len(LONG.encode()))
    assert echoed(c, text) and echoed(c, bytes(i * i >> 8 & 255 for i in range(n)))
    c.close()
    assert c.ended()[0] == 1000


@everything(backends=BACKENDS[:-1], ways=("plain",))
def test_backend_closes(setting):
    for code, reason in (1000, ""), (1001, "away"), (1011, "x" * 123), (3000, ""), (4999, "\u2603"):
        c = setting.call()
        c.send("close %d %s" % (code, reason))
        assert c.ended() == (code, reason)
        if setting.origin:
            assert setting.origin.closed(c.tag) == (code, reason)


@everything(callers=("ws",), backends=BACKENDS[:-1], ways=("plain",))
def test_close_without_code(setting):
    c = setting.call()
    c.close(None)
    assert c.ended()[0] in (1000, 1005)
    if setting.origin:
        assert setting.origin.closed(c.tag) == (1000, "")


@everything(backends=("grip-ws", "woh"), ways=("deflate",))
@pytest.mark.parametrize("asked", [
    {"server_no_context_takeover": True}, {"client_no_context_takeover": True}, {"server_max_window_bits": 9},
    {"client_max_window_bits": 9}, {"server_max_window_bits": 11, "client_max_window_bits": 10,
                                    "server_no_context_takeover": True, "client_no_context_takeover": True}],
    ids=lambda asked: "+".join(sorted(asked)) if len(asked) < 4 else "all")
def test_compression_as_asked_for(setting, asked):
    setting.deflate = asked
    c = setting.call()
    rnd = random.Random(7)
    text = "".join(rnd.choice("abcdefgh \u2603") for _ in range(30000))
    for m in (text, text, LONG * 300, text.encode(), "", text[:100]):
        assert echoed(c, m)
    c.close(4000)
    assert c.ended()[0] == 4000


@everything(backends=[b for b in BACKENDS if b[:4] in ("grip", "woh", "test")])
def test_published_messages(setting):
    channel = unique()
    c = setting.call(channel)
    setting.server.wait_subscribed(channel)
    messages = [TEXT, LONG * 1000, ""] + ["message %d" % i for i in range(20)]
    for m in messages:
        setting.server.publish(ws_item(channel, m))
    assert [c.receive() for _ in messages] == messages
    assert echoed(c, "still there")
    setting.server.publish(ws_item(channel, action="close", code=4000, reason="over"))
    assert c.ended() == (4000, "over")
    if setting.origin:
        assert setting.origin.closed(c.tag) == (1000, "")


@everything(backends=("grip-wsproto", "woh"), ways=("wss-deflate",))
def test_many_at_once(setting):
    calls = [setting.call() for _ in range(8)]

    def talk(n):
        for i in range(5):
            m = "%d says %d %s" % (n, i, LONG)
            assert echoed(calls[n], m)
            assert echoed(calls[n], m.encode() * 50)
        calls[n].close(4000 + n)
        return calls[n].ended()[0]
    with concurrent.futures.ThreadPoolExecutor(len(calls)) as pool:
        assert list(pool.map(talk, range(len(calls)))) == [4000 + n for n in range(len(calls))]


@everything(backends=("wsproto", "grip-ws", "woh", "test"), ways=("plain",))
def test_burst(setting):
    """Much more than buffers hold, before anything is read."""
    c = setting.call()
    n = 300 if setting.name == "woh" else 2000          # what waits for a request is limited
    messages = ["%d %s" % (i, LONG[:i % 40] * 10) for i in range(n)]
    for m in messages:
        c.send(m)
    for m in messages:
        assert c.receive() == m
    c.close(4000)
    assert c.ended()[0] == 4000


@everything(callers=("ws",), backends=BACKENDS[:-2])
def test_caller_vanishes(setting):
    c = setting.call()
    assert echoed(c, "hello")
    c.thing.tell("terminate")
    assert setting.origin.closed(c.tag)[0] == 1001
