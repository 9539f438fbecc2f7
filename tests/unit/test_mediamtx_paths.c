/* SPDX-License-Identifier: GPL-2.0-or-later
 * The table of path keys there and back, what is refused, what differs, and which way it goes.
 */
#include <setjmp.h>
#include <stdarg.h>

#include "reconcile/mediamtx/log.h"
#include "reconcile/mediamtx/merge.h"
#include "reconcile/mediamtx/sources.h"
#include "reconcile/mediamtx/wanted.h"
#include "reconcile/mediamtx/writer.h"
#include <cmocka.h>
#include <fcntl.h>
#include <unistd.h>

static struct sl_path_conf plain(const char *name)
{
    struct sl_path_conf conf = {.source = "publisher", .override_publisher = true};

    snprintf(conf.name, sizeof(conf.name), "%s", name);
    return conf;
}

static struct sl_path_conf always(const char *name)
{
    struct sl_path_conf conf = plain(name);

    conf.always_available = true;
    conf.tracks = (struct sl_facts){.count = 3,
                                    .track = {{"H264", 0, 0, false, false},
                                              {"Opus", 48000, 2, false, false},
                                              {"G711", 8000, 1, true, false}}};
    return conf;
}

/* As MediaMTX gives it: all members of a track, and keys that are not ours. */
static void round_trip(void **state)
{
    struct sl_path_conf confs[2] = {plain("a"), always("b/c")};

    (void)state;
    confs[0].max_readers = 3;
    for (size_t i = 0; i < 2; i++) {
        json_t *object = sl_mtx_path_to_json(&confs[i]);
        struct sl_path_conf back;

        assert_string_equal(json_string_value(json_object_get(object, "recordDeleteAfter")), "0s");
        assert_true(json_is_false(json_object_get(object, "sourceOnDemand")));
        json_object_set_new(object, "name", json_string(confs[i].name));
        json_object_set_new(object, "recordDeleteAfter", json_string(""));
        json_object_set_new(object, "rpiCameraMode", json_string("x"));
        assert_int_equal(sl_mtx_path_from_json(object, &back), 0);
        assert_true(sl_mtx_path_same(&confs[i], &back));
        back.max_readers++;
        assert_false(sl_mtx_path_same(&confs[i], &back));
        json_object_set_new(object, "recordDeleteAfter", json_string("1d"));
        assert_int_equal(sl_mtx_path_from_json(object, &back), 0);
        assert_false(sl_mtx_path_same(&confs[i], &back));
        json_object_set_new(object, "recordDeleteAfter", json_string(""));
        json_object_set_new(object, "sourceOnDemand", json_true());
        assert_int_equal(sl_mtx_path_from_json(object, &back), 0);
        assert_false(sl_mtx_path_same(&confs[i], &back));
        json_decref(object);
    }
}

static void pulled(void **state)
{
    struct sl_path_conf want = plain("a"), is;
    json_t *object;

    (void)state;
    strcpy(want.source, "rtsp://u:p%40ss@[::1]:8554/x?y=1");
    strcpy(want.rtsp_transport, "udp");
    assert_int_equal(sl_mtx_path_check(&want, NULL), 0);
    object = sl_mtx_path_to_json(&want);
    assert_string_equal(json_string_value(json_object_get(object, "rtspTransport")), "udp");
    is = want;
    assert_true(sl_mtx_path_same(&want, &is));
    strcpy(is.rtsp_transport, "automatic");
    assert_false(sl_mtx_path_same(&want, &is));
    strcpy(want.rtsp_transport, ""); /* as MediaMTX has it without us */
    assert_true(sl_mtx_path_same(&want, &is));
    strcpy(is.source, "rtsp://u:other@[::1]:8554/x?y=1");
    assert_false(sl_mtx_path_same(&want, &is));
    strcpy(want.rtsp_transport, "pigeon");
    assert_int_equal(sl_mtx_path_check(&want, NULL), -1);
    json_decref(object);
}

