/* SPDX-License-Identifier: GPL-2.0-or-later
 * Plan and status of one stream, step by step, and where streams play.
 */
#include "reconcile/core/lifecycle.h"
#include "reconcile/core/status.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define NOW  1000000
#define WALL 1700000000000

struct fixture {
    struct sl_history history;
    struct sl_accepted accepted;
    struct sl_stream_spec spec;
    struct sl_src_file file;
    struct sl_desired_stream stream;
    struct sl_desired desired;
    struct sl_seen_encoder seen[3];
    struct sl_seen_path path;
    struct sl_observed observed;
    struct sl_arena *arena;
    struct sl_plan plan;
    struct sl_status *status;
    uint64_t jitter;
};

static void encoder(struct fixture *f, int i, enum sl_enc_state state, const char *hash)
{
    struct sl_seen_encoder *e = &f->seen[i];

    memset(e, 0, sizeof(*e));
    e->alive = true;
    e->record.state = state;
    e->record.since = WALL - 10000 + i;
    snprintf(e->record.name, 208, "cam");
    snprintf(e->record.uid, 17, "%016x", i + 1);
    snprintf(e->record.spec_hash, 80, "%s", hash);
    if (state != SL_ENC_STARTING) {
        e->record.facts.count = 2;
        snprintf(e->record.facts.track[0].codec, 32, "H264");
        e->record.facts.track[1] = (struct sl_track){"MPEG4Audio", 48000, 2, false, false};
    }
    if (f->observed.encoders_count <= (size_t)i)
        f->observed.encoders_count = (size_t)i + 1;
}

static void path(struct fixture *f)
{
    memset(&f->path, 0, sizeof(f->path));
    snprintf(f->path.name, 208, "cam");
    snprintf(f->path.conf.name, 208, "cam");
    snprintf(f->path.conf.source, 16, "publisher");
    f->path.configured = true;
    f->path.readers = 3;
    f->path.conf.override_publisher = f->path.conf.always_available = true;
    f->path.conf.tracks.count = 2;
    snprintf(f->path.conf.tracks.track[0].codec, 32, "H264");
    f->path.conf.tracks.track[1] = (struct sl_track){"MPEG4Audio", 48000, 2, false, false};
    f->observed.paths_count = 1;
}

static int setup(void **state)
{
    struct fixture *f = sl_alloc(sizeof(*f));

    f->arena = sl_arena_new();
    f->accepted =
        (struct sl_accepted){.name = "cam", .file = "cam.yaml", .generation = 1, .hash = "v1:x"};
    f->file = (struct sl_src_file){.path = (char *)"a.mp4", .loop = true};
    f->spec.source.file = &f->file;
    f->stream = (struct sl_desired_stream){.accepted = &f->accepted,
                                           .spec = &f->spec,
                                           .run = true,
                                           .media_path = "/m/a.mp4",
                                           .media = {true, true, "1:2:3:4"},
                                           .enc_hash = "sha:1"};
    f->desired =
        (struct sl_desired){.valid = true, .root_present = true, .streams = &f->stream, .count = 1};
    f->observed = (struct sl_observed){.now = NOW,
                                       .wall = WALL,
                                       .host_up = true,
                                       .fleet_known = true,
                                       .encoders = f->seen,
                                       .paths = &f->path};
    f->observed.engine.reachable = f->observed.engine.configs_known = true;
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    sl_history_free(&f->history);
    sl_status_free(f->status);
    sl_arena_free(f->arena);
    free(f);
    return 0;
}

static void make(struct fixture *f)
{
    sl_history_observe(&f->history, &f->desired, &f->observed, &f->jitter);
    sl_plan_make(f->arena, &f->desired, &f->observed, &f->history, &f->plan);
}

static size_t count(const struct fixture *f, enum sl_action_kind kind)
{
    size_t n = 0;

    for (size_t i = 0; i < f->plan.actions_count; i++)
        n += f->plan.actions[i].kind == kind;
    return n;
}

