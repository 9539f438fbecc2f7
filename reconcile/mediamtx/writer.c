/* SPDX-License-Identifier: GPL-2.0-or-later
 * The writer's steps. While one is under way nothing else is written: a file reload would wipe
 * an API change made beside it. wanted.c says what differs. Layer: mediamtx.
 */
#include "reconcile/mediamtx/writer.h"

#include "reconcile/base/file.h"
#include "reconcile/base/log.h"
#include "reconcile/base/time.h"
#include "reconcile/mediamtx/wanted.h"
#include <fcntl.h>

#define QUEUE        42
#define POLL_MS      10   /* or as long as the last one took: each clones its configuration */
#define LOAD_US      100  /* a path, at least, to load a file */
#define UNSEEN_MS    1200 /* not loaded by then: the event was dropped, rename again */
#define ROUNDS       5
#define DEAF_MS      1010 /* MediaMTX drops file events this long after a reload */
#define PERSIST_MS   2000
#define PERSIST_CAP  10000
#define READBACK_MS  20
#define READBACK_MAX 50
#define READ_EACH                                                                                  \
    8 /* up to so many API changes are read back one by one, cheaper than the list                 \
       */
#define FILE_RETRY_MS 30000

enum step {
    STEP_IDLE,
    STEP_API,      /* one replace or delete is under way */
    STEP_READBACK, /* until MediaMTX shows them */
    STEP_DEAF,     /* waiting until it would hear of the file */
    STEP_RENAME,   /* rendered, being put in place by a worker */
    STEP_POLL,     /* until it shows the generation */
    STEP_CONFS     /* and the paths that came with it */
};

struct render_job {
    struct sl_writer *writer; /* NULL: freed meanwhile */
    char *name, *text;
    struct sl_err err;
    void (*done)(void *user, const struct sl_err *err);
    void *user;
};

struct sl_writer {
    struct sl_writer_options options;
    enum sl_writer_mode mode;
    enum step step;
    struct sl_timer *timer, *persist;
    struct sl_wanted wanted;
    struct sl_mtx_confs *confs; /* what is; NULL: not known */
    bool connected;
    uint64_t running;    /* generation that MediaMTX shows */
    uint64_t generation; /* newest rendered */
    uint64_t epoch;
    bool from_file;    /* restarted or first contact: the next write is a file */
    bool persisting;   /* the file write under way changes nothing but the file */
    uint64_t filed;    /* wanted.version that the file holds */
    uint64_t writing;  /* wanted.version of the file under way */
    int64_t loaded_at; /* MediaMTX loaded a file then (CLOCK_MONOTONIC), 0: long ago */
    int64_t renamed_at, asked_at, persist_since, broken_until;
    int rounds, reads;
    struct sl_ops ops;
    size_t op;
    struct render_job *job;
    char *text; /* the file under way */
    void (*render_done)(void *user, const struct sl_err *err);
    void *render_user;
    char error[256];
};

static void kick(struct sl_writer *w);
static void read_confs(struct sl_writer *w);

bool sl_writer_by_api(size_t changes, size_t paths, int64_t wait)
{
    /* Microseconds, read back included, as measured at 10, 100 and 1,000 paths (docs/adr/0004). */
    int64_t api = (int64_t)changes * (3000 + 120 * (int64_t)paths);
    int64_t file = 22000 + 325 * (int64_t)paths + 1000 * wait;

    return api <= file;
}

static void enter(struct sl_writer *w, enum step step)
{
    w->step = step;
    w->epoch++;
}

static void idle(struct sl_writer *w)
{
    enter(w, STEP_IDLE);
    sl_mtx_cancel(w->options.client, w);
    w->persisting = false;
    sl_timer_at(w->timer, 0);
    free(w->text);
    w->text = NULL;
}

static void persist_later(struct sl_writer *w)
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

static void outcome(struct sl_writer *w)
{
    idle(w);
    kick(w);
    w->options.changed(w->options.user);
}

/* --- by the file --------------------------------------------------------------------------- */

static void job_work(void *user)
{
    struct render_job *job = user;

    if (sl_file_replace(AT_FDCWD, job->name, job->text, strlen(job->text), 0640, 0, &job->err) == 0)
        job->err.class = SL_ERR_NONE;
}

