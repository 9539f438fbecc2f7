/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "reconcile/base/diag.h"

#include <stdarg.h>

struct sl_diag *sl_diags_add(struct sl_diags *diags, enum sl_severity severity, const char *code,
                             struct sl_place place, const char *path, const char *format, ...)
{
    if (diags->count == diags->cap) {
        size_t cap = diags->cap ? diags->cap * 2 : 8;
        struct sl_diag *grown = sl_arena_alloc(diags->arena, cap * sizeof(*grown));
        if (diags->count > 0) {
            memcpy(grown, diags->list, diags->count * sizeof(*grown));
        }
        diags->list = grown;
        diags->cap = cap;
    }
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    struct sl_diag *diag = &diags->list[diags->count++];
    memset(diag, 0, sizeof(*diag));
    diag->severity = severity;
    diag->code = sl_arena_strdup(diags->arena, code);
    diag->place = place;
    diag->place.file = sl_arena_strdup(diags->arena, place.file);
    diag->width = 1;
    diag->path = sl_arena_strdup(diags->arena, path ? path : "");
    diag->message = sl_arena_strdup(diags->arena, text);
    if (severity == SL_DIAG_ERROR) {
        diags->errors++;
    }
    return diag;
}

/* A tab counts as one character in libyaml's columns, so the gutter copies it. */
static void put_caret(const struct sl_diag *diag, struct sl_buf *out)
{
    const char *p = diag->excerpt;
    for (int column = 1; column < diag->place.column; column++) {
        sl_buf_puts(out, *p == '\t' ? "\t" : " ");
        if (*p) {
            do {
                p++;
            } while (((unsigned char)*p & 0xc0) == 0x80);
        }
    }
    for (int i = 0; i < (diag->width > 0 ? diag->width : 1); i++) {
        sl_buf_puts(out, "^");
    }
}

void sl_diag_print(const struct sl_diag *diag, bool colour, struct sl_buf *out)
{
    const char *strong = colour ? "\033[1m" : "", *none = colour ? "\033[0m" : "";
    const char *tint = !colour ? "" : diag->severity == SL_DIAG_ERROR ? "\033[1;31m" : "\033[1;33m";
    sl_buf_printf(out, "%s%s", strong, diag->place.file ? diag->place.file : "-");
    if (diag->place.line > 0) {
        sl_buf_printf(out, ":%d:%d", diag->place.line, diag->place.column);
    }
    sl_buf_printf(out, ":%s %s%s[%s]%s: %s\n", none, tint,
                  diag->severity == SL_DIAG_ERROR ? "error" : "warning", diag->code, none,
                  diag->message);
    if (diag->excerpt && diag->place.line > 0) {
        int digits = snprintf(NULL, 0, "%d", diag->place.line);
        sl_buf_printf(out, " %d | %s\n %*s | %s", diag->place.line, diag->excerpt, digits, "",
                      tint);
        put_caret(diag, out);
        sl_buf_printf(out, "%s\n", none);
    }
    if (diag->other.file) {
        sl_buf_printf(out, "   = also at %s:%d:%d\n", diag->other.file, diag->other.line,
                      diag->other.column);
    }
    if (diag->hint) {
        sl_buf_printf(out, "   = hint: %s\n", diag->hint);
    }
}
