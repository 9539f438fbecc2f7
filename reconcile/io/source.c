/* SPDX-License-Identifier: GPL-2.0-or-later
 * Reads the manifest tree twice over: once with bytes, once by stat only; what differs in between
 * makes the whole snapshot invalid. Git's lock is looked at before and after.
 */
#include "reconcile/io/source.h"

#include "reconcile/base/buf.h"
#include "reconcile/base/time.h"
#include "reconcile/io/revision.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEPTH_MAX   32
#define DIRS_MAX    4096
#define FILES_MAX   20000
#define BYTES_MAX   (256u << 20)
#define LOCK_AGE_MS 30000

struct seen {         /* one thing the second pass looks at again */
    const char *path; /* absolute */
    struct stat st;
    bool missing;
};

struct walk {
    struct sl_arena *arena;
    struct sl_snapshot *out;
    const char *real; /* root without links */
    struct sl_err *err;
    struct seen *seen;
    size_t seen_count, seen_cap, files_cap, dirs_cap, walked, bytes;
    char sync[SL_HEX_MAX];
    bool volume; /* a Kubernetes volume: ..data */
};

struct chain { /* directories above: a link back to one of them is a loop */
    const struct chain *up;
    dev_t dev;
    ino_t ino;
};

bool sl_source_takes(const char *basename)
{
    size_t len = strlen(basename);
    const char *dot = strrchr(basename, '.');

    if (!isalnum((unsigned char)basename[0]) || (unsigned char)basename[0] > 127 || !dot)
        return false;
    if (strcmp(dot, ".yaml") != 0 && strcmp(dot, ".yml") != 0)
        return false;
    return !(len >= 10 && strcmp(basename + len - 10, ".sops.yaml") == 0) &&
           !(len >= 9 && strcmp(basename + len - 9, ".sops.yml") == 0);
}

static void *grow(void *list, size_t count, size_t *cap, size_t size)
{
    if (count < *cap)
        return list;
    *cap = *cap ? *cap * 2 : 64;
    return sl_realloc(list, *cap * size);
}

static void add_dir(struct walk *walk, const char *path)
{
    struct sl_snapshot *out = walk->out;

    out->dirs = grow(out->dirs, out->dirs_count, &walk->dirs_cap, sizeof(*out->dirs));
    out->dirs[out->dirs_count++] = sl_arena_strdup(walk->arena, path);
}

static void add_seen(struct walk *walk, const char *path, const struct stat *st)
{
    struct seen *seen;

    walk->seen = grow(walk->seen, walk->seen_count, &walk->seen_cap, sizeof(*walk->seen));
    seen = &walk->seen[walk->seen_count++];
    seen->path = sl_arena_strdup(walk->arena, path);
    seen->missing = st == NULL;
    if (st)
        seen->st = *st;
}

static void on_hop(void *user, const char *dir, const char *target)
{
    (void)target;
    add_dir(user, dir);
}

static void on_root_hop(void *user, const char *dir, const char *target)
{
    struct walk *walk = user;

    add_dir(walk, dir);
    sl_revision_of_link(target, walk->sync);
}

static int changing(struct walk *walk, const char *what)
{
    return sl_err_set(walk->err, SL_ERR_TRANSIENT, 0, "Changing",
                      "%s changed while it was being read", what);
}

static int unreadable(struct walk *walk, int os, const char *what)
{
    if (os == ENOENT || os == ENOTDIR || os == ELOOP)
        return changing(walk, what);
    return sl_err_os(walk->err, os, "cannot read %s", what);
}

static int too_large(struct walk *walk, const char *what, size_t max)
{
    return sl_err_set(walk->err, SL_ERR_HUMAN, 0, "TreeTooLarge",
                      "the manifest directory holds more than %zu %s: is %s the right one?", max,
                      what, walk->real);
}

static int add_file(struct walk *walk, const char *rel, const char *bytes, size_t len)
{
    struct sl_snapshot *out = walk->out;
    struct sl_snapshot_file *file;

    if (out->count >= FILES_MAX)
        return too_large(walk, "manifests", FILES_MAX);
    walk->bytes += len;
    if (walk->bytes > BYTES_MAX)
        return too_large(walk, "bytes", BYTES_MAX);
    out->files = grow(out->files, out->count, &walk->files_cap, sizeof(*out->files));
    file = &out->files[out->count++];
    file->path = sl_arena_strdup(walk->arena, rel);
    file->bytes = bytes;
    file->len = len;
    sl_sha256_hex(bytes, len, file->sha256);
    return 0;
}