static void job_done(void *user)
{
    struct render_job *job = user;

    if (job->writer) {
        job->writer->job = NULL;
        job->done(job->user, job->err.class ? &job->err : NULL);
    }
    free(job->name);
    free(job->text);
    free(job);
}

static void put_file(struct sl_writer *w, const char *text,
                     void (*done)(void *user, const struct sl_err *err), void *user)
{
    struct render_job *job = sl_alloc(sizeof(*job));

    *job = (struct render_job){.writer = w,
                               .name = sl_strdup(sl_mtx_file_name(w->options.file)),
                               .text = sl_strdup(text),
                               .done = done,
                               .user = user};
    if (w->job) /* of a write that was given up when MediaMTX went */
        w->job->writer = NULL;
    w->job = job;
    sl_loop_job(w->options.loop, QUEUE, job_work, job_done, job);
}

static char *render(struct sl_writer *w)
{
    char marker[SL_MTX_HASH];
    struct sl_path_conf *paths;
    size_t count = sl_wanted_accepted(&w->wanted, &paths);
    char *text;

    sl_mtx_hash_random(marker);
    if (w->running > w->generation)
        w->generation = w->running;
    w->generation++;
    w->writing = w->wanted.version;
    text = sl_mtx_file_render(w->options.file, paths, count, w->generation, marker);
    free(paths);
    return text;
}

static void file_failed(struct sl_writer *w, const char *reason)
{
    snprintf(w->error, sizeof(w->error), "%s: %.180s", sl_mtx_file_name(w->options.file), reason);
    sl_log(SL_LOG_WARN, "mediamtx file not taken, going on by API", "file",
           sl_mtx_file_name(w->options.file), "reason", reason, NULL);
    w->broken_until = sl_now_mono() + FILE_RETRY_MS;
    w->from_file = false;
    outcome(w);
}

static void renamed(void *user, const struct sl_err *err)
{
    struct sl_writer *w = user;

    if (w->step != STEP_RENAME)
        return;
    if (err) {
        file_failed(w, err->text);
        return;
    }
    w->renamed_at = sl_now_mono();
    enter(w, STEP_POLL);
    sl_timer_at(w->timer, w->renamed_at + POLL_MS + (int64_t)w->wanted.count * LOAD_US / 1000);
}

static void rename_file(struct sl_writer *w)
{
    enter(w, STEP_RENAME);
    w->rounds++;
    put_file(w, w->text, renamed, w);
}

static void start_file(struct sl_writer *w, const char *reason)
{
    int64_t hears = w->loaded_at ? w->loaded_at + DEAF_MS : 0;

    w->rounds = 0;
    w->text = render(w);
    sl_log(SL_LOG_INFO, "mediamtx file written", "file", sl_mtx_file_name(w->options.file),
           "file_generation", sl_num((long long)w->generation), "paths",
           sl_num((long long)w->wanted.count), "reason", reason, NULL);
    if (hears > sl_now_mono()) {
        enter(w, STEP_DEAF);
        sl_timer_at(w->timer, hears);
    } else {
        rename_file(w);
    }
}

static void polled(void *user, long status, void *parsed, const char *error)
{
    struct sl_writer *w = user;
    struct sl_mtx_global *global = parsed;
    int64_t now = sl_now_mono();

    (void)status;
    (void)error; /* its servers may be restarting: the next poll tells */
    if (global)
        w->running = global->generation;
    free(global);
    if (w->step != STEP_POLL)
        return;
    if (w->running == w->generation) {
        w->loaded_at = now;
        w->filed = w->writing;
        w->from_file = false;
        w->persist_since = 0;
        w->error[0] = 0;
        enter(w, STEP_CONFS);
        read_confs(w);
    } else if (now - w->renamed_at < UNSEEN_MS) {
        int64_t took = now - w->asked_at;

        sl_timer_at(w->timer, now + (took > POLL_MS ? took : POLL_MS));
    } else if (w->rounds < ROUNDS) {
        sl_log(SL_LOG_DEBUG, "mediamtx file renamed again", "reason", "not loaded after 1.2 s",
               NULL);
        rename_file(w);
    } else {
        file_failed(w, "MediaMTX does not load it (does it watch this file?)");
    }
}

