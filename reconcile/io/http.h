/* SPDX-License-Identifier: GPL-2.0-or-later
 * libcurl's multi interface on the loop: its sockets and its one timer are sd-event sources.
 * Made and owned by the loop, for loop.c only; the calls for everybody stand in loop.h. Layer: io.
 */
#pragma once
#include "reconcile/io/loop.h"

struct sl_multi;
int sl_multi_new(sd_event *event, struct sl_multi **ret, struct sl_err *err) SL_MUST;
void sl_multi_free(struct sl_multi *multi); /* cancels what is under way */
struct sl_multi *sl_loop_multi(struct sl_loop *loop);
