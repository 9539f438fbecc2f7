/* SPDX-License-Identifier: GPL-2.0-or-later
 * Ties supervisor, client and writer together and observes: info, then (when it is a new MediaMTX)
 * its global configuration, then (when due) the paths' configurations, then the paths.
 * Layer: mediamtx.
 */
#include "reconcile/mediamtx/engine.h"

#include "reconcile/base/log.h"
#include "reconcile/base/time.h"
#include "reconcile/io/state.h"
#include "reconcile/mediamtx/merge.h"
#include "reconcile/mediamtx/ports.h"
#include "reconcile/mediamtx/supervise.h"
#include <unistd.h>

#define DEFAULT_URL    "http://127.0.0.1:9997"
#define FAST_MS        1000
#define SLOW_MS        5000
#define RETRY_MS       100
#define RETRY_MAX_MS   1000
#define STARTING_MS    20 /* asked this often in the first seconds after a start */
#define STARTING_FOR   3000
#define HEALTHY_MS     10000 /* lived that long: restarted at once */
#define BACKOFF_MS     250
#define BACKOFF_MAX_MS 10000

struct sl_engine {
    struct sl_loop *loop;
    sl_engine_fn *fn;
    void *user;
    char *url, *name, *password, *publish_url, *publish_host;
    int64_t drift;
    struct sl_mtx_file *file;
    struct sl_mtx_client *client;
    struct sl_writer *writer;
    struct sl_supervise *supervise; /* NULL: not managed */
    struct sl_timer *look, *restart;
    bool starting, restarting; /* rendering for a start; waiting for one */
    int64_t spawned_at;
    int deaths;
    bool asking, again, fast, fresh_global;
    int64_t retry, confs_at;
    uint64_t epoch, restarts;
    unsigned seed;
    struct sl_seen_engine seen;
    char code[40], last_started[40];
    struct sl_mtx_live *live;
    int64_t live_at;
    struct sl_seen_path *paths;
    size_t count;
    bool stale; /* paths must be made again */
};

static void start(struct sl_engine *e, const char *reason);

static const char *given(const char *text, const char *otherwise)
{
    return text && *text ? text : otherwise;
}

static void tell(struct sl_engine *e)
{
    e->stale = true;
    e->fn(e->user);
}

static void unreachable(struct sl_engine *e, const char *code, const char *text)
{
    bool was = e->seen.reachable;

    if (was || !e->seen.since) {
        e->seen.since = sl_now_mono();
        e->retry = RETRY_MS;
    }
    e->seen.reachable = e->seen.configs_known = false;
    snprintf(e->code, sizeof(e->code), "%s", code);
    snprintf(e->seen.error, sizeof(e->seen.error), "%s", text);
    e->fresh_global = false;
    sl_writer_lost(e->writer);
    free(e->live);
    e->live = NULL;
    if (was)
        sl_log(SL_LOG_WARN, "mediamtx unreachable", "url", e->url, "code", code, "reason", text,
               NULL);
}

/* --- observing ----------------------------------------------------------------------------- */

static void schedule(struct sl_engine *e)
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
    if (e->supervise)
        sl_supervise_tend(e->supervise);
    schedule(e);
    tell(e);
}

static void ask_failed(struct sl_engine *e, long status, const char *error)
{
    char text[256];
    int pid = e->supervise ? sl_supervise_pid(e->supervise) : 0;

    if (e->supervise && !pid) { /* it died: that text says more */
        e->asking = false;
        schedule(e);
        return;
    }
    snprintf(text, sizeof(text), "%s: %.180s%s", e->url, error ? error : "no answer",
             status == 401 ? " (mediamtx.api.username and passwordRef)" : "");
    unreachable(e, status == 401 ? "Unauthorized" : "Unreachable", text);
    observed(e);
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
    if (old)
        sl_mtx_bitrates(live, old, now - e->live_at);
    free(old);
    e->live = live;
    e->live_at = now;
    observed(e);
}

static void ask_live(struct sl_engine *e)
{
    sl_mtx_call(e->client, "GET", SL_MTX_GET_LIVE, NULL, sl_mtx_parse_live, on_live, e);
}

static void on_confs(void *user, long status, void *parsed, const char *error)
{
    struct sl_engine *e = user;
    int64_t fifth = e->drift / 5;

    if (!parsed) {
        ask_failed(e, status, error);
        return;
    }
    e->confs_at = sl_now_mono() + e->drift - fifth;
    e->confs_at += fifth ? rand_r(&e->seed) % (2 * fifth) : 0;
    sl_writer_seen(e->writer, parsed, e->epoch);
    ask_live(e);
}

