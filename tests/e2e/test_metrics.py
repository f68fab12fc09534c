"""The metrics port, read as strictly as Prometheus reads it, and the log lines that tell the same story."""

import math
import os
import re
import signal
import socket

import pytest

from harness import HOST, TIMEOUT, Client, Reply, Stats, fetch, free_port, hold, item, unique, wait_for

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*"'
SAMPLE = re.compile(r"(%s)(?:\{(%s(?:,%s)*)\})? (\S+)" % (NAME, LABEL, LABEL))
SUFFIXES = {"counter": {""}, "gauge": {""}, "histogram": {"_bucket", "_sum", "_count"}}


def parse(text):
    """{series as (name, ((label, value), ...)): number}; whatever the format forbids is an error."""
    series, types, family = {}, {}, None
    assert text.endswith("\n") and "\r" not in text
    for line in text[:-1].split("\n"):
        if line.startswith("# HELP "):
            family, about = re.fullmatch(r"# HELP (%s) (.+)" % NAME, line).groups()
            assert family not in types and about
            types[family] = None
        elif line.startswith("#"):
            name, kind = re.fullmatch(r"# TYPE (%s) (counter|gauge|histogram)" % NAME, line).groups()
            assert name == family and types[family] is None
            types[family] = kind
        else:
            m = SAMPLE.fullmatch(line)
            assert m, line
            name, labels, value = m.groups()
            assert name.startswith(family) and name[len(family):] in SUFFIXES[types[family]], line
            key = name, tuple(tuple(l.split("=", 1)) for l in re.findall(LABEL, labels or ""))
            assert key not in series and len(dict(key[1])) == len(key[1]), line
            series[key] = float(value)
            assert not math.isnan(series[key])
    for family, kind in types.items():
        assert any(name.startswith(family) for name, _ in series)
        if kind == "histogram":
            check_histogram(series, family)
    return series


def check_histogram(series, family):
    rows = {}
    for (name, labels), value in series.items():
        if name == family + "_bucket":
            rest = tuple(l for l in labels if l[0] != "le")
            rows.setdefault(rest, []).append((float(dict(labels)["le"].strip('"').replace("+Inf", "inf")), value))
    assert rows
    for labels, buckets in rows.items():
        assert buckets == sorted(buckets) and buckets[-1][0] == math.inf
        assert [n for _, n in buckets] == sorted(n for _, n in buckets)
        assert series[family + "_count", labels] == buckets[-1][1]
        assert series[family + "_sum", labels] >= 0


class Metrics:
    def __init__(self, port):
        self.port = port

    def all(self):
        r = fetch(self.port, "GET", "/metrics")
        assert r.status == 200 and r.get("Content-Type") == "text/plain; version=0.0.4"
        return parse(r.body.decode())

    def get(self, name, **labels):
        """The sum of the series with this name and these labels."""
        want = {(k, '"%s"' % v) for k, v in labels.items()}
        return sum(v for (n, has), v in self.all().items() if n == name and want <= set(has))

    def wait(self, value, name, **labels):
        wait_for(lambda: self.get(name, **labels) == value, what="%s%r to be %r" % (name, labels, value))


@pytest.fixture
def started(start_server, origin):
    """started(CONFIG): a server with two routes and a metrics port, and that port."""
    def start(config=None):
        port = free_port()
        routes = "* localhost:{o}\nroute.test,id=r1 localhost:{o}\nnone.test,id=r2 localhost:{n}"
        s = start_server(routes.format(o=origin.port, n=free_port()),
                         dict({"prometheus_port": "127.0.0.1:%d" % port, "update_on_first_subscription": "false"}, **(config or {})))
        return s, Metrics(port)
    return start


