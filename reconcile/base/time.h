/* SPDX-License-Identifier: GPL-2.0-or-later
 * Clocks and durations. Milliseconds everywhere, as int64_t. Layer: base.
 * Core gets time as an argument and never calls the clock functions (lint proves it).
 */
#pragma once
#include "reconcile/base/base.h"

int64_t sl_now_mono(void); /* CLOCK_MONOTONIC, ms */
int64_t sl_now_wall(void); /* CLOCK_REALTIME, ms since 1970 */
/* RFC 3339 in UTC with milliseconds: 2026-11-24T10:00:00.000Z; buf holds 32 bytes. */
char *sl_time_rfc3339(int64_t wall_ms, char buf[32]);
