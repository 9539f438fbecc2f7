/* SPDX-License-Identifier: GPL-2.0-or-later
 * libav at arm's length: its log goes into the encoder's ring (or stderr) with secrets scrubbed,
 * its error numbers become texts. One process, one bridge: libav's log callback is global.
 * Layer: encoders. Never keeps a secret on disk; never writes a line unscrubbed.
 */
#pragma once
#include "reconcile/base/log.h"
#include "schemas/record.h"

void sl_bridge_open(struct sl_ring *ring, bool to_stderr); /* ring NULL: none */
void sl_bridge_secret(const char *secret); /* replaced by *** from now on; short ones ignored */
void sl_bridge_log(enum sl_level level, const char *format, ...) SL_PRINTF(2, 3);
/* The last line that libav logged as an error since the last call of _forget; "" if none. */
const char *sl_bridge_last(void);
void sl_bridge_forget(void);
const char *sl_av_text(int averror); /* static buffer */
