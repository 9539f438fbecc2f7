/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "schemas/field.h"

#include "schemas/manifest.h"
#include "schemas/scalar.h"

static const void *at(const void *object, const struct sl_field *f)
{
    return (const char *)object + f->offset;
}

static unsigned count_at(const void *object, const struct sl_field *f)
{
    return *(const unsigned *)((const char *)object + f->count_offset);
}

static const void *pointer_at(const void *object, const struct sl_field *f)
{
    return *(void *const *)at(object, f);
}

const char *sl_impact_name(enum sl_impact impact)
{
    static const char *const names[SL_IMPACT_COUNT] = {"none", "hot", "swap", "break"};

    return impact < SL_IMPACT_COUNT ? names[impact] : "?";
}

/* A member without a default that was not given: not printed. */
static bool absent(const void *object, const struct sl_field *f)
{
    const void *p = at(object, f);

    switch (f->type) {
    case SL_T_BOOL:
    case SL_T_ENUM:
    case SL_T_MAP:
        return false;
    case SL_T_INT:
    case SL_T_DURATION:
    case SL_T_RATE:
    case SL_T_BYTES:
        return !f->def && *(const int64_t *)p == 0;
    case SL_T_REAL:
        return !f->def && *(const double *)p == 0;
    case SL_T_STRING:
    case SL_T_SIZE:
    case SL_T_PATH:
    case SL_T_NAME:
    case SL_T_VARIANT:
        return pointer_at(object, f) == NULL;
    case SL_T_STRINGS:
    case SL_T_LABELS:
        return count_at(object, f) == 0;
    case SL_TYPE_COUNT:
        break;
    }
    return true;
}

static bool member_equal(const struct sl_field *f, const void *a, const void *b)
{
    const void *pa = at(a, f), *pb = at(b, f);

    switch (f->type) {
    case SL_T_BOOL:
        return *(const bool *)pa == *(const bool *)pb;
    case SL_T_ENUM:
        return *(const int *)pa == *(const int *)pb;
    case SL_T_INT:
    case SL_T_DURATION:
    case SL_T_RATE:
    case SL_T_BYTES:
        return *(const int64_t *)pa == *(const int64_t *)pb;
    case SL_T_REAL:
        return *(const double *)pa == *(const double *)pb;
    case SL_T_STRING:
    case SL_T_SIZE:
    case SL_T_PATH:
    case SL_T_NAME:
        return sl_streq(pointer_at(a, f), pointer_at(b, f));
    case SL_T_MAP:
        return sl_table_equal(f->sub, pa, pb);
    case SL_T_VARIANT:
        pa = pointer_at(a, f);
        pb = pointer_at(b, f);
        return pa && pb ? sl_table_equal(f->sub, pa, pb) : pa == pb;
    case SL_T_STRINGS: {
        char *const *la = pointer_at(a, f), *const *lb = pointer_at(b, f);

        if (count_at(a, f) != count_at(b, f))
            return false;
        for (unsigned i = 0; i < count_at(a, f); i++)
            if (!sl_streq(la[i], lb[i]))
                return false;
        return true;
    }
    case SL_T_LABELS: {
        const struct sl_label *la = pointer_at(a, f), *lb = pointer_at(b, f);

        if (count_at(a, f) != count_at(b, f))
            return false;
        for (unsigned i = 0; i < count_at(a, f); i++)
            if (!sl_streq(la[i].key, lb[i].key) || !sl_streq(la[i].value, lb[i].value))
                return false;
        return true;
    }
    case SL_TYPE_COUNT:
        break;
    }
    return false;
}

bool sl_table_equal(const struct sl_table *table, const void *a, const void *b)
{
    if (a == b)
        return true;
    for (size_t i = 0; i < table->count; i++)
        if (!member_equal(&table->rows[i], a, b))
            return false;
    return true;
}

