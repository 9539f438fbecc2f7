/* SPDX-License-Identifier: GPL-2.0-or-later
 * What this machine has left: CPU, memory, room on the disks. The disks are asked on a worker (one
 * may be a network mount that hangs), the rest out of /proc. Free it after the loop. Layer: io.
 */
#pragma once
#include "reconcile/core/observed.h"
#include "reconcile/io/loop.h"

struct sl_machine;
/* The directories may be NULL or missing: then nothing is told of their disks. */
struct sl_machine *sl_machine_new(struct sl_loop *loop, const char *recordings, const char *state);
void sl_machine_free(struct sl_machine *machine);
/* As last read; reads again what is older than a second (disks: ten). */
void sl_machine_observed(struct sl_machine *machine, int64_t now, struct sl_seen_machine *ret);
