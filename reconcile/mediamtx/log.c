/* SPDX-License-Identifier: GPL-2.0-or-later
 * Reads the tail of MediaMTX's log. Layer: mediamtx.
 */
#include "reconcile/mediamtx/log.h"

#include "reconcile/base/log.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define LIMIT (16 << 20)
#define TAIL  (64 << 10)

int64_t sl_mtx_log_size(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 ? (int64_t)st.st_size : 0;
}

static char *read_tail(const char *path, int64_t from, size_t *ret_len)
{
    sl_autofd int fd = open(path, O_RDONLY | O_CLOEXEC);
    int64_t size = sl_mtx_log_size(path);
    char *data = sl_alloc(TAIL + 1);
    ssize_t n = -1;

    if (from > size) /* it was cut meanwhile */
        from = 0;
    if (size - from > TAIL)
        from = size - TAIL;
    if (fd >= 0)
        n = pread(fd, data, TAIL, from);
    *ret_len = n > 0 ? (size_t)n : 0;
    data[*ret_len] = 0;
    return data;
}

/* The last line with an error level, else the last line; MediaMTX: DATE TIME LEVEL TEXT. */
static const char *telling_line(char *data)
{
    const char *last = "", *error = NULL;
    char *save = NULL;

    for (char *line = strtok_r(data, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        if (!*line)
            continue;
        last = line;
        if (strstr(line, " ERR "))
            error = line;
    }
    return error ? error : last;
}

void sl_mtx_log_reason(const char *path, int64_t from, struct sl_mtx_death *ret)
{
    size_t len;
    sl_autofree char *data = read_tail(path, from, &len);
    const char *line = telling_line(data);
    const char *bind = strstr(line, ": bind: address already in use");
    const char *text = strstr(line, " ERR ");

    text = text ? text + 5 : line;
    if (bind) {
        const char *colon = bind;
        int port;

        while (colon > line && colon[-1] != ':')
            colon--;
        port = atoi(colon);
        snprintf(ret->code, sizeof(ret->code), "PortInUse");
        snprintf(ret->text, sizeof(ret->text),
                 "MediaMTX cannot start: port %d is in use by another program: %.140s", port, text);
        return;
    }
    snprintf(ret->code, sizeof(ret->code), "%s",
             strstr(line, "configuration") || strstr(line, "unknown field") ? "ConfigRefused"
                                                                            : "EngineDied");
    snprintf(ret->text, sizeof(ret->text), "MediaMTX ended: %.200s",
             *text ? text : "its log says nothing");
}

bool sl_mtx_log_cut(const char *path)
{
    sl_autofd int fd = -1;
    sl_autofree char *tail = NULL;
    size_t len;

    if (sl_mtx_log_size(path) <= LIMIT)
        return false;
    tail = read_tail(path, 0, &len);
    fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
    if (fd < 0 || ftruncate(fd, 0) < 0 || write(fd, tail, len) != (ssize_t)len) {
        sl_log(SL_LOG_WARN, "mediamtx log not cut", "file", path, "reason", "cannot write it",
               NULL);
        return false;
    }
    sl_log(SL_LOG_INFO, "mediamtx log cut", "file", path, "reason", "over 16 MiB", NULL);
    return true;
}
