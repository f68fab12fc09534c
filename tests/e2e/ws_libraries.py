"""Both ends of a WebSocket as others have written them: Debian's python3-websockets and python3-wsproto, npm's ws.

A caller opens a connection and is driven by the test's thread:

    c = caller.open(port, path, protocols=(), deflate=False, tls=False)
    c.protocol, c.deflated                what was agreed; deflate may also be a dict of what permessage-deflate can be asked for
    c.send(message), c.send_parts([..])   text or bytes; in one frame, in several
    c.receive()                           the next message
    c.ping(payload)                       returns when the pong has come
    c.close(code, reason), c.ended()      ended() returns the code and the reason that came

An origin listens on two ports, {False: for plain echoes, True: for GRIP}, that of websockets also on {"tls": with TLS}.
The query of a connection's path may name the channel that the origin subscribes it to, and a tag: closed(tag) waits for
the connection's end and returns the code and the reason that came. What it answers to which message is in Script."""

import asyncio
import base64
import json
import re
import socket
import threading
import urllib.parse

import pytest

from harness import HOST, Reply, client_tls, server_tls, woh_events, woh_parse
from ws_harness import EVENTS

websockets = pytest.importorskip("websockets", reason="needs Debian's python3-websockets")
wsproto = pytest.importorskip("wsproto", reason="needs Debian's python3-wsproto")

import wsproto.events                                                   # noqa: E402
import wsproto.extensions                                               # noqa: E402
import websockets.extensions                                            # noqa: E402
import websockets.extensions.permessage_deflate as websockets_deflate   # noqa: E402

LIMIT = 120.0           # seconds for anything that has to happen; what libraries do takes long on a loaded machine
FRUGAL = {"server_no_context_takeover": True, "client_no_context_takeover": True, "server_max_window_bits": 10}  # of GRIP ports
PARTS = ("one, ", "two, ", "\u2603\U0001f600, ", "end")


class Script:
    """What an origin answers to a message.  prefix: of GRIP content."""

    def __init__(self, path, grip):
        query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(path).query))
        self.prefix = "m:" if grip else ""
        self.channel = query.get("channel") if grip else None
        self.tag = query.get("tag")

    def first(self):
        """Messages that are sent unasked."""
        return ["c:" + json.dumps({"type": "subscribe", "channel": self.channel})] if self.channel else []

    def echo(self, message):
        return self.prefix + message if isinstance(message, str) else self.prefix.encode() + message

    def parts(self):
        return (self.prefix + PARTS[0],) + PARTS[1:]

    @staticmethod
    def closing(message):
        """(code, reason) if the message asks for that: close CODE REASON."""
        if not isinstance(message, str) or not message.startswith("close "):
            return None
        code, _, reason = message[6:].partition(" ")
        return int(code), reason

    @staticmethod
    def pinging(message):
        """The payload of the ping that the message asks for; it is answered when the pong has come."""
        return message[5:].encode() if isinstance(message, str) and message.startswith("ping ") else None


class Closes:
    """What has closed an origin's connections, by their tags."""

    def __init__(self):
        self.seen, self.changed = {}, threading.Condition()

    def put(self, tag, code, reason):
        with self.changed:
            self.seen[tag] = code, reason
            self.changed.notify_all()

    def wait(self, tag):
        with self.changed:
            assert self.changed.wait_for(lambda: tag in self.seen, LIMIT), "the origin's connection has not ended"
            return self.seen.pop(tag)


# WebSocket-over-HTTP

def echo_over_http(request):
    """The answer of an Origin that does the same over HTTP, where it remembers nothing."""
    script, out = Script(request.target, True), []
    for name, content in woh_parse(request.body):
        text = (content or b"").decode(errors="replace")
        if name == "OPEN":
            out += ["OPEN"] + [("TEXT", m) for m in script.first()]
        elif name == "PING":
            out.append(("PONG", content or b""))
        elif name == "PONG":
            out.append(("TEXT", script.echo("pong " + text)))
        elif name == "CLOSE":
            out.append(("CLOSE", content or b""))
        elif name == "BINARY":
            out.append(("BINARY", script.echo(content or b"")))
        elif name == "TEXT" and script.closing(text):
            code, reason = script.closing(text)
            out.append(("CLOSE", code.to_bytes(2, "big") + reason.encode()))
        elif name == "TEXT" and script.pinging(text) is not None:
            out.append(("PING", script.pinging(text)))
        elif name == "TEXT":
            out.append(("TEXT", script.echo("".join(PARTS) if text == "parts" else text)))
    headers = {"Content-Type": EVENTS, "Sec-WebSocket-Extensions": "grip"}
    if "chat" in (request.get("Sec-WebSocket-Protocol") or ""):
        headers["Sec-WebSocket-Protocol"] = "chat"
    return Reply(200, headers, woh_events(*out))


