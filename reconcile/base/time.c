/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "reconcile/base/time.h"

#include <time.h>

static int64_t read_clock(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int64_t sl_now_mono(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

int64_t sl_now_wall(void)
{
    return read_clock(CLOCK_REALTIME);
}

char *sl_time_rfc3339(int64_t wall_ms, char buf[32])
{
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm tm;
    char date[24];
    gmtime_r(&seconds, &tm);
    strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(buf, 32, "%s.%03dZ", date, (int)(wall_ms % 1000));
    return buf;
}
