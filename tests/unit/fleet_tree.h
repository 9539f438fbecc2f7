/* SPDX-License-Identifier: GPL-2.0-or-later
 * For the fleet's tests: a runtime directory of its own, a fake encoder (a child that holds the
 * lock, keeps a record and answers ctl) and a fake host. No libav, no MediaMTX.
 */
#pragma once
#include "reconcile/fleet/fleet_impl.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

struct tree {
    char dir[64];
    struct sl_loop *loop;
    struct sl_fleet *fleet;
    struct sl_settings settings;
    int news;
    pid_t host;
};

static inline void tree_news(void *user)
{
    ((struct tree *)user)->news++;
}

static inline struct tree *tree_new(void)
{
    struct tree *t = sl_alloc(sizeof(*t));

    snprintf(t->dir, sizeof(t->dir), "/tmp/sluice-fleet-XXXXXX");
    assert_non_null(mkdtemp(t->dir));
    assert_int_equal(sl_loop_new(&t->loop, NULL), 0);
    t->settings.runtime = t->dir;
    return t;
}

static inline void tree_fleet(struct tree *t)
{
    struct sl_err err = {0};

    if (sl_fleet_new(t->loop, &t->settings, tree_news, t, &t->fleet, &err) < 0)
        fail_msg("%s", err.text);
}

static inline void tree_free(struct tree *t)
{
    char *argv[] = {(char *)"rm", (char *)"-rf", t->dir, NULL};
    pid_t pid;

    sl_fleet_free(t->fleet);
    sl_loop_free(t->loop);
    if (t->host > 0) {
        kill(t->host, SIGKILL);
        waitpid(t->host, NULL, 0);
    }
    pid = fork();
    if (pid == 0) {
        execvp("rm", argv);
        _exit(1);
    }
    waitpid(pid, NULL, 0);
    free(t);
}

/* Runs the loop for at most ms, until `done` (or NULL) says so. */
static inline bool tree_run(struct tree *t, int ms, bool (*done)(struct tree *t))
{
    int64_t end = sl_now_mono() + ms;

    while (sl_now_mono() < end) {
        if (done && done(t))
            return true;
        assert_true(sd_event_run(sl_loop_event(t->loop), 10000) >= 0);
    }
    return done ? done(t) : true;
}

static inline const struct sl_seen_encoder *tree_seen(struct tree *t, size_t *ret_count)
{
    const struct sl_seen_encoder *list;
    const char *error;
    bool known, up;

    sl_fleet_observed(t->fleet, &known, &up, &error, &list, ret_count);
    assert_true(known);
    return list;
}

static inline int serve(const char *dir, const char *name)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    snprintf(a.sun_path, sizeof(a.sun_path), "%s/%s", dir, name);
    unlink(a.sun_path);
    if (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, 16) < 0)
        _exit(90);
    return fd;
}

static inline void notice(const char *runtime, const char *uid)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    snprintf(a.sun_path, sizeof(a.sun_path), "%s/notice.sock", runtime);
    (void)!sendto(fd, uid, strlen(uid), MSG_DONTWAIT, (struct sockaddr *)&a, sizeof(a));
    close(fd);
}

/* The life of a fake encoder, in a child. `deaf`: does not answer stop, ignores SIGTERM. */
static inline void fake_encoder(const char *runtime, const char *uid, const char *name,
                                const char *hash, enum sl_enc_state state, bool deaf, int ready)
{
    struct sl_record r = {.layout = SL_RECORD_LAYOUT, .generation = 3, .state = state};
    sl_autofree char *dir = sl_asprintf("%s/enc/%s", runtime, uid);
    struct sl_stats *stats;
    struct sl_stats_data data = {0};
    int fd, lock, ctl;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (deaf)
        signal(SIGTERM, SIG_IGN);
    if (sl_mkdir_p(dir, 0755, NULL) < 0)
        _exit(93);
    fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    lock = openat(fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0640);
    if (flock(lock, LOCK_EX | LOCK_NB) < 0)
        _exit(91);
    snprintf(r.uid, sizeof(r.uid), "%s", uid);
    snprintf(r.name, sizeof(r.name), "%s", name);
    snprintf(r.spec_hash, sizeof(r.spec_hash), "%s", hash);
    snprintf(r.boot_id, sizeof(r.boot_id), "%s", sl_boot_id());
    r.pid = getpid();
    r.pid_start = sl_proc_start(getpid());
    if (strncmp(name, "elsewhere", 9) == 0)
        snprintf(r.pidns, sizeof(r.pidns), "1:1"); /* as from another container */
    else
        sl_pidns(r.pidns);
    r.since = r.state_since = sl_now_wall();
    ctl = serve(dir, "ctl");
    if (sl_stats_create(fd, &stats, NULL) < 0 || sl_record_write(fd, &r, NULL) < 0)
        _exit(92);
    data.loops = 7;
    sl_stats_publish(stats, &data);
    if (ready >= 0) {
        (void)!write(ready, "r", 1);
        close(ready);
    }
    notice(runtime, uid);
    for (;;) {
        int c = accept(ctl, NULL, NULL);
        char buf[256] = {0};

        if (c < 0 || recv(c, buf, sizeof(buf) - 1, 0) <= 0) {
            sl_closep(&c);
            continue;
        }
        if (strstr(buf, "\"go\"")) {
            r.state = SL_ENC_LIVE;
            (void)!sl_record_write(fd, &r, NULL);
            notice(runtime, uid);
        }
        if (strstr(buf, "\"stop\"")) {
            if (deaf) {
                close(c);
                continue;
            }
            r.state = SL_ENC_ENDED;
            snprintf(r.reason, sizeof(r.reason), "Stopped");
            (void)!sl_record_write(fd, &r, NULL);
            _exit(0);
        }
        (void)!send(c, "{\"ok\":true,\"v\":1}", 17, MSG_NOSIGNAL);
        close(c);
    }
}

