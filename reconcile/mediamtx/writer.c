/* SPDX-License-Identifier: GPL-2.0-or-later
 * The writer's steps. While one is under way nothing else is written: a file reload would wipe
 * an API change made beside it. wanted.c says what differs. Layer: mediamtx.
 */
#include "reconcile/mediamtx/writer_impl.h"

#define PERSIST_MS  2000
#define PERSIST_CAP 10000
#define HOLD_MS     500
#define HOLD_MAX_MS 5000

static void kick(struct sl_writer *w);

bool sl_writer_by_api(size_t changes, size_t paths, int64_t wait)
{
    /* Microseconds, read back included, as measured at 10, 100 and 1,000 paths (docs/adr/0004). */
    int64_t api = (int64_t)changes * (3000 + 120 * (int64_t)paths);
    int64_t file = 22000 + 325 * (int64_t)paths + 1000 * wait;

    return api <= file;
}

void writer_enter(struct sl_writer *w, enum writer_step step)
{
    w->step = step;
    w->epoch++;
}

static void idle(struct sl_writer *w)
{
    writer_enter(w, WRITER_IDLE);
    sl_mtx_cancel(w->options.client, w);
    w->persisting = false;
    sl_timer_at(w->timer, 0);
    free(w->text);
    w->text = NULL;
}

void writer_persist_later(struct sl_writer *w)
{
    int64_t now = sl_now_mono(), at = now + PERSIST_MS;

    if (!w->options.file || w->filed == w->wanted.version)
        return;
    if (!w->persist_since)
        w->persist_since = now;
    if (at > w->persist_since + PERSIST_CAP)
        at = w->persist_since + PERSIST_CAP;
    sl_timer_at(w->persist, at);
}

void writer_outcome(struct sl_writer *w)
{
    idle(w);
    if (w->held_until <= sl_now_mono())
        w->hold = 0;
    kick(w);
    w->options.changed(w->options.user);
}

void writer_hold(struct sl_writer *w)
{
    w->hold = w->hold ? 2 * w->hold : HOLD_MS;
    if (w->hold > HOLD_MAX_MS)
        w->hold = HOLD_MAX_MS;
    w->held_until = sl_now_mono() + w->hold;
}

void writer_failed(struct sl_writer *w)
{
    w->stale = true;
    writer_hold(w);
    writer_outcome(w);
}

/* --- reading all paths back ------------------------------------------------------------------ */

static void confs_read(void *user, long status, void *parsed, const char *error)
{
    struct sl_writer *w = user;
    bool api = w->step == WRITER_READBACK;

    (void)status;
    if (!api && w->step != WRITER_CONFS) {
        free(parsed);
        return;
    }
    if (!parsed) {
        sl_log(SL_LOG_DEBUG, "mediamtx not read back", "reason", error, NULL);
        writer_failed(w);
        return;
    }
    free(w->confs);
    w->confs = parsed;
    w->stale = false;
    if (sl_ops_open(&w->ops, w->confs)) {
        if (++w->reads < WRITER_READBACK_MAX) { /* 200 comes before it is applied */
            sl_timer_at(w->timer, sl_now_mono() + WRITER_READBACK_MS);
            return;
        }
        writer_hold(w);
    }
    if (api)
        writer_persist_later(w);
    writer_outcome(w);
}

void writer_read_confs(struct sl_writer *w)
{
    sl_mtx_call(w->options.client, "GET", SL_MTX_GET_CONFS, NULL, sl_mtx_parse_confs, confs_read,
                w);
}

/* --- deciding ------------------------------------------------------------------------------ */

struct sl_mtx_content writer_content(const struct sl_writer *w, const char *marker)
{
    struct sl_mtx_content content = {.marker = marker, .generation = w->running};
    struct sl_path_conf *paths;

    content.count = sl_wanted_accepted(&w->wanted, &paths);
    content.paths = paths;
    if (!w->wanted.users_refused) {
        content.users = w->wanted.users;
        content.users_count = w->wanted.users_count;
    }
    if (!content.generation)
        content.generation = w->generation;
    return content;
}

/* NULL: they are not ours. */
static json_t *wanted_users(struct sl_writer *w, char ret_hash[SL_SHA_HEX])
{
    char marker[SL_MTX_HASH];
    struct sl_mtx_content content;
    json_t *users;

    sl_mtx_hash_random(marker);
    content = writer_content(w, marker);
    sl_mtx_users_hash(content.users, content.users_count, ret_hash);
    users = sl_mtx_file_users(w->options.file, &content);
    free((void *)(uintptr_t)content.paths);
    return users;
}

