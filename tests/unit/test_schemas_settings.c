/* SPDX-License-Identifier: GPL-2.0-or-later
 * Host settings: defaults, then file, then environment, then flags; every complaint has its place.
 */
#include "reconcile/base/arena.h"
#include "reconcile/base/buf.h"
#include "schemas/settings.h"

#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

static struct sl_arena *arena;
static struct sl_diags diags;
static char path[] = "/tmp/sluice-settings-XXXXXX";

static int start(void **state)
{
    (void)state;
    arena = sl_arena_new();
    diags = (struct sl_diags){.arena = arena};
    return 0;
}

static int end(void **state)
{
    (void)state;
    sl_arena_free(arena);
    return 0;
}

static struct sl_settings *load(const char *text, const struct sl_setting_flag *flags, size_t n)
{
    struct sl_settings *s = NULL;
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    diags.count = diags.errors = 0;
    if (sl_settings_load(arena, path, true, flags, n, &s, &diags) < 0) {
        assert_true(diags.errors > 0);
        return NULL;
    }
    assert_int_equal(diags.errors, 0);
    return s;
}

static void only_defaults(void **state)
{
    struct sl_settings *s = NULL;

    (void)state;
    assert_int_equal(sl_settings_load(arena, "/nonexistent/x.yaml", false, NULL, 0, &s, &diags), 0);
    assert_string_equal(s->manifests, "/srv/streams");
    assert_string_equal(s->media, "/srv/media");
    assert_string_equal(s->recordings, "/srv/recordings");
    assert_string_equal(s->state, "/var/lib/sluice");
    assert_string_equal(s->runtime, "/run/sluice");
    assert_string_equal(s->listen, "127.0.0.1:8080");
    assert_string_equal(s->on_exit, "detach");
    assert_string_equal(s->log_level, "info");
    assert_int_equal(s->secrets_count, 0);
    assert_true(s->mediamtx.managed && s->encoders.managed && !s->page.public_);
    assert_string_equal(s->mediamtx.binary, "mediamtx");
    assert_string_equal(s->mediamtx.api.url, "http://127.0.0.1:9997");
    assert_string_equal(s->mediamtx.template_, "");
    assert_string_equal(s->mediamtx.users, "");
    assert_string_equal(s->encoders.binary, "sluice-encoder");
    assert_string_equal(s->public_.host, "");
    assert_string_equal(s->public_.rtsp, "");
    assert_string_equal(s->public_.srt, "");
    assert_int_equal(s->timing.settle, 30);
    assert_int_equal(s->timing.storm, 300);
    assert_int_equal(s->timing.storm_cap, 3000);
    assert_int_equal(s->timing.resync, 300000);
    assert_int_equal(s->timing.drift, 15000);
    assert_int_equal(sl_settings_load(arena, "/nonexistent/x.yaml", true, NULL, 0, &s, &diags), -1);
}

static void file_values(void **state)
{
    struct sl_settings *s = load("manifests: /m\nsecrets: [/a, /b]\nonExit: stop\n"
                                 "mediamtx: {managed: false, api: 'http://h:1', template: \"\"}\n"
                                 "public: {host: x.example}\npage: {public: true}\n"
                                 "listen: 0.0.0.0:80\ntiming: {settle: 5ms}\n",
                                 NULL, 0);

    (void)state;
    assert_non_null(s);
    assert_string_equal(s->manifests, "/m");
    assert_int_equal(s->secrets_count, 2);
    assert_string_equal(s->secrets[1], "/b");
    assert_string_equal(s->on_exit, "stop");
    assert_false(s->mediamtx.managed);
    assert_string_equal(s->mediamtx.api.url, "http://h:1");
    assert_string_equal(s->public_.host, "x.example");
    assert_int_equal(s->timing.settle, 5);
    s = load("public: {rtsp: 'rtsps://tv.example:8322', rtmp: 'rtmp://tv.example', srt: "
             "'srt://h:8890', hls: 'https://tv.example/hls/', webrtc: 'http://[::1]:8889'}\n",
             NULL, 0);
    assert_non_null(s);
    assert_string_equal(s->public_.rtsp, "rtsps://tv.example:8322");
    assert_string_equal(s->public_.rtmp, "rtmp://tv.example");
    assert_string_equal(s->public_.hls, "https://tv.example/hls/");
    assert_string_equal(s->public_.webrtc, "http://[::1]:8889");
    assert_string_equal(s->public_.srt, "srt://h:8890");
    s = load("mediamtx:\n  api: {url: 'https://h', username: u, passwordRef: p}\n", NULL, 0);
    assert_string_equal(s->mediamtx.api.password_ref, "p");
    assert_non_null(load("", NULL, 0));
    assert_non_null(load("# nothing\n", NULL, 0));
}

