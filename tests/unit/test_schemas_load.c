/* SPDX-License-Identifier: GPL-2.0-or-later
 * Files to objects: defaults, one-ofs, limits, positions, duplicates; and the work over tables.
 */
#include "schemas/document.h"
#include "schemas/field.h"
#include "schemas/load.h"

#include <setjmp.h>
#include <stdarg.h>
#include <time.h>

#include <cmocka.h>

#define HEAD "apiVersion: sluice/v1\nkind: Stream\nmetadata: {name: a}\n"

static struct sl_arena *arena;

static int start(void **state)
{
    (void)state;
    arena = sl_arena_new();
    return 0;
}

static int end(void **state)
{
    (void)state;
    sl_arena_free(arena);
    return 0;
}

static struct sl_loaded_file load_bytes(const char *bytes, size_t len)
{
    struct sl_loaded_file file;

    sl_load_file(arena, "a.yaml", bytes, len, &file);
    return file;
}

static struct sl_loaded_file load(const char *text)
{
    return load_bytes(text, strlen(text));
}

static const struct sl_stream_spec *spec(const char *text)
{
    struct sl_loaded_file file = load(text);

    if (file.diags.count)
        print_message("%d: %s\n", file.diags.list[0].place.line, file.diags.list[0].message);
    assert_int_equal(file.diags.errors, 0);
    assert_int_equal(file.count, 1);
    return file.objects[0].object->stream;
}

static void first_error(const char *text, size_t len, const char *code)
{
    struct sl_loaded_file file = load_bytes(text, len);

    assert_true(file.diags.errors > 0);
    assert_int_equal(file.count, 0);
    assert_null(file.objects);
    assert_string_equal(file.diags.list[0].code, code);
}

static void defaults_file(void **state)
{
    const struct sl_stream_spec *s = spec(HEAD "spec: {source: {file: {path: a.mp4}}}\n");

    (void)state;
    assert_false(s->suspend);
    assert_false(s->protect);
    assert_string_equal(s->restart_token, "");
    assert_string_equal(s->source.file->path, "a.mp4");
    assert_true(s->source.file->loop);
    assert_int_equal(s->source.file->start_at, 0);
    assert_null(s->source.test);
    assert_non_null(s->encode.copy);
    assert_null(s->encode.transcode);
}

static void defaults_test(void **state)
{
    const struct sl_stream_spec *s = spec(HEAD "spec: {source: {test: {}}}\n");
    const struct sl_video *v;
    const struct sl_audio *a;

    (void)state;
    assert_int_equal(s->source.test->pattern, SL_PATTERN_SMPTE);
    assert_string_equal(s->source.test->size, "1280x720");
    assert_true(s->source.test->rate == 30);
    assert_int_equal(s->source.test->tone, 440);
    assert_null(s->encode.copy);
    v = &s->encode.transcode->video;
    a = &s->encode.transcode->audio;
    assert_int_equal(v->codec, SL_VCODEC_H264);
    assert_int_equal(v->bitrate, 0);
    assert_null(v->size);
    assert_null(v->profile);
    assert_string_equal(v->preset, "veryfast");
    assert_int_equal(v->keyframe_interval, 2000);
    assert_int_equal(v->b_frames, 0);
    assert_int_equal(a->codec, SL_ACODEC_AAC);
    assert_int_equal(a->bitrate, 128000);
    assert_int_equal(a->channels, 0);
    assert_int_equal(a->webrtc, SL_WEBRTC_OPUS);
}

static void every_value(void **state)
{
    const struct sl_stream_spec *s = spec(
        "apiVersion: sluice/v1\nkind: Stream\n"
        "metadata: {name: b/c, labels: {site: 'ber\"lin', \"a/b\": \"x\\\\y: {z}\"}}\n"
        "spec:\n  suspend: true\n  protect: true\n  restartToken: 'v 2'\n"
        "  source: {file: {path: 'ü \"x\".mp4', loop: false, startAt: 1m}}\n"
        "  encode:\n    transcode:\n"
        "      video: {bitrate: 1.5M, maxBitrate: 2M, size: 640x360, rate: 29.97,\n"
        "        keyframeInterval: 500ms, preset: slow, profile: high, bFrames: 0}\n"
        "      audio: {codec: opus, bitrate: 96k, channels: 2, sampleRate: 48000, webrtc: none}\n");
    const struct sl_transcode *t = s->encode.transcode;

    (void)state;
    assert_true(s->suspend && s->protect && !s->source.file->loop);
    assert_string_equal(s->restart_token, "v 2");
    assert_string_equal(s->source.file->path, "ü \"x\".mp4");
    assert_int_equal(s->source.file->start_at, 60000);
    assert_int_equal(t->video.bitrate, 1500000);
    assert_int_equal(t->video.max_bitrate, 2000000);
    assert_true(t->video.rate == 29.97);
    assert_string_equal(t->video.profile, "high");
    assert_int_equal(t->audio.codec, SL_ACODEC_OPUS);
    assert_int_equal(t->audio.sample_rate, 48000);
    assert_int_equal(t->audio.webrtc, SL_WEBRTC_NONE);
}

