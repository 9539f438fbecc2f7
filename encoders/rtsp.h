/* SPDX-License-Identifier: GPL-2.0-or-later
 * An RTSP publisher over TCP: ANNOUNCE, SETUP, RECORD, then RTP in batches. libavformat makes the
 * description and the RTP packets; the connection is ours, so that a wake costs one send, nothing
 * blocks, and a refusal is told in the server's own words. Owned by sl_publish.
 * Layer: encoders. Never logs credentials.
 */
#pragma once
#include "encoders/pipeline.h"

struct sl_rtsp {
    int fd;                          /* -1: closed */
    char *url;                       /* owned: no credentials */
    char *authorize;                 /* owned: head line, or NULL; wiped */
    char challenge[512];             /* what the server asked for, for digests */
    const char *username, *password; /* borrowed for the life of the connection */
    int cseq;
    char session[128];
    AVFormatContext *rtp[SL_TRACKS_MAX];
    struct sl_rtsp_track {
        struct sl_rtsp *rtsp;
        int channel;
        bool begun; /* its muxer has written its head */
    } track[SL_TRACKS_MAX];
    int count;
    struct sl_buf out; /* to be sent; `sent` bytes of it are */
    size_t sent;
    int64_t blocked; /* CLOCK_MONOTONIC ms since when nothing more is taken; 0: all is sent */
};

/* `zero` as in sl_publish_open. Codes: EngineUnreachable, PublishRefused (transient), OutputFailed
 * (human). On failure nothing is left open. */
int sl_rtsp_open(struct sl_rtsp *rtsp, const struct sl_pipeline *pipeline,
                 const struct sl_encspec *spec, AVIOInterruptCB interrupt, int64_t zero,
                 struct sl_err *err) SL_MUST;
/* Takes a packet with time stamps in base; consumed. Sends nothing yet. AVERROR or 0. */
int sl_rtsp_write(struct sl_rtsp *rtsp, int track, AVRational base, AVPacket *packet);
/* Sends what the socket takes now. AVERROR(ETIMEDOUT) when it has taken nothing for long. */
int sl_rtsp_flush(struct sl_rtsp *rtsp);
/* Takes what the server sent (reports). AVERROR_EOF: it closed the connection. */
int sl_rtsp_drain(struct sl_rtsp *rtsp);
void sl_rtsp_close(struct sl_rtsp *rtsp);
