#!/bin/bash
# pytest.sh PYTHON ARGUMENT...: runs pytest in tests/. What fails is run once more, by itself, when it is not much: a
# machine that stood still for seconds fails a test that has a limit, a fault of the program fails it both times. A test
# that failed and then passed is named at the end, to be mended: it depends on luck. With AGAIN=0 every failure counts.
set -u
cd "$(dirname "$0")/.." || exit
export PYTHONDONTWRITEBYTECODE=1
python=$1
shift
log=$(mktemp)
trap 'rm -f "$log"' EXIT

"$python" -m pytest "$@" 2>&1 | tee "$log"
rc=${PIPESTATUS[0]}
mapfile -t failed < <(sed -nE 's/^(FAILED|ERROR) ([^ ]+::.*)$/\2/p' "$log" | sed 's/ - .*//' | sort -u)
if [ "$rc" -ne 1 ] || [ "${AGAIN:-1}" = 0 ] || [ ${#failed[@]} -eq 0 ] || [ ${#failed[@]} -gt 5 ]; then
    exit "$rc"
fi

count() {
    tail -n 1 "$log" | grep -oE "[0-9]+ $1" | grep -oE '^[0-9]+' || echo 0
}
passed=$(count passed) skipped=$(count skipped)
bin=()
for argument; do
    case $argument in --bin=*) bin=("$argument") ;; esac
done
printf 'once more, by itself: %s\n' "${failed[@]}"
"$python" -m pytest -q "${bin[@]}" "${failed[@]}" || exit
printf 'PASSED ONLY WHEN RUN AGAIN: %s\n' "${failed[@]}"
echo "$((passed + ${#failed[@]})) passed, $skipped skipped"
