#!/usr/bin/env python3
"""The comparison behind compare.sh; start that."""
import argparse, json, os, re, shutil, signal, socket, statistics, subprocess, sys, tempfile, time

HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = os.environ.get("BUILD") or os.path.join(HERE, "../../build")
BENCH = os.path.join(BUILD, "pushbench")
ORIGIN = "127.0.0.1:8310"
HIGH = 19000          # connections in the largest runs: the machine allows a process 20,000 open files

NGINX = """
daemon off; master_process on; worker_processes {workers}; worker_rlimit_nofile 20000; pid {dir}/nginx.pid; error_log {dir}/error.log crit;
{load}
events {{ worker_connections 40000; use epoll; multi_accept on; }}
http {{
  access_log off; keepalive_requests 100000000; keepalive_timeout 3600s; client_body_buffer_size 128k;
  client_body_temp_path {dir}/b; proxy_temp_path {dir}/p; fastcgi_temp_path {dir}/f; uwsgi_temp_path {dir}/u; scgi_temp_path {dir}/s;
  {http}
  server {{ listen 127.0.0.1:{port} backlog=65535 {listen}; {server} }}
}}
"""
NCHAN = "/usr/lib/nginx/modules/ngx_nchan_module.so"
NCHAN_LOAD = f"load_module {NCHAN};"
NCHAN_HTTP = "nchan_shared_memory_size 512M; upstream origin { server 127.0.0.1:8310; keepalive 256; }"
NCHAN_SERVER = """
  location = /pub { nchan_publisher http; nchan_channel_id $arg_channel; nchan_store_messages off; }
  location = /stream { nchan_subscriber http-chunked; nchan_channel_id $arg_channel; nchan_subscriber_first_message newest; }
  location = /ws { nchan_subscriber websocket; nchan_channel_id $arg_channel; nchan_subscriber_first_message newest; }
  location = /sse { nchan_subscriber eventsource; nchan_channel_id $arg_channel; nchan_subscriber_first_message newest; }
  location = /stream_asked { nchan_subscriber http-chunked; nchan_channel_id $arg_channel; nchan_subscriber_first_message newest; nchan_authorize_request /ask; }
  location = /ask { internal; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_pass http://origin/plain?size=5; }
"""
PUSHPIND = """
[global]
rundir={dir}
port_offset=311
[runner]
http_port=127.0.0.1:{port}
logdir={dir}
log_level=1
client_maxconn=50000
allow_compression=true
[proxy]
routesfile=routes
[handler]
message_rate=0
message_hwm=0
"""
PROXY_HTTP = "upstream origin { server 127.0.0.1:8310; keepalive 256; keepalive_requests 100000000; }"
PROXY_SERVER = '''
  location /echo { proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade; proxy_pass http://origin; }
  location / { proxy_http_version 1.1; proxy_set_header Connection ""; proxy_pass http://origin; }'''
HAPROXY = """
global
  nbthread {threads}
  maxconn 9000
  ulimit-n 19990
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  option http-keep-alive
  http-reuse always
frontend f
  bind 127.0.0.1:{port}
  default_backend b
backend b
  server o 127.0.0.1:8310 maxconn 4096
"""


def wait_port(port, seconds=15):
    end = time.time() + seconds
    while time.time() < end:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.02)
    raise SystemExit(f"nothing listens on port {port}")


class Server:
    """A server that start() brings up and stop() ends; pid is its topmost process."""
    speed = 1          # fast servers do more messages in a run, for a steadier figure
    headers = []
    inflight = 64      # connections being opened at a time

    def __init__(self, name, port, publish=None, fmt="grip", kinds=()):
        self.name, self.port, self.publish, self.fmt, self.kinds = name, port, publish, fmt, kinds

    def spawn(self, *argv, **more):
        self.child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, **more)
        self.pid = self.child.pid
        wait_port(self.port)
        time.sleep(0.3)

    def stop(self):
        self.child.send_signal(signal.SIGTERM)
        try:
            self.child.wait(10)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()

    def missing(self):
        """What it lacks to be started, or None."""
        return None

    def url(self, path):
        return f"http://127.0.0.1:{self.port}{path}"


