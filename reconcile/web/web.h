/* SPDX-License-Identifier: GPL-2.0-or-later
 * The read-only page, its JSON and health routes: GET and HEAD only, everything else 405. Renders
 * the one published status and computes nothing. libmicrohttpd without a thread of its own, on the
 * daemon's loop (docs/adr/0003); TCP and runtime/http.sock. Layer: web.
 */
#pragma once
#include "reconcile/core/status.h"
#include "reconcile/io/loop.h"
#include "schemas/settings.h"

struct sl_web;
/* Codes: PortInUse, BadListen. Port 0 = a free one. */
int sl_web_new(struct sl_loop *loop, const struct sl_settings *settings, struct sl_web **ret,
               struct sl_err *err) SL_MUST;
void sl_web_free(struct sl_web *web);
const char *sl_web_address(const struct sl_web *web); /* http://127.0.0.1:8080 */
/* Publishes a status: taken over, the one before is freed when no request reads it. */
void sl_web_publish(struct sl_web *web, struct sl_status *status);
void sl_web_ready(struct sl_web *web, bool ready);  /* /readyz */
void sl_web_beat(struct sl_web *web, int64_t mono); /* /livez: the loop lives */
bool sl_web_watched(const struct sl_web *web);      /* somebody looked within 10 s */
/* Shape of contract 4; the caller frees. */
char *sl_status_json(const struct sl_status *status);
char *sl_desired_json(const struct sl_status *status); /* /api/v1/desired: effective specs, facts */
char *sl_plan_json(const struct sl_status *status);
