/* SPDX-License-Identifier: GPL-2.0-or-later
 * What is wanted against what is. Layer: mediamtx.
 */
#include "reconcile/mediamtx/wanted.h"

#include "reconcile/mediamtx/sources.h"

bool sl_mtx_path_same(const struct sl_path_conf *a, const struct sl_path_conf *b)
{
    struct sl_path_conf x = *a, y = *b;

    sl_mtx_path_normal(&x);
    if (!x.always_available && y.tracks.count)
        return false; /* tracks left over from before */
    sl_mtx_path_normal(&y);
    return sl_path_conf_equal(&x, &y);
}

static bool is_rejected(const struct sl_wanted *w, const struct sl_path_conf *conf)
{
    for (size_t i = 0; i < w->rejected_count; i++)
        if (sl_path_conf_equal(&w->rejected[i].conf, conf))
            return true;
    return false;
}

static void drop_removed(struct sl_wanted *w)
{
    for (size_t i = 0; i < w->removed_count; i++)
        free(w->removed[i]);
    free(w->removed);
    w->removed = NULL;
    w->removed_count = 0;
}

void sl_wanted_clear(struct sl_wanted *w)
{
    drop_removed(w);
    free(w->list);
    free(w->rejected);
    free(w->users);
    memset(w, 0, sizeof(*w));
}

void sl_wanted_reject(struct sl_wanted *w, const struct sl_path_conf *conf, const char *text)
{
    struct sl_refused *one;

    w->rejected = sl_realloc(w->rejected, (w->rejected_count + 1) * sizeof(*w->rejected));
    one = &w->rejected[w->rejected_count++];
    one->conf = *conf;
    snprintf(one->text, sizeof(one->text), "%s", text ? text : "refused");
    sl_mtx_scrub(conf->source, one->text);
    w->version++;
}

static bool same_list(const struct sl_wanted *w, const struct sl_path_conf *paths, size_t count)
{
    if (!w->given || w->count != count)
        return false;
    for (size_t i = 0; i < count; i++)
        if (!sl_path_conf_equal(&w->list[i], &paths[i]))
            return false;
    return true;
}

/* A rejection lasts as long as exactly this conf is wanted. */
static void keep_rejections(struct sl_wanted *w)
{
    size_t kept = 0;

    for (size_t i = 0; i < w->rejected_count; i++) {
        const struct sl_path_conf *now =
            sl_mtx_path_find(w->list, w->count, w->rejected[i].conf.name);

        if (now && sl_path_conf_equal(now, &w->rejected[i].conf))
            w->rejected[kept++] = w->rejected[i];
    }
    w->rejected_count = kept;
}

void sl_wanted_set(struct sl_wanted *w, const struct sl_path_conf *paths, size_t count,
                   const char *const *removed, size_t removed_count)
{
    drop_removed(w);
    w->removed = sl_alloc((removed_count + 1) * sizeof(*w->removed));
    for (size_t i = 0; i < removed_count; i++)
        w->removed[w->removed_count++] = sl_strdup(removed[i]);
    if (same_list(w, paths, count))
        return;
    free(w->list);
    w->list = sl_alloc((count + 1) * sizeof(*w->list));
    if (count)
        memcpy(w->list, paths, count * sizeof(*w->list));
    w->count = count;
    qsort(w->list, count, sizeof(*w->list), sl_mtx_path_order);
    w->given = true;
    w->version++;
    keep_rejections(w);
    for (size_t i = 0; i < count; i++) {
        struct sl_err err = {0};

        if (!is_rejected(w, &w->list[i]) && sl_mtx_path_check(&w->list[i], &err) < 0)
            sl_wanted_reject(w, &w->list[i], err.text);
    }
}

void sl_wanted_users(struct sl_wanted *w, const struct sl_publish_user *users, size_t count)
{
    struct sl_mtx_user *list = sl_alloc((count + 1) * sizeof(*list));
    char hash[SL_SHA_HEX];
    size_t kept = 0;

    memset(&w->no_user, 0, sizeof(w->no_user));
    for (size_t i = 0; i < count; i++) {
        struct sl_err err = {0};

        if (sl_mtx_user_of(&users[i], &list[kept], &err) == 0) {
            kept++;
        } else if (!*w->no_user.text) {
            snprintf(w->no_user.conf.name, sizeof(w->no_user.conf.name), "%s", users[i].path);
            snprintf(w->no_user.text, sizeof(w->no_user.text), "%.255s", err.text);
        }
    }
    sl_mtx_users_hash(list, kept, hash);
    if (w->users && strcmp(hash, w->users_hash) == 0) {
        free(list);
        return;
    }
    if (w->users || kept)
        w->version++;
    free(w->users);
    w->users = list;
    w->users_count = kept;
    w->users_refused = false;
    memcpy(w->users_hash, hash, sizeof(hash));
}

