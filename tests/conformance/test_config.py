"""Configuration keys and the log."""

import os
import signal
import time

import pytest

from harness import Reply, hold, port_open, unique, wait_for

OK = Reply(200, {"Content-Type": "text/plain"}, "ok")


@pytest.fixture(scope="module")
def verbose(start_server, origin):
    return start_server("* localhost:{o}\nid.test,id=my-route localhost:{o}".format(o=origin.port),
                        {"log_from": "true", "log_user_agent": "true", "x_forwarded_for": "append", "accept_x_forwarded_protocol": "true",
                         "set_x_forwarded_protocol": "true", "debug": "true", "update_on_first_subscription": "false"})


# the log

def test_request_line_of_the_log(server, origin):
    p = origin.serve(OK)
    server.get(p + "?a=b")
    m = server.wait_log(r"^\[INFO\] (\d{4})-(\d\d)-(\d\d) (\d\d):(\d\d):(\d\d)\.(\d{3}) GET http://localhost%s\?a=b -> localhost:%d code=200 2$"
                        % (p, origin.port))
    assert int(m.group(1)) == time.localtime().tm_year


@pytest.mark.parametrize("method,status,body", [("POST", 201, b"made"), ("DELETE", 404, b""), ("PUT", 500, b"error")])
def test_request_line_has_method_status_and_body_size(server, origin, method, status, body):
    p = origin.serve(Reply(status, {}, body))
    server.request(method, p, body=b"x", headers={"Content-Length": "1"})
    assert server.wait_log(r"%s http://localhost%s -> localhost:%d code=%d %d$" % (method, p, origin.port, status, len(body)))


def test_request_line_has_the_host_and_its_port(server, origin):
    p = origin.serve(OK)
    server.get(p, host="Example.com:81")
    assert server.wait_log(r"GET http://example\.com:81%s -> " % p)


def test_referer_is_logged(server, origin):
    p = origin.serve(OK)
    server.get(p, {"Referer": "http://a.b/c?d"})
    assert server.wait_log(r"GET http://localhost%s -> localhost:%d ref=http://a\.b/c\?d code=200 2$" % (p, origin.port))


def test_request_that_the_client_gave_up_is_logged_as_an_error(server, origin):
    def handler(request):
        request.conn.wait_gone(3)
        request.conn.closing = True
    p = origin.serve(handler)
    c = server.client()
    c.send_request("GET", p)
    origin.wait_request(p)
    c.close()
    assert server.wait_log(r"GET http://localhost%s -> localhost:%d error$" % (p, origin.port))


def test_request_without_a_route_is_logged_without_a_target(start_server, origin):
    s = start_server("only.test localhost:%d" % origin.port)
    s.get("/x")
    assert s.wait_log(r"GET http://localhost/x code=502 29$")


def test_start_is_logged(server):
    assert server.wait_log(r"^\[INFO\] .*routes loaded with 1 entries$")
    assert server.wait_log(r"^\[INFO\] .*http control server: 127\.0\.0\.1:%d$" % server.control_port)
    assert server.wait_log(r"^\[INFO\] .*listening on 0\.0\.0\.0:%d$" % server.http_port)


def test_client_address_user_agent_and_route_are_logged_when_configured(verbose, origin):
    p = origin.serve(OK)
    verbose.get(p, {"User-Agent": "tester/1.0 (x)"}, host="id.test")
    assert verbose.wait_log(r"GET http://id\.test%s -> localhost:%d from=127\.0\.0\.1 route=my-route code=200 2 ua=tester/1\.0 \(x\)$" % (p, origin.port))


def test_debug_lines_are_not_logged_by_default(server, origin):
    server.get(origin.serve(OK))
    assert "[DEBUG]" not in server.logs()


def test_log_level_of_one_leaves_out_requests(start_server, origin):
    s = start_server("* localhost:%d" % origin.port, {"log_level": 1})
    p = origin.serve(OK)
    s.get(p)
    s.zpush(b"J{")
    assert s.wait_log(r"^\[WARN\] ")
    assert p not in s.logs()


# X-Forwarded-

def test_forwarded_protocol_of_the_client_is_accepted_when_configured(verbose, origin):
    p = origin.serve(OK)
    verbose.get(p, {"X-Forwarded-Proto": "https"})
    verbose.get(p, {"X-Forwarded-Protocol": "https"})
    verbose.get(p, {"X-Forwarded-Proto": "http"})
    verbose.get(p)
    assert [(r.get_all("X-Forwarded-Proto"), r.get_all("X-Forwarded-Protocol")) for r in origin.requests(p)] == [
        (["https"], ["https"]), (["https"], ["https"]), ([], []), ([], [])]
    assert verbose.wait_log(r"GET https://localhost%s -> " % p)


def test_forwarded_for_is_appended_when_configured(verbose, origin):
    p = origin.serve(OK)
    verbose.get(p)
    verbose.get(p, {"X-Forwarded-For": "192.0.2.1"})
    assert [r.get_all("X-Forwarded-For") for r in origin.requests(p)] == [["127.0.0.1"], ["192.0.2.1, 127.0.0.1"]]


def test_forwarded_protocol_headers_pass_when_handling_is_off(start_server, origin):
    s = start_server("* localhost:%d" % origin.port, {"set_x_forwarded_protocol": "false"})
    p = origin.serve(OK)
    s.get(p, {"X-Forwarded-Proto": "https"})
    assert origin.requests(p)[0].get_all("X-Forwarded-Proto") == ["https"]


# debug

def test_debug_for_every_route(verbose, origin):
    p = origin.serve(Reply(200, {"Grip-Hold": "foo"}, "x"))
    assert verbose.get(p).body == b"Failed to parse accept instructions: Grip-Hold must be set to either 'response' or 'stream'\n"


# limits

def test_connections_over_the_maximum_are_served_once_others_end(start_server, origin):
    s = start_server("* localhost:%d" % origin.port, {"client_maxconn": 6})
    p, q = origin.serve(hold("stream", unique(), body="o")), origin.serve(OK)
    held = []
    for _ in range(12):
        c = s.client()
        c.send_request("GET", p)
        held.append(c)
    assert wait_for(lambda: len(origin.requests(p)) >= 4, what="some to be served")
    time.sleep(0.3)
    assert len(origin.requests(p)) < 12
    for c in held:
        c.close()

    def served():
        try:
            return s.get(q, timeout=1).status == 200
        except (TimeoutError, OSError):
            return False
    wait_for(served, what="a connection to be served again")


# process

def test_sigterm_ends_it_and_closes_held_connections(start_server, origin):
    s = start_server("* localhost:%d" % origin.port)
    ch = unique()
    p = origin.serve(hold("stream", ch, body="o"))
    with s.client() as c:
        c.send_request("GET", p)
        c.read_head()
        assert c.read_chunk() == b"o"
        os.kill(s.pid, signal.SIGTERM)
        c.rest(5)
    wait_for(lambda: not port_open(s.http_port) and not port_open(s.control_port), what="the ports to be closed")


def test_same_ports_can_be_used_again_after_an_end(target, origin):
    s = target.start("* localhost:%d" % origin.port)
    s.get(origin.serve(OK))
    s.stop()
    s = target.start("* localhost:%d" % origin.port)
    try:
        assert s.get(origin.serve(OK)).status == 200
    finally:
        s.stop()
