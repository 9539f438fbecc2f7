/* SPDX-License-Identifier: GPL-2.0-or-later
 * The pass: accepted objects → desired, with observed → plan → actions; then save and publish.
 * Level-triggered: whatever woke it, all of it is computed anew.
 */
#include "cmd/sluice/daemon.h"
#include "cmd/sluice/scrub.h"

#include <systemd/sd-daemon.h>

static struct sl_secret_seen look(struct sl_daemon *daemon, const struct sl_ref *ref)
{
    return ref ? sl_secrets_look(daemon->secrets, ref->name, ref->key) : (struct sl_secret_seen){0};
}

static void look_up_secrets(struct sl_daemon *daemon, struct sl_desired_stream *stream)
{
    const struct sl_source *source = &stream->spec->source;
    if (source->rtsp) {
        stream->password = look(daemon, source->rtsp->password_ref);
    } else if (source->pull) {
        stream->password = look(daemon, source->pull->password_ref);
        stream->passphrase = look(daemon, source->pull->passphrase_ref);
        stream->stream_id = look(daemon, source->pull->stream_id_ref);
    } else if (source->publish) {
        stream->password = look(daemon, source->publish->password_ref);
    }
}

static void build_desired(struct sl_daemon *daemon, struct sl_arena *arena,
                          const struct sl_seen_engine *engine, int64_t mono, int64_t wall,
                          int64_t *ret_wake, struct sl_desired *ret)
{
    const struct sl_memory *memory = &daemon->memory;
    const struct sl_snapshot *tree = daemon->intake ? daemon->intake->tree : NULL;
    ret->valid = memory->valid;
    ret->root_present = tree && tree->root_present;
    ret->snapshot = tree ? tree->snapshot : "";
    ret->streams = sl_arena_alloc(arena, (memory->count + 1) * sizeof(ret->streams[0]));
    size_t approvals = 0;
    for (size_t i = 0; i < memory->count; i++) {
        const struct sl_accepted *accepted = &memory->list[i]->accepted;
        if (accepted->kind == SL_KIND_CONFIG) {
            approvals += accepted->object->config->deletion.approve_count;
        }
    }
    const char **list = sl_arena_alloc(arena, (approvals + 1) * sizeof(*list));
    for (size_t i = 0; i < memory->count; i++) {
        const struct sl_accepted *accepted = &memory->list[i]->accepted;
        if (accepted->kind == SL_KIND_CONFIG) {
            const struct sl_config_spec *config = accepted->object->config;
            for (unsigned j = 0; j < config->deletion.approve_count && !accepted->absent; j++) {
                list[ret->approvals_count++] = config->deletion.approve[j];
            }
            continue;
        }
        struct sl_desired_stream *stream = &ret->streams[ret->count++];
        stream->accepted = accepted;
        stream->spec = accepted->object->stream;
        stream->run = !stream->spec->suspend;
        if (stream->spec->source.file) {
            stream->media_path = sl_arena_printf(arena, "%s/%s", daemon->settings->media,
                                                 stream->spec->source.file->path);
            stream->media = sl_media_look(daemon->media, stream->media_path, mono, wall, ret_wake);
        }
        look_up_secrets(daemon, stream);
        stream->carrier = sl_carrier_of(stream->spec);
        sl_enc_hash(stream, engine->rtsp_publish_url, stream->enc_hash);
    }
    ret->approvals = list;
    sl_media_sweep(daemon->media);
    sl_secrets_sweep(daemon->secrets);
}

/* What is not a stream has nothing running: when it is gone from the directory it is gone. */
static bool is_gone(const struct sl_accepted *accepted)
{
    return accepted->kind != SL_KIND_STREAM && accepted->absent;
}

/* One transaction a pass, and only when there is something to save. */
static int save(struct sl_daemon *daemon, const struct sl_plan *plan, struct sl_err *err)
{
    bool dirty = plan->gone_count > 0;
    for (size_t i = 0; i < daemon->memory.count && !dirty; i++) {
        dirty = daemon->memory.list[i]->dirty || is_gone(&daemon->memory.list[i]->accepted);
    }
    for (size_t i = 0; i < daemon->history.count && !dirty; i++) {
        dirty = daemon->history.list[i].dirty;
    }
    dirty |= daemon->history.guard_dirty;
    if (!dirty) {
        return 0;
    }
    if (sl_state_begin(daemon->state, err) < 0) {
        return -1;
    }
    for (size_t i = 0; i < daemon->memory.count; i++) {
        const struct sl_memory_entry *entry = daemon->memory.list[i];
        const struct sl_accepted *a = &entry->accepted;
        struct sl_state_accepted row = {a->name,      a->file, entry->file_sha, a->hash,
                                        entry->bytes, a->kind, a->line,         a->generation};
        if (is_gone(a) && sl_state_drop_accepted(daemon->state, a->name, err) < 0) {
            return -1;
        }
        if (!is_gone(a) && entry->dirty && sl_state_put_accepted(daemon->state, &row, err) < 0) {
            return -1;
        }
    }
    for (size_t i = 0; i < daemon->history.count; i++) {
        if (daemon->history.list[i].dirty &&
            sl_state_put_past(daemon->state, &daemon->history.list[i], err) < 0) {
            return -1;
        }
    }
    for (size_t i = 0; i < plan->gone_count; i++) {
        if (sl_state_drop_accepted(daemon->state, plan->gone[i], err) < 0 ||
            sl_state_drop_past(daemon->state, plan->gone[i], err) < 0) {
            return -1;
        }
    }
    if (daemon->history.guard_dirty &&
        sl_state_put_guard(daemon->state, &daemon->history, err) < 0) {
        return -1;
    }
    if (sl_state_commit(daemon->state, err) < 0) {
        return -1;
    }
    for (size_t i = 0; i < daemon->memory.count; i++) {
        daemon->memory.list[i]->dirty = false;
    }
    for (size_t i = 0; i < daemon->history.count; i++) {
        daemon->history.list[i].dirty = false;
    }
    daemon->history.guard_dirty = false;
    return 0;
}

