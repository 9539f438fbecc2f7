/* SPDX-License-Identifier: GPL-2.0-or-later
 * Records: found by a scan, alive by their lock only, re-read after a notice, forgotten only when
 * nobody lives in them.
 */
#include "fleet_tree.h"

#define UID  "00000000000000aa"
#define UID2 "00000000000000bb"

static void scan_finds_and_death_is_seen(void **state)
{
    struct tree *t = tree_new();
    const struct sl_seen_encoder *list;
    size_t count;
    pid_t pid;

    (void)state;
    pid = spawn_encoder(t->dir, UID, "cam", SL_ENC_LIVE, false);
    tree_fleet(t);
    list = tree_seen(t, &count);
    assert_int_equal(count, 1);
    assert_true(list[0].alive);
    assert_true(list[0].gone_asked); /* it publishes: go was sent by the daemon before */
    assert_string_equal(list[0].record.name, "cam");
    assert_int_equal(list[0].record.pid, pid);
    assert_true(list[0].stats_known);
    assert_int_equal(list[0].stats.loops, 7);
    assert_true(t->fleet->encs[0]->pidfd >= 0);
    assert_int_equal(fleet_forget(t->fleet, UID, NULL), -1); /* never a live one */

    kill(pid, SIGKILL);
    tree_run(t, 200, NULL); /* still a zombie: dead all the same */
    list = tree_seen(t, &count);
    assert_int_equal(count, 1);
    assert_false(list[0].alive);
    assert_true(t->news > 0);
    waitpid(pid, NULL, 0);
    assert_int_equal(fleet_forget(t->fleet, UID, NULL), 0);
    tree_seen(t, &count);
    assert_int_equal(count, 0);
    tree_free(t);
}

static void reused_pid_is_no_proof_of_life(void **state)
{
    struct tree *t = tree_new();
    const struct sl_seen_encoder *list;
    struct sl_record r = {.layout = SL_RECORD_LAYOUT, .uid = UID, .name = "cam", .pid = getpid()};
    sl_autofree char *dir = sl_asprintf("%s/enc/" UID, t->dir);
    size_t count;
    int fd;

    (void)state;
    r.pid_start = sl_proc_start(getpid());
    r.state = SL_ENC_LIVE;
    snprintf(r.boot_id, sizeof(r.boot_id), "%s", sl_boot_id());
    assert_int_equal(sl_mkdir_p(dir, 0755, NULL), 0);
    fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    close(openat(fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0640));
    assert_int_equal(sl_record_write(fd, &r, NULL), 0);
    tree_fleet(t);
    list = tree_seen(t, &count);
    assert_int_equal(count, 1);
    assert_false(list[0].alive);
    close(fd);
    tree_free(t);
}

static void lock_alone_protects(void **state)
{
    struct tree *t = tree_new();
    sl_autofree char *dir = sl_asprintf("%s/enc/" UID, t->dir);
    pid_t pid;

    (void)state;
    tree_fleet(t);
    pid = spawn_encoder(t->dir, UID, "cam", SL_ENC_LIVE, false);
    assert_int_equal(fleet_forget(t->fleet, UID, NULL), -1); /* not even one not yet scanned */
    assert_int_equal(access(dir, F_OK), 0);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    assert_int_equal(fleet_forget(t->fleet, UID, NULL), 0);
    assert_int_not_equal(access(dir, F_OK), 0);
    tree_free(t);
}

