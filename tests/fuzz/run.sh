#!/bin/bash
# Fuzzes every target for FUZZ_SECONDS (600), or replays the committed corpora once (--replay).
set -euo pipefail
cd "$(dirname "$0")/../.."
targets=$(cd tests/fuzz && ls fuzz_*.c | sed 's/\.c$//')
# shellcheck disable=SC2086
make --no-print-directory -j"$(nproc)" VARIANT=fuzz $(printf 'build/fuzz/fuzz/%s ' $targets)
passed=0 failed=0
for target in $targets; do
    corpus=tests/fuzz/corpus/${target#fuzz_}
    mkdir -p "$corpus" build/fuzz/found
    if [[ ${1:-} == --replay ]]; then
        arguments=(-runs=0 "$corpus")
    else
        arguments=(-max_total_time="${FUZZ_SECONDS:-600}" -rss_limit_mb=2048
            -artifact_prefix=build/fuzz/found/ build/fuzz/found "$corpus")
    fi
    if "build/fuzz/fuzz/$target" "${arguments[@]}" >"build/fuzz/$target.log" 2>&1; then
        passed=$((passed + 1))
    else
        tail -n 40 "build/fuzz/$target.log"
        failed=$((failed + 1))
    fi
done
echo "$passed passed, $failed failed"
((failed == 0))
