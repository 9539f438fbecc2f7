/* SPDX-License-Identifier: GPL-2.0-or-later
 * Orders to an encoder. Layer: encoders.
 */
#define _GNU_SOURCE 1
#include "encoders/control.h"
#include "encoders/wire.h"
#include "reconcile/base/time.h"
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int sl_control_open(struct sl_control *c, struct sl_status *status, struct sl_err *err)
{
    sigset_t set;

    *c = (struct sl_control){.status = status, .signal_fd = -1, .listen_fd = -1, .watch_fd = -1};
    for (int i = 0; i < SL_CONTROL_CLIENTS; i++)
        c->client[i] = -1;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_SETMASK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    c->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (c->signal_fd < 0)
        return sl_err_os(err, errno, "cannot create a signal fd");
    if (status->dir_fd >= 0) {
        c->listen_fd = sl_wire_listen(status->dir_fd, "ctl", err);
        if (c->listen_fd < 0)
            return -1;
    }
    return 0;
}

void sl_control_close(struct sl_control *c)
{
    if (c->listen_fd >= 0)
        (void)unlinkat(c->status->dir_fd, "ctl", 0);
    sl_closep(&c->listen_fd);
    sl_closep(&c->signal_fd);
    for (int i = 0; i < SL_CONTROL_CLIENTS; i++)
        sl_closep(&c->client[i]);
}

static json_t *stats_to_json(const struct sl_stats_data *d)
{
    return json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I}", "loops",
                     (json_int_t)d->loops, "packets", (json_int_t)d->packets, "bytes",
                     (json_int_t)d->bytes, "frames", (json_int_t)d->frames, "dropped",
                     (json_int_t)d->dropped, "lastPacket", (json_int_t)d->last_packet, "mediaMs",
                     (json_int_t)d->media_ms, "rounds", (json_int_t)d->rounds, "reconnects",
                     (json_int_t)d->reconnects, "fpsMilli", (json_int_t)d->fps_milli, "bitrate",
                     (json_int_t)d->bitrate, "speedMilli", (json_int_t)d->speed_milli);
}

static void serve_order(struct sl_control *c, int fd, const char *text, size_t len)
{
    json_t *order = json_loadb(text, len, 0, NULL);
    const char *op = json_string_value(json_object_get(order, "op"));
    const struct sl_record *r = &c->status->record;
    const json_t *v = json_object_get(order, "v");

    if (v && json_integer_value(v) != SL_CTL_VERSION) {
        sl_wire_reply(
            fd, json_pack("{s:b,s:i,s:s}", "ok", 0, "v", SL_CTL_VERSION, "error", "version"), -1);
    } else if (sl_streq(op, "hello")) {
        sl_autofd int pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0);

        sl_wire_reply(fd,
                      json_pack("{s:b,s:i,s:s,s:i,s:s,s:s}", "ok", 1, "v", SL_CTL_VERSION, "uid",
                                r->uid, "pid", r->pid, "state", sl_enc_state_name(r->state),
                                "reason", r->reason),
                      pidfd);
    } else if (sl_streq(op, "go")) {
        c->go = true;
        sl_wire_reply(fd, json_pack("{s:b}", "ok", 1), -1);
    } else if (sl_streq(op, "stop")) {
        c->stop = true;
        sl_wire_reply(fd, json_pack("{s:b}", "ok", 1), -1);
    } else if (sl_streq(op, "dump")) {
        sl_wire_reply(fd, json_pack("{s:b,s:o}", "ok", 1, "stats", stats_to_json(&c->status->data)),
                      -1);
    } else {
        sl_wire_reply(fd, json_pack("{s:b,s:s}", "ok", 0, "error", "unknown op"), -1);
    }
    json_decref(order);
}

static void accept_client(struct sl_control *c)
{
    int fd = accept4(c->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (fd < 0)
        return;
    for (int i = 0; i < SL_CONTROL_CLIENTS; i++) {
        if (c->client[i] < 0) {
            c->client[i] = fd;
            return;
        }
    }
    close(fd);
}

static void read_client(struct sl_control *c, int i)
{
    char text[SL_CTL_MAX];
    ssize_t n = recv(c->client[i], text, sizeof(text), MSG_DONTWAIT);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0)
        sl_closep(&c->client[i]);
    else
        serve_order(c, c->client[i], text, (size_t)n);
}

void sl_control_serve(struct sl_control *c, int64_t us)
{
    struct pollfd p[3 + SL_CONTROL_CLIENTS];
    struct timespec wait = {.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000};
    unsigned used = 3; /* only what is open: this is called for every packet */
    int64_t now;
    int n;

    p[0] = (struct pollfd){.fd = c->signal_fd, .events = POLLIN};
    p[1] = (struct pollfd){.fd = c->listen_fd, .events = POLLIN};
    p[2] = (struct pollfd){.fd = c->watched ? -1 : c->watch_fd,
                           .events = (short)(POLLIN | (c->watch_out ? POLLOUT : 0))};
    for (int i = 0; i < SL_CONTROL_CLIENTS; i++) {
        if (c->client[i] >= 0)
            p[used++] = (struct pollfd){.fd = c->client[i], .events = POLLIN};
    }
    n = ppoll(p, used, &wait, NULL);
    now = sl_now_mono();
    if (now >= c->tick_at) {
        sl_status_tick(c->status, now);
        c->tick_at = now + 1000;
    }
    if (n <= 0)
        return;
    c->watched |= (p[2].revents & ~POLLOUT) != 0;
    if (p[0].revents) {
        struct signalfd_siginfo info;

        if (read(c->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
            c->stop = true;
    }
    for (int i = 0; i < SL_CONTROL_CLIENTS; i++) {
        if (c->client[i] >= 0)
            read_client(c, i); /* does not wait */
    }
    if (p[1].revents)
        accept_client(c);
}
