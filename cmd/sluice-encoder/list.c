/* SPDX-License-Identifier: GPL-2.0-or-later
 * sluice-encoder list: the records of a runtime directory as a table. Layer: cmd.
 */
#include "cmd/sluice-encoder/verbs.h"
#include "reconcile/base/time.h"
#include "schemas/record.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <sys/file.h>
#include <unistd.h>

static bool alive(int dir)
{
    sl_autofd int fd = openat(dir, "lock", O_RDWR | O_CLOEXEC);

    return fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK;
}

static void print(int dir, const char *uid)
{
    struct sl_record r;
    struct sl_stats_data d = {0};
    struct sl_err err;
    sl_autofd int stats = openat(dir, "stats", O_RDONLY | O_CLOEXEC);
    char exit[32] = "", since[32];

    if (sl_record_read(dir, &r, &err) < 0) {
        printf("%-16s  %s\n", uid, err.text);
        return;
    }
    if (stats >= 0 && sl_stats_read(stats, &d) < 0)
        memset(&d, 0, sizeof(d));
    if (r.exited)
        snprintf(exit, sizeof(exit), r.exit_signal ? "signal %d" : "exit %d",
                 r.exit_signal ? r.exit_signal : r.exit_status);
    printf("%-16s  %-24s %7d  %-10s %s  %-18s %6.2f %9u  %s\n", r.uid, r.name, r.pid,
           alive(dir) ? sl_enc_state_name(r.state) : "Gone", sl_time_rfc3339(r.state_since, since),
           *r.reason ? r.reason : "-", d.fps_milli / 1000.0, d.bitrate, exit);
}

int verb_list(int argc, char **argv)
{
    static const struct option options[] = {{"runtime", required_argument, NULL, 'r'}, {0}};
    const char *runtime = NULL;
    struct dirent **names;
    int o, n;

    while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (o != 'r')
            return EXIT_USAGE;
        runtime = optarg;
    }
    if (!runtime || optind != argc) {
        fprintf(stderr, "sluice-encoder list: --runtime DIR is needed, and nothing else\n");
        return EXIT_USAGE;
    }
    sl_autofree char *path = sl_asprintf("%s/enc", runtime);
    n = scandir(path, &names, NULL, alphasort);
    if (n < 0) {
        fprintf(stderr, "sluice-encoder list: %s: %s\n", path, strerror(errno));
        return 1;
    }
    printf("%-16s  %-24s %7s  %-10s %-24s  %-18s %6s %9s\n", "UID", "NAME", "PID", "STATE", "SINCE",
           "REASON", "FPS", "BIT/S");
    for (int i = 0; i < n; i++) {
        sl_autofree char *one = sl_asprintf("%s/%s", path, names[i]->d_name);
        sl_autofd int dir = open(one, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        if (names[i]->d_name[0] != '.' && dir >= 0)
            print(dir, names[i]->d_name);
        free(names[i]);
    }
    free(names);
    return 0;
}