static const struct sl_status_stream *judged(struct fixture *f)
{
    make(f);
    sl_status_free(f->status);
    f->status = sl_status_make(&f->desired, &f->observed, &f->history, &f->plan, NULL, NULL, 0,
                               &(struct sl_public){.host = "tv.example"}, NULL);
    return &f->status->streams[0];
}

static void a_new_stream_starts_held_and_without_path(void **state)
{
    struct fixture *f = *state;

    make(f);
    assert_int_equal(f->plan.actions_count, 1);
    assert_int_equal(f->plan.actions[0].kind, SL_ACT_START);
    assert_string_equal(f->plan.actions[0].reason, "the stream is new");
    assert_int_equal(f->plan.paths_count, 0);
    assert_false(f->plan.engine_dirty);
    assert_int_equal(f->plan.changes[0].change, SL_CHANGE_CREATE);
    make(f); /* not asked twice */
    assert_int_equal(f->plan.actions_count, 0);
    assert_int_equal(f->plan.wake, NOW + 3000);
    f->observed.now += 3000;
    make(f);
    assert_int_equal(count(f, SL_ACT_START), 1);
}

static void nothing_starts_without_host_records_or_file(void **state)
{
    struct fixture *f = *state;

    f->observed.host_up = false;
    make(f);
    assert_int_equal(f->plan.actions_count, 0);
    f->observed.host_up = true;
    f->observed.fleet_known = false;
    make(f);
    assert_int_equal(f->plan.actions_count, 0);
    f->observed.fleet_known = true;
    f->stream.media.complete = false;
    make(f);
    assert_int_equal(f->plan.actions_count, 0);
    f->stream.media.complete = true;
    make(f);
    assert_int_equal(f->plan.actions_count, 1);
}

static void held_then_path_then_go_then_rest(void **state)
{
    struct fixture *f = *state;

    encoder(f, 0, SL_ENC_HELD, "sha:1");
    make(f);
    assert_int_equal(f->plan.actions_count, 0);
    assert_true(f->plan.engine_dirty);
    assert_int_equal(f->plan.paths_count, 1);
    assert_true(f->plan.paths[0].always_available);
    path(f);
    make(f);
    assert_int_equal(count(f, SL_ACT_GO), 1);
    assert_false(f->plan.engine_dirty);
    encoder(f, 0, SL_ENC_LIVE, "sha:1");
    make(f);
    assert_int_equal(f->plan.actions_count, 0);
    assert_int_equal(f->plan.changes_count, 0);
    assert_string_equal(judged(f)->cond[SL_COND_READY].reason, "Flowing");
    assert_int_equal(judged(f)->sync, SL_SYNCED);
    assert_true(judged(f)->settled);
}

static void no_go_while_the_engine_is_unknown(void **state)
{
    struct fixture *f = *state;

    encoder(f, 0, SL_ENC_HELD, "sha:1");
    path(f);
    f->observed.engine.configs_known = false;
    make(f);
    assert_int_equal(f->plan.actions_count, 0);
    assert_false(f->plan.engine_dirty);
    f->observed.engine.reachable = false;
    assert_string_equal(judged(f)->cond[SL_COND_PROGRAMMED].reason, "EngineUnreachable");
    assert_int_equal(judged(f)->cond[SL_COND_READY].status, SL_UNKNOWN);
}

