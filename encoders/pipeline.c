/* SPDX-License-Identifier: GPL-2.0-or-later
 * The pipeline. Layer: encoders.
 */
#include "encoders/pipeline.h"
#include "encoders/av_bridge.h"
#include "encoders/carry.h"
#include "reconcile/base/buf.h"
#include "reconcile/base/hash.h"

void sl_item_free(struct sl_item *item)
{
    av_packet_free(&item->packet);
    av_frame_free(&item->frame);
}

static int add(struct sl_pipeline *p, enum sl_media media, const char *codec,
               const struct sl_encspec *spec, struct sl_err *err)
{
    struct sl_out_track *t = &p->out[p->count];

    *t = (struct sl_out_track){.media = media, .codec = codec, .index = p->count};
    t->class = sl_streq(codec, "copy") ? &sl_enc_copy : &sl_enc_software;
    p->count++;
    if (t->class->takes_packets && p->input->track[media].raw)
        return sl_err_set(err, SL_ERR_HUMAN, 0, "BadSpec",
                          "a test source has nothing to copy: encode it");
    if (t->class->open(t, &p->input->track[media], spec, p->input->class->peek(p->input, media),
                       err) < 0)
        return -1;
    sl_carry_track(t->par, &p->facts.track[t->index]);
    p->facts.count = p->count;
    return 0;
}

static int open_decoder(struct sl_pipeline *p, enum sl_media media, struct sl_err *err)
{
    const struct sl_in_track *in = &p->input->track[media];
    const AVCodec *codec = avcodec_find_decoder(in->par->codec_id);
    AVCodecContext *c;
    int rc;

    if (!codec)
        return sl_err_set(err, SL_ERR_HUMAN, 0, "NoDecoder", "there is no decoder for %s here",
                          avcodec_get_name(in->par->codec_id));
    c = p->decoder[media] = avcodec_alloc_context3(codec);
    if (!c)
        abort();
    rc = avcodec_parameters_to_context(c, in->par);
    c->pkt_timebase = in->time_base;
    c->thread_count = media == SL_VIDEO && in->par->width * in->par->height >= 1280 * 720 ? 2 : 1;
    if (rc >= 0)
        rc = avcodec_open2(c, codec, NULL);
    if (rc < 0)
        return sl_err_set(err, SL_ERR_HUMAN, 0, "NoDecoder", "the decoder %s refused: %s",
                          codec->name, sl_av_text(rc));
    return 0;
}

int sl_pipeline_open(struct sl_pipeline *p, struct sl_input *input, const struct sl_encspec *spec,
                     struct sl_err *err)
{
    bool copy = spec->mode == SL_ENC_COPY;
    const char *video = copy ? "copy" : *spec->video.codec ? spec->video.codec : "h264";
    const char *audio = *spec->audio.codec ? spec->audio.codec : copy ? "copy" : "aac";

    *p = (struct sl_pipeline){.input = input};
    if (copy && !sl_streq(audio, "none"))
        audio = "copy";
    p->packet = av_packet_alloc();
    p->frame = av_frame_alloc();
    if (!p->packet || !p->frame)
        abort();
    if (input->track[SL_VIDEO].present && add(p, SL_VIDEO, video, spec, err) < 0)
        return -1;
    if (input->track[SL_AUDIO].present && !sl_streq(audio, "none")) {
        if (add(p, SL_AUDIO, audio, spec, err) < 0)
            return -1;
        if (!copy && spec->audio.webrtc_opus && !sl_streq(audio, "opus") &&
            add(p, SL_AUDIO, "opus", spec, err) < 0)
            return -1;
    }
    if (p->count == 0)
        return sl_err_set(err, SL_ERR_HUMAN, 0, "NoTracks",
                          "nothing is left to publish: the "
                          "source has no picture and the sound is turned off");
    for (int i = 0; i < p->count; i++) {
        enum sl_media m = p->out[i].media;

        if (!p->out[i].class->takes_packets && !input->track[m].raw && !p->decoder[m] &&
            open_decoder(p, m, err) < 0)
            return -1;
    }
    return 0;
}

static int drain(struct sl_pipeline *p, struct sl_out_track *t, sl_pipeline_sink sink, void *arg)
{
    int rc;

    while ((rc = t->class->receive(t, p->packet)) >= 0) {
        rc = sink(arg, t, p->packet);
        av_packet_unref(p->packet);
        if (rc < 0)
            return rc;
    }
    return rc == AVERROR(EAGAIN) || rc == AVERROR_EOF ? 0 : rc;
}

