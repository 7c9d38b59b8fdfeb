#!/bin/sh
# Fetches axe-core from Maven Central, once, and prints the jar it is in.
#
# The folder appears by a rename, so it is either whole or not there, whoever else runs this.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/freshet
name=axe-core-4.6.3
jar=$cache/$name/$name.jar

if [ ! -e "$jar" ]; then
  command -v mvn >/dev/null || { echo "fetch.sh: maven is not installed" >&2; exit 1; }
  mkdir -p "$cache"
  aside=$(mktemp -d "$cache/$name.XXXXXX")
  trap 'rm -rf "$aside"' EXIT
  chmod 755 "$aside"
  # To stderr: stdout is for the answer.
  mvn --batch-mode --quiet --file "$here/pom.xml" \
    dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$aside" >&2
  [ -e "$aside/$name.jar" ] || { echo "fetch.sh: no axe-core jar came" >&2; exit 1; }
  # -T: somebody else's finished folder must not swallow ours.
  mv -T "$aside" "$cache/$name" 2>/dev/null || [ -e "$jar" ]
fi
echo "$jar"
