"""pushpin-publish against scripted peers: what it sends, what it makes of the answer, and what it says when it fails."""

import base64
import hashlib
import hmac
import json
import os
import pathlib
import re
import socket
import ssl
import subprocess
import threading
import time

import pytest
import zmq

from harness import free_port

TOOL = None     # beside the daemon that --bin names
LIMIT = 120     # seconds for what must happen


@pytest.fixture(scope="module", autouse=True)
def _tool(request):
    global TOOL
    TOOL = str(pathlib.Path(request.config.getoption("--bin")).with_name("pushpin-publish"))


OK = b"HTTP/1.0 200 OK\r\nContent-Length: 10\r\n\r\nPublished\n"


def start(*args, env=None):
    full = {k: v for k, v in os.environ.items() if k not in ("GRIP_URL", "PUSHPIN_TOKEN")}
    full.update(env or {})
    return subprocess.Popen([TOOL, *args], env=full, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def finish(p):
    out, err = p.communicate(timeout=LIMIT)
    return p.returncode, out.decode(), err.decode()


def run(*args, env=None):
    """With a --timeout that a slow machine keeps, unless ARGS have another one."""
    return finish(start("--timeout=%d" % LIMIT, *args, env=env))


def error(*args, env=None):
    """The text of an error that ends the tool with 1."""
    rc, out, err = run(*args, env=env)
    assert (rc, out) == (1, "") and err.startswith("Error: ") and err.endswith("\n"), (rc, out, err)
    return err[len("Error: "):-1]


class Request:
    def __init__(self, line, headers, body):
        self.line, self.headers, self.body = line, headers, body

    @property
    def item(self):
        doc = json.loads(self.body)
        assert list(doc) == ["items"] and len(doc["items"]) == 1
        return doc["items"][0]


def read_request(conn):
    data = b""
    while b"\r\n\r\n" not in data:
        more = conn.recv(65536)
        assert more, data
        data += more
    head, body = data.split(b"\r\n\r\n", 1)
    lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines[1:])
    while len(body) < int(headers["Content-Length"]):
        more = conn.recv(65536)
        assert more, "body cut off"
        body += more
    return Request(lines[0], headers, body)


class Server:
    """One connection after another; each is answered with ANSWER (bytes, or a function of the connection) and closed."""

    def __init__(self, answer=OK, tls=None, host="127.0.0.1"):
        self.listener = socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
        self.port = self.listener.getsockname()[1]
        self.answer, self.tls, self.requests = answer, tls, []
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        while True:
            try:
                conn, _ = self.listener.accept()
            except OSError:
                return
            with conn:
                conn.settimeout(LIMIT)
                try:
                    self.talk(conn)
                except (OSError, AssertionError):
                    pass

    def talk(self, conn):
        if self.tls:
            conn = self.tls.wrap_socket(conn, server_side=True)
        if callable(self.answer):
            self.answer(conn)
        else:
            self.requests.append(read_request(conn))
            conn.sendall(self.answer)
        conn.close()

    def url(self, path="", host="127.0.0.1"):
        return "%s://%s:%d%s" % ("https" if self.tls else "http", host, self.port, path)

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(LIMIT)


@pytest.fixture
def serve():
    servers = []

    def make(*args, **kw):
        servers.append(Server(*args, **kw))
        return servers[-1]
    yield make
    for s in servers:
        s.close()


@pytest.fixture
def server(serve):
    return serve()


@pytest.fixture
def publish(server):
    """Run the tool against the server; the request that came."""
    def call(*args):
        assert run("--spec", server.url(), *args) == (0, "Published\n", "")
        return server.requests.pop()
    return call


# --- command line


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_names_every_option(flag):
    rc, out, err = run(flag)
    assert (rc, err) == (0, "")
    for name in ("    --id <id>", "    --prev-id", "--sender", "--code", "-H, --header", "-M, --meta", "--hint", "--close", "--patch",
                 "--no-seq", "--no-eol", "--spec", "-u, --user", "-B, --bearer", "--token <token>",
                 "--timeout", "-h, --help", "-V, --version"):
        assert name in out


