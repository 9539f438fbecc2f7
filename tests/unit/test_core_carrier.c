/* SPDX-License-Identifier: GPL-2.0-or-later
 * Carriers: paths out of the spec, from one carrier to another, secrets.
 */
#include "tests/unit/carrier.h"

/* ---- paths out of the spec ---- */

static void a_pull_is_a_plain_path_and_no_encoder(void **state)
{
    struct fixture *f = *state;

    f->rtsp.transport = SL_TRANSPORT_UDP;
    f->observed.host_up = false; /* nobody is needed for it */
    make(f);
    assert_int_equal(f->plan.actions_count, 0);
    assert_true(f->plan.engine_dirty);
    assert_int_equal(f->plan.changes[0].change, SL_CHANGE_CREATE);
    assert_int_equal(f->plan.paths_count, 1);
    assert_string_equal(f->plan.paths[0].source, "rtsp://10.0.0.12/s0");
    assert_string_equal(f->plan.paths[0].rtsp_transport, "udp");
    assert_false(f->plan.paths[0].always_available);
    pulling(f);
    assert_false(f->plan.engine_dirty);
    assert_int_equal(f->plan.changes_count, 0);
    assert_string_equal(judged(f)->cond[SL_COND_READY].reason, "Flowing");
    assert_int_equal(judged(f)->sync, SL_SYNCED);
    assert_int_equal(judged(f)->health, SL_HEALTHY);
    assert_true(judged(f)->settled);
    assert_null(judged(f)->encoder);
    f->observed.paths_count = 0;
    make(f);
    assert_true(f->plan.engine_dirty);
    assert_string_equal(f->plan.changes[0].reason, "its path is missing in MediaMTX");
}

static void credentials_are_encoded_where_the_source_reads_them(void **state)
{
    struct fixture *f = *state;

    f->rtsp.username = f->pull.username = (char *)"ad min";
    f->stream.password = secret("p@ss:/?#%w\xc3\xb6rt");
    make(f);
    assert_string_equal(f->plan.paths[0].source,
                        "rtsp://ad%20min:p%40ss%3A%2F%3F%23%25w%C3%B6rt@10.0.0.12/s0");
    f->stream.password = secret("x+y");
    use_pull(f, "https://h:1/a/b.m3u8?t=1"); /* our encoder carries what comes over HTTP */
    assert_int_equal(sl_carrier_of(f->stream.spec), SL_CARRIER_ENCODER);
    use_pull(f, "rtmp://h/app/key");
    make(f);
    assert_string_equal(f->plan.paths[0].source, "rtmp://h/app/key?user=ad%20min&pass=x%2By");
    f->pull.username = NULL;
    f->stream.password = (struct sl_secret_seen){0};
    f->stream.passphrase = secret("0123456789 x");
    f->stream.stream_id = secret("read:yard");
    use_pull(f, "srt://10.0.0.9:9000?latency=200");
    make(f);
    assert_string_equal(f->plan.paths[0].source,
                        "srt://10.0.0.9:9000?latency=200&streamid=read%3Ayard&passphrase="
                        "0123456789%20x");
    f->stream.passphrase = f->stream.stream_id = (struct sl_secret_seen){0};
    use_pull(f, "udp://239.0.0.1:1234");
    make(f);
    assert_string_equal(f->plan.paths[0].source, "udp://239.0.0.1:1234");
}

static void what_mediamtx_cannot_pull_has_an_encoder(void **state)
{
    struct fixture *f = *state;

    use_pull(f, "http://h/x.ts");
    make(f);
    assert_int_equal(count(f, SL_ACT_START), 1);
    assert_int_equal(f->plan.paths_count, 0);
}

static void too_long_an_address_is_said(void **state)
{
    struct fixture *f = *state;
    char password[400];

    memset(password, '#', sizeof(password) - 1);
    password[sizeof(password) - 1] = 0;
    f->rtsp.username = (char *)"admin";
    f->stream.password = secret(password);
    assert_string_equal(judged(f)->cond[SL_COND_READY].reason, "SecretMissing");
    assert_non_null(strstr(judged(f)->cond[SL_COND_READY].message, "too long"));
    assert_int_equal(f->plan.paths_count, 0);
}

