/* SPDX-License-Identifier: GPL-2.0-or-later
 * A complete, stable snapshot of the manifest directory: path, bytes, sha256 of every manifest
 * (contract C2). Pure reading; runs on a worker thread. Valid only if nothing failed, the root was
 * the same inode before and after and a second stat of every file agrees. Links are followed, but
 * only to names that are manifests too (a link to a secret reads as an empty file); a dangling
 * link is an empty file. Layer: io.
 */
#pragma once
#include "reconcile/base/arena.h"
#include "reconcile/base/err.h"
#include "reconcile/base/hash.h"

#define SL_SOURCE_FILE_MAX (1 << 20) /* a longer file is cut at this + 1 bytes: load says so */

struct sl_snapshot_file {
    const char *path; /* relative to the root */
    const char *bytes;
    size_t len;
    char sha256[SL_SHA_HEX];
};
struct sl_snapshot {
    struct sl_arena *arena;
    struct sl_snapshot_file *files; /* sorted by path */
    size_t count;
    const char **dirs; /* every directory and link-hop parent to watch, absolute */
    size_t dirs_count;
    bool root_present;             /* the root exists and holds at least one manifest */
    char snapshot[8 + SL_SHA_HEX]; /* "sha256:" over paths and hashes */
    /* revision (contract 4): git-sync link name, .git, REVISION file, else the content */
    const char *revision, *ref, *how; /* how: git | git-sync | file | content */
    bool atomic;         /* git, git-sync or a Kubernetes volume: no half-done states */
    const char *warning; /* for a human, "" = none: an index.lock left behind … */
};
/* -1: not a valid snapshot now (transient: look again; code IndexLock while git holds its lock
 * for less than 30 s; RootMissing is not an error but root_present = false). */
int sl_source_read(const char *root, struct sl_snapshot **ret, struct sl_err *err) SL_MUST;
void sl_source_free(struct sl_snapshot *source);
/* As above, names only: which names are manifests. */
bool sl_source_takes(const char *basename);
