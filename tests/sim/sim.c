/* SPDX-License-Identifier: GPL-2.0-or-later
 * Runs seeded histories of faults and edits against the core and judges each plan.
 *   sim [--count N] [--jobs N]   N histories (2000), closing line "N passed, N failed"
 *   sim --seed N                 replays one and tells its story
 */
#include "reconcile/core/status.h"
#include "tests/sim/world.h"
#include <sys/wait.h>
#include <unistd.h>

#define EVENTS   220
#define STARTS   1024
#define CONVERGE 900000 /* ms after the last fault */

struct judge {
    struct world *w;
    struct {
        int64_t at;
        int stream;
    } decided[256], starts[STARTS];
    size_t ndecided, nstarts;
    bool deleting[STREAMS_MAX];
    char spent[64][13];
    size_t nspent, released; /* released: by history, before this pass */
    uint64_t cells;
    char plan_id[13];
    unsigned passes;
    int starting[CAMERAS]; /* STARTs of this plan */
};

static const struct sl_seen_encoder *encoder(const struct world *w, const char *uid)
{
    for (size_t i = 0; i < w->nenc; i++)
        if (uid && strcmp(w->seen[i].record.uid, uid) == 0)
            return &w->seen[i];
    return NULL;
}

static bool is_stuck(const struct world *w, const struct sl_seen_encoder *e)
{
    return w->enc[e - w->seen].stuck;
}

