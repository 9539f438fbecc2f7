/* SPDX-License-Identifier: GPL-2.0-or-later
 * The YAML of one file as trees with positions, built from libyaml's events under limits: size,
 * depth, nodes (aliases expanded), anchors, documents. Not libyaml's own document: its loader is
 * quadratic in anchors and takes cyclic aliases. Trees live in `scratch`, diagnostics in their
 * own arena. Layer: schemas. Never does I/O.
 */
#pragma once
#include "reconcile/base/diag.h"

#define SL_DOC_BYTES_MAX  (1024 * 1024)
#define SL_DOC_DEPTH_MAX  32
#define SL_DOC_NODES_MAX  10000
#define SL_DOC_COUNT_MAX  256
#define SL_DOC_ANCHOR_MAX 64
#define SL_DOC_KEYS_MAX   256
#define SL_DOC_DIAGS_MAX  100

enum sl_node_kind { SL_NODE_SCALAR, SL_NODE_MAP, SL_NODE_SEQ, SL_NODE_KIND_COUNT };

struct sl_node {
    enum sl_node_kind kind;
    bool plain;       /* scalar written without quotes */
    int line, column; /* from 1, characters */
    int width;        /* characters on its first line, at least 1 */
    const char *text; /* scalar, NUL-terminated at len */
    size_t len;
    struct sl_node *first; /* children; of a map: key, value, key, value … */
    struct sl_node *last, *next;
    const struct sl_node *target; /* an alias: what it stands for (never an alias itself) */
};

struct sl_document {
    const char *file, *bytes;
    size_t len;
    struct sl_arena *scratch;
    struct sl_diags *diags;
    struct sl_node **roots; /* documents that hold something */
    size_t count;
    bool broken;        /* YAML or a limit: later documents are unknown */
    bool full;          /* too many diagnostics, the rest is dropped */
    const char **lines; /* start of each line, made at the first excerpt */
    size_t lines_count;
};

/* Parses all documents; what is wrong stands in diags. */
void sl_document_parse(struct sl_document *doc);
/* A diagnostic at a node; hint NULL or "" = none, copied. */
SL_PRINTF(7, 8)
void sl_document_say(struct sl_document *doc, enum sl_severity severity, const char *code,
                     const struct sl_node *node, const char *path, const char *hint,
                     const char *format, ...);
/* By line and column. */
void sl_document_sort(struct sl_diags *diags);
/* The source line (from 1) in the arena, tabs as arrows, cut when long; NULL when there is none. */
const char *sl_document_line(struct sl_document *doc, int line, struct sl_arena *arena);
/* Value of a key, aliases followed; NULL when absent. `ret_key` may be NULL. */
const struct sl_node *sl_node_get(const struct sl_node *map, const char *key,
                                  const struct sl_node **ret_key);
/* The same along a dotted path. */
const struct sl_node *sl_node_find(const struct sl_node *map, const char *dotted,
                                   const struct sl_node **ret_key);
static inline const struct sl_node *sl_node_real(const struct sl_node *node)
{
    return node && node->target ? node->target : node;
}

/* What libyaml says, for humans (syntax.c): message and hint; the place may move to the cause. */
struct sl_syntax {
    char message[240], hint[240];
    int line, column;
};
struct yaml_parser_s;
void sl_syntax_explain(const struct yaml_parser_s *parser, const char *bytes, size_t len,
                       struct sl_syntax *ret);
