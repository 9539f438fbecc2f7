/* SPDX-License-Identifier: GPL-2.0-or-later
 * MediaMTX's two lists, path configurations and paths, as one list of what is. Layer: mediamtx.
 */
#pragma once
#include "reconcile/core/observed.h"
#include "reconcile/mediamtx/writer.h"

/* Sorted by name; the caller frees. `live` NULL: not known. */
size_t sl_mtx_merge(const struct sl_writer *writer, const struct sl_mtx_live *live,
                    struct sl_seen_path **ret);
/* Fills bitrate_in of `live`, read `ms` after `old`. */
void sl_mtx_bitrates(struct sl_mtx_live *live, const struct sl_mtx_live *old, int64_t ms);
