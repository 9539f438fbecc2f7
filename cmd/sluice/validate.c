/* SPDX-License-Identifier: GPL-2.0-or-later
 * `sluice validate`: checks manifests offline; what it accepts, `sluice run` accepts.
 */
#include "cmd/sluice/verbs.h"
#include "reconcile/base/file.h"
#include "reconcile/io/source.h"
#include "schemas/document.h"
#include "schemas/load.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEPTH_MAX 64

static const char usage[] =
    "usage: sluice validate [PATH...] [--strict] [-o text|json]\n"
    "Checks manifests: files, and directories with all below them (default: the current one).\n"
    "  --strict      a warning is a failure too\n"
    "  -o FORMAT     text (default) or json\n"
    "Exit: 0 valid, 1 invalid, 3 warnings with --strict, 64 wrong usage.\n";

struct paths {
    char **list;
    size_t count, cap;
};

struct job {
    struct paths paths;
    struct sl_arena *arena;
    struct sl_loaded_file *files;
    size_t count, streams, errors, warnings;
    bool strict, json;
    int failed; /* paths that could not be read */
};

static void add_path(struct paths *paths, const char *path)
{
    if (paths->count == paths->cap) {
        paths->cap = paths->cap ? paths->cap * 2 : 64;
        paths->list = sl_realloc(paths->list, paths->cap * sizeof(*paths->list));
    }
    paths->list[paths->count++] = sl_strdup(path);
}

static void cannot(struct job *job, const char *path, int os)
{
    fprintf(stderr, "sluice validate: %s: %s\n", path, strerror(os));
    job->failed++;
}

/* Directories on the way down, against links that lead back up. */
struct above {
    dev_t dev;
    ino_t ino;
    const struct above *up;
};

static void walk(struct job *job, const char *dir, const struct above *up, int depth)
{
    DIR *d = opendir(dir);
    struct dirent *entry;

    if (!d) {
        cannot(job, dir, errno);
        return;
    }
    while ((entry = readdir(d))) {
        sl_autofree char *path = NULL;
        struct stat st;

        if (entry->d_name[0] == '.')
            continue;
        path = sl_streq(dir, ".") ? sl_strdup(entry->d_name)
                                  : sl_asprintf("%s/%s", dir, entry->d_name);
        if (entry->d_type == DT_REG) {
            if (sl_source_takes(entry->d_name))
                add_path(&job->paths, path);
            continue;
        }
        if (stat(path, &st) < 0) {
            if (sl_source_takes(entry->d_name))
                cannot(job, path, errno);
        } else if (S_ISREG(st.st_mode) && sl_source_takes(entry->d_name)) {
            add_path(&job->paths, path);
        } else if (S_ISDIR(st.st_mode) && depth < DEPTH_MAX) {
            struct above here = {st.st_dev, st.st_ino, up};
            const struct above *a = up;

            while (a && (a->dev != st.st_dev || a->ino != st.st_ino))
                a = a->up;
            if (!a)
                walk(job, path, &here, depth + 1);
        }
    }
    closedir(d);
}

