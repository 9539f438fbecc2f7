/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "reconcile/io/machine.h"
#include "reconcile/base/file.h"

#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define EVERY       1000 /* ms */
#define DISKS_EVERY 10000
#define QUEUE       77 /* of its own: a disk that hangs holds up no other job's order */

struct sl_machine {
    struct sl_loop *loop;
    struct sl_seen_machine seen, asked; /* asked: the worker's own while `asking` */
    char *dir[2];
    bool asking;
    int64_t at, disks_at; /* CLOCK_MONOTONIC ms, 0: never */
    uint64_t busy, all;
};

struct sl_machine *sl_machine_new(struct sl_loop *loop, const char *recordings, const char *state)
{
    struct sl_machine *machine = sl_alloc(sizeof(*machine));

    machine->loop = loop;
    machine->dir[0] = sl_strdup(recordings);
    machine->dir[1] = sl_strdup(state);
    return machine;
}

void sl_machine_free(struct sl_machine *machine)
{
    if (!machine)
        return;
    free(machine->dir[0]);
    free(machine->dir[1]);
    free(machine);
}

static void ask_disks(void *user)
{
    static const char *const names[] = {"recordings", "state"};
    struct sl_machine *machine = user;

    for (int i = 0; i < 2; i++) {
        struct statvfs fs;
        const char *dir = machine->dir[i];
        bool known = dir && *dir && statvfs(dir, &fs) == 0;

        machine->asked.disk[i].name = known ? names[i] : NULL;
        machine->asked.disk[i].free = known ? (uint64_t)fs.f_bavail * fs.f_frsize : 0;
        machine->asked.disk[i].total = known ? (uint64_t)fs.f_blocks * fs.f_frsize : 0;
    }
}

static void disks_told(void *user)
{
    struct sl_machine *machine = user;

    memcpy(machine->seen.disk, machine->asked.disk, sizeof(machine->seen.disk));
    machine->asking = false;
}

/* proc(5): user nice system idle iowait irq softirq steal; guest times are in user and nice. */
static void read_cpu(struct sl_machine *machine)
{
    sl_autofree char *text = NULL;
    unsigned long long t[8];
    uint64_t all = 0, busy;

    if (sl_file_read(AT_FDCWD, "/proc/stat", 1u << 20, &text, NULL, NULL) < 0 ||
        sscanf(text, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &t[0], &t[1], &t[2], &t[3],
               &t[4], &t[5], &t[6], &t[7]) != 8)
        return;
    for (int i = 0; i < 8; i++)
        all += t[i];
    busy = all - t[3] - t[4];
    if (machine->all && all > machine->all && busy >= machine->busy)
        machine->seen.cpu = (double)(busy - machine->busy) / (double)(all - machine->all);
    machine->all = all;
    machine->busy = busy;
}

static uint64_t meminfo(const char *text, const char *key)
{
    const char *at = strstr(text, key);

    return at ? strtoull(at + strlen(key), NULL, 10) * 1024 : 0;
}

static void read_memory(struct sl_machine *machine)
{
    sl_autofree char *text = NULL;
    uint64_t total, left;

    if (sl_file_read(AT_FDCWD, "/proc/meminfo", 65536, &text, NULL, NULL) < 0)
        return;
    total = meminfo(text, "MemTotal:");
    left = meminfo(text, "MemAvailable:");
    machine->seen.memory_total = total;
    machine->seen.memory_used = total > left ? total - left : 0;
}

void sl_machine_observed(struct sl_machine *machine, int64_t now, struct sl_seen_machine *ret)
{
    if (!machine->at || now - machine->at >= EVERY) {
        machine->at = now;
        machine->seen.cores = (int)sysconf(_SC_NPROCESSORS_ONLN);
        read_cpu(machine);
        read_memory(machine);
    }
    if (!machine->asking && (!machine->disks_at || now - machine->disks_at >= DISKS_EVERY)) {
        machine->disks_at = now;
        machine->asking = true;
        sl_loop_job(machine->loop, QUEUE, ask_disks, disks_told, machine);
    }
    *ret = machine->seen;
}
