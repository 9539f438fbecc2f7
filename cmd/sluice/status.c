/* SPDX-License-Identifier: GPL-2.0-or-later
 * `sluice status`: the table of streams, as the daemon says over its socket. Exits 0 when all that
 * was asked for is settled, 2 when not, 1 when it cannot be told, 64 for a usage error.
 * Layer: cmd. Reads only.
 */
#include "cmd/sluice/verbs.h"
#include "reconcile/base/buf.h"
#include "reconcile/io/loop.h"
#include "schemas/settings.h"
#include <jansson.h>
#include <unistd.h>

#define CELLS 12

enum form { FORM_TEXT, FORM_WIDE, FORM_JSON };

struct options {
    const char *name, *server, *socket, *config;
    const char *labels[16];
    size_t labels_count;
    enum form form;
};

static const char usage_text[] =
    "usage: sluice status [NAME] [-l KEY=VALUE]... [-o text|wide|json]\n"
    "                     [--server URL | --socket PATH | --config FILE]\n"
    "Shows the streams as the daemon sees them. Asks SLUICE_RUNTIME/http.sock, by default\n"
    "/run/sluice/http.sock. Exits 0: all settled, 2: not, 1: cannot tell.\n";

static int usage(const char *what, const char *word)
{
    fprintf(stderr, "sluice status: %s%s%s\n%s", what, word ? " " : "", word ? word : "",
            usage_text);
    return SL_EXIT_USAGE;
}

/* The value of "--name VALUE" or "--name=VALUE" at argv[*i]; NULL: it is another word.
 * "" when the value is missing. */
static const char *option(int argc, char **argv, int *i, const char *name)
{
    size_t n = strlen(name);

    if (strncmp(argv[*i], name, n) != 0)
        return NULL;
    if (argv[*i][n] == '=' && name[1] == '-')
        return argv[*i] + n + 1;
    if (argv[*i][n])
        return NULL;
    return *i + 1 < argc ? argv[++*i] : "";
}

static int parse(int argc, char **argv, struct options *o)
{
    const char *v;

    for (int i = 1; i < argc; i++) {
        const char *word = argv[i];

        if ((v = option(argc, argv, &i, "-l")) || (v = option(argc, argv, &i, "--selector"))) {
            if (!strchr(v, '=') || v[0] == '=' || o->labels_count == SL_COUNT(o->labels))
                return usage("-l wants KEY=VALUE, not", v);
            o->labels[o->labels_count++] = v;
        } else if ((v = option(argc, argv, &i, "-o")) || (v = option(argc, argv, &i, "--output"))) {
            if (strcmp(v, "text") == 0)
                o->form = FORM_TEXT;
            else if (strcmp(v, "wide") == 0)
                o->form = FORM_WIDE;
            else if (strcmp(v, "json") == 0)
                o->form = FORM_JSON;
            else
                return usage("-o is text, wide or json, not", v);
        } else if ((v = option(argc, argv, &i, "--server"))) {
            o->server = v;
        } else if ((v = option(argc, argv, &i, "--socket"))) {
            o->socket = v;
        } else if ((v = option(argc, argv, &i, "--config"))) {
            o->config = v;
        } else if (word[0] == '-') {
            return usage("unknown option", word);
        } else if (o->name) {
            return usage("one NAME only, not also", word);
        } else {
            o->name = word;
        }
        if (v && !*v)
            return usage("a value is missing after", word);
    }
    if ((o->server != NULL) + (o->socket != NULL) + (o->config != NULL) > 1)
        return usage("only one of --server, --socket and --config", NULL);
    return 0;
}

