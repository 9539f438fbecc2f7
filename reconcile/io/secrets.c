/* SPDX-License-Identifier: GPL-2.0-or-later
 * Secrets: read by name out of directories, or made once and kept. Errors name the secret and the
 * place, never its bytes. Every file is opened by its path anew, so a flip of a link on the way
 * (Kubernetes) is seen by the next look.
 */
#include "reconcile/io/secrets.h"
#include "reconcile/base/buf.h"
#include "reconcile/base/file.h"
#include "reconcile/base/log.h"
#include "reconcile/io/state.h"

#include <errno.h>
#include <fcntl.h>
#include <nettle/base64.h>
#include <nettle/hmac.h>
#include <sys/random.h>
#include <sys/stat.h>

#define SECRET_MAX   65536
#define RANDOM_BYTES 16
#define SCRUB_MIN    4 /* shorter values are no secrets, and would tear every text */
#define DIGEST_HEX   16

static bool name_ok(const char *name)
{
    return name && name[0] && name[0] != '.' && !strchr(name, '/') && strlen(name) <= 200;
}

static void cut_newline(char *text)
{
    size_t len = strlen(text);

    if (len > 0 && text[len - 1] == '\n')
        text[--len] = '\0';
    if (len > 0 && text[len - 1] == '\r')
        text[--len] = '\0';
}

static void wipe(char *text)
{
    if (text)
        explicit_bzero(text, strlen(text));
    free(text);
}

static void wipep(char **text)
{
    wipe(*text);
}

/* 1: found; 0: not there; -1: err */
static int read_one(const char *dir, const char *name, char **ret, struct sl_err *err)
{
    sl_autofree char *path = sl_asprintf("%s/%s", dir, name);
    SL_CLEAN(wipep) char *text = NULL;
    struct sl_err why = {0};
    size_t len = 0;

    if (sl_file_read(AT_FDCWD, path, SECRET_MAX, &text, &len, &why) < 0) {
        if (why.os == ENOENT || why.os == ENOTDIR)
            return 0;
        if (err)
            *err = why;
        return -1;
    }
    if (strlen(text) != len) {
        explicit_bzero(text, len);
        return sl_err_set(err, SL_ERR_HUMAN, 0, "SecretInvalid", "the secret %s holds a NUL byte",
                          path);
    }
    cut_newline(text);
    if (!*text)
        return sl_err_set(err, SL_ERR_HUMAN, 0, "SecretInvalid", "the secret %s is empty", path);
    *ret = text;
    text = NULL;
    return 1;
}

int sl_secret_read(char *const *dirs, size_t count, const char *name, char **ret,
                   struct sl_err *err)
{
    if (!name_ok(name))
        return sl_err_set(err, SL_ERR_HUMAN, 0, "SecretInvalid",
                          "not the name of a secret: it must be a plain file name");
    for (size_t i = 0; i < count; i++) {
        int r = read_one(dirs[i], name, ret, err);

        if (r != 0)
            return r < 0 ? -1 : 0;
    }
    return sl_err_set(err, SL_ERR_HUMAN, ENOENT, "SecretMissing",
                      "the secret %s is in none of the %zu secret directories", name, count);
}

int sl_state_secret(const char *dir, const char *name, char **ret, struct sl_err *err)
{
    sl_autofree char *path = NULL;
    unsigned char bytes[RANDOM_BYTES];
    char text[2 * RANDOM_BYTES + 2];
    struct sl_err why = {0};
    int r;

    if (!name_ok(name))
        return sl_err_set(err, SL_ERR_BUG, 0, "SecretInvalid", "not the name of a secret");
    r = read_one(dir, name, ret, &why);
    if (r > 0)
        return 0;
    if (r < 0 && strcmp(why.code, "SecretInvalid") != 0) {
        if (err)
            *err = why;
        return -1;
    }
    if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes))
        return sl_err_os(err, errno, "cannot get random bytes");
    for (size_t i = 0; i < sizeof(bytes); i++)
        snprintf(text + 2 * i, 3, "%02x", bytes[i]);
    path = sl_asprintf("%s/%s", dir, name);
    if (sl_file_replace(AT_FDCWD, path, text, 2 * RANDOM_BYTES, 0600, SL_FILE_SYNC, err) < 0)
        return -1;
    *ret = sl_strdup(text);
    return 0;
}

/* --- those that manifests refer to --- */

enum form { RAW, BASE64_0, BASE64_1, BASE64_2, FORM_COUNT };

struct secret {
    char *name;             /* NAME or NAME/KEY */
    char *form[FORM_COUNT]; /* the value; base64 of it at each place in a group of three */
    char *why;
    char digest[DIGEST_HEX + 1];
    bool looked; /* since the last sweep: one pass sees one value */
    bool warned;
};

