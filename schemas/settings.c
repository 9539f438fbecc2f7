/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "schemas/settings.h"

#include "reconcile/base/file.h"
#include "schemas/check.h"
#include "schemas/fill.h"
#include "schemas/scalar.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>

#define ROWS(a)    .rows = (a), .count = SL_COUNT(a)
#define AT(member) .offset = offsetof(struct sl_settings, member)
#define IN(outer, member)                                                                          \
    .offset = offsetof(struct sl_settings, outer.member) - offsetof(struct sl_settings, outer)
#define SIZE(outer) sizeof(((struct sl_settings *)0)->outer)
#define NONE        SL_IMPACT_NONE
#define HOUR_MS     3600000

/* clang-format off */
static const char *const exits[] = {"detach", "stop", NULL};
static const char *const levels[] = {"error", "warn", "info", "debug", NULL};
static const char *const rtsp_schemes[] = {"rtsp", "rtsps", NULL};
static const char *const rtmp_schemes[] = {"rtmp", "rtmps", NULL};
static const char *const http_schemes[] = {"http", "https", NULL};
static const char *const srt_schemes[] = {"srt", NULL};
static const char *const owners[] = {"", "own", "leave", NULL};

static const struct sl_field node_rows[] = {
    {"name", SL_T_STRING, NONE, IN(node, name), .def = "", .doc = "name of this node; empty: the host name"}};
static const struct sl_table node_table = {"node", SIZE(node), ROWS(node_rows)};

static const struct sl_field encoders_rows[] = {
    {"managed", SL_T_BOOL, NONE, IN(encoders, managed), .def = "true",
     .doc = "start the encoder host here; false: a unit of its own does"},
    {"binary", SL_T_STRING, NONE, IN(encoders, binary), .def = "sluice-encoder",
     .doc = "searched beside sluice, then in PATH"}};
static const struct sl_table encoders_table = {"encoders", SIZE(encoders), ROWS(encoders_rows)};

static const struct sl_field public_rows[] = {
    {"host", SL_T_STRING, NONE, IN(public_, host), .def = "",
     .doc = "name or address in the URLs that viewers see"},
    {"rtsp", SL_T_STRING, NONE, IN(public_, rtsp), .def = "", .schemes = rtsp_schemes,
     .doc = "where viewers reach RTSP from outside; empty: the host and MediaMTX's port"},
    {"rtmp", SL_T_STRING, NONE, IN(public_, rtmp), .def = "", .schemes = rtmp_schemes,
     .doc = "the same for RTMP"},
    {"hls", SL_T_STRING, NONE, IN(public_, hls), .def = "", .schemes = http_schemes,
     .doc = "the same for HLS, e.g. https://tv.example/hls"},
    {"webrtc", SL_T_STRING, NONE, IN(public_, webrtc), .def = "", .schemes = http_schemes,
     .doc = "the same for WebRTC's pages and WHIP"},
    {"srt", SL_T_STRING, NONE, IN(public_, srt), .def = "", .schemes = srt_schemes,
     .doc = "the same for SRT"}};
static const struct sl_table public_table = {"public", SIZE(public_), ROWS(public_rows)};

static const struct sl_field page_rows[] = {
    {"public", SL_T_BOOL, NONE, IN(page, public_), .def = "false",
     .doc = "anybody may see the page: listen may leave loopback"}};
static const struct sl_table page_table = {"page", SIZE(page), ROWS(page_rows)};

static const struct sl_field api_rows[] = {
    {"url", SL_T_STRING, NONE, IN(mediamtx.api, url), .def = "http://127.0.0.1:9997",
     .doc = "MediaMTX's control API"},
    {"username", SL_T_STRING, NONE, IN(mediamtx.api, username), .def = "",
     .doc = "user of the API"},
    {"passwordRef", SL_T_STRING, NONE, IN(mediamtx.api, password_ref), .def = "",
     .doc = "name of the secret that holds its password"}};
static const struct sl_table api_table = {"api", SIZE(mediamtx.api), ROWS(api_rows),
    .shorthand = "url"};