@pytest.mark.parametrize("flag", ["-V", "--version"])
def test_version(flag):
    rc, out, err = run(flag)
    assert (rc, err) == (0, "")
    assert re.fullmatch(r"pushpin-publish \d+\.\d+\S*\n", out)


@pytest.mark.parametrize("args", [[], ["--nope", "ch", "x"], ["-x", "ch", "x"], ["ch", "x", "more"], ["ch", "x", "--id"],
                                  ["ch", "x", "-H"], ["--hint=yes", "ch"], ["ch", "x", "--timeout", "soon"],
                                  ["ch", "x", "--timeout", "0"], ["ch", "x", "--timeout=-1"], ["ch", "x", "--timeout=nan"]])
def test_wrong_use_ends_with_2(args):
    rc, out, err = run(*args)
    assert (rc, out) == (2, "") and "USAGE" in err


@pytest.mark.parametrize("args,text", [
    (["ch"], "must specify content"),
    (["ch", "--patch"], "must specify content"),
    (["ch", "x", "--code", "1000"], "code must be an integer between 0 and 999"),
    (["ch", "x", "--code", "99999999999999999999999"], "code must be an integer between 0 and 999"),
    (["ch", "x", "--code", "abc"], "failed to parse code: invalid digit found in string"),
    (["ch", "x", "--code=-1"], "failed to parse code: invalid digit found in string"),
    (["ch", "x", "--code", ""], "failed to parse code: cannot parse integer from empty string"),
    (["ch", "x", "-H", "nocolon"], 'header must be in the form "name: value"'),
    (["ch", "--hint", "-H", "nocolon"], 'header must be in the form "name: value"'),
    (["ch", "x", "-M", "noequals"], 'meta must be in the form "name=value"'),
    (["ch", "{}", "--patch"], "patch content must be a JSON array"),
    (["ch", "@/no/such", ], "can't read file /no/such: No such file or directory"),
    (["ch", "@/", ], "can't read file /: Is a directory"),
    (["ch", "x", "-u", "a:b"], "Authentication requires https"),
    (["ch", "x", "--bearer", "t"], "Authentication requires https"),
    (["ch", "x", "-u", "a:b", "--spec", "tcp://127.0.0.1:1"], "Authentication requires https"),
    (["ch", "x", "-u", "a:b", "-B", "t"], "only one authentication method can be specified"),
    (["ch", "x", "-u", "a:b", "--token", "t"], "only one authentication method can be specified"),
    (["ch", "x", "--token", "t", "-B", "t"], "only one authentication method can be specified"),
    (["ch", "x", "--token", "t", "--spec", "http://10.0.0.1:5561"], "a token goes to another machine by https only"),
    (["ch", "x", "--token", "t", "--spec", "http://127.example:5561"], "a token goes to another machine by https only"),
    (["ch", "x", "--token", "t", "--spec", "tcp://127.0.0.1:1"], "a token can be sent by http and https only"),
    (["ch", "x", "-B", "a\r\nX-Evil: 1", "--spec", "https://127.0.0.1:1"], "the credentials cannot be sent in a header"),
    (["ch", "x", "--spec", "http://"], "invalid URL"),
    (["ch", "x", "--spec", "http:/x"], "invalid URL"),
    (["ch", "x", "--spec", "http://host:port/"], "invalid URL"),
    (["ch", "x", "--spec", "http://a b/"], "invalid URL"),
    ([b"\xff", "x"], "channel is not valid UTF-8"),
    (["ch", "x", "-H", b"a: \xff"], "header is not valid UTF-8"),
])
def test_errors_found_before_connecting(args, text):
    assert error(*args) == text


def test_bad_patch_shows_what_the_parser_says():
    assert error("ch", "[1,", "--patch") != ""


# --- the item


def test_content_goes_to_all_formats_with_a_newline_for_http(publish):
    assert publish("ch", "hello").item == {
        "channel": "ch",
        "formats": {
            "http-response": {"code": 200, "body": "hello\n"},
            "http-stream": {"content": "hello\n"},
            "ws-message": {"content": "hello"},
        },
    }


