/* SPDX-License-Identifier: GPL-2.0-or-later
 * The simulated world: encoders, MediaMTX and media as small state machines over a fake clock.
 */
#include "tests/sim/world.h"
#include <stdarg.h>

uint32_t world_roll(struct world *w, uint32_t sides)
{
    w->rng ^= w->rng >> 12;
    w->rng ^= w->rng << 25;
    w->rng ^= w->rng >> 27;
    return (uint32_t)((w->rng * 2685821657736338717u) >> 33) % sides;
}

void world_say(struct world *w, const char *format, ...)
{
    va_list args;

    if (!w->story)
        return;
    printf("%10.3f  ", (double)w->now / 1000);
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    putchar('\n');
}

void world_fail(struct world *w, const char *format, ...)
{
    va_list args;

    if (w->error[0])
        return;
    va_start(args, format);
    vsnprintf(w->error, sizeof(w->error), format, args);
    va_end(args);
    world_say(w, "VIOLATED: %s", w->error);
}

int world_index(const struct world *w, const char *name)
{
    for (int i = 0; i < w->nstreams; i++)
        if (strcmp(w->names[i], name) == 0)
            return i;
    return -1;
}

bool world_going(const struct sl_seen_encoder *e)
{
    return e->alive && (e->record.state == SL_ENC_CONNECTING || e->record.state == SL_ENC_LIVE ||
                        e->record.state == SL_ENC_SILENT);
}

void world_init(struct world *w, uint64_t seed, bool story)
{
    bool cameras;

    memset(w, 0, sizeof(*w));
    w->rng = (seed + 1) * 0x9e3779b97f4a7c15u;
    w->jitter = seed * 77 + 1;
    w->story = story;
    w->now = 1000000;
    w->boot_wall = 1700000000000 - w->now;
    w->nstreams = 3 + (int)world_roll(w, STREAMS_MAX - 3);
    w->root = w->host_up = true;
    w->engine.reachable = w->engine.configs_known = true;
    for (int i = 0; i < MEDIA_MAX; i++)
        w->media[i] = (struct media){true, true, false, 1, i % 4};
    cameras = world_roll(w, 8) == 0;
    for (int i = 0; i < w->nstreams; i++) {
        snprintf(w->names[i], sizeof(w->names[i]), "cam%02d", i);
        w->dir[i].media = (int)world_roll(w, MEDIA_MAX + 1) - 1;
        w->dir[i].loop = world_roll(w, 8) != 0;
        w->dir[i].there = world_roll(w, 4) != 0;
        w->dir[i].kind = world_roll(w, 5) > 1 ? K_MEDIA : (int)world_roll(w, K_COUNT);
        w->dir[i].camera = (int)world_roll(w, CAMERAS);
        if (cameras && world_roll(w, 8)) { /* many of one host, read by encoders */
            w->dir[i].kind = K_NET;
            w->dir[i].camera = 0;
        }
        w->dir[i].secret = (int)world_roll(w, SECRETS + 1) - 1;
        w->sources[i].there = true;
    }
    for (int i = 0; i < CAMERAS; i++)
        w->camera_on[i] = true;
    for (int i = 0; i < SECRETS; i++) {
        w->secret_there[i] = true;
        w->secret_version[i] = 1;
    }
}

void world_free(struct world *w)
{
    sl_history_free(&w->history);
}

/* ---- encoders ---- */

static void tracks(int kind, struct sl_facts *facts)
{
    static const char *const second[] = {"MPEG4Audio", NULL, "Opus", "MPEG-1/2 Audio"};

    memset(facts, 0, sizeof(*facts));
    snprintf(facts->track[facts->count++].codec, 32, "H264");
    if (second[kind]) {
        snprintf(facts->track[facts->count].codec, 32, "%s", second[kind]);
        facts->track[facts->count].sample_rate = 48000;
        facts->track[facts->count++].channels = 2;
    }
}

