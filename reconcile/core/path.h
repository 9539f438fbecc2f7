/* SPDX-License-Identifier: GPL-2.0-or-later
 * The keys of one MediaMTX path that Sluice owns, as typed values: what is wanted and what was
 * read back are the same struct, compared by value. reconcile/mediamtx/paths.c maps it to JSON
 * and YAML. Layer: core.
 */
#pragma once
#include "schemas/facts.h"

struct sl_path_conf {
    char name[208];
    char source[1024]; /* "publisher", or what MediaMTX pulls: with credentials, never printed */
    char rtsp_transport[12]; /* "automatic" | "tcp" | "udp"; rtsp sources only */
    bool override_publisher; /* encoder-carried: true */
    int max_readers;         /* 0: no limit */
    bool record;             /* false here; recording comes with its feature */
    bool always_available;   /* viewers stay while nobody publishes (docs/adr/0001) */
    struct sl_facts tracks;  /* with always_available only */
    bool altered;            /* as seen: somebody set a key that is the same in all our paths */
};

/* Who may publish on one path, beside the internal user. Plain values. */
struct sl_publish_user {
    char path[208];
    char name[128];     /* "any": anybody */
    char password[256]; /* clear here, hashed where it is written; never printed */
};

bool sl_path_conf_equal(const struct sl_path_conf *a, const struct sl_path_conf *b);
