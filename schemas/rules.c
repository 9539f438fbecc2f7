/* SPDX-License-Identifier: GPL-2.0-or-later
 * What no single row can say: rules across the fields of one document.
 */
#include "schemas/manifest.h"
#include "schemas/rules_parts.h"

struct given sl_rules_given(const struct rules *r, const char *path)
{
    const struct sl_field *row = sl_table_find(r->table, path);
    struct given g = {.path = path};
    struct sl_scalar_err err;
    const struct sl_node *node = sl_node_find(r->root, path, &g.key);

    if (!node || !row) {
        g.key = NULL; /* the last that was found on the way */
        return g;
    }
    if (node->kind != SL_NODE_SCALAR) {
        if (row->sub)
            g.node = node;
        return g;
    }
    if (!row->sub && sl_scalar_read(row, node->text, node->len, node->plain, r->doc->scratch,
                                    &g.value, &err) == 0)
        g.node = node;
    return g;
}

static void name_rules(const struct rules *r)
{
    static const char *const whole[] = {"all", "all_others"};
    static const char *const last_words[] = {"ingest", "whip", "whep", "publish"};
    static const char *const endings[] = {".m3u8", ".mp4", ".ts", ".mp", ".jpg"};
    struct given name = sl_rules_given(r, "metadata.name");
    const char *text, *last;

    if (!name.node)
        return;
    name.key = name.node;
    text = name.value.s;
    last = strrchr(text, '/');
    last = last ? last + 1 : text;
    for (size_t i = 0; i < SL_COUNT(whole); i++)
        if (sl_streq(text, whole[i]))
            RULE(r, SL_DIAG_ERROR, "E113", &name, "it means every path to MediaMTX",
                 "the name '%s' is reserved", text);
    for (size_t i = 0; i < SL_COUNT(last_words); i++)
        if (sl_streq(last, last_words[i]))
            RULE(r, SL_DIAG_ERROR, "E113", &name,
                 i == 0 ? "the path NAME/ingest belongs to the stream NAME"
                        : "MediaMTX's own URLs end so",
                 "the last part of a name cannot be '%s'", last);
    for (size_t i = 0; i < SL_COUNT(endings); i++) {
        size_t len = strlen(last), end = strlen(endings[i]);

        if (len >= end && sl_streq(last + len - end, endings[i]))
            RULE(r, SL_DIAG_ERROR, "E113", &name, "MediaMTX serves files of that name",
                 "a name cannot end in '%s'", endings[i]);
    }
    if (strncmp(text, "_sluice", 7) == 0 && (text[7] == '/' || text[7] == '\0'))
        RULE(r, SL_DIAG_ERROR, "E113", &name, NULL, "names below '_sluice' are reserved");
}

static void video_rules(const struct rules *r)
{
    struct given rate = sl_rules_given(r, "spec.encode.transcode.video.bitrate");
    struct given peak = sl_rules_given(r, "spec.encode.transcode.video.maxBitrate");
    struct given b_frames = sl_rules_given(r, "spec.encode.transcode.video.bFrames");
    struct given profile = sl_rules_given(r, "spec.encode.transcode.video.profile");
    struct given codec = sl_rules_given(r, "spec.encode.transcode.video.codec");
    bool h265 = codec.node && codec.value.i == SL_VCODEC_H265;

    if (rate.node && peak.node && peak.value.i < rate.value.i)
        RULE(r, SL_DIAG_ERROR, "E112", &peak, "raise it, or lower bitrate",
             "maxBitrate is below bitrate (line %d)", rate.key->line);
    if (h265 && profile.node && !sl_streq(profile.value.s, "main"))
        RULE(r, SL_DIAG_ERROR, "E112", &profile, "use main, or leave it out",
             "H.265 has no profile %s", profile.value.s);
    if (h265)
        RULE(r, SL_DIAG_WARNING, "W202", &codec,
             "use h264 if browsers watch by WebRTC, or older players by RTMP",
             "H.265 plays by WebRTC in few browsers, and by RTMP not in FFmpeg before 6.1");
    if (!b_frames.node || b_frames.value.i == 0)
        return;
    if (!h265 && profile.node && sl_streq(profile.value.s, "baseline"))
        RULE(r, SL_DIAG_ERROR, "E112", &b_frames, "use profile main or high, or bFrames: 0",
             "the baseline profile has no B-frames");
    else
        RULE(r, SL_DIAG_WARNING, "W201", &b_frames, "leave it at 0 if browsers watch by WebRTC",
             "WebRTC viewers cannot play a stream with B-frames");
}