static void another_address_or_password_breaks(void **state)
{
    struct fixture *f = *state;

    f->rtsp.username = (char *)"admin";
    f->stream.password = secret("one");
    hash(f);
    pulling(f);
    f->stream.password = secret("two");
    f->accepted.generation = 2;
    make(f);
    assert_int_equal(f->plan.changes[0].change, SL_CHANGE_BREAK);
    assert_string_equal(f->plan.changes[0].reason, "the credentials of its source change");
    assert_int_equal(f->plan.changes[0].viewers, 2);
    assert_string_equal(f->plan.paths[0].source, "rtsp://admin:two@10.0.0.12/s0");
    f->rtsp.url = (char *)"rtsp://10.0.0.13/s0";
    make(f);
    assert_string_equal(f->plan.changes[0].reason, "the address of its source changes");
    f->rtsp.url = (char *)"rtsp://10.0.0.12/s0";
    f->stream.password = secret("one");
    f->rtsp.transport = SL_TRANSPORT_UDP;
    make(f);
    assert_int_equal(f->plan.changes[0].change, SL_CHANGE_BREAK);
    assert_string_equal(f->plan.changes[0].reason, "its path differs");
    f->rtsp.transport = SL_TRANSPORT_TCP;
    f->paths[0].conf.record = true; /* the only key that drops nobody */
    make(f);
    assert_int_equal(f->plan.changes[0].change, SL_CHANGE_HOT);
    assert_int_equal(sl_history_find(&f->history, "cam")->generation, 1);
    f->paths[0].conf.record = false;
    make(f);
    assert_int_equal(sl_history_find(&f->history, "cam")->generation, 2);
}

static void suspended_and_deleted_drop_both_paths(void **state)
{
    struct fixture *f = *state;
    struct sl_desired_stream two[2];
    struct sl_accepted other = f->accepted;

    use_publish(f, false);
    make(f);
    assert_int_equal(f->plan.paths_count, 1);
    encoder(f, SL_ENC_LIVE);
    make(f);
    assert_int_equal(f->plan.paths_count, 2);
    program(f);
    f->stream.run = false;
    make(f);
    assert_int_equal(count(f, SL_ACT_STOP), 1);
    assert_int_equal(f->plan.removed_count, 0); /* it reads and publishes until it ends */
    f->observed.encoders_count = 0;
    make(f);
    assert_int_equal(f->plan.removed_count, 2);
    assert_string_equal(f->plan.removed[0], "cam");
    assert_string_equal(f->plan.removed[1], "cam/ingest");
    assert_int_equal(f->plan.users_count, 0);
    assert_int_equal(f->plan.changes[0].change, SL_CHANGE_BREAK);
    f->stream.run = true;
    f->accepted.absent = true;
    other.name = "zoo";
    two[0] = two[1] = f->stream;
    two[1].accepted = &other;
    two[1].run = false;
    f->desired.streams = two;
    f->desired.count = 2;
    make(f);
    assert_int_equal(f->plan.removed_count, 2);
    assert_int_equal(f->plan.gone_count, 0);
    f->observed.paths = &f->paths[1];
    f->observed.paths_count = 1;
    make(f);
    assert_int_equal(f->plan.removed_count, 1);
    assert_int_equal(f->plan.gone_count, 0); /* NAME/ingest is still there */
    f->observed.paths_count = 0;
    make(f);
    assert_int_equal(f->plan.gone_count, 1);
}

/* ---- from one carrier to another ---- */

static void an_encoder_ends_before_mediamtx_pulls(void **state)
{
    struct fixture *f = *state;

    encode(f, false);
    encoder(f, SL_ENC_LIVE);
    make(f);
    program(f);
    f->paths[0].readers = 2;
    make(f);
    encode(f, true);
    f->accepted.generation = 2;
    make(f);
    assert_int_equal(count(f, SL_ACT_STOP), 1);
    assert_false(f->plan.engine_dirty);
    assert_int_equal(f->plan.changes[0].change, SL_CHANGE_BREAK);
    assert_string_equal(f->plan.changes[0].reason, "MediaMTX pulls it from now on");
    assert_int_equal(f->plan.changes[0].viewers, 2);
    assert_string_equal(judged(f)->cond[SL_COND_READY].message,
                        "the encoder of the version before ends first");
    f->seen[0].alive = false;
    f->seen[0].stop_asked = true;
    make(f);
    assert_true(f->plan.engine_dirty);
    assert_string_equal(f->plan.paths[0].source, "rtsp://10.0.0.12/s0");
    assert_int_equal(count(f, SL_ACT_FORGET), 1);
}

