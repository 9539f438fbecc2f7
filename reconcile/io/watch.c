/* SPDX-License-Identifier: GPL-2.0-or-later
 * libinotifytools 3.22, and the only file that knows of it (docs/adr/0003): it may block, aborts
 * with a descriptor over 1023, leaks when a watch is removed or added twice, and prints when one
 * is removed. So: never remove; a changed set means cleanup, initialize, one watch a directory.
 */
#include "reconcile/io/watch.h"

#include "reconcile/base/time.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inotifytools/inotify.h>
#include <inotifytools/inotifytools.h>
#include <sys/select.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#define LONE_MAX  16   /* an editor's save is up to a dozen events */
#define DRAIN_MAX 8192 /* events an iteration */
#define GONE      (IN_IGNORED | IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT)
#define MASK                                                                                       \
    (IN_CREATE | IN_CLOSE_WRITE | IN_ATTRIB | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO |            \
     IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR)

struct armed {
    char *path;
    dev_t dev;
    ino_t ino;
};

struct sl_watch {
    struct sl_loop *loop;
    struct sl_watch_timing timing;
    sl_watch_fn *fn;
    void *user;
    sd_event_source *source; /* NULL: inotify does not serve */
    struct sl_timer *settle, *poll;
    struct armed *armed;
    size_t armed_count;
    bool stale;      /* a watched directory went away or was moved */
    int64_t first;   /* CLOCK_MONOTONIC ms of the first event not yet told; 0: none */
    uint64_t events; /* since then */
    uint64_t overflows;
    char warning[256];
};

static bool in_use; /* the library's state is global */

static void on_settled(void *user)
{
    struct sl_watch *watch = user;

    watch->first = 0;
    watch->events = 0;
    watch->fn(watch->user);
}

static void poll_again(struct sl_watch *watch)
{
    sl_timer_at(watch->poll, watch->warning[0] ? sl_now_mono() + watch->timing.poll : 0);
}

static void on_poll(void *user)
{
    struct sl_watch *watch = user;

    poll_again(watch);
    watch->fn(watch->user);
}

static void look_soon(struct sl_watch *watch, bool storm)
{
    int64_t now = sl_now_mono();
    int64_t due = now + (storm ? watch->timing.storm : watch->timing.settle);

    if (watch->first == 0)
        watch->first = now;
    if (due > watch->first + watch->timing.storm_cap)
        due = watch->first + watch->timing.storm_cap;
    sl_timer_at(watch->settle, due);
}

static void drain(struct sl_watch *watch)
{
    const struct inotify_event *event;
    uint32_t last = 0;
    int n = 0;

    /* next_events(0, 1) does not block; next_event(0) would, for ever. */
    while (n < DRAIN_MAX && (event = inotifytools_next_events(0, 1))) {
        n++;
        last = event->mask;
        if (last & IN_Q_OVERFLOW) {
            watch->overflows++;
            watch->events += LONE_MAX;
        }
        if (last & GONE)
            watch->stale = true;
    }
    if (n == 0)
        return;
    watch->events += (uint64_t)n;
    /* A file just created is still being written; a directory just made is still being filled. */
    look_soon(watch, watch->events > LONE_MAX || (last & IN_CREATE));
}

static int on_events(sd_event_source *source, int fd, uint32_t revents, void *user)
{
    (void)source;
    (void)fd;
    (void)revents;
    drain(user);
    return 0;
}

/* Marks the inotify descriptors of this process in `set`; one that `known` does not hold is
 * returned, else -1. */
static int find_inotify(fd_set *set, const fd_set *known)
{
    DIR *dir = opendir("/proc/self/fd");
    const struct dirent *entry;
    int found = -1;

    FD_ZERO(set);
    while (dir && (entry = readdir(dir))) {
        char target[32];
        int fd = atoi(entry->d_name);
        ssize_t n = readlinkat(dirfd(dir), entry->d_name, target, sizeof(target) - 1);

        if (n < 0)
            continue;
        target[n] = '\0';
        if (strcmp(target, "anon_inode:inotify") != 0)
            continue;
        if (fd < FD_SETSIZE)
            FD_SET(fd, set);
        if (known && (fd >= FD_SETSIZE || !FD_ISSET(fd, known)))
            found = fd;
    }
    if (dir)
        closedir(dir);
    return found;
}

static void disarm(struct sl_watch *watch)
{
    watch->source = sd_event_source_disable_unref(watch->source);
    inotifytools_cleanup();
}

static void warn(struct sl_watch *watch, const char *why, int os)
{
    snprintf(watch->warning, sizeof(watch->warning),
             "changes are looked for every %lld ms only: %s%s%s", (long long)watch->timing.poll,
             why, os ? ": " : "", os ? strerror(os) : "");
}

