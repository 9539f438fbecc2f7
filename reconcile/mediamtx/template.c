/* SPDX-License-Identifier: GPL-2.0-or-later
 * Reading the template: libyaml finds the blocks, its lines stay as they are. Layer: mediamtx.
 */
#include "reconcile/mediamtx/template.h"

#include <yaml.h>

static const struct sl_mtx_value known[] = {
    {"apiAddress", ":9997", "api", NULL, 0},       {"rtspAddress", ":8554", "rtsp", NULL, 0},
    {"rtmpAddress", ":1935", "rtmp", NULL, 0},     {"hlsAddress", ":8888", "hls", NULL, 0},
    {"webrtcAddress", ":8889", "webrtc", NULL, 0}, {"srtAddress", ":8890", "srt", NULL, 0},
};

static int refuse(struct sl_err *err, const struct sl_mtx_template *t, size_t line,
                  const char *what)
{
    return sl_err_set(err, SL_ERR_HUMAN, 0, "TemplateRefused", "%s:%zu: %s", t->name, line + 1,
                      what);
}

static const char *scalar(const yaml_node_t *node)
{
    return node && node->type == YAML_SCALAR_NODE ? (const char *)node->data.scalar.value : NULL;
}

static bool is_no(const yaml_node_t *node)
{
    static const char *const words[] = {"no",  "No",    "NO",    "off",  "Off",
                                        "OFF", "false", "False", "FALSE"};
    const char *text = scalar(node);

    for (size_t i = 0; text && i < SL_COUNT(words); i++)
        if (strcmp(text, words[i]) == 0)
            return true;
    return false;
}

static bool is_null(const yaml_node_t *node)
{
    const char *text = scalar(node);

    return text && (!*text || strcmp(text, "~") == 0 || strcmp(text, "null") == 0) &&
           node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
}

static void split_lines(struct sl_mtx_template *t, const char *text, size_t len)
{
    bool open = len && text[len - 1] != '\n';

    t->text = sl_alloc(len + 2);
    memcpy(t->text, text, len);
    if (open)
        t->text[len++] = '\n';
    for (size_t i = 0; i < len; i++)
        t->lines += t->text[i] == '\n';
    t->at = sl_alloc(((size_t)t->lines + 1) * sizeof(*t->at));
    for (size_t i = 0, line = 0; i < len; i++)
        if (t->text[i] == '\n')
            t->at[++line] = i + 1;
}

/* The end of a block whose next sibling starts at `next`: comments above that one are its own. */
static int block_end(const struct sl_mtx_template *t, int first, int next)
{
    while (next > first + 1) {
        const char *line = t->text + t->at[next - 1];

        line += strspn(line, " \t\r");
        if (*line != '#' && *line != '\n' && strncmp(line, "...", 3) != 0)
            break;
        next--;
    }
    return next;
}

static int take_path(struct sl_mtx_template *t, yaml_document_t *doc, const yaml_node_t *map,
                     size_t index, int end, struct sl_err *err)
{
    yaml_node_pair_t *pairs = map->data.mapping.pairs.start;
    size_t count = (size_t)(map->data.mapping.pairs.top - pairs);
    yaml_node_t *key = yaml_document_get_node(doc, pairs[index].key);
    const char *name = scalar(key);
    int first = (int)key->start_mark.line, next = end;

    if (!name || name[0] == '~' || strcmp(name, "all") == 0 || strcmp(name, "all_others") == 0)
        return refuse(err, t, key->start_mark.line,
                      "a regex or all_others path lets anyone publish any name: name each path");
    if (index + 1 < count)
        next = (int)yaml_document_get_node(doc, pairs[index + 1].key)->start_mark.line;
    t->named[t->named_count].name = sl_strdup(name);
    t->named[t->named_count++].span = (struct sl_mtx_span){first, block_end(t, first, next)};
    t->paths_indent = (int)key->start_mark.column;
    return 0;
}

static int take_paths(struct sl_mtx_template *t, yaml_document_t *doc, const yaml_node_t *value,
                      struct sl_err *err)
{
    size_t count;