static void labels_and_lists(void **state)
{
    struct sl_loaded_file f = load(
        "apiVersion: sluice/v1\nkind: Config\nmetadata: {name: c, labels: &l {x: \"1\", y: z}}\n"
        "spec: {deletion: {approve: [a1b2c3d4e5f6, '000000000000']}}\n---\n" HEAD
        "spec: {source: {test: &t {rate: 25}}}\n");
    const struct sl_object *o;

    (void)state;
    assert_int_equal(f.diags.count, 0);
    assert_int_equal(f.count, 2);
    o = f.objects[0].object;
    assert_int_equal(o->kind, SL_KIND_CONFIG);
    assert_null(o->stream);
    assert_int_equal(o->metadata.labels_count, 2);
    assert_string_equal(o->metadata.labels[0].key, "x");
    assert_string_equal(o->metadata.labels[1].value, "z");
    assert_int_equal(o->config->deletion.approve_count, 2);
    assert_string_equal(o->config->deletion.approve[1], "000000000000");
    assert_int_equal(f.objects[0].line, 1);
    assert_int_equal(f.objects[1].line, 6);
    assert_int_equal(f.objects[1].name_place.line, 8);
    assert_int_equal(f.objects[1].name_place.column, 18);
}

static void aliases(void **state)
{
    const struct sl_stream_spec *s =
        spec("apiVersion: sluice/v1\nkind: Stream\nmetadata: {name: &n a, labels: {name: *n}}\n"
             "spec:\n  source: {test: {size: &s 640x360}}\n"
             "  encode: {transcode: {video: {size: *s}}}\n");

    (void)state;
    assert_string_equal(s->encode.transcode->video.size, "640x360");
}

static void empty_files(void **state)
{
    (void)state;
    first_error("", 0, "EmptyFile");
    first_error("# x\n", 4, "EmptyFile");
    first_error("---\n", 4, "EmptyFile");
    first_error("---\n---\n...\n", 12, "EmptyFile");
    first_error("\xef\xbb\xbf", 3, "EmptyFile");
    first_error("null\n", 5, "E104");
    assert_int_equal(load("---\n" HEAD "spec: {source: {test: {}}}\n---\n").count, 1);
}

static void bytes_that_are_no_text(void **state)
{
    (void)state;
    first_error("\xff\xfe"
                "a\0",
                4, "E114");
    first_error("a: \xff\n", 5, "E101");
    first_error("a: \x01\n", 5, "E101");
    first_error("a\0b", 3, "E101");
}

static char *repeat(const char *head, const char *part, size_t n, const char *tail)
{
    struct sl_buf out = {0};

    sl_buf_puts(&out, head);
    for (size_t i = 0; i < n; i++)
        for (const char *p = part; *p; p++) {
            if (*p == '#')
                sl_buf_printf(&out, "%zu", i);
            else
                sl_buf_add(&out, p, 1);
        }
    sl_buf_puts(&out, tail);
    return sl_buf_steal(&out);
}

/* Refused with E111, and quickly: libyaml alone would need minutes for some of these. */
static void limit_code(char *text, const char *code)
{
    clock_t began = clock();
    struct sl_loaded_file f = load(text);

    assert_true(f.diags.errors > 0);
    assert_string_equal(f.diags.list[f.diags.count - 1].code, code);
    assert_true(clock() - began < CLOCKS_PER_SEC);
    free(text);
}

static void limit(char *text)
{
    limit_code(text, "E111");
}

static void limits(void **state)
{
    (void)state;
    limit(repeat("", "[", 400000, ""));
    limit(repeat("a: ", "{a: ", 100000, ""));
    limit(repeat("", "- ", 100000, "a"));
    limit_code(repeat("", "? ", 100000, "a"), "E110"); /* a key that is no text */
    limit(repeat("", "- &a# x\n", 50000, ""));
    limit(repeat("", "- x\n", 20000, ""));
    limit(repeat("", "k#: x\n", 20000, ""));
    limit(repeat("", "--- x\n", 300, ""));
    limit(repeat("x: ", "aaaaaaaa", 140000, ""));
    /* a billion laughs */
    limit(repeat("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n", "", 0,
                 "a1: &a1 [*a0, *a0, *a0, *a0, *a0, *a0, *a0, *a0, *a0, *a0]\n"
                 "a2: &a2 [*a1, *a1, *a1, *a1, *a1, *a1, *a1, *a1, *a1, *a1]\n"
                 "a3: &a3 [*a2, *a2, *a2, *a2, *a2, *a2, *a2, *a2, *a2, *a2]\n"
                 "a4: &a4 [*a3, *a3, *a3, *a3, *a3, *a3, *a3, *a3, *a3, *a3]\n"));
}

