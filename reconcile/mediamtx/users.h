/* SPDX-License-Identifier: GPL-2.0-or-later
 * MediaMTX's authInternalUsers as Sluice renders them: `any` reads, `sluice-INSTANCE` publishes and
 * has the API, and the marker `sluice-gen-N` tells which rendered file is loaded (docs/adr/0004).
 * Passwords stand there hashed; the marker's belongs to no password. Layer: mediamtx.
 */
#pragma once
#include "reconcile/base/buf.h"

#define SL_MTX_HASH 64 /* "sha256:" and 44 characters of base64 */

struct sl_mtx_users {
    const char *user;       /* ours; NULL: leave users alone, write the marker only */
    char pass[SL_MTX_HASH]; /* its hash */
    uint64_t generation;
    char marker[SL_MTX_HASH]; /* random */
};

void sl_mtx_hash(const char *password, char ret[SL_MTX_HASH]);
void sl_mtx_hash_random(char ret[SL_MTX_HASH]);
/* List items only (no "authInternalUsers:" line). */
void sl_mtx_users_print(const struct sl_mtx_users *users, int indent, struct sl_buf *out);
/* MediaMTX's own default users: for a template without any whose users are left alone. */
void sl_mtx_users_default(int indent, struct sl_buf *out);
/* N of "sluice-gen-N", else 0. */
uint64_t sl_mtx_generation(const char *user);
