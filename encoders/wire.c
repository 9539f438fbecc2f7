/* SPDX-License-Identifier: GPL-2.0-or-later
 * Sequenced packets. Layer: encoders.
 */
#define _GNU_SOURCE 1
#include "encoders/wire.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

int sl_wire_listen(int dir_fd, const char *name, struct sl_err *err)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    sl_autofd int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    sl_autofree char *temporary = sl_asprintf("%s.new", name);
    int ret;

    if (fd < 0)
        return sl_err_os(err, errno, "cannot create the socket %s", name);
    /* by way of /proc: the directory's own name may be longer than sun_path */
    snprintf(at.sun_path, sizeof(at.sun_path), "/proc/self/fd/%d/%s", dir_fd, temporary);
    (void)unlinkat(dir_fd, temporary, 0);
    if (bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(fd, 64) < 0)
        return sl_err_os(err, errno, "cannot bind the socket %s", name);
    if (fchmodat(dir_fd, temporary, 0660, 0) < 0 || renameat(dir_fd, temporary, dir_fd, name) < 0)
        return sl_err_os(err, errno, "cannot place the socket %s", name);
    ret = fd;
    fd = -1;
    return ret;
}

union control {
    struct cmsghdr head;
    char room[CMSG_SPACE(sizeof(int))];
};

void sl_wire_reply(int fd, json_t *answer, int pass_fd)
{
    char *text = json_dumps(answer, JSON_COMPACT);
    struct iovec iov = {.iov_base = text, .iov_len = text ? strlen(text) : 0};
    union control u = {0};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

    if (pass_fd >= 0) {
        struct cmsghdr *c;

        msg.msg_control = &u;
        msg.msg_controllen = sizeof(u);
        c = CMSG_FIRSTHDR(&msg);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(c), &pass_fd, sizeof(int));
    }
    (void)!sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
    free(text);
    json_decref(answer);
}

long sl_wire_receive(int fd, char *text, size_t size, int *ret_fd)
{
    struct iovec iov = {.iov_base = text, .iov_len = size};
    union control u = {0};
    struct msghdr msg = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &u, .msg_controllen = sizeof(u)};
    ssize_t n = recvmsg(fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

    *ret_fd = -1;
    if (n < 0)
        return -1;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS &&
            c->cmsg_len == CMSG_LEN(sizeof(int)))
            memcpy(ret_fd, CMSG_DATA(c), sizeof(int));
    }
    return n;
}
