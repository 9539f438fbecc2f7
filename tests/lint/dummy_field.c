/* SPDX-License-Identifier: GPL-2.0-or-later
 * Built by check_dummy_field.sh against a copy of schemas/ with one member and one row more.
 * Knows the field by its name only, as every user of the tables does.
 */
#include "schemas/field.h"
#include "schemas/load.h"

#define HEAD "apiVersion: sluice/v1\nkind: Stream\nmetadata: {name: a}\n"

static int failures;
static char changes[400];

static void expect(bool ok, const char *what)
{
    if (!ok) {
        printf("dummy field: not seen in %s\n", what);
        failures++;
    }
}

static void on_change(void *user, const char *path, const struct sl_field *field, const char *from,
                      const char *to)
{
    (void)user;
    snprintf(changes, sizeof(changes), "%s %s %s %s", path, sl_impact_name(field->impact), from,
             to);
}

static struct sl_loaded_file load(struct sl_arena *arena, const char *spec)
{
    struct sl_loaded_file file;
    char *text = sl_asprintf("%sspec: {%s}\n", HEAD, spec);

    sl_load_file(arena, "a.yaml", text, strlen(text), &file);
    free(text);
    return file;
}

int main(void)
{
    struct sl_arena *arena = sl_arena_new();
    const struct sl_table *table = &sl_table_stream_spec;
    struct sl_loaded_file absent = load(arena, "source: {test: {}}");
    struct sl_loaded_file given = load(arena, "dummyDelay: 1m30s, source: {test: {}}");
    struct sl_loaded_file other = load(arena, "dummyDelay: 8s, source: {test: {}}");
    struct sl_loaded_file typo = load(arena, "dumyDelay: 8s, source: {test: {}}");
    struct sl_buf text = {0};
    const struct sl_stream_spec *a, *b;
    sl_autofree char *schema = sl_json_schema();

    expect(given.diags.count == 1 && strcmp(given.diags.list[0].code, "E105") == 0, "range");
    expect(typo.diags.count == 1 && strstr(typo.diags.list[0].hint, "dummyDelay"), "did you mean");
    expect(absent.count == 1 && other.count == 1, "load");
    if (absent.count != 1 || other.count != 1)
        return 1;
    a = absent.objects[0].object->stream;
    b = other.objects[0].object->stream;
    expect(!sl_table_equal(table, a, b), "equal");
    expect(sl_table_equal(table, b, sl_table_copy(table, b, arena)), "copy");
    expect(strcmp(absent.objects[0].hash, other.objects[0].hash) != 0, "hash");
    sl_table_print(table, b, &text);
    expect(strstr(text.data, "dummyDelay: 8s\n") != NULL, "print");
    sl_table_diff(table, a, b, "spec", on_change, NULL);
    expect(strcmp(changes, "spec.dummyDelay hot 5s 8s") == 0, "diff");
    expect(strstr(schema, "\"dummyDelay\"") && strstr(schema, "a dummy"), "JSON Schema");
    expect(sl_table_find(table, "dummyDelay") != NULL, "find");
    sl_buf_free(&text);
    sl_arena_free(arena);
    return failures != 0;
}
