"""TLS and the PROXY protocol: what becomes of certificates, handshakes, sessions and streams when things do not go well."""

import hashlib
import os
import re
import signal
import socket
import ssl
import struct
import subprocess
import threading
import time

import pytest

from harness import (HOST, TIMEOUT, Client, Closed, Reply, certificate, client_tls, free_port, hold, item, server_tls, unique,
                     wait_for)

OK = Reply(200, {}, "ok")
LONG = 120      # seconds for what moves many bytes


def pair(name, file):
    """The files of a certificate as start_server() takes them."""
    cert, key = certificate(name)
    return {"runner/certs/%s.crt" % file: cert, "runner/certs/%s.key" % file: key}


def put(server, name, file, parts=("crt", "key")):
    """Replaces a certificate's files, each at once."""
    for part, text in zip(("crt", "key"), certificate(name)):
        path = os.path.join(server.dir, "runner/certs", "%s.%s" % (file, part))
        if part in parts:
            with open(path + ".new", "w") as f:
                f.write(text)
            os.rename(path + ".new", path)


def shown(port, name="localhost"):
    """The certificate that a listener shows, in PEM."""
    with Client(port, tls=client_tls(), server_name=name) as c:
        return ssl.DER_cert_to_PEM_cert(c.sock.getpeercert(True))


def same(pem, name):
    return pem.split() == certificate(name)[0].split()


def free_of(server):
    """A server's first TLS port."""
    return int(server.config["https_ports"].split(",")[0])


def tls_versions(version):
    ctx = client_tls()
    ctx.minimum_version = ctx.maximum_version = version
    return ctx


@pytest.fixture(scope="module")
def server(start_server, start_origin, origin):
    """One for most tests, for ports are few: a TLS port, and behind a proxy another one and the HTTP port."""
    port, proxied = free_port(), free_port()
    tls_origin = start_origin(tls=server_tls("localhost"))
    s = start_server("* localhost:%d\ntls-origin.test localhost:%d,ssl,insecure" % (origin.port, tls_origin.port),
                     {"https_ports": "%d,%d" % (port, proxied), "proxy_protocol_ports": "@HTTP@,%d" % proxied,
                      "proxy_protocol_trusted": "192.0.2.0/24, 127.0.0.0/8", "x_forwarded_for": "append", "log_from": "true"},
                     {**pair("default.test", "default_%d" % port), **pair("proxied.test", "default_%d" % proxied)})
    s.tls_origin, s.proxied_port = tls_origin, proxied
    return s


@pytest.fixture(scope="module")
def port(server):
    return free_of(server)


# certificates

def test_changed_certificate_is_shown(start_server, origin):
    port = free_port()
    s = start_server("* localhost:%d" % origin.port, {"https_ports": port}, {**pair("one.test", "default_%d" % port),
                                                                             **pair("old.test", "named.test")})
    assert same(shown(port), "one.test") and same(shown(port, "named.test"), "old.test")
    put(s, "two.test", "default_%d" % port)
    wait_for(lambda: same(shown(port), "two.test"), what="the new certificate")
    assert same(shown(port, "named.test"), "old.test")
    put(s, "fresh.test", "later.test")
    assert same(shown(port, "later.test"), "fresh.test")
    for part in "crt", "key":
        os.unlink(os.path.join(s.dir, "runner/certs/named.test." + part))
    wait_for(lambda: same(shown(port, "named.test"), "two.test"), what="the default in place of what is gone")


def test_half_replaced_certificate_leaves_the_old_one(start_server, origin):
    port = free_port()
    file = "default_%d" % port
    s = start_server("* localhost:%d" % origin.port, {"https_ports": port}, pair("one.test", file))
    put(s, "two.test", file, ["crt"])
    wait_for(lambda: same(shown(port), "one.test") and "the old one stays" in s.logs(), what="the warning")
    assert re.search(r"^\[WARN\] .* certificate %s cannot be used, the old one stays: .*the key does not belong" % file,
                     s.logs(), re.M)
    put(s, "two.test", file, ["key"])
    wait_for(lambda: same(shown(port), "two.test"), what="the new certificate")


