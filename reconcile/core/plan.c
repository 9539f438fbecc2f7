/* SPDX-License-Identifier: GPL-2.0-or-later
 * The plan: units (unit.c) are turned into actions, paths and lines for people, one after the
 * other. Layer: core; no I/O, no clock.
 */
#include "reconcile/core/carry.h"
#include "reconcile/core/lifecycle.h"
#include "reconcile/core/unit.h"

#define START_PATIENCE 3000 /* a START without a record is asked for again */
#define KILL_PATIENCE  5000
#define WAVE_LEAST     5
#define WAVE_CAP       1000
#define ORIGIN_MOST    4     /* contract C11: encoders that open one remote host at once */
#define ORIGIN_TRIES   15000 /* one that opens for longer waits for its source, not for us */
#define ORIGIN_AGAIN   1000

const char *sl_action_name(enum sl_action_kind kind)
{
    static const char *const names[SL_ACT_COUNT] = {"start", "go", "stop", "kill", "forget"};

    return kind < SL_ACT_COUNT ? names[kind] : "?";
}

const char *sl_change_name(enum sl_change change)
{
    static const char *const names[SL_CHANGE_COUNT] = {"create", "hot",    "swap",
                                                       "break",  "delete", "held"};

    return change < SL_CHANGE_COUNT ? names[change] : "?";
}

static void wake_at(struct sl_pass *pass, int64_t at)
{
    if (at <= pass->observed->now)
        at = pass->observed->now + 1;
    if (!pass->plan->wake || at < pass->plan->wake)
        pass->plan->wake = at;
}

static void act(struct sl_pass *pass, enum sl_action_kind kind, const struct sl_unit *unit,
                const struct sl_seen_encoder *encoder, const char *reason)
{
    struct sl_action *action = &pass->plan->actions[pass->plan->actions_count++];

    action->kind = kind;
    action->stream = unit->name;
    action->uid = encoder ? encoder->record.uid : NULL;
    action->desired = kind == SL_ACT_START || kind == SL_ACT_GO ? unit->want : NULL;
    action->reason = reason;
}

static void change(struct sl_pass *pass, enum sl_change kind, const struct sl_unit *unit,
                   const char *reason)
{
    struct sl_planned *planned = &pass->plan->changes[pass->plan->changes_count++];

    planned->change = kind;
    planned->stream = unit->name;
    planned->reason = reason;
    planned->viewers = (kind == SL_CHANGE_BREAK || kind == SL_CHANGE_DELETE) && unit->path
                           ? unit->path->readers
                           : 0;
}

static void own(struct sl_pass *pass, struct sl_unit *unit)
{
    if (!unit->past)
        unit->past = sl_history_find(pass->history, unit->name);
    if (unit->past && !unit->past->owned) {
        unit->past->owned = true;
        unit->past->dirty = true;
    }
}

/* ---- paths ---- */

static int by_path(const void *a, const void *b)
{
    return strcmp(((const struct sl_path_conf *)a)->name, ((const struct sl_path_conf *)b)->name);
}

static void collect(struct sl_pass *pass, struct sl_unit *unit, const char *name,
                    const struct sl_seen_path *seen, const struct sl_path_conf *conf, bool right)
{
    struct sl_plan *plan = pass->plan;
    bool drops = unit->mode == SL_MODE_SUSPENDED || unit->mode == SL_MODE_DELETING ||
                 (unit->mode == SL_MODE_RUN && seen == unit->ingest);

    if (conf) {
        plan->paths[plan->paths_count++] = *conf;
        own(pass, unit);
        if (pass->engine_known && !right)
            plan->engine_dirty = true;
    } else if (drops && pass->engine_known && seen && seen->configured) {
        plan->removed[plan->removed_count++] = name;
        plan->engine_dirty = true;
    }
}

static void collect_paths(struct sl_pass *pass)
{
    struct sl_plan *plan = pass->plan;
    bool sorted = true;

    plan->paths = sl_arena_alloc(pass->arena, (2 * pass->count + 1) * sizeof(*plan->paths));
    plan->removed = sl_arena_alloc(pass->arena, (2 * pass->count + 1) * sizeof(*plan->removed));
    for (size_t i = 0; i < pass->count; i++) {
        struct sl_unit *unit = &pass->units[i];

        collect(pass, unit, unit->name, unit->path, unit->conf, unit->path_right);
        if (unit->ingest || unit->ingest_conf)
            collect(pass, unit, unit->ingest ? unit->ingest->name : unit->ingest_conf->name,
                    unit->ingest, unit->ingest_conf, unit->ingest_right);
    }
    for (size_t i = 1; i < plan->paths_count && sorted; i++)
        sorted = strcmp(plan->paths[i - 1].name, plan->paths[i].name) < 0;
    if (!sorted) /* NAME/ingest comes after NAME-2 */
        qsort(plan->paths, plan->paths_count, sizeof(*plan->paths), by_path);
}

