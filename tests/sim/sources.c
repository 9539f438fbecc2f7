/* SPDX-License-Identifier: GPL-2.0-or-later
 * Cameras and publishers of the simulated world: what MediaMTX pulls, what is published on it, and
 * what encoders read of both.
 */
#include "tests/sim/world.h"

static const char *const types[] = {"rtmpConn", "srtConn", "rtspSession", "webRTCSession"};

bool world_pulled(const struct sl_path_conf *conf)
{
    return strcmp(conf->source, "publisher") != 0;
}

/* Streams of odd numbers take srt and whip only. */
static bool picky(int stream)
{
    return stream % 2 == 1;
}

void world_fill_source(struct world *w, int stream, struct sl_desired_stream *s)
{
    static char *const only[] = {(char *)"srt", (char *)"whip"};
    struct waccepted *m = &w->memory[stream];
    bool publish = m->as.kind == K_PUBLISH || m->as.kind == K_INGEST;
    bool copy = m->as.kind == K_PULL || m->as.kind == K_PUBLISH;
    int secret = m->as.secret;
    unsigned version = 0;

    snprintf(m->url, sizeof(m->url), "rtsp://nvr%d/%d", m->as.camera, m->as.token);
    m->rtsp = (struct sl_src_rtsp){.url = m->url};
    m->publish = (struct sl_src_publish){.protocols = picky(stream) ? (char **)only : NULL,
                                         .protocols_count = picky(stream) ? 2 : 0};
    if (secret >= 0) {
        m->rtsp.username = m->publish.username = (char *)"user";
        version = w->secret_there[secret] ? w->secret_version[secret] : 0;
        snprintf(m->password, sizeof(m->password), "pw%u", version);
        s->password =
            (struct sl_secret_seen){"s", version ? m->password : NULL, version ? m->password : NULL,
                                    version ? NULL : "it is missing"};
    }
    m->spec.source.rtsp = publish ? NULL : &m->rtsp;
    m->spec.source.publish = publish ? &m->publish : NULL;
    m->spec.encode.transcode = copy ? NULL : &m->transcode;
    s->carrier = sl_carrier_of(&m->spec);
    if (m->as.kind == K_INGEST)
        version = 0;
    snprintf(s->enc_hash, sizeof(s->enc_hash), "sha:%d.%d.%d.%u", m->as.token, m->as.kind,
             m->as.camera, version);
}

/* Where a stream's camera or publisher is connected: its own path, or NAME/ingest. */
static struct sl_seen_path *entrance(struct world *w, int stream)
{
    char name[32];
    struct sl_seen_path *path;

    snprintf(name, sizeof(name), "%s/ingest", w->names[stream]);
    path = world_path(w, name);
    if (path)
        return path;
    path = world_path(w, w->names[stream]);
    return path && !sl_carry_encoders(&path->conf) ? path : NULL;
}

static int camera_of(const struct sl_path_conf *conf)
{
    const char *host = strstr(conf->source, "nvr");

    return host ? (host[3] - '0') % CAMERAS : 0;
}

static void source_step(struct world *w, int stream)
{
    struct wsource *x = &w->sources[stream];
    struct sl_seen_path *path = w->engine.reachable ? entrance(w, stream) : NULL;
    bool pulled = path && world_pulled(&path->conf), before = x->up;
    int secret = w->memory[stream].as.secret;
    bool may;

    if (!path || path->conf.always_available || !path->source_type[0] ||
        (!pulled && !x->there && !x->silent))
        x->up = false; /* a path that was made anew has nobody either */
    x->silent &= x->up;
    may = pulled
              ? w->camera_on[camera_of(&path->conf)]
              : x->there && !x->silent && x->user == (secret < 0 ? 1 : w->secret_version[secret]);
    x->up &= !pulled || may;
    if (!path || !may)
        x->up_at = 0;
    else if (!x->up && !x->up_at)
        x->up_at = w->now + 100 + world_roll(w, 400);
    else if (!x->up && w->now >= x->up_at) {
        x->up = true;
        x->up_at = 0;
        x->session++;
        x->moved = w->now;
    }
    if (x->up && !x->silent && !(pulled && w->camera_mute[camera_of(&path->conf)]))
        x->moved = w->now;
    if (path) {
        path->available = path->online = x->up;
        path->in_moved = x->up ? x->moved : 0;
        path->source_type[0] = path->source_id[0] = 0;
        if (x->up) {
            snprintf(path->source_type, sizeof(path->source_type), "%s",
                     pulled ? "rtspSource" : types[x->type]);
            if (!pulled)
                snprintf(path->source_id, sizeof(path->source_id), "%u", x->session);
            path->tracks.count = 1;
            snprintf(path->tracks.track[0].codec, 32, "H264");
        }
    }
    if (x->up != before)
        world_shake(w);
}

