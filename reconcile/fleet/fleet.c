/* SPDX-License-Identifier: GPL-2.0-or-later
 * The fleet: list of encoders, one timer for all that is due, and the way in from outside.
 * Layer: fleet. Never blocks, except in sl_fleet_stop_all.
 */
#include "reconcile/fleet/fleet_impl.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static int open_dir(const char *base, const char *name, struct sl_err *err)
{
    sl_autofree char *path = sl_asprintf("%s%s%s", base, name ? "/" : "", name ? name : "");
    int fd;

    /* group and others may enter: sockets inside carry their own permissions */
    if (sl_mkdir_p(path, 0755, err) < 0)
        return -1;
    fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return sl_err_os(err, errno, "cannot open %s", path);
    return fd;
}

bool fleet_uid_ok(const char *uid)
{
    return strlen(uid) == SL_UID_LEN && strspn(uid, "0123456789abcdef") == SL_UID_LEN;
}

struct fleet_enc *fleet_find(struct sl_fleet *fleet, const char *uid)
{
    for (size_t i = 0; uid && i < fleet->count; i++) {
        if (strcmp(fleet->encs[i]->seen.record.uid, uid) == 0)
            return fleet->encs[i];
    }
    return NULL;
}

struct fleet_enc *fleet_add(struct sl_fleet *fleet, const char *uid)
{
    struct fleet_enc *enc = sl_alloc(sizeof(*enc));
    int64_t now = sl_now_mono();

    if (fleet->count == fleet->cap) {
        fleet->cap = fleet->cap ? fleet->cap * 2 : 32;
        fleet->encs = sl_realloc(fleet->encs, fleet->cap * sizeof(fleet->encs[0]));
    }
    snprintf(enc->seen.record.uid, sizeof(enc->seen.record.uid), "%s", uid);
    enc->pidfd = -1;
    enc->first_seen = now;
    enc->seen.loops_moved = enc->seen.packets_moved = now;
    fleet->encs[fleet->count++] = enc;
    return enc;
}

static void enc_free(struct fleet_enc *enc)
{
    sd_event_source_disable_unref(enc->death);
    if (enc->pidfd >= 0)
        close(enc->pidfd);
    free(enc->reason);
    free(enc);
}

void fleet_drop(struct sl_fleet *fleet, struct fleet_enc *enc)
{
    fleet_ctl_forget(fleet, enc->seen.record.uid);
    for (size_t i = 0; i < fleet->count; i++) {
        if (fleet->encs[i] != enc)
            continue;
        memmove(fleet->encs + i, fleet->encs + i + 1,
                (fleet->count - i - 1) * sizeof(fleet->encs[0]));
        fleet->count--;
        break;
    }
    enc_free(enc);
}

void fleet_wake_at(struct sl_fleet *fleet, int64_t mono)
{
    if (fleet->timer_at && fleet->timer_at <= mono)
        return;
    fleet->timer_at = mono;
    sl_timer_at(fleet->timer, mono);
}

/* An encoder whose words about its end are awaited, or whose record does not come. */
static bool enc_due(struct fleet_enc *enc, int64_t now)
{
    if (enc->died_at)
        return now >= enc->died_at + FLEET_EXIT_WAIT;
    if (enc->pidfd < 0 && enc->probe_at && now >= enc->probe_at)
        return true;
    return enc->answered_at && !enc->known && enc->seen.alive &&
           now >= enc->answered_at + FLEET_RECORD_WAIT;
}

static void on_timer(void *user)
{
    struct sl_fleet *fleet = user;
    int64_t now = sl_now_mono();
    bool news = false;

    fleet->timer_at = 0;
    fleet_ctl_expire(fleet, now);
    fleet_host_tick(fleet, now);
    for (size_t i = 0; i < fleet->count;) {
        struct fleet_enc *enc = fleet->encs[i];
        bool dropped = false;

        if (enc_due(enc, now))
            news |= fleet_refresh(fleet, enc->seen.record.uid, &dropped);
        if (dropped)
            continue;
        i++;
        if (enc->pidfd < 0 && enc->seen.alive && enc->probe_at)
            fleet_wake_at(fleet, enc->probe_at);
        if (enc->died_at)
            fleet_wake_at(fleet, enc->died_at + FLEET_EXIT_WAIT);
        else if (enc->answered_at && !enc->known && enc->seen.alive)
            fleet_wake_at(fleet, enc->answered_at + FLEET_RECORD_WAIT);
        if (enc->retry_at && now >= enc->retry_at) {
            enc->retry_at = 0;
            news = true;
        } else if (enc->retry_at) {
            fleet_wake_at(fleet, enc->retry_at);
        }
        fleet_stop_tick(fleet, enc, now);
    }
    if (news)
        fleet->fn(fleet->user);
}

