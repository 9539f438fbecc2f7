/* SPDX-License-Identifier: GPL-2.0-or-later
 * What the files of the fleet share: one encoder as known here, the connection to the host, the
 * request to a control socket. Private to reconcile/fleet. Layer: fleet.
 */
#pragma once
#include "reconcile/base/file.h"
#include "reconcile/base/log.h"
#include "reconcile/base/time.h"
#include "reconcile/fleet/fleet.h"
#include "schemas/encspec.h"
#include <jansson.h>
#include <sys/types.h>

#define FLEET_GRACE_TERM   3000 /* ms after a stop request: SIGTERM */
#define FLEET_GRACE_KILL   5000 /* ms after a stop request: SIGKILL */
#define FLEET_EXIT_WAIT    250  /* ms that the parent has to write how an encoder ended */
#define FLEET_YOUNG        2000 /* ms in which a starting encoder may not hold its lock yet */
#define FLEET_RECORD_WAIT  5000 /* ms after the host's answer until record.json must be there */
#define FLEET_CTL_TIMEOUT  2000
#define FLEET_HOST_TIMEOUT 10000
#define FLEET_STATS_EVERY  200 /* ms: stats are not read more often */
#define FLEET_RETRY        300

enum fleet_op { FLEET_HELLO, FLEET_GO, FLEET_STOP, FLEET_OP_COUNT };

struct fleet_call; /* one request to a control socket, under way */

struct fleet_enc {
    struct sl_seen_encoder seen;
    int pidfd; /* -1: none */
    sd_event_source *death;
    bool known;          /* record.json was read at least once */
    bool refused;        /* the host said no: a dead record in memory only */
    int64_t asked_at;    /* START was asked, 0: adopted */
    int64_t answered_at; /* the host's answer, 0: none yet */
    int64_t died_at;     /* its pidfd fired, how it ended is not yet told */
    int64_t first_seen, stats_at, retry_at, probe_at, go_at;
    bool pending[FLEET_OP_COUNT];
    bool stop_failed, termed, killed, unkillable;
    uint64_t cpu_ticks;
    int64_t cpu_at;
    char *reason; /* of the START, for the log line with the pid */
};

struct fleet_request { /* a start or a signal, queued or under way */
    struct fleet_request *next;
    char uid[SL_UID_LEN + 1];
    int signal;       /* 0: a start */
    int memfd;        /* of a start; -1 once sent */
    int64_t deadline; /* 0: not sent */
};

struct fleet_host {
    int fd; /* -1: not connected */
    sd_event_source *io;
    bool up, hello_sent;
    int64_t hello_deadline, retry_at, spawned_at, spawn_at;
    int pid, pidfd; /* our child or the peer; -1 */
    bool child;
    sd_event_source *death;
    int failures;
    char error[300];
    struct fleet_request *queue; /* in the order of sending */
};

struct sl_fleet {
    struct sl_loop *loop;
    sd_event *event;
    struct sl_timer *timer;
    int64_t timer_at;
    sl_fleet_fn *fn;
    void *user;
    char *runtime, *binary;
    bool managed, known;
    int runtime_fd, enc_fd, notice_fd;
    uid_t enc_uid; /* who owns runtime/enc: may send notices */
    sd_event_source *notice;
    struct fleet_host host;
    struct fleet_enc **encs;
    size_t count, cap;
    struct sl_seen_encoder *view;
    struct fleet_call *calls;
};

/* fleet.c */
struct fleet_enc *fleet_find(struct sl_fleet *fleet, const char *uid);
struct fleet_enc *fleet_add(struct sl_fleet *fleet, const char *uid);
void fleet_drop(struct sl_fleet *fleet, struct fleet_enc *enc);
void fleet_wake_at(struct sl_fleet *fleet, int64_t mono); /* tick no later than this */
bool fleet_uid_ok(const char *uid);

/* records.c */
int fleet_notice_open(struct sl_fleet *fleet, struct sl_err *err) SL_MUST;
void fleet_scan(struct sl_fleet *fleet);
bool fleet_refresh(struct sl_fleet *fleet, const char *uid, bool *ret_dropped); /* true: news */
void fleet_take_pidfd(struct sl_fleet *fleet, struct fleet_enc *enc, int pidfd);
void fleet_read_stats(struct sl_fleet *fleet, struct fleet_enc *enc, int64_t now);
void fleet_read_usage(struct fleet_enc *enc, int64_t now);
bool fleet_same_process(const struct fleet_enc *enc); /* pid and start time, namespace shared */
enum fleet_lock { FLEET_LOCK_HELD, FLEET_LOCK_FREE, FLEET_LOCK_MISSING };
/* FREE: *ret_fd (when asked for) holds it until closed. */
enum fleet_lock fleet_probe(int dirfd, int *ret_fd);

/* ctl.c */
/* Only to a socket of the daemon's own user, root or the encoders' user: what is sent there holds
 * passwords. */
int fleet_connect(const struct sl_fleet *fleet, int dirfd, const char *name,
                  struct sl_err *err) SL_MUST;
bool fleet_peer_ok(const struct sl_fleet *fleet, uid_t uid);
void fleet_ctl(struct sl_fleet *fleet, struct fleet_enc *enc, enum fleet_op op);
void fleet_ctl_expire(struct sl_fleet *fleet, int64_t now);
void fleet_ctl_forget(struct sl_fleet *fleet, const char *uid); /* NULL: all */
/* One message with at most one fd; -1 with errno; 0 = closed. *ret_fd is -1 when none came. */
ssize_t fleet_recv(int fd, char *buf, size_t size, int *ret_fd);

/* host.c */
void fleet_host_tick(struct sl_fleet *fleet, int64_t now);
void fleet_host_start(struct sl_fleet *fleet, const char *uid, int memfd); /* takes memfd */
/* Asks the host to signal an encoder: for one of another user or PID namespace. False: no host. */
bool fleet_host_signal(struct sl_fleet *fleet, const char *uid, int sig);
void fleet_host_read(struct sl_fleet *fleet); /* takes the answers that are there */
void fleet_host_close(struct sl_fleet *fleet);
void fleet_host_stop(struct sl_fleet *fleet); /* blocking */

/* apply.c */
void fleet_stop_tick(struct sl_fleet *fleet, struct fleet_enc *enc, int64_t now);
/* True: sent, or the host was asked to; a host that will not is told by fleet_signal_refused. */
bool fleet_signal(struct sl_fleet *fleet, struct fleet_enc *enc, int sig);
void fleet_signal_refused(struct sl_fleet *fleet, const char *uid, int sig, const char *error);
void fleet_started(struct sl_fleet *fleet, const char *uid, int pid, int pidfd, const char *error);
struct sl_encspec *fleet_encspec(const struct sl_desired_stream *desired,
                                 const struct sl_publisher *publisher, const char *uid);
int fleet_forget(struct sl_fleet *fleet, const char *uid, struct sl_err *err) SL_MUST;
