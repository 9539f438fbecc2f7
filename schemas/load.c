/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "schemas/load.h"

#include "reconcile/base/hash.h"
#include "schemas/check.h"
#include "schemas/document.h"
#include "schemas/field.h"
#include "schemas/fill.h"

static void load_object(struct sl_document *doc, const struct sl_table *table,
                        const struct sl_node *root, struct sl_arena *arena,
                        struct sl_loaded_object *ret)
{
    const struct sl_node *name = sl_node_find(root, "metadata.name", NULL);
    struct sl_err err;
    void *data;

    if (sl_fill(table, root, NULL, 0, arena, &data, &err) < 0) {
        sl_document_say(doc, SL_DIAG_ERROR, "E199", root, "", "please report this", "%s", err.text);
        return;
    }
    ret->object = data;
    ret->file = doc->file;
    ret->line = root->line;
    ret->name_place = (struct sl_place){doc->file, name->line, name->column};
    ret->name_width = name->width;
    ret->name_excerpt = sl_document_line(doc, name->line, arena);
    if (ret->object->stream)
        sl_spec_hash(&sl_table_stream_spec, ret->object->stream, ret->hash);
    else
        sl_spec_hash(&sl_table_config_spec, ret->object->config, ret->hash);
}

void sl_load_file(struct sl_arena *arena, const char *file, const char *bytes, size_t len,
                  struct sl_loaded_file *ret)
{
    SL_CLEAN(sl_arena_freep) struct sl_arena *scratch = sl_arena_new();
    struct sl_document doc = {.bytes = bytes, .len = len, .scratch = scratch};
    const struct sl_table **tables;
    char hex[SL_SHA_HEX];

    memset(ret, 0, sizeof(*ret));
    sl_sha256_hex(bytes, len, hex);
    ret->file = doc.file = sl_arena_strdup(arena, file);
    ret->sha256 = sl_arena_strdup(arena, hex);
    ret->diags.arena = arena;
    doc.diags = &ret->diags;
    sl_document_parse(&doc);
    if (doc.count == 0 && !doc.broken && ret->diags.errors == 0)
        sl_document_say(&doc, SL_DIAG_ERROR, "EmptyFile", NULL, "",
                        "delete the file to delete what it described",
                        "the file is empty: it holds no document");
    tables = sl_arena_alloc(scratch, (doc.count + 1) * sizeof(*tables));
    for (size_t i = 0; i < doc.count; i++) {
        tables[i] = sl_check_object(&doc, doc.roots[i]);
        if (tables[i])
            sl_check_rules(&doc, tables[i], doc.roots[i]);
    }
    if (ret->diags.errors == 0) {
        ret->objects = sl_arena_alloc(arena, doc.count * sizeof(*ret->objects));
        for (size_t i = 0; i < doc.count && ret->diags.errors == 0; i++)
            load_object(&doc, tables[i], doc.roots[i], arena, &ret->objects[i]);
        ret->count = doc.count;
    }
    if (ret->diags.errors) {
        ret->objects = NULL;
        ret->count = 0;
    }
    sl_document_sort(&ret->diags);
}

static size_t hash_name(const char *name)
{
    size_t hash = 5381;

    while (*name)
        hash = hash * 33 + (unsigned char)*name++;
    return hash;
}

static void duplicate(struct sl_loaded_file *file, const struct sl_loaded_object *later,
                      const struct sl_loaded_object *earlier)
{
    struct sl_diag *diag =
        sl_diags_add(&file->diags, SL_DIAG_ERROR, "DuplicateName", later->name_place,
                     "metadata.name", "the name '%s' is taken", later->object->metadata.name);

    diag->width = later->name_width;
    diag->excerpt = later->name_excerpt;
    diag->other = earlier->name_place;
    diag->hint = "names are unique in the whole tree, over all kinds; rename one of the two";
}

void sl_check_tree(struct sl_loaded_file *files, size_t count)
{
    size_t objects = 0, size = 16;
    const struct sl_loaded_object **slots;

    for (size_t i = 0; i < count; i++)
        objects += files[i].count;
    while (size < objects * 2)
        size *= 2;
    slots = sl_alloc(size * sizeof(*slots));
    for (size_t i = 0; i < count; i++) {
        bool found = false;

        for (size_t k = 0; k < files[i].count; k++) {
            const struct sl_loaded_object *o = &files[i].objects[k];
            size_t at = hash_name(o->object->metadata.name) & (size - 1);

            while (slots[at] &&
                   !sl_streq(slots[at]->object->metadata.name, o->object->metadata.name))
                at = (at + 1) & (size - 1);
            if (slots[at]) {
                duplicate(&files[i], o, slots[at]);
                found = true;
            } else {
                slots[at] = o;
            }
        }
        if (found)
            sl_document_sort(&files[i].diags);
    }
    free(slots);
}