# websockets, which has a loop of its own on a thread

class Loop:
    def __init__(self):
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()

    def run(self, awaitable, limit=LIMIT):
        async def bounded():
            return await asyncio.wait_for(awaitable, limit)
        return asyncio.run_coroutine_threadsafe(bounded(), self.loop).result(limit + 5)

    def close(self):
        async def cancel():
            tasks = [t for t in asyncio.all_tasks() if t is not asyncio.current_task()]
            for t in tasks:
                t.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        asyncio.run_coroutine_threadsafe(cancel(), self.loop).result(LIMIT)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(LIMIT)
        self.loop.close()


class WebsocketsCaller:
    """python3-websockets as a client."""

    def __init__(self, loop):
        self.loop = loop

    def open(self, port, path, protocols=(), deflate=False, tls=False):
        return WebsocketsCall(self.loop, port, path, list(protocols) or None, deflate, tls)


class WebsocketsCall:
    def __init__(self, loop, port, path, protocols, deflate, tls):
        self.loop = loop
        url = "%s://localhost:%d%s" % ("wss" if tls else "ws", port, path)
        how = {"compression": "deflate" if deflate is True else None}
        if isinstance(deflate, dict):
            how["extensions"] = [websockets_deflate.ClientPerMessageDeflateFactory(**deflate)]

        async def connect():
            return await websockets.connect(url, host=HOST, subprotocols=protocols, ssl=client_tls() if tls else None,
                                            max_size=None, ping_interval=None, open_timeout=LIMIT, close_timeout=LIMIT, **how)
        self.ws = loop.run(connect())
        self.protocol = self.ws.subprotocol
        self.deflated = bool(self.ws.extensions)

    def send(self, message):
        self.loop.run(self.ws.send(message))

    def send_parts(self, parts):
        self.loop.run(self.ws.send(list(parts)))

    def receive(self):
        return self.loop.run(self.ws.recv())

    def ping(self, payload):
        async def ping():
            await (await self.ws.ping(payload))
        self.loop.run(ping())

    def close(self, code=1000, reason=""):
        self.loop.run(self.ws.close(code, reason))

    def ended(self):
        self.loop.run(self.ws.wait_closed())
        return self.ws.close_code, self.ws.close_reason


class GripFactory(websockets.extensions.ServerExtensionFactory):
    """Grip over WebSocket, as an extension that changes no frame."""
    name = "grip"

    class Grip(websockets.extensions.Extension):
        name = "grip"

        def decode(self, frame, *, max_size=None):
            return frame

        def encode(self, frame):
            return frame

    def process_request_params(self, params, accepted_extensions):
        return [], self.Grip()


class WebsocketsOrigin:
    """python3-websockets as a server."""

    def __init__(self, loop, ports):
        self.loop = loop
        self.closes = Closes()
        self.closed = self.closes.wait
        self.servers = [loop.run(self.listen(port, kind is True, kind == "tls")) for kind, port in ports.items()]

    async def listen(self, port, grip, tls):
        async def serve(ws):
            await self.serve(ws, Script(ws.path, grip))
        how = {"compression": "deflate"}
        if grip:
            how = {"extensions": [GripFactory(), websockets_deflate.ServerPerMessageDeflateFactory(**FRUGAL)], "compression": None}
        return await websockets.serve(serve, HOST, port, subprotocols=["chat"], max_size=None, ping_interval=None,
                                      close_timeout=LIMIT, ssl=server_tls("localhost") if tls else None, **how)

    async def serve(self, ws, script):
        for m in script.first():
            await ws.send(m)
        try:
            async for m in ws:
                await self.answer(ws, script, m)
        except websockets.ConnectionClosed:
            pass
        await ws.wait_closed()
        self.closes.put(script.tag, ws.close_code, ws.close_reason)

    async def answer(self, ws, script, m):
        if script.closing(m):
            await ws.close(*script.closing(m))
        elif script.pinging(m) is not None:
            await (await ws.ping(script.pinging(m)))
            await ws.send(script.echo("pong " + m[5:]))
        elif m == "parts":
            await ws.send(list(script.parts()))
        elif m == "agreed":
            await ws.send(script.echo(" ".join(e.name for e in ws.extensions)))
        else:
            await ws.send(script.echo(m))

    def stop(self):
        async def stop(server):
            server.close()
            await server.wait_closed()
        for s in self.servers:
            self.loop.run(stop(s))