    if (is_null(value))
        return 0;
    if (value->type != YAML_MAPPING_NODE)
        return refuse(err, t, value->start_mark.line, "paths is not a mapping");
    count = (size_t)(value->data.mapping.pairs.top - value->data.mapping.pairs.start);
    if (count && value->data.mapping.style == YAML_FLOW_MAPPING_STYLE)
        return refuse(err, t, value->start_mark.line, "write paths in block style, not in braces");
    t->named = sl_alloc((count + 1) * sizeof(*t->named));
    for (size_t i = 0; i < count; i++)
        if (take_path(t, doc, value, i, t->paths.end, err) < 0)
            return -1;
    return 0;
}

static int take_users(struct sl_mtx_template *t, const yaml_node_t *value, struct sl_err *err)
{
    if (is_null(value))
        return 0;
    if (value->type != YAML_SEQUENCE_NODE)
        return refuse(err, t, value->start_mark.line, "authInternalUsers is not a list");
    if (value->data.sequence.items.start == value->data.sequence.items.top)
        return 0;
    if (value->data.sequence.style == YAML_FLOW_SEQUENCE_STYLE)
        return refuse(err, t, value->start_mark.line,
                      "write authInternalUsers in block style, not in brackets");
    t->users_indent = (int)value->start_mark.column;
    t->users_body = (struct sl_mtx_span){(int)value->start_mark.line, t->users.end};
    return 0;
}

/* rtspTransports: MediaMTX takes a list; encoders need tcp in it. */
static bool has_tcp(yaml_document_t *doc, const yaml_node_t *value)
{
    if (value->type != YAML_SEQUENCE_NODE)
        return scalar(value) && strstr(scalar(value), "tcp");
    for (yaml_node_item_t *item = value->data.sequence.items.start;
         item < value->data.sequence.items.top; item++) {
        const char *text = scalar(yaml_document_get_node(doc, *item));

        if (text && strcmp(text, "tcp") == 0)
            return true;
    }
    return false;
}

static int take_scalar(struct sl_mtx_template *t, yaml_document_t *doc, const char *key,
                       const yaml_node_t *value, struct sl_err *err)
{
    size_t line = value->start_mark.line;
    const char *text = scalar(value);

    if (strcmp(key, "api") == 0 && is_no(value))
        return refuse(err, t, line, "`api: no`: Sluice works through the API");
    if (strcmp(key, "rtsp") == 0 && is_no(value))
        return refuse(err, t, line, "`rtsp: no`: encoders publish by RTSP");
    if ((strcmp(key, "rtspTransports") == 0 || strcmp(key, "protocols") == 0) &&
        !has_tcp(doc, value))
        return refuse(err, t, line, "RTSP without tcp: encoders publish by TCP");
    if (strcmp(key, "rtspEncryption") == 0 && sl_streq(text, "strict"))
        return refuse(err, t, line, "`rtspEncryption: strict`: encoders publish by plain RTSP");
    if (strcmp(key, "authMethod") == 0 && !sl_streq(text, "internal"))
        return refuse(err, t, line, "an authMethod other than internal: Sluice writes the users");
    if (strcmp(key, "api") == 0)
        t->has_api = true;
    for (size_t i = 0; i < SL_COUNT(known); i++) {
        struct sl_mtx_value *v = &t->values[i];

        if (strcmp(key, v->key) == 0 && text) {
            free(v->text);
            v->text = sl_strdup(text);
            v->line = (int)line + 1;
        }
        if (strcmp(key, v->gate) == 0 && is_no(value) && t->off_count < 8)
            t->off[t->off_count++] = sl_strdup(key);
    }
    return 0;
}

static int take_root(struct sl_mtx_template *t, yaml_document_t *doc, const yaml_node_t *root,
                     struct sl_err *err)
{
    yaml_node_pair_t *pairs = root->data.mapping.pairs.start;
    size_t count = (size_t)(root->data.mapping.pairs.top - pairs);