size_t world_add_encoder(struct world *w, int stream, const char *hash, uint64_t generation,
                         const struct wstream *as)
{
    size_t n = w->nenc++;
    struct sl_seen_encoder *e = &w->seen[n];
    struct wencoder *x = &w->enc[n];

    memset(e, 0, sizeof(*e));
    memset(x, 0, sizeof(*x));
    snprintf(e->record.uid, sizeof(e->record.uid), "%016x", ++w->uids);
    memcpy(e->record.name, w->names[stream], sizeof(w->names[stream]));
    snprintf(e->record.spec_hash, sizeof(e->record.spec_hash), "%s", hash);
    e->record.generation = generation;
    e->record.since = w->boot_wall + w->now;
    e->record.pid = (int)w->uids;
    e->alive = true;
    e->stats_known = true;
    e->loops_moved = e->packets_moved = w->now;
    x->owner = stream;
    x->kind = as->kind;
    x->camera = as->camera;
    x->media = as->kind == K_MEDIA ? as->media : -1;
    x->version = x->media >= 0 ? w->media[x->media].version : 0;
    x->broken = x->media >= 0 && w->media[x->media].broken;
    x->next = w->now + 20 + world_roll(w, w->slow_open ? 4000 : 280);
    if (x->media >= 0 && !as->loop)
        x->ends = w->now + 20000 + world_roll(w, 60000);
    return n;
}

void world_enter(struct world *w, size_t n, enum sl_enc_state state, const char *reason)
{
    w->seen[n].record.state = state;
    w->seen[n].record.state_since = w->boot_wall + w->now;
    snprintf(w->seen[n].record.reason, sizeof(w->seen[n].record.reason), "%s", reason);
}

void world_die(struct world *w, size_t n, int exit_signal)
{
    if (!w->seen[n].stop_asked && w->seen[n].record.state != SL_ENC_ENDED)
        w->deaths[w->enc[n].owner]++;
    else if (exit_signal || strcmp(w->seen[n].record.reason, "NotMedia") == 0)
        w->deaths[w->enc[n].owner]++;
    w->seen[n].alive = false;
    w->enc[n].next = w->enc[n].dies = w->enc[n].ends = 0;
    w->enc[n].exit_signal = exit_signal;
    w->enc[n].tell_exit = w->now + world_roll(w, 30);
    world_say(w, "%s %s dies (signal %d, %s)", w->seen[n].record.name, w->seen[n].record.uid + 12,
              exit_signal, w->seen[n].record.reason);
}

struct sl_seen_path *world_path(struct world *w, const char *name)
{
    for (size_t i = 0; i < w->npaths; i++)
        if (strcmp(w->paths[i].name, name) == 0)
            return &w->paths[i];
    return NULL;
}

static void leave(struct world *w, size_t n, const char *reason)
{
    world_enter(w, n, SL_ENC_ENDED, reason);
    w->enc[n].next = 0;
    w->enc[n].dies = w->now + 5 + world_roll(w, 60);
    w->enc[n].exit_signal = 0;
}

static void encoder_step(struct world *w, size_t n)
{
    struct sl_seen_encoder *e = &w->seen[n];
    struct wencoder *x = &w->enc[n];
    const struct sl_seen_path *path = world_path(w, e->record.name);
    bool silent = x->silent || !world_source_flows(w, n);
    bool accepted =
        w->engine.reachable && path && sl_carry_encoders(&path->conf) &&
        (!path->conf.always_available || sl_facts_equal(&path->conf.tracks, &e->record.facts));

    x->next = 0;
    switch (e->record.state) {
    case SL_ENC_STARTING:
        if (x->broken) {
            leave(w, n, "NotMedia");
            break;
        }
        if (!world_source_flows(w, n)) { /* it tries again, or gives up: both must be borne */
            world_enter(w, n, SL_ENC_STARTING, "SourceUnreachable");
            if (++x->tries > 6 && world_roll(w, 4) == 0)
                leave(w, n, "SourceUnreachable");
            else
                x->next = w->now + 1000 + world_roll(w, 1000);
            break;
        }
        tracks(x->media >= 0 ? w->media[x->media].kind : 0, &e->record.facts);
        world_enter(w, n, SL_ENC_HELD, "");
        break;
    case SL_ENC_HELD:
        if (x->go) {
            world_enter(w, n, SL_ENC_CONNECTING, "");
            x->next = w->now + 20;
        }
        break;
    case SL_ENC_CONNECTING:
        if (accepted)
            world_enter(w, n, silent ? SL_ENC_SILENT : SL_ENC_LIVE, silent ? "NoFrames" : "");
        else
            world_enter(w, n, SL_ENC_CONNECTING, "PublishRefused");
        x->next = w->now + 500;
        break;
    case SL_ENC_LIVE:
    case SL_ENC_SILENT:
        if (!accepted)
            world_enter(w, n, SL_ENC_CONNECTING, "ConnectionLost");
        else
            world_enter(w, n, silent ? SL_ENC_SILENT : SL_ENC_LIVE, silent ? "NoFrames" : "");
        x->next = accepted ? 0 : w->now + 500;
        break;
    case SL_ENC_ENDED:
    case SL_ENC_STATE_COUNT:
        break;
    }
}

