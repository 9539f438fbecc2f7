/* SPDX-License-Identifier: GPL-2.0-or-later
 * A growing byte buffer, always NUL-terminated once written. Layer: base.
 */
#pragma once
#include "reconcile/base/base.h"

struct sl_buf {
    char *data; /* NULL while empty */
    size_t len, cap;
};

void sl_buf_free(struct sl_buf *buf);
void sl_buf_add(struct sl_buf *buf, const void *data, size_t len);
void sl_buf_puts(struct sl_buf *buf, const char *s);
void sl_buf_printf(struct sl_buf *buf, const char *format, ...) SL_PRINTF(2, 3);
char *sl_buf_steal(struct sl_buf *buf); /* the caller frees; "" when empty */
