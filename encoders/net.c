/* SPDX-License-Identifier: GPL-2.0-or-later
 * Connections to network sources. Layer: encoders.
 */
#define _GNU_SOURCE 1
#include "encoders/net.h"
#include "encoders/av_bridge.h"
#include "encoders/lookup.h"
#include "reconcile/base/time.h"
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <libavutil/avstring.h>

#define ANALYZE_US     5000000 /* at most, of the source's own time; ends as soon as all is known */
#define FLV_US         1500000 /* FLV does not say how many tracks there will be */
#define PROBE_BYTES    (5 << 20)
#define SRT_CONNECT_MS 3000
#define IO_TIMEOUT_US  "20000000" /* the input gives up sooner: it knows what it waited for */

static const char hls_formats[] = "hls,mpegts,mov,mp4,m4a,3gp,3g2,mj2,aac,mp3,ac3,eac3,webvtt";

static const struct sl_net_scheme schemes[] = {
    {"rtsp", "rtsp", "rtp,srtp,tcp,udp", NULL, 554, true},
    {"rtsps", "rtsp", "rtp,srtp,tcp,tls", NULL, 322, true},
    {"srt", "mpegts", "srt", NULL, 0, false},
    {"rtmp", "flv", "rtmp,tcp", NULL, 1935, true},
    {"rtmps", "flv", "rtmps,tls,tcp", NULL, 443, true},
    {"http", NULL, "http,https,tcp,tls,crypto", "hls,mpegts", 80, true},
    {"https", NULL, "https,tcp,tls,crypto", "hls,mpegts", 443, true},
    {"udp", "mpegts", "udp", NULL, 0, false},
};

