"""What docs/deployment.md has for other programs, as it stands there but for ports and paths: nginx and HAProxy before
the real daemon, the unit of systemd, logrotate. Each is skipped where its program is not installed."""

import os
import pathlib
import re
import shutil
import socket
import subprocess

import pytest

from harness import END, HOST, TEXT, Client, Frames, build_head, certificate, client_tls, free_port, hold, item, port_open, \
    unique, wait_for, ws_accept_key, ws_frame

DOCUMENT = pathlib.Path(__file__).resolve().parents[2] / "docs" / "deployment.md"
CLIENT = "127.0.0.5"        # whose connections are not those of the proxy
SBIN = os.environ["PATH"] + ":/usr/sbin:/sbin"

NGINX = """daemon off;
pid {dir}/nginx.pid;
error_log stderr;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {dir}/body;
    proxy_temp_path {dir}/proxy;
    fastcgi_temp_path {dir}/fastcgi;
    uwsgi_temp_path {dir}/uwsgi;
    scgi_temp_path {dir}/scgi;
{snippet}
}}
"""


def all_blocks(heading):
    """[(language, text)] of the fenced blocks below that heading."""
    section = re.search(r"^## %s\n(.*?)(?=^## |\Z)" % re.escape(heading), DOCUMENT.read_text(), re.M | re.S).group(1)
    return re.findall(r"^```(\w+)\n(.*?)^```", section, re.M | re.S)


def blocks(heading):
    """{language: text} of them."""
    return dict(all_blocks(heading))


def keys(ini):
    """The keys of a piece of pushpin.conf."""
    return dict(re.findall(r"^(\w+)=(.*)$", ini, re.M))


def replace(text, table):
    """Each of these is there, and is replaced."""
    for old, new in table.items():
        assert re.search(old, text), old
        text = re.sub(old, str(new), text)
    return text


def program(name):
    path = shutil.which(name, path=SBIN)
    if path is None:
        pytest.skip("%s is not installed" % name)
    return path


class Front:
    """A running proxy: the ports that clients connect to, and the daemon behind."""

    def __init__(self, argv, server, log, http=None, https=None):
        self.server, self.http, self.https = server, http, https
        with open(log, "w") as out:
            self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)
        self.log = log
        wait_for(self.up, 10, "the proxy to listen")

    def up(self):
        assert self.process.poll() is None, self.log.read_text()
        return port_open(self.https)

    def server_state(self):
        """What HAProxy thinks of pushpind: (status, what its last check showed)."""
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(str(self.log.parent / "stats"))
            s.sendall(b"show stat\n")
            names, *rows = s.makefile().read().lstrip("# ").splitlines()
        row = next(dict(zip(names.split(","), r.split(","))) for r in rows if r.startswith("pushpind,one,"))
        return row["status"], row["check_status"]

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(END)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def start_behind(start_server, origin, ini, files=None, ports=None):
    """pushpind with the keys that the page gives it."""
    config = keys(ini)
    config.update(ports or {})
    return start_server("* localhost:%d" % origin.port, {**config, "log_from": "true"}, files)


@pytest.fixture(scope="module")
def nginx(start_server, origin, tmp_path_factory):
    path, text = program("nginx"), blocks("nginx")
    folder, http, https = tmp_path_factory.mktemp("nginx"), free_port(), free_port()
    for name, pem in zip(("crt", "key"), certificate()):
        (folder / name).write_text(pem)
    server = start_behind(start_server, origin, replace(text["ini"], {r"127\.0\.0\.1:7999": "@HTTP@"}))
    snippet = replace(text["nginx"], {r"server 127\.0\.0\.1:7999": "server %s:%d" % (HOST, server.http_port),
                                      r"listen 80;": "listen %d;" % http, r"listen 443 ssl;": "listen %d ssl;" % https,
                                      r"/etc/ssl/certs/example\.com\.pem": folder / "crt",
                                      r"/etc/ssl/private/example\.com\.key": folder / "key"})
    (folder / "nginx.conf").write_text(NGINX.format(dir=folder, snippet=snippet))
    front = Front([path, "-p", str(folder), "-c", str(folder / "nginx.conf")], server, folder / "log", http, https)
    yield front
    front.stop()


