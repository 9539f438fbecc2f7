/* SPDX-License-Identifier: GPL-2.0-or-later
 * Merging two sorted lists. Layer: mediamtx.
 */
#include "reconcile/mediamtx/merge.h"

#include "reconcile/mediamtx/sources.h"
#include "reconcile/mediamtx/wanted.h"

static void take_conf(const struct sl_writer *writer, struct sl_seen_path *path,
                      const struct sl_path_conf *is)
{
    const struct sl_path_conf *wanted = sl_writer_wanted(writer, is->name);

    path->configured = true;
    /* MediaMTX does not keep all (an Opus track's rate): equal to it means as wanted. */
    path->conf = wanted && sl_mtx_path_same(wanted, is) ? *wanted : *is;
}

static void take_live(struct sl_seen_path *path, const struct sl_mtx_live_path *live)
{
    path->listed = true;
    path->online = live->online;
    path->available = live->available;
    path->readers = live->readers;
    path->in_bytes = live->in_bytes;
    path->out_bytes = live->out_bytes;
    path->bitrate_in = live->bitrate_in;
    path->in_moved = live->in_moved;
    path->tracks = live->tracks;
    memcpy(path->readers_by, live->readers_by, sizeof(path->readers_by));
    memcpy(path->source_type, live->source_type, sizeof(path->source_type));
    memcpy(path->source_id, live->source_id, sizeof(path->source_id));
}

size_t sl_mtx_merge(const struct sl_writer *writer, const struct sl_mtx_live *live,
                    const struct sl_mtx_tail *tail, struct sl_seen_path **ret)
{
    const struct sl_mtx_confs *confs = sl_writer_confs(writer);
    size_t n = confs ? confs->count : 0, m = live ? live->count : 0, count = 0;
    struct sl_seen_path *list = sl_alloc((n + m + 1) * sizeof(*list));

    for (size_t i = 0, k = 0; i < n || k < m;) {
        struct sl_seen_path *path = &list[count++];
        int order = i == n ? 1 : k == m ? -1 : strcmp(confs->list[i].name, live->list[k].name);

        snprintf(path->name, sizeof(path->name), "%s",
                 order <= 0 ? confs->list[i].name : live->list[k].name);
        if (order <= 0)
            take_conf(writer, path, &confs->list[i++]);
        if (order >= 0)
            take_live(path, &live->list[k++]);
        path->source_error_at =
            sl_mtx_tail_error(tail, path->name, path->source_error, sizeof(path->source_error));
        if (path->source_error_at)
            sl_mtx_scrub(path->configured ? path->conf.source : NULL, path->source_error);
    }
    *ret = list;
    return count;
}

void sl_mtx_compare(struct sl_mtx_live *live, const struct sl_mtx_live *old, int64_t now,
                    int64_t ms)
{
    for (size_t i = 0, k = 0; i < live->count; i++) {
        struct sl_mtx_live_path *path = &live->list[i];
        const struct sl_mtx_live_path *was;

        path->in_moved = now;
        while (old && k < old->count && strcmp(old->list[k].name, path->name) < 0)
            k++;
        if (!old || k == old->count || strcmp(old->list[k].name, path->name) != 0)
            continue;
        was = &old->list[k];
        if (path->in_bytes >= was->in_bytes && ms > 0)
            path->bitrate_in = (path->in_bytes - was->in_bytes) * 8000 / (uint64_t)ms;
        if (path->in_bytes <= was->in_bytes && strcmp(path->source_id, was->source_id) == 0)
            path->in_moved = was->in_moved;
    }
}

void sl_mtx_clear_live(const struct sl_writer *writer, const struct sl_mtx_live *live,
                       struct sl_mtx_tail *tail)
{
    const struct sl_mtx_confs *confs = sl_writer_confs(writer);

    for (size_t i = 0; i < live->count; i++) {
        const struct sl_mtx_live_path *path = &live->list[i];
        const struct sl_path_conf *conf =
            confs ? sl_mtx_path_find(confs->list, confs->count, path->name) : NULL;

        if (conf && conf->always_available ? path->online : path->available)
            sl_mtx_tail_clear(tail, path->name);
    }
}
