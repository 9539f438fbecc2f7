/* SPDX-License-Identifier: GPL-2.0-or-later
 * Backoff, what counts as a failure, common causes, the lifecycle table and the guard.
 */
#include "reconcile/core/lifecycle.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define STREAMS 20

struct fixture {
    struct sl_history history;
    struct sl_accepted accepted[STREAMS];
    struct sl_stream_spec spec[STREAMS];
    struct sl_src_file file[STREAMS];
    struct sl_desired_stream streams[STREAMS];
    struct sl_seen_encoder seen[STREAMS];
    char names[STREAMS][8];
    struct sl_desired desired;
    struct sl_observed observed;
    uint64_t jitter;
};

static int setup(void **state)
{
    struct fixture *f = sl_alloc(sizeof(*f));

    for (int i = 0; i < STREAMS; i++) {
        snprintf(f->names[i], sizeof(f->names[i]), "s%02d", i);
        f->accepted[i].name = f->names[i];
        f->file[i].loop = true;
        f->spec[i].source.file = &f->file[i];
        f->streams[i].accepted = &f->accepted[i];
        f->streams[i].spec = &f->spec[i];
        f->streams[i].run = true;
        snprintf(f->streams[i].enc_hash, 80, "sha:1");
        f->seen[i].alive = true;
        f->seen[i].record.state = SL_ENC_LIVE;
        snprintf(f->seen[i].record.name, 208, "s%02d", i);
        snprintf(f->seen[i].record.spec_hash, 80, "sha:1");
        snprintf(f->seen[i].record.uid, 17, "%016x", i + 1);
    }
    f->desired = (struct sl_desired){
        .valid = true, .root_present = true, .streams = f->streams, .count = STREAMS};
    f->observed = (struct sl_observed){.now = 1000000,
                                       .wall = 1700000000000,
                                       .fleet_known = true,
                                       .encoders = f->seen,
                                       .encoders_count = STREAMS};
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    sl_history_free(&f->history);
    free(f);
    return 0;
}

static void observe(struct fixture *f)
{
    sl_history_observe(&f->history, &f->desired, &f->observed, &f->jitter);
}

static struct sl_past *past(struct fixture *f, const char *name)
{
    struct sl_past *found = sl_history_find(&f->history, name);

    assert_non_null(found);
    return found;
}

static void kill_encoder(struct fixture *f, int i)
{
    f->seen[i].alive = false;
    f->seen[i].record.exited = true;
    f->seen[i].record.exit_signal = 11;
}

static void backoff_doubles_to_a_minute(void **state)
{
    (void)state;
    assert_int_equal(sl_backoff_delay(0, 0.5), 0);
    assert_int_equal(sl_backoff_delay(1, 0.5), 1000);
    assert_int_equal(sl_backoff_delay(2, 0.5), 2000);
    assert_int_equal(sl_backoff_delay(6, 0.5), 32000);
    assert_int_equal(sl_backoff_delay(7, 0.5), 60000);
    assert_int_equal(sl_backoff_delay(1000, 0.5), 60000);
    assert_int_equal(sl_backoff_delay(1, 0.0), 800);
    assert_int_equal(sl_backoff_delay(7, 0.0), 48000);
    assert_in_range(sl_backoff_delay(7, 0.999999), 71990, 72000);
}

static void a_death_counts_once(void **state)
{
    struct fixture *f = *state;

    kill_encoder(f, 0);
    observe(f);
    observe(f);
    assert_int_equal(past(f, "s00")->failures, 1);
    assert_int_equal(past(f, "s00")->restarts, 1);
    assert_string_equal(past(f, "s00")->last_message, "the encoder was ended by signal 11");
    assert_in_range(past(f, "s00")->next_attempt - f->observed.now, 800, 1200);
    assert_int_equal(past(f, "s01")->failures, 0);
}

static void the_exit_is_told_a_moment_later(void **state)
{
    struct fixture *f = *state;

    f->seen[0].alive = false;
    observe(f);
    assert_string_equal(past(f, "s00")->last_reason, "EncoderDied");
    f->seen[0].record.exited = true;
    f->seen[0].record.exit_status = 3;
    observe(f);
    assert_string_equal(past(f, "s00")->last_message, "the encoder ended with status 3");
    assert_int_equal(past(f, "s00")->failures, 1);
}

