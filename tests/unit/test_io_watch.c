/* SPDX-License-Identifier: GPL-2.0-or-later
 * reconcile/io/watch.c on real directories: each change must be told, whatever its shape.
 */
#include "io_tree.h"
#include "reconcile/base/time.h"
#include "reconcile/io/source.h"
#include "reconcile/io/watch.h"

#include <sys/resource.h>

static struct sl_loop *loop;
static struct sl_watch *watch;
static struct sl_timer *guard;
static int told;
static void (*when_told)(void); /* still on the running loop */

static void on_told(void *user)
{
    (void)user;
    told++;
    if (when_told)
        when_told();
    when_told = NULL;
    sl_loop_exit(loop, 0);
}

static void on_guard(void *user)
{
    (void)user;
    sl_loop_exit(loop, 1);
}

static int start(void **state)
{
    /* sl_loop_exit ends a loop for good, so each wait below has a watch of its own. */
    if (tree_setup(state) < 0)
        return -1;
    return 0;
}

static void open_watch(int64_t poll)
{
    struct sl_watch_timing timing = {.poll = poll};
    struct sl_err err = {0};

    told = 0;
    assert_int_equal(sl_loop_new(&loop, &err), 0);
    assert_int_equal(sl_watch_new(loop, &timing, on_told, NULL, &watch, &err), 0);
    guard = sl_timer_new(loop, on_guard, NULL);
}

static void close_watch(void)
{
    sl_timer_free(guard);
    sl_watch_free(watch);
    sl_loop_free(loop);
}

/* Arms what a snapshot says until nothing new comes. */
static void arm(const char *root)
{
    for (int i = 0; i < 10; i++) {
        struct sl_snapshot *snapshot = NULL;
        struct sl_err err = {0};
        bool again;

        assert_int_equal(sl_source_read(root, &snapshot, &err), 0);
        again = sl_watch_set(watch, snapshot->dirs, snapshot->dirs_count);
        sl_source_free(snapshot);
        if (!again)
            return;
    }
    fail_msg("the set of directories never came to rest");
}

/* Milliseconds until the change was told. */
static int64_t wait_told(int64_t limit)
{
    int64_t began = sl_now_mono();

    sl_timer_at(guard, began + limit);
    assert_int_equal(sl_loop_run(loop), 0);
    return sl_now_mono() - began;
}

static void test_lone_file(void **state)
{
    int64_t took;

    (void)state;
    put("a.yaml", "1");
    open_watch(0);
    arm(tree);
    assert_string_equal(sl_watch_warning(watch), "");
    put("a.yaml", "2");
    took = wait_told(5000);
    assert_true(took >= 25 && took < 250); /* 30 ms, not the storm's 300 */
    close_watch();
}

static void test_storm(void **state)
{
    int64_t took;

    (void)state;
    put("a.yaml", "1");
    open_watch(0);
    arm(tree);
    for (int i = 0; i < 100; i++) {
        char name[32];

        snprintf(name, sizeof(name), "f%d.yaml", i);
        put(name, "x");
    }
    took = wait_told(5000);
    assert_true(took >= 280);
    assert_int_equal(told, 1);
    close_watch();
}

static void test_deep_new_tree(void **state)
{
    (void)state;
    put("a.yaml", "1");
    open_watch(0);
    arm(tree);
    make_dir("x");
    make_dir("x/y");
    make_dir("x/y/z");
    put("x/y/z/f.yaml", "1");
    wait_told(5000);
    close_watch();
    /* As run does it: after the first word the set is armed anew, so the next change is told. */
    open_watch(0);
    arm(tree);
    put("x/y/z/f.yaml", "2");
    wait_told(5000);
    close_watch();
}

static void test_recreated(void **state)
{
    (void)state;
    make_dir("d");
    put("d/a.yaml", "1");
    open_watch(0);
    arm(tree);
    unlink(in_tree("d/a.yaml"));
    rmdir(in_tree("d"));
    make_dir("d");
    put("d/a.yaml", "1");
    {
        struct sl_snapshot *snapshot = NULL;
        struct sl_err err = {0};

        assert_int_equal(sl_source_read(tree, &snapshot, &err), 0);
        /* The same names, but another directory: it must be armed anew. */
        assert_true(sl_watch_set(watch, snapshot->dirs, snapshot->dirs_count));
        assert_false(sl_watch_set(watch, snapshot->dirs, snapshot->dirs_count));
        sl_source_free(snapshot);
    }
    put("d/a.yaml", "2");
    wait_told(5000);
    close_watch();
}

