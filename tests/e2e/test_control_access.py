"""Who may publish over HTTP: the token of the control port, and TLS on it."""

import json
import os
import pathlib
import re
import signal
import socket
import ssl
import subprocess

import pytest

from harness import HOST, TIMEOUT, Client, certificate, client_tls, free_port, hold, item, unique, wait_for

TOKEN = "s3cret.token~+/="


def bearer(token=TOKEN, scheme="Bearer"):
    return {"Authorization": "%s %s" % (scheme, token)}


def items(channel):
    return json.dumps({"items": [item(channel, stream="x")]})


def post(server, headers=None, channel=None, **kw):
    return server.control(body=items(channel or unique()), headers=headers or {}, **kw)


def files_of(name, port):
    return {"runner/certs/default_%d.%s" % (port, part): text for part, text in zip(("crt", "key"), certificate(name))}


def put(server, name, port):
    for path, text in files_of(name, port).items():
        path = os.path.join(server.dir, path)
        with open(path + ".new", "w") as f:
            f.write(text)
        os.rename(path + ".new", path)


def set_key(server, key, value):
    """Changes a line of the settings and has them read again."""
    path = os.path.join(server.dir, "pushpin.conf")
    with open(path) as f:
        text = f.read()
    with open(path, "w") as f:
        f.write(re.sub(r"^%s=.*$" % key, "%s=%s" % (key, value), text, flags=re.M))
    os.kill(server.pid, signal.SIGHUP)


def publish(request, *args, **env):
    full = {k: v for k, v in os.environ.items() if k not in ("GRIP_URL", "PUSHPIN_TOKEN")}
    r = subprocess.run([str(pathlib.Path(request.config.getoption("--bin")).with_name("pushpin-publish")), "--timeout=120", *args], env={**full, **env}, stdin=subprocess.DEVNULL,
                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    return r.returncode, r.stdout + r.stderr


# the token

@pytest.fixture(scope="module")
def guarded(start_server):
    return start_server("* test", {"push_in_http_token": TOKEN})


@pytest.mark.parametrize("headers", [{}, bearer("wrong"), bearer(TOKEN[:-1]), bearer(TOKEN + "x"), bearer(""), bearer(scheme="Basic"),
                                     bearer(TOKEN.upper()), {"Authorization": TOKEN}, {"X-Authorization": "Bearer " + TOKEN}])
def test_who_does_not_bring_the_token_is_told_what_to_do(guarded, headers):
    r = post(guarded, headers)
    assert (r.status, r.reason, r.get("WWW-Authenticate"), r.get("Content-Type")) == (401, "Unauthorized", "Bearer", "text/plain")
    assert r.body.startswith(b"Unauthorized: send the header 'Authorization: Bearer TOKEN'") and r.body.count(b"\n") == 1


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "Bearer  "])
def test_token_admits(guarded, scheme):
    channel = unique()
    assert post(guarded, bearer(scheme=scheme), channel).body == b"Published\n"
    guarded.wait_log("publish channel=%s " % channel)


@pytest.mark.parametrize("method,path,headers,status", [
    ("POST", "/recover", {"Content-Length": "0"}, 200), ("GET", "/publish", {}, 405), ("OPTIONS", "/publish", {}, 405),
    ("HEAD", "/publish", {}, 405), ("GET", "/nowhere", {}, 404), ("GET", "/", {"Accept": "image/png"}, 406),
    ("POST", "/publish", {"Content-Length": "99999999"}, 413)])
def test_token_comes_first(guarded, method, path, headers, status):
    if path != "/":
        r = guarded.control(method, path, headers=headers)
        assert r.status == 401 and (r.body == b"") == (method == "HEAD")
    assert guarded.control(method, path, headers={**headers, **bearer()}).status == status


def test_root_can_be_looked_at(guarded):
    assert guarded.control("GET", "/").body == b"Pushpin API\n"
    assert guarded.control("POST", "/", headers={"Content-Length": "1"}, body=b"x").status == 401


