/* SPDX-License-Identifier: GPL-2.0-or-later
 * The JSON Schema (draft-07) that editors use, out of the tables.
 */
#include "schemas/field.h"
#include "schemas/load.h"
#include "schemas/scalar.h"

#include <jansson.h>

#define NAME_PATTERN "^[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*$"
#define PATH_PATTERN "^(?!/)(?!(.*/)?\\.\\.(/|$))(?!.*//).*[^/]$"

static void put(json_t *object, const char *key, json_t *value)
{
    json_object_set_new(object, key, value);
}

static json_t *of_type(const char *type)
{
    json_t *o = json_object();

    put(o, "type", json_string(type));
    return o;
}

static json_t *of_pattern(const char *pattern)
{
    json_t *o = of_type("string");

    put(o, "pattern", json_string(pattern));
    return o;
}

/* A plain number means the base unit, as in a manifest. */
static json_t *amount(const char *pattern)
{
    json_t *o = json_object(), *any = json_array(), *number = of_type("integer");

    put(number, "minimum", json_integer(0));
    json_array_append_new(any, of_pattern(pattern));
    json_array_append_new(any, number);
    put(o, "anyOf", any);
    return o;
}

static json_t *words(const char *const *values)
{
    json_t *o = json_object(), *list = json_array();

    for (; *values; values++)
        json_array_append_new(list, json_string(*values));
    put(o, "enum", list);
    return o;
}

/* Scheme, no user info, no fragment. */
static json_t *of_url(const struct sl_field *f)
{
    struct sl_buf pattern = {0};
    json_t *o;

    for (const char *const *s = f->schemes; *s; s++)
        sl_buf_printf(&pattern, "%s%s", s == f->schemes ? "^(" : "|", *s);
    sl_buf_puts(&pattern, ")://[^/?#@\\s]+([/?][^#\\s]*)?$");
    o = of_pattern(pattern.data);
    sl_buf_free(&pattern);
    return o;
}

static json_t *of_text(const struct sl_field *f)
{
    return f->values    ? words(f->values)
           : f->schemes ? of_url(f)
           : f->pattern ? of_pattern(f->pattern)
                        : of_type("string");
}

static json_t *of_table(const struct sl_table *table);

static void set_default(const struct sl_field *f, json_t *o)
{
    struct sl_arena *arena = sl_arena_new();
    struct sl_scalar value;
    struct sl_scalar_err err;
    bool text = f->type == SL_T_STRING || f->type == SL_T_PATH;

    if (f->def && sl_scalar_read(f, f->def, strlen(f->def), !text, arena, &value, &err) == 0) {
        if (f->type == SL_T_BOOL)
            put(o, "default", json_boolean(value.i));
        else if (f->type == SL_T_INT)
            put(o, "default", json_integer(value.i));
        else if (f->type == SL_T_REAL)
            put(o, "default",
                value.d == (double)(json_int_t)value.d ? json_integer((json_int_t)value.d)
                                                       : json_real(value.d));
        else
            put(o, "default", json_string(f->def));
    }
    sl_arena_free(arena);
}

static json_t *of_field(const struct sl_field *f)
{
    json_t *o = NULL;

    switch (f->type) {
    case SL_T_BOOL:
        o = of_type("boolean");
        break;
    case SL_T_INT:
    case SL_T_REAL:
        o = of_type(f->type == SL_T_INT ? "integer" : "number");
        if (f->min != 0 || f->max != 0) {
            put(o, "minimum", json_integer((json_int_t)f->min));
            put(o, "maximum", json_integer((json_int_t)f->max));
        }
        break;
    case SL_T_DURATION:
        o = of_pattern("^([0-9]+(\\.[0-9]+)?(d|h|m|s|ms))+$");
        break;
    case SL_T_RATE:
        o = amount("^[0-9]+(\\.[0-9]+)?[kMG]$");
        break;
    case SL_T_BYTES:
        o = amount("^[0-9]+(\\.[0-9]+)?([KMGT]iB|[kMGT]B)$");
        break;
    case SL_T_SIZE:
        o = of_pattern("^[1-9][0-9]*x[1-9][0-9]*$");
        break;
    case SL_T_PATH:
        o = of_pattern(PATH_PATTERN);
        break;
    case SL_T_NAME:
        o = of_pattern(NAME_PATTERN);
        put(o, "maxLength", json_integer((json_int_t)f->max));
        break;
    case SL_T_ENUM:
        o = words(f->values);
        break;
    case SL_T_STRING:
        o = of_text(f);
        break;
    case SL_T_MAP:
    case SL_T_VARIANT:
        o = of_table(f->sub);
        break;
    case SL_T_STRINGS:
        o = of_type("array");
        put(o, "items", of_text(f));
        if (f->values) {
            put(o, "minItems", json_integer(1));
            put(o, "uniqueItems", json_true());
        }
        break;
    case SL_T_LABELS:
        o = of_type("object");
        put(o, "propertyNames", of_pattern("^[A-Za-z0-9_][A-Za-z0-9_./-]{0,62}$"));
        put(o, "additionalProperties", of_type("string"));
        break;
    case SL_TYPE_COUNT:
        break;
    }
    put(o, "description", json_string(f->doc));
    set_default(f, o);
    return o;
}

static json_t *of_table(const struct sl_table *table)
{
    json_t *o = of_type("object"), *properties = json_object(), *required = json_array();

    put(o, "additionalProperties", json_false());
    for (size_t i = 0; i < table->count; i++) {
        put(properties, table->rows[i].name, of_field(&table->rows[i]));
        if (table->rows[i].required)
            json_array_append_new(required, json_string(table->rows[i].name));
    }
    put(o, "properties", properties);
    if (json_array_size(required))
        put(o, "required", required);
    else
        json_decref(required);
    if (table->one_of) {
        if (!table->one_of_default)
            put(o, "minProperties", json_integer(1));
        put(o, "maxProperties", json_integer(1));
    }
    return o;
}

char *sl_json_schema(void)
{
    json_t *root = json_object(), *all = json_array(), *properties = json_object();
    json_t *definitions = json_object(), *required = json_array();
    char *text;

    put(root, "$schema", json_string("http://json-schema.org/draft-07/schema#"));
    put(root, "title", json_string("Sluice manifest, sluice/v1"));
    put(root, "type", json_string("object"));
    json_array_append_new(required, json_string("apiVersion"));
    json_array_append_new(required, json_string("kind"));
    put(root, "required", required);
    put(properties, "apiVersion", of_field(sl_table_find(sl_table_of_kind(0), "apiVersion")));
    put(properties, "kind", of_field(sl_table_find(sl_table_of_kind(0), "kind")));
    put(root, "properties", properties);
    for (int kind = 0; kind < SL_KIND_COUNT; kind++) {
        const struct sl_table *table = sl_table_of_kind(kind);
        json_t *branch = json_object();

        put(branch, "if", json_pack("{s:{s:{s:s}}}", "properties", "kind", "const", table->name));
        put(branch, "then",
            json_pack("{s:o}", "$ref", json_sprintf("#/definitions/%s", table->name)));
        json_array_append_new(all, branch);
        put(definitions, table->name, of_table(table));
    }
    put(root, "allOf", all);
    put(root, "definitions", definitions);
    text = json_dumps(root, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
    json_decref(root);
    if (!text)
        abort(); /* memory */
    return text;
}
