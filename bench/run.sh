#!/bin/sh
# bench/run.sh WORK [--json] [options of the work: --help]      WORK: topn foldin als lists sgd ingest line growth quality scrape
#
# Measures one piece of work against its peers in one run, alternating, CPU time, median and spread; growth draws plots,
# quality judges lists. Builds what it needs in build-bench/ and installs the peers from PyPI into an environment of its own;
# neither building nor testing freshet needs it.
set -eu
cd "$(dirname "$0")/.."
works="topn foldin als lists sgd ingest line growth quality scrape"
work=${1:-}
case " $works " in
*" ${work:-none} "*) shift ;;
*)
    echo "usage: bench/run.sh WORK [--json]   WORK: $works" >&2
    exit 64
    ;;
esac

environment=${XDG_CACHE_HOME:-$HOME/.cache}/freshet/bench
if ! cmp -s bench/requirements.txt "$environment/installed"; then
    echo "installing the peers into $environment" >&2
    rm -rf "$environment"
    python3 -m venv "$environment"
    "$environment/bin/pip" install --quiet --disable-pip-version-check -r bench/requirements.txt >&2
    cp bench/requirements.txt "$environment/installed"
fi
targets=freshet
if [ -f "bench/$work.c" ]; then
    targets="$targets $work-driver"
fi
mkdir -p build-bench
{
    cmake -G Ninja -S . -B build-bench -DCMAKE_BUILD_TYPE=Release -DFRESHET_BENCH=ON
    # shellcheck disable=SC2086
    cmake --build build-bench --target $targets
} > build-bench/log 2>&1 || {
    cat build-bench/log >&2
    exit 70
}
# The peers' own thread pools stay out of the comparison unless a work asks for threads.
OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 exec "$environment/bin/python" "bench/$work.py" "$@"
