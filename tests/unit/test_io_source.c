/* SPDX-License-Identifier: GPL-2.0-or-later
 * reconcile/io/source.c and revision.c: names, links, locks, revisions, invalid snapshots.
 */
#include "io_tree.h"
#include "reconcile/io/revision.h"
#include "reconcile/io/source.h"

#include <pthread.h>
#include <stdatomic.h>

#define SHA  "0123456789abcdef0123456789abcdef01234567"
#define SHA2 "fedcba9876543210fedcba9876543210fedcba98"

static struct sl_snapshot *read_ok(const char *rel)
{
    struct sl_snapshot *snapshot = NULL;
    struct sl_err err = {0};
    int r = sl_source_read(in_tree(rel), &snapshot, &err);

    if (r != 0)
        print_error("%s: %s\n", err.code, err.text);
    assert_int_equal(r, 0);
    return snapshot;
}

static bool watches(const struct sl_snapshot *snapshot, const char *rel)
{
    const char *path = in_tree(rel);

    for (size_t i = 0; i < snapshot->dirs_count; i++)
        if (strcmp(snapshot->dirs[i], path) == 0)
            return true;
    return false;
}

static void test_names(void **state)
{
    static const char *const yes[] = {"a.yaml", "A.yml", "0.yaml", "a.b.yaml", "sops.yaml"};
    static const char *const no[] = {
        ".a.yaml", "_a.yaml", "a.yaml~",  "a.yaml.swp", "a.sops.yaml", "a.sops.yml",   "yaml",
        "a.json",  "a.YAML",  "#a.yaml#", "",           ".yaml",       "\xc3\xa4.yaml"};

    (void)state;
    for (size_t i = 0; i < SL_COUNT(yes); i++)
        assert_true(sl_source_takes(yes[i]));
    for (size_t i = 0; i < SL_COUNT(no); i++)
        assert_false(sl_source_takes(no[i]));
}

static void test_tree(void **state)
{
    struct sl_snapshot *a, *b;

    (void)state;
    make_dir("m");
    make_dir("m/sub");
    make_dir("m/.hidden");
    put("m/b.yaml", "b");
    put("m/sub/a.yaml", "a");
    put("m/.hidden/x.yaml", "x");
    put("m/notes.txt", "n");
    a = read_ok("m");
    assert_int_equal(a->count, 2);
    assert_string_equal(a->files[0].path, "b.yaml");
    assert_string_equal(a->files[1].path, "sub/a.yaml");
    assert_string_equal(a->files[1].bytes, "a");
    assert_string_equal(a->files[1].sha256,
                        "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb");
    assert_true(a->root_present);
    assert_false(a->atomic);
    assert_string_equal(a->how, "content");
    assert_string_equal(a->revision, a->snapshot);
    assert_true(watches(a, "m") && watches(a, "m/sub") && !watches(a, "m/.hidden"));
    put("m/notes.txt", "other"); /* no manifest: the snapshot stays the same */
    b = read_ok("m/");
    assert_string_equal(a->snapshot, b->snapshot);
    sl_source_free(b);
    put("m/b.yaml", "c");
    b = read_ok("m");
    assert_string_not_equal(a->snapshot, b->snapshot);
    sl_source_free(a);
    sl_source_free(b);
}

static void test_root_missing(void **state)
{
    struct sl_snapshot *snapshot;

    (void)state;
    snapshot = read_ok("none/deeper");
    assert_false(snapshot->root_present);
    assert_int_equal(snapshot->count, 0);
    assert_true(snapshot->dirs_count == 1 && strcmp(snapshot->dirs[0], tree) == 0);
    sl_source_free(snapshot);
    make_dir("none");
    snapshot = read_ok("none");
    assert_false(snapshot->root_present); /* there, but empty */
    sl_source_free(snapshot);
}

static void test_large(void **state)
{
    sl_autofree char *text = malloc(SL_SOURCE_FILE_MAX + 101);
    struct sl_snapshot *snapshot;

    (void)state;
    memset(text, '#', SL_SOURCE_FILE_MAX + 100);
    text[SL_SOURCE_FILE_MAX + 100] = '\0';
    put("over.yaml", text);
    text[SL_SOURCE_FILE_MAX] = '\0';
    put("just.yaml", text);
    snapshot = read_ok("");
    assert_int_equal(snapshot->count, 2);
    assert_int_equal(snapshot->files[0].len, SL_SOURCE_FILE_MAX);
    assert_int_equal(snapshot->files[1].len, SL_SOURCE_FILE_MAX + 1);
    sl_source_free(snapshot);
}

