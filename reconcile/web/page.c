/* SPDX-License-Identifier: GPL-2.0-or-later
 * The page as HTML, rendered from the published status: one line of truth, the streams, what was
 * rejected, what is held. Everything from outside goes through web_escape. Layer: web.
 */
#include "reconcile/web/web_impl.h"

static const char *const shapes[SL_HEALTH_COUNT] = {
    [SL_HEALTHY] = "●",   [SL_PROGRESSING] = "◐", [SL_DEGRADED] = "▲",
    [SL_SUSPENDED] = "○", [SL_MISSING] = "✕",     [SL_HEALTH_UNKNOWN] = "?"};
static const char *const protocols[5] = {"RTSP", "RTMP", "HLS", "WebRTC", "SRT"};

void web_escape(struct sl_buf *out, const char *s)
{
    for (; s && *s; s++) {
        switch (*s) {
        case '<':
            sl_buf_puts(out, "&lt;");
            break;
        case '>':
            sl_buf_puts(out, "&gt;");
            break;
        case '&':
            sl_buf_puts(out, "&amp;");
            break;
        case '"':
            sl_buf_puts(out, "&quot;");
            break;
        case '\'':
            sl_buf_puts(out, "&#39;");
            break;
        default:
            if ((unsigned char)*s >= 0x20 || *s == '\t' || *s == '\n')
                sl_buf_add(out, s, 1);
        }
    }
}

static void element(struct sl_buf *out, const char *tag, const char *class, const char *text)
{
    if (class)
        sl_buf_printf(out, "<%s class=\"%s\">", tag, class);
    else
        sl_buf_printf(out, "<%s>", tag);
    web_escape(out, text);
    sl_buf_printf(out, "</%s>", tag);
}

static void time_text(struct sl_buf *out, int64_t wall)
{
    char buf[32];

    if (wall <= 0) {
        sl_buf_puts(out, "–");
        return;
    }
    sl_time_rfc3339(wall, buf);
    sl_buf_printf(out, "<time datetime=\"%s\">%.10s %.8s</time>", buf, buf, buf + 11);
}

static void bitrate_text(struct sl_buf *out, uint64_t bits)
{
    if (bits == 0)
        sl_buf_puts(out, "–");
    else if (bits < 1000000)
        sl_buf_printf(out, "%.0f kbit/s", (double)bits / 1e3);
    else
        sl_buf_printf(out, "%.2f Mbit/s", (double)bits / 1e6);
}

static void lack(struct sl_buf *out, size_t n, const char *one, const char *many)
{
    if (n)
        sl_buf_printf(out, "%s%zu %s", out->len ? ", " : "", n, n == 1 ? one : many);
}

/* The one line: which revision, and whether the world is as it says, or what is missing. */
static void truth(const struct sl_status *st, struct sl_buf *out)
{
    const struct sl_seen_engine *engine = &st->observed.engine;
    struct sl_buf missing = {0};
    const char *revision =
        st->source.revision && *st->source.revision ? st->source.revision : "not known yet";

    lack(&missing, st->streams_count - st->sum.settled, "stream is not settled",
         "streams are not settled");
    lack(&missing, st->sum.rejected_files, "file is rejected", "files are rejected");
    lack(&missing, st->sum.held_deletes, "deletion is held", "deletions are held");
    if (!engine->reachable)
        sl_buf_printf(&missing, "%sMediaMTX is not reachable", missing.len ? ", " : "");
    if (!st->observed.host_up)
        sl_buf_printf(&missing, "%sthe encoder host is down", missing.len ? ", " : "");
    sl_buf_printf(out, "<section class=\"truth%s\" id=\"truth\"><p>Revision <code>",
                  missing.len == 0                               ? ""
                  : st->sum.rejected_files || !engine->reachable ? " bad"
                                                                 : " not");
    if (strlen(revision) > 20 && strspn(revision, "0123456789abcdef") == strlen(revision)) {
        char brief[13];

        snprintf(brief, sizeof(brief), "%.12s", revision);
        web_escape(out, brief);
    } else {
        web_escape(out, revision);
    }
    sl_buf_puts(out, "</code>");
    if (st->source.ref && *st->source.ref) {
        sl_buf_puts(out, " on ");
        web_escape(out, st->source.ref);
    }
    if (missing.len == 0)
        sl_buf_printf(out, ": converged. All %zu streams are as the manifests say.</p>",
                      st->streams_count);
    else
        sl_buf_printf(out, ": not converged: %s.</p>", missing.data);
    sl_buf_free(&missing);
    if (!engine->reachable && engine->error[0]) {
        sl_buf_puts(out, "<p>MediaMTX: ");
        web_escape(out, engine->error);
        sl_buf_puts(out, "</p>");
    } else if (engine->reachable) {
        sl_buf_puts(out, "<p class=\"dim\">MediaMTX ");
        web_escape(out, engine->version);
        sl_buf_printf(out, " · %zu ready of %zu · %d viewers · ", st->sum.ready, st->streams_count,
                      st->sum.readers);
        bitrate_text(out, st->sum.bitrate);
        sl_buf_puts(out, " in all</p>");
    }
    if (!st->observed.host_up && st->observed.host_error && *st->observed.host_error)
        element(out, "p", NULL, st->observed.host_error);
    if (st->source.warning && *st->source.warning)
        element(out, "p", "dim", st->source.warning);
    sl_buf_puts(out, "</section>");
}

