/* SPDX-License-Identifier: GPL-2.0-or-later
 * Signals by record. Layer: encoders.
 */
#define _GNU_SOURCE 1
#include "encoders/signals.h"
#include "reconcile/base/file.h"
#include "schemas/record.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <unistd.h>

static bool allowed(int number)
{
    static const int list[] = {SIGTERM, SIGINT, SIGKILL, SIGSTOP, SIGCONT, SIGUSR1, SIGUSR2};

    for (size_t i = 0; i < SL_COUNT(list); i++) {
        if (list[i] == number)
            return true;
    }
    return false;
}

static int gone(const char *uid, struct sl_err *err)
{
    return sl_err_set(err, SL_ERR_HUMAN, ESRCH, "Gone", "no encoder lives in enc/%s", uid);
}

/* A shared lock is refused only while an encoder holds it. */
static bool lives(int dir)
{
    sl_autofd int fd = openat(dir, "lock", O_RDWR | O_CLOEXEC | O_NOFOLLOW);

    return fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK;
}

int sl_signals_send(const char *runtime, const char *uid, int number, struct sl_err *err)
{
    sl_autofree char *path = NULL;
    sl_autofd int dir = -1, pidfd = -1;
    struct sl_record r;
    char ns[48];

    if (!allowed(number))
        return sl_err_set(err, SL_ERR_HUMAN, EINVAL, "BadSignal", "signal %d is not sent", number);
    if (!uid || strlen(uid) != SL_UID_LEN || strspn(uid, "0123456789abcdef") != SL_UID_LEN)
        return gone(uid ? uid : "", err);
    path = sl_asprintf("%s/enc/%s", runtime, uid);
    dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (dir < 0 || sl_record_read(dir, &r, err) < 0 || r.exited || r.pid <= 1)
        return gone(uid, err);
    pidfd = (int)syscall(SYS_pidfd_open, r.pid, 0); /* first: what is checked is what is hit */
    if (pidfd < 0 || !lives(dir))
        return gone(uid, err);
    sl_pidns(ns);
    if (!sl_streq(r.boot_id, sl_boot_id()) || (*r.pidns && *ns && !sl_streq(r.pidns, ns)) ||
        sl_proc_start(r.pid) != r.pid_start)
        return sl_err_set(err, SL_ERR_HUMAN, EPERM, "NotOurs",
                          "pid %d of enc/%s is not the process that its record names", r.pid, uid);
    if (syscall(SYS_pidfd_send_signal, pidfd, number, NULL, 0) < 0)
        return sl_err_os(err, errno, "cannot signal pid %d", r.pid);
    return 0;
}