static void ask_confs(struct sl_engine *e)
{
    bool due = !sl_writer_confs(e->writer) || sl_now_mono() >= e->confs_at;

    if (!due || sl_writer_busy(e->writer)) {
        ask_live(e);
        return;
    }
    e->epoch = sl_writer_epoch(e->writer);
    sl_mtx_call(e->client, "GET", SL_MTX_GET_CONFS, NULL, sl_mtx_parse_confs, on_confs, e);
}

/* Its own host when it has one (127.0.0.1), else the one that its API is asked at. */
static void publish_address(struct sl_engine *e, const struct sl_mtx_global *global)
{
    const char *address = global->rtsp_address, *colon = strrchr(address, ':');
    int len = colon ? (int)(colon - address) : 0;
    const char *host = len ? address : e->publish_host;

    if (e->publish_url)
        snprintf(e->seen.rtsp_publish_url, sizeof(e->seen.rtsp_publish_url), "%s", e->publish_url);
    else if (len && strncmp(address, "0.0.0.0:", 8) != 0 && strncmp(address, "[::]:", 5) != 0)
        snprintf(e->seen.rtsp_publish_url, sizeof(e->seen.rtsp_publish_url), "rtsp://%.*s:%d", len,
                 host, global->rtsp);
    else
        snprintf(e->seen.rtsp_publish_url, sizeof(e->seen.rtsp_publish_url), "rtsp://%.100s:%d",
                 e->publish_host, global->rtsp);
}

static void on_global(void *user, long status, void *parsed, const char *error)
{
    struct sl_engine *e = user;
    struct sl_mtx_global *global = parsed;

    if (!global) {
        ask_failed(e, status, error);
        return;
    }
    e->seen.rtsp_port = global->rtsp;
    e->seen.rtmp_port = global->rtmp;
    e->seen.hls_port = global->hls;
    e->seen.webrtc_port = global->webrtc;
    e->seen.srt_port = global->srt;
    publish_address(e, global);
    if (!e->seen.reachable)
        e->seen.since = sl_now_mono();
    e->seen.reachable = true;
    e->seen.error[0] = e->code[0] = 0;
    e->retry = RETRY_MS;
    e->fresh_global = true;
    sl_log(SL_LOG_INFO, "mediamtx reached", "url", e->url, "version", e->seen.version,
           "file_generation", sl_num((long long)global->generation), "reason",
           *e->last_started ? "it was started" : "first contact", NULL);
    sl_writer_connected(e->writer, global->generation);
    free(global);
    ask_confs(e);
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
        unreachable(e, "EngineRestarted", "MediaMTX was started anew");
        tell(e);
    }
    snprintf(e->seen.version, sizeof(e->seen.version), "%s", info->version);
    snprintf(e->seen.started, sizeof(e->seen.started), "%s", info->started);
    free(info);
    if (!sl_mtx_version_ok(e->seen.version)) {
        char text[200];

        snprintf(text, sizeof(text),
                 "MediaMTX at %.100s is %s: Sluice needs " SL_MTX_OLDEST " or newer", e->url,
                 e->seen.version);
        unreachable(e, "EngineTooOld", text);
        observed(e);
        return;
    }
    if (!e->fresh_global)
        sl_mtx_call(e->client, "GET", SL_MTX_GET_GLOBAL, NULL, sl_mtx_parse_global, on_global, e);
    else
        ask_confs(e);
    snprintf(e->last_started, sizeof(e->last_started), "%s", e->seen.started);
}

static void look(void *user)
{
    struct sl_engine *e = user;

    if (e->asking) {
        e->again = true;
        return;
    }
    e->asking = true;
    sl_mtx_call(e->client, "GET", SL_MTX_GET_INFO, NULL, sl_mtx_parse_info, on_info, e);
}

static void look_now(struct sl_engine *e)
{
    if (e->supervise && !sl_supervise_pid(e->supervise))
        return;
    if (e->asking)
        e->again = true;
    else
        sl_timer_at(e->look, sl_now_mono());
}

static void written(void *user)
{
    struct sl_engine *e = user;

    look_now(e);
    tell(e);
}

/* --- the managed process ------------------------------------------------------------------- */

static void restart_later(struct sl_engine *e)
{
    int64_t in = e->deaths ? BACKOFF_MS << (e->deaths < 6 ? e->deaths - 1 : 5) : 0;

    e->restarting = true;
    sl_timer_at(e->restart, sl_now_mono() + (in < BACKOFF_MAX_MS ? in : BACKOFF_MAX_MS));
}

static void died(void *user, const struct sl_mtx_death *death)
{
    struct sl_engine *e = user;

    e->deaths = death->lived == 0 || death->lived >= HEALTHY_MS ? 0 : e->deaths + 1;
    unreachable(e, death->code, death->text);
    restart_later(e);
    tell(e);
}

