/* SPDX-License-Identifier: GPL-2.0-or-later
 * Ending a publisher's session. Layer: mediamtx.
 */
#include "reconcile/mediamtx/engine_impl.h"

/* NULL: what MediaMTX pulls itself has no session. */
static const char *kind_of(const char *type)
{
    static const char *const kinds[][2] = {
        {"rtspSession", "rtspsessions"}, {"rtspsSession", "rtspssessions"},
        {"rtmpConn", "rtmpconns"},       {"rtmpsConn", "rtmpsconns"},
        {"srtConn", "srtconns"},         {"webRTCSession", "webrtcsessions"}};

    for (size_t i = 0; i < SL_COUNT(kinds); i++)
        if (strcmp(kinds[i][0], type) == 0)
            return kinds[i][1];
    return NULL;
}

static bool id_ok(const char *id)
{
    return *id && strlen(id) < 64 && strspn(id, "0123456789abcdefABCDEF-") == strlen(id);
}

static void answered(void *user, long status, void *parsed, const char *error)
{
    struct engine_kick *kick = user;
    struct sl_engine *e = kick->engine;

    free(parsed);
    if (status == 200 || status == 404) { /* it had ended by itself */
        engine_look_now(e);
        return;
    }
    sl_log(SL_LOG_WARN, "mediamtx session not kicked", "id", kick->id, "reason", error, NULL);
    kick->id[0] = 0; /* may be asked for again */
}

void sl_engine_kick(struct sl_engine *e, const struct sl_kick *wanted)
{
    const char *kind = kind_of(wanted->type);
    struct engine_kick *kick;

    if (!kind || !id_ok(wanted->id) || !e->seen.reachable)
        return;
    for (int i = 0; i < ENGINE_KICKS; i++)
        if (strcmp(e->kicks[i].id, wanted->id) == 0)
            return;
    kick = &e->kicks[e->kicked++ % ENGINE_KICKS];
    sl_mtx_cancel(e->client, kick);
    kick->engine = e;
    snprintf(kick->id, sizeof(kick->id), "%s", wanted->id);
    sl_log(SL_LOG_INFO, "mediamtx session kicked", "path", wanted->path, "type", wanted->type, "id",
           wanted->id, "reason", wanted->reason, NULL);
    sl_mtx_call_kick(e->client, kind, wanted->id, answered, kick);
}
