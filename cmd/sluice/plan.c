/* SPDX-License-Identifier: GPL-2.0-or-later
 * `sluice plan`: what would happen. Without a directory, what the running daemon is about to do;
 * with one, what merging that directory would do to the running daemon, or to another directory
 * (--base, for pull requests). Changes nothing.
 */
#include "reconcile/core/plan.h"
#include "cmd/sluice/verbs.h"
#include "reconcile/base/err.h"
#include "reconcile/core/history.h"
#include "reconcile/io/loop.h"
#include "reconcile/io/source.h"
#include "schemas/field.h"
#include "schemas/load.h"

#include <jansson.h>
#include <unistd.h>

#define EXIT_CHANGES 2
#define EXIT_HELD    4

struct options {
    const char *dir, *base, *server, *socket;
    bool json, detailed, help;
};

struct side_stream {
    const char *name, *hash, *place;
    const struct sl_object *object;
    int readers;
    bool running, swap_available; /* as the daemon says; running: it was asked */
};
struct side {
    struct sl_arena *arena;
    struct side_stream *streams; /* sorted by name */
    size_t count;
};

struct change {
    const char *name;
    enum sl_change kind;
    int viewers;
    struct sl_buf fields; /* lines "path: from -> to" */
};

static const char *const symbols[SL_CHANGE_COUNT] = {
    [SL_CHANGE_CREATE] = "+",  [SL_CHANGE_HOT] = "~",    [SL_CHANGE_SWAP] = "±",
    [SL_CHANGE_BREAK] = "-/+", [SL_CHANGE_DELETE] = "-", [SL_CHANGE_HELD] = "?",
};
static const char *const words[SL_CHANGE_COUNT] = {
    [SL_CHANGE_CREATE] = "to create",
    [SL_CHANGE_HOT] = "to change live",
    [SL_CHANGE_SWAP] = "to swap (viewers stay)",
    [SL_CHANGE_BREAK] = "to break (viewers drop)",
    [SL_CHANGE_DELETE] = "to delete",
    [SL_CHANGE_HELD] = "held",
};

static void usage(FILE *out)
{
    fputs(
        "usage: sluice plan [DIR] [--base DIR] [--detailed-exitcode] [-o text|json]\n"
        "                   [--server URL | --socket PATH]\n"
        "What would happen: without DIR, what the running daemon is about to do; with DIR, what\n"
        "merging it would change; with --base, what lies between two trees.\n"
        "exits: 0, 1 cannot tell; with --detailed-exitcode 2 = changes, 4 = deletes would be held\n"
        "example: sluice plan streams/ --base /srv/streams\n",
        out);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct side_stream *)a)->name, ((const struct side_stream *)b)->name);
}

/* `running`: what the daemon says of it, or NULL. */
static void add_objects(struct side *side, const struct sl_loaded_file *file, const json_t *running)
{
    for (size_t i = 0; i < file->count; i++) {
        const struct sl_loaded_object *loaded = &file->objects[i];
        if (loaded->object->kind == SL_KIND_STREAM) {
            side->streams[side->count++] = (struct side_stream){
                loaded->object->metadata.name,
                loaded->hash,
                sl_arena_printf(side->arena, "%s:%d", loaded->file, loaded->line),
                loaded->object,
                (int)json_integer_value(json_object_get(running, "readers")),
                running != NULL,
                json_is_true(json_object_get(running, "swapAvailable"))};
        }
    }
}