def test_request_head(publish, server):
    r = publish("ch", "h\u00e9llo")
    assert r.line == "POST /publish/ HTTP/1.0"
    assert r.headers == {"Host": "127.0.0.1:%d" % server.port, "Content-Type": "application/json",
                         "Content-Length": str(len(r.body))}
    assert r.item["formats"]["ws-message"] == {"content": "h\u00e9llo"}


@pytest.mark.parametrize("args,values", [
    (["--id", "1"], {"id": "1"}),
    (["--id=1", "--prev-id=0"], {"id": "1", "prev-id": "0"}),
    (["--id", "", "--prev-id="], {}),
    (["--sender", "me"], {"meta": {"sender": "me"}}),
    (["--sender", ""], {}),
    (["-M", "a= 1 ", "--meta", "b=x=y", "--meta=c="], {"meta": {"a": "1", "b": "x=y", "c": ""}}),
    (["--sender=me", "-Ma=1"], {"meta": {"sender": "me", "a": "1"}}),
    (["--no-seq"], {"no-seq": True}),
])
def test_item_options(publish, args, values):
    for order in (args + ["ch", "x"], ["ch"] + args + ["x"], ["ch", "x"] + args):
        item = publish(*order).item
        assert item.pop("channel") == "ch" and item.pop("formats")
        assert item == values


def test_code_and_headers_in_order(publish):
    f = publish("ch", "x", "--code", "404", "-H", "B: 1", "--header", "A:  two ", "--header=B: 3:4", "-HC:").item["formats"]
    assert f["http-response"] == {"code": 404, "body": "x\n", "headers": [["B", "1"], ["A", "two"], ["B", "3:4"], ["C", ""]]}
    assert f["http-stream"] == {"content": "x\n"}


def test_no_eol(publish):
    f = publish("--no-eol", "ch", "x").item["formats"]
    assert (f["http-response"]["body"], f["http-stream"]["content"], f["ws-message"]["content"]) == ("x", "x", "x")


@pytest.mark.parametrize("args", [["--hint"], ["--hint", "--close"], ["--close", "ignored", "--hint"]])
def test_hint(publish, args):
    hint = {"action": "hint"}
    assert publish("ch", *args).item["formats"] == {"http-response": hint, "http-stream": hint, "ws-message": hint}


def test_close(publish):
    close = {"action": "close"}
    assert publish("ch", "--close").item["formats"] == {"http-stream": close, "ws-message": close}


def test_patch_goes_to_responses_only(publish, tmp_path):
    patch = [{"op": "add", "path": "/b", "value": 2}]
    want = {"http-response": {"code": 200, "body-patch": patch}}
    assert publish("--patch", "ch", json.dumps(patch)).item["formats"] == want
    (tmp_path / "patch").write_text(json.dumps(patch))
    assert publish("--patch", "ch", "@%s" % (tmp_path / "patch")).item["formats"] == want


def test_a_double_dash_ends_the_options(publish):
    assert publish("--", "-ch", "--hint").item["formats"]["ws-message"] == {"content": "--hint"}


def test_empty_content_and_channel(publish):
    item = publish("", "").item
    assert item["channel"] == ""
    assert item["formats"]["ws-message"] == {"content": ""} and item["formats"]["http-stream"] == {"content": "\n"}


def test_file_is_sent_as_it_is(publish, tmp_path):
    (tmp_path / "text").write_bytes("z\u00e9ro\0 \"q\"\n".encode())
    f = publish("ch", "@%s" % (tmp_path / "text")).item["formats"]
    text = "z\u00e9ro\0 \"q\"\n"
    assert (f["http-response"]["body"], f["http-stream"], f["ws-message"]) == (text, {"content": text}, {"content": text})


def test_bytes_that_are_no_text_go_as_base64(publish, tmp_path):
    data = bytes(range(256)) * 1000
    (tmp_path / "data").write_bytes(data)
    f = publish("ch", "@%s" % (tmp_path / "data")).item["formats"]
    b64 = base64.b64encode(data).decode()
    assert f == {"http-response": {"code": 200, "body-bin": b64}, "http-stream": {"content-bin": b64},
                 "ws-message": {"content-bin": b64}}


