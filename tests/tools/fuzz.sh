#!/bin/sh
# fuzz.sh SECONDS PROGRAM...       runs each fuzz_NAME for that long
# fuzz.sh --possible CLANG         can CLANG build such programs?
#
# A program begins with tests/fuzz/corpus/NAME; what it finds goes to corpus/NAME beside the program, where later runs
# find it, and inputs that break it to crash-NAME-*. tests/fuzz/NAME.dict is its dictionary, where there is one.
set -u
if [ "$1" = --possible ]; then
    echo 'int LLVMFuzzerTestOneInput(const unsigned char *p, unsigned long n) { return p != 0 && n > 9; }' |
        "$2" -fsanitize=fuzzer,address -x c - -o /dev/null 2>/dev/null
    exit
fi

seconds=$1
shift
passed=0 failed=0
for program; do
    dir=${program%/*}
    name=${program##*/fuzz_}
    mkdir -p "$dir/corpus/$name"
    set -- -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -artifact_prefix="$dir/crash-$name-" -print_final_stats=1
    [ ! -e "tests/fuzz/$name.dict" ] || set -- "$@" -dict="tests/fuzz/$name.dict"
    set -- "$@" "$dir/corpus/$name"
    [ ! -d "tests/fuzz/corpus/$name" ] || set -- "$@" "tests/fuzz/corpus/$name"
    if "$program" "$@" >"$dir/$name.log" 2>&1; then
        passed=$((passed + 1))
        printf '  %-20s %s runs\n' "$name" "$(sed -n 's/^stat::number_of_executed_units: *//p' "$dir/$name.log")"
    else
        failed=$((failed + 1))
        tail -n 60 "$dir/$name.log"
        echo "FAILED: $program $*"
    fi
done
echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
