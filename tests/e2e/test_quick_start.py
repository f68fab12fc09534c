"""The first minute of a new user: `make run`, then what it says to type."""

import os
import queue
import re
import shutil
import signal
import subprocess
import threading
import time

import pytest

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TIMEOUT = 120

# the shipped configuration has fixed ports: a network of our own keeps other programs out of their way
ALONE = ["unshare", "--net"] if os.getuid() == 0 else ["unshare", "--map-root-user", "--net"]
UP = "ip link set lo up && exec "


def can_be_alone():
    return shutil.which("unshare") and subprocess.run(ALONE + ["sh", "-c", UP + "true"], stderr=subprocess.DEVNULL).returncode == 0


pytestmark = pytest.mark.skipif(not can_be_alone(), reason="cannot make a network namespace")


class Lines:
    """The lines that a program prints, as they come."""

    def __init__(self, stream):
        self.seen, self.queue = [], queue.Queue()
        threading.Thread(target=self.read, args=(stream,), daemon=True).start()

    def read(self, stream):
        for line in stream:
            self.queue.put(line.rstrip("\n"))
        self.queue.put(None)

    def until(self, pattern):
        """The first match of the pattern in a line from here on."""
        end = time.monotonic() + TIMEOUT
        while True:
            try:
                line = self.queue.get(timeout=max(end - time.monotonic(), 0))
            except queue.Empty:
                line = None
            assert line is not None, "no line like %r after %r" % (pattern, self.seen)
            self.seen.append(line)
            m = re.search(pattern, line)
            if m:
                return m


def spawn(*argv):
    """Starts a program from the top folder, as the leader of a group of its own."""
    return subprocess.Popen(argv, cwd=TOP, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                            bufsize=1, start_new_session=True)


@pytest.fixture
def running(target):
    """The daemon as `make run` starts it, and its lines; in a network of its own."""
    p = spawn(*ALONE, "sh", "-c", UP + 'tests/tools/run.sh "$@"', "sh", target.binary, "conf/pushpin.conf")
    p.lines = Lines(p.stdout)
    yield p
    if p.poll() is None:
        os.killpg(p.pid, signal.SIGKILL)
        p.wait()


def beside(p, command):
    """The command line, for a shell in the network of the process."""
    user = [] if os.getuid() == 0 else ["--user", "--preserve-credentials"]
    return ["nsenter", "--target", str(p.pid), *user, "--net", "bash", "-c", command]


def test_what_make_run_says_to_type_works_and_ctrl_c_ends_it(running):
    running.lines.until(r"^\[INFO\] .* started$")
    curl = running.lines.until(r"^ +(curl .*)").group(1)
    publish = running.lines.until(r"^ +(.*pushpin-publish .*)").group(1)

    listening = spawn(*beside(running, curl))
    try:
        lines = Lines(listening.stdout)
        lines.until(r"^\[stream opened\]$")
        published = subprocess.run(beside(running, publish), cwd=TOP, stdout=subprocess.PIPE, text=True, timeout=TIMEOUT)
        assert (published.returncode, published.stdout) == (0, "Published\n")
        lines.until(r"^hello there$")

        os.killpg(running.pid, signal.SIGINT)        # as a terminal does it
        assert running.wait(TIMEOUT) == 0
        assert listening.wait(TIMEOUT) == 0         # curl saw the end of the body, not a cut connection
    finally:
        if listening.poll() is None:
            os.killpg(listening.pid, signal.SIGKILL)


def test_greeting_of_the_test_target(running):
    running.lines.until(r"started$")
    r = subprocess.run(beside(running, "curl -si http://localhost:7999/"), stdout=subprocess.PIPE, text=True, timeout=TIMEOUT)
    head, _, body = r.stdout.partition("\n\n")
    assert head.startswith("HTTP/1.1 200 ") and "test handler!" in body
