/* SPDX-License-Identifier: GPL-2.0-or-later
 * The encoder host: connect, start it when it is ours to start, ask it for encoders, notice its
 * end. Its end costs no encoder: they go on, the next starts wait. Layer: fleet.
 */
#include "reconcile/fleet/fleet_impl.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/file.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define WINDOW      8 /* starts asked at once; the host answers in order */
#define SPAWN_FIRST 500
#define SPAWN_MAX   30000
#define SPAWN_WAIT  10000 /* ms until a started host must listen */
#define HOST_STEADY 60000 /* ms after which its end does not count against it */

extern char **environ;

static void request_free(struct fleet_request *request)
{
    sl_closep(&request->memfd);
    free(request);
}

/* The requests of a lost connection: what was sent may have been done, so the records decide. */
static void requests_lost(struct sl_fleet *fleet)
{
    struct fleet_request *list = fleet->host.queue, *next;

    fleet->host.queue = NULL;
    for (; list; list = next) {
        struct fleet_enc *enc = fleet_find(fleet, list->uid);
        bool dropped;

        next = list->next;
        if (enc && !list->signal && !enc->answered_at) {
            enc->answered_at = sl_now_mono();
            fleet_refresh(fleet, list->uid, &dropped);
            enc = fleet_find(fleet, list->uid);
            if (enc && !enc->known)
                fleet_drop(fleet, enc);
        }
        request_free(list);
    }
}

void fleet_host_close(struct sl_fleet *fleet)
{
    struct fleet_host *host = &fleet->host;

    sd_event_source_disable_unref(host->io);
    host->io = NULL;
    sl_closep(&host->fd);
    host->up = host->hello_sent = false;
    requests_lost(fleet);
}

static void host_lost(struct sl_fleet *fleet, const char *why)
{
    struct fleet_host *host = &fleet->host;
    bool was_up = host->up;

    snprintf(host->error, sizeof(host->error), "the encoder host %s", why);
    if (was_up)
        sl_log(SL_LOG_WARN, "lost the encoder host; running encoders go on", "reason", why, NULL);
    fleet_host_close(fleet);
    host->retry_at = sl_now_mono() + 50;
    fleet_wake_at(fleet, host->retry_at);
    if (was_up)
        fleet->fn(fleet->user);
}

