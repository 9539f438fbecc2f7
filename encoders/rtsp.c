/* SPDX-License-Identifier: GPL-2.0-or-later
 * The RTSP publisher. Layer: encoders.
 */
#define _GNU_SOURCE 1
#include "encoders/rtsp.h"
#include "encoders/av_bridge.h"
#include "encoders/lookup.h"
#include "encoders/rtsp_auth.h"
#include "reconcile/base/time.h"
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <unistd.h>

#define PACKET_BYTES                                                                               \
    1440 /* MediaMTX passes RTP on over UDP: with heads it must stay below 1472                    \
          */
#define HEAD_BYTES    4
#define SEND_BYTES    (256 << 10) /* little waits unseen in the kernel when MediaMTX takes nothing */
#define BATCH_BYTES   (256 << 10) /* more than this is sent without waiting for a flush */
#define BACKLOG_BYTES (16 << 20)
#define STALL_MS      5000
#define ANSWER_BYTES  8192
#define STEP_MS       50

static int unreachable(const struct sl_rtsp *r, const char *why, struct sl_err *err)
{
    return sl_err_set(err, SL_ERR_TRANSIENT, 0, "EngineUnreachable",
                      "MediaMTX at %s cannot be reached: %s", r->url, why);
}

/* 1: ready; 0: interrupted. */
static int await(int fd, short events, AVIOInterruptCB interrupt)
{
    for (;;) {
        struct pollfd p = {.fd = fd, .events = events};

        if (poll(&p, 1, STEP_MS) > 0)
            return 1;
        if (interrupt.callback(interrupt.opaque))
            return 0;
    }
}

