/* SPDX-License-Identifier: GPL-2.0-or-later
 * The status as JSON (shape of contract 4), as HTML (nothing from outside unescaped) and as
 * metrics, from a status made by hand.
 */
#include "web_status.h"

static json_t *at(json_t *o, const char *key)
{
    json_t *v = json_object_get(o, key);

    if (!v)
        fail_msg("no member '%s'", key);
    return v;
}

static void has_keys(json_t *o, const char *const *keys)
{
    for (; *keys; keys++)
        at(o, *keys);
}

static void json_has_the_shape(void **state)
{
    static const char *const top[] = {"apiVersion", "kind",   "bootId",  "seq",   "node",
                                      "version",    "source", "summary", "files", "streams",
                                      "plan",       "engine", "host",    NULL};
    static const char *const source[] = {"path",
                                         "revision",
                                         "ref",
                                         "how",
                                         "atomic",
                                         "snapshot",
                                         "observedAt",
                                         "lastAppliedRevision",
                                         "lastAttemptedRevision",
                                         NULL};
    static const char *const sum[] = {"streams",       "ready",       "degraded",
                                      "rejectedFiles", "heldDeletes", "drifted",
                                      "readers",       "bitrate",     NULL};
    static const char *const stream[] = {
        "name",      "labels", "file",       "line",   "generation", "observedGeneration",
        "specHash",  "sync",   "health",     "source", "encoder",    "engine",
        "recording", "urls",   "conditions", NULL};
    static const char *const encoder[] = {
        "pid",   "since",   "restarts", "nextAttemptAt", "codec",  "hwaccel", "fps",
        "speed", "bitrate", "dropped",  "cpu",           "memory", NULL};
    static const char *const engine[] = {"path",         "ready",         "readers",
                                         "inboundBytes", "outboundBytes", NULL};
    static const char *const cond[] = {
        "type", "status", "reason", "observedGeneration", "lastTransitionTime", "message", NULL};
    static const char *const plan[] = {"id",    "create", "hot",  "swap",
                                       "break", "delete", "held", NULL};
    struct sl_status *st = make_status(4711);
    sl_autofree char *text = sl_status_json(st);
    json_t *o = json_loads(text, 0, NULL), *s, *u;

    (void)state;
    assert_non_null(o);
    has_keys(o, top);
    has_keys(at(o, "source"), source);
    has_keys(at(o, "summary"), sum);
    has_keys(at(o, "plan"), plan);
    assert_int_equal(json_integer_value(at(o, "seq")), 4711);
    assert_int_equal(json_array_size(at(o, "streams")), 3);
    s = json_array_get(at(o, "streams"), 0);
    has_keys(s, stream);
    has_keys(at(s, "encoder"), encoder);
    has_keys(at(s, "engine"), engine);
    has_keys(json_array_get(at(s, "conditions"), 0), cond);
    assert_int_equal(json_array_size(at(s, "conditions")), SL_COND_COUNT);
    assert_string_equal(json_string_value(at(at(s, "labels"), "site")), "berlin");
    assert_int_equal(json_integer_value(at(at(s, "encoder"), "pid")), 812);
    assert_int_equal(json_integer_value(at(at(s, "encoder"), "restarts")), 2);
    assert_true(json_is_true(at(at(s, "engine"), "ready")));
    u = at(at(s, "urls"), "webrtc");
    assert_false(json_is_true(at(u, "plays")));
    assert_string_equal(json_string_value(at(u, "why")), "B-frames & AAC");
    assert_true(json_is_null(at(at(at(s, "urls"), "srt"), "url")));
    s = json_array_get(at(o, "streams"), 1);
    assert_true(json_is_null(at(at(s, "encoder"), "pid")));
    assert_string_equal(json_string_value(at(at(s, "encoder"), "nextAttemptAt")),
                        "2023-11-14T22:13:25.000Z");
    s = json_array_get(at(o, "files"), 0);
    assert_string_equal(json_string_value(at(s, "state")), "Invalid");
    assert_int_equal(json_integer_value(at(json_array_get(at(s, "errors"), 0), "column")), 9);
    assert_null(strstr(text, "hunter"));
    json_decref(o);
    sl_status_free(st);
}