/* A tree of manifests; -1 when any file has an error (printed). */
static int read_tree(const char *dir, struct side *side)
{
    struct sl_snapshot *tree = NULL;
    struct sl_err err;
    if (sl_source_read(dir, &tree, &err) < 0) {
        fprintf(stderr, "sluice plan: %s\n", err.text);
        return -1;
    }
    struct sl_loaded_file *files = sl_arena_alloc(side->arena, (tree->count + 1) * sizeof(*files));
    size_t streams = 0, errors = 0;
    for (size_t i = 0; i < tree->count; i++) {
        sl_load_file(side->arena, tree->files[i].path, tree->files[i].bytes, tree->files[i].len,
                     &files[i]);
    }
    sl_check_tree(files, tree->count);
    for (size_t i = 0; i < tree->count; i++) {
        struct sl_buf text = {0};
        for (size_t j = 0; j < files[i].diags.count; j++) {
            sl_diag_print(&files[i].diags.list[j], isatty(STDERR_FILENO) && !getenv("NO_COLOR"),
                          &text);
        }
        fputs(text.data ? text.data : "", stderr);
        sl_buf_free(&text);
        errors += files[i].diags.errors;
        streams += files[i].count;
    }
    side->streams = sl_arena_alloc(side->arena, (streams + 1) * sizeof(side->streams[0]));
    for (size_t i = 0; i < tree->count && errors == 0; i++) {
        add_objects(side, &files[i], NULL);
    }
    qsort(side->streams, side->count, sizeof(side->streams[0]), by_name);
    sl_source_free(tree);
    return errors > 0 ? -1 : 0;
}

static int get(const struct options *options, const char *route, json_t **ret)
{
    sl_autofree char *url =
        sl_asprintf("%s%s", options->server ? options->server : "http://sluice", route);
    const char *runtime = getenv("SLUICE_RUNTIME");
    sl_autofree char *standard = sl_asprintf("%s/http.sock", runtime ? runtime : "/run/sluice");
    struct sl_http_request request = {
        .method = "GET",
        .url = url,
        .unix_socket = options->server   ? NULL
                       : options->socket ? options->socket
                                         : standard,
        .timeout_ms = 5000,
        .max_body = 64u << 20,
    };
    long status = 0;
    sl_autofree char *body = NULL;
    struct sl_err err;
    if (sl_http_get(&request, &status, &body, &err) < 0) {
        fprintf(stderr, "sluice plan: cannot ask the daemon: %s\n", err.text);
        return -1;
    }
    json_error_t jerr;
    *ret = status == 200 ? json_loads(body, 0, &jerr) : NULL;
    if (!*ret) {
        fprintf(stderr, "sluice plan: the daemon answered %ld to %s\n", status, url);
        return -1;
    }
    return 0;
}

/* What the daemon runs now: each effective spec is a manifest again (JSON is YAML). */
static int read_daemon(const struct options *options, struct side *side)
{
    json_t *answer = NULL, *item;
    size_t i;
    if (get(options, "/api/v1/desired", &answer) < 0) {
        return -1;
    }
    const json_t *streams = json_object_get(answer, "streams");
    side->streams =
        sl_arena_alloc(side->arena, (json_array_size(streams) + 1) * sizeof(side->streams[0]));
    int r = 0;
    json_array_foreach(streams, i, item)
    {
        json_t *manifest = json_pack("{s:s,s:s,s:{s:O},s:O}", "apiVersion", "sluice/v1", "kind",
                                     "Stream", "metadata", "name", json_object_get(item, "name"),
                                     "spec", json_object_get(item, "spec"));
        sl_autofree char *text = manifest ? json_dumps(manifest, JSON_COMPACT) : NULL;
        struct sl_loaded_file file = {0};
        if (text) {
            sl_load_file(side->arena, json_string_value(json_object_get(item, "file")), text,
                         strlen(text), &file);
        }
        const char *wrong = text ? NULL : "no spec";
        for (size_t k = 0; k < file.diags.count && !wrong; k++) {
            if (file.diags.list[k].severity == SL_DIAG_ERROR) {
                wrong = file.diags.list[k].message;
            }
        }
        if (wrong) {
            fprintf(stderr, "sluice plan: the daemon's stream %s cannot be read: %s\n",
                    json_string_value(json_object_get(item, "name")), wrong);
            r = -1;
        } else {
            add_objects(side, &file, item);
        }
        json_decref(manifest);
    }
    json_decref(answer);
    qsort(side->streams, side->count, sizeof(side->streams[0]), by_name);
    return r;
}

struct field_walk {
    struct change *change;
    enum sl_impact worst;
};