def test_nothing_is_published_and_the_log_names_the_peer_not_the_token(guarded):
    channel, wrong = unique(), "wr0ng-" + unique()
    post(guarded, bearer(wrong), channel)
    post(guarded, bearer())
    wait_for(lambda: guarded.logs().count("code=200"), what="the second answer")
    assert re.search(r"^\[INFO\] .*control: POST /publish/ code=401 \d+ from=127\.0\.0\.1$", guarded.logs(), re.M)
    for text in channel, wrong, TOKEN:
        assert text not in guarded.logs()


def test_token_of_a_file_is_read_again(start_server):
    s = start_server("* test", {"push_in_http_token": "file:push.token"}, {"push.token": "one\n"})
    assert post(s, bearer("one")).status == 200 and post(s, bearer("two")).status == 401
    path = os.path.join(s.dir, "push.token")
    with open(path, "w") as f:
        f.write("two\n")
    os.kill(s.pid, signal.SIGHUP)
    wait_for(lambda: post(s, bearer("two")).status == 200, what="the new token")
    assert post(s, bearer("one")).status == 401
    os.unlink(path)
    os.kill(s.pid, signal.SIGHUP)
    s.wait_log(r"^\[ERR\] .*push_in_http_token cannot be read: .*push\.token: No such file or directory; the old token stays$", flags=re.M)
    assert post(s, bearer("two")).status == 200 and post(s).status == 401
    set_key(s, "push_in_http_token", "")
    wait_for(lambda: post(s).status == 200, what="the token to be gone")


