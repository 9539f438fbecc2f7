/* SPDX-License-Identifier: GPL-2.0-or-later
 * Publishing. Layer: encoders.
 */
#include "encoders/publish.h"
#include "encoders/av_bridge.h"
#include <ctype.h>

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

static int open_libav(struct sl_publish *p, const struct sl_pipeline *pipeline,
                      const struct sl_encspec *spec, AVIOInterruptCB interrupt, int64_t zero,
                      struct sl_err *err)
{
    AVDictionary *options = NULL;
    char *url = full_url(spec);
    bool rtsps = strncmp(url, "rtsps:", 6) == 0;
    int rc = avformat_alloc_output_context2(&p->out, NULL, rtsps ? "rtsp" : NULL, url);

    if (rc < 0) {
        free(url);
        return sl_err_set(err, SL_ERR_HUMAN, 0, "OutputFailed", "%s: %s", spec->publish.url,
                          sl_av_text(rc));
    }
    p->out->interrupt_callback = interrupt;
    p->out->strict_std_compliance = FF_COMPLIANCE_EXPERIMENTAL; /* VP9 over RTSP */
    add_streams(p, pipeline);
    sl_bridge_forget();
    if (rtsps) {
        p->out->avoid_negative_ts = AVFMT_AVOID_NEG_TS_DISABLED;
        p->out->start_time_realtime = zero;
        av_dict_set(&options, "rtsp_transport", "tcp", 0);
        av_dict_set(&options, "pkt_size", "1440", 0);
    } else {
        rc = avio_open2(&p->out->pb, url, AVIO_FLAG_WRITE, &interrupt, NULL);
    }
    if (rc >= 0)
        rc = avformat_write_header(p->out, &options);
    av_dict_free(&options);
    explicit_bzero(url, strlen(url));
    free(url);
    if (rc >= 0)
        return 0;
    if (!rtsps)
        avio_closep(&p->out->pb);
    avformat_free_context(p->out);
    p->out = NULL;
    if (!rtsps)
        return sl_err_set(err, SL_ERR_HUMAN, 0, "OutputFailed", "%s: %s", spec->publish.url,
                          *sl_bridge_last() ? sl_bridge_last() : sl_av_text(rc));
    return refused(rc, spec->publish.url, &pipeline->facts, err);
}

int sl_publish_open(struct sl_publish *p, const struct sl_pipeline *pipeline,
                    const struct sl_encspec *spec, AVIOInterruptCB interrupt, int64_t zero,
                    struct sl_err *err)
{
    bool ours = strncmp(spec->publish.url, "rtsp:", 5) == 0;
    int rc;

    if (!p->packet)
        p->packet = av_packet_alloc();
    if (!p->packet)
        abort();
    for (int i = 0; i < SL_TRACKS_MAX; i++)
        p->last_dts[i] = INT64_MIN;
    rc = ours ? sl_rtsp_open(&p->rtsp, pipeline, spec, interrupt, zero, err)
              : open_libav(p, pipeline, spec, interrupt, zero, err);
    p->open = rc >= 0;
    p->file = p->open && p->out && !(p->out->oformat->flags & AVFMT_NOFILE);
    return rc;
}

int sl_publish_write(struct sl_publish *p, const struct sl_out_track *t, const AVPacket *packet)
{
    AVRational base = p->out ? p->out->streams[t->index]->time_base
                             : p->rtsp.rtp[t->index]->streams[0]->time_base;
    int rc = av_packet_ref(p->packet, packet);

    if (rc < 0)
        return rc;
    av_packet_rescale_ts(p->packet, t->time_base, base);
    if (p->packet->dts <= p->last_dts[t->index]) { /* two ticks rounded into one */
        p->packet->dts = p->last_dts[t->index] + 1;
        if (p->packet->pts < p->packet->dts)
            p->packet->pts = p->packet->dts;
    }
    p->last_dts[t->index] = p->packet->dts;
    if (p->out) {
        p->packet->stream_index = t->index;
        rc = p->file ? av_interleaved_write_frame(p->out, p->packet)
                     : av_write_frame(p->out, p->packet);
    } else {
        rc = sl_rtsp_write(&p->rtsp, t->index, base, p->packet);
    }
    av_packet_unref(p->packet);
    return rc < 0 ? rc : 0;
}

int sl_publish_flush(struct sl_publish *p)
{
    return p->open && !p->out ? sl_rtsp_flush(&p->rtsp) : 0;
}

int sl_publish_fd(const struct sl_publish *p)
{
    return p->open && !p->out ? p->rtsp.fd : -1;
}

int sl_publish_listen(struct sl_publish *p)
{
    return p->open && !p->out ? sl_rtsp_drain(&p->rtsp) : 0;
}

int64_t sl_publish_blocked(const struct sl_publish *p)
{
    return p->open && !p->out ? p->rtsp.blocked : 0;
}

void sl_publish_close(struct sl_publish *p)
{
    if (p->out) {
        av_write_trailer(p->out); /* also closes the sockets, which nothing else does */
        if (p->file)
            avio_closep(&p->out->pb);
        avformat_free_context(p->out);
        p->out = NULL;
    } else if (p->open) {
        sl_rtsp_close(&p->rtsp);
    }
    p->open = p->file = false;
    av_packet_free(&p->packet);
}