/* --- by the API ---------------------------------------------------------------------------- */

static void api_next(struct sl_writer *w);
static void op_read(void *user, long status, void *parsed, const char *error);

/* Whatever is now is read again by the engine, then decided again. */
static void give_up(struct sl_writer *w, const struct sl_op *op, const char *reason)
{
    sl_log(SL_LOG_WARN, "mediamtx write failed", "path", op->name, "reason", reason, NULL);
    free(w->confs);
    w->confs = NULL;
    outcome(w);
}

static void api_answered(void *user, long status, void *parsed, const char *error)
{
    struct sl_writer *w = user;
    struct sl_op *op = &w->ops.list[w->op];

    free(parsed);
    if (w->step != STEP_API)
        return;
    if (status == 400 && op->conf) {
        op->refused = true;
        sl_wanted_reject(&w->wanted, op->conf, error);
        sl_log(SL_LOG_ERROR, "mediamtx refuses a path", "path", op->name, "reason", error, NULL);
    } else if (status != 200 && !(status == 404 && !op->conf)) {
        give_up(w, op, error);
        return;
    } else if (w->ops.count <= READ_EACH) {
        enter(w, STEP_READBACK);
        w->reads = 0;
        sl_mtx_call_get(w->options.client, op->name, op_read, w);
        return;
    }
    w->op++;
    api_next(w);
}

static void api_done(struct sl_writer *w)
{
    persist_later(w);
    outcome(w);
}

static void api_next(struct sl_writer *w)
{
    const struct sl_op *op = &w->ops.list[w->op];

    w->reads = 0;
    if (w->op == w->ops.count && w->ops.count <= READ_EACH) {
        api_done(w);
        return;
    }
    if (w->op == w->ops.count) {
        enter(w, STEP_READBACK);
        read_confs(w);
        return;
    }
    enter(w, STEP_API);
    sl_log(SL_LOG_INFO, op->conf ? "mediamtx path set" : "mediamtx path removed", "path", op->name,
           "reason", op->reason, NULL);
    if (op->conf)
        sl_mtx_call_replace(w->options.client, op->conf, api_answered, w);
    else
        sl_mtx_call_delete(w->options.client, op->name, api_answered, w);
}

/* One path after its change: MediaMTX says 200 before it is applied. */
static void op_read(void *user, long status, void *parsed, const char *error)
{
    struct sl_writer *w = user;
    const struct sl_op *op = &w->ops.list[w->op];
    sl_autofree struct sl_path_conf *is = parsed;

    if (w->step != STEP_READBACK)
        return;
    if (!is && status != 404) {
        give_up(w, op, error);
        return;
    }
    if ((op->conf ? is && sl_mtx_path_same(op->conf, is) : !is) || ++w->reads >= READBACK_MAX) {
        sl_mtx_confs_put(&w->confs, op->name, is);
        w->op++;
        api_next(w);
        return;
    }
    sl_timer_at(w->timer, sl_now_mono() + READBACK_MS / 4);
}

static void confs_read(void *user, long status, void *parsed, const char *error)
{
    struct sl_writer *w = user;
    bool api = w->step == STEP_READBACK;

    (void)status;
    if (!api && w->step != STEP_CONFS) {
        free(parsed);
        return;
    }
    if (!parsed) {
        sl_log(SL_LOG_DEBUG, "mediamtx not read back", "reason", error, NULL);
        free(w->confs);
        w->confs = NULL;
        outcome(w);
        return;
    }
    free(w->confs);
    w->confs = parsed;
    if (sl_ops_open(&w->ops, w->confs) && ++w->reads < READBACK_MAX) {
        sl_timer_at(w->timer, sl_now_mono() + READBACK_MS); /* 200 comes before it is applied */
        return;
    }
    if (api)
        api_done(w);
    else
        outcome(w);
}

static void read_confs(struct sl_writer *w)
{
    sl_mtx_call(w->options.client, "GET", SL_MTX_GET_CONFS, NULL, sl_mtx_parse_confs, confs_read,
                w);
}

/* --- deciding ------------------------------------------------------------------------------ */

static bool file_usable(const struct sl_writer *w)
{
    return w->options.file && w->mode != SL_WRITER_API && sl_now_mono() >= w->broken_until;
}

