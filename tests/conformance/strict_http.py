"""HTTP/1.1 as RFC 9112 writes it, and not a byte more: for looking at what the program sends.

The parser was written from the RFC alone and forgives nothing, not even what the RFC lets a recipient forgive. Feed it
the bytes of one direction of a connection:

    p = requests()                      what an origin receives
    p = responses(["GET", "HEAD"])      what a client receives, with the methods of its requests in order
    p.feed(b"...")                      in pieces of any size
    p.end()                             the connection was closed; p.end(reset=True): by a reset

p.messages are the whole messages; p.error says what was wrong, or is None; p.partial is what had come of a message when
the connection ended (b"" when it ended between two). After an error nothing more is taken.
"""

import re

LINE_MAX = 65536

TCHAR = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
TOKEN = re.compile(rb"\A%s+\Z" % TCHAR)
# field-value: visible bytes and obs-text, with spaces and tabs only between them; or nothing
VALUE = re.compile(rb"\A(?:[\x21-\x7e\x80-\xff](?:[\x20\x09\x21-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?\Z")
REASON = re.compile(rb"\A[\x20\x09\x21-\x7e\x80-\xff]*\Z")
VERSION = re.compile(rb"\AHTTP/1\.[01]\Z")
STATUS = re.compile(rb"\A[1-9][0-9][0-9]\Z")
LENGTH = re.compile(rb"\A(?:0|[1-9][0-9]{0,18})\Z")             # as a sender writes it
CHUNK_SIZE = re.compile(rb"\A[0-9A-Fa-f]{1,15}\Z")
QUOTED = rb'"(?:[\x20\x09\x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\x20\x09\x21-\x7e\x80-\xff])*"'
CHUNK_EXT = re.compile(rb"\A(?:;%s+(?:=(?:%s+|%s))?)*\Z" % (TCHAR, TCHAR, QUOTED))
HOST = re.compile(rb"\A(?:[0-9A-Za-z\-._~!$&'()*+,;=]|%[0-9A-Fa-f]{2})+(?::[0-9]{1,5})?\Z|\A\[[0-9A-Fa-f:.]+\](?::[0-9]{1,5})?\Z")
# origin-form; '#', '[' and ']' are no part of it, but browsers write the last two and Pushpin passes all of them on
TARGET = re.compile(rb"\A/(?:[0-9A-Za-z\-._~!$&'()*+,;=:@/?\[\]#]|%[0-9A-Fa-f]{2})*\Z")


class Message:
    """What was parsed: method and target, or status and reason; version, headers (pairs of bytes, in order), body.
    until_close: only the end of the connection ended the body."""

    def __init__(self, **kw):
        self.method = self.target = self.status = self.reason = None
        self.headers = []
        self.body = b""
        self.chunked = self.until_close = False
        self.__dict__.update(kw)

    def get_all(self, name):
        return [v for n, v in self.headers if n.lower() == name.lower()]

    def get(self, name):
        return (self.get_all(name) or [None])[0]

    def __repr__(self):
        start = b"%s %s" % (self.method, self.target) if self.method else b"%d %s" % (self.status, self.reason)
        return "<%s %r %r>" % (start.decode("latin-1"), self.headers, self.body[:200])


class Bad(Exception):
    pass


