"""Starting and ending: options, what refuses a start, and what becomes of clients on SIGTERM."""

import os
import re
import signal
import socket
import subprocess
import threading
import time

import pytest

from harness import END, HOST, TIMEOUT, Reply, fetch, free_port, hold, item, patient, port_open, unique, wait_for

CONFIG = """[global]
rundir=run
[runner]
http_port=127.0.0.1:{http}
logdir=log
[proxy]
routesfile=routes
[handler]
push_in_spec=tcp://127.0.0.1:{push}
push_in_sub_specs=tcp://127.0.0.1:{sub}
push_in_http_addr=127.0.0.1
push_in_http_port={control}
command_spec=tcp://127.0.0.1:{command}
stats_spec=
"""


@pytest.fixture
def pushpind(target, tmp_path):
    """pushpind(ARGUMENT...): runs it to its end in a folder of its own."""
    def run(*args, timeout=TIMEOUT):
        return subprocess.run([target.binary] + list(args), cwd=tmp_path, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=patient(timeout))
    return run


@pytest.fixture(scope="module")
def ports():
    """Free ports for a server that a test runs itself, by what they are for."""
    return {name: free_port() for name in ("http", "push", "sub", "control", "command")}


@pytest.fixture
def config(tmp_path, ports):
    """config(text=None, routes=...): writes the files; the configuration's path."""
    def write(text=None, routes="* test\n"):
        (tmp_path / "routes").write_text(routes)
        path = tmp_path / "pushpin.conf"
        path.write_text(text or CONFIG.format(**ports))
        return str(path)
    return write


@pytest.fixture
def taken(ports):
    """taken(NAME): that port, and somebody listens on it."""
    held = []

    def listen(name):
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind((HOST, ports[name]))
        s.listen()
        held.append(s)
        return ports[name]
    yield listen
    for s in held:
        s.close()


@pytest.fixture
def server(start_server, origin):
    """One that a test may end."""
    s = start_server("* localhost:%d" % origin.port, {"update_on_first_subscription": "false"})
    yield s
    s.stop()


CUT = re.compile(r"^\[INFO\] \S+ \S+ connections cut off after 4 seconds: (\d+)$", re.M)


def ends(server, cut=0):
    """Waits for the program's end, with that many connections cut off; its exit status."""
    try:
        status = server.process.wait(END)
    except subprocess.TimeoutExpired:
        raise AssertionError("still running after %g s; the log ends with\n%s" % (END, server.logs()[-2000:]))
    assert CUT.findall(server.logs()) == ([str(cut)] if cut else [])
    return status


def stop_listening(server):
    """Sends SIGTERM and waits until it has been taken in."""
    os.kill(server.pid, signal.SIGTERM)
    wait_for(lambda: not port_open(server.http_port), what="the port to be closed")


# options

@pytest.mark.parametrize("option", ["--version", "-v"])
def test_version(pushpind, option):
    r = pushpind(option)
    assert r.returncode == 0 and r.stderr == ""
    assert re.fullmatch(r"pushpind \d+\.\d+\S*\n", r.stdout)


@pytest.mark.parametrize("option", ["--help", "-h", "--help-all"])
def test_help_names_every_option(pushpind, option):
    r = pushpind(option)
    assert r.returncode == 0 and r.stderr == ""
    assert r.stdout.startswith("Usage: pushpind [options]\n")
    for name in ("config", "logfile", "loglevel", "verbose", "merge-output", "port", "id", "route", "check", "help", "version"):
        assert "--" + name in r.stdout


@pytest.mark.parametrize("args,text", [
    (["--bad"], "Unknown option 'bad'."),
    (["--bad=1"], "Unknown option 'bad'."),
    (["-x"], "Unknown option 'x'."),
    (["--check=1"], "Unexpected value after '--check'."),
    (["--config"], "Missing value after '--config'."),
    (["--port=0"], "port must be greater than or equal to 1"),
    (["--port", "x"], "port must be greater than or equal to 1"),
    (["--id=-1"], "id must be greater than or equal to 0"),
    (["--id=99999"], "id must be less than or equal to 6553"),
    (["--port", "[::1]"], "port must be greater than or equal to 1"),
    (["--loglevel=x"], "log level must be greater than or equal to 0"),
    (["--loglevel=-1"], "log level must be greater than or equal to 0"),
    (["--loglevel=2,"], "log level component cannot be empty"),
    (["--loglevel=2,:1"], "log level component name cannot be empty"),
    (["--loglevel=2,proxy:-1"], "log level for service proxy must be greater than or equal to 0"),
], ids=lambda v: " ".join(v) if isinstance(v, list) else "")
def test_bad_option_is_refused_with_the_usage(pushpind, args, text):
    r = pushpind(*args)
    assert r.returncode == 1 and r.stdout == ""
    assert r.stderr.startswith("error: %s\n\nUsage: pushpind [options]\n" % text)


