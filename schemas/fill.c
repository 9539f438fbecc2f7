/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "schemas/fill.h"

#include "schemas/manifest.h"
#include "schemas/scalar.h"

#include <cyaml/cyaml.h>
#include <pthread.h>

/* ---- the schema ---- */

struct made {
    const struct sl_table *table;
    cyaml_schema_field_t *fields;
    struct made *next;
};

static const cyaml_schema_value_t string_value = {.type = CYAML_STRING,
                                                  .flags = CYAML_FLAG_POINTER,
                                                  .data_size = sizeof(char),
                                                  .string = {.min = 0, .max = CYAML_UNLIMITED}};
static const cyaml_schema_field_t label_fields[] = {
    CYAML_FIELD_STRING_PTR("key", CYAML_FLAG_POINTER, struct sl_label, key, 0, CYAML_UNLIMITED),
    CYAML_FIELD_STRING_PTR("value", CYAML_FLAG_POINTER, struct sl_label, value, 0, CYAML_UNLIMITED),
    CYAML_FIELD_END};
static const cyaml_schema_value_t label_value = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct sl_label, label_fields)};

static void scalar_value(cyaml_schema_value_t *v, cyaml_type_e type, size_t size)
{
    v->type = type;
    v->data_size = (uint32_t)size;
}

static void enum_value(const struct sl_field *f, cyaml_schema_value_t *v)
{
    cyaml_strval_t *strings;
    unsigned n = 0;

    while (f->values[n])
        n++;
    strings = sl_alloc(n * sizeof(*strings));
    for (unsigned i = 0; i < n; i++)
        strings[i] = (cyaml_strval_t){f->values[i], i};
    scalar_value(v, CYAML_ENUM, sizeof(int));
    v->flags |= CYAML_FLAG_STRICT;
    v->enumeration.strings = strings;
    v->enumeration.count = n;
}

static const cyaml_schema_field_t *fields_of(struct made **list, const struct sl_table *table);

static void field_value(struct made **list, const struct sl_field *f, cyaml_schema_field_t *out)
{
    cyaml_schema_value_t *v = &out->value;

    v->flags = CYAML_FLAG_OPTIONAL;
    switch (f->type) {
    case SL_T_STRING:
    case SL_T_SIZE:
    case SL_T_PATH:
    case SL_T_NAME:
        *v = string_value;
        v->flags |= CYAML_FLAG_OPTIONAL;
        break;
    case SL_T_BOOL:
        scalar_value(v, CYAML_BOOL, sizeof(bool));
        break;
    case SL_T_INT:
    case SL_T_DURATION:
    case SL_T_RATE:
    case SL_T_BYTES:
        scalar_value(v, CYAML_INT, sizeof(int64_t));
        break;
    case SL_T_REAL:
        scalar_value(v, CYAML_FLOAT, sizeof(double));
        break;
    case SL_T_ENUM:
        enum_value(f, v);
        break;
    case SL_T_MAP:
    case SL_T_VARIANT:
        scalar_value(v, CYAML_MAPPING, f->sub->size);
        if (f->type == SL_T_VARIANT)
            v->flags |= CYAML_FLAG_POINTER;
        v->mapping.fields = fields_of(list, f->sub);
        break;
    case SL_T_STRINGS:
    case SL_T_LABELS:
        v->type = CYAML_SEQUENCE;
        v->flags |= CYAML_FLAG_POINTER;
        v->data_size = f->type == SL_T_LABELS ? sizeof(struct sl_label) : sizeof(char *);
        v->sequence.entry = f->type == SL_T_LABELS ? &label_value : &string_value;
        v->sequence.max = CYAML_UNLIMITED;
        out->count_offset = (uint32_t)f->count_offset;
        out->count_size = sizeof(unsigned);
        break;
    case SL_TYPE_COUNT:
        break;
    }
}

static const cyaml_schema_field_t *fields_of(struct made **list, const struct sl_table *table)
{
    struct made *m;

    for (m = *list; m; m = m->next)
        if (m->table == table)
            return m->fields;
    m = sl_alloc(sizeof(*m));
    m->table = table;
    m->fields = sl_alloc((table->count + 1) * sizeof(*m->fields)); /* the last: key NULL */
    m->next = *list;
    *list = m;
    for (size_t i = 0; i < table->count; i++) {
        m->fields[i].key = table->rows[i].name;
        m->fields[i].data_offset = (uint32_t)table->rows[i].offset;
        field_value(list, &table->rows[i], &m->fields[i]);
    }
    return m->fields;
}