struct candidate {
    const char *text;
    bool base64;
};
/* All forms of all values by their first four bytes: texts are scrubbed in every pass. */
struct index {
    bool stale;
    struct bucket {
        struct candidate *list;
        size_t count, cap;
    } bucket[4096];
};

struct sl_secrets {
    struct index *index;
    char **dirs;
    size_t dirs_count;
    char *key;
    struct secret **list;
    size_t count, cap;
};

static void add_dir(struct sl_secrets *secrets, const char *dir)
{
    for (size_t i = 0; i < secrets->dirs_count; i++) {
        if (sl_streq(secrets->dirs[i], dir))
            return;
    }
    secrets->dirs[secrets->dirs_count++] = sl_strdup(dir);
}

struct sl_secrets *sl_secrets_new(char *const *dirs, size_t count, const char *key)
{
    struct sl_secrets *secrets = sl_alloc(sizeof(*secrets));
    const char *credentials = getenv("CREDENTIALS_DIRECTORY");

    secrets->index = sl_alloc(sizeof(*secrets->index));
    secrets->dirs = sl_alloc((count + 2) * sizeof(secrets->dirs[0]));
    for (size_t i = 0; i < count; i++)
        add_dir(secrets, dirs[i]);
    if (credentials && *credentials)
        add_dir(secrets, credentials);
    add_dir(secrets, "/run/secrets");
    secrets->key = sl_strdup(key);
    return secrets;
}

static void forget_value(struct secret *secret)
{
    for (int i = 0; i < FORM_COUNT; i++) {
        wipe(secret->form[i]);
        secret->form[i] = NULL;
    }
    secret->digest[0] = '\0';
}

static void secret_free(struct secret *secret)
{
    forget_value(secret);
    free(secret->name);
    free(secret->why);
    free(secret);
}

void sl_secrets_free(struct sl_secrets *secrets)
{
    if (!secrets)
        return;
    for (size_t i = 0; i < secrets->count; i++)
        secret_free(secrets->list[i]);
    for (size_t i = 0; i < secrets->dirs_count; i++)
        free(secrets->dirs[i]);
    for (size_t i = 0; i < SL_COUNT(secrets->index->bucket); i++)
        free(secrets->index->bucket[i].list);
    free(secrets->index);
    free(secrets->list);
    free(secrets->dirs);
    wipe(secrets->key);
    free(secrets);
}

/* The characters of base64 that tell of the value alone, when `shift` other bytes stand before it
 * in its group of three, and whatever behind it. */
static char *base64_core(const char *value, size_t shift)
{
    size_t len = strlen(value), bytes = shift + len, from = (shift * 8 + 5) / 6, to = bytes * 8 / 6;
    SL_CLEAN(wipep) char *whole = sl_alloc(BASE64_ENCODE_RAW_LENGTH(bytes) + 1);
    uint8_t *raw = sl_alloc(bytes + 1);
    char *core = sl_alloc(to - from + 1);

    memcpy(raw + shift, value, len);
    base64_encode_raw(whole, bytes, raw);
    memcpy(core, whole + from, to - from);
    explicit_bzero(raw, bytes);
    free(raw);
    return core;
}

static void take_value(struct sl_secrets *secrets, struct secret *secret, char *value)
{
    struct hmac_sha256_ctx hmac;
    uint8_t raw[DIGEST_HEX / 2];

    forget_value(secret);
    hmac_sha256_set_key(&hmac, strlen(secrets->key), (const uint8_t *)secrets->key);
    hmac_sha256_update(&hmac, strlen(value), (const uint8_t *)value);
    hmac_sha256_digest(&hmac, sizeof(raw), raw);
    explicit_bzero(&hmac, sizeof(hmac));
    for (size_t i = 0; i < sizeof(raw); i++)
        snprintf(secret->digest + 2 * i, 3, "%02x", raw[i]);
    secret->form[RAW] = value;
    if (strlen(value) < SCRUB_MIN)
        return;
    for (int i = BASE64_0; i < FORM_COUNT; i++)
        secret->form[i] = base64_core(value, (size_t)(i - BASE64_0));
}

/* Specs, configurations and URLs are UTF-8 (Unicode 3.9, table 3-7). */
static bool is_utf8(const char *text)
{
    const unsigned char *p = (const unsigned char *)text;

    while (*p) {
        unsigned more = *p < 0x80 ? 0 : *p < 0xc2 ? 9 : *p < 0xe0 ? 1 : *p < 0xf0 ? 2 : 3;

        if (more == 9 || *p > 0xf4 || (*p == 0xe0 && p[1] < 0xa0) || (*p == 0xed && p[1] > 0x9f) ||
            (*p == 0xf0 && p[1] < 0x90) || (*p == 0xf4 && p[1] > 0x8f))
            return false;
        for (p++; more; more--, p++) {
            if ((*p & 0xc0) != 0x80)
                return false;
        }
    }
    return true;
}

