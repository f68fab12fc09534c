"""The fixtures and options of the tests that start the program: a pytest plugin."""

import os

import pytest

import harness


HERE = os.path.dirname(os.path.abspath(__file__))


def pytest_addoption(parser):
    parser.addoption("--bin", default=os.path.join(HERE, "..", "..", "build", "pushpind"),
                     help="the pushpind to test, pushpin-publish beside it (default: that of build/)")
    parser.addoption("--keep", action="store_true", help="keep the files and logs of stopped servers")


def pytest_configure(config):
    config.addinivalue_line("markers", "xfail_on_pushpin(reason): here Pushpin itself does something else")


_during_call = []       # the servers that the running test itself has started
_of_module = []         # those that live until the module's end
_in_call = False


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    # a server that one test brought down shall not fail all the others
    for s in _of_module:
        if not s.alive():
            s.target.revive(s)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call(item):
    global _in_call
    _in_call = True
    yield
    _in_call = False


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    if call.when != "call":
        return
    if report.failed:
        for s in _of_module + _during_call:
            state = "" if s.alive() else ", no longer running"
            report.sections.append(("log of the server %s%s" % (s.name, state), "\n".join(s.logs().splitlines()[-40:])))
    while _during_call:
        try:
            _during_call.pop().stop()
        except AssertionError as e:
            report.outcome = "failed"
            report.sections.append(("a server's end", str(e)))


@pytest.fixture(scope="session")
def target(request):
    return harness.Target(request.config.getoption("--bin"), keep=request.config.getoption("--keep"))


@pytest.fixture(scope="session")
def publish_tool(target):
    """The path of pushpin-publish."""
    return target.publish_tool


@pytest.fixture(scope="module")
def start_server(target):
    """start_server(routes, config=None, files=None): a server that lives until
    the module's end, or until the test's end when a test itself starts it."""
    def start(routes, config=None, files=None):
        s = target.start(routes, config, files)
        (_during_call if _in_call else _of_module).append(s)
        return s
    yield start
    ends = []
    while _of_module:
        try:
            _of_module.pop().stop()
        except AssertionError as e:
            ends.append(str(e))
    assert not ends, "\n".join(ends)


@pytest.fixture(scope="module")
def start_origin():
    """start_origin(...): a harness.Origin that lives until the module's end."""
    started = []

    def start(**kw):
        o = harness.Origin(**kw)
        started.append(o)
        return o
    yield start
    for o in started:
        o.stop()


@pytest.fixture(scope="module", autouse=True)
def _ports():
    yield
    harness.give_free_ports()


@pytest.fixture(scope="module")
def origin(start_origin):
    return start_origin()


@pytest.fixture(scope="module")
def server(start_server, origin):
    """A server with default configuration that sends everything to `origin`.
    A module overrides this fixture when it wants other routes or keys."""
    return start_server("* localhost:%d" % origin.port)
