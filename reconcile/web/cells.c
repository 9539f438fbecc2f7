/* SPDX-License-Identifier: GPL-2.0-or-later
 * Pieces of the page that its parts share. Everything from outside goes through web_escape.
 * Layer: web.
 */
#include "reconcile/web/web_impl.h"

#define WORD_MAX 32 /* longer ones in a name may be broken anywhere */

static const char *const shapes[SL_HEALTH_COUNT] = {
    [SL_HEALTHY] = "●",   [SL_PROGRESSING] = "◐", [SL_DEGRADED] = "▲",
    [SL_SUSPENDED] = "○", [SL_MISSING] = "✕",     [SL_HEALTH_UNKNOWN] = "?"};
static const char *const protocols[5] = {"RTSP", "RTMP", "HLS", "WebRTC", "SRT"};
static const char *const publishers[SL_PUBLISH_PROTOCOL_COUNT] = {[SL_PUBLISH_RTMP] = "RTMP",
                                                                  [SL_PUBLISH_SRT] = "SRT",
                                                                  [SL_PUBLISH_RTSP] = "RTSP",
                                                                  [SL_PUBLISH_WHIP] =
                                                                      "WHIP (WebRTC)"};

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

void web_element(struct sl_buf *out, const char *tag, const char *class, const char *text)
{
    if (class)
        sl_buf_printf(out, "<%s class=\"%s\">", tag, class);
    else
        sl_buf_printf(out, "<%s>", tag);
    web_escape(out, text);
    sl_buf_printf(out, "</%s>", tag);
}

void web_time(struct sl_buf *out, int64_t wall)
{
    char buf[32];

    if (wall <= 0) {
        sl_buf_puts(out, "–");
        return;
    }
    sl_time_rfc3339(wall, buf);
    sl_buf_printf(out, "<time datetime=\"%s\"><span>%.10s</span> <span>%.8s</span></time>", buf,
                  buf, buf + 11);
}

void web_bitrate(struct sl_buf *out, uint64_t bits)
{
    if (bits == 0)
        sl_buf_puts(out, "–");
    else if (bits < 1000000)
        sl_buf_printf(out, "%.0f kbit/s", (double)bits / 1e3);
    else
        sl_buf_printf(out, "%.2f Mbit/s", (double)bits / 1e6);
}

void web_message_text(struct sl_buf *out, const char *text)
{
    sl_autofree char *shown = web_message(text);

    web_escape(out, shown);
}

void web_revision(struct sl_buf *out, const char *revision)
{
    size_t kind = strncmp(revision, "sha256:", 7) == 0 ? 7 : 0;
    sl_autofree char *brief = NULL;
    bool hex = strspn(revision + kind, "0123456789abcdef") == strlen(revision + kind);

    if (strlen(revision + kind) <= (hex ? 12 : 24)) {
        web_element(out, "code", NULL, revision);
        return;
    }
    brief = sl_asprintf("%.*s%s", (int)kind + 12, revision, hex ? "" : "…");
    sl_buf_puts(out, "<code title=\"");
    web_escape(out, revision);
    sl_buf_puts(out, "\">");
    web_escape(out, brief);
    sl_buf_puts(out, "</code>");
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

void web_links(const struct sl_status_stream *s, struct sl_buf *out)
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

void web_name(struct sl_buf *out, const char *name)
{
    static const char seams[] = "/-";
    size_t longest = 0;

    for (const char *p = name; *p; p += strcspn(p, seams), p += *p != 0)
        longest = strcspn(p, seams) > longest ? strcspn(p, seams) : longest;
    sl_buf_printf(out, "<span class=\"name%s\">", longest > WORD_MAX ? " long" : "");
    for (const char *p = name; *p;) {
        size_t n = strcspn(p, seams);
        sl_autofree char *word = NULL;

        n += p[n] != 0;
        word = sl_asprintf("%.*s", (int)n, p);
        web_escape(out, word);
        p += n;
        if (*p)
            sl_buf_puts(out, "<wbr>");
    }
    sl_buf_puts(out, "</span>");
}

void web_name_link(struct sl_buf *out, const char *name)
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
    web_name(out, name);
    sl_buf_puts(out, "</a>");
}

void web_reason_cell(const struct sl_status_stream *s, struct sl_buf *out)
{
    const struct sl_condition *ready = &s->cond[SL_COND_READY];
    const struct sl_condition *accepted = &s->cond[SL_COND_ACCEPTED];

    web_element(out, "b", NULL, ready->reason ? ready->reason : "");
    if (ready->message && *ready->message) {
        sl_buf_puts(out, " ");
        sl_buf_puts(out, "<span class=\"dim\">");
        web_message_text(out, ready->message);
        sl_buf_puts(out, "</span>");
    }
    if (ready->status == SL_TRUE && accepted->status == SL_FALSE) {
        sl_buf_puts(out, " <span class=\"dim\">runs its last accepted version; its file has "
                         "errors</span>");
    }
    if (s->cond[SL_COND_STALLED].status == SL_TRUE)
        sl_buf_puts(out, " <b class=\"Degraded\">Stalled</b>");
    if (s->next_attempt_wall > 0) {
        sl_buf_puts(out, " <span class=\"dim\">next attempt ");
        web_time(out, s->next_attempt_wall);
        sl_buf_puts(out, "</span>");
    }
}

