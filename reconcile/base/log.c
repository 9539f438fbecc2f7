/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "reconcile/base/log.h"

#include "reconcile/base/buf.h"
#include "reconcile/base/time.h"

#include <stdarg.h>
#include <unistd.h>

static enum sl_level wanted = SL_LOG_INFO;
static const char *program;

void sl_log_level(enum sl_level level)
{
    wanted = level;
}

void sl_log_name(const char *name)
{
    program = name;
}

static bool is_bare(const char *value)
{
    if (!*value) {
        return false;
    }
    for (const unsigned char *c = (const unsigned char *)value; *c; c++) {
        if (*c <= ' ' || *c == '"' || *c == '=' || *c == '\\' || *c == 0x7f) {
            return false;
        }
    }
    return true;
}

static void put_value(struct sl_buf *line, const char *value)
{
    if (is_bare(value)) {
        sl_buf_puts(line, value);
        return;
    }
    sl_buf_puts(line, "\"");
    for (const unsigned char *c = (const unsigned char *)value; *c; c++) {
        if (*c == '"' || *c == '\\') {
            sl_buf_printf(line, "\\%c", *c);
        } else if (*c == '\n') {
            sl_buf_puts(line, "\\n");
        } else if (*c < ' ' || *c == 0x7f) {
            sl_buf_printf(line, "\\x%02x", *c);
        } else {
            sl_buf_add(line, c, 1);
        }
    }
    sl_buf_puts(line, "\"");
}

void sl_log(enum sl_level level, const char *msg, ...)
{
    static const char *const names[SL_LEVEL_COUNT] = {"error", "warn", "info", "debug"};
    if (level > wanted) {
        return;
    }
    struct sl_buf line = {0};
    char when[32];
    sl_buf_printf(&line, "ts=%s level=%s msg=", sl_time_rfc3339(sl_now_wall(), when), names[level]);
    put_value(&line, msg);
    if (program) {
        sl_buf_printf(&line, " prog=%s", program);
    }
    va_list args;
    va_start(args, msg);
    for (const char *key; (key = va_arg(args, const char *));) {
        const char *value = va_arg(args, const char *);
        if (value) {
            sl_buf_printf(&line, " %s=", key);
            put_value(&line, value);
        }
    }
    va_end(args);
    sl_buf_puts(&line, "\n");
    /* One write a line keeps lines whole; a log that cannot be written must not stop the work. */
    ssize_t done = write(STDERR_FILENO, line.data, line.len);
    (void)done;
    sl_buf_free(&line);
}

const char *sl_num(long long n)
{
    static _Thread_local char ring[16][24];
    static _Thread_local unsigned next;
    char *text = ring[next++ % SL_COUNT(ring)];
    snprintf(text, sizeof(ring[0]), "%lld", n);
    return text;
}
