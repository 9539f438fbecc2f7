/* SPDX-License-Identifier: GPL-2.0-or-later
 * The encoder process: one spec from start to end. Layer: encoders.
 */
#pragma once
#include "schemas/encspec.h"

struct sl_worker_options {
    const char *runtime; /* NULL: no record (foreground) */
    bool foreground;     /* log to stderr too */
    bool fast;           /* no pacing: writing a file */
    int64_t duration;    /* ms of media, 0: no limit */
};

enum sl_worker_exit {
    SL_EXIT_OK = 0,
    SL_EXIT_HUMAN = 3,  /* the reason in the record needs an edit */
    SL_EXIT_FAILED = 4, /* could not even begin: runtime directory, sockets */
    SL_EXIT_BUSY = 75,  /* another encoder holds the lock of this uid */
};

/* Runs to the end and returns the exit status; the caller leaves by _exit. */
int sl_worker_run(const struct sl_worker_options *options, const struct sl_encspec *spec);
void sl_worker_warm(void); /* once in the host, so that forks find libav ready */