/* Only schemes that we make ourselves may become links. */
static bool link_ok(const char *url)
{
    static const char *const schemes[] = {"rtsp://", "rtsps://", "rtmp://", "rtmps://",
                                          "http://", "https://", "srt://"};

    for (size_t i = 0; i < SL_COUNT(schemes); i++) {
        if (strncmp(url, schemes[i], strlen(schemes[i])) == 0)
            return true;
    }
    return false;
}

static void links(const struct sl_status_stream *s, struct sl_buf *out)
{
    for (int i = 0; i < 5; i++) {
        const char *url = s->urls[i].url, *why = s->urls[i].why ? s->urls[i].why : "";

        if (!url)
            continue;
        if (s->urls[i].plays && link_ok(url)) {
            sl_buf_puts(out, "<a href=\"");
            web_escape(out, url);
            sl_buf_puts(out, "\"");
        } else {
            sl_buf_puts(out, "<span");
        }
        if (*why) {
            sl_buf_puts(out, " title=\"");
            web_escape(out, why);
            sl_buf_puts(out, "\"");
        }
        sl_buf_printf(out, ">%s</%s> ", protocols[i],
                      s->urls[i].plays && link_ok(url) ? "a" : "span");
    }
}

static void name_link(struct sl_buf *out, const char *name)
{
    sl_buf_puts(out, "<a href=\"/streams/");
    for (const char *p = name; *p; p++) {
        /* names are [A-Za-z0-9_.-/] (decisions 16); an orphan's may be anything */
        if (strchr("/_.-", *p) || (*p >= '0' && *p <= '9') ||
            ((*p | 32) >= 'a' && (*p | 32) <= 'z'))
            sl_buf_add(out, p, 1);
        else
            sl_buf_printf(out, "%%%02X", (unsigned char)*p);
    }
    sl_buf_puts(out, "\">");
    web_escape(out, name);
    sl_buf_puts(out, "</a>");
}

static void reason_cell(const struct sl_status_stream *s, struct sl_buf *out)
{
    const struct sl_condition *ready = &s->cond[SL_COND_READY];
    const struct sl_condition *accepted = &s->cond[SL_COND_ACCEPTED];

    element(out, "b", NULL, ready->reason ? ready->reason : "");
    if (ready->message && *ready->message) {
        sl_buf_puts(out, " ");
        element(out, "span", "dim", ready->message);
    }
    if (ready->status == SL_TRUE && accepted->status == SL_FALSE) {
        sl_buf_puts(out, " <span class=\"dim\">runs its last accepted version; its file has "
                         "errors</span>");
    }
    if (s->cond[SL_COND_STALLED].status == SL_TRUE)
        sl_buf_puts(out, " <b class=\"Degraded\">Stalled</b>");
    if (s->next_attempt_wall > 0) {
        sl_buf_puts(out, " <span class=\"dim\">next attempt ");
        time_text(out, s->next_attempt_wall);
        sl_buf_puts(out, "</span>");
    }
}

static void health_cell(const struct sl_status_stream *s, struct sl_buf *out)
{
    const char *name = sl_health_name(s->health);

    sl_buf_printf(out, "<span class=\"health %s\"><span aria-hidden=\"true\">%s</span> %s</span>",
                  name, (unsigned)s->health < SL_HEALTH_COUNT ? shapes[s->health] : "?", name);
}

static void source_cell(const struct sl_status_stream *s, struct sl_buf *out)
{
    const struct sl_stream_spec *spec = s->desired ? s->desired->spec : NULL;

    if (spec && spec->source.file) {
        sl_buf_puts(out, "file ");
        element(out, "code", NULL, spec->source.file->path);
    } else {
        sl_buf_puts(out, spec && spec->source.test ? "test picture" : s->desired ? "?" : "orphan");
    }
}

static uint64_t bitrate_of(const struct sl_status_stream *s)
{
    if (s->path && s->path->bitrate_in)
        return s->path->bitrate_in;
    return s->encoder && s->encoder->stats_known ? s->encoder->stats.bitrate : 0;
}

