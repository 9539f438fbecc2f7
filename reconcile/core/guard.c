/* SPDX-License-Identifier: GPL-2.0-or-later
 * The mass-deletion guard: D deletions of this snapshot and of the last ten minutes against P
 * streams owned. Guards against accidents, not against those who may merge. Layer: core.
 */
#include "reconcile/base/buf.h"
#include "reconcile/base/hash.h"
#include "reconcile/core/plan.h"

/* desired, history and names are sorted: a thousand deletions at once are not a million looks. */
static bool present(const struct sl_desired *desired, const char *name)
{
    size_t low = 0, high = desired->count;

    while (low < high) {
        size_t mid = (low + high) / 2;
        int order = strcmp(desired->streams[mid].accepted->name, name);

        if (order == 0)
            return !desired->streams[mid].accepted->absent;
        if (order < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return false;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool among(const char *const *names, size_t count, const char *name)
{
    return count && bsearch(&name, names, count, sizeof(*names), by_text);
}

static int by_past(const void *a, const void *b)
{
    return strcmp(((const struct sl_past *)a)->name, ((const struct sl_past *)b)->name);
}

static bool owned(const struct sl_history *history, const char *name)
{
    const struct sl_past *past;
    struct sl_past key;

    snprintf(key.name, sizeof(key.name), "%s", name);
    past =
        history->count ? bsearch(&key, history->list, history->count, sizeof(key), by_past) : NULL;
    return past && past->owned;
}

/* A hold never lapses: not by time, nor because other streams came or went. */
static bool was_held(const struct sl_history *history, const char *const *names, size_t count)
{
    for (size_t i = 0; i < history->count; i++)
        if (history->list[i].held && among(names, count, history->list[i].name))
            return true;
    return false;
}

static bool spent(const struct sl_history *history, const char *id)
{
    for (size_t i = 0; i < history->released_count; i++)
        if (strcmp(history->released[i], id) == 0)
            return true;
    return false;
}

/* The id of a set changes with each release of it: an approval counts once. */
static void make_id(const struct sl_history *history, const char *const *names, size_t count,
                    char ret_id[13])
{
    struct sl_buf text = {0};
    size_t base;
    char hex[SL_SHA_HEX];

    for (size_t i = 0; i < count; i++)
        sl_buf_printf(&text, "%s\n", names[i]);
    base = text.len;
    for (unsigned times = 0;; times++) {
        text.len = base;
        sl_buf_printf(&text, "#%u", times);
        sl_sha256_hex(text.data, text.len, hex);
        hex[12] = 0;
        if (!spent(history, hex))
            break;
    }
    memcpy(ret_id, hex, 13);
    sl_buf_free(&text);
}

bool sl_guard_holds(const struct sl_history *history, const struct sl_desired *desired,
                    int64_t wall, const char *const *names, size_t count, char ret_id[13])
{
    size_t d = count, p = 0, left = 0;

    ret_id[0] = 0;
    if (count == 0)
        return false;
    if (!desired->root_present)
        return true;
    for (size_t i = 0; i < desired->count; i++) {
        left += !desired->streams[i].accepted->absent;
        d += desired->streams[i].accepted->in_doubt;
    }
    for (size_t i = 0; i < history->count; i++)
        p += history->list[i].owned;
    for (size_t i = 0; i < count; i++) /* accepted once, never made: counts on both sides */
        p += !owned(history, names[i]);
    for (size_t i = 0; i < history->deleted_count; i++) {
        const char *name = history->deleted[i].name;
        bool again = false;

        if (wall - history->deleted[i].at >= SL_GUARD_WINDOW || present(desired, name) ||
            among(names, count, name))
            continue;
        for (size_t j = 0; j < i && !again; j++)
            again = strcmp(history->deleted[j].name, name) == 0 &&
                    wall - history->deleted[j].at < SL_GUARD_WINDOW;
        if (again)
            continue;
        d++;
        p += !owned(history, name);
    }
    if (left > 0 && (d < 3 || d * 10 < p * 3) && !was_held(history, names, count))
        return false;
    make_id(history, names, count, ret_id);
    for (size_t i = 0; i < desired->approvals_count; i++)
        if (strcmp(desired->approvals[i], ret_id) == 0)
            return false;
    return true;
}