static void kick(struct sl_writer *w)
{
    int64_t now = sl_now_mono(), wait = w->loaded_at ? w->loaded_at + DEAF_MS - now : 0;
    bool api;

    if (w->step != STEP_IDLE || !w->connected || !w->confs || !w->wanted.given || w->job)
        return;
    sl_wanted_diff(&w->wanted, w->confs, &w->ops);
    w->op = 0;
    if (file_usable(w) && w->from_file) {
        start_file(w, "first contact: users and paths in one step");
        return;
    }
    if (w->ops.count == 0) {
        if (w->options.file && w->filed != w->wanted.version && !w->persist_since)
            persist_later(w);
        return;
    }
    api = !file_usable(w) || (w->mode == SL_WRITER_AUTO &&
                              sl_writer_by_api(w->ops.count, w->confs->count, wait > 0 ? wait : 0));
    if (api)
        api_next(w);
    else
        start_file(w, "paths differ in many places");
}

static void timer(void *user)
{
    struct sl_writer *w = user;

    switch (w->step) {
    case STEP_DEAF:
        rename_file(w);
        break;
    case STEP_POLL:
        w->asked_at = sl_now_mono();
        sl_mtx_call(w->options.client, "GET", SL_MTX_GET_GLOBAL, NULL, sl_mtx_parse_global, polled,
                    w);
        break;
    case STEP_READBACK:
        if (w->ops.count <= READ_EACH)
            sl_mtx_call_get(w->options.client, w->ops.list[w->op].name, op_read, w);
        else
            read_confs(w);
        break;
    case STEP_CONFS:
        read_confs(w);
        break;
    case STEP_IDLE:
    case STEP_API:
    case STEP_RENAME:
        break;
    }
}

static void persist(void *user)
{
    struct sl_writer *w = user;

    w->persist_since = 0;
    if (!w->connected || !w->confs || w->filed == w->wanted.version)
        return;
    if (w->step != STEP_IDLE || w->job || !file_usable(w)) {
        sl_timer_at(w->persist, sl_now_mono() + PERSIST_MS);
        return;
    }
    w->persisting = true;
    start_file(w, "API changes are kept for MediaMTX's next start");
}

/* --- from outside -------------------------------------------------------------------------- */

struct sl_writer *sl_writer_new(const struct sl_writer_options *options)
{
    struct sl_writer *w = sl_alloc(sizeof(*w));

    w->options = *options;
    w->timer = sl_timer_new(options->loop, timer, w);
    w->persist = sl_timer_new(options->loop, persist, w);
    w->filed = UINT64_MAX;
    if (options->file)
        w->generation = sl_mtx_file_generation(options->file);
    return w;
}

void sl_writer_free(struct sl_writer *w)
{
    if (!w)
        return;
    if (w->job)
        w->job->writer = NULL;
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
    if (w->step != STEP_IDLE || epoch != w->epoch) {
        free(confs);
        return;
    }
    free(w->confs);
    w->confs = confs;
    kick(w);
}

void sl_writer_connected(struct sl_writer *w, uint64_t generation)
{
    uint64_t ours = w->generation;

    w->connected = true;
    w->running = generation;
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
}

static void rendered(void *user, const struct sl_err *err)
{
    struct sl_writer *w = user;
    void (*done)(void *user, const struct sl_err *err) = w->render_done;

    if (!err)
        w->filed = w->writing;
    done(w->render_user, err);
}

void sl_writer_render(struct sl_writer *w, void (*done)(void *user, const struct sl_err *err),
                      void *user)
{
    sl_autofree char *text = render(w);

    w->render_done = done;
    w->render_user = user;
    put_file(w, text, rendered, w);
}

bool sl_writer_busy(const struct sl_writer *w)
{
    return w->step != STEP_IDLE && !w->persisting;
}

bool sl_writer_settled(const struct sl_writer *w)
{
    return w->step == STEP_IDLE && w->confs && w->ops.count == 0 &&
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
    if (!w->wanted.rejected_count)
        return false;
    *ret_path = w->wanted.rejected[0].conf.name;
    *ret_text = w->wanted.rejected[0].text;
    return true;
}

const char *sl_writer_error(const struct sl_writer *w)
{
    return w->error;
}
