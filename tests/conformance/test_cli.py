"""The pushpin-publish command-line tool against the server."""

import subprocess

import pytest

from harness import hold, unique


@pytest.fixture(scope="module")
def server(start_server, origin):
    return start_server("* localhost:%d" % origin.port, {"update_on_first_subscription": "false"})


@pytest.fixture(params=["http", "zmq"])
def publish(server, request, publish_tool):
    spec = "http://localhost:%d" % server.control_port if request.param == "http" else "tcp://127.0.0.1:%d" % server.push_port

    def run(*args):
        r = subprocess.run([publish_tool, "--spec", spec] + list(args), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
        assert r.returncode == 0, r.stdout
        assert r.stdout.decode().strip() == "Published"
    return run


@pytest.fixture
def stream(server, origin):
    opened = []

    def start(ch, **headers):
        c = server.client()
        opened.append(c)
        c.send_request("GET", origin.serve(hold("stream", ch, headers, "o")))
        c.read_head()
        assert c.read_chunk() == b"o"
        server.wait_subscribed(ch.split(";")[0])
        return c
    yield start
    for c in opened:
        c.close()


def poll(server, origin, ch):
    c = server.client()
    c.send_request("GET", origin.serve(hold("response", ch)))
    server.wait_subscribed(ch)
    return c


def test_content_reaches_a_stream_with_a_newline(publish, stream):
    ch = unique()
    c = stream(ch)
    publish(ch, "hello there")
    assert c.read_chunks(12) == b"hello there\n"


def test_no_eol(publish, stream):
    ch = unique()
    c = stream(ch)
    publish("--no-eol", ch, "hello")
    assert c.read_chunks(5) == b"hello"


def test_response_with_code_and_headers(publish, server, origin):
    ch = unique()
    with poll(server, origin, ch) as c:
        publish(ch, "gone", "--code", "404", "-H", "X-A: 1", "-H", "Content-Type: a/b")
        r = c.read_response()
        assert (r.status, r.get("X-A"), r.get("Content-Type"), r.body) == (404, "1", "a/b", b"gone\n")


def test_close(publish, stream):
    ch = unique()
    c = stream(ch)
    publish("--close", ch)
    assert c.read_chunk() == b""


def test_ids_and_duplicates(publish, stream):
    ch = unique()
    c = stream(ch)
    publish("--id", "1", ch, "one")
    publish("--id", "1", ch, "dup")
    publish("--id", "2", "--prev-id", "1", ch, "two")
    assert c.read_chunks(8) == b"one\ntwo\n"


def test_sender_and_skip_self(publish, stream):
    ch = unique()
    c = stream(ch + "; filter=skip-self", **{"Grip-Set-Meta": "user=me"})
    publish("--sender", "me", ch, "mine")
    publish("--sender", "you", ch, "yours")
    assert c.read_chunks(6) == b"yours\n"


def test_patch(publish, server, origin):
    ch = unique()
    c = server.client()
    c.send_request("GET", origin.serve(hold("response", ch, body='{"a": 1}')))
    server.wait_subscribed(ch)
    publish("--patch", ch, '[{"op": "add", "path": "/b", "value": 2}]')
    assert c.read_response().json() == {"a": 1, "b": 2}
    c.close()


def test_meta(publish, stream):
    ch = unique()
    c = stream(ch + "; filter=require-sub")
    publish(ch, "no", "-M", "require_sub=nowhere")
    publish(ch, "yes", "-M", "require_sub=" + ch)
    assert c.read_chunks(4) == b"yes\n"
