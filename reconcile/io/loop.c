/* SPDX-License-Identifier: GPL-2.0-or-later
 * The loop itself: sd-event driven by hand, so that each iteration's time can be taken; timers.
 * Workers: job.c. HTTP: http.c.
 */
#include "reconcile/io/loop.h"

#include "reconcile/base/log.h"
#include "reconcile/base/time.h"
#include "reconcile/io/http.h"
#include "reconcile/io/job.h"

#include <errno.h>
#include <time.h>

#define STALL_MS 50

struct sl_loop {
    sd_event *event;
    struct sl_jobs *jobs;
    struct sl_multi *multi;
    uint64_t stalls;
};

struct sl_timer {
    sd_event_source *source;
    sl_timer_fn *fn;
    void *user;
};

int sl_loop_new(struct sl_loop **ret, struct sl_err *err)
{
    struct sl_loop *loop = sl_alloc(sizeof(*loop));
    int r = sd_event_new(&loop->event);

    if (r < 0) {
        sl_loop_free(loop);
        return sl_err_os(err, -r, "cannot make the event loop");
    }
    if (sl_jobs_new(loop->event, &loop->jobs, err) < 0 ||
        sl_multi_new(loop->event, &loop->multi, err) < 0) {
        sl_loop_free(loop);
        return -1;
    }
    *ret = loop;
    return 0;
}

void sl_loop_free(struct sl_loop *loop)
{
    if (!loop)
        return;
    sl_jobs_free(
        loop->jobs); /* its done functions may still start HTTP, which the next line ends */
    sl_multi_free(loop->multi);
    sd_event_unref(loop->event);
    free(loop);
}

sd_event *sl_loop_event(struct sl_loop *loop)
{
    return loop->event;
}

struct sl_multi *sl_loop_multi(struct sl_loop *loop)
{
    return loop->multi;
}

int sl_loop_run(struct sl_loop *loop)
{
    int code = 0;

    while (sd_event_get_state(loop->event) != SD_EVENT_FINISHED) {
        int64_t began, took;
        int r = sd_event_prepare(loop->event);

        if (r == 0)
            r = sd_event_wait(loop->event, UINT64_MAX);
        if (r < 0 && r != -EINTR)
            return r;
        if (r <= 0)
            continue;
        began = sl_now_mono();
        r = sd_event_dispatch(loop->event);
        took = sl_now_mono() - began;
        if (took > STALL_MS) {
            loop->stalls++;
            sl_log(SL_LOG_WARN, "the event loop was held up", "ms", sl_num(took), NULL);
        }
        if (r < 0)
            return r;
    }
    sd_event_get_exit_code(loop->event, &code);
    return code;
}

void sl_loop_exit(struct sl_loop *loop, int code)
{
    sd_event_exit(loop->event, code);
}

uint64_t sl_loop_stalls(const struct sl_loop *loop)
{
    return loop->stalls;
}

void sl_loop_job(struct sl_loop *loop, int queue, void (*work)(void *), void (*done)(void *),
                 void *user)
{
    sl_jobs_add(loop->jobs, queue, work, done, user);
}

static int on_time(sd_event_source *source, uint64_t usec, void *user)
{
    struct sl_timer *timer = user;

    (void)source;
    (void)usec;
    timer->fn(timer->user); /* may free the timer */
    return 0;
}

struct sl_timer *sl_timer_new(struct sl_loop *loop, sl_timer_fn *fn, void *user)
{
    struct sl_timer *timer = sl_alloc(sizeof(*timer));
    int r;

    timer->fn = fn;
    timer->user = user;
    r = sd_event_add_time(loop->event, &timer->source, CLOCK_MONOTONIC, UINT64_MAX, 1000, on_time,
                          timer);
    if (r >= 0)
        r = sd_event_source_set_enabled(timer->source, SD_EVENT_OFF);
    if (r < 0)
        abort(); /* only without memory, descriptors or a loop: the daemon is started again */
    sd_event_source_set_exit_on_failure(timer->source, true);
    return timer;
}

void sl_timer_at(struct sl_timer *timer, int64_t mono_ms)
{
    if (mono_ms == 0) {
        sd_event_source_set_enabled(timer->source, SD_EVENT_OFF);
        return;
    }
    sd_event_source_set_time(timer->source, mono_ms < 0 ? 0 : (uint64_t)mono_ms * 1000);
    sd_event_source_set_enabled(timer->source, SD_EVENT_ONESHOT);
}

void sl_timer_free(struct sl_timer *timer)
{
    if (!timer)
        return;
    sd_event_source_disable_unref(timer->source);
    free(timer);
}