class Parser:
    def __init__(self, methods):
        self.methods = methods          # of the requests that are answered; None: these are requests
        self.messages = []
        self.error = None
        self.partial = b""
        self.buf = b""
        self.taken = b""                # of the present message
        self.ended = False
        self.run = self._run()
        next(self.run)

    def feed(self, data):
        if self.error is None and not self.ended:
            self.buf += data
            self._go()

    def end(self, reset=False):
        if self.error is not None or self.ended:
            return
        self.ended = "reset" if reset else "closed"
        self._go()
        if self.error is None:
            self.partial = self.taken + self.buf

    def _go(self):
        try:
            next(self.run)
        except StopIteration:
            pass
        except Bad as e:
            self.error = str(e)

    # taking bytes

    def _line(self):
        """Up to CR LF, without it."""
        while b"\n" not in self.buf[:LINE_MAX]:
            if len(self.buf) >= LINE_MAX:
                raise Bad("line too long")
            yield from self._more()
        line, _, self.buf = self.buf.partition(b"\n")
        self.taken += line + b"\n"
        if line[-1:] != b"\r":
            raise Bad("LF without CR after %r" % line[-60:])
        if b"\r" in line[:-1]:
            raise Bad("CR without LF in %r" % line[-60:])
        return line[:-1]

    def _exactly(self, n):
        while len(self.buf) < n:
            yield from self._more()
        data, self.buf = self.buf[:n], self.buf[n:]
        self.taken += data
        return data

    def _more(self):
        """Waits for bytes; does not come back when there are none."""
        have = len(self.buf)
        while len(self.buf) == have:
            if self.ended:
                raise Cut
            yield

    # the grammar

    def _run(self):
        yield
        try:
            while True:
                self.taken = b""
                while not self.buf:
                    if self.ended:
                        return
                    yield
                m = yield from self._message()
                self.messages.append(m)
        except Cut:
            return

    def _message(self):
        line = yield from self._line()
        m = self._request_line(line) if self.methods is None else self._status_line(line)
        m.headers = yield from self._fields()
        m.raw_head = self.taken
        for n, v in m.headers:
            if n.lower() == b"connection" and not all(TOKEN.match(t.strip(b" \t")) for t in v.split(b",")):
                raise Bad("Connection %r" % v)
        kind, n = self._framing(m)
        if kind == "length":
            m.body = yield from self._exactly(n)
        elif kind == "chunked":
            m.chunked = True
            m.body = yield from self._chunks()
        elif kind == "close":
            m.until_close = True
            while not self.ended:
                yield
            m.body, self.buf = self.buf, b""
            self.taken += m.body
            if self.ended == "reset":
                raise Cut
        return m

    @staticmethod
    def _request_line(line):
        parts = line.split(b" ")
        if len(parts) != 3:
            raise Bad("request line %r" % line[:200])
        method, target, version = parts
        if not TOKEN.match(method):
            raise Bad("method %r" % method)
        if not TARGET.match(target):
            raise Bad("target %r" % target)
        if not VERSION.match(version):
            raise Bad("version %r" % version)
        return Message(method=method, target=target, version=version)

    @staticmethod
    def _status_line(line):
        version, _, rest = line.partition(b" ")
        status, space, reason = rest.partition(b" ")
        if not VERSION.match(version) or not STATUS.match(status) or not space or not REASON.match(reason):
            raise Bad("status line %r" % line[:200])
        return Message(version=version, status=int(status), reason=reason)

    def _fields(self):
        headers = []
        while True:
            line = yield from self._line()
            if not line:
                return headers
            name, colon, value = line.partition(b":")
            if not colon or not TOKEN.match(name):
                raise Bad("field name %r" % name[:200])
            value = value.strip(b" \t")
            if not VALUE.match(value):
                raise Bad("value of %s: %r" % (name.decode(), value[:200]))
            headers.append((name, value))

    def _framing(self, m):
        """What follows the head: (kind, length)."""
        codings, lengths = m.get_all(b"Transfer-Encoding"), m.get_all(b"Content-Length")
        if codings and lengths:
            raise Bad("Transfer-Encoding and Content-Length")
        if len(codings) > 1 or len(lengths) > 1:
            raise Bad("a framing header twice")
        if codings and codings[0] != b"chunked":
            raise Bad("Transfer-Encoding %r" % codings[0])
        if codings and m.version == b"HTTP/1.0":
            raise Bad("Transfer-Encoding with HTTP/1.0")
        if lengths and not LENGTH.match(lengths[0]):
            raise Bad("Content-Length %r" % lengths[0])
        if self.methods is None:
            hosts = m.get_all(b"Host")
            if len(hosts) != 1 or not HOST.match(hosts[0]):
                raise Bad("Host %r" % hosts)
        elif self._answers_without_body(m):
            if (codings or lengths) and (m.status < 200 or m.status == 204):
                raise Bad("framing in a %d answer" % m.status)
            return "none", 0
        if codings:
            return "chunked", 0
        if lengths:
            return "length", int(lengths[0])
        if self.methods is None:
            return "none", 0
        if m.version == b"HTTP/1.1" and m.get(b"Connection") != b"close":
            raise Bad("an answer that only a close could end, and none announced")
        return "close", 0

    def _answers_without_body(self, m):
        if m.status < 200:
            if m.status == 101:
                raise Bad("101 that was not asked for")
            return True
        if not self.methods:
            raise Bad("an answer to no request: %r" % m)
        return self.methods.pop(0) == "HEAD" or m.status in (204, 304)

    def _chunks(self):
        body = b""
        while True:
            line = yield from self._line()
            size, semicolon, ext = line.partition(b";")
            if not CHUNK_SIZE.match(size) or not CHUNK_EXT.match(semicolon + ext):
                raise Bad("chunk size %r" % line[:200])
            n = int(size, 16)
            if n == 0:
                break
            body += yield from self._exactly(n)
            if (yield from self._exactly(2)) != b"\r\n":
                raise Bad("chunk data without CRLF behind it")
        for name, _ in (yield from self._fields()):
            if name.lower() in (b"content-length", b"transfer-encoding", b"host", b"connection", b"trailer"):
                raise Bad("trailer field %r" % name)
        return body


class Cut(Exception):
    """The connection ended within a message."""


def requests():
    return Parser(None)


def responses(methods):
    return Parser(list(methods))
