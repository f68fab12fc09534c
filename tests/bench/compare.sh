#!/bin/bash
# compare.sh: the same work done by pushpind, nginx+nchan, nginx, haproxy and the bench's own floor, in one run, in turn
# (A B C A B C ...), each with a fresh start; medians of the rounds as Markdown tables. `make bench` builds and starts it.
#
#   compare.sh [--rounds 3] [--only REGEX] [--servers a,b,c] [--beside NAME=PATH] [--out FOLDER]
#   compare.sh --table FOLDER/results.jsonl
#
# --only chooses works (the keys of WORK in compare.py), --servers among floor, nchan-1, nchan-auto, pushpind, relay,
# nginx-1 and haproxy-1; --beside adds another pushpind, an older one say. BUILD is the folder with pushpind and pushbench.
#
# Needs root, and of Debian: python3 iproute2 procps; nginx libnginx-mod-nchan haproxy to compare with. Everything runs in a
# network namespace of its own, so that the ports and sockets of other work on the machine are not in the way and the
# address range is the loopback's alone.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
for tool in unshare ip sysctl python3; do
    if ! PATH=$PATH:/usr/sbin:/sbin command -v $tool >/dev/null; then
        echo "the benchmark needs $tool (Debian: util-linux iproute2 procps python3)" >&2
        exit 1
    fi
done
if ! unshare --net true 2>/dev/null; then
    echo "the benchmark makes a network namespace of its own (unshare --net), which only root may: try sudo make bench" >&2
    exit 1
fi
exec unshare --net --fork --kill-child bash -c '
  PATH=$PATH:/usr/sbin:/sbin
  ip link set lo up
  sysctl -qw net.ipv4.ip_local_port_range="15000 65000"
  exec python3 "$@"' bash "$here/compare.py" "$@"
