/* SPDX-License-Identifier: GPL-2.0-or-later
 * Small whole files: read with a limit, replace by temporary + rename. Layer: base (does I/O).
 */
#pragma once
#include "reconcile/base/err.h"

#define SL_FILE_SYNC 1 /* fsync file and directory: survives power loss */

int sl_file_read(int dirfd, const char *path, size_t max, char **ret_data, size_t *ret_len,
                 struct sl_err *err) SL_MUST; /* NUL added behind; EFBIG over max */
int sl_file_replace(int dirfd, const char *path, const void *data, size_t len, unsigned mode,
                    int flags, struct sl_err *err) SL_MUST;
int sl_mkdir_p(const char *path, unsigned mode, struct sl_err *err) SL_MUST;
/* Removes a directory and what lies directly in it (no recursion); missing is fine. */
int sl_rmdir_flat(int dirfd, const char *path, struct sl_err *err) SL_MUST;
/* Start time of a process in clock ticks since boot (/proc/PID/stat field 22); 0: no such. */
uint64_t sl_proc_start(int pid);
/* /proc/sys/kernel/random/boot_id, 36 characters; kept after the first call. */
const char *sl_boot_id(void);
