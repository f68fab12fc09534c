#!/bin/bash
# Checks pushbench itself: good runs against floor and origin pass, and each way to spoil a delivery is noticed.
# PUSHBENCH is the program; takes free ports from BASE_PORT on.
set -u
bench=${PUSHBENCH:-$(dirname "$0")/../../build/pushbench}
port=${BASE_PORT:-18080}
pids=
passed=0
failed=0
trap 'kill $pids 2>/dev/null' EXIT

serve() { # NAME --listen ADDRESS:PORT ...: starts a server and waits until it listens
    "$bench" "$@" &
    pid=$!
    pids="$pids $pid"
    for _ in {1..100}; do
        (exec 3<>"/dev/tcp/${3%:*}/${3#*:}") 2>/dev/null && return
        sleep 0.05
    done
    echo "nothing listens on $3"
    exit 1
}

expect() { # WHAT, EXIT STATUS, WORDS in the report, ARGUMENTS of pushbench
    what=$1 status=$2 words=$3
    shift 3
    out=$("$bench" "$@" 2>&1)
    rc=$?
    if [ $rc -eq "$status" ] && printf '%s' "$out" | grep -q "$words"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        printf 'FAILED: %s: exit status %s\n%s\n' "$what" $rc "$out"
    fi
}

fanout() { # PORT, MODE, PATH, more
    p=$1 mode=$2 path=$3
    shift 3
    echo fanout --mode "$mode" --url "http://127.0.0.1:$p/$path?channel=%c" --publish "http://127.0.0.1:$p/publish/" "$@"
}

serve floor --listen 127.0.0.1:$port
floor=$pid
for mode in http-stream:stream ws:ws http-response:response; do
    path=${mode#*:} mode=${mode%:*}
    for size in 24 100 125 126 4000 70000; do
        expect "$mode, $size bytes" 0 'lost, of all sent *0' $(fanout $port $mode $path --conns 20 --messages 5 --size $size --settle 0.1)
    done
done
expect 'many channels' 0 'deliveries measured *1000$' \
    $(fanout $port ws ws --conns 100 --channels 10 --messages 100 --window 8 --concurrency 4 --settle 0.1)
expect 'client processes' 0 'deliveries measured *1000$' \
    $(fanout $port http-stream stream --conns 100 --messages 10 --procs 3 --sources 5 --settle 0.1)
expect 'hold' 0 'connections held  *500$' \
    hold --url "http://127.0.0.1:$port/stream?channel=c0" --conns 500 --settle 0.1 --pid $floor
expect 'nothing listens' 1 'Connection refused' hold --url "http://127.0.0.1:$((port + 9))/" --conns 1 --timeout 2
expect 'no loopback address' 2 'not an address in 127' hold --url http://192.0.2.1/ --conns 1

serve origin --listen 127.0.0.1:$((port + 1))
serve floor --listen 127.0.0.1:$((port + 2)) --relay 127.0.0.1:$((port + 1))
for more in --any-body --churn '--post 1000' '--post 300000'; do
    for size in 0 100 65536 1000000; do
        expect "relay, $size bytes $more" 0 'error *none' \
            proxy --url "http://127.0.0.1:$((port + 2))/plain?size=$size" --conns 4 --seconds 0.2 $more
    done
done
expect 'a body that is not the expected one' 1 "not the origin's" \
    proxy --url "http://127.0.0.1:$((port + 2))/stream?size=5" --conns 1 --seconds 0.2

n=3
for spoil in lose:'deliveries lost' double:'came twice' garble:'not sent so'; do
    serve floor --listen 127.0.0.1:$((port + n)) --spoil ${spoil%%:*}
    for mode in http-stream:stream ws:ws; do
        expect "a delivery spoilt: ${spoil%%:*}, ${mode%:*}" 1 "${spoil#*:}" \
            $(fanout $((port + n)) ${mode%:*} ${mode#*:} --conns 20 --messages 100 --settle 0.1 --timeout 3)
    done
    n=$((n + 1))
done

echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