def start_haproxy(folder, config, server, http, https):
    path = program("haproxy")
    config = re.sub(r"^(    maxconn 200)$", r"\1\n    stats socket %s/stats" % folder, config, flags=re.M)
    (folder / "haproxy.cfg").write_text(config)
    checked = subprocess.run([path, "-c", "-f", str(folder / "haproxy.cfg")], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert checked.returncode == 0 and "[WARNING]" not in checked.stdout, checked.stdout
    return Front([path, "-db", "-f", str(folder / "haproxy.cfg")], server, folder / "log", http, https)


@pytest.fixture(scope="module")
def haproxy(start_server, origin, tmp_path_factory):
    program("haproxy")
    text, folder, http, https = blocks("HAProxy")["haproxy"], tmp_path_factory.mktemp("haproxy"), free_port(), free_port()
    (folder / "certs").mkdir()
    (folder / "certs" / "one.pem").write_text("".join(certificate()))
    server = start_behind(start_server, origin, replace(blocks("nginx")["ini"], {r"127\.0\.0\.1:7999": "@HTTP@"}))
    config = replace(text, {r"maxconn 100000": "maxconn 200", r"bind :80\b": "bind :%d" % http, r"bind :443\b": "bind :%d" % https,
                            r"/etc/haproxy/certs/": "%s/certs/" % folder, r"127\.0\.0\.1:7999": "%s:%d" % (HOST, server.http_port)})
    front = start_haproxy(folder, config, server, http, https)
    yield front
    front.stop()


def start_passing(how, start_server, origin, folder):
    """HAProxy that tells the client's address by the PROXY protocol."""
    program("haproxy")
    text, https, inner, (cert, key) = blocks("HAProxy passing connections on"), free_port(), free_port(), certificate()
    files = {"runner/certs/default_%d.crt" % inner: cert, "runner/certs/default_%d.key" % inner: key}
    ini = replace(text["ini"], {r"127\.0\.0\.1:7999": "@HTTP@", r"8443": inner})
    server = start_behind(start_server, origin, ini, files)
    config = replace(text["haproxy"], {r"bind :443\b": "bind :%d" % https, r"127\.0\.0\.1:8443": "%s:%d" % (HOST, inner),
                                       r"port 7999": "port %d" % server.http_port, r"send-proxy-v2": how})
    return start_haproxy(folder, "global\n    maxconn 200\n" + config, server, None, https)


@pytest.fixture(scope="module")
def passing(start_server, origin, tmp_path_factory):
    front = start_passing("send-proxy-v2", start_server, origin, tmp_path_factory.mktemp("passing"))
    yield front
    front.stop()


@pytest.fixture(scope="module")
def passing_v1(start_server, origin, tmp_path_factory):
    front = start_passing("send-proxy", start_server, origin, tmp_path_factory.mktemp("passing"))
    yield front
    front.stop()


@pytest.fixture(params=["nginx", "haproxy", "passing", "passing_v1"])
def front(request):
    return request.getfixturevalue(request.param)


def connect(front):
    """A client with TLS, that is not where the proxy is."""
    return Client(front.https, tls=client_tls(), source=CLIENT)


def test_messages_arrive_as_they_are_published(front, origin):
    channel = unique()
    path = origin.serve(hold("stream", channel, body="open\n"))
    with connect(front) as c:
        c.send_request("GET", path)
        assert c.read_head().status == 200
        assert c.read_chunks(5) == b"open\n"
        for n in range(3):      # each is there before the next is published: nobody collects them
            front.server.publish(item(channel, stream="message %d\n" % n))
            assert c.read_chunks(10) == b"message %d\n" % n
        front.server.publish(item(channel, stream={"action": "close"}))
        assert c.read_chunk() == b""


def test_long_poll(front, origin):
    channel = unique()
    path = origin.serve(hold("response", channel))
    with connect(front) as c:
        c.send_request("GET", path)
        front.server.wait_subscribed(channel)
        front.server.publish(item(channel, response="news\n"))
        assert c.read_response().body == b"news\n"


def test_websocket(front, origin):
    def echo(request):
        request.conn.send(build_head("HTTP/1.1 101 Switching Protocols", {
            "Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Accept": ws_accept_key(request.get("Sec-WebSocket-Key"))}))
        frames = Frames(request.conn, False)
        kind, data = frames.recv_message()
        frames.send(kind, b"you said " + data)
        request.conn.closing = True
    path = origin.serve(echo)
    with connect(front) as c:
        key = "dGhlIHNhbXBsZSBub25jZQ=="
        c.send(build_head("GET %s HTTP/1.1" % path, [("Host", "localhost"), ("Upgrade", "websocket"), ("Connection", "Upgrade"),
                                                     ("Sec-WebSocket-Version", "13"), ("Sec-WebSocket-Key", key)]))
        head = c.read_head()
        assert head.status == 101 and head.get("Sec-WebSocket-Accept") == ws_accept_key(key)
        c.send(ws_frame(TEXT, "hello", mask=b"1234"))
        assert Frames(c, True).recv_message() == (TEXT, b"you said hello")


def test_backend_learns_who_the_client_is(front, origin):
    path = origin.serve(hold("stream", unique()))
    with connect(front) as c:
        c.send_request("GET", path, [("X-Forwarded-For", "192.0.2.1"), ("X-Forwarded-Proto", "http")], host="example.com:8080")
        assert c.read_head().status == 200
    r = origin.wait_request(path)
    assert r.get("X-Forwarded-For") == CLIENT
    assert r.get("X-Forwarded-Proto") == "https"
    assert r.get("Host") == "example.com:8080"


@pytest.mark.parametrize("name", ["passing", "passing_v1"])
def test_pushpind_logs_the_client_that_the_proxy_names(request, name, origin):
    passing = request.getfixturevalue(name)
    path = origin.serve(hold("stream", unique()))
    with connect(passing) as c:
        c.send_request("GET", path)
        assert c.read_head().status == 200
    passing.server.wait_log(r"GET https://localhost%s -> \S+ from=127\.0\.0\.5 " % re.escape(path))


@pytest.mark.parametrize("name", ["nginx", "haproxy"])
def test_plain_port(request, name, origin):
    front, path = request.getfixturevalue(name), origin.serve(hold("stream", unique()))
    with Client(front.http, source=CLIENT) as c:
        c.send_request("GET", path)
        assert c.read_head().status == 200
    assert origin.wait_request(path).get("X-Forwarded-Proto") is None
    front.server.wait_log(r"GET http://localhost%s " % re.escape(path))


@pytest.mark.parametrize("name", ["haproxy", "passing", "passing_v1"])
def test_health_check_asks_pushpind_alone(request, name, origin):
    front = request.getfixturevalue(name)
    wait_for(lambda: front.server_state() == ("UP", "L7OK"), 20, "a check")
    assert "//health/" not in front.server.logs()
    assert not [r for r in origin.requests("/") if r.get("Pushpin-Check")]


# systemd

def unit():
    return next(text for language, text in all_blocks("systemd") if language == "ini" and "[Unit]" in text)


def template():
    """The unit for several instances: some lines of the one are replaced."""
    text = unit()
    for line in blocks("Several instances on one port")["ini"].splitlines():
        name = line.partition("=")[0]
        text, n = re.subn(r"^%s=.*$" % name, lambda m: line, text, flags=re.M)
        assert n == 1, name
    return text


def verified(path):
    """What systemd says of a unit."""
    r = subprocess.run([program("systemd-analyze"), "verify", "--man=no", str(path)], stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, text=True)
    return r.returncode, r.stdout


@pytest.mark.parametrize("name,text", [("pushpind.service", unit), ("pushpind@.service", template)], ids=["one", "several"])
def test_systemd_takes_the_unit(name, text, target, tmp_path):
    plain = tmp_path / "plain.service"
    plain.write_text("[Service]\nExecStart=%s\n" % target.binary)
    if verified(plain) != (0, ""):
        pytest.skip("systemd-analyze does not work here")
    (tmp_path / name).write_text(replace(text(), {r"/usr/local/bin/pushpind": target.binary}))
    assert verified(tmp_path / name) == (0, "")


# log rotation

def test_logrotate(target, tmp_path):
    rotate = program("logrotate")
    config = replace(blocks("Log files")["logrotate"], {r"/var/log/pushpin": tmp_path, r"systemctl reload pushpind": "kill -HUP %d"})
    port, log = free_port(), tmp_path / "pushpind.log"
    (tmp_path / "pushpin.conf").write_text("[global]\nrundir=%s/run\n[runner]\nhttp_port=127.0.0.1:%d\n[handler]\npush_in_spec=\n"
                                           "push_in_sub_specs=\npush_in_http_port=-1\ncommand_spec=\nstats_spec=\n" % (tmp_path, port))
    p = subprocess.Popen([target.binary, "--config", str(tmp_path / "pushpin.conf"), "--route", "* test", "--logfile", str(log)],
                         stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        wait_for(lambda: port_open(port), 10, "the port")
        (tmp_path / "logrotate.conf").write_text(config % p.pid)
        (tmp_path / "logrotate.conf").chmod(0o644)
        r = subprocess.run([rotate, "--state", str(tmp_path / "state"), "--force", str(tmp_path / "logrotate.conf")],
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert (r.returncode, r.stdout) == (0, "")
        assert " started\n" in (tmp_path / "pushpind.log.1").read_text()
        wait_for(lambda: log.exists() and "reloading" in log.read_text(), 10, "a log file anew")
    finally:
        p.terminate()
        p.wait(END)
