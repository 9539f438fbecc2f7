/* SPDX-License-Identifier: GPL-2.0-or-later
 * MediaMTX's two lists, path configurations and paths, and its log's source errors, as one list of
 * what is. Layer: mediamtx.
 */
#pragma once
#include "reconcile/core/observed.h"
#include "reconcile/mediamtx/tail.h"
#include "reconcile/mediamtx/writer.h"

/* Sorted by name; the caller frees. `live` NULL: not known. */
size_t sl_mtx_merge(const struct sl_writer *writer, const struct sl_mtx_live *live,
                    const struct sl_mtx_tail *tail, struct sl_seen_path **ret);
/* Fills bitrate_in and in_moved of `live`, read at `now`, `ms` after `old` (or NULL). */
void sl_mtx_compare(struct sl_mtx_live *live, const struct sl_mtx_live *old, int64_t now,
                    int64_t ms);
/* What is live has no source error. The log was read before `live` was asked for. */
void sl_mtx_clear_live(const struct sl_writer *writer, const struct sl_mtx_live *live,
                       struct sl_mtx_tail *tail);
