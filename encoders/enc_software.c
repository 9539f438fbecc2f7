/* SPDX-License-Identifier: GPL-2.0-or-later
 * Backend "software": encoders of libavcodec on the CPU. Layer: encoders.
 */
#include "encoders/av_bridge.h"
#include "encoders/encoder.h"
#include "encoders/filter.h"
#include <libavutil/opt.h>

#define THREADS 2

struct software {
    AVCodecContext *codec;
    struct sl_filter filter;
    bool key, flushing, flushed;
    int64_t last_pts;
};

static const struct {
    const char *codec, *encoder;
    enum sl_media media;
} rows[] = {
    {"h264", "libx264", SL_VIDEO},
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

/* Size of the output: the spec's; where it says one side or none, the source's shape decides. */
static void size_for(const struct sl_in_track *in, const struct sl_encspec *spec, int *w, int *h)
{
    bool turned = in->rotation == 90 || in->rotation == 270;
    AVRational sar = in->par->sample_aspect_ratio;
    double sw = in->par->width, sh = in->par->height;

    if (sar.num > 0 && sar.den > 0)
        sw *= av_q2d(sar);
    if (turned) {
        double swap = sw;
        sw = sh;
        sh = swap;
    }
    *w = spec->video.width;
    *h = spec->video.height;
    if (!*w && !*h) {
        *w = (int)(sw + 0.5);
        *h = (int)(sh + 0.5);
    } else if (!*w) {
        *w = (int)(sw * *h / sh + 0.5);
    } else if (!*h) {
        *h = (int)(sh * *w / sw + 0.5);
    }
    *w &= ~1;
    *h &= ~1;
}

static const char *upright(int rotation)
{
    return rotation == 90    ? "transpose=clock,"
           : rotation == 270 ? "transpose=cclock,"
           : rotation == 180 ? "hflip,vflip,"
                             : "";
}

static void setup_video(struct software *s, const struct sl_in_track *in,
                        const struct sl_encspec *spec, AVDictionary **options)
{
    AVCodecContext *c = s->codec;
    AVRational rate = spec->video.rate > 0 ? av_d2q(spec->video.rate, 1001000) : in->rate;
    int64_t interval = spec->video.keyframe_interval > 0 ? spec->video.keyframe_interval : 2000;
    int w, h;

    size_for(in, spec, &w, &h);
    c->width = w;
    c->height = h;
    c->pix_fmt = AV_PIX_FMT_YUV420P;
    c->framerate = rate;
    c->time_base = av_inv_q(rate);
    c->sample_aspect_ratio = (AVRational){1, 1};
    c->gop_size = (int)(av_q2d(rate) * (double)interval / 1000 + 0.5);
    if (c->gop_size < 1)
        c->gop_size = 1;
    c->keyint_min = c->gop_size;
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
    if (spec->video.b_frames == 0) /* with B-frames latency is given away already */
        av_dict_set(options, "tune", "zerolatency", 0);
    av_dict_set(options, "sc_threshold", "0", 0);
    av_dict_set(options, "forced-idr", "1", 0);
    /* global for the SDP and in band for those who enter at a keyframe */
    av_dict_set(options, "x264-params", "repeat-headers=1", 0);
    s->filter.chain = sl_asprintf("%sscale=%d:%d:flags=bicubic,setsar=1,fps=%d/%d,format=yuv420p",
                                  upright(in->rotation), w, h, rate.num, rate.den);
}

static void setup_audio(struct software *s, const struct sl_out_track *t,
                        const struct sl_in_track *in, const struct sl_encspec *spec)
{
    AVCodecContext *c = s->codec;
    bool opus = sl_streq(t->codec, "opus");
    int channels = spec->audio.channels ? spec->audio.channels : in->par->ch_layout.nb_channels;
    int rate = spec->audio.sample_rate ? spec->audio.sample_rate : in->par->sample_rate;

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
    if (channels < 1 || channels > 2)
        channels = 2;
    c->sample_rate = rate;
    c->sample_fmt = c->codec->sample_fmts[0];
    if (opus)
        c->sample_fmt = AV_SAMPLE_FMT_FLT;
    av_channel_layout_default(&c->ch_layout, channels);
    c->bit_rate = spec->audio.bitrate ? spec->audio.bitrate : channels * 64000;
    c->time_base = (AVRational){1, rate};
    s->filter.chain = sl_asprintf(
        "aresample=%d:async=1000,aformat=sample_fmts=%s:sample_rates=%d:channel_layouts=%s", rate,
        av_get_sample_fmt_name(c->sample_fmt), rate, channels == 1 ? "mono" : "stereo");
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
    s->last_pts = INT64_MIN;
    if (!codec)
        return -1;
    s->codec = avcodec_alloc_context3(codec);
    t->par = avcodec_parameters_alloc();
    if (!s->codec || !t->par)
        abort();
    s->codec->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
    s->filter.media = t->media;
    s->filter.time_base = in->time_base;
    if (t->media == SL_VIDEO)
        setup_video(s, in, spec, &options);
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
    return sl_filter_send(&s->filter, frame);
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
    .want_key = software_want_key,
    .close = software_close,
};