static void test_flip(void **state)
{
    char root[128];

    (void)state;
    make_dir("one");
    make_dir("two");
    put("one/a.yaml", "1");
    put("two/a.yaml", "2");
    make_link("one", "current");
    snprintf(root, sizeof(root), "%s/current", tree);
    open_watch(0);
    arm(root);
    make_link("two", "tmp");
    assert_int_equal(rename(in_tree("tmp"), in_tree("current")), 0);
    assert_true(wait_told(5000) < 250);
    close_watch();
}

static void test_root_appears(void **state)
{
    char root[128];

    (void)state;
    snprintf(root, sizeof(root), "%s/late", tree);
    open_watch(0);
    arm(root);
    make_dir("late");
    wait_told(5000);
    close_watch();
}

static void test_descriptor(void **state)
{
    int found = 0;

    (void)state;
    open_watch(0);
    for (int fd = 3; fd < 64; fd++) {
        char link[64], target[64] = "";

        snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
        if (readlink(link, target, sizeof(target) - 1) < 0 ||
            strcmp(target, "anon_inode:inotify") != 0)
            continue;
        found++;
        assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    }
    assert_int_equal(found, 1);
    close_watch();
}

static void expect_recovery(void)
{
    const char *const dirs[] = {tree};

    assert_true(sl_watch_set(watch, dirs, 1));
    assert_string_equal(sl_watch_warning(watch), "");
    assert_false(sl_watch_set(watch, dirs, 1));
}

/* With no descriptor left there is no inotify: it must poll, say so, and recover by itself. (Not by
 * using up the user's inotify instances: other programs need them.) */
static void test_no_instance(void **state)
{
    struct sl_watch_timing timing = {.poll = 50};
    struct rlimit old, none;
    struct sl_err err = {0};
    int lowest;

    (void)state;
    put("a.yaml", "1");
    told = 0;
    assert_int_equal(sl_loop_new(&loop, &err), 0);
    guard = sl_timer_new(loop, on_guard, NULL);
    lowest = dup(0);
    close(lowest);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    none = old;
    none.rlim_cur = (rlim_t)lowest;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    assert_int_equal(sl_watch_new(loop, &timing, on_told, NULL, &watch, &err), 0);
    assert_false(sl_watch_set(watch, (const char *[]){tree}, 1));
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    assert_non_null(strstr(sl_watch_warning(watch), "50 ms"));
    when_told = expect_recovery;
    wait_told(5000); /* the poll's word */
    assert_int_equal(told, 1);
    close_watch();
}

/* A queue that overflows is counted and still leads to a look. */
static void test_overflow(void **state)
{
    FILE *limit = fopen("/proc/sys/fs/inotify/max_queued_events", "r");
    long max = 0;
    int fd;

    (void)state;
    assert_non_null(limit);
    if (fscanf(limit, "%ld", &max) != 1 || max > 100000)
        max = 0;
    fclose(limit);
    if (max == 0)
        skip();
    put("a.yaml", "1");
    put("b.yaml", "1");
    open_watch(0);
    arm(tree);
    for (long i = 0; i < max; i++) { /* two names by turns: equal neighbours are merged */
        fd = open(in_tree(i % 2 ? "a.yaml" : "b.yaml"), O_WRONLY);
        assert_true(fd >= 0);
        close(fd);
    }
    fd = open(in_tree("a.yaml"), O_WRONLY);
    close(fd);
    wait_told(10000);
    assert_int_equal(sl_watch_overflows(watch), 1);
    close_watch();
}

#define IN_A_TREE(f) cmocka_unit_test_setup_teardown(f, start, tree_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_A_TREE(test_lone_file),  IN_A_TREE(test_storm),       IN_A_TREE(test_deep_new_tree),
        IN_A_TREE(test_recreated),  IN_A_TREE(test_flip),        IN_A_TREE(test_root_appears),
        IN_A_TREE(test_descriptor), IN_A_TREE(test_no_instance), IN_A_TREE(test_overflow),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