/* Where the daemon's socket is; the caller frees. NULL: the host settings are bad (told). */
static char *socket_path(const struct options *o)
{
    const char *runtime = getenv("SLUICE_RUNTIME");
    struct sl_arena *arena;
    struct sl_diags diags;
    struct sl_settings *settings;
    char *path = NULL;

    if (o->socket)
        return sl_strdup(o->socket);
    if (!o->config)
        return sl_asprintf("%s/http.sock", runtime && *runtime ? runtime : "/run/sluice");
    arena = sl_arena_new();
    diags = (struct sl_diags){.arena = arena};
    if (sl_settings_load(arena, o->config, true, NULL, 0, &settings, &diags) == 0) {
        path = sl_asprintf("%s/http.sock", settings->runtime);
    } else {
        struct sl_buf text = {0};

        for (size_t i = 0; i < diags.count; i++)
            sl_diag_print(&diags.list[i], false, &text);
        fputs(text.data ? text.data : "", stderr);
        sl_buf_free(&text);
    }
    sl_arena_free(arena);
    return path;
}

static int fetch(const struct options *o, json_t **ret)
{
    sl_autofree char *path = o->server ? NULL : socket_path(o);
    sl_autofree char *url = NULL, *body = NULL;
    struct sl_http_request request = {.method = "GET", .timeout_ms = 10000, .max_body = 64 << 20};
    struct sl_err err = {0};
    long status = 0;
    size_t n = o->server ? strlen(o->server) : 0;

    if (!o->server && !path)
        return 1;
    while (n && o->server[n - 1] == '/')
        n--;
    url = o->server ? sl_asprintf("%.*s/api/v1/status", (int)n, o->server)
                    : sl_strdup("http://localhost/api/v1/status");
    request.url = url;
    request.unix_socket = path;
    if (sl_http_get(&request, &status, &body, &err) < 0) {
        if (o->server)
            fprintf(stderr, "sluice status: cannot ask %s: %s\n", o->server, err.text);
        else if (access(path, F_OK) == 0 && access(path, R_OK | W_OK) != 0)
            fprintf(stderr, "sluice status: %s: you may not use it; join its group\n", path);
        else
            fprintf(stderr,
                    "sluice status: no daemon answers at %s: is `sluice run` running, and is this "
                    "its runtime directory?\n",
                    path);
        return 1;
    }
    *ret = body ? json_loads(body, 0, NULL) : NULL;
    if (status != 200 || !json_is_object(*ret)) {
        const char *why = json_string_value(json_object_get(*ret, "error"));

        fprintf(stderr, "sluice status: the daemon answered %ld%s%s\n", status, why ? ": " : "",
                why ? why : "");
        json_decref(*ret);
        return 1;
    }
    return 0;
}

static const char *str(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));

    return s ? s : "";
}

static long long num(const json_t *o, const char *key)
{
    return json_integer_value(json_object_get(o, key));
}

static bool selected(const struct options *o, const json_t *stream)
{
    const json_t *labels = json_object_get(stream, "labels");

    if (o->name && strcmp(o->name, str(stream, "name")) != 0)
        return false;
    for (size_t i = 0; i < o->labels_count; i++) {
        const char *equal = strchr(o->labels[i], '=');
        sl_autofree char *key = sl_asprintf("%.*s", (int)(equal - o->labels[i]), o->labels[i]);
        const char *have = json_string_value(json_object_get(labels, key));

        if (!have || strcmp(have, equal + 1) != 0)
            return false;
    }
    return true;
}

static const json_t *condition(const json_t *stream, const char *type)
{
    const json_t *list = json_object_get(stream, "conditions"), *c;
    size_t i;

    json_array_foreach(list, i, c)
    {
        if (strcmp(str(c, "type"), type) == 0)
            return c;
    }
    return NULL;
}

static char *bitrate(long long bits)
{
    if (bits <= 0)
        return sl_strdup("-");
    if (bits < 1000000)
        return sl_asprintf("%.0fk", (double)bits / 1e3);
    return sl_asprintf("%.2fM", (double)bits / 1e6);
}

static char *or_dash(const char *s)
{
    return sl_strdup(*s ? s : "-");
}

