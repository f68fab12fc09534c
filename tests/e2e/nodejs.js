// What the tests have Node do, with the libraries of tests/tools/npm. Commands come in as JSON, one a line; what happens
// goes out in the same form.
//
//   {"do": "ws", "id": 1, "url": ..}               a client of ws's: open, message, pong, close
//   {"do": "ws-server", "id": 2, "port": ..}       a server of ws's that echoes: listening, closed
//   {"do": "sockjs", "id": 3, "url": ..}           a client of sockjs-client's: open, message, close
//   {"do": "eventsource", "id": 4, "url": ..}      a client of eventsource's: open, message, error
//   {"do": "grip", "id": 5, "port": ..}            an origin made with @fanoutio/grip, and its publisher: listening, published
//   {"do": "send", "id": 1, "text": ..}            and so on: see `orders`
'use strict';

const path = require('path');
const modules = process.argv[2];
const load = (name) => require(path.join(modules, 'node_modules', name));
const things = new Map();

function say(id, event, fields) {
    process.stdout.write(JSON.stringify({id, event, ...fields}) + '\n');
}

function packed(data, isBinary) {
    return isBinary ? {bytes: data.toString('base64')} : {text: data.toString()};
}

function unpacked(order) {
    return 'text' in order ? order.text : Buffer.from(order.bytes, 'base64');
}

// Everything that can be started; each returns what its orders then go to.
const kinds = {
    'ws': ({id, url, protocols, deflate}) => {
        const {WebSocket} = load('ws');
        const ws = new WebSocket(url, protocols, {
            perMessageDeflate: deflate, rejectUnauthorized: false, maxPayload: 0,
            lookup: (host, options, done) => options.all ? done(null, [{address: '127.0.0.1', family: 4}]) : done(null, '127.0.0.1', 4),
        });
        ws.on('open', () => say(id, 'open', {protocol: ws.protocol, extensions: ws.extensions}));
        ws.on('message', (data, isBinary) => say(id, 'message', packed(data, isBinary)));
        ws.on('pong', (data) => say(id, 'pong', {text: data.toString()}));
        ws.on('close', (code, reason) => say(id, 'close', {code, reason: reason.toString()}));
        ws.on('error', (e) => say(id, 'error', {text: String(e)}));
        return ws;
    },

    'ws-server': ({id, port, grip, parts, deflate}) => {
        const {WebSocketServer} = load('ws');
        const server = new WebSocketServer({
            host: '127.0.0.1', port, perMessageDeflate: {threshold: 0, ...deflate}, maxPayload: 0,
            handleProtocols: (offered) => offered.has('chat') ? 'chat' : false,
        });
        if (grip)       // beside what ws itself says, in a header of its own
            server.on('headers', (headers) => headers.push('Sec-WebSocket-Extensions: grip'));
        server.on('listening', () => say(id, 'listening', {port}));
        server.on('error', (e) => say(id, 'error', {text: String(e)}));
        server.on('connection', (ws, request) => serve(id, ws, request, grip, parts));
        return server;
    },

    'sockjs': ({id, url, transports}) => {
        const SockJS = load('sockjs-client');
        const sock = new SockJS(url, null, {transports, timeout: 100000});
        sock.onopen = () => say(id, 'open', {transport: sock.transport});
        sock.onmessage = (e) => say(id, 'message', {text: e.data});
        sock.onclose = (e) => say(id, 'close', {code: e.code, reason: e.reason, clean: e.wasClean});
        return sock;
    },

    'grip': ({id, port, url}) => {
        const origin = {};
        import(path.join(modules, 'node_modules/@fanoutio/grip/build/index-node.js')).then((grip) => {
            origin.grip = grip;
            origin.publisher = new grip.Publisher(url);
            origin.say = (event, fields) => say(id, event, fields);
            require('http').createServer((request, response) => answerGrip(origin, request, response).catch((e) => {
                say(id, 'error', {text: e.stack});
                response.destroy();
            })).listen(port, '127.0.0.1', () => say(id, 'listening', {port}));
        });
        return origin;
    },

    'eventsource': ({id, url}) => {
        const EventSource = load('eventsource');
        const es = new EventSource(url, {https: {rejectUnauthorized: false}});
        es.onopen = () => say(id, 'open', {});
        es.onmessage = (e) => say(id, 'message', {text: e.data, last: e.lastEventId});
        es.onerror = (e) => say(id, 'error', {text: String(e.message)});
        return es;
    },
};

