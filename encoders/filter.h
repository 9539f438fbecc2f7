/* SPDX-License-Identifier: GPL-2.0-or-later
 * One chain of libavfilter between raw frames and an encoder. Built at the first frame and again
 * when the frames change their form; what the old one still holds comes out first.
 * Owned by a backend. Layer: encoders.
 */
#pragma once
#include "encoders/geometry.h"
#include "encoders/input.h"
#include <libavfilter/avfilter.h>

struct sl_filter_graph {
    AVFilterGraph *graph; /* NULL: none */
    AVFilterContext *source, *sink;
};

struct sl_filter {
    enum sl_media media;
    AVRational time_base;        /* of the frames that come */
    struct sl_size size;         /* picture: to give */
    int rotation;                /* picture: degrees clockwise to turn */
    AVRational rate;             /* picture: to give; 0: time stamps stay as they come */
    const char *format;          /* name of the pixel or sample format to give */
    int sample_rate, frame_size; /* sound: to give; samples a frame, 0: any */
    char layout[64];             /* sound: to give */
    struct sl_filter_graph now, old;
    bool seen;
    int64_t last, step;            /* pts of the newest frame, and its distance to the one before */
    struct {                       /* what the graph was built for */
        int format, width, height; /* sound: format, rate, channels */
        AVRational sar;
        bool interlaced;
    } built;
};

void sl_filter_free(struct sl_filter *filter);                      /* of what is inside */
int sl_filter_send(struct sl_filter *filter, const AVFrame *frame); /* NULL: flush; AVERROR or 0 */
/* The frame's pts is in `base` afterwards. AVERROR(EAGAIN): none now. */
int sl_filter_receive(struct sl_filter *filter, AVRational base, AVFrame *ret);
