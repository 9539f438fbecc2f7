/* SPDX-License-Identifier: GPL-2.0-or-later
 * The state of everything, ready to be shown: one immutable snapshot a pass, from which page, JSON,
 * CLI and metrics are rendered without further computing. Owned by its own arena. Layer: core.
 */
#pragma once
#include "reconcile/base/diag.h"
#include "reconcile/core/plan.h"

enum sl_sync { SL_SYNCED, SL_OUT_OF_SYNC, SL_SYNC_UNKNOWN, SL_SYNC_COUNT };
enum sl_health {
    SL_HEALTHY,
    SL_PROGRESSING,
    SL_DEGRADED,
    SL_SUSPENDED,
    SL_MISSING,
    SL_HEALTH_UNKNOWN,
    SL_HEALTH_COUNT
};
const char *sl_sync_name(enum sl_sync sync);
const char *sl_health_name(enum sl_health health);

enum sl_cond_type {
    SL_COND_ACCEPTED,
    SL_COND_RESOLVED,
    SL_COND_PLACED,
    SL_COND_PROGRAMMED,
    SL_COND_HEALTHY,
    SL_COND_READY,
    SL_COND_STALLED,
    SL_COND_COUNT
};
enum sl_tri { SL_FALSE, SL_TRUE, SL_UNKNOWN };
const char *sl_cond_name(enum sl_cond_type type);

struct sl_condition {
    enum sl_tri status;
    const char *reason; /* word of the contract: Flowing, FileMissing, CrashLoopBackOff … */
    const char *message;
    int64_t since; /* CLOCK_REALTIME ms of the last change of status */
};

struct sl_status_stream {
    const struct sl_desired_stream *desired; /* NULL: an orphan (name below) */
    const char *name;
    enum sl_sync sync;
    enum sl_health health;
    bool settled; /* Ready, or not running for a stated reason (decisions 20) */
    struct sl_condition cond[SL_COND_COUNT];
    const struct sl_seen_encoder *encoder; /* the one that counts, or NULL */
    const struct sl_seen_path *path;       /* NAME, or NULL */
    const struct sl_seen_path *ingest;     /* NAME/ingest, or NULL */
    const struct sl_past *past;            /* or NULL */
    int64_t next_attempt_wall;             /* CLOCK_REALTIME ms, 0: none */
    struct {
        const char *url; /* NULL: protocol off */
        bool plays;
        const char *why; /* why not, or what is missing ("without sound: …"); "" else */
    } urls[5];           /* rtsp rtmp hls webrtc srt */
    struct {             /* source.publish only: where publishers go; rtmp srt rtsp whip */
        const char *url; /* NULL: not allowed, or MediaMTX's protocol is off; never a password */
        const char
            *stream_key; /* OBS: what belongs in its key field, KEY for the password; or "" */
    } publish[SL_PUBLISH_PROTOCOL_COUNT];
};

struct sl_status_file {
    const char *path;
    bool valid;
    const char *const *objects;
    size_t objects_count;
    const struct sl_diag *diags;
    size_t diags_count;
};

struct sl_status_source {
    const char *path, *revision, *ref, *how, *snapshot, *last_applied, *last_attempted;
    bool atomic;
    int64_t observed_at; /* CLOCK_REALTIME ms */
    const char *warning; /* e.g. polling because inotify cannot serve; "" else */
};

/* Where viewers reach MediaMTX; each URL "" or NULL: scheme, host and MediaMTX's port. */
struct sl_public {
    const char *host, *rtsp, *rtmp, *hls, *webrtc, *srt;
};

struct sl_status {
    struct sl_arena *arena;
    uint64_t seq;
    const char *boot_id, *node, *version;
    int64_t wall;
    struct sl_status_source source;
    const struct sl_status_file *files;
    size_t files_count;
    struct sl_status_stream *streams; /* sorted by name */
    size_t streams_count;
    struct sl_plan plan;
    struct sl_observed observed;
    struct {
        size_t ready, settled, degraded, rejected_files, held_deletes;
        int readers;
        uint64_t bitrate;
    } sum;
};

/* Holds no secret: neither values nor sources with credentials are copied.
 * Judges every stream. `previous` (or NULL) gives lastTransitionTime. desired, observed, history
 * and plan are deep-copied into the new status's arena, so it may outlive the pass. `public_`
 * goes into the URLs. The caller frees by sl_status_free. */
struct sl_status *sl_status_make(const struct sl_desired *desired,
                                 const struct sl_observed *observed, struct sl_history *history,
                                 const struct sl_plan *plan, const struct sl_status_source *source,
                                 const struct sl_status_file *files, size_t files_count,
                                 const struct sl_public *public_, const struct sl_status *previous);
void sl_status_free(struct sl_status *status);
