"""npm's sockjs-client under Node and in Chromium, by each of its transports, before backends with a WebSocket, over HTTP,
and the test target."""

import itertools
import json
import os

import pytest

from browser import browser_fixture                    # noqa: F401
from harness import Reply, free_port, unique, wait_for
from nodejs import node_fixture, npm_modules_fixture                    # noqa: F401
from ws_harness import ws_item
from ws_libraries import Loop, WebsocketsOrigin, echo_over_http

LIMIT = 20.0            # seconds for whatever has to happen in a browser
HERE = os.path.dirname(os.path.abspath(__file__))
NODE_TRANSPORTS = ("websocket", "xhr-streaming", "eventsource", "xhr-polling")
PAGE_TRANSPORTS = NODE_TRANSPORTS + ("iframe-eventsource", "htmlfile", "iframe-htmlfile", "iframe-xhr-polling", "jsonp-polling")
BACKENDS = ("ws", "woh", "test")
# what other SockJS servers had to escape for some browser or other, and what only looks like JSON, HTML or a frame
ODD = ["", "\u2603", "\U0001f600", "\x00\x01\x1f\x7f", "\u00ad\u0600\u200c\u2028\u2029\u2060\ufeff\ufff0\uffff", "\"\\/\b\f\n\r\t'",
       "</script><script>p('x');", "a[\"x\"]", "c[3000,\"Go away!\"]", "h", "o", "&amp;%22+%2B=&d=x", "\r\ndata: x\r\n\r\n"]


class Endpoint:
    """A server with SockJS before three backends, and the page for browsers, also on another port."""

    def __init__(self, start_server, origin, loop, modules):
        ports = {False: free_port(), True: free_port()}
        self.ws = WebsocketsOrigin(loop, ports)
        with open(os.path.join(modules, "node_modules/sockjs-client/dist/sockjs.min.js"), "rb") as f:
            origin.serve(Reply(200, {"Content-Type": "text/javascript; charset=utf-8"}, f.read()), "/sockjs.js")
        with open(os.path.join(HERE, "sockjs_page.html"), "rb") as f:
            origin.serve(Reply(200, {"Content-Type": "text/html; charset=utf-8"}, f.read()), "/page")
        origin.serve(echo_over_http, "/echo")
        self.origin = origin
        self.server = start_server(
            "*,path_beg=/sock-ws,sockjs=/sock-ws,sockjs_as_path=/echo localhost:%d\n"
            "*,path_beg=/sock-grip,sockjs=/sock-grip,sockjs_as_path=/echo localhost:%d\n"
            "*,path_beg=/sock-woh,sockjs=/sock-woh,sockjs_as_path=/echo localhost:%d,over_http\n"
            "*,path_beg=/sock-test,sockjs=/sock-test,sockjs_as_path=/ws test\n"
            "* localhost:%d\n" % (ports[False], ports[True], origin.port, origin.port),
            {"sockjs_url": "http://localhost:@HTTP@/sockjs.js", "update_on_first_subscription": "false"})


@pytest.fixture(scope="module")
def endpoint(start_server, origin, npm_modules):
    loop = Loop()
    e = Endpoint(start_server, origin, loop, npm_modules)
    yield e
    e.ws.stop()
    loop.close()


class NodeSock:
    def __init__(self, request, endpoint, url, transport):
        self.thing = request.getfixturevalue("node").start("sockjs", url=url, transports=[transport])
        assert self.thing.wait("open")["transport"] == transport

    def send(self, text):
        self.thing.tell("send", text=text)

    def receive(self):
        return self.thing.wait("message")["text"]

    def close(self, code, reason):
        self.thing.tell("close", code=code, reason=reason)

    def ended(self):
        e = self.thing.wait("close")
        return e["code"], e["reason"]


class PageSock:
    """In a browser, whose page comes from the same server, or from another one: that is, from another port."""
    other = False

    def __init__(self, request, endpoint, url, transport):
        self.browser = request.getfixturevalue("browser")
        page = "http://localhost:%d/page" % (endpoint.origin.port if self.other else endpoint.server.http_port)
        self.browser.open(page)         # anew: what earlier tests have left would use up the few connections to one host
        self.browser.run("start(...arguments)", url, transport)
        assert self.next("open")["transport"] == transport

    def next(self, event):
        e = json.loads(wait_for(lambda: self.browser.run("return fetched()"), LIMIT, event, 0.005))
        assert e["event"] == event, e
        return e

    def send(self, text):
        self.browser.run("sock.send(JSON.parse(arguments[0]))", json.dumps(text))

    def receive(self):
        return self.next("message")["text"]

    def close(self, code, reason):
        self.browser.run("sock.close(...arguments)", code, reason)

    def ended(self):
        e = self.next("close")
        return e["code"], e["reason"]