/* Several encoders are just starting: one write for all of them, but never for ever. */
static void decide_wait(struct sl_pass *pass)
{
    int64_t now = pass->observed->now, *since = &pass->history->wave_since;

    if (pass->starting < WAVE_LEAST) {
        *since = 0;
        return;
    }
    if (*since <= 0 || *since > now)
        *since = now;
    if (now - *since >= WAVE_CAP)
        return;
    pass->plan->engine_wait = true;
    wake_at(pass, *since + WAVE_CAP);
    wake_at(pass, now + SL_YOUNG_START - pass->youngest);
}

/* ---- encoders ---- */

static enum sl_want want_of(const struct sl_pass *pass, const struct sl_unit *unit,
                            const struct sl_seen_encoder *encoder)
{
    if (!pass->observed->fleet_known)
        return SL_WANT_KEEP;
    switch (unit->mode) {
    case SL_MODE_ORPHAN: /* what is dead and nobody's is litter, once the manifests are known */
        return !encoder->alive && pass->desired->valid ? SL_WANT_NONE : SL_WANT_KEEP;
    case SL_MODE_SUSPENDED:
    case SL_MODE_DELETING:
        return SL_WANT_NONE;
    case SL_MODE_HELD:
        if (!unit->want || !unit->want->run)
            return SL_WANT_KEEP;
        break;
    case SL_MODE_RUN:
        break;
    }
    if (sl_encoderless(unit->want)) /* what runs stays while its successor cannot come */
        return sl_secret_lack(unit->want) ? SL_WANT_KEEP : SL_WANT_NONE;
    if (encoder == unit->chosen) {
        if (!unit->path_right)
            return SL_WANT_THIS_NO_PATH;
        return unit->others || unit->foreign ? SL_WANT_THIS_LATER : SL_WANT_THIS;
    }
    if (unit->chosen &&
        (sl_going(unit->chosen) || (unit->chosen->record.state == SL_ENC_HELD && unit->path_right)))
        return SL_WANT_OTHER;
    return SL_WANT_OTHER_LATER;
}

/* The newest dead record of a stream without an encoder is kept: people read its log. */
static bool worth_keeping(const struct sl_unit *unit, const struct sl_seen_encoder *dead)
{
    if (unit->mode != SL_MODE_RUN || unit->chosen || unit->others || sl_encoderless(unit->want))
        return false;
    for (size_t i = 0; i < unit->count; i++)
        if (unit->encoders[i] != dead && !unit->encoders[i]->newer_layout &&
            unit->encoders[i]->record.since >= dead->record.since &&
            (unit->encoders[i]->record.since > dead->record.since ||
             strcmp(unit->encoders[i]->record.uid, dead->record.uid) > 0))
            return false;
    return true;
}

static void kill_stuck(struct sl_pass *pass, struct sl_unit *unit,
                       const struct sl_seen_encoder *encoder)
{
    int64_t now = pass->observed->now;

    if (unit->past && strcmp(unit->past->killed_uid, encoder->record.uid) == 0 &&
        unit->past->killed_at <= now && now - unit->past->killed_at < KILL_PATIENCE) {
        wake_at(pass, unit->past->killed_at + KILL_PATIENCE);
        return;
    }
    if (unit->past) {
        memcpy(unit->past->killed_uid, encoder->record.uid, sizeof(unit->past->killed_uid));
        unit->past->killed_at = now;
    }
    act(pass, SL_ACT_KILL, unit, encoder, "it makes no progress");
    wake_at(pass, now + KILL_PATIENCE);
}

static const char *why_stop(const struct sl_unit *unit)
{
    if (unit->mode == SL_MODE_DELETING)
        return "the stream was deleted";
    if (unit->mode == SL_MODE_SUSPENDED)
        return "the stream is suspended";
    if (unit->want && sl_encoderless(unit->want))
        return "its spec needs no encoder any more";
    return "the spec changed";
}

