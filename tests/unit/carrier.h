/* SPDX-License-Identifier: GPL-2.0-or-later
 * One stream "cam" of any carrier, with its encoder and MediaMTX's paths, for tests of core.
 */
#pragma once
#include "reconcile/core/carry.h"
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
    struct sl_src_rtsp rtsp;
    struct sl_src_pull pull;
    struct sl_src_publish publish;
    struct sl_copy copy;
    struct sl_transcode transcode;
    struct sl_desired_stream stream;
    struct sl_desired desired;
    struct sl_seen_encoder seen[8];
    struct sl_seen_path paths[2];
    struct sl_observed observed;
    struct sl_public public_;
    struct sl_arena *arena;
    struct sl_plan plan;
    struct sl_status *status;
    uint64_t jitter;
};

static inline void hash(struct fixture *f)
{
    f->stream.carrier = sl_carrier_of(&f->spec);
    sl_enc_hash(&f->stream, "rtsp://127.0.0.1:8554", f->stream.enc_hash);
}

static inline void encode(struct fixture *f, bool copy)
{
    f->spec.encode.copy = copy ? &f->copy : NULL;
    f->spec.encode.transcode = copy ? NULL : &f->transcode;
    hash(f);
}

static inline void use_rtsp(struct fixture *f)
{
    f->spec.source = (struct sl_source){.rtsp = &f->rtsp};
    encode(f, true);
}

static inline void use_pull(struct fixture *f, const char *url)
{
    f->pull.url = (char *)url;
    f->spec.source = (struct sl_source){.pull = &f->pull};
    encode(f, true);
}

static inline void use_publish(struct fixture *f, bool copy)
{
    f->spec.source = (struct sl_source){.publish = &f->publish};
    encode(f, copy);
}

static inline struct sl_secret_seen secret(const char *value)
{
    return (struct sl_secret_seen){"cam-pass", value, value ? "d" : NULL,
                                   value ? NULL : "there is no secret cam-pass in /s"};
}

static inline void encoder(struct fixture *f, enum sl_enc_state state)
{
    struct sl_seen_encoder *e = &f->seen[0];

    memset(e, 0, sizeof(*e));
    e->alive = true;
    e->record.state = state;
    e->record.since = WALL - 100;
    snprintf(e->record.name, 208, "cam");
    snprintf(e->record.uid, 17, "00000000000000e1");
    snprintf(e->record.spec_hash, 80, "%s", f->stream.enc_hash);
    if (state != SL_ENC_STARTING) {
        e->record.facts.count = 1;
        snprintf(e->record.facts.track[0].codec, 32, "H264");
    }
    f->observed.encoders_count = 1;
}

/* MediaMTX has all that the plan wants, and nothing else of ours. */
static inline void program(struct fixture *f)
{
    f->observed.paths_count = f->plan.paths_count;
    for (size_t i = 0; i < f->plan.paths_count; i++) {
        memset(&f->paths[i], 0, sizeof(f->paths[i]));
        memcpy(f->paths[i].name, f->plan.paths[i].name, sizeof(f->paths[i].name));
        f->paths[i].conf = f->plan.paths[i];
        f->paths[i].configured = f->paths[i].listed = f->paths[i].online = true;
    }
}

static inline void live(struct fixture *f, size_t i, const char *type)
{
    struct sl_seen_path *path = &f->paths[i];

    path->available = true;
    path->in_moved = f->observed.now;
    path->readers = 2;
    snprintf(path->source_type, sizeof(path->source_type), "%s", type);
    snprintf(path->source_id, sizeof(path->source_id), "id-%zu", i);
    path->tracks.count = 1;
    snprintf(path->tracks.track[0].codec, 32, "H265");
}

static inline int setup(void **state)
{
    struct fixture *f = sl_alloc(sizeof(*f));

    f->arena = sl_arena_new();
    f->accepted =
        (struct sl_accepted){.name = "cam", .file = "cam.yaml", .generation = 1, .hash = "v1:x"};
    f->rtsp = (struct sl_src_rtsp){.url = (char *)"rtsp://10.0.0.12/s0"};
    f->stream = (struct sl_desired_stream){.accepted = &f->accepted, .spec = &f->spec, .run = true};
    f->desired =
        (struct sl_desired){.valid = true, .root_present = true, .streams = &f->stream, .count = 1};
    f->observed = (struct sl_observed){.now = NOW,
                                       .wall = WALL,
                                       .host_up = true,
                                       .fleet_known = true,
                                       .encoders = f->seen,
                                       .paths = f->paths};
    f->observed.engine = (struct sl_seen_engine){.reachable = true,
                                                 .configs_known = true,
                                                 .rtsp_port = 8554,
                                                 .rtmp_port = 1935,
                                                 .hls_port = 8888,
                                                 .webrtc_port = 8889,
                                                 .srt_port = 8890};
    f->public_ = (struct sl_public){.host = "tv.example"};
    use_rtsp(f);
    *state = f;
    return 0;
}

static inline int teardown(void **state)
{
    struct fixture *f = *state;

    sl_history_free(&f->history);
    sl_status_free(f->status);
    sl_arena_free(f->arena);
    free(f);
    return 0;
}

static inline void make(struct fixture *f)
{
    sl_history_observe(&f->history, &f->desired, &f->observed, &f->jitter);
    sl_plan_make(f->arena, &f->desired, &f->observed, &f->history, &f->plan);
}

static inline const struct sl_status_stream *judged(struct fixture *f)
{
    make(f);
    sl_status_free(f->status);
    f->status = sl_status_make(&f->desired, &f->observed, &f->history, &f->plan, NULL, NULL, 0,
                               &f->public_, NULL);
    return &f->status->streams[0];
}

static inline size_t count(const struct fixture *f, enum sl_action_kind kind)
{
    size_t n = 0;

    for (size_t i = 0; i < f->plan.actions_count; i++)
        n += f->plan.actions[i].kind == kind;
    return n;
}

/* A pull that is programmed and live. */
static inline void pulling(struct fixture *f)
{
    make(f);
    program(f);
    live(f, 0, "rtspSource");
    make(f);
}
