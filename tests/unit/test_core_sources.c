/* SPDX-License-Identifier: GPL-2.0-or-later
 * Publishers and sources: users, kicks, addresses, what is said of a source that fails, and how
 * many encoders open one host at once.
 */
#include "tests/unit/carrier.h"

/* ---- publishers ---- */

static void who_may_publish_where(void **state)
{
    struct fixture *f = *state;

    use_publish(f, true);
    make(f);
    assert_int_equal(f->plan.users_count, 1);
    assert_string_equal(f->plan.users[0].path, "cam");
    assert_string_equal(f->plan.users[0].name, "any");
    assert_string_equal(f->plan.users[0].password, "");
    assert_false(f->plan.paths[0].override_publisher);
    assert_string_equal(f->plan.paths[0].source, "publisher");
    f->publish.username = (char *)"obs";
    f->stream.password = secret("key");
    make(f);
    assert_string_equal(f->plan.users[0].name, "obs");
    assert_string_equal(f->plan.users[0].password, "key");
    f->stream.password = secret(NULL);
    make(f);
    assert_int_equal(f->plan.users_count, 0); /* rather nobody than anybody */
}

static void silent_and_forbidden_publishers_are_kicked(void **state)
{
    struct fixture *f = *state;
    char *only[] = {(char *)"srt", (char *)"whip"};

    use_publish(f, true);
    make(f);
    program(f);
    live(f, 0, "rtmpConn");
    make(f);
    assert_int_equal(f->plan.kicks_count, 0);
    assert_int_equal(f->plan.wake, NOW + 10000); /* not told when MediaMTX was asked */
    f->observed.engine.live_at = NOW;
    make(f);
    assert_int_equal(f->plan.wake, NOW + 6000);
    f->observed.now += 7000;
    make(f); /* MediaMTX was not asked since: nothing is proven */
    assert_int_equal(f->plan.kicks_count, 0);
    assert_int_equal(f->plan.wake, NOW + 8000);
    f->observed.engine.live_at = NOW + 5000;
    make(f);
    assert_int_equal(f->plan.kicks_count, 1);
    assert_string_equal(f->plan.kicks[0].path, "cam");
    assert_string_equal(f->plan.kicks[0].type, "rtmpConn");
    assert_string_equal(f->plan.kicks[0].id, "id-0");
    assert_string_equal(f->plan.kicks[0].reason, "it has sent nothing for some seconds");
    live(f, 0, "rtmpConn");
    f->publish.protocols = only;
    f->publish.protocols_count = 2;
    make(f);
    assert_string_equal(f->plan.kicks[0].reason, "it publishes by a protocol that is not allowed");
    live(f, 0, "webRTCSession");
    make(f);
    assert_int_equal(f->plan.kicks_count, 0);
    live(f, 0, "srtConn");
    make(f);
    assert_int_equal(f->plan.kicks_count, 0);
    live(f, 0, "rtspSession");
    make(f);
    assert_int_equal(f->plan.kicks_count, 1);
    f->paths[0].conf.override_publisher = true; /* not (yet) a publishers' path */
    make(f);
    assert_int_equal(f->plan.kicks_count, 0);
}

static void an_ingest_has_two_paths_and_one_encoder(void **state)
{
    struct fixture *f = *state;
    const struct sl_status_stream *s;

    use_publish(f, false);
    make(f);
    assert_int_equal(count(f, SL_ACT_START), 1);
    assert_int_equal(f->plan.paths_count, 1);
    assert_string_equal(f->plan.paths[0].name, "cam/ingest");
    assert_false(f->plan.paths[0].override_publisher);
    program(f);
    encoder(f, SL_ENC_STARTING);
    snprintf(f->seen[0].record.reason, 40, "SourceNotFound");
    s = judged(f);
    assert_string_equal(s->cond[SL_COND_READY].reason, "AwaitingPublisher");
    assert_string_equal(s->cond[SL_COND_READY].message, "nobody publishes on cam/ingest");
    assert_true(s->settled);
    assert_int_equal(s->health, SL_PROGRESSING);
    assert_int_equal(s->sync, SL_SYNCED);
    live(f, 0, "rtmpConn");
    encoder(f, SL_ENC_HELD);
    make(f);
    assert_int_equal(f->plan.paths_count, 2);
    assert_string_equal(f->plan.paths[0].name, "cam");
    assert_true(f->plan.paths[0].override_publisher);
    program(f);
    live(f, 1, "rtmpConn");
    make(f);
    assert_int_equal(count(f, SL_ACT_GO), 1);
    encoder(f, SL_ENC_LIVE);
    s = judged(f);
    assert_string_equal(s->cond[SL_COND_READY].reason, "Flowing");
    assert_string_equal(s->ingest->name, "cam/ingest");
    f->paths[1].conf.override_publisher = true;
    s = judged(f);
    assert_string_equal(s->cond[SL_COND_PROGRAMMED].reason, "Drifted");
    assert_int_equal(s->sync, SL_OUT_OF_SYNC);
    assert_true(f->plan.engine_dirty);
    f->paths[1].conf.override_publisher = false;
    f->observed.now += 10000;
    s = judged(f);
    assert_int_equal(f->plan.kicks_count, 1);
    assert_string_equal(f->plan.kicks[0].path, "cam/ingest");
    assert_string_equal(s->cond[SL_COND_READY].reason, "NoFrames");
    f->paths[1].available = false;
    encoder(f, SL_ENC_SILENT);
    assert_string_equal(judged(f)->cond[SL_COND_READY].reason, "AwaitingPublisher");
}