def test_argument_that_is_no_option_is_ignored_with_a_warning(pushpind, config):
    r = pushpind("--config=" + config(), "--check", "somewhere")
    assert (r.returncode, r.stderr) == (0, "warning: argument 'somewhere' is ignored\n")


@pytest.fixture
def running(target, tmp_path):
    """running(ARGUMENT...): starts it and waits for its port; its process, and what it says so far."""
    started = []

    def run(port, *args):
        with open(tmp_path / "out", "w") as out:
            p = subprocess.Popen([target.binary] + list(args), cwd=tmp_path, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)
        started.append(p)
        wait_for(lambda: port_open(port) or p.poll() is not None, 10, "pushpind to listen")
        assert p.poll() is None, (tmp_path / "out").read_text()
        return lambda: (tmp_path / "out").read_text()
    yield run
    for p in started:
        p.terminate()
        assert p.wait(END) == 0


@pytest.mark.parametrize("path", ["config/pushpin.conf", "pushpin.conf", "examples/config/pushpin.conf"])
def test_configuration_is_found(running, config, tmp_path, ports, path):
    text = CONFIG.format(**ports).replace("routesfile=routes", "routesfile=%s/routes" % tmp_path)
    os.replace(config(text), tmp_path / "found")
    for later in ("examples/config/pushpin.conf", "pushpin.conf", path):
        os.makedirs((tmp_path / later).parent, exist_ok=True)
        (tmp_path / later).write_text("[runner]\nhttp_port=nonsense\n")
        if later == path:
            break
    os.replace(tmp_path / "found", tmp_path / path)
    out = running(ports["http"], "--loglevel=2")
    wait_for(lambda: re.search(r"^\[INFO\] \S+ \S+ using config: (\S*/)?%s$" % path, out(), re.M), what="the line of the log")


def test_id_moves_ports_and_names(running, config, ports, tmp_path):
    moved = {name: port - (30 if name != "http" else 0) for name, port in ports.items()}
    text = CONFIG.format(**moved).replace("rundir=run", "rundir=run\nport_offset=500").replace("stats_spec=", "stats_spec=ipc://{rundir}/{ipc_prefix}stats")
    out = running(ports["http"], "--config", config(text), "--id=3")
    wait_for(lambda: all(port_open(p) for p in ports.values()), what="its ports")
    assert (tmp_path / "run" / "p3-stats").exists()
    assert "http control server: 127.0.0.1:%d\n" % ports["control"] in out()


@pytest.mark.parametrize("form", ["%d", "127.0.0.1:%d"])
def test_port_replaces_all_listeners(running, config, ports, form):
    port = free_port()
    running(port, "-config", config(), "-port", form % port)
    assert not port_open(ports["http"])


def test_routes_of_the_command_line(running, config, ports):
    out = running(ports["http"], "--config", config(routes="* localhost:1\n"), "--route", "* test # comment", "--route=bad,proto=x test", "--route", "* test")
    assert fetch(ports["http"], "GET", "/").status == 200
    assert re.search(r"^\[WARN\] \S+ \S+ <route>:1: proto must be set to 'http' or 'ws'$", out(), re.M)
    assert re.search(r"^\[WARN\] \S+ \S+ <route>:1 skipping duplicate condition$", out(), re.M)
    assert "routes loaded" not in out()


@pytest.mark.parametrize("level,shown", [("0", ""), ("1,proxy:3", "DEBUG"), ("2,handler:1", "INFO")])
def test_level_of_the_log(running, config, ports, level, shown):
    out = running(ports["http"], "--config", config(), "--loglevel", level)
    if shown == "":
        assert out() == ""
    else:
        wait_for(lambda: "[%s] " % shown in out(), what="the log")


@pytest.mark.skipif(os.path.exists("/etc/pushpin/pushpin.conf"), reason="here is a configuration file")
def test_without_any_file_the_test_target_answers(running, ports, tmp_path):
    out = running(ports["http"], "--port=%d" % ports["http"], "--id=90")
    assert fetch(ports["http"], "HEAD", "/stream").status == 200
    assert re.search(r"^\[INFO\] \S+ \S+ no configuration file found, using defaults\. Tried: (\S*/)?config/pushpin\.conf ", out(), re.M)
    assert re.search(r"^\[INFO\] \S+ \S+ no routes file either", out(), re.M)


# what refuses a start

