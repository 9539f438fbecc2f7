/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "reconcile/base/buf.h"

#include <stdarg.h>

static void reserve(struct sl_buf *buf, size_t more)
{
    if (buf->cap - buf->len > more) {
        return;
    }
    size_t cap = buf->cap ? buf->cap : 256;
    while (cap - buf->len <= more) {
        cap *= 2;
    }
    buf->data = sl_realloc(buf->data, cap);
    buf->cap = cap;
}

void sl_buf_free(struct sl_buf *buf)
{
    free(buf->data);
    memset(buf, 0, sizeof(*buf));
}

void sl_buf_add(struct sl_buf *buf, const void *data, size_t len)
{
    reserve(buf, len);
    if (len > 0) {
        memcpy(buf->data + buf->len, data, len);
    }
    buf->len += len;
    buf->data[buf->len] = '\0';
}

void sl_buf_puts(struct sl_buf *buf, const char *s)
{
    sl_buf_add(buf, s, strlen(s));
}

void sl_buf_printf(struct sl_buf *buf, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (len >= 0) {
        reserve(buf, (size_t)len);
        vsnprintf(buf->data + buf->len, (size_t)len + 1, format, again);
        buf->len += (size_t)len;
    }
    va_end(again);
}

char *sl_buf_steal(struct sl_buf *buf)
{
    char *text = buf->data ? buf->data : sl_strdup("");
    memset(buf, 0, sizeof(*buf));
    return text;
}
