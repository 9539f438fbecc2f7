/* SPDX-License-Identifier: GPL-2.0-or-later
 * Seams between rounds of a file. Layer: encoders.
 */
#include "encoders/seam.h"
#include <libavutil/mathematics.h>

void sl_seam_add(struct sl_seam *s, enum sl_media m, AVRational base, int64_t frame)
{
    s->has[m] = true;
    s->base[m] = base;
    s->frame[m] = frame;
    s->end[m] = INT64_MIN;
}

void sl_seam_see(struct sl_seam *s, enum sl_media m, int64_t pts, int64_t duration)
{
    if (duration > 0)
        s->frame[m] = duration;
    if (!s->known[m]) {
        s->known[m] = true;
        s->origin[m] = pts;
    }
    if (pts + s->frame[m] > s->end[m])
        s->end[m] = pts + s->frame[m];
}

static enum sl_media reference(const struct sl_seam *s)
{
    return s->has[SL_VIDEO] ? SL_VIDEO : SL_AUDIO;
}

int64_t sl_seam_offset(const struct sl_seam *s, enum sl_media m)
{
    return av_rescale_q(s->total, s->base[reference(s)], s->base[m]);
}

/* Length of this round in the reference's base. The picture decides; a sound that is a little
 * shorter may pull the seam forward by half a picture, so that neither steps by more than 1.5
 * frames; a sound that is far longer (a still with music) decides itself. */
static int64_t length(const struct sl_seam *s)
{
    enum sl_media ref = reference(s);
    int64_t picture = s->end[ref] - s->origin[ref], sound, want;

    if (s->end[ref] == INT64_MIN)
        return 0;
    if (ref == SL_AUDIO || !s->known[SL_AUDIO] || s->end[SL_AUDIO] == INT64_MIN)
        return picture;
    sound = av_rescale_q(s->end[SL_AUDIO] - s->origin[SL_AUDIO], s->base[SL_AUDIO], s->base[ref]);
    if (av_compare_ts(sound - picture, s->base[ref], 1, (AVRational){1, 1}) > 0)
        return sound;
    want = sound + av_rescale_q(s->frame[SL_AUDIO] / 2, s->base[SL_AUDIO], s->base[ref]);
    if (want >= picture)
        return picture;
    return want > picture - s->frame[ref] / 2 ? want : picture - s->frame[ref] / 2;
}

int64_t sl_seam_next(struct sl_seam *s)
{
    s->total += length(s);
    for (int m = 0; m < SL_MEDIA_COUNT; m++)
        s->end[m] = INT64_MIN;
    if (!s->has[SL_AUDIO] || !s->known[SL_AUDIO])
        return INT64_MAX;
    return s->origin[SL_AUDIO] + sl_seam_offset(s, SL_AUDIO);
}

bool sl_seam_keeps(const struct sl_seam *s, int64_t pts, int64_t duration, int64_t next_start)
{
    if (duration <= 0)
        duration = s->frame[SL_AUDIO];
    return next_start == INT64_MAX || pts + duration / 2 <= next_start;
}
