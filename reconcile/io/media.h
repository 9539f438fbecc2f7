/* SPDX-License-Identifier: GPL-2.0-or-later
 * Media files as seen by stat: are they there, are they whole, which file are they (decisions of
 * completeness: unchanged for 2 s; a file renamed in has an old mtime already). Keeps when each was
 * first seen as it is. On the loop: one stat a call. Layer: io.
 */
#pragma once
#include "reconcile/core/desired.h"

struct sl_media;
struct sl_media *sl_media_new(void);
void sl_media_free(struct sl_media *media);
/* mono, wall: the pass's time. *ret_wake (CLOCK_MONOTONIC ms) is lowered to when a file that is
 * still growing, or is not there, should be looked at again. */
struct sl_media_seen sl_media_look(struct sl_media *media, const char *path, int64_t mono,
                                   int64_t wall, int64_t *ret_wake);
/* Forgets files that were not looked at since the last call. */
void sl_media_sweep(struct sl_media *media);