static void on_field(void *user, const char *path, const struct sl_field *field, const char *from,
                     const char *to)
{
    struct field_walk *walk = user;
    sl_buf_printf(&walk->change->fields, "      %s: %s -> %s\n", path, from, to);
    if (field->impact > walk->worst) {
        walk->worst = field->impact;
    }
}

static enum sl_change of_impact(enum sl_impact impact)
{
    switch (impact) {
    case SL_IMPACT_NONE:
    case SL_IMPACT_HOT:
        return SL_CHANGE_HOT;
    case SL_IMPACT_SWAP:
        return SL_CHANGE_SWAP;
    case SL_IMPACT_BREAK:
    case SL_IMPACT_COUNT:
        return SL_CHANGE_BREAK;
    }
    return SL_CHANGE_BREAK;
}

/* Why viewers drop although the field itself would let them stay (decisions 8); NULL: they stay. */
static const char *why_break(const struct side_stream *old, const struct side_stream *new)
{
    const struct sl_stream_spec *from = old->object->stream, *to = new->object->stream;
    enum sl_carrier before = sl_carrier_of(from), after = sl_carrier_of(to);

    if (after == SL_CARRIER_INGEST && before != after)
        return "publishers must then use NAME/ingest";
    if (before == SL_CARRIER_INGEST && after == SL_CARRIER_PUBLISH)
        return "publishers must then use NAME, no more NAME/ingest";
    if (before != after || after == SL_CARRIER_PULL || after == SL_CARRIER_PUBLISH)
        return "MediaMTX makes its path anew";
    if (to->source.rtsp && to->source.rtsp->exclusive)
        return "the source serves one client only";
    if (old->running && !old->swap_available)
        return "its path is not one that stays while encoders change";
    return NULL;
}

/* True: the guard would hold these deletions. Protected streams are held by themselves. */
static bool would_hold(const struct side *old, const struct side *new, char ret_id[13])
{
    struct sl_history history = {0};
    struct sl_desired desired = {.valid = true, .root_present = new->count > 0};
    struct sl_arena *arena = sl_arena_new();
    const char **names = sl_arena_alloc(arena, (old->count + 1) * sizeof(*names));
    struct sl_accepted *accepted = sl_arena_alloc(arena, (old->count + 1) * sizeof(*accepted));
    desired.streams = sl_arena_alloc(arena, (old->count + 1) * sizeof(desired.streams[0]));
    size_t deleted = 0;
    for (size_t i = 0; i < old->count; i++) {
        const char *name = old->streams[i].name;
        bool protect = old->streams[i].object->stream->protect;
        bool absent = new->count == 0 || !bsearch(&old->streams[i], new->streams, new->count,
                                                  sizeof(new->streams[0]), by_name);
        sl_history_get(&history, name)->owned = true;
        accepted[i] =
            (struct sl_accepted){.name = name, .object = old->streams[i].object, .absent = absent};
        desired.streams[desired.count++] = (struct sl_desired_stream){
            .accepted = &accepted[i], .spec = old->streams[i].object->stream};
        if (absent && !protect) {
            names[deleted++] = name;
        }
    }
    bool held = deleted > 0 && sl_guard_holds(&history, &desired, 0, names, deleted, ret_id);
    sl_history_free(&history);
    sl_arena_free(arena);
    return held;
}