class Bench(Server):
    speed = 10

    def __init__(self, name, port, *args, **more):
        super().__init__(name, port, **more)
        self.args = args

    def start(self):
        self.spawn(BENCH, *self.args)


class Pushpind(Server):
    speed = 10

    def __init__(self, name, binary):
        super().__init__(name, 7320, "http://127.0.0.1:5872/publish/", kinds=PUSH + PASS)
        self.binary = binary

    def missing(self):
        return None if os.access(self.binary, os.X_OK) else f"no program {self.binary}"

    def start(self):
        self.dir = tempfile.mkdtemp(prefix="compare-pushpind-")
        with open(self.dir + "/pushpin.conf", "w") as f:
            f.write(PUSHPIND.format(dir=self.dir, port=self.port))
        with open(self.dir + "/routes", "w") as f:
            f.write(f"*,path_beg=/echo {ORIGIN}\n* {ORIGIN},over_http\n")
        self.spawn(self.binary, "--config=" + self.dir + "/pushpin.conf")
        wait_port(5872)

    def stop(self):
        super().stop()
        shutil.rmtree(self.dir, ignore_errors=True)


class Nginx(Server):
    speed = 10

    def __init__(self, name, port, workers, load="", http="", server="", **more):
        super().__init__(name, port, **more)
        self.nchan = bool(load)
        self.conf = dict(workers=workers, load=load, http=http, server=server, port=port,
                         listen="reuseport" if workers != 1 else "")

    def missing(self):
        if not shutil.which("nginx"):
            return "nginx is not installed (Debian: nginx)"
        if self.nchan and not os.path.exists(NCHAN):
            return "nginx has no nchan (Debian: libnginx-mod-nchan)"

    def start(self):
        d = tempfile.mkdtemp(prefix="compare-nginx-")
        with open(d + "/nginx.conf", "w") as f:
            f.write("user root;" + NGINX.format(dir=d, **self.conf))
        self.spawn("nginx", "-c", d + "/nginx.conf", "-p", d, stderr=subprocess.DEVNULL)
        self.dir = d

    def stop(self):
        super().stop()
        shutil.rmtree(self.dir, ignore_errors=True)


class Haproxy(Server):
    speed = 10

    def missing(self):
        return None if shutil.which("haproxy") else "haproxy is not installed (Debian: haproxy)"

    def start(self):
        self.file = tempfile.NamedTemporaryFile("w", suffix=".cfg")
        self.file.write(HAPROXY.format(port=self.port, threads=1))
        self.file.flush()
        self.spawn("haproxy", "-f", self.file.name, stderr=subprocess.DEVNULL)


PUSH, PASS = ("push",), ("pass",)
SERVERS = [
    Bench("floor", 7330, "floor", "--listen", "127.0.0.1:7330", publish="http://127.0.0.1:7330/publish/", kinds=PUSH),
    Nginx("nchan-1", 8320, 1, NCHAN_LOAD, NCHAN_HTTP, NCHAN_SERVER, publish="http://127.0.0.1:8320/pub?channel=%c", fmt="raw", kinds=PUSH),
    Nginx("nchan-auto", 8321, "auto", NCHAN_LOAD, NCHAN_HTTP, NCHAN_SERVER, publish="http://127.0.0.1:8321/pub?channel=%c", fmt="raw", kinds=PUSH),
    Pushpind("pushpind", os.path.join(BUILD, "pushpind")),
    Bench("relay", 7331, "floor", "--listen", "127.0.0.1:7331", "--relay", ORIGIN, kinds=PASS),
    Nginx("nginx-1", 8322, 1, "", PROXY_HTTP, PROXY_SERVER, kinds=PASS),
    Haproxy("haproxy-1", 8323, kinds=PASS),
]


def fanout(mode, conns, messages, channels=1, window=1, size=100, deflate=False):
    def args(s):
        if deflate and not isinstance(s, Pushpind):
            return None
        n = messages * s.speed
        if channels > 1:
            n = max(channels, messages)
        return ["fanout", "--mode", mode, "--url", s.url("/ws?channel=%c" if mode == "ws" else "/stream?channel=%c"),
                "--publish", s.publish, "--format", s.fmt, "--conns", str(conns), "--channels", str(channels),
                "--messages", str(n), "--window", str(window), "--inflight", str(s.inflight), "--timeout", "120",
                "--settle", "0.5", "--size", str(size)] + ["--deflate"] * deflate
    return "push", args