static const struct sl_field mediamtx_rows[] = {
    {"managed", SL_T_BOOL, NONE, IN(mediamtx, managed), .def = "true",
     .doc = "start and supervise MediaMTX here; false: it runs elsewhere"},
    {"binary", SL_T_STRING, NONE, IN(mediamtx, binary), .def = "mediamtx",
     .doc = "with managed only; searched in PATH"},
    {"template", SL_T_STRING, NONE, IN(mediamtx, template_), .def = "",
     .doc = "the operator's own mediamtx.yml, kept but for paths and authInternalUsers"},
    {"config", SL_T_STRING, NONE, IN(mediamtx, config), .def = "",
     .doc = "the rendered file; empty: STATE/mediamtx/mediamtx.yml"},
    {"api", SL_T_MAP, NONE, IN(mediamtx, api), .sub = &api_table,
     .doc = "the control API: a URL, or url, username, passwordRef"},
    {"publishUrl", SL_T_STRING, NONE, IN(mediamtx, publish_url), .def = "",
     .doc = "where encoders publish; empty: RTSP on the loopback"},
    {"insecure", SL_T_BOOL, NONE, IN(mediamtx, insecure), .def = "false",
     .doc = "encoders may publish by plain rtsp:// to a host that is not this one"},
    {"users", SL_T_STRING, NONE, IN(mediamtx, users), .values = owners, .def = "",
     .doc = "own or leave authInternalUsers; empty: own when managed"}};
static const struct sl_table mediamtx_table = {"mediamtx", SIZE(mediamtx), ROWS(mediamtx_rows)};

static const struct sl_field timing_rows[] = {
    {"settle", SL_T_DURATION, NONE, IN(timing, settle), .def = "30ms", .min = 1, .max = 60000,
     .doc = "quiet after a lone change"},
    {"storm", SL_T_DURATION, NONE, IN(timing, storm), .def = "300ms", .min = 1, .max = 60000,
     .doc = "quiet after many changes"},
    {"stormCap", SL_T_DURATION, NONE, IN(timing, storm_cap), .def = "3s", .min = 1, .max = 600000,
     .doc = "longest wait for that quiet"},
    {"resync", SL_T_DURATION, NONE, IN(timing, resync), .def = "300s", .min = 100,
     .max = 24 * HOUR_MS, .doc = "full scan without any event"},
    {"drift", SL_T_DURATION, NONE, IN(timing, drift), .def = "15s", .min = 100, .max = HOUR_MS,
     .doc = "comparison with what runs"}};
static const struct sl_table timing_table = {"timing", SIZE(timing), ROWS(timing_rows)};

static const struct sl_field settings_rows[] = {
    {"manifests", SL_T_STRING, NONE, AT(manifests), .def = "/srv/streams", .doc = "the watched directory"},
    {"media", SL_T_STRING, NONE, AT(media), .def = "/srv/media", .doc = "root of source.file.path"},
    {"recordings", SL_T_STRING, NONE, AT(recordings), .def = "/srv/recordings", .doc = "root of recordings"},
    {"state", SL_T_STRING, NONE, AT(state), .def = "/var/lib/sluice", .doc = "durable state"},
    {"runtime", SL_T_STRING, NONE, AT(runtime), .def = "/run/sluice", .doc = "records and sockets of encoders"},
    {"secrets", SL_T_STRINGS, NONE, AT(secrets), .count_offset = offsetof(struct sl_settings, secrets_count),
     .doc = "directories of secrets, searched in order (flag and variable: joined by ':')"},
    {"listen", SL_T_STRING, NONE, AT(listen), .def = "127.0.0.1:8080", .doc = "address of the status page; port 0: any, printed"},
    {"onExit", SL_T_STRING, NONE, AT(on_exit), .values = exits, .def = "detach", .doc = "what SIGTERM does: leave encoders running, or stop them"},
    {"logLevel", SL_T_STRING, NONE, AT(log_level), .values = levels, .def = "info", .doc = "least severe lines that are logged"},
    {"node", SL_T_MAP, NONE, AT(node), .sub = &node_table, .doc = "this machine"},
    {"encoders", SL_T_MAP, NONE, AT(encoders), .sub = &encoders_table, .doc = "the encoder host"},
    {"public", SL_T_MAP, NONE, AT(public_), .sub = &public_table, .doc = "addresses for viewers"},
    {"page", SL_T_MAP, NONE, AT(page), .sub = &page_table, .doc = "who may see the status page"},
    {"mediamtx", SL_T_MAP, NONE, AT(mediamtx), .sub = &mediamtx_table, .doc = "the media server"},
    {"timing", SL_T_MAP, NONE, AT(timing), .sub = &timing_table, .doc = "for tests and odd hosts"},
};
/* clang-format on */
const struct sl_table sl_table_settings = {"settings", sizeof(struct sl_settings),
                                           ROWS(settings_rows)};

