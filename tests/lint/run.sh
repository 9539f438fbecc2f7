#!/bin/bash
# Format, layers, purity of core, file sizes, stale generated files, the dummy field.
set -uo pipefail
cd "$(dirname "$0")/../.."
build=$1
passed=0 failed=0
step() {
    local name=$1 out
    shift
    if out=$("$@" 2>&1); then
        passed=$((passed + 1))
    else
        printf 'lint: %s\n%s\n' "$name" "$out"
        failed=$((failed + 1))
    fi
}

format() { git ls-files -co --exclude-standard '*.[ch]' | xargs clang-format --dry-run --Werror; }

# Who may include whom: base < schemas < core < io, mediamtx, fleet, web < cmd/sluice; encoders and
# cmd/sluice-encoder use base and schemas only.
layers() {
    local bad=0 allowed
    while IFS=: read -r file include; do
        case $file in
        reconcile/base/*) allowed='reconcile/base/' ;;
        schemas/*) allowed='reconcile/base/|schemas/' ;;
        reconcile/core/*) allowed='reconcile/base/|schemas/|reconcile/core/' ;;
        reconcile/io/*) allowed='reconcile/base/|schemas/|reconcile/core/|reconcile/io/' ;;
        reconcile/mediamtx/*) allowed='reconcile/(base|core|io|mediamtx)/|schemas/' ;;
        reconcile/fleet/*) allowed='reconcile/(base|core|io|fleet)/|schemas/' ;;
        reconcile/web/*) allowed='reconcile/(base|core|io|web)/|schemas/' ;;
        cmd/sluice/*) allowed='reconcile/|schemas/|cmd/sluice/' ;;
        encoders/*) allowed='reconcile/base/|schemas/|encoders/' ;;
        cmd/sluice-encoder/*) allowed='reconcile/base/|schemas/|encoders/|cmd/sluice-encoder/' ;;
        *) continue ;;
        esac
        if ! [[ $include =~ ^($allowed) ]]; then
            echo "$file must not include $include"
            bad=1
        fi
    done < <(git ls-files -co --exclude-standard 'cmd/*.[ch]' 'reconcile/*.[ch]' 'encoders/*.[ch]' 'schemas/*.[ch]' |
        xargs grep -HoP '^#include "\K[^"]+')
    return $bad
}

# Core has no I/O, no clock, no fork, no log: only these names may be undefined in its objects.
pure() {
    local bad
    bad=$(nm -u "$build"/reconcile/core/*.o | awk '$1 == "U" {print $2}' | sort -u |
        grep -vE '^(sl_|mem|str|__str|__mem|snprintf|vsnprintf|__snprintf_chk|__vsnprintf_chk|qsort|bsearch|free|__stack_chk_fail|_GLOBAL_OFFSET_TABLE_|__ctype_b_loc|__isoc99_|__asan|__ubsan|__tsan|__gcov|abort)' || true)
    bad+=$(nm -u "$build"/reconcile/core/*.o | awk '$1 == "U" {print $2}' |
        grep -E '^sl_(now|log|file|mkdir|rmdir|proc|boot)' || true)
    if [[ -n $bad ]]; then
        echo "reconcile/core must not use: $bad"
        return 1
    fi
}

sizes() {
    git ls-files -co --exclude-standard 'cmd/*.[ch]' 'reconcile/*.[ch]' 'encoders/*.[ch]' 'schemas/*.[ch]' | xargs wc -l |
        awk '$2 != "total" && $1 > 600 {print $2 " has " $1 " lines: two nouns in one file?"; bad = 1} END {exit bad}'
}

stale() { diff -u schemas/sluice-v1.schema.json <("$build"/sluice schema); }

step "clang-format (make format mends it)" format
step layers layers
step "core is pure" pure
step "file sizes" sizes
step "schemas/sluice-v1.schema.json is stale (make generated)" stale
for script in tests/lint/check_*.sh; do
    [[ -e $script ]] && step "$(basename "$script")" "$script"
done
echo "lint: $passed passed, $failed failed"
((failed == 0))
