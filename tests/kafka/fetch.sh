#!/bin/sh
# Fetches Apache Kafka as jars from Maven Central, once, and prints the folder they are in.
#
#   CLASSPATH="$(tests/kafka/fetch.sh)/*" java kafka.Kafka server.properties
#
# The folder appears by a rename, so it is either whole or not there, whoever else runs this.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/freshet
jars=$cache/kafka-3.9.1

if [ ! -d "$jars" ]; then
  command -v mvn >/dev/null || { echo "fetch.sh: maven is not installed" >&2; exit 1; }
  mkdir -p "$cache"
  aside=$(mktemp -d "$cache/kafka-3.9.1.XXXXXX")
  trap 'rm -rf "$aside"' EXIT
  chmod 755 "$aside"
  # To stderr: stdout is for the answer.
  mvn --batch-mode --quiet --file "$here/pom.xml" \
    dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$aside" >&2
  [ -e "$aside/kafka_2.13-3.9.1.jar" ] || { echo "fetch.sh: no kafka jar came" >&2; exit 1; }
  # -T: somebody else's finished folder must not swallow ours.
  mv -T "$aside" "$jars" 2>/dev/null || [ -d "$jars" ]
fi
echo "$jars"