static char *all_dirs(const struct sl_secrets *secrets)
{
    struct sl_buf text = {0};

    for (size_t i = 0; i < secrets->dirs_count; i++)
        sl_buf_printf(&text, "%s%s", i ? ", " : "", secrets->dirs[i]);
    return sl_buf_steal(&text);
}

static void warn_if_open(struct secret *secret, const char *dir)
{
    sl_autofree char *path = sl_asprintf("%s/%s", dir, secret->name);
    struct stat st;

    if (stat(path, &st) < 0 || !(st.st_mode & S_IROTH))
        return;
    secret->why = sl_asprintf("%s can be read by everybody on this machine: chmod o-r", path);
    if (!secret->warned)
        sl_log(SL_LOG_WARN, "a secret is open to everybody", "file", path, "fix", "chmod o-r",
               NULL);
    secret->warned = true;
}

static void read_again(struct sl_secrets *secrets, struct secret *secret)
{
    struct sl_err err = {0};
    char *value = NULL;
    int found = 0;

    secrets->index->stale = true;
    free(secret->why);
    secret->why = NULL;
    for (size_t i = 0; i < secrets->dirs_count && found == 0; i++) {
        found = read_one(secrets->dirs[i], secret->name, &value, &err);
        if (found > 0)
            warn_if_open(secret, secrets->dirs[i]);
    }
    if (found > 0 && !is_utf8(value)) {
        wipe(value);
        value = NULL;
        forget_value(secret);
        free(secret->why);
        secret->why = sl_asprintf("the secret %s is not UTF-8 text", secret->name);
    } else if (found > 0 && sl_streq(value, secret->form[RAW])) {
        wipe(value);
    } else if (found > 0) {
        take_value(secrets, secret, value);
    } else {
        forget_value(secret);
        if (found == 0) {
            sl_autofree char *dirs = all_dirs(secrets);

            secret->why = sl_asprintf("there is no secret %s in %s", secret->name, dirs);
        } else if (err.os == EISDIR) {
            secret->why =
                sl_asprintf("the secret %s is a directory: say which `key` in it", secret->name);
        } else {
            secret->why = sl_strdup(err.text);
        }
    }
}

struct sl_secret_seen sl_secrets_look(struct sl_secrets *secrets, const char *name, const char *key)
{
    sl_autofree char *full = NULL;
    struct secret *secret = NULL;

    if (!name)
        return (struct sl_secret_seen){0};
    if (!name_ok(name) || (key && !name_ok(key)))
        return (struct sl_secret_seen){
            .name = name, .why = "not the name of a secret: it must be a plain file name"};
    full = key ? sl_asprintf("%s/%s", name, key) : sl_strdup(name);
    for (size_t i = 0; i < secrets->count && !secret; i++) {
        if (sl_streq(secrets->list[i]->name, full))
            secret = secrets->list[i];
    }
    if (!secret) {
        if (secrets->count == secrets->cap) {
            secrets->cap = secrets->cap ? secrets->cap * 2 : 16;
            secrets->list = sl_realloc(secrets->list, secrets->cap * sizeof(secrets->list[0]));
        }
        secret = sl_alloc(sizeof(*secret));
        secret->name = full;
        full = NULL;
        secrets->list[secrets->count++] = secret;
    }
    if (!secret->looked)
        read_again(secrets, secret);
    secret->looked = true;
    return (struct sl_secret_seen){
        .name = secret->name,
        .value = secret->form[RAW],
        .digest = secret->form[RAW] ? secret->digest : NULL,
        .why = secret->why,
    };
}

void sl_secrets_sweep(struct sl_secrets *secrets)
{
    size_t kept = 0;

    for (size_t i = 0; i < secrets->count; i++) {
        struct secret *secret = secrets->list[i];

        if (!secret->looked) {
            secrets->index->stale = true;
            secret_free(secret);
            continue;
        }
        secret->looked = false;
        secrets->list[kept++] = secret;
    }
    secrets->count = kept;
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'                 ? c - '0'
           : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10
                                                : -1;
}

enum way { AS_IT_IS, ESCAPED, PERCENT, WAY_COUNT };

/* Length of what stands for `value` at the start of `text` when written that way; 0: it does not.
 * ESCAPED: a backslash before quotes and backslashes; PERCENT: any character as %XX, + for a
 * space. */
