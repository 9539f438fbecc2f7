/* SPDX-License-Identifier: GPL-2.0-or-later
 * Secrets that somebody wrote into a manifest all the same: which keys hold one, and source lines
 * made fit to be shown. Layer: schemas. Never does I/O.
 */
#pragma once
#include "reconcile/base/base.h"

/* A key of a URL (letters and digits) whose value is a secret: pass, token, apikey … */
bool sl_secret_key(const char *key, size_t len);
/* An SRT stream id, percent-decoded, that holds more than a resource: user and password. */
bool sl_secret_stream_id(const char *id);
/* User info of URLs and values of such keys in a source line become '*', a character each, so that
 * columns stay true. In place. */
void sl_secret_mask(char *line);
