/* SPDX-License-Identifier: GPL-2.0-or-later
 * One stream's own page: where it plays and why not, how to publish it, its conditions. Layer: web.
 */
#include "reconcile/web/web_impl.h"

static const char *const protocols[5] = {"RTSP", "RTMP", "HLS", "WebRTC", "SRT"};

static void source_text(const struct sl_seen_path *path, struct sl_buf *out)
{
    if (path->source_type[0]) {
        sl_buf_puts(out, "<p>To <code>");
        web_escape(out, path->name);
        sl_buf_puts(out, "</code> it comes by ");
        web_element(out, "code", NULL, path->source_type);
        sl_buf_puts(out, "</p>");
    }
    if (path->source_error[0]) {
        sl_buf_puts(out, "<p>MediaMTX says: ");
        web_message_text(out, path->source_error);
        sl_buf_puts(out, "</p>");
    }
}

static void path_text(const struct sl_status_stream *s, struct sl_buf *out)
{
    const struct sl_facts *tracks = s->path && s->path->tracks.count ? &s->path->tracks
                                    : s->past                        ? &s->past->facts
                                                                     : NULL;
    char text[256];

    if (tracks && tracks->count) {
        sl_facts_print(tracks, text, sizeof(text));
        sl_buf_puts(out, "<p>Tracks: ");
        web_escape(out, text);
        sl_buf_puts(out, "</p>");
    }
    if (s->ingest)
        source_text(s->ingest, out);
    if (!s->path)
        return;
    sl_buf_puts(out, "<p>Viewers: ");
    web_viewers(s->path, out);
    sl_buf_puts(out, "</p>");
    source_text(s->path, out);
}

bool web_stream_fragment(const struct sl_status *st, const char *name, struct sl_buf *out)
{
    static const char *const tri[] = {"False", "True", "Unknown"};
    const struct sl_status_stream *s = NULL;

    for (size_t i = 0; st && i < st->streams_count && !s; i++) {
        if (strcmp(st->streams[i].name, name) == 0)
            s = &st->streams[i];
    }
    if (!s)
        return false;
    sl_buf_puts(out, "<p><a href=\"/\">All streams</a></p><h2>");
    web_name(out, s->name);
    sl_buf_puts(out, "</h2><p>");
    web_health_cell(s, out);
    sl_buf_puts(out, " ");
    web_reason_cell(s, out);
    sl_buf_puts(out, "</p><p>Source: ");
    web_source_cell(s, out);
    if (s->desired) {
        sl_buf_puts(out, "</p><p>Declared in <code>");
        web_escape(out, s->desired->accepted->file);
        sl_buf_printf(out, ":%d</code>, generation %llu</p>", s->desired->accepted->line,
                      (unsigned long long)s->desired->accepted->generation);
    } else {
        sl_buf_puts(out, "</p>");
    }
    if (s->encoder) {
        const struct sl_record *r = &s->encoder->record;

        sl_buf_printf(out, "<p>Encoder %s%s, pid %d, since ", sl_enc_state_name(r->state),
                      s->encoder->alive ? "" : " (ended)", r->pid);
        web_time(out, r->since);
        if (r->message[0]) {
            sl_buf_puts(out, ": ");
            web_message_text(out, r->message);
        }
        sl_buf_puts(out, "</p>");
    }
    path_text(s, out);
    if (s->desired && s->desired->spec && s->desired->spec->source.publish) {
        sl_buf_puts(out, "<h2>Publish</h2>");
        web_publish_table(s, out);
    }
    sl_buf_puts(out, "<h2>Watch</h2><table><tbody>");
    for (int i = 0; i < 5; i++) {
        sl_buf_printf(out, "<tr><td data-label=\"Protocol\">%s</td><td data-label=\"URL\"><code>",
                      protocols[i]);
        web_escape(out, s->urls[i].url ? s->urls[i].url : "off");
        sl_buf_puts(out, "</code></td><td data-label=\"Plays\"><span>");
        web_escape(out, !s->urls[i].url ? "" : s->urls[i].plays ? "plays " : "does not play: ");
        web_escape(out, s->urls[i].why);
        sl_buf_puts(out, "</span></td></tr>");
    }
    sl_buf_puts(out, "</tbody></table><h2>Conditions</h2><table><tbody>");
    for (int i = 0; i < SL_COND_COUNT; i++) {
        const struct sl_condition *c = &s->cond[i];

        sl_buf_printf(out, "<tr><td data-label=\"Type\">%s</td><td data-label=\"Status\">%s</td>",
                      sl_cond_name((enum sl_cond_type)i), tri[c->status]);
        sl_buf_puts(out, "<td data-label=\"Reason\"><span>");
        web_escape(out, c->reason);
        sl_buf_puts(out, " ");
        sl_buf_puts(out, "<span class=\"dim\">");
        web_message_text(out, c->message);
        sl_buf_puts(out, "</span>");
        sl_buf_puts(out, "</span></td><td data-label=\"Since (UTC)\">");
        web_time(out, c->since);
        sl_buf_puts(out, "</td></tr>");
    }
    sl_buf_puts(out, "</tbody></table>");
    return true;
}