# wsproto, which leaves sockets to us

class WsprotoEnd:
    """A connection of wsproto's over a blocking socket."""

    def __init__(self, sock, kind):
        self.sock = sock
        self.sock.settimeout(LIMIT)
        self.ws = wsproto.WSConnection(kind)
        self.waiting = []       # events that nobody has had yet
        self.parts = []         # of a message that has not ended

    def put(self, event):
        self.sock.sendall(self.ws.send(event))

    def event(self):
        """The next event, None when the other side has gone; pings and closes are answered before."""
        while not self.waiting:
            data = self.sock.recv(262144)
            if not data:
                return None
            self.ws.receive_data(data)
            self.waiting.extend(self.ws.events())
        e = self.waiting.pop(0)
        if isinstance(e, wsproto.events.Ping) or (isinstance(e, wsproto.events.CloseConnection)
                                                  and self.ws.state is wsproto.ConnectionState.REMOTE_CLOSING):
            self.put(e.response())
        return e

    def message(self, e):
        """The whole message if E was its end, else None."""
        self.parts.append(e.data)
        if not e.message_finished:
            return None
        whole = self.parts[0][:0].join(self.parts)
        self.parts = []
        return whole if isinstance(whole, str) else bytes(whole)

    def send_parts(self, parts):
        for i, p in enumerate(parts):
            kind = wsproto.events.TextMessage if isinstance(p, str) else wsproto.events.BytesMessage
            self.put(kind(data=p, message_finished=i == len(parts) - 1))

    def send(self, message):
        self.send_parts([message])

    def goodbye(self):
        """Ends the stream in order: all that was sent arrives."""
        try:
            self.sock.shutdown(socket.SHUT_WR)
            while self.sock.recv(65536):
                pass
        except OSError:
            pass
        self.sock.close()


class WsprotoCaller:
    """python3-wsproto as a client."""

    def open(self, port, path, protocols=(), deflate=False, tls=False):
        return WsprotoCall(port, path, list(protocols), deflate, tls)


class WsprotoCall(WsprotoEnd):
    def __init__(self, port, path, protocols, deflate, tls):
        sock = socket.create_connection((HOST, port), LIMIT)
        if tls:
            sock = client_tls().wrap_socket(sock, server_hostname="localhost")
        super().__init__(sock, wsproto.ConnectionType.CLIENT)
        extensions = [wsproto.extensions.PerMessageDeflate(**(deflate if isinstance(deflate, dict) else {}))] if deflate else []
        self.put(wsproto.events.Request(host="localhost", target=path, subprotocols=protocols, extensions=extensions))
        e = self.event()
        assert isinstance(e, wsproto.events.AcceptConnection), e
        self.protocol, self.deflated = e.subprotocol, bool(e.extensions)

    def receive(self):
        while True:
            e = self.event()
            assert isinstance(e, (wsproto.events.Message, wsproto.events.Ping)), e
            if isinstance(e, wsproto.events.Message):
                whole = self.message(e)
                if whole is not None:
                    return whole

    def ping(self, payload):
        self.put(wsproto.events.Ping(payload=payload))
        e = self.event()
        assert isinstance(e, wsproto.events.Pong) and bytes(e.payload) == payload, e

    def close(self, code=1000, reason=""):
        self.put(wsproto.events.CloseConnection(code=code, reason=reason or None))

    def ended(self):
        e = self.event()
        assert isinstance(e, wsproto.events.CloseConnection), e
        assert self.event() is None
        self.sock.close()
        return int(e.code), e.reason or ""


class GripExtension(wsproto.extensions.Extension):
    """Grip over WebSocket, as an extension that changes no frame."""
    name = "grip"

    def accept(self, offer):
        return True

    def enabled(self):
        return True


