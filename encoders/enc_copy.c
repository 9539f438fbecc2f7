/* SPDX-License-Identifier: GPL-2.0-or-later
 * Backend "copy": packets go out as they came, in the form that RTSP readers can enter at any
 * keyframe (parameter sets in band, AAC without ADTS heads). Layer: encoders. Never decodes.
 */
#include "encoders/annexb.h"
#include "encoders/av_bridge.h"
#include "encoders/carry.h"
#include "encoders/encoder.h"
#include <libavcodec/bsf.h>

struct copy {
    AVBSFContext *bsf;
    AVPacket *pending;       /* without a filter: what send gave and receive has not taken */
    struct sl_params params; /* H.264, H.265: in force now, as readers need them in band */
    struct sl_in_track in;   /* borrowed par: what the filter was made for */
};

static bool in_band(enum AVCodecID codec)
{
    return codec == AV_CODEC_ID_H264 || codec == AV_CODEC_ID_HEVC;
}

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
                          sl_input_label(spec), why);
    if (filter)
        rc = make_filter(filter, in, &c->bsf);
    if (rc >= 0)
        rc = avcodec_parameters_copy(t->par, c->bsf ? c->bsf->par_out : in->par);
    if (rc >= 0 && in->par->codec_id == AV_CODEC_ID_AAC && t->par->extradata_size == 0)
        rc = config_from_packet(t->par, in, first);
    if (rc >= 0 && t->par->extradata_size == 0 &&
        (in->par->codec_id == AV_CODEC_ID_H264 || in->par->codec_id == AV_CODEC_ID_HEVC))
        return sl_err_set(err, SL_ERR_HUMAN, 0, "CodecNotCarried",
                          "%s of %s has no parameter sets: transcode it", codec,
                          sl_input_label(spec));
    if (rc < 0)
        return sl_err_set(err, SL_ERR_HUMAN, 0, "CodecNotCarried",
                          "%s of %s cannot be copied (%s): transcode it", codec,
                          sl_input_label(spec), sl_av_text(rc));
    t->par->codec_tag = 0;
    c->in.time_base = in->time_base;
    if (in_band(t->par->codec_id))
        sl_params_read(t->par->codec_id, t->par->extradata, (size_t)t->par->extradata_size,
                       &c->params);
    return 0;
}

static void take_extradata(AVCodecParameters *par, const void *data, size_t size)
{
    av_freep(&par->extradata);
    par->extradata = av_mallocz(size + AV_INPUT_BUFFER_PADDING_SIZE);
    if (!par->extradata)
        abort();
    memcpy(par->extradata, data, size);
    par->extradata_size = (int)size;
}

/* Size of the picture that this keyframe brings. */
static void measure(AVCodecParameters *par, const AVPacket *packet)
{
    AVCodecParserContext *parser = av_parser_init((int)par->codec_id);
    AVCodecContext *c = avcodec_alloc_context3(NULL);
    uint8_t *out;
    int size;

    if (!c)
        abort();
    if (parser) {
        parser->flags |= PARSER_FLAG_COMPLETE_FRAMES;
        av_parser_parse2(parser, c, &out, &size, packet->data, packet->size, packet->pts,
                         packet->dts, -1);
        if (parser->width > 0 && parser->height > 0) {
            par->width = parser->width;
            par->height = parser->height;
        }
        av_parser_close(parser);
    }
    avcodec_free_context(&c);
}

/* A container that changes its boxed parameter sets says so with a packet: a new filter. */
static bool new_boxes(struct sl_out_track *t, const AVPacket *packet)
{
    struct copy *c = t->priv;
    size_t size;
    const uint8_t *data = av_packet_get_side_data(packet, AV_PKT_DATA_NEW_EXTRADATA, &size);
    const AVCodecParameters *had = c->bsf ? c->bsf->par_in : NULL;
    AVCodecParameters *par;
    AVBSFContext *bsf = NULL;

    if (!data || !had ||
        ((size_t)had->extradata_size == size && memcmp(had->extradata, data, size) == 0))
        return false;
    par = avcodec_parameters_alloc();
    if (!par || avcodec_parameters_copy(par, had) < 0)
        abort();
    take_extradata(par, data, size);
    c->in.par = par;
    if (make_filter(c->bsf->filter->name, &c->in, &bsf) >= 0) {
        av_bsf_free(&c->bsf);
        c->bsf = bsf;
        take_extradata(t->par, bsf->par_out->extradata, (size_t)bsf->par_out->extradata_size);
        sl_params_free(&c->params);
        sl_params_read(t->par->codec_id, t->par->extradata, (size_t)t->par->extradata_size,
                       &c->params);
    }
    c->in.par = NULL;
    avcodec_parameters_free(&par);
    return bsf != NULL;
}

static bool copy_renews(struct sl_out_track *t, const AVPacket *packet)
{
    struct copy *c = t->priv;
    struct sl_params found;
    bool renews = false;

    if (!in_band(t->par->codec_id) || !(packet->flags & AV_PKT_FLAG_KEY))
        return false;
    if (c->bsf) {
        renews = new_boxes(t, packet);
        if (renews)
            measure(t->par, packet);
        return renews;
    }
    sl_params_read(t->par->codec_id, packet->data, (size_t)packet->size, &found);
    if (found.complete && (found.all.len != c->params.all.len ||
                           memcmp(found.all.data, c->params.all.data, found.all.len) != 0)) {
        renews = found.sps.len != c->params.sps.len ||
                 memcmp(found.sps.data, c->params.sps.data, found.sps.len) != 0;
        take_extradata(t->par, found.all.data, found.all.len);
        if (renews)
            measure(t->par, packet);
        sl_params_free(&c->params);
        c->params = found;
        return renews;
    }
    sl_params_free(&found);
    return false;
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

/* Who enters at this keyframe finds the parameter sets in it, whatever the source does. */
static void complete(const struct copy *c, enum AVCodecID codec, AVPacket *packet)
{
    struct sl_params found;
    AVPacket *whole;

    if (!(packet->flags & AV_PKT_FLAG_KEY) || !c->params.complete)
        return;
    sl_params_read(codec, packet->data, (size_t)packet->size, &found);
    if (!found.complete) {
        whole = av_packet_alloc();
        if (!whole || av_new_packet(whole, (int)c->params.all.len + packet->size) < 0 ||
            av_packet_copy_props(whole, packet) < 0)
            abort();
        memcpy(whole->data, c->params.all.data, c->params.all.len);
        memcpy(whole->data + c->params.all.len, packet->data, (size_t)packet->size);
        av_packet_unref(packet);
        av_packet_move_ref(packet, whole);
        av_packet_free(&whole);
    }
    sl_params_free(&found);
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
    if (rc < 0)
        return rc;
    /* parameters are told once, in par: a muxer must not take them a second time */
    av_packet_free_side_data(ret);
    if (in_band(t->par->codec_id))
        complete(c, t->par->codec_id, ret);
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
        sl_params_free(&c->params);
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
    .renews = copy_renews,
    .want_key = copy_want_key,
    .close = copy_close,
};
