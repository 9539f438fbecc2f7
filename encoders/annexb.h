/* SPDX-License-Identifier: GPL-2.0-or-later
 * Parameter sets (VPS, SPS, PPS) in H.264 and H.265 of Annex B form. Layer: encoders.
 * Plain functions over bytes; never reads behind the end.
 */
#pragma once
#include "reconcile/base/buf.h"
#include <libavcodec/codec_id.h>

/* What is found before the first slice. */
struct sl_params {
    struct sl_buf all; /* every parameter set with its start code, in their order */
    struct sl_buf sps; /* the sequence parameter sets alone */
    bool complete;     /* a decoder can begin with them */
};

void sl_params_read(enum AVCodecID codec, const uint8_t *data, size_t size, struct sl_params *ret);
void sl_params_free(struct sl_params *params);
