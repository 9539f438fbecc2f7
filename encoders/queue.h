/* SPDX-License-Identifier: GPL-2.0-or-later
 * Packets of one track that were read and wait for their turn: a ring. Owned by an input, and owns
 * its packets. Layer: encoders.
 */
#pragma once
#include "reconcile/base/base.h"
#include <libavcodec/packet.h>

struct sl_queue {
    AVPacket **list;
    size_t first, count, cap;
    size_t bytes; /* of all packets */
};

void sl_queue_push(struct sl_queue *queue, AVPacket *packet); /* takes it */
AVPacket *sl_queue_head(const struct sl_queue *queue);        /* borrowed; NULL: empty */
AVPacket *sl_queue_at(const struct sl_queue *queue, size_t index);
AVPacket *sl_queue_pop(struct sl_queue *queue);  /* the caller frees; not empty */
AVPacket *sl_queue_last(struct sl_queue *queue); /* taken from the end; the caller frees */
void sl_queue_clear(struct sl_queue *queue);
void sl_queue_free(struct sl_queue *queue); /* of what is inside */
