/* SPDX-License-Identifier: GPL-2.0-or-later
 * The rendered mediamtx.yml against its golden file, template refusals with their line, users.
 */
#include <setjmp.h>
#include <stdarg.h>

#include "reconcile/base/file.h"
#include "reconcile/mediamtx/file.h"
#include <cmocka.h>
#include <fcntl.h>
#include <unistd.h>

#define MARKER "sha256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="

static char dir[] = "/tmp/sluice-file-XXXXXX";

static int make_dir(void **state)
{
    (void)state;
    return mkdtemp(dir) ? 0 : -1;
}

static int drop_dir(void **state)
{
    (void)state;
    return sl_rmdir_flat(AT_FDCWD, dir, NULL);
}

static int open_file(const char *text, const char *user, struct sl_mtx_file **ret,
                     struct sl_err *err)
{
    sl_autofree char *name = sl_asprintf("%s/t.yml", dir), *out = sl_asprintf("%s/out.yml", dir);
    struct sl_mtx_file_options options = {.template_ = text ? name : NULL,
                                          .config = out,
                                          .api_url = "http://127.0.0.1:9997",
                                          .user = user,
                                          .password = user ? "pass" : NULL};

    if (text)
        assert_int_equal(sl_file_replace(AT_FDCWD, name, text, strlen(text), 0600, 0, err), 0);
    return sl_mtx_file_new(&options, ret, err);
}

static char *render(const struct sl_mtx_file *file, uint64_t generation)
{
    struct sl_mtx_content content = {.generation = generation, .marker = MARKER};

    return sl_mtx_file_render(file, &content);
}

static void golden(void **state)
{
    sl_autofree char *text = NULL, *want = NULL, *got = NULL;
    struct sl_path_conf paths[3] = {
        {.name = "a/b", .source = "publisher", .override_publisher = true},
        {.name = "door", .source = "rtsp://u:p@192.0.2.9/x", .rtsp_transport = "tcp"},
        {.name = "our/cam",
         .source = "publisher",
         .max_readers = 7,
         .always_available = true,
         .tracks = {.count = 2,
                    .track = {{.codec = "H264"}, {"MPEG4Audio", 48000, 2, false, false}}}},
    };
    struct sl_mtx_user publishers[2] = {{"a/b", "obs", MARKER}, {"our/cam", "any", ""}};
    struct sl_mtx_content content = {paths, 3, publishers, 2, 12, MARKER};
    struct sl_mtx_file *file;
    const char *basis;
    size_t len;

    (void)state;
    assert_int_equal(
        sl_file_read(AT_FDCWD, "tests/golden/mediamtx/template.yml", 65536, &text, &len, NULL), 0);
    assert_int_equal(open_file(text, "sluice-main", &file, NULL), 0);
    got = sl_mtx_file_render(file, &content);
    basis = strstr(got, "logLevel"); /* above it: names and hashes of this very run */
    assert_non_null(basis);
    basis = strstr(got, "# The operator's.");
    if (getenv("GOLDEN_UPDATE"))
        assert_int_equal(sl_file_replace(AT_FDCWD, "tests/golden/mediamtx/rendered.yml", basis,
                                         strlen(basis), 0644, 0, NULL),
                         0);
    assert_int_equal(
        sl_file_read(AT_FDCWD, "tests/golden/mediamtx/rendered.yml", 65536, &want, &len, NULL), 0);
    assert_string_equal(basis, want);
    sl_mtx_file_free(file);
}

static void goes_on_where_it_was(void **state)
{
    sl_autofree char *got = NULL, *out = sl_asprintf("%s/out.yml", dir);
    struct sl_mtx_file *file;

    (void)state;
    assert_int_equal(open_file("api: yes\n", "sluice-main", &file, NULL), 0);
    got = render(file, 41);
    assert_int_equal(sl_file_replace(AT_FDCWD, out, got, strlen(got), 0600, 0, NULL), 0);
    sl_mtx_file_free(file);
    assert_int_equal(open_file("api: yes\n", "sluice-main", &file, NULL), 0);
    assert_int_equal(sl_mtx_file_generation(file), 41);
    assert_true(sl_mtx_file_current(file));
    sl_mtx_file_free(file);
    assert_int_equal(open_file("api: yes\nrtmp: no\n", "sluice-main", &file, NULL), 0);
    assert_false(sl_mtx_file_current(file)); /* the template changed */
    sl_mtx_file_free(file);
    assert_int_equal(unlink(out), 0);
}