# --- HTTP


@pytest.mark.parametrize("path,line", [
    ("", "/publish/"), ("/", "/publish/"), ("//", "/publish/"), ("/base", "/base/publish/"), ("/base/", "/base/publish/"),
    ("/a/b?x=1", "/a/b/publish/"), ("?key=secret&iss=me", "/publish/"),
])
def test_base_url(server, path, line):
    assert run("ch", "x", "--spec", server.url(path))[0] == 0
    assert server.requests[0].line == "POST %s HTTP/1.0" % line
    assert "Authorization" not in server.requests[0].headers  # nothing secret over plain HTTP


def test_grip_url_is_the_default(server):
    assert run("ch", "x", env={"GRIP_URL": server.url("/g/?key=abc")}) == (0, "Published\n", "")
    assert server.requests[0].line == "POST /g/publish/ HTTP/1.0"


def test_spec_wins_over_grip_url(server):
    assert run("ch", "x", "--spec", server.url(), env={"GRIP_URL": "http://127.0.0.1:1"})[0] == 0


def test_every_address_of_a_name_is_tried(server):
    """Where localhost is ::1 first, nobody listens there."""
    assert run("ch", "x", "--spec", server.url(host="localhost"))[0] == 0
    assert server.requests[0].headers["Host"] == "localhost:%d" % server.port


def test_ipv6_address(serve):
    try:
        s = serve(host="::1")
    except OSError:
        pytest.skip("no IPv6 here")
    assert run("ch", "x", "--spec", s.url(host="[::1]"))[0] == 0
    assert s.requests[0].headers["Host"] == "[::1]:%d" % s.port


@pytest.mark.parametrize("answer", [
    b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil close",
    b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n" + OK,
])
def test_answers_that_mean_published(serve, answer):
    assert run("ch", "x", "--spec", serve(answer).url()) == (0, "Published\n", "")


def test_a_connection_that_stays_open_does_not_hold_us(serve):
    done = threading.Event()

    def answer(conn):
        read_request(conn)
        conn.sendall(OK)
        done.wait(LIMIT)
    s = serve(answer)
    try:
        assert run("ch", "x", "--spec", s.url())[0] == 0
    finally:
        done.set()


@pytest.mark.parametrize("answer,text", [
    (b"HTTP/1.0 404 Not Found\r\nContent-Length: 12\r\n\r\n Not Found\r\n", "Not Found"),
    (b"HTTP/1.0 400 Bad Request\r\n\r\nInvalid format: why\n", "Invalid format: why"),
    (b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 503 Service Unavailable"),
    (b"HTTP/1.1 500 Oh no\r\n\r\n", "HTTP/1.1 500 Oh no"),
    (b"HTTP/1.1 202 Accepted\r\nContent-Length: 1\r\n\r\n\n", "HTTP/1.1 202 Accepted"),
    (b"HTTP/1.1 403 No\r\nContent-Length: 9\r\n\r\na\x1b[2Jb\nc\r", "a?[2Jb\nc"),
])
def test_answers_that_refuse(serve, answer, text):
    assert error("ch", "x", "--spec", serve(answer).url()) == text


def test_a_long_refusal_is_shown_in_full(serve):
    body = b"w" * 5000
    assert error("ch", "x", "--spec", serve(b"HTTP/1.0 400 Bad\r\n\r\n" + body).url()) == body.decode()


def test_no_answer(serve):
    s = serve(lambda conn: read_request(conn))
    assert error("ch", "x", "--spec", s.url()) == "127.0.0.1:%d closed the connection without a whole answer" % s.port


def test_an_answer_that_is_no_http(serve):
    s = serve(b"SSH-2.0-hello\r\n\r\n")
    assert error("ch", "x", "--spec", s.url()).startswith("bad answer from 127.0.0.1:%d: " % s.port)


def test_an_early_refusal_is_shown_though_the_request_was_not_read(serve, tmp_path):
    (tmp_path / "big").write_bytes(b"x" * 20000000)

    def answer(conn):
        conn.recv(100)
        conn.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 23\r\n\r\nRequest body too large.")
    assert error("ch", "@%s" % (tmp_path / "big"), "--spec", serve(answer).url()) == "Request body too large."


def test_nobody_listens():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
        text = error("ch", "x", "--spec", "http://127.0.0.1:%d/" % port)
    assert text == "Connection refused (os error 111): cannot connect to 127.0.0.1:%d, is pushpind running there?" % port


def test_unknown_host():
    assert "cannot find the address of no-such-host.invalid" in error("ch", "x", "--spec", "http://no-such-host.invalid")


def test_a_silent_server_is_given_up(serve):
    done = threading.Event()
    s = serve(lambda conn: done.wait(LIMIT))
    try:
        assert error("ch", "x", "--spec", s.url(), "--timeout", "0.2") == "127.0.0.1:%d: Connection timed out" % s.port
    finally:
        done.set()


# --- HTTPS


def make_cert(directory, names):
    cert, key = str(directory / "cert.pem"), str(directory / "key.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=test",
                    "-addext", "subjectAltName=" + names, "-keyout", key, "-out", cert], check=True, capture_output=True)
    return cert, key


