/* SPDX-License-Identifier: GPL-2.0-or-later
 * Pass 2: a checked tree, its defaults written out, through libcyaml into structs. The libcyaml
 * schema is built from the tables at run time and kept. Layer: schemas.
 */
#pragma once
#include "reconcile/base/err.h"
#include "schemas/check.h"

/* Values from elsewhere (environment, flags) that win over the tree. */
struct sl_override {
    const char *path, *value; /* value as YAML text of a scalar; strings joined by ':' for lists */
};

/* The struct of `table`, in the arena. `root` NULL: defaults only. -1: libcyaml refuses what the
 * check took, a bug. */
int sl_fill(const struct sl_table *table, const struct sl_node *root,
            const struct sl_override *overrides, size_t noverrides, struct sl_arena *arena,
            void **ret, struct sl_err *err) SL_MUST;
