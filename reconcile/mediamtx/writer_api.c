/* SPDX-License-Identifier: GPL-2.0-or-later
 * By the API: one change after the other, each or all of them read back. Layer: mediamtx.
 */
#include "reconcile/mediamtx/writer_impl.h"

#include "reconcile/mediamtx/sources.h"

static void op_read(void *user, long status, void *parsed, const char *error);
static void users_read(void *user, long status, void *parsed, const char *error);

static const char *name_of(const struct sl_op *op)
{
    return op->users ? NULL : op->name; /* a NULL value drops its pair from the log line */
}

/* Whatever is now is read again by the engine, then decided again, a while later. */
static void give_up(struct sl_writer *w, const struct sl_op *op, const char *reason)
{
    sl_log(SL_LOG_WARN, "mediamtx write failed", "path", name_of(op), "reason", reason, NULL);
    writer_failed(w);
}

static void refused(struct sl_writer *w, struct sl_op *op, const char *error)
{
    sl_autofree char *text = sl_strdup(error ? error : "refused");

    sl_mtx_scrub(op->conf ? op->conf->source : NULL, text);
    op->refused = true;
    sl_log(SL_LOG_ERROR, op->users ? "mediamtx refuses the users" : "mediamtx refuses a path",
           "path", name_of(op), "reason", text, NULL);
    if (op->users) {
        w->wanted.users_refused = true;
        w->wanted.version++;
        snprintf(w->users_error, sizeof(w->users_error),
                 "MediaMTX refuses the publish users: %.180s", text);
    } else {
        sl_wanted_reject(&w->wanted, op->conf, error);
    }
}

static void answered(void *user, long status, void *parsed, const char *error)
{
    struct sl_writer *w = user;
    struct sl_op *op = &w->ops.list[w->op];

    free(parsed);
    if (w->step != WRITER_API)
        return;
    if (status == 400 && (op->conf || op->users)) {
        refused(w, op, error);
    } else if (status != 200 && !(status == 404 && !op->conf && !op->users)) {
        give_up(w, op, error);
        return;
    } else if (op->users || w->ops.count <= WRITER_READ_EACH) {
        writer_enter(w, WRITER_READBACK);
        w->reads = 0;
        writer_api_read(w);
        return;
    }
    w->op++;
    writer_api_next(w);
}

static void done(struct sl_writer *w)
{
    writer_persist_later(w);
    writer_outcome(w);
}

static const char *what(const struct sl_op *op)
{
    return op->users  ? "mediamtx users set"
           : op->conf ? "mediamtx path set"
                      : "mediamtx path removed";
}

void writer_api_next(struct sl_writer *w)
{
    const struct sl_op *op = &w->ops.list[w->op];

    w->reads = 0;
    if (w->op == w->ops.count && w->ops.count <= WRITER_READ_EACH) {
        done(w);
        return;
    }
    if (w->op == w->ops.count) {
        writer_enter(w, WRITER_READBACK);
        writer_read_confs(w);
        return;
    }
    writer_enter(w, WRITER_API);
    sl_log(SL_LOG_INFO, what(op), "path", name_of(op), "reason", op->reason, NULL);
    if (op->users)
        sl_mtx_call(w->options.client, "PATCH", SL_MTX_PATCH_GLOBAL, op->users, NULL, answered, w);
    else if (op->conf)
        sl_mtx_call_replace(w->options.client, op->conf, answered, w);
    else
        sl_mtx_call_delete(w->options.client, op->name, answered, w);
}

void writer_api_read(struct sl_writer *w)
{
    const struct sl_op *op = w->op < w->ops.count ? &w->ops.list[w->op] : NULL;

    if (op && op->users)
        sl_mtx_call(w->options.client, "GET", SL_MTX_GET_GLOBAL, NULL, sl_mtx_parse_global,
                    users_read, w);
    else if (op && w->ops.count <= WRITER_READ_EACH)
        sl_mtx_call_get(w->options.client, op->name, op_read, w);
    else
        writer_read_confs(w);
}

/* MediaMTX says 200 before it is applied: true when the change is to be seen, or for too long not.
 */
static bool seen(struct sl_writer *w, bool there)
{
    if (there)
        return true;
    if (++w->reads < WRITER_READBACK_MAX) {
        sl_timer_at(w->timer, sl_now_mono() + WRITER_READBACK_MS / 4);
        return false;
    }
    writer_hold(w);
    return true;
}

static void op_read(void *user, long status, void *parsed, const char *error)
{
    struct sl_writer *w = user;
    const struct sl_op *op = &w->ops.list[w->op];
    sl_autofree struct sl_path_conf *is = parsed;

    if (w->step != WRITER_READBACK)
        return;
    if (!is && status != 404) {
        give_up(w, op, error);
        return;
    }
    if (!seen(w, op->conf ? is && sl_mtx_path_same(op->conf, is) : !is))
        return;
    sl_mtx_confs_put(&w->confs, op->name, is);
    w->op++;
    writer_api_next(w);
}

static void users_read(void *user, long status, void *parsed, const char *error)
{
    struct sl_writer *w = user;
    sl_autofree struct sl_mtx_global *global = parsed;

    (void)status;
    if (w->step != WRITER_READBACK)
        return;
    if (!global) {
        give_up(w, &w->ops.list[w->op], error);
        return;
    }
    memcpy(w->users_seen, global->users, sizeof(w->users_seen));
    w->running = global->generation;
    if (!seen(w, strcmp(w->users_seen, w->users_shape) == 0))
        return;
    memcpy(w->users_set, w->users_op, sizeof(w->users_set));
    w->op++;
    writer_api_next(w);
}
