"""Slow, silent, greedy and malformed peers on every side: those who behave notice nothing of it."""

import os
import random
import re
import resource
import selectors
import signal
import socket
import struct
import subprocess
import threading
import time

import pytest

from harness import END, HOST, TIMEOUT, Client, Closed, Reply, Target, build_request, free_port, hold, item, port_open, unique, wait_for

LONG = 300      # for what takes its time with thousands of clients and a sanitizer


@pytest.fixture(scope="module")
def server(start_server, origin):
    return start_server("* localhost:%d" % origin.port,
                        {"update_on_first_subscription": "false", "message_rate": "0", "connection_queue_max": "1000000"})


@pytest.fixture(autouse=True)
def more_descriptors():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def open_stream(server, path, **kw):
    """A client whose stream is open and whose first part, "open\\n", has been read."""
    c = server.client(**kw)
    c.send_request("GET", path)
    assert c.read_head(LONG).status == 200
    assert c.read_chunks(5, LONG) == b"open\n"
    return c


def cpu_seconds(pid):
    with open("/proc/%d/stat" % pid) as f:
        fields = f.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def check_no_spin(server):
    """The program sleeps while nothing happens, once it has done what it was given to do."""
    for _ in range(20):
        before = cpu_seconds(server.pid)
        time.sleep(0.5)
        took = cpu_seconds(server.pid) - before
        if took < 0.2:
            return
    raise AssertionError("%g s of CPU in half a second, again and again" % took)


def descriptors(pid):
    return len(os.listdir("/proc/%d/fd" % pid))


class Crowd:
    """Many streams on one channel, read all at once."""

    def __init__(self, server, path, n):
        self.selector = selectors.DefaultSelector()
        self.socks = []
        self.got = {}
        request = build_request("GET", path)
        for _ in range(n):
            s = socket.create_connection((HOST, server.http_port), LONG)
            s.setblocking(False)
            s.send(request)
            self.socks.append(s)
            self.got[s] = bytearray()
            self.selector.register(s, selectors.EVENT_READ)

    def read_until(self, done, what):
        """Reads on all of them until done(bytes of one) holds for all."""
        end = time.monotonic() + LONG
        missing = {s for s in self.socks if not done(self.got[s])}
        while missing:
            assert time.monotonic() < end, "%d of %d never got %s" % (len(missing), len(self.socks), what)
            for key, _ in self.selector.select(0.1):
                data = key.fileobj.recv(262144)
                assert data, "closed"
                self.got[key.fileobj] += data
                if done(self.got[key.fileobj]):
                    missing.discard(key.fileobj)

    def forget(self):
        for s in self.socks:
            self.got[s].clear()

    def close(self):
        self.selector.close()
        for s in self.socks:
            s.close()


# slow readers

def test_slow_reader_of_a_stream_is_closed_and_named(start_server, origin):
    server = start_server("* localhost:%d" % origin.port, {"connection_queue_max": "100000", "message_rate": "0",
                                                          "update_on_first_subscription": "false"})
    ch = unique()
    path = origin.serve(hold("stream", ch, body="open\n"))
    fast = open_stream(server, path)
    slow = open_stream(server, path, rcvbuf=4096)
    for i in range(400):
        line = "%04d %s\n" % (i, "x" * 30000)
        server.publish(item(ch, stream=line))
        assert fast.read_chunks(len(line)) == line.encode()
        if "client reads too slowly" in server.logs():
            break
    m = server.wait_log(r"\[WARN\] .* client reads too slowly, closing: (\S+) from=(\S+) .*channel=(\S+) queued=(\d+)")
    assert m.group(1).endswith(path)
    assert m.group(2) == HOST
    assert m.group(3) == ch
    assert int(m.group(4)) <= 100000 + 16 * 30010
    slow.rest(LONG)
    server.publish(item(ch, stream="last\n"))
    assert fast.read_chunks(5) == b"last\n"
    assert server.logs().count("client reads too slowly") == 1
    fast.close()


def test_slow_download_is_whole_though_the_origin_has_closed(server, origin):
    """The origin closes behind its answer while the client has not read it."""
    body = bytes(random.Random(1).getrandbits(8) for _ in range(100000)) * 30
    for to_close in (True, False):
        with server.client(rcvbuf=4096) as c:
            c.send_request("GET", origin.serve(Reply(200, {}, body, close=True, length=not to_close)))
            head = c.read_head()
            time.sleep(0.3)
            assert c.read_body_into(head, timeout=LONG).body == body