static void restart(void *user)
{
    struct sl_engine *e = user;

    e->restarting = false;
    start(e, "it had ended");
}

static void on_rendered(void *user, const struct sl_err *err)
{
    struct sl_engine *e = user;
    struct sl_err own = {0};

    e->starting = false;
    if (!err && sl_supervise_spawn(e->supervise, *e->last_started ? "it had ended" : "first wanted",
                                   &own) == 0) {
        e->spawned_at = sl_now_mono();
        e->retry = RETRY_MS;
        schedule(e);
        return;
    }
    err = err ? err : &own;
    e->deaths++;
    unreachable(e, given(err->code, "StartFailed"), err->text);
    sl_log(SL_LOG_ERROR, "mediamtx not started", "reason", err->text, NULL);
    restart_later(e);
    tell(e);
}

static void start(struct sl_engine *e, const char *reason)
{
    if (e->starting || e->restarting || sl_supervise_pid(e->supervise))
        return;
    sl_log(SL_LOG_DEBUG, "mediamtx file rendered", "reason", reason, NULL);
    e->starting = true;
    sl_writer_render(e->writer, on_rendered, e);
}

/* --- from outside -------------------------------------------------------------------------- */

static int make_file(struct sl_engine *e, const struct sl_settings *settings, bool own,
                     struct sl_err *err)
{
    sl_autofree char *config = *given(settings->mediamtx.config, "")
                                   ? sl_strdup(settings->mediamtx.config)
                                   : sl_asprintf("%s/mediamtx/mediamtx.yml", settings->state);
    struct sl_mtx_file_options options = {
        .template_ = *given(settings->mediamtx.template_, "") ? settings->mediamtx.template_ : NULL,
        .config = config,
        .api_url = e->url,
        .user = own ? e->name : NULL,
        .password = own ? e->password : NULL,
    };

    if (!settings->mediamtx.managed) {
        sl_autofree char *dir = sl_strdup(config);
        char *slash = strrchr(dir, '/');

        if (slash)
            *slash = 0;
        if (!*given(settings->mediamtx.config, "") || !options.template_ ||
            access(slash ? dir : ".", W_OK | X_OK) < 0)
            return 0; /* nothing of ours to write: by the API alone */
    }
    return sl_mtx_file_new(&options, &e->file, err);
}

/* Ours first, then what MediaMTX knows without us: the configured user, or nobody. */
static int make_client(struct sl_engine *e, const struct sl_settings *settings, bool own,
                       struct sl_err *err)
{
    sl_autofree char *password = NULL;
    struct sl_mtx_auth auth[2];
    const char *ref = settings->mediamtx.api.password_ref;
    const char *username = settings->mediamtx.api.username;
    int count = 0;

    if (*given(ref, "") &&
        sl_secret_read(settings->secrets, settings->secrets_count, ref, &password, err) < 0)
        return sl_err_wrap(err, "mediamtx.api.passwordRef");
    if (own)
        auth[count++] = (struct sl_mtx_auth){e->name, e->password};
    auth[count++] = (struct sl_mtx_auth){*given(username, "") ? username : NULL, password};
    if (!own) {
        free(e->name);
        free(e->password);
        e->name = sl_strdup(given(username, ""));
        e->password = sl_strdup(password ? password : "");
    }
    e->client = sl_mtx_client_new(e->loop, e->url, auth, count);
    return 0;
}

static char *host_of(const char *url)
{
    const char *host = strstr(url, "://");
    size_t len;

    host = host ? host + 3 : url;
    len = *host == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":/");
    if (strncmp(host, "localhost", len) == 0)
        return sl_strdup("127.0.0.1");
    return sl_asprintf("%.*s", (int)len, host);
}

static int make_process(struct sl_engine *e, const struct sl_settings *settings, struct sl_err *err)
{
    struct sl_supervise_options options = {
        .loop = e->loop,
        .binary = settings->mediamtx.binary,
        .config = sl_mtx_file_name(e->file),
        .runtime = settings->runtime,
        .died = died,
        .user = e,
    };

    if (sl_supervise_new(&options, &e->supervise, err) < 0)
        return -1;
    if (sl_supervise_pid(e->supervise))
        return 0;
    return sl_mtx_ports_check(e->file, err);
}

int sl_engine_new(struct sl_loop *loop, const struct sl_settings *settings, const char *instance,
                  const char *secret, sl_engine_fn *fn, void *user, struct sl_engine **ret,
                  struct sl_err *err)
{
    struct sl_engine *e = sl_alloc(sizeof(*e));
    bool managed = settings->mediamtx.managed;
    bool own = strcmp(given(settings->mediamtx.users, managed ? "own" : "leave"), "own") == 0;
    struct sl_writer_options options = {.loop = loop, .changed = written, .user = e};

