/* SPDX-License-Identifier: GPL-2.0-or-later
 * What the files of the writer share: its state, and the way from one step to the next. Private.
 * Layer: mediamtx.
 */
#pragma once
#include "reconcile/base/log.h"
#include "reconcile/base/time.h"
#include "reconcile/mediamtx/wanted.h"
#include "reconcile/mediamtx/writer.h"

#define WRITER_POLL_MS      10 /* or as long as the last one took: each clones its configuration */
#define WRITER_DEAF_MS      1010 /* MediaMTX drops file events this long after a reload */
#define WRITER_READBACK_MS  20
#define WRITER_READBACK_MAX 50
/* Up to so many API changes are read back one by one, cheaper than the list. */
#define WRITER_READ_EACH 8

enum writer_step {
    WRITER_IDLE,
    WRITER_API,      /* one replace or delete is under way */
    WRITER_READBACK, /* until MediaMTX shows them */
    WRITER_DEAF,     /* waiting until it would hear of the file */
    WRITER_RENAME,   /* rendered, being put in place by a worker */
    WRITER_POLL,     /* until it shows the generation */
    WRITER_CONFS     /* and the paths that came with it */
};

struct writer_job; /* a file being put in place by a worker */

struct sl_writer {
    struct sl_writer_options options;
    enum sl_writer_mode mode;
    enum writer_step step;
    struct sl_timer *timer, *persist;
    struct sl_wanted wanted;
    struct sl_mtx_confs *confs; /* what is; NULL: not known */
    bool stale;                 /* a write went wrong: read them again before the next one */
    bool connected;
    uint64_t running;    /* generation that MediaMTX shows */
    uint64_t generation; /* newest rendered */
    uint64_t epoch;
    bool from_file;    /* restarted or first contact: the next write is a file */
    bool persisting;   /* the file write under way changes nothing but the file */
    uint64_t filed;    /* wanted.version that the file holds; UINT64_MAX: none */
    uint64_t writing;  /* wanted.version of the file under way */
    int64_t loaded_at; /* MediaMTX loaded a file then (CLOCK_MONOTONIC), 0: long ago */
    int64_t renamed_at, asked_at, persist_since, broken_until;
    int64_t held_until, hold; /* nothing is written before; after that the next time */
    int rounds, reads;
    struct sl_ops ops;
    size_t op;
    struct writer_job *job;
    struct sl_file_mark mark; /* of the file as we left it */
    char *text;               /* the file under way */
    void (*render_done)(void *user, const struct sl_err *err);
    void *render_user;
    char error[256], users_error[256]; /* the latter with wanted.users_refused */

    /* Users, while they are ours. MediaMTX shows no passwords, so what was set is kept as a hash.
     */
    char users_seen[SL_SHA_HEX];                        /* shape; "": not known */
    char users_set[SL_SHA_HEX];                         /* "": not known */
    char users_filed[SL_SHA_HEX], users_op[SL_SHA_HEX]; /* of the file, of the op */
    char users_shape[SL_SHA_HEX];                       /* of what is wanted */
    uint64_t users_shape_of;                            /* wanted.version + 1 */
};

/* writer.c */
void writer_enter(struct sl_writer *w, enum writer_step step);
void writer_outcome(struct sl_writer *w); /* idle again: decide anew, tell */
void writer_failed(struct sl_writer *w);  /* the same, but what is must be read first */
void writer_hold(struct sl_writer *w);    /* no write for a while, longer each time */
void writer_persist_later(struct sl_writer *w);
void writer_read_confs(struct sl_writer *w);
/* What the file or MediaMTX should have; paths: the caller frees. */
struct sl_mtx_content writer_content(const struct sl_writer *w, const char *marker);

/* writer_file.c */
void writer_file_start(struct sl_writer *w, const char *reason);
void writer_file_rename(struct sl_writer *w);
void writer_file_poll(struct sl_writer *w);
void writer_file_drop(struct sl_writer *w);        /* a job under way tells nobody */
bool writer_file_moved(const struct sl_writer *w); /* somebody else wrote it */

/* writer_api.c */
void writer_api_next(struct sl_writer *w);
void writer_api_read(struct sl_writer *w); /* the change just made, until it is to be seen */