static void sources(void **state)
{
    static const char *const good[] = {
        "publisher",
        "rtsp://192.0.2.1/live",
        "rtsps://u:p@cam-1.example:322/a/b?c=d#e",
        "rtmp://h/app/key",
        "rtmps://h:1936/app",
        "http://h/x/index.m3u8",
        "https://u:%3A%2F@h:8443/index.m3u8?token=1%2B2",
        "srt://h:9000?streamid=read:a&passphrase=0123456789",
        "udp://239.0.0.1:5004",
        "udp+mpegts://[ff02::1]:5004?interface=eth0",
    };
    static const char *const bad[] = {
        "",
        "rtsp:",
        "rtsp://",
        "file:///etc/passwd",
        "redirect",
        "rpiCamera",
        "rtsp://u@h/",
        "rtsp://u:@h/",
        "rtsp://:p@h/",
        "rtsp://u:p w@h/",
        "rtsp://u:p/w@h/",
        "rtsp://h:port/",
        "rtsp://h:99999/",
        "rtsp://h/%zz",
        "rtsp://h/$MTX_QUERY",
        "rtsp://[::1/",
        "rtsp://a_b c/",
        "rtsp://h/\"x",
        "udp://239.0.0.1",
        "udp+mpegts://h",
        "unix+mpegts:///tmp/x",
        "rtsp://h/\x01",
        "rtsp://h/\xc3\xa4",
    };
    char longer[1024] = "rtsp://h/";

    (void)state;
    for (size_t i = 0; i < SL_COUNT(good); i++)
        if (sl_mtx_source_check(good[i], NULL) != 0)
            fail_msg("%s is refused", good[i]);
    for (size_t i = 0; i < SL_COUNT(bad); i++) {
        struct sl_err err = {0};

        if (sl_mtx_source_check(bad[i], &err) == 0)
            fail_msg("%s is taken", bad[i]);
        assert_null(strstr(err.text, "p w"));
    }
    memset(longer + strlen(longer), 'a', 1000);
    assert_int_equal(sl_mtx_source_check(longer, NULL), -1);
}

static void scrubbed(void **state)
{
    static const struct {
        const char *source, *text, *want;
    } cases[] = {
        {"rtsp://cam:s%40cret@h/x", "open rtsp://cam:s%40cret@h/x: s@cret is wrong, s%40cret too",
         "open rtsp://***@h/x: *** is wrong, *** too"},
        {"srt://h:1?streamid=read:me&passphrase=0123456789", "bad passphrase 0123456789 (read:me)",
         "bad passphrase *** (***)"},
        {NULL, "Get \"https://a:b@h/x\": no; rtsp://h/a@b",
         "Get \"https://***@h/x\": no; rtsp://h/a@b"},
        {"rtsp://u:tcp@h/x", "dial tcp h: refused", "dial tcp h: refused"},
        {"publisher", "nothing", "nothing"},
    };

    (void)state;
    for (size_t i = 0; i < SL_COUNT(cases); i++) {
        char text[200];

        snprintf(text, sizeof(text), "%s", cases[i].text);
        sl_mtx_scrub(cases[i].source, text);
        assert_string_equal(text, cases[i].want);
    }
}

static void left_over_tracks_differ(void **state)
{
    struct sl_path_conf want = plain("a"), is = always("a");

    (void)state;
    is.always_available = false;
    assert_false(sl_mtx_path_same(&want, &is));
    assert_true(sl_mtx_path_same(&is, &want)); /* what is wanted beside it is not written */
}

static void refused(void **state)
{
    static const char *const names[] = {"",   "all",  "all_others", "~x",   "/a",
                                        "a/", "a//b", ".a",         "a/..", "a b"};
    struct sl_path_conf conf;
    struct sl_err err = {0};

    (void)state;
    for (size_t i = 0; i < SL_COUNT(names); i++) {
        conf = plain(names[i]);
        assert_int_equal(sl_mtx_path_check(&conf, &err), -1);
    }
    conf = always("a");
    assert_int_equal(sl_mtx_path_check(&conf, &err), 0);
    conf.tracks.track[2].sample_rate = 4000;
    assert_int_equal(sl_mtx_path_check(&conf, &err), -1);
    assert_string_equal(err.code, "TrackRefused");
    conf = always("a");
    strcpy(conf.tracks.track[0].codec, "VP8");
    assert_int_equal(sl_mtx_path_check(&conf, &err), -1);
    conf.tracks.count = 0;
    assert_int_equal(sl_mtx_path_check(&conf, &err), -1);
    conf = plain("a");
    strcpy(conf.source, "rtsp://u:secret pass@x");
    assert_int_equal(sl_mtx_path_check(&conf, &err), -1);
    assert_string_equal(err.code, "SourceRefused");
    assert_null(strstr(err.text, "secret"));
}

