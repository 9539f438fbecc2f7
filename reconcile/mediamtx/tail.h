/* SPDX-License-Identifier: GPL-2.0-or-later
 * Follows MediaMTX's log for what the API does not tell: why a path's source fails. Small reads of
 * a local file, on the loop. Layer: mediamtx.
 */
#pragma once
#include "reconcile/base/base.h"

struct sl_mtx_tail;
struct sl_mtx_tail *sl_mtx_tail_new(const char *path); /* NULL: there is no log, all is empty */
void sl_mtx_tail_free(struct sl_mtx_tail *tail);
/* Reads what was written since; also after the log was cut in place. `now`: CLOCK_MONOTONIC. */
void sl_mtx_tail_read(struct sl_mtx_tail *tail, int64_t now);
void sl_mtx_tail_skip(struct sl_mtx_tail *tail); /* to the end: what is there was read before */
/* When the newest line about this path's source was read, and its text; 0: none. */
int64_t sl_mtx_tail_error(const struct sl_mtx_tail *tail, const char *name, char *ret, size_t size);
void sl_mtx_tail_clear(struct sl_mtx_tail *tail, const char *name); /* it is live */
