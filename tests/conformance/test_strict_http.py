"""The strict parser that other tests look at the program's bytes with: it must take what is right and nothing else."""

import pytest

import strict_http

HEAD = b"POST /a?b HTTP/1.1\r\nHost: o\r\n"


def parse(data, methods=None, step=None, reset=False):
    p = strict_http.requests() if methods is None else strict_http.responses(methods)
    for i in range(0, len(data), step or len(data) or 1):
        p.feed(data[i:i + (step or len(data))])
    p.end(reset)
    return p


def told(p):
    return [(m.method, m.target, m.status, m.headers, m.body) for m in p.messages], p.error, p.partial


def verdict(data, methods=None, reset=False):
    """Of the bytes as they are; the same must come of them in pieces."""
    whole = parse(data, methods, reset=reset)
    for step in 1, 2, 3, 7:
        assert told(parse(data, methods, step, reset)) == told(whole)
    return whole


@pytest.mark.parametrize("data,bodies", [
    (b"GET / HTTP/1.1\r\nHost: o\r\n\r\n", [b""]),
    (b"GET / HTTP/1.0\r\nHost: o\r\n\r\n", [b""]),
    (HEAD + b"Content-Length: 5\r\n\r\nhello", [b"hello"]),
    (HEAD + b"Content-Length: 0\r\n\r\n" + HEAD + b"\r\n", [b"", b""]),
    (HEAD + b"transfer-ENCODING:chunked\r\n\r\n5\r\nhello\r\n3;a;b=c;d=\"e;\\\"\"\r\nxyz\r\n0\r\nX: y\r\n\r\n", [b"helloxyz"]),
    (HEAD + b"X-Empty:\r\nX: \ta \xff\tb\t \r\n\r\n", [b""]),
    (b"M-SEARCH /%7F HTTP/1.1\r\nhost: [::1]:80\r\n\r\n", [b""]),
    (b"", []),
])
def test_right_requests_are_taken(data, bodies):
    p = verdict(data)
    assert (p.error, p.partial, [m.body for m in p.messages]) == (None, b"", bodies)


LINES = [
    b"GET / HTTP/1.1\nHost: o\r\n\r\n", b"GET / HTTP/1.1\r\nHost: o\n\r\n", b"GET / HTTP/1.1\r\nHost: o\r\n\n",
    b"GET / HTTP/1.1\rHost: o\r\n\r\n", b"GET / HTTP/1.1\r\r\nHost: o\r\n\r\n", b"\r\nGET / HTTP/1.1\r\nHost: o\r\n\r\n",
    b"GET  / HTTP/1.1\r\nHost: o\r\n\r\n", b" GET / HTTP/1.1\r\nHost: o\r\n\r\n", b"GET / HTTP/1.1 \r\nHost: o\r\n\r\n",
    b"GET\t/ HTTP/1.1\r\nHost: o\r\n\r\n", b"G@T / HTTP/1.1\r\nHost: o\r\n\r\n", b"GET /\x00 HTTP/1.1\r\nHost: o\r\n\r\n",
    b"GET /\x80 HTTP/1.1\r\nHost: o\r\n\r\n", b"GET /%2 HTTP/1.1\r\nHost: o\r\n\r\n", b"GET x HTTP/1.1\r\nHost: o\r\n\r\n",
    b"GET http://o/ HTTP/1.1\r\nHost: o\r\n\r\n", b"GET /\r\n\r\n", b"GET / HTTP/1.2\r\nHost: o\r\n\r\n",
    b"GET / HTTP/1.10\r\nHost: o\r\n\r\n", b"GET / http/1.1\r\nHost: o\r\n\r\n", b"GET / HTTP/2.0\r\nHost: o\r\n\r\n",
    b"GET / HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\nHost: o\r\nHost: o\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost:\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a@b\r\n\r\n",
]
FIELDS = [
    b"X : y", b" X: y", b"X: y\r\n z", b"X\x00: y", b"X\x80: y", b": y", b"X", b"X: a\x00b", b"X: a\x0bb", b"X: a\x7fb",
            b"X: a\rb",
    b"X: a\x1bb", b"(X): y", b"Connection: close,", b"Connection: a b", b"Content-Length: +5", b"Content-Length: -1",
    b"Content-Length: 0x5", b"Content-Length: 05", b"Content-Length: 5,5", b"Content-Length: 5 5", b"Content-Length:",
    b"Content-Length: 5\r\nContent-Length: 5", b"Content-Length: 99999999999999999999", b"Transfer-Encoding: Chunked",
    b"Transfer-Encoding: chunked, chunked", b"Transfer-Encoding: identity", b"Transfer-Encoding: gzip, chunked",
    b"Transfer-Encoding:", b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    b"Transfer-Encoding: chunked\r\nContent-Length: 5", b"Content-Length: 5\r\nTransfer-Encoding: chunked",
]
CHUNKS = [
    b"0x5\r\nhello\r\n", b" 5\r\nhello\r\n", b"5 \r\nhello\r\n", b"5\nhello\r\n", b"5 ;a\r\nhello\r\n", b"5;\r\nhello\r\n",
            b"5; a\r\nhello\r\n",
    b"5;a=\"b\r\nhello\r\n", b"5;a=\"\x00\"\r\nhello\r\n", b"5;a\nb\r\nhello\r\n", b"\r\nhello\r\n", b"g\r\nhello\r\n",
    b"fffffffffffffffff\r\nhello\r\n", b"5\r\nhelloX\r\n", b"5\r\nhello\n0\r\n\r\n", b"5\r\nhello\rX", b"5\r\nhello0\r\n\r\n",
            b"0\r\nX\r\n\r\n",
    b"0\r\nX : y\r\n\r\n", b"0\r\n\n", b"0\n\r\n", b"0\r\nContent-Length: 5\r\n\r\n",
            b"0\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"+5\r\nhello\r\n", b"-5\r\nhello\r\n",
]