def hold(mode, conns, path=None, idle=2, deflate=False):
    def args(s):
        where = path or ("/ws" if mode == "ws" else "/stream")
        if (path and not s.name.startswith("nchan")) or (deflate and not isinstance(s, Pushpind)):
            return None
        return ["hold", "--mode", mode, "--url", s.url(where + "?channel=%c"), "--conns", str(conns), "--idle", str(idle),
                "--inflight", str(s.inflight), "--timeout", "120", "--settle", "1"] + ["--deflate"] * deflate
    return "push", args


def echo(path, conns, size, seconds=4):
    """To the origin and back: /echo is a WebSocket there, /ws speaks WebSocket-over-HTTP, which pushpind alone does."""
    def args(s):
        if path != "/echo" and not isinstance(s, Pushpind):
            return None
        return ["echo", "--url", s.url(path), "--conns", str(conns), "--size", str(size), "--seconds", str(seconds)]
    return "pass", args


def proxy(size, *more, seconds=4):
    return "pass", lambda s: ["proxy", "--url", s.url(f"/plain?size={size}"), "--conns", "64", "--seconds", str(seconds), *more]


WORK = {
    "fanout-stream-1": fanout("http-stream", 1, 200),
    "fanout-stream-1k": fanout("http-stream", 1000, 40),
    "fanout-stream-1k-w16": fanout("http-stream", 1000, 48, window=16),
    "fanout-stream-10k": fanout("http-stream", 10000, 5),
    "fanout-stream-19k": fanout("http-stream", HIGH, 3),
    "fanout-ws-1": fanout("ws", 1, 200),
    "fanout-ws-1k": fanout("ws", 1000, 40),
    "fanout-ws-10k": fanout("ws", 10000, 5),
    "fanout-ws-19k": fanout("ws", HIGH, 3),
    "fanout-ws-1000b": fanout("ws", 1000, 40, size=1000),
    "fanout-ws-1000b-deflate": fanout("ws", 1000, 40, size=1000, deflate=True),
    "fanout-stream-1000x10": fanout("http-stream", 10000, 1000, channels=1000),
    "hold-stream-10k": hold("http-stream", 10000),
    "hold-stream-19k": hold("http-stream", HIGH),
    "hold-ws-10k": hold("ws", 10000),
    "hold-ws-19k": hold("ws", HIGH),
    "hold-ws-10k-deflate": hold("ws", 10000, deflate=True),
    "hold-asked-10k": hold("http-stream", 10000, path="/stream_asked"),
    "echo-ws-64": echo("/echo", 64, 100),
    "echo-ws-1": echo("/echo", 1, 100),
    "echo-ws-4m": echo("/echo", 1, 4000000),
    "echo-ws-http-1": echo("/ws?channel=c0", 1, 100),
    "proxy-get-100": proxy(100),
    "proxy-get-64k": proxy(65536),
    "proxy-post-1k": proxy(100, "--post", "1000"),
    "proxy-churn-100": proxy(100, "--churn"),
}

COLUMNS = {
    "fanout": [("server_cpu_us_per_delivery", "CPU us/delivery", 2), ("deliveries_per_s", "deliveries/s", 0),
               ("reach_all_p50_ms", "last subscriber, ms", 2), ("latency_p50_us", "p50 us", 0), ("latency_p99_us", "p99 us", 0),
               ("server_cpu_us_per_message", "CPU us/message", 0), ("server_cores", "cores", 2)],
    "hold": [("holds_per_s", "holds/s", 0), ("server_cpu_us_per_conn", "CPU us/hold", 1), ("pss_bytes_per_conn", "bytes/conn", 0),
             ("kernel_bytes_per_conn", "kernel bytes/conn, both ends", 0), ("server_fresh_pss_kb", "empty KiB", 0),
             ("given_back_share", "given back", 2), ("idle_cpu_percent", "idle CPU %", 2), ("close_cpu_us_per_conn", "CPU us/close", 1)],
    "echo": [("server_cpu_us_per_echo", "CPU us/message there and back", 1), ("echoes_per_s", "messages/s", 0),
             ("latency_p50_us", "there and back p50 us", 0), ("latency_p99_us", "p99 us", 0), ("carried_mb", "MB carried each way", 0),
             ("peak_kb", "most memory above idle, KiB", 0), ("server_cores", "cores", 2)],
    "proxy": [("server_cpu_us_per_request", "CPU us/request", 1), ("requests_per_s", "requests/s", 0), ("latency_p50_us", "p50 us", 0),
              ("latency_p99_us", "p99 us", 0), ("server_cores", "cores", 2)],
}


