/* SPDX-License-Identifier: GPL-2.0-or-later
 * The digest that decides whether an encoder must be restarted. Layer: core.
 */
#include "reconcile/core/desired.h"
#include "reconcile/base/buf.h"
#include "reconcile/base/hash.h"
#include "schemas/field.h"

static void free_buf(struct sl_buf *buf)
{
    sl_buf_free(buf);
}

void sl_enc_hash(const struct sl_stream_spec *spec, const char *media_id, const char *publish_url,
                 char ret[80])
{
    SL_CLEAN(free_buf) struct sl_buf text = {0};
    struct sl_stream_spec carried = *spec; /* a new field restarts unless it is cleared here */
    char hex[SL_SHA_HEX];

    carried.suspend = false;
    carried.protect = false;
    sl_table_print(&sl_table_stream_spec, &carried, &text);
    sl_buf_printf(&text, "\nmedia %s\npublish %s\n", media_id ? media_id : "",
                  publish_url ? publish_url : "");
    sl_sha256_hex(text.data, text.len, hex);
    snprintf(ret, 80, "sha:%s", hex);
}
