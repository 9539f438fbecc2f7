/* SPDX-License-Identifier: GPL-2.0-or-later
 * What RTSP carries out of this libavformat, and what MediaMTX calls it. Each row was published
 * and read back (docs/adr: spikes f). Layer: encoders. A constant table.
 */
#pragma once
#include "schemas/facts.h"
#include <libavcodec/avcodec.h>

/* NULL: carried. Else why not, and what to do: a constant text. */
const char *sl_carry_why_not(const AVCodecParameters *par);
/* MediaMTX's name, rate and channels. */
void sl_carry_track(const AVCodecParameters *par, struct sl_track *ret);
