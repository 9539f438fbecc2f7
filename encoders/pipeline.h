/* SPDX-License-Identifier: GPL-2.0-or-later
 * From items of an input to packets of the published tracks: decode where needed, filter, encode
 * or copy. Decides the tracks and tells the facts. Owned by the worker.
 * Layer: encoders. Never waits and never publishes itself.
 */
#pragma once
#include "encoders/encoder.h"
#include "schemas/facts.h"

/* Takes a borrowed packet of the track (time stamps in its time_base). Negative ends the push. */
typedef int (*sl_pipeline_sink)(void *arg, const struct sl_out_track *track, AVPacket *packet);

struct sl_pipeline {
    struct sl_input *input; /* borrowed */
    AVCodecContext *decoder[SL_MEDIA_COUNT];
    struct sl_out_track out[SL_TRACKS_MAX];
    int count;
    struct sl_facts facts;
    AVPacket *packet;
    AVFrame *frame;
    uint64_t broken; /* packets that the decoder refused */
};

int sl_pipeline_open(struct sl_pipeline *pipeline, struct sl_input *input,
                     const struct sl_encspec *spec, struct sl_err *err) SL_MUST;
/* Consumes the item. Returns what the sink returned if negative, or an AVERROR of an encoder. */
int sl_pipeline_push(struct sl_pipeline *pipeline, struct sl_item *item, sl_pipeline_sink sink,
                     void *arg);
int sl_pipeline_flush(struct sl_pipeline *pipeline, sl_pipeline_sink sink, void *arg);
/* Called while a source pauses, at the time (µs) that was reached on the time line. */
int sl_pipeline_idle(struct sl_pipeline *pipeline, int64_t us, sl_pipeline_sink sink, void *arg);
/* Whether publishing may begin with this item: a keyframe, or anything that is decoded here. */
bool sl_pipeline_may_start(const struct sl_pipeline *pipeline, const struct sl_item *item);
/* Whether this item begins with other parameters than those published: the tracks' par and the
 * facts are new then, and the publisher must be made anew before it is pushed. */
bool sl_pipeline_renews(struct sl_pipeline *pipeline, const struct sl_item *item);
/* Equal signatures: packets of one may follow packets of the other on one connection. */
#define SL_SIGNATURE 65
void sl_pipeline_signature(const struct sl_pipeline *pipeline, char ret[SL_SIGNATURE]);
void sl_pipeline_want_key(struct sl_pipeline *pipeline);
void sl_pipeline_close(struct sl_pipeline *pipeline);
void sl_item_free(struct sl_item *item);
