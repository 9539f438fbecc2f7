/* SPDX-License-Identifier: GPL-2.0-or-later
 * Pass 1: a tree of YAML against a table (check.c) and the rules across fields (rules.c). All
 * errors at once, each at its place. Layer: schemas.
 */
#pragma once
#include "schemas/document.h"
#include "schemas/field.h"

/* One mapping against a table. `owner` is the key it belongs to (NULL: a whole document), `path`
 * what stands in front of the field paths, `whole` the table of the whole document, searched for
 * keys that stand in the wrong place. */
void sl_check_table(struct sl_document *doc, const struct sl_table *table,
                    const struct sl_node *node, const struct sl_node *owner, const char *path,
                    const struct sl_table *whole);
/* One document of a manifest: apiVersion and kind choose the table, which is returned, or NULL
 * when they do not (said). */
const struct sl_table *sl_check_object(struct sl_document *doc, const struct sl_node *root);
/* Rules across fields and names; only where the fields themselves were fine. */
void sl_check_rules(struct sl_document *doc, const struct sl_table *table,
                    const struct sl_node *root);
/* The arm that an absent one-of takes. `parent` is the table that holds the row, `node` its
 * mapping (may be NULL). */
const char *sl_default_arm(const struct sl_table *parent, const struct sl_field *row,
                           const struct sl_node *node);
