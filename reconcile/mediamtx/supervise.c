/* SPDX-License-Identifier: GPL-2.0-or-later
 * Starting, adopting, watching and ending the process. Layer: mediamtx.
 */
#include "reconcile/mediamtx/supervise.h"

#include "reconcile/base/file.h"
#include "reconcile/base/log.h"
#include "reconcile/base/time.h"
#include "reconcile/mediamtx/log.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define LAYOUT 1

extern char **environ;

struct sl_supervise {
    struct sl_supervise_options options;
    char *binary, *config, *dir, *record, *log;
    int pid, pidfd;
    int64_t since, log_from; /* since: CLOCK_MONOTONIC, 0 when adopted */
    sd_event_source *watch;
};

bool sl_mtx_version_ok(const char *version)
{
    int a = 0, b = 0, c = 0, x = 0, y = 0, z = 0;

    if (sscanf(version + (*version == 'v'), "%d.%d.%d", &a, &b, &c) != 3)
        return false;
    if (sscanf(SL_MTX_OLDEST, "%d.%d.%d", &x, &y, &z) != 3)
        return false;
    return a != x ? a > x : b != y ? b > y : c >= z;
}

/* NAME beside this program, then in PATH; the caller frees, NULL: nowhere. */
static char *find(const char *name)
{
    const char *path = getenv("PATH");
    char self[4096];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    char *found;

    if (strchr(name, '/'))
        return access(name, X_OK) == 0 ? realpath(name, NULL) : NULL;
    self[n > 0 ? n : 0] = 0;
    if (strrchr(self, '/')) {
        found = sl_asprintf("%.*s/%s", (int)(strrchr(self, '/') - self), self, name);
        if (access(found, X_OK) == 0)
            return found;
        free(found);
    }
    while (path && *path) {
        size_t len = strcspn(path, ":");

        found = sl_asprintf("%.*s/%s", (int)len, path, name);
        if (len && access(found, X_OK) == 0)
            return found;
        free(found);
        path += len + (path[len] == ':');
    }
    return NULL;
}

/* MTX_* would change the configuration, ours and systemd's are none of its business. */
static char **clean_environment(void)
{
    static const char *const drop[] = {
        "MTX_",      "SLUICE_", "CREDENTIALS_DIRECTORY=", "NOTIFY_SOCKET=",
        "WATCHDOG_", "LISTEN_", "JOURNAL_STREAM=",        "INVOCATION_ID="};
    size_t n = 0, kept = 0;
    char **out;

    while (environ && environ[n])
        n++;
    out = sl_alloc((n + 1) * sizeof(*out));
    for (size_t i = 0; i < n; i++) {
        bool dropped = false;

        for (size_t k = 0; k < SL_COUNT(drop); k++)
            dropped = dropped || strncmp(environ[i], drop[k], strlen(drop[k])) == 0;
        if (!dropped)
            out[kept++] = environ[i];
    }
    return out;
}

static int spawn(const char *const argv[], posix_spawn_file_actions_t *actions, short flags,
                 int *ret_pid)
{
    sl_autofree char **env = clean_environment();
    posix_spawnattr_t attr;
    sigset_t none, all;
    pid_t pid;
    int r;

    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_init(&attr);
    posix_spawnattr_setsigmask(&attr, &none);
    posix_spawnattr_setsigdefault(&attr, &all);
    posix_spawnattr_setflags(&attr,
                             (short)(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | flags));
    r = posix_spawn(&pid, argv[0], actions, &attr, (char *const *)(uintptr_t)argv, env);
    posix_spawnattr_destroy(&attr);
    if (r == 0)
        *ret_pid = pid;
    return r;
}

/* The first line of `BINARY --version`, within 5 s; "" when it says nothing. */
static void ask_version(const char *binary, char *ret, size_t size)
{
    const char *const argv[] = {binary, "--version", NULL};
    posix_spawn_file_actions_t actions;
    int64_t deadline = sl_now_mono() + 5000;
    int fds[2], pid = 0, r;
    size_t len = 0;

    ret[0] = 0;
    if (pipe2(fds, O_CLOEXEC) < 0)
        return;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, fds[1], 1);
    r = spawn(argv, &actions, 0, &pid);
    posix_spawn_file_actions_destroy(&actions);
    close(fds[1]);
    while (r == 0 && len + 1 < size) {
        struct pollfd wait = {.fd = fds[0], .events = POLLIN};
        int64_t left = deadline - sl_now_mono();
        ssize_t n =
            left > 0 && poll(&wait, 1, (int)left) > 0 ? read(fds[0], ret + len, size - 1 - len) : 0;
        if (n <= 0)
            break;
        len += (size_t)n;
    }
    close(fds[0]);
    if (r == 0) {
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
    }
    ret[len] = 0;
    ret[strcspn(ret, "\r\n")] = 0;
}