static void differs(void **state)
{
    struct sl_path_conf want[3] = {plain("a"), plain("b"), plain("d")};
    const char *removed[2] = {"c", "gone"};
    struct sl_mtx_confs *confs = sl_alloc(sizeof(*confs) + 3 * sizeof(confs->list[0]));
    struct sl_wanted wanted = {0};
    struct sl_ops ops = {0};
    struct sl_path_conf *accepted;

    (void)state;
    confs->count = 3;
    confs->list[0] = plain("a");
    confs->list[1] = plain("b");
    confs->list[1].record = true;
    confs->list[2] = plain("c");
    want[2].max_readers = 5; /* in and out of the list of what is, at each place */
    sl_mtx_confs_put(&confs, "d", &want[2]);
    want[0] = plain("0");
    sl_mtx_confs_put(&confs, "0", &want[0]);
    want[0] = plain("a");
    sl_mtx_confs_put(&confs, "d", &want[2]);
    assert_int_equal(confs->count, 5);
    assert_string_equal(confs->list[4].name, "d");
    sl_mtx_confs_put(&confs, "0", NULL);
    sl_mtx_confs_put(&confs, "d", NULL);
    sl_mtx_confs_put(&confs, "nobody", NULL);
    assert_int_equal(confs->count, 3);
    assert_string_equal(confs->list[0].name, "a");
    want[2].max_readers = 0;
    sl_wanted_set(&wanted, want, 3, removed, 2);
    sl_wanted_diff(&wanted, confs, NULL, &ops);
    assert_int_equal(ops.count, 3); /* c goes, b differs, d is missing; a stays */
    sl_wanted_diff(&wanted, confs, sl_strdup("{}"), &ops);
    assert_int_equal(ops.count, 4); /* users after what goes, before what comes */
    assert_string_equal(ops.list[1].users, "{}");
    assert_string_equal(ops.list[2].name, "b");
    sl_wanted_diff(&wanted, confs, NULL, &ops);
    assert_string_equal(ops.list[0].name, "c");
    assert_null(ops.list[0].conf);
    assert_string_equal(ops.list[1].name, "b");
    assert_string_equal(ops.list[2].name, "d");
    assert_true(sl_ops_open(&ops, confs));

    sl_wanted_reject(&wanted, ops.list[2].conf, "no");
    sl_wanted_diff(&wanted, confs, NULL, &ops);
    assert_int_equal(ops.count, 2);
    assert_int_equal(sl_wanted_accepted(&wanted, &accepted), 2);
    free(accepted);
    sl_wanted_set(&wanted, want, 3, removed, 2); /* the same: stays rejected */
    sl_wanted_diff(&wanted, confs, NULL, &ops);
    assert_int_equal(ops.count, 2);
    want[2].max_readers = 1; /* changed: tried again */
    sl_wanted_set(&wanted, want, 3, NULL, 0);
    sl_wanted_diff(&wanted, confs, NULL, &ops);
    assert_int_equal(ops.count, 2);
    assert_int_equal(wanted.rejected_count, 0);
    strcpy(want[0].source, "no"); /* refused before MediaMTX sees it */
    sl_wanted_set(&wanted, want, 3, NULL, 0);
    assert_int_equal(wanted.rejected_count, 1);
    sl_ops_clear(&ops);
    sl_wanted_clear(&wanted);
    free(confs);
}

static void wanted_users(void **state)
{
    struct sl_publish_user users[3] = {
        {"a", "me", "one"}, {"b", "not me!?", "two"}, {"c", "any", ""}};
    struct sl_wanted wanted = {0};
    uint64_t version;

    (void)state;
    sl_wanted_users(&wanted, NULL, 0);
    assert_int_equal(wanted.version, 0); /* nothing is nothing new */
    sl_wanted_users(&wanted, users, 3);
    version = wanted.version;
    assert_int_equal(version, 1);
    assert_int_equal(wanted.users_count, 2);
    assert_string_equal(wanted.no_user.conf.name, "b");
    assert_null(strstr(wanted.no_user.text, "two"));
    assert_string_equal(wanted.users[1].pass, "");
    sl_wanted_users(&wanted, users, 3);
    assert_int_equal(wanted.version, version);
    strcpy(users[0].password, "other");
    sl_wanted_users(&wanted, users, 3);
    assert_int_equal(wanted.version, version + 1);
    sl_wanted_clear(&wanted);
}

static void which_way(void **state)
{
    (void)state;
    assert_true(sl_writer_by_api(1, 10, 0));
    assert_true(sl_writer_by_api(1, 1000, 0));
    assert_false(sl_writer_by_api(100, 100, 0));
    assert_false(sl_writer_by_api(1000, 0, 1000));
    assert_true(sl_writer_by_api(20, 10, 1000)); /* MediaMTX would not hear of a file yet */
}

