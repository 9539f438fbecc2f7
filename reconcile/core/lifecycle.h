/* SPDX-License-Identifier: GPL-2.0-or-later
 * The table at the heart of the plan: what an encoder looks like × what its stream wants → what to
 * do. Total: every cell has an answer (checked by a test over all pairs). Layer: core.
 */
#pragma once
#include "reconcile/core/plan.h"

enum sl_look {
    SL_LOOK_STARTING,
    SL_LOOK_HELD,
    SL_LOOK_CONNECTING,
    SL_LOOK_LIVE,
    SL_LOOK_SILENT,
    SL_LOOK_STUCK,    /* its loop counter stands for 5 s */
    SL_LOOK_STOPPING, /* asked to stop, still there */
    SL_LOOK_DEAD,     /* lock free */
    SL_LOOK_FOREIGN,  /* newer layout, or a name nobody wants and nobody owns */
    SL_LOOK_COUNT
};
enum sl_want {
    SL_WANT_THIS,         /* runs, this spec, path programmed */
    SL_WANT_THIS_NO_PATH, /* runs, this spec, path not (yet) as wanted */
    SL_WANT_THIS_LATER,   /* this spec, but an older encoder still holds the path */
    SL_WANT_OTHER,        /* an encoder with the wanted spec is ready to take over */
    SL_WANT_OTHER_LATER,  /* another spec is wanted, its encoder is not ready: this one stays */
    SL_WANT_NONE,         /* suspended or deleted */
    SL_WANT_KEEP,         /* deletion is held, or nothing is known: touch nothing */
    SL_WANT_COUNT
};
enum sl_todo {
    SL_TODO_NOTHING,
    SL_TODO_GO,
    SL_TODO_STOP,
    SL_TODO_KILL,
    SL_TODO_FORGET,
    SL_TODO_COUNT
};

enum sl_look sl_look_at(const struct sl_seen_encoder *encoder, int64_t now);
/* CLOCK_MONOTONIC ms at which it looks stuck if its loop counter stands until then; 0: never. */
int64_t sl_stuck_at(const struct sl_seen_encoder *encoder);
enum sl_todo sl_lifecycle(enum sl_look look, enum sl_want want);
_Static_assert(SL_LOOK_COUNT *SL_WANT_COUNT <= 64, "sl_plan.cells has a bit a cell");
