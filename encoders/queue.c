/* SPDX-License-Identifier: GPL-2.0-or-later
 * A ring of packets. Layer: encoders.
 */
#include "encoders/queue.h"

void sl_queue_push(struct sl_queue *q, AVPacket *packet)
{
    if (q->count == q->cap) {
        size_t cap = q->cap ? q->cap * 2 : 32;
        AVPacket **list = sl_alloc(cap * sizeof(*list));

        for (size_t i = 0; i < q->count; i++)
            list[i] = q->list[(q->first + i) % q->cap];
        free(q->list);
        q->list = list;
        q->first = 0;
        q->cap = cap;
    }
    q->list[(q->first + q->count++) % q->cap] = packet;
    q->bytes += (size_t)packet->size;
}

AVPacket *sl_queue_at(const struct sl_queue *q, size_t index)
{
    return q->list[(q->first + index) % q->cap];
}

AVPacket *sl_queue_head(const struct sl_queue *q)
{
    return q->count ? q->list[q->first] : NULL;
}

AVPacket *sl_queue_pop(struct sl_queue *q)
{
    AVPacket *packet = q->list[q->first];

    q->first = (q->first + 1) % q->cap;
    q->count--;
    q->bytes -= (size_t)packet->size;
    return packet;
}

AVPacket *sl_queue_last(struct sl_queue *q)
{
    AVPacket *packet = sl_queue_at(q, q->count - 1);

    q->count--;
    q->bytes -= (size_t)packet->size;
    return packet;
}

void sl_queue_clear(struct sl_queue *q)
{
    while (q->count) {
        AVPacket *packet = sl_queue_pop(q);

        av_packet_free(&packet);
    }
}

void sl_queue_free(struct sl_queue *q)
{
    sl_queue_clear(q);
    free(q->list);
    q->list = NULL;
    q->cap = q->first = 0;
}
