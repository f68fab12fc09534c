"""Many odd messages at once: clients that send bytes in pieces, and an origin that writes down what it gets.

All of it lives in one event loop, which runs only while a test does. A row is a conversation of one client connection
(or, for answers, of the origin's); it has a tag of its own, and every target and body of it contains that tag, so that
whatever arrives anywhere can be told apart. A table is a list of rows; what is wrong with them is collected and
reported by name.

Pieces are really read as pieces: after each of them a barrier is awaited, an answer that the daemon gives on another
connection to a request sent later. Its loop has then come to the piece. Nothing sleeps.
"""

import asyncio
import itertools
import re
import socket
import struct

import strict_http
from harness import HOST, free_port

PATIENCE = 120          # seconds for what must happen: much else goes on meanwhile, and the machine may be slow
AT_ONCE = 150           # conversations
HOSTS = 60              # host names with an address of the origin to themselves
TAG = re.compile(rb"t\d+t")

_tags = itertools.count(1)


class Fault(Exception):
    """What a row found wrong."""


def new_tag():
    """All have the same length."""
    return b"t%06dt" % next(_tags)


def same(what, got, want):
    if got != want:
        raise Fault("%s: got %r instead of %r" % (what, got, want))


# ways to cut

def edges(data):
    """Where a reader's state changes: before and behind every line end, odd byte and separator."""
    odd = re.compile(rb"[\x00-\x1f\x7f-\xff]|(?<=[\r\n])[^\r\n]|[:;,](?! o| POST)")
    places = set()
    for m in odd.finditer(data):
        places |= {m.start(), m.end()}
    return sorted(p for p in places if 0 < p < len(data))


def whole(data):
    return [data]


def bytewise(data):
    return [data[i:i + 1] for i in range(len(data))]


def at(place):
    return lambda data: [data[:place], data[place:]]