static void row(const struct sl_status_stream *s, struct sl_buf *out)
{
    const struct sl_seen_encoder *e = s->encoder;

    sl_buf_puts(out, "<tr data-stream=\"");
    web_escape(out, s->name);
    sl_buf_printf(out, "\" data-health=\"%s\"><td data-label=\"Stream\">",
                  sl_health_name(s->health));
    name_link(out, s->name);
    sl_buf_puts(out, "</td><td data-label=\"Health\">");
    health_cell(s, out);
    sl_buf_puts(out, "</td><td data-label=\"Reason\"><span>");
    reason_cell(s, out);
    sl_buf_puts(out, "</span></td><td data-label=\"Source\"><span>");
    source_cell(s, out);
    sl_buf_puts(out, "</span></td><td data-label=\"Codec\">");
    web_escape(out, e && e->record.codec[0] ? e->record.codec : "–");
    sl_buf_puts(out, "</td><td data-label=\"FPS\" class=\"num\">");
    if (e && e->stats_known && e->alive)
        sl_buf_printf(out, "%.1f", e->stats.fps_milli / 1000.0);
    else
        sl_buf_puts(out, "–");
    sl_buf_printf(out, "</td><td data-label=\"Viewers\" class=\"num\">%d</td>",
                  s->path ? s->path->readers : 0);
    sl_buf_puts(out, "<td data-label=\"Bitrate\" class=\"num\">");
    bitrate_text(out, bitrate_of(s));
    sl_buf_printf(out, "</td><td data-label=\"Restarts\" class=\"num\">%llu</td>",
                  (unsigned long long)(s->past ? s->past->restarts : 0));
    sl_buf_puts(out, "<td data-label=\"Since (UTC)\">");
    time_text(out, s->cond[SL_COND_READY].since);
    sl_buf_puts(out, "</td><td data-label=\"Watch\"><span class=\"watch\">");
    links(s, out);
    sl_buf_puts(out, "</span></td></tr>\n");
}

/* The source line with a caret under what is wrong; columns count characters (libyaml's marks). */
static void excerpt(const struct sl_diag *d, struct sl_buf *out)
{
    sl_autofree char *line = web_excerpt(d->excerpt);
    const char *p = line;
    int column = 1, width = d->width > 0 ? d->width : 1;

    if (!line || !*line)
        return;
    sl_buf_puts(out, "<pre>");
    web_escape(out, line);
    sl_buf_puts(out, "\n<b>");
    for (; *p && column < d->place.column; p++) {
        if (((unsigned char)*p & 0xc0) == 0x80)
            continue;
        sl_buf_puts(out, *p == '\t' ? "\t" : " ");
        column++;
    }
    for (int i = 0; i < width && i < 200 && (i == 0 || *p); i++) {
        sl_buf_puts(out, "^");
        for (p += *p != 0; ((unsigned char)*p & 0xc0) == 0x80; p++)
            ;
    }
    sl_buf_puts(out, "</b></pre>");
}

static void rejected(const struct sl_status *st, struct sl_buf *out)
{
    if (st->sum.rejected_files == 0)
        return;
    sl_buf_puts(out, "<section id=\"rejected\"><h2>Rejected files</h2>\n");
    for (size_t i = 0; i < st->files_count; i++) {
        const struct sl_status_file *f = &st->files[i];

        if (f->valid)
            continue;
        sl_buf_puts(out, "<div class=\"file\"><p><code>");
        web_escape(out, f->path);
        sl_buf_puts(out, "</code>");
        for (size_t k = 0; k < f->objects_count; k++) {
            sl_buf_puts(out, k ? ", " : " <span class=\"dim\">holds ");
            web_escape(out, f->objects[k]);
        }
        sl_buf_puts(out,
                    f->objects_count ? "; the last accepted version stays</span></p>" : "</p>");
        for (size_t k = 0; k < f->diags_count; k++) {
            const struct sl_diag *d = &f->diags[k];

            sl_buf_printf(out, "<p>%d:%d <b>", d->place.line, d->place.column);
            web_escape(out, d->code);
            sl_buf_puts(out, "</b> ");
            web_escape(out, d->message);
            sl_buf_puts(out, "</p>");
            excerpt(d, out);
            if (d->hint) {
                sl_buf_puts(out, "<p class=\"dim\">Hint: ");
                web_escape(out, d->hint);
                sl_buf_puts(out, "</p>");
            }
        }
        sl_buf_puts(out, "</div>\n");
    }
    sl_buf_puts(out, "</section>\n");
}

