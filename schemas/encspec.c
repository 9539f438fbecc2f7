/* SPDX-License-Identifier: GPL-2.0-or-later
 * The encoder's spec as JSON: one table of rows says name, place and kind of every member, and
 * both directions walk it. Layer: schemas. Never logs: the text holds a password.
 */
#include "schemas/encspec.h"
#include <jansson.h>
#include <stddef.h>

enum kind { STRING, INT, INT64, UINT64, DOUBLE, BOOL, SOURCE, MODE, KIND_COUNT };

struct row {
    const char *group; /* NULL: top level */
    const char *name;
    enum kind kind;
    size_t offset;
};

#define AT(member) offsetof(struct sl_encspec, member)
static const struct row rows[] = {
    {NULL, "uid", STRING, AT(uid)},
    {NULL, "name", STRING, AT(name)},
    {NULL, "specHash", STRING, AT(spec_hash)},
    {NULL, "generation", UINT64, AT(generation)},
    {NULL, "hold", BOOL, AT(hold)},
    {NULL, "source", SOURCE, AT(source)},
    {NULL, "mode", MODE, AT(mode)},
    {"file", "path", STRING, AT(file.path)},
    {"file", "loop", BOOL, AT(file.loop)},
    {"file", "startAt", INT64, AT(file.start_at)},
    {"test", "pattern", STRING, AT(test.pattern)},
    {"test", "width", INT, AT(test.width)},
    {"test", "height", INT, AT(test.height)},
    {"test", "rate", DOUBLE, AT(test.rate)},
    {"test", "tone", INT, AT(test.tone)},
    {"net", "url", STRING, AT(net.url)},
    {"net", "transport", STRING, AT(net.transport)},
    {"net", "username", STRING, AT(net.username)},
    {"net", "password", STRING, AT(net.password)},
    {"net", "passphrase", STRING, AT(net.passphrase)},
    {"net", "streamId", STRING, AT(net.stream_id)},
    {"net", "silence", INT64, AT(net.silence)},
    {"video", "codec", STRING, AT(video.codec)},
    {"video", "preset", STRING, AT(video.preset)},
    {"video", "profile", STRING, AT(video.profile)},
    {"video", "bitrate", INT64, AT(video.bitrate)},
    {"video", "maxBitrate", INT64, AT(video.max_bitrate)},
    {"video", "width", INT, AT(video.width)},
    {"video", "height", INT, AT(video.height)},
    {"video", "rate", DOUBLE, AT(video.rate)},
    {"video", "keyframeInterval", INT64, AT(video.keyframe_interval)},
    {"video", "bFrames", INT, AT(video.b_frames)},
    {"audio", "codec", STRING, AT(audio.codec)},
    {"audio", "bitrate", INT64, AT(audio.bitrate)},
    {"audio", "channels", INT, AT(audio.channels)},
    {"audio", "sampleRate", INT, AT(audio.sample_rate)},
    {"audio", "webrtcOpus", BOOL, AT(audio.webrtc_opus)},
    {"publish", "url", STRING, AT(publish.url)},
    {"publish", "username", STRING, AT(publish.username)},
    {"publish", "password", STRING, AT(publish.password)},
};
#undef AT

static const char *const source_names[SL_ENC_SOURCE_COUNT] = {"file", "test", "net"};
static const char *const mode_names[SL_ENC_MODE_COUNT] = {"copy", "transcode"};

static void *member(const struct sl_encspec *spec, const struct row *row)
{
    return (char *)(uintptr_t)spec + row->offset;
}

void sl_encspec_free(struct sl_encspec *spec)
{
    if (!spec)
        return;
    for (size_t i = 0; i < SL_COUNT(rows); i++) {
        char *text = rows[i].kind == STRING ? *(char **)member(spec, &rows[i]) : NULL;

        if (text) /* some are secrets */
            explicit_bzero(text, strlen(text));
        free(text);
    }
    free(spec);
}

static json_t *value_to_json(const struct row *row, const void *at)
{
    switch (row->kind) {
    case STRING:
        return json_string(*(char *const *)at ? *(char *const *)at : "");
    case INT:
        return json_integer(*(const int *)at);
    case INT64:
        return json_integer(*(const int64_t *)at);
    case UINT64:
        return json_integer((json_int_t) * (const uint64_t *)at);
    case DOUBLE:
        return json_real(*(const double *)at);
    case BOOL:
        return json_boolean(*(const bool *)at);
    case SOURCE:
        return json_string(source_names[*(const enum sl_enc_source *)at]);
    case MODE:
        return json_string(mode_names[*(const enum sl_enc_mode *)at]);
    case KIND_COUNT:
        break;
    }
    return NULL;
}

char *sl_encspec_to_json(const struct sl_encspec *spec)
{
    json_t *root = json_object();
    char *text;

    for (size_t i = 0; i < SL_COUNT(rows); i++) {
        json_t *in = root;

        if (rows[i].group) {
            in = json_object_get(root, rows[i].group);
            if (!in) {
                in = json_object();
                json_object_set_new(root, rows[i].group, in);
            }
        }
        json_object_set_new(in, rows[i].name, value_to_json(&rows[i], member(spec, &rows[i])));
    }
    text = json_dumps(root, JSON_COMPACT);
    json_decref(root);
    if (!text)
        abort(); /* a string that is not UTF-8 was let through: a bug of the caller */
    return text;
}

static int wrong(const struct row *row, const char *want, struct sl_err *err)
{
    return sl_err_set(err, SL_ERR_HUMAN, 0, "BadSpec", "encoder spec: %s%s%s must be %s",
                      row->group ? row->group : "", row->group ? "." : "", row->name, want);
}

