/* SPDX-License-Identifier: GPL-2.0-or-later
 * Details of a source. Layer: cmd.
 */
#include "cmd/sluice-encoder/details.h"
#include <libavutil/pixdesc.h>

static bool interlaced(const AVCodecParameters *par)
{
    return par->field_order != AV_FIELD_UNKNOWN && par->field_order != AV_FIELD_PROGRESSIVE;
}

static void set_text(json_t *o, const char *key, const char *text)
{
    if (text)
        json_object_set_new(o, key, json_string(text));
}

static void set_number(json_t *o, const char *key, int64_t n)
{
    if (n > 0)
        json_object_set_new(o, key, json_integer(n));
}

static void video(json_t *o, const struct sl_in_track *t)
{
    const AVCodecParameters *par = t->par;

    set_number(o, "width", par->width);
    set_number(o, "height", par->height);
    if (t->rate.num > 0)
        json_object_set_new(o, "rate", json_real(av_q2d(t->rate)));
    if (par->sample_aspect_ratio.num > 0 &&
        par->sample_aspect_ratio.num != par->sample_aspect_ratio.den) {
        char sar[32];

        snprintf(sar, sizeof(sar), "%d:%d", par->sample_aspect_ratio.num,
                 par->sample_aspect_ratio.den);
        set_text(o, "pixelAspect", sar);
    }
    set_text(o, "pixels", av_get_pix_fmt_name((enum AVPixelFormat)par->format));
    set_number(o, "rotation", t->rotation);
    if (interlaced(par))
        json_object_set_new(o, "interlaced", json_true());
    if (par->video_delay > 0)
        json_object_set_new(o, "bFrames", json_true());
}

static json_t *stream(const struct sl_in_track *t)
{
    const AVCodecParameters *par = t->par;
    json_t *o = json_object();

    set_text(o, "codec", avcodec_get_name(par->codec_id));
    set_text(o, "profile", avcodec_profile_name(par->codec_id, par->profile));
    set_number(o, "bitrate", par->bit_rate);
    if (par->codec_type == AVMEDIA_TYPE_VIDEO) {
        video(o, t);
    } else {
        set_number(o, "sampleRate", par->sample_rate);
        set_number(o, "channels", par->ch_layout.nb_channels);
    }
    return o;
}

static void note(json_t *notes, bool holds, const char *text)
{
    if (holds)
        json_array_append_new(notes, json_string(text));
}

void details_add(json_t *o, const struct sl_input *input)
{
    const struct sl_in_track *v = &input->track[SL_VIDEO];
    json_t *streams = json_array(), *notes = json_array();

    for (int m = 0; m < SL_MEDIA_COUNT; m++) {
        if (input->track[m].present && !input->track[m].raw)
            json_array_append_new(streams, stream(&input->track[m]));
    }
    if (v->present && !v->raw) {
        note(notes, v->rotation,
             "the picture is to be turned: copy cannot say so, transcode turns it");
        note(notes, interlaced(v->par),
             "the picture is interlaced: copy leaves that to the player, transcode does not");
        note(notes,
             v->par->codec_id == AV_CODEC_ID_H264 && v->par->profile >= FF_PROFILE_H264_HIGH_10,
             "10 bits a colour: browsers do not play that; transcode gives 8");
        note(notes, v->par->video_delay > 0,
             "B-frames: WebRTC refuses them; transcode leaves them out");
    }
    json_object_set_new(o, "streams", streams);
    json_object_set_new(o, "notes", notes);
}
