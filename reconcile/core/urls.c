/* SPDX-License-Identifier: GPL-2.0-or-later
 * Where a stream is to be watched and what plays there (decisions 11). Layer: core.
 */
#include "reconcile/core/carry.h"
#include "reconcile/core/judge.h"

enum protocol { RTSP, RTMP, HLS, WEBRTC, SRT, PROTOCOLS };

#define ON(p) (1u << (p))

/* What MediaMTX 1.20 carries to readers of each protocol. */
static const struct {
    const char *codec;
    bool video;
    unsigned plays;
} codecs[] = {
    {"AV1", true, ON(RTSP) | ON(RTMP) | ON(HLS) | ON(WEBRTC)},
    {"VP9", true, ON(RTSP) | ON(RTMP) | ON(HLS) | ON(WEBRTC)},
    {"VP8", true, ON(RTSP) | ON(WEBRTC)},
    {"H265", true, ON(RTSP) | ON(RTMP) | ON(HLS) | ON(WEBRTC) | ON(SRT)},
    {"H264", true, ON(RTSP) | ON(RTMP) | ON(HLS) | ON(WEBRTC) | ON(SRT)},
    {"MPEG-4 Video", true, ON(RTSP) | ON(SRT)},
    {"MPEG-1/2 Video", true, ON(RTSP) | ON(SRT)},
    {"M-JPEG", true, ON(RTSP)},
    {"Opus", false, ON(RTSP) | ON(RTMP) | ON(HLS) | ON(WEBRTC) | ON(SRT)},
    {"MPEG4Audio", false, ON(RTSP) | ON(RTMP) | ON(HLS) | ON(SRT)},
    {"MPEG-4 Audio", false, ON(RTSP) | ON(RTMP) | ON(HLS) | ON(SRT)},
    {"MPEG-1/2 Audio", false, ON(RTSP) | ON(RTMP) | ON(SRT)},
    {"AC-3", false, ON(RTSP) | ON(RTMP) | ON(SRT)},
    {"G722", false, ON(RTSP) | ON(WEBRTC)},
    {"G711", false, ON(RTSP) | ON(RTMP) | ON(WEBRTC)},
    {"LPCM", false, ON(RTSP) | ON(RTMP) | ON(WEBRTC)},
};

static void judge(struct sl_arena *arena, const struct sl_facts *facts, enum protocol protocol,
                  bool *ret_plays, const char **ret_why)
{
    static const char *const names[] = {"RTSP", "RTMP", "HLS", "WebRTC", "SRT"};
    int tracks[2] = {0, 0}, carried[2] = {0, 0}; /* audio, video */
    const char *refused[2] = {"", ""};
    bool reordered = false, closes = false; /* MediaMTX ends the reader, the picture too */

    *ret_plays = false;
    *ret_why = "its tracks are not known yet";
    if (!facts->count)
        return;
    for (int i = 0; i < facts->count; i++) {
        bool video = false, plays = protocol == RTSP;

        for (size_t j = 0; j < SL_COUNT(codecs); j++)
            if (strcmp(codecs[j].codec, facts->track[i].codec) == 0) {
                video = codecs[j].video;
                plays = codecs[j].plays & ON(protocol);
            }
        if (plays && video && protocol == WEBRTC && facts->track[i].b_frames) {
            plays = false;
            reordered = true;
        }
        if (protocol == RTMP && strcmp(facts->track[i].codec, "MPEG-1/2 Audio") == 0 &&
            facts->track[i].sample_rate > 0 && facts->track[i].sample_rate % 11025 != 0)
            closes = true; /* FLV knows MP3 at 11025, 22050 and 44100 Hz only */
        tracks[video]++;
        carried[video] += plays;
        if (!plays)
            refused[video] = facts->track[i].codec;
    }
    *ret_why = "";
    *ret_plays = carried[0] + carried[1] > 0 && (carried[1] > 0 || tracks[1] == 0) && !closes;
    if (!*ret_plays && reordered)
        *ret_why = "WebRTC refuses B-frames";
    else if (closes)
        *ret_why = "RTMP carries MP3 at 11025, 22050 and 44100 Hz only";
    else if (!*ret_plays)
        *ret_why = sl_arena_printf(arena, "%s cannot carry %s", names[protocol],
                                   tracks[1] ? refused[1] : refused[0]);
    else if (tracks[0] && !carried[0])
        *ret_why = sl_arena_printf(arena, "without sound: %s cannot carry %s", names[protocol],
                                   refused[0]);
}

