"""Still more of unix sockets: permissions, what is in the way, addresses."""

import os
import pwd
import re
import socket
import stat

import pytest

from harness import Client, Reply

OK = Reply(200, {"Content-Type": "text/plain"}, "ok")


@pytest.fixture(scope="module")
def server(start_server, origin):
    return start_server("* localhost:%d" % origin.port, {"local_ports": "{rundir}/{ipc_prefix}server?mode=666, @RUN@/second?mode=600&user=%s" % pwd.getpwuid(os.getuid()).pw_name,
                                                         "x_forwarded_for": "append", "log_from": "true"})


@pytest.fixture
def path(server):
    return "%s/%s-server" % (server.run_dir, server.name)


def test_permissions(server, path):
    assert [stat.S_IMODE(os.stat(p).st_mode) for p in (path, server.run_dir + "/second")] == [0o666, 0o600]


def test_listeners_are_logged(server, path):
    assert server.wait_log(r'^\[INFO\] \S+ \S+ listening on "%s" \(pathname\)$' % re.escape(path))
    assert server.wait_log(r'listening on "%s/second" \(pathname\)$' % re.escape(server.run_dir))
    assert server.wait_log(r"listening on 0\.0\.0\.0:%d$" % server.http_port)


def test_peer_has_no_address(server, origin, path):
    p = origin.serve(OK)
    with Client(path) as c:
        c.get(p)
    assert b"\r\nX-Forwarded-For: \r\n" in origin.requests(p)[0].raw_head
    assert server.wait_log(r"GET http://localhost%s -> localhost:%d code=200 2$" % (p, origin.port))


def test_socket_of_an_earlier_run_is_replaced(start_server, origin, tmp_path):
    left = str(tmp_path / "s")
    s = socket.socket(socket.AF_UNIX)
    s.bind(left)
    s.close()
    start_server("* localhost:%d" % origin.port, {"local_ports": left})
    with Client(left) as c:
        assert c.get(origin.serve(OK)).status == 200


@pytest.mark.parametrize("kind", ["user", "group"])
def test_owner_that_does_not_exist(start_server, kind):
    with pytest.raises(RuntimeError, match=r"(?s)ended with 1:.*\[ERR\][^\n]*no %s nobody-of-this-name" % kind):
        start_server("* test", {"local_ports": "{rundir}/s?%s=nobody-of-this-name" % kind})
