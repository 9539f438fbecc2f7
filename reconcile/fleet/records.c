/* SPDX-License-Identifier: GPL-2.0-or-later
 * Records into memory: scan of runtime/enc, proof of life, stats, notices, use of the machine.
 * Layer: fleet. All that stands in a record is somebody else's word: only a held lock or an open
 * pidfd says that an encoder lives.
 */
#include "reconcile/fleet/fleet_impl.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum fleet_lock fleet_probe(int dirfd, int *ret_fd)
{
    int fd = openat(dirfd, "lock", O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

    if (fd < 0)
        return FLEET_LOCK_MISSING;
    /* shared: two that look at once must not take each other for an encoder, which holds it alone
     */
    if (flock(fd, LOCK_SH | LOCK_NB) < 0) {
        close(fd);
        return FLEET_LOCK_HELD;
    }
    if (ret_fd)
        *ret_fd = fd;
    else
        close(fd); /* the only descriptor of this open: the lock is free again */
    return FLEET_LOCK_FREE;
}

bool fleet_same_process(const struct fleet_enc *enc)
{
    const struct sl_record *r = &enc->seen.record;
    char pidns[sizeof(r->pidns)];

    if (r->pid <= 0 || r->pid_start == 0 || strcmp(r->boot_id, sl_boot_id()) != 0)
        return false;
    sl_pidns(pidns);
    return pidns[0] && strcmp(r->pidns, pidns) == 0 && sl_proc_start(r->pid) == r->pid_start;
}

static bool pidfd_alive(int pidfd)
{
    struct pollfd p = {.fd = pidfd, .events = POLLIN};

    return poll(&p, 1, 0) == 0;
}

static int on_death(sd_event_source *source, int fd, uint32_t events, void *user)
{
    struct sl_fleet *fleet = user;

    (void)source;
    (void)events;
    for (size_t i = 0; i < fleet->count; i++) {
        struct fleet_enc *enc = fleet->encs[i];
        bool dropped;

        if (enc->pidfd != fd)
            continue;
        sd_event_source_set_enabled(enc->death, SD_EVENT_OFF);
        if (fleet_refresh(fleet, enc->seen.record.uid, &dropped))
            fleet->fn(fleet->user);
        break;
    }
    return 0;
}

void fleet_take_pidfd(struct sl_fleet *fleet, struct fleet_enc *enc, int pidfd)
{
    if (pidfd < 0)
        return;
    if (enc->pidfd >= 0) {
        close(pidfd);
        return;
    }
    enc->pidfd = pidfd;
    if (sd_event_add_io(fleet->event, &enc->death, pidfd, EPOLLIN, on_death, fleet) < 0)
        sl_log(SL_LOG_WARN, "an encoder's end will be noticed late", "stream",
               enc->seen.record.name, "reason", "pidfd cannot be watched", NULL);
}

/* Between the two looks at the start time the pid cannot have changed hands unseen. */
static void open_pidfd(struct sl_fleet *fleet, struct fleet_enc *enc)
{
    int fd;

    if (enc->pidfd >= 0 || !fleet_same_process(enc))
        return;
    fd = pidfd_open(enc->seen.record.pid, 0);
    if (fd < 0)
        return;
    if (!fleet_same_process(enc)) {
        close(fd);
        return;
    }
    fleet_take_pidfd(fleet, enc, fd);
}

/* The lock decides; a pidfd taken while the lock was held, or given by the host, is as good. */
static bool lives(struct fleet_enc *enc, int dirfd, int64_t now)
{
    enum fleet_lock lock;

    if (enc->refused)
        return false;
    if (enc->pidfd >= 0)
        return pidfd_alive(enc->pidfd);
    if (enc->asked_at && !enc->answered_at)
        return true; /* the request is under way */
    lock = dirfd < 0 ? FLEET_LOCK_MISSING : fleet_probe(dirfd, NULL);
    if (lock == FLEET_LOCK_HELD)
        return true;
    if (enc->seen.record.exited || enc->seen.newer_layout)
        return false;
    if (enc->answered_at && now - enc->answered_at < FLEET_YOUNG)
        return true;
    /* a daemon started between fork and flock of an encoder: give it a moment */
    return enc->known && enc->seen.record.state == SL_ENC_STARTING &&
           now - enc->first_seen < FLEET_YOUNG && fleet_same_process(enc);
}

static void say_death(struct fleet_enc *enc)
{
    const struct sl_record *r = &enc->seen.record;
    const char *how = r->exited ? (r->exit_signal ? "signal" : "status") : "how";
    const char *value = !r->exited       ? "not told"
                        : r->exit_signal ? sl_num(r->exit_signal)
                                         : sl_num(r->exit_status);

    sl_log(enc->seen.stop_asked ? SL_LOG_INFO : SL_LOG_WARN, "encoder ended", "stream", r->name,
           "gen", sl_num((long long)r->generation), "pid", sl_num(r->pid), how, value, "reason",
           *r->reason ? r->reason : NULL, "message", *r->message ? r->message : NULL, NULL);
}

static bool judge_life(struct sl_fleet *fleet, struct fleet_enc *enc, int dirfd, int64_t now)
{
    struct sl_seen_encoder *seen = &enc->seen;
    bool was = seen->alive, alive = lives(enc, dirfd, now);

    if (alive) {
        seen->alive = true;
        enc->died_at = 0;
        if (enc->known && enc->pidfd < 0 && !enc->asked_at)
            open_pidfd(fleet, enc);
        if (enc->pidfd < 0 && (!enc->asked_at || enc->answered_at))
            fleet_wake_at(fleet, enc->probe_at = now + 1000); /* else nothing tells its end */
        return !was;
    }
    /* the parent writes how it ended a moment later: without that the reason shown is poor */
    if (was && enc->known && !seen->record.exited && fleet->host.up &&
        (!enc->died_at || now < enc->died_at + FLEET_EXIT_WAIT)) {
        if (!enc->died_at)
            enc->died_at = now;
        fleet_wake_at(fleet, enc->died_at + FLEET_EXIT_WAIT);
        return false;
    }
    enc->died_at = 0;
    seen->alive = false;
    if (was && !enc->known) {
        seen->record.state = SL_ENC_ENDED;
        snprintf(seen->record.reason, sizeof(seen->record.reason), "StartFailed");
        snprintf(seen->record.message, sizeof(seen->record.message),
                 "the encoder ended before it wrote its record");
        enc->refused = true;
    }
    if (was)
        say_death(enc);
    return was;
}

/* What the plan may need to know of an encoder found, not started, by this daemon. */
static void adopt(struct fleet_enc *enc)
{
    enum sl_enc_state state = enc->seen.record.state;

    enc->seen.gone_asked = state == SL_ENC_CONNECTING || state == SL_ENC_LIVE ||
                           state == SL_ENC_SILENT || state == SL_ENC_ENDED;
}

bool fleet_refresh(struct sl_fleet *fleet, const char *uid, bool *ret_dropped)
{
    struct fleet_enc *enc = fleet_find(fleet, uid);
    sl_autofd int dir = openat(fleet->enc_fd, uid, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    struct sl_record record;
    struct sl_err err = {0};
    int64_t now = sl_now_mono();
    bool news = false, read, newer;

    *ret_dropped = false;
    if (dir < 0) {
        if (!enc || enc->refused || (enc->asked_at && !enc->known))
            return enc && !enc->refused ? judge_life(fleet, enc, -1, now) : false;
        fleet_drop(fleet, enc);
        *ret_dropped = true;
        return true;
    }
    read = sl_record_read(dir, &record, &err) == 0;
    newer = !read && strcmp(err.code, "NewerLayout") == 0;
    if ((read || newer) && strcmp(record.uid, uid) != 0)
        read = newer = false;
    if (!enc) {
        if (!read && !newer)
            return false;
        enc = fleet_add(fleet, uid);
        news = true;
    }
    if (read || newer) {
        bool first = !enc->known;

        if (enc->pidfd >= 0 && enc->known && enc->seen.record.pid != record.pid)
            return news; /* a live encoder keeps its pid: not this record's business */
        if (memcmp(&enc->seen.record, &record, sizeof(record)) != 0)
            news = true;
        enc->seen.record = record;
        enc->seen.newer_layout = newer;
        enc->known = true;
        enc->refused = false;
        if (first && !enc->asked_at)
            adopt(enc);
    }
    if (judge_life(fleet, enc, dir, now))
        news = true;
    /* a pidfd from the encoder itself, where pids of this namespace say nothing */
    if (enc->seen.alive && enc->known && !newer && enc->pidfd < 0)
        fleet_ctl(fleet, enc, FLEET_HELLO);
    return news;
}

/* A directory without a record that nobody lives in: what a crash between mkdir and the first
 * record leaves. */
static void sweep(struct sl_fleet *fleet, const char *uid)
{
    sl_autofd int dir = openat(fleet->enc_fd, uid, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    sl_autofd int lock = -1;
    struct stat st, rec;

    if (dir < 0 || fleet_find(fleet, uid) || fstatat(dir, "record.json", &rec, 0) == 0 ||
        fstat(dir, &st) < 0 || sl_now_wall() / 1000 - st.st_mtime < 60 ||
        fleet_probe(dir, &lock) == FLEET_LOCK_HELD)
        return;
    if (sl_rmdir_flat(fleet->enc_fd, uid, NULL) == 0)
        sl_log(SL_LOG_INFO, "removed an encoder directory without a record", "uid", uid, NULL);
}

void fleet_scan(struct sl_fleet *fleet)
{
    int fd = openat(fleet->enc_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *e;
    bool news = false, dropped;

    if (!d) {
        sl_log(SL_LOG_WARN, "cannot read the encoders' records", "dir", fleet->runtime, "error",
               strerror(errno), NULL);
        sl_closep(&fd);
        return; /* unknown, not absent */
    }
    for (size_t i = 0; i < fleet->count;) { /* those whose directory is gone */
        news |= fleet_refresh(fleet, fleet->encs[i]->seen.record.uid, &dropped);
        i += !dropped;
    }
    while ((e = readdir(d))) {
        if (!fleet_uid_ok(e->d_name) || fleet_find(fleet, e->d_name))
            continue;
        news |= fleet_refresh(fleet, e->d_name, &dropped);
        if (!fleet_find(fleet, e->d_name))
            sweep(fleet, e->d_name);
    }
    closedir(d);
    if (fleet->known && news)
        fleet->fn(fleet->user);
    fleet->known = true;
}

void fleet_read_stats(struct sl_fleet *fleet, struct fleet_enc *enc, int64_t now)
{
    struct sl_seen_encoder *seen = &enc->seen;
    struct sl_stats_data s;
    char path[SL_UID_LEN + 8];
    sl_autofd int fd = -1;

    if (!seen->alive || seen->newer_layout || !enc->known ||
        (enc->stats_at && now - enc->stats_at < FLEET_STATS_EVERY))
        return;
    enc->stats_at = now;
    snprintf(path, sizeof(path), "%.16s/stats", seen->record.uid);
    fd = openat(fleet->enc_fd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0 || sl_stats_read(fd, &s) < 0)
        return;
    if (!seen->stats_known || s.loops != seen->stats.loops)
        seen->loops_moved = now;
    if (!seen->stats_known || s.packets != seen->stats.packets)
        seen->packets_moved = now;
    seen->stats = s;
    seen->stats_known = true;
}

void fleet_read_usage(struct fleet_enc *enc, int64_t now)
{
    unsigned long long utime, stime;
    long rss;
    char path[40], text[1024], *p;
    sl_autofd int fd = -1;
    ssize_t n;

    if (!enc->seen.alive || !enc->known || !fleet_same_process(enc))
        return;
    snprintf(path, sizeof(path), "/proc/%d/stat", enc->seen.record.pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
    if (n <= 0)
        return;
    text[n] = 0;
    p = strrchr(text, ')'); /* proc(5): the name may hold anything, so count from behind it */
    if (!p || sscanf(p + 1,
                     " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu %*d %*d %*d %*d %*d "
                     "%*d %*u %*u %ld",
                     &utime, &stime, &rss) != 3)
        return;
    if (enc->cpu_at && now > enc->cpu_at && utime + stime >= enc->cpu_ticks)
        enc->seen.cpu = (double)(utime + stime - enc->cpu_ticks) / (double)sysconf(_SC_CLK_TCK) /
                        ((double)(now - enc->cpu_at) / 1000.0);
    enc->cpu_ticks = utime + stime;
    enc->cpu_at = now;
    enc->seen.memory = rss > 0 ? (uint64_t)rss * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
}

static bool sender_ok(const struct sl_fleet *fleet, struct msghdr *msg)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
        struct ucred cred;

        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_CREDENTIALS ||
            c->cmsg_len < CMSG_LEN(sizeof(cred)))
            continue;
        memcpy(&cred, CMSG_DATA(c), sizeof(cred));
        /* the socket's mode chose already; this keeps a stray member of a wider group out */
        return fleet_peer_ok(fleet, cred.uid);
    }
    return false;
}

static int on_notice(sd_event_source *source, int fd, uint32_t events, void *user)
{
    struct sl_fleet *fleet = user;
    bool news = false;

    (void)source;
    (void)events;
    for (int i = 0; i < 256; i++) {
        char text[64], control[256];
        struct iovec iov = {.iov_base = text, .iov_len = sizeof(text) - 1};
        struct msghdr msg = {.msg_iov = &iov,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = sizeof(control)};
        ssize_t n = recvmsg(fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        bool dropped;

        if (n < 0)
            break;
        for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
            int given; /* nobody should send descriptors here: do not collect them */

            if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
                for (size_t at = 0; CMSG_LEN(at + sizeof(int)) <= c->cmsg_len; at += sizeof(int)) {
                    memcpy(&given, CMSG_DATA(c) + at, sizeof(given));
                    close(given);
                }
            }
        }
        text[n] = 0;
        if (fleet_uid_ok(text) && sender_ok(fleet, &msg))
            news |= fleet_refresh(fleet, text, &dropped);
    }
    if (news)
        fleet->fn(fleet->user);
    return 0;
}

int fleet_notice_open(struct sl_fleet *fleet, struct sl_err *err)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    char temp[40];
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int one = 1;

    if (fd < 0)
        return sl_err_os(err, errno, "cannot make the notice socket");
    fleet->notice_fd = fd;
    /* through /proc/self/fd: a runtime directory may be deeper than sun_path is long */
    snprintf(temp, sizeof(temp), "notice.%d.tmp", (int)getpid());
    snprintf(a.sun_path, sizeof(a.sun_path), "/proc/self/fd/%d/%s", fleet->runtime_fd, temp);
    unlinkat(fleet->runtime_fd, temp, 0);
    if (setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &one, sizeof(one)) < 0 ||
        bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 ||
        fchmodat(fleet->runtime_fd, temp, 0660, 0) < 0 ||
        renameat(fleet->runtime_fd, temp, fleet->runtime_fd, "notice.sock") < 0) {
        int os = errno;

        unlinkat(fleet->runtime_fd, temp, 0);
        return sl_err_os(err, os, "cannot bind %s/notice.sock", fleet->runtime);
    }
    if (sd_event_add_io(fleet->event, &fleet->notice, fd, EPOLLIN, on_notice, fleet) < 0)
        return sl_err_set(err, SL_ERR_BUG, 0, "", "cannot watch the notice socket");
    return 0;
}