def test_hup_reads_certificates_without_a_handshake(start_server, origin):
    port = free_port()
    file = "default_%d" % port
    s = start_server("* localhost:%d" % origin.port, {"https_ports": port}, pair("one.test", file))
    assert same(shown(port), "one.test")
    put(s, "two.test", file)
    os.kill(s.pid, signal.SIGHUP)
    s.wait_log("certificate %s read again" % file)
    assert same(shown(port), "two.test")


def test_connection_outlives_its_certificate(start_server, origin):
    port = free_port()
    file = "default_%d" % port
    s = start_server("* localhost:%d" % origin.port, {"https_ports": port}, pair("one.test", file))
    with Client(port, tls=client_tls()) as c:
        assert c.get(origin.serve(OK)).body == b"ok"
        put(s, "two.test", file)
        os.kill(s.pid, signal.SIGHUP)
        s.wait_log("certificate %s read again" % file)
        assert c.get(origin.serve(OK)).body == b"ok"


def test_name_without_certificate_gets_the_alert(start_server, origin):
    port = free_port()
    s = start_server("* localhost:%d" % origin.port, {"https_ports": port}, pair("named.test", "named.test"))
    assert re.search(r"^\[WARN\] .*default_%d" % port, s.logs(), re.M)
    assert same(shown(port, "NAMED.test"), "named.test")
    for name in "other.test", "a.named.test", None:
        with pytest.raises(ssl.SSLError) as e:
            shown(port, name)
        assert e.value.reason == "TLSV1_UNRECOGNIZED_NAME"


def test_check_tells_of_bad_certificates(target, tmp_path):
    (tmp_path / "routes").write_text("* test\n")
    (tmp_path / "pushpin.conf").write_text("[runner]\nhttps_ports=8443\n[proxy]\nroutesfile=routes\n")
    certs = tmp_path / "runner" / "certs"
    certs.mkdir(parents=True)

    def check():
        return subprocess.run([target.binary, "--check", "--config=" + str(tmp_path / "pushpin.conf")], timeout=TIMEOUT,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    r = check()
    assert r.returncode == 0 and re.search(r"^\[WARN\] .*default_8443", r.stdout, re.M), r.stdout
    for part, text in zip(("crt", "key"), certificate("a.test")):
        (certs / ("default_8443." + part)).write_text(text)
    r = check()
    assert r.returncode == 0 and "[WARN]" not in r.stdout, r.stdout
    (certs / "broken.test.crt").write_text("nothing")
    (certs / "other.test.crt").write_text(certificate("b.test")[0])
    (certs / "other.test.key").write_text(certificate("a.test")[1])
    (certs / "alone.test.crt").write_text(certificate("b.test")[0])
    r = check()
    assert r.returncode == 1
    for name, why in ("broken.test", "no start line"), ("other.test", "does not belong"), ("alone.test", "No such file"):
        assert re.search(r"^\[ERR\] .*certificate %s: .*%s" % (name, why), r.stdout, re.M), r.stdout


# handshakes

@pytest.mark.parametrize("offered,chosen", [(["h2", "http/1.1"], "http/1.1"), (["http/1.1"], "http/1.1"), (["http/1.0", "x"], "http/1.0"), (None, None)])
def test_alpn(port, origin, offered, chosen):
    ctx = client_tls()
    if offered:
        ctx.set_alpn_protocols(offered)
    with Client(port, tls=ctx) as c:
        assert c.sock.selected_alpn_protocol() == chosen
        assert c.get(origin.serve(OK)).body == b"ok"


@pytest.mark.parametrize("offered", [["h2"], ["h3", "h2", "spdy/1"]])
def test_client_that_offers_only_other_protocols_is_told_so(port, origin, offered):
    """By alert 120 (no_application_protocol), and those who speak ours are served on."""
    ctx = client_tls()
    ctx.set_alpn_protocols(offered)
    with pytest.raises(ssl.SSLError, match="(?i)no.application.protocol"):
        Client(port, tls=ctx)
    with Client(port, tls=client_tls()) as c:
        assert c.get(origin.serve(OK)).body == b"ok"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=lambda v: v.name)