static bool rate_fits(const int *rates, size_t count, int64_t rate)
{
    for (size_t i = 0; i < count; i++)
        if (rates[i] == rate)
            return true;
    return false;
}

/* Says something other than the row's default (which printing writes out). */
static bool asks(const struct rules *r, const struct given *g)
{
    const struct sl_field *row = sl_table_find(r->table, g->path);
    struct sl_scalar def;
    struct sl_scalar_err err;

    return g->node && !(row->def &&
                        sl_scalar_read(row, row->def, strlen(row->def), true, r->doc->scratch, &def,
                                       &err) == 0 &&
                        def.i == g->value.i);
}

static void audio_rules(const struct rules *r)
{
    static const int aac[] = {8000,  11025, 12000, 16000, 22050, 24000,
                              32000, 44100, 48000, 64000, 88200, 96000};
    static const int opus[] = {8000, 12000, 16000, 24000, 48000};
    static const char *const ignored[] = {"bitrate", "channels", "sampleRate"};
    struct given codec = sl_rules_given(r, "spec.encode.transcode.audio.codec");
    struct given rate = sl_rules_given(r, "spec.encode.transcode.audio.sampleRate");
    struct given channels = sl_rules_given(r, "spec.encode.transcode.audio.channels");
    int64_t which = codec.node ? codec.value.i : SL_ACODEC_AAC;

    if (which == SL_ACODEC_COPY || which == SL_ACODEC_NONE) {
        for (size_t i = 0; i < SL_COUNT(ignored); i++) {
            char path[64];
            struct given g;

            snprintf(path, sizeof(path), "spec.encode.transcode.audio.%s", ignored[i]);
            g = sl_rules_given(r, path);
            if (asks(r, &g))
                RULE(r, SL_DIAG_ERROR, "E112", &g, "leave it out, or choose another codec",
                     "%s has no effect with codec %s", ignored[i], codec.value.s);
        }
    }
    if (which == SL_ACODEC_COPY && sl_rules_given(r, "spec.source.test").node)
        RULE(r, SL_DIAG_ERROR, "E112", &codec, "use aac or opus",
             "a test source has no encoded sound to copy");
    if (rate.node && which == SL_ACODEC_OPUS && !rate_fits(opus, SL_COUNT(opus), rate.value.i))
        RULE(r, SL_DIAG_ERROR, "E112", &rate, "one of: 8000, 12000, 16000, 24000, 48000",
             "Opus has no sample rate of %lld Hz", (long long)rate.value.i);
    if (rate.node && which == SL_ACODEC_AAC && !rate_fits(aac, SL_COUNT(aac), rate.value.i))
        RULE(r, SL_DIAG_ERROR, "E112", &rate, "for example 44100 or 48000",
             "AAC has no sample rate of %lld Hz", (long long)rate.value.i);
    if (channels.node && which == SL_ACODEC_OPUS && channels.value.i > 2)
        RULE(r, SL_DIAG_ERROR, "E112", &channels, "use 1 or 2, or codec aac",
             "Opus is published with at most 2 channels");
}

void sl_check_rules(struct sl_document *doc, const struct sl_table *table,
                    const struct sl_node *root)
{
    struct rules r = {doc, root, table};

    if (table != &sl_table_object_stream)
        return;
    name_rules(&r);
    sl_rules_source(&r);
    if (sl_rules_given(&r, "spec.encode.transcode").node) {
        video_rules(&r);
        audio_rules(&r);
    }
}
