"""The promise of reliable streams and long-polls: before an origin that answers from its own store by Grip-Last, no
client loses an item, gets one twice or out of order, whatever the timing.

    Driver   appends to the store, then publishes: at once, late, in another order, twice, or not at all
    Origin   answers everything after what Grip-Last says (or the query, where there is none) with prev-id and next
             link: in one piece or in parts, late, from a state that is old by then, or it fails
    Clients  keep streams open or poll, leave and come back with what they have, stop reading for a while

Each line that a client gets must be the next of its channel in the store. In the end the driver rests and all must have
everything. The order of things is drawn from a seed, which is printed; what the threads of a machine make of it is not
repeated, so the assertions hold for every order and nothing is expected to come within a given time but the end.

RELIABILITY_SECONDS (3): how long each test drives.  RELIABILITY_SEED: another seed than that of the clock.
"""

import os
import random
import threading
import time

import pytest

from harness import Closed, Reply, hold, item, wait_for

SECONDS = float(os.environ.get("RELIABILITY_SECONDS", "3"))
SEEDS = [1, int(os.environ.get("RELIABILITY_SEED", time.time_ns() // 1000000 % 100000000))]
END = 90                # s for everything to arrive after the driver has come to rest, on the slowest machine


class Store:
    """An append-only list of lines for each channel. Item N (from 1) has id N and prev-id N-1."""

    def __init__(self, channels):
        self.lock = threading.Lock()
        self.lines = {ch: [] for ch in channels}

    def append(self, ch, size):
        with self.lock:
            n = len(self.lines[ch]) + 1
            line = "%s %d %s.\n" % (ch, n, "x" * size)
            self.lines[ch].append(line)
        return n, line

    def after(self, positions, most):
        """Up to so many lines of all channels together that follow the positions, and the positions then."""
        with self.lock:
            out, then = [], dict(positions)
            for ch in positions:
                lines = self.lines[ch][positions[ch]:positions[ch] + max(most - len(out), 0)]
                out += lines
                then[ch] += len(lines)
            whole = all(then[ch] == len(self.lines[ch]) for ch in then)
        return "".join(out), then, whole

    def length(self, ch):
        with self.lock:
            return len(self.lines[ch])


class Backend:
    """What the origin answers."""

    def __init__(self, origin, store, seed, quiet):
        self.store, self.quiet = store, quiet
        self.rng = random.Random(seed)
        self.lock = threading.Lock()
        self.failed = set()
        self.base = "/r%d" % id(self)
        self.fetches = self.failures = 0
        origin.serve(self.stream, self.base + "/stream/*")
        origin.serve(self.next, self.base + "/next/*")
        origin.serve(self.poll, self.base + "/poll/*")
        origin.serve(self.gone, self.base + "/gone/*")

    def draw(self):
        """What shall become of an answer: numbers of 0 to 1."""
        with self.lock:
            return [0.99] * 6 if self.quiet.is_set() else [self.rng.random() for _ in range(6)]

    def positions(self, request):
        at = {}
        for pair in request.query.split("&"):
            ch, _, n = pair.partition("=")
            at[ch] = int(n)
        for value in request.get_all("Grip-Last"):
            ch, _, last = value.partition("; last-id=")
            assert last.isdigit() and ch in at, value
            at[ch] = int(last)
        return at

    def fail(self, request, how):
        """None, or True when the request has been failed. Never twice in a row, since pauses double."""
        with self.lock:
            if request.path in self.failed:
                self.failed.discard(request.path)
                return False
            if how > 0.2:
                return False
            self.failed.add(request.path)
            self.failures += 1
        return True

    def wait(self, how):
        if how < 0.3:
            self.quiet.wait(how)

    def answer(self, request, parts):
        """A stream's first or next part."""
        how = self.draw()
        self.wait(how[0])
        body, then, whole = self.store.after(self.positions(request), 3 if parts and how[1] < 0.4 else 1000)
        self.wait(how[2])                                   # by now it may be old
        tail = request.path.rsplit("/", 1)[1]
        query = "&".join("%s=%d" % at for at in then.items())
        link = ("Grip-Link", "<%s/next/%s?%s>; rel=next; timeout=1" % (self.base, tail, query))
        gone = ("Grip-Link", "<%s/gone/%s>; rel=gone" % (self.base, tail))
        channels = ["%s; prev-id=%d" % at for at in then.items()]
        if not whole and parts:                             # more to come: no hold yet
            named = [("Grip-Channel", c) for c in channels] if how[3] < 0.5 else []
            return Reply(200, [link, gone] + named, body)
        return hold("stream", channels, [link, gone], body)

    def stream(self, request):
        return self.answer(request, False)

    def next(self, request):
        how = self.draw()
        with self.lock:
            self.fetches += 1
        if not self.fail(request, how[0]):
            return self.answer(request, True)
        if how[1] < 0.3:
            request.conn.closing = True
            return None
        if how[1] < 0.6:
            return Reply(503, {}, "not now")
        reply = self.answer(request, True).encode()         # breaks off, perhaps in the middle of a line
        request.conn.closing = True
        return reply[:max(len(reply) - 1 - int(how[2] * 40), 1)]

    def poll(self, request):
        how = self.draw()
        self.wait(how[0])
        body, then, whole = self.store.after(self.positions(request), 5 if how[1] < 0.3 else 1000)
        self.wait(how[2])
        if body:
            return Reply(200, {}, body)
        return hold("response", ["%s; prev-id=%d" % at for at in then.items()], {"Grip-Timeout": "5"})

    def gone(self, request):
        return Reply(200, {}, "")


class Client(threading.Thread):
    """One client. What it may not see ends it and is told in self.wrong."""

    def __init__(self, server, backend, channels, seed, quiet, name):
        super().__init__(daemon=True, name=name)
        self.server, self.backend, self.quiet = server, backend, quiet
        self.rng = random.Random(seed)
        self.at = {ch: 0 for ch in channels}
        self.wrong = None
        self.stopped = threading.Event()
        self.text = b""
        self.sessions = 0

    def run(self):
        while not self.stopped.is_set() and self.wrong is None:
            try:
                with self.server.client(rcvbuf=self.rng.choice([None, 4096])) as c:
                    self.text = b""
                    self.sessions += 1
                    self.session(c)
            except (Closed, OSError):                       # TimeoutError is one of them
                self.stopped.wait(0.01)
            except Exception as e:
                self.wrong = repr(e)

    def path(self, kind):
        return "%s/%s/%s?%s" % (self.backend.base, kind, self.tail(), "&".join("%s=%d" % at for at in self.at.items()))

    def tail(self):
        return self.name

    def take(self, data):
        self.text += data
        *lines, self.text = self.text.split(b"\n")
        for line in lines:
            ch, n, _ = line.decode().split(" ", 2)
            expected = self.at[ch] + 1
            if int(n) != expected or line.decode() + "\n" != self.backend.store.lines[ch][expected - 1]:
                self.wrong = "%s got %s %s where %d is next" % (self.name, ch, n, expected)
                return
            self.at[ch] = expected

    def complete(self):
        return all(n == self.backend.store.length(ch) for ch, n in self.at.items())


class StreamClient(Client):
    def tail(self):
        # some have links of their own, others share
        return self.name if self.rng.random() < 0.5 else "shared"

    def session(self, c):
        c.send_request("GET", self.path("stream"))
        if c.read_head(30).status != 200:
            return
        end = time.monotonic() + self.rng.choice([0.05, 0.3, 1, 3, 100])
        while not self.stopped.is_set() and self.wrong is None:
            active = not self.quiet.is_set()
            if active and time.monotonic() > end:
                return                                      # whatever is under way is lost, and asked for anew
            if active and self.rng.random() < 0.03:
                self.quiet.wait(self.rng.random() * 1.5)    # does not read
            if not c.buf:
                try:
                    if not c.fill(0.1):
                        return
                except TimeoutError:
                    continue
            chunk = c.read_chunk(30)
            if chunk == b"":
                return
            self.take(chunk)


class PollClient(Client):
    def session(self, c):
        while not self.stopped.is_set() and self.wrong is None:
            if not self.quiet.is_set() and self.rng.random() < 0.1:
                return
            c.send_request("GET", self.path("poll"))
            end = time.monotonic() + (self.rng.choice([0.2, 100, 100]) if not self.quiet.is_set() else 100)
            while not c.buf:
                try:
                    if not c.fill(0.1):
                        return
                except TimeoutError:
                    if self.stopped.is_set() or (time.monotonic() > end and not self.quiet.is_set()):
                        return
            r = c.read_response(timeout=30)
            if r.status == 200:
                self.text = b""
                self.take(r.body)


class Driver:
    def __init__(self, server, store, seed, in_order=False):
        self.server, self.store, self.in_order = server, store, in_order
        self.rng = random.Random(seed)
        self.late = []
        self.published = 0

    def publish(self, items):
        self.published += len(items)
        if self.in_order or self.rng.random() < 0.5:      # nothing is said of the order between two inputs
            self.server.publish(*items)
        else:
            for i in items:
                self.server.zpush(i)

    def new_item(self, ch=None, size=None):
        ch = ch or self.rng.choice(sorted(self.store.lines))
        size = size or self.rng.choice([5, 5, 5, 5, 200, 3000])
        n, line = self.store.append(ch, size)
        return item(ch, stream=line, response=line, id=str(n), prev_id=str(n - 1))

    def burst(self):
        """More than the buffers of a client that does not read."""
        ch = self.rng.choice(sorted(self.store.lines))
        self.publish([self.new_item(ch, 20000) for _ in range(15)])

    def step(self):
        x = self.rng.random()
        if self.rng.random() < 0.04:
            self.burst()
            return
        items = [self.new_item() for _ in range(self.rng.choice([1, 1, 1, 2, 5]))]
        if x < 0.6:
            self.publish(items)
        elif x < 0.75:
            self.late += items
        elif x < 0.8:
            self.rng.shuffle(items)
            self.publish(items + items)
        elif x < 0.85:
            pass                                            # only the store has them
        elif x < 0.9:
            self.rng.shuffle(self.late)
            self.publish(self.late + items)
            self.late = []
        elif x < 0.93:
            hint = {"action": "hint"}
            self.publish(items + [item(items[0]["channel"], stream=hint, response=hint)])
        elif x < 0.95:
            self.publish(items)
            self.server.control(path="/recover/", body=b"")
        elif x < 0.96:
            self.publish(items + [item(items[0]["channel"], stream={"action": "close"})])
        else:
            self.publish(items[:1])


@pytest.mark.parametrize("seed", SEEDS, ids=["fixed", "drawn"])
def test_no_item_is_lost_doubled_or_out_of_order(start_server, origin, seed):
    print("seed %d, %g s" % (seed, SECONDS))
    server = start_server("* localhost:%d" % origin.port,
                          {"message_wait": 300, "connection_queue_max": 30000, "message_rate": 0,
                           "subscription_linger": 1})
    channels = ["a", "b", "c"]
    store, quiet = Store(channels), threading.Event()
    backend = Backend(origin, store, seed, quiet)
    driver = Driver(server, store, seed + 1)
    rng = random.Random(seed + 2)
    clients = []
    for n in range(10):
        kind = StreamClient if n < 7 else PollClient
        some = rng.sample(channels, rng.randint(1, 3)) if n > 2 else ["a", "b"]
        clients.append(kind(server, backend, some, seed * 100 + n, quiet, "%s%d" % (kind.__name__[0].lower(), n)))
    for c in clients:
        c.start()
    end = time.monotonic() + SECONDS
    try:
        while time.monotonic() < end and not any(c.wrong for c in clients):
            driver.step()
            quiet.wait(rng.choice([0, 0, 0.002, 0.01, 0.05]))
        quiet.set()
        wait_for(lambda: any(c.wrong for c in clients) or all(c.complete() for c in clients), END,
                 "all to arrive; missing: %r" % clients, 0.05)
        time.sleep(0.3)                                     # for what must not come any more
    except AssertionError:
        late = ["%s %r" % (c.name, {ch: (n, store.length(ch)) for ch, n in c.at.items() if n != store.length(ch)}) for c in clients
                if not c.complete()]
        raise AssertionError("seed %d: not all has arrived: %s" % (seed, late))
    finally:
        for c in clients:
            c.stopped.set()
        for c in clients:
            c.join(5)
    wrong = [c.wrong for c in clients if c.wrong]
    assert not wrong, "seed %d: %s" % (seed, wrong)
    assert all(c.complete() for c in clients) and server.alive() and not any(isinstance(e, AssertionError) for e in origin.errors)
    print("%d items, %d published, %d links fetched, %d failed, %d sessions, %d times too slow" % (
        sum(store.length(ch) for ch in channels), driver.published, backend.fetches, backend.failures,
        sum(c.sessions for c in clients), server.logs().count("reads too slowly")))


def test_client_that_does_not_read_for_long_gets_everything_in_the_end(start_server, origin):
    server = start_server("* localhost:%d" % origin.port, {"connection_queue_max": 50000, "message_rate": 0})
    store, quiet = Store(["a"]), threading.Event()
    quiet.set()                                             # the origin neither fails nor waits
    backend = Backend(origin, store, 0, quiet)
    driver = Driver(server, store, 0, in_order=True)
    reader = StreamClient(server, backend, ["a"], 0, quiet, "r")
    with server.client(rcvbuf=4096) as c:
        c.send_request("GET", reader.path("stream"))
        assert c.read_head().status == 200
        server.wait_subscribed("a")
        for _ in range(400):                                # of 300 kB each: more than any kernel keeps
            driver.burst()
            if "its link makes up for what is dropped" in server.logs():
                break
        driver.burst()
        end = time.monotonic() + END
        while not reader.complete() and reader.wrong is None:
            reader.take(c.read_chunk(end - time.monotonic()))
    assert reader.wrong is None and backend.fetches > 0
    assert "its link makes up for what is dropped" in server.logs()
