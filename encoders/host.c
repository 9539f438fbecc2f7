/* SPDX-License-Identifier: GPL-2.0-or-later
 * The encoder host. Layer: encoders.
 */
#define _GNU_SOURCE 1
#include "encoders/host.h"
#include "encoders/exits.h"
#include "encoders/signals.h"
#include "encoders/wire.h"
#include "encoders/worker.h"
#include "reconcile/base/log.h"
#include "schemas/record.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef SL_VERSION
#define SL_VERSION "dev"
#endif
#define CLIENTS  16
#define SPEC_MAX 65536

struct child {
    int pid;
    char uid[SL_UID_LEN + 1];
};

struct host {
    const char *runtime;
    int signal_fd, listen_fd, client[CLIENTS];
    struct child *child;
    size_t count, cap;
    bool single; /* one thread: may fork; else every encoder is executed anew */
    bool leaving;
};

static int threads(void)
{
    DIR *dir = opendir("/proc/self/task");
    const struct dirent *e;
    int n = 0;

    while (dir && (e = readdir(dir)))
        n += e->d_name[0] != '.';
    if (dir)
        closedir(dir);
    return n;
}

/* jansson's blocks may have held a password: they are wiped when freed. */
static void wipe_free(void *p)
{
    if (p)
        explicit_bzero(p, malloc_usable_size(p));
    free(p);
}

static int read_spec(int fd, struct sl_encspec **ret, struct sl_err *err)
{
    struct stat st;
    char *text;
    ssize_t n;
    int rc;

    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > SPEC_MAX)
        return sl_err_set(err, SL_ERR_HUMAN, 0, "BadSpec", "start needs a spec in a memfd");
    text = sl_alloc(SPEC_MAX);
    n = pread(fd, text, SPEC_MAX, 0);
    rc = n < 0 ? sl_err_os(err, errno, "cannot read the spec")
               : sl_encspec_from_json(text, (size_t)n, ret, err);
    explicit_bzero(text, SPEC_MAX);
    free(text);
    return rc;
}

_Noreturn static void be_encoder(const struct host *h, const struct sl_encspec *spec, int spec_fd)
{
    struct sl_worker_options options = {.runtime = h->runtime};
    int null;

    setsid();
    if (!h->single) {
        (void)lseek(spec_fd, 0, SEEK_SET);
        if (dup2(spec_fd, STDIN_FILENO) == STDIN_FILENO)
            execl("/proc/self/exe", "sluice-encoder", "run", "--quiet", "--runtime", h->runtime,
                  "-", (char *)NULL);
        _exit(SL_EXIT_FAILED);
    }
    (void)syscall(SYS_close_range, 3, ~0U, 0);
    null = open("/dev/null", O_RDWR);
    if (null >= 0) {
        dup2(null, STDIN_FILENO);
        if (null > 2)
            close(null);
    }
    free(h->child);
    _exit(sl_worker_run(&options, spec));
}

static void remember(struct host *h, int pid, const char *uid)
{
    if (h->count == h->cap) {
        h->cap = h->cap ? h->cap * 2 : 64;
        h->child = sl_realloc(h->child, h->cap * sizeof(*h->child));
    }
    h->child[h->count].pid = pid;
    snprintf(h->child[h->count].uid, sizeof(h->child[h->count].uid), "%s", uid);
    h->count++;
}

static void start(struct host *h, int fd, int spec_fd)
{
    struct sl_encspec *spec = NULL;
    struct sl_err err = {0};
    sl_autofd int pidfd = -1;
    int pid;

    if (read_spec(spec_fd, &spec, &err) < 0) {
        sl_wire_reply(fd, json_pack("{s:b,s:s,s:s}", "ok", 0, "code", err.code, "error", err.text),
                      -1);
        return;
    }
    if (!*spec->uid || !*spec->name) {
        sl_wire_reply(fd,
                      json_pack("{s:b,s:s,s:s}", "ok", 0, "code", "BadSpec", "error",
                                "encoder spec: uid and name are needed"),
                      -1);
        sl_encspec_free(spec);
        return;
    }
    pid = fork();
    if (pid == 0)
        be_encoder(h, spec, spec_fd);
    if (pid < 0) {
        sl_wire_reply(fd,
                      json_pack("{s:b,s:s,s:s+}", "ok", 0, "code", "ForkFailed", "error",
                                "cannot fork: ", strerror(errno)),
                      -1);
    } else {
        pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
        remember(h, pid, spec->uid);
        sl_wire_reply(fd, json_pack("{s:b,s:s,s:i}", "ok", 1, "uid", spec->uid, "pid", pid), pidfd);
        sl_log(SL_LOG_INFO, "encoder started", "stream", spec->name, "gen",
               sl_num((long long)spec->generation), "uid", spec->uid, "pid", sl_num(pid), NULL);
    }
    sl_encspec_free(spec);
}

