/* SPDX-License-Identifier: GPL-2.0-or-later
 * reconcile/io/state.c and secrets.c: what was committed comes back, also after kill -9; one
 * daemon a directory; a damaged database is set aside.
 */
#include "io_tree.h"
#include "reconcile/base/arena.h"
#include "reconcile/io/state.h"

#include <dirent.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/wait.h>

static struct sl_state *open_ok(void)
{
    struct sl_state *state = NULL;
    struct sl_err err = {0};
    int r = sl_state_open(in_tree("state"), &state, &err);

    if (r != 0)
        print_error("%s: %s\n", err.code, err.text);
    assert_int_equal(r, 0);
    return state;
}

static void put_one(struct sl_state *state, const char *name, const char *sha, const char *bytes)
{
    struct sl_state_accepted accepted = {
        .name = name,
        .file = "f.yaml",
        .file_sha = sha,
        .hash = "v1:x",
        .bytes = bytes,
        .kind = 1,
        .line = 7,
        .generation = 3,
    };

    assert_int_equal(sl_state_put_accepted(state, &accepted, NULL), 0);
}

static void test_accepted(void **unused)
{
    struct sl_state *state = open_ok();
    struct sl_arena *arena = sl_arena_new();
    struct sl_state_accepted *list;
    size_t count;

    (void)unused;
    assert_int_equal(sl_state_begin(state, NULL), 0);
    put_one(state, "b", "s1", "text one");
    put_one(state, "a", "s1", "text one");
    put_one(state, "c", "s2", "text two");
    assert_int_equal(sl_state_put_value(state, "k", "v", NULL), 0);
    assert_int_equal(sl_state_commit(state, NULL), 0);
    assert_int_equal(sl_state_begin(state, NULL), 0);
    assert_int_equal(sl_state_drop_accepted(state, "c", NULL), 0);
    assert_int_equal(sl_state_commit(state, NULL), 0);
    sl_state_close(state);
    state = open_ok();
    assert_int_equal(sl_state_accepted(state, arena, &list, &count, NULL), 0);
    assert_int_equal(count, 2);
    assert_string_equal(list[0].name, "a");
    assert_string_equal(list[1].bytes, "text one");
    assert_int_equal(list[1].generation, 3);
    assert_int_equal(list[1].line, 7);
    {
        sl_autofree char *value = sl_state_value(state, "k");

        assert_string_equal(value, "v");
        assert_null(sl_state_value(state, "none"));
    }
    sl_state_close(state);
    sl_arena_free(arena);
}

static void test_history(void **unused)
{
    static struct sl_history in, out;
    struct sl_past past = {
        .name = "berlin/yard",
        .owned = true,
        .generation = 6,
        .failures = 2,
        .next_attempt = 99,
        .last_delay = 2000,
        .healthy_since = 5,
        .deleting = true,
        .finished_hash = "h",
        .restarts = 4,
        .last_reason = "NotMedia",
        .last_message = "no \"media\"",
        .last_uid = "00",
        .first_live = 1,
        .facts_hash = "f",
        .failed_hash = "g",
        .facts = {.count = 1, .track = {{.codec = "H264"}}},
    };
    struct sl_state *state = open_ok();

    (void)unused;
    in.deleted_count = 1;
    in.deleted[0].at = 1234567890123;
    strcpy(in.deleted[0].name, "gone");
    in.released_count = 1;
    strcpy(in.released[0], "a1b2c3d4e5f6");
    assert_int_equal(sl_state_begin(state, NULL), 0);
    assert_int_equal(sl_state_put_past(state, &past, NULL), 0);
    strcpy(past.name, "a");
    assert_int_equal(sl_state_put_past(state, &past, NULL), 0);
    strcpy(past.name, "z");
    assert_int_equal(sl_state_put_past(state, &past, NULL), 0);
    assert_int_equal(sl_state_drop_past(state, "z", NULL), 0);
    assert_int_equal(sl_state_put_guard(state, &in, NULL), 0);
    assert_int_equal(sl_state_commit(state, NULL), 0);
    assert_int_equal(sl_state_history(state, &out, NULL), 0);
    assert_int_equal(out.count, 2);
    assert_string_equal(out.list[0].name, "a");
    strcpy(past.name, "berlin/yard");
    assert_string_equal(out.list[1].name, past.name);
    assert_true(out.list[1].owned && sl_facts_equal(&out.list[1].facts, &past.facts));
    assert_int_equal(out.list[1].next_attempt, 99);
    assert_int_equal(out.list[1].healthy_since, 0); /* never saved: health is observed anew */
    assert_true(out.list[1].deleting);
    assert_string_equal(out.list[1].finished_hash, "h");
    assert_string_equal(out.list[1].last_message, past.last_message);
    assert_int_equal(out.list[1].restarts, 4);
    assert_int_equal(out.deleted[0].at, 1234567890123);
    assert_string_equal(out.released[0], "a1b2c3d4e5f6");
    free(out.list);
    sl_state_close(state);
}

