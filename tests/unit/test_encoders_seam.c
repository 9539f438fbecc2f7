/* SPDX-License-Identifier: GPL-2.0-or-later
 * The arithmetic of endless files: over many rounds picture and sound stay together and no step
 * is longer than 1.5 frames.
 */
#include "encoders/seam.h"
#include <libavutil/avutil.h>
#include <libavutil/mathematics.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const AVRational video_base = {1, 30000}, audio_base = {1, 44100};

/* A clip of `pictures` at 29.97/s and `sounds` AAC frames, played `rounds` times. Checks every
 * step; returns how far sound is from picture after the last seam, in µs. */
static int64_t play(int pictures, int sounds, int rounds, int64_t start)
{
    struct sl_seam s = {0};
    int64_t last_video = INT64_MIN, last_audio = INT64_MIN, apart = 0;

    sl_seam_add(&s, SL_VIDEO, video_base, 1001);
    sl_seam_add(&s, SL_AUDIO, audio_base, 1024);
    for (int round = 0; round < rounds; round++) {
        int64_t v0 = start + sl_seam_offset(&s, SL_VIDEO), next;
        int64_t a_start = av_rescale_q(start, video_base, audio_base);
        int64_t a0 = a_start + sl_seam_offset(&s, SL_AUDIO);
        int64_t queue[4096];
        int queued = 0;

        apart = av_rescale_q(v0, video_base, AV_TIME_BASE_Q) -
                av_rescale_q(a0, audio_base, AV_TIME_BASE_Q);
        for (int i = 0; i < pictures; i++) {
            int64_t pts = v0 + i * 1001;

            if (last_video != INT64_MIN) {
                assert_true(pts - last_video <= 1501);
                assert_true(pts > last_video);
            }
            last_video = pts;
            sl_seam_see(&s, SL_VIDEO, start + i * 1001, 1001);
        }
        for (int i = 0; i < sounds; i++) {
            sl_seam_see(&s, SL_AUDIO, a_start + i * 1024, 1024);
            queue[queued++] = a0 + i * 1024;
        }
        next = sl_seam_next(&s);
        while (queued && !sl_seam_keeps(&s, queue[queued - 1], 1024, next))
            queued--;
        for (int i = 0; i < queued; i++) {
            if (last_audio != INT64_MIN) {
                assert_true(queue[i] - last_audio <= 1536);
                assert_true(queue[i] - last_audio >= 511);
            }
            last_audio = queue[i];
        }
    }
    return apart < 0 ? -apart : apart;
}

static void sound_longer_than_picture(void **state)
{
    (void)state;
    assert_true(play(66, 102, 1000, 0) < 100);
    assert_true(play(66, 96, 1000, 0) < 100);
}

static void sound_a_little_shorter(void **state)
{
    (void)state;
    assert_true(play(66, 94, 1000, 0) < 100);
}

static void clip_that_does_not_begin_at_zero(void **state)
{
    (void)state;
    assert_true(play(66, 95, 1000, 42042) < 100);
}

static void every_length(void **state)
{
    (void)state;
    for (int pictures = 2; pictures < 200; pictures++) {
        int sounds = (int)av_rescale_q_rnd(pictures * 1001, video_base, (AVRational){1024, 44100},
                                           AV_ROUND_NEAR_INF);
        assert_true(play(pictures, sounds, 60, 0) < 100);
    }
}

static void sound_alone(void **state)
{
    struct sl_seam s = {0};

    (void)state;
    sl_seam_add(&s, SL_AUDIO, audio_base, 1024);
    for (int i = 0; i < 10; i++)
        sl_seam_see(&s, SL_AUDIO, i * 1024, 1024);
    assert_int_equal(sl_seam_next(&s), 10240);
    assert_int_equal(sl_seam_offset(&s, SL_AUDIO), 10240);
}

static void still_with_music_lasts_as_long_as_the_music(void **state)
{
    struct sl_seam s = {0};

    (void)state;
    sl_seam_add(&s, SL_VIDEO, video_base, 1001);
    sl_seam_add(&s, SL_AUDIO, audio_base, 1024);
    sl_seam_see(&s, SL_VIDEO, 0, 1001);
    for (int i = 0; i < 430; i++)
        sl_seam_see(&s, SL_AUDIO, i * 1024, 1024);
    assert_in_range(sl_seam_next(&s), 430 * 1024 - 2, 430 * 1024 + 2);
}

static void an_empty_round_is_no_step(void **state)
{
    struct sl_seam s = {0};

    (void)state;
    sl_seam_add(&s, SL_VIDEO, video_base, 1001);
    assert_int_equal(sl_seam_next(&s), INT64_MAX);
    assert_int_equal(sl_seam_offset(&s, SL_VIDEO), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sound_longer_than_picture),
        cmocka_unit_test(sound_a_little_shorter),
        cmocka_unit_test(clip_that_does_not_begin_at_zero),
        cmocka_unit_test(every_length),
        cmocka_unit_test(sound_alone),
        cmocka_unit_test(still_with_music_lasts_as_long_as_the_music),
        cmocka_unit_test(an_empty_round_is_no_step),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
