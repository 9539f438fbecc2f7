/* SPDX-License-Identifier: GPL-2.0-or-later
 * Input: a source in the network, read for as long as it gives, connected again when it does not.
 * Its packets lie on one time line over all connections. Layer: encoders. Never decodes, never
 * ends: whatever the source does is told and tried again.
 */
#include "encoders/av_bridge.h"
#include "encoders/net.h"
#include "encoders/timeline.h"
#include "encoders/tracks.h"
#include "reconcile/base/time.h"
#include <errno.h>

#define CONNECT_MS     12000 /* MediaMTX starts sources on demand within 10 s */
#define BACKOFF_MIN_MS 100
#define BACKOFF_MAX_MS                                                                             \
    1500 /* counted from the last try, so a source is met 2 s after its return                     \
          */
#define BACKOFF_AUTH_MS 10000 /* cameras lock an account after some wrong passwords */
#define EAGER_MS        1500
#define GAP_US          10000000
#define QUEUE_MAX       512

struct net {
    const struct sl_encspec *spec; /* borrowed: it outlives the input */
    AVIOInterruptCB outer;
    AVFormatContext *format;
    int stream[SL_MEDIA_COUNT];
    struct sl_timeline line;
    struct sl_net_probe probe;
    struct sl_err why;          /* of the last failure */
    AVPacket *queue[QUEUE_MAX]; /* read ahead while opening, so that parameters can be peeked at */
    int queued, taken;
    bool key_seen[SL_MEDIA_COUNT]; /* [SL_VIDEO]: since this connection */
    int64_t last_dts[SL_MEDIA_COUNT], last_raw[SL_MEDIA_COUNT];
    int64_t deadline, backoff; /* CLOCK_MONOTONIC ms; ms */
    int64_t pause;             /* ms: the longest between packets of late */
    int64_t began;             /* ms: due 0 on the wall */
    uint64_t jumps;
};

static int interrupt(void *arg)
{
    const struct net *n = arg;

    return n->outer.callback(n->outer.opaque) || (n->deadline && sl_now_mono() >= n->deadline);
}

static bool out_of_time(const struct net *n)
{
    return n->deadline && sl_now_mono() >= n->deadline;
}

static void disconnect(struct net *n)
{
    while (n->taken < n->queued)
        av_packet_free(&n->queue[n->taken++]);
    n->taken = n->queued = 0;
    if (n->format) {
        n->deadline = sl_now_mono() + 500; /* TEARDOWN is a courtesy */
        avformat_close_input(&n->format);
    }
}

/* Writes down why, and when to try again. */
static int failed(struct sl_input *input, const struct sl_err *err, int64_t tried_at)
{
    struct net *n = input->priv;
    bool again = n->backoff == 0;

    n->why = *err;
    if ((sl_streq(err->code, "SourceAuthFailed") && *n->spec->net.username) ||
        sl_streq(err->code, "CodecNotCarried"))
        n->backoff = BACKOFF_AUTH_MS;
    else if (again || n->backoff > BACKOFF_MAX_MS)
        n->backoff = BACKOFF_MIN_MS;
    else
        n->backoff = n->backoff * 2 > BACKOFF_MAX_MS ? BACKOFF_MAX_MS : n->backoff * 2;
    input->retry_at = tried_at + n->backoff;
    disconnect(n);
    return -1;
}

static int next_packet(struct net *n, AVPacket **ret)
{
    AVPacket *packet;
    int rc;

    if (n->taken < n->queued) {
        *ret = n->queue[n->taken++];
        return 0;
    }
    n->taken = n->queued = 0;
    packet = av_packet_alloc();
    if (!packet)
        abort();
    rc = av_read_frame(n->format, packet);
    if (rc < 0)
        av_packet_free(&packet);
    else
        *ret = packet;
    return rc;
}

