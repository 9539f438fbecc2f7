/* SPDX-License-Identifier: GPL-2.0-or-later
 * What goes wrong in the simulated world, and what people do to it.
 */
#include "tests/sim/world.h"

const char *const fault_names[F_COUNT] = {
    "crash",        "stuck",       "engine-restart",   "engine-down",
    "host-down",    "media-gone",  "media-back",       "not-media",
    "start-lost",   "silent",      "daemon-restart",   "root-gone",
    "drift",        "foreign",     "state-lost",       "mass-crash",
    "slow-opening", "edit",        "suspend",          "create",
    "delete",       "mass-delete", "approve",          "protect",
    "host-back",    "engine-back", "root-back",        "camera",
    "mute",         "publisher",   "silent-publisher", "secret-gone",
    "secret-back",  "rotate",      "stranger",         "path-lost",
    "nothing"};

static int some_encoder(struct world *w)
{
    int n = w->nenc ? (int)world_roll(w, (uint32_t)w->nenc) : -1;

    return n >= 0 && w->seen[n].alive ? n : -1;
}

static void restart_daemon(struct world *w, bool lose_state)
{
    if (lose_state) {
        sl_history_free(&w->history);
        memset(w->memory, 0, sizeof(w->memory));
    }
    for (size_t i = 0; i < w->history.count; i++) {
        struct sl_past *p = &w->history.list[i];

        memset((char *)p + offsetof(struct sl_past, dirty), 0,
               sizeof(*p) - offsetof(struct sl_past, dirty));
        p->healthy_since = 0;
    }
    w->history.wave_since = 0;
    w->fleet_known = false;
    w->snapshot_valid = false;
    for (size_t i = 0; i < w->nenc; i++) {
        w->seen[i].stop_asked = w->seen[i].gone_asked = false;
        w->seen[i].loops_moved = w->now;
    }
}

static void restart_engine(struct world *w)
{
    if (world_roll(w, 2)) {
        w->npaths = 0;
        w->write_at = 0;
        w->engine.writing = false;
    }
    for (size_t i = 0; i < w->nenc; i++)
        if (world_going(&w->seen[i]) && !w->enc[i].stuck && !w->seen[i].newer_layout) {
            world_enter(w, i, SL_ENC_CONNECTING, "ConnectionLost");
            w->enc[i].next = w->now + 300;
        }
}

static void fault_encoders(struct world *w, enum fault fault, int e)
{
    if (e < 0 || w->seen[e].newer_layout)
        return;
    if (fault == F_CRASH)
        world_die(w, (size_t)e, 11);
    else if (fault == F_SILENT) {
        w->enc[e].silent = !w->enc[e].silent;
        w->enc[e].next = w->now + 5;
    } else if (w->seen[e].record.state != SL_ENC_ENDED && !w->enc[e].dies)
        w->enc[e].stuck = true;
}

static void edit(struct world *w, struct wstream *d)
{
    int token = d->token, media = d->media, kind = d->kind;

    if (d->old_token && world_roll(w, 2)) { /* a revert */
        d->token = d->old_token;
        d->media = d->old_media;
        d->kind = d->old_kind;
    } else {
        d->token++;
        if (world_roll(w, 4) == 0)
            d->kind = (int)world_roll(w, K_COUNT);
        if (world_roll(w, 8) == 0)
            d->secret = (int)world_roll(w, SECRETS + 1) - 1;
        if (world_roll(w, 2))
            d->media = (int)world_roll(w, MEDIA_MAX + 1) - 1;
    }
    d->old_token = token;
    d->old_media = media;
    d->old_kind = kind;
}

/* Somebody patches a path of ours by hand. */
static void drift(struct world *w)
{
    struct sl_seen_path *path = w->npaths ? &w->paths[world_roll(w, (uint32_t)w->npaths)] : NULL;

    if (!path || strncmp(path->name, "cam", 3) != 0)
        return;
    switch (world_roll(w, 4)) {
    case 0:
        path->conf.max_readers = 7;
        break;
    case 1:
        path->conf.override_publisher = !path->conf.override_publisher;
        break;
    case 2:
        path->conf.altered = true;
        break;
    default:
        snprintf(path->conf.source, sizeof(path->conf.source), "%s",
                 world_roll(w, 2) ? "publisher" : "rtsp://nvr0/other");
        break;
    }
    path->source_type[0] = 0; /* whoever published there is gone */
    world_shake(w);
}