static void a_publish_stream_awaits_its_publisher(void **state)
{
    struct fixture *f = *state;
    const struct sl_status_stream *s;

    use_publish(f, true);
    make(f);
    program(f);
    s = judged(f);
    assert_string_equal(s->cond[SL_COND_READY].reason, "AwaitingPublisher");
    assert_true(s->settled);
    assert_int_equal(s->sync, SL_SYNCED);
    assert_int_equal(f->plan.changes_count, 0);
    live(f, 0, "srtConn");
    s = judged(f);
    assert_string_equal(s->cond[SL_COND_READY].reason, "Flowing");
    assert_true(s->urls[2].plays);
    assert_string_equal(sl_history_find(&f->history, "cam")->facts.track[0].codec, "H265");
    f->paths[0].available = false;
    f->paths[0].tracks.count = 0;
    s = judged(f); /* what it was is remembered */
    assert_true(s->urls[2].plays);
}

static void where_publishers_go(void **state)
{
    struct fixture *f = *state;
    const struct sl_status_stream *s;
    char *only[] = {(char *)"rtmp"};

    f->publish.username = (char *)"ob s";
    f->stream.password = secret("key");
    use_publish(f, true);
    s = judged(f);
    assert_string_equal(s->publish[SL_PUBLISH_RTMP].url, "rtmp://tv.example:1935/cam");
    assert_string_equal(s->publish[SL_PUBLISH_RTMP].stream_key, "cam?user=ob%20s&pass=KEY");
    assert_string_equal(s->publish[SL_PUBLISH_SRT].url,
                        "srt://tv.example:8890?streamid=publish:cam:ob%20s:KEY");
    assert_string_equal(s->publish[SL_PUBLISH_RTSP].url, "rtsp://tv.example:8554/cam");
    assert_string_equal(s->publish[SL_PUBLISH_WHIP].url, "http://tv.example:8889/cam/whip");
    f->publish.username = NULL;
    f->publish.protocols = only;
    f->publish.protocols_count = 1;
    use_publish(f, false);
    f->public_.rtmp = "rtmps://tv.example:1936/";
    s = judged(f);
    assert_string_equal(s->publish[SL_PUBLISH_RTMP].url, "rtmps://tv.example:1936/cam/ingest");
    assert_string_equal(s->publish[SL_PUBLISH_RTMP].stream_key, "cam/ingest");
    assert_null(s->publish[SL_PUBLISH_SRT].url);
    f->observed.engine.rtmp_port = 0;
    assert_null(judged(f)->publish[SL_PUBLISH_RTMP].url);
    use_rtsp(f);
    assert_null(judged(f)->publish[SL_PUBLISH_RTMP].url);
}

static void public_addresses_stand_before_names(void **state)
{
    struct fixture *f = *state;
    const struct sl_status_stream *s;

    f->public_ = (struct sl_public){.host = "fe80::1",
                                    .rtsp = "rtsps://tv.example:8322",
                                    .hls = "https://tv.example/hls/",
                                    .webrtc = "",
                                    .srt = "srt://tv.example:99?latency=200"};
    s = judged(f);
    assert_string_equal(s->urls[0].url, "rtsps://tv.example:8322/cam");
    assert_string_equal(s->urls[1].url, "rtmp://[fe80::1]:1935/cam");
    assert_string_equal(s->urls[2].url, "https://tv.example/hls/cam/index.m3u8");
    assert_string_equal(s->urls[3].url, "http://[fe80::1]:8889/cam");
    assert_string_equal(s->urls[4].url, "srt://tv.example:99?latency=200&streamid=read:cam");
}

