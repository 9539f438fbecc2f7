/* SPDX-License-Identifier: GPL-2.0-or-later
 * Scalars: what each type takes, what it refuses and with which code and hint, and the way back.
 */
#include "schemas/nearest.h"
#include "schemas/scalar.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const char *const words[] = {"aac", "opus", "copy", NULL};
static const struct sl_field rows[] = {
    {"flag", SL_T_BOOL, SL_IMPACT_NONE, .required = false},
    {"n", SL_T_INT, SL_IMPACT_NONE, .max = 20000},
    {"rate", SL_T_REAL, SL_IMPACT_NONE, .min = 1, .max = 120},
    {"time", SL_T_DURATION, SL_IMPACT_NONE, .max = 604800000},
    {"bits", SL_T_RATE, SL_IMPACT_NONE, .min = 10000, .max = 200000000},
    {"bytes", SL_T_BYTES, SL_IMPACT_NONE, .required = false},
    {"size", SL_T_SIZE, SL_IMPACT_NONE, .min = 16, .max = 7680},
    {"path", SL_T_PATH, SL_IMPACT_NONE, .required = false},
    {"name", SL_T_NAME, SL_IMPACT_NONE, .max = 200},
    {"codec", SL_T_ENUM, SL_IMPACT_NONE, .values = words},
    {"text", SL_T_STRING, SL_IMPACT_NONE, .required = false},
    {"id", SL_T_STRING, SL_IMPACT_NONE, .pattern = "^[0-9a-f]{4}$"},
};

static const struct sl_field *row(const char *name)
{
    for (size_t i = 0; i < SL_COUNT(rows); i++)
        if (sl_streq(rows[i].name, name))
            return &rows[i];
    fail_msg("no row %s", name);
    return NULL;
}

/* Plain text to its base text, or the code (and hint) of its error. */
static const char *outcome(const char *name, const char *text, bool plain)
{
    static char result[600];
    struct sl_arena *arena = sl_arena_new();
    struct sl_scalar value;
    struct sl_scalar_err err;
    struct sl_buf out = {0};

    if (sl_scalar_read(row(name), text, strlen(text), plain, arena, &value, &err) < 0) {
        snprintf(result, sizeof(result), "%s%s%s", err.code, err.hint[0] ? " " : "", err.hint);
    } else {
        sl_scalar_base(row(name), &value, &out);
        snprintf(result, sizeof(result), "%s", out.data ? out.data : "");
    }
    sl_buf_free(&out);
    sl_arena_free(arena);
    return result;
}

