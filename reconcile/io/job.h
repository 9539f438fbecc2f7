/* SPDX-License-Identifier: GPL-2.0-or-later
 * The loop's worker pool: two threads that do disk and hash work and post back by an eventfd.
 * Made and owned by the loop, for loop.c only. Layer: io.
 */
#pragma once
#include "reconcile/io/loop.h"

struct sl_jobs;
int sl_jobs_new(sd_event *event, struct sl_jobs **ret, struct sl_err *err) SL_MUST;
/* Works off what waits, calls every `done`, joins the threads. */
void sl_jobs_free(struct sl_jobs *jobs);
void sl_jobs_add(struct sl_jobs *jobs, int queue, void (*work)(void *), void (*done)(void *),
                 void *user);
