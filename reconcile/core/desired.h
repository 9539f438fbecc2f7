/* SPDX-License-Identifier: GPL-2.0-or-later
 * What should be: the streams of the last accepted manifests. Built once a pass from the memory of
 * accepted objects; immutable; owned by the pass's arena. Layer: core.
 */
#pragma once
#include "reconcile/core/path.h"
#include "schemas/manifest.h"

/* One accepted object: the newest generation of it that had no error (contract C3). */
struct sl_accepted {
    const char *name; /* metadata.name */
    int kind;         /* enum sl_kind */
    const char *file; /* relative to the manifest root */
    int line;
    uint64_t generation; /* grows by one when hash changes */
    const char *hash;    /* sl_spec_hash of the effective spec */
    const struct sl_object *object;
    bool file_broken; /* its file has errors now: this is the last known good */
    bool in_doubt;    /* kept only because a new file with errors names it: the guard counts it */
    bool absent;      /* not in the newest valid snapshot: wants deletion */
};

struct sl_media_seen {
    bool exists, complete; /* decisions 24: renamed in, or unchanged for 2 s */
    char id[64];           /* dev:inode:size:mtime_ns, "" when it is not there */
};

/* Who brings a stream's media to NAME (decisions 7 in docs/decisions.md). */
enum sl_carrier {
    SL_CARRIER_ENCODER, /* our encoder publishes: file, test, every transcode, what MediaMTX cannot
                           pull (MPEG-TS over HTTP) */
    SL_CARRIER_PULL,    /* MediaMTX pulls: rtsp and pull with copy */
    SL_CARRIER_PUBLISH, /* somebody publishes on NAME: publish with copy */
    SL_CARRIER_INGEST,  /* somebody publishes on NAME/ingest, our encoder reads that: publish with
                           transcode */
    SL_CARRIER_COUNT
};

/* A secret as the pass found it. */
struct sl_secret_seen {
    const char *name;   /* of the reference; NULL: the field is not set */
    const char *value;  /* NULL: missing; never printed, logged or saved */
    const char *digest; /* HMAC under a key of this state directory: enters hashes */
    const char *why;    /* when value is NULL: "there is no secret cam-pass in …" */
};

struct sl_desired_stream {
    const struct sl_accepted *accepted;
    const struct sl_stream_spec *spec;
    bool run;               /* false: suspended */
    const char *media_path; /* absolute path of source.file, or NULL */
    struct sl_media_seen media;
    enum sl_carrier carrier;
    struct sl_secret_seen password, passphrase, stream_id;
    char enc_hash[80]; /* over all that an encoder must be restarted for: source, encode,
                          restartToken, media id, publish address */
};

struct sl_desired {
    bool valid; /* a valid snapshot was seen since the daemon's start: deletions may be planned;
                   what was restored from state alone proves nothing */
    bool root_present;                 /* the manifests root is there and not empty */
    const char *snapshot;              /* "sha256:…" */
    struct sl_desired_stream *streams; /* sorted by name; the absent ones too */
    size_t count;
    const char *const *approvals;
    size_t approvals_count;
};

/* Digest of what restarts an encoder (spec, media id, secrets' digests, publish address); text of
 * "sha:" + 64 hex. */
void sl_enc_hash(const struct sl_desired_stream *stream, const char *publish_url, char ret[80]);
enum sl_carrier sl_carrier_of(const struct sl_stream_spec *spec);
