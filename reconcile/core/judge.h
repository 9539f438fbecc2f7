/* SPDX-License-Identifier: GPL-2.0-or-later
 * The judgement of one stream: conditions, sync, health and where it plays, out of a status whose
 * observed and plan are filled. Internal to core: only status.c calls it. Layer: core.
 */
#pragma once
#include "reconcile/core/status.h"

/* What is looked up for every stream, sorted by name once a pass. */
struct sl_index {
    const struct sl_seen_encoder **encoders;
    size_t encoders_count;
    const char **changed; /* streams that the plan has a line for */
    size_t changed_count;
    const struct sl_public *public_;
};

struct sl_view {
    struct sl_status *status;
    const struct sl_index *index;
    struct sl_status_stream *stream;
    const struct sl_seen_encoder *now; /* alive, wanted hash; the one the generation needs */
    const struct sl_seen_encoder *old; /* alive, another hash */
    const struct sl_seen_encoder *foreign;
    bool any;      /* something of it is alive */
    bool finished; /* came to the end of its file */
    bool carried;  /* no encoder: MediaMTX pulls, or somebody publishes on NAME */
};

void sl_index_make(const struct sl_status *status, const struct sl_public *public_,
                   struct sl_index *ret);
void sl_judge(struct sl_status *status, const struct sl_index *index,
              struct sl_status_stream *stream);
void sl_judge_set(struct sl_view *view, enum sl_cond_type type, enum sl_tri status,
                  const char *reason, const char *message);
/* Healthy of a stream without an encoder, by its path. */
void sl_judge_carried(struct sl_view *view);
/* True: nothing comes to NAME/ingest, which says more than its encoder does; Healthy is set. */
bool sl_judge_ingest(struct sl_view *view);
/* The five addresses, and those for publishers; `facts` are the tracks published, count 0 when
 * unknown. */
void sl_judge_urls(struct sl_status *status, struct sl_status_stream *stream,
                   const struct sl_facts *facts, const struct sl_public *public_);