/* Where encoders publish enters what they are restarted for, so it is never "not known yet" again
 * once it was known: not while MediaMTX is away, nor after a restart of the daemon. */
static void remember_publish_url(struct sl_daemon *daemon, struct sl_observed *observed)
{
    char *known = observed->engine.rtsp_publish_url;
    struct sl_err err;
    if (known[0] && !sl_streq(known, daemon->publish_url)) {
        free(daemon->publish_url);
        daemon->publish_url = sl_strdup(known);
        if (sl_state_begin(daemon->state, &err) < 0 ||
            sl_state_put_value(daemon->state, "publishUrl", known, &err) < 0 ||
            sl_state_commit(daemon->state, &err) < 0) {
            sl_log(SL_LOG_ERROR, "state cannot be saved, going on without", "error", err.text,
                   NULL);
        }
    }
    if (daemon->publish_url) {
        snprintf(known, sizeof(observed->engine.rtsp_publish_url), "%s", daemon->publish_url);
    } else {
        observed->host_up = false;
        observed->host_error = "waiting for MediaMTX to tell its RTSP address";
    }
}

static void forget_gone(struct sl_daemon *daemon, const struct sl_plan *plan)
{
    for (size_t i = daemon->memory.count; i > 0; i--) {
        if (is_gone(&daemon->memory.list[i - 1]->accepted)) {
            sl_memory_drop(&daemon->memory, daemon->memory.list[i - 1]->accepted.name);
        }
    }
    for (size_t i = 0; i < plan->gone_count; i++) {
        sl_log(SL_LOG_INFO, "stream deleted", "stream", plan->gone[i], "reason",
               "absent from a valid snapshot, nothing of it is left", NULL);
        sl_history_forget(&daemon->history, plan->gone[i]);
        sl_memory_drop(&daemon->memory, plan->gone[i]);
    }
}

static void log_held(struct sl_daemon *daemon, const struct sl_plan *plan)
{
    if (sl_streq(daemon->plan_logged ? daemon->plan_logged : "", plan->id)) {
        return;
    }
    free(daemon->plan_logged);
    daemon->plan_logged = sl_strdup(plan->id);
    if (plan->id[0]) {
        sl_log(SL_LOG_ERROR,
               "deletions held: too many at once; put the plan id under spec.deletion.approve of a "
               "Config to release them, or bring the manifests back",
               "plan", plan->id, NULL);
    } else {
        sl_log(SL_LOG_INFO, "no deletions are held any more", NULL);
    }
}

static void publish(struct sl_daemon *daemon, const struct sl_desired *desired,
                    const struct sl_observed *observed, const struct sl_plan *plan)
{
    const struct sl_intake *intake = daemon->intake;
    size_t count = intake ? intake->count : 0;
    struct sl_arena *arena = sl_arena_new();
    struct sl_status_file *files = sl_arena_alloc(arena, (count + 1) * sizeof(*files));
    for (size_t i = 0; i < count; i++) {
        const struct sl_loaded_file *loaded = &intake->files[i].loaded;
        const char **objects = sl_arena_alloc(arena, (daemon->memory.count + 1) * sizeof(*objects));
        size_t held = 0;
        for (size_t j = 0; j < daemon->memory.count; j++) {
            if (sl_streq(daemon->memory.list[j]->accepted.file, loaded->file)) {
                objects[held++] = daemon->memory.list[j]->accepted.name;
            }
        }
        files[i] = (struct sl_status_file){
            .path = loaded->file,
            .valid = loaded->diags.errors == 0,
            .objects = objects,
            .objects_count = held,
            .diags = loaded->diags.list,
            .diags_count = loaded->diags.count,
        };
    }
    const struct sl_snapshot *tree = intake ? intake->tree : NULL;
    const char *watch_warning = sl_watch_warning(daemon->watch);
    struct sl_status_source shown = {
        .path = daemon->settings->manifests,
        .revision = tree ? tree->revision : "",
        .ref = tree ? tree->ref : "",
        .how = tree ? tree->how : "",
        .snapshot = tree ? tree->snapshot : "",
        .last_applied = daemon->last_applied ? daemon->last_applied : "",
        .last_attempted = tree ? tree->revision : "",
        .atomic = tree && tree->atomic,
        .observed_at = daemon->observed_at,
        .warning = watch_warning[0] || !tree ? watch_warning : tree->warning,
    };
    const struct sl_public public_ = {
        daemon->settings->public_.host,   daemon->settings->public_.rtsp,
        daemon->settings->public_.rtmp,   daemon->settings->public_.hls,
        daemon->settings->public_.webrtc, daemon->settings->public_.srt,
    };
    struct sl_status *status = sl_status_make(desired, observed, &daemon->history, plan, &shown,
                                              files, count, &public_, daemon->status);
    status->seq = ++daemon->seq;
    status->boot_id = sl_arena_strdup(status->arena, sl_boot_id());
    status->node = sl_arena_strdup(status->arena, daemon->settings->node.name);
    status->version = SL_VERSION;
    sl_scrub_status(daemon->secrets, status);
    daemon->status = status;
    sl_web_publish(daemon->web, status);
    sl_arena_free(arena);
}

