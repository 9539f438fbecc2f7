/* SPDX-License-Identifier: GPL-2.0-or-later
 * logfmt to stderr: ts=… level=info msg="…" stream=… gen=… reason=….
 * error: a human must act; warn: going on without; info: one line an action with its reason;
 * debug: with --log-level debug only. Layer: base. Core never logs.
 */
#pragma once
#include "reconcile/base/base.h"

enum sl_level { SL_LOG_ERROR, SL_LOG_WARN, SL_LOG_INFO, SL_LOG_DEBUG, SL_LEVEL_COUNT };

void sl_log_level(enum sl_level level);
void sl_log_name(const char *program); /* adds prog=NAME; kept by pointer */
/* Pairs of (const char *key, const char *value) end with NULL; a NULL value drops its pair. */
void sl_log(enum sl_level level, const char *msg, ...) __attribute__((sentinel));
/* For numbers: a value made in a small ring of buffers, valid until 16 further calls. */
const char *sl_num(long long n);
