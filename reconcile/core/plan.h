/* SPDX-License-Identifier: GPL-2.0-or-later
 * What to do now: a pure function of desired, observed and history. Level-triggered: made anew in
 * each pass, nothing of an old plan is carried over. Owned by the pass's arena. Layer: core.
 */
#pragma once
#include "reconcile/base/arena.h"
#include "reconcile/core/history.h"

enum sl_action_kind {
    SL_ACT_START,  /* ask the host for a new encoder, held */
    SL_ACT_GO,     /* its path is there: publish */
    SL_ACT_STOP,   /* ask by ctl; SIGTERM, then SIGKILL after the grace (fleet does that) */
    SL_ACT_KILL,   /* SIGKILL: stuck */
    SL_ACT_FORGET, /* remove the record of a dead encoder */
    SL_ACT_COUNT
};
const char *sl_action_name(enum sl_action_kind kind);

struct sl_action {
    enum sl_action_kind kind;
    const char *stream;
    const char *uid;                         /* NULL for START */
    const struct sl_desired_stream *desired; /* START, GO; NULL otherwise */
    const char *reason; /* for the log: "spec changed", "exited with status 1", … */
};

struct sl_kick { /* end a publisher's session: it is silent, or by a protocol not allowed */
    const char *path, *type, *id; /* as in sl_seen_path */
    const char *reason;
};

enum sl_change {
    SL_CHANGE_CREATE,
    SL_CHANGE_HOT,
    SL_CHANGE_SWAP,
    SL_CHANGE_BREAK,
    SL_CHANGE_DELETE,
    SL_CHANGE_HELD,
    SL_CHANGE_COUNT
};
const char *sl_change_name(enum sl_change change); /* "create" … as in the JSON */

struct sl_planned { /* one line of the plan, for people */
    enum sl_change change;
    const char *stream;
    const char *reason;
    int viewers; /* who would be dropped */
};

struct sl_plan {
    char id[13]; /* 12 hex of the held set and how often it was released; "" = none held */
    struct sl_planned *changes;
    size_t changes_count;
    struct sl_action *actions;
    size_t actions_count;
    /* MediaMTX's paths as they should be now, sorted by name: the whole set that is ours. */
    struct sl_path_conf *paths;
    size_t paths_count;
    struct sl_publish_user *users; /* who may publish where, sorted by path */
    size_t users_count;
    struct sl_kick *kicks;
    size_t kicks_count;
    bool engine_dirty;      /* paths differ from what was observed: tell the writer */
    bool engine_wait;       /* several encoders are just starting: write once, a moment later */
    const char **deletions; /* streams to be forgotten once path and encoder are gone */
    size_t deletions_count;
    const char **removed; /* configured paths of ours to be removed now (suspended, deleted) */
    size_t removed_count;
    const char **gone; /* streams of which nothing is left: forget them now */
    size_t gone_count;
    uint64_t cells; /* cells of the lifecycle table used: bit look * SL_WANT_COUNT + want */
    int64_t wake;   /* CLOCK_MONOTONIC ms when to look again without an event; 0: never */
};

/* Every action of a plan must be carried out: history remembers what was planned (a START that
 * has no record yet is not planned again for 3 s) and what is now owned or being deleted. */
void sl_plan_make(struct sl_arena *arena, const struct sl_desired *desired,
                  const struct sl_observed *observed, struct sl_history *history,
                  struct sl_plan *ret);

/* Mass-deletion guard (contract C6, decisions 21) over the sorted names that want deletion.
 * True: hold; ret_id is the plan id, "" when no approval can release it (root missing or empty).
 * False with ret_id not "": released by that approval, which the caller spends. */
bool sl_guard_holds(const struct sl_history *history, const struct sl_desired *desired,
                    int64_t wall, const char *const *names, size_t count, char ret_id[13]);