static void other_json_parses(void **state)
{
    struct sl_status *st = make_status(1);
    sl_autofree char *plan = sl_plan_json(st);
    sl_autofree char *one = web_stream_text(st, "berlin/yard");
    json_t *o = json_loads(plan, 0, NULL);

    (void)state;
    assert_string_equal(json_string_value(at(o, "id")), "a1b2c3d4e5f6");
    assert_int_equal(json_array_size(at(o, "held")), 1);
    json_decref(o);
    o = json_loads(one, 0, NULL);
    assert_string_equal(json_string_value(at(o, "health")), "Healthy");
    json_decref(o);
    assert_null(web_stream_text(st, "nobody"));
    sl_status_free(st);
}

static void page_escapes_all(void **state)
{
    struct sl_status *st = make_status(1);
    struct sl_buf out = {0}, fragment = {0};

    (void)state;
    web_fragment(st, &fragment);
    web_page(st, "Sluice", "/fragment", fragment.data, &out);
    assert_non_null(strstr(out.data, "berlin/yard"));
    assert_non_null(strstr(out.data, "&lt;script&gt;"));
    assert_non_null(strstr(out.data, "edge-&lt;1&gt;"));
    assert_non_null(strstr(out.data, "a1b2c3d4e5f6"));
    assert_non_null(strstr(out.data, "not converged: 2 streams are not settled, 1 file is "
                                     "rejected, 1 deletion is held"));
    assert_null(strstr(out.data, "<script>"));
    assert_null(strstr(out.data, "<img"));
    assert_null(strstr(out.data, "<b>.yaml"));
    assert_null(strstr(out.data, "javascript:"));
    assert_null(strstr(out.data, "hunter"));
    assert_null(strstr(out.data, " style="));
    sl_buf_free(&out);
    sl_buf_free(&fragment);
    web_fragment(NULL, &fragment);
    assert_non_null(strstr(fragment.data, "starting"));
    sl_buf_free(&fragment);
    assert_true(web_stream_fragment(st, "berlin/yard", &out));
    assert_false(web_stream_fragment(st, "nobody", &out));
    sl_buf_free(&out);
    sl_status_free(st);
}

static void excerpts_hide_secrets(void **state)
{
    static const struct {
        const char *line, *shown;
    } cases[] = {
        {"  name: berlin/yard", "  name: berlin/yard"},
        {"  password: hunter2", "  password: …"},
        {"url: rtsp://a:hunter2@h/x", "url: rtsp://…@h/x"},
        {"url: rtsp://a:hun@ter2@h/x", "url: rtsp://…@h/x"},
        {"url: srt://h:1?passphrase=hunter2", "url: srt://h:1?…"},
        {"{source: {rtsp: {url: \"rtsp://h/s\", password: hunter2}}}",
         "{source: {rtsp: {url: \"rtsp://h/s\", password: …"},
        {"streamKey: hunter2", "streamKey: …"},
        {"", ""},
    };

    (void)state;
    for (size_t i = 0; i < SL_COUNT(cases); i++) {
        sl_autofree char *shown = web_excerpt(cases[i].line);

        assert_string_equal(shown, cases[i].shown);
    }
    assert_null(web_excerpt(NULL));
}

static void metrics_have_no_url(void **state)
{
    struct sl_status *st = make_status(1);
    struct sl_buf out = {0};

    (void)state;
    web_metrics(st, &out);
    assert_non_null(strstr(out.data, "sluice_stream_ready{stream=\"berlin/yard\"} 1\n"));
    assert_non_null(strstr(out.data, "sluice_streams{health=\"Healthy\"} 1\n"));
    assert_non_null(strstr(out.data, "sluice_deletions_held 1\n"));
    assert_null(strstr(out.data, "://"));
    assert_null(strstr(out.data, "812"));
    sl_buf_free(&out);
    sl_status_free(st);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_has_the_shape),  cmocka_unit_test(other_json_parses),
        cmocka_unit_test(page_escapes_all),    cmocka_unit_test(excerpts_hide_secrets),
        cmocka_unit_test(metrics_have_no_url),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
