/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "schemas/scalar.h"

#include "schemas/nearest.h"
#include "schemas/scalar_parts.h"

#include <ctype.h>
#include <math.h>
#include <stdarg.h>

#define TEXT_MAX 4096

int sl_scalar_fail(struct sl_scalar_err *err, const char *code, const char *format, ...)
{
    va_list ap;

    err->code = code;
    err->hint[0] = '\0';
    va_start(ap, format);
    vsnprintf(err->message, sizeof(err->message), format, ap);
    va_end(ap);
    return -1;
}

void sl_scalar_hint(struct sl_scalar_err *err, const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    vsnprintf(err->hint, sizeof(err->hint), format, ap);
    va_end(ap);
}

const char *sl_scalar_shown(const char *text, char buf[64])
{
    size_t n = 0;

    while (text[n] && n < 48) {
        unsigned char c = (unsigned char)text[n];
        buf[n++] = c < 0x20 || c == 0x7f ? '?' : (char)c;
    }
    while (n && text[n] && ((unsigned char)text[n] & 0xc0) == 0x80)
        n--; /* never half a character */
    if (text[n])
        memcpy(buf + n, "…", 4);
    else
        buf[n] = '\0';
    return buf;
}

bool sl_scalar_is_null(const char *text, size_t len, bool plain)
{
    return plain && (len == 0 || sl_streq(text, "~") || sl_streq(text, "null") ||
                     sl_streq(text, "Null") || sl_streq(text, "NULL"));
}

static bool is_real(const char *t)
{
    if (*t == '-' || *t == '+')
        t++;
    if (!isdigit((unsigned char)*t) && !(*t == '.' && isdigit((unsigned char)t[1])))
        return false;
    while (isdigit((unsigned char)*t))
        t++;
    if (*t == '.')
        t++;
    while (isdigit((unsigned char)*t))
        t++;
    if (*t == 'e' || *t == 'E') {
        t++;
        if (*t == '-' || *t == '+')
            t++;
        if (!isdigit((unsigned char)*t))
            return false;
        while (isdigit((unsigned char)*t))
            t++;
    }
    return *t == '\0';
}

bool sl_scalar_is_based(const char *t) /* 0x1f, 0o17: numbers of YAML 1.2 that we do not take */
{
    return t[0] == '0' && (t[1] == 'x' || t[1] == 'o') && isxdigit((unsigned char)t[2]) &&
           strspn(t + 2, "0123456789abcdefABCDEF") == strlen(t + 2);
}

bool sl_scalar_not_string(const char *text, const char **ret)
{
    static const char *const bools[] = {"true", "True", "TRUE", "false", "False", "FALSE"};
    static const char *const odd[] = {".inf", "-.inf", ".nan", ".NaN", ".Inf"};

    if (sl_scalar_is_null(text, strlen(text), true)) {
        *ret = "null";
        return true;
    }
    for (size_t i = 0; i < SL_COUNT(bools); i++)
        if (sl_streq(text, bools[i])) {
            *ret = "a boolean";
            return true;
        }
    *ret = "a number";
    for (size_t i = 0; i < SL_COUNT(odd); i++)
        if (sl_streq(text, odd[i]))
            return true;
    return is_real(text) || sl_scalar_is_based(text);
}

const char *sl_scalar_wanted(const struct sl_field *field)
{
    switch (field->type) {
    case SL_T_BOOL:
        return "true or false";
    case SL_T_INT:
        return "a whole number";
    case SL_T_REAL:
        return "a number";
    case SL_T_DURATION:
        return "a duration such as 90s";
    case SL_T_RATE:
        return "a bit rate such as 4M";
    case SL_T_BYTES:
        return "a size such as 50MB";
    case SL_T_SIZE:
        return "a picture size such as 1280x720";
    case SL_T_PATH:
        return "a relative path";
    case SL_T_NAME:
        return "a name";
    case SL_T_ENUM:
        return "one word";
    case SL_T_STRING:
        return field->schemes ? "a URL" : "a string";
    case SL_T_STRINGS:
        return "a list of strings";
    case SL_T_MAP:
    case SL_T_VARIANT:
    case SL_T_LABELS:
        return "a mapping";
    case SL_TYPE_COUNT:
        break;
    }
    return "a value";
}

