/* SPDX-License-Identifier: GPL-2.0-or-later
 * Any bytes as a manifest: what pass 1 accepts, libcyaml accepts; what was loaded prints, reads
 * back to the same hash, equals its copy and differs from it nowhere.
 */
#include "schemas/field.h"
#include "schemas/load.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void differs(void *user, const char *path, const struct sl_field *field, const char *from,
                    const char *to)
{
    (void)user;
    (void)field;
    fprintf(stderr, "copy differs at %s: %s, %s\n", path, from, to);
    abort();
}

static void check_object(struct sl_arena *arena, const struct sl_loaded_object *loaded)
{
    const struct sl_table *whole = sl_table_of_kind(loaded->object->kind);
    const struct sl_object *copy = sl_table_copy(whole, loaded->object, arena);
    struct sl_loaded_file again;
    struct sl_buf text = {0};

    if (!sl_table_equal(whole, loaded->object, copy))
        abort();
    sl_table_diff(whole, loaded->object, copy, "", differs, NULL);
    sl_table_print(whole, loaded->object, &text);
    sl_load_file(arena, "again", text.data, text.len, &again);
    if (again.count != 1 || strcmp(again.objects[0].hash, loaded->hash) != 0 ||
        !sl_table_equal(whole, loaded->object, again.objects[0].object)) {
        fprintf(stderr, "does not read back:\n%s\n", text.data);
        abort();
    }
    sl_buf_free(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sl_arena *arena = sl_arena_new();
    struct sl_loaded_file file;
    struct sl_buf out = {0};

    sl_load_file(arena, "fuzz.yaml", (const char *)data, size, &file);
    sl_check_tree(&file, 1);
    for (size_t i = 0; i < file.diags.count; i++) {
        if (strcmp(file.diags.list[i].code, "E199") == 0)
            abort(); /* pass 2 refused what pass 1 took */
        sl_diag_print(&file.diags.list[i], false, &out);
    }
    if (file.count == 0 && file.diags.errors == 0)
        abort(); /* neither objects nor a reason */
    for (size_t i = 0; i < file.count; i++)
        check_object(arena, &file.objects[i]);
    sl_buf_free(&out);
    sl_arena_free(arena);
    return 0;
}
