/* SPDX-License-Identifier: GPL-2.0-or-later
 * The durable state: one SQLite file, schema by PRAGMA user_version, each migration once and in
 * order. A manifest's bytes are kept once however many objects came from it.
 */
#include "reconcile/io/state.h"

#include "reconcile/base/file.h"
#include "reconcile/base/time.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <sys/file.h>
#include <unistd.h>

struct sl_state {
    char *dir;
    int lock; /* flock for life */
    sqlite3 *db;
    bool within; /* between begin and commit */
    bool failed; /* a step of this transaction failed: it was rolled back */
};

static const char *const migrations[] = {
    "CREATE TABLE file (sha TEXT PRIMARY KEY, bytes BLOB NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE accepted (name TEXT PRIMARY KEY, kind INTEGER NOT NULL, file TEXT NOT NULL,"
    " line INTEGER NOT NULL, sha TEXT NOT NULL, generation INTEGER NOT NULL, hash TEXT NOT NULL)"
    " WITHOUT ROWID;"
    "CREATE INDEX accepted_sha ON accepted (sha);"
    "CREATE TABLE past (name TEXT PRIMARY KEY, owned INTEGER NOT NULL, generation INTEGER NOT NULL,"
    " facts TEXT NOT NULL, facts_hash TEXT NOT NULL, failures INTEGER NOT NULL,"
    " next_attempt INTEGER NOT NULL, last_delay INTEGER NOT NULL, failed_hash TEXT NOT NULL,"
    " deleting INTEGER NOT NULL, restarts INTEGER NOT NULL, last_reason TEXT NOT NULL,"
    " last_message TEXT NOT NULL, last_uid TEXT NOT NULL, first_live INTEGER NOT NULL,"
    " finished_hash TEXT NOT NULL, boot TEXT NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE deleted (position INTEGER PRIMARY KEY, at INTEGER NOT NULL, name TEXT NOT NULL);"
    "CREATE TABLE released (position INTEGER PRIMARY KEY, id TEXT NOT NULL);"
    "CREATE TABLE value (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;",
};

static int db_error(struct sl_state *state, struct sl_err *err, const char *what)
{
    int code = sqlite3_errcode(state->db) & 0xff;
    bool corrupt = code == SQLITE_CORRUPT || code == SQLITE_NOTADB;

    return sl_err_set(err, code == SQLITE_BUSY ? SL_ERR_TRANSIENT : SL_ERR_HUMAN,
                      sqlite3_system_errno(state->db), corrupt ? "StateCorrupt" : "StateUnwritable",
                      "cannot %s the state in %s: %s", what, state->dir, sqlite3_errmsg(state->db));
}

