/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "schemas/document.h"

#include "schemas/nearest.h"
#include "schemas/scalar.h"
#include "schemas/secret.h"

#include <stdarg.h>
#include <yaml.h>

#define LINE_MAX_SHOWN 200
#define LINE_MAX_READ  2000 /* what is cut off may show that the rest is a secret */

struct anchor {
    const char *name;
    struct sl_node *node;
    unsigned nodes; /* expanded size */
    bool open;      /* still inside it: an alias would be a cycle */
};

struct builder {
    struct sl_document *doc;
    yaml_parser_t parser;
    struct sl_node *stack[SL_DOC_DEPTH_MAX];
    unsigned stack_nodes[SL_DOC_DEPTH_MAX]; /* nodes counted when it was opened */
    int stack_anchor[SL_DOC_DEPTH_MAX];     /* index into anchors or -1 */
    unsigned stack_children[SL_DOC_DEPTH_MAX];
    int depth;
    struct anchor anchors[SL_DOC_ANCHOR_MAX];
    int anchors_count;
    unsigned nodes, documents;
    struct sl_node *root;
    size_t roots_cap;
};

/* ---- places and excerpts ---- */

/* Line breaks as libyaml counts them: LF, CR, CRLF, NEL, LS, PS. */
static const char *next_line(const char *p, const char *end)
{
    for (; p < end; p++) {
        unsigned char c = (unsigned char)*p;

        if (c == '\n')
            return p + 1;
        if (c == '\r')
            return p + (p + 1 < end && p[1] == '\n' ? 2 : 1);
        if (c == 0xc2 && p + 1 < end && (unsigned char)p[1] == 0x85)
            return p + 2;
        if (c == 0xe2 && p + 2 < end && (unsigned char)p[1] == 0x80 &&
            ((unsigned char)p[2] == 0xa8 || (unsigned char)p[2] == 0xa9))
            return p + 3;
    }
    return NULL;
}

static void index_lines(struct sl_document *doc)
{
    const char *end = doc->bytes + doc->len, *p = doc->bytes;
    size_t n = 1;

    while ((p = next_line(p, end)))
        n++;
    doc->lines = sl_arena_alloc(doc->scratch, (n + 1) * sizeof(*doc->lines));
    p = doc->bytes;
    for (n = 0; p; p = next_line(p, end))
        doc->lines[n++] = p;
    doc->lines[n] = end;
    doc->lines_count = n;
}

static void cut(char *line)
{
    int shown = 0;

    for (; *line; line++)
        if (((unsigned char)*line & 0xc0) != 0x80 && ++shown > LINE_MAX_SHOWN) {
            *line = '\0';
            return;
        }
}

const char *sl_document_line(struct sl_document *doc, int line, struct sl_arena *arena)
{
    struct sl_buf out = {0};
    const char *from, *to, *ret;
    int shown = 0;

    if (!doc->lines)
        index_lines(doc);
    if (line < 1 || (size_t)line > doc->lines_count)
        return NULL;
    from = doc->lines[line - 1];
    to = doc->lines[line];
    if (line == 1 && to - from >= 3 && memcmp(from, "\xef\xbb\xbf", 3) == 0)
        from += 3; /* the byte order mark counts in no column */
    while (to > from && (to[-1] == '\n' || to[-1] == '\r'))
        to--;
    for (; from < to; from++) {
        unsigned char c = (unsigned char)*from;

        if ((c & 0xc0) != 0x80 && ++shown > LINE_MAX_READ) {
            sl_buf_puts(&out, "…");
            break;
        }
        if (c == '\t')
            sl_buf_puts(&out, "→");
        else if (c < 0x20 || c == 0x7f)
            sl_buf_puts(&out, "?");
        else if (c == 0xc2 && from + 1 < to && (unsigned char)from[1] < 0xa0) {
            sl_buf_puts(&out, "?");
            from++;
        } else
            sl_buf_add(&out, from, 1);
    }
    if (out.data) {
        sl_secret_mask(out.data);
        cut(out.data);
    }
    ret = sl_arena_strdup(arena, out.data ? out.data : "");
    sl_buf_free(&out);
    return ret;
}

static void place(struct sl_document *doc, struct sl_diag *diag, const char *hint)
{
    struct sl_arena *arena = doc->diags->arena;

    if (hint && *hint)
        diag->hint = sl_arena_strdup(arena, hint);
    if (diag->place.column + diag->width > LINE_MAX_SHOWN)
        diag->width = 1;
    if (diag->place.column <= LINE_MAX_SHOWN)
        diag->excerpt = sl_document_line(doc, diag->place.line, arena);
}

