/* SPDX-License-Identifier: GPL-2.0-or-later
 * What an encoder tells: its record, stats, log ring, lock and the notices to the daemon. Owned by
 * the encoder process for its life. Without a runtime directory (foreground `run`) it only logs.
 * Layer: encoders. Never waits for the daemon.
 */
#pragma once
#include "schemas/encspec.h"
#include "schemas/record.h"

struct sl_status {
    int dir_fd, lock_fd, notice_fd; /* -1 without a runtime directory */
    char notice_path[108];
    bool dirty; /* a notice could not be sent */
    struct sl_record record;
    struct sl_stats *stats; /* NULL without a runtime directory */
    struct sl_ring *ring;
    struct sl_stats_data data;
    int64_t rate_at, rate_media; /* base of fps, bitrate and speed */
    uint64_t rate_bytes, rate_frames;
};

/* runtime NULL: no directory. Code Busy: another process holds this uid's lock. */
int sl_status_open(struct sl_status *status, const char *runtime, const struct sl_encspec *spec,
                   struct sl_err *err) SL_MUST;
/* Changes state and reason, writes the record, sends a notice; nothing when nothing changed. */
void sl_status_tell(struct sl_status *status, enum sl_enc_state state, const char *reason,
                    const char *format, ...) SL_PRINTF(4, 5);
void sl_status_write(struct sl_status *status); /* the record as it stands, and a notice */
void sl_status_alive(struct sl_status *status); /* moves the loop counter */
void sl_status_tick(struct sl_status *status, int64_t now); /* every second: rates, stats, notice */
