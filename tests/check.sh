#!/bin/bash
# Every suite, in order of cost. Prints each suite's minutes and a summary; fails if any failed.
# CHECK_ONLY="lint unit" runs only the suites named.
set -uo pipefail
cd "$(dirname "$0")/.."
jobs=$(nproc)
python=${PYTHON:-/usr/bin/python3}
summary=() failed=0 began_all=$SECONDS

suite() {
    local name=$1 began=$SECONDS
    shift
    if [[ -n ${CHECK_ONLY:-} && " $CHECK_ONLY " != *" $name "* ]]; then
        return
    fi
    echo "=== $name"
    if "$@"; then
        summary+=("$name: ok, $(minutes $((SECONDS - began))) min")
    else
        summary+=("$name: FAILED, $(minutes $((SECONDS - began))) min")
        failed=1
    fi
}
minutes() { printf '%d.%02d' $(($1 / 60)) $(($1 % 60 * 100 / 60)); }

build() {
    make --no-print-directory -j"$jobs" all unit-bins build/release/sim &&
        make --no-print-directory -j"$jobs" VARIANT=asan all unit-bins &&
        make --no-print-directory mediamtx
}
unit() { make --no-print-directory unit VARIANT="$1"; }
simulate() { build/release/sim; }
mutants() { tests/sim/mutants.sh; }
corpora() { tests/fuzz/run.sh --replay; }
golden() { "$python" -m pytest -q tests/golden; }
e2e() { BUILD="build/$1" "$python" -m pytest -q -n "$jobs" tests/e2e "${@:2}"; }
media() { BUILD="build/$1" "$python" -m pytest -q -n "$jobs" tests/media; }
browser() { "$python" -m pytest -q tests/browser; }
chaos() { "$python" -m pytest -q tests/chaos --faults 8; }

suite build build
if ((failed)); then
    echo "the build failed: nothing else was tried"
    exit 1
fi
suite lint make --no-print-directory lint
suite unit unit release
suite unit-asan unit asan
suite golden golden
suite sim simulate
suite mutants mutants
suite corpora corpora
suite e2e e2e release
# The matrix runs 24 streams and their viewers at once: too much for two cores under a sanitizer.
suite e2e-asan e2e asan --deselect tests/e2e/test_matrix.py::test_every_cell
suite media media release
suite browser browser
suite chaos chaos

echo "=== summary ($(minutes $((SECONDS - began_all))) min in all)"
printf '%s\n' "${summary[@]}"
exit "$failed"
