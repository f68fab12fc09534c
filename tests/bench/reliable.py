#!/usr/bin/python3
"""Measures what reliability costs: streams that are all asked again, and long-polls before an origin with a store.

    tests/bench/reliable.py [--bin build/pushpind] [--streams 2000] [--polls 2000] [--rate 20] [--seconds 10]

streams  Each of the streams has a next link of its own. After POST /recover: how long until the last of the links has
         been asked for, by an origin that answers in a millisecond, and how many of these requests were in flight at
         once (the limit is 100).
polls    Clients poll one channel; the origin answers everything after Grip-Last, or the query, from its store, and holds
         who has it all. Items are published at the rate. Every client must get every line once and in order. The
         server's CPU time for each poll that was answered and renewed is compared with that of a plain GET through the
         same server, over as many connections, right before and after.

The origin and the clients are processes of their own. Exit status 1: something was lost, doubled, out of order, never
asked for, or more than 100 requests were in flight."""

import argparse
import asyncio
import http.client
import json
import multiprocessing
import os
import re
import socket
import subprocess
import sys
import tempfile
import time

HOST = "127.0.0.1"
MOST_IN_FLIGHT = 100
LIMIT = 120             # s for what must happen at all
CONFIG = """
[global]
rundir={dir}
[runner]
http_port={host}:{http}
logdir={dir}
log_level=1
client_maxconn=15000
[proxy]
routesfile=routes
[handler]
push_in_spec=
push_in_sub_specs=
command_spec=
stats_spec=
update_on_first_subscription=false
push_in_http_addr={host}
push_in_http_port={control}
"""

# numbers that all processes see
(STORE, PHASE, READY, PLAIN, ANSWERED, HELD, DOUBLED, REORDERED, COMPLETE, ASKED, FLYING, MOST, OPENED,
 FAILED) = range(14)
# PHASE
(CONNECT, GET, REST, POLL, END) = range(5)


def free_port():
    with socket.socket() as s:
        s.bind((HOST, 0))
        return s.getsockname()[1]


class Origin(asyncio.Protocol):
    """One connection from the proxy: one request at a time."""

    def __init__(self, n, asked):
        self.n, self.asked, self.data = n, asked, b""

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.data += data
        if self.data.endswith(b"\r\n\r\n"):
            head, self.data = self.data, b""
            self.request(head)

    def answer(self, body, extra=b""):
        self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n%sContent-Length: %d\r\n\r\n%s" % (extra, len(body), body))

    def request(self, head):
        path = head.split(b" ", 2)[1]
        if path.startswith(b"/plain"):
            self.answer(b"1000000\n")
        elif path.startswith(b"/poll"):
            last = re.search(rb"(?i)\r\ngrip-last:[^\r]*last-id=(\d+)", head) or re.search(rb"last=(\d+)", path)
            last, now = int(last.group(1)), self.n[STORE]
            if now > last:
                self.answer(b"".join(b"%d\n" % i for i in range(last + 1, now + 1)))
            else:
                self.n[HELD] += 1
                self.answer(b"", b"Grip-Hold: response\r\nGrip-Channel: polls; prev-id=%d\r\nGrip-Timeout: 55\r\n" % now)
        elif path.startswith(b"/stream/"):
            self.hold(path.rpartition(b"/")[2], b"open\n")
        else:
            self.n[FLYING] += 1
            self.n[MOST] = max(self.n[MOST], self.n[FLYING])
            asyncio.get_running_loop().call_later(0.001, self.next, path.rpartition(b"/")[2])

    def next(self, name):
        self.n[FLYING] -= 1
        self.asked.add(name)
        self.n[ASKED] = len(self.asked)
        self.hold(name, b"")

    def hold(self, name, body):
        self.answer(body, b"Grip-Hold: stream\r\nGrip-Channel: streams; prev-id=0\r\nGrip-Link: </next/%s>; rel=next\r\n" % name)


class Stream(asyncio.Protocol):
    def __init__(self, n, number):
        self.n, self.number, self.data = n, number, b""

    def connection_made(self, transport):
        transport.write(b"GET /stream/%d HTTP/1.1\r\nHost: bench\r\n\r\n" % self.number)

    def data_received(self, data):
        if self.data is not None:
            self.data += data
            if b"open\n" in self.data:
                self.data = None
                self.n[OPENED] += 1

    def connection_lost(self, exc):
        self.n[FAILED] += self.n[PHASE] != END