def test_client_that_never_reads_costs_no_time(server, origin):
    path = origin.serve(Reply(200, {}, b"x" * 5000000))
    with server.client(rcvbuf=4096) as c:
        c.send_request("GET", path)
        c.send(build_request("GET", path) * 4000)      # and asks for more than we store
        origin.wait_request(path)
        time.sleep(0.3)
        check_no_spin(server)
        assert server.get(origin.serve(Reply(200, {}, "ok"))).body == b"ok"


def test_upload_that_stalls_costs_no_time(start_server, server, origin):
    test_route = start_server("* test")
    for s in (server, test_route):
        with s.client() as c:
            c.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 50000\r\n\r\n" + "x" * 20000)
            time.sleep(0.2)
            check_no_spin(s)


# the control port

def test_idle_control_connections_do_not_stand_in_the_way(server, origin):
    """Silent ones, half heads, half bodies: everybody else publishes as ever."""
    ch = unique()
    c = open_stream(server, origin.serve(hold("stream", ch, body="open\n")))
    idle = []
    for i in range(500):
        s = socket.create_connection((HOST, server.control_port), TIMEOUT)
        if i % 3 == 1:
            s.send(b"POST /publish/ HTTP/1.1\r\nHost: h\r\nContent-Le")
        elif i % 3 == 2:
            s.send(b'POST /publish/ HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\n{"items": [')
        idle.append(s)
    slowest = 0
    for i in range(50):
        began = time.monotonic()
        server.publish(item(ch, stream="%02d\n" % i))
        slowest = max(slowest, time.monotonic() - began)
        idle[i].send(b"x")      # they trickle on
        assert c.read_chunks(3) == b"%02d\n" % i
    print("slowest publish among 500 idle control connections: %.1f ms" % (slowest * 1000))
    check_no_spin(server)
    for s in idle:
        s.close()
    c.close()


# limits

def test_clients_beyond_the_descriptors_wait(start_server, origin):
    """No descriptor is left: no spin, held clients notice nothing, and who waits is served when others leave."""
    server = start_server("* localhost:%d" % origin.port, {"update_on_first_subscription": "false", "message_rate": "0"})
    ch = unique()
    path = origin.serve(hold("stream", ch, body="open\n"))
    parked = [open_stream(server, path) for _ in range(10)]
    resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (descriptors(server.pid) + 20,) * 2)
    many = [socket.create_connection((HOST, server.http_port), TIMEOUT) for _ in range(60)]
    since = time.monotonic()
    server.wait_log(r"\[WARN\] .*cannot accept on .*: Too many open files")
    check_no_spin(server)
    assert server.logs().count("cannot accept") <= time.monotonic() - since + 3        # it is said each second
    many[-1].send(build_request("GET", "/"))
    for c in many[:-1]:
        c.close()
    late = many[-1]
    late.settimeout(LONG)
    assert late.recv(100).startswith(b"HTTP/1.1 404 ")
    server.publish(item(ch, stream="still here\n"))
    for c in parked:
        assert c.read_chunks(11) == b"still here\n"
        c.close()
    late.close()


def test_start_with_few_descriptors(target, origin, tmp_path):
    """ulimit -n 64 leaves room for some clients, and says for how many."""
    wrapper = tmp_path / "pushpind"
    wrapper.write_text("#!/bin/sh\nulimit -n 64\nexec '%s' \"$@\"\n" % target.binary)
    wrapper.chmod(0o755)
    server = Target(str(wrapper)).start("* localhost:%d" % origin.port, {"update_on_first_subscription": "false",
                                                                           "message_rate": "0"})
    clients = []
    try:
        assert re.search(r"\[WARN\] .* descriptor limit 64: only 32 of 50000 clients", server.logs())
        ch = unique()
        path = origin.serve(hold("stream", ch, body="open\n"))
        first = open_stream(server, path)
        clients = [server.client() for _ in range(70)]
        for c in clients:
            c.send_request("GET", path)
        check_no_spin(server)
        server.publish(item(ch, stream="on\n"))
        assert first.read_chunks(3) == b"on\n"
        while clients:      # all get their turn
            c = clients.pop(0)
            assert c.read_head(LONG).status == 200
            c.close()
        first.close()
    finally:
        for c in clients:
            c.close()
        server.stop()


