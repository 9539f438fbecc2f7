/* SPDX-License-Identifier: GPL-2.0-or-later
 * The encoder host: a warm process that forks one encoder a stream on order of the daemon, and the
 * keeper above it, which forks it anew when it dies and reaps encoders that lost it. Neither holds
 * state worth keeping: when they go, encoders go on. One thread each. Layer: encoders.
 * The host never opens media or a device: a fork must not inherit one.
 */
#pragma once
#include "reconcile/base/err.h"

/* Until SIGTERM; the exit status. */
int sl_keeper_run(const char *runtime);
/* Called by the keeper in its child. */
int sl_host_run(const char *runtime, int keeper_pid);
