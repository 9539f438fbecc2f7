/* SPDX-License-Identifier: GPL-2.0-or-later
 * A simulated world around the core: a directory of streams, media files, MediaMTX, an encoder
 * host with its encoders and a clock, all seeded. It carries out plans and breaks things.
 */
#pragma once
#include "reconcile/core/carry.h"
#include "reconcile/core/lifecycle.h"

#define STREAMS_MAX 16
#define MEDIA_MAX   6
#define SEEN_MAX    64
#define CAMERAS     2
#define SECRETS     3
#define PATHS_MAX   (2 * STREAMS_MAX + 4)

enum fault {
    F_CRASH,
    F_STUCK,
    F_ENGINE_RESTART,
    F_ENGINE_DOWN,
    F_HOST_DOWN,
    F_MEDIA_GONE,
    F_MEDIA_BACK,
    F_NOT_MEDIA,
    F_START_LOST,
    F_SILENT,
    F_DAEMON_RESTART,
    F_ROOT_GONE,
    F_DRIFT,
    F_FOREIGN,
    F_STATE_LOST,
    F_MASS_CRASH,
    F_OPENING,
    F_EDIT,
    F_SUSPEND,
    F_CREATE,
    F_DELETE,
    F_MASS_DELETE,
    F_APPROVE,
    F_PROTECT,
    F_HOST_BACK,
    F_ENGINE_BACK,
    F_ROOT_BACK,
    F_CAMERA,
    F_MUTE,
    F_PUBLISHER,
    F_SILENT_PUBLISHER,
    F_SECRET_GONE,
    F_SECRET_BACK,
    F_ROTATE,
    F_STRANGER,
    F_PATH_LOST,
    F_NOTHING,
    F_COUNT
};
extern const char *const fault_names[F_COUNT];

struct media {
    bool exists, complete, broken; /* broken: NotMedia */
    int version, kind;             /* kind: which tracks */
};
enum kind { K_MEDIA, K_PULL, K_PUBLISH, K_INGEST, K_NET, K_COUNT };
struct wstream { /* what stands in the directory */
    bool there, suspend, protect, loop;
    int token, media;         /* media < 0: test */
    int old_token, old_media; /* a revert goes back to these */
    int kind, old_kind;       /* enum kind; K_NET: a camera that an encoder reads */
    int camera, secret;       /* secret < 0: none */
};
struct wsource { /* the far end of a stream: its camera's connection, or its publisher */
    bool there;  /* a publisher wants to publish */
    bool up;     /* MediaMTX has it */
    bool silent; /* it died without a word: MediaMTX still has it */
    int type;    /* of a publisher's session */
    unsigned session;
    int64_t up_at, moved;
    unsigned user; /* version of the secret that lets it in, 0: nobody may */
};
struct waccepted {
    bool known, absent;
    struct wstream as;
    uint64_t generation;
    char hash[80];
    struct sl_accepted accepted;
    struct sl_stream_spec spec;
    struct sl_src_file file;
    struct sl_src_test test;
    struct sl_src_rtsp rtsp;
    struct sl_src_publish publish;
    struct sl_transcode transcode;
    char url[32], password[16];
};
struct wencoder {       /* beside the same index in seen[] */
    int64_t next;       /* when it does its next step; 0: none */
    int64_t dies, ends; /* when; 0: not */
    int media, version;
    bool go, stuck, broken, silent;
    int64_t tell_exit;
    int exit_signal;
    int owner; /* stream index */
    int kind, camera, tries;
};

struct world {
    uint64_t rng;
    int64_t now, boot_wall;
    int nstreams, last; /* last: edited last */
    char names[STREAMS_MAX][16];
    struct wstream dir[STREAMS_MAX];
    bool root;
    struct media media[MEDIA_MAX];
    struct waccepted memory[STREAMS_MAX];
    bool snapshot_valid, fleet_known, host_up, start_lost;
    bool slow_open;
    struct sl_seen_encoder seen[SEEN_MAX];
    struct wencoder enc[SEEN_MAX];
    size_t nenc;
    unsigned uids;
    struct sl_seen_engine engine;
    struct sl_seen_path paths[PATHS_MAX];
    size_t npaths;
    int64_t write_at; /* a write lands then; 0: none */
    struct sl_path_conf pending[PATHS_MAX];
    char removed[PATHS_MAX][32];
    size_t npending, nremoved;
    bool camera_on[CAMERAS], camera_mute[CAMERAS], secret_there[SECRETS];
    unsigned secret_version[SECRETS];
    struct wsource sources[STREAMS_MAX];
    unsigned deaths[STREAMS_MAX]; /* that an encoder is to blame for */
    char approve[13];
    const char *approvals[1];
    struct sl_history history;
    uint64_t jitter;
    struct sl_desired_stream dstreams[STREAMS_MAX];
    struct sl_desired desired;
    struct sl_observed observed;
    bool story;
    char error[256];
};

uint32_t world_roll(struct world *w, uint32_t sides);
void world_init(struct world *w, uint64_t seed, bool story);
void world_free(struct world *w);
void world_say(struct world *w, const char *format, ...) SL_PRINTF(2, 3);
void world_fail(struct world *w, const char *format, ...) SL_PRINTF(2, 3);
void world_fault(struct world *w, enum fault fault, const char *plan_id);
void world_heal(struct world *w);          /* all faults end */
void world_step(struct world *w);          /* what is due at w->now happens */
int64_t world_next(const struct world *w); /* when something is due; INT64_MAX: never */
void world_observe(struct world *w);       /* fills desired and observed */
void world_apply(struct world *w, const struct sl_plan *plan);
struct sl_seen_path *world_path(struct world *w, const char *name);
bool world_pulled(const struct sl_path_conf *conf);
void world_fill_source(struct world *w, int stream, struct sl_desired_stream *s);
void world_sources(struct world *w); /* cameras and publishers come, go and send */
int64_t world_sources_next(const struct world *w);
bool world_source_flows(const struct world *w, size_t encoder); /* what its encoder reads */
void world_kick(struct world *w, const struct sl_kick *kick);
void world_source_fault(struct world *w, enum fault fault, int stream);
const struct sl_desired_stream *world_wanted(const struct world *w, const char *name);
void world_judge_sources(struct world *w, const struct sl_plan *plan);
void world_judge_end(struct world *w, const struct sl_desired_stream *d);
int world_index(const struct world *w, const char *name);
bool world_going(const struct sl_seen_encoder *e);
size_t world_add_encoder(struct world *w, int stream, const char *hash, uint64_t generation,
                         const struct wstream *as);
void world_enter(struct world *w, size_t n, enum sl_enc_state state, const char *reason);
void world_die(struct world *w, size_t n, int exit_signal);
void world_shake(struct world *w); /* all going encoders look at MediaMTX again */
