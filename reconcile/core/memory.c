/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "reconcile/core/memory.h"

#include "schemas/field.h"

static void entry_free(struct sl_memory_entry *entry)
{
    if (entry) {
        sl_arena_free(entry->arena);
        free(entry);
    }
}

void sl_memory_free(struct sl_memory *memory)
{
    for (size_t i = 0; i < memory->count; i++) {
        entry_free(memory->list[i]);
    }
    free(memory->list);
    memset(memory, 0, sizeof(*memory));
}

/* Index of the name, or where it belongs. */
static size_t position(const struct sl_memory *memory, const char *name, bool *ret_found)
{
    size_t low = 0, high = memory->count;
    while (low < high) {
        size_t mid = (low + high) / 2;
        int order = strcmp(memory->list[mid]->accepted.name, name);
        if (order == 0) {
            *ret_found = true;
            return mid;
        }
        if (order < 0) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    *ret_found = false;
    return low;
}

struct sl_memory_entry *sl_memory_find(const struct sl_memory *memory, const char *name)
{
    bool found;
    size_t at = position(memory, name, &found);
    return found ? memory->list[at] : NULL;
}

bool sl_memory_has_file(const struct sl_memory *memory, const char *file)
{
    for (size_t i = 0; i < memory->count; i++) {
        if (sl_streq(memory->list[i]->accepted.file, file)) {
            return true;
        }
    }
    return false;
}

static void put(struct sl_memory *memory, struct sl_memory_entry *entry)
{
    bool found;
    size_t at = position(memory, entry->accepted.name, &found);
    if (found) {
        entry_free(memory->list[at]);
        memory->list[at] = entry;
        return;
    }
    if (memory->count == memory->cap) {
        memory->cap = memory->cap ? memory->cap * 2 : 64;
        memory->list = sl_realloc(memory->list, memory->cap * sizeof(memory->list[0]));
    }
    memmove(memory->list + at + 1, memory->list + at,
            (memory->count - at) * sizeof(memory->list[0]));
    memory->list[at] = entry;
    memory->count++;
}

static struct sl_memory_entry *make(const struct sl_loaded_object *loaded, const char *file_sha,
                                    const char *bytes, size_t len, uint64_t generation)
{
    struct sl_memory_entry *entry = sl_alloc(sizeof(*entry));
    struct sl_arena *arena = entry->arena = sl_arena_new();
    const struct sl_object *object =
        sl_table_copy(sl_table_of_kind(loaded->object->kind), loaded->object, arena);
    entry->file_sha = sl_arena_strdup(arena, file_sha);
    entry->bytes = sl_arena_strndup(arena, bytes, len);
    entry->len = len;
    entry->accepted = (struct sl_accepted){
        .name = object->metadata.name,
        .kind = loaded->object->kind,
        .file = sl_arena_strdup(arena, loaded->file),
        .line = loaded->line,
        .generation = generation,
        .hash = sl_arena_strdup(arena, loaded->hash),
        .object = object,
    };
    return entry;
}

bool sl_memory_restore(struct sl_memory *memory, const char *name, const char *file,
                       const char *file_sha, uint64_t generation, const char *bytes, size_t len)
{
    struct sl_arena *arena = sl_arena_new();
    struct sl_loaded_file loaded = {0};
    bool found = false;
    sl_load_file(arena, file, bytes, len, &loaded);
    for (size_t i = 0; i < loaded.count && loaded.diags.errors == 0 && !found; i++) {
        if (sl_streq(loaded.objects[i].object->metadata.name, name)) {
            put(memory, make(&loaded.objects[i], file_sha, bytes, len, generation));
            found = true;
        }
    }
    sl_arena_free(arena);
    return found;
}

static void accept_object(struct sl_memory *memory, const struct sl_memory_file *file,
                          const struct sl_loaded_object *loaded)
{
    struct sl_memory_entry *old = sl_memory_find(memory, loaded->object->metadata.name);
    bool same = old && old->accepted.kind == loaded->object->kind &&
                sl_streq(old->accepted.hash, loaded->hash);
    if (same && sl_streq(old->file_sha, file->loaded.sha256) &&
        sl_streq(old->accepted.file, loaded->file)) {
        old->accepted.absent = false;
        old->accepted.file_broken = false;
        old->accepted.in_doubt = false;
        return;
    }
    uint64_t generation = old ? old->accepted.generation + (same ? 0 : 1) : 1;
    struct sl_memory_entry *entry =
        make(loaded, file->loaded.sha256, file->bytes, file->len, generation);
    entry->dirty = true;
    put(memory, entry);
}

static bool in_a_name(const struct sl_memory_file *file, size_t at)
{
    static const char inside[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-/";
    return at < file->len && file->bytes[at] && strchr(inside, file->bytes[at]) != NULL;
}

/* As a whole word: "c" does not stand in "kind: Nothing". */
static bool holds_name(const struct sl_memory_file *file, const char *name)
{
    size_t len = strlen(name), at = 0;
    const char *found;
    while ((found = memmem(file->bytes + at, file->len - at, name, len))) {
        size_t begin = (size_t)(found - file->bytes);
        if ((begin == 0 || !in_a_name(file, begin - 1)) && !in_a_name(file, begin + len)) {
            return true;
        }
        at = begin + 1;
    }
    return false;
}

void sl_memory_accept(struct sl_memory *memory, const struct sl_memory_file *files, size_t count)
{
    for (size_t i = 0; i < memory->count; i++) {
        memory->list[i]->accepted.absent = true;
        memory->list[i]->accepted.file_broken = false;
        memory->list[i]->accepted.in_doubt = false;
    }
    for (size_t i = 0; i < count; i++) {
        const struct sl_loaded_file *loaded = &files[i].loaded;
        for (size_t j = 0; j < loaded->count && loaded->diags.errors == 0; j++) {
            accept_object(memory, &files[i], &loaded->objects[j]);
        }
    }
    for (size_t i = 0; i < count; i++) {
        if (files[i].loaded.diags.errors == 0) {
            continue;
        }
        bool known = sl_memory_has_file(memory, files[i].loaded.file);
        for (size_t j = 0; j < memory->count; j++) {
            struct sl_accepted *accepted = &memory->list[j]->accepted;
            if (accepted->absent && (sl_streq(accepted->file, files[i].loaded.file) ||
                                     (!known && holds_name(&files[i], accepted->name)))) {
                accepted->absent = false;
                accepted->file_broken = true;
                accepted->in_doubt = !sl_streq(accepted->file, files[i].loaded.file);
            }
        }
    }
    memory->valid = true;
}

void sl_memory_drop(struct sl_memory *memory, const char *name)
{
    bool found;
    size_t at = position(memory, name, &found);
    if (found) {
        entry_free(memory->list[at]);
        memory->count--;
        memmove(memory->list + at, memory->list + at + 1,
                (memory->count - at) * sizeof(memory->list[0]));
    }
}
