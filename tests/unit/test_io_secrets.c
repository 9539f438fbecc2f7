/* SPDX-License-Identifier: GPL-2.0-or-later
 * Secrets that manifests refer to: where they are looked for, rotation as Kubernetes does it, what
 * is said when one is missing, and that no form of a value is left in a text.
 */
#include "io_tree.h"
#include "reconcile/base/log.h"
#include "reconcile/io/secrets.h"

static struct sl_secrets *open_two(void)
{
    char *dirs[] = {(char *)in_tree("one"), (char *)in_tree("two")};

    return sl_secrets_new(dirs, 2, "0123456789abcdef");
}

static void secret_file(const char *rel, const char *text, mode_t mode)
{
    put(rel, text);
    assert_int_equal(chmod(in_tree(rel), mode), 0);
}

static int setup(void **state)
{
    if (tree_setup(state) < 0)
        return -1;
    make_dir("one");
    make_dir("two");
    return 0;
}

static void looks_in_order(void **state)
{
    struct sl_secrets *secrets;
    struct sl_secret_seen seen, none;

    (void)state;
    make_dir("cred");
    secret_file("one/a", "first\n", 0600);
    secret_file("two/a", "second\n", 0600);
    secret_file("two/b", "b with blanks \r\n", 0600);
    secret_file("cred/c", "from systemd", 0600);
    setenv("CREDENTIALS_DIRECTORY", in_tree("cred"), 1);
    secrets = open_two();
    unsetenv("CREDENTIALS_DIRECTORY");
    seen = sl_secrets_look(secrets, "a", NULL);
    assert_string_equal(seen.name, "a");
    assert_string_equal(seen.value, "first");
    assert_null(seen.why);
    assert_string_equal(sl_secrets_look(secrets, "b", NULL).value, "b with blanks ");
    assert_string_equal(sl_secrets_look(secrets, "c", NULL).value, "from systemd");
    none = sl_secrets_look(secrets, "d", NULL);
    assert_string_equal(none.name, "d");
    assert_null(none.value);
    assert_null(none.digest);
    assert_non_null(strstr(none.why, "there is no secret d in "));
    assert_non_null(strstr(none.why, "/one, "));
    assert_non_null(strstr(none.why, "/cred, /run/secrets"));
    none = sl_secrets_look(secrets, NULL, NULL);
    assert_null(none.name);
    sl_secrets_free(secrets);
}

static void refuses_with_a_reason(void **state)
{
    static const char *const names[] = {"../one/a", "..", ".hidden", "", "a/b"};
    struct sl_secrets *secrets = open_two();
    struct sl_secret_seen seen;

    (void)state;
    secret_file("one/a", "first", 0600);
    secret_file("one/empty", "\n", 0600);
    make_dir("one/dir");
    for (size_t i = 0; i < SL_COUNT(names); i++) {
        seen = sl_secrets_look(secrets, names[i], NULL);
        assert_null(seen.value);
        assert_non_null(strstr(seen.why, "plain file name"));
        assert_null(sl_secrets_look(secrets, "dir", names[i]).value);
    }
    secret_file("one/latin", "p\xe4ssword\n", 0600);
    secret_file("one/utf8", "pässword \xf0\x9f\x94\x91\n", 0600);
    assert_non_null(strstr(sl_secrets_look(secrets, "latin", NULL).why, "not UTF-8"));
    assert_null(sl_secrets_look(secrets, "latin", NULL).value);
    assert_non_null(sl_secrets_look(secrets, "utf8", NULL).value);
    assert_non_null(strstr(sl_secrets_look(secrets, "empty", NULL).why, "is empty"));
    assert_non_null(strstr(sl_secrets_look(secrets, "dir", NULL).why, "say which `key`"));
    assert_non_null(strstr(sl_secrets_look(secrets, "a", "k").why, "no secret a/k in"));
    sl_secrets_free(secrets);
}

/* As a mounted Secret is updated: ..data is a link that a rename flips. */
static void kubernetes_flips(void **state)
{
    struct sl_secrets *secrets = open_two();
    struct sl_secret_seen seen;
    char old[17];

    (void)state;
    make_dir("one/cam");
    make_dir("one/cam/..v1");
    make_dir("one/cam/..v2");
    secret_file("one/cam/..v1/password", "before", 0400);
    secret_file("one/cam/..v2/password", "after", 0400);
    make_link("..v1", "one/cam/..data");
    make_link("..data/password", "one/cam/password");
    seen = sl_secrets_look(secrets, "cam", "password");
    assert_string_equal(seen.name, "cam/password");
    assert_string_equal(seen.value, "before");
    snprintf(old, sizeof(old), "%s", seen.digest);
    make_link("..v2", "one/cam/..tmp");
    assert_int_equal(rename(in_tree("one/cam/..tmp"), in_tree("one/cam/..data")), 0);
    /* one pass sees one value, however often it looks: the texts it was given stay */
    assert_ptr_equal(sl_secrets_look(secrets, "cam", "password").value, seen.value);
    assert_string_equal(seen.value, "before");
    sl_secrets_sweep(secrets);
    seen = sl_secrets_look(secrets, "cam", "password");
    assert_string_equal(seen.value, "after");
    assert_string_not_equal(seen.digest, old);
    sl_secrets_free(secrets);
}

