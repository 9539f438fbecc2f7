/* SPDX-License-Identifier: GPL-2.0-or-later
 * Requests to an encoder's control socket: a connection each, one packet out, one back, a
 * deadline. Layer: fleet. Never blocks; an answer that does not come changes nothing but a retry.
 */
#include "reconcile/fleet/fleet_impl.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct fleet_call {
    struct fleet_call *next;
    struct sl_fleet *fleet;
    char uid[SL_UID_LEN + 1];
    enum fleet_op op;
    int fd;
    sd_event_source *io;
    int64_t deadline;
};

static const char *const op_text[FLEET_OP_COUNT] = {
    [FLEET_HELLO] = "{\"op\":\"hello\",\"v\":1}",
    [FLEET_GO] = "{\"op\":\"go\",\"v\":1}",
    [FLEET_STOP] = "{\"op\":\"stop\",\"v\":1}",
};

bool fleet_peer_ok(const struct sl_fleet *fleet, uid_t uid)
{
    return uid == 0 || uid == geteuid() || uid == fleet->enc_uid;
}

int fleet_connect(const struct sl_fleet *fleet, int dirfd, const char *name, struct sl_err *err)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct ucred peer;
    socklen_t len = sizeof(peer);
    int os;

    if (fd < 0)
        return sl_err_os(err, errno, "cannot make a socket");
    snprintf(a.sun_path, sizeof(a.sun_path), "/proc/self/fd/%d/%s", dirfd, name);
    if (connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0 &&
        getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0) {
        if (fleet_peer_ok(fleet, peer.uid))
            return fd;
        close(fd);
        return sl_err_set(err, SL_ERR_HUMAN, EPERM, "ForeignPeer",
                          "%s is held by user %u, who is neither Sluice's nor the encoders'", name,
                          (unsigned)peer.uid);
    }
    os = errno;
    close(fd);
    return sl_err_os(err, os, "cannot connect to %s", name);
}

ssize_t fleet_recv(int fd, char *buf, size_t size, int *ret_fd)
{
    union {
        char bytes[CMSG_SPACE(sizeof(int) * 4)];
        struct cmsghdr align;
    } control;
    struct iovec iov = {.iov_base = buf, .iov_len = size - 1};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = control.bytes,
                         .msg_controllen = sizeof(control.bytes)};
    ssize_t n = recvmsg(fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

    *ret_fd = -1;
    if (n < 0)
        return n;
    buf[n] = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        for (size_t at = 0; CMSG_LEN(at + sizeof(int)) <= c->cmsg_len; at += sizeof(int)) {
            int given;

            memcpy(&given, CMSG_DATA(c) + at, sizeof(given));
            if (*ret_fd < 0)
                *ret_fd = given;
            else
                close(given);
        }
    }
    return n;
}

static void call_free(struct fleet_call *call)
{
    struct fleet_call **at = &call->fleet->calls;

    while (*at && *at != call)
        at = &(*at)->next;
    if (*at)
        *at = call->next;
    sd_event_source_disable_unref(call->io);
    close(call->fd);
    free(call);
}

/* A request that failed: go is tried again in a later pass, stop goes on with signals. */
static void failed(struct sl_fleet *fleet, struct fleet_enc *enc, enum fleet_op op)
{
    int64_t now = sl_now_mono();

    switch (op) {
    case FLEET_GO:
        enc->retry_at = now + FLEET_RETRY;
        fleet_wake_at(fleet, enc->retry_at);
        break;
    case FLEET_STOP:
        enc->stop_failed = true;
        fleet_wake_at(fleet, now);
        break;
    case FLEET_HELLO:
    case FLEET_OP_COUNT:
        break; /* the lock still tells */
    }
}

static void answered(struct sl_fleet *fleet, struct fleet_enc *enc, enum fleet_op op,
                     const json_t *answer, int pidfd)
{
    if (!json_is_true(json_object_get(answer, "ok"))) {
        sl_closep(&pidfd);
        failed(fleet, enc, op);
        return;
    }
    switch (op) {
    case FLEET_HELLO:
        if (sl_streq(json_string_value(json_object_get(answer, "uid")), enc->seen.record.uid) &&
            pidfd >= 0) {
            fleet_take_pidfd(fleet, enc, pidfd);
            pidfd = -1;
        }
        break;
    case FLEET_GO:
        enc->seen.gone_asked = true;
        fleet->fn(fleet->user);
        break;
    case FLEET_STOP:
    case FLEET_OP_COUNT:
        break;
    }
    sl_closep(&pidfd);
}

static int on_answer(sd_event_source *source, int fd, uint32_t events, void *user)
{
    struct fleet_call *call = user;
    struct sl_fleet *fleet = call->fleet;
    struct fleet_enc *enc = fleet_find(fleet, call->uid);
    enum fleet_op op = call->op;
    char buf[SL_CTL_MAX];
    int given;
    ssize_t n = fleet_recv(fd, buf, sizeof(buf), &given);
    json_t *answer;

    (void)source;
    (void)events;
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    call_free(call);
    if (!enc) {
        sl_closep(&given);
        return 0;
    }
    enc->pending[op] = false;
    answer = n > 0 ? json_loadb(buf, (size_t)n, 0, NULL) : NULL;
    answered(fleet, enc, op, answer, given);
    json_decref(answer);
    return 0;
}

void fleet_ctl(struct sl_fleet *fleet, struct fleet_enc *enc, enum fleet_op op)
{
    const char *uid = enc->seen.record.uid;
    struct fleet_call *call;
    int dir, fd;

    if (enc->pending[op])
        return;
    dir = openat(fleet->enc_fd, uid, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    fd = dir < 0 ? -1 : fleet_connect(fleet, dir, "ctl", NULL);
    sl_closep(&dir);
    if (fd < 0 || send(fd, op_text[op], strlen(op_text[op]), MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
        sl_closep(&fd);
        failed(fleet, enc, op);
        return;
    }
    call = sl_alloc(sizeof(*call));
    call->fleet = fleet;
    call->op = op;
    call->fd = fd;
    call->deadline = sl_now_mono() + FLEET_CTL_TIMEOUT;
    memcpy(call->uid, uid, sizeof(call->uid));
    call->next = fleet->calls;
    fleet->calls = call;
    if (sd_event_add_io(fleet->event, &call->io, fd, EPOLLIN, on_answer, call) < 0) {
        call_free(call);
        failed(fleet, enc, op);
        return;
    }
    enc->pending[op] = true;
    fleet_wake_at(fleet, call->deadline);
}

void fleet_ctl_expire(struct sl_fleet *fleet, int64_t now)
{
    struct fleet_call *next;

    for (struct fleet_call *call = fleet->calls; call; call = next) {
        struct fleet_enc *enc;
        enum fleet_op op = call->op;

        next = call->next;
        if (now < call->deadline) {
            fleet_wake_at(fleet, call->deadline);
            continue;
        }
        enc = fleet_find(fleet, call->uid);
        call_free(call);
        if (!enc)
            continue;
        enc->pending[op] = false;
        failed(fleet, enc, op);
    }
}

void fleet_ctl_forget(struct sl_fleet *fleet, const char *uid)
{
    struct fleet_call *next;

    for (struct fleet_call *call = fleet->calls; call; call = next) {
        next = call->next;
        if (!uid || strcmp(call->uid, uid) == 0)
            call_free(call);
    }
}
