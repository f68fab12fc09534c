#!/bin/bash
# check.sh TARGET...: makes each target, whatever comes of the others, and adds up what they say has passed and failed.
# A target that says nothing countable counts as one test. What failed is told once more at the end. The last line is the sum.
set -u
log=$(mktemp) failures=$(mktemp)
trap 'rm -f "$log" "$failures"' EXIT
passed=0 failed=0 skipped=0
broken=()

# The number before WORD in the last line that has the form of a summary.
count() {
    grep -E '^(=+ )?[0-9]+ [a-z]+(, [0-9]+ [a-z]+)*( in .*)?$' "$log" | tail -n 1 | grep -oE "[0-9]+ $1" | grep -oE '^[0-9]+' || echo 0
}

for target; do
    began=$SECONDS
    echo "== $target"
    # shellcheck disable=SC2086 # a target may bring its variables
    $MAKE --no-print-directory $target 2>&1 | tee "$log"
    rc=${PIPESTATUS[0]}
    p=$(count passed) f=$(($(count failed) + $(count error))) s=$(count skipped)
    if [ "$rc" -ne 0 ]; then
        broken+=("${target%% *}")
        [ "$f" -gt 0 ] || f=1
    elif [ $((p + s)) -eq 0 ]; then
        p=1
    fi
    if [ "$rc" -ne 0 ] || grep -q '^PASSED ONLY' "$log"; then
        { echo "-- $target"; grep -E '^(FAILED|ERROR|PASSED ONLY|E  |.*(error|Error|FAIL))' "$log" | cut -c1-300 | tail -n 40; } >>"$failures"
    fi
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
    echo "== $target: $((SECONDS - began)) s"
done
echo
cat "$failures"
[ ${#broken[@]} -eq 0 ] || echo "these failed: ${broken[*]}"
echo "$passed passed, $failed failed, $skipped skipped"
[ ${#broken[@]} -eq 0 ] && [ $failed -eq 0 ]
