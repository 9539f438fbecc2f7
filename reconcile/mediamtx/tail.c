/* SPDX-License-Identifier: GPL-2.0-or-later
 * Lines as MediaMTX 1.20.1 writes them (internal/logger, internal/core/path.go):
 * "2026/01/02 03:04:05 ERR [path NAME] [RTSP source] TEXT". Layer: mediamtx.
 */
#include "reconcile/mediamtx/tail.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define BEHIND_MAX (256 << 10) /* older lines are given up */
#define ERRORS_MAX 20000

struct error {
    char name[208], text[240];
    int64_t at;
};

struct sl_mtx_tail {
    char *path;
    uint64_t inode;
    int64_t offset; /* of the first byte not read */
    bool begun;
    struct error *list; /* sorted by name */
    size_t count, room;
};

struct sl_mtx_tail *sl_mtx_tail_new(const char *path)
{
    struct sl_mtx_tail *tail = sl_alloc(sizeof(*tail));

    tail->path = sl_strdup(path);
    return tail;
}

void sl_mtx_tail_free(struct sl_mtx_tail *tail)
{
    if (!tail)
        return;
    free(tail->path);
    free(tail->list);
    free(tail);
}

/* Where it is, or would be. */
static size_t place(const struct sl_mtx_tail *tail, const char *name, bool *ret_there)
{
    size_t low = 0, high = tail->count;

    *ret_there = false;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int order = strcmp(name, tail->list[mid].name);

        if (order == 0) {
            *ret_there = true;
            return mid;
        }
        if (order < 0)
            high = mid;
        else
            low = mid + 1;
    }
    return low;
}

static void note(struct sl_mtx_tail *tail, const char *name, const char *text, int64_t now)
{
    bool there;
    size_t at = place(tail, name, &there);

    if (!there) {
        if (tail->count == ERRORS_MAX)
            return;
        if (tail->count == tail->room) {
            tail->room = tail->room ? 2 * tail->room : 16;
            tail->list = sl_realloc(tail->list, tail->room * sizeof(*tail->list));
        }
        memmove(&tail->list[at + 1], &tail->list[at], (tail->count++ - at) * sizeof(*tail->list));
        snprintf(tail->list[at].name, sizeof(tail->list[at].name), "%s", name);
    }
    snprintf(tail->list[at].text, sizeof(tail->list[at].text), "%s", text);
    tail->list[at].at = now;
}

static void take_line(struct sl_mtx_tail *tail, char *line, int64_t now)
{
    static const char mark[] = " ERR [path ";
    char *name = strstr(line, mark), *end, *text;

    if (!name)
        return;
    name += strlen(mark);
    end = strstr(name, "] [");
    text = end ? strstr(end + 3, " source] ") : NULL;
    if (!text || memchr(end + 3, ']', (size_t)(text - end - 3)))
        return;
    *end = 0;
    note(tail, name, text + strlen(" source] "), now);
}

/* Whole lines only; what is left is read again. */
static size_t take(struct sl_mtx_tail *tail, char *data, int64_t now)
{
    char *line = data, *end;

    for (; (end = strchr(line, '\n')); line = end + 1) {
        *end = 0;
        take_line(tail, line, now);
    }
    return (size_t)(line - data);
}

void sl_mtx_tail_read(struct sl_mtx_tail *tail, int64_t now)
{
    sl_autofd int fd = tail->path ? open(tail->path, O_RDONLY | O_CLOEXEC) : -1;
    sl_autofree char *data = NULL;
    struct stat st;
    ssize_t n;

    if (fd < 0 || fstat(fd, &st) < 0)
        return;
    if (!tail->begun || st.st_ino != tail->inode || st.st_size < tail->offset)
        tail->offset = 0;
    tail->begun = true;
    tail->inode = st.st_ino;
    if (st.st_size - tail->offset > BEHIND_MAX)
        tail->offset = st.st_size - BEHIND_MAX;
    if (st.st_size == tail->offset)
        return;
    data = sl_alloc((size_t)(st.st_size - tail->offset) + 1);
    n = pread(fd, data, (size_t)(st.st_size - tail->offset), tail->offset);
    if (n <= 0)
        return;
    for (ssize_t i = 0; i < n; i++)
        data[i] = data[i] ? data[i] : ' ';
    tail->offset += (int64_t)take(tail, data, now);
}

void sl_mtx_tail_skip(struct sl_mtx_tail *tail)
{
    struct stat st;

    if (!tail->path || stat(tail->path, &st) < 0)
        return;
    tail->inode = st.st_ino;
    tail->offset = st.st_size;
    tail->begun = true;
}

int64_t sl_mtx_tail_error(const struct sl_mtx_tail *tail, const char *name, char *ret, size_t size)
{
    bool there;
    size_t at = place(tail, name, &there);

    if (!there)
        return 0;
    snprintf(ret, size, "%s", tail->list[at].text);
    return tail->list[at].at;
}

void sl_mtx_tail_clear(struct sl_mtx_tail *tail, const char *name)
{
    bool there;
    size_t at = place(tail, name, &there);

    if (there)
        memmove(&tail->list[at], &tail->list[at + 1], (--tail->count - at) * sizeof(*tail->list));
}
