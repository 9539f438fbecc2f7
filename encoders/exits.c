/* SPDX-License-Identifier: GPL-2.0-or-later
 * Exit statuses into records. Layer: encoders.
 */
#include "encoders/exits.h"
#include "reconcile/base/log.h"
#include "reconcile/base/time.h"
#include <dirent.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static void notify(const char *runtime, const char *uid)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    sl_autofd int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd >= 0 && snprintf(to.sun_path, sizeof(to.sun_path), "%s/notice.sock", runtime) <
                       (int)sizeof(to.sun_path))
        (void)!sendto(fd, uid, strlen(uid), MSG_DONTWAIT | MSG_NOSIGNAL, (struct sockaddr *)&to,
                      sizeof(to));
}

static bool complete(const char *runtime, int enc_fd, const char *uid, int pid, int wait_status)
{
    sl_autofd int dir = openat(enc_fd, uid, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    struct sl_record r;
    struct sl_err err;

    if (dir < 0 || sl_record_read(dir, &r, &err) < 0 || r.pid != pid || r.exited)
        return false;
    r.exited = true;
    r.exit_status = WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : 0;
    r.exit_signal = WIFSIGNALED(wait_status) ? WTERMSIG(wait_status) : 0;
    r.exit_at = sl_now_wall();
    if (sl_record_write(dir, &r, &err) < 0)
        sl_log(SL_LOG_WARN, err.text, "uid", uid, NULL);
    notify(runtime, uid);
    sl_log(SL_LOG_INFO, "encoder left", "stream", r.name, "uid", uid, "pid", sl_num(pid), "status",
           r.exit_signal ? NULL : sl_num(r.exit_status), "signal",
           r.exit_signal ? sl_num(r.exit_signal) : NULL, "reason", r.reason, NULL);
    return true;
}

void sl_exits_write(const char *runtime, const char *uid, int pid, int wait_status)
{
    sl_autofree char *path = sl_asprintf("%s/enc", runtime);
    DIR *dir;
    const struct dirent *e;

    dir = opendir(path);
    if (!dir)
        return;
    if (!uid || !complete(runtime, dirfd(dir), uid, pid, wait_status)) {
        while ((e = readdir(dir))) {
            if (e->d_name[0] != '.' && complete(runtime, dirfd(dir), e->d_name, pid, wait_status))
                break;
        }
    }
    closedir(dir);
}
