"""The test target's page: what it is made of, and, where Chromium is installed (Debian: chromium chromium-driver), what a
browser shows."""

import os
import re
import subprocess

import pytest

from browser import BROWSER_TIMEOUT, browser_fixture                    # noqa: F401
from harness import TIMEOUT, item, unique, wait_for

WAYS = ("stream", "response", "sse", "ws")


@pytest.fixture(scope="module")
def server(start_server):
    return start_server("* test\nbelow.test,path_beg=/below test", {"update_on_first_subscription": "false"})


# without a browser

def test_page(server):
    r = server.get("/demo")
    assert (r.status, r.get("Content-Type"), r.get("Cache-Control")) == (200, "text/html; charset=utf-8", "no-cache")
    text = r.body.decode()
    assert '<meta name="viewport" content="width=device-width' in text and '<html lang="en">' in text
    assert 'data-port="%d"' % server.control_port in text
    assert server.get("/demo/").body == r.body and server.get("/below/demo", host="below.test").body == r.body


def test_page_needs_nothing_else(server):
    text = server.get("/demo").body.decode()
    loads = re.findall(r"""(?:src|href)=["']?([^"'\s>]+)|url\(([^)]*)\)|(@import|<link(?! rel="icon" href="data:))""", text)
    assert [x for x in loads if x[0] != "data:,"] == []


def test_head_of_the_page(server):
    with server.client() as c:
        c.send_request("HEAD", "/demo")
        assert c.read_response("HEAD").status == 200
        assert c.get("/").status == 200


def test_stream_of_events(server):
    ch = unique()
    with server.client() as c:
        c.send_request("GET", "/sse?channel=" + ch)
        r = c.read_head()
        assert (r.status, r.get("Content-Type"), r.chunked) == (200, "text/event-stream", True)
        assert c.read_chunks(23) == b"data: [stream opened]\n\n"
        server.wait_subscribed(ch)
        server.publish(item(ch, stream="data: hi\n\n"))
        assert c.read_chunks(10) == b"data: hi\n\n"


# with one

def lines(browser, way):
    return browser.run("return [...document.querySelectorAll('#' + arguments[0] + ' .line span')].map((e) => e.textContent)", way)


def listen(browser, server, ch):
    browser.open("http://localhost:%d/demo?channel=%s" % (server.http_port, ch))
    server.wait_subscribed(ch)
    wait_for(lambda: len(re.findall(r" subscribe \S+ channel=%s$" % ch, server.logs(), re.M)) >= len(WAYS), BROWSER_TIMEOUT,
             "four subscriptions")


def commands(browser):
    return browser.run("return [...document.querySelectorAll('#commands code')].map((e) => e.textContent)")


def test_published_lines_appear_on_all_four(browser, server, target):
    ch = unique("demo")
    listen(browser, server, ch)
    assert browser.run("return document.title").startswith("pushpind")
    tool = os.path.join(os.path.dirname(target.binary), "pushpin-publish")
    for n, command in enumerate(commands(browser)):
        said = subprocess.run(["bash", "-c", command.replace("pushpin-publish", tool)], stdout=subprocess.PIPE, text=True,
                              timeout=TIMEOUT, check=True).stdout
        assert "Published" in said
        want = ("hello there", "data: hello there", "hello")[n]
        shown = {way: want for way in WAYS if way != "sse"}
        if n > 0:
            shown["sse"] = want.replace("data: ", "")
        if n == 2:
            shown["stream"] = "data: hello"
        for way, text in shown.items():
            wait_for(lambda: text in lines(browser, way), BROWSER_TIMEOUT, "%r on %s: %r" % (text, way, lines(browser, way)))
        if n < 2:           # the long-poll asks again
            wait_for(lambda: len(re.findall(r" subscribe \S+/response\S* channel=%s$" % ch, server.logs(), re.M)) >= n + 2,
                     BROWSER_TIMEOUT, "the next poll")
    assert "hello there" in lines(browser, "sse")


def test_page_fits_a_telephone(browser, server):
    ch = unique("demo-with-a-name-that-is-rather-long-for-the-screen-of-a-telephone")
    listen(browser, server, ch)
    width, page, small = browser.run("""
        const small = [...document.querySelectorAll('button, input')].filter((e) => e.offsetHeight > 0 && e.offsetHeight < 40);
        return [innerWidth, document.documentElement.scrollWidth, small.length];""")
    assert page <= width <= 600 and small == 0


def test_nothing_that_is_published_becomes_part_of_the_page(browser, server):
    ch = unique("demo")
    listen(browser, server, ch)
    evil = "<img src=x onerror='document.title=1'>"
    server.publish(item(ch, stream=evil + "\n", response=evil, ws=evil))
    for way in ("stream", "response", "ws"):
        wait_for(lambda: evil in lines(browser, way), BROWSER_TIMEOUT, way)
    assert browser.run("return document.images.length") == 0


def test_page_that_is_left_leaves_no_connection(browser, server):
    for _ in range(4):                      # a browser has few for a host
        ch = unique("demo")
        listen(browser, server, ch)
        browser.open("about:blank")
        wait_for(lambda: len(re.findall(r" unsubscribe \S+ channel=%s$" % ch, server.logs(), re.M)) == len(WAYS), BROWSER_TIMEOUT,
                 "the ends of four subscriptions")


def test_page_below_another_path_and_strange_channel(browser, server):
    ch = unique("it's")
    browser.open("http://localhost:%d/demo?channel=%s" % (server.http_port, ch.replace("'", "%27")))
    server.wait_subscribed(ch)
    assert all("it'\\''s" in c for c in commands(browser))
