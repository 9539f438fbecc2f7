/* SPDX-License-Identifier: GPL-2.0-or-later
 * Rules across the fields of a source: which credentials go with which URL.
 */
#include "schemas/manifest.h"
#include "schemas/rules_parts.h"

#define REF_HINT "passwordRef: {name: SECRET} names a file below a secrets directory"

static bool begins(const struct given *url, const char *scheme)
{
    size_t len = strlen(scheme);

    return url->node && strncmp(url->value.s, scheme, len) == 0 && url->value.s[len] == ':';
}

/* The value of a key of the URL's query as it is written; false when it is not there. */
static bool query(const char *url, const char *key, const char **ret, size_t *ret_len)
{
    const char *p = strchr(url, '?');
    size_t len = strlen(key);

    for (; p; p = strchr(p, '&')) {
        p++;
        if (strncasecmp(p, key, len) == 0 && p[len] == '=') {
            *ret = p + len + 1;
            *ret_len = strcspn(*ret, "&");
            return true;
        }
    }
    return false;
}

/* Both or none; `literal`: a password written out, which was said already. */
static void pair(const struct rules *r, const struct given *user, const struct given *password,
                 const char *literal)
{
    if (user->key && !password->key && !sl_node_find(r->root, literal, NULL))
        RULE(r, SL_DIAG_ERROR, "E112", user, REF_HINT, "username without passwordRef");
    if (password->key && !user->key)
        RULE(r, SL_DIAG_ERROR, "E112", password, "add username, or leave it out",
             "passwordRef without username");
}

static void rtsp_rules(const struct rules *r)
{
    struct given url = sl_rules_given(r, "spec.source.rtsp.url");
    struct given transport = sl_rules_given(r, "spec.source.rtsp.transport");
    struct given user = sl_rules_given(r, "spec.source.rtsp.username");
    struct given password = sl_rules_given(r, "spec.source.rtsp.passwordRef");

    if (url.node) /* else the URL may hold a password: said already */
        pair(r, &user, &password, "spec.source.rtsp.password");
    if (begins(&url, "rtsps") && transport.node && transport.value.i == SL_TRANSPORT_UDP)
        RULE(r, SL_DIAG_ERROR, "E112", &transport, "leave it out, or use rtsp://",
             "rtsps comes by tcp only");
}

static void pull_rules(const struct rules *r)
{
    struct given url = sl_rules_given(r, "spec.source.pull.url");
    struct given user = sl_rules_given(r, "spec.source.pull.username");
    struct given password = sl_rules_given(r, "spec.source.pull.passwordRef");
    struct given passphrase = sl_rules_given(r, "spec.source.pull.passphraseRef");
    struct given stream_id = sl_rules_given(r, "spec.source.pull.streamIdRef");
    const struct given *srt_only[] = {&passphrase, &stream_id};
    const struct given *first = user.key ? &user : &password;
    bool srt = begins(&url, "srt"), udp = begins(&url, "udp");
    const char *value;
    size_t len;

    if (first->key && (srt || udp))
        RULE(r, SL_DIAG_ERROR, "E112", first,
             srt ? "SRT has streamIdRef and passphraseRef" : "anybody may send there",
             "%s has no user names", srt ? "SRT" : "UDP");
    else if (url.node)
        pair(r, &user, &password, "spec.source.pull.password");
    for (size_t i = 0; i < SL_COUNT(srt_only); i++)
        if (srt_only[i]->key && url.node && !srt)
            RULE(r, SL_DIAG_ERROR, "E112", srt_only[i], "leave it out", "only SRT has a %s",
                 i == 0 ? "passphrase" : "stream id");
    if (!srt)
        return;
    if (stream_id.key && query(url.value.s, "streamid", &value, &len))
        RULE(r, SL_DIAG_ERROR, "E112", &stream_id, "keep one of the two",
             "the stream id stands in the URL too");
    if (query(url.value.s, "mode", &value, &len) && !(len == 6 && strncmp(value, "caller", 6) == 0))
        RULE(r, SL_DIAG_ERROR, "E112", &url, "to receive from those who call, use source.publish",
             "an SRT source is called: mode=%.*s is not possible", len < 40 ? (int)len : 40, value);
}

static void publish_rules(const struct rules *r, const struct given *publish)
{
    struct given user = sl_rules_given(r, "spec.source.publish.username");
    struct given password = sl_rules_given(r, "spec.source.publish.passwordRef");

    pair(r, &user, &password, "spec.source.publish.password");
    if (!user.key && !password.key)
        RULE(r, SL_DIAG_WARNING, "W203", publish, "add username and passwordRef: {name: SECRET}",
             "anybody who reaches MediaMTX may publish here");
    if (user.node && sl_streq(user.value.s, "any"))
        RULE(r, SL_DIAG_ERROR, "E113", &user, "leave it out if anybody may publish",
             "to MediaMTX the user 'any' is everybody");
    if (user.node && strncmp(user.value.s, "sluice-", 7) == 0)
        RULE(r, SL_DIAG_ERROR, "E113", &user, NULL, "users named 'sluice-…' are our own");
}

void sl_rules_source(const struct rules *r)
{
    struct given copy = sl_rules_given(r, "spec.encode.copy");
    struct given publish;

    if (copy.node && sl_rules_given(r, "spec.source.test").node)
        RULE(r, SL_DIAG_ERROR, "E112", &copy, "write transcode: {}, or leave encode out",
             "a test source has nothing encoded to copy");
    if (sl_rules_given(r, "spec.source.rtsp").node)
        rtsp_rules(r);
    if (sl_rules_given(r, "spec.source.pull").node)
        pull_rules(r);
    publish = sl_rules_given(r, "spec.source.publish");
    if (publish.node)
        publish_rules(r, &publish);
}