function serve(id, ws, request, grip, parts) {
    const prefix = grip ? 'm:' : '';
    const query = new URL(request.url, 'ws://localhost').searchParams;
    const channel = query.get('channel');
    ws.on('error', () => {});
    ws.on('close', (code, reason) => say(id, 'closed', {tag: query.get('tag'), code, reason: reason.toString()}));
    ws.on('pong', (data) => ws.send(prefix + 'pong ' + data));
    ws.on('message', (data, isBinary) => {
        const text = isBinary ? '' : data.toString();
        const close = /^close (\d+) ?(.*)$/.exec(text);
        if (close)
            ws.close(Number(close[1]), close[2]);
        else if (text.startsWith('ping '))
            ws.ping(text.slice(5));
        else if (text === 'agreed')
            ws.send(prefix + ws.extensions);
        else if (text === 'parts')
            parts.forEach((p, i) => ws.send(i === 0 ? prefix + p : p, {fin: i === parts.length - 1}));
        else
            ws.send(isBinary ? Buffer.concat([Buffer.from(prefix), data]) : prefix + text);
    });
    if (grip && channel)
        ws.send('c:' + JSON.stringify({type: 'subscribe', channel}));
}

// What an application does that is made with @fanoutio/grip.
async function answerGrip({grip, publisher}, request, response) {
    const url = new URL(request.url, 'http://localhost');
    const channel = url.searchParams.get('channel');
    const {isProxied, isSigned} = await publisher.validateGripSig(request.headers['grip-sig']);
    if (!isProxied || !isSigned) {
        response.writeHead(403).end('not signed\n');
        return;
    }
    if (grip.isNodeReqWsOverHttp(request)) {
        const context = await grip.getWebSocketContextFromNodeReq(request);
        converse(context, channel);
        response.writeHead(200, context.toHeaders()).end(grip.encodeWebSocketEvents(context.getOutgoingEvents()));
        return;
    }
    const instruct = new grip.GripInstruct(channel);
    if (url.pathname === '/poll') {
        instruct.setHoldLongPoll(20);
    } else {
        instruct.setHoldStream();
        instruct.setKeepAlive('alive\n\u0000', 1);
    }
    instruct.meta = {user: 'me'};
    response.writeHead(200, {...instruct.toHeaders(), 'Content-Type': 'text/plain'}).end('first\n');
}

// An echo; "as NAME" sets a name, which it remembers by way of the proxy.
function converse(context, channel) {
    if (context.isOpening()) {
        context.accept();
        context.subscribe(channel);
    }
    while (context.canRecv()) {
        const message = context.recvRaw();
        if (message === null)
            context.close(context.closeCode);
        else if (typeof message !== 'string')
            context.sendBinary(message);
        else if (message.startsWith('as '))
            context.meta.name = message.slice(3);
        else if (message === 'detach')
            context.detach();
        else if (message === 'close')
            context.close();
        else
            context.send((context.meta.name ? context.meta.name + ': ' : '') + message);
    }
}

// One item with all three formats.
function publish({grip, publisher, say}, {channel, text, bytes, itemId, prevId}) {
    const content = text ?? Buffer.from(bytes, 'base64');
    const formats = [new grip.HttpStreamFormat(content), new grip.HttpResponseFormat({code: 201, headers: {'X-A': '1'}, body: content}),
        new grip.WebSocketMessageFormat(content)];
    publisher.publishFormats(channel, formats, itemId, prevId)
        .then(() => say('published', {}), (e) => say('error', {text: e.stack}));
}

const orders = {
    publish,
    send: (thing, order) => thing.send.length > 1 ? thing.send(unpacked(order), {fin: order.fin !== false}) : thing.send(order.text),
    ping: (thing, order) => thing.ping(order.text),
    close: (thing, order) => 'code' in order ? thing.close(order.code, order.reason) : thing.close(),
    terminate: (thing) => thing.terminate(),
};

function obey(order) {
    try {
        if (order.do in kinds)
            things.set(order.id, kinds[order.do](order));
        else
            orders[order.do](things.get(order.id), order);
    } catch (e) {
        say(order.id, 'error', {text: e.stack});
    }
}

process.on('uncaughtException', (e) => say(null, 'error', {text: e.stack}));
require('readline').createInterface({input: process.stdin}).on('line', (line) => obey(JSON.parse(line)))
    .on('close', () => process.exit(0));
say(null, 'ready', {version: process.version});