static void digests_are_keyed(void **state)
{
    char *dirs[] = {(char *)in_tree("one")};
    struct sl_secrets *a = sl_secrets_new(dirs, 1, "key"), *b = sl_secrets_new(dirs, 1, "other");
    struct sl_secret_seen seen;

    (void)state;
    /* echo -n "what do ya want for nothing?" | openssl sha256 -hmac Jefe (RFC 4231, case 2) */
    struct sl_secrets *rfc = sl_secrets_new(dirs, 1, "Jefe");

    secret_file("one/rfc", "what do ya want for nothing?\n", 0600);
    seen = sl_secrets_look(rfc, "rfc", NULL);
    assert_string_equal(seen.digest, "5bdcc146bf60754e");
    assert_string_not_equal(sl_secrets_look(a, "rfc", NULL).digest,
                            sl_secrets_look(b, "rfc", NULL).digest);
    sl_secrets_free(a);
    sl_secrets_free(b);
    sl_secrets_free(rfc);
}

static void open_to_everybody(void **state)
{
    struct sl_secrets *secrets = open_two();
    struct sl_secret_seen seen;

    (void)state;
    secret_file("one/a", "first", 0644);
    seen = sl_secrets_look(secrets, "a", NULL);
    assert_string_equal(seen.value, "first"); /* used all the same */
    assert_non_null(strstr(seen.why, "/one/a can be read by everybody"));
    assert_int_equal(chmod(in_tree("one/a"), 0640), 0);
    sl_secrets_sweep(secrets);
    assert_null(sl_secrets_look(secrets, "a", NULL).why);
    sl_secrets_free(secrets);
}

static void sweep_forgets(void **state)
{
    struct sl_secrets *secrets = open_two();
    char text[] = "x first-secret x";

    (void)state;
    secret_file("one/a", "first-secret", 0600);
    sl_secrets_look(secrets, "a", NULL);
    sl_secrets_sweep(secrets);
    sl_secrets_scrub(secrets, text);
    assert_string_equal(text, "x *** x");
    sl_secrets_sweep(secrets); /* nobody looked since the last one */
    snprintf(text, sizeof(text), "x first-secret x");
    sl_secrets_scrub(secrets, text);
    assert_string_equal(text, "x first-secret x");
    sl_secrets_free(secrets);
}

static void scrubs_every_form(void **state)
{
    static const struct {
        const char *text, *left;
    } cases[] = {
        {"user bob, password p%s/\"w+ rd!", "user bob, password ***"},
        {"rtsp://bob:p%25s%2F%22w%2B%20rd%21@h/x", "rtsp://bob:***@h/x"},
        {"rtsp://bob:p%25s%2f%22w%2b+rd!@h/x", "rtsp://bob:***@h/x"},
        {"{\"password\":\"p%s/\\\"w+ rd!\"}", "{\"password\":\"***\"}"},
        /* printf '%s' 'p%s/"w+ rd!' | base64, and behind "b:", "bo:", "bob:" */
        {"Basic cCVzLyJ3KyByZCE=", "Basic ***E="},
        {"Basic YjpwJXMvIncrIHJkIQ==", "Basic Yjp***Q=="},
        {"Basic Ym86cCVzLyJ3KyByZCE=", "Basic Ym86***E="},
        {"Basic Ym9iOnAlcy8idysgcmQh", "Basic Ym9iOn***"},
        {"abcdefgh and abcd", "*** and ***"},
        {"x=%2Fslash%25first and /slash%first and \\\"quoted", "x=*** and *** and ***"},
        {"+blank+first, %20blank%20first, .blank first", "***, ***, .blank first"},
        {"nothing here", "nothing here"},
        {"a pin of 123 is too short to be told apart",
         "a pin of 123 is too short to be told apart"},
        {"abc", "abc"},
        {"", ""},
    };
    struct sl_secrets *secrets = open_two();

    (void)state;
    secret_file("one/odd", "p%s/\"w+ rd!\n", 0600);
    secret_file("one/short", "abcd\n", 0600);
    secret_file("one/long", "abcdefgh\n", 0600);
    secret_file("one/pin", "123\n", 0600);
    secret_file("one/slash", "/slash%first\n", 0600);
    secret_file("one/quote", "\"quoted\n", 0600);
    secret_file("one/blank", " blank first\n", 0600);
    sl_secrets_look(secrets, "slash", NULL);
    sl_secrets_look(secrets, "quote", NULL);
    sl_secrets_look(secrets, "blank", NULL);
    sl_secrets_look(secrets, "odd", NULL);
    sl_secrets_look(secrets, "short", NULL);
    sl_secrets_look(secrets, "long", NULL);
    sl_secrets_look(secrets, "pin", NULL);
    for (size_t i = 0; i < SL_COUNT(cases); i++) {
        char text[200];

        snprintf(text, sizeof(text), "%s", cases[i].text);
        sl_secrets_scrub(secrets, text);
        assert_string_equal(text, cases[i].left);
    }
    sl_secrets_free(secrets);
}

int main(void)
{
#define IN_A_TREE(f) cmocka_unit_test_setup_teardown(f, setup, tree_teardown)
    const struct CMUnitTest tests[] = {
        IN_A_TREE(looks_in_order),    IN_A_TREE(refuses_with_a_reason), IN_A_TREE(kubernetes_flips),
        IN_A_TREE(digests_are_keyed), IN_A_TREE(open_to_everybody),     IN_A_TREE(sweep_forgets),
        IN_A_TREE(scrubs_every_form),
    };

    sl_log_level(SL_LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