int sl_fleet_new(struct sl_loop *loop, const struct sl_settings *settings, sl_fleet_fn *fn,
                 void *user, struct sl_fleet **ret, struct sl_err *err)
{
    struct sl_fleet *fleet = sl_alloc(sizeof(*fleet));
    struct stat st;
    int log_fd;

    fleet->loop = loop;
    fleet->event = sl_loop_event(loop);
    fleet->fn = fn;
    fleet->user = user;
    fleet->runtime = sl_strdup(settings->runtime);
    fleet->binary = sl_strdup(settings->encoders.binary && *settings->encoders.binary
                                  ? settings->encoders.binary
                                  : "sluice-encoder");
    fleet->managed = settings->encoders.managed;
    fleet->runtime_fd = fleet->enc_fd = fleet->notice_fd = -1;
    fleet->host.fd = fleet->host.pidfd = fleet->host.pid = -1;
    fleet->timer = sl_timer_new(loop, on_timer, fleet);
    fleet->enc_uid = geteuid();
    fleet->runtime_fd = open_dir(fleet->runtime, NULL, err);
    fleet->enc_fd = fleet->runtime_fd < 0 ? -1 : open_dir(fleet->runtime, "enc", err);
    log_fd = fleet->enc_fd < 0 ? -1 : open_dir(fleet->runtime, "log", err);
    if (log_fd < 0 || fleet_notice_open(fleet, err) < 0) {
        sl_closep(&log_fd);
        sl_fleet_free(fleet);
        return sl_err_wrap(err, "encoders");
    }
    close(log_fd);
    if (fstat(fleet->enc_fd, &st) == 0)
        fleet->enc_uid = st.st_uid;
    snprintf(fleet->host.error, sizeof(fleet->host.error), "not connected yet");
    fleet_scan(fleet);
    fleet_host_tick(fleet, sl_now_mono());
    *ret = fleet;
    return 0;
}

void sl_fleet_free(struct sl_fleet *fleet)
{
    if (!fleet)
        return;
    fleet_host_close(fleet);
    sd_event_source_disable_unref(fleet->host.death);
    sl_closep(&fleet->host.pidfd);
    fleet_ctl_forget(fleet, NULL);
    for (size_t i = 0; i < fleet->count; i++)
        enc_free(fleet->encs[i]);
    sd_event_source_disable_unref(fleet->notice);
    sl_closep(&fleet->notice_fd);
    sl_closep(&fleet->enc_fd);
    sl_closep(&fleet->runtime_fd);
    sl_timer_free(fleet->timer);
    free(fleet->encs);
    free(fleet->view);
    free(fleet->runtime);
    free(fleet->binary);
    free(fleet);
}

void sl_fleet_observed(struct sl_fleet *fleet, bool *ret_known, bool *ret_host_up,
                       const char **ret_host_error, const struct sl_seen_encoder **ret_list,
                       size_t *ret_count)
{
    int64_t now = sl_now_mono();

    fleet->view = sl_realloc(fleet->view, (fleet->count + 1) * sizeof(fleet->view[0]));
    for (size_t i = 0; i < fleet->count; i++) {
        fleet_read_stats(fleet, fleet->encs[i], now);
        fleet->view[i] = fleet->encs[i]->seen;
    }
    *ret_known = fleet->known;
    *ret_host_up = fleet->host.up;
    *ret_host_error = fleet->host.up ? "" : fleet->host.error;
    *ret_list = fleet->view;
    *ret_count = fleet->count;
}

void sl_fleet_rescan(struct sl_fleet *fleet)
{
    int64_t now = sl_now_mono();

    fleet_scan(fleet);
    for (size_t i = 0; i < fleet->count; i++)
        fleet_read_usage(fleet->encs[i], now);
    fleet_host_tick(fleet, now);
}

static bool still_runs(struct sl_fleet *fleet, struct fleet_enc *enc)
{
    struct pollfd p = {.fd = enc->pidfd, .events = POLLIN};
    int dir;
    enum fleet_lock lock;

    if (!enc->seen.alive || enc->seen.newer_layout)
        return false;
    if (enc->pidfd >= 0)
        return poll(&p, 1, 0) == 0;
    dir = openat(fleet->enc_fd, enc->seen.record.uid, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return false;
    lock = fleet_probe(dir, NULL);
    close(dir);
    return lock == FLEET_LOCK_HELD;
}

void sl_fleet_stop_all(struct sl_fleet *fleet)
{
    int64_t start = sl_now_mono(), now = start;
    bool termed = false, killed = false;
    size_t left = 0;

    sl_log(SL_LOG_INFO, "stopping all encoders", "count", sl_num((long long)fleet->count), NULL);
    fleet_scan(fleet);
    for (size_t i = 0; i < fleet->count; i++) {
        struct fleet_enc *enc = fleet->encs[i];
        int dir, fd;

        if (!enc->seen.alive || enc->seen.newer_layout)
            continue;
        enc->seen.stop_asked = true;
        enc->seen.stop_since = start;
        dir = openat(fleet->enc_fd, enc->seen.record.uid, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        fd = dir < 0 ? -1 : fleet_connect(fleet, dir, "ctl", NULL);
        if (fd < 0 || send(fd, "{\"op\":\"stop\",\"v\":1}", 19, MSG_NOSIGNAL) < 0)
            fleet_signal(fleet, enc, SIGTERM);
        sl_closep(&fd);
        sl_closep(&dir);
    }
    for (;;) {
        left = 0;
        for (size_t i = 0; i < fleet->count; i++)
            left += still_runs(fleet, fleet->encs[i]);
        now = sl_now_mono();
        if (left == 0 || now - start > FLEET_GRACE_KILL + 1000)
            break;
        if ((!termed && now - start >= FLEET_GRACE_TERM) ||
            (!killed && now - start >= FLEET_GRACE_KILL)) {
            bool kill_now = now - start >= FLEET_GRACE_KILL;

            for (size_t i = 0; i < fleet->count; i++) {
                if (still_runs(fleet, fleet->encs[i]))
                    fleet_signal(fleet, fleet->encs[i], kill_now ? SIGKILL : SIGTERM);
            }
            termed = true;
            killed = kill_now;
        }
        fleet_host_read(fleet);
        poll(NULL, 0, 10);
    }
    if (left)
        sl_log(SL_LOG_WARN, "some encoders could not be stopped", "count", sl_num((long long)left),
               NULL);
    if (fleet->managed)
        fleet_host_stop(fleet);
}
