#!/usr/bin/env bash
# README.md and the man page name the commands that `freshet --help` does, in its order.
set -euo pipefail
freshet=$1
cd "$(dirname "$0")/.."
want=$("$freshet" --help | sed -n '/^commands:/,/^$/s/^  \([a-z]*\) .*/\1/p' | xargs)
readme=$(tr '\n' ' ' <README.md | grep -o '`freshet run, [a-z, ]*`' | tr -d '`,' | cut -d' ' -f2-)
page=$(sed -n '/^\.SH COMMANDS/,/^\.SH EXIT/p' docs/freshet.1 | grep -A1 '^\.TP' | sed -n 's/^\.BI\? "\([a-z]*\)[ "].*/\1/p' | xargs)
test "$want" = "$(echo $readme)" || { echo "README.md: $readme; want $want" >&2; exit 1; }
test "$want" = "$page" || { echo "docs/freshet.1: $page; want $want" >&2; exit 1; }
