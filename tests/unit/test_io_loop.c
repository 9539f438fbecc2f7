/* SPDX-License-Identifier: GPL-2.0-or-later
 * reconcile/io: loop, jobs and HTTP against a small server of our own on a thread.
 */
#include "io_tree.h"
#include "reconcile/base/buf.h"
#include "reconcile/base/time.h"
#include "reconcile/io/loop.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/un.h>

static struct sl_loop *loop;

/* --- the server: /echo answers with the request itself, /silent never, /big with 100 kB --- */

static int listener = -1, port;
static pthread_t server_thread;

static void answer(int fd)
{
    static char big[100001];
    struct sl_buf in = {0}, out = {0};
    const char *end;
    char chunk[4096];
    ssize_t n;
    size_t body = 0;

    while ((n = read(fd, chunk, sizeof(chunk))) > 0) {
        const char *length;

        sl_buf_add(&in, chunk, (size_t)n);
        end = strstr(in.data, "\r\n\r\n");
        length = strstr(in.data, "Content-Length: ");
        body = length ? (size_t)atoi(length + 16) : 0;
        if (end && in.len >= (size_t)(end + 4 - in.data) + body)
            break;
    }
    if (n > 0 && strstr(in.data, " /big ")) {
        memset(big, 'x', sizeof(big) - 1);
        sl_buf_printf(&out, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%s", sizeof(big) - 1,
                      big);
    } else if (n > 0 && strstr(in.data, " /missing ")) {
        sl_buf_puts(&out, "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnone");
    } else if (n > 0 && !strstr(in.data, " /silent ")) {
        sl_buf_printf(&out, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%s", in.len, in.data);
    } else if (n > 0) {
        n = read(fd, chunk, sizeof(chunk)); /* until the client gives up */
    }
    if (out.len > 0 && write(fd, out.data, out.len) < 0)
        print_message("the client left\n");
    sl_buf_free(&in);
    sl_buf_free(&out);
    close(fd);
}

static void *serve(void *user)
{
    int fd, on = *(int *)user;

    while ((fd = accept(on, NULL, NULL)) >= 0)
        answer(fd);
    return NULL;
}

static int start_server(void **state)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);

    (void)state;
    listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(listener, (struct sockaddr *)&address, len) < 0 || listen(listener, 64) < 0 ||
        getsockname(listener, (struct sockaddr *)&address, &len) < 0)
        return -1;
    port = ntohs(address.sin_port);
    return pthread_create(&server_thread, NULL, serve, &listener);
}

static int stop_server(void **state)
{
    (void)state;
    shutdown(listener, SHUT_RDWR);
    pthread_join(server_thread, NULL);
    close(listener);
    return 0;
}

static int make_loop(void **state)
{
    (void)state;
    return sl_loop_new(&loop, NULL);
}

static int free_loop(void **state)
{
    (void)state;
    sl_loop_free(loop);
    return 0;
}

/* --- timers, jobs --- */

static void leave(void *user)
{
    sl_loop_exit(loop, *(int *)user);
}

static void test_timer(void **state)
{
    int code = 7, never = 1;
    struct sl_timer *timer = sl_timer_new(loop, leave, &code);
    struct sl_timer *off = sl_timer_new(loop, leave, &never);
    int64_t began = sl_now_mono(), took;

    (void)state;
    sl_timer_at(off, began + 1);
    sl_timer_at(off, 0);
    sl_timer_at(timer, began + 1000000);
    sl_timer_at(timer, began + 40);
    assert_int_equal(sl_loop_run(loop), 7);
    took = sl_now_mono() - began;
    assert_true(took >= 39 && took < 500);
    sl_timer_free(timer);
    sl_timer_free(off);
}

static void hold_up(void *user)
{
    int64_t until = sl_now_mono() + 70;

    while (sl_now_mono() < until) {
    }
    leave(user);
}

static void test_stall_is_counted(void **state)
{
    int code = 0;
    struct sl_timer *timer = sl_timer_new(loop, hold_up, &code);

    (void)state;
    sl_timer_at(timer, 1);
    assert_int_equal(sl_loop_run(loop), 0);
    assert_int_equal(sl_loop_stalls(loop), 1);
    sl_timer_free(timer);
}

#define JOBS 2000
struct counted {
    int queue, number;
};
static atomic_int running[4], overlaps;
static int next_of[4], finished, out_of_order, wanted;

static void work(void *user)
{
    const struct counted *job = user;

    if (atomic_fetch_add(&running[job->queue], 1) != 0)
        atomic_fetch_add(&overlaps, 1);
    atomic_fetch_sub(&running[job->queue], 1);
}

static void done(void *user)
{
    struct counted *job = user;

    if (next_of[job->queue]++ != job->number)
        out_of_order++;
    free(job);
    if (++finished == wanted)
        sl_loop_exit(loop, 0);
}

static void add_jobs(void)
{
    memset(next_of, 0, sizeof(next_of));
    finished = out_of_order = 0;
    wanted = JOBS;
    for (int i = 0; i < JOBS; i++) {
        struct counted *job = sl_alloc(sizeof(*job));

        job->queue = i % 4;
        job->number = i / 4;
        sl_loop_job(loop, job->queue, work, done, job);
    }
}

static void test_jobs(void **state)
{
    (void)state;
    add_jobs();
    assert_int_equal(sl_loop_run(loop), 0);
    assert_int_equal(finished, JOBS);
    assert_int_equal(out_of_order, 0);
    assert_int_equal(atomic_load(&overlaps), 0);
}

