/* SPDX-License-Identifier: GPL-2.0-or-later
 * Backend "software": encoders of libavcodec on the CPU. Layer: encoders.
 */
#include "encoders/av_bridge.h"
#include "encoders/encoder.h"
#include "encoders/filter.h"
#include <libavutil/opt.h>
#include <libavutil/pixdesc.h>

#define THREADS 2
#define GAP_MS  1000 /* without a picture: the last one is shown again */

struct software {
    AVCodecContext *codec;
    struct sl_filter filter;
    bool key, flushing, flushed;
    int64_t last_pts, last_key, key_step; /* key_step: so much later a keyframe is due */
    AVFrame *shown; /* the newest picture that came: a gap is filled with it */
};

static const struct {
    const char *codec, *encoder;
    enum sl_media media;
} rows[] = {
    {"h264", "libx264", SL_VIDEO},
    {"h265", "libx265", SL_VIDEO},
    {"aac", "aac", SL_AUDIO},
    {"opus", "libopus", SL_AUDIO},
};

static const AVCodec *find(const struct sl_out_track *t, struct sl_err *err)
{
    for (size_t i = 0; i < SL_COUNT(rows); i++) {
        if (rows[i].media == t->media && sl_streq(rows[i].codec, t->codec)) {
            const AVCodec *codec = avcodec_find_encoder_by_name(rows[i].encoder);

            if (codec)
                return codec;
        }
    }
    sl_err_set(err, SL_ERR_HUMAN, 0, "NoEncoder", "there is no software encoder for %s here",
               t->codec);
    return NULL;
}

/* For x264: what `ffmpeg -c:v libx264` would be given, with headers in band for those who enter at
 * a keyframe. */
static void options_h264(const struct sl_encspec *spec, AVDictionary **o)
{
    if (spec->video.b_frames == 0) /* with B-frames latency is given away already */
        av_dict_set(o, "tune", "zerolatency", 0);
    av_dict_set(o, "sc_threshold", "0", 0);
    av_dict_set(o, "x264-params", "repeat-headers=1", 0);
}

/* x265 has a pool of threads of its own, and its own idea of where to log. */
static void options_h265(const struct sl_encspec *spec, AVDictionary **o)
{
    sl_autofree char *params =
        sl_asprintf("log-level=none:repeat-headers=1:pools=%d:frame-threads=1:open-gop=0:"
                    "scenecut=0:bframes=%d",
                    THREADS, spec->video.b_frames);

    if (spec->video.b_frames == 0)
        av_dict_set(o, "tune", "zerolatency", 0);
    av_dict_set(o, "x265-params", params, 0);
}