static void tend(struct sl_pass *pass, struct sl_unit *unit)
{
    for (size_t i = 0; i < unit->count; i++) {
        const struct sl_seen_encoder *encoder = unit->encoders[i];
        enum sl_look look = sl_look_at(encoder, pass->observed->now);
        enum sl_want want = want_of(pass, unit, encoder);

        if (unit->mode != SL_MODE_ORPHAN && look != SL_LOOK_STUCK && sl_stuck_at(encoder))
            wake_at(pass, sl_stuck_at(encoder));
        pass->plan->cells |= (uint64_t)1 << (look * SL_WANT_COUNT + (int)want);
        switch (sl_lifecycle(look, want)) {
        case SL_TODO_GO:
            if (!encoder->gone_asked)
                act(pass, SL_ACT_GO, unit, encoder, "its path is programmed");
            break;
        case SL_TODO_STOP:
            act(pass, SL_ACT_STOP, unit, encoder, why_stop(unit));
            break;
        case SL_TODO_KILL:
            kill_stuck(pass, unit, encoder);
            break;
        case SL_TODO_FORGET:
            if (!worth_keeping(unit, encoder))
                act(pass, SL_ACT_FORGET, unit, encoder, "it is dead");
            break;
        case SL_TODO_NOTHING:
        case SL_TODO_COUNT:
            break;
        }
    }
}

/* ---- starts, at most some a remote host ---- */

static struct sl_origin *origin_of(struct sl_pass *pass, const struct sl_unit *unit)
{
    size_t len = 0;
    const char *host = unit->want ? sl_carry_origin(unit->want, &len) : NULL;

    for (size_t i = 0; host && i < pass->origins_count; i++)
        if (pass->origins[i].len == len && strncasecmp(pass->origins[i].host, host, len) == 0)
            return &pass->origins[i];
    if (!host)
        return NULL;
    if (!pass->origins)
        pass->origins = sl_arena_alloc(pass->arena, pass->count * sizeof(*pass->origins));
    pass->origins[pass->origins_count] = (struct sl_origin){host, len, 0};
    return &pass->origins[pass->origins_count++];
}

static bool start_under_way(const struct sl_pass *pass, const struct sl_unit *unit)
{
    const struct sl_past *past = unit->past;
    int64_t now = pass->observed->now;

    return past && past->started_at && past->started_at <= now &&
           now - past->started_at < START_PATIENCE &&
           strcmp(past->started_hash, unit->want->enc_hash) == 0;
}

static bool opens(const struct sl_pass *pass, const struct sl_seen_encoder *encoder)
{
    return encoder->alive && !encoder->newer_layout && encoder->record.state == SL_ENC_STARTING &&
           !encoder->record.reason[0] &&
           pass->observed->wall - encoder->record.since < ORIGIN_TRIES;
}

static void count_origins(struct sl_pass *pass)
{
    for (size_t i = 0; i < pass->count; i++) {
        const struct sl_unit *unit = &pass->units[i];
        int starting = 0;

        if (!unit->want)
            continue;
        for (size_t k = 0; k < unit->count; k++)
            starting += opens(pass, unit->encoders[k]);
        if (!unit->chosen && start_under_way(pass, unit))
            starting++;
        if (starting) {
            struct sl_origin *origin = origin_of(pass, unit);

            if (origin)
                origin->starting += starting;
        }
    }
}

static void start(struct sl_pass *pass, struct sl_unit *unit)
{
    const struct sl_desired_stream *want = unit->want;
    int64_t now = pass->observed->now;
    struct sl_past *past = unit->past;
    const char *reason = "the stream is new";
    struct sl_origin *origin;

    if (!sl_unit_runs(unit) || sl_encoderless(want) || unit->chosen || unit->ending ||
        unit->foreign || !past || !pass->observed->fleet_known)
        return;
    if (strcmp(past->finished_hash, want->enc_hash) == 0)
        return;
    if (want->spec->source.file && !(want->media.exists && want->media.complete))
        return;
    if (sl_secret_lack(want))
        return;
    if (strcmp(past->failed_hash, want->enc_hash) == 0 && past->next_attempt > now) {
        wake_at(pass, past->next_attempt);
        return;
    }
    if (!pass->observed->host_up)
        return;
    if (start_under_way(pass, unit)) {
        wake_at(pass, past->started_at + START_PATIENCE);
        return;
    }
    origin = origin_of(pass, unit);
    if (origin && origin->starting >= ORIGIN_MOST) {
        wake_at(pass, now + ORIGIN_AGAIN);
        return;
    }
    if (origin)
        origin->starting++;
    if (unit->others_going)
        reason = "the spec changed";
    else if (strcmp(past->failed_hash, want->enc_hash) == 0)
        reason = sl_arena_printf(pass->arena, "again after %s (failure %d)", past->last_reason,
                                 past->failures);
    else if (past->first_live)
        reason = "it should run and does not";
    act(pass, SL_ACT_START, unit, NULL, reason);
    memcpy(past->started_hash, want->enc_hash, sizeof(past->started_hash));
    past->started_at = now;
    own(pass, unit);
    sl_pass_young(pass, 0);
    wake_at(pass, now + START_PATIENCE);
}

