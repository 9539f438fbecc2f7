/* SPDX-License-Identifier: GPL-2.0-or-later
 * Diagnostics: what is wrong with a manifest, where, and how to mend it. Layer: base.
 * A list is owned by the arena it was made with; texts live as long as that arena.
 */
#pragma once
#include "reconcile/base/arena.h"
#include "reconcile/base/buf.h"

enum sl_severity { SL_DIAG_ERROR, SL_DIAG_WARNING, SL_SEVERITY_COUNT };

struct sl_place {
    const char *file; /* relative to the manifest root, or as given */
    int line, column; /* from 1, characters; 0 = unknown */
};

struct sl_diag {
    enum sl_severity severity;
    const char *code; /* "E102" */
    struct sl_place place;
    int width;             /* characters under the caret, at least 1 */
    const char *path;      /* field path: spec.source.file.path; "" for the whole file */
    const char *message;   /* one sentence without the place */
    const char *hint;      /* how to fix it, or NULL */
    const char *excerpt;   /* the source line, or NULL */
    struct sl_place other; /* second place of an error across files; file NULL = none */
};

struct sl_diags {
    struct sl_arena *arena;
    struct sl_diag *list;
    size_t count, cap, errors; /* errors: how many are SL_DIAG_ERROR */
};

struct sl_diag *sl_diags_add(struct sl_diags *diags, enum sl_severity severity, const char *code,
                             struct sl_place place, const char *path, const char *format, ...)
    SL_PRINTF(6, 7);
/* rustc-like text: file:line:column, code, message, source line, caret, hint. */
void sl_diag_print(const struct sl_diag *diag, bool colour, struct sl_buf *out);
