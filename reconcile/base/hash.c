/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "reconcile/base/hash.h"

#include <nettle/sha2.h>

void sl_sha256_raw(const void *data, size_t len, uint8_t ret[32])
{
    struct sha256_ctx ctx;
    sha256_init(&ctx);
    sha256_update(&ctx, len, data);
    sha256_digest(&ctx, 32, ret);
}

void sl_sha256_hex(const void *data, size_t len, char ret_hex[SL_SHA_HEX])
{
    uint8_t raw[32];
    sl_sha256_raw(data, len, raw);
    for (int i = 0; i < 32; i++) {
        snprintf(ret_hex + 2 * i, 3, "%02x", raw[i]);
    }
}