static void newer_layout_is_left_alone(void **state)
{
    struct tree *t = tree_new();
    const struct sl_seen_encoder *list;
    sl_autofree char *dir = sl_asprintf("%s/enc/" UID, t->dir);
    static const char text[] = "{\"layout\":99,\"uid\":\"" UID "\",\"name\":\"x\",\"pid\":1}";
    struct sl_action stop = {.kind = SL_ACT_STOP, .stream = "x", .uid = UID, .reason = "test"};
    struct sl_action forget = {.kind = SL_ACT_FORGET, .stream = "x", .uid = UID, .reason = "t"};
    size_t count;
    int fd, lock;

    (void)state;
    assert_int_equal(sl_mkdir_p(dir, 0755, NULL), 0);
    fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    lock = openat(fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0640);
    assert_int_equal(flock(lock, LOCK_EX), 0);
    assert_int_equal(sl_file_replace(fd, "record.json", text, sizeof(text) - 1, 0640, 0, NULL), 0);
    tree_fleet(t);
    list = tree_seen(t, &count);
    assert_int_equal(count, 1);
    assert_true(list[0].newer_layout);
    assert_true(list[0].alive);
    sl_fleet_apply(t->fleet, &stop, 1, NULL);
    close(lock);
    sl_fleet_rescan(t->fleet);
    sl_fleet_apply(t->fleet, &forget, 1, NULL);
    list = tree_seen(t, &count);
    assert_int_equal(count, 1);
    assert_false(list[0].stop_asked);
    assert_int_equal(access(dir, F_OK), 0);
    close(fd);
    tree_free(t);
}

static bool two(struct tree *t)
{
    size_t count;

    tree_seen(t, &count);
    return count == 2;
}

static void notice_brings_one_record(void **state)
{
    struct tree *t = tree_new();
    pid_t a, b;

    (void)state;
    tree_fleet(t);
    a = spawn_encoder(t->dir, UID, "a", SL_ENC_HELD, false);
    b = spawn_encoder(t->dir, UID2, "b", SL_ENC_HELD, false);
    notice(t->dir, "../../../etc");
    assert_true(tree_run(t, 1000, two));
    assert_true(t->news > 0);
    kill(a, SIGKILL);
    kill(b, SIGKILL);
    waitpid(a, NULL, 0);
    waitpid(b, NULL, 0);
    tree_free(t);
}

static void usage_is_measured(void **state)
{
    struct tree *t = tree_new();
    const struct sl_seen_encoder *list;
    size_t count;
    pid_t pid;

    (void)state;
    pid = spawn_encoder(t->dir, UID, "a", SL_ENC_LIVE, false);
    tree_fleet(t);
    sl_fleet_rescan(t->fleet);
    list = tree_seen(t, &count);
    assert_int_equal(count, 1);
    assert_true(list[0].memory > 4096);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    tree_free(t);
}

/* Two that look at once: the lock of the one who looks is no proof of life for the other. */
static void a_look_is_no_life(void **state)
{
    struct tree *t = tree_new();
    sl_autofree char *path = sl_asprintf("%s/enc/" UID "/lock", t->dir);
    sl_autofd int looker = -1;
    size_t count;
    pid_t pid = spawn_encoder(t->dir, UID, "cam", SL_ENC_LIVE, false);

    (void)state;
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    looker = open(path, O_RDONLY | O_CLOEXEC);
    assert_int_equal(flock(looker, LOCK_SH | LOCK_NB), 0);
    tree_fleet(t);
    assert_false(tree_seen(t, &count)->alive);
    assert_int_equal(count, 1);
    tree_free(t);
}

/* Pid and start time are numbers of another PID namespace: they may be anybody's here. */
static void foreign_pids_do_not_count(void **state)
{
    struct tree *t = tree_new();
    size_t count;
    pid_t pid = spawn_encoder(t->dir, UID, "elsewhere", SL_ENC_LIVE, false);

    (void)state;
    tree_fleet(t);
    assert_true(tree_seen(t, &count)->alive); /* by its lock */
    assert_int_equal(count, 1);
    assert_int_equal(t->fleet->encs[0]->pidfd, -1);
    assert_false(fleet_same_process(t->fleet->encs[0]));
    assert_false(fleet_signal(t->fleet, t->fleet->encs[0], SIGKILL)); /* and no host is there */
    assert_int_equal(kill(pid, 0), 0);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    tree_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scan_finds_and_death_is_seen),
        cmocka_unit_test(reused_pid_is_no_proof_of_life),
        cmocka_unit_test(lock_alone_protects),
        cmocka_unit_test(newer_layout_is_left_alone),
        cmocka_unit_test(notice_brings_one_record),
        cmocka_unit_test(usage_is_measured),
        cmocka_unit_test(a_look_is_no_life),
        cmocka_unit_test(foreign_pids_do_not_count),
    };

    sl_log_level(SL_LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
