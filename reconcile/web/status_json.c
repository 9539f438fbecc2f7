/* SPDX-License-Identifier: GPL-2.0-or-later
 * The status as JSON, in the shape of contract 4. Layer: web. Computes nothing but forms; holds no
 * secret: publisher's and readers' passwords are not in a status, source lines are cleaned.
 */
#include "reconcile/web/web_impl.h"

const char *const web_protocols[5] = {"rtsp", "rtmp", "hls", "webrtc", "srt"};
const char *const web_publish_protocols[SL_PUBLISH_PROTOCOL_COUNT] = {
    [SL_PUBLISH_RTMP] = "rtmp",
    [SL_PUBLISH_SRT] = "srt",
    [SL_PUBLISH_RTSP] = "rtsp",
    [SL_PUBLISH_WHIP] = "whip",
};
static const char *const carriers[SL_CARRIER_COUNT] = {
    [SL_CARRIER_ENCODER] = "encoder",
    [SL_CARRIER_PULL] = "mediamtx",
    [SL_CARRIER_PUBLISH] = "publisher",
    [SL_CARRIER_INGEST] = "publisher and encoder",
};

/* File names and paths may be in any encoding: what is not UTF-8 must not cost the whole answer. */
static json_t *text(const char *s)
{
    json_t *v = json_string(s ? s : "");
    char *copy;

    if (v)
        return v;
    copy = sl_strdup(s);
    for (char *p = copy; *p; p++) {
        if ((unsigned char)*p >= 0x80)
            *p = '?';
    }
    v = json_string(copy);
    free(copy);
    return v;
}

static json_t *text_or_null(const char *s)
{
    return s && *s ? text(s) : json_null();
}

/* A sentence from elsewhere: URLs in it lose what may be a secret. */
static json_t *message(const char *s)
{
    sl_autofree char *shown = web_message(s);

    return text(shown);
}

static json_t *message_or_null(const char *s)
{
    return s && *s ? message(s) : json_null();
}

static json_t *when(int64_t wall)
{
    char buf[32];

    return wall > 0 ? json_string(sl_time_rfc3339(wall, buf)) : json_null();
}

static json_t *number(uint64_t n)
{
    return json_integer((json_int_t)n);
}

static void put(json_t *o, const char *key, json_t *v)
{
    json_object_set_new(o, key, v);
}

static json_t *diag_json(const struct sl_diag *d)
{
    json_t *o = json_object();
    sl_autofree char *excerpt = web_excerpt(d->excerpt);

    put(o, "line", json_integer(d->place.line));
    put(o, "column", json_integer(d->place.column));
    put(o, "width", json_integer(d->width));
    put(o, "code", text(d->code));
    put(o, "path", text(d->path));
    put(o, "message", message(d->message));
    put(o, "hint", message_or_null(d->hint));
    put(o, "excerpt", text_or_null(excerpt));
    if (d->other.file) {
        json_t *other = json_object();

        put(other, "file", text(d->other.file));
        put(other, "line", json_integer(d->other.line));
        put(other, "column", json_integer(d->other.column));
        put(o, "other", other);
    }
    return o;
}

static json_t *file_json(const struct sl_status_file *f)
{
    json_t *o = json_object(), *objects = json_array();
    json_t *errors = json_array(), *warnings = json_array();

    for (size_t i = 0; i < f->objects_count; i++)
        json_array_append_new(objects, text(f->objects[i]));
    for (size_t i = 0; i < f->diags_count; i++)
        json_array_append_new(f->diags[i].severity == SL_DIAG_ERROR ? errors : warnings,
                              diag_json(&f->diags[i]));
    put(o, "path", text(f->path));
    put(o, "state", json_string(f->valid ? "Valid" : "Invalid"));
    put(o, "objects", objects);
    put(o, "errors", errors);
    put(o, "warnings", warnings);
    return o;
}