def context(cert, key):
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    c.load_cert_chain(cert, key)
    return c


@pytest.fixture(scope="module")
def cert(tmp_path_factory):
    return make_cert(tmp_path_factory.mktemp("cert"), "DNS:localhost,IP:127.0.0.1")


@pytest.fixture
def secure(serve, cert):
    return serve(tls=context(*cert))


@pytest.mark.parametrize("args,auth", [
    ([], None),
    (["-u", "user:pass"], "Basic " + base64.b64encode(b"user:pass").decode()),
    (["--user=user:p:w"], "Basic " + base64.b64encode(b"user:p:w").decode()),
    (["-B", "tok"], "Bearer tok"),
    (["--bearer", "tok"], "Bearer tok"),
])
def test_https_with_a_trusted_certificate(secure, cert, args, auth):
    for host in ("localhost", "127.0.0.1"):
        got = run("ch", "x", "--spec", secure.url(host=host), *args, env={"SSL_CERT_FILE": cert[0]})
        assert got == (0, "Published\n", "")
        assert secure.requests.pop().headers.get("Authorization") == auth


def test_server_name_is_sent(serve, cert):
    names = []
    tls = context(*cert)
    tls.sni_callback = lambda sock, name, ctx: names.append(name)
    s = serve(tls=tls)
    for host in ("localhost", "127.0.0.1"):
        assert run("ch", "x", "--spec", s.url(host=host), env={"SSL_CERT_FILE": cert[0]})[0] == 0
    assert names == ["localhost", None]


def test_untrusted_certificate_is_refused(secure):
    text = error("ch", "x", "--spec", secure.url(host="localhost"), "-u", "a:b")
    assert text.startswith("the certificate of localhost:%d is not trusted: self" % secure.port)
    assert secure.requests == []


def test_certificate_for_another_name_is_refused(serve, tmp_path):
    files = make_cert(tmp_path, "DNS:other.example")
    s = serve(tls=context(*files))
    text = error("ch", "x", "--spec", s.url(host="localhost"), env={"SSL_CERT_FILE": files[0]})
    assert text.startswith("the certificate of localhost:%d is not trusted: " % s.port) and "ostname" in text
    assert s.requests == []


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_old_tls_is_refused(serve, cert):
    tls = context(*cert)
    tls.set_ciphers("ALL:@SECLEVEL=0")
    tls.minimum_version = ssl.TLSVersion.TLSv1
    tls.maximum_version = ssl.TLSVersion.TLSv1_1
    s = serve(tls=tls)
    assert "no TLS with localhost:" in error("ch", "x", "--spec", s.url(host="localhost"), env={"SSL_CERT_FILE": cert[0]})


def test_a_server_without_tls(server):
    url = "https://127.0.0.1:%d" % server.port
    server.answer = lambda conn: conn.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\n")
    assert error("ch", "x", "--spec", url).startswith("no TLS with 127.0.0.1:%d: " % server.port)