def test_versions_that_are_spoken(port, origin, version):
    with Client(port, tls=tls_versions(version)) as c:
        assert c.sock.version() == version.name.replace("_", ".")
        assert c.get(origin.serve(OK)).body == b"ok"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_older_versions_are_refused(port):
    ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    ctx.check_hostname, ctx.verify_mode = False, ssl.CERT_NONE
    ctx.set_ciphers("ALL:@SECLEVEL=0")
    ctx.minimum_version = ctx.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(ssl.SSLError):
        Client(port, tls=ctx)


def hello():
    """The first bytes of a client's handshake."""
    out = ssl.MemoryBIO()
    o = client_tls().wrap_bio(ssl.MemoryBIO(), out, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        o.do_handshake()
    return out.read()


@pytest.fixture(scope="module")
def hasty(start_server, origin):
    """A server that gives clients a second."""
    tls, proxied = free_port(), free_port()
    return start_server("* localhost:%d" % origin.port,
                        {"https_ports": "%d,%d" % (tls, proxied), "client_idle_timeout": 1, "proxy_protocol_ports": proxied,
                         "proxy_protocol_trusted": "127.0.0.0/8"}, pair("default.test", "default_%d" % tls))


def trickle(port, data):
    """Sends byte for byte until the server closes; how long that took."""
    start = time.monotonic()
    with socket.create_connection((HOST, port)) as s:
        for i in range(len(data)):
            try:
                s.sendall(data[i:i + 1])
                s.settimeout(0.1)
                if s.recv(100) == b"":
                    return time.monotonic() - start
            except TimeoutError:
                continue
            except ConnectionError:
                return time.monotonic() - start
    raise AssertionError("not closed")


def test_trickled_handshake_is_cut(hasty):
    assert trickle(free_of(hasty), hello()) > 0.9


def test_silent_client_is_cut(hasty):
    with socket.create_connection((HOST, free_of(hasty))) as s:
        s.settimeout(TIMEOUT)
        assert s.recv(1) == b""


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=lambda v: v.name)
def test_session_is_resumed(port, origin, version):
    ctx = tls_versions(version)
    with Client(port, tls=ctx) as c:
        assert not c.sock.session_reused
        assert c.get(origin.serve(OK)).body == b"ok"
        session = c.sock.session
    sock = ctx.wrap_socket(socket.create_connection((HOST, port)), server_hostname="localhost", session=session)
    with sock:
        assert sock.session_reused
        sock.sendall(b"GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n" % origin.serve(OK).encode())
        sock.settimeout(TIMEOUT)
        assert sock.recv(1000).startswith(b"HTTP/1.1 200")