static void some_tracks_make_a_plain_path(void **state)
{
    static const struct {
        struct sl_track track;
        bool offline;
    } cases[] = {
        {{"MPEG4Audio", 48000, 2, false, false}, true},
        {{"MPEG4Audio", 22050, 1, false, false}, true},
        {{"MPEG4Audio", 16000, 2, false, false}, false},
        {{"MPEG4Audio", 48000, 6, false, false}, false},
        {{"G711", 8000, 1, true, false}, true},
        {{"LPCM", 4000, 1, false, false}, false},
        {{"Opus", 48000, 2, false, false}, true},
        {{"MPEG-1/2 Audio", 48000, 2, false, false}, false},
        {{"AV1", 0, 0, false, false}, true},
        {{"VP8", 0, 0, false, false}, false},
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < SL_COUNT(cases); i++) {
        encoder(f, 0, SL_ENC_HELD, "sha:1");
        f->seen[0].record.facts.track[1] = cases[i].track;
        make(f);
        assert_int_equal(f->plan.paths[0].always_available, cases[i].offline);
        assert_int_equal(f->plan.paths[0].tracks.count, cases[i].offline ? 2 : 0);
    }
}

static void a_change_starts_beside_then_stops_then_goes(void **state)
{
    struct fixture *f = *state;

    encoder(f, 0, SL_ENC_LIVE, "sha:1");
    path(f);
    make(f);
    snprintf(f->stream.enc_hash, 80, "sha:2");
    f->accepted.generation = 2;
    make(f);
    assert_int_equal(count(f, SL_ACT_START), 1);
    assert_int_equal(count(f, SL_ACT_STOP), 0);
    assert_int_equal(f->plan.changes[0].change, SL_CHANGE_SWAP);
    encoder(f, 1, SL_ENC_STARTING, "sha:2");
    make(f);
    assert_int_equal(f->plan.actions_count, 0);
    encoder(f, 1, SL_ENC_HELD, "sha:2");
    make(f);
    assert_int_equal(f->plan.actions_count, 1);
    assert_int_equal(f->plan.actions[0].kind, SL_ACT_STOP);
    assert_string_equal(f->plan.actions[0].uid, f->seen[0].record.uid);
    f->seen[0].stop_asked = true;
    make(f);
    assert_int_equal(f->plan.actions_count, 0);
    f->seen[0].alive = false;
    make(f);
    assert_int_equal(count(f, SL_ACT_GO), 1);
    assert_int_equal(count(f, SL_ACT_FORGET), 1);
}

static void other_tracks_break_and_only_when_held(void **state)
{
    struct fixture *f = *state;

    encoder(f, 0, SL_ENC_LIVE, "sha:1");
    path(f);
    make(f);
    snprintf(f->stream.enc_hash, 80, "sha:2");
    encoder(f, 1, SL_ENC_STARTING, "sha:2");
    make(f);
    assert_false(f->plan.engine_dirty);
    encoder(f, 1, SL_ENC_HELD, "sha:2");
    f->seen[1].record.facts.count = 1;
    make(f);
    assert_true(f->plan.engine_dirty);
    assert_int_equal(f->plan.actions_count, 0); /* first the path, then the old one */
    assert_int_equal(f->plan.changes[0].change, SL_CHANGE_BREAK);
    assert_int_equal(f->plan.changes[0].viewers, 3);
}

static void the_old_one_stays_when_the_new_one_fails(void **state)
{
    struct fixture *f = *state;

    encoder(f, 0, SL_ENC_LIVE, "sha:1");
    path(f);
    make(f);
    snprintf(f->stream.enc_hash, 80, "sha:2");
    encoder(f, 1, SL_ENC_ENDED, "sha:2");
    snprintf(f->seen[1].record.reason, 40, "NotMedia");
    snprintf(f->seen[1].record.message, 400, "no video in a.mp4");
    make(f);
    assert_int_equal(f->plan.actions_count, 0); /* its end is waited for */
    f->seen[1].alive = false;
    make(f);
    assert_int_equal(count(f, SL_ACT_STOP) + count(f, SL_ACT_START), 0);
    assert_false(f->plan.engine_dirty);
    assert_string_equal(judged(f)->cond[SL_COND_HEALTHY].reason, "UpdateFailed");
    assert_int_equal(judged(f)->health, SL_DEGRADED);
    assert_true(judged(f)->next_attempt_wall > WALL);
    assert_string_equal(judged(f)->cond[SL_COND_HEALTHY].message,
                        "the one before goes on; NotMedia: no video in a.mp4");
    f->observed.now += 1300;
    make(f);
    assert_int_equal(count(f, SL_ACT_START), 1);
}

