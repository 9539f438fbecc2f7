/* SPDX-License-Identifier: GPL-2.0-or-later
 * The control socket of an encoder and its signals: the one place where an encoder waits. Served
 * while it paces and from libav's interrupt callback, so orders are heard in every phase.
 * Layer: encoders. Never acts on an order itself: it sets flags that the worker reads.
 */
#pragma once
#include "encoders/status.h"

#define SL_CONTROL_CLIENTS 8

struct sl_control {
    struct sl_status *status;
    int signal_fd, listen_fd, client[SL_CONTROL_CLIENTS];
    int watch_fd;     /* -1: none; somebody else's, waited for too */
    bool watched;     /* it has something to read: cleared by who read it */
    bool watch_out;   /* it is waited for until it takes something, too */
    bool stop, go;    /* go is cleared by whoever acted on it */
    int64_t tick_at;  /* CLOCK_MONOTONIC ms of the next sl_status_tick */
    int64_t deadline; /* ms, 0: none; the interrupt callback gives up after it */
};

int sl_control_open(struct sl_control *control, struct sl_status *status,
                    struct sl_err *err) SL_MUST;
void sl_control_close(struct sl_control *control); /* removes the socket */
/* Waits at most `us` microseconds for orders and serves them; 0 only looks. */
void sl_control_serve(struct sl_control *control, int64_t us);
