/* SPDX-License-Identifier: GPL-2.0-or-later
 * Watches directories through libinotifytools, which is quarantined in watch.c: no thread, no
 * recursion of its library, names of events are never trusted: an event only says "look". Settles
 * 30 ms after a lone change, 300 ms of quiet in a storm, 3 s at most; falls back to polling every
 * 10 s and says so. Layer: io.
 */
#pragma once
#include "reconcile/io/loop.h"

struct sl_watch;
struct sl_watch_timing {
    int64_t settle, storm, storm_cap, poll; /* ms; 0: 30, 300, 3000, 10000 */
};
typedef void sl_watch_fn(void *user); /* settled: read a snapshot now */
/* libinotifytools has one global state: one watch a process, made early (its descriptor must stay
 * below 1024). No inotify left is not an error: it polls, and tries again at each set. */
int sl_watch_new(struct sl_loop *loop, const struct sl_watch_timing *timing, sl_watch_fn *fn,
                 void *user, struct sl_watch **ret, struct sl_err *err) SL_MUST;
void sl_watch_free(struct sl_watch *watch);
/* Arms exactly these directories (absolute). When the set differs from before, the caller must
 * read one more snapshot after this call: true is returned then. */
bool sl_watch_set(struct sl_watch *watch, const char *const *dirs, size_t count);
const char *sl_watch_warning(const struct sl_watch *watch); /* "" while inotify serves */
uint64_t sl_watch_overflows(const struct sl_watch *watch);
