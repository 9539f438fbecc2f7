#!/bin/bash
# Runs cmocka programs in parallel; prints what failed in full and one closing line.
set -uo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
export CMOCKA_MESSAGE_OUTPUT=stdout
printf '%s\n' "$@" | xargs -P "$(nproc)" -I{} bash -c \
    'name=$(basename {}); timeout 120 {} >"$0/$name.out" 2>&1; echo $? >"$0/$name.rc"' "$dir"
passed=0 failed=0
for rc in "$dir"/*.rc; do
    out=${rc%.rc}.out
    ok=$(grep -c '^\[       OK \]' "$out")
    bad=$(sed -n 's/^\[  FAILED  \] \([0-9]*\) test(s), listed below.*/\1/p' "$out" | head -n 1)
    bad=${bad:-0}
    if [[ $(cat "$rc") != 0 ]]; then
        ((bad > 0)) || bad=1
        cat "$out"
    fi
    passed=$((passed + ok)) failed=$((failed + bad))
done
echo "unit: $passed passed, $failed failed"
((failed == 0 && passed > 0))
