/* SPDX-License-Identifier: GPL-2.0-or-later
 * The daemon: the one place where feeds, core, io and page meet. run.c sets it up and takes it
 * down, snapshot.c turns the directory into accepted objects, pass.c is the pass. Layer: cmd.
 */
#pragma once
#include "reconcile/base/file.h"
#include "reconcile/base/log.h"
#include "reconcile/base/time.h"
#include "reconcile/core/memory.h"
#include "reconcile/core/status.h"
#include "reconcile/fleet/fleet.h"
#include "reconcile/io/loop.h"
#include "reconcile/io/machine.h"
#include "reconcile/io/media.h"
#include "reconcile/io/secrets.h"
#include "reconcile/io/source.h"
#include "reconcile/io/state.h"
#include "reconcile/io/watch.h"
#include "reconcile/mediamtx/engine.h"
#include "reconcile/web/web.h"
#include "schemas/settings.h"

/* What one read of the directory gave: made on a worker thread, owned by the daemon afterwards. */
struct sl_intake {
    struct sl_snapshot *tree;
    struct sl_arena *arena;       /* of files */
    struct sl_memory_file *files; /* same order as loading: owners of names first */
    size_t count;
};

struct sl_daemon {
    struct sl_arena *settings_arena;
    const struct sl_settings *settings;
    struct sl_loop *loop;
    struct sl_state *state;
    struct sl_watch *watch;
    struct sl_engine *engine;
    struct sl_fleet *fleet;
    struct sl_web *web;
    struct sl_media *media;
    struct sl_machine *machine;
    char *secret; /* of the internal user */
    struct sl_secrets *secrets;

    struct sl_memory memory;
    struct sl_history history;
    uint64_t jitter;

    struct sl_intake *intake; /* the newest valid one, or NULL */
    bool snapshot_running, snapshot_again;
    int snapshot_tries;  /* reads in a row that gave no valid snapshot */
    int64_t observed_at; /* CLOCK_REALTIME ms of the newest valid snapshot */
    char *publish_url;   /* rtsp://127.0.0.1:PORT as last known, or NULL */
    char *last_applied;  /* revision at which nothing was left to do, or NULL */

    struct sl_timer *pass_timer, *resync_timer, *drift_timer, *retry_timer;
    bool looking_fast;         /* the pace asked of the engine */
    int64_t pass_end, pass_ms; /* CLOCK_MONOTONIC ms of the last pass's end; how long it took */
    bool look_again;           /* asked for a pass since the last one began */
    bool engine_seen;          /* MediaMTX answered once */
    bool closing;              /* being taken down: late answers are dropped */
    bool started;              /* the first pass is done */
    struct sl_status *status;  /* the newest, owned by web */
    uint64_t seq;
    char *plan_logged; /* held plan already logged */
};

void sl_daemon_look(struct sl_daemon *daemon);     /* a pass soon; many calls give one pass */
void sl_daemon_snapshot(struct sl_daemon *daemon); /* read the directory now */
void sl_daemon_pass(struct sl_daemon *daemon);
void sl_intake_free(struct sl_intake *intake); /* NULL-safe */
