/* SPDX-License-Identifier: GPL-2.0-or-later
 * The keys of one MediaMTX path that Sluice owns, as typed values: what is wanted and what was
 * read back are the same struct, compared by value. reconcile/mediamtx/paths.c maps it to JSON
 * and YAML. Layer: core.
 */
#pragma once
#include "schemas/facts.h"

struct sl_path_conf {
    char name[208];
    char source[16];         /* "publisher" */
    bool override_publisher; /* encoder-carried: true */
    int max_readers;         /* 0: no limit */
    bool record;             /* false here; recording comes with its feature */
    bool always_available;   /* viewers stay while nobody publishes (docs/adr/0001) */
    struct sl_facts tracks;  /* with always_available only */
};
bool sl_path_conf_equal(const struct sl_path_conf *a, const struct sl_path_conf *b);