def test_key_of_the_url_is_a_bearer_token(secure, cert):
    env = {"SSL_CERT_FILE": cert[0]}
    assert run("ch", "x", env={"GRIP_URL": secure.url("/?key=a%2Bb"), **env})[0] == 0
    assert secure.requests.pop().headers["Authorization"] == "Bearer a+b"
    assert run("ch", "x", "-B", "mine", env={"GRIP_URL": secure.url("/?key=abc"), **env})[0] == 0
    assert secure.requests.pop().headers["Authorization"] == "Bearer mine"


@pytest.mark.parametrize("key,secret", [("base64:c2VjcmV0AP8%3D", b"secret\0\xff"), ("plain", b"plain")])
def test_iss_and_key_of_the_url_make_a_signed_token(secure, cert, key, secret):
    env = {"SSL_CERT_FILE": cert[0], "GRIP_URL": secure.url("/realm?iss=me%40x&key=" + key)}
    assert run("ch", "x", env=env)[0] == 0
    r = secure.requests.pop()
    assert r.line == "POST /realm/publish/ HTTP/1.0"
    scheme, token = r.headers["Authorization"].split(" ")
    signed, _, mac = token.rpartition(".")
    head, claims = (json.loads(base64.urlsafe_b64decode(part + "==")) for part in signed.split("."))
    assert scheme == "Bearer" and head["alg"] == "HS256" and claims["iss"] == "me@x"
    assert 0 < claims["exp"] - time.time() <= 3600
    want = hmac.new(secret, signed.encode(), hashlib.sha256).digest()
    assert mac == base64.urlsafe_b64encode(want).decode().rstrip("=")


# --- ZeroMQ


def tnet(data):
    """The value at the start of a tnetstring, and what follows."""
    size, _, rest = data.partition(b":")
    body, kind, rest = rest[:int(size)], rest[int(size):int(size) + 1], rest[int(size) + 1:]
    if kind == b",":
        return body, rest
    if kind == b"#":
        return int(body), rest
    if kind == b"!":
        return body == b"true", rest
    assert kind in (b"}", b"]"), kind
    values = []
    while body:
        value, body = tnet(body)
        values.append(value)
    return (dict(zip(values[::2], values[1::2])) if kind == b"}" else values), rest


@pytest.fixture
def zcontext():
    c = zmq.Context()
    yield c
    c.destroy(linger=0)


@pytest.fixture(params=["tcp", "ipc"])
def pull(request, zcontext, tmp_path):
    s = zcontext.socket(zmq.PULL)
    s.rcvtimeo = LIMIT * 1000
    s.bind("tcp://127.0.0.1:*" if request.param == "tcp" else "ipc://%s/pull" % tmp_path)
    return s


def received(pull):
    frames = pull.recv_multipart()
    assert len(frames) == 1
    value, rest = tnet(frames[0])
    assert rest == b""
    return value


def test_item_as_tnetstring(pull):
    spec = pull.last_endpoint.decode().rstrip("\0")
    got = run("ch", "hi", "--spec", spec, "--id=1", "-H", "A: 1", "--no-seq", "-M", "a=b")
    assert got == (0, "Published\n", "")
    assert received(pull) == {
        b"channel": b"ch", b"id": b"1", b"no-seq": True, b"meta": {b"a": b"b"},
        b"formats": {
            b"http-response": {b"code": 200, b"body": b"hi\n", b"headers": [[b"A", b"1"]]},
            b"http-stream": {b"content": b"hi\n"},
            b"ws-message": {b"content": b"hi"},
        },
    }


def test_large_bytes_are_raw_and_whole(pull, tmp_path):
    data = bytes(range(256)) * 80000
    (tmp_path / "data").write_bytes(data)
    assert run("ch", "@%s" % (tmp_path / "data"), "--spec", pull.last_endpoint.decode().rstrip("\0"))[0] == 0
    f = received(pull)[b"formats"]
    assert f[b"http-response"][b"body"] == data and f[b"http-stream"] == {b"content": data}
    assert f[b"ws-message"] == {b"content-bin": data}  # so that it is sent as a binary message


