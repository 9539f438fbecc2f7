/* SPDX-License-Identifier: GPL-2.0-or-later
 * The memory of accepted objects: the last known good of every stream, a file's errors never touch
 * it (contract C3). Takes over each valid snapshot; says what must be saved. Each entry owns the
 * arena of its object. Kept by the daemon for its life, restored from state at start. Layer: core.
 */
#pragma once
#include "reconcile/core/desired.h"
#include "schemas/load.h"

struct sl_memory_entry {
    struct sl_arena *arena; /* of accepted.* */
    struct sl_accepted accepted;
    const char *file_sha, *bytes; /* the whole file it came from */
    size_t len;
    bool dirty; /* to be saved */
};
struct sl_memory {
    struct sl_memory_entry **list; /* sorted by name; entries stay where they are */
    size_t count, cap;
    bool valid; /* a valid snapshot was taken over since the daemon's start */
};
/* One file of a snapshot: what was loaded of it and its bytes. */
struct sl_memory_file {
    struct sl_loaded_file loaded;
    const char *bytes;
    size_t len;
};

void sl_memory_free(struct sl_memory *memory);
struct sl_memory_entry *sl_memory_find(const struct sl_memory *memory, const char *name);
/* True: this file already holds accepted objects. Such files go first where two files name one
 * stream, so that the newcomer is refused and the running stream is left alone. */
bool sl_memory_has_file(const struct sl_memory *memory, const char *file);
/* Restores one saved object; false: its file does not load any more. */
bool sl_memory_restore(struct sl_memory *memory, const char *name, const char *file,
                       const char *file_sha, uint64_t generation, const char *bytes, size_t len);
/* Takes a valid snapshot over. Objects that it lacks become absent, except those whose file has
 * errors now, or whose name stands in a file with errors that is new (moved and broken at once). */
void sl_memory_accept(struct sl_memory *memory, const struct sl_memory_file *files, size_t count);
void sl_memory_drop(struct sl_memory *memory, const char *name);
