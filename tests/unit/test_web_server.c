/* SPDX-License-Identifier: GPL-2.0-or-later
 * The page's server by real requests on both its sockets: methods, headers, ETag, routes, health.
 */
#include "web_status.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

static struct sl_loop *loop;
static struct sl_web *web;
static struct sl_settings settings;
static char dir[] = "/tmp/sluice-web-XXXXXX";

static int setup(void **state)
{
    struct sl_err err = {0};

    (void)state;
    assert_non_null(mkdtemp(dir));
    settings.runtime = dir;
    settings.listen = (char *)"127.0.0.1:0";
    assert_int_equal(sl_loop_new(&loop, NULL), 0);
    if (sl_web_new(loop, &settings, &web, &err) < 0)
        fail_msg("%s", err.text);
    return 0;
}

static int teardown(void **state)
{
    sl_autofree char *sock = sl_asprintf("%s/http.sock", dir);

    (void)state;
    sl_web_free(web);
    sl_loop_free(loop);
    unlink(sock);
    rmdir(dir);
    return 0;
}

static int dial(bool local)
{
    struct sockaddr_in in = {.sin_family = AF_INET};
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    int fd = socket(local ? AF_UNIX : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    in.sin_port = htons((uint16_t)atoi(strrchr(sl_web_address(web), ':') + 1));
    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    snprintf(un.sun_path, sizeof(un.sun_path), "%s/http.sock", dir);
    assert_int_equal(local ? connect(fd, (struct sockaddr *)&un, sizeof(un))
                           : connect(fd, (struct sockaddr *)&in, sizeof(in)),
                     0);
    return fd;
}

/* One request; the whole answer with its headers. The caller frees. */
static char *ask_at(bool local, const char *method, const char *path, const char *more)
{
    sl_autofree char *text =
        sl_asprintf("%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%s\r\n", method, path, more);
    struct sl_buf out = {0};
    int fd = dial(local);
    int64_t end = sl_now_mono() + 3000;

    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
    while (sl_now_mono() < end) {
        char buf[4096];
        ssize_t n;

        assert_true(sd_event_run(sl_loop_event(loop), 5000) >= 0);
        while ((n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT)) > 0)
            sl_buf_add(&out, buf, (size_t)n);
        if (n == 0)
            break;
    }
    close(fd);
    return sl_buf_steal(&out);
}

static char *ask(const char *method, const char *path, const char *more)
{
    return ask_at(false, method, path, more);
}

static void starting(void **state)
{
    sl_autofree char *page = ask("GET", "/", "");
    sl_autofree char *json = ask("GET", "/api/v1/status", "");
    sl_autofree char *ready = ask("GET", "/readyz", "");
    sl_autofree char *live = ask("GET", "/livez", "");

    (void)state;
    assert_non_null(strstr(page, " 200 OK"));
    assert_non_null(strstr(page, "starting"));
    assert_non_null(strstr(json, " 503 "));
    assert_non_null(strstr(ready, " 503 "));
    assert_non_null(strstr(live, " 200 "));
    assert_false(sl_web_watched(web) && !page);
}

static void only_get_and_head(void **state)
{
    static const char *const methods[] = {"POST", "PUT", "DELETE", "PATCH", "OPTIONS"};

    (void)state;
    for (size_t i = 0; i < SL_COUNT(methods); i++) {
        sl_autofree char *got = ask(methods[i], "/api/v1/status", "Content-Length: 0\r\n");

        assert_non_null(strstr(got, " 405 "));
        assert_non_null(strstr(got, "Allow: GET, HEAD\r\n"));
    }
    sl_autofree char *body = ask("POST", "/", "Content-Length: 3\r\n\r\nabc");

    assert_non_null(strstr(body, " 405 "));
}

static void headers_are_set(void **state)
{
    sl_autofree char *got = ask("GET", "/", "");

    (void)state;
    assert_non_null(strstr(got, "Content-Security-Policy: default-src 'self'"));
    assert_non_null(strstr(got, "X-Content-Type-Options: nosniff\r\n"));
    assert_null(strstr(got, "unsafe-inline"));
}

static void etag_spares_the_body(void **state)
{
    sl_autofree char *first, *again, *head, *later;

    (void)state;
    sl_web_publish(web, make_status(7));
    first = ask("GET", "/api/v1/status", "");
    assert_non_null(strstr(first, "ETag: \"b1-7\"\r\n"));
    again = ask("GET", "/api/v1/status", "If-None-Match: \"b1-7\"\r\n");
    assert_non_null(strstr(again, " 304 "));
    assert_true(sl_web_watched(web));
    head = ask("HEAD", "/api/v1/status", "");
    assert_non_null(strstr(head, " 200 "));
    assert_string_equal(strstr(head, "\r\n\r\n"), "\r\n\r\n");
    sl_web_publish(web, make_status(8));
    later = ask("GET", "/api/v1/status", "If-None-Match: \"b1-7\"\r\n");
    assert_non_null(strstr(later, " 200 "));
}

