/* SPDX-License-Identifier: GPL-2.0-or-later
 * libyaml's errors in the words of somebody who edits a manifest.
 */
#include "schemas/document.h"

#include <ctype.h>
#include <yaml.h>

struct phrase {
    const char *problem; /* beginning of libyaml's text */
    const char *message, *hint;
};
static const struct phrase phrases[] = {
    {"mapping values are not allowed in this context", "a ':' is not expected here",
     "the line is indented too far, or the value contains ': ' and needs quotes"},
    {"block sequence entries are not allowed in this context", "a '- ' is not expected here",
     "put the list on lines of its own, under its key"},
    {"did not find expected key", "this line does not fit the indentation of the lines above it",
     "keys of one mapping begin in the same column"},
    {"did not find expected '-' indicator", "this line does not fit the list above it",
     "begin it with '- ' in the same column, or end the list by less indentation"},
    {"could not find expected ':'", "a ':' is missing after the key", "write KEY: VALUE"},
    {"did not find expected ',' or ']'", "the list opened with '[' is not closed",
     "a ',' or a ']' is missing before this"},
    {"did not find expected ',' or '}'", "the mapping opened with '{' is not closed",
     "a ',' or a '}' is missing before this"},
    {"did not find expected node content", "a value is missing here",
     "is a '[' or '{' before this not closed?"},
    {"did not find expected <document start>", "this belongs to no document",
     "is a '---' missing before it, or is it indented too little?"},
    {"found unexpected document indicator", "the quotes are not closed before '---' or '...'",
     "close the quotes on the line they were opened on"},
    {"found unknown escape character", "unknown escape in double quotes",
     "write '\\\\' for a backslash, or use single quotes"},
    {"found invalid Unicode character escape code", "the escape names no character", NULL},
    {"did not find expected hexdecimal number", "hexadecimal digits are missing in the escape",
     NULL},
    {"found a tab character", "a tab is used for indentation", "indent with spaces"},
    {"found undefined tag handle", "tags are not supported",
     "a text that begins with '!' must be quoted"},
    {"control characters are not allowed", "the file contains a control character",
     "remove it; is this a text file?"},
    {"invalid leading UTF-8 octet", "the file is not valid UTF-8", "save it as UTF-8"},
    {"invalid trailing UTF-8 octet", "the file is not valid UTF-8", "save it as UTF-8"},
    {"incomplete UTF-8 octet sequence", "the file ends within a UTF-8 character",
     "save it as UTF-8"},
    {"found incompatible YAML document", "%YAML names a version other than 1.1 or 1.2",
     "leave the line out"},
    {"did not find URI escaped octet", "tags are not supported",
     "a text that begins with '!' must be quoted"},
    {"did not find expected alphabetic or numeric character", "a name is missing after '&' or '*'",
     "a text that begins with '&' or '*' must be quoted"},
};

static bool starts(const char *text, const char *with)
{
    return text && strncmp(text, with, strlen(with)) == 0;
}

/* Bytes to line and column (characters) for errors of the reader, which have no mark. */
static void place_of(const char *bytes, size_t offset, struct sl_syntax *ret)
{
    ret->line = 1;
    ret->column = 1;
    for (size_t i = 0; i < offset; i++) {
        if (bytes[i] == '\n') {
            ret->line++;
            ret->column = 1;
        } else if (((unsigned char)bytes[i] & 0xc0) != 0x80) {
            ret->column++;
        }
    }
}

/* The byte at a place; LF and CRLF files only, '\0' when there is none. */
static char byte_at(const char *bytes, size_t len, int line, int column)
{
    const char *p = bytes, *end = bytes + len;

    while (--line > 0) {
        p = memchr(p, '\n', (size_t)(end - p));
        if (!p)
            return '\0';
        p++;
    }
    for (; p < end && *p != '\n'; p++)
        if (((unsigned char)*p & 0xc0) != 0x80 && --column == 0)
            return *p;
    return '\0';
}

static void set(struct sl_syntax *ret, const char *message, const char *hint)
{
    snprintf(ret->message, sizeof(ret->message), "%s", message);
    snprintf(ret->hint, sizeof(ret->hint), "%s", hint ? hint : "");
}

static void bad_start(char c, struct sl_syntax *ret)
{
    if (c == '\t') {
        set(ret, "a tab is used for indentation", "indent with spaces");
    } else if (c) {
        snprintf(ret->message, sizeof(ret->message), "a value cannot begin with '%c'", c);
        snprintf(ret->hint, sizeof(ret->hint), "put it in quotes");
    } else {
        set(ret, "this is not YAML", NULL);
    }
}

void sl_syntax_explain(const struct yaml_parser_s *parser, const char *bytes, size_t len,
                       struct sl_syntax *ret)
{
    const char *problem = parser->problem ? parser->problem : "", *context = parser->context;
    bool quoted = starts(context, "while scanning a quoted scalar");
    char here;

    memset(ret, 0, sizeof(*ret));
    ret->line = (int)parser->problem_mark.line + 1;
    ret->column = (int)parser->problem_mark.column + 1;
    if (parser->error == YAML_MEMORY_ERROR)
        abort();
    if (parser->error == YAML_READER_ERROR)
        place_of(bytes, parser->problem_offset < len ? parser->problem_offset : len, ret);
    here = byte_at(bytes, len, ret->line, ret->column);
    if (starts(problem, "found character that cannot start any token")) {
        bad_start(here, ret);
        return;
    }
    if (quoted && (starts(problem, "found unexpected end of stream") ||
                   starts(problem, "found unexpected document indicator"))) {
        ret->line = (int)parser->context_mark.line + 1;
        ret->column = (int)parser->context_mark.column + 1;
        set(ret, "the quote opened here is never closed", "close it on the same line");
        return;
    }
    if (starts(problem, "did not find expected ',' or")) {
        ret->line = (int)parser->context_mark.line + 1;
        ret->column = (int)parser->context_mark.column + 1;
    }
    if (here == '\t' && parser->error == YAML_PARSER_ERROR) {
        set(ret, "a tab is used for indentation", "indent with spaces");
        return;
    }
    for (size_t i = 0; i < SL_COUNT(phrases); i++)
        if (starts(problem, phrases[i].problem)) {
            set(ret, phrases[i].message, phrases[i].hint);
            return;
        }
    snprintf(ret->message, sizeof(ret->message), "YAML: %s%s%s", context ? context : "",
             context ? ", " : "", problem);
}
