/* SPDX-License-Identifier: GPL-2.0-or-later
 * Judges every stream once a pass and copies all that is shown into one arena. Layer: core.
 */
#include "reconcile/core/status.h"
#include "reconcile/core/carry.h"
#include "reconcile/core/judge.h"
#include "schemas/field.h"

const char *sl_sync_name(enum sl_sync sync)
{
    static const char *const names[SL_SYNC_COUNT] = {"Synced", "OutOfSync", "Unknown"};

    return sync < SL_SYNC_COUNT ? names[sync] : "?";
}

const char *sl_health_name(enum sl_health health)
{
    static const char *const names[SL_HEALTH_COUNT] = {"Healthy",   "Progressing", "Degraded",
                                                       "Suspended", "Missing",     "Unknown"};

    return health < SL_HEALTH_COUNT ? names[health] : "?";
}

const char *sl_cond_name(enum sl_cond_type type)
{
    static const char *const names[SL_COND_COUNT] = {"Accepted", "Resolved", "Placed", "Programmed",
                                                     "Healthy",  "Ready",    "Stalled"};

    return type < SL_COND_COUNT ? names[type] : "?";
}

/* ---- deep copies ---- */

static const struct sl_accepted *copy_accepted(struct sl_arena *arena,
                                               const struct sl_accepted *from,
                                               const struct sl_stream_spec *spec)
{
    struct sl_accepted *to = sl_arena_alloc(arena, sizeof(*to));
    struct sl_object *object = sl_arena_alloc(arena, sizeof(*object));

    *to = *from;
    to->name = sl_arena_strdup(arena, from->name);
    to->file = sl_arena_strdup(arena, from->file);
    to->hash = sl_arena_strdup(arena, from->hash);
    to->object = object;
    object->kind = from->kind;
    object->api_version = sl_arena_strdup(arena, "sluice/v1");
    object->metadata.name = sl_arena_strdup(arena, from->name);
    object->stream = sl_arena_alloc(arena, sizeof(*spec));
    if (spec)
        *object->stream = *spec;
    if (from->object && from->object->metadata.labels_count) {
        const struct sl_metadata *meta = &from->object->metadata;

        object->metadata.labels_count = meta->labels_count;
        object->metadata.labels = sl_arena_alloc(arena, meta->labels_count * sizeof(*meta->labels));
        for (unsigned i = 0; i < meta->labels_count; i++) {
            object->metadata.labels[i].key = sl_arena_strdup(arena, meta->labels[i].key);
            object->metadata.labels[i].value = sl_arena_strdup(arena, meta->labels[i].value);
        }
    }
    return to;
}

static struct sl_seen_path *copy_observed(struct sl_arena *arena, const struct sl_observed *from,
                                          struct sl_observed *to)
{
    struct sl_seen_encoder *encoders =
        sl_arena_alloc(arena, (from->encoders_count + 1) * sizeof(*encoders));
    struct sl_seen_path *paths = sl_arena_alloc(arena, (from->paths_count + 1) * sizeof(*paths));

    *to = *from;
    if (from->encoders_count)
        memcpy(encoders, from->encoders, from->encoders_count * sizeof(*encoders));
    if (from->paths_count)
        memcpy(paths, from->paths, from->paths_count * sizeof(*paths));
    to->encoders = encoders;
    to->paths = paths;
    to->host_error = sl_arena_strdup(arena, from->host_error);
    to->engine.rejected_path = sl_arena_strdup(arena, from->engine.rejected_path);
    to->engine.rejected_text = sl_arena_strdup(arena, from->engine.rejected_text);
    return paths;
}

static const char **copy_names(struct sl_arena *arena, const char *const *from, size_t count)
{
    const char **to = sl_arena_alloc(arena, (count + 1) * sizeof(*to));

    for (size_t i = 0; i < count; i++)
        to[i] = sl_arena_strdup(arena, from[i]);
    return to;
}