class OtherPageSock(PageSock):
    other = True


SOCKS = {"node": NodeSock, "page": PageSock, "other-page": OtherPageSock}
NODE = [("node", t) for t in NODE_TRANSPORTS]
PAGE = [("page", t) for t in PAGE_TRANSPORTS]
OTHER_PAGE = [("other-page", t) for t in PAGE_TRANSPORTS if t != "htmlfile"]      # which is for pages of the same server only


def each(*ways):
    return pytest.mark.parametrize("where,transport", ways, ids=["-".join(w) for w in ways])


@pytest.fixture
def dial(request, endpoint):
    """dial(where, transport, backend, query): a SockJS that is open."""
    def dial(where, transport, backend, query=""):
        url = "http://localhost:%d/sock-%s%s" % (endpoint.server.http_port, backend, query)
        return SOCKS[where](request, endpoint, url, transport)
    if request.node.callspec.params["where"] == "node":
        request.getfixturevalue("node")
    else:
        request.getfixturevalue("browser")
    return dial


def echoed(sock, texts):
    for t in texts:
        sock.send(t)
    return [sock.receive() for _ in texts] == list(texts)


@pytest.mark.parametrize("where,transport,backend", [
    (*way, backend) for ways, backends in ((NODE, BACKENDS), (PAGE, ("ws",)), (OTHER_PAGE, ("woh",)))
    for way, backend in itertools.product(ways, backends)])
def test_echo_and_close(dial, where, transport, backend):
    s = dial(where, transport, backend)
    assert echoed(s, ["hello"])
    assert echoed(s, ODD)
    s.send("\ud83d cut \ude00 off \ud83d")             # what scripts make of emoji
    assert s.receive() == "\ufffd cut \ufffd off \ufffd"
    if backend == "test":
        s.close(3456, "enough")
        assert s.ended() == (3456, "enough")
    else:
        s.send("close 4321 go \u2603")
        assert s.ended() == (4321, "go \u2603")


@each(*NODE, *PAGE)
def test_more_than_a_stream_takes(dial, where, transport):
    s = dial(where, transport, "ws")
    text = "\u2603\U0001f600<&%" * 2500              # a stream ends after 128 KiB
    for n in range(12):
        assert echoed(s, [text + str(n)])
    s.send("close 3000 full")
    assert s.ended() == (3000, "full")


@each(*NODE, *OTHER_PAGE)
def test_published_messages(dial, endpoint, where, transport):
    channel = unique()
    s = dial(where, transport, "grip", "?channel=%s&tag=%s" % (channel, channel))
    endpoint.server.wait_subscribed(channel)
    for t in ODD:
        endpoint.server.publish(ws_item(channel, t))
    assert [s.receive() for _ in ODD] == ODD
    assert echoed(s, ["still there"])
    endpoint.server.publish(ws_item(channel, action="close", code=4000, reason="over"))
    assert s.ended() == (4000, "over")
    assert endpoint.ws.closed(channel) == (1000, "")


# Chromium goes on loading a script that the page has taken out, so with jsonp-polling the backend hears of it much later
@each(*NODE, *(w for w in PAGE if w[1] != "jsonp-polling"))
def test_client_closes(dial, endpoint, where, transport):
    tag = unique()
    s = dial(where, transport, "ws", "?tag=" + tag)
    assert echoed(s, ["hello"])
    s.close(3456, "enough")
    assert s.ended() == (3456, "enough")
    assert endpoint.ws.closed(tag)[0] in (1000, 1001)


@pytest.mark.parametrize("where,transport,backend", [(*way, b) for way in NODE for b in BACKENDS])
def test_burst(dial, where, transport, backend):
    s = dial(where, transport, backend)
    texts = ["%d \u2603" % n for n in range(1000)]
    assert echoed(s, texts)