/* Tells of a change when this connection's tracks are not those of the one before. */
static void take_tracks(struct sl_input *input)
{
    struct net *n = input->priv;

    for (int m = 0; m < SL_MEDIA_COUNT; m++) {
        struct sl_in_track track = {0}, *have = &input->track[m];

        if (n->stream[m] >= 0)
            sl_tracks_describe(n->format, n->stream[m], (enum sl_media)m, &track);
        if (!sl_tracks_same(have, &track))
            input->changed = true;
        avcodec_parameters_free(&have->par);
        *have = track;
        n->last_raw[m] = INT64_MIN;
        if (track.present)
            sl_timeline_add(&n->line, (enum sl_media)m, track.time_base,
                            sl_tracks_frame(n->format, n->stream[m], &track));
    }
    n->key_seen[SL_VIDEO] = n->stream[SL_VIDEO] < 0;
    n->key_seen[SL_AUDIO] = true;
}

/* Reads on until each track has shown a packet: a sound's configuration may be in its first. */
static int look_ahead(struct net *n)
{
    bool seen[SL_MEDIA_COUNT] = {n->stream[SL_VIDEO] < 0, n->stream[SL_AUDIO] < 0};

    while (!(seen[SL_VIDEO] && seen[SL_AUDIO]) && n->queued < QUEUE_MAX) {
        AVPacket *packet = av_packet_alloc();
        int rc;

        if (!packet)
            abort();
        rc = av_read_frame(n->format, packet);
        if (rc < 0) {
            av_packet_free(&packet);
            return rc;
        }
        for (int m = 0; m < SL_MEDIA_COUNT; m++)
            seen[m] |= packet->stream_index == n->stream[m];
        n->queue[n->queued++] = packet;
    }
    return 0;
}

/* `patience`: ms until this try is given up. */
static int connect_now(struct sl_input *input, int64_t patience, struct sl_err *err)
{
    struct net *n = input->priv;
    AVIOInterruptCB cb = {.callback = interrupt, .opaque = n};
    int64_t now = sl_now_mono();
    int rc;

    n->deadline = now + patience;
    n->probe.patience = patience;
    if (sl_net_open(&n->format, n->spec, cb, &n->probe, err) < 0) {
        if (out_of_time(n) && !sl_streq(err->code, "SourceAuthFailed"))
            sl_err_set(err, SL_ERR_TRANSIENT, ETIMEDOUT, "SourceUnreachable", "%s does not answer",
                       n->spec->net.url);
        return failed(input, err, now);
    }
    if (sl_tracks_choose(n->format, n->spec->net.url, n->stream, err) < 0)
        return failed(input, err, now);
    rc = look_ahead(n);
    if (rc < 0) {
        if (out_of_time(n))
            sl_err_set(err, SL_ERR_TRANSIENT, 0, "NoFrames", "%s answers, but sends no frames",
                       n->spec->net.url);
        else
            sl_net_failed(rc, n->spec, err);
        return failed(input, err, now);
    }
    take_tracks(input);
    n->deadline = 0;
    now = sl_now_mono();
    if (!n->began)
        n->began = now;
    sl_timeline_epoch(&n->line, (now - n->began) * 1000);
    input->came_at = now;
    n->pause = 0;
    input->connects++;
    return 0;
}

static int net_open(struct sl_input *input, const struct sl_encspec *spec, struct sl_err *err)
{
    struct net *n = input->priv;

    if (!n) {
        input->priv = n = sl_alloc(sizeof(*n));
        input->live = true;
        n->spec = spec;
        n->outer = input->interrupt;
        sl_timeline_begin(&n->line, GAP_US);
        for (int m = 0; m < SL_MEDIA_COUNT; m++) {
            n->stream[m] = -1;
            n->last_dts[m] = INT64_MIN;
        }
    }
    disconnect(n);
    if (!sl_net_scheme(spec->net.url))
        return sl_err_set(err, SL_ERR_HUMAN, 0, "BadSpec",
                          "%s: none of rtsp rtsps srt rtmp rtmps http https udp", spec->net.url);
    if (connect_now(input, CONNECT_MS, err) < 0) {
        if (!sl_streq(err->code, "BadSpec"))
            err->class = SL_ERR_TRANSIENT; /* a source may heal without an edit here */
        return -1;
    }
    input->changed = false;
    input->burst = strstr(n->format->iformat->name, "hls") != NULL;
    return 0;
}