void world_fault(struct world *w, enum fault fault, const char *plan_id)
{
    struct wstream *d = &w->dir[world_roll(w, (uint32_t)w->nstreams)];
    struct media *m = &w->media[world_roll(w, MEDIA_MAX)];
    int e = some_encoder(w);

    world_say(w, "fault %s %s", fault_names[fault],
              fault >= F_EDIT && fault <= F_PROTECT ? w->names[d - w->dir] : "");
    switch (fault) {
    case F_CRASH:
    case F_STUCK:
    case F_SILENT:
        fault_encoders(w, fault, e);
        break;
    case F_MASS_CRASH:
        for (size_t i = 0; i < w->nenc; i++)
            if (w->seen[i].alive && !w->seen[i].newer_layout && world_roll(w, 4))
                world_die(w, i, 6);
        break;
    case F_ENGINE_RESTART:
        restart_engine(w);
        break;
    case F_ENGINE_DOWN:
        w->engine.reachable = w->engine.configs_known = false;
        world_shake(w);
        break;
    case F_ENGINE_BACK:
        w->engine.reachable = true;
        w->engine.configs_known = world_roll(w, 3) != 0 || w->engine.configs_known;
        break;
    case F_HOST_DOWN:
    case F_HOST_BACK:
        w->host_up = fault == F_HOST_BACK;
        break;
    case F_MEDIA_GONE:
        m->exists = false;
        break;
    case F_MEDIA_BACK:
        m->exists = true;
        m->complete = world_roll(w, 3) != 0;
        m->version += (int)world_roll(w, 2);
        m->broken = false;
        m->kind = (m->kind + (int)world_roll(w, 3)) % 4;
        m->version++;
        break;
    case F_NOT_MEDIA:
        m->version++;
        m->broken = true;
        break;
    case F_START_LOST:
        w->start_lost = !w->start_lost;
        break;
    case F_OPENING:
        w->slow_open = !w->slow_open;
        break;
    case F_DAEMON_RESTART:
    case F_STATE_LOST:
        restart_daemon(w, fault == F_STATE_LOST);
        break;
    case F_ROOT_GONE:
    case F_ROOT_BACK:
        w->root = fault == F_ROOT_BACK;
        break;
    case F_DRIFT:
        drift(w);
        break;
    case F_CAMERA:
    case F_MUTE:
    case F_PUBLISHER:
    case F_SILENT_PUBLISHER:
    case F_SECRET_GONE:
    case F_SECRET_BACK:
    case F_ROTATE:
    case F_STRANGER:
    case F_PATH_LOST:
        world_source_fault(w, fault, (int)(d - w->dir));
        break;
    case F_FOREIGN:
        if (w->nenc + 1 < SEEN_MAX && world_roll(w, 3) == 0) {
            size_t n = world_add_encoder(w, (int)(d - w->dir), "other", 1, d);

            w->seen[n].newer_layout = true;
            world_enter(w, n, SL_ENC_LIVE, "");
            w->enc[n].next = w->enc[n].ends = 0;
            w->enc[n].dies = w->now + 100 + world_roll(w, 9000);
        }
        break;
    case F_EDIT:
        if (world_roll(w, 2))
            d = &w->dir[w->last]; /* people edit what they have just edited */
        w->last = (int)(d - w->dir);
        edit(w, d);
        break;
    case F_SUSPEND:
        d->suspend = !d->suspend;
        break;
    case F_CREATE:
        d->there = true;
        break;
    case F_DELETE:
        d->there = false;
        break;
    case F_MASS_DELETE:
        for (int i = 0; i < w->nstreams; i++)
            w->dir[i].there &= world_roll(w, 3) == 0;
        break;
    case F_APPROVE:
        snprintf(w->approve, sizeof(w->approve), "%s", plan_id);
        break;
    case F_PROTECT:
        d->protect = !d->protect;
        break;
    case F_NOTHING:
    case F_COUNT:
        break;
    }
}

void world_heal(struct world *w)
{
    world_say(w, "all faults end");
    w->root = w->host_up = true;
    w->start_lost = w->slow_open = false;
    w->engine.reachable = w->engine.configs_known = true;
    for (int i = 0; i < CAMERAS; i++) {
        w->camera_on[i] = true;
        w->camera_mute[i] = false;
    }
    for (int i = 0; i < SECRETS; i++)
        w->secret_there[i] = true;
    for (int i = 0; i < w->nstreams; i++)
        w->sources[i].there = true;
    world_shake(w);
    for (int i = 0; i < MEDIA_MAX; i++) {
        if (w->media[i].broken)
            w->media[i].version++;
        w->media[i].exists = w->media[i].complete = true;
        w->media[i].broken = false;
    }
    for (size_t i = 0; i < w->nenc; i++)
        if (w->enc[i].silent) {
            w->enc[i].silent = false;
            w->enc[i].next = w->now + 5;
        }
}
