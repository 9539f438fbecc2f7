/* SPDX-License-Identifier: GPL-2.0-or-later
 * The table of carried codecs. Layer: encoders.
 */
#include "encoders/carry.h"

static const struct row {
    enum AVCodecID id;
    const char *name;
    bool carried;
} rows[] = {
    {AV_CODEC_ID_H264, "H264", true},
    {AV_CODEC_ID_HEVC, "H265", true},
    {AV_CODEC_ID_AV1, "AV1", false},
    {AV_CODEC_ID_VP8, "VP8", true},
    {AV_CODEC_ID_VP9, "VP9", true},
    {AV_CODEC_ID_MJPEG, "M-JPEG", true},
    {AV_CODEC_ID_MPEG4, "MPEG-4 Video", true},
    {AV_CODEC_ID_MPEG2VIDEO, "MPEG-1/2 Video", true},
    {AV_CODEC_ID_MPEG1VIDEO, "MPEG-1/2 Video", true},
    {AV_CODEC_ID_AAC, "MPEG4Audio", true},
    {AV_CODEC_ID_OPUS, "Opus", true},
    {AV_CODEC_ID_MP3, "MPEG-1/2 Audio", true},
    {AV_CODEC_ID_MP2, "MPEG-1/2 Audio", true},
    {AV_CODEC_ID_PCM_MULAW, "G711", true},
    {AV_CODEC_ID_PCM_ALAW, "G711", true},
    {AV_CODEC_ID_ADPCM_G722, "G722", true},
    {AV_CODEC_ID_PCM_S16BE, "LPCM", true},
    {AV_CODEC_ID_PCM_S24BE, "LPCM", true},
    {AV_CODEC_ID_VORBIS, "Vorbis", true},
    {AV_CODEC_ID_SPEEX, "Speex", true},
    {AV_CODEC_ID_AC3, "AC-3", false},
    {AV_CODEC_ID_EAC3, "E-AC-3", false},
    {AV_CODEC_ID_FLAC, "FLAC", false},
};

static const struct row *find(enum AVCodecID id)
{
    for (size_t i = 0; i < SL_COUNT(rows); i++) {
        if (rows[i].id == id)
            return &rows[i];
    }
    return NULL;
}

const char *sl_carry_why_not(const AVCodecParameters *par)
{
    const struct row *row = find(par->codec_id);

    if (!row || !row->carried)
        return "RTSP does not carry this codec here: transcode it";
    if (par->codec_id == AV_CODEC_ID_OPUS && par->ch_layout.nb_channels > 2)
        return "RTSP carries Opus in mono and stereo only: transcode it";
    return NULL;
}

void sl_carry_track(const AVCodecParameters *par, struct sl_track *ret)
{
    const struct row *row = find(par->codec_id);

    memset(ret, 0, sizeof(*ret));
    snprintf(ret->codec, sizeof(ret->codec), "%s",
             row ? row->name : avcodec_get_name(par->codec_id));
    ret->b_frames = (par->codec_id == AV_CODEC_ID_H264 || par->codec_id == AV_CODEC_ID_HEVC) &&
                    par->video_delay > 0;
    if (par->codec_type == AVMEDIA_TYPE_AUDIO) {
        ret->sample_rate = par->sample_rate;
        ret->channels = par->ch_layout.nb_channels;
        ret->mulaw = par->codec_id == AV_CODEC_ID_PCM_MULAW;
    }
}
