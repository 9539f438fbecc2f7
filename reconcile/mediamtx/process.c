/* SPDX-License-Identifier: GPL-2.0-or-later
 * The managed process: its file is rendered before each start; again after it died, a little later
 * each time it dies young. Layer: mediamtx.
 */
#include "reconcile/mediamtx/engine_impl.h"

#define HEALTHY_MS     10000 /* lived that long: restarted at once */
#define BACKOFF_MS     250
#define BACKOFF_MAX_MS 10000
#define LET_IN_MS      2500 /* between two tries to be let in by the file, doubled up to: */
#define LET_IN_MAX_MS  60000

static void restart_later(struct sl_engine *e)
{
    int64_t in = e->deaths ? BACKOFF_MS << (e->deaths < 6 ? e->deaths - 1 : 5) : 0;

    e->restarting = true;
    sl_timer_at(e->restart, sl_now_mono() + (in < BACKOFF_MAX_MS ? in : BACKOFF_MAX_MS));
}

void engine_died(void *user, const struct sl_mtx_death *death)
{
    struct sl_engine *e = user;

    e->deaths = death->lived == 0 || death->lived >= HEALTHY_MS ? 0 : e->deaths + 1;
    engine_unreachable(e, death->code, death->text);
    restart_later(e);
    engine_tell(e);
}

void engine_restart(void *user)
{
    struct sl_engine *e = user;

    e->restarting = false;
    engine_start(e, "it had ended");
}

static void on_rendered(void *user, const struct sl_err *err)
{
    struct sl_engine *e = user;
    struct sl_err own = {0};

    e->starting = false;
    if (!err && sl_supervise_spawn(e->supervise, *e->last_started ? "it had ended" : "first wanted",
                                   &own) == 0) {
        e->spawned_at = sl_now_mono();
        e->retry = ENGINE_RETRY_MS;
        engine_schedule(e);
        return;
    }
    err = err ? err : &own;
    e->deaths++;
    engine_unreachable(e, *err->code ? err->code : "StartFailed", err->text);
    sl_log(SL_LOG_ERROR, "mediamtx not started", "reason", err->text, NULL);
    restart_later(e);
    engine_tell(e);
}

void engine_start(struct sl_engine *e, const char *reason)
{
    if (e->starting || e->restarting || sl_supervise_pid(e->supervise))
        return;
    sl_log(SL_LOG_DEBUG, "mediamtx file rendered", "reason", reason, NULL);
    e->starting = true;
    sl_writer_render(e->writer, on_rendered, e);
}

static void on_let_in(void *user, const struct sl_err *err)
{
    struct sl_engine *e = user;

    if (err)
        sl_log(SL_LOG_ERROR, "mediamtx file not written", "reason", err->text, NULL);
    engine_look_now(e);
}

void engine_let_in(struct sl_engine *e)
{
    int64_t now = sl_now_mono();

    if (!e->own || !sl_writer_given(e->writer) || now < e->let_in_at || e->starting)
        return;
    e->let_in_wait = e->let_in_wait ? 2 * e->let_in_wait : LET_IN_MS;
    if (e->let_in_wait > LET_IN_MAX_MS)
        e->let_in_wait = LET_IN_MAX_MS;
    e->let_in_at = now + e->let_in_wait;
    sl_log(SL_LOG_WARN, "mediamtx file written", "file", sl_mtx_file_name(e->file), "reason",
           "MediaMTX refuses our user, which that file brings back", NULL);
    sl_writer_render(e->writer, on_let_in, e);
}