def test_log_file_that_cannot_be_opened(pushpind, config):
    r = pushpind("--config", config(), "--logfile", "no/such/file")
    assert r.returncode == 1
    assert re.search(r"^\[ERR\] \S+ \S+ failed to open log file: no/such/file", r.stdout, re.M), r.stdout


def test_run_directory_that_cannot_be_made(pushpind, config, ports, tmp_path):
    (tmp_path / "file").write_text("")
    r = pushpind("--config", config(CONFIG.format(**ports).replace("rundir=run", "rundir=file/x")))
    assert r.returncode == 1
    assert re.search(r"^\[ERR\] \S+ \S+ failed to create directory: file/x", r.stdout, re.M), r.stdout


def test_no_listener_at_all(pushpind, config):
    r = pushpind("--config", config("[runner]\nhttp_port=\n"))
    assert r.returncode == 1
    assert re.search(r"^\[ERR\] \S+ \S+ no server ports configured$", r.stdout, re.M), r.stdout


def test_configuration_that_is_not_there(pushpind):
    r = pushpind("--config=nowhere.conf")
    assert r.returncode == 1
    assert re.search(r"^\[ERR\] .*failed to open nowhere\.conf", r.stdout, re.M)


@pytest.mark.parametrize("line", ["http_port=x", "http_port=127.0.0.1:99999", "client_maxconn=many"])
def test_bad_value_names_file_line_and_key(pushpind, config, line):
    path = config("[runner]\n\n%s\n" % line)
    for args in ([], ["--check"]):
        r = pushpind("--config=" + path, *args)
        assert r.returncode == 1
        assert re.search(r"^\[ERR\] .*%s:3: .*%s" % (re.escape(path), line.split("=")[0]), r.stdout, re.M), r.stdout


def test_taken_http_port(pushpind, config, taken):
    port = taken("http")
    r = pushpind("--config=" + config())
    assert r.returncode == 1
    assert re.search(r"^\[ERR\] .*failed to bind 127\.0\.0\.1:%d: Address already in use" % port, r.stdout, re.M), r.stdout


@pytest.mark.parametrize("name", ["push", "sub", "command"])
def test_taken_zeromq_port(pushpind, config, taken, name):
    port = taken(name)
    r = pushpind("--config=" + config())
    assert r.returncode == 1
    assert re.search(r"^\[ERR\] .*unable to bind to tcp://127\.0\.0\.1:%d" % port, r.stdout, re.M), r.stdout


def test_taken_control_port(pushpind, config, taken):
    port = taken("control")
    r = pushpind("--config=" + config())
    assert r.returncode == 1
    assert re.search(r"^\[ERR\] .*127\.0\.0\.1:%d" % port, r.stdout, re.M), r.stdout


# --check

def test_check_of_good_files_opens_no_port(pushpind, config, taken):
    taken("http")
    taken("control")
    r = pushpind("--check", "--config=" + config())
    assert r.returncode == 0, r.stdout
    assert "[ERR]" not in r.stdout and "[WARN]" not in r.stdout


def test_check_tells_of_a_routes_line_that_would_be_skipped(pushpind, config):
    r = pushpind("--check", "--config=" + config(routes="* test\nbad.example nowhere\n"))
    assert r.returncode == 1
    assert re.search(r"routes:2: ", r.stdout), r.stdout


def test_check_tells_of_an_unknown_key_and_accepts_it(pushpind, config):
    path = config()
    with open(path, "a") as f:
        f.write("nonsense=1\n")
    r = pushpind("--check", "--config=" + path)
    assert r.returncode == 0
    assert re.search(r"^\[WARN\] .*nonsense", r.stdout, re.M), r.stdout


def test_sessions_are_not_supported_which_is_said_once(pushpind, config):
    path = config()
    text = open(path).read()
    assert "[handler]\n" in text
    r = pushpind("--check", "--config=" + config(text.replace("[handler]\n", "[handler]\nstate_spec=ipc://{rundir}/state\n")))
    assert r.returncode == 0
    assert re.findall(r"^\[WARN\].*", r.stdout, re.M)[0].endswith("state_spec: sessions are not supported, it has no effect")
    assert r.stdout.count("[WARN]") == 1, r.stdout


def test_check_of_the_shipped_files(pushpind):
    top = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    r = pushpind("--check", "--config=" + os.path.join(top, "conf", "pushpin.conf"))
    assert r.returncode == 0 and "[WARN]" not in r.stdout, r.stdout


# the end

@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_it_with_status_0(server, sig):
    os.kill(server.pid, sig)
    assert ends(server) == 0
    assert "stopping..." in server.logs()