/* The body of the change, NULL: they are as wanted, not ours, or not known. */
static char *users_change(struct sl_writer *w)
{
    char hash[SL_SHA_HEX], shape[SL_SHA_HEX], *body = NULL;
    json_t *users;

    if (!w->options.file || !*w->users_seen)
        return NULL;
    if (w->users_shape_of == w->wanted.version + 1 && strcmp(w->users_seen, w->users_shape) == 0 &&
        strcmp(w->users_set, w->users_op) == 0)
        return NULL; /* nothing moved since it was last compared */
    users = wanted_users(w, hash);
    if (!users)
        return NULL;
    sl_mtx_users_shape(users, shape);
    memcpy(w->users_shape, shape, sizeof(shape));
    memcpy(w->users_op, hash, sizeof(hash));
    w->users_shape_of = w->wanted.version + 1;
    if (!*w->users_set && !w->wanted.users_count)
        memcpy(w->users_set, hash, sizeof(hash)); /* none: there is nothing but the shape */
    if (strcmp(shape, w->users_seen) == 0 && strcmp(hash, w->users_set) == 0) {
        json_decref(users);
        return NULL;
    }
    users = json_pack("{s:o}", "authInternalUsers", users);
    body = json_dumps(users, JSON_COMPACT);
    json_decref(users);
    return body;
}

static bool file_usable(const struct sl_writer *w)
{
    return w->options.file && w->mode != SL_WRITER_API && sl_now_mono() >= w->broken_until;
}

static void kick(struct sl_writer *w)
{
    int64_t now = sl_now_mono(), wait = w->loaded_at ? w->loaded_at + WRITER_DEAF_MS - now : 0;
    bool api;

    if (w->step != WRITER_IDLE || !w->connected || !w->confs || w->stale || !w->wanted.given ||
        w->job)
        return;
    if (w->held_until > now) {
        sl_timer_at(w->timer, w->held_until);
        return;
    }
    sl_wanted_diff(&w->wanted, w->confs, users_change(w), &w->ops);
    w->op = 0;
    if (file_usable(w) && w->from_file) {
        writer_file_start(w, "first contact: users and paths in one step");
        return;
    }
    if (w->ops.count == 0) {
        if (w->options.file && w->filed != w->wanted.version && !w->persist_since)
            writer_persist_later(w);
        return;
    }
    api = !file_usable(w) || (w->mode == SL_WRITER_AUTO &&
                              sl_writer_by_api(w->ops.count, w->confs->count, wait > 0 ? wait : 0));
    if (api)
        writer_api_next(w);
    else
        writer_file_start(w, "the configuration differs in many places");
}

static void timer(void *user)
{
    struct sl_writer *w = user;

    switch (w->step) {
    case WRITER_IDLE:
        kick(w);
        break;
    case WRITER_DEAF:
        writer_file_rename(w);
        break;
    case WRITER_POLL:
        writer_file_poll(w);
        break;
    case WRITER_READBACK:
        writer_api_read(w);
        break;
    case WRITER_CONFS:
        writer_read_confs(w);
        break;
    case WRITER_API:
    case WRITER_RENAME:
        break;
    }
}

static void persist(void *user)
{
    struct sl_writer *w = user;

    w->persist_since = 0;
    if (!w->connected || !w->confs || w->stale || w->filed == w->wanted.version)
        return;
    if (w->step != WRITER_IDLE || w->job || !file_usable(w)) {
        sl_timer_at(w->persist, sl_now_mono() + PERSIST_MS);
        return;
    }
    w->persisting = true;
    writer_file_start(w, "API changes are kept for MediaMTX's next start");
}

/* --- from outside -------------------------------------------------------------------------- */

struct sl_writer *sl_writer_new(const struct sl_writer_options *options)
{
    struct sl_writer *w = sl_alloc(sizeof(*w));

    w->options = *options;
    w->timer = sl_timer_new(options->loop, timer, w);
    w->persist = sl_timer_new(options->loop, persist, w);
    w->filed = UINT64_MAX;
    sl_wanted_users(&w->wanted, NULL, 0);
    if (options->file)
        w->generation = sl_mtx_file_generation(options->file);
    return w;
}

void sl_writer_free(struct sl_writer *w)
{
    if (!w)
        return;
    writer_file_drop(w);
    sl_timer_free(w->timer);
    sl_timer_free(w->persist);
    sl_wanted_clear(&w->wanted);
    sl_ops_clear(&w->ops);
    free(w->confs);
    free(w->text);
    free(w);
}

