/* SPDX-License-Identifier: GPL-2.0-or-later
 * One MediaMTX path configuration: the keys that Sluice owns, in one table, written as JSON (for
 * the API, and as YAML flow for the file) and read back by value (`altered`: one that is the same
 * in all our paths is not). Keys that are not in the table are neither written nor compared. Plain
 * values, owned by the caller. Layer: mediamtx.
 */
#pragma once
#include "reconcile/base/buf.h"
#include "reconcile/base/err.h"
#include "reconcile/core/path.h"

/* What MediaMTX would show after it was written: tracks only with always_available, rate and
 * channels only where the codec takes them. Compare normal forms. */
void sl_mtx_path_normal(struct sl_path_conf *conf);
bool sl_mtx_name_ok(const char *name); /* of a path of ours */
/* Would MediaMTX take it? A file with one bad path ends MediaMTX, so this is asked first. */
int sl_mtx_path_check(const struct sl_path_conf *conf, struct sl_err *err) SL_MUST;
json_t *sl_mtx_path_to_json(const struct sl_path_conf *conf); /* every owned key, no name */
void sl_mtx_path_to_yaml(const struct sl_path_conf *conf, int indent, struct sl_buf *out);
/* An item of GET /v3/config/paths/list; unknown keys are ignored, missing ones are -1. */
int sl_mtx_path_from_json(const json_t *object, struct sl_path_conf *ret) SL_MUST;
/* For qsort and bsearch, by name. */
int sl_mtx_path_order(const void *a, const void *b);
const struct sl_path_conf *sl_mtx_path_find(const struct sl_path_conf *list, size_t count,
                                            const char *name);
