#!/usr/bin/python3
"""Everything at once, at random, for some time: streams, long-polls, aborted and pipelined requests, slow readers,
garbage, an origin in bad moods, and publishes of all kinds. One stream is watched all the while: it must miss nothing.
At the end the program must sleep when all have gone, and end with status 0, which a sanitizer refuses for a leak.

    make SANITIZE=address,undefined && tests/tools/soak.py --bin build/address-undefined/pushpind --seconds 300
"""

import argparse
import asyncio
import json
import os
import random
import struct
import socket
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "conformance"))
import harness      # noqa: E402

HOST = harness.HOST
CHANNELS = ["c%d" % i for i in range(20)]
rng = random.Random()
counts = {}


def count(name):
    counts[name] = counts.get(name, 0) + 1


# the origin

def held(mode, channels, body, extra=""):
    lines = "".join("Grip-Channel: %s\r\n" % c for c in channels)
    return ("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nGrip-Hold: %s\r\n%s%sContent-Length: %d\r\n\r\n%s"
            % (mode, lines, extra, len(body), body)).encode()


def some_channels():
    parameters = ["", "", "", "; prev-id=%d" % rng.randrange(50), "; filter=skip-self", "; filter=require-sub; filter=skip-users",
                  "; filter=http-check", "; filter=skip-self; filter=http-modify; filter=http-check"]
    return [c + rng.choice(parameters) for c in rng.sample(CHANNELS, rng.randrange(1, 4))]


def asked():
    return "Grip-Set-Meta: url=%s\r\n" % rng.choice(["/ask", "/ask?x=%d" % rng.randrange(5), "/bad", "http://localhost:1/", "/slow"])


