/* SPDX-License-Identifier: GPL-2.0-or-later
 * The whole mediamtx.yml: the operator's template with its lines kept, except the paths that are
 * ours and authInternalUsers. A template that cannot work is refused with its line: a bad file
 * would end MediaMTX. Immutable after new but for the generation. Layer: mediamtx.
 */
#pragma once
#include "reconcile/mediamtx/paths.h"
#include "reconcile/mediamtx/users.h"

struct sl_mtx_file;
struct sl_mtx_file_options {
    const char *template_; /* file name, or NULL: a minimal one of our own */
    const char *config;    /* where the rendered one goes; its directory is made */
    const char *api_url;   /* apiAddress must agree with it */
    const char *user;      /* ours, or NULL: users are left as the template has them */
    const char *password;
};
int sl_mtx_file_new(const struct sl_mtx_file_options *options, struct sl_mtx_file **ret,
                    struct sl_err *err) SL_MUST;
void sl_mtx_file_free(struct sl_mtx_file *file);
const char *sl_mtx_file_name(const struct sl_mtx_file *file); /* of the rendered one */

/* `marker`: hash of the generation's user (sl_mtx_hash_random). */
struct sl_mtx_content {
    const struct sl_path_conf *paths;
    size_t count;
    const struct sl_mtx_user *users;
    size_t users_count;
    uint64_t generation;
    const char *marker;
};
/* The template's own path of the same name gives way. The caller frees. */
char *sl_mtx_file_render(const struct sl_mtx_file *file, const struct sl_mtx_content *content);
/* The same users for the API; NULL: they are not ours. The caller decrefs. */
json_t *sl_mtx_file_users(const struct sl_mtx_file *file, const struct sl_mtx_content *content);
/* Generation of the rendered file as found at new (0: none), and whether it was rendered from this
 * template and these users. */
uint64_t sl_mtx_file_generation(const struct sl_mtx_file *file);
bool sl_mtx_file_current(const struct sl_mtx_file *file);
/* An address the template (or MediaMTX's default) listens at: "apiAddress", "rtspAddress" …;
 * NULL: that server is off or the key is none of them. */
const char *sl_mtx_file_address(const struct sl_mtx_file *file, const char *key);
/* Port of ":8554", "127.0.0.1:8554", "[::1]:8554", "http://h:9997/"; 0: none. */
int sl_mtx_port(const char *address);
