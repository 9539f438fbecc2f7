/* SPDX-License-Identifier: GPL-2.0-or-later
 * The status as Prometheus text (exposition format 0.0.4). No URL, message or pid as a label.
 * Layer: web.
 */
#include "reconcile/web/web_impl.h"

static void head(struct sl_buf *out, const char *name, const char *type, const char *help)
{
    sl_buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void label(struct sl_buf *out, const char *s)
{
    for (; s && *s; s++) {
        if (*s == '\\' || *s == '"')
            sl_buf_puts(out, "\\");
        if (*s == '\n')
            sl_buf_puts(out, "\\n");
        else
            sl_buf_add(out, s, 1);
    }
}

enum per_stream { READY, READERS, BITRATE, FRAMES, RESTARTS, BACKOFF, PER_STREAM_COUNT };

static const struct {
    const char *name, *type, *help;
} per_stream[PER_STREAM_COUNT] = {
    [READY] = {"sluice_stream_ready", "gauge", "1 when the stream flows as declared."},
    [READERS] = {"sluice_stream_readers", "gauge", "Viewers of the stream."},
    [BITRATE] = {"sluice_stream_bitrate_bits_per_second", "gauge", "Bitrate as published."},
    [FRAMES] = {"sluice_stream_frames_total", "counter", "Frames published by its encoder."},
    [RESTARTS] = {"sluice_stream_restarts_total", "counter", "Encoders that ended unasked."},
    [BACKOFF] = {"sluice_stream_backoff_seconds", "gauge", "Time until the next attempt."},
};

static double value(const struct sl_status *st, const struct sl_status_stream *s, enum per_stream k)
{
    const struct sl_seen_encoder *e = s->encoder && s->encoder->stats_known ? s->encoder : NULL;

    switch (k) {
    case READY:
        return s->cond[SL_COND_READY].status == SL_TRUE;
    case READERS:
        return s->path ? s->path->readers : 0;
    case BITRATE:
        return s->path && s->path->bitrate_in ? (double)s->path->bitrate_in
               : e                            ? (double)e->stats.bitrate
                                              : 0;
    case FRAMES:
        return e ? (double)e->stats.frames : 0;
    case RESTARTS:
        return s->past ? (double)s->past->restarts : 0;
    case BACKOFF:
        return s->next_attempt_wall > st->wall ? (double)(s->next_attempt_wall - st->wall) / 1e3
                                               : 0;
    case PER_STREAM_COUNT:
        break;
    }
    return 0;
}

static void single(struct sl_buf *out, const char *name, const char *help, double v)
{
    head(out, name, "gauge", help);
    sl_buf_printf(out, "%s %.15g\n", name, v);
}

void web_metrics(const struct sl_status *st, struct sl_buf *out)
{
    size_t by_health[SL_HEALTH_COUNT] = {0};

    if (!st)
        return;
    head(out, "sluice_build_info", "gauge", "Version of this daemon.");
    sl_buf_puts(out, "sluice_build_info{version=\"");
    label(out, st->version);
    sl_buf_puts(out, "\"} 1\n");
    head(out, "sluice_config_revision_info", "gauge", "Revision of the manifests as applied.");
    sl_buf_puts(out, "sluice_config_revision_info{revision=\"");
    label(out, st->source.last_applied);
    sl_buf_puts(out, "\"} 1\n");
    single(out, "sluice_config_last_reload_successful",
           "1 when every file of the last snapshot was accepted.", st->sum.rejected_files == 0);
    head(out, "sluice_config_files", "gauge", "Manifest files by state.");
    sl_buf_printf(out, "sluice_config_files{state=\"valid\"} %zu\n",
                  st->files_count - st->sum.rejected_files);
    sl_buf_printf(out, "sluice_config_files{state=\"invalid\"} %zu\n", st->sum.rejected_files);
    for (size_t i = 0; i < st->streams_count; i++) {
        if ((unsigned)st->streams[i].health < SL_HEALTH_COUNT)
            by_health[st->streams[i].health]++;
    }
    head(out, "sluice_streams", "gauge", "Streams by health.");
    for (int i = 0; i < SL_HEALTH_COUNT; i++)
        sl_buf_printf(out, "sluice_streams{health=\"%s\"} %zu\n", sl_health_name((enum sl_health)i),
                      by_health[i]);
    for (int k = 0; k < PER_STREAM_COUNT; k++) {
        head(out, per_stream[k].name, per_stream[k].type, per_stream[k].help);
        for (size_t i = 0; i < st->streams_count; i++) {
            sl_buf_printf(out, "%s{stream=\"", per_stream[k].name);
            label(out, st->streams[i].name);
            sl_buf_printf(out, "\"} %.15g\n", value(st, &st->streams[i], (enum per_stream)k));
        }
    }
    head(out, "sluice_stream_readers_by_protocol", "gauge", "Viewers of the stream by protocol.");
    for (size_t i = 0; i < st->streams_count; i++) {
        const struct sl_status_stream *s = &st->streams[i];

        for (int k = 0; k < 5; k++) {
            sl_buf_puts(out, "sluice_stream_readers_by_protocol{stream=\"");
            label(out, s->name);
            sl_buf_printf(out, "\",protocol=\"%s\"} %d\n", web_protocols[k],
                          s->path ? s->path->readers_by[k] : 0);
        }
    }
    single(out, "sluice_deletions_held", "Deletions held by the guard.",
           (double)st->sum.held_deletes);
    single(out, "sluice_engine_up", "1 when MediaMTX answers.", st->observed.engine.reachable);
    single(out, "sluice_encoder_host_up", "1 when the encoder host answers.", st->observed.host_up);
}