/* One row of cells, in the order of the heads; the last one takes what is left of the line. */
static void cells_of(const json_t *s, bool wide, char *cell[CELLS])
{
    const json_t *ready = condition(s, "Ready"), *encoder = json_object_get(s, "encoder");
    const json_t *engine = json_object_get(s, "engine");
    const json_t *pid = json_object_get(encoder, "pid");
    long long bits = num(engine, "bitrate") ? num(engine, "bitrate") : num(encoder, "bitrate");
    int n = 0;

    cell[n++] = or_dash(str(s, "name"));
    cell[n++] = or_dash(str(s, "health"));
    cell[n++] = or_dash(str(ready, "reason"));
    cell[n++] = sl_asprintf("%lld", num(engine, "readers"));
    cell[n++] = bitrate(bits);
    cell[n++] = sl_asprintf("%lld", num(encoder, "restarts"));
    cell[n++] = sl_asprintf(
        "%.19s", *str(ready, "lastTransitionTime") ? str(ready, "lastTransitionTime") : "-");
    if (wide) {
        cell[n++] = or_dash(str(json_object_get(s, "source"), "kind"));
        cell[n++] = or_dash(str(encoder, "codec"));
        cell[n++] = sl_asprintf("%.1f", json_number_value(json_object_get(encoder, "fps")));
        cell[n++] =
            json_is_integer(pid) ? sl_asprintf("%lld", json_integer_value(pid)) : sl_strdup("-");
    }
    cell[n++] = sl_strdup(str(ready, "message"));
    while (n < CELLS)
        cell[n++] = NULL;
}

static void print_row(char *const cell[CELLS], const size_t width[CELLS])
{
    int last = 0;

    for (int i = 0; i < CELLS && cell[i]; i++) {
        if (*cell[i])
            last = i;
        for (char *p = cell[i]; *p; p++) { /* a message must not steer the terminal */
            if ((unsigned char)*p < 0x20 || *p == 0x7f)
                *p = '?';
        }
    }
    for (int i = 0; i < last; i++)
        printf("%-*s  ", (int)width[i], cell[i]);
    printf("%s\n", cell[last]);
}

static void print_urls(const json_t *stream)
{
    const char *key;
    json_t *u;

    json_object_foreach(json_object_get(stream, "urls"), key, u)
    {
        if (!*str(u, "url"))
            continue;
        printf("    %-7s%s  %s%s%s\n", key, str(u, "url"),
               json_is_true(json_object_get(u, "plays")) ? "plays" : "does not play",
               *str(u, "why") ? ": " : "", str(u, "why"));
    }
}

/* Where publishers go; KEY stands for the password. */
static void print_publish(const json_t *stream)
{
    const char *key;
    json_t *p;

    json_object_foreach(json_object_get(stream, "publish"), key, p)
    {
        if (!*str(p, "server"))
            continue;
        printf("    publish by %-5s%s%s%s%s%s\n", key, str(p, "server"),
               *str(p, "streamKey") ? "  key " : "", str(p, "streamKey"),
               *str(p, "user") ? "  user " : "", str(p, "user"));
    }
}

static void print_readers(const json_t *stream)
{
    const json_t *engine = json_object_get(stream, "engine");
    const char *key, *comma = "    viewers: ";
    json_t *n;

    if (num(engine, "readers") == 0)
        return;
    json_object_foreach(json_object_get(engine, "readersBy"), key, n)
    {
        if (json_integer_value(n) > 0) {
            printf("%s%lld by %s", comma, json_integer_value(n), key);
            comma = ", ";
        }
    }
    printf("%s", *comma == ',' ? "\n" : "");
}

