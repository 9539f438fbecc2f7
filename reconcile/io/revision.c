/* SPDX-License-Identifier: GPL-2.0-or-later
 * Formats: gitrepository-layout(5), git-worktree(1), "gitdir:" in gitfile; git-sync 3 and 4.
 * A repository with the reftable format shows no HEAD here: the snapshot's hash is used then.
 */
#include "reconcile/io/revision.h"

#include "reconcile/base/file.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#define SMALL    4096
#define PACKED   (16u << 20)
#define HOPS_MAX 40
#define REFS_MAX 5

static char *read_text(const char *dir, const char *name, size_t max, size_t *ret_len)
{
    sl_autofree char *path = sl_asprintf("%s/%s", dir, name);
    char *data = NULL;
    size_t len = 0;

    if (sl_file_read(AT_FDCWD, path, max, &data, &len, NULL) < 0)
        return NULL;
    if (ret_len)
        *ret_len = len;
    return data;
}

static char *read_line(const char *dir, const char *name)
{
    char *text = read_text(dir, name, SMALL, NULL);

    if (text)
        text[strcspn(text, "\r\n")] = '\0';
    return text;
}

/* Length of the object name at s when nothing hexadecimal follows, else 0. */
static size_t hex_len(const char *s)
{
    size_t n = strspn(s, "0123456789abcdef");

    return (n == 40 || n == 64) && !isalnum((unsigned char)s[n]) ? n : 0;
}

static bool take_hex(const char *s, char ret[SL_HEX_MAX])
{
    size_t n = hex_len(s);

    if (n == 0)
        return false;
    memcpy(ret, s, n);
    ret[n] = '\0';
    return true;
}

bool sl_revision_of_link(const char *target, char ret[SL_HEX_MAX])
{
    const char *at = target;

    while (at) {
        const char *name = strncmp(at, "rev-", 4) == 0 ? at + 4 : at;
        size_t n = hex_len(name);

        if (n > 0 && (name[n] == '\0' || name[n] == '/'))
            return take_hex(name, ret);
        at = strchr(at, '/');
        at = at ? at + 1 : NULL;
    }
    return false;
}

static char *absolute(const char *base, const char *path)
{
    sl_autofree char *joined = *path == '/' ? sl_strdup(path) : sl_asprintf("%s/%s", base, path);
    char *real = realpath(joined, NULL);

    return real ? real : sl_strdup(joined);
}

static bool packed_ref(const char *packed, const char *ref, char ret[SL_HEX_MAX])
{
    size_t len = strlen(ref);

    for (const char *line = packed; line && *line;) {
        size_t n = hex_len(line);
        const char *end = strchr(line, '\n');

        if (n > 0 && line[n] == ' ' && strncmp(line + n + 1, ref, len) == 0 &&
            (line[n + 1 + len] == '\n' || line[n + 1 + len] == '\0'))
            return take_hex(line, ret);
        line = end ? end + 1 : NULL;
    }
    return false;
}

static bool ref_name_ok(const char *ref)
{
    return strncmp(ref, "refs/", 5) == 0 && !strstr(ref, "..") && ref[strlen(ref) - 1] != '/';
}

/* Follows HEAD through symbolic refs down to an object name. */
static void read_head(struct sl_git *git)
{
    sl_autofree char *text = read_line(git->dir, "HEAD");

    for (int depth = 0; text && depth < REFS_MAX; depth++) {
        sl_autofree char *ref = NULL;
        const char *name;

        if (take_hex(text, git->revision) || strncmp(text, "ref:", 4) != 0)
            return;
        name = text + 4 + strspn(text + 4, " \t");
        if (!*name || !ref_name_ok(name))
            return;
        ref = sl_strdup(name);
        if (depth == 0) {
            sl_autofree char *path = sl_asprintf("%s/%s", git->common, ref);
            struct stat st;

            git->ref = sl_strdup(strncmp(ref, "refs/heads/", 11) == 0 ? ref + 11 : ref);
            *strrchr(path, '/') = '\0';
            if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
                git->ref_dir = sl_strdup(path);
        }
        free(text);
        text = read_line(git->dir, ref);
        if (!text)
            text = read_line(git->common, ref);
        if (!text) {
            sl_autofree char *packed = read_text(git->common, "packed-refs", PACKED, NULL);

            packed_ref(packed, ref, git->revision);
        }
    }
}