static void test_jobs_at_the_end(void **state)
{
    (void)state;
    assert_int_equal(sl_loop_new(&loop, NULL), 0);
    add_jobs();
    sl_loop_free(loop); /* works them off */
    assert_int_equal(finished, JOBS);
    assert_int_equal(out_of_order, 0);
}

/* --- HTTP --- */

struct answer {
    long status;
    char body[8192], code[40];
    size_t len;
    int left; /* the loop ends at 0 */
};

static void on_answer(void *user, long status, const char *body, size_t len,
                      const struct sl_err *err)
{
    struct answer *to = user;

    to->status = status;
    to->len = len;
    snprintf(to->body, sizeof(to->body), "%s", body);
    snprintf(to->code, sizeof(to->code), "%s", err->code);
    if (--to->left <= 0)
        sl_loop_exit(loop, 0);
}

static char *url(const char *path)
{
    static char text[128];

    snprintf(text, sizeof(text), "http://127.0.0.1:%d%s", port, path);
    return text;
}

static void test_request(void **state)
{
    struct sl_http_request request = {.method = "PATCH",
                                      .url = url("/echo?a=b"),
                                      .username = "u",
                                      .password = "p:w",
                                      .body = "{\"x\":1}"};
    struct answer answer_ = {0};

    (void)state;
    sl_http_start(loop, &request, on_answer, &answer_);
    assert_int_equal(sl_loop_run(loop), 0);
    assert_int_equal(answer_.status, 200);
    assert_non_null(strstr(answer_.body, "PATCH /echo?a=b HTTP/1.1\r\n"));
    assert_non_null(strstr(answer_.body, "Authorization: Basic dTpwOnc="));
    assert_non_null(strstr(answer_.body, "application/json"));
    assert_null(strstr(answer_.body, "Expect"));
    assert_non_null(strstr(answer_.body, "\r\n\r\n{\"x\":1}"));
}

static void expect_failure(struct sl_http_request request, long status, const char *code)
{
    struct answer answer_ = {.status = 99};
    struct sl_err err = {0};
    sl_autofree char *body = NULL;
    long got = 0;

    sl_http_start(loop, &request, on_answer, &answer_);
    assert_int_equal(sl_loop_run(loop), 0);
    assert_int_equal(answer_.status, status);
    assert_string_equal(answer_.code, code);
    assert_int_equal(sl_http_get(&request, &got, &body, &err), status ? 0 : -1);
    assert_int_equal(got, status);
    assert_string_equal(err.code, code);
}

static void test_not_found(void **state)
{
    (void)state;
    expect_failure((struct sl_http_request){.url = url("/missing")}, 404, "");
}

static void test_too_long(void **state)
{
    (void)state;
    expect_failure((struct sl_http_request){.url = url("/big"), .max_body = 99999}, 0,
                   "AnswerTooLong");
}

static void test_timeout(void **state)
{
    (void)state;
    expect_failure((struct sl_http_request){.url = url("/silent"), .timeout_ms = 100}, 0,
                   "Timeout");
}

static void test_unreachable(void **state)
{
    (void)state;
    expect_failure((struct sl_http_request){.url = "http://127.0.0.1:1/"}, 0, "Unreachable");
}

static void test_bad_url(void **state)
{
    (void)state;
    expect_failure((struct sl_http_request){.url = "file:///etc/passwd"}, 0, "BadRequest");
}

static void test_many_and_cancel(void **state)
{
    struct sl_http_request request = {.url = url("/big")};
    struct answer answer_ = {.left = 50};
    struct answer never = {.status = 99};

    (void)state;
    for (int i = 0; i < 50; i++) {
        struct sl_http *cancelled = sl_http_start(loop, &request, on_answer, &never);

        sl_http_start(loop, &request, on_answer, &answer_);
        sl_http_cancel(cancelled);
    }
    sl_http_start(loop, &(struct sl_http_request){.url = url("/echo")}, on_answer,
                  &(struct answer){.left = 1000}); /* may be under way at the end: freed */
    assert_int_equal(sl_loop_run(loop), 0);
    assert_int_equal(answer_.status, 200);
    assert_int_equal(answer_.len, 100000);
    assert_int_equal(never.status, 99);
}

static void test_unix_socket(void **state)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    sl_autofree char *body = NULL;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    pthread_t thread;
    long status = 0;
    struct sl_http_request request = {.url = "http://sluice/echo"};

    assert_int_equal(tree_setup(state), 0);
    snprintf(address.sun_path, sizeof(address.sun_path), "%s/http.sock", tree);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(pthread_create(&thread, NULL, serve, &fd), 0);
    request.unix_socket = address.sun_path;
    assert_int_equal(sl_http_get(&request, &status, &body, NULL), 0);
    assert_int_equal(status, 200);
    assert_non_null(strstr(body, "Host: sluice"));
    shutdown(fd, SHUT_RDWR);
    pthread_join(thread, NULL);
    close(fd);
    assert_int_equal(tree_teardown(state), 0);
}

#define ON_A_LOOP(f) cmocka_unit_test_setup_teardown(f, make_loop, free_loop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_A_LOOP(test_timer),       ON_A_LOOP(test_stall_is_counted),
        ON_A_LOOP(test_jobs),        cmocka_unit_test(test_jobs_at_the_end),
        ON_A_LOOP(test_request),     ON_A_LOOP(test_not_found),
        ON_A_LOOP(test_too_long),    ON_A_LOOP(test_unreachable),
        ON_A_LOOP(test_bad_url),     ON_A_LOOP(test_many_and_cancel),
        ON_A_LOOP(test_unix_socket), ON_A_LOOP(test_timeout),
    };

    return cmocka_run_group_tests(tests, start_server, stop_server);
}
