/* SPDX-License-Identifier: GPL-2.0-or-later
 * The table of owned path keys. A new key is a member of struct sl_path_conf and a row here.
 * Values as MediaMTX 1.20.1 takes and gives them (its internal/conf/path.go). Layer: mediamtx.
 */
#include "reconcile/mediamtx/paths.h"

#include "reconcile/mediamtx/sources.h"

enum kind {
    KIND_STRING,
    KIND_BOOL,
    KIND_COUNT,
    KIND_TRACKS,
    KIND_ZERO, /* always "0s", which MediaMTX shows as "" */
    KIND_NO    /* always false */
};

struct row {
    const char *key;
    enum kind kind;
    size_t offset, size;
};

#define MEMBER(m) offsetof(struct sl_path_conf, m), sizeof(((struct sl_path_conf *)0)->m)

static const struct row rows[] = {
    {"source", KIND_STRING, MEMBER(source)},
    {"sourceOnDemand", KIND_NO, 0, 0},
    {"rtspTransport", KIND_STRING, MEMBER(rtsp_transport)},
    {"overridePublisher", KIND_BOOL, MEMBER(override_publisher)},
    {"maxReaders", KIND_COUNT, MEMBER(max_readers)},
    {"record", KIND_BOOL, MEMBER(record)},
    {"recordDeleteAfter", KIND_ZERO, 0, 0}, /* retention is ours */
    {"alwaysAvailable", KIND_BOOL, MEMBER(always_available)},
    {"alwaysAvailableTracks", KIND_TRACKS, MEMBER(tracks)},
};

/* Codecs of alwaysAvailableTracks and their lowest sample rate; 0: takes no rate, no channels. */
static const struct {
    const char *name;
    int min_rate;
} codecs[] = {{"AV1", 0},     {"VP9", 0},    {"H265", 0},
              {"H264", 0},    {"Opus", 0},   {"MPEG4Audio", 22050},
              {"G711", 8000}, {"LPCM", 8000}};

static int codec_find(const char *name)
{
    for (size_t i = 0; i < SL_COUNT(codecs); i++)
        if (strcmp(codecs[i].name, name) == 0)
            return (int)i;
    return -1;
}

void sl_mtx_path_normal(struct sl_path_conf *conf)
{
    if (!*conf->rtsp_transport || !sl_mtx_source_is_rtsp(conf->source))
        strcpy(conf->rtsp_transport, "automatic");
    if (!conf->always_available)
        memset(&conf->tracks, 0, sizeof(conf->tracks));
    for (int i = 0; i < conf->tracks.count; i++) {
        struct sl_track *track = &conf->tracks.track[i];
        int codec = codec_find(track->codec);

        if (codec >= 0 && codecs[codec].min_rate == 0)
            track->sample_rate = track->channels = 0;
        if (strcmp(track->codec, "G711") != 0)
            track->mulaw = false;
    }
}

/* Names as in docs/adr: segments of letters, digits, _ . - joined by one slash. */
bool sl_mtx_name_ok(const char *name)
{
    bool start = true;

    if (!*name || strcmp(name, "all") == 0 || strcmp(name, "all_others") == 0)
        return false;
    for (const char *c = name; *c; c++) {
        bool word = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') ||
                    (*c >= '0' && *c <= '9') || *c == '_';

        if (!word && (start || !strchr(".-/", *c)))
            return false;
        start = *c == '/';
    }
    return !start;
}

static bool transport_ok(const char *transport)
{
    return !*transport || strcmp(transport, "automatic") == 0 || strcmp(transport, "tcp") == 0 ||
           strcmp(transport, "udp") == 0;
}

static int track_check(const struct sl_path_conf *conf, const struct sl_track *track,
                       struct sl_err *err)
{
    int codec = codec_find(track->codec);

    if (codec < 0)
        return sl_err_set(err, SL_ERR_HUMAN, 0, "TrackRefused",
                          "path %s: alwaysAvailable does not carry the codec %s", conf->name,
                          track->codec);
    if (codecs[codec].min_rate &&
        (track->sample_rate < codecs[codec].min_rate || track->channels < 1))
        return sl_err_set(err, SL_ERR_HUMAN, 0, "TrackRefused",
                          "path %s: alwaysAvailable needs at least %d Hz and a channel for %s, "
                          "not %d Hz and %d channels",
                          conf->name, codecs[codec].min_rate, track->codec, track->sample_rate,
                          track->channels);
    return 0;
}

int sl_mtx_path_check(const struct sl_path_conf *conf, struct sl_err *err)
{
    if (!sl_mtx_name_ok(conf->name))
        return sl_err_set(err, SL_ERR_HUMAN, 0, "NameRefused", "%s cannot name a path", conf->name);
    if (sl_mtx_source_check(conf->source, err) < 0)
        return sl_err_wrap(err, "path %s", conf->name);
    if (!transport_ok(conf->rtsp_transport))
        return sl_err_set(err, SL_ERR_BUG, 0, "TransportRefused",
                          "path %s: rtspTransport %s is not known", conf->name,
                          conf->rtsp_transport);
    if (conf->max_readers < 0)
        return sl_err_set(err, SL_ERR_BUG, 0, "ReadersRefused", "path %s: maxReaders is negative",
                          conf->name);
    if (!conf->always_available)
        return 0;
    if (conf->tracks.count < 1 || conf->tracks.count > SL_TRACKS_MAX)
        return sl_err_set(err, SL_ERR_BUG, 0, "TrackRefused",
                          "path %s: alwaysAvailable needs its tracks", conf->name);
    for (int i = 0; i < conf->tracks.count; i++)
        if (track_check(conf, &conf->tracks.track[i], err) < 0)
            return -1;
    return 0;
}

