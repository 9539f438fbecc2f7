#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Plants each bug of tests/sim/mutants in a copy of reconcile/core, rebuilds, and demands that the
# simulated world or the unit tests of core find it. Closing line: "N passed, N failed".
set -euo pipefail
cd "$(dirname "$0")/../.."
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cc=${CC:-gcc}
flags=(-std=gnu11 -D_GNU_SOURCE -O1 -g0 -w)
libs=$(pkg-config --libs jansson nettle libcyaml yaml-0.1)
jobs=$(nproc)
units=$(basename -s .c tests/unit/test_core_*.c | sed 's/^test_core_//')

compile() { # FROM-DIR OUT-DIR FILE...: objects of all files, sources seen from FROM-DIR
    local from=$1 out=$2
    shift 2
    mkdir -p "$out"
    (cd "$from" && printf '%s\n' "$@" |
        xargs -P "$jobs" -I{} sh -c 'o=$(echo {} | tr / _); exec "$@" -I. -c {} -o "$0/$o.o"' \
            "$out" "$cc" "${flags[@]}")
}

build() { # DIR: core, sim and unit tests of the tree DIR
    local dir=$1 test
    compile "$dir" "$dir/o/core" $(cd "$dir" && ls reconcile/core/*.c)
    compile "$dir" "$dir/o/sim" $(cd "$dir" && ls tests/sim/*.c)
    compile "$dir" "$dir/o/unit" $(cd "$dir" && ls tests/unit/test_core_*.c)
    rm -f "$dir/core.a"
    ar rc "$dir/core.a" "$dir"/o/core/*.o
    # shellcheck disable=SC2086
    "$cc" "$dir"/o/sim/*.o "$dir/core.a" "$tmp/lib.a" $libs -lm -o "$dir/sim"
    for test in $units; do
        # shellcheck disable=SC2086
        "$cc" "$dir/o/unit/tests_unit_test_core_$test.c.o" "$dir/core.a" "$tmp/lib.a" $libs -lcmocka \
            -lm -o "$dir/test_$test"
    done
}

finds() { # DIR: says who finds a bug; fails when nobody does
    local dir=$1
    # below 500 histories cells that were never visited are no finding
    timeout 300 "$dir/sim" --count 499 --jobs "$jobs" >"$dir/sim.out" 2>&1 || echo "sim: $(
        grep -m1 '^seed\|^cell' "$dir/sim.out" || echo crash)"
    for test in $units; do
        timeout 60 "$dir/test_$test" >"$dir/$test.out" 2>&1 || echo "unit: $(
            grep -o 'FAILED  \] [a-z_0-9]\{3,\}$' "$dir/$test.out" | head -1 | cut -c11-)"
    done
}

compile "$PWD" "$tmp/lib" reconcile/base/*.c schemas/*.c
ar rc "$tmp/lib.a" "$tmp"/lib/*.o
tree=$tmp/tree
mkdir -p "$tree/reconcile" "$tree/tests"
cp -r reconcile/core reconcile/base "$tree/reconcile/"
cp -r tests/sim tests/unit "$tree/tests/"
cp -r schemas "$tree/"
build "$tree"
found=$(finds "$tree")
if [[ -n $found ]]; then
    echo "the code as it is fails: $found"
    echo "0 passed, 1 failed"
    exit 1
fi
passed=0 failed=0
for patch in tests/sim/mutants/*.patch; do
    name=$(basename "$patch" .patch)
    rm -rf "$tree/reconcile/core"
    cp -r reconcile/core "$tree/reconcile/"
    if ! patch -s -d "$tree" -p1 <"$patch" || ! build "$tree"; then
        echo "$name: does not apply or build any more"
        failed=$((failed + 1))
        continue
    fi
    found=$(finds "$tree" | paste -sd'|' | sed 's/|/ | /g')
    if [[ -n $found ]]; then
        echo "$name: found by $found"
        passed=$((passed + 1))
    else
        echo "$name: NOT FOUND: $(head -1 "$patch")"
        failed=$((failed + 1))
    fi
done
echo "$passed passed, $failed failed"
((failed == 0))
