/* SPDX-License-Identifier: GPL-2.0-or-later
 * A unit: all that is known of one name in one pass, and what was judged of it. Made by unit.c,
 * turned into actions by plan.c; lives in the pass's arena. Internal to core. Layer: core.
 */
#pragma once
#include "reconcile/core/plan.h"

#define SL_YOUNG_START 1000 /* engine_wait: encoders this young (ms) may share the first write */

enum sl_mode { SL_MODE_RUN, SL_MODE_SUSPENDED, SL_MODE_DELETING, SL_MODE_HELD, SL_MODE_ORPHAN };

struct sl_unit {
    const char *name;
    const struct sl_desired_stream *want; /* NULL: not in desired */
    struct sl_past *past;                 /* NULL: nothing known */
    const struct sl_seen_encoder **encoders;
    size_t count;
    const struct sl_seen_path *path;   /* NAME; NULL: not seen */
    const struct sl_seen_path *ingest; /* NAME/ingest; NULL: not seen */
    enum sl_mode mode;
    const char *held; /* why it is held, or NULL */
    /* Judged: */
    const struct sl_seen_encoder *chosen; /* the one with the wanted hash, alive, not stopping */
    size_t others;                        /* alive besides the chosen one */
    bool ending; /* one of the wanted hash leaves by itself: its end says what comes next */
    bool foreign, others_going, path_right, ingest_right;
    const struct sl_seen_encoder *carrier;   /* another one that publishes */
    struct sl_path_conf *conf, *ingest_conf; /* NULL: not wanted */
};

struct sl_origin { /* encoders that are opening the same remote host (contract C11) */
    const char *host;
    size_t len;
    int starting;
};

struct sl_pass {
    struct sl_arena *arena;
    const struct sl_desired *desired;
    const struct sl_observed *observed;
    struct sl_history *history;
    struct sl_plan *plan;
    struct sl_unit *units;
    size_t count;
    size_t starting; /* encoders that began less than YOUNG_START ago */
    int64_t youngest;
    bool engine_known;
    struct sl_origin *origins;
    size_t origins_count;
};

/* The union of all names, sorted, each with its encoders, path and past. */
void sl_units_gather(struct sl_pass *pass);
/* Modes; deletions go through the guard, approvals are spent. */
bool sl_unit_runs(const struct sl_unit *unit); /* its stream is to run, deletion held or not */
void sl_units_delete(struct sl_pass *pass);
void sl_unit_choose(struct sl_pass *pass, struct sl_unit *unit);
void sl_unit_path(struct sl_pass *pass, struct sl_unit *unit);
bool sl_going(const struct sl_seen_encoder *encoder); /* publishes, or was told to */
bool sl_told(const struct sl_seen_encoder *encoder);  /* its tracks are known; NULL: false */
void sl_pass_young(struct sl_pass *pass, int64_t age);