static json_t *tracks_to_json(const struct sl_facts *facts)
{
    json_t *array = json_array();

    for (int i = 0; i < facts->count; i++) {
        const struct sl_track *track = &facts->track[i];
        json_t *o = json_pack("{s:s}", "codec", track->codec);

        if (track->sample_rate)
            json_object_set_new(o, "sampleRate", json_integer(track->sample_rate));
        if (track->channels)
            json_object_set_new(o, "channelCount", json_integer(track->channels));
        if (track->mulaw)
            json_object_set_new(o, "muLaw", json_true());
        json_array_append_new(array, o);
    }
    return array;
}

json_t *sl_mtx_path_to_json(const struct sl_path_conf *conf)
{
    struct sl_path_conf normal = *conf;
    json_t *object = json_object();

    sl_mtx_path_normal(&normal);
    for (size_t i = 0; i < SL_COUNT(rows); i++) {
        const void *at = (const char *)&normal + rows[i].offset;
        json_t *value = NULL;

        switch (rows[i].kind) {
        case KIND_STRING:
            value = json_string(at);
            break;
        case KIND_BOOL:
            value = json_boolean(*(const bool *)at);
            break;
        case KIND_COUNT:
            value = json_integer(*(const int *)at);
            break;
        case KIND_TRACKS:
            value = tracks_to_json(at);
            break;
        case KIND_ZERO:
            value = json_string("0s");
            break;
        case KIND_NO:
            value = json_false();
            break;
        }
        json_object_set_new(object, rows[i].key, value);
    }
    return object;
}

void sl_mtx_path_to_yaml(const struct sl_path_conf *conf, int indent, struct sl_buf *out)
{
    json_t *object = sl_mtx_path_to_json(conf);
    char *text = json_dumps(object, JSON_PRESERVE_ORDER);

    sl_buf_printf(out, "%*s\"%s\": %s\n", indent, "", conf->name, text);
    free(text);
    json_decref(object);
}

static int tracks_from_json(const json_t *array, struct sl_facts *ret)
{
    memset(ret, 0, sizeof(*ret));
    if (!json_is_array(array) || json_array_size(array) > SL_TRACKS_MAX)
        return -1;
    for (size_t i = 0; i < json_array_size(array); i++) {
        const json_t *o = json_array_get(array, i);
        const char *codec = json_string_value(json_object_get(o, "codec"));
        struct sl_track *track = &ret->track[ret->count++];

        if (!codec || strlen(codec) >= sizeof(track->codec))
            return -1;
        strcpy(track->codec, codec);
        track->sample_rate = (int)json_integer_value(json_object_get(o, "sampleRate"));
        track->channels = (int)json_integer_value(json_object_get(o, "channelCount"));
        track->mulaw = json_is_true(json_object_get(o, "muLaw"));
    }
    return 0;
}

/* A value that does not fit (a long source URL) is cut: it only has to differ from ours. */
static int text_from_json(const json_t *value, char *ret, size_t size)
{
    const char *text = json_string_value(value);

    if (!text)
        return -1;
    snprintf(ret, size, "%s", text);
    return 0;
}

/* -1: not as MediaMTX gives it. A key that is the same in all our paths only tells whether it is.
 */
static int row_from_json(const struct row *row, const json_t *value, struct sl_path_conf *conf)
{
    void *at = (char *)conf + row->offset;

    switch (row->kind) {
    case KIND_STRING:
        return text_from_json(value, at, row->size);
    case KIND_BOOL:
        *(bool *)at = json_is_true(value);
        return json_is_boolean(value) ? 0 : -1;
    case KIND_COUNT:
        *(int *)at = (int)json_integer_value(value);
        return json_is_integer(value) ? 0 : -1;
    case KIND_TRACKS:
        return tracks_from_json(value, at);
    case KIND_ZERO:
        conf->altered |= !sl_streq(json_string_value(value), "");
        return json_is_string(value) ? 0 : -1;
    case KIND_NO:
        conf->altered |= !json_is_false(value);
        return json_is_boolean(value) ? 0 : -1;
    }
    return 0;
}

int sl_mtx_path_from_json(const json_t *object, struct sl_path_conf *ret)
{
    struct sl_path_conf conf = {0};
    const char *name = json_string_value(json_object_get(object, "name"));

    if (!name || !*name)
        return -1;
    snprintf(conf.name, sizeof(conf.name), "%s", name);
    for (size_t i = 0; i < SL_COUNT(rows); i++) {
        const json_t *value = json_object_get(object, rows[i].key);

        if (row_from_json(&rows[i], value, &conf) < 0)
            return -1;
    }
    *ret = conf;
    return 0;
}

int sl_mtx_path_order(const void *a, const void *b)
{
    return strcmp(((const struct sl_path_conf *)a)->name, ((const struct sl_path_conf *)b)->name);
}

const struct sl_path_conf *sl_mtx_path_find(const struct sl_path_conf *list, size_t count,
                                            const char *name)
{
    size_t low = 0, high = count;

    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int order = strcmp(name, list[mid].name);

        if (order == 0)
            return &list[mid];
        if (order < 0)
            high = mid;
        else
            low = mid + 1;
    }
    return NULL;
}