class Poller(asyncio.Protocol):
    """Asks for /plain while PHASE is GET, polls while it is POLL, and rests in between."""

    def __init__(self, n):
        self.n, self.data, self.last, self.busy = n, b"", 0, False

    def connection_made(self, transport):
        self.transport = transport
        self.n[READY] += 1

    def go(self):
        if not self.busy:
            self.ask()

    def ask(self):
        self.busy = True
        if self.n[PHASE] == GET:
            self.transport.write(b"GET /plain HTTP/1.1\r\nHost: bench\r\n\r\n")
        elif self.n[PHASE] == POLL:
            self.transport.write(b"GET /poll?last=%d HTTP/1.1\r\nHost: bench\r\n\r\n" % self.last)
        else:
            self.busy = False

    def data_received(self, data):
        self.data += data
        head, end, body = self.data.partition(b"\r\n\r\n")
        if not end or len(body) < int(re.search(rb"(?i)\r\ncontent-length: *(\d+)", head).group(1)):
            return
        self.data = b""
        if not head.startswith(b"HTTP/1.1 200 "):
            self.n[FAILED] += 1
        if body == b"1000000\n":
            self.n[PLAIN] += 1
        else:
            self.n[ANSWERED] += 1
            self.check(body)
        self.ask()

    def check(self, body):
        for line in body.split():
            number = int(line)
            if number <= self.last:
                self.n[DOUBLED] += 1
            elif number != self.last + 1:
                self.n[REORDERED] += 1
            self.last = max(number, self.last)

    def connection_lost(self, exc):
        self.n[FAILED] += self.n[PHASE] != END


async def connect(n, port, makers):
    loop = asyncio.get_running_loop()
    all_of_them = []
    for i in range(0, len(makers), 100):
        made = await asyncio.gather(*[loop.create_connection(m, HOST, port) for m in makers[i:i + 100]])
        all_of_them += [protocol for _, protocol in made]
    return all_of_them


async def serve(n, port):
    asked = set()
    server = await asyncio.get_running_loop().create_server(lambda: Origin(n, asked), HOST, port, backlog=4096)
    n[READY] += 1
    async with server:
        await server.serve_forever()


async def keep_streams(n, port, count):
    await connect(n, port, [lambda i=i: Stream(n, i) for i in range(count)])
    while n[PHASE] != END:
        await asyncio.sleep(0.05)


async def keep_polls(n, port, count):
    pollers = await connect(n, port, [lambda: Poller(n)] * count)
    seen = CONNECT
    while n[PHASE] != END:
        if n[PHASE] != seen:
            seen = n[PHASE]
            for p in pollers:
                p.go()
        n[COMPLETE] = sum(p.last == n[STORE] for p in pollers)
        await asyncio.sleep(0.05)
    n[COMPLETE] = sum(p.last == n[STORE] for p in pollers)


def until(condition, what):
    end = time.monotonic() + LIMIT
    while not condition():
        if time.monotonic() > end:
            sys.exit("not within %d s: %s" % (LIMIT, what))
        time.sleep(0.001)


class Server:
    """pushpind and the origin, and processes of clients."""

    def __init__(self, binary, folder):
        self.n = shared_numbers()
        self.http, self.control, origin = free_port(), free_port(), free_port()
        self.children = []
        with open(os.path.join(folder, "routes"), "w") as f:
            f.write("* %s:%d\n" % (HOST, origin))
        path = os.path.join(folder, "pushpin.conf")
        with open(path, "w") as f:
            f.write(CONFIG.format(dir=folder, host=HOST, http=self.http, control=self.control))
        self.child(serve, origin)
        until(lambda: self.n[READY] == 1, "the origin listens")
        self.n[READY] = 0
        self.process = subprocess.Popen([binary, "--config=" + path], stdout=sys.stderr)
        until(self.listens, "pushpind listens")
        self.publisher = http.client.HTTPConnection(HOST, self.control)

    def listens(self):
        with socket.socket() as s:
            return s.connect_ex((HOST, self.http)) == 0

    def child(self, run, *args):
        p = multiprocessing.Process(target=lambda: asyncio.run(run(self.n, *args)), daemon=True)
        p.start()
        self.children.append(p)

    def post(self, path, body=""):
        self.publisher.request("POST", path, body, {"Connection": "keep-alive"})
        r = self.publisher.getresponse()
        r.read()
        if r.status != 200:
            sys.exit("POST %s: %d" % (path, r.status))

    def cpu(self):
        """Seconds of all its threads."""
        tasks = "/proc/%d/task" % self.process.pid
        total = 0
        for t in os.listdir(tasks):
            with open("%s/%s/schedstat" % (tasks, t)) as f:
                total += int(f.read().split()[0])
        return total / 1e9

    def close(self):
        self.n[PHASE] = END
        for p in self.children[1:]:
            p.join(10)
        self.process.terminate()
        self.process.wait()
        self.children[0].terminate()


