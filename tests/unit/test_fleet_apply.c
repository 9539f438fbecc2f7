/* SPDX-License-Identifier: GPL-2.0-or-later
 * Actions against a fake host and fake encoders: each once, stop up to SIGKILL, refusals shown as
 * dead records, the host lost and found, everything ended by stop_all.
 */
#include "fleet_tree.h"

static struct sl_src_test test_source = {
    .pattern = SL_PATTERN_BARS, .size = (char *)"640x360", .rate = 25, .tone = 440};
static struct sl_stream_spec spec = {.source = {.test = &test_source}};
static const struct sl_publisher publisher = {
    .url = "rtsp://127.0.0.1:8554", .username = "sluice-x", .password = "s3cr3t"};

struct stream {
    struct sl_accepted accepted;
    struct sl_desired_stream desired;
    struct sl_action start;
};

static struct stream *stream(struct stream *s, const char *name)
{
    *s = (struct stream){.accepted = {.name = name, .generation = 5}};
    s->desired = (struct sl_desired_stream){.accepted = &s->accepted, .spec = &spec, .run = true};
    snprintf(s->desired.enc_hash, sizeof(s->desired.enc_hash), "sha:77");
    s->start = (struct sl_action){
        .kind = SL_ACT_START, .stream = name, .desired = &s->desired, .reason = "test"};
    return s;
}

static bool host_up(struct tree *t)
{
    return t->fleet->host.up;
}

static struct tree *with_host(void)
{
    struct tree *t = tree_new();

    t->host = fork();
    if (t->host == 0)
        fake_host(t->dir);
    tree_fleet(t);
    assert_true(tree_run(t, 3000, host_up));
    return t;
}

static int starts(struct tree *t)
{
    sl_autofree char *path = sl_asprintf("%s/starts", t->dir);
    FILE *f = fopen(path, "r");
    int n = 0;

    if (f) {
        if (fscanf(f, "%d", &n) != 1)
            n = 0;
        fclose(f);
    }
    return n;
}

static const struct sl_seen_encoder *only(struct tree *t)
{
    size_t count;
    const struct sl_seen_encoder *list = tree_seen(t, &count);

    assert_int_equal(count, 1);
    return list;
}

static bool held(struct tree *t)
{
    return only(t)->record.state == SL_ENC_HELD;
}

static bool live(struct tree *t)
{
    return only(t)->record.state == SL_ENC_LIVE && only(t)->gone_asked;
}

static bool dead(struct tree *t)
{
    return !only(t)->alive;
}

static void one_life(void **state)
{
    struct tree *t = with_host();
    struct stream s;
    struct sl_action act = {.stream = "one", .reason = "test"};
    char uid[SL_UID_LEN + 1];
    size_t count;

    (void)state;
    stream(&s, "one");
    for (int i = 0; i < 3; i++) { /* three passes while the request is under way */
        sl_fleet_apply(t->fleet, &s.start, 1, &publisher);
        assert_true(only(t)->alive);
        assert_int_equal(only(t)->record.state, SL_ENC_STARTING);
    }
    assert_true(tree_run(t, 2000, held));
    sl_fleet_apply(t->fleet, &s.start, 1, &publisher);
    assert_int_equal(starts(t), 1);
    assert_string_equal(only(t)->record.spec_hash, "sha:77");

    snprintf(uid, sizeof(uid), "%s", only(t)->record.uid);
    act.uid = uid;
    act.kind = SL_ACT_FORGET;
    sl_fleet_apply(t->fleet, &act, 1, &publisher);
    assert_true(only(t)->alive);
    act.kind = SL_ACT_GO;
    sl_fleet_apply(t->fleet, &act, 1, &publisher);
    sl_fleet_apply(t->fleet, &act, 1, &publisher);
    assert_true(tree_run(t, 2000, live));
    act.kind = SL_ACT_STOP;
    sl_fleet_apply(t->fleet, &act, 1, &publisher);
    sl_fleet_apply(t->fleet, &act, 1, &publisher);
    assert_true(only(t)->stop_asked);
    assert_true(tree_run(t, 1500, dead)); /* by ctl: no signal is due yet */
    assert_string_equal(only(t)->record.reason, "Stopped");
    act.kind = SL_ACT_FORGET;
    sl_fleet_apply(t->fleet, &act, 1, &publisher);
    tree_seen(t, &count);
    assert_int_equal(count, 0);
    tree_free(t);
}

