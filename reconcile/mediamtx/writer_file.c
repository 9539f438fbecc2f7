/* SPDX-License-Identifier: GPL-2.0-or-later
 * By the file: render, put it in place on a worker, ask until MediaMTX shows its generation.
 * Layer: mediamtx.
 */
#include "reconcile/mediamtx/writer_impl.h"

#include "reconcile/base/file.h"
#include <fcntl.h>
#include <sys/stat.h>

#define QUEUE         42
#define LOAD_US       100  /* a path, at least, to load a file */
#define UNSEEN_MS     1200 /* not loaded by then: the event was dropped, rename again */
#define ROUNDS        5
#define FILE_RETRY_MS 30000

struct writer_job {
    struct sl_writer *writer; /* NULL: freed meanwhile */
    char *name, *text;
    struct sl_file_mark mark;
    struct sl_err err;
    void (*done)(void *user, const struct sl_err *err);
    void *user;
};

static void mark_of(const char *name, struct sl_file_mark *ret)
{
    struct stat st = {0};

    (void)!stat(name, &st); /* not there: all zero */
    *ret = (struct sl_file_mark){(uint64_t)st.st_ino, (int64_t)st.st_size,
                                 st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec};
}

static void job_work(void *user)
{
    struct writer_job *job = user;

    if (sl_file_replace(AT_FDCWD, job->name, job->text, strlen(job->text), 0640, 0, &job->err) == 0)
        job->err.class = SL_ERR_NONE;
    mark_of(job->name, &job->mark);
}

static void job_done(void *user)
{
    struct writer_job *job = user;

    if (job->writer) {
        job->writer->job = NULL;
        job->writer->mark = job->mark;
        job->done(job->user, job->err.class ? &job->err : NULL);
    }
    free(job->name);
    free(job->text);
    free(job);
}

static void put_file(struct sl_writer *w, const char *text,
                     void (*done)(void *user, const struct sl_err *err), void *user)
{
    struct writer_job *job = sl_alloc(sizeof(*job));

    *job = (struct writer_job){.writer = w,
                               .name = sl_strdup(sl_mtx_file_name(w->options.file)),
                               .text = sl_strdup(text),
                               .done = done,
                               .user = user};
    writer_file_drop(w); /* one of a write that was given up when MediaMTX went */
    w->job = job;
    sl_loop_job(w->options.loop, QUEUE, job_work, job_done, job);
}

bool writer_file_moved(const struct sl_writer *w)
{
    struct sl_file_mark now;

    mark_of(sl_mtx_file_name(w->options.file), &now);
    return w->mark.inode && memcmp(&now, &w->mark, sizeof(now)) != 0;
}

void writer_file_drop(struct sl_writer *w)
{
    if (w->job)
        w->job->writer = NULL;
    w->job = NULL;
}

static char *render(struct sl_writer *w)
{
    char marker[SL_MTX_HASH];
    struct sl_mtx_content content;
    char *text;

    sl_mtx_hash_random(marker);
    if (w->running > w->generation)
        w->generation = w->running;
    w->generation++;
    w->writing = w->wanted.version;
    content = writer_content(w, marker);
    content.generation = w->generation;
    sl_mtx_users_hash(content.users, content.users_count, w->users_filed);
    text = sl_mtx_file_render(w->options.file, &content);
    free((void *)(uintptr_t)content.paths);
    return text;
}

static void file_failed(struct sl_writer *w, const char *reason)
{
    snprintf(w->error, sizeof(w->error), "%s: %.180s", sl_mtx_file_name(w->options.file), reason);
    sl_log(SL_LOG_WARN, "mediamtx file not taken, going on by API", "file",
           sl_mtx_file_name(w->options.file), "reason", reason, NULL);
    w->broken_until = sl_now_mono() + FILE_RETRY_MS;
    w->from_file = false;
    writer_outcome(w);
}

static void renamed(void *user, const struct sl_err *err)
{
    struct sl_writer *w = user;

    if (w->step != WRITER_RENAME)
        return;
    if (err) {
        file_failed(w, err->text);
        return;
    }
    w->renamed_at = sl_now_mono();
    writer_enter(w, WRITER_POLL);
    sl_timer_at(w->timer,
                w->renamed_at + WRITER_POLL_MS + (int64_t)w->wanted.count * LOAD_US / 1000);
}

void writer_file_rename(struct sl_writer *w)
{
    writer_enter(w, WRITER_RENAME);
    w->rounds++;
    put_file(w, w->text, renamed, w);
}

void writer_file_start(struct sl_writer *w, const char *reason)
{
    int64_t hears = w->loaded_at ? w->loaded_at + WRITER_DEAF_MS : 0;

    w->rounds = 0;
    w->text = render(w);
    sl_log(SL_LOG_INFO, "mediamtx file written", "file", sl_mtx_file_name(w->options.file),
           "file_generation", sl_num((long long)w->generation), "paths",
           sl_num((long long)w->wanted.count), "reason", reason, NULL);
    if (hears > sl_now_mono()) {
        writer_enter(w, WRITER_DEAF);
        sl_timer_at(w->timer, hears);
    } else {
        writer_file_rename(w);
    }
}

static void polled(void *user, long status, void *parsed, const char *error)
{
    struct sl_writer *w = user;
    struct sl_mtx_global *global = parsed;
    int64_t now = sl_now_mono();

    (void)status;
    (void)error; /* its servers may be restarting: the next poll tells */
    if (global) {
        w->running = global->generation;
        memcpy(w->users_seen, global->users, sizeof(w->users_seen));
    }
    free(global);
    if (w->step != WRITER_POLL)
        return;
    if (w->running == w->generation) {
        memcpy(w->users_set, w->users_filed, sizeof(w->users_set));
        w->loaded_at = now;
        w->filed = w->writing;
        w->from_file = false;
        w->persist_since = 0;
        w->error[0] = 0;
        writer_enter(w, WRITER_CONFS);
        writer_read_confs(w);
    } else if (now - w->renamed_at < UNSEEN_MS) {
        int64_t took = now - w->asked_at;

        sl_timer_at(w->timer, now + (took > WRITER_POLL_MS ? took : WRITER_POLL_MS));
    } else if (w->rounds < ROUNDS) {
        sl_log(SL_LOG_DEBUG, "mediamtx file renamed again", "reason", "not loaded after 1.2 s",
               NULL);
        writer_file_rename(w);
    } else {
        file_failed(w, "MediaMTX does not load it (does it watch this file?)");
    }
}

void writer_file_poll(struct sl_writer *w)
{
    w->asked_at = sl_now_mono();
    sl_mtx_call(w->options.client, "GET", SL_MTX_GET_GLOBAL, NULL, sl_mtx_parse_global, polled, w);
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