@pytest.mark.parametrize("value,why", [("file:none", "No such file or directory"), ("base64:!", "bad base64 text"), ("a b", "has spaces")])
def test_bad_token_is_no_start(target, tmp_path, value, why):
    port = free_port()
    (tmp_path / "routes").write_text("* test\n")
    (tmp_path / "pushpin.conf").write_text("[global]\nrundir=%s\n[runner]\nhttp_port=%d\n[handler]\npush_in_http_port=%d\npush_in_http_token=%s\n"
                                           % (tmp_path, free_port(), port, value))
    for args in [["--check"], []]:
        r = subprocess.run([target.binary, *args, "--config=" + str(tmp_path / "pushpin.conf")], timeout=TIMEOUT,
                           stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert r.returncode == 1 and re.search(r"^\[ERR\] .*push_in_http_token cannot be read: .*%s" % why, r.stdout, re.M), r.stdout


def test_publish_tool_brings_the_token(guarded, request):
    url = "http://localhost:%d" % guarded.control_port
    assert publish(request, "c", "x", "--spec", url, "--token", TOKEN) == (0, "Published\n")
    assert publish(request, "c", "x", "--spec", "http://127.0.0.1:%d" % guarded.control_port, PUSHPIN_TOKEN=TOKEN) == (0, "Published\n")
    assert publish(request, "c", "x", "--token", TOKEN, GRIP_URL=url, PUSHPIN_TOKEN="other") == (0, "Published\n")
    for env in {}, {"PUSHPIN_TOKEN": "wrong"}:
        rc, text = publish(request, "c", "x", "--spec", url, **env)
        assert rc == 1 and text.startswith("Error: Unauthorized: send the header"), text


# TLS

def start_secure(start_server, name, routes="* test", **config):
    """A server whose control port speaks TLS and is a port that is known before, for the certificate's name."""
    port = free_port()
    s = start_server(routes, {"push_in_http_port": port, "push_in_http_tls": "true", "port_offset": 0, "push_in_spec": "",
                              "push_in_sub_specs": "", "command_spec": "", **config}, files_of(name, port))
    s.control_port = port
    return s


def shown(server):
    with Client(server.control_port, tls=client_tls()) as c:
        return ssl.DER_cert_to_PEM_cert(c.sock.getpeercert(True)).split()


@pytest.fixture(scope="module")
def secure(start_server, origin):
    return start_secure(start_server, "localhost", "* localhost:%d" % origin.port, push_in_http_token=TOKEN)


def test_publishing_over_tls(secure, origin):
    channel = unique()
    with Client(secure.http_port) as c, Client(secure.control_port, tls=client_tls(certificate("localhost")[0])) as p:
        c.send_request("GET", origin.serve(hold("stream", channel, body="o")))
        assert c.read_head().chunked and c.read_chunk() == b"o"
        for text in "one", "two":
            r = p.request("POST", "/publish", {"Connection": "keep-alive", **bearer()}, json.dumps({"items": [item(channel, stream=text)]}))
            assert r.body == b"Published\n"
            assert c.read_chunk() == text.encode()
        r = p.request("POST", "/publish", {"Connection": "keep-alive"}, items(channel))
        assert (r.status, r.get("WWW-Authenticate")) == (401, "Bearer")


def test_large_item_over_tls(secure):
    body = json.dumps({"items": [item(unique(), stream="x" * 900000)]})
    with Client(secure.control_port, tls=client_tls()) as p:
        assert p.request("POST", "/publish", bearer(), body).body == b"Published\n"


def test_plain_http_to_the_tls_port(secure):
    with socket.create_connection((HOST, secure.control_port), TIMEOUT) as s:
        s.sendall(b"POST /publish HTTP/1.1\r\nContent-Length: 12\r\n\r\n{\"items\":[]}")
        got = b""
        try:
            while True:
                piece = s.recv(4096)
                if not piece:
                    break
                got += piece
        except ConnectionResetError:
            pass
    assert b"Published" not in got
    with Client(secure.control_port, tls=client_tls()) as c:
        assert c.get("/").body == b"Pushpin API\n"


def test_publish_tool_over_tls(secure, request, tmp_path):
    (tmp_path / "ca.crt").write_text(certificate("localhost")[0])
    url = "https://localhost:%d" % secure.control_port
    trust = {"SSL_CERT_FILE": str(tmp_path / "ca.crt")}
    for args, env in ((["--bearer", TOKEN], {}), (["--token", TOKEN], {}), ([], {"PUSHPIN_TOKEN": TOKEN})):
        assert publish(request, "c", "x", "--spec", url, *args, **trust, **env) == (0, "Published\n")
    assert publish(request, "c", "x", GRIP_URL=url + "/?key=" + TOKEN.replace("+", "%2B"), PUSHPIN_TOKEN="other",
                   **trust) == (0, "Published\n")
    rc, text = publish(request, "c", "x", "--spec", url, "--token", TOKEN)
    assert rc == 1 and "is not trusted" in text


def test_certificate_of_the_control_port_is_read_again(start_server):
    s = start_secure(start_server, "one.test")
    assert shown(s) == certificate("one.test")[0].split()
    put(s, "two.test", s.control_port)
    wait_for(lambda: shown(s) == certificate("two.test")[0].split(), what="the new certificate")
    put(s, "three.test", s.control_port)
    os.kill(s.pid, signal.SIGHUP)
    s.wait_log("certificate default_%d read again" % s.control_port)
    wait_for(lambda: shown(s) == certificate("three.test")[0].split(), what="the third certificate")


def test_no_certificate_is_no_start(target, tmp_path):
    port = free_port()
    (tmp_path / "routes").write_text("* test\n")
    (tmp_path / "pushpin.conf").write_text(
        "[global]\nrundir=%s\nport_offset=1\n[runner]\nhttp_port=%d\n[handler]\npush_in_http_port=%d\npush_in_http_tls=true\n"
        % (tmp_path, free_port(), port - 1))
    certs = tmp_path / "runner" / "certs"
    certs.mkdir(parents=True)

    def run(*args):
        return subprocess.run([target.binary, *args, "--config=" + str(tmp_path / "pushpin.conf")], timeout=TIMEOUT,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    message = r"^\[ERR\] .*push_in_http_tls: there is no certificate for port %d that can be used: it would be default_%d.crt" % (port, port)
    for args in [["--check"], []]:
        r = run(*args)
        assert r.returncode == 1 and re.search(message, r.stdout, re.M), r.stdout
    for part, text in zip(("crt", "key"), certificate("a.test")):
        (certs / ("default_%d.%s" % (port, part))).write_text(text)
    assert run("--check").returncode == 0
    (certs / ("default_%d.key" % port)).write_text(certificate("b.test")[1])
    for args in [["--check"], []]:
        r = run(*args)
        assert r.returncode == 1 and re.search(message, r.stdout, re.M) and "does not belong" in r.stdout, r.stdout
