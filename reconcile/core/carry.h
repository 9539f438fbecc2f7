/* SPDX-License-Identifier: GPL-2.0-or-later
 * Carriers: what a stream's paths look like when no encoder has to tell, who may publish on them,
 * which publishers' sessions must end, and the words for sources that fail. Internal to core.
 * Layer: core.
 */
#pragma once
#include "reconcile/core/unit.h"

#define SL_KICK_AFTER    6000  /* ms without a byte after which a publisher's session is ended */
#define SL_SILENT_AFTER  10000 /* ms without a byte on a path: nothing comes (decisions 10) */
#define SL_PULL_PATIENCE 5000  /* ms in which a new pull is called Starting */

/* No encoder: MediaMTX pulls, or somebody publishes on NAME. */
bool sl_encoderless(const struct sl_desired_stream *stream);
/* Why its secrets cannot be used (one is not there, or too long), or NULL. */
const char *sl_secret_lack(const struct sl_desired_stream *stream);
/* NAME's path of an encoderless stream. Its secrets must be there. */
void sl_carry_conf(const struct sl_desired_stream *stream, struct sl_path_conf *ret);
/* NAME/ingest of a stream whose publishers an encoder reads. */
void sl_carry_ingest(const struct sl_desired_stream *stream, struct sl_path_conf *ret);
/* Fits a path that an encoder publishes on. */
bool sl_carry_encoders(const struct sl_path_conf *conf);
/* Why `now` must become `want`, for people. */
const char *sl_carry_why(enum sl_carrier carrier, const struct sl_path_conf *now,
                         const struct sl_path_conf *want);
/* The host that a stream's encoder connects to, for limits (contract C11); NULL: none. */
const char *sl_carry_origin(const struct sl_desired_stream *stream, size_t *ret_len);
/* Users and kicks of the plan. Returns CLOCK_MONOTONIC ms when a publisher may turn silent; 0. */
int64_t sl_carry_publishers(struct sl_pass *pass);
bool sl_publish_allowed(const struct sl_src_publish *publish, enum sl_publish_protocol protocol);

/* User info of URLs and the values of query keys that hold secrets become ***. */
void sl_credentials_cut(const char *text, char *ret, size_t size);
/* SourceAuthFailed, SourceNotFound, NoFrames or SourceUnreachable, out of a line of MediaMTX. */
const char *sl_source_reason(const char *text);
/* One of these words: the source's fault, not the encoder's. */
bool sl_source_fault(const char *reason);