/* Actions keep their texts, not their pointers into the pass. */
static void copy_plan(struct sl_arena *arena, const struct sl_plan *from, struct sl_plan *to)
{
    *to = *from;
    to->changes = sl_arena_alloc(arena, (from->changes_count + 1) * sizeof(*to->changes));
    for (size_t i = 0; i < from->changes_count; i++) {
        to->changes[i] = from->changes[i];
        to->changes[i].stream = sl_arena_strdup(arena, from->changes[i].stream);
        to->changes[i].reason = sl_arena_strdup(arena, from->changes[i].reason);
    }
    to->actions = sl_arena_alloc(arena, (from->actions_count + 1) * sizeof(*to->actions));
    for (size_t i = 0; i < from->actions_count; i++) {
        to->actions[i] = from->actions[i];
        to->actions[i].stream = sl_arena_strdup(arena, from->actions[i].stream);
        to->actions[i].uid = sl_arena_strdup(arena, from->actions[i].uid);
        to->actions[i].reason = sl_arena_strdup(arena, from->actions[i].reason);
        to->actions[i].desired = NULL;
    }
    to->paths = sl_arena_alloc(arena, (from->paths_count + 1) * sizeof(*to->paths));
    if (from->paths_count)
        memcpy(to->paths, from->paths, from->paths_count * sizeof(*to->paths));
    to->users = NULL;
    to->users_count = 0; /* passwords */
    to->kicks = sl_arena_alloc(arena, (from->kicks_count + 1) * sizeof(*to->kicks));
    for (size_t i = 0; i < from->kicks_count; i++)
        to->kicks[i] = (struct sl_kick){sl_arena_strdup(arena, from->kicks[i].path),
                                        sl_arena_strdup(arena, from->kicks[i].type),
                                        sl_arena_strdup(arena, from->kicks[i].id),
                                        sl_arena_strdup(arena, from->kicks[i].reason)};
    to->deletions = copy_names(arena, from->deletions, from->deletions_count);
    to->removed = copy_names(arena, from->removed, from->removed_count);
    to->gone = copy_names(arena, from->gone, from->gone_count);
}

static void copy_diags(struct sl_arena *arena, const struct sl_status_file *from,
                       struct sl_status_file *to)
{
    struct sl_diag *diags = sl_arena_alloc(arena, (from->diags_count + 1) * sizeof(*diags));

    for (size_t i = 0; i < from->diags_count; i++) {
        diags[i] = from->diags[i];
        diags[i].code = sl_arena_strdup(arena, diags[i].code);
        diags[i].place.file = sl_arena_strdup(arena, diags[i].place.file);
        diags[i].other.file = sl_arena_strdup(arena, diags[i].other.file);
        diags[i].path = sl_arena_strdup(arena, diags[i].path);
        diags[i].message = sl_arena_strdup(arena, diags[i].message);
        diags[i].hint = sl_arena_strdup(arena, diags[i].hint);
        diags[i].excerpt = sl_arena_strdup(arena, diags[i].excerpt);
    }
    *to = *from;
    to->path = sl_arena_strdup(arena, from->path);
    to->objects = copy_names(arena, from->objects, from->objects_count);
    to->diags = diags;
}

static void copy_source(struct sl_arena *arena, const struct sl_status_source *from,
                        struct sl_status_source *to)
{
    *to = *from;
    to->path = sl_arena_strdup(arena, from->path);
    to->revision = sl_arena_strdup(arena, from->revision);
    to->ref = sl_arena_strdup(arena, from->ref);
    to->how = sl_arena_strdup(arena, from->how);
    to->snapshot = sl_arena_strdup(arena, from->snapshot);
    to->last_applied = sl_arena_strdup(arena, from->last_applied);
    to->last_attempted = sl_arena_strdup(arena, from->last_attempted);
    to->warning = sl_arena_strdup(arena, from->warning);
}