/* Kept for the life of the process. */
static const cyaml_schema_field_t *schema_of(const struct sl_table *table)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static struct made *list;
    const cyaml_schema_field_t *fields;

    pthread_mutex_lock(&lock);
    fields = fields_of(&list, table);
    pthread_mutex_unlock(&lock);
    return fields;
}

/* libcyaml's allocator: an arena. It never tells the old size, so it stands before the block. */
static void *arena_memory(void *ctx, void *old, size_t size)
{
    size_t *block;

    if (size == 0)
        return NULL;
    if (old && ((size_t *)old)[-2] >= size)
        return old;
    block = sl_arena_alloc(ctx, size + 2 * sizeof(*block));
    block[0] = size;
    if (old)
        memcpy(block + 2, old, ((size_t *)old)[-2]);
    return block + 2;
}

/* ---- the writer: the rewritten tree as one line of flow, every scalar in double quotes ---- */

struct writer {
    struct sl_buf out;
    struct sl_arena *scratch;
    const struct sl_override *overrides;
    size_t noverrides;
    char path[256];
};

static const char *override_of(const struct writer *w)
{
    const char *value = NULL;

    for (size_t i = 0; i < w->noverrides; i++) /* the last wins */
        if (sl_streq(w->overrides[i].path, w->path))
            value = w->overrides[i].value;
    return value;
}

static void write_base(struct writer *w, const struct sl_field *f, const char *text, size_t len,
                       bool plain)
{
    struct sl_scalar value;
    struct sl_scalar_err err;
    struct sl_buf base = {0};

    if (sl_scalar_read(f, text, len, plain, w->scratch, &value, &err) < 0) {
        sl_buf_puts(&w->out, "\"\""); /* the check said so, or a default of ours is wrong */
        return;
    }
    if (f->type == SL_T_BOOL || f->type == SL_T_ENUM || value.s == NULL || !*value.s ||
        f->type == SL_T_INT || f->type == SL_T_REAL || f->type == SL_T_DURATION ||
        f->type == SL_T_RATE || f->type == SL_T_BYTES) {
        sl_scalar_base(f, &value, &base);
        sl_scalar_quote(base.data ? base.data : "", &w->out);
        sl_buf_free(&base);
    } else {
        sl_scalar_quote(value.s, &w->out);
    }
}

static void write_key(struct writer *w, const char *key, bool *first)
{
    sl_buf_puts(&w->out, *first ? "\"" : ",\"");
    sl_buf_puts(&w->out, key);
    sl_buf_puts(&w->out, "\": ");
    *first = false;
}

static bool holds(const struct sl_node *list, const char *value)
{
    for (const struct sl_node *item = list->first; item; item = item->next)
        if (sl_streq(sl_node_real(item)->text, value))
            return true;
    return false;
}

static void write_list(struct writer *w, const struct sl_field *f, const struct sl_node *node,
                       const char *text)
{
    bool first = true;

    sl_buf_puts(&w->out, "[");
    if (text) {
        for (; *text; text += *text == ':') {
            size_t len = strcspn(text, ":");

            if (len) {
                sl_buf_puts(&w->out, first ? "" : ",");
                sl_scalar_quote(sl_arena_strndup(w->scratch, text, len), &w->out);
                first = false;
            }
            text += len;
        }
    } else if (f->type == SL_T_LABELS) {
        for (const struct sl_node *k = node->first; k && k->next; k = k->next->next) {
            sl_buf_puts(&w->out, first ? "{\"key\": " : ",{\"key\": ");
            sl_scalar_quote(k->text, &w->out);
            sl_buf_puts(&w->out, ",\"value\": ");
            sl_scalar_quote(sl_node_real(k->next)->text, &w->out);
            sl_buf_puts(&w->out, "}");
            first = false;
        }
    } else if (f->values) { /* a set: in the order of the table */
        for (const char *const *value = f->values; *value; value++) {
            if (!holds(node, *value))
                continue;
            sl_buf_puts(&w->out, first ? "" : ",");
            sl_scalar_quote(*value, &w->out);
            first = false;
        }
    } else {
        for (const struct sl_node *item = node->first; item; item = item->next) {
            sl_buf_puts(&w->out, first ? "" : ",");
            sl_scalar_quote(sl_node_real(item)->text, &w->out);
            first = false;
        }
    }
    sl_buf_puts(&w->out, "]");
}

