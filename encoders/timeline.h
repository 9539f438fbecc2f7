/* SPDX-License-Identifier: GPL-2.0-or-later
 * One time line over everything that a source does to its time stamps: connections that are lost
 * and made again, clocks that jump, counters that wrap. What comes out never steps back, and
 * picture and sound move together. A plain value, no libav context, no clock: it is unit-tested.
 * Layer: encoders.
 */
#pragma once
#include "encoders/seam.h"

struct sl_timeline {
    AVRational base[SL_MEDIA_COUNT];
    int64_t frame[SL_MEDIA_COUNT];  /* a usual step */
    int64_t offset[SL_MEDIA_COUNT]; /* added to what the source says */
    int64_t raw[SL_MEDIA_COUNT];    /* newest dts as the source said it; INT64_MIN: none yet */
    int64_t end[SL_MEDIA_COUNT];    /* where the track's time line ends now; INT64_MIN: empty */
    int64_t moved, moved_from;      /* the newest jump that was taken out, µs, and its size */
    enum sl_media moved_by;
    int64_t gap;   /* µs: a longer step forward is a jump, not a pause */
    int64_t epoch; /* µs: where the next packet goes at the earliest */
    bool fresh;    /* a new epoch: the next packet sets the offsets */
};

void sl_timeline_begin(struct sl_timeline *line, int64_t gap);
void sl_timeline_add(struct sl_timeline *line, enum sl_media media, AVRational base,
                     int64_t frame); /* again after a reconnect: base and frame may differ */
/* The source begins anew: its next packet goes at `at` (µs), or behind all that was, if later. */
void sl_timeline_epoch(struct sl_timeline *line, int64_t at);
/* Maps a packet's time stamps; both are known. True: a jump was taken out. */
bool sl_timeline_map(struct sl_timeline *line, enum sl_media media, int64_t *dts, int64_t *pts,
                     int64_t duration);