static int check_binary(struct sl_supervise *s, const char *name, struct sl_err *err)
{
    char version[64];

    s->binary = find(name);
    if (!s->binary)
        return sl_err_set(err, SL_ERR_HUMAN, ENOENT, "EngineMissing",
                          "there is no program %s: `make mediamtx` builds one, mediamtx.binary "
                          "names yours, mediamtx.managed: false uses a running one",
                          name);
    ask_version(s->binary, version, sizeof(version));
    if (!sl_mtx_version_ok(version))
        return sl_err_set(err, SL_ERR_HUMAN, 0, "EngineTooOld",
                          "%s says version \"%s\": Sluice needs MediaMTX " SL_MTX_OLDEST
                          " or newer",
                          s->binary, version);
    return 0;
}

static void forget(struct sl_supervise *s)
{
    s->watch = sd_event_source_disable_unref(s->watch);
    if (s->pidfd >= 0)
        close(s->pidfd);
    s->pidfd = -1;
    s->pid = 0;
}

static int on_death(sd_event_source *source, int fd, uint32_t events, void *user)
{
    struct sl_supervise *s = user;
    struct sl_mtx_death death = {.lived = s->since ? sl_now_mono() - s->since : 0};
    siginfo_t info = {0};
    int pid = s->pid;

    (void)source;
    (void)events;
    sl_mtx_log_reason(s->log, s->log_from, &death);
    if (waitid(P_PIDFD, (id_t)fd, &info, WEXITED | WNOHANG) == 0 && info.si_pid &&
        info.si_code != CLD_EXITED) { /* its last words do not tell about a signal */
        snprintf(death.code, sizeof(death.code), "EngineDied");
        snprintf(death.text, sizeof(death.text), "MediaMTX was killed by signal %d (%s)",
                 info.si_status, strsignal(info.si_status));
    }
    forget(s);
    unlink(s->record);
    sl_log(SL_LOG_ERROR, "mediamtx ended", "pid", sl_num(pid), "code", death.code, "reason",
           death.text, NULL);
    s->options.died(s->options.user, &death);
    return 0;
}

static int watch(struct sl_supervise *s, int pid, struct sl_err *err)
{
    s->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (s->pidfd < 0)
        return sl_err_os(err, errno, "mediamtx (pid %d) cannot be watched", pid);
    if (sd_event_add_io(sl_loop_event(s->options.loop), &s->watch, s->pidfd, EPOLLIN, on_death, s) <
        0)
        abort();
    s->pid = pid;
    return 0;
}

static int write_record(struct sl_supervise *s, int pid, struct sl_err *err)
{
    json_t *object =
        json_pack("{s:i, s:i, s:I, s:s, s:s, s:I, s:I}", "layout", LAYOUT, "pid", pid, "pidStart",
                  (json_int_t)sl_proc_start(pid), "bootId", sl_boot_id(), "config", s->config,
                  "since", (json_int_t)sl_now_wall(), "logFrom", (json_int_t)s->log_from);
    char *text = json_dumps(object, JSON_INDENT(2));
    int r = sl_file_replace(AT_FDCWD, s->record, text, strlen(text), 0640, 0, err);

    free(text);
    json_decref(object);
    return r;
}

/* A daemon killed between starting MediaMTX and writing its record leaves one without a record:
 * known by our rendered file, which nobody else is started with. 0: none. */
static int find_running(const struct sl_supervise *s)
{
    DIR *proc = opendir("/proc");
    int found = 0;

    for (struct dirent *entry; proc && !found && (entry = readdir(proc));) {
        char path[300];
        sl_autofree char *words = NULL;
        size_t len = 0;

        snprintf(path, sizeof(path), "/proc/%s/cmdline", entry->d_name);
        if (entry->d_name[0] < '1' || entry->d_name[0] > '9' ||
            sl_file_read(AT_FDCWD, path, 65536, &words, &len, NULL) < 0)
            continue;
        size_t first = strlen(words) + 1;
        if (first < len && sl_streq(words + first, s->config) &&
            len == first + strlen(s->config) + 1)
            found = atoi(entry->d_name);
    }
    if (proc)
        closedir(proc);
    return found;
}

static void adopt_unrecorded(struct sl_supervise *s)
{
    int pid = find_running(s);

    if (pid == 0 || watch(s, pid, NULL) < 0)
        return;
    if (write_record(s, pid, NULL) < 0) {
        forget(s);
        return;
    }
    sl_log(SL_LOG_INFO, "mediamtx adopted", "pid", sl_num(pid), "reason",
           "it has no record, but runs on our rendered file", NULL);
}

/* A process that the record proves to be ours, or else one that runs on our file; the engine then
 * asks /v3/info. */
