/* SPDX-License-Identifier: GPL-2.0-or-later
 * The telling side of an encoder. Layer: encoders.
 */
#define _GNU_SOURCE 1
#include "encoders/status.h"
#include "encoders/av_bridge.h"
#include "reconcile/base/file.h"
#include "reconcile/base/time.h"
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define LOCK_WAIT_MS 1000

static void notify(struct sl_status *s)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};

    if (s->notice_fd < 0)
        return;
    memcpy(to.sun_path, s->notice_path, sizeof(to.sun_path));
    /* a daemon that is away reads the records when it comes back: only a full queue is retried */
    s->dirty = sendto(s->notice_fd, s->record.uid, strlen(s->record.uid),
                      MSG_DONTWAIT | MSG_NOSIGNAL, (struct sockaddr *)&to, sizeof(to)) < 0 &&
               (errno == EAGAIN || errno == ENOBUFS);
}

/* A scanner that asks whether somebody lives here may hold it for an instant. */
static int take_lock(int fd)
{
    const struct timespec pause = {.tv_nsec = 10000000};
    int64_t end = sl_now_mono() + LOCK_WAIT_MS;

    while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        if (errno != EWOULDBLOCK || sl_now_mono() > end)
            return -1;
        nanosleep(&pause, NULL);
    }
    return 0;
}

static int open_directory(struct sl_status *s, const char *runtime, const char *uid,
                          struct sl_err *err)
{
    sl_autofree char *path = sl_asprintf("%s/enc/%s", runtime, uid);

    if (sl_mkdir_p(path, 0750, err) < 0)
        return -1;
    s->dir_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (s->dir_fd < 0)
        return sl_err_os(err, errno, "cannot open %s", path);
    s->lock_fd = openat(s->dir_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0640);
    if (s->lock_fd < 0)
        return sl_err_os(err, errno, "cannot open %s/lock", path);
    if (take_lock(s->lock_fd) < 0)
        return sl_err_set(err, SL_ERR_HUMAN, errno, "Busy", "another encoder runs in %s", path);
    if (sl_stats_create(s->dir_fd, &s->stats, err) < 0 ||
        sl_ring_create(s->dir_fd, &s->ring, err) < 0)
        return -1;
    if (snprintf(s->notice_path, sizeof(s->notice_path), "%s/notice.sock", runtime) >=
        (int)sizeof(s->notice_path))
        return sl_err_set(err, SL_ERR_HUMAN, ENAMETOOLONG, "PathTooLong",
                          "the runtime directory's name is too long for a socket: %s", runtime);
    s->notice_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (s->notice_fd < 0)
        return sl_err_os(err, errno, "cannot create a notice socket");
    return 0;
}

int sl_status_open(struct sl_status *s, const char *runtime, const struct sl_encspec *spec,
                   struct sl_err *err)
{
    struct sl_record *r = &s->record;

    *s = (struct sl_status){.dir_fd = -1, .lock_fd = -1, .notice_fd = -1};
    r->layout = SL_RECORD_LAYOUT;
    snprintf(r->uid, sizeof(r->uid), "%s", spec->uid);
    snprintf(r->name, sizeof(r->name), "%s", spec->name);
    snprintf(r->spec_hash, sizeof(r->spec_hash), "%s", spec->spec_hash);
    snprintf(r->boot_id, sizeof(r->boot_id), "%s", sl_boot_id());
    r->generation = spec->generation;
    r->pid = getpid();
    r->pid_start = sl_proc_start(r->pid);
    sl_pidns(r->pidns);
    r->since = r->state_since = sl_now_wall();
    r->state = SL_ENC_STARTING;
    s->rate_at = sl_now_mono();
    if (runtime && open_directory(s, runtime, spec->uid, err) < 0)
        return -1;
    sl_status_write(s);
    return 0;
}

void sl_status_write(struct sl_status *s)
{
    struct sl_err err;

    if (s->dir_fd < 0)
        return;
    if (sl_record_write(s->dir_fd, &s->record, &err) < 0)
        sl_bridge_log(SL_LOG_ERROR, "cannot write the record: %s", err.text);
    notify(s);
}

/* Cuts a text that snprintf may have cut inside a UTF-8 character: JSON takes whole ones only. */
static void whole_characters(char *text)
{
    size_t len = strlen(text), back = 0;

    while (back < 4 && back < len && ((unsigned char)text[len - 1 - back] & 0xc0) == 0x80)
        back++;
    if (back < len) {
        unsigned char lead = (unsigned char)text[len - 1 - back];
        size_t want = lead < 0x80 ? 0 : lead < 0xe0 ? 1 : lead < 0xf0 ? 2 : 3;

        if (want != back)
            text[len - 1 - back] = 0;
    }
}

void sl_status_tell(struct sl_status *s, enum sl_enc_state state, const char *reason,
                    const char *format, ...)
{
    struct sl_record *r = &s->record;
    char message[sizeof(r->message)];
    va_list args;

    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    whole_characters(message);
    if (r->state == state && sl_streq(r->reason, reason) && sl_streq(r->message, message))
        return;
    if (r->state != state)
        r->state_since = sl_now_wall();
    r->state = state;
    snprintf(r->reason, sizeof(r->reason), "%s", reason);
    snprintf(r->message, sizeof(r->message), "%s", message);
    sl_bridge_log(SL_LOG_INFO, "state=%s reason=%s %s", sl_enc_state_name(state),
                  *reason ? reason : "-", message);
    sl_status_write(s);
}

void sl_status_alive(struct sl_status *s)
{
    s->data.loops++;
    if (s->stats)
        sl_stats_publish(s->stats, &s->data);
}

void sl_status_tick(struct sl_status *s, int64_t now)
{
    struct sl_stats_data *d = &s->data;
    int64_t span = now - s->rate_at;

    if (span >= 900) {
        int64_t media = d->media_ms - s->rate_media;

        d->fps_milli = (uint32_t)((d->frames - s->rate_frames) * 1000000 / (uint64_t)span);
        d->bitrate = (uint32_t)((d->bytes - s->rate_bytes) * 8000 / (uint64_t)span);
        d->speed_milli = media > 0 ? (uint32_t)(media * 1000 / span) : 0;
        s->rate_at = now;
        s->rate_frames = d->frames;
        s->rate_bytes = d->bytes;
        s->rate_media = d->media_ms;
    }
    sl_status_alive(s);
    if (s->dirty)
        notify(s);
}
