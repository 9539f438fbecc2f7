/* SPDX-License-Identifier: GPL-2.0-or-later
 * Memory of each stream: failures and backoff (contract C9), restarts, facts, health, and the
 * deletions of the last minutes. Time and jitter are arguments. Layer: core.
 */
#include "reconcile/core/history.h"
#include "reconcile/core/carry.h"
#include "reconcile/core/lifecycle.h"

#define COMMON_WINDOW  5000 /* contract C9: many deaths this close together have one cause */
#define COMMON_LEAST   3
#define HEALTHY_LEAST  60000
#define LATEST_ATTEMPT (SL_BACKOFF_MAX * 6 / 5)

static size_t lower(const struct sl_history *history, const char *name)
{
    size_t low = 0, high = history->count;

    while (low < high) {
        size_t mid = (low + high) / 2;

        if (strcmp(history->list[mid].name, name) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

struct sl_past *sl_history_find(struct sl_history *history, const char *name)
{
    size_t at = lower(history, name);

    if (at < history->count && strcmp(history->list[at].name, name) == 0)
        return &history->list[at];
    return NULL;
}

struct sl_past *sl_history_get(struct sl_history *history, const char *name)
{
    size_t at = lower(history, name);
    struct sl_past *past;

    if (at < history->count && strcmp(history->list[at].name, name) == 0)
        return &history->list[at];
    if (history->count == history->cap) {
        history->cap = history->cap ? history->cap * 2 : 64;
        history->list = sl_realloc(history->list, history->cap * sizeof(*history->list));
    }
    past = &history->list[at];
    memmove(past + 1, past, (history->count - at) * sizeof(*past));
    memset(past, 0, sizeof(*past));
    snprintf(past->name, sizeof(past->name), "%s", name);
    past->dirty = true;
    history->count++;
    return past;
}

void sl_history_forget(struct sl_history *history, const char *name)
{
    struct sl_past *past = sl_history_find(history, name);

    if (!past)
        return;
    history->count--;
    memmove(past, past + 1, (size_t)(history->list + history->count - past) * sizeof(*past));
}

void sl_history_free(struct sl_history *history)
{
    sl_freep(&history->list);
    memset(history, 0, sizeof(*history));
}

void sl_history_deleted(struct sl_history *history, const char *name, int64_t wall)
{
    if (history->deleted_count == SL_COUNT(history->deleted)) {
        memmove(history->deleted, history->deleted + 1,
                sizeof(history->deleted) - sizeof(history->deleted[0]));
        history->deleted_count--;
    }
    history->deleted[history->deleted_count].at = wall;
    snprintf(history->deleted[history->deleted_count++].name, sizeof(history->deleted[0].name),
             "%s", name);
    history->guard_dirty = true;
}

/* Makes room by the oldest id that no approval names: a spent one must stay spent. */
void sl_history_released(struct sl_history *history, const struct sl_desired *desired,
                         const char *id)
{
    if (history->released_count == SL_COUNT(history->released)) {
        size_t drop = 0;

        for (size_t i = 0; i < history->released_count; i++) {
            bool named = false;

            for (size_t j = 0; j < desired->approvals_count && !named; j++)
                named = strcmp(desired->approvals[j], history->released[i]) == 0;
            if (!named) {
                drop = i;
                break;
            }
        }
        history->released_count--;
        memmove(history->released[drop], history->released[drop + 1],
                (history->released_count - drop) * sizeof(history->released[0]));
    }
    snprintf(history->released[history->released_count++], sizeof(history->released[0]), "%s", id);
    history->guard_dirty = true;
}

int64_t sl_backoff_delay(int failures, double jitter)
{
    int64_t delay = SL_BACKOFF_MAX;

    if (failures < 1)
        return 0;
    if (failures <= 6)
        delay = (int64_t)SL_BACKOFF_FIRST << (failures - 1);
    return (int64_t)((double)delay * (0.8 + 0.4 * jitter));
}

/* xorshift64*: enough to keep streams from starting in step. */
static double draw(uint64_t *seed)
{
    if (!*seed)
        *seed = 0x9e3779b97f4a7c15u;
    *seed ^= *seed >> 12;
    *seed ^= *seed << 25;
    *seed ^= *seed >> 27;
    return (double)((*seed * 2685821657736338717u) >> 11) / 9007199254740992.0;
}

static const struct sl_desired_stream *wanted(const struct sl_desired *desired, const char *name)
{
    size_t low = 0, high = desired->count;

    while (low < high) {
        size_t mid = (low + high) / 2;
        int order = strcmp(desired->streams[mid].accepted->name, name);

        if (order == 0)
            return &desired->streams[mid];
        if (order < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}

static bool counted(struct sl_past *past, const char *uid)
{
    if (strcmp(past->last_uid, uid) == 0)
        return true;
    for (size_t i = 0; i < SL_COUNT(past->counted); i++)
        if (strcmp(past->counted[i], uid) == 0)
            return true;
    return false;
}

static void explain(struct sl_past *past, const struct sl_seen_encoder *encoder)
{
    const struct sl_record *r = &encoder->record;
    const char *reason = "EncoderDied";

    if (strcmp(past->killed_uid, r->uid) == 0) {
        reason = "EncoderStuck";
        snprintf(past->last_message, sizeof(past->last_message),
                 "the encoder made no progress for %d s and was killed",
                 r->state == SL_ENC_STARTING ? 60 : 5);
    } else if (r->state == SL_ENC_ENDED && r->reason[0]) {
        reason = r->reason;
        snprintf(past->last_message, sizeof(past->last_message), "%s", r->message);
    } else if (r->exited && r->exit_signal) {
        snprintf(past->last_message, sizeof(past->last_message),
                 "the encoder was ended by signal %d", r->exit_signal);
    } else if (r->exited) {
        snprintf(past->last_message, sizeof(past->last_message), "the encoder ended with status %d",
                 r->exit_status);
    } else {
        snprintf(past->last_message, sizeof(past->last_message),
                 "the encoder is gone, nobody saw how");
    }
    snprintf(past->last_reason, sizeof(past->last_reason), "%s", reason);
}

static void reset(struct sl_past *past)
{
    past->failures = 0;
    past->failures_before = 0;
    past->forgiven = 0;
    past->next_attempt = 0;
    past->last_delay = 0;
    past->failed_hash[0] = 0;
    past->died_at = 0;
    past->dirty = true;
}

/* Counts one death: asked for, at the end of its file, or a failure. */
static void bury(struct sl_past *past, const struct sl_seen_encoder *encoder,
                 const struct sl_desired_stream *want, const struct sl_observed *observed,
                 uint64_t *jitter)
{
    const struct sl_record *r = &encoder->record;
    bool killed = strcmp(past->killed_uid, r->uid) == 0;
    bool current = want && strcmp(want->enc_hash, r->spec_hash) == 0;
    const struct sl_src_file *file = want ? want->spec->source.file : NULL;

    memmove(past->counted[1], past->counted[0], sizeof(past->counted) - sizeof(past->counted[0]));
    memcpy(past->counted[0], past->last_uid, sizeof(past->counted[0]));
    memcpy(past->last_uid, r->uid, sizeof(past->last_uid));
    past->dirty = true;
    if (!killed &&
        (encoder->stop_asked || (r->state == SL_ENC_ENDED && strcmp(r->reason, "Stopped") == 0)))
        return;
    if (!killed && r->state == SL_ENC_ENDED && strcmp(r->reason, "EndOfFile") == 0 &&
        (!current || !file || !file->loop)) {
        if (current && file) {
            reset(past); /* it did all that was asked */
            memcpy(past->finished_hash, r->spec_hash, sizeof(past->finished_hash));
        }
        if (!current || file) {
            snprintf(past->last_reason, sizeof(past->last_reason), "EndOfFile");
            snprintf(past->last_message, sizeof(past->last_message), "the file is at its end");
            return;
        }
    }
    explain(past, encoder);
    if (!killed && r->state == SL_ENC_ENDED && sl_source_fault(r->reason)) {
        if (!current) /* the source's fault: no failure, no restart, but later each time */
            return;
        past->forgiven++;
        memcpy(past->failed_hash, r->spec_hash, sizeof(past->failed_hash));
        past->last_delay = sl_backoff_delay(past->forgiven, draw(jitter));
        past->next_attempt = observed->now + past->last_delay;
        return;
    }
    past->restarts++;
    if (!current) /* another spec is wanted by now: it starts at once */
        return;
    past->failures_before = past->failures;
    past->failures++;
    memcpy(past->failed_hash, r->spec_hash, sizeof(past->failed_hash));
    past->last_delay = sl_backoff_delay(past->failures, draw(jitter));
    past->next_attempt = observed->now + past->last_delay;
    past->died_at = observed->now;
    past->died_forgiven = false;
}

/* Many deaths at once are not the streams' fault: nobody's n rises, but the next try still
 * comes later each time, or a broken library would make a storm of starts. */
static void forgive(struct sl_history *history, const struct sl_observed *observed,
                    uint64_t *jitter)
{
    size_t dead = 0, alive = 0;

    for (size_t i = 0; i < observed->encoders_count; i++)
        alive += observed->encoders[i].alive;
    for (size_t i = 0; i < history->count; i++)
        dead += history->list[i].died_at > 0 &&
                observed->now - history->list[i].died_at <= COMMON_WINDOW;
    if (dead < COMMON_LEAST || dead * 10 <= (alive + dead) * 3)
        return;
    for (size_t i = 0; i < history->count; i++) {
        struct sl_past *past = &history->list[i];

        if (past->died_at <= 0 || past->died_forgiven ||
            observed->now - past->died_at > COMMON_WINDOW)
            continue;
        past->died_forgiven = true;
        past->failures = past->failures_before;
        past->forgiven++;
        past->last_delay = sl_backoff_delay(past->forgiven, draw(jitter));
        past->next_attempt = past->died_at + past->last_delay;
        past->dirty = true;
    }
}

static void learn_facts(struct sl_past *past, const struct sl_facts *facts, const char *hash)
{
    bool same = sl_facts_equal(&past->facts, facts) && strcmp(past->facts_hash, hash) == 0;

    for (int i = 0; i < facts->count && same; i++)
        same = past->facts.track[i].b_frames == facts->track[i].b_frames;
    if (same)
        return;
    past->facts = *facts;
    snprintf(past->facts_hash, sizeof(past->facts_hash), "%s", hash);
    past->dirty = true;
}

/* What an encoder tells of the others, MediaMTX's path tells of a stream without one. */
static void look_at_path(struct sl_history *history, const struct sl_desired_stream *want,
                         const struct sl_observed *observed)
{
    const struct sl_seen_path *path = sl_observed_path(observed, want->accepted->name);
    bool pulled = path && strcmp(path->conf.source, "publisher") != 0;
    struct sl_past *past;
    char hash[80];

    if (!path || !path->configured || !path->available || path->conf.always_available ||
        pulled != (want->carrier == SL_CARRIER_PULL) || (!pulled && path->conf.override_publisher))
        return;
    past = sl_history_get(history, want->accepted->name);
    if (!past->first_live) {
        past->first_live = observed->wall;
        past->dirty = true;
    }
    snprintf(hash, sizeof(hash), "path:%.70s",
             strncmp(want->enc_hash, "sha:", 4) == 0 ? want->enc_hash + 4 : want->enc_hash);
    if (path->tracks.count > 0)
        learn_facts(past, &path->tracks, hash);
}

struct found {
    const struct sl_seen_encoder *facts; /* whose facts count */
    bool facts_wanted, live;
};

static void look(struct sl_past *past, const struct sl_seen_encoder *encoder,
                 const struct sl_desired_stream *want, const struct sl_observed *observed,
                 struct found *found)
{
    const struct sl_record *r = &encoder->record;
    bool current = want && strcmp(want->enc_hash, r->spec_hash) == 0;
    enum sl_look seen = sl_look_at(encoder, observed->now);

    if (past->started_at && strcmp(past->started_hash, r->spec_hash) == 0)
        past->started_at = 0;
    if (r->facts.count > 0 && r->state != SL_ENC_STARTING && r->state != SL_ENC_ENDED &&
        (current || (!found->facts_wanted && r->state != SL_ENC_HELD))) {
        found->facts = encoder;
        found->facts_wanted = current;
    }
    if (seen == SL_LOOK_LIVE) {
        found->live |= current;
        if (!past->first_live) {
            past->first_live = observed->wall;
            past->dirty = true;
        }
    }
}

static void settle(struct sl_past *past, const struct sl_desired_stream *want,
                   const struct sl_observed *observed, const struct found *found)
{
    int64_t now = observed->now, needed = past->last_delay * 2;

    if (found->facts)
        learn_facts(past, &found->facts->record.facts, found->facts->record.spec_hash);
    if (past->next_attempt > now + LATEST_ATTEMPT) /* of another boot */
        past->next_attempt = now;
    if (want && past->failed_hash[0] && strcmp(past->failed_hash, want->enc_hash) != 0)
        reset(past);
    if (want && past->finished_hash[0] && strcmp(past->finished_hash, want->enc_hash) != 0) {
        past->finished_hash[0] = 0;
        past->dirty = true;
    }
    if (!found->live) {
        past->healthy_since = 0;
        return;
    }
    if (past->healthy_since <= 0 || past->healthy_since > now)
        past->healthy_since = now;
    if (needed < HEALTHY_LEAST)
        needed = HEALTHY_LEAST;
    if ((past->failures || past->forgiven) && now - past->healthy_since >= needed)
        reset(past);
}

void sl_history_observe(struct sl_history *history, const struct sl_desired *desired,
                        const struct sl_observed *observed, uint64_t *jitter)
{
    struct found *found;

    for (size_t i = 0; i < desired->count; i++)
        if (sl_encoderless(&desired->streams[i]) && observed->engine.reachable)
            look_at_path(history, &desired->streams[i], observed);
    if (!observed->fleet_known)
        return;
    for (size_t i = 0; i < observed->encoders_count; i++) {
        const struct sl_seen_encoder *encoder = &observed->encoders[i];
        const struct sl_desired_stream *want = wanted(desired, encoder->record.name);
        struct sl_past *past;

        if (encoder->newer_layout)
            continue;
        past = want ? sl_history_get(history, encoder->record.name)
                    : sl_history_find(history, encoder->record.name);
        if (!past)
            continue; /* an orphan */
        if (!past->owned) {
            past->owned = true; /* adopted: it is marked and wanted */
            past->dirty = true;
        }
        if (!encoder->alive) {
            if (past->started_at && strcmp(past->started_hash, encoder->record.spec_hash) == 0 &&
                !counted(past, encoder->record.uid))
                past->started_at = 0;
            if (!counted(past, encoder->record.uid))
                bury(past, encoder, want, observed, jitter);
            else if (encoder->record.exited && strcmp(past->last_uid, encoder->record.uid) == 0 &&
                     strcmp(past->last_reason, "EncoderDied") == 0)
                explain(past, encoder); /* the parent told how, a moment later */
        }
    }
    found = sl_alloc((history->count + 1) * sizeof(*found));
    for (size_t i = 0; i < observed->encoders_count; i++) {
        const struct sl_seen_encoder *encoder = &observed->encoders[i];
        struct sl_past *past;

        if (encoder->newer_layout || !encoder->alive)
            continue;
        past = sl_history_find(history, encoder->record.name);
        if (past)
            look(past, encoder, wanted(desired, past->name), observed,
                 &found[past - history->list]);
    }
    for (size_t i = 0; i < history->count; i++)
        settle(&history->list[i], wanted(desired, history->list[i].name), observed, &found[i]);
    sl_freep(&found);
    forgive(history, observed, jitter);
}