void sl_document_say(struct sl_document *doc, enum sl_severity severity, const char *code,
                     const struct sl_node *node, const char *path, const char *hint,
                     const char *format, ...)
{
    struct sl_place where = {doc->file, node ? node->line : 1, node ? node->column : 1};
    struct sl_diag *diag;
    char text[600];
    va_list ap;

    if (doc->full)
        return;
    if (doc->diags->count >= SL_DOC_DIAGS_MAX) {
        doc->full = true;
        code = "E111";
        severity = SL_DIAG_ERROR;
        snprintf(text, sizeof(text), "more than %d errors in this file, the rest is not shown",
                 SL_DOC_DIAGS_MAX);
        hint = NULL;
    } else {
        va_start(ap, format);
        vsnprintf(text, sizeof(text), format, ap);
        va_end(ap);
    }
    diag = sl_diags_add(doc->diags, severity, code, where,
                        sl_arena_strdup(doc->diags->arena, path ? path : ""), "%s", text);
    diag->width = node ? node->width : 1;
    place(doc, diag, hint);
}

static int by_place(const void *a, const void *b)
{
    const struct sl_diag *x = a, *y = b;

    if (x->place.line != y->place.line)
        return x->place.line < y->place.line ? -1 : 1;
    if (x->place.column != y->place.column)
        return x->place.column < y->place.column ? -1 : 1;
    return strcmp(x->message, y->message);
}

void sl_document_sort(struct sl_diags *diags)
{
    if (diags->count > 1)
        qsort(diags->list, diags->count, sizeof(*diags->list), by_place);
}

/* ---- access ---- */

const struct sl_node *sl_node_get(const struct sl_node *map, const char *key,
                                  const struct sl_node **ret_key)
{
    map = sl_node_real(map);
    if (!map || map->kind != SL_NODE_MAP)
        return NULL;
    for (const struct sl_node *k = map->first; k && k->next; k = k->next->next)
        if (strcmp(k->text, key) == 0) {
            if (ret_key)
                *ret_key = k;
            return sl_node_real(k->next);
        }
    return NULL;
}

const struct sl_node *sl_node_find(const struct sl_node *map, const char *dotted,
                                   const struct sl_node **ret_key)
{
    char key[64];

    for (;;) {
        size_t len = strcspn(dotted, ".");

        if (len >= sizeof(key))
            return NULL;
        memcpy(key, dotted, len);
        key[len] = '\0';
        map = sl_node_get(map, key, ret_key);
        if (!map || !dotted[len])
            return map;
        dotted += len + 1;
    }
}

/* ---- building ---- */

static struct sl_node mark_node(yaml_mark_t from, yaml_mark_t to)
{
    struct sl_node node = {.line = (int)from.line + 1, .column = (int)from.column + 1, .width = 1};

    if (to.line == from.line && to.column > from.column)
        node.width = (int)(to.column - from.column);
    return node;
}

static SL_PRINTF(5, 6) int refuse(struct builder *b, const yaml_event_t *event, const char *code,
                                  const char *hint, const char *format, ...)
{
    struct sl_node node = mark_node(event->start_mark, event->end_mark);
    char text[300];
    va_list ap;

    va_start(ap, format);
    vsnprintf(text, sizeof(text), format, ap);
    va_end(ap);
    sl_document_say(b->doc, SL_DIAG_ERROR, code, &node, "", hint, "%s", text);
    return -1;
}

static int count_nodes(struct builder *b, const yaml_event_t *event, unsigned n)
{
    b->nodes += n;
    if (b->nodes > SL_DOC_NODES_MAX)
        return refuse(b, event, "E111", NULL, "the file holds more than %d values%s",
                      SL_DOC_NODES_MAX, n > 1 ? " once its aliases are written out" : "");
    return 0;
}

/* Is the next child of the innermost collection a key? */
static bool wants_key(const struct builder *b)
{
    return b->depth > 0 && b->stack[b->depth - 1]->kind == SL_NODE_MAP &&
           b->stack_children[b->depth - 1] % 2 == 0;
}

static int check_key(struct builder *b, const yaml_event_t *event, const struct sl_node *node)
{
    const struct sl_node *map = b->stack[b->depth - 1];
    char shown[64];

    if (node->kind != SL_NODE_SCALAR || node->target)
        return refuse(b, event, "E110", NULL, "a key must be plain text");
    if (strlen(node->text) != node->len)
        return refuse(b, event, "E114", NULL, "a key contains a NUL character");
    if (node->plain && sl_streq(node->text, "<<"))
        return refuse(b, event, "E110", "write the keys out",
                      "merge keys ('<<') are not part of YAML 1.2");
    if (b->stack_children[b->depth - 1] / 2 >= SL_DOC_KEYS_MAX)
        return refuse(b, event, "E111", NULL, "a mapping holds more than %d keys", SL_DOC_KEYS_MAX);
    for (const struct sl_node *k = map->first; k && k->next; k = k->next->next)
        if (sl_streq(k->text, node->text)) {
            char hint[80];

            snprintf(hint, sizeof(hint), "the first one is on line %d", k->line);
            sl_document_say(b->doc, SL_DIAG_ERROR, "E107", node, node->text, hint,
                            "the key '%s' is given twice", sl_scalar_shown(node->text, shown));
            break;
        }
    return 0;
}

