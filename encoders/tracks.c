/* SPDX-License-Identifier: GPL-2.0-or-later
 * Tracks of a demuxer. Layer: encoders.
 */
#include "encoders/tracks.h"
#include <libavutil/display.h>

static bool protected_tag(uint32_t tag)
{
    return tag == MKTAG('e', 'n', 'c', 'v') || tag == MKTAG('e', 'n', 'c', 'a') ||
           tag == MKTAG('d', 'r', 'm', 's') || tag == MKTAG('d', 'r', 'm', 'i');
}

int sl_tracks_choose(AVFormatContext *format, const char *where, int ret_stream[SL_MEDIA_COUNT],
                     struct sl_err *err)
{
    static const enum AVMediaType types[] = {AVMEDIA_TYPE_VIDEO, AVMEDIA_TYPE_AUDIO};
    int stream[SL_MEDIA_COUNT];

    for (int m = 0; m < SL_MEDIA_COUNT; m++) {
        stream[m] = -1;
        for (unsigned i = 0; i < format->nb_streams && stream[m] < 0; i++) {
            const AVStream *s = format->streams[i];

            if (s->codecpar->codec_type != types[m] ||
                (s->disposition & AV_DISPOSITION_ATTACHED_PIC))
                continue;
            if (protected_tag(s->codecpar->codec_tag))
                return sl_err_set(err, SL_ERR_HUMAN, 0, "Encrypted",
                                  "%s is encrypted: replace it with one that is not", where);
            if (s->codecpar->codec_id != AV_CODEC_ID_NONE)
                stream[m] = (int)i;
        }
    }
    for (unsigned i = 0; i < format->nb_streams; i++) {
        if ((int)i != stream[SL_VIDEO] && (int)i != stream[SL_AUDIO])
            format->streams[i]->discard = AVDISCARD_ALL;
    }
    if (stream[SL_VIDEO] < 0 && stream[SL_AUDIO] < 0)
        return sl_err_set(err, SL_ERR_HUMAN, 0, "NoTracks",
                          "%s holds neither a picture nor a sound track", where);
    memcpy(ret_stream, stream, sizeof(stream));
    return 0;
}

static int turned(AVStream *stream)
{
    const int32_t *matrix =
        (int32_t *)(void *)av_stream_get_side_data(stream, AV_PKT_DATA_DISPLAYMATRIX, NULL);
    double turn = matrix ? -av_display_rotation_get(matrix) : 0;

    if (turn != turn) /* NAN */
        return 0;
    return ((int)(turn < 0 ? turn - 45 : turn + 45) / 90 * 90 + 360) % 360;
}

void sl_tracks_describe(AVFormatContext *format, int number, enum sl_media m, struct sl_in_track *t)
{
    AVStream *stream = format->streams[number];

    t->present = true;
    if (!t->par)
        t->par = avcodec_parameters_alloc();
    if (!t->par || avcodec_parameters_copy(t->par, stream->codecpar) < 0)
        abort();
    t->time_base = stream->time_base;
    if (m != SL_VIDEO)
        return;
    t->par->sample_aspect_ratio = av_guess_sample_aspect_ratio(format, stream, NULL);
    t->rate = av_guess_frame_rate(format, stream, NULL);
    if (t->rate.num <= 0 || t->rate.den <= 0 || av_q2d(t->rate) > 240 || av_q2d(t->rate) < 0.5) {
        t->rate = (AVRational){25, 1};
        if (stream->nb_frames > 1 && stream->duration > 0)
            av_reduce(&t->rate.num, &t->rate.den, stream->nb_frames * stream->time_base.den,
                      stream->duration * stream->time_base.num, 1001000);
    }
    t->rotation = turned(stream);
}

int64_t sl_tracks_frame(const AVFormatContext *format, int number, const struct sl_in_track *t)
{
    const AVStream *s = format->streams[number];

    if (t->par->codec_type == AVMEDIA_TYPE_VIDEO)
        return av_rescale_q(1, av_inv_q(t->rate), s->time_base);
    if (t->par->frame_size > 0 && t->par->sample_rate > 0)
        return av_rescale_q(t->par->frame_size, (AVRational){1, t->par->sample_rate}, s->time_base);
    return 0;
}

bool sl_tracks_same(const struct sl_in_track *a, const struct sl_in_track *b)
{
    const AVCodecParameters *p = a->par, *q = b->par;

    if (a->present != b->present)
        return false;
    if (!a->present)
        return true;
    return p->codec_id == q->codec_id && p->width == q->width && p->height == q->height &&
           p->sample_rate == q->sample_rate &&
           p->ch_layout.nb_channels == q->ch_layout.nb_channels &&
           p->extradata_size == q->extradata_size && av_cmp_q(a->time_base, b->time_base) == 0 &&
           (p->extradata_size == 0 ||
            memcmp(p->extradata, q->extradata, (size_t)p->extradata_size) == 0);
}

bool sl_tracks_encrypted(const AVPacket *packet)
{
    return av_packet_get_side_data(packet, AV_PKT_DATA_ENCRYPTION_INFO, NULL) != NULL;
}
