/* SPDX-License-Identifier: GPL-2.0-or-later
 * One chain of libavfilter between raw frames and an encoder. Built at the first frame and again
 * when the frames change their form. Owned by a backend. Layer: encoders.
 */
#pragma once
#include "encoders/input.h"
#include <libavfilter/avfilter.h>

struct sl_filter {
    enum sl_media media;
    AVRational time_base; /* of the frames that come */
    char *chain;          /* owned: "scale=…,fps=…" */
    int frame_size;       /* audio: samples a frame to give, 0: any */
    AVFilterGraph *graph;
    AVFilterContext *source, *sink;
    bool seen;
    int64_t last, step;        /* pts of the newest frame, and its distance to the one before */
    int format, width, height; /* what the graph was built for; audio: format, rate, channels */
};

void sl_filter_free(struct sl_filter *filter);                      /* of what is inside */
int sl_filter_send(struct sl_filter *filter, const AVFrame *frame); /* NULL: flush; AVERROR or 0 */
/* The frame's pts is in `base` afterwards. AVERROR(EAGAIN): none now. */
int sl_filter_receive(struct sl_filter *filter, AVRational base, AVFrame *ret);
