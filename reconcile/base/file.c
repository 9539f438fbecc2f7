/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "reconcile/base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

int sl_file_read(int dirfd, const char *path, size_t max, char **ret_data, size_t *ret_len,
                 struct sl_err *err)
{
    sl_autofd int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0) {
        return sl_err_os(err, errno, "cannot open %s", path);
    }
    struct stat st;
    if (fstat(fd, &st) < 0) {
        return sl_err_os(err, errno, "cannot stat %s", path);
    }
    if (S_ISDIR(st.st_mode)) {
        return sl_err_os(err, EISDIR, "cannot read %s", path);
    }
    size_t cap = st.st_size > 0 && (size_t)st.st_size < max ? (size_t)st.st_size + 1 : 4096,
           len = 0;
    sl_autofree char *data = sl_alloc(cap + 1);
    for (;;) {
        if (len == cap) {
            cap *= 2;
            data = sl_realloc(data, cap + 1);
        }
        ssize_t n = read(fd, data + len, cap - len);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return sl_err_os(err, errno, "cannot read %s", path);
        }
        if (n == 0) {
            break;
        }
        len += (size_t)n;
        if (len > max) {
            return sl_err_os(err, EFBIG, "%s is larger than %zu bytes", path, max);
        }
    }
    data[len] = '\0';
    *ret_data = data;
    data = NULL;
    if (ret_len) {
        *ret_len = len;
    }
    return 0;
}

static int write_all(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, data, len);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return -1;
        }
        data += n;
        len -= (size_t)n;
    }
    return 0;
}

static int sync_parent(int dirfd, const char *path)
{
    const char *slash = strrchr(path, '/');
    sl_autofree char *parent = slash ? strndup(path, (size_t)(slash - path)) : strdup(".");
    sl_autofd int fd =
        openat(dirfd, parent && *parent ? parent : "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? -1 : fsync(fd);
}

int sl_file_replace(int dirfd, const char *path, const void *data, size_t len, unsigned mode,
                    int flags, struct sl_err *err)
{
    static unsigned serial;
    const char *slash = strrchr(path, '/');
    int head = slash ? (int)(slash - path) + 1 : 0;
    sl_autofree char *temporary =
        sl_asprintf("%.*s.%s.%d.%u", head, path, path + head, (int)getpid(),
                    __atomic_add_fetch(&serial, 1, __ATOMIC_RELAXED));
    sl_autofd int fd =
        openat(dirfd, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);
    if (fd < 0) {
        return sl_err_os(err, errno, "cannot create %s", temporary);
    }
    if (fchmod(fd, mode) < 0 || write_all(fd, data, len) < 0 ||
        ((flags & SL_FILE_SYNC) && fsync(fd) < 0) || renameat(dirfd, temporary, dirfd, path) < 0) {
        int saved = errno;
        unlinkat(dirfd, temporary, 0);
        return sl_err_os(err, saved, "cannot write %s", path);
    }
    if ((flags & SL_FILE_SYNC) && sync_parent(dirfd, path) < 0) {
        return sl_err_os(err, errno, "cannot sync the directory of %s", path);
    }
    return 0;
}

int sl_mkdir_p(const char *path, unsigned mode, struct sl_err *err)
{
    sl_autofree char *copy = sl_strdup(path);
    for (char *p = copy + 1; *p; p++) {
        if (*p != '/') {
            continue;
        }
        *p = '\0';
        if (mkdir(copy, mode) < 0 && errno != EEXIST) {
            return sl_err_os(err, errno, "cannot create the directory %s", copy);
        }
        *p = '/';
    }
    if (mkdir(copy, mode) < 0 && errno != EEXIST) {
        return sl_err_os(err, errno, "cannot create the directory %s", copy);
    }
    struct stat st;
    if (stat(copy, &st) < 0 || !S_ISDIR(st.st_mode)) {
        return sl_err_os(err, ENOTDIR, "%s", copy);
    }
    return 0;
}

int sl_rmdir_flat(int dirfd, const char *path, struct sl_err *err)
{
    int fd = openat(dirfd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        return errno == ENOENT ? 0 : sl_err_os(err, errno, "cannot open %s", path);
    }
    DIR *dir = fdopendir(fd);
    if (!dir) {
        int saved = errno;
        close(fd);
        return sl_err_os(err, saved, "cannot list %s", path);
    }
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (!sl_streq(entry->d_name, ".") && !sl_streq(entry->d_name, "..")) {
            unlinkat(fd, entry->d_name, 0);
        }
    }
    closedir(dir);
    if (unlinkat(dirfd, path, AT_REMOVEDIR) < 0 && errno != ENOENT) {
        return sl_err_os(err, errno, "cannot remove %s", path);
    }
    return 0;
}

uint64_t sl_proc_start(int pid)
{
    char path[64];
    sl_autofree char *text = NULL;
    snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    if (sl_file_read(AT_FDCWD, path, 8192, &text, NULL, NULL) < 0) {
        return 0;
    }
    char *p = strrchr(text, ')'); /* the name may hold anything, also spaces and ')' */
    if (!p) {
        return 0;
    }
    p++;
    for (int field = 3; field < 22 && p; field++) {
        p = strchr(p + 1, ' ');
    }
    return p ? strtoull(p + 1, NULL, 10) : 0;
}

const char *sl_boot_id(void)
{
    static char id[40];
    if (!id[0]) {
        sl_autofree char *text = NULL;
        if (sl_file_read(AT_FDCWD, "/proc/sys/kernel/random/boot_id", 64, &text, NULL, NULL) == 0) {
            text[strcspn(text, "\n")] = '\0';
            snprintf(id, sizeof(id), "%.36s", text);
        }
    }
    return id;
}