static void built_in(void **state)
{
    struct sl_mtx_file *file;
    sl_autofree char *got = NULL;

    (void)state;
    assert_int_equal(open_file(NULL, "sluice-main", &file, NULL), 0);
    got = render(file, 1);
    assert_non_null(strstr(got, "apiAddress: \"127.0.0.1:9997\"\n"));
    assert_non_null(strstr(got, "paths: {}\n"));
    assert_string_equal(sl_mtx_file_address(file, "rtspAddress"), ":8554");
    sl_mtx_file_free(file);
}

static void users_left_alone(void **state)
{
    static const char text[] = "authInternalUsers:\n- user: theirs\n  pass: x\n"
                               "  permissions: [{action: api}]\nrtmp: no\n";
    sl_autofree char *got = NULL, *bare = NULL;
    struct sl_mtx_file *file;

    (void)state;
    assert_int_equal(open_file(text, NULL, &file, NULL), 0);
    got = render(file, 3);
    assert_non_null(strstr(got, "authInternalUsers:\n- user: theirs\n  pass: x\n"
                                "  permissions: [{action: api}]\n- user: \"sluice-gen-3\"\n"));
    sl_mtx_file_free(file);
    assert_int_equal(open_file("rtmp: no\n", NULL, &file, NULL), 0);
    bare = render(file, 3);
    assert_non_null(strstr(bare, "ips: [\"127.0.0.1\", \"::1\"]"));
    sl_mtx_file_free(file);
}

static void refusals(void **state)
{
    static const struct {
        const char *text, *where;
    } cases[] = {
        {"rtmp: no\napi: no\n", "t.yml:2: `api: no`"},
        {"rtsp: off\n", "t.yml:1: `rtsp: no`"},
        {"api: yes\nrtspTransports: [udp]\n", "t.yml:2: RTSP without tcp"},
        {"rtspEncryption: strict\n", "t.yml:1: `rtspEncryption: strict`"},
        {"\nauthMethod: jwt\n", "t.yml:2: an authMethod"},
        {"paths:\n  a:\n  all_others:\n", "t.yml:3: a regex or all_others"},
        {"paths:\n  '~^x':\n", "t.yml:2: a regex or all_others"},
        {"paths: {a: {}}\n", "t.yml:1: write paths in block style"},
        {"apiAddress: :9998\n", "t.yml:1: apiAddress :9998"},
        {"{api: yes}\n", "t.yml:1: write the file in block style"},
        {"api: yes\n---\nb: 1\n", "t.yml:3: a second document"},
        {"api: [\n", "t.yml:2: "},
        {"- a\n", "t.yml:1: not a mapping"},
    };

    (void)state;
    for (size_t i = 0; i < SL_COUNT(cases); i++) {
        struct sl_mtx_file *file;
        struct sl_err err = {0};

        assert_int_equal(open_file(cases[i].text, "sluice-main", &file, &err), -1);
        if (!strstr(err.text, cases[i].where))
            fail_msg("case %zu: %s", i, err.text);
        assert_string_equal(err.code, "TemplateRefused");
    }
}

static void ports(void **state)
{
    (void)state;
    assert_int_equal(sl_mtx_port(":8554"), 8554);
    assert_int_equal(sl_mtx_port("127.0.0.1:80"), 80);
    assert_int_equal(sl_mtx_port("[::1]:443"), 443);
    assert_int_equal(sl_mtx_port("http://[::1]:9997/x:1"), 9997);
    assert_int_equal(sl_mtx_port("http://host"), 80);
    assert_int_equal(sl_mtx_port(""), 0);
    assert_int_equal(sl_mtx_port(NULL), 0);
}

