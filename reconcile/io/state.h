/* SPDX-License-Identifier: GPL-2.0-or-later
 * What must survive: accepted manifests (last known good), history and inventory, small values;
 * SQLite in WAL mode, synchronous=FULL, one transaction a pass. One daemon a state directory: a
 * lock file, whose holder's pid is named in the error. May be used from a worker thread, by one
 * thread at a time. Attempts planned in another boot are read as due now. Layer: io.
 */
#pragma once
#include "reconcile/base/arena.h"
#include "reconcile/core/history.h"

struct sl_state;
/* Codes: StateUnwritable, StateLocked, StateNewer, StateCorrupt (then the database was set aside as
 * sluice.db.corrupt-TIME, a new one is in use and *ret is valid: returns 1, err says so). */
int sl_state_open(const char *dir, struct sl_state **ret, struct sl_err *err) SL_MUST;
void sl_state_close(struct sl_state *state);

struct sl_state_accepted {                             /* one object as accepted */
    const char *name, *file, *file_sha, *hash, *bytes; /* bytes: the whole file it came from */
    int kind, line;
    uint64_t generation;
};
/* All accepted objects, sorted by name; strings in the arena. */
int sl_state_accepted(struct sl_state *state, struct sl_arena *arena,
                      struct sl_state_accepted **ret, size_t *ret_count,
                      struct sl_err *err) SL_MUST;
int sl_state_history(struct sl_state *state, struct sl_history *ret, struct sl_err *err) SL_MUST;
/* Between begin and commit; a failing step rolls all back, and the commit fails too. */
int sl_state_begin(struct sl_state *state, struct sl_err *err) SL_MUST;
int sl_state_put_accepted(struct sl_state *state, const struct sl_state_accepted *accepted,
                          struct sl_err *err) SL_MUST;
int sl_state_drop_accepted(struct sl_state *state, const char *name, struct sl_err *err) SL_MUST;
int sl_state_put_past(struct sl_state *state, const struct sl_past *past,
                      struct sl_err *err) SL_MUST;
int sl_state_drop_past(struct sl_state *state, const char *name, struct sl_err *err) SL_MUST;
int sl_state_put_guard(struct sl_state *state, const struct sl_history *history,
                       struct sl_err *err) SL_MUST; /* window and spent ids */
int sl_state_put_value(struct sl_state *state, const char *key, const char *value,
                       struct sl_err *err) SL_MUST;
char *sl_state_value(struct sl_state *state, const char *key); /* NULL: none; the caller frees */
int sl_state_commit(struct sl_state *state, struct sl_err *err) SL_MUST;

/* A secret made once and kept in DIR/NAME, 0600: 32 random hex digits; the caller frees. */
int sl_state_secret(const char *dir, const char *name, char **ret, struct sl_err *err) SL_MUST;
/* A named secret out of the secret directories (first wins); trailing newline cut.
 * Codes: SecretMissing, SecretInvalid. */
int sl_secret_read(char *const *dirs, size_t count, const char *name, char **ret,
                   struct sl_err *err) SL_MUST;
