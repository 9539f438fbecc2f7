/* SPDX-License-Identifier: GPL-2.0-or-later
 * MediaMTX's authInternalUsers as Sluice renders them: `any` reads, `sluice-INSTANCE` publishes and
 * has the API, publishers have one path each, and the marker `sluice-gen-N` tells which rendered
 * file is loaded (docs/adr/0004). Passwords stand there hashed; the marker's belongs to no
 * password. As JSON for the API and as YAML for the file. Layer: mediamtx.
 */
#pragma once
#include "reconcile/base/buf.h"
#include "reconcile/base/err.h"
#include "reconcile/base/hash.h"
#include "reconcile/core/path.h"

#define SL_MTX_HASH 64 /* "sha256:" and 44 characters of base64 */

struct sl_mtx_user {           /* may publish on one path */
    char path[208], name[128]; /* "any": anybody */
    char pass[SL_MTX_HASH];    /* its hash; "" with "any" */
};
struct sl_mtx_users {
    const char *user;       /* ours; NULL: leave users alone, write the marker only */
    char pass[SL_MTX_HASH]; /* its hash */
    const struct sl_mtx_user *list;
    size_t count;
    uint64_t generation;
    char marker[SL_MTX_HASH]; /* random */
};

void sl_mtx_hash(const char *password, char ret[SL_MTX_HASH]);
void sl_mtx_hash_random(char ret[SL_MTX_HASH]);
/* Hashes the password. -1: MediaMTX would not take it (the error names the path, never a password).
 */
int sl_mtx_user_of(const struct sl_publish_user *from, struct sl_mtx_user *ret,
                   struct sl_err *err) SL_MUST;
/* List items only (no "authInternalUsers:" line). */
void sl_mtx_users_print(const struct sl_mtx_users *users, int indent, struct sl_buf *out);
json_t *sl_mtx_users_to_json(const struct sl_mtx_users *users); /* the value of the key */
/* Over names, addresses and permissions in their order, which is all that MediaMTX shows; the
 * marker's number is left out. */
void sl_mtx_users_shape(const json_t *array, char ret[SL_SHA_HEX]);
/* Over a list of publishers with their hashes. */
void sl_mtx_users_hash(const struct sl_mtx_user *list, size_t count, char ret[SL_SHA_HEX]);
/* MediaMTX's own default users: for a template without any whose users are left alone. */
void sl_mtx_users_default(int indent, struct sl_buf *out);
/* N of "sluice-gen-N", else 0. */
uint64_t sl_mtx_generation(const char *user);
