/* SPDX-License-Identifier: GPL-2.0-or-later
 * The encoders as the daemon sees them: scans records, tries locks, holds pidfds and control
 * sockets, starts encoders through the host, carries out the plan's actions. Adoption is the same
 * scan at start. Killing the daemon at any point leaves every encoder running. Layer: fleet.
 */
#pragma once
#include "reconcile/core/plan.h"
#include "reconcile/io/loop.h"
#include "schemas/settings.h"

struct sl_fleet;
typedef void sl_fleet_fn(void *user); /* something was learnt: look again */

/* Binds runtime/notice.sock, scans the records, connects to the host (starts it when
 * settings->encoders.managed). */
int sl_fleet_new(struct sl_loop *loop, const struct sl_settings *settings, sl_fleet_fn *fn,
                 void *user, struct sl_fleet **ret, struct sl_err *err) SL_MUST;
void sl_fleet_free(struct sl_fleet *fleet); /* encoders and host go on */

void sl_fleet_observed(struct sl_fleet *fleet, bool *ret_known, bool *ret_host_up,
                       const char **ret_host_error, const struct sl_seen_encoder **ret_list,
                       size_t *ret_count); /* valid until the next loop iteration */

struct sl_publisher {
    const char *url; /* rtsp://127.0.0.1:PORT, the path's name is appended */
    const char *username, *password;
};
/* Each action once; asynchronous; outcomes show in sl_fleet_observed. Logs each with its reason. */
void sl_fleet_apply(struct sl_fleet *fleet, const struct sl_action *actions, size_t count,
                    const struct sl_publisher *publisher);
void sl_fleet_rescan(struct sl_fleet *fleet); /* the truth, again (every drift interval) */
/* --on-exit=stop: ends all encoders and the managed host; blocking, 5 s then SIGKILL. */
void sl_fleet_stop_all(struct sl_fleet *fleet);
