/* SPDX-License-Identifier: GPL-2.0-or-later
 * "Did you mean": the nearest of a few words by edit distance, without regard to case.
 * Layer: schemas.
 */
#pragma once
#include "reconcile/base/base.h"

struct sl_nearest {
    const char *word; /* what was written */
    const char *best; /* nearest so far, or NULL */
    unsigned distance;
};
struct sl_nearest sl_nearest_start(const char *word);
/* Takes the candidate when it is nearer than the one before and near enough to be meant. */
void sl_nearest_try(struct sl_nearest *nearest, const char *candidate);
/* Over a NULL-terminated list; NULL when none is near. */
const char *sl_nearest_of(const char *word, const char *const *candidates);
