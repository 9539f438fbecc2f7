/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "schemas/check.h"

#include "schemas/manifest.h"
#include "schemas/nearest.h"
#include "schemas/scalar.h"

#define LABELS_MAX 64
#define LIST_MAX   1000

struct check {
    struct sl_document *doc;
    const struct sl_table *whole;
    char path[256];
};

static size_t enter(struct check *c, const char *name)
{
    size_t len = strlen(c->path);
    char shown[64];

    snprintf(c->path + len, sizeof(c->path) - len, "%s%s", len ? "." : "",
             sl_scalar_shown(name, shown));
    return len;
}

static void leave(struct check *c, size_t len)
{
    c->path[len] = '\0';
}

#define SAY(c, code, node, hint, ...)                                                              \
    sl_document_say((c)->doc, SL_DIAG_ERROR, code, node, (c)->path, hint, __VA_ARGS__)

static const struct sl_field *row_of(const struct sl_table *table, const char *key)
{
    for (size_t i = 0; i < table->count; i++)
        if (strcmp(table->rows[i].name, key) == 0)
            return &table->rows[i];
    return NULL;
}

/* Where in the whole document a key of this name belongs, as a dotted path. */
static bool belongs(const struct sl_table *table, const char *key, char *path, size_t size)
{
    size_t len = strlen(path);

    if (row_of(table, key)) {
        snprintf(path + len, size - len, "%s%s", len ? "." : "", key);
        return true;
    }
    for (size_t i = 0; i < table->count; i++) {
        const struct sl_field *f = &table->rows[i];

        if (!f->sub)
            continue;
        snprintf(path + len, size - len, "%s%s", len ? "." : "", f->name);
        if (belongs(f->sub, key, path, size))
            return true;
        path[len] = '\0';
    }
    return false;
}

static void unknown_key(struct check *c, const struct sl_table *table, const struct sl_node *key)
{
    struct sl_nearest near = sl_nearest_start(key->text);
    char hint[300] = "", where[128] = "", shown[64], ref[72];
    const struct sl_field *row;
    size_t n;

    snprintf(ref, sizeof(ref), "%.64sRef", key->text);
    row = row_of(table, ref);
    if (row) {
        snprintf(hint, sizeof(hint),
                 "write %s: %s, and put the secret into a file of that name below a secrets "
                 "directory",
                 ref, row->sub ? "{name: SECRET}" : "SECRET");
        SAY(c, "InlineSecret", key, hint, "%s must not be written here", key->text);
        return;
    }
    for (size_t i = 0; i < table->count; i++)
        sl_nearest_try(&near, table->rows[i].name);
    if (near.best) {
        snprintf(hint, sizeof(hint), "did you mean '%s'?", near.best);
    } else if (c->whole && belongs(c->whole, key->text, where, sizeof(where))) {
        snprintf(hint, sizeof(hint), "it belongs at %s", where);
    } else if (table->count == 0) {
        snprintf(hint, sizeof(hint), "'%s' has no keys yet; write %s: {}", table->name,
                 table->name);
    } else {
        n = (size_t)snprintf(hint, sizeof(hint), "keys known here: ");
        for (size_t i = 0; i < table->count && n < sizeof(hint); i++)
            n += (size_t)snprintf(hint + n, sizeof(hint) - n, "%s%s", i ? ", " : "",
                                  table->rows[i].name);
    }
    SAY(c, "E102", key, hint, "unknown key '%s'", sl_scalar_shown(key->text, shown));
}

static void check_scalar(struct check *c, const struct sl_field *f, const struct sl_node *node,
                         const struct sl_node *shown_at)
{
    struct sl_scalar value;
    struct sl_scalar_err err;

    if (node->kind != SL_NODE_SCALAR) {
        SAY(c, "E104", shown_at, NULL, "%s must be %s, not a %s", f->name, sl_scalar_wanted(f),
            node->kind == SL_NODE_MAP ? "mapping" : "list");
        return;
    }
    if (sl_scalar_read(f, node->text, node->len, node->plain, c->doc->scratch, &value, &err) < 0)
        SAY(c, err.code, node, err.hint, "%s", err.message);
}

static bool stands_before(const struct sl_node *list, const struct sl_node *item)
{
    const struct sl_node *real = sl_node_real(item);

    if (real->kind != SL_NODE_SCALAR)
        return false;
    for (const struct sl_node *n = list->first; n != item; n = n->next)
        if (sl_node_real(n)->kind == SL_NODE_SCALAR && sl_streq(sl_node_real(n)->text, real->text))
            return true;
    return false;
}

