/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/sluice/scrub.h"

/* Texts may be constants: a changed one is a new one in the status's arena. */
static void scrub(const struct sl_secrets *secrets, struct sl_arena *arena, const char **text)
{
    if (!*text || !**text) {
        return;
    }
    sl_autofree char *copy = sl_strdup(*text);
    sl_secrets_scrub(secrets, copy);
    if (strcmp(copy, *text) != 0) {
        *text = sl_arena_strdup(arena, copy);
    }
    explicit_bzero(copy, strlen(copy));
}

static void scrub_diags(const struct sl_secrets *secrets, struct sl_arena *arena,
                        const struct sl_status_file *file)
{
    /* the status's own copies, const for those who render them */
    struct sl_diag *list = (struct sl_diag *)(uintptr_t)file->diags;
    for (size_t i = 0; i < file->diags_count; i++) {
        scrub(secrets, arena, (const char **)&list[i].message);
        scrub(secrets, arena, (const char **)&list[i].hint);
        scrub(secrets, arena, (const char **)&list[i].excerpt);
    }
}

void sl_scrub_observed(const struct sl_secrets *secrets, struct sl_observed *observed)
{
    /* fleet's and engine's views of a moment: const for core, theirs to change */
    struct sl_seen_encoder *encoders = (struct sl_seen_encoder *)(uintptr_t)observed->encoders;
    struct sl_seen_path *paths = (struct sl_seen_path *)(uintptr_t)observed->paths;
    for (size_t i = 0; i < observed->encoders_count; i++) {
        sl_secrets_scrub(secrets, encoders[i].record.message);
    }
    for (size_t i = 0; i < observed->paths_count; i++) {
        sl_secrets_scrub(secrets, paths[i].source_error);
    }
    sl_secrets_scrub(secrets, observed->engine.error);
}

void sl_scrub_status(const struct sl_secrets *secrets, struct sl_status *status)
{
    struct sl_arena *arena = status->arena;
    for (size_t i = 0; i < status->streams_count; i++) {
        for (int k = 0; k < SL_COND_COUNT; k++) {
            scrub(secrets, arena, &status->streams[i].cond[k].message);
        }
    }
    for (size_t i = 0; i < status->plan.changes_count; i++) {
        scrub(secrets, arena, &status->plan.changes[i].reason);
    }
    for (size_t i = 0; i < status->files_count; i++) {
        scrub_diags(secrets, arena, &status->files[i]);
    }
    scrub(secrets, arena, &status->observed.host_error);
    scrub(secrets, arena, &status->source.warning);
}
