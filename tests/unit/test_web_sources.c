/* SPDX-License-Identifier: GPL-2.0-or-later
 * What page, JSON and metrics say of cameras, pulled streams and publishers: kinds, how to publish,
 * viewers by protocol, errors of the source, paths that no manifest names; and that no password
 * gets there.
 */
#include "schemas/load.h"
#include "web_status.h"

static struct sl_src_rtsp camera = {.url = (char *)"rtsp://10.0.0.12/s0?channel=1&token=hunter4",
                                    .username = (char *)"admin"};
static struct sl_src_pull uplink = {.url = (char *)"srt://10.0.0.9:9000"};
static char *allowed[] = {(char *)"rtmp", (char *)"srt", (char *)"whip"};
static struct sl_ref key = {.name = (char *)"obs-key"};
static struct sl_src_publish studio = {
    .protocols = allowed, .protocols_count = 3, .username = (char *)"obs", .password_ref = &key};
static struct sl_transcode transcode = {
    .video = {.keyframe_interval = 2000, .preset = (char *)"veryfast"},
    .audio = {.bitrate = 128000}};
static struct sl_stream_spec specs[] = {
    {.source = {.rtsp = &camera}, .encode = {.transcode = &transcode}},
    {.source = {.pull = &uplink}},
    {.source = {.publish = &studio}}};

static json_t *at(json_t *o, const char *name)
{
    json_t *v = json_object_get(o, name);

    if (!v)
        fail_msg("no member '%s'", name);
    return v;
}

static const char *str(json_t *o, const char *name)
{
    const char *text = json_string_value(at(o, name));

    if (!text)
        fail_msg("'%s' is no string", name);
    return text;
}

/* A camera that fails, a pull, a publisher by NAME/ingest; somebody else's path beside them. */
static struct sl_status *make(void)
{
    static const char *const names[] = {"cam", "relay", "studio/host"};
    static const enum sl_carrier carriers[] = {SL_CARRIER_PULL, SL_CARRIER_PULL, SL_CARRIER_INGEST};
    static struct sl_seen_path paths[5];
    struct sl_status *st = make_status(5);
    struct sl_status_stream *old = st->streams;

    memset(paths, 0, sizeof(paths));
    snprintf(paths[0].name, sizeof(paths[0].name), "cam");
    snprintf(paths[0].source_error, sizeof(paths[0].source_error),
             "cannot open rtsp://admin:hunter2@10.0.0.12/s0: 401 Unauthorized: authentication");
    snprintf(paths[0].source_type, sizeof(paths[0].source_type), "rtspSource");
    paths[0].readers = 3;
    paths[0].readers_by[0] = 2;
    paths[0].readers_by[3] = 1;
    snprintf(paths[1].name, sizeof(paths[1].name), "cam/ingest"); /* cam is no publish stream */
    paths[1].listed = paths[1].available = true;
    snprintf(paths[2].name, sizeof(paths[2].name), "some<b>one");
    paths[2].listed = paths[2].available = true;
    paths[2].readers = paths[2].readers_by[2] = 4;
    snprintf(paths[3].name, sizeof(paths[3].name), "studio/host");
    paths[3].listed = paths[3].configured = true;
    snprintf(paths[4].name, sizeof(paths[4].name), "studio/host/ingest");
    paths[4].listed = paths[4].available = true;
    snprintf(paths[4].source_type, sizeof(paths[4].source_type), "rtmpConn");
    st->observed.paths = paths;
    st->observed.paths_count = 5;
    st->streams = sl_arena_alloc(st->arena, 3 * sizeof(st->streams[0]));
    for (int i = 0; i < 3; i++) {
        struct sl_desired_stream d = *old[0].desired;

        d.spec = &specs[i];
        d.carrier = carriers[i];
        d.password = (struct sl_secret_seen){.name = "cam-pass", .value = "hunter3"};
        st->streams[i] = old[1];
        st->streams[i].name = names[i];
        st->streams[i].desired = dup_in(st->arena, &d, sizeof(d));
        st->streams[i].path = i == 0 ? &paths[0] : i == 2 ? &paths[3] : NULL;
    }
    st->streams[0].cond[SL_COND_PROGRAMMED].reason = "Drifted";
    st->streams[0].cond[SL_COND_READY].message =
        "the camera at rtsp://admin:hunter2@10.0.0.12/s0?x=1&pass=hunter5 refused us";
    st->streams[2].ingest = &paths[4];
    st->streams[2].publish[SL_PUBLISH_RTMP].url = "rtmp://tv.example:1935/studio/host/ingest";
    st->streams[2].publish[SL_PUBLISH_RTMP].stream_key = "studio/host/ingest?user=obs&pass=KEY";
    st->streams[2].publish[SL_PUBLISH_SRT].url =
        "srt://tv.example:8890?streamid=publish:studio/host/ingest:obs:KEY";
    st->streams[2].publish[SL_PUBLISH_SRT].stream_key = "";
    st->streams[2].publish[SL_PUBLISH_WHIP].url = "https://tv.example/studio/host/ingest/whip";
    st->streams[2].publish[SL_PUBLISH_WHIP].stream_key = "";
    st->streams[2].urls[3].url = "https://tv.example/studio/host";
    st->streams[2].urls[3].why = "WebRTC refuses B-frames";
    st->observed.machine = (struct sl_seen_machine){.cpu = 0.4,
                                                    .cores = 2,
                                                    .memory_used = 5,
                                                    .memory_total = 8,
                                                    .disk = {{"recordings", 3, 9}}};
    return st;
}