static void plain_scalars(void **state)
{
    static const char *const cases[][3] = {
        {"flag", "true", "true"},
        {"flag", "false", "false"},
        {"flag", "flase", "E104 did you mean 'false'?"},
        {"flag", "Yes", "E104 write true"},
        {"flag", "off", "E104 write false"},
        {"flag", "True", "E104 did you mean 'true'?"},
        {"n", "0", "0"},
        {"n", "20000", "20000"},
        {"n", "20001", "E105"},
        {"n", "-1", "E105"},
        {"n", "-0", "0"},
        {"n", "010", "E104 write 10"},
        {"n", "-010", "E104 write -10"},
        {"n", "+5", "E104 write 5"},
        {"n", "0x10", "E104 write it in decimal: 16"},
        {"n", "0o10", "E104 write it in decimal: 8"},
        {"n", "1e3", "E104 no fraction and no exponent"},
        {"n", "10.0", "E104 no fraction and no exponent"},
        {"n", "6M", "E104 units are for bit rates; write the number out"},
        {"n", "99999999999999999999999", "E105"},
        {"n", "1_000", "E104"},
        {"rate", "29.97", "29.97"},
        {"rate", "30", "30"},
        {"rate", "3e1", "30"},
        {"rate", "030", "E104 write 30"},
        {"rate", ".5", "E104 write 0.5"},
        {"rate", "0.5", "E105"},
        {"rate", ".inf", "E104"},
        {"rate", ".nan", "E104"},
        {"rate", "nan", "E104"},
        {"rate", "1e999", "E105"},
        {"rate", "1.9e32", "E105"},
        {"bits", "9223372036854775807", "E105"},
        {"rate", "30000/1001", "E104 write it as a decimal: 29.97"},
        {"time", "90s", "90000"},
        {"time", "1h30m", "5400000"},
        {"time", "7d", "604800000"},
        {"time", "8d", "E105"},
        {"time", "1.5s", "1500"},
        {"time", "250ms", "250"},
        {"time", "1m1h", "E104 units: d, h, m, s, ms; as in 1h30m"},
        {"time", "90", "E104 a unit is missing; did you mean 90s?"},
        {"time", "090s", "E104 write it in decimal, without a leading zero"},
        {"time", "-5s", "E105"},
        {"time", "10min", "E104 write 10m"},
        {"time", "999999999999999999d", "E105"},
        {"bits", "6M", "6000000"},
        {"bits", "1.5M", "1500000"},
        {"bits", "800k", "800000"},
        {"bits", "10000", "10000"},
        {"bits", "4000", "E105 bits per second; did you mean 4000k?"},
        {"bits", "6m", "E104 write 6M"},
        {"bits", "800K", "E104 write 800k"},
        {"bits", "6Mbps", "E104 write 6M"},
        {"bits", "6 M", "E104 write 6M"},
        {"bits", "0x1000", "E104 write it in decimal, without a leading zero"},
        {"bits", "fast", "E104"},
        {"bytes", "200GiB", "214748364800"},
        {"bytes", "50MB", "50000000"},
        {"bytes", "50Mb", "E104 units: KiB, MiB, GiB, TiB, kB, MB, GB, TB"},
        {"size", "1280x720", "1280x720"},
        {"size", "1281x720", "E105 write 1280x720"},
        {"size", "8x8", "E105"},
        {"size", "7682x16", "E105"},
        {"size", "1280X720", "E104 write 1280x720"},
        {"size", "1080p", "E104 write 1920x1080"},
        {"size", "01280x720", "E104 for example 1280x720"},
        {"path", "a/b.mp4", "a/b.mp4"},
        {"path", "a..b", "a..b"},
        {"path", "../a", "E113"},
        {"path", "a/../b", "E113"},
        {"path", "a/..", "E113"},
        {"path", "a//b", "E113"},
        {"path", "123", "E104 write it in quotes: \"123\""},
        {"name", "berlin/yard_1.b-c", "berlin/yard_1.b-c"},
        {"name", "_x", "_x"},
        {"name", "/x", "E113"},
        {"name", "x/", "E113"},
        {"name", "-x", "E113"},
        {"name", "x/.y", "E113"},
        {"name", "x/..", "E113"},
        {"codec", "opus", "opus"},
        {"codec", "opsu", "E109 did you mean 'opus'? (one of: aac, opus, copy)"},
        {"codec", "1", "E109 one of: aac, opus, copy"},
        {"text", "hello", "hello"},
        {"text", "true", "E104 write it in quotes: \"true\""},
        {"text", "1.5", "E104 write it in quotes: \"1.5\""},
        {"text", "1.5.1", "1.5.1"},
        {"text", "Füße", "Füße"},
        {"id", "a1b2", "a1b2"},
        {"id", "12e4", "E104 write it in quotes: \"12e4\""},
        {"id", "A1b2", "E109 it must match ^[0-9a-f]{4}$"},
    };

    (void)state;
    for (size_t i = 0; i < SL_COUNT(cases); i++) {
        print_message("%s: %s\n", cases[i][0], cases[i][1]);
        assert_string_equal(outcome(cases[i][0], cases[i][1], true), cases[i][2]);
    }
}

