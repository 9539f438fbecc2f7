/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "reconcile/base/base.h"

#include <errno.h>
#include <stdarg.h>
#include <unistd.h>

static void *out_of_memory(void)
{
    static const char text[] = "sluice: out of memory\n";
    if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0) {
        abort();
    }
    abort();
}

void sl_closep(int *fd)
{
    int saved = errno;
    if (*fd >= 0) {
        close(*fd);
        *fd = -1;
    }
    errno = saved;
}

void *sl_alloc(size_t size)
{
    void *p = calloc(1, size ? size : 1);
    return p ? p : out_of_memory();
}

void *sl_realloc(void *old, size_t size)
{
    void *p = realloc(old, size ? size : 1);
    return p ? p : out_of_memory();
}

char *sl_strdup(const char *s)
{
    if (!s) {
        return NULL;
    }
    char *copy = strdup(s);
    return copy ? copy : out_of_memory();
}

char *sl_asprintf(const char *format, ...)
{
    char *text = NULL;
    va_list args;
    va_start(args, format);
    int len = vasprintf(&text, format, args);
    va_end(args);
    return len < 0 ? out_of_memory() : text;
}