async def origin_answer(path, body, reader, writer):
    """Writes an answer; False when the connection ends with it."""
    if path.startswith("/steady"):
        writer.write(held("stream", ["steady"], "open\n"))
    elif path.startswith("/stream"):
        plain = [c.split(";")[0] if "prev-id" in c else c for c in some_channels()]
        extra = rng.choice(["", "", "Grip-Keep-Alive: \\n; format=cstring; timeout=20\r\n", "Grip-Set-Meta: user=joe\r\n", asked()])
        writer.write(held("stream", plain, "x" * rng.choice([0, 10, 200000 if rng.random() < 0.1 else 50]), extra))
    elif path.startswith("/poll"):
        writer.write(held("response", some_channels(), '{"a": 1}', "Grip-Timeout: %d\r\n%s" % (rng.randrange(5, 8), asked())))
    elif path.startswith("/ask"):   # a filter's server
        if rng.random() < 0.1:
            await asyncio.sleep(rng.random() * 2)
        writer.write(rng.choice([b"HTTP/1.1 204 No\r\n\r\n", b"HTTP/1.1 204 No\r\nAction: drop\r\n\r\n", b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n",
                                 b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nother",
                                 b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n" + b"z" * 200000]))
    elif path.startswith("/big"):
        n = rng.randrange(1, 3000000)
        close = rng.random() < 0.5
        head = "Connection: close\r\n\r\n" if close and rng.random() < 0.5 else "Content-Length: %d\r\n\r\n" % n
        close = close or "close" in head
        writer.write(("HTTP/1.1 200 OK\r\n" + head).encode() + b"x" * n)
        return not close
    elif path.startswith("/chunked"):
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(rng.randrange(5)):
            n = rng.choice([1, 100, 70000])
            writer.write(b"%x\r\n" % n + b"y" * n + b"\r\n")
            await writer.drain()
            if rng.random() < 0.5:
                await asyncio.sleep(rng.random() * 0.05)
        writer.write(b"0\r\n\r\n")
    elif path.startswith("/bad"):
        writer.write(rng.choice([b"", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", b"garbage\r\n\r\n", b"HTTP/1.1 100 C\r\n\r\n",
                                 b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcX", b"HTTP/1.1 200 OK\r\nGrip-Hold: x\r\n\r\n",
                                 b"HTTP/1.1 200 OK\r\nA: " + b"x" * 20000, bytes(rng.getrandbits(8) for _ in range(200)),
                                 held("stream", ["a b c", "x" * 300], "y"), held("response", [], "none"),
                                 b"HTTP/1.1 200 OK\r\nContent-Type: application/grip-instruct\r\nContent-Length: 20\r\n\r\n{\"hold\": {\"mode\": 1}}"]))
        if rng.random() < 0.3:
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return False
    elif path.startswith("/slow"):
        await asyncio.sleep(rng.random() * 2)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nslow")
    else:
        more = b""
        if rng.random() < 0.02:     # what nobody asked for; at once, since nobody can tell it from an answer later
            more = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nWRONG"
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body + more)
    return rng.random() < 0.9


async def serve_origin(reader, writer):
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            path = head.split(" ")[1]
            body = b""
            if rng.random() < 0.05 and path.startswith("/stream"):
                pass    # an early answer
            elif "content-length: " in head.lower():
                body = await reader.readexactly(int(head.lower().split("content-length: ")[1].split("\r\n")[0]))
            elif "transfer-encoding: chunked" in head.lower():
                while True:
                    n = int(await reader.readline(), 16)
                    body += (await reader.readexactly(n + 2))[:-2]
                    if n == 0:
                        break
            if not await origin_answer(path, body, reader, writer):
                break
            await writer.drain()
    except (asyncio.IncompleteReadError, OSError, ValueError, IndexError, asyncio.LimitOverrunError):
        pass
    finally:
        writer.close()


# clients

async def connect(port, slow=False):
    s = socket.socket()
    if slow:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    s.setblocking(False)
    await asyncio.get_running_loop().sock_connect(s, (HOST, port))
    return await asyncio.open_connection(sock=s, limit=4096 if slow else 65536)


def leave(writer):
    if rng.random() < 0.3:
        s = writer.get_extra_info("socket")
        if s is not None:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.close()


def request(path, method="GET", body=None, version="1.1", extra=""):
    head = "%s %s HTTP/%s\r\nHost: h\r\n%s" % (method, path, version, extra)
    if body is not None:
        head += "Content-Length: %d\r\n" % len(body)
    return head.encode() + b"\r\n" + (body or b"")


async def read_for(reader, seconds, pause=0.0):
    end = time.monotonic() + seconds
    n = 0
    while time.monotonic() < end:
        try:
            data = await asyncio.wait_for(reader.read(4096 if pause else 65536), max(0.01, end - time.monotonic()))
        except asyncio.TimeoutError:
            break
        if not data:
            break
        assert b"WRONG" not in data, "a client got what nobody asked for"
        n += len(data)
        if pause:
            await asyncio.sleep(pause)
    return n


async def held_client(port):
    reader, writer = await connect(port)
    writer.write(request(rng.choice(["/stream", "/poll"]), version=rng.choice(["1.0", "1.1", "1.1"]),
                         extra=rng.choice(["", "", "Connection: close\r\n"])))
    if rng.random() < 0.2:
        writer.write(request("/plain") * rng.randrange(1, 2000))
    await read_for(reader, rng.random() * 8)
    leave(writer)


async def slow_client(port):
    reader, writer = await connect(port, slow=True)
    writer.write(request(rng.choice(["/stream", "/big", "/big", "/chunked"])) * rng.randrange(1, 3))
    await asyncio.sleep(rng.random() * 3)
    await read_for(reader, rng.random() * 5, 0.005)
    leave(writer)


async def plain_client(port):
    reader, writer = await connect(port)
    for _ in range(rng.randrange(1, 20)):
        body = bytes([rng.randrange(97, 120)]) * rng.randrange(0, 200)
        writer.write(request("/plain", "POST", body))
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)
        if b" 200 " not in head.split(b"\r\n")[0]:      # the origin was in a bad mood: a POST is not sent twice
            assert b" 502 " in head.split(b"\r\n")[0], head
            break
        n = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        got = await asyncio.wait_for(reader.readexactly(n), 30)
        assert got == body, "not our own answer: %r for %r" % (got, body)
        count("checked answers")
    leave(writer)


async def pipelining_client(port):
    reader, writer = await connect(port)
    for _ in range(rng.randrange(1, 10)):
        writer.write(request(rng.choice(["/plain", "/chunked", "/big", "/slow", "/bad", "/poll"])))
    if rng.random() < 0.3:
        writer.write_eof()
    await read_for(reader, rng.random() * 4)
    leave(writer)


async def uploading_client(port):
    reader, writer = await connect(port)
    n = rng.choice([100, 9999, 20000, 90000, 500000])
    path = rng.choice(["/plain", "/slow", "/bad", "/stream", "/poll"])
    if rng.random() < 0.5:
        writer.write(request(path, "PUT", None, extra="Content-Length: %d\r\n%s" % (
            n, "Expect: 100-continue\r\n" if rng.random() < 0.3 else "")))
        left = int(n * rng.choice([0.5, 1, 1]))
        while left > 0:
            writer.write(b"z" * min(left, 10000))
            left -= 10000
            await asyncio.wait_for(writer.drain(), 20)
            await asyncio.sleep(rng.random() * 0.01)
    else:
        writer.write(request(path, "POST", None, extra="Transfer-Encoding: chunked\r\n"))
        for _ in range(rng.randrange(20)):
            writer.write(b"%x\r\n" % 5000 + b"c" * 5000 + b"\r\n")
            await asyncio.wait_for(writer.drain(), 20)
        writer.write(rng.choice([b"0\r\n\r\n", b"0\r\n\r\n", b"zz\r\n", b""]))
    await read_for(reader, rng.random() * 3)
    leave(writer)


async def garbage_client(port):
    reader, writer = await connect(port)
    data = bytearray(rng.choice([request("/plain"), request("/plain", "POST", b"x" * 50), b"\x16\x03\x01", b"\r\n\r", b"GET /" + b"x" * 9000])
                     * rng.randrange(1, 4))
    for _ in range(rng.randrange(5)):
        data[rng.randrange(len(data))] = rng.getrandbits(8)
    for i in range(0, len(data), max(1, len(data) // rng.choice([1, 3, 50]))):
        writer.write(data[i:i + max(1, len(data) // 50)])
    await read_for(reader, rng.random())
    leave(writer)


CLIENTS = [held_client, held_client, held_client, slow_client, plain_client, plain_client, pipelining_client, uploading_client,
           garbage_client]


async def client_loop(server, until):
    while time.monotonic() < until:
        client = rng.choice(CLIENTS)
        port = server.http_port
        if client is garbage_client:
            port = rng.choice([port, port, server.control_port, server.push_port, server.sub_port, server.command_port])
        try:
            await client(port)
        except (OSError, asyncio.IncompleteReadError, asyncio.TimeoutError):
            pass
        count(client.__name__)


# publishers

def random_item(n):
    stream = {"content": rng.choice(["a\n", "b" * 1000, "c" * 100000 if rng.random() < 0.05 else "d\n"])}
    response = {"body": "published\n"}
    if rng.random() < 0.05:
        stream = {"action": rng.choice(["close", "hint"])}
    if rng.random() < 0.1:
        response = rng.choice([{"action": "hint"}, {"body-patch": [{"op": "add", "path": "/b", "value": 2}]},
                               {"code": 404, "headers": {"X": "y"}, "body": "gone"}])
    i = {"channel": rng.choice(CHANNELS), "formats": {"http-stream": stream, "http-response": response}}
    if rng.random() < 0.5:
        i["id"] = str(n)
        i["prev-id"] = str(n - rng.randrange(1, 3))
    if rng.random() < 0.2:
        i["meta"] = {"sender": "joe", "skip_users": "ann,joe", "require_sub": rng.choice(CHANNELS)}
    return i


async def publish(port, items):
    reader, writer = await connect(port)
    body = json.dumps({"items": items}).encode()
    writer.write(request("/publish/", "POST", body))
    line = await asyncio.wait_for(reader.readline(), 30)
    assert b" 200 " in line, line
    writer.close()


async def publisher_loop(server, until):
    n = 0
    while time.monotonic() < until:
        n += 1
        items = [random_item(n) for _ in range(rng.choice([1, 1, 5, 40]))]
        if rng.random() < 0.3:
            for i in items:
                server.zpush(i, rng.choice(["tnet", "json"]))
        else:
            await publish(server.control_port, items)
        if rng.random() < 0.02:
            reader, writer = await connect(server.control_port)
            writer.write(request("/recover/", "POST", b""))
            await asyncio.wait_for(reader.readline(), 30)
            writer.close()
        count("publishes")
        await asyncio.sleep(rng.random() * 0.03)


async def watched_stream(server, until):
    """Items come one after the other, and none is missing."""
    reader, writer = await connect(server.http_port)
    writer.write(request("/steady"))
    await asyncio.wait_for(reader.readuntil(b"open\n\r\n"), 10)
    n = 0
    while time.monotonic() < until:
        await publish(server.control_port, [{"channel": "steady", "formats": {"http-stream": {"content": "%08d\n" % (n + k)}}}
                                            for k in range(3)])
        for _ in range(3):
            got = await asyncio.wait_for(reader.readexactly(14), 30)
            assert got == b"9\r\n%08d\n\r\n" % n, (got, n)
            n += 1
        await asyncio.sleep(0.02)
    writer.close()
    count("watched stream's end")


def memory(pid):
    with open("/proc/%d/statm" % pid) as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1048576


async def watch_memory(server, until):
    while time.monotonic() < until:
        await asyncio.sleep(min(20, max(0.1, until - time.monotonic())))
        assert server.alive(), "it has died"
        print("%4d s left: %d MB, %s" % (until - time.monotonic(), memory(server.pid),
                                         ", ".join("%s %d" % c for c in sorted(counts.items()))), flush=True)


async def run(server, origin_port, seconds, clients):
    until = time.monotonic() + seconds
    origin = await asyncio.start_server(serve_origin, HOST, origin_port, limit=1 << 20)
    tasks = [client_loop(server, until) for _ in range(clients)]
    tasks += [publisher_loop(server, until) for _ in range(3)]
    tasks += [watched_stream(server, until), watch_memory(server, until)]
    await asyncio.gather(*tasks)
    origin.close()


def check_quiet(server):
    before = os.times(), open("/proc/%d/stat" % server.pid).read().split()
    time.sleep(3)
    after = open("/proc/%d/stat" % server.pid).read().split()
    ticks = sum(int(after[i]) - int(before[1][i]) for i in (13, 14))
    assert ticks < 60, "it computes %d ticks in 3 s though all have gone" % ticks


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--bin", required=True)
    p.add_argument("--seconds", type=int, default=60)
    p.add_argument("--clients", type=int, default=60)
    p.add_argument("--seed", type=int, default=int(time.time()))
    p.add_argument("--config", action="append", default=[], metavar="KEY=VALUE")
    a = p.parse_args()
    rng.seed(a.seed)
    print("seed %d" % a.seed)
    origin_port = harness.free_port()
    config = {"connection_queue_max": "200000", "message_rate": "0", "subscription_linger": "2", "log_level": "1"}
    config.update(c.split("=", 1) for c in a.config)
    server = harness.Target(a.bin).start("* localhost:%d" % origin_port, config)
    try:
        asyncio.run(run(server, origin_port, a.seconds, a.clients))
        time.sleep(6)
        check_quiet(server)
        print("memory at the end: %d MB" % memory(server.pid))
    except BaseException:
        print(server.logs()[-6000:])
        raise
    finally:
        server.stop()
    print("good")


if __name__ == "__main__":
    main()