def test_localhost_is_the_ipv4_address(zcontext):
    s = zcontext.socket(zmq.PULL)
    s.rcvtimeo = LIMIT * 1000
    port = s.bind_to_random_port("tcp://127.0.0.1")
    assert run("ch", "--hint", "--spec", "tcp://localhost:%d" % port)[0] == 0
    assert received(s)[b"channel"] == b"ch"


def nobody(spec, *args):
    text = error("ch", "x", "--spec", spec, "--timeout", "0.3", *args)
    assert text == "nobody took the message at %s within 0.3 seconds" % spec


def test_nobody_listens_on_tcp_and_ipc(tmp_path):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        nobody("tcp://127.0.0.1:%d" % s.getsockname()[1])
    nobody("ipc://%s/none" % tmp_path)


def test_the_limit_without_an_option_is_5_seconds():
    with socket.create_server(("127.0.0.1", 0)) as s:
        spec = "tcp://127.0.0.1:%d" % s.getsockname()[1]
        rc, out, err = finish(start("ch", "x", "--spec", spec))
    assert (rc, out, err) == (1, "", "Error: nobody took the message at %s within 5 seconds\n" % spec)


def test_a_peer_that_accepts_and_never_shakes_hands():
    with socket.create_server(("127.0.0.1", 0)) as s:
        nobody("tcp://127.0.0.1:%d" % s.getsockname()[1])


def test_a_peer_of_the_wrong_kind(zcontext):
    s = zcontext.socket(zmq.SUB)
    nobody("tcp://127.0.0.1:%d" % s.bind_to_random_port("tcp://127.0.0.1"))


def shake_hands(conn):
    """The other side of a ZMTP 3.0 connection with a PULL socket."""
    def exactly(n):
        data = b""
        while len(data) < n:
            more = conn.recv(n - len(data))
            assert more
            data += more
        return data
    conn.sendall(b"\xff" + bytes(8) + b"\x7f\x03\x00NULL" + bytes(48))
    exactly(64)
    ready = b"\x05READY\x0bSocket-Type\x00\x00\x00\x04PULL"
    conn.sendall(b"\x04" + bytes([len(ready)]) + ready)
    exactly(exactly(2)[1])


def test_a_peer_that_stops_reading(serve, tmp_path):
    (tmp_path / "big").write_bytes(b"x" * 20000000)
    done = threading.Event()

    def stall(conn):
        shake_hands(conn)
        done.wait(LIMIT)
    s = serve(stall)
    spec = "tcp://127.0.0.1:%d" % s.port
    try:
        text = error("ch", "@%s" % (tmp_path / "big"), "--spec", spec, "--timeout=1")
        assert text == "nobody took the message at %s within 1 second" % spec
    finally:
        done.set()


def test_a_peer_that_leaves_in_the_middle(serve, tmp_path):
    (tmp_path / "big").write_bytes(b"x" * 20000000)

    def leave(conn):
        shake_hands(conn)
        conn.recv(1000)
    spec = "tcp://127.0.0.1:%d" % serve(leave).port
    text = error("ch", "@%s" % (tmp_path / "big"), "--spec", spec)
    assert text == "the peer at %s closed the connection before it had the message" % spec


def test_a_peer_that_comes_late(zcontext):
    """The server is being restarted: the first connection ends without a handshake, the next one finds it ready."""
    port = free_port()
    with socket.create_server(("127.0.0.1", port)) as early:
        p = start("ch", "x", "--timeout=%d" % LIMIT, "--spec", "tcp://127.0.0.1:%d" % port)
        early.settimeout(LIMIT)
        early.accept()[0].close()
    s = zcontext.socket(zmq.PULL)
    s.rcvtimeo = LIMIT * 1000
    s.bind("tcp://127.0.0.1:%d" % port)
    assert received(s)[b"channel"] == b"ch"
    assert finish(p) == (0, "Published\n", "")


@pytest.mark.parametrize("spec", ["localhost:5561", "nonsense", "tcp://", "xyz://1"])
def test_a_spec_that_is_none(spec):
    assert error("ch", "x", "--spec", spec).startswith("cannot connect to %s: " % spec)
