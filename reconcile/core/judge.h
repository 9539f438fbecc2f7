/* SPDX-License-Identifier: GPL-2.0-or-later
 * The judgement of one stream: conditions, sync, health and where it plays, out of a status whose
 * observed and plan are filled. Internal to core: only status.c calls it. Layer: core.
 */
#pragma once
#include "reconcile/core/status.h"

void sl_judge(struct sl_status *status, struct sl_status_stream *stream, const char *public_host);
/* The five addresses; `facts` are the tracks published, count 0 when unknown. */
void sl_judge_urls(struct sl_status *status, struct sl_status_stream *stream,
                   const struct sl_facts *facts, const char *public_host);