static void why_it_died(void **state)
{
    static const struct {
        const char *log, *code, *text;
    } cases[] = {
        {"D T INF start\nD T ERR listen tcp :8554: bind: address already in use\nD T INF bye\n",
         "PortInUse", "port 8554"},
        {"D T INF x\nERR: unknown field \"z\"\n", "ConfigRefused", "unknown field"},
        {"", "EngineDied", "its log says nothing"},
    };
    char name[] = "/tmp/sluice-log-XXXXXX";
    int fd = mkstemp(name);

    (void)state;
    for (size_t i = 0; i < SL_COUNT(cases); i++) {
        struct sl_mtx_death death = {0};
        ssize_t len = (ssize_t)strlen(cases[i].log);

        assert_int_equal(ftruncate(fd, 0), 0);
        assert_int_equal(pwrite(fd, cases[i].log, (size_t)len, 0), len);
        sl_mtx_log_reason(name, 0, &death);
        assert_string_equal(death.code, cases[i].code);
        assert_non_null(strstr(death.text, cases[i].text));
    }
    assert_int_equal(ftruncate(fd, 17 << 20), 0);
    sl_mtx_log_cut(name);
    assert_int_equal(sl_mtx_log_size(name), 64 << 10);
    close(fd);
    unlink(name);
}

static void append(int fd, const char *text)
{
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}

static void source_errors(void **state)
{
    char name[] = "/tmp/sluice-tail-XXXXXX", text[256];
    int fd = mkostemp(name, O_APPEND);
    struct sl_mtx_tail *tail = sl_mtx_tail_new(name), *none = sl_mtx_tail_new(NULL);

    (void)state;
    sl_mtx_tail_read(none, 1);
    assert_int_equal(sl_mtx_tail_error(none, "a", text, sizeof(text)), 0);
    append(fd, "D T INF [path b] [RTSP source] started\n"
               "D T ERR [path b] [RTSP source] dial: refused\n"
               "D T ERR [path a/x] [HLS source] first\n"
               "D T ERR [path c] runOnInit command exited\n"
               "D T ERR [RTSP] [conn 1] no [path d] [X source] y\n"
               "D T ERR [path a/x] [HLS source] bad status code: 401 (Una");
    sl_mtx_tail_read(tail, 5);
    assert_int_equal(sl_mtx_tail_error(tail, "b", text, sizeof(text)), 5);
    assert_string_equal(text, "dial: refused");
    assert_int_equal(sl_mtx_tail_error(tail, "c", text, sizeof(text)), 0);
    assert_int_equal(sl_mtx_tail_error(tail, "d", text, sizeof(text)), 0);
    assert_int_equal(sl_mtx_tail_error(tail, "a/x", text, sizeof(text)), 5);
    assert_string_equal(text, "first"); /* a line is taken when it is whole */
    append(fd, "uthorized)\n");
    sl_mtx_tail_read(tail, 7);
    assert_int_equal(sl_mtx_tail_error(tail, "a/x", text, sizeof(text)), 7);
    assert_string_equal(text, "bad status code: 401 (Unauthorized)");
    sl_mtx_tail_clear(tail, "b");
    sl_mtx_tail_clear(tail, "nobody");
    assert_int_equal(sl_mtx_tail_error(tail, "b", text, sizeof(text)), 0);
    assert_int_equal(sl_mtx_tail_error(tail, "a/x", text, sizeof(text)), 7);
    assert_int_equal(ftruncate(fd, 0), 0); /* cut by us: what is left was read before */
    append(fd, "D T ERR [path b] [RTSP source] old\n");
    sl_mtx_tail_skip(tail);
    append(fd, "D T ERR [path e] [SRT source] new\n");
    sl_mtx_tail_read(tail, 9);
    assert_int_equal(sl_mtx_tail_error(tail, "b", text, sizeof(text)), 0);
    assert_int_equal(sl_mtx_tail_error(tail, "e", text, sizeof(text)), 9);
    assert_int_equal(ftruncate(fd, 0), 0); /* by somebody else: from the start */
    append(fd, "D T ERR [path f] [SRT source] x\n");
    sl_mtx_tail_read(tail, 11);
    assert_int_equal(sl_mtx_tail_error(tail, "f", text, sizeof(text)), 11);
    sl_mtx_tail_free(tail);
    sl_mtx_tail_free(none);
    close(fd);
    unlink(name);
}

