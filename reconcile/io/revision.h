/* SPDX-License-Identifier: GPL-2.0-or-later
 * Which commit a directory shows, without running git: `.git` (also gitdir: and commondir files of
 * worktrees and submodules), HEAD, loose and packed refs; and path names with every link hop told.
 * Texts belong to the caller's struct; sl_git_clear. Layer: io. Never writes.
 */
#pragma once
#include "reconcile/base/base.h"

#define SL_HEX_MAX 65 /* a SHA-1 or SHA-256 object name */

struct sl_git {
    char *dir;                 /* HEAD, index, index.lock lie here */
    char *common;              /* refs and packed-refs; often the same */
    char *ref_dir;             /* directory of the branch's loose ref, or NULL */
    char revision[SL_HEX_MAX]; /* "" before the first commit */
    char *ref;                 /* "main"; NULL: detached */
};

/* Looks in root, then in its parents; a parent counts only when its index names something below
 * root (a build directory inside of some checkout is not that checkout). False: no git here. */
bool sl_git_find(const char *root, struct sl_git *ret) SL_MUST;
void sl_git_clear(struct sl_git *git);

/* The hash in a link's target, as git-sync names its worktrees: ".worktrees/HASH", "rev-HASH". */
bool sl_revision_of_link(const char *target, char ret[SL_HEX_MAX]);

/* Absolute path → path without links. hop: called for each link with the directory it lies in and
 * its target. 0, or a negative errno; then *ret is the deepest part that exists. The caller frees
 * *ret in both cases. */
typedef void sl_hop_fn(void *user, const char *dir, const char *target);
int sl_resolve(const char *path, sl_hop_fn *hop, void *user, char **ret);
