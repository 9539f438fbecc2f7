/* SPDX-License-Identifier: GPL-2.0-or-later
 * Users, their hashes and the generation marker. Layer: mediamtx.
 */
#include "reconcile/mediamtx/users.h"

#include "reconcile/mediamtx/paths.h"
#include <nettle/base64.h>
#include <sys/random.h>

#define MARKER "sluice-gen-"

static void hash_print(const uint8_t raw[32], char ret[SL_MTX_HASH])
{
    char text[BASE64_ENCODE_RAW_LENGTH(32) + 1] = {0};

    base64_encode_raw(text, 32, raw);
    snprintf(ret, SL_MTX_HASH, "sha256:%s", text);
}

void sl_mtx_hash(const char *password, char ret[SL_MTX_HASH])
{
    uint8_t raw[32];

    sl_sha256_raw(password, strlen(password), raw);
    hash_print(raw, ret);
}

void sl_mtx_hash_random(char ret[SL_MTX_HASH])
{
    uint8_t raw[32];

    if (getrandom(raw, sizeof(raw), 0) != (ssize_t)sizeof(raw))
        abort();
    hash_print(raw, ret);
}

/* What MediaMTX takes as a plain credential; not the names of our own. */
static bool user_ok(const char *name)
{
    static const char more[] = "!$()*+.;<=>[]^_-{}@#&";

    if (!*name || strncmp(name, "sluice-", 7) == 0)
        return false;
    for (const char *c = name; *c; c++)
        if (!(*c >= 'a' && *c <= 'z') && !(*c >= 'A' && *c <= 'Z') && !(*c >= '0' && *c <= '9') &&
            !strchr(more, *c))
            return false;
    return true;
}

int sl_mtx_user_of(const struct sl_publish_user *from, struct sl_mtx_user *ret, struct sl_err *err)
{
    struct sl_mtx_user user = {0};

    if (!sl_mtx_name_ok(from->path))
        return sl_err_set(err, SL_ERR_HUMAN, 0, "NameRefused", "%s cannot name a path", from->path);
    if (!user_ok(from->name))
        return sl_err_set(err, SL_ERR_HUMAN, 0, "UserRefused",
                          "path %s: MediaMTX does not take the user name \"%s\": letters, digits "
                          "and !$()*+.;<=>[]^_-{}@#& only, and not sluice-…",
                          from->path, from->name);
    snprintf(user.path, sizeof(user.path), "%s", from->path);
    snprintf(user.name, sizeof(user.name), "%s", from->name);
    if (strcmp(from->name, "any") != 0)
        sl_mtx_hash(from->password, user.pass);
    *ret = user;
    return 0;
}

/* One entry: `actions` as in "read,playback", all on one path ("": every path). */
struct entry {
    const char *user, *pass, *actions, *path;
};
typedef void entry_fn(const struct entry *entry, void *user);

static void each(const struct sl_mtx_users *users, entry_fn *fn, void *user)
{
    char marker[40];

    if (users->user) {
        fn(&(struct entry){"any", "", "read,playback", ""}, user);
        fn(&(struct entry){users->user, users->pass, "publish,read,playback,api", ""}, user);
        for (size_t i = 0; i < users->count; i++)
            fn(&(struct entry){users->list[i].name, users->list[i].pass, "publish",
                               users->list[i].path},
               user);
    }
    snprintf(marker, sizeof(marker), MARKER "%llu", (unsigned long long)users->generation);
    fn(&(struct entry){marker, users->marker, "", ""}, user);
}

struct printing {
    struct sl_buf *out;
    int indent;
};

static void print(struct printing *to, const struct entry *entry, const char *ips)
{
    int indent = to->indent;
    const char *comma = "";

    sl_buf_printf(to->out,
                  "%*s- user: \"%s\"\n%*s  pass: \"%s\"\n%*s  ips: [%s]\n%*s  permissions: [",
                  indent, "", entry->user, indent, "", entry->pass, indent, "", ips, indent, "");
    for (const char *at = entry->actions; *at;) {
        int len = (int)strcspn(at, ",");

        sl_buf_printf(to->out, "%s{action: %.*s", comma, len, at);
        if (*entry->path)
            sl_buf_printf(to->out, ", path: \"%s\"", entry->path);
        sl_buf_puts(to->out, "}");
        comma = ", ";
        at += len + (at[len] == ',');
    }
    sl_buf_puts(to->out, "]\n");
}

static void print_entry(const struct entry *entry, void *user)
{
    print(user, entry, "");
}

void sl_mtx_users_print(const struct sl_mtx_users *users, int indent, struct sl_buf *out)
{
    each(users, print_entry, &(struct printing){out, indent});
}

static void add_entry(const struct entry *entry, void *user)
{
    json_t *permissions = json_array();

    for (const char *at = entry->actions; *at;) {
        size_t len = strcspn(at, ",");

        json_array_append_new(permissions,
                              json_pack("{s:s%, s:s}", "action", at, len, "path", entry->path));
        at += len + (at[len] == ',');
    }
    json_array_append_new(user, json_pack("{s:s, s:s, s:[], s:o}", "user", entry->user, "pass",
                                          entry->pass, "ips", "permissions", permissions));
}

json_t *sl_mtx_users_to_json(const struct sl_mtx_users *users)
{
    json_t *array = json_array();

    each(users, add_entry, array);
    return array;
}

static void dump(const json_t *value, struct sl_buf *out)
{
    char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);

    sl_buf_printf(out, "%s\n", text ? text : "");
    free(text);
}

void sl_mtx_users_shape(const json_t *array, char ret[SL_SHA_HEX])
{
    struct sl_buf out = {0};

    for (size_t i = 0; i < json_array_size(array); i++) {
        const json_t *user = json_array_get(array, i), *name = json_object_get(user, "user");
        const json_t *permissions = json_object_get(user, "permissions");
        const char *pass = json_string_value(json_object_get(user, "pass"));

        if (sl_mtx_generation(json_string_value(name)))
            sl_buf_puts(&out, MARKER "\n");
        else
            dump(name, &out);
        sl_buf_printf(&out, "%d\n", pass && *pass);
        dump(json_object_get(user, "ips"), &out);
        for (size_t k = 0; k < json_array_size(permissions); k++) {
            dump(json_object_get(json_array_get(permissions, k), "action"), &out);
            dump(json_object_get(json_array_get(permissions, k), "path"), &out);
        }
    }
    sl_sha256_hex(out.data ? out.data : "", out.len, ret);
    sl_buf_free(&out);
}

void sl_mtx_users_hash(const struct sl_mtx_user *list, size_t count, char ret[SL_SHA_HEX])
{
    struct sl_buf out = {0};

    for (size_t i = 0; i < count; i++)
        sl_buf_printf(&out, "%s\n%s\n%s\n", list[i].path, list[i].name, list[i].pass);
    sl_sha256_hex(out.data ? out.data : "", out.len, ret);
    sl_buf_free(&out);
}

void sl_mtx_users_default(int indent, struct sl_buf *out)
{
    struct printing to = {out, indent};

    print(&to, &(struct entry){"any", "", "publish,read,playback", ""}, "");
    print(&to, &(struct entry){"any", "", "api,metrics,pprof", ""}, "\"127.0.0.1\", \"::1\"");
}

uint64_t sl_mtx_generation(const char *user)
{
    if (!user || strncmp(user, MARKER, strlen(MARKER)) != 0)
        return 0;
    return strtoull(user + strlen(MARKER), NULL, 10);
}
