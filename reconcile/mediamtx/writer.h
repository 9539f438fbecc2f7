/* SPDX-License-Identifier: GPL-2.0-or-later
 * The one writer of MediaMTX's configuration: brings what is (read back) to what is wanted, by the
 * API for few changes or by the file for many (docs/adr/0004), one step at a time. API changes
 * are persisted to the file 2 s later. Runs on the loop. Layer: mediamtx.
 */
#pragma once
#include "reconcile/mediamtx/client.h"
#include "reconcile/mediamtx/file.h"

struct sl_writer;
struct sl_file_mark { /* the same file, not written since */
    uint64_t inode;
    int64_t size, mtime;
};
enum sl_writer_mode { SL_WRITER_AUTO, SL_WRITER_API, SL_WRITER_FILE, SL_WRITER_MODE_COUNT };

/* `file` NULL: API only. changed(): an outcome is known, `changed_confs` newly read. */
struct sl_writer_options {
    struct sl_loop *loop;
    struct sl_mtx_client *client;
    struct sl_mtx_file *file; /* not owned */
    void (*changed)(void *user);
    void *user;
};
struct sl_writer *sl_writer_new(const struct sl_writer_options *options);
void sl_writer_free(struct sl_writer *writer);
void sl_writer_mode(struct sl_writer *writer, enum sl_writer_mode mode); /* tests, benchmarks */

/* Takes effect with the next sl_writer_want, so that a path and its users change together. */
void sl_writer_want_users(struct sl_writer *writer, const struct sl_publish_user *users,
                          size_t count);
void sl_writer_want(struct sl_writer *writer, const struct sl_path_conf *paths, size_t count,
                    const char *const *removed, size_t removed_count);
/* What the engine has read; takes confs over. Ignored when a write began or ended since `epoch`
 * (sl_writer_epoch before the request): it may be older than that write. */
uint64_t sl_writer_epoch(const struct sl_writer *writer);
void sl_writer_seen(struct sl_writer *writer, struct sl_mtx_confs *confs, uint64_t epoch);
/* The same for the global configuration: users and generation. */
void sl_writer_seen_global(struct sl_writer *writer, const struct sl_mtx_global *global,
                           uint64_t epoch);
void sl_writer_connected(struct sl_writer *writer, const struct sl_mtx_global *global);
void sl_writer_lost(struct sl_writer *writer); /* unreachable or restarted: all is unknown */
/* Renders what is wanted, not waiting for anybody to load it; `done` on the loop: 0, or -1. */
void sl_writer_render(struct sl_writer *writer, void (*done)(void *user, const struct sl_err *err),
                      void *user);

bool sl_writer_given(const struct sl_writer *writer);   /* something is wanted at all */
bool sl_writer_stale(const struct sl_writer *writer);   /* the confs must be read (again) */
bool sl_writer_busy(const struct sl_writer *writer);    /* a change is wanted or under way */
bool sl_writer_settled(const struct sl_writer *writer); /* and the file has it, if there is one */
/* NULL: not known. As wanted where equal to it (normal forms hide what MediaMTX does not keep). */
const struct sl_mtx_confs *sl_writer_confs(const struct sl_writer *writer);
const struct sl_path_conf *sl_writer_wanted(const struct sl_writer *writer, const char *name);
bool sl_writer_rejected(const struct sl_writer *writer, const char **ret_path,
                        const char **ret_text);
const char *sl_writer_error(const struct sl_writer *writer); /* "" or why the file fails */

/* The rule: would this many changes go by the API, `paths` being configured? `wait`: ms until
 * MediaMTX takes the next file. Pure. */
bool sl_writer_by_api(size_t changes, size_t paths, int64_t wait);
