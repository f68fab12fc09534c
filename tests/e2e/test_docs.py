"""The documents: what README.md and docs/*.md tell the reader to type is typed, and what they show is what comes.

A fenced block takes part when words follow its language:

    sh run            runs to its end with status 0
    sh start [NAME]   starts in the background; with port=N, waits until something listens there; with
                      socket=NAME, until that is there
    text output       what the last `run` has printed
    text heard [NAME] what the one started (last, or as NAME) prints next
    LANGUAGE file NAME    is written to that file
    routes check      lines of a routes file, at which `pushpind --check` has nothing to say; with `file NAME`, too
    routes warned     lines with errors
    text warnings     what is said of the last `warned`
    ... always        belongs to the beginning of each later section of its document too

In what is shown, a line "..." stands for any number of lines. Each section with such blocks is one test, in a folder
and a network of its own, where the ports of the documents are free. `make run` starts what has been built already."""

import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import pytest

from test_quick_start import ALONE, TOP, can_be_alone

TIMEOUT = 120
TOP = pathlib.Path(TOP)
DOCUMENTS = [TOP / "README.md"] + sorted((TOP / "docs").glob("*.md"))
PYTHON_FIRST = "/usr/bin:/bin:/usr/sbin:/sbin"  # the system's own, which has pyzmq
MAKE = '#!/bin/sh\n[ "$*" = run ] && exec tests/tools/run.sh build/pushpind conf/pushpin.conf\nexit 2\n'


class Block:
    def __init__(self, info, text, line):
        self.language, *words = info.split()
        self.verb, self.text, self.line = words[0], text, line
        self.always = "always" in words
        self.port = next((int(w[5:]) for w in words if w.startswith("port=")), None)
        self.socket = next((w[7:] for w in words if w.startswith("socket=")), None)
        self.name = next((w for w in words[1:] if w != "always" and "=" not in w), None)


def sections(path):
    """(title, blocks) of each section that has blocks to run."""
    title, found, always, block = path.stem, [], [], None
    blocks = []
    for number, line in enumerate(path.read_text().splitlines() + ["# end"], 1):
        if block is not None:
            if line.strip() == "```":
                if len(block[0].split()) > 1:
                    blocks.append(Block(block[0], "".join(block[1]), block[2]))
                block = None
            else:
                block[1].append(line + "\n")
        elif line.startswith("```"):
            block = (line[3:], [], number)
        elif re.match(r"#+ ", line):
            if any(b.verb in ("run", "start") and not b.always for b in blocks):
                found.append((title, always + blocks))
            elif blocks:
                found.append((title, blocks))
            always = always + [b for b in blocks if b.always]
            title, blocks = line.lstrip("# "), []
    return found