@pytest.mark.parametrize("data", LINES + [HEAD + f + b"\r\n\r\n" for f in FIELDS] +
                         [HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + c for c in CHUNKS] +
                         [b"POST / HTTP/1.0\r\nHost: o\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"])
def test_wrong_requests_are_refused(data):
    p = verdict(data + b"GET / HTTP/1.1\r\nHost: o\r\n\r\n")
    assert p.error and p.messages == []


@pytest.mark.parametrize("byte", [b for b in range(256) if not (0x20 <= b < 0x7f or b >= 0x80 or b == 9)])
def test_no_control_byte_passes_anywhere(byte):
    c = bytes([byte])
    for data in (b"G" + c + b"T / HTTP/1.1\r\nHost: o\r\n\r\n", b"GET /" + c + b"x HTTP/1.1\r\nHost: o\r\n\r\n",
                 HEAD + b"X" + c + b"Y: z\r\n\r\n", HEAD + b"X: a" + c + b"b\r\n\r\n",
                         b"GET / HTTP/1." + c + b"1\r\nHost: o\r\n\r\n",
                 HEAD + b"Transfer-Encoding: chunked\r\n\r\n5" + c + b"\r\nhello\r\n0\r\n\r\n"):
        p = verdict(data)
        assert p.error and p.messages == []


@pytest.mark.parametrize("data", [HEAD[:-9], HEAD, HEAD + b"Content-Length: 5\r\n\r\nhell",
                                  HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
                                  HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n"])
def test_half_a_request_is_none(data):
    p = verdict(data)
    assert (p.error, p.messages, p.partial) == (None, [], data)


@pytest.mark.parametrize("data,methods,bodies", [
    (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", ["GET"], [b"hi"]),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", ["GET"], [b"hi"]),
    (b"HTTP/1.1 200 \r\nConnection: close\r\n\r\nhi", ["GET"], [b"hi"]),
    (b"HTTP/1.0 200 OK\r\n\r\nhi", ["GET"], [b"hi"]),
    (b"HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n", ["GET", "GET"], [b"", b""]),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", ["HEAD", "GET"],
            [b"", b"x"]),
    (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", ["POST"], [b"", b""]),
])
def test_right_responses_are_taken(data, methods, bodies):
    p = verdict(data, methods)
    assert (p.error, p.partial, [m.body for m in p.messages]) == (None, b"", bodies)


@pytest.mark.parametrize("data", [
    b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", b"HTTP/1.1  200 OK\r\nContent-Length: 0\r\n\r\n", b"HTTP/1.1 20 OK\r\n\r\n",
    b"HTTP/1.1 099 OK\r\n\r\n", b"HTTP/1.2 200 OK\r\n\r\n", b"HTTP/1.1 200 O\x00K\r\n\r\n", b"200 OK\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n\r\nhi", b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
])
def test_wrong_responses_are_refused(data):
    p = verdict(data, ["GET"])
    assert p.error and p.messages == []


def test_response_to_nothing_is_refused():
    p = verdict(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" * 2, ["GET"])
    assert len(p.messages) == 1 and "no request" in p.error


def test_reset_is_no_end_of_a_response():
    data = b"HTTP/1.0 200 OK\r\n\r\nhi"
    assert verdict(data, ["GET"], reset=True).messages == [] and verdict(data, ["GET"]).messages