static void join_values(const char *const *values, char *buf, size_t size)
{
    size_t n = 0;

    buf[0] = '\0';
    for (; *values && n < size; values++)
        n += (size_t)snprintf(buf + n, size - n, "%s%s", n ? ", " : "", *values);
}

static int read_word(const struct sl_field *f, const char *text, struct sl_scalar *ret,
                     struct sl_scalar_err *err)
{
    char shown[64], all[200];
    const char *near;

    for (int i = 0; f->values[i]; i++)
        if (sl_streq(f->values[i], text)) {
            ret->i = i;
            ret->s = f->values[i];
            return 0;
        }
    sl_scalar_fail(err, "E109", "'%s' is not a value of %s", sl_scalar_shown(text, shown), f->name);
    join_values(f->values, all, sizeof(all));
    near = sl_nearest_of(text, f->values);
    if (near)
        sl_scalar_hint(err, "did you mean '%s'? (one of: %s)", near, all);
    else
        sl_scalar_hint(err, "one of: %s", all);
    return -1;
}

static int read_bool(const char *text, bool plain, struct sl_scalar *ret, struct sl_scalar_err *err)
{
    static const char *const names[] = {"true", "false", NULL};
    static const char *const yes[] = {"yes", "on", "y", "1", NULL};
    static const char *const no[] = {"no", "off", "n", "0", NULL};
    char shown[64];
    const char *near = NULL;

    if (plain && (sl_streq(text, "true") || sl_streq(text, "false"))) {
        ret->i = text[0] == 't';
        return 0;
    }
    if (!plain && (sl_streq(text, "true") || sl_streq(text, "false"))) {
        sl_scalar_fail(err, "E104", "\"%s\" in quotes is a text, not true or false", text);
        sl_scalar_hint(err, "write it without quotes: %s", text);
        return -1;
    }
    sl_scalar_fail(err, "E104", "'%s' is not true or false", sl_scalar_shown(text, shown));
    for (int i = 0; yes[i]; i++)
        if (strcasecmp(text, yes[i]) == 0)
            near = "true";
    for (int i = 0; no[i]; i++)
        if (strcasecmp(text, no[i]) == 0)
            near = "false";
    if (near) {
        sl_scalar_hint(err, "write %s", near);
    } else if ((near = sl_nearest_of(text, names))) {
        sl_scalar_hint(err, "did you mean '%s'?", near);
    } else {
        sl_scalar_hint(err, "write true or false");
    }
    return -1;
}

/* What a number of the wrong writing should have been; false when it is none at all. */
static bool number_hint(const struct sl_field *f, const char *text, bool plain,
                        struct sl_scalar_err *err)
{
    const char *digit = text + (*text == '+' || *text == '-'), *end;
    int64_t value;

    if (!plain && is_real(text)) {
        sl_scalar_hint(err, "write it without quotes: %s", text);
        return true;
    }
    if (sl_scalar_is_based(text)) {
        sl_scalar_hint(err, "write it in decimal: %lld",
                       strtoll(text + 2, NULL, text[1] == 'x' ? 16 : 8));
        return true;
    }
    end = digit;
    if (sl_scalar_digits(&end, &value) == 0 && *end == '\0') {
        sl_scalar_hint(err, "write %s%lld", *text == '-' && value ? "-" : "", (long long)value);
        return true;
    }
    if (end != digit && end[1] == '\0' && strchr("kKmMgG", *end) && f->type == SL_T_INT) {
        sl_scalar_hint(err, "units are for bit rates; write the number out");
        return true;
    }
    return false;
}