static void test_links(void **state)
{
    struct sl_snapshot *snapshot;

    (void)state;
    make_dir("m");
    make_dir("else");
    make_dir("else/deep");
    put("else/deep/d.yaml", "d");
    put("secret", "hunter2");
    make_link("../else", "m/dir");
    make_link("..", "else/deep/loop"); /* back to else: once is enough */
    make_link("nowhere", "m/gone.yaml");
    make_link("../secret", "m/leak.yaml");
    make_link("self", "m/self");
    snapshot = read_ok("m");
    assert_int_equal(snapshot->count, 3);
    assert_string_equal(snapshot->files[0].path, "dir/deep/d.yaml");
    assert_string_equal(snapshot->files[1].path, "gone.yaml");
    assert_int_equal(snapshot->files[1].len, 0);
    assert_string_equal(snapshot->files[2].path, "leak.yaml");
    assert_int_equal(snapshot->files[2].len, 0);
    assert_true(watches(snapshot, "m") && watches(snapshot, "m/dir/deep"));
    sl_source_free(snapshot);
}

static void test_kubernetes(void **state)
{
    struct sl_snapshot *snapshot;

    (void)state;
    make_dir("m");
    make_dir("m/..one");
    make_dir("m/..two");
    put("m/..one/a.yaml", "1");
    put("m/..two/a.yaml", "2");
    make_link("..one", "m/..data");
    make_link("..data/a.yaml", "m/a.yaml");
    snapshot = read_ok("m");
    assert_int_equal(snapshot->count, 1);
    assert_string_equal(snapshot->files[0].bytes, "1");
    assert_true(snapshot->atomic && watches(snapshot, "m") && watches(snapshot, "m/..one"));
    sl_source_free(snapshot);
    make_link("..two", "m/..tmp");
    assert_int_equal(rename(in_tree("m/..tmp"), in_tree("m/..data")), 0);
    snapshot = read_ok("m");
    assert_string_equal(snapshot->files[0].bytes, "2");
    sl_source_free(snapshot);
}

static void test_git_sync(void **state)
{
    struct sl_snapshot *snapshot;

    (void)state;
    make_dir("git");
    make_dir("git/.worktrees");
    make_dir("git/.worktrees/" SHA);
    make_dir("git/.worktrees/" SHA "/streams");
    put("git/.worktrees/" SHA "/streams/a.yaml", "1");
    make_link(".worktrees/" SHA, "git/current");
    snapshot = read_ok("git/current/streams");
    assert_string_equal(snapshot->how, "git-sync");
    assert_string_equal(snapshot->revision, SHA);
    assert_true(snapshot->atomic && watches(snapshot, "git"));
    assert_true(watches(snapshot, "git/.worktrees/" SHA "/streams"));
    sl_source_free(snapshot);
}

static void make_git(void)
{
    make_dir("repo");
    make_dir("repo/.git");
    make_dir("repo/.git/refs");
    make_dir("repo/.git/refs/heads");
    put("repo/.git/HEAD", "ref: refs/heads/main\n");
    put("repo/.git/refs/heads/main", SHA "\n");
    put("repo/a.yaml", "a");
}

static void expect_git(const char *root, const char *revision, const char *ref)
{
    struct sl_snapshot *snapshot = read_ok(root);

    assert_string_equal(snapshot->how, "git");
    assert_string_equal(snapshot->revision, revision);
    assert_string_equal(snapshot->ref, ref);
    assert_true(snapshot->atomic && watches(snapshot, "repo/.git"));
    sl_source_free(snapshot);
}

static void test_git(void **state)
{
    struct sl_snapshot *snapshot;

    (void)state;
    make_git();
    expect_git("repo", SHA, "main");
    put("repo/.git/packed-refs",
        "# pack-refs with: peeled\n" SHA " refs/heads/main2\n" SHA2 " refs/heads/main\n^" SHA "\n");
    unlink(in_tree("repo/.git/refs/heads/main"));
    expect_git("repo", SHA2, "main");
    put("repo/.git/HEAD", SHA "\n");
    expect_git("repo", SHA, "");
    make_dir("repo/sub");
    put("repo/sub/b.yaml", "b");
    snapshot = read_ok("repo/sub"); /* not in the index: a foreign directory */
    assert_string_equal(snapshot->how, "content");
    sl_source_free(snapshot);
    put("repo/.git/index", "DIRC sub/b.yaml");
    expect_git("repo/sub", SHA, "");
    put("repo/.git/HEAD", "ref: refs/../../secret\n");
    put("repo/REVISION", "v1.2 by CI\n");
    snapshot = read_ok("repo");
    assert_string_equal(snapshot->how, "file");
    assert_string_equal(snapshot->revision, "v1.2");
    sl_source_free(snapshot);
}