/* That it is there, not what it is. */
static struct sl_secret_seen copy_secret(struct sl_arena *arena, const struct sl_secret_seen *from)
{
    return (struct sl_secret_seen){sl_arena_strdup(arena, from->name), from->value ? "" : NULL,
                                   sl_arena_strdup(arena, from->digest),
                                   sl_arena_strdup(arena, from->why)};
}

static const struct sl_desired_stream *copy_desired(struct sl_arena *arena,
                                                    const struct sl_desired *desired)
{
    struct sl_desired_stream *to = sl_arena_alloc(arena, (desired->count + 1) * sizeof(*to));

    for (size_t i = 0; i < desired->count; i++) {
        const char *lack = sl_secret_lack(&desired->streams[i]);

        to[i] = desired->streams[i];
        to[i].spec = sl_table_copy(&sl_table_stream_spec, to[i].spec, arena);
        to[i].accepted = copy_accepted(arena, to[i].accepted, to[i].spec);
        to[i].media_path = sl_arena_strdup(arena, to[i].media_path);
        to[i].password = copy_secret(arena, &desired->streams[i].password);
        to[i].passphrase = copy_secret(arena, &desired->streams[i].passphrase);
        to[i].stream_id = copy_secret(arena, &desired->streams[i].stream_id);
        if (lack && !sl_secret_lack(&to[i])) { /* too long, which a copy does not show */
            to[i].password.value = NULL;
            to[i].password.why = lack;
        }
    }
    return to;
}

static const struct sl_past *copy_past(struct sl_arena *arena, struct sl_history *history,
                                       const char *name)
{
    const struct sl_past *from = sl_history_find(history, name);
    struct sl_past *to;

    if (!from)
        return NULL;
    to = sl_arena_alloc(arena, sizeof(*to));
    *to = *from;
    return to;
}

/* ---- the whole ---- */

static int by_name(const void *a, const void *b)
{
    const struct sl_status_stream *x = a, *y = b;

    return strcmp(x->name, y->name);
}

static const struct sl_status_stream *find(const struct sl_status_stream *streams, size_t count,
                                           const char *name)
{
    struct sl_status_stream key = {.name = name};

    return count ? bsearch(&key, streams, count, sizeof(key), by_name) : NULL;
}

static void add_orphans(struct sl_status *status, struct sl_history *history)
{
    const struct sl_observed *observed = &status->observed;
    size_t known = status->streams_count;

    for (size_t i = 0; i < observed->encoders_count; i++) {
        const struct sl_seen_encoder *encoder = &observed->encoders[i];
        struct sl_status_stream *stream = &status->streams[status->streams_count];
        bool shown = false;

        if (!encoder->alive || find(status->streams, known, encoder->record.name))
            continue;
        for (size_t j = known; j < status->streams_count && !shown; j++)
            shown = strcmp(status->streams[j].name, encoder->record.name) == 0;
        if (shown)
            continue;
        stream->name = encoder->record.name;
        stream->encoder = encoder;
        stream->path = sl_observed_path(observed, stream->name);
        stream->past = copy_past(status->arena, history, stream->name);
        status->streams_count++;
    }
    qsort(status->streams, status->streams_count, sizeof(*status->streams), by_name);
}

static const struct sl_seen_path *ingest_of(const struct sl_observed *observed, const char *name)
{
    char path[256];

    snprintf(path, sizeof(path), "%.200s/ingest", name);
    return sl_observed_path(observed, path);
}

/* Sources were compared; from now on nobody needs their credentials. */
static void cut_source(struct sl_path_conf *conf)
{
    char text[sizeof(conf->source)];

    if (strcmp(conf->source, "publisher") == 0)
        return;
    sl_credentials_cut(conf->source, text, sizeof(text));
    memset(conf->source, 0, sizeof(conf->source));
    snprintf(conf->source, sizeof(conf->source), "%s", text);
}

