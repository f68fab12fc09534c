"""Black-box harness: starts pushpind and talks to it.

Nothing here knows how the program works inside.  It is started with a routes
file and the keys of pushpin.conf; the tests then use plain sockets and ZeroMQ
only.

Environment variables (all optional):
  CONFORMANCE_NAME      prefix for instance names (default cf)
  CONFORMANCE_HTTP      first HTTP port (default 7400)
  CONFORMANCE_OFFSET    first port_offset (default 400)
  CONFORMANCE_ORIGIN    first origin port (default 8400)
  CONFORMANCE_SPAN      how many of each to use (default 200)
  CONFORMANCE_KEEP      set to keep the files of stopped servers
"""

import base64
import errno
import fcntl
import hashlib
import itertools
import json
import os
import re
import shutil
import socket
import ssl
import struct
import subprocess
import tempfile
import threading
import time

HOST = "127.0.0.1"
TIMEOUT = 40.0          # how long anything that must happen may take
QUIET = 0.25            # how long to watch for something that must not happen
END = 60.0              # how long a program that has been told to end may take


def patient(timeout):
    """How long to wait for what a test expects within `timeout`: long enough
    for a machine that stands still for seconds.  Limits are there to end a
    broken test, not to measure."""
    return max(4 * timeout, 20.0)


def env_int(name, default):
    return int(os.environ.get(name, default))


# ---------------------------------------------------------------------------
# waiting

def wait_for(check, timeout=TIMEOUT, what="condition", step=0.01):
    """Calls check() until it returns something true, and returns that."""
    end = time.monotonic() + patient(timeout)
    while True:
        value = check()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError("timed out after %gs waiting for %s" % (timeout, what))
        time.sleep(step)


_names = itertools.count(1)


def unique(prefix="c"):
    """A name that no other test uses: for channels, paths, ids."""
    return "%s%d-%d" % (prefix, os.getpid(), next(_names))


def put_off(begin, publish, arrived, timer):
    """Shows that messages put off a keep-alive, whose timer runs for that many
    seconds at least: c = begin(channel), then publish(channel) and arrived(c),
    which says whether the message is the next that comes, for 2.5 times that.
    Begins anew when the machine has stood still for as long as the timer runs.
    Returns c."""
    for _ in range(20):
        ch, last = unique(), time.monotonic()
        c, end = begin(ch), last + 2.5 * timer
        while True:
            time.sleep(timer / 4)
            before = time.monotonic()
            publish(ch)
            right = arrived(c)
            if time.monotonic() - last >= timer:
                break
            assert right, "a keep-alive came %g s after a message" % (time.monotonic() - last)
            if time.monotonic() > end:
                return c
            last = before
        c.close()
    raise AssertionError("the machine stands still all the time")


def steadily(limit, talk):
    """talk(tick) has to go on without a pause, for the server's sake, and calls
    tick() all the while.  When something goes wrong and there was a pause of
    LIMIT seconds, the machine stood still: it is tried again."""
    for _ in range(20):
        ticks = [time.monotonic()]
        try:
            return talk(lambda: ticks.append(time.monotonic()))
        except (AssertionError, Closed, OSError):
            ticks.append(time.monotonic())
            if max(b - a for a, b in zip(ticks, ticks[1:])) < limit:
                raise
    raise AssertionError("the machine stands still all the time")


# ---------------------------------------------------------------------------
# tnetstrings

def tnet(value):
    """Encodes a value as a tnetstring.  str and bytes both become strings."""
    if value is None:
        return b"0:~"
    if value is True:
        return b"4:true!"
    if value is False:
        return b"5:false!"
    if isinstance(value, int):
        s, t = str(value).encode(), b"#"
    elif isinstance(value, float):
        s, t = repr(value).encode(), b"^"
    elif isinstance(value, bytes):
        s, t = value, b","
    elif isinstance(value, str):
        s, t = value.encode("utf-8"), b","
    elif isinstance(value, (list, tuple)):
        s, t = b"".join(tnet(v) for v in value), b"]"
    elif isinstance(value, dict):
        s, t = b"".join(tnet(k) + tnet(v) for k, v in value.items()), b"}"
    else:
        raise TypeError(type(value))
    return str(len(s)).encode() + b":" + s + t


def tnet_parse(data):
    """Decodes one tnetstring to (value, rest).  Strings come back as bytes,
    keys of dicts as str."""
    size, colon, rest = data.partition(b":")
    if not colon or not size.isdigit():
        raise ValueError("bad tnetstring %r" % data[:40])
    n = int(size)
    body, kind, rest = rest[:n], rest[n:n + 1], rest[n + 1:]
    if len(body) != n or not kind:
        raise ValueError("short tnetstring")
    if kind == b",":
        return body, rest
    if kind == b"#":
        return int(body), rest
    if kind == b"^":
        return float(body), rest
    if kind == b"!":
        return body == b"true", rest
    if kind == b"~":
        return None, rest
    if kind == b"]":
        out = []
        while body:
            v, body = tnet_parse(body)
            out.append(v)
        return out, rest
    if kind == b"}":
        out = {}
        while body:
            k, body = tnet_parse(body)
            v, body = tnet_parse(body)
            out[k.decode()] = v
        return out, rest
    raise ValueError("unknown tnetstring type %r" % kind)


def untnet(data):
    value, rest = tnet_parse(data)
    if rest:
        raise ValueError("trailing data %r" % rest[:40])
    return value


# ---------------------------------------------------------------------------
# ports