def test_stream_ends_with_its_last_chunk(server, origin):
    ch = unique()
    with server.client() as c:
        c.send_request("GET", origin.serve(hold("stream", ch, body="open\n")))
        assert c.read_head().chunked
        assert c.read_chunks(5) == b"open\n"
        server.wait_subscribed(ch)
        server.publish(item(ch, stream="line\n"))
        assert c.read_chunks(5) == b"line\n"
        os.kill(server.pid, signal.SIGTERM)
        assert c.rest() == b"0\r\n\r\n"
    assert ends(server) == 0


def test_long_poll_gets_its_timeout_response(server, origin):
    ch = unique()
    with server.client() as c:
        c.send_request("GET", origin.serve(hold("response", ch, body="nothing yet\n")))
        server.wait_log("subscribe .*channel=" + ch)
        os.kill(server.pid, signal.SIGTERM)
        r = c.read_response()
        assert (r.status, r.body) == (200, b"nothing yet\n")
        c.closed()
    assert ends(server) == 0


def test_idle_connection_is_closed_at_once(server, origin):
    with server.client() as c:
        assert c.request("GET", origin.serve(Reply(200, {}, "ok"))).status == 200
        os.kill(server.pid, signal.SIGTERM)
        c.closed()
    assert ends(server) == 0


def test_request_in_flight_finishes(server, origin):
    answer = threading.Event()

    def handler(request):
        answer.wait(TIMEOUT)
        return Reply(200, {}, "late")
    p = origin.serve(handler)
    with server.client() as c:
        c.send_request("GET", p)
        origin.wait_request(p)
        stop_listening(server)
        answer.set()
        r = c.read_response()
        assert (r.status, r.body) == (200, b"late")
    assert ends(server) == 0


def silent(origin):
    """A path whose request the origin never answers."""
    def handler(request):
        request.conn.wait_gone(10)
        request.conn.closing = True
    return origin.serve(handler)


def test_what_is_not_done_after_four_seconds_is_cut(server, origin):
    p = silent(origin)
    with server.client() as c:
        c.send_request("GET", p)
        origin.wait_request(p)
        began = time.monotonic()
        os.kill(server.pid, signal.SIGTERM)
        assert ends(server, cut=1) == 0
        assert time.monotonic() - began > 3.5


def test_second_signal_ends_it_at_once(server, origin):
    p = silent(origin)
    with server.client() as c:
        c.send_request("GET", p)
        origin.wait_request(p)
        stop_listening(server)
        assert server.alive()
        os.kill(server.pid, signal.SIGTERM)
        assert ends(server) == 0


def test_nothing_is_left_behind(server, origin):
    """Every kind of client, staying and leaving: built with SANITIZE=address, the exit status tells of a leak."""
    stream, poll = unique(), unique()
    stream_path = origin.serve(hold("stream", stream, body="o"))
    poll_path = origin.serve(hold("response", poll, body="none"))
    plain_path = origin.serve(Reply(200, {}, "ok"))
    stay = [server.client() for _ in range(10)]
    for i, c in enumerate(stay):
        c.send_request("GET", stream_path if i % 2 else poll_path)
    with server.client() as c:
        for _ in range(3):
            assert c.request("GET", plain_path).status == 200
    for path in (stream_path, poll_path, plain_path, "/nowhere"):
        c = server.client()
        c.send_request("GET", path)
        c.reset()
    server.wait_subscribed(stream, poll)
    for c in stay[1::2]:
        c.read_head()
        assert c.read_chunk() == b"o"
    server.publish(item(stream, stream="1"), item(unique(), stream="nobody's"))
    for c in stay[1::2]:
        assert c.read_chunk() == b"1"
    assert server.control(body="not an item").status == 400
    with server.client() as c:
        c.send("GARBAGE\r\n\r\n")
        c.rest()
    stay.pop().reset()
    os.kill(server.pid, signal.SIGTERM)
    for c in stay:
        c.rest()
        c.close()
    assert ends(server) == 0


@pytest.mark.parametrize("rate", [0, 1000])  # the second would take a minute and a half
def test_what_was_published_before_a_stop_is_delivered(start_server, rate):
    server = start_server("* test", {"update_on_first_subscription": "false", "message_rate": rate, "message_hwm": 0})
    ch = unique()
    clients = [server.client() for _ in range(200)]
    for c in clients:
        c.send_request("GET", "/stream?channel=" + ch)
        c.read_head()
        assert c.read_chunks(16) == b"[stream opened]\n"
    server.publish(*[item(ch, stream="%04d" % n) for n in range(500)])
    os.kill(server.pid, signal.SIGTERM)
    expected = b"".join(b"%04d" % n for n in range(500))
    for c in clients:
        assert c.read_chunks(len(expected), 20) == expected
        assert c.read_chunk() == b""
        c.close()