static void test_worktree(void **state)
{
    struct sl_snapshot *snapshot;

    (void)state;
    make_git();
    make_dir("repo/.git/worktrees");
    make_dir("repo/.git/worktrees/w");
    put("repo/.git/worktrees/w/HEAD", "ref: refs/heads/main\n");
    put("repo/.git/worktrees/w/commondir", "../..\n");
    make_dir("w");
    put("w/.git", "gitdir: ../repo/.git/worktrees/w\n");
    put("w/a.yaml", "a");
    snapshot = read_ok("w");
    assert_string_equal(snapshot->revision, SHA);
    assert_true(watches(snapshot, "repo/.git/worktrees/w") && watches(snapshot, "repo/.git"));
    assert_true(watches(snapshot, "repo/.git/refs/heads"));
    sl_source_free(snapshot);
}

static void test_index_lock(void **state)
{
    struct timespec old[2] = {{.tv_sec = 1000000}, {.tv_sec = 1000000}};
    struct sl_snapshot *snapshot = NULL;
    struct sl_err err = {0};

    (void)state;
    make_git();
    put("repo/.git/index.lock", "");
    assert_int_equal(sl_source_read(in_tree("repo"), &snapshot, &err), -1);
    assert_string_equal(err.code, "IndexLock");
    assert_int_equal(err.class, SL_ERR_TRANSIENT);
    assert_null(snapshot);
    assert_int_equal(utimensat(AT_FDCWD, in_tree("repo/.git/index.lock"), old, 0), 0);
    snapshot = read_ok("repo");
    assert_non_null(strstr(snapshot->warning, "index.lock"));
    sl_source_free(snapshot);
}

static atomic_bool stop_flipping;

static void *flip(void *user)
{
    (void)user;
    /* Both files always hold the same text before and after a flip of the whole directory. */
    for (unsigned i = 0; !atomic_load(&stop_flipping); i++) {
        if (symlink(i % 2 ? "one" : "two", in_tree("tmp")) != 0 ||
            rename(in_tree("tmp"), in_tree("current")) != 0)
            return &stop_flipping;
    }
    return NULL;
}

/* No snapshot may ever mix two states of a tree that flips as a whole. */
static void test_never_mixed(void **state)
{
    pthread_t thread;
    void *failed = NULL;
    int valid = 0;

    (void)state;
    make_dir("one");
    make_dir("two");
    for (int i = 0; i < 20; i++) {
        char name[32];

        snprintf(name, sizeof(name), "one/f%02d.yaml", i);
        put(name, "1");
        snprintf(name, sizeof(name), "two/f%02d.yaml", i);
        put(name, "2");
    }
    make_link("one", "current");
    atomic_store(&stop_flipping, false);
    assert_int_equal(pthread_create(&thread, NULL, flip, NULL), 0);
    for (int i = 0; i < 300; i++) {
        char root[128];
        struct sl_snapshot *snapshot = NULL;
        struct sl_err err = {0};

        snprintf(root, sizeof(root), "%s/current", tree);
        if (sl_source_read(root, &snapshot, &err) < 0) {
            assert_int_equal(err.class, SL_ERR_TRANSIENT);
            continue;
        }
        valid++;
        assert_int_equal(snapshot->count, 20);
        for (size_t k = 1; k < snapshot->count; k++)
            assert_string_equal(snapshot->files[k].sha256, snapshot->files[0].sha256);
        sl_source_free(snapshot);
    }
    atomic_store(&stop_flipping, true);
    pthread_join(thread, &failed);
    assert_null(failed);
    print_message("%d of 300 snapshots were valid\n", valid);
}

#define IN_A_TREE(f) cmocka_unit_test_setup_teardown(f, tree_setup, tree_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names), IN_A_TREE(test_tree),        IN_A_TREE(test_root_missing),
        IN_A_TREE(test_large),        IN_A_TREE(test_links),       IN_A_TREE(test_kubernetes),
        IN_A_TREE(test_git_sync),     IN_A_TREE(test_git),         IN_A_TREE(test_worktree),
        IN_A_TREE(test_index_lock),   IN_A_TREE(test_never_mixed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