/* The git directory that `dir`/.git is or names; NULL: none. */
static char *git_dir_of(const char *dir)
{
    sl_autofree char *dot = sl_asprintf("%s/.git", dir);
    sl_autofree char *line = NULL;
    sl_autofree char *head = NULL;
    sl_autofree char *found = NULL;
    struct stat st;
    char *ret;

    if (stat(dot, &st) < 0)
        return NULL;
    if (S_ISDIR(st.st_mode)) {
        found = absolute(dir, ".git");
    } else if (S_ISREG(st.st_mode)) {
        line = read_line(dir, ".git");
        if (!line || strncmp(line, "gitdir:", 7) != 0)
            return NULL;
        found = absolute(dir, line + 7 + strspn(line + 7, " \t"));
    } else {
        return NULL;
    }
    head = read_line(found, "HEAD");
    if (!head)
        return NULL;
    ret = found;
    found = NULL;
    return ret;
}

/* Index versions 2 and 3 hold whole path names; version 4 (rare) cuts common beginnings, then
 * nothing is found and the content's hash serves. */
static bool index_names(const char *git_dir, const char *below)
{
    size_t len = 0;
    sl_autofree char *index = read_text(git_dir, "index", PACKED, &len);
    sl_autofree char *prefix = sl_asprintf("%s/", below);

    return index && memmem(index, len, prefix, strlen(prefix));
}

bool sl_git_find(const char *root, struct sl_git *ret)
{
    sl_autofree char *dir = sl_strdup(root);
    struct sl_git git = {0};
    sl_autofree char *common = NULL;

    for (;;) {
        char *slash;

        git.dir = git_dir_of(dir);
        if (git.dir)
            break;
        slash = strrchr(dir, '/');
        if (!slash || slash == dir)
            return false;
        *slash = '\0';
    }
    if (strlen(dir) < strlen(root) && !index_names(git.dir, root + strlen(dir) + 1)) {
        free(git.dir);
        return false;
    }
    common = read_line(git.dir, "commondir");
    git.common = common ? absolute(git.dir, common) : sl_strdup(git.dir);
    read_head(&git);
    *ret = git;
    return true;
}

void sl_git_clear(struct sl_git *git)
{
    free(git->dir);
    free(git->common);
    free(git->ref_dir);
    free(git->ref);
    memset(git, 0, sizeof(*git));
}

static char *read_link(const char *path)
{
    char target[PATH_MAX];
    ssize_t n = readlink(path, target, sizeof(target) - 1);

    if (n < 0)
        return NULL;
    target[n] = '\0';
    return sl_strdup(target);
}

static void replace(char **at, char *with)
{
    free(*at);
    *at = with;
}

int sl_resolve(const char *path, sl_hop_fn *hop, void *user, char **ret)
{
    char *done = sl_strdup(""); /* "" stands for the root directory */
    char *rest = sl_strdup(path);
    int hops = 0, r = 0;

    while (*rest && r == 0) {
        size_t skip = strspn(rest, "/"), n = strcspn(rest + skip, "/");
        sl_autofree char *name = sl_asprintf("%.*s", (int)n, rest + skip);
        sl_autofree char *next = NULL;
        sl_autofree char *target = NULL;
        struct stat st;

        replace(&rest, sl_strdup(rest + skip + n));
        if (n == 0 || strcmp(name, ".") == 0)
            continue;
        if (strcmp(name, "..") == 0) {
            char *slash = strrchr(done, '/');

            if (slash)
                *slash = '\0';
            continue;
        }
        next = sl_asprintf("%s/%s", done, name);
        if (lstat(next, &st) < 0) {
            r = -errno;
        } else if (!S_ISLNK(st.st_mode)) {
            replace(&done, sl_strdup(next));
        } else if (++hops > HOPS_MAX) {
            r = -ELOOP;
        } else {
            target = read_link(next);
            if (!target) {
                r = -errno;
                break;
            }
            hop(user, *done ? done : "/", target);
            replace(&rest, sl_asprintf("%s/%s", target, rest));
            if (*target == '/')
                replace(&done, sl_strdup(""));
        }
    }
    free(rest);
    if (!*done)
        replace(&done, sl_strdup("/"));
    *ret = done;
    return r;
}