/* ---- every leaf as key, flag and environment name ---- */

struct leaf {
    char key[48], flag[56], env[56];
    const struct sl_field *field;
};
static struct leaf leaves[64];
static size_t leaves_count;

/* mediamtx.api.passwordRef → --mediamtx-api-password-ref, SLUICE_MEDIAMTX_API_PASSWORD_REF */
static void name_leaf(struct leaf *leaf)
{
    char *flag = leaf->flag + sprintf(leaf->flag, "--");
    char *env = leaf->env + sprintf(leaf->env, "SLUICE_");

    for (const char *k = leaf->key; *k; k++) {
        if (isupper((unsigned char)*k)) {
            *flag++ = '-';
            *env++ = '_';
        }
        *flag++ = *k == '.' ? '-' : (char)tolower((unsigned char)*k);
        *env++ = *k == '.' ? '_' : (char)toupper((unsigned char)*k);
    }
    *flag = *env = '\0';
}

static void add_leaf(const char *key, const struct sl_field *field)
{
    struct leaf *leaf = &leaves[leaves_count++];

    if (leaves_count > SL_COUNT(leaves))
        abort(); /* the array above is too small for the table */
    snprintf(leaf->key, sizeof(leaf->key), "%s", key);
    leaf->field = field;
    name_leaf(leaf);
}

static void add_leaves(const struct sl_table *table, const char *prefix)
{
    for (size_t i = 0; i < table->count; i++) {
        const struct sl_field *f = &table->rows[i];
        char key[40];

        snprintf(key, sizeof(key), "%s%s%s", prefix, *prefix ? "." : "", f->name);
        if (!f->sub) {
            add_leaf(key, f);
            continue;
        }
        if (f->sub->shorthand)
            add_leaf(key, sl_table_find(f->sub, f->sub->shorthand));
        add_leaves(f->sub, key);
    }
}

static void make_leaves(void)
{
    add_leaves(&sl_table_settings, "");
}

static void need_leaves(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, make_leaves);
}

/* "mediamtx.api" means "mediamtx.api.url". */
static const char *full_key(const char *key, struct sl_arena *arena)
{
    const struct sl_field *f = sl_table_find(&sl_table_settings, key);

    if (f && f->sub && f->sub->shorthand)
        return sl_arena_printf(arena, "%s.%s", key, f->sub->shorthand);
    return key;
}

int sl_settings_flag(int argc, char **argv, int *i, struct sl_setting_flag *ret)
{
    const char *arg = argv[*i], *equals = strchr(arg, '=');
    size_t len = equals ? (size_t)(equals - arg) : strlen(arg);

    need_leaves();
    for (size_t k = 0; k < leaves_count; k++) {
        if (strlen(leaves[k].flag) != len || strncmp(leaves[k].flag, arg, len) != 0)
            continue;
        if (!equals && *i + 1 >= argc)
            return -1;
        ret->key = leaves[k].key;
        ret->value = equals ? equals + 1 : argv[++*i];
        return 1;
    }
    return 0;
}

void sl_settings_help(struct sl_buf *out)
{
    need_leaves();
    for (size_t k = 0; k < leaves_count; k++) {
        const struct leaf *leaf = &leaves[k];

        sl_buf_printf(out, "  %-32s %s", leaf->flag, leaf->field->doc);
        if (leaf->field->def && *leaf->field->def)
            sl_buf_printf(out, " [%s]", leaf->field->def);
        sl_buf_printf(out, " (%s)\n", leaf->env);
    }
}