static int attach(struct builder *b, const yaml_event_t *event, struct sl_node *node)
{
    struct sl_node *parent = b->depth ? b->stack[b->depth - 1] : NULL;

    if (wants_key(b) && check_key(b, event, node) < 0)
        return -1;
    if (!parent) {
        b->root = node;
        return 0;
    }
    if (parent->last)
        parent->last->next = node;
    else
        parent->first = node;
    parent->last = node;
    b->stack_children[b->depth - 1]++;
    return 0;
}

static int anchor_add(struct builder *b, const yaml_event_t *event, const yaml_char_t *name,
                      struct sl_node *node, bool open, int *ret_index)
{
    struct anchor *a;

    *ret_index = -1;
    if (!name)
        return 0;
    if (b->anchors_count == SL_DOC_ANCHOR_MAX)
        return refuse(b, event, "E111", NULL, "a document holds more than %d anchors",
                      SL_DOC_ANCHOR_MAX);
    a = &b->anchors[b->anchors_count];
    *a = (struct anchor){sl_arena_strdup(b->doc->scratch, (const char *)name), node, 1, open};
    *ret_index = b->anchors_count++;
    return 0;
}

static int add_alias(struct builder *b, const yaml_event_t *event)
{
    const char *name = (const char *)event->data.alias.anchor;
    struct sl_nearest near = sl_nearest_start(name);
    char shown[64], hint[100] = "";
    struct sl_node *node;

    for (int i = b->anchors_count - 1; i >= 0; i--) { /* the newest of a name counts */
        struct anchor *a = &b->anchors[i];

        sl_nearest_try(&near, a->name);
        if (!sl_streq(a->name, name))
            continue;
        if (a->open)
            return refuse(b, event, "E110", NULL, "'*%s' stands inside what it refers to",
                          sl_scalar_shown(name, shown));
        if (count_nodes(b, event, a->nodes) < 0)
            return -1;
        node = sl_arena_alloc(b->doc->scratch, sizeof(*node));
        *node = mark_node(event->start_mark, event->end_mark);
        node->kind = a->node->kind;
        node->target = a->node;
        return attach(b, event, node);
    }
    if (near.best)
        snprintf(hint, sizeof(hint), "did you mean '*%.60s'?", near.best);
    return refuse(b, event, "E110", hint[0] ? hint : "a text that begins with '*' must be quoted",
                  "there is no anchor '&%s' before this", sl_scalar_shown(name, shown));
}

static int refuse_tag(struct builder *b, const yaml_event_t *event, const yaml_char_t *tag)
{
    char shown[64];
    struct sl_node node = mark_node(event->start_mark, event->start_mark);

    if (tag)
        sl_document_say(b->doc, SL_DIAG_ERROR, "E110", &node, "",
                        "leave the tag out; a text that begins with '!' must be quoted",
                        "tags are not supported: %s", sl_scalar_shown((const char *)tag, shown));
    return 0;
}

static int add_scalar(struct builder *b, const yaml_event_t *event)
{
    struct sl_node *node = sl_arena_alloc(b->doc->scratch, sizeof(*node));
    int index;

    *node = mark_node(event->start_mark, event->end_mark);
    node->kind = SL_NODE_SCALAR;
    node->plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    node->len = event->data.scalar.length;
    node->text = sl_arena_alloc(b->doc->scratch, node->len + 1);
    memcpy((char *)node->text, event->data.scalar.value, node->len);
    if (count_nodes(b, event, 1) < 0 || refuse_tag(b, event, event->data.scalar.tag) < 0 ||
        anchor_add(b, event, event->data.scalar.anchor, node, false, &index) < 0)
        return -1;
    return attach(b, event, node);
}

static int open_collection(struct builder *b, const yaml_event_t *event, enum sl_node_kind kind)
{
    struct sl_node *node = sl_arena_alloc(b->doc->scratch, sizeof(*node));
    bool map = kind == SL_NODE_MAP;
    int index;

    *node = mark_node(event->start_mark, event->start_mark);
    node->kind = kind;
    if (count_nodes(b, event, 1) < 0 ||
        refuse_tag(b, event, map ? event->data.mapping_start.tag : event->data.sequence_start.tag) <
            0 ||
        attach(b, event, node) < 0 ||
        anchor_add(b, event,
                   map ? event->data.mapping_start.anchor : event->data.sequence_start.anchor, node,
                   true, &index) < 0)
        return -1;
    if (b->depth == SL_DOC_DEPTH_MAX)
        return refuse(b, event, "E111", NULL, "more than %d levels of nesting", SL_DOC_DEPTH_MAX);
    b->stack[b->depth] = node;
    b->stack_nodes[b->depth] = b->nodes;
    b->stack_anchor[b->depth] = index;
    b->stack_children[b->depth] = 0;
    b->depth++;
    return 0;
}