static int connect_to(struct sl_rtsp *r, AVIOInterruptCB interrupt, struct sl_err *err)
{
    char host[256];
    int port = -1, os = 0, on = 1, room = SEND_BYTES;
    socklen_t len = sizeof(os);
    struct sl_address address;

    av_url_split(NULL, 0, NULL, 0, host, sizeof(host), &port, NULL, 0, r->url);
    if (sl_lookup(host, port > 0 ? port : 554, interrupt, &address, err) < 0)
        return unreachable(r, err->text, err);
    r->fd = socket(address.at.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (r->fd < 0)
        return unreachable(r, strerror(errno), err);
    (void)setsockopt(r->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    (void)setsockopt(r->fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
    if (connect(r->fd, (const struct sockaddr *)&address.at, address.len) < 0 &&
        errno != EINPROGRESS)
        return unreachable(r, strerror(errno), err);
    if (!await(r->fd, POLLOUT, interrupt))
        return unreachable(r, "it does not answer", err);
    getsockopt(r->fd, SOL_SOCKET, SO_ERROR, &os, &len);
    return os ? unreachable(r, strerror(os), err) : 0;
}

static int send_all(struct sl_rtsp *r, const char *text, size_t len, AVIOInterruptCB interrupt)
{
    while (len) {
        ssize_t n = send(r->fd, text, len, MSG_NOSIGNAL);

        if (n < 0 && errno == EAGAIN && await(r->fd, POLLOUT, interrupt))
            continue;
        if (n <= 0)
            return -1;
        text += n;
        len -= (size_t)n;
    }
    return 0;
}

/* Reads one answer's head (our requests have none with a body that matters). */
static int receive(struct sl_rtsp *r, char *text, size_t size, AVIOInterruptCB interrupt)
{
    size_t len = 0;
    const char *end = NULL;

    while (!end) {
        ssize_t n;

        if (len + 1 >= size)
            return -1;
        n = recv(r->fd, text + len, size - len - 1, 0);
        if (n < 0 && errno == EAGAIN && await(r->fd, POLLIN, interrupt))
            continue;
        if (n <= 0)
            return -1;
        len += (size_t)n;
        text[len] = 0;
        end = strstr(text, "\r\n\r\n");
    }
    return 0;
}

/* A head's value into `to`, up to `stop`; false: it is not there. */
static bool head(const char *answer, const char *name, const char *stop, char *to, size_t size)
{
    const char *at = strcasestr(answer, name);
    size_t n;

    if (!at)
        return false;
    at += strlen(name);
    at += strspn(at, " ");
    n = strcspn(at, stop);
    snprintf(to, size, "%.*s", (int)n, at);
    return true;
}

static int refused(const struct sl_rtsp *r, const char *method, int status, const char *answer,
                   const struct sl_facts *facts, struct sl_err *err)
{
    const char *words = strchr(answer + 9, ' ');
    char tracks[160];

    sl_facts_print(facts, tracks, sizeof(tracks));
    if (status == 400)
        return sl_err_set(err, SL_ERR_TRANSIENT, 0, "PublishRefused",
                          "MediaMTX at %s refused %s of %s: the path may expect other tracks, or "
                          "have another publisher",
                          r->url, method, tracks);
    return sl_err_set(err, SL_ERR_TRANSIENT, 0, "PublishRefused",
                      "MediaMTX at %s refused the publisher: %s failed: %d%.*s", r->url, method,
                      status, words ? (int)strcspn(words, "\r\n") : 0, words ? words : "");
}

/* One request, and once more with credentials if they are asked for. */
static int ask(struct sl_rtsp *r, const char *method, const char *url, const char *more,
               const char *body, const struct sl_facts *facts, AVIOInterruptCB interrupt,
               struct sl_err *err)
{
    for (int tries = 0;; tries++) {
        struct sl_buf text = {0};
        char answer[ANSWER_BYTES];
        int rc, status;

        if (*r->challenge) {
            sl_freep(&r->authorize);
            r->authorize = sl_rtsp_authorize(r->challenge, method, url, r->username, r->password);
        }
        sl_buf_printf(&text, "%s %s RTSP/1.0\r\nCSeq: %d\r\nUser-Agent: sluice\r\n", method, url,
                      ++r->cseq);
        if (r->authorize)
            sl_buf_puts(&text, r->authorize);
        if (*r->session)
            sl_buf_printf(&text, "Session: %s\r\n", r->session);
        sl_buf_printf(&text, "%sContent-Length: %zu\r\n\r\n%s", more, strlen(body), body);
        rc = send_all(r, text.data, text.len, interrupt);
        explicit_bzero(text.data, text.len);
        sl_buf_free(&text);
        if (rc < 0 || receive(r, answer, sizeof(answer), interrupt) < 0)
            return unreachable(r, "the connection was closed", err);
        if (sscanf(answer, "RTSP/1.0 %d", &status) != 1)
            return unreachable(r, "that is no RTSP server", err);
        if (status == 200) {
            (void)head(answer, "\r\nSession:", ";\r\n", r->session, sizeof(r->session));
            return 0;
        }
        if (status != 401 || tries || !*r->username ||
            !sl_rtsp_challenge(answer, r->challenge, sizeof(r->challenge)))
            return refused(r, method, status, answer, facts, err);
    }
}

static int collect(void *opaque, uint8_t *data, int size)
{
    const struct sl_rtsp_track *t = opaque;
    bool report = size > 1 && data[1] >= 192 && data[1] <= 223;
    const uint8_t frame[HEAD_BYTES] = {'$', (uint8_t)(t->channel + report), (uint8_t)(size >> 8),
                                       (uint8_t)size};

    sl_buf_add(&t->rtsp->out, frame, sizeof(frame));
    sl_buf_add(&t->rtsp->out, data, (size_t)size);
    return size;
}

/* RFC 3551 gives these a payload type of their own (some only at some rates: libavformat knows);
 * with another one the description says nothing of their clock. */
static bool has_own_type(enum AVCodecID codec)
{
    static const enum AVCodecID own[] = {
        AV_CODEC_ID_MP2,        AV_CODEC_ID_MP3,       AV_CODEC_ID_MPEG1VIDEO,
        AV_CODEC_ID_MPEG2VIDEO, AV_CODEC_ID_MJPEG,     AV_CODEC_ID_PCM_MULAW,
        AV_CODEC_ID_PCM_ALAW,   AV_CODEC_ID_PCM_S16BE, AV_CODEC_ID_ADPCM_G722};

    for (size_t i = 0; i < SL_COUNT(own); i++)
        if (own[i] == codec)
            return true;
    return false;
}

static int make_muxer(struct sl_rtsp *r, int i, const struct sl_out_track *track, int64_t zero)
{
    AVFormatContext *c;
    AVStream *s;
    AVDictionary *options = NULL;
    uint8_t *block = av_malloc(PACKET_BYTES);
    int rc = avformat_alloc_output_context2(&c, NULL, "rtp", NULL);

    if (rc < 0 || !block)
        abort();
    r->rtp[i] = c;
    r->track[i] = (struct sl_rtsp_track){.rtsp = r, .channel = i * 2};
    c->pb = avio_alloc_context(block, PACKET_BYTES, 1, &r->track[i], NULL, collect, NULL);
    s = avformat_new_stream(c, NULL);
    if (!c->pb || !s || avcodec_parameters_copy(s->codecpar, track->par) < 0)
        abort();
    c->pb->max_packet_size = PACKET_BYTES;
    c->strict_std_compliance = FF_COMPLIANCE_EXPERIMENTAL; /* VP9 */
    c->start_time_realtime = zero;
    c->avoid_negative_ts = AVFMT_AVOID_NEG_TS_DISABLED;
    s->time_base = track->time_base;
    if (!has_own_type(track->par->codec_id))
        av_dict_set_int(&options, "payload_type", 96 + i, 0);
    sl_bridge_forget();
    rc = avformat_write_header(c, &options);
    av_dict_free(&options);
    r->track[i].begun = rc >= 0;
    return rc;
}

static int announce(struct sl_rtsp *r, const struct sl_facts *facts, AVIOInterruptCB interrupt,
                    struct sl_err *err)
{
    char sdp[16384], more[128];

    if (av_sdp_create(r->rtp, r->count, sdp, sizeof(sdp)) < 0)
        return sl_err_set(err, SL_ERR_HUMAN, 0, "OutputFailed", "%s: no description of the tracks",
                          r->url);
    if (ask(r, "ANNOUNCE", r->url, "Content-Type: application/sdp\r\n", sdp, facts, interrupt,
            err) < 0)
        return -1;
    for (int i = 0; i < r->count; i++) {
        sl_autofree char *control = sl_asprintf("%s/streamid=%d", r->url, i);

        snprintf(more, sizeof(more),
                 "Transport: RTP/AVP/TCP;unicast;interleaved=%d-%d;mode=record\r\n", i * 2,
                 i * 2 + 1);
        if (ask(r, "SETUP", control, more, "", facts, interrupt, err) < 0)
            return -1;
    }
    return ask(r, "RECORD", r->url, "Range: npt=0.000-\r\n", "", facts, interrupt, err);
}

int sl_rtsp_open(struct sl_rtsp *r, const struct sl_pipeline *pipeline,
                 const struct sl_encspec *spec, AVIOInterruptCB interrupt, int64_t zero,
                 struct sl_err *err)
{
    int rc;

    *r = (struct sl_rtsp){.fd = -1, .url = sl_strdup(spec->publish.url)};
    r->username = spec->publish.username ? spec->publish.username : "";
    r->password = spec->publish.password ? spec->publish.password : "";
    rc = connect_to(r, interrupt, err);
    for (int i = 0; rc >= 0 && i < pipeline->count; i++) {
        r->count++;
        rc = make_muxer(r, i, &pipeline->out[i], zero);
        if (rc < 0)
            sl_err_set(err, SL_ERR_HUMAN, 0, "OutputFailed", "%s: %s", r->url,
                       *sl_bridge_last() ? sl_bridge_last() : sl_av_text(rc));
    }
    if (rc >= 0)
        rc = announce(r, &pipeline->facts, interrupt, err);
    if (rc < 0) {
        r->session[0] = 0; /* nothing to tear down */
        sl_rtsp_close(r);
        return -1;
    }
    return 0;
}

int sl_rtsp_write(struct sl_rtsp *r, int track, AVRational base, AVPacket *packet)
{
    AVFormatContext *c = r->rtp[track];
    int rc;

    packet->stream_index = 0;
    av_packet_rescale_ts(packet, base, c->streams[0]->time_base);
    rc = av_write_frame(c, packet);
    if (rc >= 0 && r->out.len - r->sent > BATCH_BYTES)
        rc = sl_rtsp_flush(r);
    return rc < 0 ? rc : 0;
}

int sl_rtsp_flush(struct sl_rtsp *r)
{
    while (r->sent < r->out.len) {
        ssize_t n = send(r->fd, r->out.data + r->sent, r->out.len - r->sent, MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno != EAGAIN)
            return AVERROR(errno);
        if (n < 0) {
            int64_t now = sl_now_mono();

            if (!r->blocked)
                r->blocked = now;
            if (now - r->blocked > STALL_MS || r->out.len - r->sent > BACKLOG_BYTES)
                return AVERROR(ETIMEDOUT);
            return 0;
        }
        r->blocked = 0;
        r->sent += (size_t)n;
    }
    r->out.len = r->sent = 0;
    r->blocked = 0;
    return 0;
}

int sl_rtsp_drain(struct sl_rtsp *r)
{
    char block[4096];
    ssize_t n;

    do {
        n = recv(r->fd, block, sizeof(block), MSG_DONTWAIT);
    } while (n > 0);
    if (n == 0)
        return AVERROR_EOF;
    return errno == EAGAIN || errno == EINTR ? 0 : AVERROR(errno);
}

void sl_rtsp_close(struct sl_rtsp *r)
{
    if (r->fd >= 0 && *r->session && r->sent == 0) { /* not into the middle of a packet */
        char text[ANSWER_BYTES];
        int n = snprintf(text, sizeof(text),
                         "TEARDOWN %s RTSP/1.0\r\nCSeq: %d\r\n%sSession: %s\r\n\r\n", r->url,
                         ++r->cseq, r->authorize ? r->authorize : "", r->session);

        if (sl_rtsp_flush(r) >= 0 && !r->blocked && n > 0 && (size_t)n < sizeof(text))
            (void)!send(r->fd, text, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT);
        explicit_bzero(text, sizeof(text));
    }
    sl_closep(&r->fd);
    r->fd = -1;
    for (int i = 0; i < r->count; i++) {
        AVFormatContext *c = r->rtp[i];

        if (r->track[i].begun)
            av_write_trailer(c); /* a last report: nobody reads it */
        if (c && c->pb) {
            av_freep(&c->pb->buffer);
            avio_context_free(&c->pb);
        }
        avformat_free_context(c);
    }
    if (r->authorize)
        explicit_bzero(r->authorize, strlen(r->authorize));
    free(r->authorize);
    free(r->url);
    sl_buf_free(&r->out);
    *r = (struct sl_rtsp){.fd = -1};
}
