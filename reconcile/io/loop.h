/* SPDX-License-Identifier: GPL-2.0-or-later
 * The daemon's one loop: sd-event, a small worker pool that posts back to it, and libcurl's multi
 * on it. Everything here runs on the loop's thread except a job's `work`. Layer: io.
 */
#pragma once
#include "reconcile/base/err.h"
#include <curl/curl.h>
#include <systemd/sd-event.h>

struct sl_loop;
/* Blocks no signals itself: the caller blocks those it adds before the first loop is made (worker
 * threads block all). Free the loop before what jobs' `done` touch: waiting jobs are still worked
 * and done, jobs added meanwhile are dropped, HTTP under way is cancelled. */
int sl_loop_new(struct sl_loop **ret, struct sl_err *err) SL_MUST;
void sl_loop_free(struct sl_loop *loop);
sd_event *sl_loop_event(struct sl_loop *loop);
int sl_loop_run(struct sl_loop *loop); /* until sl_loop_exit; its code */
void sl_loop_exit(struct sl_loop *loop, int code);
uint64_t sl_loop_stalls(const struct sl_loop *loop); /* iterations over 50 ms; each is logged */

/* A one-shot timer, re-armed at will (accuracy 1 ms). */
typedef void sl_timer_fn(void *user);
struct sl_timer;
struct sl_timer *sl_timer_new(struct sl_loop *loop, sl_timer_fn *fn, void *user);
void sl_timer_at(struct sl_timer *timer,
                 int64_t mono_ms); /* 0: disarm; past: as soon as possible */
void sl_timer_free(struct sl_timer *timer);

/* work(user) on a worker thread, then done(user) on the loop. Jobs of one queue keep their order
 * and never overlap; the pool has 2 threads. */
void sl_loop_job(struct sl_loop *loop, int queue, void (*work)(void *), void (*done)(void *),
                 void *user);

/* HTTP without blocking. The answer's body is given NUL-terminated; status 0 = no answer, err says
 * why (codes Timeout, Unreachable, AnswerTooLong, BadRequest). Statuses of 400 and more are
 * answers. Never through a proxy, never follows redirects. */
struct sl_http_request {
    const char *method, *url;        /* copied */
    const char *unix_socket;         /* or NULL */
    const char *username, *password; /* basic auth, or NULL */
    const char *body;                /* JSON, or NULL; copied */
    int timeout_ms;                  /* of all of it; 0: 10 s */
    size_t max_body;                 /* 0: 1 MiB */
};
typedef void sl_http_fn(void *user, long status, const char *body, size_t len,
                        const struct sl_err *err);
struct sl_http; /* one under way; cancel frees it without calling back */
/* Never calls fn before it returns; fn comes exactly once unless cancelled. */
struct sl_http *sl_http_start(struct sl_loop *loop, const struct sl_http_request *request,
                              sl_http_fn *fn, void *user);
void sl_http_cancel(struct sl_http *http);
/* The same, blocking, for CLI verbs. */
int sl_http_get(const struct sl_http_request *request, long *ret_status, char **ret_body,
                struct sl_err *err) SL_MUST;
