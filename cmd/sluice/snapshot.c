/* SPDX-License-Identifier: GPL-2.0-or-later
 * From the watched directory to accepted objects: reading and parsing on a worker thread, taking
 * over on the loop.
 */
#include "cmd/sluice/daemon.h"

#include <stdlib.h>

struct read_job {
    struct sl_daemon *daemon;
    const char *root;
    char **owners; /* files that hold accepted objects: a copy, for the worker */
    size_t owners_count;
    struct sl_intake *intake;
    struct sl_err err;
    int64_t began;
};

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void sl_intake_free(struct sl_intake *intake)
{
    if (intake) {
        sl_source_free(intake->tree);
        sl_arena_free(intake->arena);
        free(intake);
    }
}

static void load_all(struct read_job *job, struct sl_snapshot *tree)
{
    struct sl_intake *intake = sl_alloc(sizeof(*intake));
    intake->tree = tree;
    intake->arena = sl_arena_new();
    intake->count = tree->count;
    intake->files = sl_arena_alloc(intake->arena, (tree->count + 1) * sizeof(intake->files[0]));
    struct sl_loaded_file *loaded =
        sl_arena_alloc(intake->arena, (tree->count + 1) * sizeof(*loaded));
    size_t at = 0;
    /* Files that already own names go first, so that of two files that name one stream the
     * newcomer is the one refused. */
    for (int turn = 0; turn < 2; turn++) {
        for (size_t i = 0; i < tree->count; i++) {
            const struct sl_snapshot_file *file = &tree->files[i];
            bool owner =
                job->owners_count > 0 && bsearch(&file->path, job->owners, job->owners_count,
                                                 sizeof(job->owners[0]), by_text) != NULL;
            if (owner != (turn == 0)) {
                continue;
            }
            sl_load_file(intake->arena, file->path, file->bytes, file->len, &loaded[at]);
            intake->files[at].bytes = file->bytes;
            intake->files[at].len = file->len;
            at++;
        }
    }
    sl_check_tree(loaded, at);
    for (size_t i = 0; i < at; i++) {
        intake->files[i].loaded = loaded[i];
    }
    job->intake = intake;
}

static void read_work(void *user)
{
    struct read_job *job = user;
    struct sl_snapshot *tree = NULL;
    if (sl_source_read(job->root, &tree, &job->err) == 0) {
        load_all(job, tree);
    }
}

static void save_note(const struct sl_memory_entry *entry, const char *what)
{
    const struct sl_accepted *accepted = &entry->accepted;
    sl_log(SL_LOG_INFO, what, "stream", accepted->name, "gen",
           sl_num((long long)accepted->generation), "file", accepted->file, "line",
           sl_num(accepted->line), "hash", accepted->hash, NULL);
}

static void log_changes(const struct sl_daemon *daemon, const struct sl_intake *before)
{
    const struct sl_intake *now = daemon->intake;
    for (size_t i = 0; i < daemon->memory.count; i++) {
        if (daemon->memory.list[i]->dirty) {
            save_note(daemon->memory.list[i], "manifest accepted");
        }
    }
    for (size_t i = 0; i < now->count; i++) {
        const struct sl_loaded_file *file = &now->files[i].loaded;
        bool told = false;
        for (size_t j = 0; before && j < before->count && !told; j++) {
            told = sl_streq(before->files[j].loaded.file, file->file) &&
                   sl_streq(before->files[j].loaded.sha256, file->sha256) &&
                   before->files[j].loaded.diags.errors == file->diags.errors;
        }
        for (size_t j = 0; j < file->diags.count && !told; j++) {
            const struct sl_diag *diag = &file->diags.list[j];
            sl_log(diag->severity == SL_DIAG_ERROR ? SL_LOG_ERROR : SL_LOG_WARN,
                   diag->severity == SL_DIAG_ERROR
                       ? "manifest refused, its streams stay as they are"
                       : "manifest warning",
                   "file", file->file, "line", sl_num(diag->place.line), "column",
                   sl_num(diag->place.column), "code", diag->code, "path", diag->path, "error",
                   diag->message, "hint", diag->hint, NULL);
        }
    }
}

static void retry_later(struct sl_daemon *daemon, const struct sl_err *err)
{
    int64_t delay = 100 << (daemon->snapshot_tries < 6 ? daemon->snapshot_tries : 6);
    sl_log(daemon->snapshot_tries++ == 0 ? SL_LOG_WARN : SL_LOG_DEBUG,
           "snapshot thrown away, nothing is deleted meanwhile", "reason", err->text, "retryMs",
           sl_num(delay), NULL);
    sl_timer_at(daemon->retry_timer, sl_now_mono() + (delay < 5000 ? delay : 5000));
}

static void read_done(void *user)
{
    struct read_job *job = user;
    struct sl_daemon *daemon = job->daemon;
    daemon->snapshot_running = false;
    if (daemon->closing) {
        sl_intake_free(job->intake);
    } else if (!job->intake) {
        retry_later(daemon, &job->err);
    } else {
        struct sl_intake *before = daemon->intake;
        struct sl_snapshot *tree = job->intake->tree;
        daemon->snapshot_tries = 0;
        daemon->intake = job->intake;
        daemon->observed_at = sl_now_wall();
        if (sl_watch_set(daemon->watch, tree->dirs, tree->dirs_count)) {
            daemon->snapshot_again = true;
        }
        if (!before || !sl_streq(before->tree->snapshot, tree->snapshot) ||
            before->tree->root_present != tree->root_present) {
            sl_log(SL_LOG_INFO, "snapshot taken", "files", sl_num((long long)tree->count),
                   "revision", tree->revision, "how", tree->how, "ms",
                   sl_num(sl_now_mono() - job->began), NULL);
        }
        sl_memory_accept(&daemon->memory, daemon->intake->files, daemon->intake->count);
        log_changes(daemon, before);
        sl_intake_free(before);
        sl_daemon_look(daemon);
    }
    for (size_t i = 0; i < job->owners_count; i++) {
        free(job->owners[i]);
    }
    free(job->owners);
    free(job);
    if (daemon->snapshot_again && !daemon->closing) {
        daemon->snapshot_again = false;
        sl_daemon_snapshot(daemon);
    }
}

void sl_daemon_snapshot(struct sl_daemon *daemon)
{
    if (daemon->snapshot_running) {
        daemon->snapshot_again = true;
        return;
    }
    struct read_job *job = sl_alloc(sizeof(*job));
    job->daemon = daemon;
    job->root = daemon->settings->manifests;
    job->began = sl_now_mono();
    job->owners = sl_alloc((daemon->memory.count + 1) * sizeof(job->owners[0]));
    for (size_t i = 0; i < daemon->memory.count; i++) {
        job->owners[job->owners_count++] = sl_strdup(daemon->memory.list[i]->accepted.file);
    }
    qsort(job->owners, job->owners_count, sizeof(job->owners[0]), by_text);
    daemon->snapshot_running = true;
    sl_timer_at(daemon->retry_timer, 0);
    sl_loop_job(daemon->loop, 0, read_work, read_done, job);
}
