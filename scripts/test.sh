#!/usr/bin/env bash
# All tests, from nothing: installs packages, checks form and layers, builds with gcc and clang, runs everything under
# ASan and UBSan and what has threads under TSan, against a real Apache Kafka and Redis on free loopback ports.
# The last line is "N passed, N failed". FRESHET_JOBS: how many jobs to build and test with.
set -uo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$top" || exit 1

passed=0 failed=0

# Runs one check and counts it.
check() {
    local name=$1
    shift
    say "$name"
    if "$@"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        printf 'FAILED: %s\n' "$name"
    fi
}

# Builds a preset, or only a target of it: build PRESET [TARGET].
build() {
    cmake --preset "$1" >/dev/null &&
        cmake --build --preset "$1" -j "$(jobs_count)" --target "${2:-all}" | tail -n 30
    return "${PIPESTATUS[0]}"
}

# Runs ctest in a build folder and adds its tests to the count: count_tests FOLDER LABEL-ARGUMENTS...
count_tests() {
    local folder=$1 log
    shift
    log=$(mktemp)
    ctest --test-dir "$folder" --output-on-failure --no-tests=error "$@" 2>&1 | tee "$log"
    local status=${PIPESTATUS[0]} total bad
    total=$(sed -n 's/.*tests passed, \([0-9]*\) tests* failed out of \([0-9]*\).*/\2/p' "$log")
    bad=$(sed -n 's/.*tests passed, \([0-9]*\) tests* failed out of \([0-9]*\).*/\1/p' "$log")
    rm -f "$log"
    if [ -z "$total" ] || { [ "$status" != 0 ] && [ "$bad" = 0 ]; }; then
        failed=$((failed + 1))
        return
    fi
    passed=$((passed + total - bad))
    failed=$((failed + bad))
}

form() {
    git ls-files '*.c' '*.h' | xargs clang-format --dry-run -Werror
}

need_packages scripts/packages-build.txt scripts/packages-test.txt
check "Apache Kafka from Maven" tests/kafka/fetch.sh
check "axe-core from Maven" tests/web/fetch.sh
check "form (clang-format)" form
check "layers" /usr/bin/python3 tests/check_layers.py
check "compose file" tests/check_compose.sh
check "build: gcc, release, warnings are errors" build release
check "no failpoints in it" /usr/bin/python3 tests/faults/names.py build/freshet
check "build: clang" build clang
say "fuzzing, briefly"
count_tests build-clang -L fuzz
check "install" tests/check_install.sh build
check "commands" tests/check_commands.sh build/freshet
check "build: ASan and UBSan" build asan
say "tests under ASan and UBSan"
count_tests build-asan -j "$((2 * $(jobs_count)))" -LE end-to-end # the longest wait more than they work
say "end to end, with Apache Kafka and Redis"
count_tests build-asan -j 2 -L end-to-end # they wait for timers and for Kafka more than they work
check "build: TSan" build tsan threaded
say "threads under TSan"
count_tests build-tsan -j "$(jobs_count)" -L threads

say "done"
printf '%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
