/* SPDX-License-Identifier: GPL-2.0-or-later
 * What one encoder is to do: written by the daemon (fleet), read by `sluice-encoder` from an
 * inherited fd. It holds the publisher's password, so it never reaches argv, log or disk.
 * Times in ms, bitrates in bit/s. Strings belong to the struct; sl_encspec_free. Layer: schemas.
 */
#pragma once
#include "reconcile/base/buf.h"
#include "reconcile/base/err.h"

enum sl_enc_source { SL_ENC_FILE, SL_ENC_TEST, SL_ENC_NET, SL_ENC_SOURCE_COUNT };
enum sl_enc_mode { SL_ENC_COPY, SL_ENC_TRANSCODE, SL_ENC_MODE_COUNT };

struct sl_encspec {
    char *uid;       /* directory under runtime/enc, [0-9a-f]{16} */
    char *name;      /* the stream, = its MediaMTX path */
    char *spec_hash; /* opaque: compared by the daemon at adoption */
    uint64_t generation;
    bool hold; /* open and prepare, then wait for `go` before publishing */
    enum sl_enc_source source;
    struct {
        char *path; /* absolute */
        bool loop;
        int64_t start_at;
    } file;
    struct {
        char *pattern; /* smpte | bars | counter */
        int width, height;
        double rate; /* frames per second */
        int tone;    /* Hz; 0: no sound */
    } test;
    struct {                          /* rtsp, pull, and publish through NAME/ingest */
        char *url;                    /* no user info; scheme decides the demuxer */
        char *transport;              /* rtsp: "tcp" | "udp"; "" else */
        char *username, *password;    /* "" = none; never logged, never in argv */
        char *passphrase, *stream_id; /* srt */
        int64_t silence;              /* ms without a packet: the source is silent */
    } net;
    enum sl_enc_mode mode;
    struct {
        char *codec, *preset, *profile; /* codec "h264"; preset, profile "" = the codec's default */
        int64_t bitrate, max_bitrate;   /* 0: the codec's default (crf) */
        int width, height;              /* 0: the source's */
        double rate;                    /* 0: the source's */
        int64_t keyframe_interval;      /* ms */
        int b_frames;
    } video;
    struct {
        char *codec; /* "aac" | "opus" | "copy" | "none" */
        int64_t bitrate;
        int channels, sample_rate; /* 0: the source's */
        bool webrtc_opus;          /* add a second Opus track */
    } audio;
    struct {
        char *url; /* rtsp://127.0.0.1:8554/NAME, numeric host, no user info; or a file path
                      (foreground `run` only) */
        char *username, *password; /* "" = anonymous */
    } publish;
};

void sl_encspec_free(struct sl_encspec *spec); /* NULL-safe, frees the strings and the struct */
char *sl_encspec_to_json(const struct sl_encspec *spec); /* compact; the caller frees */
/* Unknown keys are refused: daemon and encoder of one version only. */
int sl_encspec_from_json(const char *text, size_t len, struct sl_encspec **ret,
                         struct sl_err *err) SL_MUST;
