/* SPDX-License-Identifier: GPL-2.0-or-later
 * The way out: an RTSP publisher to MediaMTX (or a file, for foreground runs). One connection at a
 * time; it is made, lost and made again by the worker's orders. Owned by the worker.
 * Layer: encoders. Never logs the URL with its credentials; never retries by itself.
 */
#pragma once
#include "encoders/rtsp.h"

struct sl_publish {
    bool open;
    bool file;            /* by libavformat: a file, or RTSP over TLS */
    AVFormatContext *out; /* with file only */
    struct sl_rtsp rtsp;  /* else */
    AVPacket *packet;
    int64_t last_dts[SL_TRACKS_MAX];
};

/* `zero`: CLOCK_REALTIME µs at which time stamp 0 of the time line was due, for RTCP.
 * Codes: EngineUnreachable (transient), PublishRefused (transient), OutputFailed (human). */
int sl_publish_open(struct sl_publish *publish, const struct sl_pipeline *pipeline,
                    const struct sl_encspec *spec, AVIOInterruptCB interrupt, int64_t zero,
                    struct sl_err *err) SL_MUST;
int sl_publish_write(struct sl_publish *publish, const struct sl_out_track *track,
                     const AVPacket *packet); /* AVERROR or 0 */
/* What is written is kept together until this is called. AVERROR or 0. */
int sl_publish_flush(struct sl_publish *publish);
/* A descriptor that becomes readable when the server says something or leaves; -1: none. */
int sl_publish_fd(const struct sl_publish *publish);
int sl_publish_listen(struct sl_publish *publish); /* … then: AVERROR when it left, or 0 */
/* Since when (CLOCK_MONOTONIC ms) the server takes nothing; 0: it does. */
int64_t sl_publish_blocked(const struct sl_publish *publish);
void sl_publish_close(struct sl_publish *publish); /* TEARDOWN, or the file's index */