static void held(const struct sl_status *st, struct sl_buf *out)
{
    if (st->sum.held_deletes == 0)
        return;
    sl_buf_printf(out,
                  "<section id=\"held\"><h2>Held deletions</h2><div class=\"file\"><p>%zu "
                  "deletions are held, because so many at once look like an accident.</p>",
                  st->sum.held_deletes);
    if (st->plan.id[0]) {
        sl_buf_puts(out, "<p>To let them happen, commit <code>deletion: {approve: [");
        web_escape(out, st->plan.id);
        sl_buf_puts(out, "]}</code> in a <code>kind: Config</code> manifest.</p>");
    }
    sl_buf_puts(out, "<ul>");
    for (size_t i = 0; i < st->plan.changes_count; i++) {
        const struct sl_planned *p = &st->plan.changes[i];

        if (p->change != SL_CHANGE_HELD)
            continue;
        sl_buf_puts(out, "<li><code>");
        web_escape(out, p->stream);
        sl_buf_puts(out, "</code> ");
        web_escape(out, p->reason);
        sl_buf_printf(out, " <span class=\"dim\">(%d viewers)</span></li>", p->viewers);
    }
    sl_buf_puts(out, "</ul></div></section>\n");
}

void web_fragment(const struct sl_status *st, struct sl_buf *out)
{
    static const char *const heads[] = {"Health", "Reason", "Source", "Codec"};

    if (!st) {
        sl_buf_puts(out, "<section class=\"truth not\" id=\"truth\"><p>Sluice is starting: no "
                         "snapshot of the manifests was applied yet.</p></section>");
        return;
    }
    truth(st, out);
    held(st, out);
    rejected(st, out);
    sl_buf_puts(out, "<section id=\"streams\"><h2>Streams</h2>\n");
    if (st->streams_count == 0) {
        sl_buf_puts(out, "<p>No stream is declared in <code>");
        web_escape(out, st->source.path);
        sl_buf_puts(out, "</code>. Add a manifest there.</p></section>");
        return;
    }
    sl_buf_puts(out, "<table><thead><tr><th scope=\"col\">Stream</th>");
    for (size_t i = 0; i < SL_COUNT(heads); i++)
        sl_buf_printf(out, "<th scope=\"col\">%s</th>", heads[i]);
    sl_buf_puts(out, "<th scope=\"col\" class=\"num\">FPS</th><th scope=\"col\" class=\"num\">"
                     "Viewers</th><th scope=\"col\" class=\"num\">Bitrate</th><th scope=\"col\" "
                     "class=\"num\">Restarts</th><th scope=\"col\">Since (UTC)</th>"
                     "<th scope=\"col\">Watch</th></tr></thead><tbody>\n");
    for (size_t i = 0; i < st->streams_count; i++)
        row(&st->streams[i], out);
    sl_buf_puts(out, "</tbody></table></section>\n");
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
    web_escape(out, s->name);
    sl_buf_puts(out, "</h2><p>");
    health_cell(s, out);
    sl_buf_puts(out, " ");
    reason_cell(s, out);
    sl_buf_puts(out, "</p><p>Source: ");
    source_cell(s, out);
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
        time_text(out, r->since);
        if (r->message[0]) {
            sl_buf_puts(out, ": ");
            web_escape(out, r->message);
        }
        sl_buf_puts(out, "</p>");
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
        element(out, "span", "dim", c->message);
        sl_buf_puts(out, "</span></td><td data-label=\"Since (UTC)\">");
        time_text(out, c->since);
        sl_buf_puts(out, "</td></tr>");
    }
    sl_buf_puts(out, "</tbody></table>");
    return true;
}

void web_page(const struct sl_status *st, const char *title, const char *from, const char *fragment,
              struct sl_buf *out)
{
    sl_buf_puts(out, "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
                     "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
                     "<title>");
    web_escape(out, title);
    sl_buf_puts(out, "</title>\n<link rel=\"icon\" href=\"/static/icon.svg\">\n"
                     "<link rel=\"stylesheet\" href=\"/static/page.css\">\n"
                     "<script src=\"/static/page.js\" defer></script></head>\n"
                     "<body><header><h1>Sluice</h1><span class=\"dim\">");
    web_escape(out, st ? st->node : "");
    sl_buf_puts(out, st ? " · version " : "");
    web_escape(out, st ? st->version : "");
    sl_buf_puts(out, "</span></header>\n<p id=\"age\" role=\"status\" hidden></p>\n"
                     "<main id=\"live\" data-from=\"");
    web_escape(out, from);
    sl_buf_puts(out, "\">");
    sl_buf_puts(out, fragment);
    sl_buf_puts(out, "</main></body></html>\n");
}
