/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "reconcile/base/arena.h"

#include <stdarg.h>

#define BLOCK_MIN 4096
#define BLOCK_MAX (256 * 1024)

struct block {
    struct block *next;
    size_t size, used;
    _Alignas(16) unsigned char data[];
};

struct sl_arena {
    struct block *blocks;
    size_t used;
};

struct sl_arena *sl_arena_new(void)
{
    return sl_alloc(sizeof(struct sl_arena));
}

void sl_arena_free(struct sl_arena *arena)
{
    if (!arena) {
        return;
    }
    for (struct block *b = arena->blocks, *next; b; b = next) {
        next = b->next;
        free(b);
    }
    free(arena);
}

void sl_arena_freep(struct sl_arena **arena)
{
    sl_arena_free(*arena);
    *arena = NULL;
}

void *sl_arena_alloc(struct sl_arena *arena, size_t size)
{
    size = (size + 15) & ~(size_t)15;
    struct block *b = arena->blocks;
    if (!b || b->size - b->used < size) {
        size_t room = b ? b->size * 2 : BLOCK_MIN;
        if (room > BLOCK_MAX) {
            room = BLOCK_MAX;
        }
        if (room < size) {
            room = size;
        }
        b = sl_alloc(sizeof(*b) + room);
        b->size = room;
        b->next = arena->blocks;
        arena->blocks = b;
    }
    void *p = b->data + b->used;
    b->used += size;
    arena->used += size;
    return p;
}

char *sl_arena_strndup(struct sl_arena *arena, const char *s, size_t n)
{
    if (!s) {
        return NULL;
    }
    size_t len = strnlen(s, n);
    char *copy = sl_arena_alloc(arena, len + 1);
    memcpy(copy, s, len);
    return copy;
}

char *sl_arena_strdup(struct sl_arena *arena, const char *s)
{
    return s ? sl_arena_strndup(arena, s, strlen(s)) : NULL;
}

char *sl_arena_printf(struct sl_arena *arena, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *text = sl_arena_alloc(arena, len < 0 ? 1 : (size_t)len + 1);
    if (len > 0) {
        vsnprintf(text, (size_t)len + 1, format, again);
    }
    va_end(again);
    return text;
}

size_t sl_arena_used(const struct sl_arena *arena)
{
    return arena->used;
}