static void suspended_stops_then_drops_the_path(void **state)
{
    struct fixture *f = *state;

    encoder(f, 0, SL_ENC_LIVE, "sha:1");
    path(f);
    f->stream.run = false;
    make(f);
    assert_int_equal(count(f, SL_ACT_STOP), 1);
    assert_int_equal(f->plan.removed_count, 0);
    f->observed.encoders_count = 0;
    make(f);
    assert_int_equal(f->plan.removed_count, 1);
    assert_true(f->plan.engine_dirty);
    f->observed.paths_count = 0;
    make(f);
    assert_false(f->plan.engine_dirty);
    assert_int_equal(f->plan.changes_count, 0);
    assert_string_equal(judged(f)->cond[SL_COND_READY].reason, "Suspended");
    assert_true(judged(f)->settled);
    assert_int_equal(judged(f)->health, SL_SUSPENDED);
}

/* The only stream of all is deleted: held, so another one must be left. */
static void deletion(void **state)
{
    struct fixture *f = *state;
    struct sl_desired_stream two[2] = {f->stream, f->stream};
    struct sl_accepted other = f->accepted;

    encoder(f, 0, SL_ENC_LIVE, "sha:1");
    path(f);
    f->accepted.absent = true;
    make(f);
    assert_int_equal(f->plan.actions_count, 0);
    assert_int_equal(f->plan.changes[0].change, SL_CHANGE_HELD);
    assert_int_equal(strlen(f->plan.id), 12);
    other.name = "cam2";
    two[1].accepted = &other;
    two[1].run = false;
    f->desired.streams = two;
    f->desired.count = 2;
    f->spec.protect = true;
    make(f);
    assert_int_equal(f->plan.changes[0].change, SL_CHANGE_HELD);
    assert_string_equal(f->plan.changes[0].reason,
                        "protected: first a commit must set protect to false");
    f->spec.protect = false;
    f->desired.valid = false;
    make(f);
    assert_int_equal(f->plan.actions_count, 0);
    f->desired.valid = true;
    make(f); /* another stream came: the hold does not lapse by that */
    assert_int_equal(f->plan.actions_count, 0);
    assert_int_equal(f->plan.changes[0].change, SL_CHANGE_HELD);
    const char *approve[] = {sl_arena_strdup(f->arena, f->plan.id)};
    f->desired.approvals = approve;
    f->desired.approvals_count = 1;
    make(f);
    assert_int_equal(count(f, SL_ACT_STOP), 1);
    assert_string_equal(f->plan.deletions[0], "cam");
    assert_int_equal(f->history.deleted_count, 0);
    f->desired.root_present = false; /* it was decided: it goes on */
    f->observed.encoders_count = 0;
    make(f);
    assert_int_equal(f->plan.gone_count, 0);
    assert_string_equal(f->plan.removed[0], "cam");
    f->observed.paths_count = 0;
    make(f);
    assert_int_equal(f->plan.gone_count, 1);
}

static void orphans_are_left_alone(void **state)
{
    struct fixture *f = *state;

    encoder(f, 0, SL_ENC_LIVE, "sha:1");
    snprintf(f->seen[0].record.name, 208, "stranger");
    encoder(f, 1, SL_ENC_LIVE, "sha:1");
    f->seen[1].newer_layout = true;
    make(f);
    assert_int_equal(f->plan.actions_count, 0); /* nor does a second one start beside */
    assert_string_equal(judged(f)->cond[SL_COND_HEALTHY].reason, "Orphaned");
    assert_int_equal(f->status->streams_count, 2);
    assert_null(f->status->streams[1].desired);
    assert_string_equal(f->status->streams[1].cond[SL_COND_READY].reason, "Orphaned");
}