static void take(struct job *job, const char *given)
{
    sl_autofree char *path = sl_strdup(given);
    size_t len = strlen(path);
    struct stat st;

    while (len > 1 && path[len - 1] == '/')
        path[--len] = '\0';
    if (stat(path, &st) < 0) {
        cannot(job, path, errno);
    } else if (S_ISDIR(st.st_mode)) {
        struct above here = {st.st_dev, st.st_ino, NULL};

        walk(job, path, &here, 0);
    } else {
        add_path(&job->paths, path);
    }
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void load_all(struct job *job)
{
    struct paths *p = &job->paths;

    if (p->count)
        qsort(p->list, p->count, sizeof(*p->list), by_text);
    job->files = sl_alloc((p->count + 1) * sizeof(*job->files));
    for (size_t i = 0; i < p->count; i++) {
        sl_autofree char *bytes = NULL;
        struct sl_err err = {0};
        size_t len;

        if (i > 0 && sl_streq(p->list[i], p->list[i - 1]))
            continue; /* named twice */
        /* One byte more than allowed: the check says it with its own words. */
        if (sl_file_read(AT_FDCWD, p->list[i], SL_DOC_BYTES_MAX + 1, &bytes, &len, &err) < 0) {
            if (err.os == EFBIG) {
                bytes = sl_alloc(1);
                len = SL_DOC_BYTES_MAX + 1; /* refused before a byte of it is read */
            } else {
                fprintf(stderr, "sluice validate: %s\n", err.text);
                job->failed++;
                continue;
            }
        }
        sl_load_file(job->arena, p->list[i], bytes, len, &job->files[job->count++]);
    }
    sl_check_tree(job->files, job->count);
    for (size_t i = 0; i < job->count; i++) {
        const struct sl_loaded_file *f = &job->files[i];

        job->errors += f->diags.errors;
        job->warnings += f->diags.count - f->diags.errors;
        for (size_t k = 0; k < f->count; k++)
            job->streams += f->objects[k].object->kind == SL_KIND_STREAM;
    }
}

static const char *plural(size_t n)
{
    return n == 1 ? "" : "s";
}

static void print_text(const struct job *job)
{
    bool colour = isatty(STDOUT_FILENO) && !(getenv("NO_COLOR") && *getenv("NO_COLOR"));
    struct sl_buf out = {0};

    for (size_t i = 0; i < job->count; i++)
        for (size_t k = 0; k < job->files[i].diags.count; k++) {
            sl_diag_print(&job->files[i].diags.list[k], colour, &out);
            sl_buf_puts(&out, "\n");
        }
    sl_buf_printf(&out, "%zu file%s, %zu stream%s: ", job->count, plural(job->count), job->streams,
                  plural(job->streams));
    if (job->errors)
        sl_buf_printf(&out, "%zu error%s", job->errors, plural(job->errors));
    else if (job->failed)
        sl_buf_puts(&out, "not all could be read");
    else
        sl_buf_puts(&out, "valid");
    if (job->warnings)
        sl_buf_printf(&out, ", %zu warning%s", job->warnings, plural(job->warnings));
    sl_buf_puts(&out, "\n");
    fwrite(out.data, 1, out.len, stdout);
    sl_buf_free(&out);
}

static json_t *diag_json(const struct sl_diag *d)
{
    json_t *o = json_pack("{s:s, s:i, s:i, s:i, s:s, s:s, s:s}", "severity",
                          d->severity == SL_DIAG_ERROR ? "error" : "warning", "line", d->place.line,
                          "column", d->place.column, "width", d->width, "code", d->code, "path",
                          d->path, "message", d->message);

    if (d->hint)
        json_object_set_new(o, "hint", json_string(d->hint));
    if (d->other.file)
        json_object_set_new(o, "other",
                            json_pack("{s:s, s:i, s:i}", "file", d->other.file, "line",
                                      d->other.line, "column", d->other.column));
    return o;
}

static void print_json(const struct job *job)
{
    json_t *files = json_array(), *root;
    sl_autofree char *text = NULL;

    for (size_t i = 0; i < job->count; i++) {
        const struct sl_loaded_file *f = &job->files[i];
        json_t *errors = json_array(), *file = json_object();

        for (size_t k = 0; k < f->diags.count; k++)
            json_array_append_new(errors, diag_json(&f->diags.list[k]));
        json_object_set_new(file, "path", json_string(f->file));
        json_object_set_new(file, "state", json_string(f->diags.errors ? "Invalid" : "Valid"));
        json_object_set_new(file, "errors", errors);
        json_array_append_new(files, file);
    }
    root = json_pack("{s:b, s:i, s:i, s:i, s:o}", "valid", job->errors == 0 && job->failed == 0,
                     "streams", (int)job->streams, "errorCount", (int)job->errors, "warningCount",
                     (int)job->warnings, "files", files);
    text = json_dumps(root, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
    json_decref(root);
    puts(text ? text : "{}");
}

/* -1: go on; else the exit code. */
static int parse(struct job *job, int argc, char **argv)
{
    bool only_paths = false;
    int given = 0;

    for (int i = 1; i < argc; i++) {
        const char *arg = argv[i], *format = NULL;

        if (only_paths || arg[0] != '-' || !arg[1]) {
            take(job, arg);
            given++;
        } else if (sl_streq(arg, "--")) {
            only_paths = true;
        } else if (sl_streq(arg, "--strict")) {
            job->strict = true;
        } else if (sl_streq(arg, "-h") || sl_streq(arg, "--help")) {
            fputs(usage, stdout);
            return 0;
        } else if (sl_streq(arg, "-o") && i + 1 < argc) {
            format = argv[++i];
        } else if (strncmp(arg, "-o", 2) == 0 && arg[2]) {
            format = arg + 2 + (arg[2] == '=');
        } else {
            fprintf(stderr, "sluice validate: unknown option %s\n%s", arg, usage);
            return SL_EXIT_USAGE;
        }
        if (format && !sl_streq(format, "text") && !sl_streq(format, "json")) {
            fprintf(stderr, "sluice validate: -o is text or json, not %s\n", format);
            return SL_EXIT_USAGE;
        }
        if (format)
            job->json = sl_streq(format, "json");
    }
    if (!given)
        take(job, ".");
    return -1;
}

int sl_verb_validate(int argc, char **argv)
{
    struct job job = {.arena = sl_arena_new()};
    int rc = parse(&job, argc, argv);

    if (rc < 0) {
        load_all(&job);
        if (job.json)
            print_json(&job);
        else
            print_text(&job);
        rc = job.errors || job.failed ? 1 : job.strict && job.warnings ? 3 : 0;
    }
    if (fflush(stdout) != 0)
        rc = 1;
    for (size_t i = 0; i < job.paths.count; i++)
        free(job.paths.list[i]);
    free(job.paths.list);
    free(job.files);
    sl_arena_free(job.arena);
    return rc;
}
