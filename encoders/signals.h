/* SPDX-License-Identifier: GPL-2.0-or-later
 * Signalling an encoder for a daemon that may not (another user) or cannot (another PID namespace)
 * do it itself: also one that an earlier host forked. Used by the host. Layer: encoders.
 */
#pragma once
#include "reconcile/base/err.h"

/* Codes: BadSignal, Gone (no record, or nobody lives there), NotOurs. */
int sl_signals_send(const char *runtime, const char *uid, int number, struct sl_err *err) SL_MUST;
