/* SPDX-License-Identifier: GPL-2.0-or-later
 * Observing. One chain asks info and then the paths; a new MediaMTX is asked its global
 * configuration in between. The configuration (users, paths) is asked beside that when it is due,
 * so that nothing waits for it: of a MediaMTX whose configuration calls hang, all that is live is
 * still known. Layer: mediamtx.
 */
#include "reconcile/mediamtx/engine_impl.h"

#define FAST_MS      1000
#define SLOW_MS      5000
#define RETRY_MAX_MS 1000
#define STARTING_MS  20 /* asked this often in the first seconds after a start */
#define STARTING_FOR 3000
#define CONFS_MS     500 /* after a failure, doubled up to: */
#define CONFS_MAX_MS 5000

void engine_unreachable(struct sl_engine *e, const char *code, const char *text)
{
    bool was = e->seen.reachable;

    if (was || !e->seen.since) {
        e->seen.since = sl_now_mono();
        e->retry = ENGINE_RETRY_MS;
    }
    e->seen.reachable = e->seen.configs_known = false;
    snprintf(e->code, sizeof(e->code), "%s", code);
    snprintf(e->seen.error, sizeof(e->seen.error), "%s", text);
    e->fresh_global = false;
    e->confs_wait = e->confs_at = 0;
    e->confs_error[0] = 0;
    sl_writer_lost(e->writer);
    free(e->live);
    e->live = NULL;
    if (was)
        sl_log(SL_LOG_WARN, "mediamtx unreachable", "url", e->url, "code", code, "reason", text,
               NULL);
}

void engine_schedule(struct sl_engine *e)
{
    int64_t now = sl_now_mono(), in = e->fast ? FAST_MS : SLOW_MS;

    if (e->supervise && !sl_supervise_pid(e->supervise)) {
        sl_timer_at(e->look, 0);
        return;
    }
    if (!e->seen.reachable) {
        in = e->retry;
        e->retry = e->retry * 2 < RETRY_MAX_MS ? e->retry * 2 : RETRY_MAX_MS;
        if (e->spawned_at && now - e->spawned_at < STARTING_FOR)
            in = STARTING_MS;
    }
    if (e->again)
        in = 0;
    e->again = false;
    sl_timer_at(e->look, now + in);
}

static void observed(struct sl_engine *e)
{
    e->asking = false;
    engine_schedule(e);
    engine_tell(e);
}

static void ask_failed(struct sl_engine *e, long status, const char *error)
{
    char text[256];
    int pid = e->supervise ? sl_supervise_pid(e->supervise) : 0;

    if (e->supervise && !pid) { /* it died: that text says more */
        e->asking = false;
        engine_schedule(e);
        return;
    }
    snprintf(text, sizeof(text), "%s: %.180s%s", e->url, error ? error : "no answer",
             status == 401 ? " (mediamtx.api.username and passwordRef)" : "");
    engine_unreachable(e, status == 401 ? "Unauthorized" : "Unreachable", text);
    e->refusals = status == 401 ? e->refusals + 1 : 0;
    if (e->refusals >= 2) /* with all that we have */
        engine_let_in(e);
    observed(e);
}

/* Configured, but not listed: lost. The cheapest sign that somebody wrote there. */
static bool lost_one(const struct sl_engine *e)
{
    const struct sl_mtx_confs *confs = sl_writer_confs(e->writer);

    for (size_t i = 0, k = 0; confs && i < confs->count; i++) {
        int order = -1;

        while (k < e->live->count &&
               (order = strcmp(e->live->list[k].name, confs->list[i].name)) < 0)
            k++;
        if ((k == e->live->count || order != 0) && sl_writer_wanted(e->writer, confs->list[i].name))
            return true;
    }
    return false;
}

static void on_live(void *user, long status, void *parsed, const char *error)
{
    struct sl_engine *e = user;
    struct sl_mtx_live *live = parsed, *old = e->live;
    int64_t now = sl_now_mono();

    if (!live) {
        ask_failed(e, status, error);
        return;
    }
    sl_mtx_compare(live, old, now, old ? now - e->live_at : 0);
    free(old);
    e->live = live;
    e->live_at = now;
    sl_mtx_clear_live(e->writer, live, e->tail);
    if (!e->confs_wait && lost_one(e)) {
        e->confs_at = now;
        sl_timer_at(e->confs_look, now);
    }
    observed(e);
}

static void ask_live(struct sl_engine *e)
{
    sl_mtx_tail_read(e->tail, sl_now_mono());
    if (e->supervise && sl_supervise_tend(e->supervise))
        sl_mtx_tail_skip(e->tail);
    sl_mtx_call(e->client, "GET", SL_MTX_GET_LIVE, NULL, sl_mtx_parse_live, on_live, e);
}

/* --- the configuration --------------------------------------------------------------------- */

static void confs_failed(struct sl_engine *e, const char *error)
{
    e->confs_asking = false;
    if (!e->seen.reachable)
        return;
    if (!*e->confs_error)
        sl_log(SL_LOG_WARN, "mediamtx configuration not read", "url", e->url, "reason", error,
               NULL);
    snprintf(e->confs_error, sizeof(e->confs_error),
             "MediaMTX's configuration is not known: %.200s", error ? error : "no answer");
    e->confs_wait = e->confs_wait ? 2 * e->confs_wait : CONFS_MS;
    if (e->confs_wait > CONFS_MAX_MS)
        e->confs_wait = CONFS_MAX_MS;
    e->confs_at = sl_now_mono() + e->confs_wait;
    sl_timer_at(e->confs_look, e->confs_at);
    engine_tell(e);
}

