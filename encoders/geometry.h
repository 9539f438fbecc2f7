/* SPDX-License-Identifier: GPL-2.0-or-later
 * Sizes of pictures: what is published keeps its shape whatever the source's pixels, turns and
 * sizes are. Plain values, no libav context: unit-tested. Layer: encoders.
 */
#pragma once
#include "reconcile/base/base.h"
#include <libavutil/rational.h>

struct sl_size {
    int width, height;
};

/* Of the published picture, square pixels, even. `want` 0: that side follows the source's shape;
 * both given: exactly these, and the picture is fitted into them. */
struct sl_size sl_geometry_out(struct sl_size source, AVRational sar, int rotation,
                               struct sl_size want);
/* The largest size within `out` of the source's shape, even; a bar of less than 1 % is not worth
 * having: `out` itself then. */
struct sl_size sl_geometry_fit(struct sl_size source, AVRational sar, int rotation,
                               struct sl_size out);
