/* SPDX-License-Identifier: GPL-2.0-or-later
 * The time line. Layer: encoders.
 */
#include "encoders/timeline.h"
#include <libavutil/avutil.h>
#include <libavutil/mathematics.h>

#define BACK     500000  /* µs: a shorter step back is a badly sorted packet */
#define TOGETHER 1000000 /* µs: jumps of two tracks that differ by less are one jump */

static int64_t to_us(const struct sl_timeline *l, enum sl_media m, int64_t ts)
{
    return av_rescale_q(ts, l->base[m], AV_TIME_BASE_Q);
}

static int64_t from_us(const struct sl_timeline *l, enum sl_media m, int64_t us)
{
    return av_rescale_q(us, AV_TIME_BASE_Q, l->base[m]);
}

void sl_timeline_begin(struct sl_timeline *l, int64_t gap)
{
    *l = (struct sl_timeline){.gap = gap, .fresh = true, .moved_by = SL_MEDIA_COUNT};
    for (int m = 0; m < SL_MEDIA_COUNT; m++)
        l->raw[m] = l->end[m] = INT64_MIN;
}

void sl_timeline_add(struct sl_timeline *l, enum sl_media m, AVRational base, int64_t frame)
{
    if (l->end[m] != INT64_MIN && av_cmp_q(l->base[m], base) != 0)
        l->end[m] = av_rescale_q_rnd(l->end[m], l->base[m], base, AV_ROUND_UP);
    l->base[m] = base;
    l->frame[m] = frame > 0 ? frame : 1;
}

void sl_timeline_epoch(struct sl_timeline *l, int64_t at)
{
    l->epoch = at;
    l->fresh = true;
    l->moved_by = SL_MEDIA_COUNT;
    for (int m = 0; m < SL_MEDIA_COUNT; m++)
        l->raw[m] = INT64_MIN;
}

static void begin_epoch(struct sl_timeline *l, enum sl_media by, int64_t dts)
{
    int64_t at = l->epoch;

    for (int m = 0; m < SL_MEDIA_COUNT; m++) {
        if (l->end[m] != INT64_MIN && to_us(l, (enum sl_media)m, l->end[m]) > at)
            at = to_us(l, (enum sl_media)m, l->end[m]);
    }
    at -= to_us(l, by, dts);
    for (int m = 0; m < SL_MEDIA_COUNT; m++) {
        if (l->base[m].den)
            l->offset[m] = from_us(l, (enum sl_media)m, at);
    }
    l->fresh = false;
}

/* Where the packet should be if its track just went on; the other track has perhaps jumped by the
 * same already: then by exactly the same, so that picture and sound stay together. */
static void take_out(struct sl_timeline *l, enum sl_media m, int64_t dts, int64_t step)
{
    int64_t jump = to_us(l, m, dts - (l->raw[m] + step)), by = jump;

    if (l->moved_by != SL_MEDIA_COUNT && l->moved_by != m &&
        llabs(jump - l->moved_from) < TOGETHER) {
        by = l->moved;
        l->moved_by = SL_MEDIA_COUNT;
    } else {
        l->moved = l->moved_from = jump;
        l->moved_by = m;
    }
    l->offset[m] -= from_us(l, m, by);
}

bool sl_timeline_map(struct sl_timeline *l, enum sl_media m, int64_t *dts, int64_t *pts,
                     int64_t duration)
{
    int64_t step = duration > 0 ? duration : l->frame[m];
    bool jumped = false;

    if (l->fresh)
        begin_epoch(l, m, *dts);
    if (l->raw[m] != INT64_MIN) {
        int64_t beyond = to_us(l, m, *dts - l->raw[m]);

        jumped = beyond > l->gap + to_us(l, m, step) || beyond < -BACK;
        if (jumped)
            take_out(l, m, *dts, step);
    }
    l->raw[m] = *dts;
    *dts += l->offset[m];
    *pts += l->offset[m];
    if (l->end[m] == INT64_MIN || *dts + step > l->end[m])
        l->end[m] = *dts + step;
    return jumped;
}
