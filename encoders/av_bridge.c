/* SPDX-License-Identifier: GPL-2.0-or-later
 * The libav log bridge. Layer: encoders.
 */
#include "encoders/av_bridge.h"
#include "reconcile/base/time.h"
#include <libavutil/error.h>
#include <libavutil/log.h>
#include <stdarg.h>
#include <unistd.h>

#define LINE_MAX_BYTES 1024
#define SECRETS        8

static struct {
    struct sl_ring *ring;
    bool to_stderr;
    char *secret[SECRETS];
    char last[LINE_MAX_BYTES];
    int prefix;
    char repeated[LINE_MAX_BYTES]; /* the line before, to fold a storm of equal ones */
    unsigned repeats;
} bridge;

static const char *const level_names[SL_LEVEL_COUNT] = {"error", "warn", "info", "debug"};

static void scrub(char *line)
{
    for (int i = 0; i < SECRETS; i++) {
        const char *secret = bridge.secret[i];
        size_t len = secret ? strlen(secret) : 0;
        char *at = line;

        while (len && (at = strstr(at, secret))) {
            /* every secret is at least 3 bytes long, so this never grows */
            memcpy(at, "***", 3);
            memmove(at + 3, at + len, strlen(at + len) + 1);
            at += 3;
        }
    }
}

static void emit(enum sl_level level, const char *text)
{
    char out[LINE_MAX_BYTES + 64], when[32];
    int n = snprintf(out, sizeof(out), "%s %s %s\n", sl_time_rfc3339(sl_now_wall(), when),
                     level_names[level], text);

    if (n <= 0)
        return;
    if ((size_t)n >= sizeof(out))
        n = sizeof(out) - 1;
    if (bridge.ring)
        sl_ring_write(bridge.ring, out, (size_t)n);
    if (bridge.to_stderr && write(STDERR_FILENO, out, (size_t)n) < 0)
        bridge.to_stderr = false;
}

static void put(enum sl_level level, char *line)
{
    size_t len;

    scrub(line);
    len = strlen(line);
    while (len && (line[len - 1] == '\n' || line[len - 1] == '\r'))
        line[--len] = 0;
    for (char *c = line; *c; c++) {
        if ((unsigned char)*c < ' ')
            *c = ' ';
    }
    if (!len)
        return;
    if (strcmp(line, bridge.repeated) == 0) {
        bridge.repeats++;
        if (bridge.repeats & (bridge.repeats - 1))
            return; /* said at 1, 2, 4, 8 … repeats */
        char again[64];
        snprintf(again, sizeof(again), "(the line before came %u more times)", bridge.repeats);
        emit(level, again);
        return;
    }
    bridge.repeats = 0;
    snprintf(bridge.repeated, sizeof(bridge.repeated), "%s", line);
    emit(level, line);
}

static void from_libav(void *object, int level, const char *format, va_list args)
{
    char line[LINE_MAX_BYTES];

    if (level > AV_LOG_WARNING)
        return;
    av_log_format_line2(object, level, format, args, line, sizeof(line), &bridge.prefix);
    if (level <= AV_LOG_ERROR) {
        const char *text = line;

        if (*text == '[') { /* "[rtsp @ 0x…] text": an address tells nobody anything */
            const char *end = strstr(text, "] ");
            text = end ? end + 2 : text;
        }
        snprintf(bridge.last, sizeof(bridge.last), "%s", text);
        scrub(bridge.last);
        bridge.last[strcspn(bridge.last, "\r\n")] = 0;
    }
    put(level <= AV_LOG_ERROR ? SL_LOG_ERROR : SL_LOG_WARN, line);
}

void sl_bridge_open(struct sl_ring *ring, bool to_stderr)
{
    bridge.ring = ring;
    bridge.to_stderr = to_stderr;
    bridge.prefix = 1;
    av_log_set_callback(from_libav);
}

void sl_bridge_secret(const char *secret)
{
    if (!secret || strlen(secret) < 3)
        return;
    for (int i = 0; i < SECRETS; i++) {
        if (sl_streq(bridge.secret[i], secret))
            return;
        if (!bridge.secret[i]) {
            bridge.secret[i] = sl_strdup(secret);
            return;
        }
    }
}

void sl_bridge_log(enum sl_level level, const char *format, ...)
{
    char line[LINE_MAX_BYTES];
    va_list args;

    va_start(args, format);
    vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    put(level, line);
}

const char *sl_bridge_last(void)
{
    return bridge.last;
}

void sl_bridge_forget(void)
{
    bridge.last[0] = 0;
}

const char *sl_av_text(int averror)
{
    static char text[AV_ERROR_MAX_STRING_SIZE];

    if (av_strerror(averror, text, sizeof(text)) < 0)
        snprintf(text, sizeof(text), "error %d", averror);
    return text;
}