const struct sl_net_scheme *sl_net_scheme(const char *url)
{
    const char *end = strstr(url, "://");

    for (size_t i = 0; end && i < SL_COUNT(schemes); i++) {
        size_t len = strlen(schemes[i].scheme);

        if (len == (size_t)(end - url) && strncasecmp(url, schemes[i].scheme, len) == 0)
            return &schemes[i];
    }
    return NULL;
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

/* SCHEME://USER:PASSWORD@REST; the caller wipes and frees it. `host`: instead of the URL's own. */
static char *full_url(const struct sl_encspec *spec, const char *host, bool query)
{
    const char *after = strstr(spec->net.url, "://") + 3;
    size_t authority = strcspn(after, "/?#");
    const char *port = after[0] == '[' ? memchr(after, ']', authority) : after;
    char user[800] = "", password[800] = "";
    bool login = *spec->net.username || *spec->net.password;
    bool ip6 = host && strchr(host, ':');
    char *url;

    escape(user, sizeof(user), spec->net.username);
    escape(password, sizeof(password), spec->net.password);
    sl_bridge_secret(password);
    port = port ? memchr(port, ':', authority - (size_t)(port - after)) : NULL;
    if (query)
        url = sl_asprintf("%s%cuser=%s&pass=%s", spec->net.url, strchr(after, '?') ? '&' : '?',
                          user, password);
    else if (host)
        url = sl_asprintf("%.*s%s%s%s%s%s%s%s%s", (int)(after - spec->net.url), spec->net.url, user,
                          login ? ":" : "", password, login ? "@" : "", ip6 ? "[" : "", host,
                          ip6 ? "]" : "", port ? port : after + authority);
    else
        url = sl_asprintf("%.*s%s%s%s%s%s", (int)(after - spec->net.url), spec->net.url, user,
                          login ? ":" : "", password, login ? "@" : "", after);
    explicit_bzero(password, sizeof(password));
    return url;
}

static void options_for(const struct sl_net_scheme *scheme, const struct sl_encspec *spec,
                        int64_t patience, AVDictionary **o)
{
    av_dict_set(o, "protocol_whitelist", scheme->protocols, 0);
    if (sl_streq(scheme->format, "rtsp")) {
        bool udp = sl_streq(spec->net.transport, "udp");

        av_dict_set(o, "rtsp_transport", udp ? "udp" : "tcp", 0);
        av_dict_set(o, "allowed_media_types", "video+audio", 0);
        av_dict_set(o, "timeout", IO_TIMEOUT_US, 0);
        if (udp)
            av_dict_set(o, "buffer_size", "2097152", 0);
    } else if (sl_streq(scheme->scheme, "srt")) {
        if (*spec->net.passphrase)
            av_dict_set(o, "passphrase", spec->net.passphrase, 0);
        if (*spec->net.stream_id)
            av_dict_set(o, "streamid", spec->net.stream_id, 0);
        av_dict_set_int(o, "connect_timeout", patience, 0);
    } else if (sl_streq(scheme->format, "flv")) {
        av_dict_set(o, "rtmp_live", "live", 0);
    } else if (sl_streq(scheme->scheme, "udp")) {
        av_dict_set(o, "overrun_nonfatal", "1", 0);
    } else {
        av_dict_set(o, "format_whitelist", hls_formats, 0);
        av_dict_set(o, "icy", "0", 0);
        av_dict_set(o, "rw_timeout", IO_TIMEOUT_US, 0);
    }
    if (sl_streq(scheme->scheme, "https") || sl_streq(scheme->scheme, "rtmps"))
        av_dict_set(o, "tls_verify", "1", 0);
}

/* Words by which servers say in prose what has no status code. */
static const struct {
    const char *word, *code;
} prose[] = {
    {"authmod", "SourceAuthFailed"},
    {"authenticat", "SourceAuthFailed"},
    {"unauthorized", "SourceAuthFailed"},
    {"not authorized", "SourceAuthFailed"},
    {"access denied", "SourceAuthFailed"},
    {"passphrase", "SourceAuthFailed"},
    {"bad secret", "SourceAuthFailed"},
    {"password", "SourceAuthFailed"},
    {"badsecret", "SourceAuthFailed"},
    {"incorrect pass", "SourceAuthFailed"},
    {"streamnotfound", "SourceNotFound"},
    {"stream not found", "SourceNotFound"},
    {"no stream", "SourceNotFound"},
    {"not found", "SourceNotFound"},
    {"no one is publishing", "SourceNotFound"},
};

static const char *code_of(int rc)
{
    const char *said = sl_bridge_last();

    if (rc == AVERROR_HTTP_UNAUTHORIZED || rc == AVERROR_HTTP_FORBIDDEN || rc == AVERROR(EACCES))
        return "SourceAuthFailed";
    if (rc == AVERROR_HTTP_NOT_FOUND)
        return "SourceNotFound";
    if (rc == AVERROR(ECONNREFUSED) || rc == AVERROR(EHOSTUNREACH) || rc == AVERROR(ENETUNREACH) ||
        rc == AVERROR(ETIMEDOUT))
        return "SourceUnreachable";
    for (size_t i = 0; i < SL_COUNT(prose); i++) {
        if (strcasestr(said, prose[i].word))
            return prose[i].code;
    }
    return rc == AVERROR_INVALIDDATA ? "NotMedia" : "SourceUnreachable";
}

int sl_net_failed(int rc, const struct sl_encspec *spec, struct sl_err *err)
{
    const char *url = spec->net.url, *code, *said = sl_bridge_last();

    if (rc == AVERROR_EOF)
        return sl_err_set(err, SL_ERR_TRANSIENT, 0, "SourceUnreachable", "%s ended the connection",
                          url);
    code = code_of(rc);
    if (sl_streq(code, "SourceAuthFailed"))
        return sl_err_set(err, SL_ERR_TRANSIENT, 0, code,
                          "%s refuses these credentials%s%s; correct the user name or its secret",
                          url, *said ? ": " : "", said);
    if (sl_streq(code, "SourceNotFound"))
        return sl_err_set(err, SL_ERR_TRANSIENT, 0, code,
                          "%s has nothing at this path%s%s; correct the path, or start its source",
                          url, *said ? ": " : "", said);
    if (sl_streq(code, "NotMedia"))
        return sl_err_set(err, SL_ERR_TRANSIENT, 0, code,
                          "%s answers, but not with a stream that is known here%s%s", url,
                          *said ? ": " : "", said);
    return sl_err_set(err, SL_ERR_TRANSIENT, 0, code, "%s cannot be reached: %s%s%s", url,
                      sl_av_text(rc), *said ? ": " : "", said);
}

/* The name becomes a number first, with orders heard meanwhile. `ret_host` "": leave the name,
 * since a certificate or a virtual host is asked for by it. */
static int resolve(const struct sl_net_scheme *scheme, const struct sl_encspec *spec,
                   AVIOInterruptCB interrupt, struct sl_net_probe *probe, char ret_host[64],
                   struct sl_err *err)
{
    char name[256];
    struct sl_address address;
    int port = scheme->port;

    av_url_split(NULL, 0, NULL, 0, name, sizeof(name), &port, NULL, 0, spec->net.url);
    ret_host[0] = 0;
    if (!*name) /* srt://:9000?mode=listener, udp://:1234 */
        return 0;
    if (port <= 0)
        port = scheme->port;
    if (sl_lookup(name, port, interrupt, &address, err) < 0)
        return -1;
    if (probe->knock && scheme->stream_socket && sl_knock(&address, interrupt, err) < 0)
        return sl_err_wrap(err, "%s cannot be reached", spec->net.url);
    if (sl_streq(scheme->scheme, "rtsp") || sl_streq(scheme->scheme, "srt") ||
        sl_streq(scheme->scheme, "udp"))
        snprintf(ret_host, 64, "%s", address.text);
    return 0;
}

/* SRT's own reason stays inside libavformat: what is seen is whether the peer answered. */
static int srt_failed(int rc, const struct sl_encspec *spec, int64_t patience, int64_t took,
                      struct sl_err *err)
{
    if (took >= patience - 200 || rc == AVERROR_EXIT)
        return sl_err_set(err, SL_ERR_TRANSIENT, ETIMEDOUT, "SourceUnreachable",
                          "%s cannot be reached: nobody answers there", spec->net.url);
    return sl_err_set(err, SL_ERR_TRANSIENT, 0, "SourceAuthFailed",
                      "%s refuses the connection: wrong passphrase, or a stream id that names no "
                      "stream or no user (SRT does not say which)",
                      spec->net.url);
}

static int open_once(AVFormatContext **ret, const struct sl_net_scheme *scheme,
                     const struct sl_encspec *spec, AVIOInterruptCB interrupt, const char *host,
                     const struct sl_net_probe *probe, struct sl_err *err)
{
    const AVInputFormat *format = scheme->format ? av_find_input_format(scheme->format) : NULL;
    AVFormatContext *c = avformat_alloc_context();
    AVDictionary *options = NULL;
    int64_t began = sl_now_mono();
    int64_t patience = probe->patience < SRT_CONNECT_MS ? probe->patience : SRT_CONNECT_MS;
    char *url;
    int rc;

    if (!c)
        abort();
    c->interrupt_callback = interrupt;
    c->probesize = PROBE_BYTES;
    c->max_analyze_duration = sl_streq(scheme->format, "flv") ? FLV_US : ANALYZE_US;
    c->fps_probe_size = 0;
    options_for(scheme, spec, patience, &options);
    url = full_url(spec, *host ? host : NULL, probe->query);
    sl_bridge_forget();
    rc = avformat_open_input(&c, url, format, &options);
    explicit_bzero(url, strlen(url));
    free(url);
    av_dict_free(&options);
    if (rc < 0 && sl_streq(scheme->scheme, "srt"))
        return srt_failed(rc, spec, patience, sl_now_mono() - began, err);
    if (rc < 0)
        return sl_net_failed(rc, spec, err);
    *ret = c;
    return 0;
}

int sl_net_open(AVFormatContext **ret, const struct sl_encspec *spec, AVIOInterruptCB interrupt,
                struct sl_net_probe *probe, struct sl_err *err)
{
    const struct sl_net_scheme *scheme = sl_net_scheme(spec->net.url);
    bool rtmp = scheme && sl_streq(scheme->format, "flv") && *spec->net.username;
    AVFormatContext *c = NULL;
    char host[64];
    int rc;

    if (!scheme)
        return sl_err_set(err, SL_ERR_HUMAN, 0, "BadSpec",
                          "%s: none of rtsp rtsps srt rtmp rtmps http https udp", spec->net.url);
    if (resolve(scheme, spec, interrupt, probe, host, err) < 0)
        return -1;
    probe->knock = true; /* unless this works */
    sl_bridge_secret(spec->net.password);
    sl_bridge_secret(spec->net.passphrase);
    sl_bridge_secret(spec->net.stream_id);
    rc = open_once(&c, scheme, spec, interrupt, host, probe, err);
    if (rc < 0 && rtmp && sl_streq(err->code, "SourceAuthFailed")) {
        probe->query = !probe->query;
        rc = open_once(&c, scheme, spec, interrupt, host, probe, err);
    }
    if (rc < 0)
        return -1;
    probe->knock = false;
    if (scheme->formats && !av_match_name(c->iformat->name, scheme->formats)) {
        sl_err_set(err, SL_ERR_TRANSIENT, 0, "NotMedia",
                   "%s is neither HLS nor MPEG-TS, but %s: a file belongs into source.file",
                   spec->net.url, c->iformat->name);
        avformat_close_input(&c);
        return -1;
    }
    rc = avformat_find_stream_info(c, NULL);
    if (rc < 0) {
        sl_net_failed(rc, spec, err);
        avformat_close_input(&c);
        return -1;
    }
    *ret = c;
    return 0;
}
