/* SPDX-License-Identifier: GPL-2.0-or-later
 * Paths out of the spec, publishers, and the words for sources that fail. Layer: core.
 */
#include "reconcile/core/carry.h"

bool sl_encoderless(const struct sl_desired_stream *stream)
{
    return stream->carrier == SL_CARRIER_PULL || stream->carrier == SL_CARRIER_PUBLISH;
}

const char *sl_secret_lack(const struct sl_desired_stream *stream)
{
    const struct sl_secret_seen *all[] = {&stream->password, &stream->passphrase,
                                          &stream->stream_id};
    const struct sl_source *source = &stream->spec->source;
    const char *url = source->rtsp ? source->rtsp->url : source->pull ? source->pull->url : "";
    const char *user = source->rtsp   ? source->rtsp->username
                       : source->pull ? source->pull->username
                                      : NULL;
    size_t len = strlen(url) + (user ? 3 * strlen(user) : 0) + sizeof("?streamid=&passphrase=");

    for (size_t i = 0; i < SL_COUNT(all); i++) {
        if (all[i]->name && !all[i]->value)
            return all[i]->why ? all[i]->why : "a secret is missing";
        len += all[i]->name ? 3 * strlen(all[i]->value) : 0; /* each may become %XX */
    }
    if (stream->carrier == SL_CARRIER_PULL && len > sizeof(((struct sl_path_conf *)0)->source))
        return "the address of its source is too long with its credentials (1,000 characters)";
    if (source->publish && stream->password.value &&
        strlen(stream->password.value) >= sizeof(((struct sl_publish_user *)0)->password))
        return "the password of its publishers is longer than 255 characters";
    return NULL;
}

/* ---- paths ---- */

struct text {
    char *at;
    size_t len, size;
};

static void put(struct text *out, const char *text, size_t len)
{
    for (size_t i = 0; i < len && out->len + 1 < out->size; i++)
        out->at[out->len++] = text[i];
    out->at[out->len] = 0;
}

static void puts_to(struct text *out, const char *text)
{
    put(out, text, strlen(text));
}

static void put_encoded(struct text *out, const char *text)
{
    static const char hex[] = "0123456789ABCDEF";

    for (const char *c = text; *c; c++) {
        unsigned char byte = (unsigned char)*c;
        bool plain = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
                     (byte >= '0' && byte <= '9') || strchr("-._~", byte);
        char code[3] = {'%', hex[byte >> 4], hex[byte & 15]};

        put(out, plain ? c : code, plain ? 1 : 3);
    }
}

static void put_query(struct text *out, const char *key, const char *value)
{
    if (!value || !value[0])
        return;
    puts_to(out, strchr(out->at, '?') ? "&" : "?");
    puts_to(out, key);
    puts_to(out, "=");
    put_encoded(out, value);
}

static bool scheme_is(const char *url, const char *scheme)
{
    size_t len = strlen(scheme);

    return strncmp(url, scheme, len) == 0 && strncmp(url + len, "://", 3) == 0;
}

static void put_user(struct text *out, const char *url, const char *username, const char *password)
{
    const char *rest = strstr(url, "://");

    if (!rest || !username || !username[0]) {
        puts_to(out, url);
        return;
    }
    rest += 3;
    put(out, url, (size_t)(rest - url));
    put_encoded(out, username);
    if (password) {
        puts_to(out, ":");
        put_encoded(out, password);
    }
    puts_to(out, "@");
    puts_to(out, rest);
}

/* What MediaMTX's sources read: RTSP and HTTP user info; SRT keys of the query; RTMP servers want
 * the user in the query, gortmplib knows no other way that works. */
