/* SPDX-License-Identifier: GPL-2.0-or-later
 * What the files of the engine share. Private to reconcile/mediamtx. Layer: mediamtx.
 */
#pragma once
#include "reconcile/base/log.h"
#include "reconcile/base/time.h"
#include "reconcile/mediamtx/engine.h"
#include "reconcile/mediamtx/merge.h"
#include "reconcile/mediamtx/supervise.h"

#define ENGINE_RETRY_MS 100
#define ENGINE_KICKS    64 /* remembered */

struct engine_kick {
    struct sl_engine *engine;
    char id[64];
};

struct sl_engine {
    struct sl_loop *loop;
    sl_engine_fn *fn;
    void *user;
    char *url, *name, *password, *publish_url, *publish_host;
    bool insecure; /* plain RTSP to another host is allowed */
    int64_t drift;
    struct sl_mtx_file *file;
    struct sl_mtx_client *client;
    struct sl_writer *writer;
    struct sl_supervise *supervise; /* NULL: not managed */
    struct sl_timer *look, *restart, *confs_look;
    bool starting, restarting; /* rendering for a start; waiting for one */
    int64_t spawned_at;
    int deaths;
    bool asking, again, fast, fresh_global;
    bool confs_asking;            /* the configuration, beside the rest */
    int64_t confs_at, confs_wait; /* when it is due; after failures */
    char confs_error[256];        /* "" or why it is not known any more */
    bool own;                     /* users are ours */
    int refusals;                 /* 401 in a row */
    int64_t let_in_at, let_in_wait;
    int64_t retry;
    uint64_t epoch, restarts;
    unsigned seed;
    struct sl_seen_engine seen;
    char code[40], last_started[40];
    struct sl_mtx_live *live;
    int64_t live_at;
    struct sl_mtx_tail *tail;
    struct sl_seen_path *paths;
    size_t count;
    bool stale; /* paths must be made again */
    struct engine_kick kicks[ENGINE_KICKS];
    int kicked;
};

/* engine.c */
void engine_tell(struct sl_engine *e);

/* observe.c */
void engine_look(void *user); /* timers */
void engine_look_confs(void *user);
void engine_look_now(struct sl_engine *e);
void engine_schedule(struct sl_engine *e); /* the next look */
void engine_unreachable(struct sl_engine *e, const char *code, const char *text);

/* publish.c */
bool engine_host_near(const char *host); /* on this machine: 127.0.0.0/8, ::1, localhost */
char *engine_host_of(const char *url);   /* the caller frees */
/* -1: encoders would send the stream and a password in clear to another host (decisions 14). */
int engine_publish_check(const char *url, bool insecure, struct sl_err *err) SL_MUST;
/* Where encoders publish to a MediaMTX with this configuration. */
int engine_publish_at(struct sl_engine *e, const struct sl_mtx_global *global,
                      struct sl_err *err) SL_MUST;

/* process.c: the managed process */
void engine_start(struct sl_engine *e, const char *reason);
void engine_died(void *user, const struct sl_mtx_death *death);
void engine_restart(void *user);         /* timer */
void engine_let_in(struct sl_engine *e); /* our user is not known there any more: by the file */