/* ---- loading ---- */

struct layers {
    struct sl_arena *arena;
    struct sl_diags *diags;
    struct sl_override list[128];
    const char *origin[128]; /* "SLUICE_LISTEN", "--listen" */
    size_t count;
};

static void complain(struct layers *l, const char *origin, const char *path, const char *code,
                     const char *message, const char *hint)
{
    struct sl_diag *diag = sl_diags_add(l->diags, SL_DIAG_ERROR, code,
                                        (struct sl_place){sl_arena_strdup(l->arena, origin), 0, 0},
                                        sl_arena_strdup(l->arena, path), "%s", message);

    diag->width = 1;
    if (hint && *hint)
        diag->hint = sl_arena_strdup(l->arena, hint);
}

/* A value from the environment or a flag; checked like one in the file. */
static void take(struct layers *l, const char *origin, const char *key, const char *value)
{
    const char *path = full_key(key, l->arena);
    const struct sl_field *f = sl_table_find(&sl_table_settings, path);
    bool text = f && (f->type == SL_T_STRING || f->type == SL_T_STRINGS);
    struct sl_scalar read;
    struct sl_scalar_err err;

    if (!f || f->sub) {
        complain(l, origin, key, "E102", "there is no such setting", NULL);
        return;
    }
    if (sl_scalar_read(f, value, strlen(value), !text, l->arena, &read, &err) < 0) {
        complain(l, origin, path, err.code, err.message, err.hint);
        return;
    }
    if (l->count == SL_COUNT(l->list)) {
        complain(l, origin, path, "E111", "too many settings are given as flags", NULL);
        return;
    }
    l->list[l->count] = (struct sl_override){path, sl_arena_strdup(l->arena, value)};
    l->origin[l->count++] = sl_arena_strdup(l->arena, origin);
}

static void take_environment(struct layers *l)
{
    for (size_t k = 0; k < leaves_count; k++) {
        const char *value = getenv(leaves[k].env);

        if (value)
            take(l, leaves[k].env, leaves[k].key, value);
    }
}

static bool loopback(const char *listen)
{
    return strncmp(listen, "127.", 4) == 0 || strncmp(listen, "[::1]:", 6) == 0 ||
           strncmp(listen, "localhost:", 10) == 0;
}

static bool port_fits(const char *listen)
{
    const char *colon = strrchr(listen, ':');
    char *end;
    long port;

    if (!colon || !isdigit((unsigned char)colon[1]))
        return false;
    if (listen[0] != '[' && memchr(listen, ':', (size_t)(colon - listen)))
        return false; /* an IPv6 address wants brackets */
    port = strtol(colon + 1, &end, 10);
    return *end == '\0' && port >= 0 && port <= 65535;
}

/* A rule's error, at the flag, the variable or the line that the value came from. */
static void rule(struct layers *l, struct sl_document *doc, const char *path, const char *message,
                 const char *hint)
{
    const struct sl_node *key = NULL;

    for (size_t i = l->count; i-- > 0;)
        if (sl_streq(l->list[i].path, path)) {
            complain(l, l->origin[i], path, "E112", message, hint);
            return;
        }
    if (doc->count && !sl_node_find(doc->roots[0], path, &key)) { /* written as a shorthand? */
        const char *dot = strrchr(path, '.');
        const char *map = sl_arena_strndup(l->arena, path, dot ? (size_t)(dot - path) : 0);

        key = NULL;
        if (sl_streq(full_key(map, l->arena), path))
            sl_node_find(doc->roots[0], map, &key);
    }
    if (key)
        sl_document_say(doc, SL_DIAG_ERROR, "E112", key, path, hint, "%s", message);
    else
        complain(l, doc->file ? doc->file : "settings", path, "E112", message, hint);
}