static void quoted_scalars(void **state)
{
    (void)state;
    assert_string_equal(outcome("flag", "true", false), "E104 write it without quotes: true");
    assert_string_equal(outcome("n", "10", false), "E104 write it without quotes: 10");
    assert_string_equal(outcome("rate", "10", false), "E104 write it without quotes: 10");
    assert_string_equal(outcome("time", "90s", false), "90000");
    assert_string_equal(outcome("text", "true", false), "true");
    assert_string_equal(outcome("text", "", false), "");
    assert_string_equal(outcome("name", "123", false), "123");
    assert_string_equal(outcome("name", "", false), "E113");
    assert_string_equal(outcome("path", "", false), "E113");
}

static void control_characters(void **state)
{
    struct sl_arena *arena = sl_arena_new();
    struct sl_scalar value;
    struct sl_scalar_err err;
    static const struct {
        const char *text;
        size_t len;
    } bad[] = {{"a\0b", 3},     {"\x1b[31m", 5},     {"a\nb", 3},        {"\x7f", 1},
               {"\xc2\x85", 2}, {"\xe2\x80\xa8", 3}, {"\xef\xbb\xbf", 3}};

    (void)state;
    for (size_t i = 0; i < SL_COUNT(bad); i++) {
        assert_int_equal(
            sl_scalar_read(row("text"), bad[i].text, bad[i].len, false, arena, &value, &err), -1);
        assert_string_equal(err.code, "E114");
    }
    sl_arena_free(arena);
}

static void name_length(void **state)
{
    char name[202];

    (void)state;
    memset(name, 'a', sizeof(name));
    name[200] = '\0';
    assert_string_equal(outcome("name", name, true), name);
    name[200] = 'a';
    name[201] = '\0';
    assert_string_equal(outcome("name", name, true), "E113");
}

static const char *printed(const char *name, int64_t value)
{
    static char text[100];
    struct sl_buf out = {0};

    sl_scalar_print(row(name), &value, &out);
    snprintf(text, sizeof(text), "%s", out.data);
    sl_buf_free(&out);
    return text;
}

static void canonical_text(void **state)
{
    static const double reals[] = {30, 29.97, 23.976023976023978, 1.0 / 3};

    (void)state;
    assert_string_equal(printed("time", 5400000), "1h30m");
    assert_string_equal(printed("time", 0), "0s");
    assert_string_equal(printed("time", 90061001), "1d1h1m1s1ms");
    assert_string_equal(printed("bits", 6000000), "6M");
    assert_string_equal(printed("bits", 1500000), "1500k");
    assert_string_equal(printed("bits", 10001), "10001");
    assert_string_equal(printed("bytes", 1LL << 30), "1GiB");
    for (size_t i = 0; i < SL_COUNT(reals); i++) {
        struct sl_buf out = {0};

        sl_scalar_print(row("rate"), &reals[i], &out);
        assert_true(strtod(out.data, NULL) == reals[i]);
        sl_buf_free(&out);
    }
}

static void shown_text(void **state)
{
    char buf[64], text[200];

    (void)state;
    assert_string_equal(sl_scalar_shown("a\x1b[1m", buf), "a?[1m");
    memset(text, 'x', sizeof(text));
    memcpy(text + 47, "ü", 2); /* must not be cut in half */
    text[199] = '\0';
    assert_int_equal(strlen(sl_scalar_shown(text, buf)), 47 + 3);
}

static void nearest(void **state)
{
    static const char *const keys[] = {"loop", "path", "startAt", NULL};

    (void)state;
    assert_string_equal(sl_nearest_of("lop", keys), "loop");
    assert_string_equal(sl_nearest_of("startat", keys), "startAt");
    assert_string_equal(sl_nearest_of("pahtt", keys), "path");
    assert_null(sl_nearest_of("bitrate", keys));
    assert_null(sl_nearest_of("x", keys));
    assert_null(sl_nearest_of("", keys));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_scalars),
        cmocka_unit_test(quoted_scalars),
        cmocka_unit_test(control_characters),
        cmocka_unit_test(name_length),
        cmocka_unit_test(canonical_text),
        cmocka_unit_test(shown_text),
        cmocka_unit_test(nearest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
