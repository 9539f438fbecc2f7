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
    avfilter_graph_free(&f->now.graph);
    avfilter_graph_free(&f->old.graph);
}

static const char *upright(int rotation)
{
    return rotation == 90    ? "transpose=clock,"
           : rotation == 270 ? "transpose=cclock,"
           : rotation == 180 ? "hflip,vflip,"
                             : "";
}

static char *video_chain(const struct sl_filter *f, const AVFrame *frame, bool interlaced)
{
    struct sl_size source = {frame->width, frame->height};
    struct sl_size fit = sl_geometry_fit(source, frame->sample_aspect_ratio, f->rotation, f->size);
    char pad[64] = "", fps[64] = "";

    if (fit.width != f->size.width || fit.height != f->size.height)
        snprintf(pad, sizeof(pad), "pad=%d:%d:(ow-iw)/2:(oh-ih)/2,", f->size.width, f->size.height);
    if (f->rate.num > 0)
        snprintf(fps, sizeof(fps), "fps=%d/%d,", f->rate.num, f->rate.den);
    return sl_asprintf("%s%sscale=%d:%d:flags=bicubic,%ssetsar=1,%sformat=%s",
                       interlaced ? "bwdif=mode=send_frame:deint=interlaced," : "",
                       upright(f->rotation), fit.width, fit.height, pad, fps, f->format);
}

/* Sound follows the time stamps: by at most 1 % of its speed, and beyond 0.1 s by a cut. */
static char *audio_chain(const struct sl_filter *f)
{
    return sl_asprintf("aresample=%d:async=%d:flags=res,aformat=sample_fmts=%s:sample_rates=%d:"
                       "channel_layouts=%s",
                       f->sample_rate, f->sample_rate / 100, f->format, f->sample_rate, f->layout);
}

static void arguments(const struct sl_filter *f, const AVFrame *frame, char *to, size_t size)
{
    char layout[64];

    if (f->media == SL_VIDEO) {
        AVRational sar = frame->sample_aspect_ratio;

        snprintf(to, size, "video_size=%dx%d:pix_fmt=%d:time_base=%d/%d:pixel_aspect=%d/%d",
                 frame->width, frame->height, frame->format, f->time_base.num, f->time_base.den,
                 sar.num, sar.den > 0 ? sar.den : 1);
        return;
    }
    AVChannelLayout known = frame->ch_layout;

    if (known.order == AV_CHANNEL_ORDER_UNSPEC)
        av_channel_layout_default(&known, frame->ch_layout.nb_channels);
    av_channel_layout_describe(&known, layout, sizeof(layout));
    snprintf(to, size, "sample_rate=%d:sample_fmt=%d:channel_layout=%s:time_base=%d/%d",
             frame->sample_rate, frame->format, layout, f->time_base.num, f->time_base.den);
}

static int make(struct sl_filter *f, const AVFrame *frame, const char *chain,
                struct sl_filter_graph *g)
{
    bool video = f->media == SL_VIDEO;
    AVFilterInOut *in = NULL, *out = NULL;
    char args[256];
    int rc;

    g->graph = avfilter_graph_alloc();
    if (!g->graph)
        abort();
    g->graph->nb_threads = 1;
    arguments(f, frame, args, sizeof(args));
    rc = avfilter_graph_create_filter(
        &g->source, avfilter_get_by_name(video ? "buffer" : "abuffer"), "in", args, NULL, g->graph);
    if (rc >= 0)
        rc = avfilter_graph_create_filter(
            &g->sink, avfilter_get_by_name(video ? "buffersink" : "abuffersink"), "out", NULL, NULL,
            g->graph);
    if (rc >= 0)
        rc = avfilter_graph_parse2(g->graph, chain, &in, &out);
    if (rc >= 0 && (!in || !out))
        rc = AVERROR(EINVAL);
    if (rc >= 0)
        rc = avfilter_link(g->source, 0, in->filter_ctx, (unsigned)in->pad_idx);
    if (rc >= 0)
        rc = avfilter_link(out->filter_ctx, (unsigned)out->pad_idx, g->sink, 0);
    if (rc >= 0)
        rc = avfilter_graph_config(g->graph, NULL);
    avfilter_inout_free(&in);
    avfilter_inout_free(&out);
    if (rc < 0)
        avfilter_graph_free(&g->graph);
    else if (f->frame_size > 0)
        av_buffersink_set_frame_size(g->sink, (unsigned)f->frame_size);
    return rc;
}

static int build(struct sl_filter *f, const AVFrame *frame)
{
    bool video = f->media == SL_VIDEO;
    bool interlaced = video && (frame->interlaced_frame || f->built.interlaced);
    sl_autofree char *chain = video ? video_chain(f, frame, interlaced) : audio_chain(f);

    avfilter_graph_free(&f->old.graph);
    f->old = f->now;
    f->now.graph = NULL;
    if (f->old.graph)
        (void)!av_buffersrc_close(f->old.source, f->last + f->step, 0);
    f->built.format = frame->format;
    f->built.width = video ? frame->width : frame->sample_rate;
    f->built.height = video ? frame->height : frame->ch_layout.nb_channels;
    f->built.sar = frame->sample_aspect_ratio;
    f->built.interlaced = interlaced;
    return make(f, frame, chain, &f->now);
}

static bool fits(const struct sl_filter *f, const AVFrame *frame)
{
    if (!f->now.graph || frame->format != f->built.format)
        return false;
    if (f->media == SL_AUDIO)
        return frame->sample_rate == f->built.width &&
               frame->ch_layout.nb_channels == f->built.height;
    return frame->width == f->built.width && frame->height == f->built.height &&
           av_cmp_q(frame->sample_aspect_ratio, f->built.sar) == 0 &&
           (f->built.interlaced || !frame->interlaced_frame);
}

int sl_filter_send(struct sl_filter *f, const AVFrame *frame)
{
    if (!frame) /* the end lies behind the last frame, or the fps filter drops it */
        return f->now.graph ? av_buffersrc_close(f->now.source, f->last + f->step, 0) : 0;
    if (!fits(f, frame)) {
        int rc = build(f, frame);

        if (rc < 0)
            return rc;
    }
    f->step = f->seen && frame->pts > f->last ? frame->pts - f->last : f->step;
    f->last = frame->pts;
    f->seen = true;
    return av_buffersrc_write_frame(f->now.source, frame);
}

int sl_filter_receive(struct sl_filter *f, AVRational base, AVFrame *ret)
{
    struct sl_filter_graph *g = &f->old;
    int rc;

    if (f->old.graph) {
        rc = av_buffersink_get_frame(f->old.sink, ret);
        if (rc < 0)
            avfilter_graph_free(&f->old.graph);
    }
    if (!f->old.graph) {
        g = &f->now;
        if (!g->graph)
            return AVERROR(EAGAIN);
        rc = av_buffersink_get_frame(g->sink, ret);
        if (rc < 0)
            return rc;
    }
    if (ret->pts != AV_NOPTS_VALUE)
        ret->pts = av_rescale_q(ret->pts, av_buffersink_get_time_base(g->sink), base);
    return 0;
}
