/* SPDX-License-Identifier: GPL-2.0-or-later
 * The effective specs as JSON, by the table of fields: a new field needs no line here; each value
 * is written as a manifest would write it. Layer: web. Specs hold references to secrets, never
 * secrets.
 */
#include "reconcile/web/web_impl.h"
#include "schemas/field.h"
#include "schemas/scalar.h"

static json_t *string(const char *s)
{
    json_t *v = s ? json_string(s) : json_null();

    return v ? v : json_string("");
}

static json_t *object_json(const struct sl_table *table, const void *object);

static json_t *value_json(const struct sl_field *f, const void *object)
{
    const char *at = (const char *)object + f->offset;
    unsigned count =
        f->count_offset ? *(const unsigned *)((const char *)object + f->count_offset) : 0;
    struct sl_buf text = {0};
    json_t *v;

    switch (f->type) {
    case SL_T_STRING:
    case SL_T_SIZE:
    case SL_T_PATH:
    case SL_T_NAME:
        return *(char *const *)at ? string(*(char *const *)at) : NULL; /* absent */
    case SL_T_BOOL:
        return json_boolean(*(const bool *)at);
    case SL_T_REAL:
        if (!f->def && *(const double *)at == 0)
            return NULL; /* absent: a zero that is given may be out of range */
        return json_real(*(const double *)at);
    case SL_T_INT:
        if (!f->def && *(const int64_t *)at == 0)
            return NULL;
        return json_integer(*(const int64_t *)at);
    case SL_T_DURATION:
    case SL_T_RATE:
    case SL_T_BYTES:
        if (!f->def && *(const int64_t *)at == 0)
            return NULL;
        sl_scalar_print(f, at, &text);
        v = string(text.data);
        sl_buf_free(&text);
        return v;
    case SL_T_ENUM:
        for (int i = 0; f->values && f->values[i]; i++) {
            if (i == *(const int *)at)
                return string(f->values[i]);
        }
        return json_null();
    case SL_T_MAP:
        return object_json(f->sub, at);
    case SL_T_VARIANT:
        return *(void *const *)at ? object_json(f->sub, *(void *const *)at) : NULL;
    case SL_T_STRINGS:
        if (count == 0)
            return NULL; /* a set that is given must not be empty */
        v = json_array();
        for (unsigned i = 0; i < count; i++)
            json_array_append_new(v, string((*(char **const *)at)[i]));
        return v;
    case SL_T_LABELS:
        v = json_object();
        for (unsigned i = 0; i < count; i++) {
            const struct sl_label *l = *(struct sl_label *const *)at + i;

            json_object_set_new(v, l->key, string(l->value));
        }
        return v;
    case SL_TYPE_COUNT:
        break;
    }
    return json_null();
}

static json_t *object_json(const struct sl_table *table, const void *object)
{
    json_t *o = json_object();

    for (size_t i = 0; i < table->count; i++) {
        json_t *v = value_json(&table->rows[i], object);

        if (v)
            json_object_set_new(o, table->rows[i].name, v);
    }
    return o;
}

char *sl_desired_json(const struct sl_status *status)
{
    json_t *root = json_object(), *list = json_array();
    char *text;

    json_object_set_new(root, "apiVersion", json_string("sluice/v1"));
    json_object_set_new(root, "kind", json_string("Desired"));
    json_object_set_new(root, "seq", json_integer((json_int_t)status->seq));
    json_object_set_new(root, "revision", string(status->source.revision));
    json_object_set_new(root, "streams", list);
    for (size_t i = 0; i < status->streams_count; i++) {
        const struct sl_status_stream *s = &status->streams[i];
        const struct sl_desired_stream *d = s->desired;
        json_t *o;

        if (!d)
            continue;
        o = json_object();
        json_object_set_new(o, "name", string(s->name));
        json_object_set_new(o, "file", string(d->accepted->file));
        json_object_set_new(o, "line", json_integer(d->accepted->line));
        json_object_set_new(o, "generation", json_integer((json_int_t)d->accepted->generation));
        json_object_set_new(o, "specHash", string(d->accepted->hash));
        json_object_set_new(o, "encHash", string(d->enc_hash));
        json_object_set_new(o, "run", json_boolean(d->run));
        json_object_set_new(o, "absent", json_boolean(d->accepted->absent));
        json_object_set_new(o, "mediaPath", string(d->media_path));
        json_object_set_new(o, "facts",
                            s->past && s->past->facts.count ? sl_facts_to_json(&s->past->facts)
                                                            : json_null());
        json_object_set_new(o, "swapAvailable",
                            json_boolean(s->path && s->path->conf.always_available));
        json_object_set_new(o, "readers", json_integer(s->path ? s->path->readers : 0));
        json_object_set_new(o, "spec", object_json(&sl_table_stream_spec, d->spec));
        json_array_append_new(list, o);
    }
    text = json_dumps(root, JSON_COMPACT | JSON_REAL_PRECISION(6));
    json_decref(root);
    return text ? text : sl_strdup("{}");
}
