"""Node and what tests/tools/npm names of npm's registry; tests that need either are skipped where it cannot be had."""

import fcntl
import itertools
import json
import os
import queue
import shutil
import signal
import subprocess
import threading

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.join(HERE, "..", "..")
MODULES = os.path.join(TOP, "build", "npm")
WANTED = os.path.join(HERE, "..", "tools", "npm")
INSTALL_LIMIT = 40              # seconds for npm
LIMIT = 120.0                   # for anything else


def run_limited(argv, cwd, limit):
    """Why it failed, or None. It has been killed with its children when it takes longer."""
    p = subprocess.Popen(argv, cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                         start_new_session=True, text=True, errors="replace")
    try:
        said = p.communicate(timeout=limit)[0]
    except subprocess.TimeoutExpired:
        os.killpg(p.pid, signal.SIGKILL)
        p.wait()
        return "npm took longer than %d s" % limit
    return None if p.returncode == 0 else "npm failed: " + (" ".join(said.split())[:200] or "without a word")


def read(path):
    try:
        with open(path) as f:
            return f.read()
    except OSError:
        return None


def install():
    """Why the modules cannot be had, or None: they are there."""
    lock = read(os.path.join(WANTED, "package-lock.json"))
    if read(os.path.join(MODULES, "installed")) == lock:
        return None
    for name in os.listdir(WANTED):
        shutil.copy(os.path.join(WANTED, name), MODULES)
    why = run_limited(["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--no-update-notifier", "--fetch-retries=0"],
                      MODULES, INSTALL_LIMIT)
    if why is None:
        with open(os.path.join(MODULES, "installed.new"), "w") as f:
            f.write(lock)
        os.rename(os.path.join(MODULES, "installed.new"), os.path.join(MODULES, "installed"))
    return why


def install_once(run):
    """install(), but only one process does it at a time, and a RUN of the tests that has failed does not try again."""
    os.makedirs(MODULES, exist_ok=True)
    with open(os.path.join(MODULES, "lock"), "a+") as f:
        fcntl.flock(f, fcntl.LOCK_EX)       # npm is limited, and so are those who wait here
        f.seek(0)
        tried, _, why = f.read().partition("\n")
        if tried == run and why:
            return why
        why = install()
        f.truncate(0)
        if why:
            f.write("%s\n%s" % (run, why))
        return why


@pytest.fixture(scope="session", name="npm_modules")
def npm_modules_fixture():
    """The folder above node_modules."""
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("needs Node with npm: install Debian's nodejs and npm")
    why = install_once(os.environ.get("PYTEST_XDIST_TESTRUNUID") or "process %d" % os.getpid())
    if why:
        pytest.skip("npm's libraries cannot be had here: " + why)
    return MODULES


class Thing:
    """What a Node has started at our command, and what it tells of it."""

    def __init__(self, node, id):
        self.node, self.id = node, id
        self.events = queue.Queue()
        self.on_event = self.events.put     # called on the thread that reads

    def tell(self, what, **fields):
        self.node.write({"do": what, "id": self.id, **fields})

    def wait(self, event, limit=LIMIT):
        """The next event, which has to be this one."""
        try:
            e = self.events.get(timeout=limit)
        except queue.Empty:
            raise AssertionError("no %s within %g s%s" % (event, limit, self.node.state()))
        assert e["event"] == event, e
        return e


class Node:
    """A Node that runs nodejs.js."""

    def __init__(self, modules):
        self.ids = itertools.count(1)
        self.things = {None: Thing(self, None)}
        self.lock = threading.Lock()
        self.process = subprocess.Popen(["node", os.path.join(HERE, "nodejs.js"), os.path.abspath(modules)], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True,
                                        env=dict(os.environ, NODE_NO_WARNINGS="1", NODE_TLS_REJECT_UNAUTHORIZED="0"))
        threading.Thread(target=self.read, daemon=True).start()
        self.things[None].wait("ready")

    def read(self):
        for line in self.process.stdout:
            e = json.loads(line)
            self.things[e["id"]].on_event(e)

    def write(self, order):
        with self.lock:
            self.process.stdin.write(json.dumps(order) + "\n")
            self.process.stdin.flush()

    def start(self, kind, **fields):
        t = Thing(self, next(self.ids))
        self.things[t.id] = t
        t.tell(kind, **fields)
        return t

    def state(self):
        loose = self.things[None].events
        said = [] if loose.empty() else [loose.get()["text"]]
        return "".join([", node has ended" if self.process.poll() is not None else ""] + [", node says " + s for s in said])

    def close(self):
        self.process.stdin.close()      # it ends by itself then
        try:
            self.process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.process.stdout.close()


@pytest.fixture(scope="module", name="node")
def node_fixture(npm_modules):
    n = Node(npm_modules)
    yield n
    n.close()
