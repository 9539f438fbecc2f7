/* SPDX-License-Identifier: GPL-2.0-or-later
 * Units: gathering the names, the mode of each (deletions by the guard), the encoder that counts
 * and the path it needs. Layer: core.
 */
#include "reconcile/core/unit.h"
#include "reconcile/core/carry.h"
#include "reconcile/core/lifecycle.h"

/* ---- units: the union of all names ---- */

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct sl_unit *)a)->name, ((const struct sl_unit *)b)->name);
}

static struct sl_unit *find_unit(const struct sl_pass *pass, const char *name)
{
    struct sl_unit key = {.name = name};

    if (!pass->count)
        return NULL;
    return bsearch(&key, pass->units, pass->count, sizeof(key), by_name);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* NAME/ingest belongs to NAME: no stream may be called so. */
static struct sl_unit *find_ingest(const struct sl_pass *pass, const char *path)
{
    size_t len = strlen(path), tail = sizeof("/ingest") - 1;
    char name[208];

    if (len <= tail || len >= sizeof(name) || strcmp(path + len - tail, "/ingest") != 0)
        return NULL;
    memcpy(name, path, len - tail);
    name[len - tail] = 0;
    return find_unit(pass, name);
}

static void find_paths(struct sl_pass *pass)
{
    for (size_t i = 0; i < pass->observed->paths_count; i++) {
        const struct sl_seen_path *path = &pass->observed->paths[i];
        struct sl_unit *unit = find_unit(pass, path->name);

        if (unit)
            unit->path = path;
        else if ((unit = find_ingest(pass, path->name)))
            unit->ingest = path;
    }
}

void sl_units_gather(struct sl_pass *pass)
{
    const struct sl_desired *desired = pass->desired;
    const struct sl_observed *observed = pass->observed;
    size_t n = 0, most;
    const char **names;

    for (size_t i = 0; i < desired->count; i++) /* each has a past: no later call may move them */
        sl_history_get(pass->history, desired->streams[i].accepted->name);
    most = desired->count + observed->encoders_count + pass->history->count;
    names = sl_arena_alloc(pass->arena, (most + 1) * sizeof(*names));
    for (size_t i = 0; i < desired->count; i++)
        names[n++] = desired->streams[i].accepted->name;
    for (size_t i = 0; i < pass->history->count; i++)
        names[n++] = pass->history->list[i].name;
    for (size_t i = 0; i < observed->encoders_count; i++)
        names[n++] = observed->encoders[i].record.name;
    qsort(names, n, sizeof(*names), by_text);
    pass->units = sl_arena_alloc(pass->arena, (n + 1) * sizeof(*pass->units));
    for (size_t i = 0; i < n; i++)
        if (i == 0 || strcmp(names[i - 1], names[i]) != 0)
            pass->units[pass->count++].name = sl_arena_strdup(pass->arena, names[i]);
    for (size_t i = 0; i < desired->count; i++)
        find_unit(pass, desired->streams[i].accepted->name)->want = &desired->streams[i];
    for (size_t i = 0; i < pass->history->count; i++)
        find_unit(pass, pass->history->list[i].name)->past = &pass->history->list[i];
    find_paths(pass);
    for (size_t i = 0; i < observed->encoders_count; i++)
        find_unit(pass, observed->encoders[i].record.name)->count++;
    for (size_t i = 0; i < pass->count; i++) {
        struct sl_unit *unit = &pass->units[i];

        unit->encoders = sl_arena_alloc(pass->arena, (unit->count + 1) * sizeof(*unit->encoders));
        unit->count = 0;
    }
    for (size_t i = 0; i < observed->encoders_count; i++) {
        struct sl_unit *unit = find_unit(pass, observed->encoders[i].record.name);

        unit->encoders[unit->count++] = &observed->encoders[i];
    }
}

/* ---- deletions ---- */

void sl_units_delete(struct sl_pass *pass)
{
    const char **names = sl_arena_alloc(pass->arena, (pass->count + 1) * sizeof(*names));
    const struct sl_desired *desired = pass->desired;
    size_t count = 0;
    bool holds, approved;
    char id[13];

    for (size_t i = 0; i < pass->count; i++) {
        struct sl_unit *unit = &pass->units[i];
        bool mine = unit->want || (unit->past && unit->past->owned);

        if (unit->want && !unit->want->accepted->absent) {
            if (unit->past && (unit->past->deleting || unit->past->held)) { /* it came back */
                unit->past->deleting = unit->past->held = false;
                unit->past->dirty = true;
            }
            unit->mode = unit->want->run ? SL_MODE_RUN : SL_MODE_SUSPENDED;
        } else if (!mine) {
            unit->mode = SL_MODE_ORPHAN;
        } else if (unit->past && unit->past->deleting && desired->valid) {
            unit->mode = SL_MODE_DELETING;
        } else if (!desired->valid) {
            unit->mode = SL_MODE_HELD; /* nothing is proven */
        } else if (unit->want && unit->want->spec->protect) {
            unit->mode = SL_MODE_HELD;
            unit->held = "protected: first a commit must set protect to false";
        } else {
            unit->mode = SL_MODE_HELD;
            unit->held = "";
            names[count++] = unit->name;
        }
    }
    holds = sl_guard_holds(pass->history, desired, pass->observed->wall, names, count, id);
    approved = !holds && id[0];
    if (holds)
        memcpy(pass->plan->id, id, sizeof(id));
    if (approved)
        sl_history_released(pass->history, desired, id);
    for (size_t i = 0; i < count; i++) {
        struct sl_unit *unit = find_unit(pass, names[i]);

        if (!holds) {
            unit->mode = SL_MODE_DELETING;
            unit->held = NULL;
            if (unit->past) {
                unit->past->deleting = true;
                unit->past->held = false;
                unit->past->dirty = true;
                if (!approved)
                    sl_history_deleted(pass->history, unit->name, pass->observed->wall);
            }
        } else if (!desired->root_present) {
            unit->held = "the manifests directory is missing or empty";
        } else {
            if (unit->past && !unit->past->held)
                unit->past->held = unit->past->dirty = true;
            unit->held = sl_arena_printf(
                pass->arena, "too many deletions at once; released by approving %s", id);
        }
    }
}

/* ---- paths ---- */

/* What alwaysAvailableTracks can declare; measured on MediaMTX 1.20.1 (docs/adr/0001). */
static bool carries_offline(const struct sl_facts *facts)
{
    static const struct {
        const char *codec;
        int least_rate, most_channels; /* 0: any */
    } can[] = {{"AV1", 0, 0},     {"VP9", 0, 0},    {"H265", 0, 0},
               {"H264", 0, 0},    {"Opus", 0, 0},   {"MPEG4Audio", 22050, 2},
               {"G711", 8000, 0}, {"LPCM", 8000, 0}};

    for (int i = 0; i < facts->count; i++) {
        const struct sl_track *track = &facts->track[i];
        bool found = false;

        for (size_t j = 0; j < SL_COUNT(can) && !found; j++)
            found = strcmp(track->codec, can[j].codec) == 0 &&
                    track->sample_rate >= can[j].least_rate &&
                    (!can[j].most_channels ||
                     (track->channels >= 1 && track->channels <= can[j].most_channels));
        if (!found)
            return false;
    }
    return facts->count > 0;
}

static struct sl_path_conf *conf_from_facts(struct sl_pass *pass, const struct sl_unit *unit,
                                            const struct sl_facts *facts)
{
    struct sl_path_conf *conf = sl_arena_alloc(pass->arena, sizeof(*conf));

    snprintf(conf->name, sizeof(conf->name), "%s", unit->name);
    snprintf(conf->source, sizeof(conf->source), "publisher");
    snprintf(conf->rtsp_transport, sizeof(conf->rtsp_transport), "automatic");
    conf->override_publisher = true;
    conf->always_available = carries_offline(facts);
    if (conf->always_available)
        conf->tracks = *facts;
    return conf;
}

bool sl_told(const struct sl_seen_encoder *encoder)
{
    return encoder && encoder->record.facts.count > 0 && encoder->record.state != SL_ENC_STARTING;
}

bool sl_unit_runs(const struct sl_unit *unit)
{
    return unit->want &&
           (unit->mode == SL_MODE_RUN || (unit->mode == SL_MODE_HELD && unit->want->run));
}

static struct sl_path_conf *as_it_is(struct sl_pass *pass, const struct sl_seen_path *path)
{
    struct sl_path_conf *conf = sl_arena_alloc(pass->arena, sizeof(*conf));

