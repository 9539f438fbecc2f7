/* SPDX-License-Identifier: GPL-2.0-or-later
 * The table: how an encoder looks × what its stream wants → what to do. Layer: core.
 */
#include "reconcile/core/lifecycle.h"

#define STUCK_AFTER         5000  /* decisions 10: the loop counter moves once a second */
#define STUCK_OPENING_AFTER 60000 /* opening an input may block for long */

int64_t sl_stuck_at(const struct sl_seen_encoder *encoder)
{
    if (!encoder->alive || encoder->newer_layout || encoder->stop_asked ||
        encoder->loops_moved <= 0)
        return 0;
    if (encoder->record.state == SL_ENC_STARTING)
        return encoder->loops_moved + STUCK_OPENING_AFTER;
    return encoder->stats_known ? encoder->loops_moved + STUCK_AFTER : 0;
}

enum sl_look sl_look_at(const struct sl_seen_encoder *encoder, int64_t now)
{
    int64_t stuck_at = sl_stuck_at(encoder);

    if (encoder->newer_layout)
        return SL_LOOK_FOREIGN;
    if (!encoder->alive)
        return SL_LOOK_DEAD;
    if (encoder->stop_asked)
        return SL_LOOK_STOPPING; /* fleet escalates by itself */
    if (stuck_at && now >= stuck_at)
        return SL_LOOK_STUCK;
    switch (encoder->record.state) {
    case SL_ENC_STARTING:
        return SL_LOOK_STARTING;
    case SL_ENC_HELD:
        return SL_LOOK_HELD;
    case SL_ENC_CONNECTING:
        return SL_LOOK_CONNECTING;
    case SL_ENC_LIVE:
        return SL_LOOK_LIVE;
    case SL_ENC_SILENT:
        return SL_LOOK_SILENT;
    case SL_ENC_ENDED: /* leaves by itself */
        return SL_LOOK_STOPPING;
    case SL_ENC_STATE_COUNT:
        break;
    }
    return SL_LOOK_FOREIGN; /* a state we do not know: hands off */
}

#define N SL_TODO_NOTHING
#define G SL_TODO_GO
#define S SL_TODO_STOP
#define K SL_TODO_KILL
#define F SL_TODO_FORGET

/* An old encoder that never published is of no use to anybody: OTHER_LATER ends it, too. */
static const enum sl_todo table[SL_LOOK_COUNT][SL_WANT_COUNT] = {
    /*                    THIS NO_PATH LATER OTHER OTHER_LATER NONE KEEP */
    [SL_LOOK_STARTING] = {N, N, N, S, S, S, N},   [SL_LOOK_HELD] = {G, N, N, S, S, S, N},
    [SL_LOOK_CONNECTING] = {N, N, N, S, N, S, N}, [SL_LOOK_LIVE] = {N, N, N, S, N, S, N},
    [SL_LOOK_SILENT] = {N, N, N, S, N, S, N},     [SL_LOOK_STUCK] = {K, K, K, K, K, K, N},
    [SL_LOOK_STOPPING] = {N, N, N, N, N, N, N},   [SL_LOOK_DEAD] = {F, F, F, F, F, F, N},
    [SL_LOOK_FOREIGN] = {N, N, N, N, N, N, N},
};

enum sl_todo sl_lifecycle(enum sl_look look, enum sl_want want)
{
    return table[look][want];
}