/* The time stamps of a packet onto the time line. False: it is not wanted. */
static bool place(struct sl_input *input, enum sl_media m, AVPacket *packet)
{
    struct net *n = input->priv;

    if (packet->dts == AV_NOPTS_VALUE)
        packet->dts = packet->pts;
    if (packet->pts == AV_NOPTS_VALUE)
        packet->pts = packet->dts;
    if (packet->dts == AV_NOPTS_VALUE)
        return false;
    if (packet->dts != n->last_raw[m]) { /* a frozen clock is no life */
        int64_t now = sl_now_mono(), pause = now - input->came_at;

        n->pause = pause > n->pause ? pause : n->pause - n->pause / 64;
        input->came_at = now;
    }
    n->last_raw[m] = packet->dts;
    if (!n->key_seen[m] && !(packet->flags & AV_PKT_FLAG_KEY))
        return false;
    n->key_seen[m] = true;
    if (sl_timeline_map(&n->line, m, &packet->dts, &packet->pts, packet->duration) &&
        n->jumps++ < 100)
        sl_bridge_log(SL_LOG_WARN, "the source's clock jumped: taken out");
    if (packet->dts <= n->last_dts[m]) {
        if (m == SL_AUDIO)
            return false;
        packet->dts = n->last_dts[m] + 1;
        if (packet->pts < packet->dts)
            packet->pts = packet->dts;
    }
    n->last_dts[m] = packet->dts;
    return true;
}

/* A pause that is long for this source: what is connected may be dead without a word (UDP, a host
 * that lost its power), so it is connected again before it counts as silent. */
static int64_t eager(const struct sl_input *input)
{
    const struct net *n = input->priv;
    int64_t longest = n->spec->net.silence, pause = 3 * n->pause;

    if (pause < EAGER_MS)
        pause = EAGER_MS;
    return input->burst || pause > longest ? longest : pause;
}

/* Until when a source that gives nothing is waited for. */
static int64_t patience(const struct sl_input *input)
{
    const struct net *n = input->priv;
    int64_t left = input->came_at + n->spec->net.silence - sl_now_mono();

    /* after it was found silent: as long as a source may take to begin */
    return left > 0 ? left : CONNECT_MS;
}

static int net_read(struct sl_input *input, struct sl_item *ret, struct sl_err *err)
{
    struct net *n = input->priv;

    if (!n->format) {
        if (sl_now_mono() < input->retry_at) {
            *err = n->why;
            return -1;
        }
        if (connect_now(input, patience(input), err) < 0)
            return -1;
    }
    for (;;) {
        AVPacket *packet;
        enum sl_media m;
        int rc;

        n->deadline = input->came_at + eager(input);
        rc = next_packet(n, &packet);
        if (rc >= 0 && out_of_time(n)) { /* a parser's last, at the end of patience */
            av_packet_free(&packet);
            rc = AVERROR_EXIT;
        }
        if (rc < 0) {
            int64_t now = sl_now_mono();

            if (rc == AVERROR(EAGAIN))
                continue;
            if (out_of_time(n))
                sl_err_set(err, SL_ERR_TRANSIENT, 0, "NoFrames",
                           "%s is connected, but sends no frames", n->spec->net.url);
            else
                sl_net_failed(rc, n->spec, err);
            n->backoff = 0;
            return failed(input, err, now);
        }
        n->backoff = 0;
        m = packet->stream_index == n->stream[SL_VIDEO] ? SL_VIDEO : SL_AUDIO;
        if (packet->stream_index != n->stream[m] || packet->size == 0 || !place(input, m, packet)) {
            av_packet_free(&packet);
            continue;
        }
        n->deadline = 0;
        *ret = (struct sl_item){
            .media = m,
            .packet = packet,
            .due = av_rescale_q(packet->dts, input->track[m].time_base, AV_TIME_BASE_Q)};
        return 1;
    }
}

static const AVPacket *net_peek(struct sl_input *input, enum sl_media media)
{
    const struct net *n = input->priv;

    for (int i = n->taken; i < n->queued; i++) {
        if (n->queue[i]->stream_index == n->stream[media])
            return n->queue[i];
    }
    return NULL;
}

static void net_close(struct sl_input *input)
{
    struct net *n = input->priv;

    if (!n)
        return;
    disconnect(n);
    free(n);
    input->priv = NULL;
}

const struct sl_input_class sl_input_net = {
    .name = "net",
    .open = net_open,
    .read = net_read,
    .peek = net_peek,
    .close = net_close,
};
