#!/usr/bin/env bash
# `cmake --install` puts the binary, the default settings, the man page and Chart.js's licence in place, and the binary runs from there.
set -euo pipefail
build=$1
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
DESTDIR=$root cmake --install "$build" --prefix /usr >/dev/null
test -x "$root/usr/bin/freshet"
"$root/usr/bin/freshet" --version | grep -q '^freshet [0-9]'
"$root/usr/bin/freshet" check --config "$root/usr/etc/freshet/freshet.yaml" >/dev/null
test -s "$root/usr/share/man/man1/freshet.1"
grep -q "Chart.js Contributors" "$root"/usr/share/doc/*/chart.LICENSE.txt