/* ---- for people ---- */

static bool hot(const struct sl_path_conf *now, const struct sl_path_conf *want)
{
    struct sl_path_conf recorded = *now; /* of our keys only this one drops nobody */

    recorded.record = want->record;
    return sl_path_conf_equal(&recorded, want);
}

static void tell_path(struct sl_pass *pass, struct sl_unit *unit)
{
    const struct sl_path_conf *now =
        unit->path && unit->path->configured ? &unit->path->conf : NULL;
    enum sl_carrier carrier = unit->want->carrier;

    if (!pass->engine_known)
        return;
    if (unit->conf && !now)
        change(pass, SL_CHANGE_HOT, unit, "its path is missing in MediaMTX");
    else if (unit->conf && !unit->path_right)
        change(pass, hot(now, unit->conf) ? SL_CHANGE_HOT : SL_CHANGE_BREAK, unit,
               sl_carry_why(carrier, now, unit->conf));
    else if (unit->ingest_conf && !unit->ingest_right)
        change(pass, SL_CHANGE_HOT, unit, "the path of its publishers differs or is missing");
    else if (!unit->ingest_conf && unit->ingest && unit->ingest->configured)
        change(pass, SL_CHANGE_HOT, unit, "its publishers do not use NAME/ingest any more");
}

static void tell_carried(struct sl_pass *pass, struct sl_unit *unit)
{
    uint64_t generation = unit->want->accepted->generation;
    bool configured = unit->path && unit->path->configured;
    struct sl_past *past = unit->past;

    if (unit->path_right && !unit->others && !sl_secret_lack(unit->want)) {
        if (past && past->generation != generation) {
            past->generation = generation;
            past->dirty = true;
        }
    } else if (pass->engine_known && !configured && past && past->generation != generation) {
        change(pass, SL_CHANGE_CREATE, unit,
               past->generation ? "the spec changed" : "the stream is new");
        return;
    }
    if (unit->others && configured) {
        struct sl_path_conf conf;
        const char *why = "waits for a secret";

        if (!sl_secret_lack(unit->want)) {
            sl_carry_conf(unit->want, &conf);
            why = sl_carry_why(unit->want->carrier, &unit->path->conf, &conf);
        }
        change(pass, SL_CHANGE_BREAK, unit, why);
        return;
    }
    tell_path(pass, unit);
}

static void tell_running(struct sl_pass *pass, struct sl_unit *unit)
{
    const struct sl_path_conf *now =
        unit->path && unit->path->configured ? &unit->path->conf : NULL;
    uint64_t generation = unit->want->accepted->generation;
    struct sl_past *past = unit->past;
    bool finished = past && strcmp(past->finished_hash, unit->want->enc_hash) == 0;
    bool done = unit->chosen && sl_going(unit->chosen) && !unit->others;

    if (sl_encoderless(unit->want)) {
        tell_carried(pass, unit);
        return;
    }
    if (past && (done || finished) && past->generation != generation) {
        past->generation = generation;
        past->dirty = true;
    }
    if (unit->carrier && unit->carrier != unit->chosen && !done) {
        bool keeps = now && now->always_available;
        const struct sl_media_seen *media = &unit->want->media;

        if (unit->want->spec->source.file && !(media->exists && media->complete))
            change(pass, keeps ? SL_CHANGE_SWAP : SL_CHANGE_BREAK, unit, "waits for its file");
        else if (sl_secret_lack(unit->want))
            change(pass, keeps ? SL_CHANGE_SWAP : SL_CHANGE_BREAK, unit, "waits for a secret");
        else if (sl_told(unit->chosen) && keeps && unit->conf &&
                 !sl_path_conf_equal(now, unit->conf))
            change(pass, SL_CHANGE_BREAK, unit, "the tracks change");
        else if (keeps)
            change(pass, SL_CHANGE_SWAP, unit, "the spec changed");
        else
            change(pass, SL_CHANGE_BREAK, unit, "the spec changed; this path cannot keep viewers");
        return;
    }
    if (!unit->chosen && !finished && (!past || !past->first_live)) {
        change(pass, SL_CHANGE_CREATE, unit, "the stream is new");
        return;
    }
    if (!unit->chosen && !finished && past && past->generation != generation) {
        change(pass, SL_CHANGE_CREATE, unit, "the spec changed");
        return;
    }
    tell_path(pass, unit);
}