void world_sources(struct world *w)
{
    for (int i = 0; i < w->nstreams; i++)
        source_step(w, i);
}

int64_t world_sources_next(const struct world *w)
{
    int64_t at = 0;

    for (int i = 0; i < w->nstreams; i++)
        if (w->sources[i].up_at && (!at || w->sources[i].up_at < at))
            at = w->sources[i].up_at;
    return at;
}

bool world_source_flows(const struct world *w, size_t encoder)
{
    const struct wencoder *x = &w->enc[encoder];

    if (x->kind == K_NET)
        return w->camera_on[x->camera];
    return x->kind != K_INGEST || (w->sources[x->owner].up && !w->sources[x->owner].silent);
}

void world_kick(struct world *w, const struct sl_kick *kick)
{
    for (int i = 0; i < w->nstreams; i++) {
        const struct sl_seen_path *path = entrance(w, i);
        struct wsource *x = &w->sources[i];

        if (!path || strcmp(path->name, kick->path) != 0)
            continue;
        world_say(w, "kick %s %s: %s", kick->path, kick->type, kick->reason);
        if (!x->up || (unsigned)atoi(kick->id) != x->session)
            world_fail(w, "a kick meets another session of %s", kick->path);
        else if (!(picky(i) && x->type % 2 == 0) && w->now - x->moved < SL_KICK_AFTER)
            world_fail(w, "a good publisher of %s is kicked", kick->path);
        x->up = x->silent = false;
        x->type |= 1; /* what it may */
    }
}

void world_source_fault(struct world *w, enum fault fault, int stream)
{
    struct wsource *x = &w->sources[stream];
    unsigned camera = world_roll(w, CAMERAS), secret = world_roll(w, SECRETS);

    if (fault == F_CAMERA)
        w->camera_on[camera] = !w->camera_on[camera];
    else if (fault == F_MUTE)
        w->camera_mute[camera] = !w->camera_mute[camera];
    else if (fault == F_PUBLISHER)
        x->there = !x->there;
    else if (fault == F_SILENT_PUBLISHER)
        x->silent = x->up;
    else if (fault == F_SECRET_GONE)
        w->secret_there[secret] = false;
    else if (fault == F_SECRET_BACK)
        w->secret_there[secret] = true;
    else if (fault == F_ROTATE)
        w->secret_version[secret]++;
    if (fault == F_PUBLISHER && x->there && !x->up)
        x->type = (int)world_roll(w, SL_COUNT(types));
    if (fault == F_CAMERA || fault == F_PUBLISHER || fault == F_SILENT_PUBLISHER)
        world_shake(w);
    if (fault == F_STRANGER && !world_path(w, "stranger/ingest") && w->npaths < PATHS_MAX) {
        struct sl_seen_path *path = &w->paths[w->npaths++];

        memset(path, 0, sizeof(*path));
        snprintf(path->name, sizeof(path->name), "stranger/ingest");
        snprintf(path->conf.name, sizeof(path->conf.name), "stranger/ingest");
        snprintf(path->conf.source, sizeof(path->conf.source), "publisher");
        path->configured = path->listed = true;
    }
    if (fault == F_PATH_LOST && w->npaths) {
        w->paths[world_roll(w, (uint32_t)w->npaths)] = w->paths[w->npaths - 1];
        w->npaths--;
        world_shake(w);
    }
}
