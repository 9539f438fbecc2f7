/* SPDX-License-Identifier: GPL-2.0-or-later
 * One managed MediaMTX process. It is started in its own session with its output in a file, so it
 * outlives the daemon; one that runs already is adopted by pid, start time and boot id. Its death
 * is seen by pidfd, also by a daemon that is not its parent. Never restarts by itself: the engine
 * renders the file first. Layer: mediamtx.
 */
#pragma once
#include "reconcile/io/loop.h"

#define SL_MTX_OLDEST "1.20.1"

struct sl_mtx_death {
    char code[40];  /* PortInUse, ConfigRefused, EngineDied */
    char text[256]; /* with the log line */
    int64_t lived;  /* ms, 0: unknown */
};
struct sl_supervise;
struct sl_supervise_options {
    struct sl_loop *loop;
    const char *binary;  /* NULL or "": mediamtx; without a slash: beside us, then PATH */
    const char *config;  /* the rendered file */
    const char *runtime; /* runtime directory of the daemon */
    void (*died)(void *user, const struct sl_mtx_death *death);
    void *user;
};
/* Finds the binary, asks its version (codes EngineMissing, EngineTooOld), adopts. */
int sl_supervise_new(const struct sl_supervise_options *options, struct sl_supervise **ret,
                     struct sl_err *err) SL_MUST;
void sl_supervise_free(struct sl_supervise *supervise);     /* the process goes on */
int sl_supervise_pid(const struct sl_supervise *supervise); /* 0: none runs */
int sl_supervise_spawn(struct sl_supervise *supervise, const char *reason,
                       struct sl_err *err) SL_MUST;
const char *sl_supervise_log(const struct sl_supervise *supervise); /* its file */
/* Now and then: cuts the log in place at 16 MiB; true when it did. */
bool sl_supervise_tend(struct sl_supervise *supervise);
/* SIGTERM, 5 s, SIGKILL; blocking. `died` is not called. */
void sl_supervise_stop(struct sl_supervise *supervise, const char *reason);
bool sl_mtx_version_ok(const char *version); /* "v1.20.1" or newer */