int sl_scalar_in_range(const struct sl_field *f, double value, struct sl_scalar_err *err)
{
    struct sl_buf low = {0}, high = {0}, was = {0};
    struct sl_scalar a = {(int64_t)f->min, f->min, NULL}, b = {(int64_t)f->max, f->max, NULL};
    int64_t i = value >= 9e18 ? INT64_MAX : value <= -9e18 ? -INT64_MAX : (int64_t)value;
    int64_t ia = a.i, ib = b.i;
    bool real = f->type == SL_T_REAL;

    if ((f->min == 0 && f->max == 0 && value >= 0) ||
        (value >= f->min && value <= f->max && !(f->min == 0 && f->max == 0)))
        return 0;
    sl_scalar_print(f, real ? (void *)&value : (void *)&i, &was);
    if (value < 0 && f->min == 0) {
        sl_scalar_fail(err, "E105", "%s must not be negative", f->name);
    } else {
        sl_scalar_print(f, real ? (void *)&a.d : (void *)&ia, &low);
        sl_scalar_print(f, real ? (void *)&b.d : (void *)&ib, &high);
        sl_scalar_fail(err, "E105", "%s is out of range: %s is not within %s to %s", f->name,
                       was.data, low.data, high.data);
        if (f->type == SL_T_RATE && value > 0 && value * 1000 >= f->min && value * 1000 <= f->max &&
            value < f->min)
            sl_scalar_hint(err, "bits per second; did you mean %lldk?", (long long)value);
    }
    sl_buf_free(&low);
    sl_buf_free(&high);
    sl_buf_free(&was);
    return -1;
}

static int read_int(const struct sl_field *f, const char *text, bool plain, struct sl_scalar *ret,
                    struct sl_scalar_err *err)
{
    const char *p = text + (*text == '-'), *first = p;
    char shown[64];
    int64_t value;
    int rc = sl_scalar_digits(&p, &value);

    if (plain && rc == 0 && *p == '\0' && !(first[0] == '0' && first[1])) {
        ret->i = *text == '-' ? -value : value;
        return sl_scalar_in_range(f, (double)ret->i, err);
    }
    if (plain && rc < 0 && isdigit((unsigned char)*first) &&
        strspn(first, "0123456789") == strlen(first) && *first != '0')
        return sl_scalar_fail(err, "E105", "%s is out of range: %s is too long", f->name,
                              sl_scalar_shown(text, shown));
    sl_scalar_fail(err, "E104", "%s must be a whole number, not '%s'", f->name,
                   sl_scalar_shown(text, shown));
    if (!number_hint(f, text, plain, err) && is_real(text))
        sl_scalar_hint(err, "no fraction and no exponent");
    return -1;
}

static int read_real(const struct sl_field *f, const char *text, bool plain, struct sl_scalar *ret,
                     struct sl_scalar_err *err)
{
    const char *p = text + (*text == '-');
    char shown[64];

    if (plain && is_real(text) && *text != '+' && *p != '.' &&
        !(p[0] == '0' && isdigit((unsigned char)p[1])) && strlen(text) < 40) {
        ret->d = strtod(text, NULL);
        if (ret->d == 0)
            ret->d = 0; /* not -0 */
        if (!isfinite(ret->d))
            return sl_scalar_fail(err, "E105", "%s is out of range", f->name);
        return sl_scalar_in_range(f, ret->d, err);
    }
    sl_scalar_fail(err, "E104", "%s must be a number, not '%s'", f->name,
                   sl_scalar_shown(text, shown));
    if (!number_hint(f, text, plain, err)) {
        if (*p == '.' && is_real(text))
            sl_scalar_hint(err, "write %s0%s", *text == '-' ? "-" : "", p);
        else if (strchr(text, '/'))
            sl_scalar_hint(err, "write it as a decimal: 29.97");
    }
    return -1;
}

static int read_size(const struct sl_field *f, const char *text, struct sl_arena *arena,
                     struct sl_scalar *ret, struct sl_scalar_err *err)
{
    const char *p = text;
    char shown[64], tail[2] = "";
    int64_t w = 0, h = 0;
    int n = 0;

