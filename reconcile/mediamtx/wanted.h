/* SPDX-License-Identifier: GPL-2.0-or-later
 * The set of paths that is wanted, what MediaMTX refused of it, and the difference to what is.
 * Pure values; the writer owns one. Layer: mediamtx.
 */
#pragma once
#include "reconcile/mediamtx/client.h"
#include "reconcile/mediamtx/users.h"

struct sl_refused {
    struct sl_path_conf conf;
    char text[256];
};
struct sl_wanted {
    bool given;                /* sl_wanted_set was called */
    uint64_t version;          /* grows when the accepted set changes */
    struct sl_path_conf *list; /* sorted by name, as given */
    size_t count;
    char **removed;
    size_t removed_count;
    struct sl_refused *rejected; /* left out until their conf changes */
    size_t rejected_count;
    struct sl_mtx_user *users; /* as given, without those that MediaMTX would refuse */
    size_t users_count;
    char users_hash[SL_SHA_HEX];
    bool users_refused;        /* all of them, by MediaMTX: left out until they change */
    struct sl_refused no_user; /* the first one left out: conf.name, text; "" none */
};
struct sl_op {
    const char *name;                /* "" with users */
    const struct sl_path_conf *conf; /* NULL: remove, or users */
    char *users;                     /* all of them, for the API; NULL: a path */
    const char *reason;
    bool refused; /* by MediaMTX: not waited for */
};
struct sl_ops { /* confs and names are copies of its own */
    struct sl_op *list;
    size_t count;
};

/* Checks each path (sl_mtx_path_check): what MediaMTX would refuse is rejected here. */
void sl_wanted_set(struct sl_wanted *wanted, const struct sl_path_conf *paths, size_t count,
                   const char *const *removed, size_t removed_count);
/* Before sl_wanted_set in each pass. */
void sl_wanted_users(struct sl_wanted *wanted, const struct sl_publish_user *users, size_t count);
void sl_wanted_clear(struct sl_wanted *wanted);
void sl_wanted_reject(struct sl_wanted *wanted, const struct sl_path_conf *conf, const char *text);
/* All but the rejected, sorted; the caller frees. */
size_t sl_wanted_accepted(const struct sl_wanted *wanted, struct sl_path_conf **ret);
/* Replaces what `ret` held; takes `users` (or NULL) over. Removals, then users, then paths: nobody
 * may publish on a path before it is there, and a path is there only with its users. */
void sl_wanted_diff(const struct sl_wanted *wanted, const struct sl_mtx_confs *confs, char *users,
                    struct sl_ops *ret);
/* Is one of them not to be seen yet? */
bool sl_ops_open(const struct sl_ops *ops, const struct sl_mtx_confs *confs);
/* One path as read back by itself (NULL: not there) into the list. */
void sl_mtx_confs_put(struct sl_mtx_confs **confs, const char *name,
                      const struct sl_path_conf *conf);
void sl_ops_clear(struct sl_ops *ops);
bool sl_mtx_path_same(const struct sl_path_conf *a, const struct sl_path_conf *b);
