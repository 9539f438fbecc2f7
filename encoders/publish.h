/* SPDX-License-Identifier: GPL-2.0-or-later
 * The way out: an RTSP publisher to MediaMTX (or a file, for foreground runs). One connection at a
 * time; it is made, lost and made again by the worker's orders. Owned by the worker.
 * Layer: encoders. Never logs the URL with its credentials; never retries by itself.
 */
#pragma once
#include "encoders/pipeline.h"

struct sl_publish {
    AVFormatContext *out; /* NULL: not connected */
    bool file, wrote;
    bool tuned; /* TCP_NODELAY is set on this connection's socket */
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
/* From the interrupt callback: sets TCP_NODELAY once on the connection that is being made. */
void sl_publish_tune(struct sl_publish *publish);
void sl_publish_close(struct sl_publish *publish); /* TEARDOWN, or the file's index */
