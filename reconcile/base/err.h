/* SPDX-License-Identifier: GPL-2.0-or-later
 * An error as a plain value: what failed, whose turn it is, where, and a text for a human.
 * Owned by the caller (on its stack), needs no freeing. Layer: base.
 */
#pragma once
#include "reconcile/base/base.h"

enum sl_err_class {
    SL_ERR_NONE,
    SL_ERR_HUMAN,     /* an edit is needed; retrying does not help */
    SL_ERR_TRANSIENT, /* try again with backoff */
    SL_ERR_BUG,       /* ours */
    SL_ERR_CLASS_COUNT
};

struct sl_err {
    enum sl_err_class class;
    int os;         /* errno or 0 */
    char code[40];  /* a word a program may test: "PortInUse", "StateUnwritable"; may be "" */
    char text[512]; /* one sentence: what failed, where, what to do */
};

/* Sets *err (NULL allowed) and returns -1. `os` is an errno or 0; its text is not appended. */
int sl_err_set(struct sl_err *err, enum sl_err_class class, int os, const char *code,
               const char *format, ...) SL_PRINTF(5, 6);
/* As sl_err_set, class by the errno (EAGAIN, ECONNREFUSED… transient, else human),
 * and ": strerror(os)" appended. */
int sl_err_os(struct sl_err *err, int os, const char *format, ...) SL_PRINTF(3, 4);
/* Puts "context: " in front of the text; returns -1. */
int sl_err_wrap(struct sl_err *err, const char *format, ...) SL_PRINTF(2, 3);
