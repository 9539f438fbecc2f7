/* SPDX-License-Identifier: GPL-2.0-or-later
 * No value of a known secret, in any form, stays in a text that came from outside: what MediaMTX
 * and encoders say before it is judged and saved, all of a status before it is published.
 * Layer: cmd.
 */
#pragma once
#include "reconcile/core/status.h"
#include "reconcile/io/secrets.h"

void sl_scrub_observed(const struct sl_secrets *secrets, struct sl_observed *observed);
void sl_scrub_status(const struct sl_secrets *secrets, struct sl_status *status);
