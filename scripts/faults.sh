#!/usr/bin/env bash
# The fault campaign (docs/OPERATING.md): everything that can fail, under load, and an oracle after it.
#   scripts/faults.sh [--short] [--row N] [--case NAME] [--seed N] [--seeds COUNT] [--list]
#   scripts/faults.sh --soak MINUTES
# Builds the preset `faults` (release with failpoints), unless FRESHET_BIN names a binary.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$top"

need_packages scripts/packages-build.txt scripts/packages-test.txt
if [ -z "${FRESHET_BIN:-}" ]; then
    say "building"
    cmake --preset faults >/dev/null
    cmake --build --preset faults -j "$(jobs_count)" --target freshet badio | tail -n 3
    export FRESHET_BIN=$top/build-faults/freshet
fi
exec /usr/bin/python3 tests/faults/campaign.py "$@"
