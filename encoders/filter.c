/* SPDX-License-Identifier: GPL-2.0-or-later
 * Filter chains. Layer: encoders.
 */
#include "encoders/filter.h"
#include <libavfilter/buffersink.h>
#include <libavfilter/buffersrc.h>
#include <libavutil/channel_layout.h>
#include <libavutil/pixdesc.h>

void sl_filter_free(struct sl_filter *f)
{
    avfilter_graph_free(&f->graph);
    free(f->chain);
    f->chain = NULL;
}

static int build(struct sl_filter *f, const AVFrame *frame)
{
    bool video = f->media == SL_VIDEO;
    AVFilterInOut *in = NULL, *out = NULL;
    char args[256], layout[64];
    int rc;

    avfilter_graph_free(&f->graph);
    f->graph = avfilter_graph_alloc();
    if (!f->graph)
        abort();
    f->graph->nb_threads = 1;
    if (video) {
        AVRational sar = frame->sample_aspect_ratio;

        snprintf(args, sizeof(args),
                 "video_size=%dx%d:pix_fmt=%d:time_base=%d/%d:pixel_aspect=%d/%d", frame->width,
                 frame->height, frame->format, f->time_base.num, f->time_base.den, sar.num,
                 sar.den > 0 ? sar.den : 1);
    } else {
        AVChannelLayout known = frame->ch_layout;

        if (known.order == AV_CHANNEL_ORDER_UNSPEC)
            av_channel_layout_default(&known, frame->ch_layout.nb_channels);
        av_channel_layout_describe(&known, layout, sizeof(layout));
        snprintf(args, sizeof(args),
                 "sample_rate=%d:sample_fmt=%d:channel_layout=%s:time_base=%d/%d",
                 frame->sample_rate, frame->format, layout, f->time_base.num, f->time_base.den);
    }
    rc = avfilter_graph_create_filter(
        &f->source, avfilter_get_by_name(video ? "buffer" : "abuffer"), "in", args, NULL, f->graph);
    if (rc >= 0)
        rc = avfilter_graph_create_filter(
            &f->sink, avfilter_get_by_name(video ? "buffersink" : "abuffersink"), "out", NULL, NULL,
            f->graph);
    if (rc >= 0)
        rc = avfilter_graph_parse2(f->graph, f->chain, &in, &out);
    if (rc >= 0 && (!in || !out))
        rc = AVERROR(EINVAL);
    if (rc >= 0)
        rc = avfilter_link(f->source, 0, in->filter_ctx, (unsigned)in->pad_idx);
    if (rc >= 0)
        rc = avfilter_link(out->filter_ctx, (unsigned)out->pad_idx, f->sink, 0);
    if (rc >= 0)
        rc = avfilter_graph_config(f->graph, NULL);
    avfilter_inout_free(&in);
    avfilter_inout_free(&out);
    if (rc < 0) {
        avfilter_graph_free(&f->graph);
        return rc;
    }
    if (f->frame_size > 0)
        av_buffersink_set_frame_size(f->sink, (unsigned)f->frame_size);
    f->format = frame->format;
    f->width = video ? frame->width : frame->sample_rate;
    f->height = video ? frame->height : frame->ch_layout.nb_channels;
    return 0;
}

int sl_filter_send(struct sl_filter *f, const AVFrame *frame)
{
    bool video = f->media == SL_VIDEO;

    if (!frame) /* the end lies behind the last frame, or the fps filter drops it */
        return f->graph ? av_buffersrc_close(f->source, f->last + f->step, 0) : 0;
    f->step = f->seen && frame->pts > f->last ? frame->pts - f->last : f->step;
    f->last = frame->pts;
    f->seen = true;
    if (!f->graph || frame->format != f->format ||
        (video ? frame->width : frame->sample_rate) != f->width ||
        (video ? frame->height : frame->ch_layout.nb_channels) != f->height) {
        int rc = build(f, frame);

        if (rc < 0)
            return rc;
    }
    return av_buffersrc_write_frame(f->source, frame);
}

int sl_filter_receive(struct sl_filter *f, AVRational base, AVFrame *ret)
{
    int rc;

    if (!f->graph)
        return AVERROR(EAGAIN);
    rc = av_buffersink_get_frame(f->sink, ret);
    if (rc < 0)
        return rc;
    if (ret->pts != AV_NOPTS_VALUE)
        ret->pts = av_rescale_q(ret->pts, av_buffersink_get_time_base(f->sink), base);
    return 0;
}
