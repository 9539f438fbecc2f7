/* SPDX-License-Identifier: GPL-2.0-or-later
 * The keeper: subreaper of all encoders, parent of the host. Layer: encoders. No libav here.
 */
#define _GNU_SOURCE 1
#include "encoders/exits.h"
#include "encoders/host.h"
#include "reconcile/base/file.h"
#include "reconcile/base/log.h"
#include "reconcile/base/time.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define BACKOFF_MIN_MS 50
#define BACKOFF_MAX_MS 5000
#define CALM_MS        10000 /* a host that lived this long starts the backoff anew */
#define LEAVE_MS       2000

struct keeper {
    const char *runtime;
    int signal_fd, lock_fd, host;
    int64_t started, next, backoff;
    bool leaving;
};

static void start_host(struct keeper *k)
{
    int self = getpid(), pid = fork();

    if (pid < 0) {
        sl_log(SL_LOG_ERROR, "cannot fork the encoder host", "error", strerror(errno), NULL);
        k->next = sl_now_mono() + k->backoff;
        return;
    }
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        prctl(PR_SET_NAME, "enc-host");
        close(k->lock_fd);
        close(k->signal_fd);
        _exit(sl_host_run(k->runtime, self));
    }
    k->host = pid;
    k->started = sl_now_mono();
}

static void host_died(struct keeper *k, int status)
{
    int64_t now = sl_now_mono();

    k->host = 0;
    if (k->leaving)
        return;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        /* It was told to stop, by its own pid: who adopted it knows no other. */
        k->leaving = true;
        return;
    }
    if (now - k->started > CALM_MS)
        k->backoff = BACKOFF_MIN_MS;
    sl_log(SL_LOG_WARN, "encoder host died, its encoders go on", "status",
           WIFEXITED(status) ? sl_num(WEXITSTATUS(status)) : NULL, "signal",
           WIFSIGNALED(status) ? sl_num(WTERMSIG(status)) : NULL, NULL);
    k->next = now + k->backoff;
    k->backoff = k->backoff * 2 > BACKOFF_MAX_MS ? BACKOFF_MAX_MS : k->backoff * 2;
}

static void reap(struct keeper *k)
{
    int pid, status;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        if (pid == k->host)
            host_died(k, status);
        else
            sl_exits_write(k->runtime, NULL, pid, status);
    }
}

static int prepare(struct keeper *k, struct sl_err *err)
{
    sl_autofree char *enc = sl_asprintf("%s/enc", k->runtime);
    sl_autofree char *lock = sl_asprintf("%s/host.lock", k->runtime);
    sigset_t set;

    if (sl_mkdir_p(enc, 0750, err) < 0)
        return -1;
    k->lock_fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0640);
    if (k->lock_fd < 0)
        return sl_err_os(err, errno, "cannot open %s", lock);
    if (flock(k->lock_fd, LOCK_EX | LOCK_NB) < 0)
        return sl_err_set(err, SL_ERR_HUMAN, errno, "Busy", "another encoder host serves %s",
                          k->runtime);
    /* For whoever must stop us while no host runs: the lock is proof that the pid is ours. */
    if (ftruncate(k->lock_fd, 0) < 0 || dprintf(k->lock_fd, "%d\n", (int)getpid()) < 0)
        return sl_err_os(err, errno, "cannot write %s", lock);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_SETMASK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    k->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (k->signal_fd < 0)
        return sl_err_os(err, errno, "cannot create a signal fd");
    return 0;
}

static void take_signals(struct keeper *k)
{
    struct signalfd_siginfo info;

    while (read(k->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        if (info.ssi_signo == SIGCHLD || k->leaving)
            continue;
        k->leaving = true;
        k->next = sl_now_mono() + LEAVE_MS;
        if (k->host)
            kill(k->host, SIGTERM);
    }
    reap(k);
}

int sl_keeper_run(const char *runtime)
{
    struct keeper k = {.runtime = runtime, .signal_fd = -1, .lock_fd = -1};
    struct sl_err err;

    k.backoff = BACKOFF_MIN_MS;
    if (prepare(&k, &err) < 0) {
        sl_log(SL_LOG_ERROR, err.text, NULL);
        return sl_streq(err.code, "Busy") ? 75 : 1;
    }
    while (!k.leaving || k.host) {
        struct pollfd p = {.fd = k.signal_fd, .events = POLLIN};
        int64_t wait = -1;

        if (!k.host || k.leaving) {
            wait = k.next - sl_now_mono();
            if (wait <= 0 && k.leaving) {
                kill(k.host, SIGKILL);
                k.next = sl_now_mono() + LEAVE_MS;
                continue;
            }
            if (wait <= 0) {
                start_host(&k);
                continue;
            }
        }
        if (poll(&p, 1, (int)wait) > 0)
            take_signals(&k);
    }
    sl_log(SL_LOG_INFO, "encoder host leaves, its encoders go on", NULL);
    return 0;
}