static int read_bytes(struct walk *walk, int fd, size_t size, const char *path, const char **ret,
                      size_t *ret_len)
{
    size_t want = size > SL_SOURCE_FILE_MAX ? SL_SOURCE_FILE_MAX + 1 : size + 1, len = 0;
    char *bytes = sl_arena_alloc(walk->arena, want + 1);

    while (len < want) {
        ssize_t n = read(fd, bytes + len, want - len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return unreadable(walk, errno, path);
        if (n == 0)
            break;
        len += (size_t)n;
    }
    if (size <= SL_SOURCE_FILE_MAX && len != size)
        return changing(walk, path);
    *ret = bytes;
    *ret_len = len;
    return 0;
}

/* `at` is where the bytes lie: the same as path, or what a link leads to. */
static int read_manifest(struct walk *walk, const char *path, const char *at, const char *rel)
{
    sl_autofd int fd = open(at, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    const char *bytes = "";
    size_t len = 0;
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0)
        return unreadable(walk, errno, path);
    add_seen(walk, path, &st);
    if (S_ISREG(st.st_mode) && read_bytes(walk, fd, (size_t)st.st_size, path, &bytes, &len) < 0)
        return -1;
    return add_file(walk, rel, bytes, len);
}

static const char *basename_of(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

static int compare_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int read_names(struct walk *walk, int fd, const char *path, char ***ret, size_t *ret_count)
{
    sl_autofree char **names = NULL;
    size_t count = 0, cap = 0;
    const struct dirent *entry;
    DIR *dir;
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);

    dir = copy < 0 ? NULL : fdopendir(copy);
    if (!dir) {
        int os = errno;

        sl_closep(&copy);
        return sl_err_os(walk->err, os, "cannot list %s", path);
    }
    while (errno = 0, (entry = readdir(dir))) {
        if (entry->d_name[0] == '.') {
            walk->volume |= strcmp(entry->d_name, "..data") == 0;
            continue;
        }
        names = grow(names, count, &cap, sizeof(*names));
        names[count++] = sl_arena_strdup(walk->arena, entry->d_name);
    }
    if (errno != 0) {
        int os = errno;

        closedir(dir);
        return sl_err_os(walk->err, os, "cannot list %s", path);
    }
    closedir(dir);
    if (count > 0)
        qsort(names, count, sizeof(*names), compare_text);
    *ret = names;
    *ret_count = count;
    names = NULL;
    return 0;
}

static int walk_dir(struct walk *walk, int fd, const char *path, const char *rel,
                    const struct chain *up);

static int walk_below(struct walk *walk, int fd, const char *name, int flags, const char *path,
                      const char *rel, const struct chain *up)
{
    sl_autofd int sub = openat(fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | flags);

    if (sub < 0)
        return unreadable(walk, errno, path);
    return walk_dir(walk, sub, path, rel, up);
}

static int walk_link(struct walk *walk, int fd, const char *name, const char *path, const char *rel,
                     const struct chain *up)
{
    sl_autofree char *real = NULL;
    sl_autofree char *parent = NULL;
    int r = sl_resolve(path, on_hop, walk, &real);
    bool wanted = sl_source_takes(name);
    struct stat st;

    if (r < 0) {
        add_dir(walk, real); /* where the missing part may appear; a file here is harmless */
        if (!wanted)
            return 0;
        add_seen(walk, path, NULL);
        return add_file(walk, rel, "", 0);
    }
    if (stat(real, &st) < 0)
        return unreadable(walk, errno, path);
    if (S_ISDIR(st.st_mode))
        return walk_below(walk, fd, name, 0, path, rel, up);
    if (!wanted)
        return 0;
    parent = sl_strdup(real);
    *strrchr(parent, '/') = '\0';
    add_dir(walk, *parent ? parent : "/");
    if (!S_ISREG(st.st_mode) || !sl_source_takes(basename_of(real))) {
        add_seen(walk, path, &st);
        return add_file(walk, rel, "", 0);
    }
    return read_manifest(walk, path, real, rel);
}

static int walk_entry(struct walk *walk, int fd, const char *dir, const char *dir_rel,
                      const char *name, const struct chain *up)
{
    sl_autofree char *path = sl_asprintf("%s/%s", strcmp(dir, "/") == 0 ? "" : dir, name);
    sl_autofree char *rel = *dir_rel ? sl_asprintf("%s/%s", dir_rel, name) : sl_strdup(name);
    struct stat st;

    if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return unreadable(walk, errno, path);
    if (S_ISDIR(st.st_mode))
        return walk_below(walk, fd, name, O_NOFOLLOW, path, rel, up);
    if (S_ISLNK(st.st_mode))
        return walk_link(walk, fd, name, path, rel, up);
    if (!sl_source_takes(name))
        return 0;
    if (!S_ISREG(st.st_mode)) {
        add_seen(walk, path, &st);
        return add_file(walk, rel, "", 0);
    }
    return read_manifest(walk, path, path, rel);
}

static int walk_dir(struct walk *walk, int fd, const char *path, const char *rel,
                    const struct chain *up)
{
    sl_autofree char **names = NULL;
    size_t count = 0, depth = 0;
    struct chain here = {.up = up};
    struct stat st;

    if (fstat(fd, &st) < 0)
        return unreadable(walk, errno, path);
    here.dev = st.st_dev;
    here.ino = st.st_ino;
    for (const struct chain *at = up; at; at = at->up, depth++)
        if (at->dev == st.st_dev && at->ino == st.st_ino)
            return 0; /* a link back to where we come from */
    if (depth >= DEPTH_MAX)
        return too_large(walk, "levels", DEPTH_MAX);
    if (++walk->walked > DIRS_MAX)
        return too_large(walk, "directories", DIRS_MAX);
    add_dir(walk, path);
    add_seen(walk, path, &st);
    if (read_names(walk, fd, path, &names, &count) < 0)
        return -1;
    for (size_t i = 0; i < count; i++)
        if (walk_entry(walk, fd, path, rel, names[i], &here) < 0)
            return -1;
    return 0;
}

static bool same(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
           a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

static int look_again(struct walk *walk, const char *root)
{
    sl_autofree char *real = NULL;

    for (size_t i = 0; i < walk->seen_count; i++) {
        const struct seen *seen = &walk->seen[i];
        struct stat st;
        bool missing = stat(seen->path, &st) < 0;

        if (missing != seen->missing || (!missing && !same(&st, &seen->st)))
            return changing(walk, seen->path);
    }
    if (sl_resolve(root, on_hop, walk, &real) < 0 || strcmp(real, walk->real) != 0)
        return changing(walk, root);
    return 0;
}

/* git works in the tree while its lock stands; one that is older was left behind by a crash. */
static int check_lock(struct walk *walk, const struct sl_git *git)
{
    sl_autofree char *path = sl_asprintf("%s/index.lock", git->dir);
    struct stat st;
    int64_t age;

    if (lstat(path, &st) < 0)
        return 0;
    age = sl_now_wall() - ((int64_t)st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / 1000000);
    if (age < LOCK_AGE_MS && age > -LOCK_AGE_MS)
        return sl_err_set(walk->err, SL_ERR_TRANSIENT, 0, "IndexLock", "git is at work: %s exists",
                          path);
    walk->out->warning = sl_arena_printf(
        walk->arena, "%s is older than %d s and is ignored: no git seems to be at work; remove it",
        path, LOCK_AGE_MS / 1000);
    return 0;
}

static bool revision_file(struct walk *walk)
{
    sl_autofree char *path = sl_asprintf("%s/REVISION", walk->real);
    sl_autofd int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    char text[201];
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
    size_t len = 0;

    if (n <= 0)
        return false;
    while (len < (size_t)n && text[len] > ' ' && text[len] < 127)
        len++;
    if (len == 0)
        return false;
    walk->out->revision = sl_arena_strndup(walk->arena, text, len);
    return true;
}

static void set_revision(struct walk *walk, const struct sl_git *git)
{
    struct sl_snapshot *out = walk->out;

    out->ref = git && git->ref ? sl_arena_strdup(walk->arena, git->ref) : "";
    out->atomic = git || walk->sync[0] || walk->volume;
    if (walk->sync[0]) {
        out->revision = sl_arena_strdup(walk->arena, walk->sync);
        out->how = "git-sync";
    } else if (git && git->revision[0]) {
        out->revision = sl_arena_strdup(walk->arena, git->revision);
        out->how = "git";
    } else if (revision_file(walk)) {
        out->how = "file";
    } else {
        out->revision = out->snapshot;
        out->how = "content";
    }
}

static int compare_files(const void *a, const void *b)
{
    return strcmp(((const struct sl_snapshot_file *)a)->path,
                  ((const struct sl_snapshot_file *)b)->path);
}

static void finish(struct walk *walk)
{
    struct sl_snapshot *out = walk->out;
    struct sl_buf buf = {0};
    size_t kept = 0;

    if (out->count > 0)
        qsort(out->files, out->count, sizeof(*out->files), compare_files);
    for (size_t i = 0; i < out->count; i++) {
        sl_buf_add(&buf, out->files[i].path, strlen(out->files[i].path) + 1);
        sl_buf_printf(&buf, "%s\n", out->files[i].sha256);
    }
    memcpy(out->snapshot, "sha256:", 7);
    sl_sha256_hex(buf.data ? buf.data : "", buf.len, out->snapshot + 7);
    sl_buf_free(&buf);
    qsort(out->dirs, out->dirs_count, sizeof(*out->dirs), compare_text);
    for (size_t i = 0; i < out->dirs_count; i++)
        if (kept == 0 || strcmp(out->dirs[kept - 1], out->dirs[i]) != 0)
            out->dirs[kept++] = out->dirs[i];
    out->dirs_count = kept;
    out->root_present = out->count > 0;
}

static int read_tree(struct walk *walk, const char *root, const struct sl_git *git)
{
    sl_autofd int fd = -1;

    if (git) {
        add_dir(walk, git->dir);
        add_dir(walk, git->common);
        if (git->ref_dir)
            add_dir(walk, git->ref_dir);
        if (check_lock(walk, git) < 0)
            return -1;
    }
    fd = open(walk->real, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return unreadable(walk, errno, walk->real);
    if (walk_dir(walk, fd, walk->real, "", NULL) < 0 || look_again(walk, root) < 0)
        return -1;
    return git ? check_lock(walk, git) : 0;
}

static int read_root(struct walk *walk, const char *root)
{
    sl_autofree char *real = NULL;
    struct sl_git git = {0};
    bool has_git;
    int r = sl_resolve(root, on_root_hop, walk, &real);

    if (r == -ENOENT) {
        add_dir(walk, real);
        finish(walk);
        set_revision(walk, NULL);
        return 0;
    }
    if (r < 0)
        return sl_err_os(walk->err, -r, "cannot read %s", root);
    walk->real = sl_arena_strdup(walk->arena, real);
    has_git = sl_git_find(real, &git);
    r = read_tree(walk, root, has_git ? &git : NULL);
    if (r == 0) {
        finish(walk);
        set_revision(walk, has_git ? &git : NULL);
    }
    sl_git_clear(&git);
    return r;
}

int sl_source_read(const char *root, struct sl_snapshot **ret, struct sl_err *err)
{
    struct sl_snapshot *out = sl_alloc(sizeof(*out));
    struct walk walk = {.arena = sl_arena_new(), .out = out, .err = err, .real = root};
    sl_autofree char *cwd = *root == '/' ? NULL : getcwd(NULL, 0);
    sl_autofree char *path = cwd ? sl_asprintf("%s/%s", cwd, root) : sl_strdup(root);
    int r;

    out->arena = walk.arena;
    out->warning = "";
    r = read_root(&walk, path);
    free(walk.seen);
    if (r < 0) {
        sl_source_free(out);
        return -1;
    }
    *ret = out;
    return 0;
}

void sl_source_free(struct sl_snapshot *source)
{
    if (!source)
        return;
    free(source->files);
    free(source->dirs);
    sl_arena_free(source->arena);
    free(source);
}