static int pick(const char *const *names, int count, const char *s)
{
    for (int i = 0; i < count; i++) {
        if (sl_streq(names[i], s))
            return i;
    }
    return -1;
}

static int value_from_json(const struct row *row, const json_t *v, void *at, struct sl_err *err)
{
    int n;

    switch (row->kind) {
    case STRING:
        if (!json_is_string(v) || strlen(json_string_value(v)) != json_string_length(v))
            return wrong(row, "a string", err);
        free(*(char **)at);
        *(char **)at = sl_strdup(json_string_value(v));
        return 0;
    case INT:
        if (!json_is_integer(v) || json_integer_value(v) < 0 || json_integer_value(v) > INT32_MAX)
            return wrong(row, "a number, not negative", err);
        *(int *)at = (int)json_integer_value(v);
        return 0;
    case INT64:
    case UINT64:
        if (!json_is_integer(v) || json_integer_value(v) < 0)
            return wrong(row, "a number, not negative", err);
        *(int64_t *)at = json_integer_value(v);
        return 0;
    case DOUBLE:
        if (!json_is_number(v) || !(json_number_value(v) >= 0 && json_number_value(v) < 1e6))
            return wrong(row, "a number, not negative", err);
        *(double *)at = json_number_value(v);
        return 0;
    case BOOL:
        if (!json_is_boolean(v))
            return wrong(row, "true or false", err);
        *(bool *)at = json_is_true(v);
        return 0;
    case SOURCE:
        n = pick(source_names, SL_ENC_SOURCE_COUNT, json_string_value(v));
        if (n < 0)
            return wrong(row, "file, test or net", err);
        *(enum sl_enc_source *)at = (enum sl_enc_source)n;
        return 0;
    case MODE:
        n = pick(mode_names, SL_ENC_MODE_COUNT, json_string_value(v));
        if (n < 0)
            return wrong(row, "copy or transcode", err);
        *(enum sl_enc_mode *)at = (enum sl_enc_mode)n;
        return 0;
    case KIND_COUNT:
        break;
    }
    return wrong(row, "of a known kind", err);
}

static const struct row *find(const char *group, const char *name)
{
    for (size_t i = 0; i < SL_COUNT(rows); i++) {
        if (sl_streq(rows[i].group, group) && strcmp(rows[i].name, name) == 0)
            return &rows[i];
    }
    return NULL;
}

static bool is_group(const char *name)
{
    for (size_t i = 0; i < SL_COUNT(rows); i++) {
        if (rows[i].group && strcmp(rows[i].group, name) == 0)
            return true;
    }
    return false;
}

static int object_from_json(const char *group, json_t *object, struct sl_encspec *spec,
                            struct sl_err *err)
{
    const char *key;
    json_t *v;

    json_object_foreach(object, key, v)
    {
        const struct row *row = find(group, key);

        if (row) {
            if (value_from_json(row, v, member(spec, row), err) < 0)
                return -1;
        } else if (!group && is_group(key) && json_is_object(v)) {
            if (object_from_json(key, v, spec, err) < 0)
                return -1;
        } else {
            return sl_err_set(err, SL_ERR_HUMAN, 0, "BadSpec",
                              "encoder spec: unknown key %s%s%.60s", group ? group : "",
                              group ? "." : "", key);
        }
    }
    return 0;
}

/* What a hand-written spec leaves out; the daemon always writes all. */
static struct sl_encspec *defaults(void)
{
    struct sl_encspec *spec = sl_alloc(sizeof(*spec));

    for (size_t i = 0; i < SL_COUNT(rows); i++) {
        if (rows[i].kind == STRING)
            *(char **)member(spec, &rows[i]) = sl_strdup("");
    }
    spec->file.loop = true;
    spec->test.width = 1280;
    spec->test.height = 720;
    spec->test.rate = 25;
    spec->net.silence = 5000;
    spec->video.keyframe_interval = 2000;
    return spec;
}

static bool uid_ok(const char *uid)
{
    return strlen(uid) == 16 && strspn(uid, "0123456789abcdef") == 16;
}

static bool url_ok(const char *url)
{
    const char *host = strstr(url, "://");

    return host && host != url && host[3] && host[3] != '/' &&
           !memchr(host + 3, '@', strcspn(host + 3, "/?#"));
}

int sl_encspec_from_json(const char *text, size_t len, struct sl_encspec **ret, struct sl_err *err)
{
    struct sl_encspec *spec;
    json_error_t at;
    json_t *root = json_loadb(text, len, JSON_REJECT_DUPLICATES, &at);

    if (!json_is_object(root)) {
        /* jansson's text quotes what stands near the error: it may be the password */
        int line = root ? 1 : at.line;

        json_decref(root);
        return sl_err_set(err, SL_ERR_HUMAN, 0, "BadSpec",
                          "encoder spec: not a JSON object (line %d)", line);
    }
    spec = defaults();
    if (object_from_json(NULL, root, spec, err) < 0)
        goto fail;
    if (*spec->uid && !uid_ok(spec->uid)) {
        sl_err_set(err, SL_ERR_HUMAN, 0, "BadSpec", "encoder spec: uid must be 16 hex digits");
        goto fail;
    }
    if (spec->source == SL_ENC_FILE && spec->file.path[0] != '/') {
        sl_err_set(err, SL_ERR_HUMAN, 0, "BadSpec", "encoder spec: file.path must be absolute");
        goto fail;
    }
    if (spec->source == SL_ENC_NET && !url_ok(spec->net.url)) {
        sl_err_set(err, SL_ERR_HUMAN, 0, "BadSpec",
                   "encoder spec: net.url must be SCHEME://HOST…, without user and password");
        goto fail;
    }
    json_decref(root);
    *ret = spec;
    return 0;
fail:
    json_decref(root);
    sl_encspec_free(spec);
    return -1;
}