static void asked_to_stop_is_no_failure(void **state)
{
    struct fixture *f = *state;

    kill_encoder(f, 0);
    f->seen[0].stop_asked = true;
    f->seen[1].alive = false;
    f->seen[1].record.state = SL_ENC_ENDED;
    snprintf(f->seen[1].record.reason, 40, "Stopped");
    observe(f);
    assert_int_equal(past(f, "s00")->failures, 0);
    assert_int_equal(past(f, "s01")->failures, 0);
    assert_int_equal(past(f, "s01")->restarts, 0);
}

static void end_of_file(void **state)
{
    struct fixture *f = *state;

    for (int i = 0; i < 2; i++) {
        f->seen[i].alive = false;
        f->seen[i].record.state = SL_ENC_ENDED;
        snprintf(f->seen[i].record.reason, 40, "EndOfFile");
    }
    f->file[0].loop = false;
    observe(f);
    assert_int_equal(past(f, "s00")->failures, 0);
    assert_string_equal(past(f, "s00")->finished_hash, "sha:1");
    assert_int_equal(past(f, "s01")->failures, 1); /* a loop has no end */
    assert_string_equal(past(f, "s01")->finished_hash, "");
    snprintf(f->streams[0].enc_hash, 80, "sha:2");
    observe(f);
    assert_string_equal(past(f, "s00")->finished_hash, "");
}

static void a_new_hash_starts_afresh(void **state)
{
    struct fixture *f = *state;

    kill_encoder(f, 0);
    observe(f);
    snprintf(f->streams[0].enc_hash, 80, "sha:2");
    observe(f);
    assert_int_equal(past(f, "s00")->failures, 0);
    assert_int_equal(past(f, "s00")->next_attempt, 0);
}

static void health_resets_after_a_minute(void **state)
{
    struct fixture *f = *state;

    kill_encoder(f, 0);
    observe(f);
    f->seen[0].alive = true;
    snprintf(f->seen[0].record.uid, 17, "%016x", 99);
    f->observed.now += 2000;
    observe(f);
    f->observed.now += 59999;
    observe(f);
    assert_int_equal(past(f, "s00")->failures, 1);
    f->observed.now += 1;
    observe(f);
    assert_int_equal(past(f, "s00")->failures, 0);
    past(f, "s00")->failures = 9;
    past(f, "s00")->last_delay = 60000;
    f->observed.now += 59990; /* healthy for 119,990 ms: twice the last delay is not over */
    observe(f);
    assert_int_equal(past(f, "s00")->failures, 9);
    f->observed.now += 10;
    observe(f);
    assert_int_equal(past(f, "s00")->failures, 0);
}

static void a_common_cause_is_nobodys_failure(void **state)
{
    struct fixture *f = *state;

    for (int i = 0; i < 6; i++) { /* 30 % of 20: not more than 30 % */
        kill_encoder(f, i);
        observe(f);
        f->observed.now += 100;
    }
    assert_int_equal(past(f, "s00")->failures, 1);
    kill_encoder(f, 6);
    observe(f);
    for (int i = 0; i < 7; i++) {
        assert_int_equal(past(f, f->names[i])->failures, 0);
        assert_true(past(f, f->names[i])->next_attempt > 0);
        assert_int_equal(past(f, f->names[i])->forgiven, 1);
    }
}

static void deaths_far_apart_have_no_common_cause(void **state)
{
    struct fixture *f = *state;

    for (int i = 0; i < 10; i++) {
        kill_encoder(f, i);
        observe(f);
        f->observed.now += 2600;
    }
    for (int i = 0; i < 10; i++)
        assert_int_equal(past(f, f->names[i])->failures, 1);
}

static void two_of_two_is_no_common_cause(void **state)
{
    struct fixture *f = *state;

    f->observed.encoders_count = 2;
    kill_encoder(f, 0);
    kill_encoder(f, 1);
    observe(f);
    assert_int_equal(past(f, "s00")->failures, 1);
}

static void another_boots_clock_is_cut(void **state)
{
    struct fixture *f = *state;

    observe(f);
    past(f, "s00")->next_attempt = f->observed.now + 999999999;
    observe(f);
    assert_int_equal(past(f, "s00")->next_attempt, f->observed.now);
}

