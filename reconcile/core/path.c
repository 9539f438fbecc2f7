/* SPDX-License-Identifier: GPL-2.0-or-later
 * Comparing path configurations by value. Layer: core.
 */
#include "reconcile/core/path.h"

bool sl_path_conf_equal(const struct sl_path_conf *a, const struct sl_path_conf *b)
{
    return strcmp(a->name, b->name) == 0 && strcmp(a->source, b->source) == 0 &&
           a->override_publisher == b->override_publisher && a->max_readers == b->max_readers &&
           a->record == b->record && a->always_available == b->always_available &&
           (!a->always_available || sl_facts_equal(&a->tracks, &b->tracks));
}