/* Asking makes an answer, an answer makes a pass: so only ask when something was done or the pace
 * changes, never because of an answer. */
static void look_at_engine(struct sl_daemon *daemon, bool fast, bool acted)
{
    if (fast != daemon->looking_fast || acted) {
        daemon->looking_fast = fast;
        sl_engine_look(daemon->engine, fast);
    }
}

void sl_daemon_pass(struct sl_daemon *daemon)
{
    struct sl_arena *arena = sl_arena_new();
    struct sl_observed observed = {.now = sl_now_mono(), .wall = sl_now_wall()};
    struct sl_desired desired = {0};
    struct sl_plan plan = {0};
    int64_t wake = 0;
    daemon->look_again = false;
    sl_engine_observed(daemon->engine, &observed.engine, &observed.paths, &observed.paths_count);
    sl_fleet_observed(daemon->fleet, &observed.fleet_known, &observed.host_up, &observed.host_error,
                      &observed.encoders, &observed.encoders_count);
    sl_machine_observed(daemon->machine, observed.now, &observed.machine);
    daemon->engine_seen |= observed.engine.reachable;
    remember_publish_url(daemon, &observed);
    build_desired(daemon, arena, &observed.engine, observed.now, observed.wall, &wake, &desired);
    sl_scrub_observed(daemon->secrets, &observed);
    sl_history_observe(&daemon->history, &desired, &observed, &daemon->jitter);
    sl_plan_make(arena, &desired, &observed, &daemon->history, &plan);
    log_held(daemon, &plan);

    /* Saved before it is done: what was acted upon is always known after a crash. */
    struct sl_err err;
    if (save(daemon, &plan, &err) < 0) {
        sl_log(SL_LOG_ERROR, "state cannot be saved, going on without", "error", err.text, NULL);
    }
    const char *publish_url = observed.engine.rtsp_publish_url;
    struct sl_publisher publisher = {publish_url, sl_engine_user(daemon->engine),
                                     sl_engine_password(daemon->engine)};
    sl_fleet_apply(daemon->fleet, plan.actions, plan.actions_count, &publisher);
    for (size_t i = 0; i < plan.kicks_count; i++) {
        sl_engine_kick(daemon->engine, &plan.kicks[i]);
    }
    if (desired.valid && !plan.engine_wait) {
        sl_engine_want_users(daemon->engine, plan.users, plan.users_count);
        sl_engine_want(daemon->engine, plan.paths, plan.paths_count, plan.removed,
                       plan.removed_count);
    }
    bool progressing =
        plan.changes_count > 0 || plan.engine_dirty || plan.engine_wait || plan.actions_count > 0;
    if (desired.valid && !progressing && daemon->intake &&
        !sl_streq(daemon->last_applied, daemon->intake->tree->revision)) {
        free(daemon->last_applied);
        daemon->last_applied = sl_strdup(daemon->intake->tree->revision);
        sl_log(SL_LOG_INFO, "converged", "revision", daemon->last_applied, NULL);
    }
    publish(daemon, &desired, &observed, &plan);
    look_at_engine(daemon, progressing || sl_web_watched(daemon->web), plan.actions_count > 0);
    sl_web_beat(daemon->web, observed.now);
    sl_web_ready(daemon->web, desired.valid && daemon->engine_seen);
    forget_gone(daemon, &plan);
    if (!daemon->started && desired.valid) {
        daemon->started = true;
        sd_notify(0, "READY=1");
    }
    if (plan.wake > 0 && (wake == 0 || plan.wake < wake)) {
        wake = plan.wake;
    }
    sl_arena_free(arena);
    daemon->pass_end = sl_now_mono();
    daemon->pass_ms = daemon->pass_end - observed.now;
    if (daemon->look_again) { /* learnt during the pass itself */
        sl_daemon_look(daemon);
    } else if (wake > 0) {
        sl_timer_at(daemon->pass_timer, wake > observed.now ? wake : observed.now + 1);
    }
}
