#!/bin/bash
# A new manifest field is one member and one row: adds a dummy to a copy of the sources, compiles
# the schemas, and sees it in check, load, copy, equal, diff, print, hash and JSON Schema.
set -euo pipefail
cd "$(dirname "$0")/../.."
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
mkdir -p "$copy/reconcile"
cp -r schemas "$copy/"
cp -r reconcile/base "$copy/reconcile/"
cp tests/lint/dummy_field.c "$copy/"
sed -i '/^struct sl_stream_spec {/a\    int64_t dummy_delay;' "$copy/schemas/manifest.h"
sed -i '/^static const struct sl_field stream_spec_rows\[\] = {/a\    {"dummyDelay", SL_T_DURATION, SL_IMPACT_HOT, AT(sl_stream_spec, dummy_delay), .def = "5s", .min = 1000, .max = 60000, .doc = "a dummy"},' \
    "$copy/schemas/fields.c"
cd "$copy"
sources=$(ls schemas/*.c reconcile/base/*.c)
# shellcheck disable=SC2086
gcc -std=gnu11 -D_GNU_SOURCE -O0 -g -Wall -Wextra -Werror -I. dummy_field.c $sources -o dummy_field \
    $(pkg-config --cflags --libs libcyaml yaml-0.1 jansson nettle) -lpthread
./dummy_field