def some(places, n):
    """N of them, spread over all."""
    return places if len(places) <= n else [places[i * len(places) // n] for i in range(n)]


def cuts(data, n):
    """(name, function) for the whole, cut at N of its edges, and byte by byte (long ones: in pieces of 500). The last passes
    through every state; the others show that it does not matter what is read at once."""
    ways = [("whole", whole)] + [("cut at %d" % p, at(p)) for p in some(edges(data), n)]
    if len(data) < 1500:
        return ways + [("bytewise", bytewise)]
    return ways + [("pieces", lambda d: [d[i:i + 500] for i in range(0, len(d), 500)])]


# the two ends

def no_delay(transport):
    """What is written has come when write() returns: a barrier stands on that."""
    transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


class Client(asyncio.Protocol):
    def __init__(self):
        self.data = b""
        self.reset = False
        self.closed = asyncio.get_running_loop().create_future()
        self.waiting = None
        self.transport = None

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.data += data
        if self.waiting is not None and not self.waiting.done():
            self.waiting.set_result(None)

    def connection_lost(self, exc):
        self.reset = exc is not None
        if not self.closed.done():
            self.closed.set_result(None)
        if self.waiting is not None and not self.waiting.done():
            self.waiting.set_result(None)

    def send(self, data):
        if not self.transport.is_closing():
            self.transport.write(data)

    def finish(self):
        """Say that nothing more will be sent."""
        if not self.transport.is_closing():
            self.transport.write_eof()

    @property
    def gone(self):
        return self.closed.done()

    async def until(self, check, what):
        """Wait until check() or the end of the connection."""
        async def wait():
            while not check() and not self.gone:
                self.waiting = asyncio.get_running_loop().create_future()
                await self.waiting
        try:
            await asyncio.wait_for(wait(), PATIENCE)
        except asyncio.TimeoutError:
            raise Fault("%s has not come; got %r" % (what, self.data[-300:]))

    async def end(self):
        await self.until(lambda: False, "the end of the connection")

    def answers(self, methods):
        """What has come, read strictly."""
        p = strict_http.responses(methods)
        p.feed(self.data)
        if self.gone:
            p.end(self.reset)
        if p.error:
            raise Fault("the answer is not HTTP: %s, in %r" % (p.error, self.data[-500:]))
        return p


class OriginConn(asyncio.Protocol):
    def __init__(self, rig):
        self.rig = rig
        self.parser = strict_http.requests()
        self.raw = b""
        self.done = 0
        self.transport = None
        self.closed = False
        self.reset = False

    def connection_made(self, transport):
        self.transport = transport
        no_delay(transport)

    def data_received(self, data):
        self.raw += data
        self.parser.feed(data)
        while self.done < len(self.parser.messages):
            m = self.parser.messages[self.done]
            self.done += 1
            self.rig.request(self, m)
        if self.parser.error:
            self.rig.wrong.append("the origin got what is no request: %s, in %r" % (self.parser.error, self.raw[-700:]))
            self.transport.abort()

    def connection_lost(self, exc):
        self.closed, self.reset = True, exc is not None
        self.parser.end()

    def send(self, data):
        if not self.transport.is_closing():
            self.transport.write(data)

    def close(self):
        if not self.transport.is_closing():
            self.transport.close()

    def shut(self, how):
        if how == "reset" and not self.transport.is_closing():
            sock = self.transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.transport.abort()
        elif how == "close":
            self.close()


class Rig:
    """An origin and the means to talk to the server. rig.run(rows) runs conversations: (name, coroutine function of
    the rig)."""

    def __init__(self):
        self.loop = asyncio.new_event_loop()
        self.port = free_port()
        self.server = None
        self.got = {}           # tag -> requests at the origin, in order
        self.scripts = {}       # target -> coroutine function (conn, message)
        self.wrong = []
        self.hosts = None       # those that nobody uses
        self.tasks = set()
        self.later = []         # functions that look at what the origin got, when all has come there
        self.refused = 0        # requests that the daemon answered for itself
        self.barrier_conn = None
        self.barrier_next = None
        self.barrier_busy = False
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("", self.port))
        self.listener = self.loop.run_until_complete(self.loop.create_server(lambda: OriginConn(self), sock=sock, backlog=512))

    def close(self):
        self.listener.close()
        for t in asyncio.all_tasks(self.loop):
            t.cancel()
        self.loop.run_until_complete(asyncio.sleep(0))
        self.loop.close()

    # the origin

    def routes(self):
        """For the server: each host has another address, and so idle connections to the origin of its own."""
        return "* %s:%d\n" % (HOST, self.port) + "".join("h%d 127.0.77.%d:%d\n" % (n, n, self.port) for n in range(1, HOSTS + 1))

    async def take_host(self):
        return await self.hosts.get()

    def give_host(self, host):
        self.hosts.put_nowait(host)

    def request(self, conn, m):
        tag = TAG.search(m.target) or TAG.search(m.body)
        tag = tag.group() if tag else b"none"
        self.got.setdefault(tag, []).append(m)
        script = self.scripts.get(m.target.partition(b"?")[0])
        if script is None:
            body = b"" if m.method == b"HEAD" else m.target
            conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(m.target), body))
            return
        task = self.loop.create_task(script(conn, m))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    # talking to the server

    async def connect(self):
        _, c = await self.loop.create_connection(Client, HOST, self.server.http_port)
        no_delay(c.transport)
        return c

    async def barrier(self):
        """Comes back when the daemon has come to all that was sent before."""
        if self.barrier_next is None:
            self.barrier_next = self.loop.create_future()
        mine = self.barrier_next
        if not self.barrier_busy:
            self.barrier_busy = True
            task = self.loop.create_task(self._barriers())
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)
        await mine

    async def _barriers(self):
        while self.barrier_next is not None:
            await asyncio.sleep(0)          # whoever else is about to ask may join
            mine, self.barrier_next = self.barrier_next, None
            try:
                if self.barrier_conn is None or self.barrier_conn.gone:
                    self.barrier_conn = await self.connect()
                c = self.barrier_conn
                have = len(c.data)
                c.send(b"GET / HTTP/1.1\r\nHost: barrier\r\nPushpin-Check: 1\r\n\r\n")
                await c.until(lambda: c.data.endswith(b".\n") and len(c.data) > have, "the barrier's answer")
                if c.gone:
                    raise Fault("the barrier's connection was closed after %r" % c.data[-300:])
                mine.set_result(None)
            except (Fault, OSError) as e:
                mine.set_exception(Fault("no barrier: %s" % e))
        self.barrier_busy = False

    async def send_pieces(self, c, pieces):
        """C: either end's connection."""
        for i, piece in enumerate(pieces):
            if c.transport.is_closing():
                return
            c.send(piece)
            if i + 1 < len(pieces):
                await self.barrier()

    # tables

    def run(self, rows):
        """Runs all, and returns what was wrong, a line each."""
        faults = []
        self.hosts = asyncio.Queue()
        for n in range(1, HOSTS + 1):
            self.hosts.put_nowait(b"h%d" % n)
        gate = asyncio.Semaphore(AT_ONCE)
        self.wrong.clear()

        async def one(name, talk):
            async with gate:
                try:
                    await asyncio.wait_for(talk(self), 3 * PATIENCE)
                except Fault as e:
                    faults.append("%s: %s" % (name, e))
                except asyncio.TimeoutError:
                    faults.append("%s: still not over" % name)
                except OSError as e:
                    faults.append("%s: %r" % (name, e))

        async def everything():
            await asyncio.gather(*(one(name, talk) for name, talk in rows))
            await self.barrier()            # what was under way to the origin has come
            await asyncio.sleep(0)

        self.loop.run_until_complete(everything())
        for name, look in self.later:
            try:
                look()
            except Fault as e:
                faults.append("%s: %s" % (name, e))
        self.later.clear()
        return faults + self.wrong


def report(faults, total):
    """For an assertion: the faults of a table, the first ones in full."""
    return "%d of %d conversations went wrong:\n%s" % (len(faults), total, "\n".join(f[:1500] for f in faults[:25]))