static void routes(void **state)
{
    static const struct {
        const char *path, *code, *holds;
    } cases[] = {
        {"/", " 200 ", "berlin/yard"},
        {"/fragment", " 200 ", "<table>"},
        {"/streams/berlin/yard", " 200 ", "/fragment/streams/berlin/yard"},
        {"/streams/%3Cscript%3E", " 404 ", "&lt;script&gt;"},
        {"/api/v1/streams/berlin/yard", " 200 ", "\"health\":\"Healthy\""},
        {"/api/v1/streams/berlin%2Fyard", " 200 ", "\"health\":\"Healthy\""},
        {"/api/v1/streams/nobody", " 404 ", "no such stream"},
        {"/api/v1/plan", " 200 ", "a1b2c3d4e5f6"},
        {"/api/v1/desired", " 200 ", "lobby.mp4"},
        {"/metrics", " 200 ", "sluice_engine_up 1"},
        {"/schema/v1.json", " 200 ", "draft-07"},
        {"/static/page.css", " 200 ", "text/css"},
        {"/static/page.js", " 200 ", "text/javascript"},
        {"/static/../server.c", " 404 ", ""},
        {"/api/v1/nothing", " 404 ", "no such route"},
        {"/nothing", " 404 ", ""},
    };

    (void)state;
    sl_web_publish(web, make_status(9));
    sl_web_ready(web, true);
    for (size_t i = 0; i < SL_COUNT(cases); i++) {
        sl_autofree char *got = ask("GET", cases[i].path, "");

        if (!strstr(got, cases[i].code) || !strstr(got, cases[i].holds))
            fail_msg("%s: %.600s", cases[i].path, got);
    }
    sl_autofree char *ready = ask("GET", "/readyz", "");

    assert_non_null(strstr(ready, " 200 "));
}

static void socket_of_its_own(void **state)
{
    sl_autofree char *got = ask_at(true, "GET", "/api/v1/status", "");
    sl_autofree char *path = sl_asprintf("%s/http.sock", dir);
    struct stat st;

    (void)state;
    assert_non_null(strstr(got, "\"kind\":\"Status\""));
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0660);
}

/* Even when its mode lets everybody connect. */
static void socket_knows_its_peer(void **state)
{
    sl_autofree char *path = sl_asprintf("%s/http.sock", dir);
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    static const char text[] =
        "GET /api/v1/status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    int64_t end = sl_now_mono() + 3000;
    char buf[64] = "";
    ssize_t n = -1;
    int p[2];
    pid_t pid;

    (void)state;
    if (geteuid() != 0)
        skip();
    assert_int_equal(chmod(dir, 0755) + chmod(path, 0666), 0);
    snprintf(un.sun_path, sizeof(un.sun_path), "%s", path);
    assert_int_equal(pipe2(p, O_NONBLOCK), 0);
    pid = fork();
    if (pid == 0) {
        char got[64] = "";
        int fd = socket(AF_UNIX, SOCK_STREAM, 0);

        if (setgroups(0, NULL) < 0 || setgid(65534) < 0 || setuid(65534) < 0 ||
            connect(fd, (struct sockaddr *)&un, sizeof(un)) < 0 ||
            write(fd, text, sizeof(text) - 1) < 0 || read(fd, got, sizeof(got) - 1) < 0)
            snprintf(got, sizeof(got), "%s", strerror(errno));
        _exit(write(p[1], got, strlen(got)) < 0);
    }
    while (n < 0 && sl_now_mono() < end) {
        assert_true(sd_event_run(sl_loop_event(loop), 5000) >= 0);
        n = read(p[0], buf, sizeof(buf) - 1);
    }
    waitpid(pid, NULL, 0);
    close(p[0]);
    close(p[1]);
    assert_non_null(strstr(buf, " 403 "));
    assert_int_equal(chmod(path, 0660), 0);
}

static void refuses_bad_listen(void **state)
{
    static const struct {
        const char *listen, *code;
    } cases[] = {{"0.0.0.0:0", "BadListen"},
                 {"[::]:0", "BadListen"},
                 {"nonsense", "BadListen"},
                 {"127.0.0.1:99999", "BadListen"},
                 {"::1:8080", "BadListen"}};
    struct sl_settings other = settings;
    struct sl_web *second = NULL;
    struct sl_err err = {0};

    (void)state;
    for (size_t i = 0; i < SL_COUNT(cases); i++) {
        other.listen = (char *)cases[i].listen;
        assert_int_equal(sl_web_new(loop, &other, &second, &err), -1);
        assert_string_equal(err.code, cases[i].code);
    }
    other.listen = (char *)strstr(sl_web_address(web), "127");
    assert_int_equal(sl_web_new(loop, &other, &second, &err), -1);
    assert_string_equal(err.code, "PortInUse");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(starting),
        cmocka_unit_test(only_get_and_head),
        cmocka_unit_test(headers_are_set),
        cmocka_unit_test(etag_spares_the_body),
        cmocka_unit_test(routes),
        cmocka_unit_test(socket_of_its_own),
        cmocka_unit_test(socket_knows_its_peer),
        cmocka_unit_test(refuses_bad_listen),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
