/* SPDX-License-Identifier: GPL-2.0-or-later
 * An encoder's proof of life: a scanner's momentary lock does not end a new one, and the host
 * signals only who is provably the process of the record.
 */
#include "encoders/signals.h"
#include "encoders/status.h"
#include "reconcile/base/file.h"
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define UID "00000000000000aa"

static char place[64];

static int setup(void **state)
{
    char path[128];

    (void)state;
    strcpy(place, "/tmp/sluice-test-life-XXXXXX");
    if (!mkdtemp(place))
        return -1;
    snprintf(path, sizeof(path), "%s/enc", place);
    if (mkdir(path, 0700) < 0)
        return -1;
    snprintf(path, sizeof(path), "%s/enc/" UID, place);
    return mkdir(path, 0700);
}

static int teardown(void **state)
{
    char path[128];
    struct sl_err err;

    (void)state;
    snprintf(path, sizeof(path), "%s/enc", place);
    if (sl_rmdir_flat(AT_FDCWD, path, &err) < 0) {
        sl_autofd int dir = open(path, O_RDONLY | O_DIRECTORY);

        (void)!sl_rmdir_flat(dir, UID, &err);
        (void)rmdir(path);
    }
    return rmdir(place);
}

static struct sl_encspec *spec(void)
{
    static const char text[] = "{\"uid\":\"" UID "\",\"name\":\"x\",\"source\":\"test\"}";
    struct sl_encspec *ret;
    struct sl_err err;

    assert_int_equal(sl_encspec_from_json(text, strlen(text), &ret, &err), 0);
    return ret;
}

/* A child that lives as an encoder does, until a signal ends it; -1 on failure. */
static int encoder(void)
{
    int ready[2], pid;
    char byte;

    assert_int_equal(pipe(ready), 0);
    pid = fork();
    if (pid == 0) {
        struct sl_status status;
        struct sl_err err;

        if (sl_status_open(&status, place, spec(), &err) < 0)
            _exit(75);
        (void)!write(ready[1], "", 1);
        for (;;)
            pause();
    }
    close(ready[1]);
    if (read(ready[0], &byte, 1) != 1)
        pid = -1;
    close(ready[0]);
    return pid;
}

static int directory(void)
{
    char path[128];

    snprintf(path, sizeof(path), "%s/enc/" UID, place);
    return open(path, O_RDONLY | O_DIRECTORY);
}

static void a_scanner_does_not_end_a_new_encoder(void **state)
{
    sl_autofd int dir = directory();
    int lock = openat(dir, "lock", O_RDWR | O_CREAT, 0640), scanner, pid, status;
    int ready[2];
    char byte;

    (void)state;
    assert_true(lock >= 0);
    assert_int_equal(pipe(ready), 0);
    scanner = fork();
    if (scanner == 0) { /* holds it for a moment after an encoder has begun to want it */
        int own = openat(dir, "lock", O_RDWR);

        if (flock(own, LOCK_SH | LOCK_NB) < 0)
            _exit(1);
        (void)!write(ready[1], "", 1);
        usleep(150000);
        _exit(0);
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(lock);
    close(ready[0]);
    close(ready[1]);
    pid = encoder();
    assert_true(pid > 0);
    assert_int_equal(waitpid(scanner, &status, 0), scanner);
    assert_int_equal(status, 0);
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
}

static void a_second_encoder_is_refused(void **state)
{
    int pid = encoder(), status;

    (void)state;
    assert_true(pid > 0);
    assert_int_equal(encoder(), -1);
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
}

static void the_host_signals_only_whom_the_record_names(void **state)
{
    sl_autofd int dir = directory();
    struct sl_record r, other;
    struct sl_err err;
    int pid = encoder(), status;

    (void)state;
    assert_true(pid > 0);
    assert_int_equal(sl_signals_send(place, UID, 0, &err), -1);
    assert_string_equal(err.code, "BadSignal");
    assert_int_equal(sl_signals_send(place, "../../etc/passwd", SIGTERM, &err), -1);
    assert_string_equal(err.code, "Gone");
    assert_int_equal(sl_signals_send(place, "00000000000000ab", SIGTERM, &err), -1);
    assert_string_equal(err.code, "Gone");
    assert_int_equal(sl_record_read(dir, &r, &err), 0);
    assert_true(*r.pidns);
    other = r;
    other.pid_start++; /* another process with that pid */
    assert_int_equal(sl_record_write(dir, &other, &err), 0);
    assert_int_equal(sl_signals_send(place, UID, SIGTERM, &err), -1);
    assert_string_equal(err.code, "NotOurs");
    other = r;
    strcpy(other.pidns, "4:1");
    assert_int_equal(sl_record_write(dir, &other, &err), 0);
    assert_int_equal(sl_signals_send(place, UID, SIGTERM, &err), -1);
    assert_string_equal(err.code, "NotOurs");
    assert_int_equal(waitpid(pid, &status, WNOHANG), 0);
    assert_int_equal(sl_record_write(dir, &r, &err), 0);
    assert_int_equal(sl_signals_send(place, UID, SIGTERM, &err), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
    assert_int_equal(sl_signals_send(place, UID, SIGTERM, &err), -1);
    assert_string_equal(err.code, "Gone"); /* the lock is free */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_scanner_does_not_end_a_new_encoder, setup, teardown),
        cmocka_unit_test_setup_teardown(a_second_encoder_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(the_host_signals_only_whom_the_record_names, setup,
                                        teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