    if (*p != '0' && sl_scalar_digits(&p, &w) == 0 && *p == 'x' && *++p != '0' &&
        sl_scalar_digits(&p, &h) == 0 && *p == '\0') {
        if (w < f->min || w > f->max || h < f->min || h > f->max)
            return sl_scalar_fail(err, "E105", "%s is out of range: each side within %g to %g",
                                  f->name, f->min, f->max);
        if (w % 2 || h % 2) {
            sl_scalar_fail(err, "E105", "%s must be even in both directions", f->name);
            sl_scalar_hint(err, "write %lldx%lld", (long long)(w & ~1LL), (long long)(h & ~1LL));
            return -1;
        }
        ret->s = sl_arena_printf(arena, "%lldx%lld", (long long)w, (long long)h);
        return 0;
    }
    sl_scalar_fail(err, "E104", "%s must be WIDTHxHEIGHT, not '%s'", f->name,
                   sl_scalar_shown(text, shown));
    if (sscanf(text, "%5lld%*[ X*:]%5lld%n", (long long *)&w, (long long *)&h, &n) == 2 && !text[n])
        sl_scalar_hint(err, "write %lldx%lld", (long long)w, (long long)h);
    else if (sscanf(text, "%5lld%1[pi]", (long long *)&h, tail) == 2 && h % 9 == 0)
        sl_scalar_hint(err, "write %lldx%lld", (long long)(h * 16 / 9), (long long)h);
    else
        sl_scalar_hint(err, "for example 1280x720");
    return -1;
}

int sl_scalar_read(const struct sl_field *f, const char *text, size_t len, bool plain,
                   struct sl_arena *arena, struct sl_scalar *ret, struct sl_scalar_err *err)
{
    struct sl_scalar value = {0, 0, text};
    int rc = -1;

    err->hint[0] = '\0';
    if (strlen(text) != len || sl_scalar_unprintable(text, len))
        return sl_scalar_fail(err, "E114", "%s contains a control character", f->name);
    if (len > TEXT_MAX)
        return sl_scalar_fail(err, "E111", "%s is longer than %d bytes", f->name, TEXT_MAX);
    switch (f->type) {
    case SL_T_BOOL:
        rc = read_bool(text, plain, &value, err);
        break;
    case SL_T_INT:
        rc = read_int(f, text, plain, &value, err);
        break;
    case SL_T_REAL:
        rc = read_real(f, text, plain, &value, err);
        break;
    case SL_T_DURATION:
    case SL_T_RATE:
    case SL_T_BYTES:
        rc = sl_scalar_read_amount(f, text, &value, err);
        break;
    case SL_T_SIZE:
        rc = read_size(f, text, arena, &value, err);
        break;
    case SL_T_PATH:
    case SL_T_NAME:
        rc = sl_scalar_read_text(f, text, plain, err);
        if (rc == 0 && !*text)
            rc = sl_scalar_fail(err, "E113", "%s is empty", f->name);
        else if (rc == 0)
            rc = f->type == SL_T_PATH ? sl_scalar_read_path(f, text, err)
                                      : sl_scalar_read_name(f, text, err);
        break;
    case SL_T_ENUM:
        rc = read_word(f, text, &value, err);
        break;
    case SL_T_STRING:
    case SL_T_STRINGS:
        rc = f->values    ? read_word(f, text, &value, err)
             : f->schemes ? sl_scalar_read_url(f, text, plain, err)
                          : sl_scalar_read_text(f, text, plain, err);
        break;
    case SL_T_LABELS:
        rc = sl_scalar_read_text(f, text, plain, err);
        break;
    case SL_T_MAP:
    case SL_T_VARIANT:
    case SL_TYPE_COUNT:
        rc = sl_scalar_fail(err, "E104", "%s must be a mapping", f->name);
        break;
    }
    if (rc == 0)
        *ret = value;
    return rc;
}
