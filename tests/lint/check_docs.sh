#!/bin/bash
# What docs/architecture.md and docs/hacking.md name in backticks exists: paths of the tree (from its
# root, from reconcile/, or beside another path of the same line) and sl_ functions, structs, macros.
set -uo pipefail
rooms='cmd|reconcile|encoders|schemas|examples|deploy|tests|docs|base|core|io|mediamtx|fleet|web'
cd "$(dirname "$0")/../.."
files=$(git ls-files -co --exclude-standard)
bad=0

exists() { # PATH, SIBLING DIRECTORIES…: globs are allowed
    local path=$1 dir
    shift
    for dir in "" reconcile/ "$@"; do
        compgen -G "$dir$path" >/dev/null && return 0
    done
    return 1
}

for page in docs/architecture.md docs/hacking.md; do
    number=0
    while IFS= read -r line; do
        number=$((number + 1))
        dirs=()
        while IFS= read -r word; do
            word=${word%%:[0-9]*}
            [[ $word =~ NAME|NOUN ]] && continue # stands for any
            if [[ $word =~ ^[A-Za-z0-9_.*-]+(/[A-Za-z0-9_.*-]+)*/?$ ]] &&
                [[ $word =~ ^($rooms)/ || $word =~ \.(c|h|sh|py|md)$ ]]; then
                exists "$word" "${dirs[@]}" || {
                    echo "$page:$number: $word does not exist"
                    bad=1
                }
                [[ $word == */* ]] && dirs+=("${word%/*}/" "reconcile/${word%/*}/")
            elif [[ $word =~ ^(struct\ |enum\ )?(SL|sl)_[A-Za-z0-9_]+ ]]; then
                name=${BASH_REMATCH[0]##* }
                grep -qwF -- "$name" $(grep -E '^(cmd|reconcile|encoders|schemas)/.*\.[ch]$' <<<"$files") || {
                    echo "$page:$number: $name is not in the sources"
                    bad=1
                }
            fi
        done < <(grep -oP '`\K[^`]+(?=`)' <<<"$line")
    done <"$page"
done
exit "$bad"
