#!/bin/bash
# run.sh PUSHPIND CONFIG: runs the daemon in the foreground, in this process, and once it says that it has started
# prints what to try. What it prints goes through a reader that ends when it does.
set -eu

hint() {
    cat <<END

Ready. Leave this running, and type in two other terminals:

    curl -N http://localhost:7999/stream
    ${1%/*}/pushpin-publish test "hello there"

Or open this page in a browser:

    http://localhost:7999/demo

END
}

reader() {
    trap '' INT TERM # Ctrl-C goes to everyone in the terminal; the daemon's last lines are to be seen
    while IFS= read -r line; do
        printf '%s\n' "$line"
        if [[ $line == *" started" ]]; then
            hint "$1"
            exec cat
        fi
    done
}

exec "$1" --config="$2" > >(reader "$1")