static void users(void **state)
{
    char hash[SL_MTX_HASH], other[SL_MTX_HASH];

    (void)state;
    sl_mtx_hash("pass", hash); /* printf pass | sha256sum, base64 */
    assert_string_equal(hash, "sha256:10/w7o2juYBrGMh32/KbveULW9jk2tejpyUAD+uC6PE=");
    sl_mtx_hash_random(hash);
    sl_mtx_hash_random(other);
    assert_string_not_equal(hash, other);
    assert_int_equal(sl_mtx_generation("sluice-gen-77"), 77);
    assert_int_equal(sl_mtx_generation("sluice-main"), 0);
}

/* As MediaMTX gives it, the shape is the one that was written; any hand in it is seen. */
static void users_seen(void **state)
{
    struct sl_mtx_user publishers[2] = {{"a", "obs", MARKER}, {"b", "any", ""}};
    struct sl_mtx_content content = {
        .users = publishers, .users_count = 2, .generation = 7, .marker = MARKER};
    char want[SL_SHA_HEX], is[SL_SHA_HEX];
    struct sl_mtx_file *file;
    json_t *array, *user;

    (void)state;
    assert_int_equal(open_file("api: yes\n", NULL, &file, NULL), 0);
    assert_null(sl_mtx_file_users(file, &content)); /* not ours */
    sl_mtx_file_free(file);
    assert_int_equal(open_file("api: yes\n", "sluice-main", &file, NULL), 0);
    array = sl_mtx_file_users(file, &content);
    assert_int_equal(json_array_size(array), 5);
    sl_mtx_users_shape(array, want);
    for (size_t i = 0; i < 5; i++) {
        user = json_array_get(array, i);
        if (*json_string_value(json_object_get(user, "pass")))
            json_object_set_new(user, "pass", json_string("<redacted>"));
    }
    json_object_set_new(json_array_get(array, 4), "user", json_string("sluice-gen-8"));
    sl_mtx_users_shape(array, is);
    assert_string_equal(want, is);
    user = json_array_get(array, 2);
    json_array_append_new(json_object_get(user, "permissions"),
                          json_pack("{s:s, s:s}", "action", "publish", "path", ""));
    sl_mtx_users_shape(array, is);
    assert_string_not_equal(want, is);
    json_array_remove(json_object_get(user, "permissions"), 1);
    json_array_append_new(json_object_get(user, "ips"), json_string("192.0.2.0/24"));
    sl_mtx_users_shape(array, is);
    assert_string_not_equal(want, is);
    json_array_clear(json_object_get(user, "ips"));
    json_object_set_new(user, "pass", json_string(""));
    sl_mtx_users_shape(array, is);
    assert_string_not_equal(want, is);
    json_object_set_new(user, "pass", json_string("x"));
    json_array_remove(array, 4); /* the marker */
    sl_mtx_users_shape(array, is);
    assert_string_not_equal(want, is);
    json_decref(array);
    sl_mtx_file_free(file);
}

static void users_refused(void **state)
{
    static const char *const names[] = {
        "", "a b", "sha256:x", "a:b", "sluice-main", "sluice-gen-3", "a\"b", "caf\xc3\xa9"};
    struct sl_publish_user from = {.path = "a", .password = "p\"a ss"};
    struct sl_mtx_user user;
    char hash[SL_MTX_HASH];

    (void)state;
    for (size_t i = 0; i < SL_COUNT(names); i++) {
        strcpy(from.name, names[i]);
        assert_int_equal(sl_mtx_user_of(&from, &user, NULL), -1);
    }
    strcpy(from.name, "obs@home-1");
    assert_int_equal(sl_mtx_user_of(&from, &user, NULL), 0);
    sl_mtx_hash(from.password, hash);
    assert_string_equal(user.pass, hash);
    strcpy(from.path, "~.*");
    assert_int_equal(sl_mtx_user_of(&from, &user, NULL), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden),        cmocka_unit_test(goes_on_where_it_was),
        cmocka_unit_test(built_in),      cmocka_unit_test(users_left_alone),
        cmocka_unit_test(refusals),      cmocka_unit_test(ports),
        cmocka_unit_test(users),         cmocka_unit_test(users_seen),
        cmocka_unit_test(users_refused),
    };

    return cmocka_run_group_tests(tests, make_dir, drop_dir);
}
