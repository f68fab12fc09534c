"""HTTP and TLS as curl, wrk, npm's eventsource and Chromium speak them."""

import hashlib
import json
import os
import re
import shutil
import subprocess

import pytest

from browser import browser_fixture                                     # noqa: F401
from harness import Reply, certificate, free_port, hold, item, server_tls, unique
from nodejs import node_fixture, npm_modules_fixture                    # noqa: F401
from ws_harness import ws_item

LIMIT = 120.0           # seconds for anything that has to happen
MB = 1 << 20


class Front:
    """A server with a port for HTTP, one for TLS and one for TLS behind a proxy, before origins that tell what they got."""

    def __init__(self, start_server, start_origin, origin, folder):
        self.tls_port, self.proxied_port = free_port(), free_port()
        cert, key = certificate("localhost")
        self.cert = os.path.join(folder, "cert.pem")
        with open(self.cert, "w") as f:
            f.write(cert)
        self.large = os.urandom(3 * MB)
        secret = start_origin(tls=server_tls("localhost"))
        for o in origin, secret:
            o.serve(self.tell, "/tell")
            o.serve(Reply(200, {"Content-Type": "application/octet-stream"}, self.large), "/large")
        origin.serve(lambda r: hold("stream", r.query, body="open\n"), "/stream")
        origin.serve(self.events, "/events")
        origin.serve(Reply(200, {"Content-Type": "text/html"}, "<!DOCTYPE html><title>page</title>"), "/page")
        self.origin = origin
        files = {}
        for port in self.tls_port, self.proxied_port:
            files["runner/certs/default_%d.crt" % port], files["runner/certs/default_%d.key" % port] = cert, key
        self.server = start_server(
            "*,path_beg=/test test\n*,path_beg=/secret,replace_beg= localhost:%d,ssl,insecure\n* localhost:%d\n"
            % (secret.port, origin.port),
            {"https_ports": "%d,%d" % (self.tls_port, self.proxied_port), "proxy_protocol_ports": self.proxied_port,
             "proxy_protocol_trusted": "127.0.0.0/8", "x_forwarded_for": "append", "allow_compression": "true",
             "auto_cross_origin": "true", "update_on_first_subscription": "false"}, files)

    @staticmethod
    def tell(request):
        doc = {"method": request.method, "size": len(request.body), "sha1": hashlib.sha1(request.body).hexdigest(),
               "headers": request.headers, "target": request.target}
        return Reply(200, {"Content-Type": "application/json", "X-Custom": "yes"}, json.dumps(doc))

    def events(self, request):
        first = "id: %s\ndata: since %s\n\n" % (unique(), request.get("Last-Event-ID") or "nothing")
        return hold("stream", request.query, {"Cache-Control": "no-cache"}, "retry: 20\n\n" + first, content_type="text/event-stream")

    def url(self, path, tls=False):
        return "http%s://localhost:%d%s" % ("s" if tls else "", self.tls_port if tls else self.server.http_port, path)


@pytest.fixture(scope="module")
def front(start_server, start_origin, origin, tmp_path_factory):
    return Front(start_server, start_origin, origin, str(tmp_path_factory.mktemp("front")))


both = pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
ways = pytest.mark.parametrize("path", ["", "/secret"], ids=["plain-origin", "tls-origin"])


# curl