static int send_signal(struct sl_fleet *fleet, struct fleet_request *request)
{
    char text[128];
    int n = snprintf(text, sizeof(text), "{\"op\":\"signal\",\"v\":1,\"uid\":\"%s\",\"signal\":%d}",
                     request->uid, request->signal);

    return send(fleet->host.fd, text, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -1 : 0;
}

static int send_start(struct sl_fleet *fleet, struct fleet_request *request)
{
    static const char text[] = "{\"op\":\"start\",\"v\":1}";
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = {{0}};
    struct iovec iov = {.iov_base = (void *)text, .iov_len = sizeof(text) - 1};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = control.bytes,
                         .msg_controllen = sizeof(control.bytes)};
    struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(c), &request->memfd, sizeof(int));
    if (sendmsg(fleet->host.fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
        return -1;
    sl_closep(&request->memfd);
    request->memfd = -1;
    return 0;
}

static void pump(struct sl_fleet *fleet)
{
    int under_way = 0;

    for (struct fleet_request *r = fleet->host.queue; r && fleet->host.up; r = r->next) {
        if (!r->deadline && (r->signal ? send_signal(fleet, r) : send_start(fleet, r)) < 0) {
            fleet_wake_at(fleet, sl_now_mono() + 20); /* its buffer is full, or an EOF follows */
            return;
        }
        if (!r->deadline) {
            r->deadline = sl_now_mono() + FLEET_HOST_TIMEOUT;
            fleet_wake_at(fleet, r->deadline);
        }
        if (++under_way >= WINDOW)
            return;
    }
}

static void ask(struct sl_fleet *fleet, const char *uid, int sig, int memfd)
{
    struct fleet_request *request = sl_alloc(sizeof(*request)), **at = &fleet->host.queue;

    snprintf(request->uid, sizeof(request->uid), "%s", uid);
    request->signal = sig;
    request->memfd = memfd;
    while (*at)
        at = &(*at)->next;
    *at = request;
    pump(fleet);
}

void fleet_host_start(struct sl_fleet *fleet, const char *uid, int memfd)
{
    ask(fleet, uid, 0, memfd);
}

bool fleet_host_signal(struct sl_fleet *fleet, const char *uid, int sig)
{
    if (fleet->host.up)
        ask(fleet, uid, sig, -1);
    return fleet->host.up;
}

static void hello_answered(struct sl_fleet *fleet, const json_t *answer)
{
    struct fleet_host *host = &fleet->host;
    json_int_t v = json_integer_value(json_object_get(answer, "v"));
    const char *version = json_string_value(json_object_get(answer, "version"));

    if (!json_is_true(json_object_get(answer, "ok")) || v != SL_CTL_VERSION) {
        host_lost(fleet, "speaks another version of the protocol: upgrade it");
        host->retry_at = sl_now_mono() + 5000;
        return;
    }
    host->up = true;
    host->hello_deadline = 0;
    host->error[0] = 0;
    sl_log(SL_LOG_INFO, "encoder host is there", "pid", sl_num(host->pid), "version", version,
           NULL);
    pump(fleet);
    fleet->fn(fleet->user);
}

/* To a start or a signal: the host answers in the order of asking. */
static void request_answered(struct sl_fleet *fleet, const json_t *answer, int pidfd)
{
    const char *uid = json_string_value(json_object_get(answer, "uid"));
    const char *error = json_string_value(json_object_get(answer, "error"));
    bool ok = json_is_true(json_object_get(answer, "ok"));
    struct fleet_request **at = &fleet->host.queue, *request;

    if (uid && *at && !(*at)->signal) {
        while (*at && ((*at)->signal || strcmp((*at)->uid, uid) != 0))
            at = &(*at)->next;
    }
    if (!*at || !(*at)->deadline) { /* an answer to nothing */
        sl_closep(&pidfd);
        return;
    }
    request = *at;
    *at = request->next;
    if (!ok && !error)
        error = "refused without a reason";
    if (!request->signal) {
        fleet_started(fleet, request->uid, (int)json_integer_value(json_object_get(answer, "pid")),
                      pidfd, ok ? NULL : error);
    } else {
        sl_closep(&pidfd);
        if (!ok)
            fleet_signal_refused(fleet, request->uid, request->signal, error);
    }
    request_free(request);
    pump(fleet);
}

void fleet_host_read(struct sl_fleet *fleet)
{
    int fd = fleet->host.fd;

    for (int i = 0; i < 64 && fd >= 0 && fleet->host.fd == fd; i++) {
        char buf[SL_CTL_MAX];
        int given;
        ssize_t n = fleet_recv(fd, buf, sizeof(buf), &given);
        json_t *answer;

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            break;
        if (n <= 0) {
            sl_closep(&given);
            host_lost(fleet, "closed the connection");
            break;
        }
        answer = json_loadb(buf, (size_t)n, 0, NULL);
        if (!fleet->host.up) {
            sl_closep(&given);
            hello_answered(fleet, answer);
        } else {
            request_answered(fleet, answer, given);
        }
        json_decref(answer);
    }
}

static int on_host(sd_event_source *source, int fd, uint32_t events, void *user)
{
    (void)source;
    (void)fd;
    (void)events;
    fleet_host_read(user);
    return 0;
}

static int on_child_end(sd_event_source *source, int fd, uint32_t events, void *user)
{
    struct sl_fleet *fleet = user;
    struct fleet_host *host = &fleet->host;
    int64_t now = sl_now_mono(), delay = SPAWN_FIRST;
    siginfo_t info = {0};
    char how[80] = "ended";

    (void)source;
    (void)events;
    if (waitid(P_PIDFD, (id_t)fd, &info, WEXITED | WNOHANG) == 0 && info.si_pid)
        snprintf(how, sizeof(how), "%s %d",
                 info.si_code == CLD_EXITED ? "exited with status" : "was ended by signal",
                 info.si_status);
    if (now - host->spawned_at > HOST_STEADY)
        host->failures = 0;
    host->failures++;
    for (int i = 1; i < host->failures && delay < SPAWN_MAX; i++)
        delay *= 2;
    host->spawn_at = host->failures == 1 ? now : now + (delay < SPAWN_MAX ? delay : SPAWN_MAX);
    host->death = sd_event_source_disable_unref(host->death);
    sl_closep(&host->pidfd);
    host->pidfd = -1;
    host->child = false;
    sl_log(SL_LOG_WARN, "encoder host ended; running encoders go on", "pid", sl_num(host->pid),
           "reason", how, "log", "runtime/log/encoder-host.log", NULL);
    if (host->fd >= 0)
        host_lost(fleet, how);
    else
        snprintf(host->error, sizeof(host->error),
                 "the encoder host %s; see %s/log/encoder-host.log", how, fleet->runtime);
    host->retry_at = now;
    fleet_wake_at(fleet, now);
    return 0;
}

/* Its environment: ours, without what systemd meant for us, with what keeps OpenBLAS and OpenMP
 * from starting threads (the host must have one when it forks). */
static char **host_environ(void)
{
    static const char *const drop[] = {
        "NOTIFY_SOCKET=",        "WATCHDOG_USEC=",   "WATCHDOG_PID=",
        "LISTEN_FDS=",           "LISTEN_PID=",      "LISTEN_FDNAMES=",
        "OPENBLAS_NUM_THREADS=", "OMP_NUM_THREADS=", "CREDENTIALS_DIRECTORY="};
    size_t n = 0, kept = 0;
    char **list;

    while (environ[n])
        n++;
    list = sl_alloc((n + 3) * sizeof(*list));
    for (size_t i = 0; i < n; i++) {
        bool keep = true;

        for (size_t k = 0; k < SL_COUNT(drop); k++)
            keep &= strncmp(environ[i], drop[k], strlen(drop[k])) != 0;
        if (keep)
            list[kept++] = environ[i];
    }
    list[kept++] = (char *)"OPENBLAS_NUM_THREADS=1";
    list[kept++] = (char *)"OMP_NUM_THREADS=1";
    return list;
}

/* Beside this program first, so that a build tree and an installation each find their own. */
static char *find_binary(const char *name)
{
    char self[512];
    ssize_t n = strchr(name, '/') ? -1 : readlink("/proc/self/exe", self, sizeof(self) - 1);
    char *slash, *path;

    if (n <= 0)
        return sl_strdup(name);
    self[n] = 0;
    slash = strrchr(self, '/');
    if (!slash)
        return sl_strdup(name);
    *slash = 0;
    path = sl_asprintf("%s/%s", self, name);
    if (access(path, X_OK) == 0)
        return path;
    free(path);
    return sl_strdup(name);
}

static int spawn(struct sl_fleet *fleet, const char *binary, pid_t *ret_pid)
{
    char *argv[] = {(char *)binary, (char *)"host", (char *)"--runtime", fleet->runtime, NULL};
    sl_autofree char *log = sl_asprintf("%s/log/encoder-host.log", fleet->runtime);
    sl_autofree char **env = host_environ();
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attr;
    sigset_t none, all;
    int rc;

    sigemptyset(&none);
    sigfillset(&all);
    posix_spawn_file_actions_init(&files);
    posix_spawnattr_init(&attr);
    posix_spawnattr_setflags(&attr,
                             POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setsigmask(&attr, &none);
    posix_spawnattr_setsigdefault(&attr, &all);
    posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&files, 1, log, O_WRONLY | O_CREAT | O_APPEND, 0640);
    posix_spawn_file_actions_adddup2(&files, 1, 2);
    posix_spawn_file_actions_addclosefrom_np(&files, 3);
    rc = posix_spawnp(ret_pid, binary, &files, &attr, argv, env);
    posix_spawnattr_destroy(&attr);
    posix_spawn_file_actions_destroy(&files);
    return rc;
}

static void host_spawn(struct sl_fleet *fleet, int64_t now)
{
    struct fleet_host *host = &fleet->host;
    sl_autofree char *binary = find_binary(fleet->binary);
    pid_t pid;
    int rc = spawn(fleet, binary, &pid);

    if (rc != 0) {
        snprintf(host->error, sizeof(host->error), "cannot start the encoder host %.180s: %.80s",
                 binary, strerror(rc));
        if (host->failures++ == 0)
            sl_log(SL_LOG_ERROR, "cannot start the encoder host", "binary", binary, "error",
                   strerror(rc), NULL);
        host->spawn_at = now + 5000;
        return;
    }
    host->pid = pid;
    host->child = true;
    host->spawned_at = now;
    host->pidfd = pidfd_open(pid, 0);
    snprintf(host->error, sizeof(host->error), "the encoder host is starting");
    if (host->pidfd < 0 ||
        sd_event_add_io(fleet->event, &host->death, host->pidfd, EPOLLIN, on_child_end, fleet) < 0)
        sl_log(SL_LOG_WARN, "the end of the encoder host will be noticed late", NULL);
    sl_log(SL_LOG_INFO, "started the encoder host", "pid", sl_num(pid), "binary", binary, "reason",
           "nobody listens on host.sock", NULL);
}

/* Who listens is a child of the keeper, which would start it again: the keeper is the host to be
 * stopped. It is known as a parent that runs the same program; else the peer itself. */
static int keeper_of(int peer)
{
    char path[40], text[256], mine[512], theirs[512];
    int parent = 0;
    ssize_t a, b;
    FILE *f;
    char *p;

    if (peer <= 0)
        return -1; /* another pid namespace: not ours to stop */
    snprintf(path, sizeof(path), "/proc/%d/stat", peer);
    f = fopen(path, "re");
    if (!f)
        return peer;
    p = fgets(text, sizeof(text), f) ? strrchr(text, ')') : NULL;
    fclose(f);
    if (!p || sscanf(p + 1, " %*c %d", &parent) != 1 || parent <= 1)
        return peer;
    snprintf(path, sizeof(path), "/proc/%d/exe", peer);
    a = readlink(path, mine, sizeof(mine));
    snprintf(path, sizeof(path), "/proc/%d/exe", parent);
    b = readlink(path, theirs, sizeof(theirs));
    return a > 0 && a == b && memcmp(mine, theirs, (size_t)a) == 0 ? parent : peer;
}

static bool connected(struct sl_fleet *fleet, int64_t now)
{
    static const char hello[] = "{\"op\":\"hello\",\"v\":1}";
    struct fleet_host *host = &fleet->host;
    struct ucred peer = {0};
    socklen_t len = sizeof(peer);

    if (sd_event_add_io(fleet->event, &host->io, host->fd, EPOLLIN, on_host, fleet) < 0 ||
        send(host->fd, hello, sizeof(hello) - 1, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
        host_lost(fleet, "took the connection and closed it");
        return false;
    }
    if (!host->child && getsockopt(host->fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0)
        host->pid = keeper_of(peer.pid);
    host->hello_sent = true;
    host->hello_deadline = now + FLEET_HOST_TIMEOUT;
    fleet_wake_at(fleet, host->hello_deadline);
    return true;
}

static void connect_host(struct sl_fleet *fleet, int64_t now)
{
    struct fleet_host *host = &fleet->host;
    struct sl_err err = {0};
    int64_t wait = 1000;

    host->fd = fleet_connect(fleet, fleet->runtime_fd, "host.sock", &err);
    if (host->fd >= 0) {
        connected(fleet, now);
        return;
    }
    if (err.os != ENOENT && err.os != ECONNREFUSED) {
        snprintf(host->error, sizeof(host->error), "the encoder host: %.250s", err.text);
        if (err.os == EAGAIN)
            wait = 50;
    } else if (!fleet->managed) {
        snprintf(host->error, sizeof(host->error), "no encoder host listens on %.200s/host.sock",
                 fleet->runtime);
    } else if (host->child) {
        wait = now - host->spawned_at < SPAWN_WAIT ? 30 : 1000;
    } else if (now >= host->spawn_at) {
        host_spawn(fleet, now);
        wait = host->child ? 30 : 1000;
    } else {
        wait = host->spawn_at - now;
    }
    host->retry_at = now + wait;
    fleet_wake_at(fleet, host->retry_at);
}

void fleet_host_tick(struct sl_fleet *fleet, int64_t now)
{
    struct fleet_host *host = &fleet->host;
    struct fleet_request *first = host->queue;

    if (host->fd < 0) {
        if (now >= host->retry_at)
            connect_host(fleet, now);
        else
            fleet_wake_at(fleet, host->retry_at);
        return;
    }
    if ((host->hello_deadline && now >= host->hello_deadline) ||
        (first && first->deadline && now >= first->deadline)) {
        host_lost(fleet, "does not answer");
        return;
    }
    if (host->hello_deadline)
        fleet_wake_at(fleet, host->hello_deadline);
    if (first && first->deadline)
        fleet_wake_at(fleet, first->deadline);
    pump(fleet);
}

/* The keeper of the host, which may be between two hosts: its pid stands in the file that it holds
 * a lock on. 0: none runs. */
static int keeper_pid(const struct sl_fleet *fleet)
{
    sl_autofree char *path = sl_asprintf("%s/host.lock", fleet->runtime);
    sl_autofd int fd = open(path, O_RDONLY | O_CLOEXEC);
    char text[16] = "";

    if (fd < 0 || flock(fd, LOCK_SH | LOCK_NB) == 0 || errno != EWOULDBLOCK ||
        pread(fd, text, sizeof(text) - 1, 0) <= 0)
        return 0;
    return atoi(text);
}

/* SIGTERM, 3 s, SIGKILL; blocking. Takes the pidfd. */
static void end_process(int pid, int pidfd, bool child)
{
    struct pollfd p = {.fd = pidfd, .events = POLLIN};

    sl_log(SL_LOG_INFO, "stopping the encoder host", "pid", sl_num(pid), NULL);
    pidfd_send_signal(pidfd, SIGTERM, NULL, 0);
    if (poll(&p, 1, 3000) == 0) {
        pidfd_send_signal(pidfd, SIGKILL, NULL, 0);
        poll(&p, 1, 1000);
    }
    if (child) {
        siginfo_t info;

        waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED | WNOHANG);
    }
    close(pidfd);
}

void fleet_host_stop(struct sl_fleet *fleet)
{
    struct fleet_host *host = &fleet->host;
    int keeper = keeper_pid(fleet), pid = host->pid, pidfd = host->pidfd;

    host->death = sd_event_source_disable_unref(host->death);
    host->pidfd = -1;
    fleet->managed = false; /* or the next tick would start another */
    if (pidfd < 0 && pid > 0 && (host->child || host->fd >= 0))
        pidfd = pidfd_open(pid, 0);
    fleet_host_close(fleet);
    /* First the one that we know: started by us just now it may still wait for the lock. */
    if (pidfd >= 0)
        end_process(pid, pidfd, host->child);
    host->child = false;
    if (keeper > 1 && keeper != pid) {
        pidfd = pidfd_open(keeper, 0);
        if (pidfd >= 0)
            end_process(keeper, pidfd, false);
    }
}