static void print_list(const struct sl_field *f, const void *object, struct sl_buf *out)
{
    bool labels = f->type == SL_T_LABELS;

    sl_buf_puts(out, labels ? "{" : "[");
    for (unsigned i = 0; i < count_at(object, f); i++) {
        if (i)
            sl_buf_puts(out, ", ");
        if (labels) {
            const struct sl_label *l = (const struct sl_label *)pointer_at(object, f) + i;

            sl_scalar_quote(l->key, out);
            sl_buf_puts(out, ": ");
            sl_scalar_quote(l->value, out);
        } else {
            sl_scalar_quote(((char *const *)pointer_at(object, f))[i], out);
        }
    }
    sl_buf_puts(out, labels ? "}" : "]");
}

static void print_leaf(const struct sl_field *f, const void *object, struct sl_buf *out)
{
    if (f->type == SL_T_STRINGS || f->type == SL_T_LABELS)
        print_list(f, object, out);
    else
        sl_scalar_print(f, at(object, f), out);
}

static bool all_absent(const struct sl_table *table, const void *object)
{
    for (size_t i = 0; i < table->count; i++) {
        const struct sl_field *f = &table->rows[i];

        if (f->type == SL_T_MAP ? !all_absent(f->sub, at(object, f)) : !absent(object, f))
            return false;
    }
    return true;
}

static void print_table(const struct sl_table *table, const void *object, unsigned indent,
                        struct sl_buf *out)
{
    for (size_t i = 0; i < table->count; i++) {
        const struct sl_field *f = &table->rows[i];
        const void *inner = NULL;

        if (absent(object, f))
            continue;
        if (f->type == SL_T_MAP || f->type == SL_T_VARIANT)
            inner = f->type == SL_T_MAP ? at(object, f) : pointer_at(object, f);
        if (f->type == SL_T_MAP && !f->required && all_absent(f->sub, inner))
            continue;
        sl_buf_printf(out, "%*s%s:", (int)indent, "", f->name);
        if (inner && all_absent(f->sub, inner)) {
            sl_buf_puts(out, " {}\n");
        } else if (inner) {
            sl_buf_puts(out, "\n");
            print_table(f->sub, inner, indent + 2, out);
        } else {
            sl_buf_puts(out, " ");
            print_leaf(f, object, out);
            sl_buf_puts(out, "\n");
        }
    }
}

void sl_table_print(const struct sl_table *table, const void *object, struct sl_buf *out)
{
    print_table(table, object, 0, out);
}

struct walk {
    char path[256];
    sl_change_fn *fn;
    void *user;
};

static size_t enter(struct walk *w, const char *name)
{
    size_t len = strlen(w->path);

    snprintf(w->path + len, sizeof(w->path) - len, "%s%s", len ? "." : "", name);
    return len;
}

/* Every leaf of an arm that is there on one side only. */
static void one_side(struct walk *w, const struct sl_field *arm, const void *object, bool is_new)
{
    const struct sl_table *table = arm->sub;
    bool told = false;

    for (size_t i = 0; i < table->count; i++) {
        const struct sl_field *f = &table->rows[i];
        size_t len;

        if (absent(object, f))
            continue;
        told = true;
        len = enter(w, f->name);
        if (f->type == SL_T_MAP || f->type == SL_T_VARIANT) {
            one_side(w, f, f->type == SL_T_MAP ? at(object, f) : pointer_at(object, f), is_new);
        } else {
            struct sl_buf text = {0};

            print_leaf(f, object, &text);
            w->fn(w->user, w->path, f, is_new ? "" : text.data, is_new ? text.data : "");
            sl_buf_free(&text);
        }
        w->path[len] = '\0';
    }
    if (!told)
        w->fn(w->user, w->path, arm, is_new ? "" : "{}", is_new ? "{}" : "");
}

