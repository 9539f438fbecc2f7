/* SPDX-License-Identifier: GPL-2.0-or-later
 * Texts made fit to be shown: source lines and messages without what may be a secret in them. The
 * values of known secrets were taken out before (sl_secrets_scrub); this is for the others.
 * Layer: web.
 */
#include "reconcile/web/web_impl.h"

static bool names_secret(const char *from, const char *to)
{
    static const char *const words[] = {"pass", "secret", "token", "credential", "key", "auth"};

    for (const char *p = from; p < to; p++) {
        for (size_t i = 0; i < SL_COUNT(words); i++) {
            if ((size_t)(to - p) >= strlen(words[i]) &&
                strncasecmp(p, words[i], strlen(words[i])) == 0)
                return true;
        }
    }
    return false;
}

char *web_excerpt(const char *line)
{
    struct sl_buf out = {0};
    const char *p = line, *at, *end;

    if (!line)
        return NULL;
    while (*p) {
        const char *scheme = strstr(p, "://"), *colon = strpbrk(p, ":=?&");

        if (colon && (!scheme || colon < scheme) && names_secret(p, colon)) {
            sl_buf_add(&out, p, (size_t)(colon - p) + 1);
            sl_buf_puts(&out, " …"); /* whatever follows: the line ends here */
            return sl_buf_steal(&out);
        }
        if (!scheme) {
            sl_buf_puts(&out, p);
            break;
        }
        if (colon && colon < scheme) {
            sl_buf_add(&out, p, (size_t)(colon - p) + 1);
            p = colon + 1;
            continue;
        }
        sl_buf_add(&out, p, (size_t)(scheme - p) + 3);
        p = scheme + 3;
        end = p + strcspn(p, " \t\"'");
        at = memrchr(p, '@', (size_t)(end - p));
        if (at) {
            sl_buf_puts(&out, "…");
            p = at;
        }
        colon = strpbrk(p, "?&#");
        if (colon && colon < end) { /* queries carry keys: ?user=U&pass=P */
            sl_buf_add(&out, p, (size_t)(colon - p) + 1);
            sl_buf_puts(&out, "…");
            p = end;
        } else {
            sl_buf_add(&out, p, (size_t)(end - p));
            p = end;
        }
    }
    return sl_buf_steal(&out);
}

char *web_message(const char *text)
{
    struct sl_buf out = {0};
    const char *p = text, *scheme;

    if (!text)
        return NULL;
    while ((scheme = strstr(p, "://"))) {
        const char *from = scheme + 3, *end = from + strcspn(from, " \t\n\"'<>");
        const char *at = memrchr(from, '@', (size_t)(end - from));
        const char *query;

        sl_buf_add(&out, p, (size_t)(from - p));
        if (at) {
            sl_buf_puts(&out, "…");
            from = at;
        }
        query = memchr(from, '?', (size_t)(end - from));
        if (query && names_secret(query, end)) {
            sl_buf_add(&out, from, (size_t)(query - from) + 1);
            sl_buf_puts(&out, "…");
        } else {
            sl_buf_add(&out, from, (size_t)(end - from));
        }
        p = end;
    }
    sl_buf_puts(&out, p);
    return sl_buf_steal(&out);
}

char *web_publish_server(const struct sl_status_stream *stream, enum sl_publish_protocol protocol,
                         char **ret_key)
{
    const struct sl_src_publish *publish = stream->desired->spec->source.publish;
    const char *url = stream->publish[protocol].url, *key = stream->publish[protocol].stream_key;
    size_t len = url ? strlen(url) : 0, name = key ? strcspn(key, "?") : 0;

    if (!url)
        return NULL;
    if (protocol == SL_PUBLISH_RTMP && name > 0 && len > name && url[len - name - 1] == '/' &&
        strncmp(url + len - name, key, name) == 0)
        len -= name + 1;
    if (protocol == SL_PUBLISH_WHIP && publish && publish->username)
        *ret_key = sl_asprintf("%s:KEY", publish->username);
    else
        *ret_key = sl_strdup(key ? key : "");
    return sl_asprintf("%.*s", (int)len, url);
}