static void setup_video(struct software *s, const struct sl_out_track *t,
                        const struct sl_in_track *in, const struct sl_encspec *spec,
                        AVDictionary **options)
{
    AVCodecContext *c = s->codec;
    bool h265 = sl_streq(t->codec, "h265");
    bool constant = spec->video.rate > 0 || in->raw;
    AVRational rate = spec->video.rate > 0 ? av_d2q(spec->video.rate, 1001000) : in->rate;
    int64_t interval = spec->video.keyframe_interval > 0 ? spec->video.keyframe_interval : 2000;
    struct sl_size source = {in->par->width, in->par->height};
    struct sl_size want = {spec->video.width, spec->video.height};

    s->filter.size = sl_geometry_out(source, in->par->sample_aspect_ratio, in->rotation, want);
    s->filter.rotation = in->rotation;
    if (spec->video.rate > 0)
        s->filter.rate = rate;
    c->width = s->filter.size.width;
    c->height = s->filter.size.height;
    c->pix_fmt =
        h265 && sl_streq(spec->video.profile, "main10") ? AV_PIX_FMT_YUV420P10 : AV_PIX_FMT_YUV420P;
    s->filter.format = av_get_pix_fmt_name(c->pix_fmt);
    c->framerate = rate;
    c->time_base = constant ? av_inv_q(rate) : (AVRational){1, 90000};
    c->sample_aspect_ratio = (AVRational){1, 1};
    c->color_primaries = in->par->color_primaries;
    c->color_trc = in->par->color_trc;
    c->colorspace = in->par->color_space;
    c->gop_size = (int)(av_q2d(rate) * (double)interval / 1000 + 0.5);
    if (c->gop_size < 1)
        c->gop_size = 1;
    c->keyint_min = c->gop_size;
    s->key_step =
        constant ? c->gop_size : av_rescale_q(interval, (AVRational){1, 1000}, c->time_base) - 1;
    c->max_b_frames = spec->video.b_frames;
    c->bit_rate = spec->video.bitrate;
    c->rc_max_rate = spec->video.max_bitrate;
    if (c->bit_rate && !c->rc_max_rate)
        c->rc_max_rate = c->bit_rate + c->bit_rate / 2;
    if (c->rc_max_rate)
        c->rc_buffer_size = c->rc_max_rate > INT32_MAX / 2 ? INT32_MAX : (int)c->rc_max_rate * 2;
    c->thread_count = THREADS;
    c->flags |= AV_CODEC_FLAG_CLOSED_GOP;
    av_dict_set(options, "preset", *spec->video.preset ? spec->video.preset : "veryfast", 0);
    if (*spec->video.profile)
        av_dict_set(options, "profile", spec->video.profile, 0);
    av_dict_set(options, "forced-idr", "1", 0);
    if (h265)
        options_h265(spec, options);
    else
        options_h264(spec, options);
}

static void setup_audio(struct software *s, const struct sl_out_track *t,
                        const struct sl_in_track *in, const struct sl_encspec *spec)
{
    AVCodecContext *c = s->codec;
    bool opus = sl_streq(t->codec, "opus");
    int channels = spec->audio.channels, rate = spec->audio.sample_rate;

    if (!channels) /* more than two only when asked for: most players are stereo */
        channels = in->par->ch_layout.nb_channels == 1 ? 1 : 2;
    if (!rate)
        rate = in->par->sample_rate;
    if (opus) {
        rate = 48000;
        if (spec->audio.webrtc_opus && !sl_streq(spec->audio.codec, "opus"))
            channels = 2;
    } else {
        bool known = false;

        for (const int *r = c->codec->supported_samplerates; r && *r; r++)
            known |= *r == rate;
        if (!known)
            rate = 48000;
    }
    if (channels > (opus ? 2 : 8))
        channels = 2;
    c->sample_rate = rate;
    c->sample_fmt = opus ? AV_SAMPLE_FMT_FLT : c->codec->sample_fmts[0];
    av_channel_layout_default(&c->ch_layout, channels);
    c->bit_rate = spec->audio.bitrate ? spec->audio.bitrate : channels * 64000;
    c->time_base = (AVRational){1, rate};
    s->filter.format = av_get_sample_fmt_name(c->sample_fmt);
    s->filter.sample_rate = rate;
    av_channel_layout_describe(&c->ch_layout, s->filter.layout, sizeof(s->filter.layout));
}

static int software_open(struct sl_out_track *t, const struct sl_in_track *in,
                         const struct sl_encspec *spec, const AVPacket *first, struct sl_err *err)
{
    struct software *s = sl_alloc(sizeof(*s));
    AVDictionary *options = NULL;
    const AVCodec *codec = find(t, err);
    int rc;

    (void)first;
    t->priv = s;
    s->last_pts = s->last_key = INT64_MIN;
    if (!codec)
        return -1;
    s->codec = avcodec_alloc_context3(codec);
    t->par = avcodec_parameters_alloc();
    s->shown = av_frame_alloc();
    if (!s->codec || !t->par || !s->shown)
        abort();
    s->codec->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
    s->filter.media = t->media;
    s->filter.time_base = in->time_base;
    if (t->media == SL_VIDEO)
        setup_video(s, t, in, spec, &options);
    else
        setup_audio(s, t, in, spec);
    sl_bridge_forget();
    rc = avcodec_open2(s->codec, codec, &options);
    av_dict_free(&options);
    if (rc < 0)
        return sl_err_set(err, SL_ERR_HUMAN, 0, "EncoderRefused", "%s: %s%s%s", codec->name,
                          sl_av_text(rc), *sl_bridge_last() ? ": " : "", sl_bridge_last());
    if (t->media == SL_AUDIO && !(codec->capabilities & AV_CODEC_CAP_VARIABLE_FRAME_SIZE))
        s->filter.frame_size = s->codec->frame_size;
    t->time_base = s->codec->time_base;
    if (avcodec_parameters_from_context(t->par, s->codec) < 0)
        abort();
    return 0;
}