class Leases:
    """Hands out numbers of a range, each to one process at a time (flock)."""

    def __init__(self, kind):
        self.dir = os.path.join(tempfile.gettempdir(), "conformance-leases-%d" % os.getuid())
        os.makedirs(self.dir, exist_ok=True)
        self.kind = kind
        self.held = {}

    def take(self, numbers, usable, timeout=4 * TIMEOUT):
        """The first number that nobody holds and that is usable(n).  When there
        is none, waits for one to be given back."""
        end = time.monotonic() + timeout
        while True:
            for n in numbers:
                if n not in self.held and self.lock(n):
                    if usable(n):
                        return n
                    self.give(n)
            if time.monotonic() > end:
                raise RuntimeError("no free %s number in %r" % (self.kind, numbers))
            time.sleep(0.1)

    def lock(self, n):
        fd = os.open(os.path.join(self.dir, "%s-%d" % (self.kind, n)), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(fd)
            return False
        self.held[n] = fd
        return True

    def give(self, n):
        fd = self.held.pop(n, None)
        if fd is not None:
            os.close(fd)


_http_leases = Leases("http")
_offset_leases = Leases("offset")
_free_leases = Leases("origin")


def port_open(port, host=HOST):
    try:
        socket.create_connection((host, port), 0.5).close()
        return True
    except OSError:
        return False


def port_bindable(port):
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        s.bind((HOST, port))
        return True
    except OSError:
        return False
    finally:
        s.close()


def lease_http_port():
    base, span = env_int("CONFORMANCE_HTTP", 7400), env_int("CONFORMANCE_SPAN", 200)
    return _http_leases.take(range(base, base + span), port_bindable)


def lease_offset():
    """A port_offset whose four ports, 5560 to 5563 moved by it, are free."""
    base, span = env_int("CONFORMANCE_OFFSET", 400), env_int("CONFORMANCE_SPAN", 200)
    return _offset_leases.take(range(base, base + span - 3, 4), lambda n: all(port_bindable(p + n) for p in range(5560, 5564)))


def free_port():
    """A port for an origin or an extra listener, kept from other processes
    until the module's end."""
    base, span = env_int("CONFORMANCE_ORIGIN", 8400), env_int("CONFORMANCE_SPAN", 200)
    with _free_lock:
        return _free_leases.take(range(base, base + span), port_bindable)


def give_free_ports():
    with _free_lock:
        for n in list(_free_leases.held):
            _free_leases.give(n)


_free_lock = threading.Lock()


# ---------------------------------------------------------------------------
# HTTP messages

class Message:
    """A parsed HTTP head with its body as it came."""

    def __init__(self, raw_head):
        self.raw_head = raw_head
        lines = raw_head.split(b"\r\n")
        self.start = lines[0].decode("latin-1")
        self.headers = []
        for line in lines[1:]:
            if not line:
                continue
            name, _, value = line.decode("latin-1").partition(":")
            self.headers.append((name, value.strip()))
        self.body = b""
        self.chunks = []        # as they were framed on the wire, when chunked
        self.complete = False   # the body's end was seen
        self.trailers = []

    def get(self, name, default=None):
        """The first value of a header, whatever its case."""
        for n, v in self.headers:
            if n.lower() == name.lower():
                return v
        return default

    def get_all(self, name):
        return [v for n, v in self.headers if n.lower() == name.lower()]

    def has(self, name):
        return bool(self.get_all(name))

    @property
    def names(self):
        """Header names in their order and case."""
        return [n for n, v in self.headers]

    @property
    def chunked(self):
        return "chunked" in (self.get("Transfer-Encoding") or "").lower()

    def json(self):
        return json.loads(self.body.decode("utf-8"))


class Response(Message):
    def __init__(self, raw_head):
        super().__init__(raw_head)
        version, _, rest = self.start.partition(" ")
        code, _, self.reason = rest.partition(" ")
        self.version, self.status = version, int(code)

    def __repr__(self):
        return "<Response %s %r %r>" % (self.start, self.headers, self.body[:200])


class Request(Message):
    def __init__(self, raw_head, conn=None):
        super().__init__(raw_head)
        parts = self.start.split(" ")
        self.method, self.target = parts[0], parts[1] if len(parts) > 1 else ""
        self.version = parts[2] if len(parts) > 2 else ""
        self.path, _, self.query = self.target.partition("?")
        self.conn = conn
        self.time = time.monotonic()

    def __repr__(self):
        return "<Request %s %r %r>" % (self.start, self.headers, self.body[:200])


class Closed(Exception):
    """The peer closed before what was asked for had come."""


class Stream:
    """A buffered socket that reads HTTP."""

    def __init__(self, sock):
        self.sock = sock
        self.buf = b""
        self.eof = False
        self.begun, self.n_begun = [], 0        # what came first of all, a megabyte or so

    @property
    def all(self):
        """Everything ever received."""
        assert self.n_begun < 1 << 20, "not all of so much was kept"
        return b"".join(self.begun)

    def send(self, data):
        if isinstance(data, str):
            data = data.encode("latin-1")
        self.sock.settimeout(patient(TIMEOUT))      # not what was left of reading's limit
        self.sock.sendall(data)

    def close(self):
        try:
            self.sock.close()
        except OSError:
            pass

    def reset(self):
        """Closes with a TCP reset."""
        try:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        except OSError:
            pass
        self.close()

    def shutdown_write(self):
        self.sock.shutdown(socket.SHUT_WR)

    def fill(self, timeout=TIMEOUT):
        """Reads more; False at the end of the stream."""
        if self.eof:
            return False
        self.sock.settimeout(max(timeout, 0.001))
        try:
            data = self.sock.recv(262144)
        except (socket.timeout, TimeoutError, ssl.SSLWantReadError):
            raise TimeoutError("nothing received in %gs; so far %r" % (timeout, self.buf[:500]))
        except (ConnectionError, ssl.SSLError):
            data = b""
        except OSError as e:
            if e.errno != errno.EBADF:
                raise
            data = b""
        if not data:
            self.eof = True
            return False
        self.buf += data
        if self.n_begun < 1 << 20:
            self.begun.append(data)
            self.n_begun += len(data)
        return True

    def until(self, mark, timeout=TIMEOUT):
        """Everything up to and with mark."""
        end = time.monotonic() + patient(timeout)
        while mark not in self.buf:
            if not self.fill(end - time.monotonic()):
                raise Closed("closed before %r; got %r" % (mark, self.buf[:500]))
        head, _, self.buf = self.buf.partition(mark)
        return head + mark

    def exactly(self, n, timeout=TIMEOUT):
        end = time.monotonic() + patient(timeout)
        if len(self.buf) >= n:
            data, self.buf = self.buf[:n], self.buf[n:]
            return data
        got, have = [], 0                   # joined once: n may be many megabytes
        try:
            while have + len(self.buf) < n:
                have += len(self.buf)
                got.append(self.buf)
                self.buf = b""
                if not self.fill(end - time.monotonic()):
                    raise Closed("closed before %d bytes; got %r" % (n, b"".join(got)[:500]))
        finally:
            self.buf = b"".join(got) + self.buf
        data, self.buf = self.buf[:n], self.buf[n:]
        return data

    def rest(self, timeout=TIMEOUT):
        """Everything up to the close."""
        end = time.monotonic() + patient(timeout)
        while self.fill(end - time.monotonic()):
            pass
        data, self.buf = self.buf, b""
        return data

    def quiet(self, seconds=QUIET):
        """Asserts that nothing comes, and that nothing is closed, for a while."""
        assert self.buf == b"", "unexpected data %r" % self.buf[:500]
        try:
            more = self.fill(seconds)
        except TimeoutError:
            return
        assert not more, "unexpected data %r" % self.buf[:500]
        raise AssertionError("unexpectedly closed")

    def closed(self, timeout=TIMEOUT):
        """Asserts that the peer closes without sending more."""
        try:
            more = self.buf or self.fill(patient(timeout))
        except TimeoutError:
            raise AssertionError("not closed in %gs" % timeout)
        assert not more, "data instead of a close: %r" % self.buf[:500]

    # chunked bodies

    def read_chunk(self, timeout=TIMEOUT):
        """One chunk's content; b"" for the last one (its trailers are read)."""
        size = int(self.until(b"\r\n", timeout).split(b";")[0], 16)
        if size == 0:
            while self.until(b"\r\n", timeout) != b"\r\n":
                pass
            return b""
        data = self.exactly(size, timeout)
        if self.exactly(2, timeout) != b"\r\n":
            raise ValueError("chunk not ended by CRLF")
        return data

    def read_chunks(self, n, timeout=TIMEOUT):
        """At least n bytes of chunked content, whatever the chunk borders."""
        end = time.monotonic() + timeout
        data = b""
        while len(data) < n:
            chunk = self.read_chunk(end - time.monotonic())
            if not chunk:
                raise Closed("body ended after %r" % data[:500])
            data += chunk
        return data

    def read_body_into(self, msg, no_body=False, to_close=False, timeout=TIMEOUT):
        end = time.monotonic() + timeout
        if no_body:
            msg.complete = True
        elif msg.chunked:
            while True:
                chunk = self.read_chunk(end - time.monotonic())
                if not chunk:
                    break
                msg.chunks.append(chunk)
                msg.body += chunk
            msg.complete = True
        elif msg.get("Content-Length") is not None:
            msg.body = self.exactly(int(msg.get("Content-Length")), end - time.monotonic())
            msg.complete = True
        elif to_close:
            msg.body = self.rest(end - time.monotonic())
            msg.complete = True
        else:
            msg.complete = True
        return msg


def without_grip(request):
    """A request's headers, in order, less the GRIP headers that the proxy adds."""
    return [(n, v) for n, v in request.headers if n.lower() not in ("grip-sig", "grip-feature")]


def build_head(start, headers):
    if isinstance(headers, dict):
        headers = list(headers.items())
    out = [start] + ["%s: %s" % (n, v) for n, v in headers or []]
    return ("\r\n".join(out) + "\r\n\r\n").encode("latin-1")


def build_request(method, target, headers=None, body=b"", version="HTTP/1.1", host="localhost", length=True):
    """The bytes of a request.  host=None leaves Host out; length=False leaves
    Content-Length out."""
    if isinstance(body, str):
        body = body.encode("utf-8")
    if isinstance(headers, dict):
        headers = list(headers.items())
    headers = list(headers or [])
    names = [n.lower() for n, v in headers]
    if host is not None and "host" not in names:
        headers.insert(0, ("Host", host))
    if length and (body or method in ("POST", "PUT", "PATCH")) and "content-length" not in names and "transfer-encoding" not in names:
        headers.append(("Content-Length", str(len(body))))
    return build_head("%s %s %s" % (method, target, version), headers) + body


def chunked(*parts):
    """The bytes of a chunked body."""
    out = b""
    for p in parts:
        p = p.encode() if isinstance(p, str) else p
        out += b"%x\r\n%s\r\n" % (len(p), p)
    return out + b"0\r\n\r\n"


class Client(Stream):
    """A client connection.  port may be a number or the path of a unix socket."""

    def __init__(self, port, tls=None, server_name="localhost", rcvbuf=None, source=None, timeout=TIMEOUT):
        timeout = patient(timeout)
        if isinstance(port, str):
            sock = socket.socket(socket.AF_UNIX)
            sock.settimeout(timeout)
            sock.connect(port)
        else:
            sock = socket.socket()
            if rcvbuf:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
            if source:
                sock.bind((source, 0))
            sock.settimeout(timeout)
            sock.connect((HOST, port))
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls is not None:
            sock = tls.wrap_socket(sock, server_hostname=server_name)
        super().__init__(sock)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send_request(self, method, target, headers=None, body=b"", **kw):
        self.send(build_request(method, target, headers, body, **kw))

    def read_head(self, timeout=TIMEOUT):
        """A response's head alone (for streams)."""
        return Response(self.until(b"\r\n\r\n", timeout))

    def read_response(self, method="GET", timeout=TIMEOUT, skip_100=True):
        end = time.monotonic() + timeout
        while True:
            r = self.read_head(end - time.monotonic())
            if r.status == 100 and skip_100:
                continue
            break
        no_body = method == "HEAD" or r.status in (204, 304) or r.status < 200
        return self.read_body_into(r, no_body, True, end - time.monotonic())

    def request(self, method, target, headers=None, body=b"", timeout=TIMEOUT, **kw):
        self.send_request(method, target, headers, body, **kw)
        return self.read_response(method, timeout)

    def get(self, target, headers=None, **kw):
        return self.request("GET", target, headers, **kw)


def fetch(port, method, target, headers=None, body=b"", timeout=TIMEOUT, **kw):
    """One request on a connection of its own."""
    with Client(port) as c:
        return c.request(method, target, headers, body, timeout, **kw)


# ---------------------------------------------------------------------------
# WebSocket frames

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
WS_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def ws_accept_key(key):
    return base64.b64encode(hashlib.sha1((key + WS_GUID).encode()).digest()).decode()


def ws_frame(opcode, payload=b"", fin=True, mask=None, rsv=0):
    """One frame.  mask: 4 bytes, or None for an unmasked frame."""
    if isinstance(payload, str):
        payload = payload.encode("utf-8")
    head = bytes([(0x80 if fin else 0) | rsv << 4 | opcode])
    m = 0x80 if mask else 0
    n = len(payload)
    if n < 126:
        head += bytes([m | n])
    elif n < 65536:
        head += bytes([m | 126]) + struct.pack(">H", n)
    else:
        head += bytes([m | 127]) + struct.pack(">Q", n)
    if mask:
        key = (mask * (n // 4 + 1))[:n]
        payload = (int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")).to_bytes(n, "big") if n else b""
        head += mask
    return head + payload


class Frame:
    def __init__(self, opcode, payload, fin, masked, rsv):
        self.opcode, self.payload, self.fin, self.masked, self.rsv = opcode, payload, fin, masked, rsv

    @property
    def code(self):
        """A close frame's status code, or None."""
        return struct.unpack(">H", self.payload[:2])[0] if len(self.payload) >= 2 else None

    @property
    def reason(self):
        return self.payload[2:].decode("utf-8")

    def __repr__(self):
        return "<Frame op=%d fin=%r %r>" % (self.opcode, self.fin, self.payload[:200])


class Frames:
    """Reads and writes frames on a Stream.  client: mask what is sent."""

    def __init__(self, stream, client):
        self.stream = stream
        self.mask = b"\x12\x34\x56\x78" if client else None

    def send(self, opcode, payload=b"", fin=True, rsv=0):
        self.stream.send(ws_frame(opcode, payload, fin, self.mask, rsv))

    def send_text(self, text):
        self.send(TEXT, text)

    def send_close(self, code=None, reason=""):
        self.send(CLOSE, b"" if code is None else struct.pack(">H", code) + reason.encode("utf-8"))

    def recv(self, timeout=TIMEOUT):
        """One frame as it came; raises Closed at the end of the stream."""
        end = time.monotonic() + timeout
        left = lambda: end - time.monotonic()
        b0, b1 = self.stream.exactly(2, left())
        n = b1 & 0x7f
        if n == 126:
            n = struct.unpack(">H", self.stream.exactly(2, left()))[0]
        elif n == 127:
            n = struct.unpack(">Q", self.stream.exactly(8, left()))[0]
        key = self.stream.exactly(4, left()) if b1 & 0x80 else None
        payload = self.stream.exactly(n, left())
        if key and n:
            full = (key * (n // 4 + 1))[:n]
            payload = (int.from_bytes(payload, "big") ^ int.from_bytes(full, "big")).to_bytes(n, "big")
        return Frame(b0 & 0x0f, payload, bool(b0 & 0x80), key is not None, b0 >> 4 & 7)

    def recv_message(self, timeout=TIMEOUT):
        """A whole data message as (opcode, payload), or a control frame's."""
        end = time.monotonic() + timeout
        opcode, data = None, b""
        while True:
            f = self.recv(end - time.monotonic())
            if f.opcode >= 8:
                if opcode is None:
                    return f.opcode, f.payload
                continue
            if opcode is None:
                opcode = f.opcode
            data += f.payload
            if f.fin:
                return opcode, data

    def quiet(self, seconds=QUIET):
        self.stream.quiet(seconds)

    def closed(self, timeout=TIMEOUT):
        self.stream.closed(timeout)


class WsClient(Frames):
    """A WebSocket client with its own handshake.  self.response is what the
    server answered; the frames are usable when its status is 101."""

    def __init__(self, port, target="/", headers=None, host="localhost", key=None, version="13",
                 tls=None, timeout=TIMEOUT, expect=101):
        self.client = Client(port, tls=tls)
        self.key = key or base64.b64encode(os.urandom(16)).decode()
        h = [("Host", host), ("Upgrade", "websocket"), ("Connection", "Upgrade"),
             ("Sec-WebSocket-Version", version), ("Sec-WebSocket-Key", self.key)]
        h += list(headers.items()) if isinstance(headers, dict) else list(headers or [])
        self.client.send(build_head("GET %s HTTP/1.1" % target, h))
        self.response = self.client.read_head(timeout)
        super().__init__(self.client, True)
        if self.response.status != 101:
            self.client.read_body_into(self.response, False, True, timeout)
        if expect is not None:
            assert self.response.status == expect, self.response

    def close(self):
        self.client.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def woh_events(*events):
    """Encodes WebSocket-over-HTTP events: "OPEN", ("TEXT", b"hello") ..."""
    out = b""
    for e in events:
        if isinstance(e, str):
            out += e.encode() + b"\r\n"
        else:
            name, content = e
            if isinstance(content, str):
                content = content.encode("utf-8")
            out += b"%s %x\r\n%s\r\n" % (name.encode(), len(content), content)
    return out


def woh_parse(body):
    """Decodes WebSocket-over-HTTP events to a list of (name, content or None)."""
    out = []
    while body:
        line, sep, body = body.partition(b"\r\n")
        if not sep:
            raise ValueError("event line without CRLF: %r" % line)
        name, _, size = line.partition(b" ")
        if size:
            n = int(size, 16)
            content, tail, body = body[:n], body[n:n + 2], body[n + 2:]
            if len(content) != n or tail != b"\r\n":
                raise ValueError("bad event content")
            out.append((name.decode(), content))
        else:
            out.append((name.decode(), None))
    return out


# ---------------------------------------------------------------------------
# origin server

class Reply:
    """What an origin handler answers.  body: bytes or str.  headers: a dict or
    a list of pairs.  length=False leaves Content-Length out."""

    def __init__(self, status=200, headers=None, body=b"", reason=None, length=True, close=False, version="HTTP/1.1"):
        self.status = status
        self.headers = list(headers.items()) if isinstance(headers, dict) else list(headers or [])
        self.body = body.encode("utf-8") if isinstance(body, str) else body
        self.reason = reason if reason is not None else {
            200: "OK", 204: "No Content", 304: "Not Modified", 404: "Not Found", 500: "Internal Server Error",
            403: "Forbidden", 410: "Gone", 201: "Created", 202: "Accepted", 301: "Moved Permanently", 302: "Found",
            400: "Bad Request", 401: "Unauthorized", 502: "Bad Gateway", 503: "Service Unavailable"}.get(status, "Status")
        self.length, self.close, self.version = length, close, version

    def encode(self, method="GET"):
        headers = list(self.headers)
        names = [n.lower() for n, v in headers]
        if self.length and "content-length" not in names and "transfer-encoding" not in names and self.status not in (204, 304):
            headers.append(("Content-Length", str(len(self.body))))
        if self.close and "connection" not in names:
            headers.append(("Connection", "close"))
        out = build_head("%s %d %s" % (self.version, self.status, self.reason), headers)
        return out if method == "HEAD" else out + self.body


class OriginConn(Stream):
    """An origin's side of a connection, as its handlers see it."""

    def __init__(self, sock, origin):
        super().__init__(sock)
        self.origin = origin
        self.closing = False    # set by a handler: close when it returns
        self.served = 0

    def reply(self, *args, **kw):
        self.send(Reply(*args, **kw).encode())

    def start_chunked(self, status=200, headers=None):
        headers = list(headers.items()) if isinstance(headers, dict) else list(headers or [])
        self.send(build_head("HTTP/1.1 %d OK" % status, headers + [("Transfer-Encoding", "chunked")]))

    def send_chunk(self, data=b""):
        """b"" ends the body."""
        self.send(b"%x\r\n%s\r\n" % (len(data), data))

    def read_request_body(self, request, timeout=TIMEOUT):
        return self.read_body_into(request, False, False, timeout).body

    def accept_websocket(self, request, headers=None):
        """Answers an upgrade request and returns its Frames."""
        h = [("Upgrade", "websocket"), ("Connection", "Upgrade"),
             ("Sec-WebSocket-Accept", ws_accept_key(request.get("Sec-WebSocket-Key") or ""))]
        h += list(headers.items()) if isinstance(headers, dict) else list(headers or [])
        self.send(build_head("HTTP/1.1 101 Switching Protocols", h))
        self.closing = True
        return Frames(self, False)

    def wait_gone(self, timeout=TIMEOUT):
        """Waits until the peer has closed; True if it did."""
        end = time.monotonic() + patient(timeout)
        try:
            while self.fill(end - time.monotonic()):
                pass
        except TimeoutError:
            return False
        return True


class Origin:
    """A scripted origin server.

    path = origin.serve(what) gives a path of its own for what: a Reply, bytes
    (sent as they are), a list of these (one for each request in turn, the last
    one for all later ones) or a function of the Request that returns one of
    them, or None when it has done its own sending with request.conn.
    The whole request body is read before the handler runs, unless the handler
    was served with early=True, which then calls request.conn.read_request_body.
    """

    def __init__(self, port=None, tls=None, host=HOST, path=None):
        self.handlers = {}
        self.log = []
        self.lock = threading.Condition()
        self.conns = []
        self.accepted = 0
        self.errors = []
        self.default = Reply(404, {"Content-Type": "text/plain"}, "no such path at the origin\n")
        self.tls = tls
        self.unix = path
        if path:
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.bind(path)
            self.port = path
        else:
            for attempt in range(20):
                self.sock = socket.socket()
                self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    self.port = port or free_port()
                    self.sock.bind((host, self.port))
                    self.sock.listen(256)
                    break
                except OSError:
                    self.sock.close()
                    if port or attempt == 19:
                        raise
        self.sock.listen(256)
        self.running = True
        threading.Thread(target=self._accept, daemon=True).start()

    # scripting

    def serve(self, what, path=None, early=False):
        path = path or "/" + unique("p")
        state = {"what": what, "early": early, "n": 0}
        with self.lock:
            self.handlers[path] = state
        return path

    def at(self, path, early=False):
        """A decorator: @origin.at("/x") def handler(request): ..."""
        def put(f):
            self.serve(f, path, early)
            return f
        return put

    def requests(self, path=None):
        """What came, in order; path is the exact path without its query, or
        None for all."""
        with self.lock:
            return [r for r in self.log if path is None or r.path == path]

    def wait_requests(self, path=None, n=1, timeout=TIMEOUT):
        """Waits for n requests (whole, with their bodies) and returns them."""
        return wait_for(lambda: len(self.requests(path)) >= n and self.requests(path), timeout,
                        "%d requests for %s at the origin" % (n, path))

    def wait_request(self, path=None, timeout=TIMEOUT):
        return self.wait_requests(path, 1, timeout)[0]

    def no_request(self, path, seconds=QUIET, n=0):
        """Asserts that no more than n requests come."""
        time.sleep(seconds)
        assert len(self.requests(path)) <= n, self.requests(path)

    # serving

    def _accept(self):
        while self.running:
            try:
                sock, _ = self.sock.accept()
            except OSError:
                return
            self.accepted += 1
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock):
        try:
            if self.tls:
                sock = self.tls.wrap_socket(sock, server_side=True)
            if not self.unix:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as e:
            self.errors.append(e)
            sock.close()
            return
        conn = OriginConn(sock, self)
        with self.lock:
            self.conns.append(conn)
        try:
            while self.running and not conn.closing:
                try:
                    head = conn.until(b"\r\n\r\n", 300)
                except (Closed, TimeoutError):
                    break
                self._one(conn, Request(head, conn))
        except (OSError, Closed) as e:
            self.errors.append(e)
        except Exception as e:          # a mistake in a test's handler
            self.errors.append(e)
            import traceback
            traceback.print_exc()
        finally:
            conn.close()
            with self.lock:
                if conn in self.conns:
                    self.conns.remove(conn)

    def _one(self, conn, request):
        with self.lock:
            state = self.handlers.get(request.path)
            if state is None:
                best = [p for p in self.handlers if p.endswith("*") and request.path.startswith(p[:-1])]
                state = self.handlers[max(best, key=len)] if best else {"what": self.default, "early": False, "n": 0}
            n = state["n"]
            state["n"] += 1
        conn.served += 1
        request.nth = conn.served       # its place on this connection
        if not state["early"]:
            conn.read_request_body(request)
        with self.lock:
            self.log.append(request)
            self.lock.notify_all()
        what = state["what"]
        if isinstance(what, (list, tuple)):
            what = what[min(n, len(what) - 1)]
        if callable(what):
            what = what(request)
        if what is None:
            return
        if isinstance(what, Reply):
            conn.send(what.encode(request.method))
            conn.closing = conn.closing or what.close
        else:
            conn.send(what)
        if (request.get("Connection") or "").lower() == "close" and not isinstance(what, bytes):
            conn.closing = True

    def drop_connections(self):
        """Closes every open connection from its other threads."""
        with self.lock:
            for c in self.conns:
                try:
                    c.sock.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def stop(self):
        self.running = False
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.sock.close()
        self.drop_connections()


# ---------------------------------------------------------------------------
# GRIP

def hold(mode, channels, headers=None, body="", status=200, content_type="text/plain", **kw):
    """A Reply that holds by Grip- headers.  channels: a Grip-Channel value or a
    list of them, one header each."""
    h = [("Content-Type", content_type)] if content_type else []
    h += [("Grip-Hold", mode)]
    for c in [channels] if isinstance(channels, str) else channels:
        h.append(("Grip-Channel", c))
    h += list(headers.items()) if isinstance(headers, dict) else list(headers or [])
    return Reply(status, h, body, **kw)


def instruct(doc, status=200, headers=None, **kw):
    """A Reply that holds by a JSON body.  doc may be a str to send it as it is."""
    h = [("Content-Type", "application/grip-instruct")]
    h += list(headers.items()) if isinstance(headers, dict) else list(headers or [])
    return Reply(status, h, doc if isinstance(doc, (str, bytes)) else json.dumps(doc), **kw)


def item(channel, stream=None, response=None, ws=None, **fields):
    """A publish item.  stream: content of an http-stream format; response: the
    body of an http-response (or a dict, which is the format itself); ws: the
    content of a ws-message.  Further keys (id, prev_id, meta, ...) as they are;
    an underscore in a name becomes a hyphen."""
    formats = {}
    if stream is not None:
        formats["http-stream"] = stream if isinstance(stream, dict) else {"content": stream}
    if response is not None:
        formats["http-response"] = response if isinstance(response, dict) else {"body": response}
    if ws is not None:
        formats["ws-message"] = ws if isinstance(ws, dict) else {"content": ws}
    out = {}
    if channel is not None:
        out["channel"] = channel
    out["formats"] = formats
    for k, v in fields.items():
        out[k.replace("_", "-")] = v
    return out


# ---------------------------------------------------------------------------
# a running server

class Server:
    """A started target: its ports and what can be sent to them."""

    def __init__(self, target, name, http_port, offset, config):
        self.target, self.name = target, name
        self.http_port, self.offset, self.config = http_port, offset, config
        self.push_port = 5560 + offset
        self.control_port = 5561 + offset
        self.sub_port = 5562 + offset
        self.command_port = 5563 + offset
        self.routes_path = None     # the routes file as this process can write it
        self.run_dir = None         # the run directory as this process sees it
        self._ctx = None
        self._push = None
        self._xpub = None
        self._subs = set()
        self._subs_seen = False
        self.process = None
        self.stopped = False

    # client side

    def client(self, **kw):
        return Client(self.http_port, **kw)

    def request(self, method, target, headers=None, body=b"", **kw):
        return fetch(self.http_port, method, target, headers, body, **kw)

    def get(self, target, headers=None, **kw):
        return self.request("GET", target, headers, **kw)

    def websocket(self, target="/", headers=None, **kw):
        return WsClient(self.http_port, target, headers, **kw)

    # ZeroMQ

    @property
    def zmq(self):
        import zmq
        if self._ctx is None:
            self._ctx = zmq.Context()
        return self._ctx

    def socket(self, kind, connect=None, bind=None):
        """A ZeroMQ socket.  kind: "PUSH", "REQ", ...; linger is 0."""
        import zmq
        s = self.zmq.socket(getattr(zmq, kind))
        s.setsockopt(zmq.LINGER, 0)
        s.setsockopt(zmq.RCVTIMEO, int(patient(TIMEOUT) * 1000))
        s.setsockopt(zmq.SNDTIMEO, int(patient(TIMEOUT) * 1000))
        if connect:
            s.connect(connect)
        if bind:
            s.bind(bind)
        return s

    def tcp(self, port):
        return "tcp://%s:%d" % (HOST, port)

    def zpush(self, message, form="tnet"):
        """Publishes by ZMQ PUSH.  message: an item, or bytes sent as they are.
        form: "tnet", or "json" (prefixed with J)."""
        if self._push is None:
            self._push = self.socket("PUSH", self.tcp(self.push_port))
        self._push.send(encode_item(message, form))

    def zpub(self, channel, message, form="tnet", wait=True):
        """Publishes by ZMQ PUB to the server's SUB socket."""
        if wait:
            self.wait_subscribed(channel)
        x = self._xpub_socket()
        x.send_multipart([channel.encode(), encode_item(message, form)])

    def _xpub_socket(self):
        if self._xpub is None:
            self._xpub = self.socket("XPUB", self.tcp(self.sub_port))
        return self._xpub

    def _read_subs(self, timeout):
        x = self._xpub_socket()
        if x.poll(int(timeout * 1000)):
            m = x.recv()
            self._subs_seen = True
            (self._subs.add if m[:1] == b"\x01" else self._subs.discard)(m[1:].decode())
            return True
        return False

    def subscriptions(self):
        """The channels that the server's SUB socket subscribes to at present."""
        while self._read_subs(0):
            pass
        return set(self._subs)

    def wait_subscribed(self, *channels, timeout=TIMEOUT):
        """Waits until the server subscribes to the channels, as told by its SUB
        socket.  This is how a test knows that a hold is in place."""
        end = time.monotonic() + patient(timeout)
        while not set(channels) <= self._subs and time.monotonic() < end:
            self._read_subs(0.05)
        missing = set(channels) - self._subs
        assert not missing, "no subscription to %r" % sorted(missing)

    def wait_held(self, channel, n=1):
        """Waits until the log has told of that many holds on a channel, all that
        began since the start: a subscription that lingers says nothing of a
        new one."""
        rx = re.compile(r" subscribe \S+ channel=%s( retry)?$" % re.escape(channel), re.M)
        wait_for(lambda: len(rx.findall(self.logs())) >= n, what="%d holds on %s" % (n, channel))

    def wait_left(self, channel, n=1):
        """The same for holds that have ended."""
        rx = re.compile(r" unsubscribe \S+ channel=%s$" % re.escape(channel), re.M)
        wait_for(lambda: len(rx.findall(self.logs())) >= n, what="the end of %d holds on %s" % (n, channel))

    def wait_unsubscribed(self, *channels, timeout=TIMEOUT):
        wait_for(lambda: (self._read_subs(0.05) or True) and not (set(channels) & self._subs), timeout,
                 "the end of subscriptions to %r" % (channels,))

    def command(self, method, args=None, timeout=TIMEOUT, id=None):
        """Sends a command to the REP socket; the decoded reply (a dict)."""
        req = {"id": id or unique("id"), "method": method}
        if args is not None:
            req["args"] = args
        return untnet(self.command_raw(tnet(req), timeout))

    def command_raw(self, data, timeout=TIMEOUT):
        s = self.socket("REQ", self.tcp(self.command_port))
        try:
            s.send(data)
            if not s.poll(int(patient(timeout) * 1000)):
                raise TimeoutError("no reply to the command")
            return s.recv()
        finally:
            s.close()

    # HTTP control port

    def control(self, method="POST", path="/publish/", headers=None, body=b"", **kw):
        return fetch(self.control_port, method, path, headers, body, **kw)

    def publish(self, *items, expect=200):
        """Publishes items over the HTTP control port."""
        r = self.control(body=json.dumps({"items": list(items)}), headers={"Content-Type": "application/json"})
        if expect is not None:
            assert r.status == expect, r
        return r

    # files

    def write_routes(self, text):
        self.target.write_routes(self, text)

    def logs(self):
        """Everything logged so far, all components together."""
        return self.target.logs(self)

    def wait_log(self, pattern, timeout=TIMEOUT, flags=0):
        """Waits for a line that the pattern matches (re.search)."""
        rx = re.compile(pattern, flags)
        def look():
            for line in self.logs().splitlines():
                m = rx.search(line)
                if m:
                    return m
        return wait_for(look, timeout, "a log line like %r; the log ends with\n%s" % (pattern, self.logs()[-2000:]), 0.05)

    def alive(self):
        return self.target.alive(self)

    def stop(self):
        if self.stopped:
            return
        self.stopped = True
        for s in (self._push, self._xpub):
            if s is not None:
                s.close()
        if self._ctx is not None:
            self._ctx.destroy(0)
        self.target.stop(self)


def encode_item(message, form="tnet"):
    if isinstance(message, bytes):
        return message
    if form == "json":
        return b"J" + json.dumps(message).encode("utf-8")
    return (b"T" if form == "T" else b"") + tnet(message)


class Stats:
    """A SUB socket on the stats of a server whose stats_spec is the default."""

    def __init__(self, server):
        """Returns once the server knows of the subscription, as far as ZeroMQ
        tells: a PUB socket drops what it sends before."""
        self.sock = server.socket("SUB")
        import zmq
        monitor = self.sock.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED)
        self.sock.subscribe(b"")
        self.sock.connect("ipc://%s/%s-stats" % (server.run_dir, server.name))
        assert monitor.poll(int(patient(TIMEOUT) * 1000)), "no handshake on the stats socket"
        self.sock.disable_monitor()
        self.seen = []
        time.sleep(0.3)         # the subscription follows the handshake over the same connection

    def read(self, timeout):
        """Reads one message into self.seen as (type, dict); False if none comes."""
        if not self.sock.poll(int(timeout * 1000)):
            return False
        kind, _, data = self.sock.recv().partition(b" ")
        assert data[:1] in (b"T", b"J"), data
        self.seen.append((kind.decode(), untnet(data[1:]) if data[:1] == b"T" else json.loads(data[1:])))
        return True

    def wait(self, kind, timeout=TIMEOUT, **fields):
        """The next message of the kind that has these fields (an underscore
        stands for a hyphen); those before it are dropped."""
        end = time.monotonic() + patient(timeout)
        n = 0
        while True:
            while n < len(self.seen):
                k, d = self.seen[n]
                if k == kind and all(d.get(f.replace("_", "-")) == v for f, v in fields.items()):
                    del self.seen[:n + 1]
                    return d
                n += 1
            assert self.read(max(end - time.monotonic(), 0)), "no %s message with %r; got %r" % (kind, fields, self.seen[-5:])

    def close(self):
        self.sock.close()


# the keys of pushpin.conf by section (those that a test may override)
SECTIONS = {
    "global": "rundir ipc_prefix port_offset stats_connection_ttl stats_connection_send",
    "runner": "services http_port https_ports local_ports logdir log_level client_buffer_size client_maxconn "
              "allow_compression client_idle_timeout activity_timeout proxy_protocol_ports proxy_protocol_trusted "
              "websocket_ping_interval reuse_port",
    "proxy": "routesfile debug auto_cross_origin accept_x_forwarded_protocol set_x_forwarded_protocol x_forwarded_for "
             "x_forwarded_for_trusted orig_headers_need_mark accept_pushpin_route cdn_loop log_from log_user_agent "
             "sig_iss sig_key upstream_key sockjs_url updates_check organization_name max_open_requests workers "
             "origin_connect_timeout origin_response_timeout log_time log_format",
    "handler": "ipc_file_mode push_in_spec push_in_sub_specs push_in_sub_connect push_in_http_addr push_in_http_port "
               "push_in_http_max_headers_size push_in_http_max_body_size push_in_http_token push_in_http_tls stats_spec "
               "command_spec message_rate "
               "message_hwm message_block_size message_wait id_cache_ttl update_on_first_subscription "
               "connection_subscription_max subscription_linger stats_subscription_ttl stats_report_interval "
               "stats_format prometheus_port prometheus_prefix share_all connection_queue_max drop_for_slow_websockets",
}


def section_of(key):
    if "." in key:
        return key.partition(".")[0]
    for s, keys in SECTIONS.items():
        if key in keys.split():
            return s
    raise KeyError("no section known for the config key %r" % key)


class Target:
    """How to start servers: `pushpind --config FILE`."""

    def __init__(self, binary, keep=False):
        self.binary = os.path.abspath(binary)
        self.publish_tool = os.path.join(os.path.dirname(self.binary), "pushpin-publish")
        self.keep = keep or bool(os.environ.get("CONFORMANCE_KEEP"))
        self.counter = itertools.count(1)

    def new_name(self):
        return "%s-%d-%d" % (os.environ.get("CONFORMANCE_NAME", "cf"), os.getpid(), next(self.counter))

    def expand(self, server, value):
        value = value.replace("@RUN@", server.run_dir).replace("@HTTP@", str(server.http_port))
        return re.sub(r"@PORT:(\d+)@", lambda m: str(int(m.group(1)) - server.offset), value)

    def write_routes(self, server, text):
        with open(server.routes_path, "w") as f:
            f.write(text.replace("@RUN@", server.run_dir).rstrip("\n") + "\n")

    def logs(self, server):
        out = []
        for path in self.log_files(server):
            try:
                with open(path, errors="replace") as f:
                    out.append(f.read())
            except OSError:
                pass
        return "\n".join(out)

    def release(self, server):
        _http_leases.give(server.http_port)
        _offset_leases.give(server.offset)

    def defaults(self, server, d):
        return {
            "rundir": server.run_dir, "ipc_prefix": server.name + "-", "port_offset": str(server.offset),
            "stats_connection_ttl": "120", "stats_connection_send": "true",
            "services": "connmgr,proxy,handler", "http_port": str(server.http_port),
            "logdir": os.path.join(d, "log"), "log_level": "2",
            "client_buffer_size": "8192", "client_maxconn": "50000", "allow_compression": "false",
            "routesfile": "routes", "debug": "false", "auto_cross_origin": "false",
            "accept_x_forwarded_protocol": "false", "set_x_forwarded_protocol": "proto-only", "x_forwarded_for": "",
            "x_forwarded_for_trusted": "", "orig_headers_need_mark": "", "accept_pushpin_route": "false",
            "cdn_loop": "", "log_from": "false", "log_user_agent": "false", "sig_iss": "pushpin",
            "sig_key": "changeme", "upstream_key": "",
            "sockjs_url": "http://cdn.jsdelivr.net/sockjs/0.3.4/sockjs.min.js",
            "updates_check": "off", "organization_name": "",
            "push_in_spec": "tcp://127.0.0.1:5560", "push_in_sub_specs": "tcp://127.0.0.1:5562",
            "push_in_sub_connect": "false", "push_in_http_addr": "127.0.0.1", "push_in_http_port": "5561",
            "push_in_http_max_headers_size": "10000", "push_in_http_max_body_size": "1000000",
            "stats_spec": "ipc://{rundir}/{ipc_prefix}stats", "command_spec": "tcp://127.0.0.1:5563",
            "message_rate": "2500", "message_hwm": "25000", "message_wait": "5000", "id_cache_ttl": "60",
            "update_on_first_subscription": "true", "connection_subscription_max": "20", "subscription_linger": "60",
            "stats_subscription_ttl": "60", "stats_report_interval": "10", "stats_format": "tnetstring",
        }

    def start(self, routes, config=None, files=None):
        """Starts a server.  config: overrides of pushpin.conf's keys, as
        SECTION.KEY where two sections have one of the name.  files:
        path relative to the config file -> content, written beforehand
        (certificates as runner/certs/NAME.crt and .key).  In values and routes
        {rundir} is the program's own variable; @RUN@ is the run directory;
        @HTTP@ is the server's HTTP port;
        @PORT:n@ is n less the port_offset, which the server adds to every
        tcp:// port again."""
        config = {k: str(v) for k, v in (config or {}).items()}
        server = Server(self, self.new_name(), lease_http_port(), lease_offset(), config)
        d = tempfile.mkdtemp(prefix=server.name + "-")
        server.dir = d
        server.run_dir = os.path.join(d, "run")
        server.routes_path = os.path.join(d, "routes")
        os.makedirs(server.run_dir)
        os.makedirs(os.path.join(d, "log"))
        for path, content in (files or {}).items():
            p = os.path.join(d, path)
            os.makedirs(os.path.dirname(p), exist_ok=True)
            with open(p, "w") as f:
                f.write(content)
        self.write_routes(server, routes)
        values = self.defaults(server, d)
        values.update({k: self.expand(server, v) for k, v in config.items()})
        with open(os.path.join(d, "pushpin.conf"), "w") as f:
            for section in SECTIONS:
                f.write("[%s]\n" % section)
                for k, v in values.items():
                    if section_of(k) == section:
                        f.write("%s=%s\n" % (k.rpartition(".")[2], v))
                f.write("\n")
        try:
            self.launch(server)
        except Exception:
            server.stop()
            raise
        return server

    def launch(self, server):
        server.out_path = os.path.join(server.dir, "out.log")
        with open(server.out_path, "ab") as out:
            server.process = subprocess.Popen([self.binary, "--config", os.path.join(server.dir, "pushpin.conf")], stdout=out,
                                              stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, cwd=server.dir,
                                              start_new_session=True)
        server.pid = server.process.pid
        def up():
            if server.process.poll() is not None:
                raise RuntimeError("pushpind ended with %r:\n%s" % (server.process.returncode, self.logs(server)))
            return port_open(server.http_port) and (port_open(server.control_port) or "push_in_http_port" in server.config)
        wait_for(up, 10, "pushpind to listen")

    def revive(self, server):
        """Starts a server that has died once more, as it was."""
        if not server.stopped:
            self.launch(server)

    def log_files(self, server):
        log = os.path.join(server.dir, "log")
        names = sorted(os.listdir(log)) if os.path.isdir(log) else []
        return [server.out_path] + [os.path.join(log, n) for n in names]

    def alive(self, server):
        return server.process.poll() is None

    def stop(self, server):
        """Ends it with SIGTERM, which it answers with exit status 0: a leak
        that a sanitizer finds is another one."""
        p = server.process
        bad = None
        if p is not None and p.poll() is None:
            p.terminate()
            try:
                if p.wait(END) != 0:
                    bad = "ended with %d" % p.returncode
            except subprocess.TimeoutExpired:
                p.kill()
                p.wait()
                bad = "did not end within %g s of SIGTERM" % END
        log = self.logs(server) if bad else None
        if not self.keep:
            shutil.rmtree(server.dir, ignore_errors=True)
        self.release(server)
        if bad:
            raise AssertionError("pushpind %s; the log ends with\n%s" % (bad, log[-6000:]))


# ---------------------------------------------------------------------------
# certificates

_certs = {}


def certificate(name="localhost"):
    """A self-signed certificate as (certificate, key) in PEM, made by openssl."""
    if name not in _certs:
        d = tempfile.mkdtemp(prefix="conformance-cert-")
        try:
            subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                            "-keyout", d + "/k", "-out", d + "/c", "-days", "2", "-subj", "/CN=" + name,
                            "-addext", "subjectAltName=DNS:" + name], check=True, stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL)
            with open(d + "/c") as c, open(d + "/k") as k:
                _certs[name] = c.read(), k.read()
        finally:
            shutil.rmtree(d)
    return _certs[name]


def server_tls(name="localhost"):
    """An SSLContext for an Origin."""
    d = tempfile.mkdtemp(prefix="conformance-cert-")
    try:
        cert, key = certificate(name)
        for n, text in (("c", cert), ("k", key)):
            with open(os.path.join(d, n), "w") as f:
                f.write(text)
        ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        ctx.load_cert_chain(os.path.join(d, "c"), os.path.join(d, "k"))
        return ctx
    finally:
        shutil.rmtree(d)


def client_tls(trust=None):
    """An SSLContext for a Client: trusts the given certificate, or anything."""
    ctx = ssl.create_default_context()
    if trust:
        ctx.load_verify_locations(cadata=trust)
    else:
        ctx.check_hostname = False
        ctx.verify_mode = ssl.CERT_NONE
    return ctx
