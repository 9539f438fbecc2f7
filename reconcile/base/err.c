/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "reconcile/base/err.h"

#include <errno.h>
#include <stdarg.h>

int sl_err_set(struct sl_err *err, enum sl_err_class class, int os, const char *code,
               const char *format, ...)
{
    if (!err) {
        return -1;
    }
    char text[sizeof(err->text)]; /* the arguments may point into *err */
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    memset(err, 0, sizeof(*err));
    err->class = class;
    err->os = os;
    snprintf(err->code, sizeof(err->code), "%s", code ? code : "");
    memcpy(err->text, text, sizeof(text));
    return -1;
}

static enum sl_err_class class_of(int os)
{
    static const int transient[] = {EAGAIN,      EINTR,        ECONNREFUSED, ECONNRESET, ETIMEDOUT,
                                    EPIPE,       EMFILE,       ENFILE,       ENOBUFS,    EBUSY,
                                    ENETUNREACH, EHOSTUNREACH, ENOMEM};
    for (size_t i = 0; i < SL_COUNT(transient); i++) {
        if (os == transient[i]) {
            return SL_ERR_TRANSIENT;
        }
    }
    return SL_ERR_HUMAN;
}

int sl_err_os(struct sl_err *err, int os, const char *format, ...)
{
    if (!err) {
        return -1;
    }
    char text[sizeof(err->text)], reason[128];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    memset(err, 0, sizeof(*err));
    err->class = class_of(os);
    err->os = os;
    snprintf(err->text, sizeof(err->text), "%.380s: %s", text,
             strerror_r(os, reason, sizeof(reason)));
    return -1;
}

int sl_err_wrap(struct sl_err *err, const char *format, ...)
{
    if (!err) {
        return -1;
    }
    char context[200], text[sizeof(err->text)];
    va_list args;
    va_start(args, format);
    vsnprintf(context, sizeof(context), format, args);
    va_end(args);
    snprintf(text, sizeof(text), "%s: %.300s", context, err->text);
    memcpy(err->text, text, sizeof(text));
    return -1;
}