static void adopt(struct sl_supervise *s)
{
    sl_autofree char *text = NULL;
    json_t *object;
    size_t len;
    int pid;

    if (sl_file_read(AT_FDCWD, s->record, 65536, &text, &len, NULL) < 0) {
        adopt_unrecorded(s);
        return;
    }
    object = json_loadb(text, len, 0, NULL);
    pid = (int)json_integer_value(json_object_get(object, "pid"));
    if (pid > 1 && sl_streq(json_string_value(json_object_get(object, "bootId")), sl_boot_id()) &&
        sl_proc_start(pid) == (uint64_t)json_integer_value(json_object_get(object, "pidStart")) &&
        sl_streq(json_string_value(json_object_get(object, "config")), s->config) &&
        watch(s, pid, NULL) == 0) {
        s->log_from = json_integer_value(json_object_get(object, "logFrom"));
        sl_log(SL_LOG_INFO, "mediamtx adopted", "pid", sl_num(pid), "reason",
               "its record, start time and boot agree", NULL);
    } else {
        unlink(s->record);
        adopt_unrecorded(s);
    }
    json_decref(object);
}

int sl_supervise_new(const struct sl_supervise_options *options, struct sl_supervise **ret,
                     struct sl_err *err)
{
    struct sl_supervise *s = sl_alloc(sizeof(*s));
    sl_autofree char *logs = sl_asprintf("%s/log", options->runtime);

    s->options = *options;
    s->pidfd = -1;
    s->config = options->config[0] == '/' ? sl_strdup(options->config) : NULL;
    if (!s->config) {
        sl_autofree char *cwd = getcwd(NULL, 0);

        s->config = sl_asprintf("%s/%s", cwd ? cwd : "", options->config);
    }
    s->dir = sl_asprintf("%s/mediamtx", options->runtime);
    s->record = sl_asprintf("%s/record.json", s->dir);
    s->log = sl_asprintf("%s/mediamtx.log", logs);
    if (check_binary(s, options->binary && *options->binary ? options->binary : "mediamtx", err) <
            0 ||
        sl_mkdir_p(s->dir, 0750, err) < 0 || sl_mkdir_p(logs, 0750, err) < 0) {
        sl_supervise_free(s);
        return -1;
    }
    adopt(s);
    *ret = s;
    return 0;
}

void sl_supervise_free(struct sl_supervise *s)
{
    if (!s)
        return;
    forget(s);
    free(s->binary);
    free(s->config);
    free(s->dir);
    free(s->record);
    free(s->log);
    free(s);
}

int sl_supervise_pid(const struct sl_supervise *s)
{
    return s->pid;
}

int sl_supervise_spawn(struct sl_supervise *s, const char *reason, struct sl_err *err)
{
    const char *const argv[] = {s->binary, s->config, NULL};
    sl_autofree char *cwd = sl_strdup(s->config);
    posix_spawn_file_actions_t actions;
    int pid = 0, r;

    *strrchr(cwd, '/') = 0;
    sl_mtx_log_cut(s->log);
    s->log_from = sl_mtx_log_size(s->log);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, 1, s->log, O_WRONLY | O_APPEND | O_CREAT, 0640);
    posix_spawn_file_actions_adddup2(&actions, 1, 2);
    posix_spawn_file_actions_addchdir_np(&actions, *cwd ? cwd : "/");
    r = spawn(argv, &actions, POSIX_SPAWN_SETSID, &pid);
    posix_spawn_file_actions_destroy(&actions);
    if (r != 0)
        return sl_err_os(err, r, "%s cannot be started", s->binary);
    s->since = sl_now_mono();
    if (write_record(s, pid, err) < 0 || watch(s, pid, err) < 0) {
        kill(pid, SIGKILL); /* nobody could adopt it later */
        waitpid(pid, NULL, 0);
        return -1;
    }
    sl_log(SL_LOG_INFO, "mediamtx started", "pid", sl_num(pid), "program", s->binary, "reason",
           reason, NULL);
    return 0;
}

const char *sl_supervise_log(const struct sl_supervise *s)
{
    return s->log;
}

bool sl_supervise_tend(struct sl_supervise *s)
{
    return sl_mtx_log_cut(s->log);
}

static bool gone(struct sl_supervise *s, int ms)
{
    struct pollfd wait = {.fd = s->pidfd, .events = POLLIN};

    return poll(&wait, 1, ms) > 0;
}

void sl_supervise_stop(struct sl_supervise *s, const char *reason)
{
    siginfo_t info = {0};

    if (!s->pid)
        return;
    sl_log(SL_LOG_INFO, "mediamtx stopped", "pid", sl_num(s->pid), "reason", reason, NULL);
    syscall(SYS_pidfd_send_signal, s->pidfd, SIGTERM, NULL, 0);
    if (!gone(s, 5000)) {
        sl_log(SL_LOG_WARN, "mediamtx killed", "pid", sl_num(s->pid), "reason",
               "still there 5 s after SIGTERM", NULL);
        syscall(SYS_pidfd_send_signal, s->pidfd, SIGKILL, NULL, 0);
        gone(s, 5000);
    }
    waitid(P_PIDFD, (id_t)s->pidfd, &info, WEXITED | WNOHANG);
    unlink(s->record);
    forget(s);
}