/* Public address, or scheme, host and MediaMTX's port; no slash at its end. */
static const char *base_of(struct sl_arena *arena, const char *set, const char *scheme,
                           const char *host, int port)
{
    bool v6 = strchr(host, ':') && host[0] != '[';
    size_t len = set ? strlen(set) : 0;

    if (port <= 0)
        return NULL;
    if (!len)
        return sl_arena_printf(arena, "%s://%s%s%s:%d", scheme, v6 ? "[" : "", host, v6 ? "]" : "",
                               port);
    while (len > 1 && set[len - 1] == '/')
        len--;
    return sl_arena_printf(arena, "%s%s%.*s", strstr(set, "://") ? "" : scheme,
                           strstr(set, "://") ? "" : "://", (int)len, set);
}

static const char *encoded(struct sl_arena *arena, const char *text)
{
    char *out = sl_arena_alloc(arena, 3 * strlen(text) + 1);

    for (char *at = out; *text; text++) {
        unsigned char c = (unsigned char)*text;

        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
            strchr("-._~", c))
            *at++ = (char)c;
        else
            at += snprintf(at, 4, "%%%02X", c);
    }
    return out;
}

/* KEY stands for the password, which nothing here shows. */
static void publish_urls(struct sl_status *status, struct sl_status_stream *stream,
                         const char *const bases[PROTOCOLS])
{
    struct sl_arena *arena = status->arena;
    const struct sl_src_publish *publish = stream->desired->spec->source.publish;
    bool ingest = stream->desired->carrier == SL_CARRIER_INGEST;
    const char *name = sl_arena_printf(arena, "%s%s", stream->name, ingest ? "/ingest" : "");
    const char *user = publish->username ? encoded(arena, publish->username) : NULL;
    const char *urls[SL_PUBLISH_PROTOCOL_COUNT] = {NULL};

    if (bases[RTMP])
        urls[SL_PUBLISH_RTMP] = sl_arena_printf(arena, "%s/%s", bases[RTMP], name);
    if (bases[SRT])
        urls[SL_PUBLISH_SRT] = sl_arena_printf(
            arena, "%s%cstreamid=publish:%s%s%s%s", bases[SRT], strchr(bases[SRT], '?') ? '&' : '?',
            name, user ? ":" : "", user ? user : "", user ? ":KEY" : "");
    if (bases[RTSP])
        urls[SL_PUBLISH_RTSP] = sl_arena_printf(arena, "%s/%s", bases[RTSP], name);
    if (bases[WEBRTC])
        urls[SL_PUBLISH_WHIP] = sl_arena_printf(arena, "%s/%s/whip", bases[WEBRTC], name);
    for (int p = 0; p < SL_PUBLISH_PROTOCOL_COUNT; p++) {
        stream->publish[p].stream_key = "";
        if (sl_publish_allowed(publish, (enum sl_publish_protocol)p))
            stream->publish[p].url = urls[p];
    }
    if (stream->publish[SL_PUBLISH_RTMP].url)
        stream->publish[SL_PUBLISH_RTMP].stream_key =
            user ? sl_arena_printf(arena, "%s?user=%s&pass=KEY", name, user) : name;
}

void sl_judge_urls(struct sl_status *status, struct sl_status_stream *stream,
                   const struct sl_facts *facts, const struct sl_public *public_)
{
    static const struct sl_public nowhere;
    const struct sl_public *to = public_ ? public_ : &nowhere;
    const struct sl_seen_engine *engine = &status->observed.engine;
    const char *host = to->host && to->host[0] ? to->host : "localhost";
    struct sl_arena *arena = status->arena;
    const char *const bases[PROTOCOLS] = {
        base_of(arena, to->rtsp, "rtsp", host, engine->rtsp_port),
        base_of(arena, to->rtmp, "rtmp", host, engine->rtmp_port),
        base_of(arena, to->hls, "http", host, engine->hls_port),
        base_of(arena, to->webrtc, "http", host, engine->webrtc_port),
        base_of(arena, to->srt, "srt", host, engine->srt_port),
    };

    for (int p = 0; p < PROTOCOLS; p++) {
        stream->urls[p].why = "this protocol is switched off in MediaMTX";
        if (!bases[p])
            continue;
        if (p == SRT)
            stream->urls[p].url = sl_arena_printf(arena, "%s%cstreamid=read:%s", bases[p],
                                                  strchr(bases[p], '?') ? '&' : '?', stream->name);
        else
            stream->urls[p].url = sl_arena_printf(arena, "%s/%s%s", bases[p], stream->name,
                                                  p == HLS ? "/index.m3u8" : "");
        judge(arena, facts, (enum protocol)p, &stream->urls[p].plays, &stream->urls[p].why);
    }
    if (stream->desired && stream->desired->spec->source.publish)
        publish_urls(status, stream, bases);
}