static void close_collection(struct builder *b)
{
    int index = b->stack_anchor[--b->depth];

    if (index >= 0) {
        b->anchors[index].open = false;
        b->anchors[index].nodes = b->nodes - b->stack_nodes[b->depth] + 1;
    }
}

static void close_document(struct builder *b)
{
    struct sl_document *doc = b->doc;
    const struct sl_node *root = b->root;

    b->root = NULL;
    b->anchors_count = 0;
    if (!root || (root->kind == SL_NODE_SCALAR && root->plain && root->len == 0))
        return; /* nothing between two separators */
    if (doc->count == b->roots_cap) {
        struct sl_node **old = doc->roots;

        b->roots_cap = b->roots_cap ? b->roots_cap * 2 : 4;
        doc->roots = sl_arena_alloc(doc->scratch, b->roots_cap * sizeof(*old));
        if (old)
            memcpy(doc->roots, old, doc->count * sizeof(*old));
    }
    doc->roots[doc->count++] = (struct sl_node *)root;
}

/* 1 go on, 0 the end, -1 stop: said in diags. */
static int take_event(struct builder *b, const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_NO_EVENT:
    case YAML_STREAM_START_EVENT:
        return 1;
    case YAML_STREAM_END_EVENT:
        return 0;
    case YAML_DOCUMENT_START_EVENT:
        if (++b->documents > SL_DOC_COUNT_MAX)
            return refuse(b, event, "E111", NULL, "more than %d documents in a file",
                          SL_DOC_COUNT_MAX);
        return 1;
    case YAML_DOCUMENT_END_EVENT:
        close_document(b);
        return 1;
    case YAML_ALIAS_EVENT:
        return add_alias(b, event) < 0 ? -1 : 1;
    case YAML_SCALAR_EVENT:
        return add_scalar(b, event) < 0 ? -1 : 1;
    case YAML_SEQUENCE_START_EVENT:
        return open_collection(b, event, SL_NODE_SEQ) < 0 ? -1 : 1;
    case YAML_MAPPING_START_EVENT:
        return open_collection(b, event, SL_NODE_MAP) < 0 ? -1 : 1;
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        close_collection(b);
        return 1;
    }
    return 1;
}

static void syntax_error(struct builder *b)
{
    struct sl_syntax syntax;
    struct sl_node node = {.width = 1};

    sl_syntax_explain(&b->parser, b->doc->bytes, b->doc->len, &syntax);
    node.line = syntax.line;
    node.column = syntax.column;
    sl_document_say(b->doc, SL_DIAG_ERROR, "E101", &node, "", syntax.hint, "%s", syntax.message);
}

void sl_document_parse(struct sl_document *doc)
{
    struct builder b = {.doc = doc};
    int more = 1;

    if (doc->len > SL_DOC_BYTES_MAX) {
        sl_document_say(doc, SL_DIAG_ERROR, "E111", NULL, "", NULL,
                        "the file is larger than 1 MiB");
        doc->broken = true;
        return;
    }
    if (doc->len >= 2 &&
        (memcmp(doc->bytes, "\xff\xfe", 2) == 0 || memcmp(doc->bytes, "\xfe\xff", 2) == 0)) {
        sl_document_say(doc, SL_DIAG_ERROR, "E114", NULL, "", "save it as UTF-8",
                        "the file is not UTF-8 but UTF-16");
        doc->broken = true;
        return;
    }
    if (!yaml_parser_initialize(&b.parser))
        abort(); /* memory */
    yaml_parser_set_encoding(&b.parser, YAML_UTF8_ENCODING);
    if (doc->len >= 3 && memcmp(doc->bytes, "\xef\xbb\xbf", 3) == 0)
        yaml_parser_set_input_string(&b.parser, (const yaml_char_t *)doc->bytes + 3, doc->len - 3);
    else
        yaml_parser_set_input_string(&b.parser, (const yaml_char_t *)doc->bytes, doc->len);
    while (more > 0) {
        yaml_event_t event;

        if (!yaml_parser_parse(&b.parser, &event)) {
            syntax_error(&b);
            more = -1;
            break;
        }
        more = take_event(&b, &event);
        yaml_event_delete(&event);
    }
    doc->broken = more < 0;
    yaml_parser_delete(&b.parser);
}