def shared_numbers():
    return multiprocessing.RawArray("q", 20)


def measure_streams(args):
    with tempfile.TemporaryDirectory() as folder:
        s = Server(args.bin, folder)
        s.child(keep_streams, s.http, args.streams)
        until(lambda: s.n[OPENED] == args.streams, "all streams are open")
        if s.n[ASKED]:
            sys.exit("%d links were asked for before there was a reason" % s.n[ASKED])
        cpu, start = s.cpu(), time.monotonic()
        s.post("/recover")
        until(lambda: s.n[ASKED] == args.streams, "all links have been asked for")
        took, cpu = time.monotonic() - start, s.cpu() - cpu
        s.close()
        print("streams: %d next links asked for in %.2f s after /recover (%.0f/s), at most %d in flight; server CPU %.1f us each"
              % (args.streams, took, args.streams / took, s.n[MOST], cpu / args.streams * 1e6))
        return s.n[MOST] <= MOST_IN_FLIGHT and s.n[FAILED] == 0


def measure_gets(s, seconds):
    s.n[PHASE] = GET
    time.sleep(0.5)
    cpu, n = s.cpu(), s.n[PLAIN]
    time.sleep(seconds)
    cpu, n = s.cpu() - cpu, s.n[PLAIN] - n
    s.n[PHASE] = REST
    time.sleep(1)
    return cpu, n


def measure_polls(args):
    with tempfile.TemporaryDirectory() as folder:
        s = Server(args.bin, folder)
        s.child(keep_polls, s.http, args.polls)
        until(lambda: s.n[READY] == args.polls, "all clients are connected")
        gets = measure_gets(s, 3)
        s.n[PHASE] = POLL
        until(lambda: s.n[HELD] >= args.polls, "all polls are held")
        time.sleep(2)
        cpu, held = s.cpu(), s.n[HELD]
        start = time.monotonic()
        total = int(args.rate * args.seconds)
        for i in range(1, total + 1):
            time.sleep(max(0, start + i / args.rate - time.monotonic()))
            s.n[STORE] = i
            s.post("/publish", json.dumps({"items": [{"channel": "polls", "id": str(i), "prev-id": str(i - 1),
                                                      "formats": {"http-response": {"body": "%d\n" % i}}}]}))
        published = time.monotonic() - start
        until(lambda: s.n[COMPLETE] == args.polls, "every client has every line")
        time.sleep(1)       # until all are held again
        took, answered = time.monotonic() - start - 1, s.n[ANSWERED]
        cpu, held = s.cpu() - cpu, s.n[HELD] - held
        s.n[PHASE] = REST
        s.n[STORE] = total + 1      # the last answer lets the clients rest
        s.post("/publish", json.dumps({"items": [{"channel": "polls", "id": str(total + 1), "prev-id": str(total),
                                                  "formats": {"http-response": {"body": "%d\n" % (total + 1)}}}]}))
        until(lambda: s.n[ANSWERED] >= answered + args.polls, "all clients rest")
        more = measure_gets(s, 3)
        s.close()
        get_us = (gets[0] + more[0]) / (gets[1] + more[1]) * 1e6
        poll_us = cpu / answered * 1e6
        lost = args.polls - s.n[COMPLETE]
        print("polls: %d clients, %d items in %.1f s (all answered in %.1f s): %d answers, %d of them to held clients; %d clients "
              "lost something, %d doubled, %d out of order, %d failed"
              % (args.polls, total, published, took, answered, held, lost, s.n[DOUBLED], s.n[REORDERED], s.n[FAILED]))
        print("polls: server CPU %.1f us for each poll answered and renewed, %.1f us for a GET (%d of them): %.2f times"
              % (poll_us, get_us, gets[1] + more[1], poll_us / get_us))
        return not (lost or s.n[DOUBLED] or s.n[REORDERED] or s.n[FAILED])


def main():
    top = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--bin", default=os.path.join(top, "build", "pushpind"))
    p.add_argument("--streams", type=int, default=2000)
    p.add_argument("--polls", type=int, default=2000)
    p.add_argument("--rate", type=float, default=20, help="items a second")
    p.add_argument("--seconds", type=float, default=10)
    args = p.parse_args()
    multiprocessing.set_start_method("fork")
    good = [measure(args) for measure, n in ((measure_streams, args.streams), (measure_polls, args.polls)) if n > 0]
    sys.exit(0 if all(good) else 1)


if __name__ == "__main__":
    main()