static void tell(struct sl_pass *pass, struct sl_unit *unit)
{
    bool left = unit->chosen || unit->others ||
                (pass->engine_known && ((unit->path && unit->path->configured) ||
                                        (unit->ingest && unit->ingest->configured)));

    switch (unit->mode) {
    case SL_MODE_RUN:
        tell_running(pass, unit);
        break;
    case SL_MODE_SUSPENDED:
        if (left)
            change(pass, SL_CHANGE_BREAK, unit, "suspended");
        break;
    case SL_MODE_DELETING:
        change(pass, SL_CHANGE_DELETE, unit, "not in the manifests any more");
        break;
    case SL_MODE_HELD:
        if (unit->held)
            change(pass, SL_CHANGE_HELD, unit, unit->held);
        break;
    case SL_MODE_ORPHAN:
        break;
    }
}

static void finish_deletion(struct sl_pass *pass, struct sl_unit *unit)
{
    struct sl_plan *plan = pass->plan;
    bool left = !pass->observed->fleet_known || !pass->engine_known ||
                (unit->path && unit->path->configured) ||
                (unit->ingest && unit->ingest->configured);

    for (size_t i = 0; i < unit->count; i++)
        left |= !unit->encoders[i]->newer_layout;
    if (unit->past && unit->past->started_at &&
        pass->observed->now - unit->past->started_at < START_PATIENCE) {
        wake_at(pass, unit->past->started_at + START_PATIENCE);
        left = true; /* an encoder may still be on its way */
    }
    plan->deletions[plan->deletions_count++] = unit->name;
    if (left)
        wake_at(pass, pass->observed->now + 1000);
    else
        plan->gone[plan->gone_count++] = unit->name;
}

/* When a source that moves would turn silent, and a pull that begins is no longer new. */
static void watch_sources(struct sl_pass *pass)
{
    int64_t now = pass->observed->now, silent = sl_carry_publishers(pass);

    if (silent) /* past already: another listing must prove it */
        wake_at(pass, silent > now ? silent : now + 1000);
    for (size_t i = 0; i < pass->count; i++) {
        const struct sl_unit *unit = &pass->units[i];
        const struct sl_past *past = unit->past;

        if (!sl_unit_runs(unit) || !unit->path_right || !sl_encoderless(unit->want))
            continue;
        if (unit->path->available && unit->path->in_moved + SL_SILENT_AFTER > now)
            wake_at(pass, unit->path->in_moved + SL_SILENT_AFTER);
        if (!unit->path->available && past->path_right_since + SL_PULL_PATIENCE > now)
            wake_at(pass, past->path_right_since + SL_PULL_PATIENCE);
    }
}

void sl_plan_make(struct sl_arena *arena, const struct sl_desired *desired,
                  const struct sl_observed *observed, struct sl_history *history,
                  struct sl_plan *ret)
{
    struct sl_pass pass = {
        .arena = arena, .desired = desired, .observed = observed, .history = history, .plan = ret};

    memset(ret, 0, sizeof(*ret));
    pass.engine_known = observed->engine.reachable && observed->engine.configs_known;
    sl_units_gather(&pass);
    ret->actions =
        sl_arena_alloc(arena, (observed->encoders_count + pass.count + 1) * sizeof(*ret->actions));
    ret->changes = sl_arena_alloc(arena, (pass.count + 1) * sizeof(*ret->changes));
    ret->deletions = sl_arena_alloc(arena, (pass.count + 1) * sizeof(*ret->deletions));
    ret->gone = sl_arena_alloc(arena, (pass.count + 1) * sizeof(*ret->gone));
    sl_units_delete(&pass);
    for (size_t i = 0; i < pass.count; i++) {
        sl_unit_choose(&pass, &pass.units[i]);
        sl_unit_path(&pass, &pass.units[i]);
    }
    count_origins(&pass);
    for (size_t i = 0; i < pass.count; i++) {
        tell(&pass, &pass.units[i]); /* before own(): a stream is new until it is made */
        tend(&pass, &pass.units[i]);
        start(&pass, &pass.units[i]);
        if (pass.units[i].mode == SL_MODE_DELETING)
            finish_deletion(&pass, &pass.units[i]);
    }
    collect_paths(&pass);
    decide_wait(&pass);
    watch_sources(&pass);
}