static void test_rollback(void **unused)
{
    struct sl_state *state = open_ok();
    struct sl_err err = {0};
    sqlite3 *db;

    (void)unused;
    assert_int_equal(sqlite3_open(in_tree("state/sluice.db"), &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db,
                                  "CREATE TRIGGER t BEFORE INSERT ON value WHEN NEW.key = 'bad' "
                                  "BEGIN SELECT RAISE(ABORT, 'no'); END",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    sqlite3_close(db);
    assert_int_equal(sl_state_begin(state, NULL), 0);
    assert_int_equal(sl_state_put_value(state, "one", "1", NULL), 0);
    assert_int_equal(sl_state_put_value(state, "bad", "1", &err), -1);
    assert_string_equal(err.code, "StateUnwritable");
    assert_int_equal(sl_state_put_value(state, "two", "1", NULL), -1);
    assert_int_equal(sl_state_commit(state, NULL), -1);
    assert_null(sl_state_value(state, "one"));
    assert_null(sl_state_value(state, "two"));
    assert_int_equal(sl_state_begin(state, NULL), 0); /* and it goes on */
    assert_int_equal(sl_state_put_value(state, "one", "1", NULL), 0);
    assert_int_equal(sl_state_commit(state, NULL), 0);
    sl_state_close(state);
}

static void test_locked(void **unused)
{
    struct sl_state *state = open_ok(), *other = NULL;
    struct sl_err err = {0};
    char pid[64];

    (void)unused;
    assert_int_equal(sl_state_open(in_tree("state"), &other, &err), -1);
    assert_string_equal(err.code, "StateLocked");
    snprintf(pid, sizeof(pid), "process %d:", (int)getpid());
    assert_non_null(strstr(err.text, pid));
    sl_state_close(state);
    sl_state_close(open_ok());
}

static void test_corrupt(void **unused)
{
    struct sl_state *state = open_ok();
    struct sl_err err = {0};
    const struct dirent *entry;
    DIR *dir;
    int aside = 0;

    (void)unused;
    sl_state_close(state);
    put("state/sluice.db", "this is no database, and it is longer than a hundred bytes, which is "
                           "the least that SQLite takes for one of its own files.");
    state = NULL;
    assert_int_equal(sl_state_open(in_tree("state"), &state, &err), 1);
    assert_string_equal(err.code, "StateCorrupt");
    assert_int_equal(sl_state_put_value(state, "k", "v", NULL), 0);
    sl_state_close(state);
    dir = opendir(in_tree("state"));
    while ((entry = readdir(dir)))
        aside += strncmp(entry->d_name, "sluice.db.corrupt-", 18) == 0;
    closedir(dir);
    assert_int_equal(aside, 1);
    sl_state_close(open_ok());
}

static void test_newer_and_unwritable(void **unused)
{
    struct sl_state *state = open_ok();
    struct sl_err err = {0};
    sqlite3 *db;

    (void)unused;
    sl_state_close(state);
    assert_int_equal(sqlite3_open(in_tree("state/sluice.db"), &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "PRAGMA user_version=99", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    assert_int_equal(sl_state_open(in_tree("state"), &state, &err), -1);
    assert_string_equal(err.code, "StateNewer");
    put("plain", "");
    assert_int_equal(sl_state_open(in_tree("plain"), &state, &err), -1);
    assert_string_equal(err.code, "StateUnwritable");
}

/* A child commits pairs and tells each number; it is killed in between; what it told must be there
 * and the pair equal. */
static void test_killed(void **unused)
{
    (void)unused;
    for (int round = 0; round < 10; round++) {
        int pipe_fd[2], told = 0, status, n = 0;
        struct sl_state *state;
        pid_t pid;

        assert_int_equal(pipe(pipe_fd), 0);
        pid = fork();
        if (pid == 0) {
            state = open_ok();
            for (int i = 1;; i++) {
                if (sl_state_begin(state, NULL) < 0 ||
                    sl_state_put_value(state, "a", (char[]){(char)('0' + i % 10), 0}, NULL) < 0 ||
                    sl_state_put_value(state, "b", (char[]){(char)('0' + i % 10), 0}, NULL) < 0 ||
                    sl_state_commit(state, NULL) < 0 || write(pipe_fd[1], &i, sizeof(i)) < 0)
                    _exit(1);
            }
        }
        close(pipe_fd[1]);
        while (n++ < 5 + 7 * round && read(pipe_fd[0], &told, sizeof(told)) > 0) {
        }
        kill(pid, SIGKILL);
        waitpid(pid, &status, 0);
        while (read(pipe_fd[0], &told, sizeof(told)) > 0) {
        }
        close(pipe_fd[0]);
        assert_true(WIFSIGNALED(status));
        state = open_ok();
        {
            sl_autofree char *a = sl_state_value(state, "a");
            sl_autofree char *b = sl_state_value(state, "b");

            assert_string_equal(a, b);
            /* the last one told, or one more that was committed and not yet told */
            assert_true(a[0] == '0' + told % 10 || a[0] == '0' + (told + 1) % 10);
        }
        sl_state_close(state);
    }
}

static void test_secrets(void **unused)
{
    char *dirs[2];
    sl_autofree char *one = NULL;
    sl_autofree char *two = NULL;
    sl_autofree char *made = NULL;
    sl_autofree char *again = NULL;
    sl_autofree char *renewed = NULL;
    char *none = NULL;
    struct sl_err err = {0};
    struct stat st;

    (void)unused;
    make_dir("s1");
    make_dir("s2");
    put("s1/a", "first\n");
    put("s2/a", "second\n");
    put("s2/b", "b with\nlines\r\n");
    put("s2/empty", "\n");
    dirs[0] = sl_strdup(in_tree("s1"));
    dirs[1] = sl_strdup(in_tree("s2"));
    assert_int_equal(sl_secret_read(dirs, 2, "a", &one, NULL), 0);
    assert_string_equal(one, "first");
    assert_int_equal(sl_secret_read(dirs, 2, "b", &two, NULL), 0);
    assert_string_equal(two, "b with\nlines");
    assert_int_equal(sl_secret_read(dirs, 2, "c", &none, &err), -1);
    assert_string_equal(err.code, "SecretMissing");
    assert_int_equal(sl_secret_read(dirs, 2, "empty", &none, &err), -1);
    assert_string_equal(err.code, "SecretInvalid");
    assert_int_equal(sl_secret_read(dirs, 2, "../s1/a", &none, &err), -1);
    assert_int_equal(sl_secret_read(dirs, 2, "..", &none, &err), -1);
    assert_int_equal(sl_state_secret(dirs[0], "made", &made, NULL), 0);
    assert_int_equal(strlen(made), 32);
    assert_int_equal(sl_state_secret(dirs[0], "made", &again, NULL), 0);
    assert_string_equal(made, again);
    assert_int_equal(stat(in_tree("s1/made"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(sl_state_secret(dirs[1], "empty", &renewed, NULL), 0);
    assert_int_equal(strlen(renewed), 32);
    free(dirs[0]);
    free(dirs[1]);
}

#define IN_A_TREE(f) cmocka_unit_test_setup_teardown(f, tree_setup, tree_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_A_TREE(test_accepted), IN_A_TREE(test_history), IN_A_TREE(test_rollback),
        IN_A_TREE(test_locked),   IN_A_TREE(test_corrupt), IN_A_TREE(test_newer_and_unwritable),
        IN_A_TREE(test_killed),   IN_A_TREE(test_secrets),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