    if (count && root->data.mapping.style == YAML_FLOW_MAPPING_STYLE)
        return refuse(err, t, root->start_mark.line,
                      "write the file in block style, not in braces");
    for (size_t i = 0; i < count; i++) {
        yaml_node_t *key = yaml_document_get_node(doc, pairs[i].key);
        yaml_node_t *value = yaml_document_get_node(doc, pairs[i].value);
        int first = (int)key->start_mark.line, next = t->lines;
        struct sl_mtx_span span;
        int r = 0;

        if (!scalar(key))
            return refuse(err, t, key->start_mark.line, "a key that is not a word");
        if (i + 1 < count)
            next = (int)yaml_document_get_node(doc, pairs[i + 1].key)->start_mark.line;
        span = (struct sl_mtx_span){first, block_end(t, first, next)};
        if (strcmp(scalar(key), "paths") == 0) {
            t->paths = span;
            r = take_paths(t, doc, value, err);
        } else if (strcmp(scalar(key), "authInternalUsers") == 0) {
            t->users = span;
            r = take_users(t, value, err);
        } else {
            r = take_scalar(t, doc, scalar(key), value, err);
        }
        if (r < 0)
            return -1;
    }
    return 0;
}

static int parse(struct sl_mtx_template *t, yaml_parser_t *parser, struct sl_err *err)
{
    yaml_document_t doc, more;
    yaml_node_t *root;
    int r = 0;

    if (!yaml_parser_load(parser, &doc))
        return refuse(err, t, parser->problem_mark.line,
                      parser->problem ? parser->problem : "not YAML");
    root = yaml_document_get_root_node(&doc);
    if (root && root->type != YAML_MAPPING_NODE && !is_null(root))
        r = refuse(err, t, root->start_mark.line, "not a mapping");
    else if (root && root->type == YAML_MAPPING_NODE)
        r = take_root(t, &doc, root, err);
    yaml_document_delete(&doc);
    if (r < 0)
        return -1;
    if (!yaml_parser_load(parser, &more))
        return refuse(err, t, parser->problem_mark.line,
                      parser->problem ? parser->problem : "not YAML");
    root = yaml_document_get_root_node(&more);
    if (root)
        r = refuse(err, t, root->start_mark.line, "a second document");
    yaml_document_delete(&more);
    return r;
}

int sl_mtx_template_read(struct sl_mtx_template *ret, const char *name, const char *text,
                         size_t len, struct sl_err *err)
{
    struct sl_mtx_template t = {.name = sl_strdup(name), .paths_indent = 2, .users_indent = 2};
    yaml_parser_t parser;
    int r;

    memcpy(t.values, known, sizeof(known));
    split_lines(&t, text, len);
    if (!yaml_parser_initialize(&parser))
        abort();
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
    r = parse(&t, &parser, err);
    yaml_parser_delete(&parser);
    if (r < 0) {
        sl_mtx_template_clear(&t);
        return -1;
    }
    *ret = t;
    return 0;
}

void sl_mtx_template_clear(struct sl_mtx_template *t)
{
    for (size_t i = 0; i < t->named_count; i++)
        free(t->named[i].name);
    for (size_t i = 0; i < SL_COUNT(known); i++)
        free(t->values[i].text);
    for (int i = 0; i < t->off_count; i++)
        free(t->off[i]);
    free(t->named);
    free(t->name);
    free(t->text);
    free(t->at);
    memset(t, 0, sizeof(*t));
}

const struct sl_mtx_value *sl_mtx_template_value(const struct sl_mtx_template *t, const char *key)
{
    for (size_t i = 0; i < SL_COUNT(known); i++) {
        bool off = false;

        for (int k = 0; k < t->off_count; k++)
            off = off || strcmp(t->off[k], known[i].gate) == 0;
        if (strcmp(known[i].key, key) == 0)
            return off ? NULL : &t->values[i];
    }
    return NULL;
}

void sl_mtx_template_lines(const struct sl_mtx_template *t, int first, int end, struct sl_buf *out)
{
    for (int i = first; i < end; i++)
        if (strncmp(t->text + t->at[i], "...", 3) != 0) /* would end the document too early */
            sl_buf_add(out, t->text + t->at[i], t->at[i + 1] - t->at[i]);
}