static bool listed(const char *const *names, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

/* The guard, told a second time in other words. */
static void judge_deletions(struct judge *j, const struct sl_plan *plan)
{
    struct world *w = j->w;
    int fresh = 0, recent = 0, owned = 0, left = 0;
    bool window[STREAMS_MAX] = {false}, approved = w->approve[0] != 0;

    for (size_t i = 0; i < j->nspent && i < 64 && approved; i++)
        approved = strcmp(j->spent[i], w->approve) != 0;
    for (int i = 0; i < w->nstreams; i++) {
        const struct sl_desired_stream *d = world_wanted(w, w->names[i]);
        bool now = listed(plan->deletions, plan->deletions_count, w->names[i]);

        left += d && !d->accepted->absent;
        if (now && (!w->desired.valid || (d && !d->accepted->absent)))
            world_fail(w, "%s is deleted without proof", w->names[i]);
        if (now && !j->deleting[i]) {
            fresh++;
            if (!w->root)
                world_fail(w, "%s is deleted while the root is gone", w->names[i]);
            if (d && d->spec->protect)
                world_fail(w, "%s is deleted though it is protected", w->names[i]);
        }
        for (size_t k = 0; k < j->ndecided; k++)
            window[i] |= j->decided[k].stream == i && w->now - j->decided[k].at < SL_GUARD_WINDOW;
        if (window[i] && (!now || j->deleting[i]) && !(d && !d->accepted->absent))
            recent++;
        owned += d || window[i];
    }
    if (w->history.released_count > j->released) {
        if (!approved)
            world_fail(w, "%d deletions were released by no approval", fresh);
        memcpy(j->spent[j->nspent++ % 64], w->approve, sizeof(w->approve));
    } else if (fresh && (fresh + recent >= 3 || left == 0) &&
               (left == 0 || (fresh + recent) * 10 >= owned * 3)) {
        world_fail(w, "%d deleted at once (%d recent, %d owned, %d left) without approval", fresh,
                   recent, owned, left);
    } else if (fresh) {
        for (int i = 0; i < w->nstreams; i++)
            if (listed(plan->deletions, plan->deletions_count, w->names[i]) && !j->deleting[i] &&
                j->ndecided < SL_COUNT(j->decided)) {
                j->decided[j->ndecided].at = w->now;
                j->decided[j->ndecided++].stream = i;
            }
    }
    for (int i = 0; i < w->nstreams; i++)
        j->deleting[i] = listed(plan->deletions, plan->deletions_count, w->names[i]);
    for (size_t i = 0; i < plan->gone_count; i++)
        for (size_t k = 0; k < w->nenc; k++)
            if (!w->seen[k].newer_layout && strcmp(w->seen[k].record.name, plan->gone[i]) == 0)
                world_fail(w, "%s is called gone, its encoder is there", plan->gone[i]);
}

static void judge_stop(struct judge *j, const struct sl_plan *plan, const struct sl_action *a,
                       const struct sl_seen_encoder *e)
{
    struct world *w = j->w;
    const struct sl_desired_stream *d = world_wanted(w, a->stream);
    bool deleted = listed(plan->deletions, plan->deletions_count, a->stream);
    bool newer = false, twin = false;

    if (!w->observed.fleet_known)
        world_fail(w, "%s is touched before the encoders are known", a->stream);
    if (e->newer_layout || (!d && !deleted))
        world_fail(w, "%s is an orphan and was touched", a->stream);
    if (a->kind == SL_ACT_KILL && !is_stuck(w, e))
        world_fail(w, "%s is killed though it moves", a->stream);
    if (a->kind == SL_ACT_KILL || deleted || !d)
        return;
    if (!d->run)
        return;
    if (sl_encoderless(d)) {
        if (sl_secret_lack(d))
            world_fail(w, "%s is stopped, its secret is missing: nothing can take over", a->stream);
        return;
    }
    for (size_t i = 0; i < w->nenc; i++) {
        const struct sl_seen_encoder *o = &w->seen[i];

        if (o == e || !o->alive || o->newer_layout || strcmp(o->record.name, a->stream) != 0)
            continue;
        if (strcmp(o->record.spec_hash, d->enc_hash) == 0 && o->record.state >= SL_ENC_HELD)
            newer = true;
        twin |= strcmp(o->record.spec_hash, e->record.spec_hash) == 0;
    }
    if (strcmp(e->record.spec_hash, d->enc_hash) == 0 && !twin)
        world_fail(w, "%s is stopped though it is what is wanted", a->stream);
    if (world_going(e) && !newer)
        world_fail(w, "%s is stopped and nothing can take over", a->stream);
}

static void judge_go(struct judge *j, const struct sl_action *a, const struct sl_seen_encoder *e)
{
    struct world *w = j->w;
    bool path = false;

    for (size_t i = 0; i < w->npaths; i++)
        if (strcmp(w->paths[i].name, a->stream) == 0)
            path = !w->paths[i].conf.always_available ||
                   sl_facts_equal(&w->paths[i].conf.tracks, &e->record.facts);
    if (!path || !w->engine.reachable || !w->engine.configs_known)
        world_fail(w, "%s may go, its path is not as needed", a->stream);
    for (size_t i = 0; i < w->nenc; i++)
        if (&w->seen[i] != e && world_going(&w->seen[i]) &&
            strcmp(w->seen[i].record.name, a->stream) == 0)
            world_fail(w, "%s may go, another encoder still publishes", a->stream);
}

/* Encoders that open a camera's host now, the starts of this plan among them. */
static int opening(const struct judge *j, int camera)
{
    const struct world *w = j->w;
    int n = j->starting[camera];

    for (size_t i = 0; i < w->nenc; i++) {
        const struct waccepted *m = &w->memory[w->enc[i].owner];

        n += w->seen[i].alive && !w->seen[i].newer_layout &&
             w->seen[i].record.state == SL_ENC_STARTING && !w->seen[i].record.reason[0] &&
             w->observed.wall - w->seen[i].record.since < 15000 && m->known &&
             m->as.kind == K_NET && m->as.camera == camera;
    }
    return n;
}

static void judge_start(struct judge *j, const struct sl_action *a)
{
    struct world *w = j->w;
    const struct sl_desired_stream *d = world_wanted(w, a->stream);
    int close = 0, stream = world_index(w, a->stream);

    if (w->memory[stream].as.kind == K_NET)
        j->starting[w->memory[stream].as.camera]++;

    if (!d || !d->run || listed(w->approvals, 0, "") || !w->host_up)
        world_fail(w, "%s is started and should not run", a->stream);
    if (d && d->spec->source.file && !(d->media.exists && d->media.complete))
        world_fail(w, "%s is started without its file", a->stream);
    if (d && (sl_encoderless(d) || sl_secret_lack(d)))
        world_fail(w, "%s is started without need or secret", a->stream);
    if (d && w->memory[stream].as.kind == K_NET && opening(j, w->memory[stream].as.camera) > 4)
        world_fail(w, "%s is the fifth to open its host", a->stream);
    for (size_t i = 0; d && i < w->nenc; i++)
        if (w->seen[i].alive && !w->seen[i].stop_asked && !is_stuck(w, &w->seen[i]) &&
            w->seen[i].record.state != SL_ENC_ENDED &&
            strcmp(w->seen[i].record.name, a->stream) == 0 &&
            strcmp(w->seen[i].record.spec_hash, d->enc_hash) == 0)
            world_fail(w, "%s is started twice", a->stream);
    for (size_t i = 0; i < j->nstarts && i < STARTS; i++)
        close += j->starts[i].stream == stream && w->now - j->starts[i].at < 60000;
    if (close > 60)
        world_fail(w, "%s is started %d times in a minute", a->stream, close);
    j->starts[j->nstarts % STARTS].at = w->now;
    j->starts[j->nstarts++ % STARTS].stream = stream;
}

static void judge_paths(struct judge *j, const struct sl_plan *plan)
{
    struct world *w = j->w;

    for (size_t i = 0; i < w->nenc; i++) {
        const struct sl_seen_encoder *e = &w->seen[i];
        const struct sl_desired_stream *d = world_wanted(w, e->record.name);
        bool found = false;

        if (!e->alive || e->newer_layout || e->record.state != SL_ENC_LIVE || !d || !d->run ||
            e->stop_asked || strcmp(d->enc_hash, e->record.spec_hash) != 0 || is_stuck(w, e) ||
            listed(plan->deletions, plan->deletions_count, e->record.name))
            continue;
        for (size_t k = 0; k < plan->paths_count && !found; k++)
            found = strcmp(plan->paths[k].name, e->record.name) == 0 &&
                    (!plan->paths[k].always_available ||
                     sl_facts_equal(&plan->paths[k].tracks, &e->record.facts));
        if (!found)
            world_fail(w, "the path of %s would be taken away", e->record.name);
        if (listed(plan->removed, plan->removed_count, e->record.name))
            world_fail(w, "the path of %s is removed", e->record.name);
    }
    for (size_t i = 0; i < w->npaths && w->engine.reachable && w->engine.configs_known; i++) {
        const struct sl_desired_stream *d = world_wanted(w, w->paths[i].name);
        bool found = false;

        for (size_t k = 0; k < plan->paths_count && !found; k++)
            found = strcmp(plan->paths[k].name, w->paths[i].name) == 0;
        if (!found && d && d->run &&
            !listed(plan->deletions, plan->deletions_count, w->paths[i].name))
            world_fail(w, "the path of %s would be dropped", w->paths[i].name);
    }
    for (size_t k = 1; k < plan->paths_count; k++)
        if (strcmp(plan->paths[k - 1].name, plan->paths[k].name) >= 0)
            world_fail(w, "paths are not sorted");
}

static void judge_world(struct judge *j)
{
    struct world *w = j->w;

    for (size_t i = 0; i < w->nenc; i++)
        for (size_t k = i + 1; k < w->nenc; k++)
            if (world_going(&w->seen[i]) && world_going(&w->seen[k]) && !w->seen[i].newer_layout &&
                !w->seen[k].newer_layout &&
                strcmp(w->seen[i].record.name, w->seen[k].record.name) == 0)
                world_fail(w, "two encoders of %s publish", w->seen[i].record.name);
}

static void judge_status(struct judge *j, const struct sl_plan *plan)
{
    struct world *w = j->w;
    struct sl_status *s =
        sl_status_make(&w->desired, &w->observed, &w->history, plan, NULL, NULL, 0, NULL, NULL);

    for (size_t i = 0; i < s->streams_count; i++) {
        const struct sl_status_stream *t = &s->streams[i];

        for (int c = 0; c < SL_COND_COUNT; c++)
            if (!t->cond[c].reason || !t->cond[c].message)
                world_fail(w, "%s has no reason for %s", t->name,
                           sl_cond_name((enum sl_cond_type)c));
        if (t->cond[SL_COND_READY].status == SL_TRUE && sl_encoderless(t->desired)) {
            if (!t->path || !t->path->available)
                world_fail(w, "%s is called Ready, nothing comes", t->name);
        } else if (t->cond[SL_COND_READY].status == SL_TRUE &&
                   (!t->encoder || t->encoder->record.state != SL_ENC_LIVE ||
                    strcmp(t->encoder->record.spec_hash, t->desired->enc_hash) != 0))
            world_fail(w, "%s is called Ready and is not", t->name);
    }
    sl_status_free(s);
}

static int64_t pass(struct judge *j, size_t *ret_actions)
{
    struct world *w = j->w;
    struct sl_arena *arena = sl_arena_new();
    struct sl_plan plan;
    int64_t wake;

    world_observe(w);
    j->released = w->history.released_count;
    sl_history_observe(&w->history, &w->desired, &w->observed, &w->jitter);
    sl_plan_make(arena, &w->desired, &w->observed, &w->history, &plan);
    j->cells |= plan.cells;
    memcpy(j->plan_id, plan.id, sizeof(j->plan_id));
    judge_deletions(j, &plan);
    judge_paths(j, &plan);
    world_judge_sources(w, &plan);
    memset(j->starting, 0, sizeof(j->starting));
    for (size_t i = 0; i < plan.actions_count; i++) {
        const struct sl_action *a = &plan.actions[i];
        const struct sl_seen_encoder *e = encoder(w, a->uid);

        if (a->kind == SL_ACT_START)
            judge_start(j, a);
        else if (!e)
            world_fail(w, "action on an encoder that is not there");
        else if (a->kind == SL_ACT_GO)
            judge_go(j, a, e);
        else if (a->kind == SL_ACT_STOP || a->kind == SL_ACT_KILL)
            judge_stop(j, &plan, a, e);
    }
    if (++j->passes % 64 == 0)
        judge_status(j, &plan);
    *ret_actions += plan.actions_count + plan.engine_dirty + plan.kicks_count;
    wake = plan.wake;
    world_apply(w, &plan);
    judge_world(j);
    sl_arena_free(arena);
    return wake;
}

/* Lets time run to `until`; a pass after all that happens and whenever the plan asked. */
static size_t run_until(struct judge *j, int64_t until)
{
    struct world *w = j->w;
    size_t actions = 0;
    int64_t wake = pass(j, &actions);

    for (unsigned guard = 0; !w->error[0]; guard++) {
        int64_t next = world_next(w);

        if (wake > 0 && wake < next)
            next = wake;
        if (next > until)
            break;
        w->now = next > w->now ? next : w->now + 1;
        world_step(w);
        wake = pass(j, &actions);
        if (guard > 20000)
            world_fail(w, "it never comes to rest");
    }
    if (until > w->now)
        w->now = until;
    return actions;
}

static void judge_end(struct judge *j)
{
    struct world *w = j->w;

    world_observe(w);
    for (size_t i = 0; i < w->desired.count && !w->error[0]; i++) {
        const struct sl_desired_stream *d = &w->desired.streams[i];
        const char *name = d->accepted->name;
        const struct sl_past *past = sl_history_find(&w->history, name);
        bool finished = past && strcmp(past->finished_hash, d->enc_hash) == 0;
        size_t alive = 0, live = 0;
        bool path = false;

        for (size_t k = 0; k < w->nenc; k++)
            if (w->seen[k].alive && strcmp(w->seen[k].record.name, name) == 0) {
                alive++;
                live += w->seen[k].record.state == SL_ENC_LIVE &&
                        strcmp(w->seen[k].record.spec_hash, d->enc_hash) == 0;
            }
        for (size_t k = 0; k < w->npaths; k++)
            path |= strcmp(w->paths[k].name, name) == 0;
        world_judge_end(w, d);
        if (!d->run && !d->accepted->absent && (alive || path))
            world_fail(w, "%s is suspended and not at rest", name);
        if (d->run && sl_encoderless(d)) {
            const struct sl_seen_path *seen = world_path(w, name);

            if (alive || !seen || !seen->available || sl_carry_encoders(&seen->conf))
                world_fail(w, "%s did not converge: nothing comes to its path", name);
            continue;
        }
        if (d->run && !finished && (live != 1 || alive != 1 || !path))
            world_fail(w, "%s did not converge (%zu live of %zu, path %d)", name, live, alive,
                       path);
        if (d->run && past && past->failures)
            world_fail(w, "%s still counts %d failures", name, past->failures);
        if (past && past->deleting)
            world_fail(w, "%s is still being deleted", name);
    }
}

static bool run_history(uint64_t seed, bool story, uint64_t *cells)
{
    static struct world w;
    static struct judge j;

    memset(&j, 0, sizeof(j));
    world_init(&w, seed, story);
    j.w = &w;
    for (int i = 0; i < EVENTS && !w.error[0]; i++) {
        uint32_t kind = world_roll(&w, 8);
        enum fault fault;
        int64_t gap = kind == 0 ? 0 : kind < 4 ? world_roll(&w, 60) : world_roll(&w, 4000);

        if (world_roll(&w, 60) == 0)
            gap = 30000 + world_roll(&w, 100000);
        fault = world_roll(&w, 6) ? (enum fault)world_roll(&w, F_COUNT) : F_EDIT;
        world_fault(&w, fault, j.plan_id);
        if (fault == F_STATE_LOST) { /* with it the memory of the guard's window */
            j.ndecided = j.nspent = 0;
            memset(j.deleting, 0, sizeof(j.deleting));
        }
        run_until(&j, w.now + gap);
    }
    if (!w.error[0]) {
        world_heal(&w);
        run_until(&j, w.now + CONVERGE);
        if (!w.error[0])
            judge_end(&j);
        for (int k = 0; k < 3 && !w.error[0]; k++) {
            bool ending = false; /* files that are played once may still come to their end */

            for (size_t i = 0; i < w.nenc; i++)
                ending |= w.enc[i].ends != 0;
            if (run_until(&j, w.now + 20000) && !ending)
                world_fail(&w, "it does not rest though all is as wanted");
        }
    }
    *cells |= j.cells;
    if (w.error[0])
        printf("seed %llu: %s\n", (unsigned long long)seed, w.error);
    world_free(&w);
    return !w.error[0];
}

/* Cells that the plan never asks: the chosen encoder is neither ending, dead, stuck nor foreign. */
static bool reachable(int look, int want)
{
    bool chosen =
        want == SL_WANT_THIS || want == SL_WANT_THIS_NO_PATH || want == SL_WANT_THIS_LATER;

    return !(chosen && (look == SL_LOOK_STUCK || look == SL_LOOK_STOPPING || look == SL_LOOK_DEAD ||
                        look == SL_LOOK_FOREIGN));
}

static size_t uncovered(uint64_t cells)
{
    size_t missing = 0;

    for (int look = 0; look < SL_LOOK_COUNT; look++)
        for (int want = 0; want < SL_WANT_COUNT; want++)
            if (reachable(look, want) && !(cells >> (look * SL_WANT_COUNT + want) & 1)) {
                printf("cell look %d want %d was never visited\n", look, want);
                missing++;
            }
    return missing;
}

struct tally {
    uint64_t passed, failed, cells, first;
};

static void work(unsigned job, unsigned jobs, unsigned long count, int fd)
{
    struct tally t = {0, 0, 0, 0};

    for (unsigned long seed = job; seed < count; seed += jobs) {
        if (run_history(seed, false, &t.cells)) {
            t.passed++;
            continue;
        }
        if (!t.failed++)
            t.first = seed;
    }
    fflush(stdout);
    _exit(write(fd, &t, sizeof(t)) == sizeof(t) ? 0 : 1);
}

static int run_all(unsigned long count, unsigned jobs)
{
    struct tally sum = {0, 0, 0, UINT64_MAX};
    int fds[2];

    if (pipe(fds) < 0)
        return 1;
    fflush(stdout);
    for (unsigned job = 0; job < jobs; job++) {
        pid_t pid = fork();

        if (pid < 0)
            return 1;
        if (pid == 0)
            work(job, jobs, count, fds[1]);
    }
    close(fds[1]);
    for (unsigned job = 0; job < jobs; job++) {
        struct tally t;

        if (read(fds[0], &t, sizeof(t)) != sizeof(t)) {
            sum.failed++; /* a worker crashed */
            continue;
        }
        sum.passed += t.passed;
        sum.failed += t.failed;
        sum.cells |= t.cells;
        if (t.failed && t.first < sum.first)
            sum.first = t.first;
    }
    close(fds[0]);
    while (wait(NULL) > 0)
        ;
    if (sum.first != UINT64_MAX) {
        uint64_t cells = 0;

        printf("the story of seed %llu:\n", (unsigned long long)sum.first);
        run_history(sum.first, true, &cells);
    }
    if (count >= 500 && uncovered(sum.cells))
        sum.failed++;
    printf("%llu passed, %llu failed\n", (unsigned long long)sum.passed,
           (unsigned long long)sum.failed);
    return sum.failed || !sum.passed;
}

int main(int argc, char **argv)
{
    unsigned long count = 2000;
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    unsigned jobs = cpus > 0 && cpus < 64 ? (unsigned)cpus : 2;

    for (int i = 1; i < argc; i += 2) {
        unsigned long value = i + 1 < argc ? strtoul(argv[i + 1], NULL, 10) : 0;

        if (i + 1 < argc && strcmp(argv[i], "--seed") == 0) {
            uint64_t cells = 0;
            bool ok = run_history(value, true, &cells);

            printf("%d passed, %d failed\n", ok, !ok);
            return !ok;
        }
        if (i + 1 < argc && strcmp(argv[i], "--count") == 0 && value) {
            count = value;
        } else if (i + 1 < argc && strcmp(argv[i], "--jobs") == 0 && value && value < 64) {
            jobs = (unsigned)value;
        } else {
            fprintf(stderr, "usage: sim [--count N] [--jobs N] | --seed N\n");
            return 64;
        }
    }
    return run_all(count, jobs);
}