/* A fake encoder of this test's own; returns when its record and lock are there. */
static inline pid_t spawn_encoder(const char *runtime, const char *uid, const char *name,
                                  enum sl_enc_state state, bool deaf)
{
    int p[2];
    char c;
    pid_t pid;

    assert_int_equal(pipe(p), 0);
    pid = fork();
    if (pid == 0) {
        close(p[0]);
        fake_encoder(runtime, uid, name, "sha:1", state, deaf, p[1]);
    }
    close(p[1]);
    assert_int_equal(read(p[0], &c, 1), 1);
    close(p[0]);
    return pid;
}

static inline void send_with_fd(int fd, const char *text, int given)
{
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = {{0}};
    struct iovec iov = {.iov_base = (void *)text, .iov_len = strlen(text)};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    struct cmsghdr *c;

    if (given >= 0) {
        msg.msg_control = control.bytes;
        msg.msg_controllen = sizeof(control.bytes);
        c = CMSG_FIRSTHDR(&msg);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(c), &given, sizeof(int));
    }
    (void)!sendmsg(fd, &msg, MSG_NOSIGNAL);
}

/* A fake host: hello, start (a fake encoder each; stream "refused" is refused; "elsewhere…" comes
 * without a pidfd), signal (to the last one started, unless that is "elsewhere-lost"). Counts the
 * starts in the file runtime/starts. */
static inline void fake_host(const char *runtime)
{
    int s = serve(runtime, "host.sock"), starts = 0, reach = 0;
    sl_autofree char *count = sl_asprintf("%s/starts", runtime);

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGCHLD, SIG_IGN);
    for (;;) {
        int c = accept(s, NULL, NULL), given;
        char buf[SL_CTL_MAX], answer[512];

        while (c >= 0) {
            struct pollfd p = {.fd = c, .events = POLLIN};
            struct sl_encspec *spec;
            struct sl_err err = {0};
            ssize_t n;
            pid_t pid;
            int pidfd;
            FILE *f;

            poll(&p, 1, -1);
            n = fleet_recv(c, buf, sizeof(buf), &given);
            if (n <= 0)
                break;
            if (given < 0 && strstr(buf, "\"signal\"")) {
                const char *number = strstr(buf, "\"signal\":");

                if (reach && number && kill(reach, atoi(number + 9)) == 0)
                    send_with_fd(c, "{\"ok\":true}", -1);
                else
                    send_with_fd(c, "{\"ok\":false,\"code\":\"NotOurs\",\"error\":\"not ours\"}",
                                 -1);
                continue;
            }
            if (given < 0) {
                send_with_fd(c, "{\"ok\":true,\"v\":1,\"pid\":1,\"version\":\"t\",\"encoders\":0}",
                             -1);
                continue;
            }
            n = pread(given, buf, sizeof(buf), 0);
            close(given);
            if (sl_encspec_from_json(buf, (size_t)n, &spec, &err) < 0) {
                send_with_fd(c, "{\"ok\":false,\"error\":\"bad spec\"}", -1);
                continue;
            }
            f = fopen(count, "w");
            fprintf(f, "%d\n", ++starts);
            fclose(f);
            if (strcmp(spec->name, "refused") == 0) {
                snprintf(answer, sizeof(answer), "{\"ok\":false,\"uid\":\"%s\",\"error\":\"no\"}",
                         spec->uid);
                send_with_fd(c, answer, -1);
                continue;
            }
            pid = fork();
            if (pid == 0) {
                close(c);
                close(s);
                usleep(50000); /* its record comes after the answer */
                fake_encoder(runtime, spec->uid, spec->name, spec->spec_hash, SL_ENC_HELD,
                             strcmp(spec->name, "deaf") == 0, -1);
            }
            reach = strcmp(spec->name, "elsewhere-lost") == 0 ? 0 : pid;
            pidfd = strncmp(spec->name, "elsewhere", 9) == 0 ? -1
                                                             : (int)syscall(SYS_pidfd_open, pid, 0);
            snprintf(answer, sizeof(answer), "{\"ok\":true,\"uid\":\"%s\",\"pid\":%d}", spec->uid,
                     (int)pid);
            send_with_fd(c, answer, pidfd);
            sl_closep(&pidfd);
            sl_encspec_free(spec);
        }
        sl_closep(&c);
    }
}