static int exec(struct sl_state *state, const char *sql)
{
    return sqlite3_exec(state->db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : -1;
}

static sqlite3_stmt *prepare(struct sl_state *state, const char *sql)
{
    sqlite3_stmt *stmt = NULL;

    sqlite3_prepare_v2(state->db, sql, -1, &stmt, NULL);
    return stmt;
}

/* One statement without rows. types: s text (const char *), b the same as a blob, i int64_t. */
static int run(struct sl_state *state, struct sl_err *err, const char *sql, const char *types, ...)
{
    sqlite3_stmt *stmt;
    int r = SQLITE_ERROR;
    va_list args;

    if (state->failed) /* SQLite may have rolled back by itself: nothing more may be written */
        return sl_err_set(err, SL_ERR_HUMAN, 0, "StateUnwritable",
                          "the state in %s is not written: an earlier step failed", state->dir);
    stmt = prepare(state, sql);
    va_start(args, types);
    for (int i = 0; stmt && types[i]; i++) {
        if (types[i] == 'i') {
            sqlite3_bind_int64(stmt, i + 1, va_arg(args, int64_t));
        } else {
            const char *text = va_arg(args, const char *);

            if (!text)
                text = "";
            if (types[i] == 'b')
                sqlite3_bind_blob(stmt, i + 1, text, (int)strlen(text), SQLITE_STATIC);
            else
                sqlite3_bind_text(stmt, i + 1, text, -1, SQLITE_STATIC);
        }
    }
    va_end(args);
    if (stmt)
        r = sqlite3_step(stmt);
    if (r == SQLITE_DONE) {
        sqlite3_finalize(stmt);
        return 0;
    }
    db_error(state, err, "write");
    sqlite3_finalize(stmt);
    if (state->within) {
        if (!sqlite3_get_autocommit(state->db))
            exec(state, "ROLLBACK");
        state->failed = true;
    }
    return -1;
}

static int take_lock(struct sl_state *state, struct sl_err *err)
{
    sl_autofree char *path = sl_asprintf("%s/lock", state->dir);
    char pid[32] = "";

    state->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (state->lock < 0)
        return sl_err_set(err, SL_ERR_HUMAN, errno, "StateUnwritable", "cannot write %s: %s", path,
                          strerror(errno));
    if (flock(state->lock, LOCK_EX | LOCK_NB) < 0) {
        ssize_t n = pread(state->lock, pid, sizeof(pid) - 1, 0);

        pid[n > 0 ? n : 0] = '\0';
        pid[strspn(pid, "0123456789")] = '\0';
        return sl_err_set(err, SL_ERR_HUMAN, errno, "StateLocked",
                          "the state directory %s is in use by process %s: one daemon a state "
                          "directory",
                          state->dir, pid[0] ? pid : "(unknown)");
    }
    snprintf(pid, sizeof(pid), "%d\n", (int)getpid());
    if (ftruncate(state->lock, 0) < 0 || pwrite(state->lock, pid, strlen(pid), 0) < 0)
        return sl_err_set(err, SL_ERR_HUMAN, errno, "StateUnwritable", "cannot write %s: %s", path,
                          strerror(errno));
    return 0;
}

static int query_int(struct sl_state *state, const char *sql)
{
    sqlite3_stmt *stmt = prepare(state, sql);
    int value = stmt && sqlite3_step(stmt) == SQLITE_ROW ? sqlite3_column_int(stmt, 0) : -1;

    sqlite3_finalize(stmt);
    return value;
}

static int migrate(struct sl_state *state, struct sl_err *err)
{
    int version = query_int(state, "PRAGMA user_version");

    if (version < 0)
        return db_error(state, err, "read");
    if ((size_t)version > SL_COUNT(migrations))
        return sl_err_set(
            err, SL_ERR_HUMAN, 0, "StateNewer",
            "the state in %s was written by a newer Sluice (schema %d, this one knows "
            "%zu)",
            state->dir, version, SL_COUNT(migrations));
    for (size_t i = (size_t)version; i < SL_COUNT(migrations); i++) {
        sl_autofree char *sql =
            sl_asprintf("BEGIN IMMEDIATE;%s;PRAGMA user_version=%zu;COMMIT", migrations[i], i + 1);

        if (exec(state, sql) < 0) {
            db_error(state, err, "prepare");
            exec(state, "ROLLBACK");
            return -1;
        }
    }
    return 0;
}

static bool intact(struct sl_state *state)
{
    sqlite3_stmt *stmt = prepare(state, "PRAGMA quick_check(1)");
    bool ok = stmt && sqlite3_step(stmt) == SQLITE_ROW &&
              sl_streq((const char *)sqlite3_column_text(stmt, 0), "ok");

    sqlite3_finalize(stmt);
    return ok;
}

static int open_db(struct sl_state *state, struct sl_err *err)
{
    sl_autofree char *path = sl_asprintf("%s/sluice.db", state->dir);
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_FULLMUTEX;

    if (sqlite3_open_v2(path, &state->db, flags, NULL) != SQLITE_OK)
        return db_error(state, err, "open");
    if (sqlite3_db_readonly(state->db, "main") == 1)
        return sl_err_set(err, SL_ERR_HUMAN, EACCES, "StateUnwritable", "cannot write %s", path);
    sqlite3_busy_timeout(state->db, 2000);
    if (exec(state, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL") < 0)
        return db_error(state, err, "open");
    if (!intact(state))
        return sl_err_set(err, SL_ERR_HUMAN, 0, "StateCorrupt", "%s is damaged", path);
    return migrate(state, err);
}

/* Renames the database with its journal, so that nothing of it is lost or used. */
static int set_aside(struct sl_state *state, struct sl_err *err)
{
    static const char *const tails[] = {"", "-wal", "-shm"};
    sl_autofree char *aside =
        sl_asprintf("%s/sluice.db.corrupt-%lld", state->dir, (long long)sl_now_wall());

    sqlite3_close(state->db);
    state->db = NULL;
    for (size_t i = 0; i < SL_COUNT(tails); i++) {
        sl_autofree char *from = sl_asprintf("%s/sluice.db%s", state->dir, tails[i]);
        sl_autofree char *to = sl_asprintf("%s%s", aside, tails[i]);

        if (rename(from, to) < 0 && errno != ENOENT)
            return sl_err_set(err, SL_ERR_HUMAN, errno, "StateUnwritable", "cannot rename %s: %s",
                              from, strerror(errno));
    }
    if (open_db(state, err) < 0)
        return -1;
    sl_err_set(err, SL_ERR_HUMAN, 0, "StateCorrupt",
               "the state database was damaged; it was set aside as %s and a new one is in use",
               aside);
    return 1;
}

int sl_state_open(const char *dir, struct sl_state **ret, struct sl_err *err)
{
    struct sl_state *state;
    struct sl_err why = {0};
    int r = sl_mkdir_p(dir, 0750, &why);

    if (r < 0) {
        if (err) {
            *err = why;
            snprintf(err->code, sizeof(err->code), "StateUnwritable");
        }
        return -1;
    }
    state = sl_alloc(sizeof(*state));
    state->dir = sl_strdup(dir);
    state->lock = -1;
    r = take_lock(state, &why);
    if (r == 0) {
        r = open_db(state, &why);
        if (r < 0 && strcmp(why.code, "StateCorrupt") == 0)
            r = set_aside(state, &why);
    }
    if (r != 0 && err)
        *err = why;
    if (r < 0)
        sl_state_close(state);
    else
        *ret = state;
    return r;
}

void sl_state_close(struct sl_state *state)
{
    if (!state)
        return;
    sqlite3_close(state->db);
    sl_closep(&state->lock);
    free(state->dir);
    free(state);
}

static char *text_in(struct sl_arena *arena, sqlite3_stmt *stmt, int column)
{
    const void *data = sqlite3_column_blob(stmt, column);

    return sl_arena_strndup(arena, data ? data : "", (size_t)sqlite3_column_bytes(stmt, column));
}

int sl_state_accepted(struct sl_state *state, struct sl_arena *arena,
                      struct sl_state_accepted **ret, size_t *ret_count, struct sl_err *err)
{
    sqlite3_stmt *stmt = prepare(state, "SELECT name, file, a.sha, hash, bytes, kind, line,"
                                        " generation FROM accepted a JOIN file f ON a.sha = f.sha"
                                        " ORDER BY name");
    sl_autofree struct sl_state_accepted *list = NULL;
    size_t count = 0, cap = 0;
    int r = SQLITE_ERROR;

    while (stmt && (r = sqlite3_step(stmt)) == SQLITE_ROW) {
        if (count == cap) {
            cap = cap ? cap * 2 : 32;
            list = sl_realloc(list, cap * sizeof(*list));
        }
        list[count++] = (struct sl_state_accepted){
            .name = text_in(arena, stmt, 0),
            .file = text_in(arena, stmt, 1),
            .file_sha = text_in(arena, stmt, 2),
            .hash = text_in(arena, stmt, 3),
            .bytes = text_in(arena, stmt, 4),
            .kind = sqlite3_column_int(stmt, 5),
            .line = sqlite3_column_int(stmt, 6),
            .generation = (uint64_t)sqlite3_column_int64(stmt, 7),
        };
    }
    if (r != SQLITE_DONE) {
        db_error(state, err, "read");
        sqlite3_finalize(stmt);
        return -1;
    }
    sqlite3_finalize(stmt);
    *ret = sl_arena_alloc(arena, (count + 1) * sizeof(*list));
    if (count > 0)
        memcpy(*ret, list, count * sizeof(*list));
    *ret_count = count;
    return 0;
}

static void copy_text(char *to, size_t size, sqlite3_stmt *stmt, int column)
{
    const unsigned char *text = sqlite3_column_text(stmt, column);

    snprintf(to, size, "%s", text ? (const char *)text : "");
}

static void read_past(sqlite3_stmt *stmt, struct sl_past *past)
{
    const unsigned char *facts = sqlite3_column_text(stmt, 3);
    json_t *json = json_loads(facts ? (const char *)facts : "[]", 0, NULL);
    bool this_boot = sl_streq((const char *)sqlite3_column_text(stmt, 16), sl_boot_id());

    memset(past, 0, sizeof(*past));
    copy_text(past->name, sizeof(past->name), stmt, 0);
    past->owned = sqlite3_column_int(stmt, 1) != 0;
    past->generation = (uint64_t)sqlite3_column_int64(stmt, 2);
    if (!json || sl_facts_from_json(json, &past->facts) < 0)
        memset(&past->facts, 0, sizeof(past->facts)); /* unknown: they are told again */
    json_decref(json);
    copy_text(past->facts_hash, sizeof(past->facts_hash), stmt, 4);
    past->failures = sqlite3_column_int(stmt, 5);
    past->next_attempt = this_boot ? sqlite3_column_int64(stmt, 6) : 0;
    past->last_delay = sqlite3_column_int64(stmt, 7);
    copy_text(past->failed_hash, sizeof(past->failed_hash), stmt, 8);
    past->deleting = (sqlite3_column_int(stmt, 9) & 1) != 0; /* 1: goes on, 2: held */
    past->held = (sqlite3_column_int(stmt, 9) & 2) != 0;
    past->restarts = (uint64_t)sqlite3_column_int64(stmt, 10);
    copy_text(past->last_reason, sizeof(past->last_reason), stmt, 11);
    copy_text(past->last_message, sizeof(past->last_message), stmt, 12);
    copy_text(past->last_uid, sizeof(past->last_uid), stmt, 13);
    past->first_live = sqlite3_column_int64(stmt, 14);
    copy_text(past->finished_hash, sizeof(past->finished_hash), stmt, 15);
}

static int read_list(struct sl_state *state, struct sl_history *history)
{
    sqlite3_stmt *stmt = prepare(state, "SELECT * FROM past ORDER BY name");
    int r = SQLITE_ERROR;

    while (stmt && (r = sqlite3_step(stmt)) == SQLITE_ROW) {
        if (history->count == history->cap) {
            history->cap = history->cap ? history->cap * 2 : 32;
            history->list = sl_realloc(history->list, history->cap * sizeof(*history->list));
        }
        read_past(stmt, &history->list[history->count++]);
    }
    sqlite3_finalize(stmt);
    return r == SQLITE_DONE ? 0 : -1;
}

static int read_guard(struct sl_state *state, struct sl_history *history)
{
    sqlite3_stmt *stmt = prepare(state, "SELECT at, name FROM deleted ORDER BY position");
    int r = SQLITE_ERROR;

    while (stmt && history->deleted_count < SL_COUNT(history->deleted) &&
           (r = sqlite3_step(stmt)) == SQLITE_ROW) {
        size_t i = history->deleted_count++;

        history->deleted[i].at = sqlite3_column_int64(stmt, 0);
        copy_text(history->deleted[i].name, sizeof(history->deleted[i].name), stmt, 1);
    }
    sqlite3_finalize(stmt);
    if (r != SQLITE_DONE && r != SQLITE_ROW)
        return -1;
    r = SQLITE_ERROR;
    stmt = prepare(state, "SELECT id FROM released ORDER BY position");
    while (stmt && history->released_count < SL_COUNT(history->released) &&
           (r = sqlite3_step(stmt)) == SQLITE_ROW)
        copy_text(history->released[history->released_count++], sizeof(history->released[0]), stmt,
                  0);
    sqlite3_finalize(stmt);
    return r == SQLITE_DONE || r == SQLITE_ROW ? 0 : -1;
}

int sl_state_history(struct sl_state *state, struct sl_history *ret, struct sl_err *err)
{
    struct sl_history history = {0};

    if (read_list(state, &history) < 0 || read_guard(state, &history) < 0) {
        free(history.list);
        return db_error(state, err, "read");
    }
    *ret = history;
    return 0;
}

int sl_state_begin(struct sl_state *state, struct sl_err *err)
{
    if (state->within && !state->failed)
        exec(state, "ROLLBACK"); /* one that was never committed */
    state->within = state->failed = false;
    if (run(state, err, "BEGIN IMMEDIATE", "") < 0)
        return -1;
    state->within = true;
    return 0;
}

int sl_state_put_accepted(struct sl_state *state, const struct sl_state_accepted *accepted,
                          struct sl_err *err)
{
    if (run(state, err, "INSERT OR IGNORE INTO file VALUES (?, ?)", "sb", accepted->file_sha,
            accepted->bytes) < 0)
        return -1;
    return run(state, err, "INSERT OR REPLACE INTO accepted VALUES (?, ?, ?, ?, ?, ?, ?)",
               "sisisis", accepted->name, (int64_t)accepted->kind, accepted->file,
               (int64_t)accepted->line, accepted->file_sha, (int64_t)accepted->generation,
               accepted->hash);
}

int sl_state_drop_accepted(struct sl_state *state, const char *name, struct sl_err *err)
{
    return run(state, err, "DELETE FROM accepted WHERE name = ?", "s", name);
}

int sl_state_put_past(struct sl_state *state, const struct sl_past *past, struct sl_err *err)
{
    json_t *json = sl_facts_to_json(&past->facts);
    sl_autofree char *facts = json_dumps(json, JSON_COMPACT);

    json_decref(json);
    return run(
        state, err,
        "INSERT OR REPLACE INTO past VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        "siissiiisiisssiss", past->name, (int64_t)past->owned, (int64_t)past->generation, facts,
        past->facts_hash, (int64_t)past->failures, past->next_attempt, past->last_delay,
        past->failed_hash, (int64_t)(past->deleting | past->held << 1), (int64_t)past->restarts,
        past->last_reason, past->last_message, past->last_uid, past->first_live,
        past->finished_hash, sl_boot_id());
}

int sl_state_drop_past(struct sl_state *state, const char *name, struct sl_err *err)
{
    return run(state, err, "DELETE FROM past WHERE name = ?", "s", name);
}

int sl_state_put_guard(struct sl_state *state, const struct sl_history *history, struct sl_err *err)
{
    if (run(state, err, "DELETE FROM deleted", "") < 0 ||
        run(state, err, "DELETE FROM released", "") < 0)
        return -1;
    for (size_t i = 0; i < history->deleted_count && i < SL_COUNT(history->deleted); i++)
        if (run(state, err, "INSERT INTO deleted VALUES (?, ?, ?)", "iis", (int64_t)i,
                history->deleted[i].at, history->deleted[i].name) < 0)
            return -1;
    for (size_t i = 0; i < history->released_count && i < SL_COUNT(history->released); i++)
        if (run(state, err, "INSERT INTO released VALUES (?, ?)", "is", (int64_t)i,
                history->released[i]) < 0)
            return -1;
    return 0;
}

int sl_state_put_value(struct sl_state *state, const char *key, const char *value,
                       struct sl_err *err)
{
    return run(state, err, "INSERT OR REPLACE INTO value VALUES (?, ?)", "ss", key, value);
}

char *sl_state_value(struct sl_state *state, const char *key)
{
    sqlite3_stmt *stmt = prepare(state, "SELECT value FROM value WHERE key = ?");
    char *value = NULL;

    if (stmt && sqlite3_bind_text(stmt, 1, key, -1, SQLITE_STATIC) == SQLITE_OK &&
        sqlite3_step(stmt) == SQLITE_ROW)
        value = sl_strdup((const char *)sqlite3_column_text(stmt, 0));
    sqlite3_finalize(stmt);
    return value;
}

int sl_state_commit(struct sl_state *state, struct sl_err *err)
{
    int r = run(state, err, "DELETE FROM file WHERE sha NOT IN (SELECT sha FROM accepted)", "");

    if (r == 0)
        r = run(state, err, "COMMIT", "");
    state->within = state->failed = false;
    return r;
}
