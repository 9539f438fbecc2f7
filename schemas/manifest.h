/* SPDX-License-Identifier: GPL-2.0-or-later
 * The objects a manifest file holds, as plain structs filled by libcyaml (schemas/load.c).
 * A one-of is a pointer each, exactly one of them not NULL. Owned by the arena of the load;
 * immutable afterwards. Times in ms, rates in bit/s. A new member needs its row in fields.c.
 * Layer: schemas.
 */
#pragma once
#include "reconcile/base/base.h"

enum sl_kind { SL_KIND_STREAM, SL_KIND_CONFIG, SL_KIND_COUNT };

struct sl_label {
    char *key, *value;
};

struct sl_src_file {
    char *path; /* relative to the media root */
    bool loop;
    int64_t start_at;
};
struct sl_src_test {
    int pattern;  /* enum sl_test_pattern */
    char *size;   /* "1280x720" */
    double rate;  /* frames per second */
    int64_t tone; /* Hz, 0: silent track left out */
};
enum sl_test_pattern { SL_PATTERN_SMPTE, SL_PATTERN_BARS, SL_PATTERN_COUNTER, SL_PATTERN_COUNT };
/* A reference to a secret: the file `name` (or name/key) in the secret directories. */
struct sl_ref {
    char *name, *key; /* key NULL: the secret itself */
};
enum sl_transport { SL_TRANSPORT_TCP, SL_TRANSPORT_UDP, SL_TRANSPORT_COUNT };
struct sl_src_rtsp { /* a camera, or any RTSP server */
    char *url;       /* rtsp:// or rtsps://, no user info */
    int transport;   /* enum sl_transport */
    char *username;
    struct sl_ref *password_ref;
    bool exclusive; /* the source serves one client only: never open it twice */
};
struct sl_src_pull { /* srt:// rtmp:// rtmps:// http:// https:// (HLS, MPEG-TS) udp:// (MPEG-TS) */
    char *url;
    char *username;
    struct sl_ref *password_ref, *passphrase_ref, *stream_id_ref;
};
enum sl_publish_protocol {
    SL_PUBLISH_RTMP,
    SL_PUBLISH_SRT,
    SL_PUBLISH_RTSP,
    SL_PUBLISH_WHIP,
    SL_PUBLISH_PROTOCOL_COUNT
};
struct sl_src_publish { /* OBS Studio and other publishers */
    char **protocols;   /* of rtmp srt rtsp whip; none: all */
    unsigned protocols_count;
    char *username; /* NULL: anybody may publish (a warning) */
    struct sl_ref *password_ref;
};
struct sl_source {
    struct sl_src_file *file;
    struct sl_src_test *test;
    struct sl_src_rtsp *rtsp;
    struct sl_src_pull *pull;
    struct sl_src_publish *publish;
};

enum sl_vcodec { SL_VCODEC_H264, SL_VCODEC_H265, SL_VCODEC_COUNT };
enum sl_acodec { SL_ACODEC_AAC, SL_ACODEC_OPUS, SL_ACODEC_COPY, SL_ACODEC_NONE, SL_ACODEC_COUNT };
enum sl_webrtc_audio { SL_WEBRTC_OPUS, SL_WEBRTC_NONE, SL_WEBRTC_AUDIO_COUNT };

struct sl_video {
    int codec;                    /* enum sl_vcodec */
    int64_t bitrate, max_bitrate; /* 0: quality-driven */
    char *size;                   /* NULL: the source's */
    double rate;                  /* 0: the source's */
    int64_t keyframe_interval;
    char *preset, *profile; /* preset "veryfast"; profile NULL: the codec's choice */
    int64_t b_frames;
};
struct sl_audio {
    int codec;                              /* enum sl_acodec */
    int64_t bitrate, channels, sample_rate; /* channels, sample_rate 0: the source's */
    int webrtc;                             /* enum sl_webrtc_audio */
};
struct sl_copy {
    int unused; /* `copy: {}` has no fields yet */
};
struct sl_transcode {
    struct sl_video video;
    struct sl_audio audio;
};
struct sl_encode {
    struct sl_copy *copy;
    struct sl_transcode *transcode;
};

struct sl_stream_spec {
    bool suspend;
    bool protect; /* deleting needs a commit that first sets this to false */
    char *restart_token;
    struct sl_source source;
    struct sl_encode encode; /* default copy for file, transcode for test */
};

struct sl_config_spec {
    struct {
        char **approve; /* plan ids whose held deletions are released */
        unsigned approve_count;
    } deletion;
};

struct sl_metadata {
    char *name;
    struct sl_label *labels;
    unsigned labels_count;
};

/* One object of a document. Exactly the spec of its kind is not NULL. */
struct sl_object {
    char *api_version;
    int kind; /* enum sl_kind */
    struct sl_metadata metadata;
    struct sl_stream_spec *stream;
    struct sl_config_spec *config;
};
