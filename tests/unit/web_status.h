/* SPDX-License-Identifier: GPL-2.0-or-later
 * A status made by hand for the page's tests: one healthy stream with an evil manifest beside it,
 * one that has never run, one orphan, one rejected file with secrets in its line, one held delete.
 */
#pragma once
#include "reconcile/web/web_impl.h"
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

static inline void *dup_in(struct sl_arena *arena, const void *data, size_t size)
{
    return memcpy(sl_arena_alloc(arena, size), data, size);
}

static inline struct sl_status *make_status(uint64_t seq)
{
    static struct sl_src_file file = {.path = (char *)"lobby.mp4", .loop = true};
    static struct sl_label labels[] = {{(char *)"site", (char *)"berlin"}};
    static struct sl_stream_spec spec = {.source = {.file = &file}};
    static struct sl_object object = {
        .metadata = {.name = (char *)"berlin/yard", .labels = labels, .labels_count = 1},
        .stream = &spec};
    static struct sl_accepted accepted = {.name = "berlin/yard",
                                          .file = "cams/yard.yaml",
                                          .line = 1,
                                          .generation = 6,
                                          .hash = "v1:9f",
                                          .object = &object};
    static struct sl_accepted accepted2 = {.name = "lobby",
                                           .file = "lobby.yaml",
                                           .line = 3,
                                           .generation = 1,
                                           .hash = "v1:aa",
                                           .object = &object};
    static struct sl_past past = {.name = "berlin/yard", .generation = 6, .restarts = 2};
    static struct sl_seen_path path = {.name = "berlin/yard",
                                       .configured = true,
                                       .available = true,
                                       .online = true,
                                       .readers = 3,
                                       .in_bytes = 100,
                                       .out_bytes = 300,
                                       .bitrate_in = 4012000};
    static const char *const objects[] = {"berlin/yard"};
    static struct sl_diag diag = {.code = "E102",
                                  .place = {"cams/yard.yaml", 7, 9},
                                  .width = 4,
                                  .path = "spec.encode.transcode.hwacel",
                                  .message = "unknown key '<script>alert(1)</script>'",
                                  .hint = "did you mean 'hwaccel'?",
                                  .excerpt =
                                      "  url: rtsp://bob:hunter2@10.0.0.1/s0?user=x&pass=hunter3"};
    static struct sl_status_file files[] = {{.path = "cams/<b>.yaml",
                                             .objects = objects,
                                             .objects_count = 1,
                                             .diags = &diag,
                                             .diags_count = 1},
                                            {.path = "ok.yaml", .valid = true}};
    static struct sl_planned changes[] = {{SL_CHANGE_HELD, "old", "absent from the manifests", 3}};
    struct sl_arena *arena = sl_arena_new();
    struct sl_status *st = sl_arena_alloc(arena, sizeof(*st));
    struct sl_desired_stream d = {
        .accepted = &accepted, .spec = &spec, .run = true, .media_path = "/srv/media/lobby.mp4"};
    struct sl_desired_stream d2 = {.accepted = &accepted2, .spec = &spec};
    struct sl_seen_encoder e = {
        .alive = true, .stats_known = true, .cpu = 0.31, .memory = 48300032};

    e.record = (struct sl_record){.uid = "00000000000000aa",
                                  .name = "berlin/yard",
                                  .pid = 812,
                                  .since = 1700000000000,
                                  .state = SL_ENC_LIVE,
                                  .codec = "h264",
                                  .hwaccel = "software"};
    e.stats.fps_milli = 25000;
    e.stats.speed_milli = 1000;
    e.stats.bitrate = 4000000;
    st->arena = arena;
    st->seq = seq;
    st->boot_id = "b1";
    st->node = "edge-<1>";
    st->version = "0.1.0";
    st->wall = 1700000001000;
    st->source = (struct sl_status_source){.path = "/srv/streams",
                                           .revision = "6e17ce1",
                                           .ref = "main",
                                           .how = "git",
                                           .snapshot = "sha256:1",
                                           .last_applied = "6e17ce1",
                                           .last_attempted = "6e17ce1",
                                           .atomic = true,
                                           .observed_at = 1700000000500,
                                           .warning = ""};
    st->files = files;
    st->files_count = 2;
    st->streams_count = 3;
    st->streams = sl_arena_alloc(arena, 3 * sizeof(st->streams[0]));
    for (int i = 0; i < 3; i++) {
        for (int k = 0; k < SL_COND_COUNT; k++)
            st->streams[i].cond[k] = (struct sl_condition){SL_FALSE, "Missing", "", 1700000000000};
    }
    st->streams[0].name = "berlin/yard";
    st->streams[0].desired = dup_in(arena, &d, sizeof(d));
    st->streams[0].sync = SL_SYNCED;
    st->streams[0].health = SL_HEALTHY;
    st->streams[0].settled = true;
    st->streams[0].encoder = dup_in(arena, &e, sizeof(e));
    st->streams[0].path = &path;
    st->streams[0].past = &past;
    st->streams[0].cond[SL_COND_READY] =
        (struct sl_condition){SL_TRUE, "Flowing", "", 1700000000000};
    st->streams[0].urls[0].url = "rtsp://127.0.0.1:8554/berlin/yard";
    st->streams[0].urls[0].plays = true;
    st->streams[0].urls[2].url = "javascript:alert(1)";
    st->streams[0].urls[2].plays = true;
    st->streams[0].urls[3].url = "http://127.0.0.1:8889/berlin/yard";
    st->streams[0].urls[3].why = "B-frames & AAC";
    st->streams[1].name = "lobby";
    st->streams[1].desired = dup_in(arena, &d2, sizeof(d2));
    st->streams[1].health = SL_MISSING;
    st->streams[1].next_attempt_wall = 1700000005000;
    st->streams[2].name = "x\"><img src=x>";
    st->streams[2].health = SL_HEALTH_UNKNOWN;
    st->plan.changes = changes;
    st->plan.changes_count = 1;
    snprintf(st->plan.id, sizeof(st->plan.id), "a1b2c3d4e5f6");
    st->observed.engine.reachable = true;
    snprintf(st->observed.engine.version, sizeof(st->observed.engine.version), "v1.20.1");
    st->observed.host_up = true;
    st->sum.ready = st->sum.settled = 1;
    st->sum.rejected_files = st->sum.held_deletes = 1;
    st->sum.readers = 3;
    st->sum.bitrate = 4012000;
    return st;
}