static void pulled_url(const struct sl_desired_stream *stream, char *ret, size_t size)
{
    const struct sl_src_rtsp *rtsp = stream->spec->source.rtsp;
    const struct sl_src_pull *pull = stream->spec->source.pull;
    const char *password = stream->password.name ? stream->password.value : NULL;
    struct text out = {ret, 0, size};

    ret[0] = 0;
    if (rtsp) {
        put_user(&out, rtsp->url, rtsp->username, password);
    } else if (scheme_is(pull->url, "http") || scheme_is(pull->url, "https")) {
        put_user(&out, pull->url, pull->username, password);
    } else {
        puts_to(&out, pull->url);
        if (scheme_is(pull->url, "rtmp") || scheme_is(pull->url, "rtmps")) {
            put_query(&out, "user", pull->username);
            put_query(&out, "pass", password);
        } else if (scheme_is(pull->url, "srt")) {
            put_query(&out, "streamid", stream->stream_id.value);
            put_query(&out, "passphrase", stream->passphrase.value);
        }
    }
}

static void plain(struct sl_path_conf *conf)
{
    memset(conf, 0, sizeof(*conf));
    snprintf(conf->source, sizeof(conf->source), "publisher");
    snprintf(conf->rtsp_transport, sizeof(conf->rtsp_transport), "automatic");
}

void sl_carry_conf(const struct sl_desired_stream *stream, struct sl_path_conf *ret)
{
    const struct sl_src_rtsp *rtsp = stream->spec->source.rtsp;

    plain(ret);
    snprintf(ret->name, sizeof(ret->name), "%s", stream->accepted->name);
    if (stream->carrier != SL_CARRIER_PULL)
        return;
    ret->override_publisher = true; /* MediaMTX's own default: nobody can publish on it */
    pulled_url(stream, ret->source, sizeof(ret->source));
    if (rtsp)
        snprintf(ret->rtsp_transport, sizeof(ret->rtsp_transport), "%s",
                 rtsp->transport == SL_TRANSPORT_UDP ? "udp" : "tcp");
}

void sl_carry_ingest(const struct sl_desired_stream *stream, struct sl_path_conf *ret)
{
    plain(ret);
    snprintf(ret->name, sizeof(ret->name), "%.200s/ingest", stream->accepted->name);
}

bool sl_carry_encoders(const struct sl_path_conf *conf)
{
    return conf->override_publisher && strcmp(conf->source, "publisher") == 0;
}

const char *sl_carry_why(enum sl_carrier carrier, const struct sl_path_conf *now,
                         const struct sl_path_conf *want)
{
    static const char *const by[SL_CARRIER_COUNT] = {
        [SL_CARRIER_ENCODER] = "an encoder carries it from now on",
        [SL_CARRIER_PULL] = "MediaMTX pulls it from now on",
        [SL_CARRIER_PUBLISH] = "publishers come straight to it from now on",
        [SL_CARRIER_INGEST] = "publishers must now use NAME/ingest",
    };
    bool pulled = strcmp(now->source, "publisher") != 0;

    if (strcmp(now->source, want->source) != 0) {
        char a[sizeof(now->source)], b[sizeof(now->source)];

        if (!pulled || carrier != SL_CARRIER_PULL)
            return by[carrier];
        sl_credentials_cut(now->source, a, sizeof(a));
        sl_credentials_cut(want->source, b, sizeof(b));
        return strcmp(a, b) == 0 ? "the credentials of its source change"
                                 : "the address of its source changes";
    }
    if (!pulled && now->override_publisher != want->override_publisher)
        return by[carrier];
    if (now->always_available != want->always_available ||
        !sl_facts_equal(&now->tracks, &want->tracks))
        return "the tracks change";
    return "its path differs";
}

const char *sl_carry_origin(const struct sl_desired_stream *stream, size_t *ret_len)
{
    const struct sl_source *source = &stream->spec->source;
    const char *url = source->rtsp ? source->rtsp->url : source->pull ? source->pull->url : NULL;
    const char *host = url ? strstr(url, "://") : NULL;

    if (!host || stream->carrier != SL_CARRIER_ENCODER || scheme_is(url, "udp"))
        return NULL;
    host += 3;
    *ret_len = host[0] == '[' ? strcspn(host, "]") : strcspn(host, ":/?");
    return host;
}

/* ---- publishers ---- */