static void facts_are_of_the_wanted_encoder(void **state)
{
    struct fixture *f = *state;

    f->seen[0].record.facts.count = 1;
    snprintf(f->seen[0].record.facts.track[0].codec, 32, "H264");
    observe(f);
    assert_string_equal(past(f, "s00")->facts_hash, "sha:1");
    snprintf(f->seen[1].record.name, 208, "s00");
    snprintf(f->seen[1].record.spec_hash, 80, "sha:2");
    f->seen[1].record.state = SL_ENC_HELD;
    f->seen[1].record.facts.count = 1;
    snprintf(f->seen[1].record.facts.track[0].codec, 32, "AV1");
    observe(f);
    assert_string_equal(past(f, "s00")->facts_hash, "sha:1");
    snprintf(f->streams[0].enc_hash, 80, "sha:2");
    observe(f);
    assert_string_equal(past(f, "s00")->facts_hash, "sha:2");
    assert_string_equal(past(f, "s00")->facts.track[0].codec, "AV1");
}

static void the_table_is_total(void **state)
{
    (void)state;
    for (int look = 0; look < SL_LOOK_COUNT; look++)
        for (int want = 0; want < SL_WANT_COUNT; want++) {
            enum sl_todo todo = sl_lifecycle((enum sl_look)look, (enum sl_want)want);

            assert_in_range(todo, 0, SL_TODO_COUNT - 1);
            if (want == SL_WANT_KEEP || look == SL_LOOK_FOREIGN || look == SL_LOOK_STOPPING)
                assert_int_equal(todo, SL_TODO_NOTHING);
            else if (look == SL_LOOK_DEAD)
                assert_int_equal(todo, SL_TODO_FORGET);
            else if (look == SL_LOOK_STUCK)
                assert_int_equal(todo, SL_TODO_KILL);
            else if (want == SL_WANT_NONE || want == SL_WANT_OTHER)
                assert_int_equal(todo, SL_TODO_STOP);
            else if (want == SL_WANT_OTHER_LATER)
                assert_int_equal(todo, look == SL_LOOK_STARTING || look == SL_LOOK_HELD
                                           ? SL_TODO_STOP
                                           : SL_TODO_NOTHING);
            else
                assert_int_equal(todo, want == SL_WANT_THIS && look == SL_LOOK_HELD
                                           ? SL_TODO_GO
                                           : SL_TODO_NOTHING);
        }
}

static void looks(void **state)
{
    struct fixture *f = *state;
    struct sl_seen_encoder *e = &f->seen[0];

    e->stats_known = true;
    e->loops_moved = 10000;
    assert_int_equal(sl_look_at(e, 14999), SL_LOOK_LIVE);
    assert_int_equal(sl_look_at(e, 15000), SL_LOOK_STUCK);
    e->stats_known = false;
    assert_int_equal(sl_look_at(e, 99999), SL_LOOK_LIVE);
    e->stats_known = true;
    e->record.state = SL_ENC_STARTING;
    assert_int_equal(sl_look_at(e, 15000), SL_LOOK_STARTING);
    assert_int_equal(sl_look_at(e, 70000), SL_LOOK_STUCK);
    e->record.state = SL_ENC_ENDED;
    assert_int_equal(sl_look_at(e, 11000), SL_LOOK_STOPPING);
    assert_int_equal(sl_look_at(e, 15000), SL_LOOK_STUCK);
    e->stop_asked = true;
    assert_int_equal(sl_look_at(e, 15000), SL_LOOK_STOPPING);
    e->alive = false;
    assert_int_equal(sl_look_at(e, 15000), SL_LOOK_DEAD);
    e->newer_layout = true;
    assert_int_equal(sl_look_at(e, 15000), SL_LOOK_FOREIGN);
}

/* ---- guard ---- */

static bool holds(struct fixture *f, size_t d, size_t owned, char id[13])
{
    const char *names[STREAMS];

    for (size_t i = 0; i < owned; i++)
        sl_history_get(&f->history, f->names[i])->owned = true;
    f->desired.count = owned;
    for (size_t i = 0; i < owned; i++)
        f->accepted[i].absent = i < d;
    for (size_t i = 0; i < d; i++)
        names[i] = f->names[i];
    return sl_guard_holds(&f->history, &f->desired, f->observed.wall, names, d, id);
}

