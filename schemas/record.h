/* SPDX-License-Identifier: GPL-2.0-or-later
 * The record of an encoder, the directory runtime/enc/UID/: who writes what, and the layouts that
 * encoder, host and daemon share. Times in ms (CLOCK_REALTIME unless said otherwise).
 *   record.json  written by rename at every change, by the encoder while it lives, by the host
 *                (or its keeper) once after its death (adds `exit`)
 *   stats        struct sl_stats, allocated; the daemon preads it, never maps it
 *   ctl          SOCK_SEQPACKET socket: hello, go, stop, dump (see below)
 *   lock         flock (LOCK_EX) held for life on an fd opened after the fork: the proof of life
 *   log          ring of 256 KiB, the encoder's own lines
 * runtime/host.sock   SOCK_SEQPACKET of the host; runtime/notice.sock  datagrams to the daemon:
 * "UID" = "look at this record"; may be lost, never waited for. Layer: schemas.
 */
#pragma once
#include "reconcile/base/buf.h"
#include "reconcile/base/err.h"
#include "schemas/facts.h"

#define SL_RECORD_LAYOUT 1
#define SL_UID_LEN       16

enum sl_enc_state {
    SL_ENC_STARTING,   /* opening its input */
    SL_ENC_HELD,       /* input open, facts told, waits for `go` */
    SL_ENC_CONNECTING, /* going to publish; reconnects by itself, reason says why it must */
    SL_ENC_LIVE,       /* MediaMTX accepted RECORD and packets flow */
    SL_ENC_SILENT,     /* publishes or would, but the source gives nothing; reason says why */
    SL_ENC_ENDED,      /* leaves by itself; reason: EndOfFile, InputFailed, … */
    SL_ENC_STATE_COUNT
};
const char *sl_enc_state_name(enum sl_enc_state state); /* "Starting" … */

struct sl_record {
    int layout;
    char uid[SL_UID_LEN + 1], name[208], spec_hash[80], boot_id[40];
    uint64_t generation;
    int pid;
    uint64_t pid_start; /* clock ticks, /proc/PID/stat field 22 */
    char pidns[48];     /* sl_pidns of the encoder; "": not told */
    int64_t since;      /* this process began */
    enum sl_enc_state state;
    int64_t state_since;
    char reason[40];   /* CamelCase word: FileMissing, NotMedia, PublishRefused, … or "" */
    char message[400]; /* for a human; no secret */
    struct sl_facts facts;
    char codec[32], hwaccel[16]; /* video codec as published; "software", "copy", … */
    bool exited;                 /* the parent saw it go: exit_status / exit_signal are true */
    int exit_status, exit_signal;
    int64_t exit_at;
};

/* "dev:inode" of this process's PID namespace, "" when /proc does not tell: pid and pid_start count
 * only where boot id and namespace are the reader's own (docs/adr/0002). */
void sl_pidns(char ret[48]);

char *sl_record_to_json(const struct sl_record *record);
int sl_record_from_json(const char *text, size_t len, struct sl_record *ret,
                        struct sl_err *err) SL_MUST; /* a newer layout: code NewerLayout, name, uid
                                                        and pid are filled all the same */
int sl_record_write(int dirfd, const struct sl_record *record, struct sl_err *err) SL_MUST;
int sl_record_read(int dirfd, struct sl_record *ret, struct sl_err *err) SL_MUST;

/* Seqlock: odd while being written. Readers retry at most 8 times, then keep their last values. */
struct sl_stats_data {
    uint64_t loops; /* moves at least once a second whatever the source does */
    uint64_t packets, bytes, frames, dropped; /* published since start */
    int64_t last_packet; /* CLOCK_MONOTONIC ms of the last packet published; 0: none */
    int64_t media_ms;    /* media time published */
    uint64_t rounds;     /* loops of a file completed */
    uint64_t reconnects;
    uint32_t fps_milli;   /* over the last seconds */
    uint32_t bitrate;     /* bit/s over the last seconds */
    uint32_t speed_milli; /* media time per wall time over the last seconds, 1000 = real time */
    uint32_t reserved;
};
struct sl_stats {
    char magic[8];          /* "sluicest" */
    uint32_t version, size; /* 1, sizeof(struct sl_stats) */
    uint32_t seq, pad;
    struct sl_stats_data data;
};
int sl_stats_create(int dirfd, struct sl_stats **ret_map, struct sl_err *err) SL_MUST; /* encoder */
void sl_stats_publish(struct sl_stats *map, const struct sl_stats_data *data);         /* encoder */
int sl_stats_read(int fd,
                  struct sl_stats_data *ret) SL_MUST; /* daemon: pread; -1 = no sane value */

/* The log: a ring of text lines behind a small head. `head` counts all bytes ever written. */
#define SL_RING_SIZE (256 * 1024)
struct sl_ring {
    char magic[8];          /* "sluicelg" */
    uint32_t version, size; /* 1, SL_RING_SIZE */
    uint64_t head, pad;
    char data[];
};
int sl_ring_create(int dirfd, struct sl_ring **ret_map, struct sl_err *err) SL_MUST; /* encoder */
void sl_ring_write(struct sl_ring *ring, const char *data, size_t len);              /* encoder */
int sl_ring_read(int fd, struct sl_buf *out) SL_MUST; /* daemon: whole lines, oldest first */

/* ctl messages, one a packet, both ways: JSON text {"op":"hello","v":1} …; answers carry "ok".
 *   hello → {"ok":true,"v":1,"uid":…,"pid":…,"state":…} with the encoder's pidfd by SCM_RIGHTS
 *   go    → publish now (also: "the path is there, try again at once"); idempotent
 *   stop  → finish the packet, TEARDOWN, state ENDED reason Stopped, exit 0
 *   dump  → {"ok":true,"stats":{…}}
 * host.sock: {"op":"start","v":1} with the spec in a memfd by SCM_RIGHTS →
 *   {"ok":true,"uid":…,"pid":…} with the child's pidfd by SCM_RIGHTS, or {"ok":false,"error":…};
 *   {"op":"hello"} → {"ok":true,"v":1,"pid":…,"version":…,"encoders":N}
 *   {"op":"signal","v":1,"uid":…,"signal":15|9|10|12|18|19} → {"ok":true}: for a daemon of another
 * user or PID namespace; the record's pid, start, namespace and lock are verified first. Codes:
 * Gone (it does not live), NotOurs (another boot, namespace or process), BadSignal
 */
#define SL_CTL_VERSION 1
#define SL_CTL_MAX     4096
