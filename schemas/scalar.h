/* SPDX-License-Identifier: GPL-2.0-or-later
 * One scalar of a manifest: strict YAML 1.2 text to a value by the row of its field, and back to
 * canonical text. The only place that knows how durations, rates and sizes are written.
 * Layer: schemas.
 */
#pragma once
#include "reconcile/base/arena.h"
#include "schemas/field.h"

struct sl_scalar {
    int64_t i;     /* bool, int, duration, rate, bytes, index of an enum */
    double d;      /* real */
    const char *s; /* string types: normalised, may point into the text given */
};
struct sl_scalar_err {
    const char *code;
    char message[240];
    char hint[240]; /* "" = none */
};

/* Types without a scalar (map, variant, strings, labels): STRINGS reads one element, the others
 * are refused. `plain` = written without quotes. `text` is NUL-terminated at len. */
int sl_scalar_read(const struct sl_field *field, const char *text, size_t len, bool plain,
                   struct sl_arena *arena, struct sl_scalar *ret,
                   struct sl_scalar_err *err) SL_MUST;
/* The value as text in base units (ms, bit/s), as libcyaml reads it; without quotes. */
void sl_scalar_base(const struct sl_field *field, const struct sl_scalar *value,
                    struct sl_buf *out);
/* The value of a leaf member as canonical YAML, strings quoted. */
void sl_scalar_print(const struct sl_field *field, const void *member, struct sl_buf *out);
/* A text in double quotes, safe in YAML and JSON. */
void sl_scalar_quote(const char *text, struct sl_buf *out);
/* The text made fit for a message: cut at 48 characters, control characters replaced. */
const char *sl_scalar_shown(const char *text, char buf[64]);
/* True when a plain scalar of this text is null, a bool or a number, not a string; `ret` says
 * which ("a number"). */
bool sl_scalar_not_string(const char *text, const char **ret);
bool sl_scalar_is_null(const char *text, size_t len, bool plain);
/* "a duration such as 90s", for messages. */
const char *sl_scalar_wanted(const struct sl_field *field);