void sl_writer_mode(struct sl_writer *w, enum sl_writer_mode mode)
{
    w->mode = mode;
}

void sl_writer_want_users(struct sl_writer *w, const struct sl_publish_user *users, size_t count)
{
    sl_wanted_users(&w->wanted, users, count);
}

void sl_writer_want(struct sl_writer *w, const struct sl_path_conf *paths, size_t count,
                    const char *const *removed, size_t removed_count)
{
    sl_wanted_set(&w->wanted, paths, count, removed, removed_count);
    kick(w);
}

uint64_t sl_writer_epoch(const struct sl_writer *w)
{
    return w->epoch;
}

void sl_writer_seen(struct sl_writer *w, struct sl_mtx_confs *confs, uint64_t epoch)
{
    if (w->step != WRITER_IDLE || epoch != w->epoch) {
        free(confs);
        return;
    }
    free(w->confs);
    w->confs = confs;
    w->stale = false;
    kick(w);
}

void sl_writer_seen_global(struct sl_writer *w, const struct sl_mtx_global *global, uint64_t epoch)
{
    if (w->step != WRITER_IDLE || epoch != w->epoch || !w->options.file)
        return;
    w->running = global->generation;
    if (strcmp(w->users_seen, global->users) != 0) {
        sl_log(SL_LOG_WARN, "mediamtx users were changed", "reason", "not by us", NULL);
        memcpy(w->users_seen, global->users, sizeof(w->users_seen));
        w->filed = UINT64_MAX; /* by a file, perhaps */
    }
    if (writer_file_moved(w)) {
        sl_log(SL_LOG_WARN, "mediamtx file was changed", "file", sl_mtx_file_name(w->options.file),
               "reason", "not by us: it is written again", NULL);
        w->filed = UINT64_MAX;
        memset(&w->mark, 0, sizeof(w->mark));
    }
    if (w->running && w->running != w->generation)
        w->from_file = true;
}

void sl_writer_connected(struct sl_writer *w, const struct sl_mtx_global *global)
{
    uint64_t ours = w->generation, generation = global->generation;

    w->connected = true;
    w->running = generation;
    memcpy(w->users_seen, global->users, sizeof(w->users_seen));
    /* Whose passwords it has is only known when it loaded what we rendered. */
    if (generation == ours && w->filed != UINT64_MAX)
        memcpy(w->users_set, w->users_filed, sizeof(w->users_set));
    else
        w->users_set[0] = 0;
    if (!w->options.file)
        return;
    /* Its file is the one rendered last, from this template and these users: leave it. */
    w->from_file = generation == 0 || generation != ours ||
                   (w->filed == UINT64_MAX && !sl_mtx_file_current(w->options.file));
    kick(w);
}

void sl_writer_lost(struct sl_writer *w)
{
    idle(w);
    w->connected = false;
    free(w->confs);
    w->confs = NULL;
    w->loaded_at = 0;
    w->broken_until = 0;
    w->held_until = w->hold = 0;
    w->stale = false;
}

bool sl_writer_given(const struct sl_writer *w)
{
    return w->wanted.given;
}

bool sl_writer_stale(const struct sl_writer *w)
{
    return !w->confs || w->stale;
}

bool sl_writer_busy(const struct sl_writer *w)
{
    return w->step != WRITER_IDLE && !w->persisting;
}

bool sl_writer_settled(const struct sl_writer *w)
{
    return w->step == WRITER_IDLE && w->confs && !w->stale && w->ops.count == 0 &&
           (!w->options.file || w->filed == w->wanted.version);
}

const struct sl_mtx_confs *sl_writer_confs(const struct sl_writer *w)
{
    return w->confs;
}

const struct sl_path_conf *sl_writer_wanted(const struct sl_writer *w, const char *name)
{
    return sl_mtx_path_find(w->wanted.list, w->wanted.count, name);
}

bool sl_writer_rejected(const struct sl_writer *w, const char **ret_path, const char **ret_text)
{
    const struct sl_refused *refused =
        w->wanted.rejected_count ? &w->wanted.rejected[0] : &w->wanted.no_user;

    if (!*refused->text)
        return false;
    *ret_path = refused->conf.name;
    *ret_text = refused->text;
    return true;
}

const char *sl_writer_error(const struct sl_writer *w)
{
    return w->wanted.users_refused ? w->users_error : w->error;
}