static void deaf_one_is_killed(void **state)
{
    struct tree *t = with_host();
    struct stream s;
    struct sl_action act = {.kind = SL_ACT_STOP, .stream = "deaf", .reason = "test"};
    char uid[SL_UID_LEN + 1];
    int64_t from;

    (void)state;
    sl_fleet_apply(t->fleet, &stream(&s, "deaf")->start, 1, &publisher);
    assert_true(tree_run(t, 2000, held));
    snprintf(uid, sizeof(uid), "%s", only(t)->record.uid);
    act.uid = uid;
    from = sl_now_mono();
    sl_fleet_apply(t->fleet, &act, 1, &publisher);
    assert_true(tree_run(t, 8000, dead));
    assert_in_range(sl_now_mono() - from, FLEET_GRACE_KILL - 50, FLEET_GRACE_KILL + 1500);
    tree_free(t);
}

static void kill_kills(void **state)
{
    struct tree *t = with_host();
    struct stream s;
    struct sl_action act = {.kind = SL_ACT_KILL, .stream = "deaf", .reason = "stuck"};
    char uid[SL_UID_LEN + 1];

    (void)state;
    sl_fleet_apply(t->fleet, &stream(&s, "deaf")->start, 1, &publisher);
    assert_true(tree_run(t, 2000, held));
    snprintf(uid, sizeof(uid), "%s", only(t)->record.uid);
    act.uid = uid;
    sl_fleet_apply(t->fleet, &act, 1, &publisher);
    sl_fleet_apply(t->fleet, &act, 1, &publisher);
    assert_true(tree_run(t, 1500, dead));
    tree_free(t);
}

/* In another PID namespace: neither pidfd nor kill() reach it, the host does. */
static void host_signals_for_us(void **state)
{
    struct tree *t = with_host();
    struct stream s;
    struct sl_action act = {.kind = SL_ACT_KILL, .stream = "elsewhere", .reason = "stuck"};
    char uid[SL_UID_LEN + 1];

    (void)state;
    sl_fleet_apply(t->fleet, &stream(&s, "elsewhere")->start, 1, &publisher);
    assert_true(tree_run(t, 2000, held));
    assert_int_equal(t->fleet->encs[0]->pidfd, -1);
    snprintf(uid, sizeof(uid), "%s", only(t)->record.uid);
    act.uid = uid;
    sl_fleet_apply(t->fleet, &act, 1, &publisher);
    assert_true(tree_run(t, 3000, dead));
    tree_free(t);
}

static bool out_of_reach(struct tree *t)
{
    return t->fleet->encs[0]->unkillable;
}

static void host_that_will_not(void **state)
{
    struct tree *t = with_host();
    struct stream s;
    struct sl_action act = {.kind = SL_ACT_KILL, .stream = "elsewhere-lost", .reason = "stuck"};
    char uid[SL_UID_LEN + 1];
    int pid;

    (void)state;
    sl_fleet_apply(t->fleet, &stream(&s, "elsewhere-lost")->start, 1, &publisher);
    assert_true(tree_run(t, 2000, held));
    snprintf(uid, sizeof(uid), "%s", only(t)->record.uid);
    pid = only(t)->record.pid;
    act.uid = uid;
    sl_fleet_apply(t->fleet, &act, 1, &publisher);
    assert_true(tree_run(t, 2000, out_of_reach));
    assert_true(only(t)->alive);
    /* the connection is still in step: the next start is answered as a start */
    sl_fleet_apply(t->fleet, &stream(&s, "next")->start, 1, &publisher);
    tree_run(t, 300, NULL);
    assert_true(t->fleet->host.up);
    assert_int_equal(starts(t), 2);
    kill(pid, SIGKILL);
    tree_free(t);
}

static bool host_refused(struct tree *t)
{
    return strstr(t->fleet->host.error, "held by user 65534") != NULL;
}

/* Whoever holds host.sock gets specs with passwords: it must be us, root or the encoders' user. */
static void foreign_host_gets_nothing(void **state)
{
    struct tree *t;

    (void)state;
    if (geteuid() != 0)
        skip();
    t = tree_new();
    assert_int_equal(chmod(t->dir, 0777), 0);
    t->host = fork();
    if (t->host == 0) {
        if (setgid(65534) < 0 || setuid(65534) < 0)
            _exit(94);
        fake_host(t->dir);
    }
    tree_fleet(t);
    assert_true(tree_run(t, 5000, host_refused));
    assert_false(t->fleet->host.up);
    tree_free(t);
}

