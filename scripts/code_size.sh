#!/usr/bin/env bash
# Lines of code, and the median and 90th percentile length of a function, of the product and of its tests.
# Needs universal-ctags.
set -euo pipefail
cd "$(dirname "$0")/.."

figures() {
    local name=$1
    shift
    local files lines
    files=$(git ls-files "$@")
    lines=$(echo "$files" | xargs cat | wc -l)
    echo "$files" | grep '\.c$' | xargs ctags -x --c-kinds=f --_xformat='%n %{end}' | awk '{print $2 - $1 + 1}' | sort -n |
        awk -v name="$name" -v lines="$lines" '{n[NR] = $1} END {
            printf "%s: %d lines, %d functions, median %d lines, 90th percentile %d\n",
                   name, lines, NR, n[int((NR + 1) / 2)], n[int(NR * 0.9 + 0.5)]}'
}

figures product base/*.[ch] consumer/*.[ch] model/*.[ch] publisher/*.[ch] monitor/*.[ch] eval/*.[ch] daemon/*.[ch]
figures tests 'tests/*.c' 'tests/*.py' 'tests/*.sh'