static void json_tells_sources(void **state)
{
    struct sl_status *st = make();
    sl_autofree char *text = sl_status_json(st);
    json_t *root = json_loads(text, 0, NULL), *s, *p;

    (void)state;
    assert_null(strstr(text, "hunter"));
    s = json_array_get(at(root, "streams"), 0);
    assert_string_equal(str(at(s, "source"), "kind"), "rtsp");
    assert_string_equal(str(at(s, "source"), "carrier"), "mediamtx");
    assert_string_equal(str(at(s, "source"), "url"), "rtsp://10.0.0.12/s0?…");
    assert_true(json_is_null(at(s, "publish")));
    p = at(s, "engine");
    assert_int_equal(json_integer_value(at(at(p, "readersBy"), "rtsp")), 2);
    assert_int_equal(json_integer_value(at(at(p, "readersBy"), "webrtc")), 1);
    assert_int_equal(json_integer_value(at(at(p, "readersBy"), "srt")), 0);
    assert_string_equal(str(at(p, "source"), "type"), "rtspSource");
    assert_string_equal(str(at(p, "source"), "error"),
                        "cannot open rtsp://…@10.0.0.12/s0: 401 Unauthorized: authentication");
    assert_true(json_is_null(at(p, "ingest")));
    assert_string_equal(str(at(json_array_get(at(root, "streams"), 1), "source"), "kind"), "pull");

    s = json_array_get(at(root, "streams"), 2);
    assert_string_equal(str(at(s, "source"), "kind"), "publish");
    p = at(at(s, "publish"), "rtmp");
    assert_string_equal(str(p, "server"), "rtmp://tv.example:1935");
    assert_string_equal(str(p, "streamKey"), "studio/host/ingest?user=obs&pass=KEY");
    assert_string_equal(str(p, "url"), "rtmp://tv.example:1935/studio/host/ingest");
    assert_string_equal(str(p, "user"), "obs");
    assert_string_equal(str(at(at(s, "publish"), "whip"), "streamKey"), "obs:KEY");
    assert_true(json_is_null(at(at(at(s, "publish"), "srt"), "streamKey")));
    assert_true(json_is_null(at(at(s, "publish"), "rtsp")));
    p = at(at(s, "engine"), "ingest");
    assert_true(json_is_true(at(p, "ready")));
    assert_string_equal(str(at(p, "source"), "type"), "rtmpConn");

    p = at(root, "foreignPaths"); /* not studio/host/ingest, which is ours */
    assert_int_equal(json_array_size(p), 2);
    assert_string_equal(str(json_array_get(p, 0), "path"), "cam/ingest");
    assert_string_equal(str(json_array_get(p, 1), "path"), "some<b>one");
    assert_int_equal(json_integer_value(at(json_array_get(p, 1), "readers")), 4);
    assert_int_equal(json_integer_value(at(at(root, "summary"), "drifted")), 1);
    p = at(root, "host");
    assert_int_equal(json_integer_value(at(p, "cores")), 2);
    assert_int_equal(json_integer_value(at(at(at(p, "disk"), "recordings"), "free")), 3);
    assert_null(json_object_get(at(p, "disk"), "state"));
    json_decref(root);
    sl_status_free(st);
}

