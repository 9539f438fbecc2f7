/* SPDX-License-Identifier: GPL-2.0-or-later
 * Amounts with a unit: durations, bit rates, bytes.
 */
#include "schemas/scalar_parts.h"

#include <ctype.h>

struct unit {
    const char *name;
    int64_t factor;
};
static const struct unit duration_units[] = {{"d", 86400000}, {"h", 3600000}, {"m", 60000},
                                             {"s", 1000},     {"ms", 1},      {NULL, 0}};
static const struct unit rate_units[] = {{"G", 1000000000}, {"M", 1000000}, {"k", 1000}, {NULL, 0}};
static const struct unit byte_units[] = {
    {"TiB", 1LL << 40}, {"GiB", 1LL << 30},    {"MiB", 1LL << 20},
    {"KiB", 1LL << 10}, {"TB", 1000000000000}, {"GB", 1000000000},
    {"MB", 1000000},    {"kB", 1000},          {NULL, 0}};

int sl_scalar_digits(const char **t, int64_t *ret)
{
    int64_t value = 0;
    const char *p = *t;

    for (; isdigit((unsigned char)*p); p++)
        if (__builtin_mul_overflow(value, (int64_t)10, &value) ||
            __builtin_add_overflow(value, (int64_t)(*p - '0'), &value))
            return -1;
    if (p == *t)
        return -1;
    *t = p;
    *ret = value;
    return 0;
}

static const struct unit *unit_of(const struct unit *units, const char *text, size_t len)
{
    for (; units->name; units++)
        if (strlen(units->name) == len && strncmp(units->name, text, len) == 0)
            return units;
    return NULL;
}

/* NUMBER[.FRACTION]UNIT, one or (durations) several in falling order. */
static int read_units(const struct sl_field *f, const char *text, const struct unit *units,
                      bool bare, struct sl_scalar *ret)
{
    const char *p = text;
    int64_t sum = 0, last = INT64_MAX;

    do {
        int64_t whole, part = 0, scale = 1;
        const struct unit *unit;
        size_t len;

        if (sl_scalar_digits(&p, &whole) < 0)
            return isdigit((unsigned char)*p) ? -2 : -1;
        if (*p == '.') {
            const char *from = ++p;

            if (sl_scalar_digits(&p, &part) < 0 || p - from > 6)
                return -1;
            for (; from < p; from++)
                scale *= 10;
        }
        len = strspn(p, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ");
        unit = unit_of(units, p, len);
        if (!unit && !(bare && len == 0 && scale == 1 && sum == 0 && *p == '\0'))
            return -1;
        p += len;
        if (unit) {
            int64_t rest;

            if (unit->factor >= last || __builtin_mul_overflow(whole, unit->factor, &whole) ||
                __builtin_mul_overflow(part, unit->factor, &rest) || rest % scale)
                return whole > 1000000000 ? -2 : -1;
            whole += rest / scale;
            last = unit->factor;
        }
        if (__builtin_add_overflow(sum, whole, &sum))
            return -2;
    } while (*p && f->type == SL_T_DURATION);
    if (*p)
        return -1;
    ret->i = sum;
    return 0;
}

static void unit_hint(const struct sl_field *f, const char *text, struct sl_scalar_err *err)
{
    const char *p = text;
    int64_t n;

    if (sl_scalar_digits(&p, &n) < 0)
        return;
    if (f->type == SL_T_DURATION) {
        if (*p == '\0')
            sl_scalar_hint(err, "a unit is missing; did you mean %llds?", (long long)n);
        else if (strcasecmp(p, "min") == 0 || strcasecmp(p, " min") == 0)
            sl_scalar_hint(err, "write %lldm", (long long)n);
        else if (strcasecmp(p, "sec") == 0 || strcasecmp(p, " s") == 0)
            sl_scalar_hint(err, "write %llds", (long long)n);
        else
            sl_scalar_hint(err, "units: d, h, m, s, ms; as in 1h30m");
    } else if (f->type == SL_T_RATE) {
        const char *u = p + (*p == ' ');

        if (*u && strchr("kKmMgG", *u))
            sl_scalar_hint(err, "write %lld%c", (long long)n,
                           *u == 'K' || *u == 'k' ? 'k' : toupper(*u));
        else
            sl_scalar_hint(err, "units: k, M, G (bits per second)");
    } else {
        sl_scalar_hint(err, "units: KiB, MiB, GiB, TiB, kB, MB, GB, TB");
    }
}

int sl_scalar_read_amount(const struct sl_field *f, const char *text, struct sl_scalar *ret,
                          struct sl_scalar_err *err)
{
    const struct unit *units = f->type == SL_T_DURATION ? duration_units
                               : f->type == SL_T_RATE   ? rate_units
                                                        : byte_units;
    char shown[64];
    int rc = -1;

    if (*text == '-' && isdigit((unsigned char)text[1]))
        return sl_scalar_fail(err, "E105", "%s must not be negative", f->name);
    if (!(text[0] == '0' && isdigit((unsigned char)text[1])))
        rc = read_units(f, text, units, f->type != SL_T_DURATION, ret);
    if (rc == -2)
        return sl_scalar_fail(err, "E105", "%s is out of range: '%s' is too much", f->name,
                              sl_scalar_shown(text, shown));
    if (rc == 0)
        return sl_scalar_in_range(f, (double)ret->i, err);
    sl_scalar_fail(err, "E104", "%s must be %s, not '%s'", f->name, sl_scalar_wanted(f),
                   sl_scalar_shown(text, shown));
    if (sl_scalar_is_based(text) || (text[0] == '0' && isdigit((unsigned char)text[1])))
        sl_scalar_hint(err, "write it in decimal, without a leading zero");
    else
        unit_hint(f, text, err);
    return -1;
}
