#!/bin/sh
# unit.sh PROGRAM...: runs unit tests, each program whatever the others do; shows the output of those that fail.
set -u
log=$(mktemp)
trap 'rm -f "$log"' EXIT
passed=0 failed=0

sum() { # of what cmocka says for each group of tests
    sed -n "s/^\[  $1  \] \([0-9]*\) test(s).*/\1/p" "$log" | awk '{ n += $1 } END { print n + 0 }'
}

for program; do
    CMOCKA_MESSAGE_OUTPUT=STDOUT "$program" >"$log" 2>&1
    rc=$?
    ok=$(sum PASSED)
    bad=$(sum FAILED)
    if [ $rc -ne 0 ]; then
        cat "$log"
        echo "$program: exit status $rc"
        [ "$bad" -gt 0 ] || bad=1
    fi
    passed=$((passed + ok))
    failed=$((failed + bad))
done
echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
