/* SPDX-License-Identifier: GPL-2.0-or-later
 * SHA-256 (nettle) as lower-case hex. Layer: base.
 */
#pragma once
#include "reconcile/base/base.h"

#define SL_SHA_HEX 65
void sl_sha256_hex(const void *data, size_t len, char ret_hex[SL_SHA_HEX]);
void sl_sha256_raw(const void *data, size_t len, uint8_t ret[32]);
