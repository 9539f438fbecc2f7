/* SPDX-License-Identifier: GPL-2.0-or-later
 * The table of fields and what works over any such table: the single source of checks, libcyaml
 * schema, copy, equal, print, hash, diff, JSON Schema and docs. A field = a member of a struct
 * (manifest.h, settings.h) and a row (fields.c, settings.c). Tables are const and static.
 * Layer: schemas. Never does I/O.
 */
#pragma once
#include "reconcile/base/diag.h"
#include "reconcile/base/hash.h"

enum sl_type {
    SL_T_STRING,
    SL_T_BOOL,
    SL_T_INT,
    SL_T_REAL,
    SL_T_DURATION, /* int64_t ms: 90s 10m 1h30m 7d */
    SL_T_RATE,     /* int64_t bit/s: 800k 4M */
    SL_T_BYTES,    /* int64_t bytes: 200GiB 50MB */
    SL_T_SIZE,     /* char *: 1920x1080, even, each side within min..max */
    SL_T_PATH,     /* char *: relative, below a root: no "..", not absolute */
    SL_T_NAME,     /* char *: name of an object, = MediaMTX path (decisions 16) */
    SL_T_ENUM,     /* int; names in row->values, in enum order */
    SL_T_MAP,      /* struct in place, row->sub */
    SL_T_VARIANT,  /* pointer to struct or NULL: one arm of a one-of */
    SL_T_STRINGS,  /* char ** + unsigned count at row->count_offset */
    SL_T_LABELS,   /* struct sl_label * + count: a YAML mapping with free keys */
    SL_TYPE_COUNT
};

/* The best a change of the field can do to viewers (contract C13); the plan prints the actual. */
enum sl_impact { SL_IMPACT_NONE, SL_IMPACT_HOT, SL_IMPACT_SWAP, SL_IMPACT_BREAK, SL_IMPACT_COUNT };
const char *sl_impact_name(enum sl_impact impact);

struct sl_table;
struct sl_field {
    const char *name; /* YAML key */
    enum sl_type type;
    enum sl_impact impact;
    bool required;
    size_t offset, count_offset;
    const char *def;            /* default as YAML text; NULL: zero / absent */
    double min, max;            /* range in the base unit (ms, bit/s, …); min == max == 0: none */
    const char *const *values;  /* SL_T_ENUM in enum order; SL_T_STRING: all that is allowed;
                                   SL_T_STRINGS: a set of these, at least one when given */
    const char *pattern;        /* SL_T_STRING, SL_T_STRINGS: POSIX extended regex, or NULL */
    const char *pattern_says;   /* the pattern in words, for hints; NULL: the pattern itself */
    const char *const *schemes; /* SL_T_STRING: a URL with one of these, without any secret */
    const char *implies;        /* a one-of's arm: "encode.transcode" = default arm of a sibling */
    const struct sl_table *sub;
    const char *doc; /* one line */
};
struct sl_table {
    const char *name; /* "source", "video" … */
    size_t size;      /* of the struct */
    const struct sl_field *rows;
    size_t count;
    bool one_of;                /* exactly one VARIANT row is present */
    const char *one_of_default; /* arm taken when none is given, or NULL: an error */
    const char *shorthand;      /* a scalar instead of the mapping means this row, or NULL */
};

/* Over any struct of any table. */
bool sl_table_equal(const struct sl_table *table, const void *a, const void *b);
/* Canonical text: rows in table order, normalised values, defaults written out. */
void sl_table_print(const struct sl_table *table, const void *object, struct sl_buf *out);
/* Calls fn for each leaf that differs, with its dotted path and both values as canonical text. */
typedef void sl_change_fn(void *user, const char *path, const struct sl_field *field,
                          const char *from, const char *to);
void sl_table_diff(const struct sl_table *table, const void *a, const void *b, const char *prefix,
                   sl_change_fn *fn, void *user);
/* Deep copy into the arena. */
void *sl_table_copy(const struct sl_table *table, const void *object, struct sl_arena *arena);
/* Finds the row of a dotted path below the table; NULL when there is none. */
const struct sl_field *sl_table_find(const struct sl_table *table, const char *dotted);

/* The tables. */
extern const struct sl_table sl_table_object_stream, sl_table_object_config; /* whole documents */
extern const struct sl_table sl_table_stream_spec, sl_table_config_spec;
extern const struct sl_table sl_table_settings; /* host settings, schemas/settings.h */
const struct sl_table *sl_table_of_kind(int kind);

#define SL_SPEC_HASH_VERSION "v1"
#define SL_SPEC_HASH_MAX     80
/* "v1:" + sha256 of the canonical text. */
void sl_spec_hash(const struct sl_table *table, const void *spec, char ret[SL_SPEC_HASH_MAX]);