def test_client_maxconn(start_server, origin):
    server = start_server("* localhost:%d" % origin.port, {"client_maxconn": "10", "update_on_first_subscription": "false"})
    path = origin.serve(hold("stream", unique(), body="open\n"))
    open_streams = [open_stream(server, path) for _ in range(10)]
    late = server.client()
    late.send_request("GET", path)
    late.quiet()
    check_no_spin(server)
    open_streams.pop().close()
    assert late.read_head().status == 200
    late.close()
    for c in open_streams:
        c.close()
    assert server.get(origin.serve(Reply(200, {}, "ok"))).body == b"ok"


# many

def test_publish_to_ten_thousand_while_others_are_served(server, origin):
    n = min(10000, (resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 1000) // 2)
    ch = unique()
    path, small = origin.serve(hold("stream", ch, body="open\n")), origin.serve(Reply(200, {}, "ok"))
    crowd = Crowd(server, path, n)
    crowd.read_until(lambda got: got.endswith(b"\r\n\r\n5\r\nopen\n\r\n"), "its first part")
    crowd.forget()
    times, stop = [], threading.Event()

    def ask():
        with server.client() as c:
            while not stop.is_set():
                began = time.monotonic()
                assert c.get(small).body == b"ok"
                times.append(time.monotonic() - began)
    asker = threading.Thread(target=ask)
    asker.start()
    try:
        wait_for(lambda: len(times) > 20, what="requests to be answered")
        alone = sorted(times)[len(times) // 2]
        times.clear()
        began = time.monotonic()
        for i in range(5):
            server.publish(item(ch, stream="item %d\n" % i))
        want = b"".join(b"7\r\nitem %d\n\r\n" % i for i in range(5))
        crowd.read_until(lambda got: got == want, "five items")
        took = time.monotonic() - began
    finally:
        stop.set()
        asker.join()
        crowd.close()
    assert times, "nobody was served meanwhile"
    print("%d subscribers, 5 items: %.2f s; %d other requests meanwhile: median %.1f ms, slowest %.1f ms; alone %.1f ms" % (
        n, took, len(times), sorted(times)[len(times) // 2] * 1000, max(times) * 1000, alone * 1000))


def test_burst_arrives_complete_and_in_order(server, origin):
    """3000 items to 200 streams, as fast as they can be published."""
    ch = unique()
    crowd = Crowd(server, origin.serve(hold("stream", ch, body="open\n")), 200)
    crowd.read_until(lambda got: got.endswith(b"\r\n\r\n5\r\nopen\n\r\n"), "its first part")
    crowd.forget()
    want = b"".join(b"6\r\n%05d\n\r\n" % i for i in range(3000))

    def publish():
        for i in range(0, 3000, 60):
            server.publish(*[item(ch, stream="%05d\n" % k, id=str(k), prev_id=str(k - 1)) for k in range(i, i + 60)])
    publisher = threading.Thread(target=publish)
    publisher.start()
    crowd.read_until(lambda got: len(got) >= len(want), "3000 items")
    publisher.join()
    assert all(got == want for got in crowd.got.values())
    crowd.close()


# garbage

def garbage(rng):
    """Some bytes that might do harm."""
    heads = [b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nHost: h\r\n\r\n", b"POST /publish/ HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n",
             b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
             b"\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7f\x03\x00NULL" + b"\0" * 48, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
             b"\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7f\x03\x00NULL" + b"\0" * 48 + b"\x04\x19\x05READY\x0bSocket-Type\0\0\0\4PUSH",
             b"GET /" + b"x" * 9000, b"X: " + b"y" * 20000, b'{"items": [{"channel": "x"}]}', b"ffffffffffffffff\r\n", b"0\r\n\r\n", b""]
    parts = [rng.choice(heads) for _ in range(rng.randrange(1, 4))]
    parts.append(bytes(rng.getrandbits(8) for _ in range(rng.choice([0, 1, 10, 1000]))))
    data = bytearray(b"".join(parts))
    for _ in range(rng.randrange(0, 4)):
        if data:
            data[rng.randrange(len(data))] = rng.getrandbits(8)
    return bytes(data)


def test_garbage_on_every_port(server, origin):
    rng = random.Random(20260101)
    ch = unique()
    stream = open_stream(server, origin.serve(hold("stream", ch, body="open\n")))
    ports = [server.http_port, server.control_port, server.push_port, server.sub_port, server.command_port]
    hanging = []
    for i in range(400):
        s = socket.create_connection((HOST, ports[i % len(ports)]), TIMEOUT)
        try:
            s.sendall(garbage(rng))
            how = rng.randrange(4)
            if how == 0:
                s.shutdown(socket.SHUT_WR)
            elif how == 1:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        except OSError:
            how = 1
        if how < 3:
            s.close()
        else:
            hanging.append(s)
        if i % 20 == 0:
            server.publish(item(ch, stream="%03d\n" % i))
            assert stream.read_chunks(4) == b"%03d\n" % i
            assert server.get(origin.serve(Reply(200, {}, "ok"))).body == b"ok"
    server.zpush(item(ch, stream="by push\n"))
    assert stream.read_chunks(8) == b"by push\n"
    server.zpub(ch, item(ch, stream="by pub\n"))
    assert stream.read_chunks(7) == b"by pub\n"
    assert server.command("get-zmq-uris")["success"]
    check_no_spin(server)
    for s in hanging:
        s.close()
    stream.close()


def test_garbage_messages_by_zeromq(server, origin):
    """Whole messages that are no items."""
    rng = random.Random(7)
    ch = unique()
    stream = open_stream(server, origin.serve(hold("stream", ch, body="open\n")))
    for i in range(200):
        server.zpush(rng.choice([b"", b"T", b"J", b"J{", b"T3:abc,", b"99999999999:", b"J" + b"[" * 5000, b"T5:12345#", b"\0"])
                     + bytes(rng.getrandbits(8) for _ in range(rng.choice([0, 5, 300]))))
    server.zpush(item(ch, stream="after\n"))
    assert stream.read_chunks(6, LONG) == b"after\n"
    stream.close()


@pytest.mark.parametrize("answer", [
    b"", b"\r\n\r\n", b"HTTP/1.1\r\n\r\n", b"garbage\n\n", b"HTTP/2.0 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nA: " + b"x" * 20000 + b"\r\n\r\n", b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
    b"\0" * 1000, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", bytes(range(256)),
    b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 65 + b"\r\n"], ids=lambda b: repr(b[:16]))
def test_origin_that_answers_garbage(server, origin, answer):
    def handler(request):
        request.conn.send(answer)
        request.conn.closing = True
    r = server.get(origin.serve(handler))
    assert (r.status, r.body) == (502, b"Error while proxying to origin.\n")


@pytest.mark.parametrize("answer", [
    b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcX", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz"],
    ids=["length", "chunked", "suffix", "size"])
def test_origin_that_breaks_off(server, origin, answer):
    """What came is passed on, and then cut: it must not look whole."""
    def handler(request):
        head, _, rest = answer.partition(b"\r\n\r\n")
        request.conn.send(head + b"\r\n\r\n")
        time.sleep(0.1)
        request.conn.send(rest)
        request.conn.closing = True
    with server.client() as c:
        c.send_request("GET", origin.serve(handler))
        try:
            r = c.read_response()
        except Closed:
            return
        assert r.status == 502


def test_origin_that_resets(server, origin):
    def handler(request):
        request.conn.reset()
        request.conn.closing = True
    r = server.get(origin.serve(handler))
    assert r.status == 502


def test_origin_that_never_answers(start_server, server, origin):
    """Who waits for it waits alone, and not for ever."""
    s = socket.socket()
    s.bind((HOST, 0))
    s.listen(100)
    silent = start_server("* 127.0.0.1:%d" % s.getsockname()[1], {"origin_response_timeout": "1"})
    clients = [silent.client() for _ in range(20)]
    for c in clients:
        c.send_request("GET", "/")
    check_no_spin(silent)
    for c in clients:
        assert c.read_response(timeout=10).status == 504
        c.close()
    s.close()


def test_hold_before_the_body_has_come(server, origin):
    """The origin answers with a hold while the upload goes on: the rest of it is not the next request."""
    for mode in ("stream", "response"):
        ch = unique()

        def handler(request):
            request.conn.send(hold(mode, ch, body="open\n").encode())
            request.conn.closing = True
        path = origin.serve(handler, early=True)
        with server.client() as c:
            c.send("POST %s HTTP/1.1\r\nHost: h\r\nContent-Length: 50000\r\n\r\n" % path + "x" * 20000)
            server.wait_subscribed(ch)
            c.send("GET /not-a-request HTTP/1.1\r\nHost: h\r\n\r\n".ljust(30000))
            if mode == "stream":
                assert c.read_head().status == 200
                assert c.read_chunks(5) == b"open\n"
            server.publish(item(ch, stream="on\n", response="there\n"))
            if mode == "stream":
                assert c.read_chunks(3) == b"on\n"
            else:
                assert c.read_response().body == b"there\n"
        assert "/not-a-request" not in server.logs()


# ends and reloads

def test_many_held_clients_on_sigterm(start_server, origin):
    server = start_server("* localhost:%d" % origin.port, {"update_on_first_subscription": "false"})
    stream, poll = unique(), unique()
    paths = origin.serve(hold("stream", stream, body="open\n")), origin.serve(hold("response", poll, body="none\n"))
    clients = [server.client() for _ in range(300)]
    for i, c in enumerate(clients):
        c.send_request("GET", paths[i % 2])
    wait_for(lambda: server.logs().count("subscribe ") >= 300, LONG, "300 holds")
    went = threading.Event()

    def late(request):
        went.wait(LONG)
        return hold("response", poll, body="late\n")
    late_path = origin.serve(late)
    last = server.client()
    last.send_request("GET", late_path)
    origin.wait_request(late_path)
    os.kill(server.pid, signal.SIGTERM)
    server.wait_log("stopping")
    went.set()      # it was under way, and becomes a hold: that ends as the others did
    assert last.read_response().body == b"late\n"
    last.close()
    for i, c in enumerate(clients):
        r = c.read_response()
        assert r.complete and r.body == (b"none\n" if i % 2 else b"open\n")
        c.closed()
        c.close()
    assert server.process.wait(END) == 0
    assert "connections cut off" not in server.logs()


def run_with_logfile(target, tmp_path, origin, logfile):
    http, control = free_port(), free_port()
    (tmp_path / "routes").write_text("* localhost:%d\n" % origin.port)
    (tmp_path / "pushpin.conf").write_text("""[global]
rundir=run
[runner]
http_port=127.0.0.1:%d
[proxy]
routesfile=routes
[handler]
push_in_spec=ipc://push
push_in_sub_specs=ipc://sub
push_in_http_addr=127.0.0.1
push_in_http_port=%d
command_spec=ipc://command
stats_spec=
""" % (http, control))
    p = subprocess.Popen([target.binary, "--config=pushpin.conf", "--logfile=" + logfile], cwd=tmp_path, stdin=subprocess.DEVNULL,
                         stdout=subprocess.DEVNULL)
    wait_for(lambda: p.poll() is not None or (port_open(http) and port_open(control)), what="pushpind to listen")
    assert p.poll() is None
    return p, http, control


def end(p):
    p.terminate()
    assert p.wait(END) == 0


def test_log_rotation_by_rename_and_hup(target, tmp_path, origin):
    p, http, _ = run_with_logfile(target, tmp_path, origin, "log")
    try:
        ch = unique()
        path = origin.serve(hold("stream", ch, body="open\n"))
        with Client(http) as c:
            c.send_request("GET", path)
            assert c.read_head().status == 200
            os.rename(tmp_path / "log", tmp_path / "log.1")
            Client(http).get("/before")
            wait_for(lambda: "/before" in (tmp_path / "log.1").read_text(), what="the line in the renamed file")
            (tmp_path / "routes").write_text("* test\n")
            os.kill(p.pid, signal.SIGHUP)
            wait_for(lambda: (tmp_path / "log").exists() and "routes loaded" in (tmp_path / "log").read_text(), what="the new file")
            with Client(http) as other:
                assert other.get("/").body == b"Hello from the pushpind test handler!\n"
            wait_for(lambda: "GET http://localhost/ -> test" in (tmp_path / "log").read_text(), what="the line in the new file")
            assert "-> test" not in (tmp_path / "log.1").read_text()
            assert c.read_chunks(5) == b"open\n"        # the stream goes on
            c.quiet()
    finally:
        end(p)


def test_log_file_that_takes_no_more(target, tmp_path, origin):
    p, http, control = run_with_logfile(target, tmp_path, origin, "/dev/full")
    try:
        for _ in range(50):
            with Client(http) as c:
                assert c.get(origin.serve(Reply(200, {}, "ok"))).body == b"ok"
        os.kill(p.pid, signal.SIGHUP)
        with Client(control) as c:
            assert c.get("/").status == 200
    finally:
        end(p)
