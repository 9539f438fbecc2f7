/* SPDX-License-Identifier: GPL-2.0-or-later
 * The time line: whatever a source does to its clock, what comes out goes on, and picture and
 * sound stay together.
 */
#include "encoders/timeline.h"
#include <libavutil/avutil.h>
#include <libavutil/mathematics.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define TEN_S 10000000

static const AVRational video_base = {1, 90000}, audio_base = {1, 48000};

static struct sl_timeline fresh(void)
{
    struct sl_timeline line;

    sl_timeline_begin(&line, TEN_S);
    sl_timeline_add(&line, SL_VIDEO, video_base, 3600);
    sl_timeline_add(&line, SL_AUDIO, audio_base, 1024);
    return line;
}

static int64_t map(struct sl_timeline *line, enum sl_media m, int64_t ts)
{
    int64_t dts = ts, pts = ts + 100;

    sl_timeline_map(line, m, &dts, &pts, 0);
    assert_int_equal(pts - dts, 100);
    return dts;
}

static void begins_at_the_epoch(void **state)
{
    struct sl_timeline line = fresh();

    (void)state;
    sl_timeline_epoch(&line, 2000000);
    assert_int_equal(map(&line, SL_VIDEO, 777000), 180000);
    assert_int_equal(map(&line, SL_VIDEO, 780600), 183600);
    assert_int_equal(map(&line, SL_AUDIO, av_rescale_q(777000, video_base, audio_base)), 96000);
}

static void a_new_connection_never_steps_back(void **state)
{
    struct sl_timeline line = fresh();

    (void)state;
    sl_timeline_epoch(&line, 0);
    for (int i = 0; i < 100; i++)
        map(&line, SL_VIDEO, 5000000 + i * 3600);
    sl_timeline_epoch(&line, 1000000); /* the wall says 1 s, but 4 s are published */
    assert_int_equal(map(&line, SL_VIDEO, 12), 100 * 3600);
    sl_timeline_epoch(&line, 60000000); /* it was away for a minute: so are the time stamps */
    assert_int_equal(map(&line, SL_VIDEO, 40), 60 * 90000);
}

/* Both tracks jump by an hour, each at its own packet and with its own rounding. */
static void jumps_of_both_tracks_are_one(void **state)
{
    struct sl_timeline line = fresh();
    int64_t hour = 3600LL * 90000, v = 0, a = 0, before;

    (void)state;
    sl_timeline_epoch(&line, 0);
    for (int i = 0; i < 50; i++)
        v = map(&line, SL_VIDEO, i * 3600);
    for (int i = 0; i < 93; i++)
        a = map(&line, SL_AUDIO, i * 1024);
    before = av_rescale_q(v, video_base, AV_TIME_BASE_Q) - 49 * 40000;
    for (int i = 50; i < 100; i++) {
        int64_t now = map(&line, SL_VIDEO, hour + i * 3600);

        assert_int_equal(now - v, 3600);
        v = now;
    }
    for (int i = 93; i < 187; i++) {
        int64_t now = map(&line, SL_AUDIO, 3600LL * 48000 + i * 1024);

        assert_in_range(now - a, 1023, 1025);
        a = now;
    }
    assert_int_equal(before, 0);
    /* picture 99 was 3.96 s in, sound 186 3.968 s */
    assert_in_range(av_rescale_q(v, video_base, AV_TIME_BASE_Q), 3959900, 3960100);
    assert_in_range(av_rescale_q(a, audio_base, AV_TIME_BASE_Q), 3967900, 3968100);
}

static void a_jump_back_goes_on(void **state)
{
    struct sl_timeline line = fresh();
    int64_t last = 0;

    (void)state;
    sl_timeline_epoch(&line, 0);
    for (int i = 0; i < 10; i++)
        last = map(&line, SL_VIDEO, 8000000 + i * 3600);
    assert_int_equal(map(&line, SL_VIDEO, 5), last + 3600);
    assert_int_equal(map(&line, SL_VIDEO, 3605), last + 7200);
}

static void a_pause_is_kept(void **state)
{
    struct sl_timeline line = fresh();

    (void)state;
    sl_timeline_epoch(&line, 0);
    assert_int_equal(map(&line, SL_VIDEO, 0), 0);
    assert_int_equal(map(&line, SL_VIDEO, 9 * 90000), 9 * 90000); /* shorter than the gap */
    assert_int_equal(map(&line, SL_VIDEO, 8 * 90000 + 60000), 8 * 90000 + 60000); /* badly sorted */
}

static void another_time_base_after_a_reconnect(void **state)
{
    struct sl_timeline line = fresh();

    (void)state;
    sl_timeline_epoch(&line, 0);
    for (int i = 0; i < 25; i++)
        map(&line, SL_VIDEO, i * 3600);
    sl_timeline_add(&line, SL_VIDEO, (AVRational){1, 1000}, 40);
    sl_timeline_epoch(&line, 0);
    assert_int_equal(map(&line, SL_VIDEO, 123456), 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(begins_at_the_epoch),
        cmocka_unit_test(a_new_connection_never_steps_back),
        cmocka_unit_test(jumps_of_both_tracks_are_one),
        cmocka_unit_test(a_jump_back_goes_on),
        cmocka_unit_test(a_pause_is_kept),
        cmocka_unit_test(another_time_base_after_a_reconnect),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
