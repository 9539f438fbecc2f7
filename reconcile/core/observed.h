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
    int64_t in_moved;        /* CLOCK_MONOTONIC ms when in_bytes last grew */
    char source_type[32];    /* rtspSession rtmpConn srtConn webRTCSession rtspSource … or "" */
    char source_id[64];      /* for kicking; "" when it has none */
    struct sl_facts tracks;  /* as MediaMTX lists them, codec names of sl_facts */
    int readers_by[5];       /* rtsp rtmp hls webrtc srt */
    char source_error[256];  /* newest line of MediaMTX's log about this path's source */
    int64_t source_error_at; /* CLOCK_MONOTONIC ms; 0: none since it was last online */
    uint64_t bitrate_in;     /* bit/s between the last two observations */
};

struct sl_seen_engine {
    bool reachable;
    bool configs_known; /* the list of path configs was read since reachable */
    int64_t live_at;    /* CLOCK_MONOTONIC ms when the paths were last listed; 0: not told */
    bool writing;       /* a write is under way: the plan waits for its outcome */
    bool users_left;    /* authInternalUsers are somebody else's: publish users are not written */
    char version[32], started[40], rtsp_publish_url[128]; /* rtsp://127.0.0.1:PORT */
    char error[256];                                      /* why unreachable */
    int64_t since; /* CLOCK_MONOTONIC ms of the last change of reachable */
    const char *rejected_path, *rejected_text; /* MediaMTX refused this path's configuration */
    int rtsp_port, rtmp_port, hls_port, webrtc_port, srt_port; /* 0: off */
};

/* This machine, for the page (io/machine.c). Zero: not known yet. */
struct sl_seen_machine {
    double cpu; /* busy share of all cores, 0..1, over the last second or more */
    int cores;
    uint64_t memory_used, memory_total; /* bytes */
    struct {
        const char *name; /* "recordings", "state"; NULL: not set */
        uint64_t free, total;
    } disk[2];
};

struct sl_observed {
    struct sl_seen_machine machine;
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

/* ms for which nothing came to a path, as far as two listings prove it; 0: it moves, or unknown. */
int64_t sl_observed_standing(const struct sl_observed *observed, const struct sl_seen_path *path);
const struct sl_seen_path *sl_observed_path(const struct sl_observed *observed,
                                            const char *name); /* or NULL */
