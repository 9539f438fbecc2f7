/* SPDX-License-Identifier: GPL-2.0-or-later
 * What every room shares: attributes, cleanup helpers and the includes of the leaf layer.
 * Layer: base. Never does I/O except where a function's name says so.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SL_MUST         __attribute__((warn_unused_result))
#define SL_PRINTF(f, a) __attribute__((format(printf, f, a)))
#define SL_COUNT(a)     (sizeof(a) / sizeof((a)[0]))
#define SL_CLEAN(f)     __attribute__((cleanup(f)))

static inline void sl_freep(void *p)
{
    free(*(void **)p);
}
static inline bool sl_streq(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}
void sl_closep(int *fd); /* closes *fd when it is >= 0; keeps errno */
#define sl_autofree SL_CLEAN(sl_freep)
#define sl_autofd   SL_CLEAN(sl_closep)

/* Allocation that aborts when memory is out: encoders live on, the daemon is started again. */
void *sl_alloc(size_t size); /* zeroed */
void *sl_realloc(void *old, size_t size);
char *sl_strdup(const char *s); /* NULL stays NULL */
char *sl_asprintf(const char *format, ...) SL_PRINTF(1, 2);
