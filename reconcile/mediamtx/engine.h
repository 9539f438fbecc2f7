/* SPDX-License-Identifier: GPL-2.0-or-later
 * MediaMTX as the daemon sees it: supervises it (managed), observes it, and is the one writer of
 * its configuration (a file with a generation, or the API for few changes: docs/adr/0004). All on
 * the loop, never blocking. MediaMTX outlives this object and the daemon. Layer: mediamtx.
 */
#pragma once
#include "reconcile/core/observed.h"
#include "reconcile/core/plan.h"
#include "reconcile/io/loop.h"
#include "schemas/settings.h"

struct sl_engine;
typedef void sl_engine_fn(void *user); /* something was learnt: look again */

/* `secret` is the password of the internal user `sluice-INSTANCE`. Refuses, with the line, a
 * template that cannot work (decisions 14), a binary that is missing or too old, a busy port. */
int sl_engine_new(struct sl_loop *loop, const struct sl_settings *settings, const char *instance,
                  const char *secret, sl_engine_fn *fn, void *user, struct sl_engine **ret,
                  struct sl_err *err) SL_MUST;
void sl_engine_free(struct sl_engine *engine);

/* What is known now; paths are sorted by name and valid until the next loop iteration. */
void sl_engine_observed(struct sl_engine *engine, struct sl_seen_engine *ret,
                        const struct sl_seen_path **ret_paths, size_t *ret_count);
/* The whole set of paths that are ours, sorted by name; and names to be removed that were ours.
 * Copied. Starts a write when it differs from what is; a managed MediaMTX that does not run yet
 * is started with it in its file. Idempotent: call it in every pass. */
void sl_engine_want(struct sl_engine *engine, const struct sl_path_conf *paths, size_t count,
                    const char *const *removed, size_t removed_count);
/* Who may publish where, beside the internal user; sorted by path; copied, passwords hashed. Takes
 * effect with the next sl_engine_want, so that a path and its users change together. */
void sl_engine_want_users(struct sl_engine *engine, const struct sl_publish_user *users,
                          size_t count);
/* Ends one publisher's session; asynchronous, logged with its reason, once a session id. */
void sl_engine_kick(struct sl_engine *engine, const struct sl_kick *kick);
/* Ask for fresh observations at once; fast = every 1 s instead of every 5 s from now on. */
void sl_engine_look(struct sl_engine *engine, bool fast);
const char *sl_engine_user(const struct sl_engine *engine); /* publisher's name, "" = anonymous */
const char *sl_engine_password(const struct sl_engine *engine); /* and the password, "" = none */
uint64_t sl_engine_restarts(const struct sl_engine *engine);
/* Code of sl_seen_engine.error: "PortInUse", "EngineTooOld", "Unreachable" …; "" while reachable.
 */
const char *sl_engine_error_code(const struct sl_engine *engine);
/* Nothing is under way and the file, if there is one, holds all that is wanted. */
bool sl_engine_settled(const struct sl_engine *engine);
enum sl_engine_way { SL_ENGINE_AUTO, SL_ENGINE_API, SL_ENGINE_FILE, SL_ENGINE_WAY_COUNT };
void sl_engine_force(struct sl_engine *engine, enum sl_engine_way way); /* tests, benchmarks */
/* --on-exit=stop: ends a managed MediaMTX (SIGTERM, 5 s, SIGKILL) and waits; blocking. */
void sl_engine_stop(struct sl_engine *engine);