static void too_many_errors(void **state)
{
    struct sl_buf out = {0};
    struct sl_loaded_file f;

    (void)state;
    sl_buf_puts(&out, HEAD "spec:\n");
    for (int i = 0; i < 200; i++)
        sl_buf_printf(&out, "  unknown%d: 1\n", i);
    f = load(out.data);
    sl_buf_free(&out);
    assert_int_equal(f.diags.count, SL_DOC_DIAGS_MAX + 1);
}

static void all_errors_sorted(void **state)
{
    struct sl_loaded_file f = load(HEAD "spec:\n  suspend: flase\n  source: {test: {rate: 010}}\n"
                                        "  nonsense: 1\n---\nkind: Strm\napiVersion: sluice/v1\n");

    (void)state;
    assert_int_equal(f.diags.errors, 4);
    for (size_t i = 1; i < f.diags.count; i++)
        assert_true(f.diags.list[i - 1].place.line <= f.diags.list[i].place.line);
    assert_string_equal(f.diags.list[0].path, "spec.suspend");
    assert_int_equal(f.diags.list[0].place.line, 5);
    assert_int_equal(f.diags.list[0].place.column, 12);
    assert_int_equal(f.diags.list[0].width, 5);
    assert_string_equal(f.diags.list[0].excerpt, "  suspend: flase");
    assert_string_equal(f.diags.list[1].path, "spec.source.test.rate");
}

static void columns_are_characters(void **state)
{
    struct sl_loaded_file f = load("apiVersion: sluice/v1\nkind: Stream\r\n"
                                   "metadata: {labels: {a: \"Füße\"}, nme: x}\n");

    (void)state;
    for (size_t i = 0; i < f.diags.count; i++)
        if (strcmp(f.diags.list[i].code, "E102") == 0) {
            assert_int_equal(f.diags.list[i].place.line, 3);
            assert_int_equal(f.diags.list[i].place.column, 33);
            return;
        }
    fail();
}

static void earlier_documents_are_checked(void **state)
{
    struct sl_loaded_file f = load(HEAD "spec: {source: {tset: {}}}\n---\na: 'x\n");

    (void)state;
    assert_int_equal(f.diags.errors, 3); /* unknown key, none of the one-of, the open quote */
}

static void formatting_is_no_change(void **state)
{
    struct sl_loaded_file a = load(HEAD "spec: {source: {test: {}}, suspend: false}\n");
    struct sl_loaded_file b = load("# c\nkind: \"Stream\"\napiVersion: sluice/v1\nspec:\n"
                                   "  encode: {transcode: {audio: {bitrate: 128000}}}\n"
                                   "  source:\n    test: {rate: 30.0, tone: 440}\n"
                                   "metadata:\n  name: a\n");
    struct sl_loaded_file c = load(HEAD "spec: {source: {test: {tone: 441}}}\n");

    (void)state;
    assert_string_equal(a.objects[0].hash, b.objects[0].hash);
    assert_string_not_equal(a.objects[0].hash, c.objects[0].hash);
    assert_memory_equal(a.objects[0].hash, "v1:", 3);
}

struct seen {
    char text[1000];
};

static void on_change(void *user, const char *path, const struct sl_field *field, const char *from,
                      const char *to)
{
    struct seen *seen = user;
    size_t len = strlen(seen->text);

    snprintf(seen->text + len, sizeof(seen->text) - len, "%s (%s): %s > %s\n", path,
             sl_impact_name(field->impact), from, to);
}