    *conf = path->conf;
    conf->altered = false;
    return conf;
}

/* What an encoder told once still holds: for this spec, or for the path as an encoder made it. */
static bool facts_hold(const struct sl_unit *unit, bool configured)
{
    const struct sl_past *past = unit->past;

    if (!past || past->facts.count == 0 || strncmp(past->facts_hash, "path:", 5) == 0)
        return false;
    return !unit->want || strcmp(past->facts_hash, unit->want->enc_hash) == 0 ||
           (configured && sl_carry_encoders(&unit->path->conf));
}

/* The path of a stream without an encoder; one that is left over is waited for. */
static bool carried_path(struct sl_pass *pass, struct sl_unit *unit, bool configured)
{
    if (unit->others || unit->foreign)
        return false;
    if (sl_secret_lack(unit->want) || (configured && !pass->observed->fleet_known)) {
        if (configured)
            unit->conf = as_it_is(pass, unit->path);
        return true;
    }
    unit->conf = sl_arena_alloc(pass->arena, sizeof(*unit->conf));
    sl_carry_conf(unit->want, unit->conf);
    return true;
}

static void name_path(struct sl_pass *pass, struct sl_unit *unit, bool anything)
{
    bool configured = pass->engine_known && unit->path && unit->path->configured;

    if (unit->mode == SL_MODE_HELD && unit->want && !unit->want->run && !configured)
        return;
    if (unit->mode == SL_MODE_ORPHAN ||
        ((unit->mode == SL_MODE_SUSPENDED || unit->mode == SL_MODE_DELETING) && !anything))
        return;
    if (sl_unit_runs(unit) && sl_encoderless(unit->want) && carried_path(pass, unit, configured))
        return;
    if (sl_told(unit->chosen))
        unit->conf = conf_from_facts(pass, unit, &unit->chosen->record.facts);
    else if (sl_told(unit->carrier))
        unit->conf = conf_from_facts(pass, unit, &unit->carrier->record.facts);
    else if (facts_hold(unit, configured))
        unit->conf = conf_from_facts(pass, unit, &unit->past->facts);
    else if (configured) /* as it is, until somebody tells */
        unit->conf = as_it_is(pass, unit->path);
}

static void ingest_path(struct sl_pass *pass, struct sl_unit *unit, bool anything)
{
    bool configured = pass->engine_known && unit->ingest && unit->ingest->configured;
    bool wanted = sl_unit_runs(unit) && unit->want->carrier == SL_CARRIER_INGEST;

    if (unit->mode == SL_MODE_ORPHAN)
        return;
    if (wanted && !sl_secret_lack(unit->want)) {
        unit->ingest_conf = sl_arena_alloc(pass->arena, sizeof(*unit->ingest_conf));
        sl_carry_ingest(unit->want, unit->ingest_conf);
    } else if (configured && (wanted || unit->mode == SL_MODE_HELD || anything)) {
        unit->ingest_conf = as_it_is(pass, unit->ingest); /* an encoder may still read it */
    }
}

static bool right(const struct sl_pass *pass, const struct sl_seen_path *path,
                  const struct sl_path_conf *conf)
{
    return pass->engine_known && conf && path && path->configured &&
           sl_path_conf_equal(conf, &path->conf);
}

void sl_unit_path(struct sl_pass *pass, struct sl_unit *unit)
{
    bool others = unit->others || unit->foreign || !pass->observed->fleet_known;

    name_path(pass, unit, others || unit->chosen);
    ingest_path(pass, unit, others || (unit->chosen && unit->mode != SL_MODE_RUN));
    unit->path_right = right(pass, unit->path, unit->conf);
    unit->ingest_right = right(pass, unit->ingest, unit->ingest_conf);
    if (!pass->engine_known || !unit->past)
        return;
    if (!unit->path_right) {
        unit->past->path_wrong_at = pass->observed->now;
        unit->past->path_right_since = 0;
    } else if (unit->past->path_right_since <= 0 ||
               unit->past->path_right_since > pass->observed->now) {
        unit->past->path_right_since = pass->observed->now;
    }
}

/* ---- encoders ---- */

static int rank(const struct sl_seen_encoder *encoder)
{
    switch (encoder->record.state) {
    case SL_ENC_LIVE:
        return 5;
    case SL_ENC_SILENT:
        return 4;
    case SL_ENC_CONNECTING:
        return 3;
    case SL_ENC_HELD:
        return encoder->gone_asked ? 2 : 1;
    case SL_ENC_STARTING:
    case SL_ENC_ENDED:
    case SL_ENC_STATE_COUNT:
        break;
    }
    return 0;
}

bool sl_going(const struct sl_seen_encoder *encoder)
{
    return rank(encoder) >= 2;
}

void sl_pass_young(struct sl_pass *pass, int64_t age)
{
    if (age < 0 || age >= SL_YOUNG_START)
        return;
    if (pass->starting++ == 0 || age < pass->youngest)
        pass->youngest = age;
}

void sl_unit_choose(struct sl_pass *pass, struct sl_unit *unit)
{
    const char *hash = unit->want && !sl_encoderless(unit->want) ? unit->want->enc_hash : NULL;
    int64_t now = pass->observed->now;

    for (size_t i = 0; i < unit->count; i++) {
        const struct sl_seen_encoder *encoder = unit->encoders[i];
        enum sl_look look = sl_look_at(encoder, now);

        unit->foreign |= look == SL_LOOK_FOREIGN && encoder->alive;
        if (!encoder->alive || look == SL_LOOK_FOREIGN)
            continue;
        unit->ending |= hash && strcmp(encoder->record.spec_hash, hash) == 0 &&
                        !encoder->stop_asked && (look == SL_LOOK_STOPPING || look == SL_LOOK_STUCK);
        if (look == SL_LOOK_STARTING)
            sl_pass_young(pass, pass->observed->wall - encoder->record.since);
        if (hash && strcmp(encoder->record.spec_hash, hash) == 0 && look != SL_LOOK_STOPPING &&
            look != SL_LOOK_STUCK &&
            (!unit->chosen || rank(encoder) > rank(unit->chosen) ||
             (rank(encoder) == rank(unit->chosen) &&
              encoder->record.since < unit->chosen->record.since)))
            unit->chosen = encoder;
        unit->others++;
    }
    unit->others -= unit->chosen != NULL;
    for (size_t i = 0; i < unit->count; i++) {
        const struct sl_seen_encoder *encoder = unit->encoders[i];

        if (encoder == unit->chosen || !encoder->alive || encoder->newer_layout ||
            !sl_going(encoder))
            continue;
        unit->others_going = true;
        if (!unit->carrier || rank(encoder) > rank(unit->carrier))
            unit->carrier = encoder;
    }
    if (unit->past && unit->past->started_at)
        sl_pass_young(pass, now - unit->past->started_at);
}