static void initialise(struct sl_watch *watch)
{
    fd_set before, after;
    int fd, r;

    watch->warning[0] = '\0';
    find_inotify(&before, NULL);
    if (!inotifytools_initialize()) {
        int os = inotifytools_error();

        warn(watch,
             os == EMFILE ? "no inotify instance is left (fs.inotify.max_user_instances)"
                          : "inotify cannot be used",
             os == EMFILE ? 0 : os);
        return;
    }
    fd = find_inotify(&after, &before);
    if (fd < 0 || fd >= FD_SETSIZE) {
        inotifytools_cleanup();
        warn(watch, "too many descriptors are open for inotify", 0);
        return;
    }
    fcntl(fd, F_SETFD, FD_CLOEXEC); /* the library does not: MediaMTX would inherit it */
    r = sd_event_add_io(sl_loop_event(watch->loop), &watch->source, fd, EPOLLIN, on_events, watch);
    if (r < 0) {
        inotifytools_cleanup();
        warn(watch, "inotify cannot be put on the event loop", -r);
        return;
    }
    sd_event_source_set_description(watch->source, "watch");
}

static bool tells_nothing(const char *path)
{
    struct statfs fs;

    if (statfs(path, &fs) < 0)
        return false;
    switch ((unsigned long)fs.f_type) {
    case 0x6969:     /* NFS */
    case 0x517B:     /* SMB */
    case 0xFF534D42: /* CIFS */
    case 0xFE534D42: /* SMB 2 */
    case 0x01021997: /* 9P */
    case 0x65735546: /* FUSE */
    case 0x00C36400: /* Ceph */
        return true;
    }
    return false;
}

static void rearm(struct sl_watch *watch)
{
    disarm(watch);
    initialise(watch);
    watch->stale = false;
    for (size_t i = 0; watch->source && i < watch->armed_count; i++) {
        const char *path = watch->armed[i].path;

        if (!inotifytools_watch_file(path, MASK)) {
            int os = inotifytools_error();

            /* One that has just gone away is found by the snapshot that follows. */
            if (os == ENOSPC)
                warn(watch, "no inotify watch is left (fs.inotify.max_user_watches)", 0);
            else if (os != ENOENT && os != ENOTDIR)
                warn(watch, path, os);
        }
        if (!watch->warning[0] && tells_nothing(path))
            warn(watch, "the manifests lie on a network file system, which tells of no changes", 0);
    }
    poll_again(watch);
}

int sl_watch_new(struct sl_loop *loop, const struct sl_watch_timing *timing, sl_watch_fn *fn,
                 void *user, struct sl_watch **ret, struct sl_err *err)
{
    struct sl_watch *watch;

    if (in_use)
        return sl_err_set(err, SL_ERR_BUG, 0, "", "a second watch in one process");
    in_use = true;
    watch = sl_alloc(sizeof(*watch));
    watch->loop = loop;
    watch->timing = *timing;
    watch->timing.settle = timing->settle ? timing->settle : 30;
    watch->timing.storm = timing->storm ? timing->storm : 300;
    watch->timing.storm_cap = timing->storm_cap ? timing->storm_cap : 3000;
    watch->timing.poll = timing->poll ? timing->poll : 10000;
    watch->fn = fn;
    watch->user = user;
    watch->settle = sl_timer_new(loop, on_settled, watch);
    watch->poll = sl_timer_new(loop, on_poll, watch);
    initialise(watch);
    poll_again(watch);
    *ret = watch;
    return 0;
}

static void free_armed(struct armed *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(list[i].path);
    free(list);
}

void sl_watch_free(struct sl_watch *watch)
{
    if (!watch)
        return;
    disarm(watch);
    sl_timer_free(watch->settle);
    sl_timer_free(watch->poll);
    free_armed(watch->armed, watch->armed_count);
    free(watch);
    in_use = false;
}

static bool same_set(const struct sl_watch *watch, const struct armed *list, size_t count)
{
    if (watch->armed_count != count)
        return false;
    for (size_t i = 0; i < count; i++) {
        const struct armed *a = &watch->armed[i], *b = &list[i];

        if (a->dev != b->dev || a->ino != b->ino || strcmp(a->path, b->path) != 0)
            return false;
    }
    return true;
}

bool sl_watch_set(struct sl_watch *watch, const char *const *dirs, size_t count)
{
    struct armed *list = sl_alloc((count + 1) * sizeof(*list));
    bool same;

    /* A directory made anew may even have the old inode number: only the events tell. */
    if (watch->source)
        drain(watch);
    for (size_t i = 0; i < count; i++) {
        struct stat st;

        list[i].path = sl_strdup(dirs[i]);
        if (stat(dirs[i], &st) == 0) {
            list[i].dev = st.st_dev;
            list[i].ino = st.st_ino;
        }
    }
    same = same_set(watch, list, count);
    if (same && watch->source && !watch->stale) {
        free_armed(list, count);
        return false;
    }
    free_armed(watch->armed, watch->armed_count);
    watch->armed = list;
    watch->armed_count = count;
    rearm(watch);
    return watch->source != NULL;
}

const char *sl_watch_warning(const struct sl_watch *watch)
{
    return watch->warning;
}

uint64_t sl_watch_overflows(const struct sl_watch *watch)
{
    return watch->overflows;
}
