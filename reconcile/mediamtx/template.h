/* SPDX-License-Identifier: GPL-2.0-or-later
 * The operator's mediamtx.yml, read once: its lines, where the blocks lie that Sluice replaces,
 * and the few values that it must know. Refuses, with the line, what cannot work with Sluice
 * (docs/adr/0004). Owned by sl_mtx_file. Layer: mediamtx.
 */
#pragma once
#include "reconcile/base/buf.h"
#include "reconcile/base/err.h"

struct sl_mtx_span {
    int first, end; /* lines from 0, end exclusive; equal: not there */
};
struct sl_mtx_named { /* a path of the template's own */
    char *name;
    struct sl_mtx_span span;
};
struct sl_mtx_value {
    const char *key, *fallback, *gate; /* gate: the boolean key that turns it on, default yes */
    char *text;
    int line;
};

struct sl_mtx_template {
    char *name, *text;
    size_t *at; /* offset of each line, and one more: the end */
    int lines;
    struct sl_mtx_span paths, users, users_body;
    int paths_indent, users_indent;
    struct sl_mtx_named *named;
    size_t named_count;
    bool has_api;
    struct sl_mtx_value values[8];
    char *off[8]; /* gates that are off */
    int off_count;
};

/* `name` is for messages. Takes ownership of nothing. */
int sl_mtx_template_read(struct sl_mtx_template *ret, const char *name, const char *text,
                         size_t len, struct sl_err *err) SL_MUST;
void sl_mtx_template_clear(struct sl_mtx_template *template);
const struct sl_mtx_value *sl_mtx_template_value(const struct sl_mtx_template *template,
                                                 const char *key);
void sl_mtx_template_lines(const struct sl_mtx_template *template, int first, int end,
                           struct sl_buf *out);
