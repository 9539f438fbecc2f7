/* SPDX-License-Identifier: GPL-2.0-or-later
 * RTSP credentials. Layer: encoders.
 */
#define _GNU_SOURCE 1
#include "encoders/rtsp_auth.h"
#include <nettle/base64.h>
#include <nettle/md5.h>

static const char name[] = "\r\nWWW-Authenticate:";

bool sl_rtsp_challenge(const char *answer, char *ret, size_t size)
{
    bool found = false;

    for (const char *at = strcasestr(answer, name); at; at = strcasestr(at, name)) {
        size_t n;

        at += sizeof(name) - 1;
        at += strspn(at, " ");
        n = strcspn(at, "\r\n");
        if (n >= size)
            continue;
        if (strncasecmp(at, "Basic", 5) == 0 || (!found && strncasecmp(at, "Digest", 6) == 0)) {
            snprintf(ret, size, "%.*s", (int)n, at);
            found = true;
            if (strncasecmp(at, "Basic", 5) == 0)
                break;
        }
    }
    return found;
}

static bool value(const char *challenge, const char *key, char *to, size_t size)
{
    const char *at = strcasestr(challenge, key);
    size_t n;

    if (!at)
        return false;
    at += strlen(key);
    n = strcspn(at, "\"");
    if (n >= size)
        return false;
    snprintf(to, size, "%.*s", (int)n, at);
    return true;
}

/* MD5 of a:b:c (c NULL: of a:b) as hex. */
static void hashed(const char *a, const char *b, const char *c, char ret[33])
{
    struct md5_ctx md5;
    uint8_t sum[MD5_DIGEST_SIZE];

    md5_init(&md5);
    md5_update(&md5, strlen(a), (const uint8_t *)a);
    md5_update(&md5, 1, (const uint8_t *)":");
    md5_update(&md5, strlen(b), (const uint8_t *)b);
    if (c) {
        md5_update(&md5, 1, (const uint8_t *)":");
        md5_update(&md5, strlen(c), (const uint8_t *)c);
    }
    md5_digest(&md5, sizeof(sum), sum);
    for (size_t i = 0; i < sizeof(sum); i++)
        snprintf(ret + 2 * i, 3, "%02x", sum[i]);
}

static char *basic(const char *username, const char *password)
{
    sl_autofree char *both = sl_asprintf("%s:%s", username, password);
    size_t len = strlen(both);
    sl_autofree char *coded = sl_alloc(BASE64_ENCODE_RAW_LENGTH(len) + 1);
    char *line;

    base64_encode_raw(coded, len, (const uint8_t *)both);
    line = sl_asprintf("Authorization: Basic %s\r\n", coded);
    explicit_bzero(both, len);
    explicit_bzero(coded, strlen(coded));
    return line;
}

char *sl_rtsp_authorize(const char *challenge, const char *method, const char *url,
                        const char *username, const char *password)
{
    char realm[256], nonce[256], ha1[33], ha2[33], response[33];

    if (strncasecmp(challenge, "Basic", 5) == 0)
        return basic(username, password);
    if (!value(challenge, "realm=\"", realm, sizeof(realm)) ||
        !value(challenge, "nonce=\"", nonce, sizeof(nonce)))
        return NULL;
    hashed(username, realm, password, ha1);
    hashed(method, url, NULL, ha2);
    hashed(ha1, nonce, ha2, response);
    explicit_bzero(ha1, sizeof(ha1));
    return sl_asprintf("Authorization: Digest username=\"%s\", realm=\"%s\", nonce=\"%s\", "
                       "uri=\"%s\", response=\"%s\"\r\n",
                       username, realm, nonce, url, response);
}
