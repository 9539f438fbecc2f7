/* SPDX-License-Identifier: GPL-2.0-or-later
 * Publishing. Layer: encoders.
 */
#include "encoders/publish.h"
#include "encoders/av_bridge.h"
#include "encoders/carry.h"
#include <ctype.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#define FDS_TO_LOOK_AT 64

/* Without it ANNOUNCE's head and body wait for each other: Nagle meets delayed ACK, 44 ms. */
void sl_publish_tune(struct sl_publish *p)
{
    if (p->tuned || p->file)
        return;
    for (int fd = 3; fd < FDS_TO_LOOK_AT; fd++) {
        int domain, type, on = 1;
        socklen_t len = sizeof(int);

        if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) < 0 ||
            (domain != AF_INET && domain != AF_INET6))
            continue;
        len = sizeof(int);
        if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0 || type != SOCK_STREAM)
            continue;
        if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == 0)
            p->tuned = true;
    }
}

static void escape(char *to, size_t size, const char *from)
{
    size_t n = 0;

    for (; *from && n + 4 < size; from++) {
        if (isalnum((unsigned char)*from) || strchr("-._~", *from))
            to[n++] = *from;
        else
            n += (size_t)snprintf(to + n, size - n, "%%%02X", (unsigned char)*from);
    }
    to[n] = 0;
}

/* The URL with its credentials: in memory only, wiped by the caller. */
static char *full_url(const struct sl_encspec *spec)
{
    const char *after = strstr(spec->publish.url, "://");
    char user[512], password[512];
    char *url;

    if (!after || !*spec->publish.username)
        return sl_strdup(spec->publish.url);
    escape(user, sizeof(user), spec->publish.username);
    escape(password, sizeof(password), spec->publish.password);
    sl_bridge_secret(password);
    url = sl_asprintf("%.*s%s:%s@%s", (int)(after + 3 - spec->publish.url), spec->publish.url, user,
                      password, after + 3);
    explicit_bzero(password, sizeof(password));
    return url;
}

static int refused(int rc, const char *url, const struct sl_facts *facts, struct sl_err *err)
{
    const char *said = sl_bridge_last();

    if (rc == AVERROR_HTTP_BAD_REQUEST || rc == AVERROR_HTTP_UNAUTHORIZED ||
        rc == AVERROR_HTTP_FORBIDDEN || rc == AVERROR_HTTP_NOT_FOUND ||
        rc == AVERROR_HTTP_OTHER_4XX || rc == AVERROR_HTTP_SERVER_ERROR)
        return sl_err_set(err, SL_ERR_TRANSIENT, 0, "PublishRefused",
                          "MediaMTX at %s refused the publisher: %s", url,
                          *said ? said : sl_av_text(rc));
    if (rc == AVERROR_INVALIDDATA) { /* libavformat says this when RECORD is refused */
        char tracks[160];

        sl_facts_print(facts, tracks, sizeof(tracks));
        return sl_err_set(err, SL_ERR_TRANSIENT, 0, "PublishRefused",
                          "MediaMTX at %s refused to record %s: the path may expect other tracks",
                          url, tracks);
    }
    return sl_err_set(err, SL_ERR_TRANSIENT, 0, "EngineUnreachable",
                      "MediaMTX at %s cannot be reached: %s", url, sl_av_text(rc));
}

static int add_streams(struct sl_publish *p, const struct sl_pipeline *pipeline)
{
    for (int i = 0; i < pipeline->count; i++) {
        AVStream *s = avformat_new_stream(p->out, NULL);

        if (!s || avcodec_parameters_copy(s->codecpar, pipeline->out[i].par) < 0)
            abort();
        s->time_base = pipeline->out[i].time_base;
        if (pipeline->out[i].media == SL_VIDEO)
            s->avg_frame_rate = pipeline->input->track[SL_VIDEO].rate;
    }
    return 0;
}

int sl_publish_open(struct sl_publish *p, const struct sl_pipeline *pipeline,
                    const struct sl_encspec *spec, AVIOInterruptCB interrupt, int64_t zero,
                    struct sl_err *err)
{
    AVDictionary *options = NULL;
    char *url = full_url(spec);
    int rc;

    p->file = strncmp(url, "rtsp", 4) != 0;
    p->wrote = p->tuned = false;
    rc = avformat_alloc_output_context2(&p->out, NULL, p->file ? NULL : "rtsp", url);
    if (rc < 0) {
        free(url);
        return sl_err_set(err, SL_ERR_HUMAN, 0, "OutputFailed", "%s: %s", spec->publish.url,
                          sl_av_text(rc));
    }
    p->out->interrupt_callback = interrupt;
    p->out->strict_std_compliance = FF_COMPLIANCE_EXPERIMENTAL; /* VP9 over RTSP */
    if (!p->packet)
        p->packet = av_packet_alloc();
    if (!p->packet)
        abort();
    for (int i = 0; i < SL_TRACKS_MAX; i++)
        p->last_dts[i] = INT64_MIN;
    add_streams(p, pipeline);
    sl_bridge_forget();
    if (p->file) {
        rc = avio_open2(&p->out->pb, url, AVIO_FLAG_WRITE, &interrupt, NULL);
    } else {
        p->out->avoid_negative_ts = AVFMT_AVOID_NEG_TS_DISABLED;
        p->out->start_time_realtime = zero;
        av_dict_set(&options, "rtsp_transport", "tcp", 0);
        av_dict_set(&options, "pkt_size", "1440", 0);
    }
    if (rc >= 0)
        rc = avformat_write_header(p->out, &options);
    av_dict_free(&options);
    explicit_bzero(url, strlen(url));
    free(url);
    if (rc >= 0)
        return 0;
    if (p->file)
        avio_closep(&p->out->pb);
    avformat_free_context(p->out);
    p->out = NULL;
    if (p->file)
        return sl_err_set(err, SL_ERR_HUMAN, 0, "OutputFailed", "%s: %s", spec->publish.url,
                          *sl_bridge_last() ? sl_bridge_last() : sl_av_text(rc));
    return refused(rc, spec->publish.url, &pipeline->facts, err);
}

int sl_publish_write(struct sl_publish *p, const struct sl_out_track *t, const AVPacket *packet)
{
    AVStream *s = p->out->streams[t->index];
    int rc = av_packet_ref(p->packet, packet);

    if (rc < 0)
        return rc;
    p->packet->stream_index = t->index;
    av_packet_rescale_ts(p->packet, t->time_base, s->time_base);
    if (p->packet->dts <= p->last_dts[t->index]) { /* two ticks rounded into one */
        p->packet->dts = p->last_dts[t->index] + 1;
        if (p->packet->pts < p->packet->dts)
            p->packet->pts = p->packet->dts;
    }
    p->last_dts[t->index] = p->packet->dts;
    rc =
        p->file ? av_interleaved_write_frame(p->out, p->packet) : av_write_frame(p->out, p->packet);
    av_packet_unref(p->packet);
    if (rc >= 0)
        p->wrote = true;
    return rc < 0 ? rc : 0;
}

void sl_publish_close(struct sl_publish *p)
{
    if (p->out) {
        av_write_trailer(p->out); /* also closes the sockets, which nothing else does */
        if (p->file)
            avio_closep(&p->out->pb);
        avformat_free_context(p->out);
        p->out = NULL;
    }
    av_packet_free(&p->packet);
}