static void a_pull_goes_on_until_the_encoder_is_ready(void **state)
{
    struct fixture *f = *state;

    pulling(f);
    assert_int_equal(sl_history_find(&f->history, "cam")->facts.count, 1);
    encode(f, false);
    f->accepted.generation = 2;
    make(f);
    assert_int_equal(count(f, SL_ACT_START), 1);
    assert_false(f->plan.engine_dirty);
    assert_string_equal(f->plan.paths[0].source, "rtsp://10.0.0.12/s0");
    encoder(f, SL_ENC_HELD);
    make(f);
    assert_true(f->plan.engine_dirty);
    assert_string_equal(f->plan.paths[0].source, "publisher");
    assert_true(f->plan.paths[0].always_available);
    assert_string_equal(f->plan.changes[0].reason, "an encoder carries it from now on");
    assert_int_equal(f->plan.changes[0].change, SL_CHANGE_BREAK);
}

/* The manifest is gone and its deletion held: what MediaMTX pulls is no path of an encoder. */
static void a_pull_that_is_held_stays(void **state)
{
    struct fixture *f = *state;

    pulling(f);
    f->desired.count = 0;
    make(f);
    assert_int_equal(f->plan.changes[0].change, SL_CHANGE_HELD);
    assert_int_equal(f->plan.paths_count, 1);
    assert_string_equal(f->plan.paths[0].source, "rtsp://10.0.0.12/s0");
    assert_false(f->plan.engine_dirty);
}

static void publishers_are_told_to_use_the_other_path(void **state)
{
    struct fixture *f = *state;

    use_publish(f, true);
    make(f);
    program(f);
    live(f, 0, "rtmpConn");
    make(f);
    use_publish(f, false);
    f->accepted.generation = 2;
    make(f);
    assert_int_equal(f->plan.paths_count, 2);
    assert_false(f->plan.paths[0].override_publisher); /* as it is, until the encoder is ready */
    assert_string_equal(f->plan.paths[1].name, "cam/ingest");
    assert_string_equal(f->plan.users[0].path, "cam/ingest");
    encoder(f, SL_ENC_HELD);
    make(f);
    assert_true(f->plan.paths[0].override_publisher);
    assert_string_equal(f->plan.changes[0].reason, "publishers must now use NAME/ingest");
    program(f);
    encoder(f, SL_ENC_LIVE);
    use_publish(f, true); /* and back */
    make(f);
    assert_int_equal(f->plan.removed_count, 0);
    f->observed.encoders_count = 0;
    make(f);
    assert_string_equal(f->plan.removed[0], "cam/ingest");
    assert_int_equal(f->plan.paths_count, 1);
    assert_false(f->plan.paths[0].override_publisher);
}

static void paths_stay_sorted(void **state)
{
    struct fixture *f = *state;
    struct sl_desired_stream two[2];
    struct sl_accepted other = f->accepted;

    use_publish(f, false);
    other.name = "cam-2";
    two[0] = two[1] = f->stream;
    two[1].accepted = &other;
    f->desired.streams = two;
    f->desired.count = 2;
    make(f);
    assert_int_equal(f->plan.paths_count, 2);
    assert_string_equal(f->plan.paths[0].name, "cam-2/ingest");
    assert_string_equal(f->plan.paths[1].name, "cam/ingest");
    assert_string_equal(f->plan.users[0].path, "cam-2/ingest");
}

/* ---- secrets ---- */