static void a_stuck_one_is_killed_once(void **state)
{
    struct fixture *f = *state;

    encoder(f, 0, SL_ENC_LIVE, "sha:1");
    path(f);
    f->seen[0].stats_known = true;
    f->seen[0].loops_moved = NOW - 4000;
    make(f);
    assert_int_equal(f->plan.wake, NOW + 1000);
    f->observed.now += 1000;
    make(f);
    assert_int_equal(count(f, SL_ACT_KILL), 1);
    assert_int_equal(f->plan.actions_count, 1);
    make(f);
    assert_int_equal(f->plan.actions_count, 0);
    f->seen[0].alive = false;
    f->seen[0].stop_asked = true;
    assert_string_equal(judged(f)->cond[SL_COND_HEALTHY].reason, "CrashLoopBackOff");
    assert_string_equal(sl_history_find(&f->history, "cam")->last_reason, "EncoderStuck");
}

static void lost_paths_come_back_from_memory(void **state)
{
    struct fixture *f = *state;

    encoder(f, 0, SL_ENC_LIVE, "sha:1");
    path(f);
    make(f);
    f->observed.encoders_count = 0;
    f->observed.paths_count = 0;
    make(f);
    assert_true(f->plan.engine_dirty);
    assert_int_equal(f->plan.paths_count, 1);
    assert_true(f->plan.paths[0].always_available);
}

static void a_path_that_nobody_explains_stays(void **state)
{
    struct fixture *f = *state;

    path(f); /* state was lost, the encoder is gone */
    make(f);
    assert_int_equal(f->plan.paths_count, 1);
    assert_false(f->plan.engine_dirty);
    assert_int_equal(f->plan.removed_count, 0);
}

static void an_end_of_file_is_an_end(void **state)
{
    struct fixture *f = *state;

    f->file.loop = false;
    encoder(f, 0, SL_ENC_ENDED, "sha:1");
    snprintf(f->seen[0].record.reason, 40, "EndOfFile");
    f->seen[0].alive = false;
    make(f);
    assert_int_equal(count(f, SL_ACT_START), 0);
    assert_string_equal(judged(f)->cond[SL_COND_READY].reason, "EndOfFile");
    assert_true(judged(f)->settled);
    snprintf(f->stream.enc_hash, 80, "sha:2");
    make(f);
    assert_int_equal(count(f, SL_ACT_START), 1);
}

static void many_starts_share_a_write(void **state)
{
    struct fixture *f = *state;
    struct sl_seen_encoder many[6];

    encoder(f, 0, SL_ENC_STARTING, "sha:1");
    for (int i = 0; i < 6; i++) {
        many[i] = f->seen[0];
        many[i].record.since = WALL - 100;
        snprintf(many[i].record.uid, 17, "%016x", i + 50);
        snprintf(many[i].record.name, 208, "x%d", i);
    }
    f->observed.encoders = many;
    f->observed.encoders_count = 4;
    f->stream.run = false;
    make(f);
    assert_false(f->plan.engine_wait);
    f->observed.encoders_count = 6;
    make(f);
    assert_true(f->plan.engine_wait);
    assert_int_equal(f->plan.wake, NOW + 900);
    for (int i = 0; i < 6; i++) /* a wave that never ends is not waited for */
        many[i].record.since = WALL + 350;
    f->observed.now += 1000;
    f->observed.wall += 1000;
    make(f);
    assert_false(f->plan.engine_wait);
}

