/* SPDX-License-Identifier: GPL-2.0-or-later
 * The status as JSON, in the shape of contract 4. Layer: web. Computes nothing but forms; holds no
 * secret: publisher's and readers' passwords are not in a status, source lines are cleaned.
 */
#include "reconcile/web/web_impl.h"
#include <ctype.h>

static const char *const protocols[5] = {"rtsp", "rtmp", "hls", "webrtc", "srt"};

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

static bool names_secret(const char *from, const char *to)
{
    static const char *const words[] = {"pass", "secret", "token", "credential", "key", "auth"};

    for (const char *p = from; p < to; p++) {
        for (size_t i = 0; i < SL_COUNT(words); i++) {
            if ((size_t)(to - p) >= strlen(words[i]) &&
                strncasecmp(p, words[i], strlen(words[i])) == 0)
                return true;
        }
    }
    return false;
}

char *web_excerpt(const char *line)
{
    struct sl_buf out = {0};
    const char *p = line, *at, *end;

    if (!line)
        return NULL;
    while (*p) {
        const char *scheme = strstr(p, "://"), *colon = strpbrk(p, ":=?&");

        if (colon && (!scheme || colon < scheme) && names_secret(p, colon)) {
            sl_buf_add(&out, p, (size_t)(colon - p) + 1);
            sl_buf_puts(&out, " …"); /* whatever follows: the line ends here */
            return sl_buf_steal(&out);
        }
        if (!scheme) {
            sl_buf_puts(&out, p);
            break;
        }
        if (colon && colon < scheme) {
            sl_buf_add(&out, p, (size_t)(colon - p) + 1);
            p = colon + 1;
            continue;
        }
        sl_buf_add(&out, p, (size_t)(scheme - p) + 3);
        p = scheme + 3;
        end = p + strcspn(p, " \t\"'");
        at = memrchr(p, '@', (size_t)(end - p));
        if (at) {
            sl_buf_puts(&out, "…");
            p = at;
        }
        colon = strpbrk(p, "?&#");
        if (colon && colon < end) { /* queries carry keys: ?user=U&pass=P */
            sl_buf_add(&out, p, (size_t)(colon - p) + 1);
            sl_buf_puts(&out, "…");
            p = end;
        } else {
            sl_buf_add(&out, p, (size_t)(end - p));
            p = end;
        }
    }
    return sl_buf_steal(&out);
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
    put(o, "message", text(d->message));
    put(o, "hint", text_or_null(d->hint));
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
        put(o, "message", text(c->message));
        json_array_append_new(list, o);
    }
    return list;
}

static json_t *engine_path_json(const struct sl_status_stream *s)
{
    json_t *o = json_object();

    put(o, "path", text(s->name));
    put(o, "configured", json_boolean(s->path && s->path->configured));
    /* an alwaysAvailable path is there without a publisher: then only `online` says "live" */
    put(o, "ready",
        json_boolean(s->path &&
                     (s->path->conf.always_available ? s->path->online : s->path->available)));
    put(o, "readers", json_integer(s->path ? s->path->readers : 0));
    put(o, "inboundBytes", number(s->path ? s->path->in_bytes : 0));
    put(o, "outboundBytes", number(s->path ? s->path->out_bytes : 0));
    put(o, "bitrate", number(s->path ? s->path->bitrate_in : 0));
    return o;
}

static const char *source_kind(const struct sl_stream_spec *spec)
{
    return spec && spec->source.file ? "file" : spec && spec->source.test ? "test" : "unknown";
}

json_t *web_stream_json(const struct sl_status *status, const struct sl_status_stream *s)
{
    const struct sl_desired_stream *d = s->desired;
    const struct sl_accepted *a = d ? d->accepted : NULL;
    const struct sl_metadata *m = a && a->object ? &a->object->metadata : NULL;
    uint64_t observed = s->past ? s->past->generation : 0;
    json_t *o = json_object(), *labels = json_object(), *urls = json_object();
    json_t *source = json_object(), *recording = json_object();

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
    put(source, "kind", json_string(d ? source_kind(d->spec) : "orphan"));
    if (d && d->spec && d->spec->source.file)
        put(source, "path", text(d->spec->source.file->path));
    put(o, "source", source);
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
        put(urls, protocols[i], u);
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
        put(c, "reason", text(p->reason));
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

    put(o, "streams", number(st->streams_count));
    put(o, "ready", number(st->sum.ready));
    put(o, "settled", number(st->sum.settled));
    put(o, "degraded", number(st->sum.degraded));
    put(o, "rejectedFiles", number(st->sum.rejected_files));
    put(o, "heldDeletes", number(st->sum.held_deletes));
    put(o, "drifted", json_integer(0));
    put(o, "readers", json_integer(st->sum.readers));
    put(o, "bitrate", number(st->sum.bitrate));
    return o;
}

static json_t *host_json(const struct sl_observed *seen)
{
    json_t *o = json_object();
    double cpu = 0;
    uint64_t memory = 0;

    for (size_t i = 0; i < seen->encoders_count; i++) {
        cpu += seen->encoders[i].cpu;
        memory += seen->encoders[i].memory;
    }
    put(o, "encoderHost", json_string(seen->host_up ? "Up" : "Down"));
    put(o, "error", seen->host_up ? json_null() : text_or_null(seen->host_error));
    put(o, "cpu", json_real(cpu));
    put(o, "memory", number(memory));
    put(o, "disk", json_object());
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
    put(o, "plan", plan_json(&status->plan));
    put(engine, "reachable", json_boolean(e->reachable));
    put(engine, "version", text_or_null(e->version));
    put(engine, "started", text_or_null(e->started));
    put(engine, "error", e->reachable ? json_null() : text_or_null(e->error));
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