static void write_table(struct writer *w, const struct sl_table *table, const struct sl_node *node,
                        const char *default_arm);

static void write_row(struct writer *w, const struct sl_table *table, const struct sl_field *f,
                      const struct sl_node *map, const struct sl_node *node, bool is_default,
                      bool *first)
{
    const char *text = w->noverrides ? override_of(w) : NULL;

    if (f->type == SL_T_MAP || f->type == SL_T_VARIANT) {
        if (f->type == SL_T_VARIANT && !node && !is_default)
            return;
        write_key(w, f->name, first);
        write_table(w, f->sub, node, f->sub->one_of ? sl_default_arm(table, f, map) : NULL);
    } else if (f->type == SL_T_STRINGS || f->type == SL_T_LABELS) {
        if (!node && !text)
            return;
        write_key(w, f->name, first);
        write_list(w, f, node, text);
    } else if (text || node || f->def) {
        bool plain = text || !node ? f->type != SL_T_STRING && f->type != SL_T_PATH : node->plain;

        write_key(w, f->name, first);
        if (text || !node)
            text = text ? text : f->def;
        write_base(w, f, text ? text : node->text, text ? strlen(text) : node->len, plain);
    }
}

static void write_table(struct writer *w, const struct sl_table *table, const struct sl_node *node,
                        const char *default_arm)
{
    bool first = true, any_arm = false;
    const struct sl_node *shorthand = NULL;

    node = sl_node_real(node);
    if (node && node->kind == SL_NODE_SCALAR && table->shorthand) {
        shorthand = node;
        node = NULL;
    }
    for (size_t i = 0; table->one_of && i < table->count; i++)
        any_arm = any_arm || sl_node_get(node, table->rows[i].name, NULL);
    sl_buf_puts(&w->out, "{");
    for (size_t i = 0; i < table->count; i++) {
        const struct sl_field *f = &table->rows[i];
        const struct sl_node *value = sl_node_get(node, f->name, NULL);
        size_t len = strlen(w->path);

        if (shorthand && sl_streq(f->name, table->shorthand))
            value = shorthand;
        snprintf(w->path + len, sizeof(w->path) - len, "%s%s", len ? "." : "", f->name);
        write_row(w, table, f, node, value,
                  table->one_of && !any_arm && sl_streq(f->name, default_arm), &first);
        w->path[len] = '\0';
    }
    sl_buf_puts(&w->out, "}");
}

int sl_fill(const struct sl_table *table, const struct sl_node *root,
            const struct sl_override *overrides, size_t noverrides, struct sl_arena *arena,
            void **ret, struct sl_err *err)
{
    SL_CLEAN(sl_arena_freep) struct sl_arena *scratch = sl_arena_new();
    struct writer w = {.scratch = scratch, .overrides = overrides, .noverrides = noverrides};
    cyaml_config_t config = {.mem_fn = arena_memory, .mem_ctx = arena, .flags = CYAML_CFG_NO_ALIAS};
    cyaml_schema_value_t top = {
        .type = CYAML_MAPPING, .flags = CYAML_FLAG_POINTER, .data_size = (uint32_t)table->size};
    cyaml_data_t *data = NULL;
    cyaml_err_t rc;

    top.mapping.fields = schema_of(table);
    write_table(&w, table, root, table->one_of_default);
    rc = cyaml_load_data((const uint8_t *)w.out.data, w.out.len, &config, &top, &data, NULL);
    sl_buf_free(&w.out);
    if (rc != CYAML_OK || !data)
        return sl_err_set(err, SL_ERR_BUG, 0, "LoadBug", "libcyaml refused a checked document: %s",
                          cyaml_strerror(rc));
    *ret = data;
    return 0;
}