/* All going encoders look at MediaMTX again. */
void world_shake(struct world *w)
{
    for (size_t i = 0; i < w->nenc; i++)
        if (world_going(&w->seen[i]) && !w->enc[i].stuck && !w->seen[i].newer_layout)
            w->enc[i].next = w->now + 5;
}

static void land_write(struct world *w)
{
    w->write_at = 0;
    w->engine.writing = false;
    if (!w->engine.reachable)
        return;
    for (size_t i = w->npaths; i-- > 0;) { /* who is not named stays, strangers too */
        bool kept = true;

        for (size_t k = 0; k < w->nremoved; k++)
            kept &= strcmp(w->removed[k], w->paths[i].name) != 0;
        for (size_t k = 0; k < w->npending; k++)
            kept &= strcmp(w->pending[k].name, w->paths[i].name) != 0 ||
                    sl_path_conf_equal(&w->pending[k], &w->paths[i].conf);
        if (!kept)
            w->paths[i] = w->paths[--w->npaths];
    }
    for (size_t i = 0; i < w->npending; i++) {
        struct sl_seen_path *path = world_path(w, w->pending[i].name);

        if (path)
            continue;
        path = &w->paths[w->npaths++];
        memset(path, 0, sizeof(*path));
        memcpy(path->name, w->pending[i].name, sizeof(path->name));
        path->configured = path->listed = true;
        path->conf = w->pending[i];
        path->readers = (int)i % 3;
    }
    world_sources(w);
    world_shake(w);
}

static int64_t earlier(int64_t a, int64_t b)
{
    return b > 0 && b < a ? b : a;
}

int64_t world_next(const struct world *w)
{
    int64_t at = INT64_MAX;

    at = earlier(earlier(at, w->write_at), world_sources_next(w));
    for (size_t i = 0; i < w->nenc; i++) {
        if (!w->enc[i].stuck)
            at = earlier(earlier(at, w->enc[i].next), w->enc[i].ends);
        at = earlier(earlier(at, w->enc[i].dies), w->enc[i].tell_exit);
    }
    return at;
}

void world_step(struct world *w)
{
    if (w->write_at && w->write_at <= w->now)
        land_write(w);
    world_sources(w);
    for (size_t i = 0; i < w->nenc; i++) {
        struct wencoder *x = &w->enc[i];

        if (x->dies && x->dies <= w->now)
            world_die(w, i, x->exit_signal);
        if (w->seen[i].alive && !x->stuck && x->ends && x->ends <= w->now) {
            x->ends = 0;
            if (w->seen[i].record.state != SL_ENC_ENDED)
                leave(w, i, "EndOfFile");
        }
        if (w->seen[i].alive && !x->stuck && x->next && x->next <= w->now)
            encoder_step(w, i);
        if (x->tell_exit && x->tell_exit <= w->now) {
            x->tell_exit = 0;
            w->seen[i].record.exited = true;
            w->seen[i].record.exit_signal = x->exit_signal;
        }
    }
}

/* ---- what the daemon sees ---- */