static size_t match_raw(const char *text, const char *value, enum way way)
{
    const char *p = text;

    for (; *value; value++) {
        if (way == ESCAPED && *p == '\\' && (*value == '"' || *value == '\\') && p[1] == *value)
            p += 2;
        else if (way == PERCENT && *p == '%' && hex_digit(p[1]) >= 0 && hex_digit(p[2]) >= 0 &&
                 (char)(hex_digit(p[1]) * 16 + hex_digit(p[2])) == *value)
            p += 3;
        else if (*p == *value || (way == PERCENT && *value == ' ' && *p == '+'))
            p++;
        else
            return 0;
    }
    return (size_t)(p - text);
}

/* Both alphabets: + / and - _. */
static size_t match_base64(const char *text, const char *value)
{
    size_t n = 0;

    for (; value[n]; n++) {
        if (text[n] != value[n] && !(value[n] == '+' && text[n] == '-') &&
            !(value[n] == '/' && text[n] == '_'))
            return 0;
    }
    return n;
}

static struct bucket *bucket_of(struct index *index, const unsigned char first[SCRUB_MIN])
{
    uint32_t key;

    memcpy(&key, first, sizeof(key));
    return &index->bucket[(key * 2654435761u) >> 20]; /* Fibonacci hashing */
}

static void add_candidate(struct index *index, const char *text, bool base64)
{
    struct bucket *b = bucket_of(index, (const unsigned char *)text);

    if (b->count == b->cap) {
        b->cap = b->cap ? b->cap * 2 : 4;
        b->list = sl_realloc(b->list, b->cap * sizeof(b->list[0]));
    }
    b->list[b->count++] = (struct candidate){text, base64};
}

static void make_index(const struct sl_secrets *secrets)
{
    for (size_t i = 0; i < SL_COUNT(secrets->index->bucket); i++)
        secrets->index->bucket[i].count = 0;
    for (size_t i = 0; i < secrets->count; i++) {
        char *const *form = secrets->list[i]->form;

        for (int k = RAW; k < FORM_COUNT && form[BASE64_0]; k++)
            add_candidate(secrets->index, form[k], k != RAW);
    }
    secrets->index->stale = false;
}

/* How the same bytes may be written in a text. */
enum reading { PLAIN, UNESCAPED, DECODED, DECODED_FORM, BASE64_URL, READING_COUNT };

/* The first bytes that the text stands for; false: it ends before. */
static bool read_first(const char *text, enum reading reading, unsigned char ret[SCRUB_MIN])
{
    for (int i = 0; i < SCRUB_MIN; i++) {
        bool decoded = reading == DECODED || reading == DECODED_FORM;

        if (!*text)
            return false;
        if (reading == UNESCAPED && *text == '\\' && (text[1] == '"' || text[1] == '\\'))
            text++;
        if (decoded && *text == '%' && hex_digit(text[1]) >= 0 && hex_digit(text[2]) >= 0) {
            ret[i] = (unsigned char)(hex_digit(text[1]) * 16 + hex_digit(text[2]));
            text += 3;
            continue;
        }
        ret[i] = (unsigned char)(reading == DECODED_FORM && *text == '+' ? ' '
                                 : reading == BASE64_URL && *text == '-' ? '+'
                                 : reading == BASE64_URL && *text == '_' ? '/'
                                                                         : *text);
        text++;
    }
    return true;
}

static size_t match(const struct candidate *candidate, const char *text)
{
    size_t longest = 0;

    if (candidate->base64)
        return match_base64(text, candidate->text);
    for (int way = 0; way < WAY_COUNT; way++) {
        size_t n = match_raw(text, candidate->text, (enum way)way);

        longest = n > longest ? n : longest;
    }
    return longest;
}

/* Length of the longest form of any value at the start of the text: one may begin with another. */
static size_t match_any(struct index *index, const char *text)
{
    unsigned char plain[SCRUB_MIN] = {0}, first[SCRUB_MIN];
    size_t longest = 0;

    for (int reading = 0; reading < READING_COUNT; reading++) {
        const struct bucket *b;

        if (!read_first(text, (enum reading)reading, first) ||
            (reading != PLAIN && memcmp(first, plain, sizeof(plain)) == 0))
            continue;
        if (reading == PLAIN)
            memcpy(plain, first, sizeof(plain));
        b = bucket_of(index, first);
        for (size_t i = 0; i < b->count; i++) {
            size_t n = match(&b->list[i], text);

            longest = n > longest ? n : longest;
        }
    }
    return longest;
}

void sl_secrets_scrub(const struct sl_secrets *secrets, char *text)
{
    char *to = text;

    if (secrets->index->stale)
        make_index(secrets);
    while (text && *text) {
        size_t n = match_any(secrets->index, text);

        if (n) {
            memcpy(to, "***", 3);
            to += 3;
            text += n;
        } else {
            *to++ = *text++;
        }
    }
    if (to)
        *to = '\0';
}
