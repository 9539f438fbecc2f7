/* SPDX-License-Identifier: GPL-2.0-or-later
 * Texts: strings by pattern, relative paths, names.
 */
#include "schemas/scalar_parts.h"

#include <ctype.h>
#include <pthread.h>
#include <regex.h>

int sl_scalar_read_path(const struct sl_field *f, const char *text, struct sl_scalar_err *err)
{
    if (*text == '/') {
        sl_scalar_fail(err, "E113", "%s must be relative", f->name);
        sl_scalar_hint(err, "it is looked up below the media root (host setting `media`)");
        return -1;
    }
    for (const char *p = text; p; p = strchr(p, '/')) {
        size_t len;

        p += *p == '/';
        len = strcspn(p, "/");
        if (len == 2 && p[0] == '.' && p[1] == '.')
            return sl_scalar_fail(err, "E113", "%s must not contain '..'", f->name);
        if (len == 0 && p != text)
            return sl_scalar_fail(err, "E113", "%s has an empty part", f->name);
    }
    return 0;
}

int sl_scalar_read_name(const struct sl_field *f, const char *text, struct sl_scalar_err *err)
{
    char shown[64];

    if (strlen(text) > (size_t)f->max)
        return sl_scalar_fail(err, "E113", "%s is longer than %g characters", f->name, f->max);
    for (const char *p = text;; p++) {
        const char *start = p;
        size_t len = strcspn(p, "/");

        if (len == 0)
            return sl_scalar_fail(err, "E113", "%s '%s' has an empty part", f->name,
                                  sl_scalar_shown(text, shown));
        if (*start == '-' || *start == '.')
            return sl_scalar_fail(err, "E113", "a part of %s must not begin with '%c'", f->name,
                                  *start);
        for (size_t i = 0; i < len; i++)
            if (!isalnum((unsigned char)start[i]) && !strchr("_.-", start[i])) {
                sl_scalar_fail(err, "E113", "%s '%s' has a character that is not allowed", f->name,
                               sl_scalar_shown(text, shown));
                sl_scalar_hint(err, "letters, digits, '_', '.', '-', in parts joined by '/'");
                return -1;
            }
        p += len;
        if (!*p)
            return 0;
    }
}

struct pattern {
    const char *text;
    regex_t regex;
    struct pattern *next;
};

/* Compiled once a pattern of the tables, kept for the life of the process. */
static const regex_t *compiled(const char *text)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static struct pattern *list;
    struct pattern *p;

    pthread_mutex_lock(&lock);
    for (p = list; p && p->text != text; p = p->next)
        ;
    if (!p) {
        p = sl_alloc(sizeof(*p));
        p->text = text;
        if (regcomp(&p->regex, text, REG_EXTENDED | REG_NOSUB) != 0)
            abort(); /* a pattern of our own table */
        p->next = list;
        list = p;
    }
    pthread_mutex_unlock(&lock);
    return &p->regex;
}

/* A character that neither a terminal nor a one-line YAML scalar takes as it is. */
bool sl_scalar_unprintable(const char *text, size_t len)
{
    const unsigned char *t = (const unsigned char *)text;

    for (size_t i = 0; i < len; i++) {
        if (t[i] < 0x20 || t[i] == 0x7f)
            return true;
        if (t[i] == 0xc2 && t[i + 1] < 0xa0)
            return true; /* C1 controls */
        if (t[i] == 0xe2 && t[i + 1] == 0x80 && (t[i + 2] == 0xa8 || t[i + 2] == 0xa9))
            return true; /* line and paragraph separator */
        if (t[i] == 0xef &&
            ((t[i + 1] == 0xbb && t[i + 2] == 0xbf) || (t[i + 1] == 0xbf && t[i + 2] >= 0xbe)))
            return true; /* byte order mark, non-characters */
    }
    return false;
}

int sl_scalar_read_text(const struct sl_field *f, const char *text, bool plain,
                        struct sl_scalar_err *err)
{
    const char *what;
    char shown[64];

    if (plain && sl_scalar_not_string(text, &what)) {
        sl_scalar_fail(err, "E104", "%s must be a string, but %s is %s", f->name,
                       sl_scalar_shown(text, shown), what);
        sl_scalar_hint(err, "write it in quotes: \"%s\"",
                       text[0] && strlen(text) < 60 ? text : "…");
        return -1;
    }
    if (f->pattern && regexec(compiled(f->pattern), text, 0, NULL, 0) != 0) {
        sl_scalar_fail(err, "E109", "'%s' is not a value that %s may have",
                       sl_scalar_shown(text, shown), f->name);
        if (f->pattern_says)
            sl_scalar_hint(err, "%s", f->pattern_says);
        else
            sl_scalar_hint(err, "it must match %s", f->pattern);
        return -1;
    }
    return 0;
}
