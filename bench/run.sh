#!/bin/sh
# bench/run.sh WORK [--json] [options of the work]      WORK: topn foldin als lists sgd ingest line growth quality
#
# Measures one piece of work against its peers in one run, alternating, CPU time, median and spread. Builds what it needs in
# build-bench/ and installs the peers from PyPI into an environment of its own; neither building nor testing freshet needs it.
set -eu
cd "$(dirname "$0")/.."
work=${1:-}
if [ -z "$work" ] || [ ! -f "bench/$work.py" ]; then
    echo "usage: bench/run.sh WORK [--json]   WORK: topn foldin als lists sgd ingest line growth quality" >&2
    exit 64
fi
shift

environment=${XDG_CACHE_HOME:-$HOME/.cache}/freshet/bench
if ! cmp -s bench/requirements.txt "$environment/installed"; then
    echo "installing the peers into $environment" >&2
    rm -rf "$environment"
    python3 -m venv "$environment"
    "$environment/bin/pip" install --quiet --disable-pip-version-check -r bench/requirements.txt >&2
    cp bench/requirements.txt "$environment/installed"
fi
{
    cmake -G Ninja -S . -B build-bench -DCMAKE_BUILD_TYPE=Release -DFRESHET_BENCH=ON
    cmake --build build-bench
} > build-bench.log 2>&1 || {
    cat build-bench.log >&2
    exit 70
}
rm -f build-bench.log
# The peers' own thread pools stay out of the comparison unless a work asks for threads.
OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 exec "$environment/bin/python" "bench/$work.py" "$@"
