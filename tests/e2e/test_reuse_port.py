"""reuse_port: several instances accept on one client port."""

import subprocess

import pytest

import harness
from harness import TIMEOUT, Client, Reply, certificate, client_tls, free_port, patient, wait_for

PLAIN = """[global]
rundir={run}
port_offset={offset}
[runner]
http_port={http}
reuse_port={share}
[proxy]
routesfile=routes
[handler]
stats_spec=
"""


@pytest.fixture(scope="module")
def start(start_server, start_origin):
    """start(NAME, KEYS, FILES): an instance whose answers are its name."""
    def run(name, config=None, files=None):
        origin = start_origin()
        origin.default = Reply(200, {"Content-Type": "text/plain"}, name)
        return start_server("* localhost:%d" % origin.port, dict({"reuse_port": "true"}, **config or {}), files)
    return run


@pytest.fixture(scope="module")
def first(start):
    return start("first")


def answer(port, tls=None):
    """Who answers on a new connection."""
    with Client(port, tls=tls) as c:
        return c.get("/").body.decode()


def all_answer(names, port, tls=None):
    """Each connection comes to one of them by chance: tries until all had one."""
    seen = set()

    def all_had_one():
        seen.add(answer(port, tls))
        return seen == names
    wait_for(all_had_one, what="%r to have had a connection" % names, step=0)


def test_both_get_connections_and_the_one_that_stays_gets_all(start, first):
    # it has a port of its own, too, by which it can be waited for
    second = start("second", {"http_port": "@HTTP@,%d" % first.http_port})
    all_answer({"first", "second"}, first.http_port)
    second.stop()
    assert {answer(first.http_port) for n in range(20)} == {"first"}


def test_tls_ports_too(start):
    port, (cert, key) = free_port(), certificate()
    files = {"runner/certs/default_%d.crt" % port: cert, "runner/certs/default_%d.key" % port: key}
    for name in ("one", "two"):
        start(name, {"https_ports": port}, files)
    all_answer({"one", "two"}, port, client_tls())


@pytest.fixture
def offset():
    """A port_offset whose ports nobody has."""
    number = harness.lease_offset()
    yield number
    harness._offset_leases.give(number)


@pytest.fixture
def refused(target, tmp_path):
    """refused(SERVER, SHARE, OFFSET): what a further instance on that one's client port says, which it must not start on."""
    def run(server, share, offset):
        (tmp_path / "routes").write_text("* test\n")
        config = tmp_path / "pushpin.conf"
        config.write_text(PLAIN.format(run=tmp_path / "run", offset=offset, http=server.http_port, share=share))
        r = subprocess.run([target.binary, "--config", str(config)], cwd=tmp_path, stdin=subprocess.DEVNULL,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=patient(TIMEOUT))
        assert r.returncode == 1
        return r.stdout.rstrip()
    return run


def test_port_that_is_taken_refuses_the_start_without_the_key(refused, first, offset):
    assert refused(first, "false", offset).endswith("failed to bind 0.0.0.0:%d: Address already in use" % first.http_port)


def test_port_of_one_that_does_not_share_is_refused(refused, start, offset):
    alone = start("alone", {"reuse_port": "false"})
    assert refused(alone, "true", offset).endswith("failed to bind 0.0.0.0:%d: Address already in use by a program that does not "
                                                   "share it, or that another user runs" % alone.http_port)


def test_start_that_fails_takes_no_client(refused, first):
    """With the control port of another instance: it says so before it shares the clients' port."""
    said = refused(first, "true", first.offset)
    assert said.endswith("failed to bind 127.0.0.1:%d: Address already in use" % first.control_port)
    assert "listening on" not in said
