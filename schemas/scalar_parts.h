/* SPDX-License-Identifier: GPL-2.0-or-later
 * Between the files scalar*.c only: readers of single types. Layer: schemas.
 */
#pragma once
#include "schemas/scalar.h"

/* Sets the error, without a hint; returns -1. */
int sl_scalar_fail(struct sl_scalar_err *err, const char *code, const char *format, ...)
    SL_PRINTF(3, 4);
void sl_scalar_hint(struct sl_scalar_err *err, const char *format, ...) SL_PRINTF(2, 3);
/* Digits to a number; -1 when there are none or too many. Moves *t behind them. */
int sl_scalar_digits(const char **t, int64_t *ret) SL_MUST;
/* 0x1f, 0o17: numbers of YAML 1.2 that we do not take. */
bool sl_scalar_is_based(const char *text);
/* The row's range; E105. */
int sl_scalar_in_range(const struct sl_field *field, double value,
                       struct sl_scalar_err *err) SL_MUST;
int sl_scalar_read_amount(const struct sl_field *field, const char *text, struct sl_scalar *ret,
                          struct sl_scalar_err *err) SL_MUST;
int sl_scalar_read_text(const struct sl_field *field, const char *text, bool plain,
                        struct sl_scalar_err *err) SL_MUST;
int sl_scalar_read_path(const struct sl_field *field, const char *text,
                        struct sl_scalar_err *err) SL_MUST;
int sl_scalar_read_name(const struct sl_field *field, const char *text,
                        struct sl_scalar_err *err) SL_MUST;
int sl_scalar_read_url(const struct sl_field *field, const char *text, bool plain,
                       struct sl_scalar_err *err) SL_MUST;
/* A character that neither a terminal nor a one-line YAML scalar takes as it is. */
bool sl_scalar_unprintable(const char *text, size_t len);
