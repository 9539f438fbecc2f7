/* SPDX-License-Identifier: GPL-2.0-or-later
 * Where a stream is to be watched and what plays there (decisions 11). Layer: core.
 */
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
        tracks[video]++;
        carried[video] += plays;
        if (!plays)
            refused[video] = facts->track[i].codec;
    }
    *ret_why = "";
    *ret_plays = carried[0] + carried[1] > 0 && (carried[1] > 0 || tracks[1] == 0);
    if (!*ret_plays)
        *ret_why = sl_arena_printf(arena, "%s cannot carry %s", names[protocol],
                                   tracks[1] ? refused[1] : refused[0]);
    else if (tracks[0] && !carried[0])
        *ret_why = sl_arena_printf(arena, "without sound: %s cannot carry %s", names[protocol],
                                   refused[0]);
}

void sl_judge_urls(struct sl_status *status, struct sl_status_stream *stream,
                   const struct sl_facts *facts, const char *public_host)
{
    const struct sl_seen_engine *engine = &status->observed.engine;
    const int ports[PROTOCOLS] = {engine->rtsp_port, engine->rtmp_port, engine->hls_port,
                                  engine->webrtc_port, engine->srt_port};
    static const char *const formats[PROTOCOLS][3] = {{"rtsp://", "/", ""},
                                                      {"rtmp://", "/", ""},
                                                      {"http://", "/", "/index.m3u8"},
                                                      {"http://", "/", ""},
                                                      {"srt://", "?streamid=read:", ""}};
    bool v6 = strchr(public_host, ':') && public_host[0] != '[';

    for (int p = 0; p < PROTOCOLS; p++) {
        stream->urls[p].why = "this protocol is switched off in MediaMTX";
        if (ports[p] <= 0)
            continue;
        stream->urls[p].url = sl_arena_printf(status->arena, "%s%s%s%s:%d%s%s%s", formats[p][0],
                                              v6 ? "[" : "", public_host, v6 ? "]" : "", ports[p],
                                              formats[p][1], stream->name, formats[p][2]);
        judge(status->arena, facts, (enum protocol)p, &stream->urls[p].plays, &stream->urls[p].why);
    }
}
