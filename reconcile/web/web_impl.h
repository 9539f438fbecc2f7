/* SPDX-License-Identifier: GPL-2.0-or-later
 * What the files of the page share. Private to reconcile/web. Everything here is a pure function
 * of the status, except server.c. Layer: web.
 */
#pragma once
#include "reconcile/base/buf.h"
#include "reconcile/base/time.h"
#include "reconcile/web/web.h"
#include <jansson.h>

struct web_asset {
    const char *name, *type;
    const unsigned char *data, *end;
};
extern const struct web_asset web_assets[];
extern const size_t web_assets_count;

/* status_json.c */
json_t *web_stream_json(const struct sl_status *status, const struct sl_status_stream *stream);
char *web_stream_text(const struct sl_status *status, const char *name); /* NULL: no such stream */
/* A source line fit to be shown: what follows a key that names a secret, and user info of a URL,
 * are left out. The caller frees; NULL stays NULL. */
char *web_excerpt(const char *line);

/* page.c; NULL status: nothing is known yet */
void web_escape(struct sl_buf *out, const char *text); /* for text and quoted attributes */
void web_fragment(const struct sl_status *status, struct sl_buf *out);
bool web_stream_fragment(const struct sl_status *status, const char *name, struct sl_buf *out);
/* A whole document around a fragment; `from` is where page.js fetches the fragment again. */
void web_page(const struct sl_status *status, const char *title, const char *from,
              const char *fragment, struct sl_buf *out);

/* metrics.c */
void web_metrics(const struct sl_status *status, struct sl_buf *out);