static void on_confs(void *user, long status, void *parsed, const char *error)
{
    struct sl_engine *e = user;
    int64_t fifth = e->drift / 5;

    (void)status;
    if (!parsed) {
        confs_failed(e, error);
        return;
    }
    e->confs_asking = false;
    if (!e->seen.reachable) {
        free(parsed);
        return;
    }
    e->confs_wait = 0;
    e->confs_error[0] = 0;
    e->confs_at = sl_now_mono() + e->drift - fifth;
    e->confs_at += fifth ? rand_r(&e->seed) % (2 * fifth) : 0;
    sl_timer_at(e->confs_look, e->confs_at);
    sl_writer_seen(e->writer, parsed, e->epoch);
    engine_tell(e);
}

static void ask_confs(struct sl_engine *e)
{
    sl_mtx_call(e->client, "GET", SL_MTX_GET_CONFS, NULL, sl_mtx_parse_confs, on_confs, e);
}

static void on_users(void *user, long status, void *parsed, const char *error)
{
    struct sl_engine *e = user;

    (void)status;
    if (!parsed) {
        confs_failed(e, error);
        return;
    }
    if (e->seen.reachable)
        sl_writer_seen_global(e->writer, parsed, e->epoch);
    free(parsed);
    ask_confs(e);
}

/* `users`: they were just read. */
static void look_confs(struct sl_engine *e, bool users)
{
    bool due = sl_writer_stale(e->writer) ? !e->confs_wait || sl_now_mono() >= e->confs_at
                                          : sl_now_mono() >= e->confs_at;

    if (!e->seen.reachable || e->confs_asking || !due || sl_writer_busy(e->writer))
        return;
    e->confs_asking = true;
    e->epoch = sl_writer_epoch(e->writer);
    if (users)
        ask_confs(e);
    else
        sl_mtx_call(e->client, "GET", SL_MTX_GET_GLOBAL, NULL, sl_mtx_parse_global, on_users, e);
}

void engine_look_confs(void *user)
{
    look_confs(user, false);
}

/* --- info ---------------------------------------------------------------------------------- */

static void on_global(void *user, long status, void *parsed, const char *error)
{
    struct sl_engine *e = user;
    sl_autofree struct sl_mtx_global *global = parsed;
    struct sl_err err = {0};

    if (!global) {
        ask_failed(e, status, error);
        return;
    }
    if (engine_publish_at(e, global, &err) < 0) {
        engine_unreachable(e, err.code, err.text);
        observed(e);
        return;
    }
    e->seen.rtsp_port = global->rtsp;
    e->seen.rtmp_port = global->rtmp;
    e->seen.hls_port = global->hls;
    e->seen.webrtc_port = global->webrtc;
    e->seen.srt_port = global->srt;
    if (!e->seen.reachable)
        e->seen.since = sl_now_mono();
    e->seen.reachable = true;
    e->seen.error[0] = e->code[0] = 0;
    e->retry = ENGINE_RETRY_MS;
    e->fresh_global = true;
    e->refusals = 0;
    e->let_in_wait = 0;
    sl_log(SL_LOG_INFO, "mediamtx reached", "url", e->url, "version", e->seen.version,
           "file_generation", sl_num((long long)global->generation), "reason",
           *e->last_started ? "it was started" : "first contact", NULL);
    sl_writer_connected(e->writer, global);
    look_confs(e, true);
    ask_live(e);
}

static void on_info(void *user, long status, void *parsed, const char *error)
{
    struct sl_engine *e = user;
    struct sl_mtx_info *info = parsed;

    if (!info) {
        ask_failed(e, status, error);
        return;
    }
    if (*e->last_started && strcmp(e->last_started, info->started) != 0) {
        e->restarts++;
        engine_unreachable(e, "EngineRestarted", "MediaMTX was started anew");
        engine_tell(e);
    }
    snprintf(e->seen.version, sizeof(e->seen.version), "%s", info->version);
    snprintf(e->seen.started, sizeof(e->seen.started), "%s", info->started);
    free(info);
    if (!sl_mtx_version_ok(e->seen.version)) {
        char text[200];

        snprintf(text, sizeof(text),
                 "MediaMTX at %.100s is %s: Sluice needs " SL_MTX_OLDEST " or newer", e->url,
                 e->seen.version);
        engine_unreachable(e, "EngineTooOld", text);
        observed(e);
        return;
    }
    if (!e->fresh_global) {
        sl_mtx_call(e->client, "GET", SL_MTX_GET_GLOBAL, NULL, sl_mtx_parse_global, on_global, e);
    } else {
        look_confs(e, false);
        ask_live(e);
    }
    snprintf(e->last_started, sizeof(e->last_started), "%s", e->seen.started);
}

void engine_look(void *user)
{
    struct sl_engine *e = user;

    if (e->asking) {
        e->again = true;
        return;
    }
    e->asking = true;
    sl_mtx_call(e->client, "GET", SL_MTX_GET_INFO, NULL, sl_mtx_parse_info, on_info, e);
}

void engine_look_now(struct sl_engine *e)
{
    if (e->supervise && !sl_supervise_pid(e->supervise))
        return;
    if (e->asking)
        e->again = true;
    else
        sl_timer_at(e->look, sl_now_mono());
}
