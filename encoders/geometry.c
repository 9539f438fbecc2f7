/* SPDX-License-Identifier: GPL-2.0-or-later
 * Sizes of pictures. Layer: encoders.
 */
#include "encoders/geometry.h"

#define SIDE_MIN 16
#define SIDE_MAX 8192

static int even(double side)
{
    int n = (int)(side / 2 + 0.5) * 2;

    return n < SIDE_MIN ? SIDE_MIN : n > SIDE_MAX ? SIDE_MAX : n;
}

/* Width and height as seen: square pixels, upright. */
static void shape(struct sl_size source, AVRational sar, int rotation, double *w, double *h)
{
    double x = source.width, y = source.height;

    if (sar.num > 0 && sar.den > 0)
        x *= av_q2d(sar);
    if (x < 1 || y < 1)
        x = y = SIDE_MIN;
    *w = rotation == 90 || rotation == 270 ? y : x;
    *h = rotation == 90 || rotation == 270 ? x : y;
}

struct sl_size sl_geometry_out(struct sl_size source, AVRational sar, int rotation,
                               struct sl_size want)
{
    double w, h;

    shape(source, sar, rotation, &w, &h);
    if (want.width && want.height)
        return (struct sl_size){even(want.width), even(want.height)};
    if (want.width)
        return (struct sl_size){even(want.width), even(h * want.width / w)};
    if (want.height)
        return (struct sl_size){even(w * want.height / h), even(want.height)};
    return (struct sl_size){even(w), even(h)};
}

struct sl_size sl_geometry_fit(struct sl_size source, AVRational sar, int rotation,
                               struct sl_size out)
{
    double w, h, scale;
    struct sl_size fit;

    shape(source, sar, rotation, &w, &h);
    scale = out.width / w < out.height / h ? out.width / w : out.height / h;
    fit = (struct sl_size){even(w * scale), even(h * scale)};
    if (fit.width > out.width || out.width - fit.width <= 2 + out.width / 100)
        fit.width = out.width;
    if (fit.height > out.height || out.height - fit.height <= 2 + out.height / 100)
        fit.height = out.height;
    return fit;
}