void web_health_cell(const struct sl_status_stream *s, struct sl_buf *out)
{
    const char *name = sl_health_name(s->health);

    sl_buf_printf(out, "<span class=\"health %s\"><span aria-hidden=\"true\">%s</span> %s</span>",
                  name, (unsigned)s->health < SL_HEALTH_COUNT ? shapes[s->health] : "?", name);
}

static void url_source(const char *kind, const char *url, struct sl_buf *out)
{
    sl_buf_printf(out, "%s <code>", kind);
    web_message_text(out, url);
    sl_buf_puts(out, "</code>");
}

void web_source_cell(const struct sl_status_stream *s, struct sl_buf *out)
{
    const struct sl_stream_spec *spec = s->desired ? s->desired->spec : NULL;
    const struct sl_src_publish *publish = spec ? spec->source.publish : NULL;

    if (spec && spec->source.file) {
        sl_buf_puts(out, "file ");
        web_element(out, "code", NULL, spec->source.file->path);
    } else if (spec && spec->source.rtsp) {
        url_source("camera", spec->source.rtsp->url, out);
    } else if (spec && spec->source.pull) {
        url_source("pull", spec->source.pull->url, out);
    } else if (publish) {
        sl_buf_puts(out, "publisher");
        for (unsigned i = 0; i < publish->protocols_count; i++) {
            sl_buf_puts(out, i ? ", " : " by ");
            web_escape(out, publish->protocols[i]);
        }
    } else {
        sl_buf_puts(out, spec && spec->source.test ? "test picture" : s->desired ? "?" : "orphan");
    }
}

void web_viewers(const struct sl_seen_path *path, struct sl_buf *out)
{
    const char *comma = "";

    sl_buf_printf(out, "%d", path ? path->readers : 0);
    if (!path || path->readers == 0)
        return;
    sl_buf_puts(out, " <small>");
    for (int i = 0; i < 5; i++) {
        if (path->readers_by[i] > 0) {
            sl_buf_printf(out, "%s%d&nbsp;%s", comma, path->readers_by[i], protocols[i]);
            comma = ", ";
        }
    }
    sl_buf_puts(out, "</small>");
}

/* OBS wants server and key apart; KEY stands for the password, which is not known here. */
void web_publish_table(const struct sl_status_stream *s, struct sl_buf *out)
{
    const struct sl_src_publish *publish =
        s->desired && s->desired->spec ? s->desired->spec->source.publish : NULL;
    const struct sl_ref *ref = publish ? publish->password_ref : NULL;
    size_t ways = 0;

    if (!publish)
        return;
    for (int i = 0; i < SL_PUBLISH_PROTOCOL_COUNT; i++)
        ways += s->publish[i].url != NULL;
    if (ways == 0) {
        sl_buf_puts(
            out, "<p>MediaMTX has none of its protocols switched on, or was not reached yet.</p>");
        return;
    }
    sl_buf_puts(out, "<table class=\"publish\"><tbody>");
    for (int i = 0; i < SL_PUBLISH_PROTOCOL_COUNT; i++) {
        sl_autofree char *key = NULL;
        sl_autofree char *server = web_publish_server(s, (enum sl_publish_protocol)i, &key);

        if (!server)
            continue;
        sl_buf_printf(out, "<tr><td data-label=\"By\">%s</td><td data-label=\"Server\">",
                      publishers[i]);
        web_element(out, "code", NULL, server);
        if (*key) {
            sl_buf_printf(out, "</td><td data-label=\"%s\">",
                          i == SL_PUBLISH_WHIP ? "Bearer token" : "Stream key");
            web_element(out, "code", NULL, key);
        }
        sl_buf_puts(out, "</td></tr>");
    }
    sl_buf_puts(out, "</tbody></table>");
    if (publish->username && ref) {
        sl_buf_puts(out, "<p class=\"dim\">User <code>");
        web_escape(out, publish->username);
        sl_buf_puts(out, "</code>; KEY stands for the password, which is the secret <code>");
        web_escape(out, ref->name);
        sl_buf_puts(out, ref->key ? "/" : "");
        web_escape(out, ref->key);
        sl_buf_puts(out, "</code>.</p>");
    } else {
        sl_buf_puts(out, "<p class=\"dim\">Anybody may publish: it has no password.</p>");
    }
}