def test_renegotiation_is_refused(port):
    r = subprocess.run(["openssl", "s_client", "-connect", "%s:%d" % (HOST, port), "-tls1_2"], input=b"R\n", timeout=LONG,
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert b"no renegotiation" in r.stdout or b"handshake failure" in r.stdout, r.stdout[-500:]


# streams

def test_last_answer_ends_with_the_end_of_tls(port, origin):
    sock = client_tls().wrap_socket(socket.create_connection((HOST, port)), server_hostname="localhost", suppress_ragged_eofs=False)
    with sock:
        sock.settimeout(TIMEOUT)
        sock.sendall(b"GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n" % origin.serve(OK).encode())
        data = b""
        while True:
            some = sock.recv(1000)      # without the end: SSLEOFError
            if not some:
                break
            data += some
        assert data.endswith(b"\r\n\r\nok")


def test_many_requests_in_one_record(port, origin):
    p = origin.serve(OK)
    with Client(port, tls=client_tls()) as c:
        c.send(b"GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n" % p.encode() * 50)
        for _ in range(50):
            assert c.read_response().body == b"ok"


def test_head_in_records_of_one_byte(port, origin):
    with Client(port, tls=client_tls()) as c:
        for b in b"GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n" % origin.serve(OK).encode():
            c.send(bytes([b]))
        assert c.read_response().body == b"ok"


def digest_of(stream, n):
    """Reads n bytes of a body without keeping them."""
    h, first = hashlib.sha256(), stream.buf[:n]
    h.update(first)
    n -= len(first)
    stream.sock.settimeout(LONG)
    while n > 0:
        some = stream.sock.recv(min(n, 262144))
        assert some, "%d bytes are missing" % n
        h.update(some)
        n -= len(some)
    return h.digest()


def pattern(n):
    return hashlib.shake_128(b"pattern").digest(65536) * (n // 65536)


@pytest.fixture(params=["localhost", "tls-origin.test"])
def both(request, server, port, origin):
    """A TLS port before a plain origin and before a TLS origin: (the port, the host to ask for, the origin)."""
    return port, request.param, origin if request.param == "localhost" else server.tls_origin


class Sender(threading.Thread):
    """Sends much on a thread of its own; .sent grows as it goes."""

    def __init__(self, stream, data):
        super().__init__(daemon=True)
        self.stream, self.data, self.sent = stream, memoryview(data), 0
        self.start()

    def run(self):
        while self.sent < len(self.data):
            self.stream.sock.settimeout(LONG)
            self.sent += self.stream.sock.send(self.data[self.sent:self.sent + 65536])

    def stalls(self):
        """Waits until it has not moved for a while; how much it has sent."""
        seen, since, end = -1, 0, time.monotonic() + LONG
        while time.monotonic() < end:
            if self.sent != seen:
                seen, since = self.sent, time.monotonic()
            elif time.monotonic() - since > 0.7:
                return seen
            time.sleep(0.02)
        raise AssertionError("never stalls")


def test_upload_waits_for_a_slow_origin(both):
    port, host, origin = both
    data, go, got = pattern(24 << 20), threading.Event(), []

    def handler(request):
        go.wait(LONG)
        got.append(digest_of(request.conn, len(data)))
        request.conn.closing = True
        return OK
    p = origin.serve(handler, early=True)
    with Client(port, tls=client_tls()) as c:
        c.send(b"POST %s HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n\r\n" % (p.encode(), host.encode(), len(data)))
        sender = Sender(c, data)
        assert sender.stalls() < len(data)
        go.set()
        sender.join(LONG)
        assert c.read_response(timeout=LONG).status == 200
    assert got == [hashlib.sha256(data).digest()]


def test_download_waits_for_a_slow_client(both):
    port, host, origin = both
    data, senders = pattern(24 << 20), []

    def handler(request):
        request.conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(data))
        senders.append(Sender(request.conn, data))
        senders[0].join(LONG)
    p = origin.serve(handler)
    with Client(port, tls=client_tls(), rcvbuf=65536) as c:
        c.send_request("GET", p, host=host)
        wait_for(lambda: senders, what="the request at the origin")
        assert senders[0].stalls() < len(data)
        assert c.read_head().status == 200
        assert digest_of(c, len(data)) == hashlib.sha256(data).digest()


def test_published_items_arrive_in_order_and_whole(server, port, origin):
    ch = unique()
    texts = ["%d:%s\n" % (i, "x" * (i * 37 % 5000)) for i in range(200)]
    with Client(port, tls=client_tls()) as c:
        c.send_request("GET", origin.serve(hold("stream", ch, body="o")))
        assert c.read_head().chunked
        assert c.read_chunk() == b"o"
        server.wait_subscribed(ch)
        for i in range(0, 200, 20):
            server.publish(*[item(ch, stream=t) for t in texts[i:i + 20]])
        want = "".join(texts).encode()
        assert c.read_chunks(len(want)) == want


# origins

@pytest.fixture(scope="module")
def trusted(tmp_path_factory):
    """The system trusts the certificate of good.test, and 127.0.0.1's."""
    path = tmp_path_factory.mktemp("roots") / "roots.pem"
    path.write_text(certificate("good.test")[0])
    old = os.environ.get("SSL_CERT_FILE")
    os.environ["SSL_CERT_FILE"] = str(path)
    yield path
    if old is None:
        del os.environ["SSL_CERT_FILE"]
    else:
        os.environ["SSL_CERT_FILE"] = old


@pytest.fixture(scope="module")
def origins(trusted, start_server, start_origin, origin):
    """A server before a plain origin and TLS origins: (server, TLS origin that the system trusts)."""
    good, bad = start_origin(tls=server_tls("good.test")), start_origin(tls=server_tls("bad.test"))
    silent, rude = socket.create_server((HOST, 0)), socket.create_server((HOST, 0))

    def answer():
        while True:
            try:
                c = rude.accept()[0]
            except OSError:
                return
            c.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            c.close()
    threading.Thread(target=answer, daemon=True).start()
    s = start_server("""
good.test localhost:{good},ssl
named.test localhost:{good},ssl,host=good.test:99
connect.test localhost:{good},ssl,trust_connect_host localhost:{plain}
other.test localhost:{good},ssl localhost:{plain}
insecure.test localhost:{good},ssl,insecure
bad.test localhost:{bad},ssl localhost:{plain}
plain.test localhost:{rude},ssl localhost:{plain}
only.test localhost:{bad},ssl
""".format(good=good.port, bad=bad.port, plain=origin.port, rude=rude.getsockname()[1]),
                     {"origin_connect_timeout": LONG, "debug": "true"})
    s.hasty = start_server("silent.test localhost:%d,ssl localhost:%d" % (silent.getsockname()[1], origin.port),
                           {"origin_connect_timeout": 1, "debug": "true"})
    yield s, good
    silent.close()
    rude.close()


@pytest.mark.parametrize("host", ["good.test", "named.test", "insecure.test"])
def test_origin_with_a_good_certificate(origins, host):
    s, good = origins
    p = good.serve(OK)
    assert s.get(p, host=host).body == b"ok"
    assert good.requests(p)[0].get("Host") == ("good.test:99" if host == "named.test" else host)


@pytest.mark.parametrize("host,why", [
    ("bad.test", "TLS handshake failed: certificate verify failed: self-signed certificate"),
    ("other.test", "TLS handshake failed: certificate verify failed: hostname mismatch"),
    ("connect.test", "TLS handshake failed: certificate verify failed: hostname mismatch"),
    ("plain.test", "TLS handshake failed: wrong version number"),
    ("silent.test", "connection or TLS handshake timed out"),
])
def test_bad_tls_origin_leads_to_the_next_target(origins, origin, host, why):
    s, good = origins
    s = s.hasty if host == "silent.test" else s
    p = origin.serve(OK)
    assert s.get(p, host=host, timeout=LONG).body == b"ok"
    assert good.requests(p) == []
    s.wait_log("target localhost:[0-9]+ failed: " + why)


def test_no_target_is_left(origins):
    s, _ = origins
    r = s.get("/x", host="only.test")
    assert r.status == 502 and b"Unable to connect to any targets. Tried: localhost:" in r.body


def test_verified_and_unverified_connections_are_kept_apart(origins, origin):
    """A connection, or a session, that was made without a look at the certificate is no way around it."""
    s, good = origins
    p = good.serve(OK)
    origin.serve(Reply(200, {}, "plain"), path=p)
    for _ in range(2):
        assert s.get(p, host="insecure.test").body == b"ok"
        assert s.get(p, host="other.test").body == b"plain"
        assert s.get(p, host="good.test").body == b"ok"


def test_session_with_an_origin_is_resumed(origins):
    s, good = origins
    reused = []

    def handler(request):
        reused.append(request.conn.sock.session_reused)
        request.conn.closing = True
        return Reply(200, {"Connection": "close"}, "ok")
    p = good.serve(handler)
    for _ in range(3):
        assert s.get(p, host="named.test").body == b"ok"
    assert reused[1:] == [True, True]


@pytest.mark.parametrize("said", [True, False], ids=["with the end of TLS", "cut"])
def test_body_until_close_needs_the_end_of_tls(origins, said):
    s, good = origins

    def handler(request):
        request.conn.closing = True
        request.conn.send(b"HTTP/1.1 200 OK\r\n\r\nbody")
        if said:
            request.conn.sock.unwrap()
        else:
            request.conn.sock.shutdown(socket.SHUT_RDWR)
    p = good.serve(handler)
    with s.client() as c:
        c.send_request("GET", p, host="good.test")
        if said:
            assert c.read_response().body == b"body"
        else:
            with pytest.raises(Closed):
                c.read_response()


# the PROXY protocol

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def v2(command, family, payload):
    return SIGNATURE + bytes([0x20 | command, family]) + struct.pack(">H", len(payload)) + payload


def addresses(source, family=socket.AF_INET):
    to = "198.51.100.2" if family == socket.AF_INET else "::2"
    return socket.inet_pton(family, source) + socket.inet_pton(family, to) + struct.pack(">HH", 1234, 443)


GOOD = {
    "v1 IPv4": (b"PROXY TCP4 192.0.2.7 198.51.100.2 56324 443\r\n", "192.0.2.7"),
    "v1 IPv6": (b"PROXY TCP6 2001:DB8::7 ::2 56324 443\r\n", "2001:db8::7"),
    "v1 unknown": (b"PROXY UNKNOWN\r\n", "127.0.0.1"),
    "v2 IPv4": (v2(1, 0x11, addresses("192.0.2.7")), "192.0.2.7"),
    "v2 IPv6": (v2(1, 0x21, addresses("2001:db8::7", socket.AF_INET6)), "2001:db8::7"),
    "v2 with extras": (v2(1, 0x11, addresses("192.0.2.7") + b"\x04\x00\x03abc"), "192.0.2.7"),
    "v2 local": (v2(0, 0, b""), "127.0.0.1"),
}
BAD = {
    "no header": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "v1 bad address": b"PROXY TCP4 1.2.3.999 198.51.100.2 1 2\r\n",
    "v1 bare LF": b"PROXY TCP4 1.2.3.4 198.51.100.2 1 2\n",
    "v1 endless": b"PROXY UNKNOWN " + b"x" * 200,
    "v2 bad version": SIGNATURE + b"\x31\x11\0\0",
    "v2 short addresses": v2(1, 0x11, b"1234"),
    "v2 too long": SIGNATURE + b"\x21\x11\xff\xff",
}


def connect(server, tls, header, step=None):
    """A client behind a proxy that sends the header first, STEP bytes at a time."""
    c = Client(server.proxied_port if tls else server.http_port)
    for i in range(0, len(header), step or len(header)):
        c.send(header[i:i + (step or len(header))])
    if tls:
        c.sock = client_tls().wrap_socket(c.sock, server_hostname="localhost")
    return c


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
@pytest.mark.parametrize("kind", GOOD)
def test_proxy_header(server, origin, kind, tls):
    header, address = GOOD[kind]
    for step in None, 1:
        p = origin.serve(OK)
        with connect(server, tls, header, step) as c:
            for _ in range(2):
                assert c.get(p).body == b"ok"
        assert [r.get("X-Forwarded-For") for r in origin.requests(p)] == [address] * 2
    server.wait_log("%s .*from=%s" % (p, re.escape(address)))


def test_proxy_header_and_request_in_one_piece(server, origin):
    p = origin.serve(OK)
    with Client(server.http_port) as c:
        c.send(GOOD["v1 IPv4"][0] + b"GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n" % p.encode())
        assert c.read_response().body == b"ok"
    assert origin.requests(p)[0].get("X-Forwarded-For") == "192.0.2.7"


@pytest.mark.parametrize("kind", BAD)
def test_bad_proxy_header_is_cut(server, kind):
    with Client(server.http_port) as c:
        c.send(BAD[kind])
        c.closed()
    server.wait_log(r"connection refused from=127\.0\.0\.1: .*PROXY")


def test_proxy_header_cut_short(server):
    with Client(server.http_port) as c:
        c.send(b"PROXY TCP4 192.0")
        c.shutdown_write()
        c.closed()


def test_proxy_header_of_a_stranger_is_cut(start_server, origin):
    s = start_server("* localhost:%d" % origin.port, {"proxy_protocol_ports": "@HTTP@", "proxy_protocol_trusted": "192.0.2.0/24"})
    with Client(s.http_port) as c:
        c.closed()
    s.wait_log(r"connection refused from=127\.0\.0\.1: .*proxy_protocol_trusted")


def test_trickled_proxy_header_is_cut(hasty):
    proxied = int(hasty.config["https_ports"].split(",")[1])
    assert trickle(proxied, GOOD["v1 IPv4"][0]) > 0.9


def test_other_ports_need_no_proxy_header(hasty, origin):
    assert hasty.get(origin.serve(OK)).body == b"ok"
