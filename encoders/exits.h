/* SPDX-License-Identifier: GPL-2.0-or-later
 * What a parent knows of a dead encoder goes into its record: exit status or signal.
 * Used by host and keeper, whoever reaped. Layer: encoders.
 */
#pragma once
#include "schemas/record.h"

/* Finds the record by pid (uid: where to look first, or NULL), completes it and sends a notice. */
void sl_exits_write(const char *runtime, const char *uid, int pid, int wait_status);
