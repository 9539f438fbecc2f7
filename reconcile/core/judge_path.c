/* SPDX-License-Identifier: GPL-2.0-or-later
 * Health by MediaMTX's paths: pulls that fail, publishers that are awaited. Layer: core.
 */
#include "reconcile/core/carry.h"
#include "reconcile/core/judge.h"

static const char *awaiting(struct sl_view *view, const char *path)
{
    return sl_arena_printf(view->status->arena, "nobody publishes on %s", path);
}

static bool silent(const struct sl_view *view, const struct sl_seen_path *path)
{
    return sl_observed_standing(&view->status->observed, path) >= SL_SILENT_AFTER;
}

/* The newest line of MediaMTX about this source, if it is about the path as it is now. */
static const char *error_of(struct sl_view *view)
{
    const struct sl_seen_path *path = view->stream->path;
    const struct sl_past *past = view->stream->past;
    char *text;

    if (!path->source_error[0] || (past && path->source_error_at <= past->path_wrong_at))
        return NULL;
    text = sl_arena_alloc(view->status->arena, 2 * sizeof(path->source_error));
    sl_credentials_cut(path->source_error, text, 2 * sizeof(path->source_error));
    return text;
}

static const char *advised(struct sl_view *view, const char *error)
{
    const struct sl_secret_seen *password = &view->stream->desired->password;

    if (strcmp(sl_source_reason(error), "SourceAuthFailed") != 0)
        return error;
    if (password->name)
        return sl_arena_printf(view->status->arena, "%s; check username and the secret %s", error,
                               password->name);
    return sl_arena_printf(
        view->status->arena,
        "%s; the source wants a user and a password: give username and passwordRef", error);
}

void sl_judge_carried(struct sl_view *view)
{
    const struct sl_seen_engine *engine = &view->status->observed.engine;
    const struct sl_seen_path *path = view->stream->path;
    const struct sl_past *past = view->stream->past;
    bool programmed = view->stream->cond[SL_COND_PROGRAMMED].status == SL_TRUE;
    bool pulled = view->stream->desired->carrier == SL_CARRIER_PULL;
    const char *error;
    bool live;

    if (!engine->reachable || !engine->configs_known) {
        sl_judge_set(view, SL_COND_HEALTHY, SL_UNKNOWN, "EngineUnreachable",
                     "MediaMTX carries it and does not answer");
        return;
    }
    live = path && (path->conf.always_available ? path->online : path->available);
    if (!programmed && !live) {
        sl_judge_set(view, SL_COND_HEALTHY, SL_FALSE, "Starting", "its path is not there yet");
        return;
    }
    if (live) {
        if (silent(view, path))
            sl_judge_set(view, SL_COND_HEALTHY, SL_FALSE, "NoFrames",
                         pulled ? "its source has sent nothing for 10 s"
                                : "its publisher has sent nothing for 10 s");
        else
            sl_judge_set(view, SL_COND_HEALTHY, SL_TRUE, "Healthy", NULL);
        return;
    }
    if (!pulled) {
        sl_judge_set(view, SL_COND_HEALTHY, SL_FALSE, "AwaitingPublisher",
                     awaiting(view, view->stream->name));
        return;
    }
    error = error_of(view);
    if (error)
        sl_judge_set(view, SL_COND_HEALTHY, SL_FALSE, sl_source_reason(error),
                     advised(view, error));
    else if (!past || !past->path_right_since ||
             view->status->observed.now - past->path_right_since < SL_PULL_PATIENCE)
        sl_judge_set(view, SL_COND_HEALTHY, SL_FALSE, "Starting",
                     "MediaMTX connects to its source");
    else
        sl_judge_set(view, SL_COND_HEALTHY, SL_FALSE, "NoFrames",
                     "nothing comes from its source, and no error either");
}

bool sl_judge_ingest(struct sl_view *view)
{
    const struct sl_seen_engine *engine = &view->status->observed.engine;
    const struct sl_seen_path *path = view->stream->ingest;

    if (!engine->reachable || !engine->configs_known || !path || !path->configured)
        return false;
    if (!path->available)
        sl_judge_set(view, SL_COND_HEALTHY, SL_FALSE, "AwaitingPublisher",
                     awaiting(view, path->name));
    else if (silent(view, path))
        sl_judge_set(view, SL_COND_HEALTHY, SL_FALSE, "NoFrames",
                     "its publisher has sent nothing for 10 s");
    else
        return false;
    return true;
}
