/* SPDX-License-Identifier: GPL-2.0-or-later
 * What is: encoders by their records, MediaMTX by its API. Filled by fleet and mediamtx, read by
 * plan and status. "Unreachable" is unknown, never absent. Owned by the pass. Layer: core.
 */
#pragma once
#include "reconcile/core/path.h"
#include "schemas/record.h"

struct sl_seen_encoder {
    struct sl_record record;
    bool alive;         /* its lock is held (the proof of life) */
    bool newer_layout;  /* left running, shown as orphaned */
    bool gone_asked;    /* go was sent and acknowledged */
    bool stop_asked;    /* stop was sent; since when: */
    int64_t stop_since; /* CLOCK_MONOTONIC ms */
    bool stats_known;
    struct sl_stats_data stats;
    int64_t loops_moved;   /* CLOCK_MONOTONIC ms when stats.loops last moved */
    int64_t packets_moved; /* the same of stats.packets */
    double cpu;            /* of one core, 0 when unknown */
    uint64_t memory;       /* resident bytes */
};

struct sl_seen_path {
    char name[208];
    bool configured;          /* in the list of path configs */
    struct sl_path_conf conf; /* what GET gave, when configured */
    bool listed;              /* in /v3/paths/list */
    bool online, available;
    int readers;
    uint64_t in_bytes, out_bytes;
    uint64_t bitrate_in; /* bit/s between the last two observations */
};

struct sl_seen_engine {
    bool reachable;
    bool configs_known; /* the list of path configs was read since reachable */
    bool writing;       /* a write is under way: the plan waits for its outcome */
    char version[32], started[40], rtsp_publish_url[128]; /* rtsp://127.0.0.1:PORT */
    char error[256];                                      /* why unreachable */
    int64_t since; /* CLOCK_MONOTONIC ms of the last change of reachable */
    const char *rejected_path, *rejected_text; /* MediaMTX refused this path's configuration */
    int rtsp_port, rtmp_port, hls_port, webrtc_port, srt_port; /* 0: off */
};

struct sl_observed {
    int64_t now, wall; /* CLOCK_MONOTONIC, CLOCK_REALTIME, ms */
    bool host_up;      /* the encoder host answers */
    const char *host_error;
    bool fleet_known; /* the records were scanned at least once */
    const struct sl_seen_encoder *encoders;
    size_t encoders_count;
    struct sl_seen_engine engine;
    const struct sl_seen_path *paths; /* sorted by name */
    size_t paths_count;
};
