/* SPDX-License-Identifier: GPL-2.0-or-later
 * Users, their hashes and the generation marker. Layer: mediamtx.
 */
#include "reconcile/mediamtx/users.h"

#include "reconcile/base/hash.h"
#include <nettle/base64.h>
#include <sys/random.h>

#define MARKER "sluice-gen-"

static void hash_print(const uint8_t raw[32], char ret[SL_MTX_HASH])
{
    char text[BASE64_ENCODE_RAW_LENGTH(32) + 1] = {0};

    base64_encode_raw(text, 32, raw);
    snprintf(ret, SL_MTX_HASH, "sha256:%s", text);
}

void sl_mtx_hash(const char *password, char ret[SL_MTX_HASH])
{
    uint8_t raw[32];

    sl_sha256_raw(password, strlen(password), raw);
    hash_print(raw, ret);
}

void sl_mtx_hash_random(char ret[SL_MTX_HASH])
{
    uint8_t raw[32];

    if (getrandom(raw, sizeof(raw), 0) != (ssize_t)sizeof(raw))
        abort();
    hash_print(raw, ret);
}

static void user_print(const char *user, const char *pass, const char *ips, const char *actions,
                       int indent, struct sl_buf *out)
{
    sl_buf_printf(out,
                  "%*s- user: \"%s\"\n%*s  pass: \"%s\"\n%*s  ips: [%s]\n%*s  permissions: [%s]\n",
                  indent, "", user, indent, "", pass, indent, "", ips, indent, "", actions);
}

void sl_mtx_users_print(const struct sl_mtx_users *users, int indent, struct sl_buf *out)
{
    char marker[40];

    if (users->user) {
        user_print("any", "", "", "{action: read}, {action: playback}", indent, out);
        user_print(users->user, users->pass, "",
                   "{action: publish}, {action: read}, {action: playback}, {action: api}", indent,
                   out);
    }
    snprintf(marker, sizeof(marker), MARKER "%llu", (unsigned long long)users->generation);
    user_print(marker, users->marker, "", "", indent, out);
}

void sl_mtx_users_default(int indent, struct sl_buf *out)
{
    user_print("any", "", "", "{action: publish}, {action: read}, {action: playback}", indent, out);
    user_print("any", "", "\"127.0.0.1\", \"::1\"",
               "{action: api}, {action: metrics}, {action: pprof}", indent, out);
}

uint64_t sl_mtx_generation(const char *user)
{
    if (!user || strncmp(user, MARKER, strlen(MARKER)) != 0)
        return 0;
    return strtoull(user + strlen(MARKER), NULL, 10);
}