static void webrtc_refuses_b_frames(void **state)
{
    struct fixture *f = *state;
    const struct sl_status_stream *s;

    encode(f, false);
    encoder(f, SL_ENC_LIVE);
    f->seen[0].record.facts.track[0].b_frames = true;
    s = judged(f);
    assert_false(s->urls[3].plays);
    assert_string_equal(s->urls[3].why, "WebRTC refuses B-frames");
    assert_true(s->urls[2].plays);
    f->seen[0].record.facts.track[0].b_frames = false;
    assert_true(judged(f)->urls[3].plays);
}

/* ---- sources that fail ---- */

static void the_words_for_failing_sources(void **state)
{
    static const struct {
        const char *text, *reason;
    } cases[] = {
        {"bad status code: 401 (Unauthorized)", "SourceAuthFailed"},
        {"bad status code: 403 (Forbidden)", "SourceAuthFailed"},
        {"authentication error", "SourceAuthFailed"},
        {"connection rejected: REJ_BADSECRET", "SourceAuthFailed"},
        {"bad status code: 404 (Not Found)", "SourceNotFound"},
        {"no stream is available on path 'x'", "SourceNotFound"},
        {"dial tcp 10.0.0.1:401: connect: connection refused", "SourceUnreachable"},
        {"dial tcp 10.4.0.4:554: connect: no route to host", "SourceUnreachable"},
        {"dial tcp 192.168.1.404:554: i/o timeout", "SourceUnreachable"},
        {"dial tcp: lookup cam.example: no such host", "SourceUnreachable"},
        {"lookup cam on 1.1.1.1:53: server misbehaving", "SourceUnreachable"},
        {"EOF", "SourceUnreachable"},
        {"read tcp 127.0.0.1:3->127.0.0.1:554: connection reset by peer", "SourceUnreachable"},
        {"read tcp 127.0.0.1:3->127.0.0.1:554: i/o timeout", "NoFrames"},
        {"UDP timeout", "NoFrames"},
        {"deadline exceeded while waiting tracks", "NoFrames"},
    };

    (void)state;
    for (size_t i = 0; i < SL_COUNT(cases); i++)
        assert_string_equal(sl_source_reason(cases[i].text), cases[i].reason);
}

static void credentials_are_cut_out_of_texts(void **state)
{
    static const struct {
        const char *text, *cut;
    } cases[] = {
        {"dial rtsp://a:b@h:1/x?y=1: no", "dial rtsp://***@h:1/x?y=1: no"},
        {"'rtsp://a:b@c@h/x' and http://u@i", "'rtsp://***@h/x' and http://***@i"},
        {"srt://h:9?streamid=s&passphrase=p&x=1 bad",
         "srt://h:9?streamid=***&passphrase=***&x=1 bad"},
        {"rtmp://h/a/b?user=u&pass=p", "rtmp://h/a/b?user=u&pass=***"},
        {"mail a@b: c?", "mail a@b: c?"},
        {"", ""},
    };
    char out[200];

    (void)state;
    for (size_t i = 0; i < SL_COUNT(cases); i++) {
        sl_credentials_cut(cases[i].text, out, sizeof(out));
        assert_string_equal(out, cases[i].cut);
    }
    sl_credentials_cut("rtsp://a:b@hhhhhhhhhhhhh", out, 12);
    assert_string_equal(out, "rtsp://***@");
}

