/* SPDX-License-Identifier: GPL-2.0-or-later
 * The page as HTML, rendered from the published status: one line of truth, the streams, what was
 * rejected, what is held. Everything from outside goes through web_escape. Layer: web.
 */
#include "reconcile/web/web_impl.h"

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
    sl_buf_printf(out, "<section class=\"truth%s\" id=\"truth\"><p>Revision ",
                  missing.len == 0                               ? ""
                  : st->sum.rejected_files || !engine->reachable ? " bad"
                                                                 : " not");
    web_revision(out, revision);
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
        web_message_text(out, engine->error);
        sl_buf_puts(out, "</p>");
    } else if (engine->reachable) {
        sl_buf_puts(out, "<p class=\"dim\">MediaMTX ");
        web_escape(out, engine->version);
        sl_buf_printf(out, " · %zu ready of %zu · %d viewers · ", st->sum.ready, st->streams_count,
                      st->sum.readers);
        web_bitrate(out, st->sum.bitrate);
        sl_buf_puts(out, " in all</p>");
    }
    if (!st->observed.host_up && st->observed.host_error && *st->observed.host_error) {
        sl_buf_puts(out, "<p>");
        web_message_text(out, st->observed.host_error);
        sl_buf_puts(out, "</p>");
    }
    if (st->source.warning && *st->source.warning)
        web_element(out, "p", "dim", st->source.warning);
    sl_buf_puts(out, "</section>");
}

static uint64_t bitrate_of(const struct sl_status_stream *s)
{
    if (s->path && s->path->bitrate_in)
        return s->path->bitrate_in;
    return s->encoder && s->encoder->stats_known ? s->encoder->stats.bitrate : 0;
}

static void how_to_publish(const struct sl_status_stream *s, struct sl_buf *out)
{
    if (!s->desired || !s->desired->spec || !s->desired->spec->source.publish)
        return;
    sl_buf_puts(out, "<details id=\"publish-");
    web_escape(out, s->name);
    sl_buf_puts(out, "\"><summary>how to publish</summary>");
    web_publish_table(s, out);
    sl_buf_puts(out, "</details>");
}

static void row(const struct sl_status_stream *s, struct sl_buf *out)
{
    const struct sl_seen_encoder *e = s->encoder;

    sl_buf_puts(out, "<tr data-stream=\"");
    web_escape(out, s->name);
    sl_buf_printf(out, "\" data-health=\"%s\"><td data-label=\"Stream\">",
                  sl_health_name(s->health));
    web_name_link(out, s->name);
    sl_buf_puts(out, "</td><td data-label=\"Health\">");
    web_health_cell(s, out);
    sl_buf_puts(out, "</td><td data-label=\"Reason\"><span>");
    web_reason_cell(s, out);
    sl_buf_puts(out, "</span></td><td data-label=\"Source\"><div>");
    web_source_cell(s, out);
    how_to_publish(s, out);
    sl_buf_puts(out, "</div></td><td data-label=\"Codec\">");
    web_escape(out, e && e->record.codec[0] ? e->record.codec : "–");
    sl_buf_puts(out, "</td><td data-label=\"FPS\" class=\"num\">");
    if (e && e->stats_known && e->alive)
        sl_buf_printf(out, "%.1f", e->stats.fps_milli / 1000.0);
    else
        sl_buf_puts(out, "–");
    sl_buf_puts(out, "</td><td data-label=\"Viewers\" class=\"num\"><span>");
    web_viewers(s->path, out);
    sl_buf_puts(out, "</span></td><td data-label=\"Bitrate\" class=\"num\">");
    web_bitrate(out, bitrate_of(s));
    sl_buf_printf(out, "</td><td data-label=\"Restarts\" class=\"num\">%llu</td>",
                  (unsigned long long)(s->past ? s->past->restarts : 0));
    sl_buf_puts(out, "<td data-label=\"Since (UTC)\">");
    web_time(out, s->cond[SL_COND_READY].since);
    sl_buf_puts(out, "</td><td data-label=\"Watch\"><span class=\"watch\">");
    web_links(s, out);
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
            web_message_text(out, d->message);
            sl_buf_puts(out, "</p>");
            excerpt(d, out);
            if (d->hint) {
                sl_buf_puts(out, "<p class=\"dim\">Hint: ");
                web_message_text(out, d->hint);
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
                  "%s held, because so many at once look like an accident.</p>",
                  st->sum.held_deletes,
                  st->sum.held_deletes == 1 ? "deletion is" : "deletions are");
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
        web_message_text(out, p->reason);
        sl_buf_printf(out, " <span class=\"dim\">(%d viewers)</span></li>", p->viewers);
    }
    sl_buf_puts(out, "</ul></div></section>\n");
}

/* What MediaMTX has and no manifest names. */
static void foreign(const struct sl_status *st, struct sl_buf *out)
{
    bool any = false;

    for (size_t i = 0; i < st->observed.paths_count; i++) {
        const struct sl_seen_path *path = &st->observed.paths[i];

        if (!web_foreign(st, path))
            continue;
        if (!any)
            sl_buf_puts(out, "<section id=\"foreign\"><h2>Other paths of MediaMTX</h2><p "
                             "class=\"dim\">No manifest names them; Sluice leaves them alone.</p>"
                             "<table><thead><tr><th scope=\"col\">Path</th><th scope=\"col\">"
                             "State</th><th scope=\"col\">Source</th><th scope=\"col\" "
                             "class=\"num\">Viewers</th></tr></thead><tbody>\n");
        any = true;
        sl_buf_puts(out, "<tr><td data-label=\"Path\">");
        web_name(out, path->name);
        sl_buf_printf(out, "</td><td data-label=\"State\">%s</td><td data-label=\"Source\">",
                      web_path_live(path) ? "live" : "nothing flows");
        web_escape(out, path->source_type[0] ? path->source_type : "–");
        sl_buf_puts(out, "</td><td data-label=\"Viewers\" class=\"num\"><span>");
        web_viewers(path, out);
        sl_buf_puts(out, "</span></td></tr>\n");
    }
    if (any)
        sl_buf_puts(out, "</tbody></table></section>\n");
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
        foreign(st, out);
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
    foreign(st, out);
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
