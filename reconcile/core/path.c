/* SPDX-License-Identifier: GPL-2.0-or-later
 * Comparing path configurations by value. Layer: core.
 */
#include "reconcile/core/observed.h"

static const char *transport(const struct sl_path_conf *conf)
{
    return conf->rtsp_transport[0] ? conf->rtsp_transport : "automatic";
}

bool sl_path_conf_equal(const struct sl_path_conf *a, const struct sl_path_conf *b)
{
    return a->altered == b->altered && strcmp(a->name, b->name) == 0 &&
           strcmp(a->source, b->source) == 0 && strcmp(transport(a), transport(b)) == 0 &&
           a->override_publisher == b->override_publisher && a->max_readers == b->max_readers &&
           a->record == b->record && a->always_available == b->always_available &&
           (!a->always_available || sl_facts_equal(&a->tracks, &b->tracks));
}

#define PROOF 4500 /* listings come every 5 s at the least */

int64_t sl_observed_standing(const struct sl_observed *observed, const struct sl_seen_path *path)
{
    int64_t listed = observed->engine.live_at ? observed->engine.live_at : observed->now;

    if (path->in_moved <= 0 || listed - path->in_moved < PROOF)
        return 0;
    return observed->now - path->in_moved;
}

const struct sl_seen_path *sl_observed_path(const struct sl_observed *observed, const char *name)
{
    size_t low = 0, high = observed->paths_count;

    while (low < high) {
        size_t mid = (low + high) / 2;
        int order = strcmp(observed->paths[mid].name, name);

        if (order == 0)
            return &observed->paths[mid];
        if (order < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}
