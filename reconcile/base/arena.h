/* SPDX-License-Identifier: GPL-2.0-or-later
 * Memory that is freed all at once: one arena a snapshot, a pass, a document. Layer: base.
 * Never returns NULL: memory out aborts. Not thread-safe: one owner at a time.
 */
#pragma once
#include "reconcile/base/base.h"

struct sl_arena;
struct sl_arena *sl_arena_new(void);
void sl_arena_free(struct sl_arena *arena); /* NULL-safe */
void sl_arena_freep(struct sl_arena **arena);
void *sl_arena_alloc(struct sl_arena *arena, size_t size);    /* zeroed, 16-aligned */
char *sl_arena_strdup(struct sl_arena *arena, const char *s); /* NULL stays NULL */
char *sl_arena_strndup(struct sl_arena *arena, const char *s, size_t n);
char *sl_arena_printf(struct sl_arena *arena, const char *format, ...) SL_PRINTF(2, 3);
size_t sl_arena_used(const struct sl_arena *arena);