static void refusal_is_a_dead_record(void **state)
{
    struct tree *t = with_host();
    struct stream s;
    struct sl_action act = {.kind = SL_ACT_FORGET, .stream = "refused", .reason = "test"};
    char uid[SL_UID_LEN + 1];
    size_t count;

    (void)state;
    sl_fleet_apply(t->fleet, &stream(&s, "refused")->start, 1, &publisher);
    assert_true(tree_run(t, 2000, dead));
    assert_string_equal(only(t)->record.reason, "StartRefused");
    snprintf(uid, sizeof(uid), "%s", only(t)->record.uid);
    act.uid = uid;
    sl_fleet_apply(t->fleet, &act, 1, &publisher);
    tree_seen(t, &count);
    assert_int_equal(count, 0);
    tree_free(t);
}

static bool host_down(struct tree *t)
{
    return !t->fleet->host.up;
}

static void host_lost_and_found(void **state)
{
    struct tree *t = with_host();
    pid_t enc = spawn_encoder(t->dir, "00000000000000cc", "on", SL_ENC_LIVE, false);

    (void)state;
    sl_fleet_rescan(t->fleet);
    kill(t->host, SIGKILL);
    waitpid(t->host, NULL, 0);
    t->host = 0;
    assert_true(tree_run(t, 2000, host_down));
    assert_true(only(t)->alive); /* its encoders go on */
    t->host = fork();
    if (t->host == 0)
        fake_host(t->dir);
    assert_true(tree_run(t, 4000, host_up));
    kill(enc, SIGKILL);
    waitpid(enc, NULL, 0);
    tree_free(t);
}

static void stop_all_ends_all(void **state)
{
    struct tree *t = with_host();
    struct stream a, b;
    int64_t from;
    size_t count;
    const struct sl_seen_encoder *list;
    struct sl_action acts[2];

    (void)state;
    acts[0] = stream(&a, "a")->start;
    acts[1] = stream(&b, "b")->start;
    sl_fleet_apply(t->fleet, acts, 2, &publisher);
    tree_run(t, 400, NULL);
    from = sl_now_mono();
    sl_fleet_stop_all(t->fleet);
    assert_true(sl_now_mono() - from < 2000);
    sl_fleet_rescan(t->fleet);
    tree_run(t, 400, NULL);
    list = tree_seen(t, &count);
    assert_int_equal(count, 2);
    assert_false(list[0].alive || list[1].alive);
    tree_free(t);
}

static void spec_says_all(void **state)
{
    struct stream s;
    struct sl_encspec *out =
        fleet_encspec(&stream(&s, "a/b")->desired, &publisher, "0123456789abcdef");

    (void)state;
    assert_string_equal(out->publish.url, "rtsp://127.0.0.1:8554/a/b");
    assert_string_equal(out->spec_hash, "sha:77");
    assert_int_equal(out->source, SL_ENC_TEST);
    assert_int_equal(out->mode, SL_ENC_TRANSCODE); /* a test picture cannot be copied */
    assert_string_equal(out->test.pattern, "bars");
    assert_int_equal(out->test.width, 640);
    assert_int_equal(out->test.height, 360);
    assert_string_equal(out->video.codec, "h264");
    assert_true(out->hold && out->audio.webrtc_opus);
    sl_encspec_free(out);
}

static void spec_of_a_camera(void **state)
{
    static struct sl_src_rtsp rtsp = {.url = (char *)"rtsp://10.0.0.12/s0",
                                      .transport = SL_TRANSPORT_UDP,
                                      .username = (char *)"admin"};
    static struct sl_transcode transcode = {.video = {.codec = SL_VCODEC_H265}};
    static struct sl_stream_spec camera = {.source = {.rtsp = &rtsp},
                                           .encode = {.transcode = &transcode}};
    struct stream s;
    struct sl_encspec *out;

    (void)state;
    stream(&s, "yard")->desired.spec = &camera;
    s.desired.password = (struct sl_secret_seen){.name = "cam-pass", .value = "hunter2"};
    out = fleet_encspec(&s.desired, &publisher, "0123456789abcdef");
    assert_int_equal(out->source, SL_ENC_NET);
    assert_int_equal(out->mode, SL_ENC_TRANSCODE);
    assert_string_equal(out->net.url, "rtsp://10.0.0.12/s0");
    assert_string_equal(out->net.transport, "udp");
    assert_string_equal(out->net.username, "admin");
    assert_string_equal(out->net.password, "hunter2");
    assert_string_equal(out->net.passphrase, "");
    assert_int_equal(out->net.silence, 5000);
    assert_string_equal(out->video.codec, "h265");
    assert_string_equal(out->publish.password, "s3cr3t");
    sl_encspec_free(out);
}