    *e = (struct sl_engine){.loop = loop, .fn = fn, .user = user, .retry = RETRY_MS};
    e->seed = (unsigned)sl_now_mono();
    e->drift = settings->timing.drift > 0 ? settings->timing.drift : 15000;
    e->url = sl_strdup(given(settings->mediamtx.api.url, DEFAULT_URL));
    e->name = sl_asprintf("sluice-%s", instance);
    e->password = sl_strdup(secret);
    e->publish_host = host_of(e->url);
    if (*given(settings->mediamtx.publish_url, ""))
        e->publish_url = sl_strdup(settings->mediamtx.publish_url);
    snprintf(e->code, sizeof(e->code), "NotStarted");
    snprintf(e->seen.error, sizeof(e->seen.error), "not asked yet");
    e->seen.since = sl_now_mono();
    if (make_file(e, settings, own, err) < 0) {
        sl_engine_free(e);
        return -1;
    }
    if (own && !e->file) {
        sl_log(SL_LOG_WARN, "mediamtx users left alone", "reason",
               "users: own needs mediamtx.template and a writable mediamtx.config", NULL);
        own = false;
    }
    if (make_client(e, settings, own, err) < 0 || (managed && make_process(e, settings, err) < 0)) {
        sl_engine_free(e);
        return -1;
    }
    options.client = e->client;
    options.file = e->file;
    e->writer = sl_writer_new(&options);
    e->look = sl_timer_new(loop, look, e);
    e->restart = sl_timer_new(loop, restart, e);
    look_now(e);
    *ret = e;
    return 0;
}

void sl_engine_free(struct sl_engine *e)
{
    if (!e)
        return;
    sl_mtx_client_free(e->client);
    sl_writer_free(e->writer);
    sl_supervise_free(e->supervise);
    sl_mtx_file_free(e->file);
    sl_timer_free(e->look);
    sl_timer_free(e->restart);
    free(e->live);
    free(e->paths);
    free(e->url);
    free(e->name);
    free(e->password);
    free(e->publish_url);
    free(e->publish_host);
    free(e);
}

void sl_engine_observed(struct sl_engine *e, struct sl_seen_engine *ret,
                        const struct sl_seen_path **ret_paths, size_t *ret_count)
{
    const char *error = sl_writer_error(e->writer);

    if (e->stale || !e->paths) {
        e->stale = false;
        free(e->paths);
        e->count = sl_mtx_merge(e->writer, e->live, &e->paths);
    }
    e->seen.configs_known = e->seen.reachable && sl_writer_confs(e->writer) != NULL;
    e->seen.writing = sl_writer_busy(e->writer);
    if (!sl_writer_rejected(e->writer, &e->seen.rejected_path, &e->seen.rejected_text))
        e->seen.rejected_path = e->seen.rejected_text = NULL;
    if (e->seen.reachable)
        snprintf(e->seen.error, sizeof(e->seen.error), "%s", error);
    *ret = e->seen;
    *ret_paths = e->paths;
    *ret_count = e->count;
}

void sl_engine_want(struct sl_engine *e, const struct sl_path_conf *paths, size_t count,
                    const char *const *removed, size_t removed_count)
{
    sl_writer_want(e->writer, paths, count, removed, removed_count);
    e->stale = true;
    if (e->supervise)
        start(e, "wanted");
}

void sl_engine_look(struct sl_engine *e, bool fast)
{
    e->fast = fast;
    look_now(e);
}

const char *sl_engine_user(const struct sl_engine *e)
{
    return e->name;
}

const char *sl_engine_password(const struct sl_engine *e)
{
    return e->password;
}

uint64_t sl_engine_restarts(const struct sl_engine *e)
{
    return e->restarts;
}

const char *sl_engine_error_code(const struct sl_engine *e)
{
    return e->seen.reachable ? "" : e->code;
}

bool sl_engine_settled(const struct sl_engine *e)
{
    return e->seen.reachable && sl_writer_settled(e->writer);
}

void sl_engine_force(struct sl_engine *e, enum sl_engine_way way)
{
    sl_writer_mode(e->writer, (enum sl_writer_mode)way);
}

void sl_engine_stop(struct sl_engine *e)
{
    if (!e->supervise)
        return;
    sl_timer_at(e->restart, 0);
    e->restarting = true; /* and stays so: no new start */
    sl_supervise_stop(e->supervise, "on-exit=stop");
    unreachable(e, "Stopped", "stopped with the daemon");
}