static void accept(struct world *w)
{
    for (int i = 0; i < w->nstreams; i++) {
        struct waccepted *m = &w->memory[i];
        const struct wstream *d = &w->dir[i];

        if (!w->root || !d->there) {
            m->absent = true;
            continue;
        }
        m->absent = false;
        if (m->known && memcmp(&m->as, d, sizeof(*d)) == 0)
            continue;
        m->known = true;
        m->as = *d;
        m->generation++;
    }
    w->snapshot_valid = true;
}

static void fill_stream(struct world *w, int i, struct sl_desired_stream *s)
{
    struct waccepted *m = &w->memory[i];
    bool has_media = m->as.kind == K_MEDIA && m->as.media >= 0;
    const struct media *media = has_media ? &w->media[m->as.media] : NULL;

    memset(s, 0, sizeof(*s));
    snprintf(m->hash, sizeof(m->hash), "v1:%d.%d.%d", m->as.token, m->as.media, m->as.kind);
    m->accepted = (struct sl_accepted){.name = w->names[i],
                                       .kind = SL_KIND_STREAM,
                                       .file = "x",
                                       .line = 1,
                                       .generation = m->generation,
                                       .hash = m->hash,
                                       .absent = m->absent};
    m->spec = (struct sl_stream_spec){.suspend = m->as.suspend, .protect = m->as.protect};
    m->file = (struct sl_src_file){.path = (char *)"m", .loop = m->as.loop};
    m->spec.source.file = media ? &m->file : NULL;
    m->spec.source.test = media || m->as.kind != K_MEDIA ? NULL : &m->test;
    s->accepted = &m->accepted;
    s->spec = &m->spec;
    s->run = !m->as.suspend;
    s->media_path = media ? "/m" : NULL;
    if (media) {
        s->media.exists = media->exists;
        s->media.complete = media->exists && media->complete;
        if (media->exists)
            snprintf(s->media.id, sizeof(s->media.id), "%d:%d", m->as.media, media->version);
    }
    snprintf(s->enc_hash, sizeof(s->enc_hash), "sha:%d.%d.%d.%d.%d", m->as.token, m->as.media,
             m->as.loop, media && media->exists, media && media->exists ? media->version : 0);
    if (m->as.kind != K_MEDIA)
        world_fill_source(w, i, s);
}

static int by_path(const void *a, const void *b)
{
    return strcmp(((const struct sl_seen_path *)a)->name, ((const struct sl_seen_path *)b)->name);
}

void world_observe(struct world *w)
{
    size_t n = 0;

    accept(w);
    for (int i = 0; i < w->nstreams; i++)
        if (w->memory[i].known)
            fill_stream(w, i, &w->dstreams[n++]);
    w->approvals[0] = w->approve;
    w->desired = (struct sl_desired){.valid = w->snapshot_valid,
                                     .root_present = w->root,
                                     .snapshot = "s",
                                     .streams = w->dstreams,
                                     .count = n,
                                     .approvals = w->approvals,
                                     .approvals_count = w->approve[0] != 0};
    for (size_t i = 0; i < w->nenc; i++)
        if (w->seen[i].alive && !w->enc[i].stuck)
            w->seen[i].loops_moved = w->now;
    world_sources(w);
    qsort(w->paths, w->npaths, sizeof(w->paths[0]), by_path);
    w->observed = (struct sl_observed){.now = w->now,
                                       .wall = w->boot_wall + w->now,
                                       .host_up = w->host_up,
                                       .fleet_known = w->fleet_known,
                                       .encoders = w->seen,
                                       .encoders_count = w->nenc,
                                       .engine = w->engine,
                                       .paths = w->paths,
                                       .paths_count = w->engine.reachable ? w->npaths : 0};
    w->observed.engine.live_at = w->now;
    w->fleet_known = true;
}

static void forget_encoder(struct world *w, size_t n)
{
    w->nenc--;
    memmove(&w->seen[n], &w->seen[n + 1], (w->nenc - n) * sizeof(w->seen[0]));
    memmove(&w->enc[n], &w->enc[n + 1], (w->nenc - n) * sizeof(w->enc[0]));
}

