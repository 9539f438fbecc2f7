/* SPDX-License-Identifier: GPL-2.0-or-later
 * The table of path keys there and back, what is refused, what differs, and which way it goes.
 */
#include <setjmp.h>
#include <stdarg.h>

#include "reconcile/mediamtx/log.h"
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
    conf.tracks = (struct sl_facts){
        .count = 3,
        .track = {{"H264", 0, 0, false}, {"Opus", 48000, 2, false}, {"G711", 8000, 1, true}}};
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
        json_object_set_new(object, "name", json_string(confs[i].name));
        json_object_set_new(object, "recordDeleteAfter", json_string(""));
        json_object_set_new(object, "rpiCameraMode", json_string("x"));
        assert_int_equal(sl_mtx_path_from_json(object, &back), 0);
        assert_true(sl_mtx_path_same(&confs[i], &back));
        back.max_readers++;
        assert_false(sl_mtx_path_same(&confs[i], &back));
        json_decref(object);
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
    strcpy(conf.source, "rtsp://x");
    assert_int_equal(sl_mtx_path_check(&conf, &err), -1);
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
    sl_wanted_diff(&wanted, confs, &ops);
    assert_int_equal(ops.count, 3); /* c goes, b differs, d is missing; a stays */
    assert_string_equal(ops.list[0].name, "c");
    assert_null(ops.list[0].conf);
    assert_string_equal(ops.list[1].name, "b");
    assert_string_equal(ops.list[2].name, "d");
    assert_true(sl_ops_open(&ops, confs));

    sl_wanted_reject(&wanted, ops.list[2].conf, "no");
    sl_wanted_diff(&wanted, confs, &ops);
    assert_int_equal(ops.count, 2);
    assert_int_equal(sl_wanted_accepted(&wanted, &accepted), 2);
    free(accepted);
    sl_wanted_set(&wanted, want, 3, removed, 2); /* the same: stays rejected */
    sl_wanted_diff(&wanted, confs, &ops);
    assert_int_equal(ops.count, 2);
    want[2].max_readers = 1; /* changed: tried again */
    sl_wanted_set(&wanted, want, 3, NULL, 0);
    sl_wanted_diff(&wanted, confs, &ops);
    assert_int_equal(ops.count, 2);
    assert_int_equal(wanted.rejected_count, 0);
    strcpy(want[0].source, "no"); /* refused before MediaMTX sees it */
    sl_wanted_set(&wanted, want, 3, NULL, 0);
    assert_int_equal(wanted.rejected_count, 1);
    sl_ops_clear(&ops);
    sl_wanted_clear(&wanted);
    free(confs);
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
        cmocka_unit_test(round_trip), cmocka_unit_test(left_over_tracks_differ),
        cmocka_unit_test(refused),    cmocka_unit_test(differs),
        cmocka_unit_test(which_way),  cmocka_unit_test(why_it_died),
        cmocka_unit_test(versions),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
