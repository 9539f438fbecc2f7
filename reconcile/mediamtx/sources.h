/* SPDX-License-Identifier: GPL-2.0-or-later
 * What MediaMTX pulls: is it a URL that it takes, and taking its secrets out of texts. Pure. Layer:
 * mediamtx.
 */
#pragma once
#include "reconcile/base/err.h"

/* "publisher", or rtsp(s) rtmp(s) http(s) srt udp udp+mpegts with what MediaMTX's validation (and
 * Go's URL parser) wants. The error names scheme and fault, never the URL: it holds credentials. */
int sl_mtx_source_check(const char *source, struct sl_err *err) SL_MUST;
bool sl_mtx_source_is_rtsp(const char *source);
/* Replaces this source's password (of 4 characters and more), user info and query secrets in
 * `text`, and the user info of any other URL there, by ***; never grows it. `source` NULL: only the
 * latter. */
void sl_mtx_scrub(const char *source, char *text);
