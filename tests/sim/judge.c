/* SPDX-License-Identifier: GPL-2.0-or-later
 * What must hold of paths, publishers and sources in every plan.
 */
#include "tests/sim/world.h"

const struct sl_desired_stream *world_wanted(const struct world *w, const char *name)
{
    for (size_t i = 0; i < w->desired.count; i++)
        if (strcmp(w->desired.streams[i].accepted->name, name) == 0)
            return &w->desired.streams[i];
    return NULL;
}

/* Paths that no encoder explains are plain, and a pull is what its spec and its secret say. */
static void judge_path(struct world *w, const struct sl_path_conf *conf)
{
    const struct sl_desired_stream *d = world_wanted(w, conf->name);
    bool ingest = strchr(conf->name, '/') != NULL;
    const struct sl_seen_path *seen = world_path(w, conf->name);
    struct sl_path_conf want;

    if (strncmp(conf->name, "cam", 3) != 0)
        world_fail(w, "the path %s is a stranger's", conf->name);
    for (size_t i = 0; i < w->nenc && seen && !ingest; i++)
        if (world_going(&w->seen[i]) && !w->seen[i].newer_layout && !sl_carry_encoders(conf) &&
            sl_carry_encoders(&seen->conf) && strcmp(w->seen[i].record.name, conf->name) == 0)
            world_fail(w, "%s is carried otherwise while its encoder publishes", conf->name);
    if (ingest && conf->always_available)
        world_fail(w, "%s has an offline picture", conf->name);
    if (!d || !sl_encoderless(d) || !d->run || sl_secret_lack(d) || d->accepted->absent)
        return;
    for (size_t i = 0; i < w->nenc; i++)
        if (w->seen[i].alive && strcmp(w->seen[i].record.name, conf->name) == 0)
            return; /* one of another spec still has it */
    sl_carry_conf(d, &want);
    if (!sl_path_conf_equal(&want, conf) && w->observed.fleet_known)
        world_fail(w, "the path of %s is not as its spec says", conf->name);
    if (seen && seen->available && sl_path_conf_equal(&want, &seen->conf) &&
        !sl_path_conf_equal(conf, &seen->conf))
        world_fail(w, "the live path of %s would be broken", conf->name);
}

static void judge_users(struct world *w, const struct sl_plan *plan)
{
    for (size_t i = 0; i < plan->users_count; i++) {
        const struct sl_publish_user *user = &plan->users[i];
        char name[16];
        const struct sl_desired_stream *d;

        snprintf(name, sizeof(name), "%.5s", user->path);
        d = world_wanted(w, name);
        if (!d || !d->run || sl_secret_lack(d) || !d->spec->source.publish ||
            (strlen(user->path) > 5) != (d->carrier == SL_CARRIER_INGEST))
            world_fail(w, "somebody may publish on %s", user->path);
        else if ((strcmp(user->name, "any") == 0) != (d->password.name == NULL) ||
                 strcmp(user->password, d->password.name ? d->password.value : "") != 0)
            world_fail(w, "the wrong one may publish on %s", user->path);
    }
}

/* A source that fails is nobody's failure. */
static void judge_restarts(struct world *w)
{
    for (int i = 0; i < w->nstreams; i++) {
        const struct sl_past *past = sl_history_find(&w->history, w->names[i]);

        if (past && past->restarts > w->deaths[i])
            world_fail(w, "%s counts %u restarts, %u encoders died", w->names[i],
                       (unsigned)past->restarts, w->deaths[i]);
    }
}

static void judge_removed(struct world *w, const char *path)
{
    size_t len = strcspn(path, "/");

    for (size_t i = 0; i < w->nenc && path[len]; i++)
        if (w->seen[i].alive && w->enc[i].kind == K_INGEST &&
            strncmp(w->seen[i].record.name, path, len) == 0)
            world_fail(w, "%s is removed, an encoder reads it", path);
}

void world_judge_sources(struct world *w, const struct sl_plan *plan)
{
    for (size_t i = 0; i < plan->paths_count; i++)
        judge_path(w, &plan->paths[i]);
    for (size_t i = 0; i < plan->removed_count; i++)
        judge_removed(w, plan->removed[i]);
    judge_users(w, plan);
    judge_restarts(w);
}

/* All faults have ended: publishers are heard, and no path is left over. */
void world_judge_end(struct world *w, const struct sl_desired_stream *d)
{
    const char *name = d->accepted->name;
    char ingest[32];

    snprintf(ingest, sizeof(ingest), "%.20s/ingest", name);
    if (d->accepted->absent)
        return;
    if (!(d->run && d->carrier == SL_CARRIER_INGEST) && world_path(w, ingest))
        world_fail(w, "%s was left behind", ingest);
    if (d->run && d->spec->source.publish &&
        (!w->sources[world_index(w, name)].up || w->sources[world_index(w, name)].silent))
        world_fail(w, "the publisher of %s is not heard", name);
}