static void why_a_pull_is_not_live(void **state)
{
    struct fixture *f = *state;
    const struct sl_status_stream *s;

    make(f);
    program(f);
    s = judged(f);
    assert_string_equal(s->cond[SL_COND_READY].reason, "Starting");
    assert_int_equal(s->health, SL_PROGRESSING);
    assert_int_equal(f->plan.wake, NOW + 5000);
    f->observed.now += 5000;
    assert_string_equal(judged(f)->cond[SL_COND_READY].reason, "NoFrames");
    snprintf(f->paths[0].source_error, sizeof(f->paths[0].source_error),
             "bad status code: 401 (Unauthorized) rtsp://a:b@h");
    f->paths[0].source_error_at = f->observed.now;
    s = judged(f);
    assert_string_equal(s->cond[SL_COND_READY].reason, "SourceAuthFailed");
    assert_string_equal(s->cond[SL_COND_READY].message,
                        "bad status code: 401 (Unauthorized) rtsp://***@h; the source wants a user "
                        "and a password: give username and passwordRef");
    assert_int_equal(s->health, SL_DEGRADED);
    f->rtsp.url = (char *)"rtsp://10.0.0.13/s0"; /* mended: the old error says nothing of it */
    f->observed.now += 1000;
    make(f);
    program(f);
    snprintf(f->paths[0].source_error, sizeof(f->paths[0].source_error), "401");
    f->paths[0].source_error_at = f->observed.now - 1000;
    f->observed.now += 100;
    assert_string_equal(judged(f)->cond[SL_COND_READY].reason, "Starting");
    live(f, 0, "rtspSource");
    assert_string_equal(judged(f)->cond[SL_COND_READY].reason, "Flowing");
    assert_int_equal(f->plan.wake, f->observed.now + 10000);
    f->observed.now += 10000;
    s = judged(f);
    assert_string_equal(s->cond[SL_COND_READY].reason, "NoFrames");
    assert_int_equal(s->health, SL_DEGRADED);
    assert_int_equal(f->plan.kicks_count, 0);
    f->observed.engine.reachable = false;
    f->observed.paths_count = 0;
    s = judged(f);
    assert_string_equal(s->cond[SL_COND_READY].reason, "EngineUnreachable");
    assert_int_equal(s->health, SL_HEALTH_UNKNOWN);
    assert_int_equal(f->plan.paths_count, 1); /* all of ours, also for the file */
}

static void a_source_that_fails_is_no_restart(void **state)
{
    struct fixture *f = *state;
    struct sl_past *past;

    encode(f, false);
    for (int i = 1; i <= 7; i++) {
        encoder(f, SL_ENC_ENDED);
        snprintf(f->seen[0].record.uid, 17, "%016x", i);
        snprintf(f->seen[0].record.reason, 40, "SourceUnreachable");
        snprintf(f->seen[0].record.message, 400, "connection refused");
        f->seen[0].alive = false;
        f->observed.now += 100000;
        make(f);
    }
    past = sl_history_find(&f->history, "cam");
    assert_int_equal(past->restarts, 0);
    assert_int_equal(past->failures, 0);
    assert_true(past->next_attempt > f->observed.now + 40000);
    assert_int_equal(count(f, SL_ACT_START), 0);
    assert_string_equal(judged(f)->cond[SL_COND_READY].reason, "SourceUnreachable");
    assert_string_equal(judged(f)->cond[SL_COND_READY].message, "connection refused");
    assert_int_equal(judged(f)->cond[SL_COND_STALLED].status, SL_FALSE);
    encoder(f, SL_ENC_STARTING);
    snprintf(f->seen[0].record.reason, 40, "SourceUnreachable");
    assert_int_equal(judged(f)->health, SL_DEGRADED);
}

static void a_stuck_one_is_told_by_what_it_did(void **state)
{
    struct fixture *f = *state;

    encode(f, false);
    make(f);
    for (int opening = 0; opening < 2; opening++) {
        encoder(f, opening ? SL_ENC_STARTING : SL_ENC_LIVE);
        snprintf(f->seen[0].record.uid, 17, "%016x", opening + 5);
        memcpy(sl_history_find(&f->history, "cam")->killed_uid, f->seen[0].record.uid, 17);
        f->seen[0].alive = false;
        make(f);
        assert_string_equal(sl_history_find(&f->history, "cam")->last_message,
                            opening ? "the encoder made no progress for 60 s and was killed"
                                    : "the encoder made no progress for 5 s and was killed");
    }
}

