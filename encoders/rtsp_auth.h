/* SPDX-License-Identifier: GPL-2.0-or-later
 * RTSP's two ways to show credentials: Basic, and Digest with MD5 as cameras and servers of
 * RTSP 1.0 have it. Texts in, texts out. Layer: encoders.
 */
#pragma once
#include "reconcile/base/base.h"

/* The challenge of an answer that can be met (Basic rather than Digest: the server chose to take
 * it, and MediaMTX keeps hashes that only Basic can be checked against). False: none. */
bool sl_rtsp_challenge(const char *answer, char *ret, size_t size);
/* "Authorization: …\r\n" for one request; the caller wipes and frees it. NULL: not possible. */
char *sl_rtsp_authorize(const char *challenge, const char *method, const char *url,
                        const char *username, const char *password);