static size_t compare(const struct side *old, const struct side *new, struct change *list,
                      char ret_id[13])
{
    size_t count = 0, i = 0, j = 0;
    bool hold = would_hold(old, new, ret_id);
    while (i < old->count || j < new->count) {
        int order = i == old->count   ? 1
                    : j == new->count ? -1
                                      : strcmp(old->streams[i].name, new->streams[j].name);
        struct change *change = &list[count];
        memset(change, 0, sizeof(*change));
        if (order > 0) {
            change->name = new->streams[j].name;
            change->kind = SL_CHANGE_CREATE;
            sl_buf_printf(&change->fields, "      %s\n", new->streams[j++].place);
            count++;
        } else if (order < 0) {
            const struct side_stream *gone = &old->streams[i++];
            change->name = gone->name;
            change->kind =
                hold || gone->object->stream->protect ? SL_CHANGE_HELD : SL_CHANGE_DELETE;
            change->viewers = change->kind == SL_CHANGE_DELETE ? gone->readers : 0;
            if (gone->object->stream->protect) {
                sl_buf_puts(&change->fields, "      protect is true: a commit must set it to false "
                                             "first\n");
            }
            count++;
        } else {
            const struct side_stream *a = &old->streams[i++], *b = &new->streams[j++];
            struct field_walk walk = {change, SL_IMPACT_NONE};
            change->name = a->name;
            sl_table_diff(&sl_table_stream_spec, a->object->stream, b->object->stream, "spec",
                          on_field, &walk);
            if (walk.change->fields.len > 0) {
                change->kind = of_impact(walk.worst);
                const char *why = change->kind == SL_CHANGE_SWAP ? why_break(a, b) : NULL;
                if (why) {
                    change->kind = SL_CHANGE_BREAK;
                    sl_buf_printf(&change->fields, "      viewers drop: %s\n", why);
                }
                change->viewers = change->kind == SL_CHANGE_BREAK ? a->readers : 0;
                count++;
            }
        }
    }
    return count;
}

static void print_text(const struct change *list, size_t count, const char *id)
{
    size_t sums[SL_CHANGE_COUNT] = {0};
    for (size_t i = 0; i < count; i++) {
        const struct change *change = &list[i];
        sums[change->kind]++;
        printf("%4s %s", symbols[change->kind], change->name);
        if (change->viewers > 0) {
            printf("  (%d viewer%s will be dropped)", change->viewers,
                   change->viewers == 1 ? "" : "s");
        }
        printf("\n%s", change->fields.data ? change->fields.data : "");
    }
    if (count == 0) {
        printf("nothing to do\n");
        return;
    }
    const char *comma = "";
    for (int kind = 0; kind < SL_CHANGE_COUNT; kind++) {
        if (sums[kind] > 0) {
            printf("%s%zu %s", comma, sums[kind], words[kind]);
            comma = ", ";
        }
    }
    printf("\n");
    if (sums[SL_CHANGE_HELD] > 0 && id[0]) {
        printf("held: too many deletions at once; a Config with spec.deletion.approve: [%s] "
               "releases them\n",
               id);
    }
    if (sums[SL_CHANGE_DELETE] > 0 || sums[SL_CHANGE_HELD] > 0) {
        printf("the daemon's own history of deletions may hold more than this shows\n");
    }
}

/* "spec.a: x -> y; spec.b: …" out of the lines that the text form prints. */
static char *reason_of(const struct change *change)
{
    struct sl_buf out = {0};
    for (const char *p = change->fields.data ? change->fields.data : ""; *p;) {
        size_t n = strcspn(p, "\n"), blanks = strspn(p, " ");
        sl_buf_printf(&out, "%s%.*s", out.len ? "; " : "", (int)(n - blanks), p + blanks);
        p += n + (p[n] != '\0');
    }
    return sl_buf_steal(&out);
}

static void print_json(const struct change *list, size_t count, const char *id)
{
    json_t *root = json_pack("{s:s,s:s,s:s?}", "apiVersion", "sluice/v1", "kind", "Plan", "id",
                             id[0] ? id : NULL);
    for (int kind = 0; kind < SL_CHANGE_COUNT; kind++) {
        json_t *array = json_array();
        for (size_t i = 0; i < count; i++) {
            if ((int)list[i].kind == kind) {
                sl_autofree char *reason = reason_of(&list[i]);
                json_array_append_new(array,
                                      json_pack("{s:s,s:s,s:i}", "stream", list[i].name, "reason",
                                                reason, "viewers", list[i].viewers));
            }
        }
        json_object_set_new(root, sl_change_name((enum sl_change)kind), array);
    }
    sl_autofree char *text = json_dumps(root, JSON_INDENT(2));
    printf("%s\n", text);
    json_decref(root);
}