/* To which name or path and query are added: it ends before them. */
static void public_rules(struct layers *l, struct sl_document *doc, const struct sl_settings *s)
{
    const struct {
        const char *path, *value;
    } bases[] = {{"public.rtsp", s->public_.rtsp},
                 {"public.rtmp", s->public_.rtmp},
                 {"public.hls", s->public_.hls},
                 {"public.webrtc", s->public_.webrtc},
                 {"public.srt", s->public_.srt}};
    const char *slash;

    for (size_t i = 0; i < SL_COUNT(bases); i++)
        if (strchr(bases[i].value, '?'))
            rule(l, doc, bases[i].path, "an address to which names are added has no '?'", NULL);
    slash = *s->public_.srt ? strchr(s->public_.srt + strlen("srt://"), '/') : NULL;
    if (slash && slash[1])
        rule(l, doc, "public.srt", "SRT has no paths", "write srt://HOST:PORT");
    if (strpbrk(s->public_.host, "/@?# "))
        rule(l, doc, "public.host", "a host name or address, not a URL",
             "for example tv.example; whole URLs go into public.rtsp and its neighbours");
}

static void check_rules(struct layers *l, struct sl_document *doc, const struct sl_settings *s)
{
    const struct {
        const char *path, *value;
    } dirs[] = {{"manifests", s->manifests},
                {"media", s->media},
                {"recordings", s->recordings},
                {"state", s->state},
                {"runtime", s->runtime}};

    for (size_t i = 0; i < SL_COUNT(dirs); i++)
        if (!*dirs[i].value)
            rule(l, doc, dirs[i].path, "a directory is needed here", NULL);
    if (!port_fits(s->listen))
        rule(l, doc, "listen", "listen must be ADDRESS:PORT",
             "for example 127.0.0.1:8080 or [::1]:8080");
    else if (!loopback(s->listen) && !s->page.public_)
        rule(l, doc, "listen", "listen leaves the loopback, and nothing guards the page",
             "set page.public: true if everybody who reaches this address may see it");
    if (strncmp(s->mediamtx.api.url, "http://", 7) != 0 &&
        strncmp(s->mediamtx.api.url, "https://", 8) != 0)
        rule(l, doc, "mediamtx.api.url", "the API's URL must begin with http:// or https://", NULL);
    public_rules(l, doc, s);
}

static void check_file(struct sl_document *doc)
{
    sl_document_parse(doc);
    if (doc->count > 1)
        sl_document_say(doc, SL_DIAG_ERROR, "E111", doc->roots[1], "", "remove the '---'",
                        "host settings are one document");
    if (doc->count)
        sl_check_table(doc, &sl_table_settings, doc->roots[0], NULL, "", &sl_table_settings);
    sl_document_sort(doc->diags);
}

int sl_settings_load(struct sl_arena *arena, const char *file, bool file_required,
                     const struct sl_setting_flag *flags, size_t nflags, struct sl_settings **ret,
                     struct sl_diags *diags)
{
    SL_CLEAN(sl_arena_freep) struct sl_arena *scratch = sl_arena_new();
    sl_autofree char *bytes = NULL;
    struct sl_document doc = {.scratch = scratch, .diags = diags};
    struct layers l = {.arena = arena, .diags = diags};
    struct sl_err err = {0};
    void *data;

    if (!diags->arena)
        diags->arena = arena;
    need_leaves();
    if (file) {
        doc.file = sl_arena_strdup(arena, file);
        if (sl_file_read(AT_FDCWD, file, SL_DOC_BYTES_MAX, &bytes, &doc.len, &err) == 0) {
            doc.bytes = bytes;
            check_file(&doc);
        } else if (file_required || err.os != ENOENT) {
            complain(&l, file, "", "Unreadable", err.text, NULL);
        }
    }
    take_environment(&l);
    for (size_t i = 0; i < nflags; i++) {
        const char *origin = flags[i].key;

        for (size_t k = 0; k < leaves_count; k++)
            if (sl_streq(leaves[k].key, flags[i].key))
                origin = leaves[k].flag;
        take(&l, origin, flags[i].key, flags[i].value);
    }
    if (diags->errors)
        return -1;
    if (sl_fill(&sl_table_settings, doc.count ? doc.roots[0] : NULL, l.list, l.count, arena, &data,
                &err) < 0) {
        complain(&l, file ? file : "settings", "", "E199", err.text, "please report this");
        return -1;
    }
    check_rules(&l, &doc, data);
    if (diags->errors)
        return -1;
    *ret = data;
    return 0;
}
