#!/usr/bin/env bash
# `cmake --install` puts the binary, the default settings, the man page and Chart.js's licence in place, and the binary runs from there.
# Of each library it needs the package is among those that the Dockerfile's image is given.
set -euo pipefail
build=$1
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
DESTDIR=$root cmake --install "$build" --prefix /usr >/dev/null
test -x "$root/usr/bin/freshet"
"$root/usr/bin/freshet" --version | grep -q '^freshet [0-9]'
"$root/usr/bin/freshet" check --config "$root/usr/etc/freshet/freshet.yaml" >/dev/null
test -s "$root/usr/share/man/man1/freshet.1"
cmp "$root/usr/share/freshet/freshet.service" "$(dirname "$0")/../configs/freshet.service"
DESTDIR=$root cmake --install "$build" --prefix /opt/f >/dev/null
grep -q '^ExecStart=/opt/f/bin/freshet run ' "$root/opt/f/share/freshet/freshet.service" # where it is
grep -q "Chart.js Contributors" "$root"/usr/share/doc/*/chart.LICENSE.txt
here=$(cd "$(dirname "$0")/.." && pwd)
needed=$(readelf -d "$root/usr/bin/freshet" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | grep -Ev '^(lib(c|m|gcc_s|asan|ubsan|tsan)\.so|ld-)')
image=$(sed -n '/^FROM debian:12-slim$/,$p' "$here/Dockerfile" | tr -s ' \\' '\n')
for library in $needed; do
    dpkg -S "*/$library" | cut -d: -f1 | grep -Fxq -f <(echo "$image") || { echo "Dockerfile: no package with $library" >&2; exit 1; }
done