static void desired_is_a_manifest_again(void **state)
{
    struct sl_src_rtsp before = camera;
    struct sl_status *st = make();
    sl_autofree char *text = NULL;
    json_t *root, *s;

    (void)state;
    camera.url = (char *)"rtsp://10.0.0.12/s0"; /* as validation lets it through */
    camera.password_ref = &key;
    text = sl_desired_json(st);
    camera = before;
    root = json_loads(text, 0, NULL);
    s = json_array_get(at(root, "streams"), 2);
    assert_null(strstr(text, "hunter2"));
    assert_null(strstr(text, "hunter3"));
    assert_false(json_is_true(at(s, "swapAvailable")));
    s = at(at(at(s, "spec"), "source"), "publish");
    assert_int_equal(json_array_size(at(s, "protocols")), 3);
    assert_string_equal(str(at(s, "passwordRef"), "name"), "obs-key");
    assert_null(json_object_get(at(s, "passwordRef"), "key")); /* a null would be an error */
    for (size_t i = 0; i < 3; i++) {
        struct sl_arena *arena = sl_arena_new();
        json_t *stream = json_array_get(at(root, "streams"), i);
        json_t *manifest =
            json_pack("{s:s,s:s,s:{s:O},s:O}", "apiVersion", "sluice/v1", "kind", "Stream",
                      "metadata", "name", at(stream, "name"), "spec", at(stream, "spec"));
        sl_autofree char *yaml = json_dumps(manifest, JSON_COMPACT);
        struct sl_loaded_file file = {0};

        sl_load_file(arena, "x.yaml", yaml, strlen(yaml), &file);
        for (size_t k = 0; k < file.diags.count; k++) {
            if (file.diags.list[k].severity == SL_DIAG_ERROR)
                fail_msg("%s: %s", yaml, file.diags.list[k].message);
        }
        json_decref(manifest);
        sl_arena_free(arena);
    }
    json_decref(root);
    sl_status_free(st);
}

static void page_tells_sources(void **state)
{
    struct sl_status *st = make();
    struct sl_buf out = {0};

    (void)state;
    web_fragment(st, &out);
    assert_null(strstr(out.data, "hunter"));
    assert_null(strstr(out.data, "some<b>"));
    assert_non_null(strstr(out.data, "camera <code>rtsp://10.0.0.12/s0?…</code>"));
    assert_non_null(strstr(out.data, "publisher by rtmp, srt, whip"));
    assert_non_null(strstr(out.data, "<details id=\"publish-studio/host\">"));
    assert_non_null(strstr(out.data, "<code>studio/host/ingest?user=obs&amp;pass=KEY</code>"));
    assert_non_null(strstr(out.data, "which is the secret <code>obs-key</code>"));
    assert_non_null(strstr(out.data, "2&nbsp;RTSP, 1&nbsp;WebRTC"));
    assert_non_null(strstr(out.data, "title=\"WebRTC refuses B-frames\""));
    assert_non_null(strstr(out.data, "id=\"foreign\""));
    assert_non_null(strstr(out.data, "some&lt;b&gt;one"));
    assert_non_null(strstr(out.data, "the camera at rtsp://…@10.0.0.12/s0?… refused us"));
    sl_buf_free(&out);

    assert_true(web_stream_fragment(st, "studio/host", &out));
    assert_non_null(strstr(out.data, "does not play: WebRTC refuses B-frames"));
    assert_non_null(strstr(out.data, "rtmpConn"));
    assert_non_null(strstr(out.data, "data-label=\"Bearer token\"><code>obs:KEY</code>"));
    sl_buf_free(&out);
    assert_true(web_stream_fragment(st, "cam", &out));
    assert_non_null(strstr(out.data, "MediaMTX says: cannot open rtsp://…@10.0.0.12/s0: 401"));
    assert_null(strstr(out.data, "hunter"));
    sl_buf_free(&out);
    studio.username = NULL;
    assert_true(web_stream_fragment(st, "studio/host", &out));
    assert_non_null(strstr(out.data, "Anybody may publish"));
    studio.username = (char *)"obs";
    sl_buf_free(&out);
    sl_status_free(st);
}