bool sl_publish_allowed(const struct sl_src_publish *publish, enum sl_publish_protocol protocol)
{
    static const char *const names[SL_PUBLISH_PROTOCOL_COUNT] = {"rtmp", "srt", "rtsp", "whip"};

    for (unsigned i = 0; i < publish->protocols_count; i++)
        if (strcmp(publish->protocols[i], names[protocol]) == 0)
            return true;
    return publish->protocols_count == 0;
}

static bool type_allowed(const struct sl_src_publish *publish, const char *type)
{
    static const struct {
        const char *type;
        enum sl_publish_protocol protocol;
    } types[] = {{"rtmpConn", SL_PUBLISH_RTMP},     {"rtmpsConn", SL_PUBLISH_RTMP},
                 {"srtConn", SL_PUBLISH_SRT},       {"rtspSession", SL_PUBLISH_RTSP},
                 {"rtspsSession", SL_PUBLISH_RTSP}, {"webRTCSession", SL_PUBLISH_WHIP}};

    for (size_t i = 0; i < SL_COUNT(types); i++)
        if (strcmp(types[i].type, type) == 0)
            return sl_publish_allowed(publish, types[i].protocol);
    return false;
}

/* A session that is to end; ret_silent_at: when it must, if no byte comes until then. */
static const char *why_kick(const struct sl_src_publish *publish, const struct sl_seen_path *path,
                            const struct sl_observed *observed, int64_t *ret_silent_at)
{
    int64_t after = observed->engine.live_at ? SL_KICK_AFTER : SL_SILENT_AFTER;

    if (!path || !path->source_id[0] || !path->source_type[0])
        return NULL;
    if (!type_allowed(publish, path->source_type))
        return "it publishes by a protocol that is not allowed";
    if (path->in_moved <= 0)
        return NULL;
    if (sl_observed_standing(observed, path) >= after)
        return "it has sent nothing for some seconds";
    *ret_silent_at = path->in_moved + after;
    return NULL;
}

static int by_path(const void *a, const void *b)
{
    return strcmp(((const struct sl_publish_user *)a)->path,
                  ((const struct sl_publish_user *)b)->path);
}

int64_t sl_carry_publishers(struct sl_pass *pass)
{
    struct sl_plan *plan = pass->plan;
    int64_t wake = 0;
    size_t most = 0;

    for (size_t i = 0; i < pass->count; i++)
        most += pass->units[i].want && pass->units[i].want->spec->source.publish;
    plan->users = sl_arena_alloc(pass->arena, (most + 1) * sizeof(*plan->users));
    plan->kicks = sl_arena_alloc(pass->arena, (most + 1) * sizeof(*plan->kicks));
    for (size_t i = 0; i < pass->count; i++) {
        const struct sl_unit *unit = &pass->units[i];
        const struct sl_desired_stream *want = unit->want;
        const struct sl_src_publish *publish = want ? want->spec->source.publish : NULL;
        bool ingest = want && want->carrier == SL_CARRIER_INGEST;
        const struct sl_path_conf *conf = ingest ? unit->ingest_conf : unit->conf;
        const struct sl_seen_path *path = ingest ? unit->ingest : unit->path;
        struct sl_publish_user *user;
        const char *why;
        int64_t silent_at = 0;

        if (!publish || !conf || !sl_unit_runs(unit))
            continue;
        if (!sl_secret_lack(want) && !conf->override_publisher) {
            user = &plan->users[plan->users_count++];
            memcpy(user->path, conf->name, sizeof(user->path));
            snprintf(user->name, sizeof(user->name), "%s",
                     publish->username ? publish->username : "any");
            if (publish->username && want->password.value)
                snprintf(user->password, sizeof(user->password), "%s", want->password.value);
        }
        if (!(ingest ? unit->ingest_right : unit->path_right) || conf->override_publisher)
            continue; /* whoever publishes there is not a publisher of this spec */
        why = why_kick(publish, path, pass->observed, &silent_at);
        if (why) {
            plan->kicks[plan->kicks_count++] =
                (struct sl_kick){path->name, path->source_type, path->source_id, why};
        } else if (silent_at && (!wake || silent_at < wake)) {
            wake = silent_at;
        }
    }
    qsort(plan->users, plan->users_count, sizeof(*plan->users), by_path);
    return wake;
}

