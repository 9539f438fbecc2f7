/* SPDX-License-Identifier: GPL-2.0-or-later
 * Rules as in MediaMTX's internal/conf/path.go and Go's net/url, made a little stricter: what
 * passes here never makes a rendered file that MediaMTX refuses. Layer: mediamtx.
 */
#include "reconcile/mediamtx/sources.h"

#include <ctype.h>

#define SHORTEST   4    /* a shorter word is found in any text, and cutting it there tells it */
#define LENGTH_MAX 1000 /* what is read back is cut above 1023 */

static const char *const schemes[] = {"rtsp",  "rtsps", "rtmp", "rtmps",     "http",
                                      "https", "srt",   "udp",  "udp+mpegts"};

struct url {
    char scheme[16];
    const char *user, *host, *port, *rest; /* NULL: there is none; not terminated */
    size_t user_len, host_len, port_len;
};

static int url_split(const char *text, struct url *ret)
{
    const char *at = strstr(text, "://"), *end, *host;
    struct url url = {0};

    if (!at || (size_t)(at - text) >= sizeof(url.scheme))
        return -1;
    memcpy(url.scheme, text, (size_t)(at - text));
    at += 3;
    end = at + strcspn(at, "/?#");
    host = at;
    for (const char *c = at; c < end; c++)
        if (*c == '@')
            host = c + 1;
    if (host > at) {
        url.user = at;
        url.user_len = (size_t)(host - 1 - at);
    }
    url.host = host;
    url.host_len = *host == '[' ? strcspn(host, "]/?#") + 1 : strcspn(host, ":/?#");
    if (host + url.host_len > end)
        return -1;
    if (host + url.host_len < end) {
        if (host[url.host_len] != ':')
            return -1;
        url.port = host + url.host_len + 1;
        url.port_len = (size_t)(end - url.port);
    }
    url.rest = end;
    *ret = url;
    return 0;
}

static bool is_in(const char *text, size_t len, const char *more)
{
    for (size_t i = 0; i < len; i++)
        if (!isalnum((unsigned char)text[i]) && !(text[i] && strchr(more, text[i])))
            return false;
    return true;
}

static bool percents_ok(const char *text)
{
    for (; *text; text++)
        if (*text == '%' && !(isxdigit((unsigned char)text[1]) && isxdigit((unsigned char)text[2])))
            return false;
    return true;
}

/* NULL: fine. */
static const char *fault(const char *source, const struct url *url)
{
    const char *colon = url->user ? memchr(url->user, ':', url->user_len) : NULL;
    bool known = false, v6 = *url->host == '[';

    for (size_t i = 0; i < SL_COUNT(schemes); i++)
        known = known || strcmp(url->scheme, schemes[i]) == 0;
    if (!known)
        return "MediaMTX does not pull this scheme";
    if (strlen(source) > LENGTH_MAX)
        return "it is longer than 1000 characters";
    for (const char *c = source; *c; c++)
        if (*c <= ' ' || *c > '~' || strchr("\"<>\\^`{|}", *c))
            return "it has a character that a URL does not have";
    if (!percents_ok(source))
        return "a % is not followed by two hexadecimal digits";
    if (strstr(source, "$MTX_QUERY"))
        return "$MTX_QUERY is a placeholder of MediaMTX";
    if (url->host_len < 1 || (v6 && url->host_len < 4))
        return "it has no host";
    if (v6 ? !is_in(url->host + 1, url->host_len - 2, ":.")
           : !is_in(url->host, url->host_len, "-._"))
        return "its host is not a name or an address";
    if (url->port && (!is_in(url->port, url->port_len, "") || url->port_len > 5 ||
                      atoi(url->port) > 65535 || strspn(url->port, "0123456789") < url->port_len))
        return "its port is not a number";
    if (strncmp(url->scheme, "udp", 3) == 0 && !url->port_len)
        return "it has no port";
    if (url->user && !is_in(url->user, url->user_len, "-._:~!$&'()*+,;=%@"))
        return "its user info has a character that must be percent-encoded";
    if (url->user && (!colon || colon == url->user || colon + 1 == url->user + url->user_len))
        return "it needs both a user name and a password, or none";
    return NULL;
}

int sl_mtx_source_check(const char *source, struct sl_err *err)
{
    struct url url;
    const char *why;

    if (strcmp(source, "publisher") == 0)
        return 0;
    if (url_split(source, &url) < 0)
        return sl_err_set(err, SL_ERR_HUMAN, 0, "SourceRefused", "the source is not a URL");
    why = fault(source, &url);
    if (why)
        return sl_err_set(err, SL_ERR_HUMAN, 0, "SourceRefused",
                          "the %s source cannot be pulled: %s", url.scheme, why);
    return 0;
}

bool sl_mtx_source_is_rtsp(const char *source)
{
    return strncmp(source, "rtsp://", 7) == 0 || strncmp(source, "rtsps://", 8) == 0;
}

/* --- scrubbing ------------------------------------------------------------------------------- */

static void cut(char *at, size_t len)
{
    size_t stars = len < 3 ? len : 3;

    memset(at, '*', stars);
    memmove(at + stars, at + len, strlen(at + len) + 1);
}

static void cut_all(char *text, const char *secret, size_t len)
{
    char word[1024];

    if (len < SHORTEST || len >= sizeof(word))
        return;
    memcpy(word, secret, len);
    word[len] = 0;
    for (char *at = text; (at = strstr(at, word)); at += 3)
        cut(at, len);
}

static size_t decode(const char *text, size_t len, char *ret)
{
    size_t n = 0;

    for (size_t i = 0; i < len; i++) {
        if (text[i] == '%' && i + 2 < len) {
            char hex[3] = {text[i + 1], text[i + 2], 0};

            ret[n++] = (char)strtol(hex, NULL, 16);
            i += 2;
        } else {
            ret[n++] = text[i];
        }
    }
    return n;
}

/* As it is written, and as what it stands for. */
static void cut_both(char *text, const char *secret, size_t len)
{
    char plain[1024];

    if (len >= sizeof(plain))
        return;
    cut_all(text, secret, len);
    cut_all(text, plain, decode(secret, len, plain));
}

static void cut_query(char *text, const char *rest)
{
    static const char *const keys[] = {
        "passphrase=", "streamid=", "token=", "jwt=", "pass=", "password=", "key="};

    for (size_t i = 0; i < SL_COUNT(keys); i++) {
        const char *at = strstr(rest, keys[i]);

        if (at && at > rest && strchr("?&", at[-1])) {
            at += strlen(keys[i]);
            cut_both(text, at, strcspn(at, "&#"));
        }
    }
}

/* scheme://anything@ in any text */
static void cut_users(char *text)
{
    for (char *at = text; (at = strstr(at, "://"));) {
        size_t end, user = 0;

        at += 3;
        end = strcspn(at, "/?# \"'");
        for (size_t i = 0; i < end; i++)
            if (at[i] == '@')
                user = i;
        if (user)
            cut(at, user);
    }
}

void sl_mtx_scrub(const char *source, char *text)
{
    struct url url;

    if (source && url_split(source, &url) == 0) {
        const char *colon = url.user ? memchr(url.user, ':', url.user_len) : NULL;

        if (colon)
            cut_both(text, colon + 1, url.user_len - (size_t)(colon + 1 - url.user));
        cut_query(text, url.rest);
    }
    cut_users(text);
}