size_t sl_wanted_accepted(const struct sl_wanted *w, struct sl_path_conf **ret)
{
    struct sl_path_conf *list = sl_alloc((w->count + 1) * sizeof(*list));
    size_t count = 0;

    for (size_t i = 0; i < w->count; i++)
        if (!is_rejected(w, &w->list[i]))
            list[count++] = w->list[i];
    *ret = list;
    return count;
}

void sl_ops_clear(struct sl_ops *ops)
{
    for (size_t i = 0; i < ops->count; i++)
        free((char *)(uintptr_t)(ops->list[i].conf    ? (const char *)ops->list[i].conf
                                 : ops->list[i].users ? ops->list[i].users
                                                      : ops->list[i].name));
    free(ops->list);
    memset(ops, 0, sizeof(*ops));
}

static void add_removal(struct sl_ops *ops, const char *name)
{
    ops->list[ops->count++] = (struct sl_op){.name = sl_strdup(name), .reason = "no longer wanted"};
}

static void add_write(struct sl_ops *ops, const struct sl_path_conf *conf, const char *reason)
{
    struct sl_path_conf *copy = sl_alloc(sizeof(*copy));

    *copy = *conf;
    ops->list[ops->count++] = (struct sl_op){.name = copy->name, .conf = copy, .reason = reason};
}

void sl_wanted_diff(const struct sl_wanted *w, const struct sl_mtx_confs *confs, char *users,
                    struct sl_ops *ret)
{
    sl_ops_clear(ret);
    ret->list = sl_alloc((w->count + w->removed_count + 2) * sizeof(*ret->list));
    for (size_t i = 0; i < w->removed_count; i++)
        if (!sl_mtx_path_find(w->list, w->count, w->removed[i]) &&
            sl_mtx_path_find(confs->list, confs->count, w->removed[i]))
            add_removal(ret, w->removed[i]);
    if (users)
        ret->list[ret->count++] =
            (struct sl_op){.name = "", .users = users, .reason = "users differ"};
    for (size_t i = 0; i < w->count; i++) {
        const struct sl_path_conf *is =
            sl_mtx_path_find(confs->list, confs->count, w->list[i].name);

        if (is_rejected(w, &w->list[i]) || (is && sl_mtx_path_same(&w->list[i], is)))
            continue;
        add_write(ret, &w->list[i], is ? "its configuration differs" : "not configured");
    }
}

bool sl_ops_open(const struct sl_ops *ops, const struct sl_mtx_confs *confs)
{
    for (size_t i = 0; i < ops->count; i++) {
        const struct sl_op *op = &ops->list[i];
        const struct sl_path_conf *is = sl_mtx_path_find(confs->list, confs->count, op->name);

        if (!op->refused && !op->users &&
            (op->conf ? !is || !sl_mtx_path_same(op->conf, is) : is != NULL))
            return true;
    }
    return false;
}

void sl_mtx_confs_put(struct sl_mtx_confs **confs, const char *name,
                      const struct sl_path_conf *conf)
{
    struct sl_mtx_confs *list = *confs;
    size_t at = 0;
    bool there;

    while (at < list->count && strcmp(list->list[at].name, name) < 0)
        at++;
    there = at < list->count && strcmp(list->list[at].name, name) == 0;
    if (there && !conf) {
        memmove(&list->list[at], &list->list[at + 1], (--list->count - at) * sizeof(list->list[0]));
    } else if (conf) {
        list = sl_realloc(list, sizeof(*list) + (list->count + 1) * sizeof(list->list[0]));
        if (!there)
            memmove(&list->list[at + 1], &list->list[at],
                    (list->count++ - at) * sizeof(list->list[0]));
        list->list[at] = *conf;
    }
    *confs = list;
}