class Reader:
    """Someone who types what a section says."""

    def __init__(self, folder, binaries):
        self.folder, self.started, self.output = folder, [], None
        os.symlink(binaries, folder / "build")
        os.symlink(TOP / "tests", folder / "tests")
        shutil.copytree(TOP / "conf", folder / "conf")
        (folder / "bin").mkdir()
        (folder / "bin" / "make").write_text(MAKE)
        (folder / "bin" / "make").chmod(0o755)
        (folder / ".curlrc").write_text("silent\nshow-error\n")  # no progress meter, as on a terminal
        self.net = subprocess.Popen([*ALONE, "sh", "-c", "ip link set lo up && echo up && exec cat"], stdin=subprocess.PIPE,
                                    stdout=subprocess.PIPE, text=True)
        assert self.net.stdout.readline() == "up\n"

    def argv(self, text):
        user = [] if os.getuid() == 0 else ["--user", "--preserve-credentials"]
        return ["nsenter", "--target", str(self.net.pid), *user, "--net", "bash", "-c", text]

    def environment(self):
        return dict(os.environ, PATH="%s:%s" % (self.folder / "bin", PYTHON_FIRST), PYTHONUNBUFFERED="1", LC_ALL="C.UTF-8",
                    CURL_HOME=str(self.folder), PYTHONDONTWRITEBYTECODE="1")

    def close(self):
        for p in reversed(self.started):
            if p.poll() is None:
                os.killpg(p.pid, signal.SIGTERM)
        for p in self.started:
            try:
                p.wait(TIMEOUT)
            except subprocess.TimeoutExpired:
                os.killpg(p.pid, signal.SIGKILL)
                p.wait()
        self.net.kill()
        self.net.wait()

    def printed(self, p):
        return pathlib.Path(p.log).read_text(errors="replace")

    def subscriptions(self):
        return sum(len(re.findall(r"^\[INFO\] \S+ \S+ subscribe ", self.printed(p), re.M)) for p in self.started)

    def wait(self, condition, what):
        end = time.monotonic() + TIMEOUT
        while not condition():
            assert time.monotonic() < end, what() + "\n" + "\n".join("$ %s%s" % (p.text, self.printed(p)) for p in self.started)
            time.sleep(0.01)

    # the verbs

    def file(self, b):
        (self.folder / b.name).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / b.name).write_text(b.text)
        if b.language == "routes":
            self.check(b)

    def said_of(self, b):
        """What --check says of the lines, and its status."""
        (self.folder / "check.routes").write_text(b.text)
        (self.folder / "check.conf").write_text("[proxy]\nroutesfile=check.routes\n")
        r = subprocess.run(self.argv("build/pushpind --config check.conf --check"), cwd=self.folder, env=self.environment(),
                           stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=TIMEOUT)
        said = re.findall(r"^\[(?:WARN|ERR)\] \S+ \S+ check\.(.*\n)", r.stdout, re.M)
        assert "routes loaded with" in r.stdout and r.stdout.count("[WARN]") + r.stdout.count("[ERR]") == len(said), r.stdout
        return "".join(said), r.returncode

    def check(self, b):
        assert self.said_of(b) == ("", 0), "line %d" % b.line

    def warned(self, b):
        self.warnings, _ = self.said_of(b)

    def warnings_are(self, b):
        assert self.warnings == b.text, "line %d" % b.line

    def run(self, b):
        r = subprocess.run(self.argv("set -e\n" + b.text), cwd=self.folder, env=self.environment(), stdin=subprocess.DEVNULL,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=TIMEOUT)
        self.output = r.stdout
        assert r.returncode == 0, "%s%s" % (b.text, r.stdout)

    def start(self, b):
        before = self.subscriptions()
        log = self.folder / ("started-%d.log" % len(self.started))
        with open(log, "w") as out:
            p = subprocess.Popen(self.argv(b.text), cwd=self.folder, env=self.environment(), stdin=subprocess.DEVNULL, stdout=out,
                                 stderr=subprocess.STDOUT, start_new_session=True)
        p.log, p.name, p.text, p.seen = log, b.name, b.text, 0
        self.started.append(p)
        if b.port is not None:
            probe = self.argv("exec 3<>/dev/tcp/localhost/%d" % b.port)
            self.wait(lambda: subprocess.run(probe, stderr=subprocess.DEVNULL).returncode == 0, lambda: "no port %d" % b.port)
            if "build/pushpind" in b.text:  # its clients' ports are the last that it opens
                self.wait(lambda: re.search(r"^(\[INFO\] \S+ \S+ )?started$", self.printed(p), re.M), lambda: "not started")
        elif b.socket is not None:
            self.wait(lambda: listens(self.folder / b.socket), lambda: "no socket %s" % b.socket)
        elif b.text.startswith("curl"):
            self.wait(lambda: self.subscriptions() > before, lambda: "not subscribed: " + b.text)

    def output_is(self, b):
        assert matches(b.text, self.output) is not None, "line %d shows\n%s\nbut this came:\n%s" % (b.line, b.text, self.output)

    def heard(self, b):
        p = [p for p in self.started if b.name is None or p.name == b.name][-1]
        self.wait(lambda: matches(b.text, self.printed(p)[p.seen:]) is not None,
                  lambda: "line %d shows\n%s\nbut this came:\n%s" % (b.line, b.text, self.printed(p)[p.seen:]))
        p.seen += matches(b.text, self.printed(p)[p.seen:])


def listens(path):
    with socket.socket(socket.AF_UNIX) as s:
        return s.connect_ex(str(path)) == 0


def matches(shown, text):
    """How much of the text the shown lines take up; None: it is not what they show."""
    pattern = "".join(r"(?:.*\n)*?" if line == "..." else re.escape(line) + r"\r?\n" for line in shown.splitlines())
    m = re.match(pattern, text if text.endswith("\n") else text + "\n")
    return min(m.end(), len(text)) if m else None


VERBS = {"file": Reader.file, "run": Reader.run, "start": Reader.start, "output": Reader.output_is, "heard": Reader.heard,
         "check": Reader.check, "warned": Reader.warned, "warnings": Reader.warnings_are}
SECTIONS = [(path, title, blocks) for path in DOCUMENTS for title, blocks in sections(path)]


@pytest.fixture
def folder():
    """With a short name: those of Unix sockets have little room."""
    path = tempfile.mkdtemp(prefix="docs-")
    yield pathlib.Path(path)
    shutil.rmtree(path, ignore_errors=True)


@pytest.mark.skipif(not can_be_alone(), reason="cannot make a network namespace")
@pytest.mark.parametrize("path,title,blocks", SECTIONS, ids=["%s: %s" % (s[0].name, s[1]) for s in SECTIONS])
def test_what_a_document_says_to_type(path, title, blocks, target, folder):
    if any(re.search(r"^node ", b.text, re.M) for b in blocks) and not shutil.which("node", path=PYTHON_FIRST):
        pytest.skip("node is not installed")
    reader = Reader(folder, os.path.dirname(target.binary))
    try:
        for b in blocks:
            VERBS[b.verb](reader, b)
    finally:
        reader.close()