static json_t *encoder_json(const struct sl_status_stream *s)
{
    const struct sl_seen_encoder *e = s->encoder;
    const struct sl_record *r = e ? &e->record : NULL;
    const struct sl_stats_data *st = e && e->stats_known ? &e->stats : NULL;
    json_t *o = json_object();

    put(o, "uid", r ? text(r->uid) : json_null());
    put(o, "pid", r && e->alive ? json_integer(r->pid) : json_null());
    put(o, "state", r ? json_string(sl_enc_state_name(r->state)) : json_null());
    put(o, "reason", r ? text(r->reason) : json_null());
    put(o, "since", r ? when(r->since) : json_null());
    put(o, "restarts", s->past ? number(s->past->restarts) : json_integer(0));
    put(o, "nextAttemptAt", when(s->next_attempt_wall));
    put(o, "codec", r ? text_or_null(r->codec) : json_null());
    put(o, "hwaccel", r ? text_or_null(r->hwaccel) : json_null());
    put(o, "fps", json_real(st ? st->fps_milli / 1000.0 : 0));
    put(o, "speed", json_real(st ? st->speed_milli / 1000.0 : 0));
    put(o, "bitrate", json_integer(st ? st->bitrate : 0));
    put(o, "frames", number(st ? st->frames : 0));
    put(o, "dropped", number(st ? st->dropped : 0));
    put(o, "rounds", number(st ? st->rounds : 0));
    put(o, "reconnects", number(st ? st->reconnects : 0));
    put(o, "cpu", json_real(e ? e->cpu : 0));
    put(o, "memory", number(e ? e->memory : 0));
    return o;
}

static json_t *conditions_json(const struct sl_status_stream *s, uint64_t observed)
{
    static const char *const tri[] = {"False", "True", "Unknown"};
    json_t *list = json_array();

    for (int i = 0; i < SL_COND_COUNT; i++) {
        const struct sl_condition *c = &s->cond[i];
        json_t *o = json_object();

        put(o, "type", json_string(sl_cond_name((enum sl_cond_type)i)));
        put(o, "status", json_string(tri[c->status]));
        put(o, "reason", text(c->reason));
        put(o, "observedGeneration", number(observed));
        put(o, "lastTransitionTime", when(c->since));
        put(o, "message", message(c->message));
        json_array_append_new(list, o);
    }
    return list;
}

/* An alwaysAvailable path is there without a publisher: then only `online` says "live". */
bool web_path_live(const struct sl_seen_path *path)
{
    return path && (path->conf.always_available ? path->online : path->available);
}

static json_t *readers_json(const struct sl_seen_path *path)
{
    json_t *o = json_object();

    for (int i = 0; i < 5; i++)
        put(o, web_protocols[i], json_integer(path ? path->readers_by[i] : 0));
    return o;
}

static json_t *path_source_json(const struct sl_seen_path *path)
{
    json_t *o = json_object();

    put(o, "type", text_or_null(path ? path->source_type : NULL));
    put(o, "error", message_or_null(path ? path->source_error : NULL));
    return o;
}

/* What somebody publishes for our encoder to read. */
static json_t *ingest_json(const struct sl_status_stream *s)
{
    const struct sl_seen_path *path = s->ingest;
    json_t *o;

    if (!s->desired || s->desired->carrier != SL_CARRIER_INGEST)
        return json_null();
    o = json_object();
    put(o, "ready", json_boolean(web_path_live(path)));
    put(o, "inboundBytes", number(path ? path->in_bytes : 0));
    put(o, "source", path_source_json(path));
    put(o, "tracks", path && path->tracks.count ? sl_facts_to_json(&path->tracks) : json_null());
    return o;
}

static json_t *engine_path_json(const struct sl_status_stream *s)
{
    const struct sl_seen_path *path = s->path;
    json_t *o = json_object();

    put(o, "path", text(s->name));
    put(o, "configured", json_boolean(path && path->configured));
    put(o, "ready", json_boolean(web_path_live(path)));
    put(o, "readers", json_integer(path ? path->readers : 0));
    put(o, "readersBy", readers_json(path));
    put(o, "inboundBytes", number(path ? path->in_bytes : 0));
    put(o, "outboundBytes", number(path ? path->out_bytes : 0));
    put(o, "bitrate", number(path ? path->bitrate_in : 0));
    put(o, "source", path_source_json(path));
    put(o, "tracks", path && path->tracks.count ? sl_facts_to_json(&path->tracks) : json_null());
    put(o, "ingest", ingest_json(s));
    return o;
}

