"""Headless Chromium; tests that need it are skipped where it is missing (Debian: chromium chromium-driver)."""

import json
import os
import shutil
import signal
import subprocess
import urllib.error
import urllib.request

import pytest

from harness import free_port, wait_for

BROWSER_TIMEOUT = 120           # to start; a loaded machine takes its time


class Browser:
    """A page in headless Chromium, by chromedriver's HTTP interface."""

    def __init__(self, folder):
        self.port, self.log = free_port(), open(os.path.join(folder, "chromedriver.log"), "wb")
        self.driver = subprocess.Popen(["chromedriver", "--port=%d" % self.port], stdin=subprocess.DEVNULL, stdout=self.log,
                                       stderr=subprocess.STDOUT, start_new_session=True)
        self.session = None
        try:
            wait_for(self.is_ready, BROWSER_TIMEOUT, "chromedriver")
            args = ["--headless", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=390,844",
                    "--user-data-dir=" + os.path.join(folder, "profile")]
            if os.getuid() == 0:
                args.append("--no-sandbox")
            options = {"browserName": "chrome", "acceptInsecureCerts": True,
                       "timeouts": {"script": (BROWSER_TIMEOUT - 10) * 1000}, "goog:chromeOptions": {"args": args}}
            self.session = self.ask("POST", "/session", {"capabilities": {"alwaysMatch": options}})["sessionId"]
        except BaseException:
            self.close()
            raise

    def ask(self, method, path, body=None, timeout=BROWSER_TIMEOUT):
        r = urllib.request.Request("http://127.0.0.1:%d%s" % (self.port, path), method=method,
                                   data=None if body is None else json.dumps(body).encode(),
                                   headers={"Content-Type": "application/json"})
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(r, timeout=timeout) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as e:
            raise AssertionError("%s %s: %s" % (method, path, e.read().decode(errors="replace")[:2000]))

    def is_ready(self):
        try:
            return self.ask("GET", "/status", timeout=BROWSER_TIMEOUT)["ready"]
        except OSError:
            assert self.driver.poll() is None, "chromedriver has ended"
            return False

    def open(self, url):
        self.ask("POST", "/session/%s/url" % self.session, {"url": url})

    def run(self, script, *args):
        return self.ask("POST", "/session/%s/execute/sync" % self.session, {"script": script, "args": args})

    def call(self, script, *args):
        """run() for a script that awaits something; it has its arguments in args."""
        r = self.ask("POST", "/session/%s/execute/async" % self.session, {"args": args, "script": """
            const given = [...arguments], done = given.pop();
            (async (args) => {%s})(given).then((value) => done({value}), (e) => done({error: String(e)}));""" % script})
        assert "error" not in r, r["error"]
        return r.get("value")

    def close(self):
        try:
            if self.session is not None:
                self.ask("DELETE", "/session/" + self.session)
        finally:
            if self.driver.poll() is None:
                os.killpg(self.driver.pid, signal.SIGKILL)
            self.driver.wait()
            self.log.close()


@pytest.fixture(scope="module", name="browser")
def browser_fixture(tmp_path_factory):
    if not (shutil.which("chromium") and shutil.which("chromedriver")):
        pytest.skip("no headless browser: install Debian's chromium and chromium-driver")
    b = Browser(str(tmp_path_factory.mktemp("browser")))
    yield b
    b.close()