static void live_paths(void **state)
{
    static const char body[] =
        "{\"itemCount\":2,\"items\":[{\"name\":\"b\",\"available\":true,\"online\":true,"
        "\"source\":{\"type\":\"webRTCSession\",\"id\":\"1-2\"},\"inboundBytes\":10,"
        "\"tracks2\":[{\"codec\":\"H265\",\"codecProps\":{\"width\":2}},"
        "{\"codec\":\"MPEG-4 Audio LATM\",\"codecProps\":null},"
        "{\"codec\":\"MPEG-4 Audio\",\"codecProps\":{\"sampleRate\":44100,\"channelCount\":1}},"
        "{\"codec\":\"Opus\",\"codecProps\":{\"channelCount\":2}},"
        "{\"codec\":\"G711\",\"codecProps\":{\"muLaw\":true,\"sampleRate\":8000,"
        "\"channelCount\":1}},{\"codec\":\"MPEG-1/2 Audio\"}],"
        "\"readers\":[{\"type\":\"rtspsSession\"},{\"type\":\"hlsSession\"},{\"type\":\"rtmpConn\"}"
        ","
        "{\"type\":\"webRTCSession\"},{\"type\":\"srtConn\"},{\"type\":\"rtspSession\"},"
        "{\"type\":\"moqSession\"}]},"
        "{\"name\":\"a\",\"source\":null,\"tracks2\":[],\"readers\":[],\"inboundBytes\":0}]}";
    static const int by[5] = {2, 1, 1, 1, 1};
    static const struct sl_track tracks[] = {
        {"H265", 0, 0, false, false},           {"MPEG4Audio", 0, 0, false, false},
        {"MPEG4Audio", 44100, 1, false, false}, {"Opus", 48000, 2, false, false},
        {"G711", 8000, 1, true, false},         {"MPEG-1/2 Audio", 0, 0, false, false}};
    struct sl_mtx_live *old = sl_mtx_parse_live(body, sizeof(body) - 1);
    struct sl_mtx_live *now = sl_mtx_parse_live(body, sizeof(body) - 1);
    const struct sl_mtx_live_path *b = &now->list[1];

    (void)state;
    assert_string_equal(b->source_type, "webRTCSession");
    assert_string_equal(b->source_id, "1-2");
    assert_int_equal(b->readers, 7);
    assert_memory_equal(b->readers_by, by, sizeof(by));
    assert_int_equal(b->tracks.count, SL_COUNT(tracks));
    for (size_t i = 0; i < SL_COUNT(tracks); i++) {
        assert_string_equal(b->tracks.track[i].codec, tracks[i].codec);
        assert_int_equal(b->tracks.track[i].sample_rate, tracks[i].sample_rate);
        assert_int_equal(b->tracks.track[i].channels, tracks[i].channels);
        assert_int_equal(b->tracks.track[i].mulaw, tracks[i].mulaw);
    }
    assert_string_equal(now->list[0].source_type, "");
    sl_mtx_compare(old, NULL, 100, 0);
    assert_int_equal(old->list[1].in_moved, 100);
    sl_mtx_compare(now, old, 200, 100);
    assert_int_equal(b->in_moved, 100); /* it stands */
    now->list[1].in_bytes = 110;
    sl_mtx_compare(now, old, 200, 100);
    assert_int_equal(b->in_moved, 200);
    assert_int_equal(b->bitrate_in, 8000);
    now->list[1].in_bytes = 1;
    sl_mtx_compare(now, old, 200, 100);
    assert_int_equal(b->in_moved, 100); /* counted anew is not grown */
    strcpy(now->list[1].source_id, "3");
    sl_mtx_compare(now, old, 200, 100);
    assert_int_equal(b->in_moved, 200); /* unless another session brought it */
    free(old);
    free(now);
}

static void versions(void **state)
{
    (void)state;
    assert_true(sl_mtx_version_ok("v1.20.1"));
    assert_true(sl_mtx_version_ok("1.21.0"));
    assert_true(sl_mtx_version_ok("v2.0.0-rc1"));
    assert_false(sl_mtx_version_ok("v1.20.0"));
    assert_false(sl_mtx_version_ok("v1.9.9"));
    assert_false(sl_mtx_version_ok(""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip),   cmocka_unit_test(left_over_tracks_differ),
        cmocka_unit_test(refused),      cmocka_unit_test(differs),
        cmocka_unit_test(which_way),    cmocka_unit_test(why_it_died),
        cmocka_unit_test(versions),     cmocka_unit_test(pulled),
        cmocka_unit_test(sources),      cmocka_unit_test(scrubbed),
        cmocka_unit_test(wanted_users), cmocka_unit_test(source_errors),
        cmocka_unit_test(live_paths),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