static void without_its_secret_nothing_starts_and_what_runs_stays(void **state)
{
    struct fixture *f = *state;

    f->rtsp.username = (char *)"admin";
    f->stream.password = secret(NULL);
    hash(f);
    make(f);
    assert_int_equal(f->plan.paths_count, 0);
    assert_string_equal(judged(f)->cond[SL_COND_READY].reason, "SecretMissing");
    assert_string_equal(judged(f)->cond[SL_COND_RESOLVED].message,
                        "there is no secret cam-pass in /s");
    assert_int_equal(judged(f)->health, SL_MISSING);
    encode(f, false);
    make(f);
    assert_int_equal(f->plan.actions_count, 0);
    encode(f, true);
    f->stream.password = secret("x");
    pulling(f);
    f->stream.password = secret(NULL);
    hash(f);
    make(f);
    assert_false(f->plan.engine_dirty);
    assert_string_equal(f->plan.paths[0].source, "rtsp://admin:x@10.0.0.12/s0");
    assert_int_equal(judged(f)->health, SL_DEGRADED);
}

static void an_encoder_survives_the_loss_of_its_secret(void **state)
{
    struct fixture *f = *state;

    f->rtsp.username = (char *)"admin";
    f->stream.password = secret("x");
    encode(f, false);
    encoder(f, SL_ENC_LIVE);
    make(f);
    program(f);
    f->stream.password = secret(NULL);
    hash(f);
    make(f);
    assert_int_equal(f->plan.actions_count, 0);
    assert_int_equal(f->plan.paths_count, 1);
    encode(f, true); /* the same for the way to a pull */
    make(f);
    assert_int_equal(f->plan.actions_count, 0);
}

static void a_status_holds_no_secret(void **state)
{
    struct fixture *f = *state;

    f->rtsp.username = (char *)"admin";
    f->stream.password = secret("geheim");
    hash(f);
    pulling(f);
    snprintf(f->paths[0].source_error, sizeof(f->paths[0].source_error),
             "dial rtsp://admin:geheim@10.0.0.12: refused");
    judged(f);
    assert_string_equal(f->status->plan.paths[0].source, "rtsp://***@10.0.0.12/s0");
    assert_string_equal(f->status->observed.paths[0].conf.source, "rtsp://***@10.0.0.12/s0");
    assert_string_equal(f->status->observed.paths[0].source_error,
                        "dial rtsp://***@10.0.0.12: refused");
    assert_string_equal(f->status->streams[0].desired->password.value, "");
    assert_string_equal(f->status->streams[0].desired->password.name, "cam-pass");
    use_publish(f, true);
    judged(f);
    assert_int_equal(f->status->plan.users_count, 0);
}

static void a_publishers_password_restarts_no_encoder(void **state)
{
    struct fixture *f = *state;
    char before[80];

    f->publish.username = (char *)"obs";
    f->stream.password = secret("x");
    use_publish(f, false);
    memcpy(before, f->stream.enc_hash, sizeof(before));
    f->publish.username = (char *)"obs2";
    f->stream.password = (struct sl_secret_seen){"cam-pass", "y", "e", NULL};
    hash(f);
    assert_string_equal(before, f->stream.enc_hash);
    use_rtsp(f);
    encode(f, false);
    memcpy(before, f->stream.enc_hash, sizeof(before));
    f->rtsp.exclusive = true;
    hash(f);
    assert_string_equal(before, f->stream.enc_hash);
    f->stream.password.digest = "f";
    hash(f);
    assert_string_not_equal(before, f->stream.enc_hash);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(a_pull_is_a_plain_path_and_no_encoder),
        T(credentials_are_encoded_where_the_source_reads_them),
        T(what_mediamtx_cannot_pull_has_an_encoder),
        T(too_long_an_address_is_said),
        T(another_address_or_password_breaks),
        T(suspended_and_deleted_drop_both_paths),
        T(an_encoder_ends_before_mediamtx_pulls),
        T(a_pull_goes_on_until_the_encoder_is_ready),
        T(a_pull_that_is_held_stays),
        T(publishers_are_told_to_use_the_other_path),
        T(paths_stay_sorted),
        T(without_its_secret_nothing_starts_and_what_runs_stays),
        T(an_encoder_survives_the_loss_of_its_secret),
        T(a_status_holds_no_secret),
        T(a_publishers_password_restarts_no_encoder),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
