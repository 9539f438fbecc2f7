/* SPDX-License-Identifier: GPL-2.0-or-later
 * Host settings: /etc/sluice/sluice.yaml, then SLUICE_* environment, then flags (each wins over
 * the one before). Not in git with the streams. Same table machinery as manifests
 * (sl_table_settings). Owned by the arena of the load; immutable afterwards. Layer: schemas.
 */
#pragma once
#include "reconcile/base/diag.h"
#include "reconcile/base/err.h"

struct sl_settings {
    char *manifests, *media, *recordings, *state, *runtime; /* directories */
    char **secrets; /* directories searched in order for *Ref names */
    unsigned secrets_count;
    char *listen;  /* "127.0.0.1:8080", "[::1]:8080"; port 0 = free port, printed */
    char *on_exit; /* "detach" (default) | "stop": what SIGTERM and SIGINT do */
    char *log_level;
    struct {
        char *name;
    } node;
    struct {
        bool managed; /* the daemon starts the host; false: a unit of its own does */
        char *binary; /* sluice-encoder; searched beside sluice, then PATH */
    } encoders;
    struct {
        char *host; /* name or address in the URLs shown to viewers; "" = listen's host or
                       the machine's name */
        /* Addresses that viewers and publishers reach from outside, e.g. "rtsps://tv.example:8322"
           or "https://tv.example/hls"; "" = scheme, host and MediaMTX's port. */
        char *rtsp, *rtmp, *hls, *webrtc, *srt;
    } public_; /* key `public` */
    struct {
        bool public_; /* key `public`: anybody may see the page, `listen` may leave loopback */
    } page;
    struct {
        bool managed;
        char *binary;
        char *template_; /* key `template` */
        char *config;    /* rendered file; "" = <state>/mediamtx/mediamtx.yml */
        struct {
            char *url, *username;
            char *password_ref; /* key passwordRef: name of a secret */
        } api;                  /* also as a plain string: the URL */
        char *publish_url;      /* "" = rtsp://127.0.0.1:<port of the running config> */
        bool insecure;          /* publish_url may be plain RTSP to another host */
        char *users;            /* "own" | "leave"; "" = own when managed, else leave */
    } mediamtx;
    struct {
        int64_t settle, storm, storm_cap, resync, drift; /* ms: 30, 300, 3000, 300000, 15000 */
    } timing;
};

/* Reads the file (NULL or missing default path: defaults only), applies the environment and
 * `flags` ("--manifests=DIR" style pairs already split into key path and value), checks.
 * -1 with diags filled (exit 78). */
struct sl_setting_flag {
    const char *key; /* dotted: "mediamtx.api" */
    const char *value;
};
int sl_settings_load(struct sl_arena *arena, const char *file, bool file_required,
                     const struct sl_setting_flag *flags, size_t nflags, struct sl_settings **ret,
                     struct sl_diags *diags) SL_MUST;
/* Takes "--manifests DIR" or "--manifests=DIR" at argv[*i] and moves *i to its last word:
 * 1 taken, 0 not a setting, -1 the value is missing. The texts live as long as argv. */
int sl_settings_flag(int argc, char **argv, int *i, struct sl_setting_flag *ret) SL_MUST;
/* One line a setting: flag, environment name, default, doc: for `run --help`. */
void sl_settings_help(struct sl_buf *out);