static void print_live(int kind, const json_t *item)
{
    const char *name = json_string_value(json_object_get(item, "stream"));
    const char *reason = json_string_value(json_object_get(item, "reason"));
    int viewers = (int)json_integer_value(json_object_get(item, "viewers"));
    printf("%4s %s", symbols[kind], name ? name : "?");
    if (viewers > 0) {
        printf("  (%d viewer%s%s)", viewers, viewers == 1 ? "" : "s",
               kind == SL_CHANGE_BREAK || kind == SL_CHANGE_DELETE ? " will be dropped" : "");
    }
    printf("\n");
    if (reason && *reason) {
        printf("      %s\n", reason);
    }
}

/* The daemon's own plan, as it published it. */
static int show_live(const struct options *options)
{
    json_t *plan = NULL, *item;
    size_t i, total = 0, held = 0;
    if (get(options, "/api/v1/plan", &plan) < 0) {
        return 1;
    }
    if (options->json) {
        sl_autofree char *text = json_dumps(plan, JSON_INDENT(2));
        printf("%s\n", text);
    }
    for (int kind = 0; kind < SL_CHANGE_COUNT; kind++) {
        json_array_foreach(json_object_get(plan, sl_change_name((enum sl_change)kind)), i, item)
        {
            total++;
            held += kind == SL_CHANGE_HELD;
            if (!options->json) {
                print_live(kind, item);
            }
        }
    }
    const char *id = json_string_value(json_object_get(plan, "id"));
    if (!options->json && total == 0) {
        printf("nothing to do\n");
    } else if (!options->json && held > 0) {
        printf("held: a Config with spec.deletion.approve: [%s] releases the deletions\n",
               id ? id : "");
    }
    json_decref(plan);
    return !options->detailed ? 0 : held > 0 ? EXIT_HELD : total > 0 ? EXIT_CHANGES : 0;
}

static int parse(int argc, char **argv, struct options *ret)
{
    for (int i = 1; i < argc; i++) {
        const char *arg = argv[i];
        const char **value = sl_streq(arg, "--base")     ? &ret->base
                             : sl_streq(arg, "--server") ? &ret->server
                             : sl_streq(arg, "--socket") ? &ret->socket
                                                         : NULL;
        if (value || sl_streq(arg, "-o")) {
            if (++i == argc) {
                return -1;
            }
            if (value) {
                *value = argv[i];
            } else if (sl_streq(argv[i], "json")) {
                ret->json = true;
            } else if (!sl_streq(argv[i], "text")) {
                return -1;
            }
        } else if (sl_streq(arg, "--detailed-exitcode")) {
            ret->detailed = true;
        } else if (sl_streq(arg, "--help") || sl_streq(arg, "-h")) {
            ret->help = true;
        } else if (arg[0] == '-' || ret->dir) {
            return -1;
        } else {
            ret->dir = arg;
        }
    }
    return ret->base && !ret->dir ? -1 : 0;
}

int sl_verb_plan(int argc, char **argv)
{
    struct options options = {0};
    if (parse(argc, argv, &options) < 0) {
        usage(stderr);
        return SL_EXIT_USAGE;
    }
    if (options.help) {
        usage(stdout);
        return 0;
    }
    if (!options.dir) {
        return show_live(&options);
    }
    struct side old = {.arena = sl_arena_new()}, new = {.arena = sl_arena_new()};
    int code = 1;
    if ((options.base ? read_tree(options.base, &old) : read_daemon(&options, &old)) == 0 &&
        read_tree(options.dir, &new) == 0) {
        struct change *list = sl_alloc((old.count + new.count + 1) * sizeof(*list));
        char id[13] = "";
        bool held = false;
        size_t count = compare(&old, &new, list, id);
        if (options.json) {
            print_json(list, count, id);
        } else {
            print_text(list, count, id);
        }
        for (size_t i = 0; i < count; i++) {
            held |= list[i].kind == SL_CHANGE_HELD;
            sl_buf_free(&list[i].fields);
        }
        free(list);
        code = !options.detailed ? 0 : held ? EXIT_HELD : count > 0 ? EXIT_CHANGES : 0;
    }
    sl_arena_free(old.arena);
    sl_arena_free(new.arena);
    return code;
}
