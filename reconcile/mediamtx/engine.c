/* SPDX-License-Identifier: GPL-2.0-or-later
 * Ties supervisor, client and writer together; what the daemon calls. Layer: mediamtx.
 */
#include "reconcile/mediamtx/engine_impl.h"

#include "reconcile/io/state.h"
#include "reconcile/mediamtx/ports.h"
#include <unistd.h>

#define DEFAULT_URL "http://127.0.0.1:9997"

static const char *given(const char *text, const char *otherwise)
{
    return text && *text ? text : otherwise;
}

void engine_tell(struct sl_engine *e)
{
    e->stale = true;
    e->fn(e->user);
}

static void written(void *user)
{
    struct sl_engine *e = user;

    if (sl_writer_stale(e->writer))
        sl_timer_at(e->confs_look, sl_now_mono() + e->confs_wait);
    engine_look_now(e);
    engine_tell(e);
}

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

static int make_process(struct sl_engine *e, const struct sl_settings *settings, struct sl_err *err)
{
    struct sl_supervise_options options = {
        .loop = e->loop,
        .binary = settings->mediamtx.binary,
        .config = sl_mtx_file_name(e->file),
        .runtime = settings->runtime,
        .died = engine_died,
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

    *e = (struct sl_engine){.loop = loop, .fn = fn, .user = user, .retry = ENGINE_RETRY_MS};
    e->seed = (unsigned)sl_now_mono();
    e->drift = settings->timing.drift > 0 ? settings->timing.drift : 15000;
    e->url = sl_strdup(given(settings->mediamtx.api.url, DEFAULT_URL));
    e->name = sl_asprintf("sluice-%s", instance);
    e->password = sl_strdup(secret);
    e->publish_host = engine_host_of(e->url);
    if (*given(settings->mediamtx.publish_url, ""))
        e->publish_url = sl_strdup(settings->mediamtx.publish_url);
    e->insecure = settings->mediamtx.insecure;
    snprintf(e->code, sizeof(e->code), "NotStarted");
    snprintf(e->seen.error, sizeof(e->seen.error), "not asked yet");
    e->seen.since = sl_now_mono();
    if ((e->publish_url && engine_publish_check(e->publish_url, e->insecure, err) < 0) ||
        make_file(e, settings, own, err) < 0) {
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
    e->own = own;
    e->seen.users_left = !own;
    options.client = e->client;
    options.file = e->file;
    e->writer = sl_writer_new(&options);
    e->look = sl_timer_new(loop, engine_look, e);
    e->restart = sl_timer_new(loop, engine_restart, e);
    e->confs_look = sl_timer_new(loop, engine_look_confs, e);
    e->tail = sl_mtx_tail_new(e->supervise ? sl_supervise_log(e->supervise) : NULL);
    engine_look_now(e);
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
    sl_timer_free(e->confs_look);
    sl_mtx_tail_free(e->tail);
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
        e->count = sl_mtx_merge(e->writer, e->live, e->tail, &e->paths);
    }
    e->seen.configs_known = e->seen.reachable && sl_writer_confs(e->writer) != NULL;
    e->seen.writing = sl_writer_busy(e->writer);
    if (!sl_writer_rejected(e->writer, &e->seen.rejected_path, &e->seen.rejected_text))
        e->seen.rejected_path = e->seen.rejected_text = NULL;
    if (e->seen.reachable)
        snprintf(e->seen.error, sizeof(e->seen.error), "%s",
                 *e->confs_error ? e->confs_error : error);
    e->seen.live_at = e->live_at;
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
        engine_start(e, "wanted");
}

void sl_engine_want_users(struct sl_engine *e, const struct sl_publish_user *users, size_t count)
{
    sl_writer_want_users(e->writer, users, count);
}

void sl_engine_look(struct sl_engine *e, bool fast)
{
    e->fast = fast;
    engine_look_now(e);
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
    engine_unreachable(e, "Stopped", "stopped with the daemon");
}
