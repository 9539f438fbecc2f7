/* SPDX-License-Identifier: GPL-2.0-or-later
 * From the bytes of one file to checked objects: pass 1 on libyaml's tree (document.c, check.c:
 * every error of the file, with its place), pass 2 libcyaml into structs (load.c). What pass 1
 * accepts, libcyaml accepts (fuzzed). Objects and diagnostics live in the arena. Layer: schemas.
 */
#pragma once
#include "reconcile/base/diag.h"
#include "reconcile/base/err.h"
#include "schemas/manifest.h"

struct sl_loaded_object {
    struct sl_object *object;
    const char *file;
    int line;                   /* of the document's first key */
    struct sl_place name_place; /* of metadata.name's value */
    int name_width;
    const char *name_excerpt; /* its source line */
    char hash[80];            /* sl_spec_hash of the spec (stream: the effective spec) */
};

struct sl_loaded_file {
    const char *file;
    const char *sha256;               /* of the bytes, hex */
    struct sl_loaded_object *objects; /* only when diags.errors == 0 */
    size_t count;
    struct sl_diags diags;
};

/* Checks and loads one file's bytes. Never fails: what is wrong stands in ret->diags. An empty
 * file (or only comments) is one error, code EmptyFile. */
void sl_load_file(struct sl_arena *arena, const char *file, const char *bytes, size_t len,
                  struct sl_loaded_file *ret);

/* Checks across files (duplicate names, both places). Adds to the diags of the *later* file, in
 * path order; that file is then not accepted. `files` is sorted by path by the caller. */
void sl_check_tree(struct sl_loaded_file *files, size_t count);

/* The JSON Schema (draft-07) of all kinds, generated from the tables; the caller frees. */
char *sl_json_schema(void);