static void diffs(void **state)
{
    const struct sl_stream_spec *a = spec(HEAD "spec: {source: {file: {path: a.mp4}}}\n");
    const struct sl_stream_spec *b =
        spec(HEAD "spec: {suspend: true, source: {file: {path: b.mp4, startAt: 90s}}}\n");
    const struct sl_stream_spec *c =
        spec(HEAD "spec: {source: {file: {path: a.mp4}}, encode: {transcode: {video: "
                  "{size: 640x360}, audio: {codec: none}}}}\n");
    struct seen seen = {""};

    (void)state;
    sl_table_diff(&sl_table_stream_spec, a, b, "spec", on_change, &seen);
    assert_string_equal(seen.text, "spec.suspend (break): false > true\n"
                                   "spec.source.file.path (swap): \"a.mp4\" > \"b.mp4\"\n"
                                   "spec.source.file.startAt (swap): 0s > 1m30s\n");
    seen.text[0] = '\0';
    sl_table_diff(&sl_table_stream_spec, a, a, "spec", on_change, &seen);
    assert_string_equal(seen.text, "");
    sl_table_diff(&sl_table_stream_spec, c, a, "", on_change, &seen);
    assert_non_null(strstr(seen.text, "encode.copy (swap):  > {}\n"));
    assert_non_null(strstr(seen.text, "encode.transcode.video.size (swap): \"640x360\" > \n"));
    assert_non_null(strstr(seen.text, "encode.transcode.audio.codec (swap): none > \n"));
}

static void prints_and_reads_back(void **state)
{
    struct sl_loaded_file f = load(HEAD "spec: {restartToken: 'a\"b\\c', source: {test: {}}}\n");
    struct sl_loaded_file again;
    struct sl_buf text = {0};

    (void)state;
    sl_table_print(&sl_table_object_stream, f.objects[0].object, &text);
    again = load(text.data);
    sl_buf_free(&text);
    assert_int_equal(again.diags.count, 0);
    assert_true(
        sl_table_equal(&sl_table_object_stream, f.objects[0].object, again.objects[0].object));
}

static void copies(void **state)
{
    struct sl_loaded_file f =
        load("apiVersion: sluice/v1\nkind: Config\nmetadata: {name: c, labels: {x: y}}\n"
             "spec: {deletion: {approve: [a1b2c3d4e5f6]}}\n");
    struct sl_arena *own = sl_arena_new();
    const struct sl_object *o = f.objects[0].object;
    struct sl_object *copy = sl_table_copy(&sl_table_object_config, o, own);

    (void)state;
    assert_true(sl_table_equal(&sl_table_object_config, o, copy));
    assert_ptr_not_equal(o->metadata.labels[0].key, copy->metadata.labels[0].key);
    assert_ptr_not_equal(o->config->deletion.approve[0], copy->config->deletion.approve[0]);
    copy->config->deletion.approve[0][0] = 'b';
    assert_false(sl_table_equal(&sl_table_object_config, o, copy));
    sl_arena_free(own);
}

static void finds(void **state)
{
    const struct sl_table *t = &sl_table_object_stream;

    (void)state;
    assert_string_equal(sl_table_find(t, "spec.encode.transcode.video.bFrames")->name, "bFrames");
    assert_string_equal(sl_table_find(t, "spec.encode")->name, "encode");
    assert_null(sl_table_find(t, "spec.encode.x"));
    assert_null(sl_table_find(t, "spec.suspend.x"));
    assert_null(sl_table_find(t, ""));
}

static void duplicate_names(void **state)
{
    struct sl_loaded_file files[3];
    const char *one = HEAD "spec: {source: {test: {}}}\n";

    (void)state;
    sl_load_file(arena, "a.yaml", one, strlen(one), &files[0]);
    sl_load_file(arena, "b.yaml", one, strlen(one), &files[1]);
    sl_load_file(arena, "c.yaml", "x: [", 4, &files[2]);
    sl_check_tree(files, 3);
    assert_int_equal(files[0].diags.errors, 0);
    assert_int_equal(files[1].diags.errors, 1);
    assert_string_equal(files[1].diags.list[0].code, "DuplicateName");
    assert_string_equal(files[1].diags.list[0].other.file, "a.yaml");
    assert_int_equal(files[1].diags.list[0].other.line, 3);
}

static void default_texts_are_values(void **state)
{
    sl_autofree char *schema = sl_json_schema();

    (void)state; /* a default that its own row refuses would be left out of the schema */
    for (int kind = 0; kind < SL_KIND_COUNT; kind++)
        assert_non_null(sl_table_of_kind(kind));
    assert_non_null(strstr(schema, "\"default\": \"veryfast\""));
    assert_non_null(strstr(schema, "\"default\": \"128k\""));
    assert_non_null(strstr(schema, "\"default\": 440"));
}

#define T(name) cmocka_unit_test_setup_teardown(name, start, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(defaults_file),
        T(defaults_test),
        T(every_value),
        T(labels_and_lists),
        T(aliases),
        T(empty_files),
        T(limits),
        T(bytes_that_are_no_text),
        T(too_many_errors),
        T(all_errors_sorted),
        T(columns_are_characters),
        T(earlier_documents_are_checked),
        T(diffs),
        T(formatting_is_no_change),
        T(prints_and_reads_back),
        T(copies),
        T(finds),
        T(duplicate_names),
        T(default_texts_are_values),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