static void words_of_what_is_missing(void **state)
{
    struct fixture *f = *state;

    f->stream.media.exists = f->stream.media.complete = false;
    assert_string_equal(judged(f)->cond[SL_COND_READY].reason, "FileMissing");
    assert_string_equal(judged(f)->cond[SL_COND_READY].message, "/m/a.mp4 is not there (yet)");
    assert_int_equal(judged(f)->health, SL_MISSING);
    f->stream.media.exists = f->stream.media.complete = true;
    f->observed.host_up = false;
    assert_string_equal(judged(f)->cond[SL_COND_RESOLVED].reason, "NoEncoder");
    f->observed.host_up = true;
    assert_string_equal(judged(f)->cond[SL_COND_READY].reason, "Starting");
    assert_int_equal(judged(f)->health, SL_PROGRESSING);
    encoder(f, 0, SL_ENC_SILENT, "sha:1");
    snprintf(f->seen[0].record.reason, 40, "NoFrames");
    path(f);
    assert_string_equal(judged(f)->cond[SL_COND_READY].reason, "NoFrames");
    assert_int_equal(judged(f)->health, SL_DEGRADED);
    encoder(f, 0, SL_ENC_LIVE, "sha:1");
    f->observed.engine.rejected_path = "cam";
    f->observed.engine.rejected_text = "no";
    assert_string_equal(judged(f)->cond[SL_COND_READY].reason, "PathRejected");
    f->observed.engine.rejected_path = NULL;
    f->path.conf.max_readers = 9;
    assert_string_equal(judged(f)->cond[SL_COND_READY].reason, "Drifted");
    assert_int_equal(judged(f)->sync, SL_OUT_OF_SYNC);
}

static void stalled_from_the_fifth_failure(void **state)
{
    struct fixture *f = *state;

    for (int i = 0; i < 5; i++) {
        assert_int_equal(judged(f)->cond[SL_COND_STALLED].status, SL_FALSE);
        encoder(f, 0, SL_ENC_LIVE, "sha:1");
        snprintf(f->seen[0].record.uid, 17, "%016x", i + 70);
        f->seen[0].alive = false;
        f->observed.now += 100000;
    }
    assert_int_equal(judged(f)->cond[SL_COND_STALLED].status, SL_TRUE);
}

static void where_it_plays(void **state)
{
    struct fixture *f = *state;
    const struct sl_status_stream *s;

    encoder(f, 0, SL_ENC_LIVE, "sha:1");
    path(f);
    f->observed.engine.rtsp_port = 8554;
    f->observed.engine.hls_port = 8888;
    f->observed.engine.webrtc_port = 8889;
    f->observed.engine.srt_port = 8890;
    s = judged(f);
    assert_string_equal(s->urls[0].url, "rtsp://tv.example:8554/cam");
    assert_null(s->urls[1].url);
    assert_string_equal(s->urls[2].url, "http://tv.example:8888/cam/index.m3u8");
    assert_string_equal(s->urls[3].url, "http://tv.example:8889/cam");
    assert_string_equal(s->urls[4].url, "srt://tv.example:8890?streamid=read:cam");
    assert_true(s->urls[3].plays);
    assert_string_equal(s->urls[3].why, "without sound: WebRTC cannot carry MPEG4Audio");
    assert_string_equal(s->urls[0].why, "");
    snprintf(f->seen[0].record.facts.track[0].codec, 32, "AV1");
    s = judged(f);
    assert_false(s->urls[4].plays);
    assert_string_equal(s->urls[4].why, "SRT cannot carry AV1");
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(a_new_stream_starts_held_and_without_path),
        T(nothing_starts_without_host_records_or_file),
        T(held_then_path_then_go_then_rest),
        T(no_go_while_the_engine_is_unknown),
        T(some_tracks_make_a_plain_path),
        T(a_change_starts_beside_then_stops_then_goes),
        T(other_tracks_break_and_only_when_held),
        T(the_old_one_stays_when_the_new_one_fails),
        T(suspended_stops_then_drops_the_path),
        T(deletion),
        T(orphans_are_left_alone),
        T(a_stuck_one_is_killed_once),
        T(lost_paths_come_back_from_memory),
        T(a_path_that_nobody_explains_stays),
        T(an_end_of_file_is_an_end),
        T(many_starts_share_a_write),
        T(words_of_what_is_missing),
        T(stalled_from_the_fifth_failure),
        T(where_it_plays),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
