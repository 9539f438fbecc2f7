/* SPDX-License-Identifier: GPL-2.0-or-later
 * The writing half of scalar.h.
 */
#include "schemas/scalar.h"

struct step {
    const char *name;
    int64_t factor;
};
static const struct step durations[] = {
    {"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};
static const struct step rates[] = {{"G", 1000000000}, {"M", 1000000}, {"k", 1000}, {"", 1}};
static const struct step sizes[] = {
    {"TiB", 1LL << 40}, {"GiB", 1LL << 30}, {"MiB", 1LL << 20}, {"KiB", 1LL << 10}, {"", 1}};

void sl_scalar_quote(const char *text, struct sl_buf *out)
{
    sl_buf_puts(out, "\"");
    while (*text) {
        size_t n = strcspn(text, "\"\\\n\t");

        sl_buf_add(out, text, n);
        text += n;
        if (*text) {
            char pair[2] = {'\\', *text == '\n' ? 'n' : *text == '\t' ? 't' : *text};

            sl_buf_add(out, pair, 2);
            text++;
        }
    }
    sl_buf_puts(out, "\"");
}

/* The shortest digits that read back to the same number. */
static void print_real(double value, struct sl_buf *out)
{
    char text[40];

    for (int digits = 6; digits <= 17; digits++) {
        snprintf(text, sizeof(text), "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    sl_buf_puts(out, text);
}

static void print_duration(int64_t value, struct sl_buf *out)
{
    if (value == 0)
        sl_buf_puts(out, "0s");
    for (size_t i = 0; i < SL_COUNT(durations); i++) {
        if (value >= durations[i].factor)
            sl_buf_printf(out, "%lld%s", (long long)(value / durations[i].factor),
                          durations[i].name);
        value %= durations[i].factor;
    }
}

static void print_step(int64_t value, const struct step *step, struct sl_buf *out)
{
    while (step->factor > 1 && (value < step->factor || value % step->factor))
        step++;
    sl_buf_printf(out, "%lld%s", (long long)(value / step->factor), step->name);
}

void sl_scalar_base(const struct sl_field *field, const struct sl_scalar *value, struct sl_buf *out)
{
    switch (field->type) {
    case SL_T_BOOL:
        sl_buf_puts(out, value->i ? "true" : "false");
        break;
    case SL_T_INT:
    case SL_T_DURATION:
    case SL_T_RATE:
    case SL_T_BYTES:
        sl_buf_printf(out, "%lld", (long long)value->i);
        break;
    case SL_T_REAL:
        print_real(value->d, out);
        break;
    case SL_T_STRING:
    case SL_T_SIZE:
    case SL_T_PATH:
    case SL_T_NAME:
    case SL_T_ENUM:
    case SL_T_STRINGS:
    case SL_T_LABELS:
        sl_buf_puts(out, value->s);
        break;
    case SL_T_MAP:
    case SL_T_VARIANT:
    case SL_TYPE_COUNT:
        break;
    }
}

void sl_scalar_print(const struct sl_field *field, const void *member, struct sl_buf *out)
{
    switch (field->type) {
    case SL_T_BOOL:
        sl_buf_puts(out, *(const bool *)member ? "true" : "false");
        break;
    case SL_T_INT:
        sl_buf_printf(out, "%lld", (long long)*(const int64_t *)member);
        break;
    case SL_T_REAL:
        print_real(*(const double *)member, out);
        break;
    case SL_T_DURATION:
        print_duration(*(const int64_t *)member, out);
        break;
    case SL_T_RATE:
        print_step(*(const int64_t *)member, rates, out);
        break;
    case SL_T_BYTES:
        print_step(*(const int64_t *)member, sizes, out);
        break;
    case SL_T_ENUM:
        sl_buf_puts(out, field->values[*(const int *)member]);
        break;
    case SL_T_STRING:
    case SL_T_SIZE:
    case SL_T_PATH:
    case SL_T_NAME:
        if (*(char *const *)member)
            sl_scalar_quote(*(char *const *)member, out);
        break;
    case SL_T_STRINGS:
    case SL_T_LABELS:
    case SL_T_MAP:
    case SL_T_VARIANT:
    case SL_TYPE_COUNT:
        break;
    }
}