static int software_send(struct sl_out_track *t, const AVPacket *packet, const AVFrame *frame)
{
    struct software *s = t->priv;

    (void)packet;
    s->flushing |= frame == NULL;
    if (frame && t->media == SL_VIDEO) {
        av_frame_unref(s->shown);
        if (av_frame_ref(s->shown, frame) < 0)
            abort();
    }
    return sl_filter_send(&s->filter, frame);
}

static int software_idle(struct sl_out_track *t, int64_t us)
{
    struct software *s = t->priv;
    int64_t pts = av_rescale_q(us, AV_TIME_BASE_Q, s->filter.time_base);

    if (t->media != SL_VIDEO || !s->filter.seen || !s->shown->buf[0] ||
        av_compare_ts(pts - s->filter.last, s->filter.time_base, GAP_MS, (AVRational){1, 1000}) < 0)
        return 0;
    s->shown->pts = pts;
    return sl_filter_send(&s->filter, s->shown);
}

/* One frame from the filter into the encoder; AVERROR(EAGAIN): the filter wants more. */
static int feed(struct software *s)
{
    AVFrame *frame = av_frame_alloc();
    int rc;

    if (!frame)
        abort();
    rc = sl_filter_receive(&s->filter, s->codec->time_base, frame);
    if (rc >= 0 && frame->pts <= s->last_pts && s->filter.media == SL_VIDEO) {
        av_frame_free(&frame);
        return 0;
    }
    if (rc >= 0) {
        /* by time, not by count: pictures need not come at their rate */
        if (s->last_key == INT64_MIN || frame->pts - s->last_key >= s->key_step)
            s->key = s->filter.media == SL_VIDEO;
        if (s->key)
            s->last_key = frame->pts;
        s->last_pts = frame->pts;
        frame->pict_type = s->key ? AV_PICTURE_TYPE_I : AV_PICTURE_TYPE_NONE;
        s->key = false;
        rc = avcodec_send_frame(s->codec, frame);
    } else if (s->flushing && !s->flushed) {
        s->flushed = true;
        rc = avcodec_send_frame(s->codec, NULL);
    }
    av_frame_free(&frame);
    return rc;
}

static int software_receive(struct sl_out_track *t, AVPacket *ret)
{
    struct software *s = t->priv;
    int rc;

    /* packets first: a full encoder takes no frame */
    while ((rc = avcodec_receive_packet(s->codec, ret)) == AVERROR(EAGAIN)) {
        rc = feed(s);
        if (rc < 0)
            break;
    }
    return rc;
}

static void software_want_key(struct sl_out_track *t)
{
    struct software *s = t->priv;

    s->key = t->media == SL_VIDEO;
}

static void software_close(struct sl_out_track *t)
{
    struct software *s = t->priv;

    if (!s)
        return;
    sl_filter_free(&s->filter);
    av_frame_free(&s->shown);
    avcodec_free_context(&s->codec);
    free(s);
    t->priv = NULL;
}

const struct sl_encoder_class sl_enc_software = {
    .name = "software",
    .takes_packets = false,
    .open = software_open,
    .send = software_send,
    .receive = software_receive,
    .idle = software_idle,
    .want_key = software_want_key,
    .close = software_close,
};
