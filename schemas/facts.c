/* SPDX-License-Identifier: GPL-2.0-or-later
 * Media facts as JSON and as text. Layer: schemas. Owns nothing: plain values.
 */
#include "schemas/facts.h"

bool sl_facts_equal(const struct sl_facts *a, const struct sl_facts *b)
{
    if (a->count != b->count)
        return false;
    for (int i = 0; i < a->count; i++) {
        const struct sl_track *x = &a->track[i], *y = &b->track[i];

        if (strcmp(x->codec, y->codec) != 0 || x->sample_rate != y->sample_rate ||
            x->channels != y->channels || x->mulaw != y->mulaw)
            return false;
    }
    return true;
}

json_t *sl_facts_to_json(const struct sl_facts *facts)
{
    json_t *array = json_array();

    for (int i = 0; i < facts->count; i++) {
        const struct sl_track *track = &facts->track[i];
        json_t *o = json_object();

        json_object_set_new(o, "codec", json_string(track->codec));
        if (track->sample_rate)
            json_object_set_new(o, "sampleRate", json_integer(track->sample_rate));
        if (track->channels)
            json_object_set_new(o, "channels", json_integer(track->channels));
        if (track->mulaw)
            json_object_set_new(o, "mulaw", json_true());
        if (track->b_frames)
            json_object_set_new(o, "bFrames", json_true());
        json_array_append_new(array, o);
    }
    return array;
}

static int track_from_json(const json_t *o, struct sl_track *ret)
{
    const char *codec = json_string_value(json_object_get(o, "codec"));
    const json_t *rate = json_object_get(o, "sampleRate");
    const json_t *channels = json_object_get(o, "channels");
    json_int_t r = json_integer_value(rate), c = json_integer_value(channels);

    if (!codec || !*codec || strlen(codec) >= sizeof(ret->codec))
        return -1;
    if ((rate && !json_is_integer(rate)) || (channels && !json_is_integer(channels)))
        return -1;
    if (r < 0 || r > 1000000 || c < 0 || c > 64)
        return -1;
    memset(ret, 0, sizeof(*ret));
    strcpy(ret->codec, codec);
    ret->sample_rate = (int)r;
    ret->channels = (int)c;
    ret->mulaw = json_is_true(json_object_get(o, "mulaw"));
    ret->b_frames = json_is_true(json_object_get(o, "bFrames"));
    return 0;
}

int sl_facts_from_json(const json_t *array, struct sl_facts *ret)
{
    struct sl_facts facts = {0};

    if (!json_is_array(array) || json_array_size(array) > SL_TRACKS_MAX)
        return -1;
    for (size_t i = 0; i < json_array_size(array); i++) {
        if (track_from_json(json_array_get(array, i), &facts.track[i]) < 0)
            return -1;
        facts.count++;
    }
    *ret = facts;
    return 0;
}

void sl_facts_print(const struct sl_facts *facts, char *buf, size_t size)
{
    size_t at = 0;

    if (!size)
        return;
    buf[0] = 0;
    if (facts->count == 0)
        snprintf(buf, size, "unknown");
    for (int i = 0; i < facts->count; i++) {
        const struct sl_track *track = &facts->track[i];
        int n = snprintf(buf + at, size - at, "%s%s", i ? ", " : "", track->codec);

        if (n > 0 && track->sample_rate && at + (size_t)n < size)
            n += snprintf(buf + at + n, size - at - (size_t)n, " %d Hz %d ch", track->sample_rate,
                          track->channels);
        if (n < 0 || at + (size_t)n >= size)
            return;
        at += (size_t)n;
    }
}