static void apply_one(struct world *w, const struct sl_action *a)
{
    size_t n = w->nenc;

    for (size_t i = 0; a->uid && i < w->nenc; i++)
        if (strcmp(w->seen[i].record.uid, a->uid) == 0)
            n = i;
    if (a->kind != SL_ACT_START && n == w->nenc)
        return; /* forgotten in this very plan */
    switch (a->kind) {
    case SL_ACT_START:
        if (w->start_lost || !w->host_up || w->nenc == SEEN_MAX)
            break;
        world_add_encoder(w, world_index(w, a->stream), a->desired->enc_hash,
                          a->desired->accepted->generation,
                          &w->memory[world_index(w, a->stream)].as);
        break;
    case SL_ACT_GO:
        w->seen[n].gone_asked = true;
        w->enc[n].go = true;
        if (!w->enc[n].next)
            w->enc[n].next = w->now + 5;
        break;
    case SL_ACT_STOP:
        w->seen[n].stop_asked = true;
        w->seen[n].stop_since = w->now;
        if (w->enc[n].stuck) {
            w->enc[n].dies = w->now + 5000; /* fleet's grace, then SIGKILL */
            w->enc[n].exit_signal = 9;
        } else {
            leave(w, n, "Stopped");
            w->enc[n].dies = w->now + 5 + world_roll(w, 400);
        }
        break;
    case SL_ACT_KILL:
        w->enc[n].dies = w->now + 5; /* or it hangs in the kernel for a while */
        if (world_roll(w, 4) == 0)
            w->enc[n].dies += world_roll(w, 8000);
        w->enc[n].exit_signal = 9;
        break;
    case SL_ACT_FORGET:
        if (w->seen[n].alive)
            world_fail(w, "forgot the record of a living encoder of %s", a->stream);
        forget_encoder(w, n);
        break;
    case SL_ACT_COUNT:
        break;
    }
}

void world_apply(struct world *w, const struct sl_plan *plan)
{
    char uids[64][SL_UID_LEN + 1];

    for (size_t i = 0; i < plan->actions_count; i++) {
        struct sl_action a = plan->actions[i];

        world_say(w, "%s %s %s: %s", sl_action_name(a.kind), a.stream, a.uid ? a.uid + 12 : "",
                  a.reason);
        if (a.uid) /* names and uids of the plan point into what forgetting moves */
            memcpy(uids[i % 64], a.uid, sizeof(uids[0]));
    }
    for (size_t i = 0; i < plan->actions_count; i++) {
        struct sl_action a = plan->actions[i];

        if (a.uid)
            a.uid = uids[i % 64];
        apply_one(w, &a);
    }
    for (size_t i = 0; i < plan->kicks_count; i++)
        world_kick(w, &plan->kicks[i]);
    for (int i = 0; i < w->nstreams; i++)
        w->sources[i].user = 0;
    for (size_t i = 0; i < plan->users_count; i++) {
        const struct sl_publish_user *user = &plan->users[i];
        char name[16];

        snprintf(name, sizeof(name), "%.5s", user->path); /* without /ingest */
        w->sources[world_index(w, name)].user =
            user->password[0] ? (unsigned)atoi(user->password + 2) : 1;
    }
    world_sources(w);
    if (plan->engine_dirty && !plan->engine_wait && !w->write_at && w->engine.reachable) {
        w->npending = plan->paths_count;
        w->nremoved = plan->removed_count;
        for (size_t i = 0; i < plan->removed_count; i++)
            snprintf(w->removed[i], sizeof(w->removed[i]), "%s", plan->removed[i]);
        memcpy(w->pending, plan->paths, plan->paths_count * sizeof(w->pending[0]));
        w->write_at = w->now + 10 + world_roll(w, 100);
        w->engine.writing = true;
        world_say(w, "write of %zu paths", plan->paths_count);
    }
    for (size_t i = 0; i < plan->gone_count; i++) {
        int s = world_index(w, plan->gone[i]);
        char name[208];

        snprintf(name, sizeof(name), "%s", plan->gone[i]);
        world_say(w, "gone %s", name);
        sl_history_forget(&w->history, name);
        w->deaths[s] = 0;
        if (w->memory[s].absent)
            w->memory[s].known = false;
    }
}