def start_curl(front, *args, **kw):
    return subprocess.Popen(["curl", "-q", "--silent", "--show-error", "--noproxy", "*", "--max-time", str(LIMIT), "--cacert", front.cert,
                             *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, **kw)


def curl(front, *args, given=None):
    p = start_curl(front, *args, stdin=subprocess.PIPE)
    out, said = p.communicate(given, timeout=LIMIT + 5)
    assert p.returncode == 0, "curl: %d %r" % (p.returncode, said)
    return out


def told(front, *args, given=None):
    doc = json.loads(curl(front, *args, given=given))
    doc["headers"] = {n.lower(): v for n, v in doc["headers"]}
    return doc


@both
@ways
def test_curl_gets(front, tls, path):
    assert told(front, front.url(path + "/tell", tls))["method"] == "GET"
    assert curl(front, front.url(path + "/large", tls)) == front.large
    assert b"X-Custom: yes" in curl(front, "--head", front.url(path + "/tell", tls))


@both
@ways
@pytest.mark.parametrize("how", [("--data-binary", "@-"), ("--data-binary", "@-", "-H", "Expect: 100-continue"), ("-T", "-"),
                                 ("-T", "-", "-X", "POST", "-H", "Content-Type: a/b"), ("-0", "--data-binary", "@-")], ids="".join)
def test_curl_sends(front, tls, path, how):
    data = front.large[:MB]
    doc = told(front, *how, front.url(path + "/tell", tls), given=data)
    assert doc["method"] == ("PUT" if "-T" in how and "-X" not in how else "POST")
    assert (doc["size"], doc["sha1"]) == (len(data), hashlib.sha1(data).hexdigest())


@both
def test_curl_sends_a_form(front, tls):
    doc = told(front, "-F", "a=1", "-F", "b=@-;filename=\u2603", front.url("/tell?q=%E2%98%83&r=[1]", tls), "--globoff", given=b"file")
    assert doc["headers"]["content-type"].startswith("multipart/form-data; boundary=")
    assert doc["target"] == "/tell?q=%E2%98%83&r=[1]"


@both
def test_curl_asks_for_http_2(front, tls):
    """Over TLS by ALPN, else by an upgrade that is not taken up."""
    said = curl(front, "--http2", "-w", "\n%{http_version} %{http_code}", front.url("/tell", tls)).decode()
    doc, _, last = said.rpartition("\n")
    assert last == "1.1 200"
    names = {n.lower() for n, _ in json.loads(doc)["headers"]}
    assert "upgrade" not in names and "http2-settings" not in names


def test_curl_insists_on_http_2(front):
    p = start_curl(front, "--http2-prior-knowledge", front.url("/tell"))
    p.communicate(timeout=LIMIT + 5)
    assert p.returncode != 0 and p.returncode != 28         # which would be the time limit


@both
def test_curl_keeps_a_connection(front, tls):
    urls = [a for n in range(5) for a in (front.url("/tell?%d" % n, tls), "-o", "/dev/null")]
    connects = curl(front, "-w", "%{num_connects}\n", *urls).split()
    assert connects == [b"1", b"0", b"0", b"0", b"0"]


@pytest.mark.parametrize("versions", [("--tlsv1.2", "--tls-max", "1.2"), ("--tlsv1.3",)], ids="".join)
def test_curl_and_versions_of_tls(front, versions):
    assert told(front, *versions, front.url("/tell", True))["method"] == "GET"


def test_curl_behind_a_proxy(front):
    url = "https://localhost:%d/tell" % front.proxied_port
    assert told(front, "--haproxy-protocol", url)["headers"]["x-forwarded-for"] == "127.0.0.1"


@both
def test_curl_follows_a_stream(front, tls):
    channel = unique()
    p = start_curl(front, "--no-buffer", "--include", front.url("/stream?" + channel, tls))
    front.server.wait_subscribed(channel)
    for n in range(5):
        front.server.publish(item(channel, stream="line %d\n" % n))
    front.server.publish(item(channel, stream={"action": "close"}))
    out, said = p.communicate(timeout=LIMIT + 5)
    assert p.returncode == 0, said
    assert out.partition(b"\r\n\r\n")[2] == b"open\n" + b"".join(b"line %d\n" % n for n in range(5))


# wrk

@both
def test_wrk(front, tls):
    if not shutil.which("wrk"):
        pytest.skip("needs Debian's wrk")
    r = subprocess.run(["wrk", "-t", "1", "-c", "20", "-d", "1s", "--timeout", "60s", front.url("/test/", tls)], timeout=LIMIT, stdout=subprocess.PIPE,
                       text=True, check=True).stdout
    assert int(re.search(r"(\d+) requests in", r).group(1)) > 0
    assert "Socket errors" not in r and "Non-2xx" not in r, r


# eventsource under Node

@both
def test_eventsource_begins_anew_where_it_was(front, node, tls):
    channel = unique()
    es = node.start("eventsource", url=front.url("/events?" + channel, tls))
    es.wait("open")
    first = es.wait("message")
    assert first["text"] == "since nothing"
    front.server.wait_subscribed(channel)
    front.server.publish(item(channel, stream="id: \u2603\ndata: one\ndata: two\n\n"))
    second = es.wait("message")
    assert (second["text"], second["last"]) == ("one\ntwo", "\u2603")
    front.server.publish(item(channel, stream="id: 17\ndata: three\n\n"), item(channel, stream={"action": "close"}))
    assert es.wait("message")["last"] == "17"
    es.wait("error")
    es.wait("open")
    assert es.wait("message")["text"] == "since 17"
    es.tell("close")


# Chromium

PAGE = """
const page = window.page = {got: [], waiting: []};
page.put = (value) => { page.got.push(value); page.waiting.splice(0).forEach((f) => f()); };
page.next = async () => { while (page.got.length === 0) await new Promise((f) => page.waiting.push(f)); return page.got.shift(); };
"""


@pytest.fixture
def page(browser, front, tls):
    """A browser that shows a page of the server's."""
    browser.open(front.url("/page", tls))
    browser.run(PAGE)
    return browser


@both
def test_page_sends_and_gets(front, page, tls):
    doc = page.call("return (await fetch('/tell')).json()")
    assert doc["method"] == "GET"
    doc = page.call("return (await fetch('/tell', {method: 'POST', body: new Uint8Array(args[0]).fill(97)})).json()", MB)
    assert (doc["size"], doc["sha1"]) == (MB, hashlib.sha1(b"a" * MB).hexdigest())
    assert page.call("return (await (await fetch('/secret/large')).arrayBuffer()).byteLength") == 3 * MB
    sizes = page.call("""return Promise.all([...Array(20).keys()].map(async (n) =>
        (await (await fetch('/tell?' + n, {method: 'POST', body: 'x'.repeat(n)})).json()).size))""")
    assert sizes == list(range(20))


@both
def test_page_of_another_server(front, page, tls):
    """The other one is the other port; what it answers is for all (auto_cross_origin)."""
    doc = page.call("""
        const r = await fetch(args[0], {method: 'PUT', headers: {'X-Strange': '1', 'Content-Type': 'a/b'}, body: 'x', mode: 'cors'});
        return {custom: r.headers.get('X-Custom'), said: await r.json()};""", front.url("/tell", not tls))
    assert (doc["custom"], doc["said"]["method"]) == ("yes", "PUT")


@both
def test_page_follows_a_stream(front, page, tls):
    channel = unique()
    page.run("""
        window.stop = new AbortController();
        fetch('/stream?' + arguments[0], {signal: window.stop.signal}).then(async (r) => {
            for (const reader = r.body.pipeThrough(new TextDecoderStream()).getReader();;) {
                const {value, done} = await reader.read();
                page.put(done ? null : value);
                if (done)
                    break;
            }
        })""", channel)
    assert page.call("return page.next()") == "open\n"
    front.server.wait_subscribed(channel)
    for text in "one \u2603\n", "two\n":
        front.server.publish(item(channel, stream=text))
        assert page.call("return page.next()") == text
    front.server.publish(item(channel, stream={"action": "close"}))
    assert page.call("return page.next()") is None


@both
def test_page_listens_to_events(front, page, tls):
    channel = unique()
    page.run("window.es = new EventSource('/events?' + arguments[0]); es.onmessage = (e) => page.put([e.data, e.lastEventId]);", channel)
    assert page.call("return page.next()")[0] == "since nothing"
    front.server.wait_subscribed(channel)
    front.server.publish(item(channel, stream="id: 17\ndata: one\ndata: \u2603\n\n"))
    assert page.call("return page.next()") == ["one\n\u2603", "17"]
    front.server.publish(item(channel, stream={"action": "close"}))
    assert page.call("return page.next()")[0] == "since 17"
    page.run("es.close()")


@both
def test_page_opens_a_websocket(front, page, tls):
    channel = unique()
    page.run("""
        window.ws = new WebSocket(location.origin.replace('http', 'ws') + '/test/ws?channel=' + arguments[0]);
        ws.onopen = () => page.put(ws.extensions);
        ws.onmessage = (e) => page.put(e.data);
        ws.onclose = (e) => page.put([e.code, e.reason, e.wasClean]);""", channel)
    assert "permessage-deflate" in page.call("return page.next()")
    front.server.wait_subscribed(channel)
    for text in "hello \u2603", "", "x" * MB:
        assert page.call("ws.send(args[0]); return page.next()", text) == text
    front.server.publish(ws_item(channel, "published \u2603"))
    assert page.call("return page.next()") == "published \u2603"
    front.server.publish(ws_item(channel, action="close", code=4001, reason="over \u2603"))
    assert page.call("return page.next()") == [4001, "over \u2603", True]
