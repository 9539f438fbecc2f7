/* SPDX-License-Identifier: GPL-2.0-or-later
 * What happened, as far as the next decision needs it: failures and backoff, restarts, facts and
 * inventory of each stream, the deletions of the last minutes. Plain values, kept by run and saved
 * in state. Core changes it only through these functions; time and jitter are arguments.
 * Layer: core.
 */
#pragma once
#include "reconcile/core/desired.h"
#include "reconcile/core/observed.h"

#define SL_BACKOFF_FIRST 1000
#define SL_BACKOFF_MAX   60000
#define SL_STALLED_AT    5
#define SL_GUARD_WINDOW  600000

struct sl_past {
    char name[208];
    bool owned;            /* we made its path or encoder: in the inventory */
    uint64_t generation;   /* newest acted upon */
    struct sl_facts facts; /* as last told by its encoder or path; count 0: unknown */
    char facts_hash[80];   /* enc_hash they belong to; "path:…": read off MediaMTX's path */
    int failures;          /* n of contract C9 */
    int64_t next_attempt;  /* CLOCK_MONOTONIC ms, 0: now */
    int64_t last_delay;    /* ms */
    char failed_hash[80];  /* enc_hash that the failures belong to */
    int64_t healthy_since; /* CLOCK_MONOTONIC ms, 0: not healthy */
    uint64_t restarts;     /* encoders that ended without being asked, since the stream is owned */
    char last_reason[40], last_message[400];
    char last_uid[SL_UID_LEN + 1]; /* dead record already counted */
    int64_t first_live;            /* CLOCK_REALTIME ms, 0: never */
    bool held;              /* its deletion was held: only an approval or its return ends that */
    bool deleting;          /* its deletion was decided: it goes on, whatever the guard says */
    char finished_hash[80]; /* enc_hash that came to the end of its file (loop: false), or "" */
    bool dirty;             /* to be saved */

    /* Of this life of the daemon only, never saved. */
    int forgiven;                    /* failures in a row that had a common cause */
    int failures_before;             /* failures before the last death */
    int64_t died_at;                 /* CLOCK_MONOTONIC ms of the last death, 0: none */
    bool died_forgiven;              /* that death had a common cause */
    char counted[4][SL_UID_LEN + 1]; /* dead records already counted */
    char started_hash[80];           /* START was planned at started_at; no record of it yet */
    int64_t started_at;              /* CLOCK_MONOTONIC ms, 0: none under way */
    char killed_uid[SL_UID_LEN + 1]; /* KILL was planned at killed_at */
    int64_t killed_at;
    int64_t path_wrong_at;    /* CLOCK_MONOTONIC ms when its path was last seen wrong or missing */
    int64_t path_right_since; /* CLOCK_MONOTONIC ms, 0: it is not as wanted */
};

struct sl_history {
    struct sl_past *list; /* sorted by name */
    size_t count, cap;
    struct {
        int64_t at; /* CLOCK_REALTIME ms */
        char name[208];
    } deleted[256];        /* the guard window, oldest first */
    size_t deleted_count;  /* at most 256 */
    char released[64][16]; /* plan ids already spent, oldest first */
    size_t released_count; /* at most 64 */
    bool guard_dirty;      /* deleted or released changed: to be saved */
    int64_t wave_since;    /* CLOCK_MONOTONIC ms when a wave of starts began; never saved */
};

struct sl_past *sl_history_find(struct sl_history *history, const char *name); /* or NULL */
struct sl_past *sl_history_get(struct sl_history *history, const char *name);  /* makes it */
void sl_history_forget(struct sl_history *history, const char *name);
void sl_history_deleted(struct sl_history *history, const char *name, int64_t wall);
void sl_history_released(struct sl_history *history, const struct sl_desired *desired,
                         const char *id);
void sl_history_free(struct sl_history *history);
/* min(60 s, 1 s * 2^(n-1)) * U(0.8, 1.2); jitter in [0,1). */
int64_t sl_backoff_delay(int failures, double jitter);
/* Looks at what is and updates failures, restarts, facts and health of every stream: counts each
 * dead record once. jitter: seed of a small generator, changed by the call. */
void sl_history_observe(struct sl_history *history, const struct sl_desired *desired,
                        const struct sl_observed *observed, uint64_t *jitter);