static const struct sl_status_stream *find(const struct sl_status *status, const char *name,
                                           size_t len)
{
    size_t low = 0, high = status->streams_count;

    while (low < high) {
        size_t mid = (low + high) / 2;
        const char *have = status->streams[mid].name;
        int order = strncmp(have, name, len);

        if (order == 0 && !have[len])
            return &status->streams[mid];
        if (order < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}

bool web_foreign(const struct sl_status *status, const struct sl_seen_path *path)
{
    static const char ingest[] = "/ingest";
    size_t len = strlen(path->name), tail = sizeof(ingest) - 1;
    const struct sl_status_stream *s = find(status, path->name, len);

    if (!s && len > tail && strcmp(path->name + len - tail, ingest) == 0) {
        s = find(status, path->name, len - tail);
        if (s && (!s->desired || s->desired->carrier != SL_CARRIER_INGEST))
            s = NULL;
    }
    return !s && (path->configured || path->listed);
}

/* What MediaMTX has and no manifest names: shown, never touched. */
static json_t *foreign_json(const struct sl_status *status)
{
    json_t *list = json_array();

    for (size_t i = 0; i < status->observed.paths_count; i++) {
        const struct sl_seen_path *path = &status->observed.paths[i];
        json_t *o;

        if (!web_foreign(status, path))
            continue;
        o = json_object();
        put(o, "path", text(path->name));
        put(o, "configured", json_boolean(path->configured));
        put(o, "ready", json_boolean(web_path_live(path)));
        put(o, "readers", json_integer(path->readers));
        put(o, "readersBy", readers_json(path));
        put(o, "source", path_source_json(path));
        json_array_append_new(list, o);
    }
    return list;
}

const char *web_source_kind(const struct sl_status_stream *s)
{
    const struct sl_source *source =
        s->desired && s->desired->spec ? &s->desired->spec->source : NULL;

    return !s->desired       ? "orphan"
           : !source         ? "unknown"
           : source->file    ? "file"
           : source->test    ? "test"
           : source->rtsp    ? "rtsp"
           : source->pull    ? "pull"
           : source->publish ? "publish"
                             : "unknown";
}

static json_t *stream_source_json(const struct sl_status_stream *s)
{
    const struct sl_desired_stream *d = s->desired;
    const struct sl_source *source = d && d->spec ? &d->spec->source : NULL;
    json_t *o = json_object();

    put(o, "kind", json_string(web_source_kind(s)));
    if (!source)
        return o;
    put(o, "carrier",
        json_string((unsigned)d->carrier < SL_CARRIER_COUNT ? carriers[d->carrier] : "unknown"));
    if (source->file)
        put(o, "path", text(source->file->path));
    if (source->rtsp)
        put(o, "url", message(source->rtsp->url));
    if (source->pull)
        put(o, "url", message(source->pull->url));
    return o;
}

/* Where publishers go. KEY stands for the password in `streamKey`; whoever made the secret knows
 * it, nobody learns it here. */
static json_t *publish_json(const struct sl_status_stream *s)
{
    const struct sl_src_publish *publish =
        s->desired && s->desired->spec ? s->desired->spec->source.publish : NULL;
    json_t *o;

    if (!publish)
        return json_null();
    o = json_object();
    for (int i = 0; i < SL_PUBLISH_PROTOCOL_COUNT; i++) {
        sl_autofree char *key = NULL;
        sl_autofree char *server = web_publish_server(s, (enum sl_publish_protocol)i, &key);
        json_t *one;

        if (!server) {
            put(o, web_publish_protocols[i], json_null());
            continue;
        }
        one = json_object();
        put(one, "url", text(s->publish[i].url));
        put(one, "server", text(server));
        put(one, "streamKey", text_or_null(key));
        put(one, "user", text_or_null(publish->username));
        put(o, web_publish_protocols[i], one);
    }
    return o;
}

json_t *web_stream_json(const struct sl_status *status, const struct sl_status_stream *s)
{
    const struct sl_desired_stream *d = s->desired;
    const struct sl_accepted *a = d ? d->accepted : NULL;
    const struct sl_metadata *m = a && a->object ? &a->object->metadata : NULL;
    uint64_t observed = s->past ? s->past->generation : 0;
    json_t *o = json_object(), *labels = json_object(), *urls = json_object();
    json_t *recording = json_object();

    (void)status;
    for (unsigned i = 0; m && i < m->labels_count; i++)
        put(labels, m->labels[i].key, text(m->labels[i].value));
    put(o, "name", text(s->name));
    put(o, "labels", labels);
    put(o, "file", a ? text(a->file) : json_null());
    put(o, "line", json_integer(a ? a->line : 0));
    put(o, "generation", number(a ? a->generation : 0));
    put(o, "observedGeneration", number(observed));
    put(o, "specHash", a ? text(a->hash) : json_null());
    put(o, "sync", json_string(sl_sync_name(s->sync)));
    put(o, "health", json_string(sl_health_name(s->health)));
    put(o, "settled", json_boolean(s->settled));
    put(o, "source", stream_source_json(s));
    put(o, "publish", publish_json(s));
    put(o, "encoder", encoder_json(s));
    put(o, "engine", engine_path_json(s));
    put(recording, "active", json_boolean(s->path && s->path->conf.record));
    put(recording, "bytes", json_integer(0));
    put(recording, "segments", json_integer(0));
    put(o, "recording", recording);
    for (int i = 0; i < 5; i++) {
        json_t *u = json_object();

        put(u, "url", s->urls[i].url ? text(s->urls[i].url) : json_null());
        put(u, "plays", json_boolean(s->urls[i].url && s->urls[i].plays));
        put(u, "why", text(s->urls[i].why));
        put(urls, web_protocols[i], u);
    }
    put(o, "urls", urls);
    put(o, "conditions", conditions_json(s, observed));
    return o;
}

static json_t *plan_json(const struct sl_plan *plan)
{
    json_t *o = json_object(), *lists[SL_CHANGE_COUNT];

    put(o, "id", text_or_null(plan->id));
    for (int i = 0; i < SL_CHANGE_COUNT; i++) {
        lists[i] = json_array();
        put(o, sl_change_name((enum sl_change)i), lists[i]);
    }
    for (size_t i = 0; i < plan->changes_count; i++) {
        const struct sl_planned *p = &plan->changes[i];
        json_t *c = json_object();

        put(c, "stream", text(p->stream));
        put(c, "reason", message(p->reason));
        put(c, "viewers", json_integer(p->viewers));
        json_array_append_new(lists[p->change], c);
    }
    return o;
}

static json_t *source_json(const struct sl_status_source *s)
{
    json_t *o = json_object();

    put(o, "path", text(s->path));
    put(o, "revision", text(s->revision));
    put(o, "ref", text_or_null(s->ref));
    put(o, "how", text(s->how));
    put(o, "atomic", json_boolean(s->atomic));
    put(o, "snapshot", text(s->snapshot));
    put(o, "observedAt", when(s->observed_at));
    put(o, "lastAppliedRevision", text_or_null(s->last_applied));
    put(o, "lastAttemptedRevision", text_or_null(s->last_attempted));
    put(o, "warning", text_or_null(s->warning));
    return o;
}

static json_t *summary_json(const struct sl_status *st)
{
    json_t *o = json_object();
    size_t drifted = 0;

    for (size_t i = 0; i < st->streams_count; i++) {
        const char *reason = st->streams[i].cond[SL_COND_PROGRAMMED].reason;

        drifted += reason && strncmp(reason, "Drift", 5) == 0; /* Drifted, DriftStuck */
    }

    put(o, "streams", number(st->streams_count));
    put(o, "ready", number(st->sum.ready));
    put(o, "settled", number(st->sum.settled));
    put(o, "degraded", number(st->sum.degraded));
    put(o, "rejectedFiles", number(st->sum.rejected_files));
    put(o, "heldDeletes", number(st->sum.held_deletes));
    put(o, "drifted", number(drifted));
    put(o, "readers", json_integer(st->sum.readers));
    put(o, "bitrate", number(st->sum.bitrate));
    return o;
}

static json_t *host_json(const struct sl_observed *seen)
{
    const struct sl_seen_machine *machine = &seen->machine;
    json_t *o = json_object(), *encoders = json_object(), *disks = json_object();
    double cpu = 0;
    uint64_t memory = 0;

    for (size_t i = 0; i < seen->encoders_count; i++) {
        cpu += seen->encoders[i].cpu;
        memory += seen->encoders[i].memory;
    }
    put(o, "encoderHost", json_string(seen->host_up ? "Up" : "Down"));
    put(o, "error", seen->host_up ? json_null() : message_or_null(seen->host_error));
    put(encoders, "cpu", json_real(cpu));
    put(encoders, "memory", number(memory));
    put(o, "encoders", encoders);
    put(o, "cpu", json_real(machine->cpu));
    put(o, "cores", json_integer(machine->cores));
    put(o, "memory", number(machine->memory_used));
    put(o, "memoryTotal", number(machine->memory_total));
    for (size_t i = 0; i < SL_COUNT(machine->disk); i++) {
        json_t *disk;

        if (!machine->disk[i].name)
            continue;
        disk = json_object();
        put(disk, "free", number(machine->disk[i].free));
        put(disk, "total", number(machine->disk[i].total));
        put(disks, machine->disk[i].name, disk);
    }
    put(o, "disk", disks);
    return o;
}

static json_t *head(const struct sl_status *st, const char *kind)
{
    json_t *o = json_object();

    put(o, "apiVersion", json_string("sluice/v1"));
    put(o, "kind", json_string(kind));
    put(o, "bootId", text(st->boot_id));
    put(o, "seq", number(st->seq));
    put(o, "node", text(st->node));
    put(o, "version", text(st->version));
    return o;
}

static char *dump(json_t *o)
{
    char *s = json_dumps(o, JSON_COMPACT | JSON_REAL_PRECISION(6));

    json_decref(o);
    return s ? s : sl_strdup("{}");
}

char *sl_status_json(const struct sl_status *status)
{
    json_t *o = head(status, "Status"), *files = json_array(), *streams = json_array();
    json_t *engine = json_object();
    const struct sl_seen_engine *e = &status->observed.engine;

    put(o, "source", source_json(&status->source));
    put(o, "summary", summary_json(status));
    for (size_t i = 0; i < status->files_count; i++)
        json_array_append_new(files, file_json(&status->files[i]));
    put(o, "files", files);
    for (size_t i = 0; i < status->streams_count; i++)
        json_array_append_new(streams, web_stream_json(status, &status->streams[i]));
    put(o, "streams", streams);
    put(o, "foreignPaths", foreign_json(status));
    put(o, "plan", plan_json(&status->plan));
    put(engine, "reachable", json_boolean(e->reachable));
    put(engine, "version", text_or_null(e->version));
    put(engine, "started", text_or_null(e->started));
    put(engine, "error", e->reachable ? json_null() : message_or_null(e->error));
    put(o, "engine", engine);
    put(o, "host", host_json(&status->observed));
    return dump(o);
}

char *web_stream_text(const struct sl_status *status, const char *name)
{
    for (size_t i = 0; i < status->streams_count; i++) {
        if (strcmp(status->streams[i].name, name) == 0)
            return dump(web_stream_json(status, &status->streams[i]));
    }
    return NULL;
}

char *sl_plan_json(const struct sl_status *status)
{
    json_t *o = head(status, "Plan"), *plan = plan_json(&status->plan);

    json_object_update(o, plan);
    json_decref(plan);
    return dump(o);
}