def test_documents_have_what_is_to_be_run():
    names = {path.name for path, _, _ in SECTIONS}
    assert {"README.md", "grip.md", "publishing.md", "routes.md", "deployment.md"} <= names


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: p.name)
def test_routes_that_are_shown_are_tried(path):
    for info in re.findall(r"^```(routes.*)$", path.read_text(), re.M):
        assert re.match(r"routes (check|warned|file) ?", info), info


def anchors(path):
    heads = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```", "", path.read_text(), flags=re.M | re.S), re.M)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in heads}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: p.name)
def test_links_lead_somewhere(path):
    for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text()):
        if re.match(r"https?:", target):
            continue
        name, _, anchor = target.partition("#")
        to = path.parent / name if name else path
        assert to.exists(), target
        assert not anchor or anchor in anchors(to), target


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: p.name)
def test_files_of_the_tree_that_are_named_exist(path):
    if path.name == "CHANGELOG.md":
        return
    for name in re.findall(r"`((?:src|include|tests|conf|docs)/[\w./-]*)`", path.read_text()):
        assert "FOLDER" in name or (TOP / name).exists(), name


MANUAL = TOP / "docs" / "man"


@pytest.mark.parametrize("page", sorted(MANUAL.iterdir()), ids=lambda p: p.name)
def test_manual_page_is_clean(page):
    if not shutil.which("man"):
        pytest.skip("man is not installed")
    r = subprocess.run(["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", str(page)], stdout=subprocess.DEVNULL,
                       stderr=subprocess.PIPE, text=True, env=dict(os.environ, LC_ALL="C.UTF-8", MANWIDTH="80"))
    assert (r.returncode, r.stderr) == (0, "")


def test_manual_pages_name_every_option_key_and_property(target):
    usage = subprocess.run([target.binary, "--help"], stdout=subprocess.PIPE, text=True).stdout
    options = re.findall(r"--([a-z-]+)", usage[:usage.index("\nSIGHUP")])
    keys = re.findall(r"^#?([a-z_]+)=", (TOP / "conf" / "pushpin.conf").read_text(), re.M)
    table = (TOP / "src" / "conf" / "routeline.c").read_text()
    properties = re.findall(r"\b(?:CALL|TEXT|FLAG)\(\"(\w+)\"", table)
    assert len(options) > 8 and len(keys) > 50 and len(properties) > 30
    for page, names in (("pushpind.8", [o.replace("-", "\\-") for o in options]), ("pushpind.conf.5", keys), ("routes.5", properties)):
        text = (MANUAL / page).read_text()
        missing = [n for n in names if not re.search(r"^\.It .*\b%s\b" % re.escape(n), text, re.M)
                   and not re.search(r"^\.It .*\b%s\b" % re.escape(n.replace("\\-", "-")), text, re.M)]
        assert missing == [], page


def test_routes_document_has_an_example_of_every_property():
    table = (TOP / "src" / "conf" / "routeline.c").read_text()
    properties = set(re.findall(r"\b(?:CALL|TEXT|FLAG)\(\"(\w+)\"", table)) - {"ipc_file_mode"}  # it has no effect
    text = (TOP / "docs" / "routes.md").read_text()
    shown = "".join(re.findall(r"^```routes (?:check|file).*?\n(.*?)^```", text, re.M | re.S))
    shown = re.sub(r"(?m)(^|\s)#.*", "", shown)
    assert len(properties) > 30
    assert {p for p in properties if not re.search(r',"?%s\b' % p, shown)} == set()
    listed = text.partition("## All properties")[2]
    assert {p for p in properties if not re.search(r"`%s\b" % p, listed)} == set()


def test_migrating_document_names_every_key_that_has_no_effect():
    table = (TOP / "src" / "conf" / "configkeys.c").read_text()
    old = set(re.findall(r"^    OLD\(\"\w+\", \"(\w+)\"\)", table, re.M))
    section = (TOP / "docs" / "migrating-from-pushpin.md").read_text().partition("## Keys without effect")[2].partition("\n## ")[0]
    assert len(old) > 50
    assert {k for k in old if not re.search(r"`%s`" % k.replace("condure_", "connmgr_"), section)} == set()


def test_manual_page_has_the_keys_of_the_document():
    keys = subprocess.run(["tests/tools/keys-mdoc.sh"], cwd=TOP, stdout=subprocess.PIPE, text=True, check=True).stdout
    page = (MANUAL / "pushpind.conf.5").read_text()
    assert page.partition('.\\" keys\n')[2].partition('.\\" end of keys\n')[0] == keys, "tests/tools/keys-mdoc.sh --write"


def test_configuration_document_says_what_the_help_says(target):
    usage = subprocess.run([target.binary, "--help"], stdout=subprocess.PIPE, text=True).stdout
    text = (TOP / "docs" / "configuration.md").read_text()
    for option in re.findall(r"--[a-z-]+", usage):
        assert "`%s" % option in text, option
