/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "reconcile/io/media.h"

#include <sys/stat.h>

#define WHOLE_AFTER 2000
#define LOOK_AGAIN  1000

struct media_file {
    char *path;
    char id[64];
    int64_t first; /* CLOCK_MONOTONIC ms when this id was first seen */
    bool looked;
};
struct sl_media {
    struct media_file **list; /* sorted by path */
    size_t count, cap;
};

struct sl_media *sl_media_new(void)
{
    return sl_alloc(sizeof(struct sl_media));
}

static void file_free(struct media_file *file)
{
    free(file->path);
    free(file);
}

void sl_media_free(struct sl_media *media)
{
    if (!media) {
        return;
    }
    for (size_t i = 0; i < media->count; i++) {
        file_free(media->list[i]);
    }
    free(media->list);
    free(media);
}

static struct media_file *get(struct sl_media *media, const char *path)
{
    size_t low = 0, high = media->count;
    while (low < high) {
        size_t mid = (low + high) / 2;
        int order = strcmp(media->list[mid]->path, path);
        if (order == 0) {
            return media->list[mid];
        }
        if (order < 0) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    if (media->count == media->cap) {
        media->cap = media->cap ? media->cap * 2 : 32;
        media->list = sl_realloc(media->list, media->cap * sizeof(media->list[0]));
    }
    struct media_file *file = sl_alloc(sizeof(*file));
    file->path = sl_strdup(path);
    memmove(media->list + low + 1, media->list + low,
            (media->count - low) * sizeof(media->list[0]));
    media->list[low] = file;
    media->count++;
    return file;
}

static void lower(int64_t *wake, int64_t at)
{
    if (*wake == 0 || at < *wake) {
        *wake = at;
    }
}

struct sl_media_seen sl_media_look(struct sl_media *media, const char *path, int64_t mono,
                                   int64_t wall, int64_t *ret_wake)
{
    struct sl_media_seen seen = {0};
    struct media_file *file = get(media, path);
    struct stat st;
    file->looked = true;
    if (stat(path, &st) < 0 || !S_ISREG(st.st_mode)) {
        file->id[0] = '\0';
        lower(ret_wake, mono + LOOK_AGAIN);
        return seen;
    }
    seen.exists = true;
    snprintf(seen.id, sizeof(seen.id), "%llx:%llx:%llx:%llx.%09ld", (long long)st.st_dev,
             (long long)st.st_ino, (long long)st.st_size, (long long)st.st_mtim.tv_sec,
             st.st_mtim.tv_nsec);
    if (!sl_streq(seen.id, file->id)) {
        memcpy(file->id, seen.id, sizeof(file->id));
        file->first = mono;
    }
    int64_t modified = (int64_t)st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / 1000000;
    int64_t age = wall - modified;
    seen.complete = mono - file->first >= WHOLE_AFTER || age >= WHOLE_AFTER;
    if (!seen.complete) {
        int64_t rest = WHOLE_AFTER - (mono - file->first);
        if (age >= 0 && WHOLE_AFTER - age < rest) {
            rest = WHOLE_AFTER - age;
        }
        lower(ret_wake, mono + (rest > 0 ? rest : 1));
    }
    return seen;
}

void sl_media_sweep(struct sl_media *media)
{
    size_t kept = 0;
    for (size_t i = 0; i < media->count; i++) {
        if (media->list[i]->looked) {
            media->list[i]->looked = false;
            media->list[kept++] = media->list[i];
        } else {
            file_free(media->list[i]);
        }
    }
    media->count = kept;
}
