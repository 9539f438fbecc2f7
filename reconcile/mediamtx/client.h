/* SPDX-License-Identifier: GPL-2.0-or-later
 * MediaMTX's control API: calls on the loop, answers parsed on a worker thread into plain values.
 * Knows two credentials (ours, and the ones that MediaMTX had before us) and changes over when one
 * is refused. Layer: mediamtx.
 */
#pragma once
#include "reconcile/io/loop.h"
#include "reconcile/mediamtx/paths.h"
#include "reconcile/mediamtx/users.h"

struct sl_mtx_client;
struct sl_mtx_auth {
    const char *username, *password; /* copied; NULL: anonymous */
};
struct sl_mtx_client *sl_mtx_client_new(struct sl_loop *loop, const char *url,
                                        const struct sl_mtx_auth *auth, int count);
void sl_mtx_client_free(struct sl_mtx_client *client); /* no call answers after this */

/* Drops all calls under way with this `user`. */
void sl_mtx_cancel(struct sl_mtx_client *client, const void *user);

/* status 0: no answer. error: NULL with 200, else what MediaMTX or the network said. `parsed` is
 * what parse made (free() it), NULL without one. */
typedef void sl_mtx_answer_fn(void *user, long status, void *parsed, const char *error);
typedef void *sl_mtx_parse_fn(const char *body, size_t len); /* on a worker; NULL: malformed */
void sl_mtx_call(struct sl_mtx_client *client, const char *method, const char *target,
                 const char *body, sl_mtx_parse_fn *parse, sl_mtx_answer_fn *fn, void *user);
/* POST /v3/KIND/kick/ID */
void sl_mtx_call_kick(struct sl_mtx_client *client, const char *kind, const char *id,
                      sl_mtx_answer_fn *fn, void *user);
/* POST /v3/config/paths/replace/NAME, DELETE …/delete/NAME */
void sl_mtx_call_replace(struct sl_mtx_client *client, const struct sl_path_conf *conf,
                         sl_mtx_answer_fn *fn, void *user);
void sl_mtx_call_delete(struct sl_mtx_client *client, const char *name, sl_mtx_answer_fn *fn,
                        void *user);

/* GET /v3/config/paths/get/NAME: struct sl_path_conf, status 404: there is none. */
void sl_mtx_call_get(struct sl_mtx_client *client, const char *name, sl_mtx_answer_fn *fn,
                     void *user);

struct sl_mtx_info {
    char version[32], started[40];
};
struct sl_mtx_global {
    uint64_t generation;    /* 0: no marker user */
    char users[SL_SHA_HEX]; /* sl_mtx_users_shape */
    char rtsp_address[128], rtsps_address[128];
    bool plain, encrypted;            /* RTSP without TLS, with TLS */
    int rtsp, rtmp, hls, webrtc, srt; /* ports, 0: off */
};
struct sl_mtx_confs { /* sorted by name */
    size_t count;
    struct sl_path_conf list[];
};
struct sl_mtx_live { /* sorted by name */
    size_t count;
    struct sl_mtx_live_path {
        char name[208];
        bool online, available;
        int readers, readers_by[5]; /* all; rtsp rtmp hls webrtc srt */
        uint64_t in_bytes, out_bytes;
        char source_type[32], source_id[64];
        struct sl_facts tracks;
        uint64_t bitrate_in; /* not parsed: the engine's */
        int64_t in_moved;    /* the same */
    } list[];
};
#define SL_MTX_GET_INFO     "/v3/info"
#define SL_MTX_GET_GLOBAL   "/v3/config/global/get"
#define SL_MTX_PATCH_GLOBAL "/v3/config/global/patch"
#define SL_MTX_GET_CONFS    "/v3/config/paths/list?itemsPerPage=1000000"
#define SL_MTX_GET_LIVE     "/v3/paths/list?itemsPerPage=1000000"
sl_mtx_parse_fn sl_mtx_parse_info, sl_mtx_parse_global, sl_mtx_parse_confs, sl_mtx_parse_live,
    sl_mtx_parse_conf;
