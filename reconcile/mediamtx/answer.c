/* SPDX-License-Identifier: GPL-2.0-or-later
 * What MediaMTX answers, as plain values. Runs on worker threads; touches no shared state.
 * Unknown keys are ignored: MediaMTX adds some with every version. Layer: mediamtx.
 */
#include "reconcile/mediamtx/client.h"
#include "reconcile/mediamtx/file.h"

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text ? text : "";
}

void *sl_mtx_parse_info(const char *body, size_t len)
{
    json_t *object = json_loadb(body, len, 0, NULL);
    struct sl_mtx_info *info = NULL;

    if (*text_of(object, "started")) {
        info = sl_alloc(sizeof(*info));
        snprintf(info->version, sizeof(info->version), "%s", text_of(object, "version"));
        snprintf(info->started, sizeof(info->started), "%s", text_of(object, "started"));
    }
    json_decref(object);
    return info;
}

static int port_of(const json_t *object, const char *gate, const char *address)
{
    if (!json_is_true(json_object_get(object, gate)))
        return 0;
    return sl_mtx_port(text_of(object, address));
}

void *sl_mtx_parse_global(const char *body, size_t len)
{
    json_t *object = json_loadb(body, len, 0, NULL);
    const json_t *users = json_object_get(object, "authInternalUsers");
    struct sl_mtx_global *global = NULL;

    if (json_is_array(users)) {
        global = sl_alloc(sizeof(*global));
        for (size_t i = 0; i < json_array_size(users); i++) {
            uint64_t n = sl_mtx_generation(text_of(json_array_get(users, i), "user"));

            global->generation = n ? n : global->generation;
        }
        sl_mtx_users_shape(users, global->users);
        snprintf(global->rtsp_address, sizeof(global->rtsp_address), "%s",
                 text_of(object, "rtspAddress"));
        snprintf(global->rtsps_address, sizeof(global->rtsps_address), "%s",
                 text_of(object, "rtspsAddress"));
        global->plain = strcmp(text_of(object, "rtspEncryption"), "strict") != 0;
        global->encrypted =
            !global->plain || strcmp(text_of(object, "rtspEncryption"), "optional") == 0;
        global->rtsp = port_of(object, "rtsp", "rtspAddress");
        global->rtmp = port_of(object, "rtmp", "rtmpAddress");
        global->hls = port_of(object, "hls", "hlsAddress");
        global->webrtc = port_of(object, "webrtc", "webrtcAddress");
        global->srt = port_of(object, "srt", "srtAddress");
    }
    json_decref(object);
    return global;
}

void *sl_mtx_parse_conf(const char *body, size_t len)
{
    json_t *object = json_loadb(body, len, 0, NULL);
    struct sl_path_conf *conf = sl_alloc(sizeof(*conf));

    if (sl_mtx_path_from_json(object, conf) < 0) {
        free(conf);
        conf = NULL;
    }
    json_decref(object);
    return conf;
}

void *sl_mtx_parse_confs(const char *body, size_t len)
{
    json_t *object = json_loadb(body, len, 0, NULL);
    const json_t *items = json_object_get(object, "items");
    struct sl_mtx_confs *confs = NULL;

    if (json_is_array(items)) {
        size_t count = json_array_size(items);

        confs = sl_alloc(sizeof(*confs) + count * sizeof(confs->list[0]));
        for (size_t i = 0; i < count; i++)
            if (sl_mtx_path_from_json(json_array_get(items, i), &confs->list[confs->count]) == 0)
                confs->count++;
        qsort(confs->list, confs->count, sizeof(confs->list[0]), sl_mtx_path_order);
    }
    json_decref(object);
    return confs;
}

static int live_order(const void *a, const void *b)
{
    return strcmp(((const struct sl_mtx_live_path *)a)->name,
                  ((const struct sl_mtx_live_path *)b)->name);
}

/* {"codec":"MPEG-4 Audio","codecProps":{…}}; the configuration has another name for it. */
static void read_track(const json_t *o, struct sl_track *ret)
{
    const json_t *props = json_object_get(o, "codecProps");
    const char *codec = text_of(o, "codec");
    struct sl_track track = {0};

    snprintf(track.codec, sizeof(track.codec), "%s",
             strncmp(codec, "MPEG-4 Audio", 12) == 0 ? "MPEG4Audio" : codec);
    track.sample_rate = (int)json_integer_value(json_object_get(props, "sampleRate"));
    track.channels = (int)json_integer_value(json_object_get(props, "channelCount"));
    track.mulaw = json_is_true(json_object_get(props, "muLaw"));
    if (track.channels && !track.sample_rate && strcmp(codec, "Opus") == 0)
        track.sample_rate = 48000; /* always, so it is not shown */
    *ret = track;
}

/* More than fit: unknown. */
static void read_tracks(const json_t *array, struct sl_facts *ret)
{
    size_t count = json_array_size(array);

    for (size_t i = 0; count <= SL_TRACKS_MAX && i < count; i++)
        read_track(json_array_get(array, i), &ret->track[ret->count++]);
}

static void read_readers(const json_t *array, struct sl_mtx_live_path *path)
{
    static const char *const starts[] = {"rtsp", "rtmp", "hls", "webRTC", "srt"};

    path->readers = (int)json_array_size(array);
    for (size_t i = 0; i < json_array_size(array); i++)
        for (size_t k = 0; k < SL_COUNT(starts); k++)
            path->readers_by[k] += strncmp(text_of(json_array_get(array, i), "type"), starts[k],
                                           strlen(starts[k])) == 0;
}

void *sl_mtx_parse_live(const char *body, size_t len)
{
    json_t *object = json_loadb(body, len, 0, NULL);
    const json_t *items = json_object_get(object, "items");
    struct sl_mtx_live *live = NULL;

    if (json_is_array(items)) {
        size_t count = json_array_size(items);

        live = sl_alloc(sizeof(*live) + count * sizeof(live->list[0]));
        for (size_t i = 0; i < count; i++) {
            const json_t *o = json_array_get(items, i);
            struct sl_mtx_live_path *path = &live->list[live->count];

            if (!*text_of(o, "name"))
                continue;
            live->count++;
            snprintf(path->name, sizeof(path->name), "%s", text_of(o, "name"));
            path->online = json_is_true(json_object_get(o, "online"));
            path->available = json_is_true(json_object_get(o, "available"));
            read_readers(json_object_get(o, "readers"), path);
            read_tracks(json_object_get(o, "tracks2"), &path->tracks);
            snprintf(path->source_type, sizeof(path->source_type), "%s",
                     text_of(json_object_get(o, "source"), "type"));
            snprintf(path->source_id, sizeof(path->source_id), "%s",
                     text_of(json_object_get(o, "source"), "id"));
            path->in_bytes = (uint64_t)json_integer_value(json_object_get(o, "inboundBytes"));
            path->out_bytes = (uint64_t)json_integer_value(json_object_get(o, "outboundBytes"));
        }
        qsort(live->list, live->count, sizeof(live->list[0]), live_order);
    }
    json_decref(object);
    return live;
}