def test_all_of_it_is_well_formed_and_adds_up(started, origin):
    s, m = started()
    ch = unique()
    with s.client() as a, s.client() as b:
        a.send_request("GET", origin.serve(hold("stream", ch, body="o")))
        a.read_head()
        b.send_request("GET", origin.serve(hold("response", ch)), host="route.test")
        m.wait(1, "connection_held", route="r1", transport="http-response")
        m.wait(1, "connection_held", transport="http-stream")
        s.publish(item(ch, stream="x", response="y"))
        assert b.read_response().body == b"y"
        m.wait(2, "message_sent")
        assert m.get("message_sent", route="r1", transport="http-response") == 1
        assert m.get("message_sent", transport="http-stream") == 1
        assert m.get("message_received") == 1
        assert m.get("message_delivery_seconds_count", transport="http-stream") == 1
        m.wait(0, "connection_held", route="r1")
        assert m.get("connection_closed", route="r1", reason="done") == 1
        assert m.get("request_received") == 2 and m.get("connection_opened", route="r1") == 1
        assert m.get("origin_result", result="2xx") == 2
        assert m.get("origin_response_seconds_count") == 2 == m.get("origin_response_seconds_bucket", le="+Inf")
        assert 1e6 < m.get("process_resident_memory_bytes") < 1e9
        assert m.get("connection_connected") == 1
    m.wait(1, "connection_closed", reason="client")
    assert m.get("connection_connected") == 0


def test_every_series_and_label_is_in_the_document(started):
    _, m = started()
    with open(os.path.join(os.path.dirname(__file__), "..", "..", "docs", "metrics.md")) as f:
        text = f.read()
    for name, labels in m.all():
        assert "`%s`" % re.sub(r"_(bucket|sum|count)$", "", name) in text, name
        for label, value in labels:
            assert label in ("route", "le") or label in text and (value.strip('"') in text or re.match(r'"[2-4]xx', value))


def test_an_origin_that_is_not_there(started):
    s, m = started()
    assert s.get("/", host="none.test").status == 502
    assert m.get("origin_result", route="r2", result="unreachable") == 1
    assert m.get("connection_closed", route="r2", reason="done") == 1


def test_a_filtered_message_is_a_dropped_one(started, origin):
    s, m = started()
    ch = unique()
    with s.client() as c:
        c.send_request("GET", origin.serve(hold("stream", ch + "; filter=require-sub", body="o")))
        c.read_head()
        assert c.read_chunk() == b"o"
        s.wait_subscribed(ch)
        s.publish(item(ch, stream="no", meta={"require_sub": "other"}), item(ch, stream="yes"))
        assert c.read_chunk() == b"yes"
        assert m.get("message_dropped", reason="filter") == 1 and m.get("message_sent") == 2


def test_past_the_high_water_mark_messages_are_dropped(started, origin):
    s, m = started({"message_rate": 1, "message_hwm": 1})
    ch = unique()
    with s.client() as c:
        c.send_request("GET", origin.serve(hold("stream", ch, body="o")))
        c.read_head()
        s.wait_subscribed(ch)
        s.publish(*[item(ch, stream=str(i)) for i in range(5)])
        wait_for(lambda: m.get("message_dropped", reason="rate") >= 3, what="drops")


def test_a_client_that_does_not_read_is_told_of_by_name(started, origin):
    s, m = started()
    ch = unique()
    st = Stats(s)
    with s.client(rcvbuf=4096) as c:
        c.send_request("GET", origin.serve(hold("stream", ch, body="o")))
        c.read_head()
        cid = st.wait("conn", type=b"http")["id"].decode()
        s.wait_subscribed(ch)

        def cut():
            s.publish(*[item(ch, stream="x" * 100000) for _ in range(8)])
            return m.get("connection_closed", reason="slow") == 1
        wait_for(cut, what="the client to be cut")
        assert m.get("message_dropped", reason="queue") >= 1
        assert s.wait_log(r"client reads too slowly, closing: http://.* from=127\.0\.0\.1 id=%s " % re.escape(cid))
    st.close()