static void send_signal(const struct host *h, int fd, const json_t *order)
{
    const char *uid = json_string_value(json_object_get(order, "uid"));
    int number = (int)json_integer_value(json_object_get(order, "signal"));
    struct sl_err err = {0};

    if (sl_signals_send(h->runtime, uid, number, &err) < 0) {
        sl_wire_reply(fd, json_pack("{s:b,s:s,s:s}", "ok", 0, "code", err.code, "error", err.text),
                      -1);
        return;
    }
    sl_log(SL_LOG_INFO, "signal sent", "uid", uid, "signal", sl_num(number), NULL);
    sl_wire_reply(fd, json_pack("{s:b}", "ok", 1), -1);
}

static void serve(struct host *h, int i)
{
    char text[SL_CTL_MAX];
    sl_autofd int passed = -1;
    long n = sl_wire_receive(h->client[i], text, sizeof(text), &passed);
    json_t *order;
    const char *op;

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        sl_closep(&h->client[i]);
        h->client[i] = -1;
        return;
    }
    order = json_loadb(text, (size_t)n, 0, NULL);
    op = json_string_value(json_object_get(order, "op"));
    if ((sl_streq(op, "start") || sl_streq(op, "signal")) &&
        json_integer_value(json_object_get(order, "v")) != SL_CTL_VERSION)
        sl_wire_reply(h->client[i],
                      json_pack("{s:b,s:s,s:s}", "ok", 0, "code", "Version", "error",
                                "this host speaks version 1"),
                      -1);
    else if (sl_streq(op, "start"))
        start(h, h->client[i], passed);
    else if (sl_streq(op, "signal"))
        send_signal(h, h->client[i], order);
    else if (sl_streq(op, "hello"))
        sl_wire_reply(h->client[i],
                      json_pack("{s:b,s:i,s:i,s:s,s:I}", "ok", 1, "v", SL_CTL_VERSION, "pid",
                                getpid(), "version", SL_VERSION, "encoders", (json_int_t)h->count),
                      -1);
    else
        sl_wire_reply(h->client[i], json_pack("{s:b,s:s}", "ok", 0, "error", "unknown op"), -1);
    json_decref(order);
}

static void reap(struct host *h)
{
    int pid, status;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        const char *uid = NULL;
        size_t i;

        for (i = 0; i < h->count && h->child[i].pid != pid; i++)
            ;
        if (i < h->count)
            uid = h->child[i].uid;
        sl_exits_write(h->runtime, uid, pid, status);
        if (i < h->count)
            h->child[i] = h->child[--h->count];
    }
}

static void take_signals(struct host *h)
{
    struct signalfd_siginfo info;

    while (read(h->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
        h->leaving |= info.ssi_signo != SIGCHLD;
    reap(h);
}

static void accept_client(struct host *h)
{
    int fd = accept4(h->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (fd < 0)
        return;
    for (int i = 0; i < CLIENTS; i++) {
        if (h->client[i] < 0) {
            h->client[i] = fd;
            return;
        }
    }
    close(fd);
}

static int prepare(struct host *h, struct sl_err *err)
{
    sl_autofd int dir = open(h->runtime, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    sigset_t set;

    if (dir < 0)
        return sl_err_os(err, errno, "cannot open %s", h->runtime);
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_SETMASK, &set, NULL);
    h->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (h->signal_fd < 0)
        return sl_err_os(err, errno, "cannot create a signal fd");
    json_set_alloc_funcs(malloc, wipe_free);
    sl_worker_warm();
    h->single = threads() == 1;
    if (!h->single)
        sl_log(SL_LOG_WARN, "a library started a thread: every encoder is executed, not forked",
               "hint", "start with OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1", NULL);
    malloc_trim(0);
    h->listen_fd = sl_wire_listen(dir, "host.sock", err);
    return h->listen_fd < 0 ? -1 : 0;
}

int sl_host_run(const char *runtime, int keeper_pid)
{
    struct host h = {.runtime = runtime, .signal_fd = -1, .listen_fd = -1};
    struct sl_err err;

    for (int i = 0; i < CLIENTS; i++)
        h.client[i] = -1;
    if (prepare(&h, &err) < 0) {
        sl_log(SL_LOG_ERROR, err.text, NULL);
        return 1;
    }
    sl_log(SL_LOG_INFO, "encoder host ready", "runtime", runtime, NULL);
    while (!h.leaving && getppid() == keeper_pid) {
        struct pollfd p[2 + CLIENTS];

        p[0] = (struct pollfd){.fd = h.signal_fd, .events = POLLIN};
        p[1] = (struct pollfd){.fd = h.listen_fd, .events = POLLIN};
        for (int i = 0; i < CLIENTS; i++)
            p[2 + i] = (struct pollfd){.fd = h.client[i], .events = POLLIN};
        if (poll(p, SL_COUNT(p), 1000) <= 0)
            continue;
        if (p[0].revents)
            take_signals(&h);
        for (int i = 0; i < CLIENTS; i++) {
            if (p[2 + i].revents)
                serve(&h, i);
        }
        if (p[1].revents)
            accept_client(&h);
    }
    return 0;
}