def run(server, args):
    full = [BENCH, *args, "--pid", str(server.pid), "--json"]
    if server.name.startswith("nchan") and "ws" not in args:
        full += ["--header", "TE: chunked"]
    try:
        r = subprocess.run(full, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=200)
        return json.loads(r.stdout)
    except (subprocess.TimeoutExpired, ValueError) as e:
        return {"ok": 0, "error": f"no report: {e}", "command": args[0]}


def table(results, names):
    for work in WORK:
        rows = [r for r in results if r["work"] == work]
        if not rows:
            continue
        columns = COLUMNS[rows[0]["command"]]
        print(f"\n### {work}\n\n| server | " + " | ".join(c[1] for c in columns) + " | runs |\n|---|" + "---:|" * (len(columns) + 1))
        for name in names:
            mine = [r for r in rows if r["server"] == name]
            good = [r for r in mine if r["ok"]]
            if good:
                cells = [f"{statistics.median(r.get(k, 0) for r in good):,.{p}f}" for k, _, p in columns]
                print(f"| {name} | " + " | ".join(cells) + f" | {len(good)}/{len(mine)} |")
            elif mine:
                print(f"| {name} | failed: {mine[0]['error']} " + "| " * len(columns) + f"| 0/{len(mine)} |")


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--only", default="")
    p.add_argument("--servers", default="")
    p.add_argument("--out", default="")
    p.add_argument("--table", help="print the tables of an earlier run's results file and stop")
    p.add_argument("--beside", action="append", default=[], metavar="NAME=PATH", help="another pushpind to measure")
    a = p.parse_args()
    if a.table:
        results = [json.loads(line) for line in open(a.table)]
        table(results, list(dict.fromkeys(r["server"] for r in results)))
        return
    servers = SERVERS + [Pushpind(*more.split("=", 1)) for more in a.beside]
    if a.servers:
        servers = [s for s in servers if s.name in a.servers.split(",")]
    for s in list(servers):
        why = s.missing()
        if why:
            print(f"{s.name} is left out: {why}", file=sys.stderr)
            servers.remove(s)
    out = a.out or os.path.join(BUILD, "bench", time.strftime("%Y%m%d-%H%M%S"))
    os.makedirs(out, exist_ok=True)
    results = []
    origin = subprocess.Popen([BENCH, "origin", "--listen", ORIGIN])
    wait_port(8310)
    try:
        with open(out + "/results.jsonl", "a") as log:
            for n in range(a.rounds):
                for work, (kind, make) in WORK.items():
                    if not re.search(a.only, work):
                        continue
                    for s in servers:
                        args = make(s) if kind in s.kinds else None
                        if not args:
                            continue
                        began = time.time()
                        s.start()
                        try:
                            r = run(s, args)
                        finally:
                            s.stop()
                        r.update(work=work, server=s.name, round=n)
                        results.append(r)
                        log.write(json.dumps(r) + "\n")
                        log.flush()
                        key, _, places = COLUMNS[args[0]][0]
                        print(f"round {n} {work:24} {s.name:12} {r.get(key, 0):12.{places}f} {COLUMNS[args[0]][0][1]:16} "
                              f"{time.time() - began:5.1f} s {'' if r['ok'] else 'FAILED: ' + r['error']}", file=sys.stderr, flush=True)
    finally:
        origin.terminate()
        origin.wait()
    table(results, [s.name for s in servers])
    print(f"\nEach run's figures: {out}/results.jsonl")


if __name__ == "__main__":
    main()