static void spec_of_a_pull(void **state)
{
    static struct sl_src_pull pull = {.url = (char *)"srt://10.0.0.9:9000"};
    static struct sl_copy copy;
    static struct sl_stream_spec relay = {.source = {.pull = &pull}, .encode = {.copy = &copy}};
    struct stream s;
    struct sl_encspec *out;

    (void)state;
    stream(&s, "relay")->desired.spec = &relay;
    s.desired.passphrase = (struct sl_secret_seen){.name = "p", .value = "a passphrase"};
    s.desired.stream_id = (struct sl_secret_seen){.name = "i", .value = "read:x"};
    out = fleet_encspec(&s.desired, &publisher, "0123456789abcdef");
    assert_int_equal(out->source, SL_ENC_NET);
    assert_int_equal(out->mode, SL_ENC_COPY);
    assert_string_equal(out->net.url, "srt://10.0.0.9:9000");
    assert_string_equal(out->net.transport, "");
    assert_string_equal(out->net.username, "");
    assert_string_equal(out->net.password, "");
    assert_string_equal(out->net.passphrase, "a passphrase");
    assert_string_equal(out->net.stream_id, "read:x");
    sl_encspec_free(out);
}

/* What somebody publishes on NAME/ingest is read by the internal user, not by the publisher's. */
static void spec_of_an_ingest(void **state)
{
    static struct sl_src_publish publish = {.username = (char *)"obs"};
    static struct sl_transcode transcode;
    static struct sl_stream_spec studio = {.source = {.publish = &publish},
                                           .encode = {.transcode = &transcode}};
    struct stream s;
    struct sl_encspec *out;

    (void)state;
    stream(&s, "studio/host")->desired.spec = &studio;
    s.desired.password = (struct sl_secret_seen){.name = "obs-key", .value = "obs-secret"};
    out = fleet_encspec(&s.desired, &publisher, "0123456789abcdef");
    assert_string_equal(out->net.url, "rtsp://127.0.0.1:8554/studio/host/ingest");
    assert_string_equal(out->net.username, "sluice-x");
    assert_string_equal(out->net.password, "s3cr3t");
    assert_string_equal(out->publish.url, "rtsp://127.0.0.1:8554/studio/host");
    sl_encspec_free(out);
}

static void no_start_without_its_secret(void **state)
{
    struct tree *t = with_host();
    struct stream s;
    size_t count;

    (void)state;
    stream(&s, "yard")->desired.password = (struct sl_secret_seen){.name = "cam-pass"};
    sl_fleet_apply(t->fleet, &s.start, 1, &publisher);
    tree_seen(t, &count);
    assert_int_equal(count, 0);
    s.desired.password.value = "hunter2";
    sl_fleet_apply(t->fleet, &s.start, 1, &publisher);
    assert_true(tree_run(t, 2000, held));
    tree_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spec_says_all),
        cmocka_unit_test(one_life),
        cmocka_unit_test(kill_kills),
        cmocka_unit_test(refusal_is_a_dead_record),
        cmocka_unit_test(host_lost_and_found),
        cmocka_unit_test(stop_all_ends_all),
        cmocka_unit_test(deaf_one_is_killed),
        cmocka_unit_test(spec_of_a_camera),
        cmocka_unit_test(spec_of_a_pull),
        cmocka_unit_test(spec_of_an_ingest),
        cmocka_unit_test(no_start_without_its_secret),
        cmocka_unit_test(host_signals_for_us),
        cmocka_unit_test(host_that_will_not),
        cmocka_unit_test(foreign_host_gets_nothing),
    };

    sl_log_level(SL_LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
