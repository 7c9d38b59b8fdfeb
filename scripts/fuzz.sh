#!/usr/bin/env bash
# Runs the fuzz targets of tests/fuzz, two at a time, each for so many minutes, from their corpus, every input that ever
# failed and what earlier runs found (build-clang/tests/fuzz/found).
#   scripts/fuzz.sh [--minutes N] [TARGET...]        default: 10 minutes, all targets
# Prints a line for each target: executions, branches reached, findings. Inputs that fail stay in build-clang/tests/fuzz/findings: fix
# what they show, and move them to tests/fuzz/crashes/TARGET. The last line is
# "fuzz: TARGETS targets, EXECUTIONS executions, FINDINGS findings".
set -uo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$top" || exit 1

minutes=10
if [ "${1:-}" = --minutes ]; then
    minutes=$2
    shift 2
fi
targets=("$@")
if [ ${#targets[@]} = 0 ]; then
    for source in tests/fuzz/fuzz_*.c; do
        name=$(basename "$source" .c)
        targets+=("${name#fuzz_}")
    done
fi

work=build-clang/tests/fuzz
cmake --preset clang >/dev/null &&
    cmake --build build-clang -j "$(jobs_count)" --target "${targets[@]/#/fuzz_}" | tail -n 30
[ "${PIPESTATUS[0]}" = 0 ] || exit 1
mkdir -p "$work/findings" "$work/logs"

# One target for its time.
fuzz() {
    local name=$1 inputs=("tests/fuzz/corpus/$1")
    [ -d "tests/fuzz/crashes/$name" ] && inputs+=("tests/fuzz/crashes/$name")
    mkdir -p "$work/found/$name"
    rm -f "$work/findings/$name"-*
    nice "$work/fuzz_$name" -max_total_time=$((minutes * 60)) -max_len=4096 -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
        -artifact_prefix="$work/findings/$name-" "$work/found/$name" "${inputs[@]}" >"$work/logs/$name" 2>&1
}

# What a target's log says: executions, branches, and whether something was found.
report() {
    local log=$work/logs/$1 runs found=0
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    [ -n "$runs" ] || runs=$(sed -n 's/^#\([0-9]*\).*/\1/p' "$log" | tail -n 1) # it ended before its time
    [ -n "$(ls "$work/findings/$1"-* 2>/dev/null)" ] && found=1
    printf '%-12s %12s executions, %5s branches, %s findings\n' "$1" "${runs:-0}" \
        "$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$log" | tail -n 1)" "$found"
    executions=$((executions + ${runs:-0}))
    findings=$((findings + found))
}

for name in "${targets[@]}"; do
    while [ "$(jobs -rp | wc -l)" -ge 2 ]; do
        wait -n
    done
    fuzz "$name" &
done
wait

executions=0 findings=0
for name in "${targets[@]}"; do
    report "$name"
done
printf 'fuzz: %d targets, %d executions, %d findings\n' "${#targets[@]}" "$executions" "$findings"
[ "$findings" = 0 ]
