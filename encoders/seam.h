/* SPDX-License-Identifier: GPL-2.0-or-later
 * The arithmetic of endless files: where the next round begins on the time line, so that picture
 * and sound stay together for ever. A plain value, no libav context, no clock: it is unit-tested.
 * The sum of rounds is kept in the picture's own time base (the sound's, if there is no picture)
 * and scaled from there, so rounding never adds up. Layer: encoders.
 */
#pragma once
#include "reconcile/base/base.h"
#include <libavutil/rational.h>

enum sl_media { SL_VIDEO, SL_AUDIO, SL_MEDIA_COUNT };

struct sl_seam {
    bool has[SL_MEDIA_COUNT];
    AVRational base[SL_MEDIA_COUNT];
    int64_t origin[SL_MEDIA_COUNT]; /* first pts of a whole round, as in the file */
    bool known[SL_MEDIA_COUNT];     /* origin is known */
    int64_t end[SL_MEDIA_COUNT];    /* largest pts + duration of this round, as in the file */
    int64_t frame[SL_MEDIA_COUNT];  /* last known duration of one */
    int64_t total;                  /* of the rounds done, in the reference's time base */
};

void sl_seam_add(struct sl_seam *seam, enum sl_media media, AVRational base, int64_t frame);
/* A packet of this round with time stamps as in the file; duration 0: unknown. */
void sl_seam_see(struct sl_seam *seam, enum sl_media media, int64_t pts, int64_t duration);
/* What to add to a time stamp of this round. */
int64_t sl_seam_offset(const struct sl_seam *seam, enum sl_media media);
/* The round is over: moves to the next. Returns the first pts of the next round's sound on the
 * time line, in the sound's base; queued sound that begins later than half a frame before is
 * to be left out (sl_seam_keeps). */
int64_t sl_seam_next(struct sl_seam *seam);
bool sl_seam_keeps(const struct sl_seam *seam, int64_t pts, int64_t duration, int64_t next_start);