static void order(void **state)
{
    const struct sl_setting_flag flags[] = {{"manifests", "/flag"}, {"mediamtx.api", "http://f:1"}};
    struct sl_settings *s;

    (void)state;
    setenv("SLUICE_MANIFESTS", "/env", 1);
    setenv("SLUICE_MEDIA", "/env-media", 1);
    setenv("SLUICE_MEDIAMTX_API_URL", "http://e:1", 1);
    setenv("SLUICE_MEDIAMTX_MANAGED", "false", 1);
    setenv("SLUICE_SECRETS", "/x:/y", 1);
    s = load("manifests: /file\nmedia: /file-media\nmediamtx: {api: 'http://y:1'}\n", flags, 2);
    assert_string_equal(s->manifests, "/flag");
    assert_string_equal(s->media, "/env-media");
    assert_string_equal(s->mediamtx.api.url, "http://f:1");
    assert_false(s->mediamtx.managed);
    assert_int_equal(s->secrets_count, 2);
    s = load("mediamtx: {api: {url: 'http://y:1', username: u}}\n", NULL, 0);
    assert_string_equal(s->mediamtx.api.url, "http://e:1");
    assert_string_equal(s->mediamtx.api.username, "u");
    setenv("SLUICE_MEDIAMTX_MANAGED", "maybe", 1);
    assert_null(load("", NULL, 0));
    assert_string_equal(diags.list[0].place.file, "SLUICE_MEDIAMTX_MANAGED");
    unsetenv("SLUICE_MANIFESTS");
    unsetenv("SLUICE_MEDIA");
    unsetenv("SLUICE_MEDIAMTX_API_URL");
    unsetenv("SLUICE_MEDIAMTX_MANAGED");
    unsetenv("SLUICE_SECRETS");
}

static void refused(void **state)
{
    static const struct {
        const char *text, *code;
        int line;
    } cases[] = {
        {"manifest: /m\n", "E102", 1},
        {"media: /m\nlisten: 0.0.0.0:8080\n", "E112", 2},
        {"media: /m\nlisten: ':8080'\n", "E112", 2},
        {"listen: 127.0.0.1\n", "E112", 1},
        {"listen: '::1:8080'\n", "E112", 1},
        {"listen: 127.0.0.1:99999\n", "E112", 1},
        {"onExit: kill\n", "E109", 1},
        {"timing: {settle: 5}\n", "E104", 1},
        {"mediamtx: {managed: no}\n", "E104", 1},
        {"mediamtx:\n  api: 127.0.0.1:9997\n", "E112", 2},
        {"media: \"\"\n", "E112", 1},
        {"a: 1\n---\nb: 2\n", "E102", 1},
        {"- x\n", "E104", 1},
        {"media: [\n", "E101", 2},
        {"media: /m\npublic: {rtsp: 'http://h'}\n", "E113", 2},
        {"public: {hls: 'rtsp://h'}\n", "E113", 1},
        {"public: {webrtc: 'h:8889'}\n", "E113", 1},
        {"public: {srt: 'srt://h'}\n", "E113", 1},
        {"public: {rtmp: 'rtmp://h:99999'}\n", "E113", 1},
        {"public: {rtsp: 'rtsp://u:p@h'}\n", "InlineSecret", 1},
        {"public: {hls: 'https://h/?a=1'}\n", "E112", 1},
        {"public:\n  srt: srt://h:8890/x\n", "E112", 2},
        {"public: {host: 'http://h'}\n", "E112", 1},
    };

    (void)state;
    for (size_t i = 0; i < SL_COUNT(cases); i++) {
        print_message("%s", cases[i].text);
        assert_null(load(cases[i].text, NULL, 0));
        assert_string_equal(diags.list[0].code, cases[i].code);
        assert_int_equal(diags.list[0].place.line, cases[i].line);
    }
}

static void listen_by_flag(void **state)
{
    const struct sl_setting_flag out[] = {{"listen", "0.0.0.0:1"}}, in[] = {{"listen", "[::1]:0"}};

    (void)state;
    assert_null(load("", out, 1));
    assert_string_equal(diags.list[0].place.file, "--listen");
    assert_int_equal(diags.list[0].place.line, 0);
    assert_non_null(load("", in, 1));
}

static void flags(void **state)
{
    const char *const words[] = {"run",
                                 "--manifests",
                                 "/m",
                                 "--mediamtx-api=http://x",
                                 "--on-exit",
                                 "stop",
                                 "--mediamtx-api-password-ref=p",
                                 "--config",
                                 "x",
                                 "--media"};
    char **argv = (char **)words;
    struct sl_setting_flag f;
    int i = 1;

    (void)state;
    assert_int_equal(sl_settings_flag(10, argv, &i, &f), 1);
    assert_string_equal(f.key, "manifests");
    assert_string_equal(f.value, "/m");
    assert_int_equal(i, 2);
    i = 3;
    assert_int_equal(sl_settings_flag(10, argv, &i, &f), 1);
    assert_string_equal(f.key, "mediamtx.api");
    assert_string_equal(f.value, "http://x");
    assert_int_equal(i, 3);
    i = 4;
    assert_int_equal(sl_settings_flag(10, argv, &i, &f), 1);
    assert_string_equal(f.key, "onExit");
    i = 6;
    assert_int_equal(sl_settings_flag(10, argv, &i, &f), 1);
    assert_string_equal(f.key, "mediamtx.api.passwordRef");
    i = 7;
    assert_int_equal(sl_settings_flag(10, argv, &i, &f), 0);
    i = 9;
    assert_int_equal(sl_settings_flag(10, argv, &i, &f), -1);
}

static void help(void **state)
{
    struct sl_buf out = {0};

    (void)state;
    sl_settings_help(&out);
    assert_non_null(strstr(out.data, "--mediamtx-api-password-ref"));
    assert_non_null(strstr(out.data, "SLUICE_MEDIAMTX_API_URL"));
    assert_non_null(strstr(out.data, "[/srv/streams]"));
    sl_buf_free(&out);
}

#define T(name) cmocka_unit_test_setup_teardown(name, start, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(only_defaults),  T(file_values), T(order), T(refused),
        T(listen_by_flag), T(flags),       T(help),
    };
    int fd = mkstemp(path), failed;

    if (fd < 0)
        return 1;
    close(fd);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    return failed;
}