static void check_list(struct check *c, const struct sl_field *f, const struct sl_node *node,
                       const struct sl_node *shown_at)
{
    unsigned n = 0;

    if (node->kind != SL_NODE_SEQ) {
        SAY(c, "E104", shown_at, "write it as [a, b]", "%s must be a list", f->name);
        return;
    }
    if (f->values && !node->first)
        SAY(c, "E108", shown_at, "leave the key out to allow all", "%s names none", f->name);
    for (const struct sl_node *item = node->first; item; item = item->next) {
        const struct sl_node *real = sl_node_real(item);
        char index[24];
        size_t len = strlen(c->path);

        snprintf(index, sizeof(index), "[%u]", n);
        snprintf(c->path + len, sizeof(c->path) - len, "%s", index);
        if (++n > LIST_MAX) {
            SAY(c, "E111", item, NULL, "%s holds more than %d values", f->name, LIST_MAX);
            leave(c, len);
            return;
        }
        check_scalar(c, f, real, item);
        if (f->values && stands_before(node, item))
            SAY(c, "E112", item, "keep one of them", "'%s' stands in %s twice", real->text,
                f->name);
        leave(c, len);
    }
}

static bool label_key(const char *key)
{
    size_t len = strlen(key);

    return len > 0 && len <= 63 && strchr("./-", key[0]) == NULL &&
           strspn(key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./-") == len;
}

static void check_labels(struct check *c, const struct sl_field *f, const struct sl_node *node,
                         const struct sl_node *shown_at)
{
    struct sl_field label = *f;
    unsigned n = 0;

    if (node->kind != SL_NODE_MAP) {
        SAY(c, "E104", shown_at, "write it as {site: berlin}", "%s must be a mapping", f->name);
        return;
    }
    for (const struct sl_node *key = node->first; key && key->next; key = key->next->next) {
        const struct sl_node *value = sl_node_real(key->next);
        size_t len = enter(c, key->text);
        char shown[64];

        label.name = sl_scalar_shown(key->text, shown);
        if (++n > LABELS_MAX) {
            SAY(c, "E111", key, NULL, "more than %d labels", LABELS_MAX);
            leave(c, len);
            return;
        }
        if (!label_key(key->text))
            SAY(c, "E113", key, "letters, digits, '_', '.', '-', '/'; 63 characters at most",
                "'%s' cannot be the name of a label", shown);
        if (value->kind == SL_NODE_SCALAR &&
            sl_scalar_is_null(value->text, value->len, value->plain))
            SAY(c, "E108", key->next, "write \"\" for an empty label", "%s has no value", shown);
        else
            check_scalar(c, &label, value, key->next);
        leave(c, len);
    }
}

static void check_map(struct check *c, const struct sl_table *table, const struct sl_node *node,
                      const struct sl_node *shown_at, const struct sl_node *owner);

static void null_value(struct check *c, const struct sl_field *f, const struct sl_node *key,
                       const struct sl_node *value)
{
    char hint[100];

    if (f->type == SL_T_VARIANT && f->sub->count == 0)
        snprintf(hint, sizeof(hint), "write %s: {}", f->name);
    else if (f->type == SL_T_STRING && !f->values && !f->pattern)
        snprintf(hint, sizeof(hint), "write \"\" for an empty text, or leave the key out");
    else
        snprintf(hint, sizeof(hint),
                 f->required ? "give it a value" : "give it a value, or leave the key out");
    SAY(c, "E108", value->len ? value : key, hint, "%s has no value", f->name);
}

static void check_value(struct check *c, const struct sl_field *f, const struct sl_node *key)
{
    const struct sl_node *node = sl_node_real(key->next);

    if (node->kind == SL_NODE_SCALAR && sl_scalar_is_null(node->text, node->len, node->plain)) {
        null_value(c, f, key, key->next);
        return;
    }
    switch (f->type) {
    case SL_T_MAP:
    case SL_T_VARIANT:
        check_map(c, f->sub, node, key->next, key);
        break;
    case SL_T_STRINGS:
        check_list(c, f, node, key->next);
        break;
    case SL_T_LABELS:
        check_labels(c, f, node, key->next);
        break;
    case SL_T_STRING:
    case SL_T_BOOL:
    case SL_T_INT:
    case SL_T_REAL:
    case SL_T_DURATION:
    case SL_T_RATE:
    case SL_T_BYTES:
    case SL_T_SIZE:
    case SL_T_PATH:
    case SL_T_NAME:
    case SL_T_ENUM:
        check_scalar(c, f, node, key->next);
        break;
    case SL_TYPE_COUNT:
        break;
    }
}

static void check_one_of(struct check *c, const struct sl_table *table, const struct sl_node *node,
                         const struct sl_node *owner)
{
    const struct sl_node *first = NULL;
    char names[160] = "";
    size_t n = 0;

    for (const struct sl_node *key = node->first; key && key->next; key = key->next->next) {
        const struct sl_field *f = row_of(table, key->text);

        if (!f || f->type != SL_T_VARIANT)
            continue;
        if (first)
            SAY(c, "E106", key, "keep exactly one of them", "'%s' beside '%s': %s takes only one",
                key->text, first->text, table->name);
        else
            first = key;
    }
    if (first || table->one_of_default)
        return;
    for (size_t i = 0; i < table->count && n < sizeof(names); i++)
        n += (size_t)snprintf(names + n, sizeof(names) - n, "%s%s", i ? ", " : "",
                              table->rows[i].name);
    SAY(c, "E106", owner ? owner : node, NULL, "%s needs one of: %s", table->name, names);
}

static void check_map(struct check *c, const struct sl_table *table, const struct sl_node *node,
                      const struct sl_node *shown_at, const struct sl_node *owner)
{
    if (node->kind == SL_NODE_SCALAR && table->shorthand) {
        const struct sl_field *f = row_of(table, table->shorthand);

        check_scalar(c, f, node, shown_at);
        return;
    }
    if (node->kind != SL_NODE_MAP) {
        char hint[100] = "";

        if (table->one_of && node->kind == SL_NODE_SCALAR && row_of(table, node->text))
            snprintf(hint, sizeof(hint), "write %s: {%.40s: {}}", table->name, node->text);
        else if (node->kind == SL_NODE_SEQ)
            snprintf(hint, sizeof(hint), "leave the '-' out");
        else if (sl_streq(table->name, "ref"))
            snprintf(hint, sizeof(hint), "write {name: SECRET}: the name of a secret");
        SAY(c, "E104", shown_at, hint, "%s must be a mapping (KEY: VALUE …)",
            owner ? owner->text : "a document");
        return;
    }
    for (const struct sl_node *key = node->first; key && key->next; key = key->next->next) {
        const struct sl_field *f = row_of(table, key->text);
        size_t len = enter(c, key->text);

        if (f)
            check_value(c, f, key);
        else
            unknown_key(c, table, key);
        leave(c, len);
    }
    for (size_t i = 0; i < table->count; i++)
        if (table->rows[i].required && !sl_node_get(node, table->rows[i].name, NULL)) {
            const struct sl_field *f = &table->rows[i];
            size_t len = enter(c, f->name);
            char hint[160];

            snprintf(hint, sizeof(hint), "%s", f->doc);
            SAY(c, "E103", owner ? owner : node, hint, "'%s' is missing%s%s", f->name,
                owner ? " in " : "", owner ? owner->text : "");
            leave(c, len);
        }
    if (table->one_of)
        check_one_of(c, table, node, owner);
}

void sl_check_table(struct sl_document *doc, const struct sl_table *table,
                    const struct sl_node *node, const struct sl_node *owner, const char *path,
                    const struct sl_table *whole)
{
    struct check c = {.doc = doc, .whole = whole};

    snprintf(c.path, sizeof(c.path), "%s", path);
    check_map(&c, table, sl_node_real(node), node, owner);
}

const struct sl_table *sl_check_object(struct sl_document *doc, const struct sl_node *root)
{
    const struct sl_field *row = sl_table_find(sl_table_of_kind(0), "kind");
    const struct sl_node *kind, *version, *key = NULL;
    struct check c = {.doc = doc};
    struct sl_scalar value;
    struct sl_scalar_err err;
    char shown[64];

    if (root->kind != SL_NODE_MAP) {
        SAY(&c, "E104", root, "begin with apiVersion: sluice/v1",
            "a document must be a mapping (KEY: VALUE …)");
        return NULL;
    }
    version = sl_node_get(root, "apiVersion", &key);
    if (version && (version->kind != SL_NODE_SCALAR || !sl_streq(version->text, "sluice/v1"))) {
        enter(&c, "apiVersion");
        SAY(&c, "E109", sl_node_real(version), "write apiVersion: sluice/v1",
            version->kind == SL_NODE_SCALAR ? "unknown apiVersion '%s'"
                                            : "apiVersion is no text%.0s",
            sl_scalar_shown(version->kind == SL_NODE_SCALAR ? version->text : "", shown));
        return NULL; /* another language: its keys are not ours to judge */
    }
    kind = sl_node_get(root, "kind", &key);
    if (!kind) {
        if (!version)
            SAY(&c, "E103", root, "begin with apiVersion: sluice/v1",
                "not a manifest: 'apiVersion' and 'kind' are missing");
        else
            SAY(&c, "E103", root, "write kind: Stream", "'kind' is missing");
        return NULL;
    }
    enter(&c, "kind");
    if (kind->kind != SL_NODE_SCALAR) {
        SAY(&c, "E104", key, "write kind: Stream", "kind must be one word");
        return NULL;
    }
    if (sl_scalar_read(row, kind->text, kind->len, kind->plain, doc->scratch, &value, &err) < 0) {
        SAY(&c, err.code, kind, err.hint, "%s", err.message);
        return NULL;
    }
    sl_check_table(doc, sl_table_of_kind((int)value.i), root, NULL, "",
                   sl_table_of_kind((int)value.i));
    return sl_table_of_kind((int)value.i);
}

const char *sl_default_arm(const struct sl_table *parent, const struct sl_field *row,
                           const struct sl_node *node)
{
    size_t len = strlen(row->name);

    for (size_t i = 0; i < parent->count; i++) {
        const struct sl_table *sibling = parent->rows[i].sub;
        const struct sl_node *map = sl_node_get(node, parent->rows[i].name, NULL);

        for (size_t k = 0; sibling && map && k < sibling->count; k++) {
            const struct sl_field *arm = &sibling->rows[k];

            if (arm->implies && strncmp(arm->implies, row->name, len) == 0 &&
                arm->implies[len] == '.' && sl_node_get(map, arm->name, NULL))
                return arm->implies + len + 1;
        }
    }
    return row->sub->one_of_default;
}