class WsprotoOrigin:
    """python3-wsproto as a server."""

    def __init__(self, ports):
        self.closes = Closes()
        self.closed = self.closes.wait
        self.socks = {grip: socket.create_server((HOST, port), backlog=64) for grip, port in ports.items()}
        for grip, s in self.socks.items():
            threading.Thread(target=self.accept, args=(s, grip), daemon=True).start()

    def accept(self, sock, grip):
        while True:
            try:
                c, _ = sock.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(WsprotoEnd(c, wsproto.ConnectionType.SERVER), grip), daemon=True).start()

    def serve(self, end, grip):
        try:
            end.sock.settimeout(None)
            self.talk(end, grip)
        except (OSError, wsproto.utilities.LocalProtocolError):
            pass
        finally:
            end.goodbye()

    def talk(self, end, grip):
        e = end.event()
        if e is None:
            return
        script = Script(e.target, grip)
        end.extensions = [wsproto.extensions.PerMessageDeflate(**(FRUGAL if grip else {}))] + ([GripExtension()] if grip else [])
        end.put(wsproto.events.AcceptConnection(subprotocol="chat" if "chat" in e.subprotocols else None,
                                                extensions=end.extensions))
        for m in script.first():
            end.send(m)
        while e is not None and not isinstance(e, wsproto.events.CloseConnection):
            e = end.event()
            if isinstance(e, wsproto.events.Message):
                m = end.message(e)
                if m is not None:
                    self.answer(end, script, m)
            elif isinstance(e, wsproto.events.Pong):
                end.send(script.echo("pong " + bytes(e.payload).decode()))
        self.closes.put(script.tag, *((int(e.code), e.reason or "") if e is not None else (1006, "")))

    def answer(self, end, script, m):
        if script.closing(m):
            code, reason = script.closing(m)
            end.put(wsproto.events.CloseConnection(code=code, reason=reason or None))
        elif script.pinging(m) is not None:
            end.put(wsproto.events.Ping(payload=script.pinging(m)))
        elif m == "parts":
            end.send_parts(script.parts())
        elif m == "agreed":
            end.send(script.echo(" ".join(e.name for e in end.extensions if e.enabled())))
        else:
            end.send(script.echo(m))

    def stop(self):
        for s in self.socks.values():
            s.shutdown(socket.SHUT_RDWR)
            s.close()


# npm's ws, under Node

def ws_deflate(options):
    """The same in ws's spelling."""
    return {re.sub("_(.)", lambda m: m.group(1).upper(), name): value for name, value in options.items()}


class WsCaller:
    """ws as a client."""

    def __init__(self, node):
        self.node = node

    def open(self, port, path, protocols=(), deflate=False, tls=False):
        url = "%s://localhost:%d%s" % ("wss" if tls else "ws", port, path)
        if isinstance(deflate, dict):
            deflate = ws_deflate(deflate)
        return WsCall(self.node.start("ws", url=url, protocols=list(protocols), deflate=deflate))


class WsCall:
    def __init__(self, thing):
        self.thing = thing
        opened = thing.wait("open", LIMIT)
        self.protocol, self.deflated = opened["protocol"] or None, "permessage-deflate" in opened["extensions"]

    @staticmethod
    def packed(message):
        return {"text": message} if isinstance(message, str) else {"bytes": base64.b64encode(message).decode()}

    def send(self, message):
        self.send_parts([message])

    def send_parts(self, parts):
        for i, p in enumerate(parts):
            self.thing.tell("send", fin=i == len(parts) - 1, **self.packed(p))

    def receive(self):
        e = self.thing.wait("message", LIMIT)
        return e["text"] if "text" in e else base64.b64decode(e["bytes"])

    def ping(self, payload):
        self.thing.tell("ping", text=payload.decode())
        assert self.thing.wait("pong", LIMIT)["text"] == payload.decode()

    def close(self, code=1000, reason=""):
        self.thing.tell("close", **({} if code is None else {"code": code, "reason": reason}))

    def ended(self):
        e = self.thing.wait("close", LIMIT)
        return e["code"], e["reason"]


class WsOrigin:
    """ws as a server."""

    def __init__(self, node, ports):
        self.things = [node.start("ws-server", port=port, parts=PARTS, grip=grip, deflate=ws_deflate(FRUGAL if grip else {})) for grip, port in ports.items()]
        self.closes = Closes()
        for t in self.things:
            t.wait("listening", LIMIT)
            t.on_event = self.on_event
        self.closed = self.closes.wait

    def on_event(self, e):
        if e["event"] == "closed":
            self.closes.put(e["tag"], e["code"], e["reason"])

    def stop(self):
        """It ends with its Node."""
