/* SPDX-License-Identifier: GPL-2.0-or-later
 * Conditions, health and sync of a stream in the words of the contract. Layer: core.
 */
#include "reconcile/core/judge.h"
#include "reconcile/core/carry.h"
#include "reconcile/core/lifecycle.h"

static void set(struct sl_view *view, enum sl_cond_type type, enum sl_tri status,
                const char *reason, const char *message)
{
    struct sl_condition *cond = &view->stream->cond[type];

    cond->status = status;
    cond->reason = reason;
    cond->message = message ? message : "";
}

void sl_judge_set(struct sl_view *view, enum sl_cond_type type, enum sl_tri status,
                  const char *reason, const char *message)
{
    set(view, type, status, reason, message);
}

static int rank(const struct sl_seen_encoder *encoder)
{
    static const int ranks[SL_ENC_STATE_COUNT] = {
        [SL_ENC_STARTING] = 1, [SL_ENC_HELD] = 2,   [SL_ENC_CONNECTING] = 3,
        [SL_ENC_LIVE] = 5,     [SL_ENC_SILENT] = 4, [SL_ENC_ENDED] = 0,
    };

    return encoder->record.state < SL_ENC_STATE_COUNT ? ranks[encoder->record.state] : 0;
}

/* ---- what is there of it ---- */