/* ---- words ---- */

static bool secret_key(const char *key, size_t len)
{
    static const char *const keys[] = {"pass", "passphrase", "password", "streamid"};

    for (size_t i = 0; i < SL_COUNT(keys); i++)
        if (strlen(keys[i]) == len && strncasecmp(key, keys[i], len) == 0)
            return true;
    return false;
}

void sl_credentials_cut(const char *text, char *ret, size_t size)
{
    struct text out = {ret, 0, size};
    const char *c = text;

    ret[0] = 0;
    while (*c) {
        size_t len = strcspn(c, "?&:");

        put(&out, c, len);
        c += len;
        if (strncmp(c, "://", 3) == 0) {
            size_t authority, at = 0;

            put(&out, c, 3);
            c += 3;
            authority = strcspn(c, "/?#\"' \t\n");
            for (size_t i = 0; i < authority; i++)
                if (c[i] == '@')
                    at = i + 1;
            if (at) {
                puts_to(&out, "***@");
                c += at;
            }
        } else if (*c == '?' || *c == '&') {
            size_t key = strcspn(c + 1, "=&\"' \t\n");

            put(&out, c, key + 1);
            c += key + 1;
            if (*c == '=' && secret_key(c - key, key)) {
                puts_to(&out, "=***");
                c += strcspn(c, "&\"' \t\n");
            }
        } else if (*c) {
            put(&out, c++, 1);
        }
    }
}

/* The number stands alone: no part of an address, a port or a longer number. */
static bool has_code(const char *text, const char *code)
{
    for (const char *at = strstr(text, code); at; at = strstr(at + 1, code)) {
        char before = at > text ? at[-1] : ' ', after = at[3];

        if (!strchr("0123456789.:-", before) && (!after || !strchr("0123456789.:-", after)))
            return true;
    }
    return false;
}

const char *sl_source_reason(const char *text)
{
    static const struct {
        const char *word, *reason;
    } words[] = {
        {"unauthorized", "SourceAuthFailed"},
        {"forbidden", "SourceAuthFailed"},
        {"authentication", "SourceAuthFailed"},
        {"credentials", "SourceAuthFailed"},
        {"passphrase", "SourceAuthFailed"},
        {"bad secret", "SourceAuthFailed"},
        {"BADSECRET", "SourceAuthFailed"},
        {"segment not found", "SourceUnreachable"}, /* a playlist that stands still */
        {"no such host", "SourceUnreachable"},
        {"dial ", "SourceUnreachable"},
        {"not found", "SourceNotFound"},
        {"NOTFOUND", "SourceNotFound"},
        {"no one is publishing", "SourceNotFound"},
        {"no stream is available", "SourceNotFound"},
        {"no packets", "NoFrames"},
        {"udp timeout", "NoFrames"},
        {"no udp", "NoFrames"},
        {"tracks", "NoFrames"},
        {"read tcp", "NoFrames"},
    };

    if (has_code(text, "401") || has_code(text, "403"))
        return "SourceAuthFailed";
    if (has_code(text, "404") || strstr(text, "status code: 400")) /* MediaMTX says 400 */
        return "SourceNotFound";
    for (size_t i = 0; i < SL_COUNT(words); i++)
        if (strcasestr(text, words[i].word)) {
            bool reset = strcasestr(text, "reset by peer") || strcasestr(text, "EOF");

            return reset && strcmp(words[i].reason, "NoFrames") == 0 ? "SourceUnreachable"
                                                                     : words[i].reason;
        }
    return "SourceUnreachable";
}

bool sl_source_fault(const char *reason)
{
    static const char *const reasons[] = {"SourceUnreachable", "SourceNotFound", "SourceAuthFailed",
                                          "NoFrames", "AwaitingPublisher"};

    for (size_t i = 0; i < SL_COUNT(reasons); i++)
        if (strcmp(reasons[i], reason) == 0)
            return true;
    return false;
}