static void cut_sources(struct sl_status *status, struct sl_seen_path *paths)
{
    for (size_t i = 0; i < status->plan.paths_count; i++)
        cut_source(&status->plan.paths[i]);
    for (size_t i = 0; i < status->observed.paths_count; i++) {
        char text[sizeof(paths[i].source_error)];

        cut_source(&paths[i].conf);
        sl_credentials_cut(paths[i].source_error, text, sizeof(text));
        memcpy(paths[i].source_error, text, sizeof(text));
    }
}

static void transitions(struct sl_status *status, const struct sl_status *previous)
{
    for (size_t i = 0; i < status->streams_count; i++) {
        struct sl_status_stream *now = &status->streams[i];
        const struct sl_status_stream *before =
            previous ? find(previous->streams, previous->streams_count, now->name) : NULL;

        for (int type = 0; type < SL_COND_COUNT; type++)
            now->cond[type].since = before && before->cond[type].status == now->cond[type].status
                                        ? before->cond[type].since
                                        : status->wall;
    }
}

static void sum_up(struct sl_status *status)
{
    for (size_t i = 0; i < status->streams_count; i++) {
        const struct sl_status_stream *stream = &status->streams[i];

        status->sum.ready += stream->cond[SL_COND_READY].status == SL_TRUE;
        status->sum.settled += stream->settled;
        status->sum.degraded += stream->health == SL_DEGRADED || stream->health == SL_MISSING;
        if (stream->path) {
            status->sum.readers += stream->path->readers;
            status->sum.bitrate += stream->path->bitrate_in;
        }
    }
    for (size_t i = 0; i < status->files_count; i++)
        status->sum.rejected_files += !status->files[i].valid;
    for (size_t i = 0; i < status->plan.changes_count; i++)
        status->sum.held_deletes += status->plan.changes[i].change == SL_CHANGE_HELD;
}

struct sl_status *sl_status_make(const struct sl_desired *desired,
                                 const struct sl_observed *observed, struct sl_history *history,
                                 const struct sl_plan *plan, const struct sl_status_source *source,
                                 const struct sl_status_file *files, size_t files_count,
                                 const struct sl_public *public_, const struct sl_status *previous)
{
    struct sl_arena *arena = sl_arena_new();
    struct sl_status *status = sl_arena_alloc(arena, sizeof(*status));
    const struct sl_desired_stream *streams = copy_desired(arena, desired);
    struct sl_status_file *copies = sl_arena_alloc(arena, (files_count + 1) * sizeof(*copies));
    struct sl_seen_path *paths;
    struct sl_index index;

    status->arena = arena;
    status->seq = previous ? previous->seq + 1 : 1;
    status->wall = observed->wall;
    paths = copy_observed(arena, observed, &status->observed);
    copy_plan(arena, plan, &status->plan);
    if (source)
        copy_source(arena, source, &status->source);
    for (size_t i = 0; i < files_count; i++)
        copy_diags(arena, &files[i], &copies[i]);
    status->files = copies;
    status->files_count = files_count;
    status->streams = sl_arena_alloc(arena, (desired->count + observed->encoders_count + 1) *
                                                sizeof(*status->streams));
    for (size_t i = 0; i < desired->count; i++) {
        struct sl_status_stream *stream = &status->streams[status->streams_count++];

        stream->desired = &streams[i];
        stream->name = streams[i].accepted->name;
        stream->path = sl_observed_path(&status->observed, stream->name);
        stream->past = copy_past(arena, history, stream->name);
        if (streams[i].carrier == SL_CARRIER_INGEST)
            stream->ingest = ingest_of(&status->observed, stream->name);
    }
    add_orphans(status, history);
    sl_index_make(status, public_, &index);
    for (size_t i = 0; i < status->streams_count; i++)
        sl_judge(status, &index, &status->streams[i]);
    cut_sources(status, paths);
    transitions(status, previous);
    sum_up(status);
    return status;
}

void sl_status_free(struct sl_status *status)
{
    if (status)
        sl_arena_free(status->arena);
}
