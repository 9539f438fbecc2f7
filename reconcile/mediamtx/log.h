/* SPDX-License-Identifier: GPL-2.0-or-later
 * MediaMTX's log file: why it ended, and keeping it short. Layer: mediamtx.
 */
#pragma once
#include "reconcile/mediamtx/supervise.h"

/* Code and text out of the end of the log written since `from`; status: as waitid gave it, or -1.
 */
void sl_mtx_log_reason(const char *path, int64_t from, struct sl_mtx_death *ret);
/* Over 16 MiB: the last 64 KiB stay. Safe under a writer with O_APPEND. True: it was cut. */
bool sl_mtx_log_cut(const char *path);
int64_t sl_mtx_log_size(const char *path);