static int send_frame(struct sl_pipeline *p, enum sl_media media, const AVFrame *frame,
                      sl_pipeline_sink sink, void *arg)
{
    for (int i = 0; i < p->count; i++) {
        struct sl_out_track *t = &p->out[i];
        int rc;

        if (t->media != media || t->class->takes_packets)
            continue;
        rc = t->class->send(t, NULL, frame);
        if (rc >= 0)
            rc = drain(p, t, sink, arg);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int decode(struct sl_pipeline *p, enum sl_media media, const AVPacket *packet,
                  sl_pipeline_sink sink, void *arg)
{
    AVCodecContext *c = p->decoder[media];
    int rc = avcodec_send_packet(c, packet);

    if (rc < 0 && rc != AVERROR_EOF) {
        p->broken++; /* a damaged packet costs itself, not the stream */
        return 0;
    }
    while ((rc = avcodec_receive_frame(c, p->frame)) >= 0) {
        p->frame->pts = p->frame->best_effort_timestamp;
        if (p->frame->pts != AV_NOPTS_VALUE)
            rc = send_frame(p, media, p->frame, sink, arg);
        av_frame_unref(p->frame);
        if (rc < 0)
            return rc;
    }
    if (rc != AVERROR(EAGAIN) && rc != AVERROR_EOF)
        p->broken++;
    return 0;
}

int sl_pipeline_push(struct sl_pipeline *p, struct sl_item *item, sl_pipeline_sink sink, void *arg)
{
    int rc = 0;

    if (item->frame) {
        rc = send_frame(p, item->media, item->frame, sink, arg);
        sl_item_free(item);
        return rc;
    }
    for (int i = 0; i < p->count && rc >= 0; i++) {
        struct sl_out_track *t = &p->out[i];

        if (t->media != item->media || !t->class->takes_packets)
            continue;
        rc = t->class->send(t, item->packet, NULL);
        if (rc >= 0)
            rc = drain(p, t, sink, arg);
        if (rc == AVERROR_INVALIDDATA) {
            p->broken++;
            rc = 0;
        }
    }
    if (rc >= 0 && p->decoder[item->media])
        rc = decode(p, item->media, item->packet, sink, arg);
    sl_item_free(item);
    return rc;
}

int sl_pipeline_flush(struct sl_pipeline *p, sl_pipeline_sink sink, void *arg)
{
    for (int m = 0; m < SL_MEDIA_COUNT; m++) {
        if (p->decoder[m]) {
            int rc = decode(p, (enum sl_media)m, NULL, sink, arg);

            if (rc < 0)
                return rc;
        }
    }
    for (int i = 0; i < p->count; i++) {
        struct sl_out_track *t = &p->out[i];
        int rc = t->class->send(t, NULL, NULL);

        if (rc >= 0)
            rc = drain(p, t, sink, arg);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int sl_pipeline_idle(struct sl_pipeline *p, int64_t us, sl_pipeline_sink sink, void *arg)
{
    for (int i = 0; i < p->count; i++) {
        struct sl_out_track *t = &p->out[i];
        int rc = t->class->idle ? t->class->idle(t, us) : 0;

        if (rc >= 0 && t->class->idle)
            rc = drain(p, t, sink, arg);
        if (rc < 0)
            return rc;
    }
    return 0;
}

bool sl_pipeline_may_start(const struct sl_pipeline *p, const struct sl_item *item)
{
    if (item->frame || !p->count || !p->out[0].class->takes_packets)
        return true;
    return p->out[0].media == item->media && (item->packet->flags & AV_PKT_FLAG_KEY);
}

bool sl_pipeline_renews(struct sl_pipeline *p, const struct sl_item *item)
{
    bool renews = false;

    for (int i = 0; i < p->count && item->packet; i++) {
        struct sl_out_track *t = &p->out[i];

        if (t->media == item->media && t->class->renews && t->class->renews(t, item->packet)) {
            sl_carry_track(t->par, &p->facts.track[t->index]);
            renews = true;
        }
    }
    return renews;
}

void sl_pipeline_signature(const struct sl_pipeline *p, char ret[SL_SIGNATURE])
{
    struct sl_buf text = {0};

    for (int i = 0; i < p->count; i++) {
        const AVCodecParameters *par = p->out[i].par;

        sl_buf_printf(&text, "%d %d %d %d %d %d/%d %d:", par->codec_id, par->width, par->height,
                      par->sample_rate, par->ch_layout.nb_channels, p->out[i].time_base.num,
                      p->out[i].time_base.den, par->extradata_size);
        sl_buf_add(&text, (const char *)par->extradata, (size_t)par->extradata_size);
    }
    sl_sha256_hex(text.data ? text.data : "", text.len, ret);
    sl_buf_free(&text);
}

void sl_pipeline_want_key(struct sl_pipeline *p)
{
    for (int i = 0; i < p->count; i++)
        p->out[i].class->want_key(&p->out[i]);
}

void sl_pipeline_close(struct sl_pipeline *p)
{
    for (int i = 0; i < p->count; i++) {
        p->out[i].class->close(&p->out[i]);
        avcodec_parameters_free(&p->out[i].par);
    }
    for (int m = 0; m < SL_MEDIA_COUNT; m++)
        avcodec_free_context(&p->decoder[m]);
    av_packet_free(&p->packet);
    av_frame_free(&p->frame);
    p->count = 0;
}