static void metrics_by_protocol(void **state)
{
    struct sl_status *st = make();
    struct sl_buf out = {0};

    (void)state;
    st->source.revision = "newer";
    web_metrics(st, &out);
    assert_non_null(strstr(
        out.data, "sluice_stream_readers_by_protocol{stream=\"cam\",protocol=\"rtsp\"} 2\n"));
    assert_non_null(strstr(
        out.data, "sluice_stream_readers_by_protocol{stream=\"relay\",protocol=\"hls\"} 0\n"));
    assert_non_null(strstr(out.data, "sluice_stream_readers{stream=\"cam\"} 3\n"));
    /* the revision that is applied, not the newest seen */
    assert_non_null(strstr(out.data, "sluice_config_revision_info{revision=\"6e17ce1\"} 1\n"));
    assert_null(strstr(out.data, "://"));
    sl_buf_free(&out);
    sl_status_free(st);
}

static void names_break_at_seams(void **state)
{
    static const struct {
        const char *name, *html;
    } cases[] = {
        {"lobby", "<span class=\"name\">lobby</span>"},
        {"a/b-c_d.e", "<span class=\"name\">a/<wbr>b-<wbr>c_d.e</span>"},
        {"<x>/", "<span class=\"name\">&lt;x&gt;/</span>"},
        {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
         "<span class=\"name long\">aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa</span>"},
    };

    (void)state;
    for (size_t i = 0; i < SL_COUNT(cases); i++) {
        struct sl_buf out = {0};

        web_name(&out, cases[i].name);
        assert_string_equal(out.data, cases[i].html);
        sl_buf_free(&out);
    }
}

static void revisions_are_short(void **state)
{
    static const struct {
        const char *revision, *html;
    } cases[] = {
        {"6e17ce1", "<code>6e17ce1</code>"},
        {"6e17ce1a2b3c4d5e6f708192a3b4c5d6e7f80912",
         "<code title=\"6e17ce1a2b3c4d5e6f708192a3b4c5d6e7f80912\">6e17ce1a2b3c</code>"},
        {"sha256:0123456789abcdef", "<code title=\"sha256:0123456789abcdef\">sha256:0123456789ab"
                                    "</code>"},
        {"release-7", "<code>release-7</code>"},
        {"release-of-the-month-of-may", "<code title=\"release-of-the-month-of-may\">"
                                        "release-of-t…</code>"},
    };

    (void)state;
    for (size_t i = 0; i < SL_COUNT(cases); i++) {
        struct sl_buf out = {0};

        web_revision(&out, cases[i].revision);
        assert_string_equal(out.data, cases[i].html);
        sl_buf_free(&out);
    }
}

static void messages_lose_secrets(void **state)
{
    static const struct {
        const char *text, *shown;
    } cases[] = {
        {"plain", "plain"},
        {"", ""},
        {"authentication failed: 401", "authentication failed: 401"},
        {"a rtsp://u:p@h/x and rtmp://u:q@h/y", "a rtsp://…@h/x and rtmp://…@h/y"},
        {"srt://h:1?streamid=read:x", "srt://h:1?streamid=read:x"},
        {"'srt://h:1?mode=caller&passphrase=p'", "'srt://h:1?…'"},
        {"http://h/x?a=p@q, then", "http://…@q, then"}, /* rather too much than too little */
        {"://", "://"},
    };

    (void)state;
    for (size_t i = 0; i < SL_COUNT(cases); i++) {
        sl_autofree char *shown = web_message(cases[i].text);

        assert_string_equal(shown, cases[i].shown);
    }
    assert_null(web_message(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_tells_sources),    cmocka_unit_test(desired_is_a_manifest_again),
        cmocka_unit_test(page_tells_sources),    cmocka_unit_test(metrics_by_protocol),
        cmocka_unit_test(names_break_at_seams),  cmocka_unit_test(revisions_are_short),
        cmocka_unit_test(messages_lose_secrets),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