def test_methods_and_paths(started):
    s, m = started()
    assert fetch(m.port, "GET", "/").status == 200
    assert fetch(m.port, "GET", "/metrics?a=b").status == 200
    r = fetch(m.port, "POST", "/metrics", {"Content-Length": "3"}, b"abc")
    assert (r.status, r.get("Connection")) == (200, "close")
    assert fetch(m.port, "GET", "/metricsx").status == 404
    with socket.create_connection((HOST, m.port), TIMEOUT) as c:
        c.sendall(b"HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        got = b"".join(iter(lambda: c.recv(65536), b""))
        assert got.startswith(b"HTTP/1.1 200 ") and got.endswith(b"\r\n\r\n") and got.count(b"\r\n\r\n") == 1
    assert fetch(m.port, "GET", "/metrics", {"X": "y" * 9000}).status == 431


def test_scrapers_wait_for_those_before_them(started):
    s, m = started()
    idle = [socket.create_connection((HOST, m.port), TIMEOUT) for _ in range(16)]
    last = Client(m.port)
    last.send_request("GET", "/metrics")
    for c in idle:
        c.close()
    assert last.read_response().status == 200
    last.close()


def test_metrics_on_a_unix_socket(start_server, origin):
    s = start_server("* localhost:%d" % origin.port, {"prometheus_port": "ipc://@RUN@/metrics"})
    with socket.socket(socket.AF_UNIX) as c:
        c.settimeout(TIMEOUT)
        c.connect(s.run_dir + "/metrics")
        c.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        head, _, body = b"".join(iter(lambda: c.recv(65536), b"")).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.0 200 ") and parse(body.decode())


def test_a_taken_port_refuses_the_start(start_server, origin):
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        with pytest.raises(RuntimeError) as e:
            start_server("* localhost:%d" % origin.port, {"prometheus_port": "127.0.0.1:%d" % taken.getsockname()[1]})
        assert "[ERR] " in str(e.value) and "unable to bind to prometheus port: 127.0.0.1:%d: " % taken.getsockname()[1] in str(e.value)


def test_debug_lines(start_server, origin):
    s = start_server("* localhost:%d" % origin.port, {"log_level": 3, "update_on_first_subscription": "false"})
    ch = unique()
    with s.client() as c:
        c.send_request("GET", origin.serve(hold("stream", ch, body="o")))
        c.read_head()
        s.wait_subscribed(ch)
        s.publish(item(ch, stream="x"))
        s.wait_log(r"^\[DEBUG\] .* stats: OUT conn \{ .*\"id\": \"connmgr:")
        s.wait_log(r"^\[DEBUG\] .* adding stream hold on %s$" % ch)
        s.wait_log(r"^\[DEBUG\] .* relaying to 1 http-stream subscribers$")
        s.wait_log(r"^\[DEBUG\] .* httpserver: IN POST /publish")
    s.wait_log(r"^\[DEBUG\] .* httpsession: cleaning up ")


def test_a_retried_hold_stays_subscribed_in_the_log(start_server, origin):
    s = start_server("* localhost:%d" % origin.port, {"update_on_first_subscription": "false"})
    keep, leave = unique(), unique()
    p = origin.serve([hold("response", [keep, leave]), hold("response", keep), Reply(200, {}, "fresh")])
    with s.client() as c:
        c.send_request("GET", p)
        s.wait_subscribed(keep)
        s.command("recover")
        s.wait_log(r"subscribe \S+ channel=%s retry$" % keep)
        s.wait_log(r"unsubscribe \S+ channel=%s$" % leave)
        assert "unsubscribe http://localhost%s channel=%s" % (p, keep) not in s.logs()
        s.command("recover")
        assert c.read_response().body == b"fresh"
    s.wait_log(r"unsubscribe \S+ channel=%s$" % keep)
    assert len(re.findall(r" unsubscribe \S+ channel=%s\n" % keep, s.logs())) == 1


def test_connections_that_end_with_the_server_are_told_of(start_server, origin):
    s = start_server("* localhost:%d" % origin.port)
    st = Stats(s)
    ch = unique()
    with s.client() as c:
        c.send_request("GET", origin.serve(hold("stream", ch, body="o")))
        cid = st.wait("conn", type=b"http")["id"]
        st.wait("sub", channel=ch.encode())
        s.process.send_signal(signal.SIGTERM)
        assert st.wait("conn", id=cid, unavailable=True)
    st.close()