static void diff(struct walk *w, const struct sl_table *table, const void *a, const void *b)
{
    for (size_t i = 0; i < table->count; i++) {
        const struct sl_field *f = &table->rows[i];
        size_t len;

        if (member_equal(f, a, b))
            continue;
        len = enter(w, f->name);
        if (f->type == SL_T_MAP) {
            diff(w, f->sub, at(a, f), at(b, f));
        } else if (f->type == SL_T_VARIANT) {
            const void *pa = pointer_at(a, f), *pb = pointer_at(b, f);

            if (pa && pb)
                diff(w, f->sub, pa, pb);
            else
                one_side(w, f, pa ? pa : pb, pb != NULL);
        } else {
            struct sl_buf from = {0}, to = {0};

            if (!absent(a, f))
                print_leaf(f, a, &from);
            if (!absent(b, f))
                print_leaf(f, b, &to);
            w->fn(w->user, w->path, f, from.data ? from.data : "", to.data ? to.data : "");
            sl_buf_free(&from);
            sl_buf_free(&to);
        }
        w->path[len] = '\0';
    }
}

void sl_table_diff(const struct sl_table *table, const void *a, const void *b, const char *prefix,
                   sl_change_fn *fn, void *user)
{
    struct walk w = {.fn = fn, .user = user};

    snprintf(w.path, sizeof(w.path), "%s", prefix ? prefix : "");
    diff(&w, table, a, b);
}

static void copy_into(const struct sl_table *table, const void *object, void *to,
                      struct sl_arena *arena)
{
    memcpy(to, object, table->size);
    for (size_t i = 0; i < table->count; i++) {
        const struct sl_field *f = &table->rows[i];
        void *dst = (char *)to + f->offset;

        switch (f->type) {
        case SL_T_STRING:
        case SL_T_SIZE:
        case SL_T_PATH:
        case SL_T_NAME:
            *(char **)dst = sl_arena_strdup(arena, pointer_at(object, f));
            break;
        case SL_T_MAP:
            copy_into(f->sub, at(object, f), dst, arena);
            break;
        case SL_T_VARIANT:
            if (pointer_at(object, f))
                *(void **)dst = sl_table_copy(f->sub, pointer_at(object, f), arena);
            break;
        case SL_T_STRINGS: {
            unsigned n = count_at(object, f);
            char **list = n ? sl_arena_alloc(arena, n * sizeof(*list)) : NULL;

            for (unsigned k = 0; k < n; k++)
                list[k] = sl_arena_strdup(arena, ((char *const *)pointer_at(object, f))[k]);
            *(char ***)dst = list;
            break;
        }
        case SL_T_LABELS: {
            unsigned n = count_at(object, f);
            const struct sl_label *from = pointer_at(object, f);
            struct sl_label *list = n ? sl_arena_alloc(arena, n * sizeof(*list)) : NULL;

            for (unsigned k = 0; k < n; k++) {
                list[k].key = sl_arena_strdup(arena, from[k].key);
                list[k].value = sl_arena_strdup(arena, from[k].value);
            }
            *(struct sl_label **)dst = list;
            break;
        }
        case SL_T_BOOL:
        case SL_T_INT:
        case SL_T_REAL:
        case SL_T_DURATION:
        case SL_T_RATE:
        case SL_T_BYTES:
        case SL_T_ENUM:
        case SL_TYPE_COUNT:
            break;
        }
    }
}

void *sl_table_copy(const struct sl_table *table, const void *object, struct sl_arena *arena)
{
    void *to = sl_arena_alloc(arena, table->size);

    copy_into(table, object, to, arena);
    return to;
}

const struct sl_field *sl_table_find(const struct sl_table *table, const char *dotted)
{
    while (table) {
        size_t len = strcspn(dotted, ".");
        const struct sl_field *found = NULL;

        for (size_t i = 0; i < table->count && !found; i++)
            if (strlen(table->rows[i].name) == len &&
                strncmp(table->rows[i].name, dotted, len) == 0)
                found = &table->rows[i];
        if (!found || !dotted[len])
            return found;
        table = found->sub;
        dotted += len + 1;
    }
    return NULL;
}

void sl_spec_hash(const struct sl_table *table, const void *spec, char ret[SL_SPEC_HASH_MAX])
{
    struct sl_buf text = {0};
    char hex[SL_SHA_HEX];

    sl_table_print(table, spec, &text);
    sl_sha256_hex(text.data ? text.data : "", text.len, hex);
    snprintf(ret, SL_SPEC_HASH_MAX, SL_SPEC_HASH_VERSION ":%s", hex);
    sl_buf_free(&text);
}
