/* SPDX-License-Identifier: GPL-2.0-or-later
 * The machine as the page shows it: believable figures, disks told by a worker, no disk for a
 * directory that is not there.
 */
#include "io_tree.h"
#include "reconcile/base/time.h"
#include "reconcile/io/machine.h"

static void tells_of_this_machine(void **state)
{
    struct sl_loop *loop;
    struct sl_machine *machine;
    struct sl_seen_machine seen = {0};
    int64_t end = sl_now_mono() + 3000, now = 1;

    (void)state;
    assert_int_equal(sl_loop_new(&loop, NULL), 0);
    machine = sl_machine_new(loop, in_tree("nowhere"), tree);
    sl_machine_observed(machine, now, &seen);
    assert_true(seen.cores >= 1);
    assert_true(seen.memory_total > 0);
    assert_in_range(seen.memory_used, 1, seen.memory_total);
    assert_null(seen.disk[1].name); /* not told yet: nobody waits for a disk */
    while (!seen.disk[1].name && sl_now_mono() < end) {
        assert_true(sd_event_run(sl_loop_event(loop), 10000) >= 0);
        sl_machine_observed(machine, now += 1000, &seen);
        assert_true(seen.cpu >= 0 && seen.cpu <= 1);
    }
    assert_string_equal(seen.disk[1].name, "state");
    assert_true(seen.disk[1].total > 0);
    assert_true(seen.disk[1].free <= seen.disk[1].total);
    assert_null(seen.disk[0].name);
    sl_loop_free(loop);
    sl_machine_free(machine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(tells_of_this_machine, tree_setup, tree_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
