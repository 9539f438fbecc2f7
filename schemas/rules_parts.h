/* SPDX-License-Identifier: GPL-2.0-or-later
 * Between the files rules*.c only: what they read a document by. Layer: schemas.
 */
#pragma once
#include "schemas/check.h"
#include "schemas/scalar.h"

struct rules {
    struct sl_document *doc;
    const struct sl_node *root;
    const struct sl_table *table;
};

/* A field that is written in the document, read by its row. */
struct given {
    const struct sl_node *key, *node; /* node NULL: not given, or wrong (said before) */
    struct sl_scalar value;
    const char *path;
};

struct given sl_rules_given(const struct rules *rules, const char *path);
/* The source's rules beside those of its rows (rules_source.c). */
void sl_rules_source(const struct rules *rules);

#define RULE(r, severity, code, g, hint, ...)                                                      \
    sl_document_say((r)->doc, severity, code, (g)->key, (g)->path, hint, __VA_ARGS__)