static void four_encoders_open_one_host_at_once(void **state)
{
    struct fixture *f = *state;
    static char names[8][16];
    struct sl_accepted accepted[8];
    struct sl_desired_stream streams[8];
    struct sl_stream_spec specs[8];
    struct sl_src_rtsp cams[8];

    encode(f, false);
    for (int i = 0; i < 8; i++) {
        snprintf(names[i], sizeof(names[i]), "c%d", i);
        accepted[i] = f->accepted;
        accepted[i].name = names[i];
        cams[i] = f->rtsp;
        cams[i].url = (char *)(i == 7  ? "rtsp://NVR2/x"
                               : i % 2 ? "rtsp://nvr:554/x"
                                       : "rtsp://NVR/y");
        specs[i] = f->spec;
        specs[i].source.rtsp = &cams[i];
        streams[i] = f->stream;
        streams[i].accepted = &accepted[i];
        streams[i].spec = &specs[i];
    }
    f->desired.streams = streams;
    f->desired.count = 8;
    make(f);
    assert_int_equal(count(f, SL_ACT_START), 5); /* four of the one, one of the other */
    make(f);
    assert_int_equal(count(f, SL_ACT_START), 0);
    for (int i = 0; i < 4; i++) {
        encoder(f, SL_ENC_STARTING);
        f->seen[i + 1] = f->seen[0];
        snprintf(f->seen[i + 1].record.name, 208, "c%d", i);
        snprintf(f->seen[i + 1].record.uid, 17, "%016x", i + 9);
    }
    f->observed.encoders = f->seen + 1;
    f->observed.encoders_count = 4;
    f->observed.now += 3000;
    make(f);
    assert_int_equal(count(f, SL_ACT_START), 1); /* c7 again, whose record never came */
    assert_true(f->plan.wake <= f->observed.now + 1000);
    f->seen[1].record.state = SL_ENC_HELD;
    make(f);
    assert_int_equal(count(f, SL_ACT_START), 1);
    snprintf(f->seen[2].record.reason, 40, "SourceUnreachable"); /* a dead one blocks nobody */
    make(f);
    assert_int_equal(count(f, SL_ACT_START), 1);
    f->observed.wall += 15000;
    make(f);
    assert_int_equal(count(f, SL_ACT_START), 1); /* c6: the last of them */
}

static void files_that_cannot_be_read_have_their_word(void **state)
{
    static const struct {
        const char *code, *reason;
    } cases[] = {{"E101", "ParseError"},          {"E110", "ParseError"},
                 {"E114", "ParseError"},          {"E102", "SchemaError"},
                 {"E107", "SchemaError"},         {"DuplicateName", "DuplicateName"},
                 {"InlineSecret", "InlineSecret"}};
    struct fixture *f = *state;
    struct sl_diag diag = {.severity = SL_DIAG_ERROR, .message = "m"};
    struct sl_status_file file = {.path = "cam.yaml", .diags = &diag, .diags_count = 1};

    f->accepted.file_broken = true;
    for (size_t i = 0; i < SL_COUNT(cases); i++) {
        diag.code = cases[i].code;
        make(f);
        sl_status_free(f->status);
        f->status = sl_status_make(&f->desired, &f->observed, &f->history, &f->plan, NULL, &file, 1,
                                   NULL, NULL);
        assert_string_equal(f->status->streams[0].cond[SL_COND_ACCEPTED].reason, cases[i].reason);
    }
}

static void strangers_paths_are_left_alone(void **state)
{
    struct fixture *f = *state;

    pulling(f);
    snprintf(f->paths[1].name, 208, "stranger/ingest");
    snprintf(f->paths[1].conf.source, 1024, "publisher");
    f->paths[1].configured = true;
    f->observed.paths_count = 2;
    make(f);
    assert_int_equal(f->plan.paths_count, 1);
    assert_int_equal(f->plan.removed_count, 0);
    assert_false(f->plan.engine_dirty);
    f->paths[0].conf.altered = true; /* a key of ours that is the same everywhere */
    make(f);
    assert_true(f->plan.engine_dirty);
    assert_false(f->plan.paths[0].altered);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(who_may_publish_where),
        T(silent_and_forbidden_publishers_are_kicked),
        T(an_ingest_has_two_paths_and_one_encoder),
        T(a_publish_stream_awaits_its_publisher),
        T(where_publishers_go),
        T(public_addresses_stand_before_names),
        T(webrtc_refuses_b_frames),
        T(the_words_for_failing_sources),
        T(credentials_are_cut_out_of_texts),
        T(why_a_pull_is_not_live),
        T(a_source_that_fails_is_no_restart),
        T(a_stuck_one_is_told_by_what_it_did),
        T(four_encoders_open_one_host_at_once),
        T(files_that_cannot_be_read_have_their_word),
        T(strangers_paths_are_left_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