static void the_guard(void **state)
{
    static const struct {
        size_t d, p;
        bool holds;
    } cases[] = {{1, 1, true},  {1, 2, false},  {2, 2, true},   {2, 3, false}, {3, 4, true},
                 {3, 10, true}, {3, 11, false}, {5, 20, false}, {6, 20, true}, {20, 20, true}};
    struct fixture *f = *state;
    char id[13];

    for (size_t i = 0; i < SL_COUNT(cases); i++) {
        sl_history_free(&f->history);
        assert_int_equal(holds(f, cases[i].d, cases[i].p, id), cases[i].holds);
        assert_int_equal(strlen(id), cases[i].holds ? 12 : 0);
    }
}

static void the_guard_remembers_ten_minutes(void **state)
{
    struct fixture *f = *state;
    char id[13];

    sl_history_deleted(&f->history, "gone1", f->observed.wall - 599999);
    sl_history_deleted(&f->history, "gone2", f->observed.wall - 1000);
    sl_history_deleted(&f->history, "gone2", f->observed.wall - 900); /* twice, counts once */
    assert_true(holds(f, 1, 8, id));                                  /* 3 of 10 */
    f->history.deleted[0].at = f->observed.wall - 600000;
    assert_false(holds(f, 1, 8, id));
}

static void what_came_back_is_not_counted(void **state)
{
    struct fixture *f = *state;
    char id[13];

    sl_history_deleted(&f->history, "s05", f->observed.wall - 1000);
    sl_history_deleted(&f->history, "s06", f->observed.wall - 1000);
    assert_false(holds(f, 1, 8, id));
}

static void approvals_count_once(void **state)
{
    struct fixture *f = *state;
    const char *approvals[1];
    char first[13], second[13], third[13];

    assert_true(holds(f, 4, 10, first));
    approvals[0] = first;
    f->desired.approvals = approvals;
    f->desired.approvals_count = 1;
    assert_true(holds(f, 5, 10, second)); /* another set has another id */
    assert_string_not_equal(first, second);
    assert_false(holds(f, 4, 10, third));
    assert_string_equal(first, third);
    sl_history_released(&f->history, &f->desired, first);
    assert_true(holds(f, 4, 10, second)); /* spent */
    assert_string_not_equal(first, second);
    approvals[0] = second;
    assert_false(holds(f, 4, 10, third));
}

static void a_missing_root_has_no_approval(void **state)
{
    struct fixture *f = *state;
    char id[13];

    f->desired.root_present = false;
    assert_true(holds(f, 1, 10, id));
    assert_string_equal(id, "");
}

static void spent_ids_stay_spent_while_named(void **state)
{
    struct fixture *f = *state;
    const char *approvals[1] = {"000000000000"};
    bool there = false;

    f->desired.approvals = approvals;
    f->desired.approvals_count = 1;
    for (int i = 0; i < 200; i++) {
        char id[13];

        snprintf(id, sizeof(id), "%012d", i);
        sl_history_released(&f->history, &f->desired, id);
    }
    for (size_t i = 0; i < f->history.released_count; i++)
        there |= strcmp(f->history.released[i], "000000000000") == 0;
    assert_true(there);
    assert_int_equal(f->history.released_count, 64);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(backoff_doubles_to_a_minute),
        T(a_death_counts_once),
        T(the_exit_is_told_a_moment_later),
        T(asked_to_stop_is_no_failure),
        T(end_of_file),
        T(a_new_hash_starts_afresh),
        T(health_resets_after_a_minute),
        T(a_common_cause_is_nobodys_failure),
        T(deaths_far_apart_have_no_common_cause),
        T(two_of_two_is_no_common_cause),
        T(another_boots_clock_is_cut),
        T(facts_are_of_the_wanted_encoder),
        T(the_table_is_total),
        T(looks),
        T(the_guard),
        T(the_guard_remembers_ten_minutes),
        T(what_came_back_is_not_counted),
        T(approvals_count_once),
        T(a_missing_root_has_no_approval),
        T(spent_ids_stay_spent_while_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