static void print_table(const json_t *streams, bool wide)
{
    static const char *const text_heads[] = {"NAME",     "HEALTH", "REASON",  "VIEWERS", "BITRATE",
                                             "RESTARTS", "SINCE",  "MESSAGE", NULL};
    static const char *const wide_heads[] = {"NAME",    "HEALTH",   "REASON", "VIEWERS",
                                             "BITRATE", "RESTARTS", "SINCE",  "SOURCE",
                                             "CODEC",   "FPS",      "PID",    "MESSAGE"};
    size_t count = json_array_size(streams), width[CELLS] = {0};
    char *(*rows)[CELLS] = sl_alloc((count + 1) * sizeof(*rows));

    for (int k = 0; k < CELLS && (wide ? wide_heads[k] : k < 8 ? text_heads[k] : NULL); k++)
        rows[0][k] = sl_strdup(wide ? wide_heads[k] : text_heads[k]);
    for (size_t i = 0; i < count; i++)
        cells_of(json_array_get(streams, i), wide, rows[i + 1]);
    for (size_t i = 0; i <= count; i++) {
        for (int k = 0; k < CELLS && rows[i][k]; k++) {
            if (strlen(rows[i][k]) > width[k])
                width[k] = strlen(rows[i][k]);
        }
    }
    for (size_t i = 0; i <= count; i++) {
        print_row(rows[i], width);
        if (i > 0 && wide) {
            print_urls(json_array_get(streams, i - 1));
            print_readers(json_array_get(streams, i - 1));
            print_publish(json_array_get(streams, i - 1));
        }
        for (int k = 0; k < CELLS; k++)
            free(rows[i][k]);
    }
    free(rows);
}

static void print_foreign(const json_t *status)
{
    const json_t *path;
    size_t i;

    json_array_foreach(json_object_get(status, "foreignPaths"), i, path)
    {
        printf("%s    %s  %s, %lld viewers\n",
               i == 0 ? "\nother paths of MediaMTX, which no manifest names:\n" : "",
               str(path, "path"),
               json_is_true(json_object_get(path, "ready")) ? "live" : "nothing flows",
               num(path, "readers"));
    }
}

static void print_head(const json_t *status)
{
    const json_t *source = json_object_get(status, "source");
    const json_t *sum = json_object_get(status, "summary");
    const json_t *engine = json_object_get(status, "engine");

    printf("revision %s%s%s: %lld of %lld settled, %lld ready, %lld viewers",
           str(source, "revision"), *str(source, "ref") ? " on " : "", str(source, "ref"),
           num(sum, "settled"), num(sum, "streams"), num(sum, "ready"), num(sum, "readers"));
    if (num(sum, "rejectedFiles"))
        printf(", %lld files rejected", num(sum, "rejectedFiles"));
    if (num(sum, "heldDeletes"))
        printf(", %lld deletions held (plan %s)", num(sum, "heldDeletes"),
               str(json_object_get(status, "plan"), "id"));
    if (!json_is_true(json_object_get(engine, "reachable")))
        printf(", MediaMTX unreachable: %s", str(engine, "error"));
    printf("\n\n");
}

int sl_verb_status(int argc, char **argv)
{
    struct options o = {0};
    json_t *status = NULL, *streams, *s;
    bool settled = true;
    size_t i;
    int rc;

    for (int k = 1; k < argc; k++) {
        if (strcmp(argv[k], "--help") == 0 || strcmp(argv[k], "-h") == 0) {
            fputs(usage_text, stdout);
            return 0;
        }
    }
    rc = parse(argc, argv, &o);
    if (rc == 0)
        rc = fetch(&o, &status);
    if (rc != 0)
        return rc;
    streams = json_array();
    json_array_foreach(json_object_get(status, "streams"), i, s)
    {
        if (!selected(&o, s))
            continue;
        json_array_append(streams, s);
        settled &= json_is_true(json_object_get(s, "settled"));
    }
    if (o.name && json_array_size(streams) == 0) {
        fprintf(stderr, "sluice status: no stream '%s'%s\n", o.name,
                o.labels_count ? " with these labels" : "");
        json_decref(streams);
        json_decref(status);
        return 1;
    }
    if (o.form == FORM_JSON) {
        char *text;

        json_object_set(status, "streams", streams);
        text = json_dumps(status, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
        printf("%s\n", text ? text : "{}");
        free(text);
    } else {
        if (!o.name)
            print_head(status);
        if (json_array_size(streams))
            print_table(streams, o.form == FORM_WIDE);
        else
            printf("no streams\n");
        if (!o.name && o.labels_count == 0)
            print_foreign(status);
    }
    json_decref(streams);
    json_decref(status);
    return settled ? 0 : 2;
}
