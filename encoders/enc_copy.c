/* SPDX-License-Identifier: GPL-2.0-or-later
 * Backend "copy": packets go out as they came, in the form that RTSP readers can enter at any
 * keyframe (parameter sets in band, AAC without ADTS heads). Layer: encoders. Never decodes.
 */
#include "encoders/av_bridge.h"
#include "encoders/carry.h"
#include "encoders/encoder.h"
#include <libavcodec/bsf.h>

struct copy {
    AVBSFContext *bsf;
    AVPacket *pending; /* without a filter: what send gave and receive has not taken */
};

/* The bitstream filter that this track needs, or NULL. */
static const char *filter_for(const AVCodecParameters *par)
{
    bool boxed = par->extradata_size > 4 && par->extradata[0] == 1;

    if (par->codec_id == AV_CODEC_ID_H264)
        return boxed ? "h264_mp4toannexb" : NULL;
    if (par->codec_id == AV_CODEC_ID_HEVC)
        return boxed ? "hevc_mp4toannexb" : NULL;
    if (par->codec_id == AV_CODEC_ID_AAC && par->extradata_size == 0)
        return "aac_adtstoasc";
    return NULL;
}

static int make_filter(const char *name, const struct sl_in_track *in, AVBSFContext **ret)
{
    const AVBitStreamFilter *filter = av_bsf_get_by_name(name);
    AVBSFContext *bsf;
    int rc;

    if (!filter)
        return AVERROR_BSF_NOT_FOUND;
    rc = av_bsf_alloc(filter, &bsf);
    if (rc < 0)
        return rc;
    rc = avcodec_parameters_copy(bsf->par_in, in->par);
    bsf->time_base_in = in->time_base;
    if (rc >= 0)
        rc = av_bsf_init(bsf);
    if (rc < 0)
        av_bsf_free(&bsf);
    else
        *ret = bsf;
    return rc;
}

/* aac_adtstoasc tells the AudioSpecificConfig with the first packet only; the SDP needs it now. */
static int config_from_packet(AVCodecParameters *par, const struct sl_in_track *in,
                              const AVPacket *first)
{
    AVBSFContext *bsf = NULL;
    AVPacket *packet = first ? av_packet_clone(first) : NULL;
    uint8_t *data;
    size_t size = 0;
    int rc;

    if (!packet)
        return AVERROR_INVALIDDATA;
    rc = make_filter("aac_adtstoasc", in, &bsf);
    if (rc >= 0)
        rc = av_bsf_send_packet(bsf, packet);
    if (rc >= 0)
        rc = av_bsf_receive_packet(bsf, packet);
    if (rc >= 0) {
        data = av_packet_get_side_data(packet, AV_PKT_DATA_NEW_EXTRADATA, &size);
        if (data && size) {
            par->extradata = av_mallocz(size + AV_INPUT_BUFFER_PADDING_SIZE);
            if (!par->extradata)
                abort();
            memcpy(par->extradata, data, size);
            par->extradata_size = (int)size;
        } else {
            rc = AVERROR_INVALIDDATA;
        }
    }
    av_packet_free(&packet);
    av_bsf_free(&bsf);
    return rc;
}

static int copy_open(struct sl_out_track *t, const struct sl_in_track *in,
                     const struct sl_encspec *spec, const AVPacket *first, struct sl_err *err)
{
    struct copy *c = sl_alloc(sizeof(*c));
    const char *why = strncmp(spec->publish.url, "rtsp", 4) == 0 ? sl_carry_why_not(in->par) : NULL;
    const char *codec = avcodec_get_name(in->par->codec_id);
    const char *filter = filter_for(in->par);
    int rc = 0;

    t->priv = c;
    t->time_base = in->time_base;
    t->par = avcodec_parameters_alloc();
    if (!t->par)
        abort();
    if (why)
        return sl_err_set(err, SL_ERR_HUMAN, 0, "CodecNotCarried", "%s of %s: %s", codec,
                          spec->file.path, why);
    if (filter)
        rc = make_filter(filter, in, &c->bsf);
    if (rc >= 0)
        rc = avcodec_parameters_copy(t->par, c->bsf ? c->bsf->par_out : in->par);
    if (rc >= 0 && in->par->codec_id == AV_CODEC_ID_AAC && t->par->extradata_size == 0)
        rc = config_from_packet(t->par, in, first);
    if (rc >= 0 && t->par->extradata_size == 0 &&
        (in->par->codec_id == AV_CODEC_ID_H264 || in->par->codec_id == AV_CODEC_ID_HEVC))
        return sl_err_set(err, SL_ERR_HUMAN, 0, "CodecNotCarried",
                          "%s of %s has no parameter sets: transcode it", codec, spec->file.path);
    if (rc < 0)
        return sl_err_set(err, SL_ERR_HUMAN, 0, "CodecNotCarried",
                          "%s of %s cannot be copied (%s): transcode it", codec, spec->file.path,
                          sl_av_text(rc));
    t->par->codec_tag = 0;
    return 0;
}

static int copy_send(struct sl_out_track *t, const AVPacket *packet, const AVFrame *frame)
{
    struct copy *c = t->priv;
    AVPacket *own;
    int rc;

    (void)frame;
    if (!packet)
        return c->bsf ? av_bsf_send_packet(c->bsf, NULL) : 0;
    own = av_packet_clone(packet);
    if (!own)
        abort();
    if (!c->bsf) {
        av_packet_free(&c->pending);
        c->pending = own;
        return 0;
    }
    rc = av_bsf_send_packet(c->bsf, own);
    av_packet_free(&own);
    return rc;
}

static int copy_receive(struct sl_out_track *t, AVPacket *ret)
{
    struct copy *c = t->priv;
    int rc = 0;

    if (c->bsf) {
        rc = av_bsf_receive_packet(c->bsf, ret);
    } else if (c->pending) {
        av_packet_move_ref(ret, c->pending);
        av_packet_free(&c->pending);
    } else {
        rc = AVERROR(EAGAIN);
    }
    if (rc >= 0) /* parameters are told once, in par: a muxer must not take them a second time */
        av_packet_free_side_data(ret);
    return rc;
}

static void copy_want_key(struct sl_out_track *t)
{
    (void)t; /* nothing to ask: the worker begins at a keyframe of the source */
}

static void copy_close(struct sl_out_track *t)
{
    struct copy *c = t->priv;

    if (c) {
        av_bsf_free(&c->bsf);
        av_packet_free(&c->pending);
    }
    free(c);
    t->priv = NULL;
}

const struct sl_encoder_class sl_enc_copy = {
    .name = "copy",
    .takes_packets = true,
    .open = copy_open,
    .send = copy_send,
    .receive = copy_receive,
    .want_key = copy_want_key,
    .close = copy_close,
};