static int by_encoder(const void *a, const void *b)
{
    const struct sl_seen_encoder *const *x = a, *const *y = b;
    int order = strcmp((*x)->record.name, (*y)->record.name);

    return order ? order : strcmp((*x)->record.uid, (*y)->record.uid);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

void sl_index_make(const struct sl_status *status, const struct sl_public *public_,
                   struct sl_index *ret)
{
    const struct sl_observed *observed = &status->observed;
    size_t encoders = observed->encoders_count, changed = status->plan.changes_count;

    ret->encoders = sl_arena_alloc(status->arena, (encoders + 1) * sizeof(*ret->encoders));
    ret->changed = sl_arena_alloc(status->arena, (changed + 1) * sizeof(*ret->changed));
    for (size_t i = 0; i < encoders; i++)
        ret->encoders[i] = &observed->encoders[i];
    for (size_t i = 0; i < changed; i++)
        ret->changed[i] = status->plan.changes[i].stream;
    qsort(ret->encoders, encoders, sizeof(*ret->encoders), by_encoder);
    qsort(ret->changed, changed, sizeof(*ret->changed), by_text);
    ret->encoders_count = encoders;
    ret->changed_count = changed;
    ret->public_ = public_;
}

static size_t first_encoder(const struct sl_index *index, const char *name)
{
    size_t low = 0, high = index->encoders_count;

    while (low < high) {
        size_t mid = (low + high) / 2;

        if (strcmp(index->encoders[mid]->record.name, name) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static void look(struct sl_view *view)
{
    const struct sl_index *index = view->index;
    const struct sl_status_stream *stream = view->stream;
    const struct sl_seen_encoder *dead = NULL;

    view->carried = stream->desired && sl_encoderless(stream->desired);
    for (size_t i = first_encoder(index, stream->name); i < index->encoders_count; i++) {
        const struct sl_seen_encoder *encoder = index->encoders[i];
        const struct sl_seen_encoder **place = &view->old;

        if (strcmp(encoder->record.name, stream->name) != 0)
            break;
        if (!encoder->alive) {
            if (!view->carried && (!dead || encoder->record.since > dead->record.since))
                dead = encoder;
            continue;
        }
        view->any = true;
        if (encoder->newer_layout)
            place = &view->foreign;
        else if (stream->desired && !view->carried && !encoder->stop_asked &&
                 strcmp(encoder->record.spec_hash, stream->desired->enc_hash) == 0)
            place = &view->now;
        if (!*place || rank(encoder) > rank(*place))
            *place = encoder;
    }
    view->finished = stream->desired && stream->past && !view->any &&
                     strcmp(stream->past->finished_hash, stream->desired->enc_hash) == 0;
    view->any |= view->carried && stream->path && stream->path->available;
    if (view->now && (rank(view->now) >= 3 || !view->old))
        view->stream->encoder = view->now;
    else if (view->old)
        view->stream->encoder = view->old;
    else
        view->stream->encoder = view->foreign ? view->foreign : dead;
}

/* ---- conditions ---- */

/* Not YAML, a part of YAML that is refused, not UTF-8: nothing could be read of it. */
static bool not_yaml(const char *code)
{
    return strcmp(code, "E101") == 0 || strcmp(code, "E110") == 0 || strcmp(code, "E114") == 0;
}

static void accepted(struct sl_view *view)
{
    const struct sl_accepted *object = view->stream->desired->accepted;
    const struct sl_status *status = view->status;

    set(view, SL_COND_ACCEPTED, SL_TRUE, "Accepted", NULL);
    if (!object->file_broken)
        return;
    set(view, SL_COND_ACCEPTED, SL_FALSE, "SchemaError",
        "its file has errors; the last good version runs");
    for (size_t i = 0; i < status->files_count; i++) {
        const struct sl_status_file *file = &status->files[i];

        if (!sl_streq(file->path, object->file))
            continue;
        for (size_t j = 0; j < file->diags_count; j++) {
            const struct sl_diag *diag = &file->diags[j];
            const char *reason = diag->code;

            if (diag->severity != SL_DIAG_ERROR)
                continue;
            if (reason[0] == 'E' && reason[1] >= '0' && reason[1] <= '9')
                reason = not_yaml(reason) ? "ParseError" : "SchemaError";
            set(view, SL_COND_ACCEPTED, SL_FALSE, reason,
                sl_arena_printf(status->arena, "%s:%d:%d: %s; the last good version runs",
                                diag->place.file ? diag->place.file : file->path, diag->place.line,
                                diag->place.column, diag->message));
            return;
        }
    }
}

static void resolved(struct sl_view *view)
{
    const struct sl_desired_stream *desired = view->stream->desired;
    const struct sl_observed *observed = &view->status->observed;
    const struct sl_src_file *file = desired->spec->source.file;
    const char *lack = sl_secret_lack(desired);

    if (lack)
        set(view, SL_COND_RESOLVED, SL_FALSE, "SecretMissing",
            sl_arena_strdup(view->status->arena, lack));
    else if (file && !desired->media.exists)
        set(view, SL_COND_RESOLVED, SL_FALSE, "FileMissing",
            sl_arena_printf(view->status->arena, "%s is not there (yet)",
                            desired->media_path ? desired->media_path : file->path));
    else if (file && !desired->media.complete)
        set(view, SL_COND_RESOLVED, SL_FALSE, "FileMissing",
            sl_arena_printf(view->status->arena, "%s is still being written",
                            desired->media_path ? desired->media_path : file->path));
    else if (observed->fleet_known && !observed->host_up && desired->run && !view->now &&
             !view->finished && !view->carried)
        set(view, SL_COND_RESOLVED, SL_FALSE, "NoEncoder",
            sl_arena_printf(view->status->arena, "the encoder host does not answer%s%s",
                            observed->host_error ? ": " : "",
                            observed->host_error ? observed->host_error : ""));
    else
        set(view, SL_COND_RESOLVED, SL_TRUE, "Resolved", NULL);
}

static const struct sl_path_conf *wanted_path(const struct sl_status *status, const char *name)
{
    size_t low = 0, high = status->plan.paths_count;

    while (low < high) {
        size_t mid = (low + high) / 2;
        int order = strcmp(status->plan.paths[mid].name, name);

        if (order == 0)
            return &status->plan.paths[mid];
        if (order < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}

/* What keeps one path from being as it should, or NULL. */
static const char *path_lacks(struct sl_view *view, const char *name,
                              const struct sl_seen_path *path, const char **ret_message)
{
    const struct sl_path_conf *want = wanted_path(view->status, name);
    bool configured = path && path->configured;

    if (sl_streq(view->status->observed.engine.rejected_path, name)) {
        *ret_message = view->status->observed.engine.rejected_text;
        return "PathRejected";
    }
    *ret_message = "its path is being written";
    if (!want) {
        *ret_message = configured      ? "its path is being removed"
                       : view->carried ? "its path comes once all is there that it needs"
                                       : "the path comes once an encoder has told its tracks";
        return "AwaitingReadback";
    }
    if (configured && sl_path_conf_equal(want, &path->conf))
        return NULL;
    if (configured && !view->status->observed.engine.writing) {
        *ret_message = "MediaMTX has other values for its path";
        return "Drifted";
    }
    return "AwaitingReadback";
}

static void programmed(struct sl_view *view)
{
    const struct sl_seen_engine *engine = &view->status->observed.engine;
    const struct sl_status_stream *stream = view->stream;
    bool ingest = stream->desired->run && stream->desired->carrier == SL_CARRIER_INGEST;
    bool awaited =
        !wanted_path(view->status, stream->name) && !(stream->path && stream->path->configured);
    const char *reason = NULL, *message = NULL;

    if (!engine->reachable) {
        set(view, SL_COND_PROGRAMMED, SL_UNKNOWN, "EngineUnreachable",
            engine->error[0] ? sl_arena_strdup(view->status->arena, engine->error)
                             : "MediaMTX does not answer");
        return;
    }
    if (engine->configs_known && ingest)
        reason = path_lacks(view, sl_arena_printf(view->status->arena, "%s/ingest", stream->name),
                            stream->ingest, &message);
    if (!reason && (engine->configs_known || sl_streq(engine->rejected_path, stream->name))) {
        reason = path_lacks(view, stream->name, stream->path, &message);
        awaited &= reason && strcmp(reason, "AwaitingReadback") == 0;
    } else {
        awaited = false;
    }
    if (reason)
        set(view, SL_COND_PROGRAMMED, awaited ? SL_UNKNOWN : SL_FALSE, reason, message);
    else if (!engine->configs_known)
        set(view, SL_COND_PROGRAMMED, SL_UNKNOWN, "AwaitingReadback",
            "MediaMTX's configuration was not read yet");
    else
        set(view, SL_COND_PROGRAMMED, SL_TRUE, "Programmed", NULL);
}

static const char *failure_text(struct sl_view *view)
{
    const struct sl_past *past = view->stream->past;

    return sl_arena_printf(view->status->arena, "%s: %s", past->last_reason, past->last_message);
}

/* It did not say why it ended. */
static bool crashed(const char *reason)
{
    static const char *const words[] = {"", "EncoderDied", "EncoderStuck", "StartFailed",
                                        "StartRefused"};

    for (size_t i = 0; i < SL_COUNT(words); i++)
        if (strcmp(words[i], reason) == 0)
            return true;
    return false;
}

static void healthy_by(struct sl_view *view, const struct sl_seen_encoder *encoder)
{
    const struct sl_record *r = &encoder->record;
    int64_t now = view->status->observed.now;

    switch (sl_look_at(encoder, now)) {
    case SL_LOOK_LIVE:
        if (encoder->stats_known && encoder->packets_moved > 0 &&
            now - encoder->packets_moved >= SL_SILENT_AFTER)
            set(view, SL_COND_HEALTHY, SL_FALSE, "NoFrames", "no packet was published for 10 s");
        else
            set(view, SL_COND_HEALTHY, SL_TRUE, "Healthy", NULL);
        break;
    case SL_LOOK_SILENT:
        set(view, SL_COND_HEALTHY, SL_FALSE, r->reason[0] ? r->reason : "NoFrames", r->message);
        break;
    case SL_LOOK_STUCK:
        set(view, SL_COND_HEALTHY, SL_FALSE, "EncoderStuck", "it makes no progress");
        break;
    case SL_LOOK_STARTING:
    case SL_LOOK_HELD:
    case SL_LOOK_CONNECTING:
        set(view, SL_COND_HEALTHY, SL_FALSE, r->reason[0] ? r->reason : "Starting", r->message);
        break;
    case SL_LOOK_STOPPING:
    case SL_LOOK_DEAD:
        set(view, SL_COND_HEALTHY, SL_FALSE, r->reason[0] ? r->reason : "Starting",
            "its encoder is ending");
        break;
    case SL_LOOK_FOREIGN:
    case SL_LOOK_COUNT:
        set(view, SL_COND_HEALTHY, SL_UNKNOWN, "Orphaned",
            "an encoder of a newer Sluice carries it; it is left alone");
        break;
    }
}

static void healthy(struct sl_view *view)
{
    const struct sl_past *past = view->stream->past;
    bool failing = past && past->failures > 0;

    if (!view->status->observed.fleet_known)
        set(view, SL_COND_HEALTHY, SL_UNKNOWN, "Starting", "the encoders were not looked at yet");
    else if (view->carried && !view->old && !view->foreign)
        sl_judge_carried(view);
    else if (view->stream->desired->carrier == SL_CARRIER_INGEST && sl_judge_ingest(view))
        return;
    else if (view->now && (!view->old || rank(view->now) >= 3))
        healthy_by(view, view->now);
    else if (view->old && failing && !view->carried)
        set(view, SL_COND_HEALTHY, SL_FALSE, "UpdateFailed",
            sl_arena_printf(view->status->arena, "the one before goes on; %s", failure_text(view)));
    else if (view->old)
        healthy_by(view, view->old);
    else if (view->foreign)
        healthy_by(view, view->foreign);
    else if (view->finished)
        set(view, SL_COND_HEALTHY, SL_FALSE, "EndOfFile", "the file is at its end (loop: false)");
    else if (failing && crashed(past->last_reason))
        set(view, SL_COND_HEALTHY, SL_FALSE, "CrashLoopBackOff", failure_text(view));
    else if (failing) /* it said why it cannot: NotMedia, CodecNotCarried, Encrypted … */
        set(view, SL_COND_HEALTHY, SL_FALSE,
            sl_arena_strdup(view->status->arena, past->last_reason), past->last_message);
    else if (past && past->forgiven && !crashed(past->last_reason))
        set(view, SL_COND_HEALTHY, SL_FALSE,
            sl_arena_strdup(view->status->arena, past->last_reason), past->last_message);
    else
        set(view, SL_COND_HEALTHY, SL_FALSE, "Starting",
            past && past->forgiven ? failure_text(view) : NULL);
}

static void ready(struct sl_view *view)
{
    static const enum sl_cond_type order[] = {SL_COND_PLACED, SL_COND_RESOLVED, SL_COND_HEALTHY,
                                              SL_COND_PROGRAMMED};
    const struct sl_condition *cond = view->stream->cond;

    if (cond[SL_COND_PLACED].status == SL_TRUE && cond[SL_COND_PROGRAMMED].status == SL_UNKNOWN &&
        !view->status->observed.engine.reachable) {
        set(view, SL_COND_READY, SL_UNKNOWN, cond[SL_COND_PROGRAMMED].reason,
            cond[SL_COND_PROGRAMMED].message);
        return;
    }
    for (size_t i = 0; i < SL_COUNT(order); i++)
        if (cond[order[i]].status != SL_TRUE) {
            set(view, SL_COND_READY, cond[order[i]].status, cond[order[i]].reason,
                cond[order[i]].message);
            return;
        }
    if (view->carried ? view->old || view->foreign : !view->now || rank(view->now) < 3)
        set(view, SL_COND_READY, SL_FALSE, "Starting",
            view->carried ? "the encoder of the version before ends first"
                          : "the new version is starting, the one before goes on");
    else
        set(view, SL_COND_READY, SL_TRUE, "Flowing", NULL);
}

/* ---- sync and health ---- */

/* All is as wanted, only nobody publishes. */
static bool awaits(const struct sl_view *view)
{
    const struct sl_condition *cond = view->stream->cond;

    return cond[SL_COND_RESOLVED].status == SL_TRUE && cond[SL_COND_HEALTHY].status == SL_FALSE &&
           strcmp(cond[SL_COND_HEALTHY].reason, "AwaitingPublisher") == 0;
}

static enum sl_sync sync_of(const struct sl_view *view)
{
    const struct sl_status *status = view->status;
    const struct sl_observed *observed = &status->observed;

    if (!observed->fleet_known || !observed->engine.reachable || !observed->engine.configs_known)
        return SL_SYNC_UNKNOWN;
    if (view->index->changed_count &&
        bsearch(&view->stream->name, view->index->changed, view->index->changed_count,
                sizeof(*view->index->changed), by_text))
        return SL_OUT_OF_SYNC;
    if (!view->stream->desired->run || view->finished)
        return SL_SYNCED;
    if (view->carried ? view->old != NULL : !view->now)
        return SL_OUT_OF_SYNC;
    if (view->stream->cond[SL_COND_PROGRAMMED].status != SL_TRUE && !awaits(view))
        return SL_OUT_OF_SYNC;
    return SL_SYNCED;
}

static enum sl_health health_of(const struct sl_view *view)
{
    const struct sl_condition *cond = view->stream->cond;
    const struct sl_past *past = view->stream->past;

    if (!view->status->observed.fleet_known)
        return SL_HEALTH_UNKNOWN;
    if (!view->stream->desired->run)
        return SL_SUSPENDED;
    if (cond[SL_COND_READY].status == SL_TRUE)
        return SL_HEALTHY;
    if (view->finished)
        return SL_SUSPENDED;
    if (cond[SL_COND_READY].status == SL_UNKNOWN || view->foreign)
        return SL_HEALTH_UNKNOWN;
    if (cond[SL_COND_RESOLVED].status == SL_FALSE)
        return view->any ? SL_DEGRADED : SL_MISSING;
    if (cond[SL_COND_PROGRAMMED].status == SL_FALSE &&
        sl_streq(cond[SL_COND_PROGRAMMED].reason, "PathRejected"))
        return SL_DEGRADED;
    if (past && past->failures > 0)
        return SL_DEGRADED;
    if (awaits(view))
        return SL_PROGRESSING;
    if (cond[SL_COND_HEALTHY].status == SL_FALSE && sl_source_fault(cond[SL_COND_HEALTHY].reason))
        return SL_DEGRADED;
    if (cond[SL_COND_HEALTHY].status == SL_FALSE && view->now &&
        (view->now->record.state == SL_ENC_LIVE || view->now->record.state == SL_ENC_SILENT))
        return SL_DEGRADED;
    return SL_PROGRESSING;
}

static void orphan(struct sl_view *view)
{
    bool owned = view->stream->past && view->stream->past->owned;

    for (int type = 0; type < SL_COND_COUNT; type++)
        set(view, (enum sl_cond_type)type, SL_UNKNOWN, owned ? "DeletionHeld" : "Orphaned",
            owned ? "it is in no manifest and its deletion is held or under way"
                  : "it runs, but no manifest names it and it was not made here: left alone");
    set(view, SL_COND_STALLED, SL_FALSE, "Orphaned", NULL);
    view->stream->sync = SL_SYNC_UNKNOWN;
    view->stream->health = SL_HEALTH_UNKNOWN;
}

static void attempts(struct sl_view *view)
{
    const struct sl_past *past = view->stream->past;
    const struct sl_observed *observed = &view->status->observed;

    set(view, SL_COND_STALLED, SL_FALSE, "Moving", NULL);
    if (!past)
        return;
    if (past->failures >= SL_STALLED_AT)
        set(view, SL_COND_STALLED, SL_TRUE, "CrashLoopBackOff",
            sl_arena_printf(view->status->arena, "%d failures in a row; %s", past->failures,
                            failure_text(view)));
    if (view->stream->desired->run && !view->now && past->next_attempt > observed->now)
        view->stream->next_attempt_wall = observed->wall + past->next_attempt - observed->now;
}

void sl_judge(struct sl_status *status, const struct sl_index *index,
              struct sl_status_stream *stream)
{
    struct sl_view view = {.status = status, .index = index, .stream = stream};
    static const struct sl_facts unknown;
    const struct sl_facts *facts = &unknown;

    look(&view);
    if (view.carried && !stream->encoder && stream->path && stream->path->available &&
        stream->path->tracks.count)
        facts = &stream->path->tracks;
    else if (stream->encoder && stream->encoder->record.facts.count)
        facts = &stream->encoder->record.facts;
    else if (stream->past && stream->past->facts.count)
        facts = &stream->past->facts;
    sl_judge_urls(status, stream, facts, index->public_);
    if (!stream->desired) {
        orphan(&view);
        return;
    }
    accepted(&view);
    resolved(&view);
    if (stream->desired->run)
        set(&view, SL_COND_PLACED, SL_TRUE, "Placed", NULL);
    else
        set(&view, SL_COND_PLACED, SL_FALSE, "Suspended", "spec.suspend is true");
    programmed(&view);
    if (stream->desired->run)
        healthy(&view);
    else
        set(&view, SL_COND_HEALTHY, SL_UNKNOWN, "Suspended", NULL);
    ready(&view);
    attempts(&view);
    stream->sync = sync_of(&view);
    stream->health = health_of(&view);
    stream->settled = stream->cond[SL_COND_READY].status == SL_TRUE || view.finished ||
                      (stream->desired->run && awaits(&view)) ||
                      (!stream->desired->run && status->observed.fleet_known && !view.any);
}
