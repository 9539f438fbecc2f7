/* SPDX-License-Identifier: GPL-2.0-or-later
 * The encoder's main loop: open, hold, publish, pace, heal. One thread of ours; every wait goes
 * through the control socket, so orders are heard in every phase. Layer: encoders.
 */
#define _GNU_SOURCE 1
#include "encoders/worker.h"
#include "encoders/av_bridge.h"
#include "encoders/control.h"
#include "encoders/publish.h"
#include "reconcile/base/time.h"
#include <errno.h>
#include <libavutil/time.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>

#define RETRY_FILE_MS  500
#define BACKOFF_MIN_MS 100
#define BACKOFF_MAX_MS 1000
#define CALM_MS        5000
#define CONNECT_MS     5000
#define WRITE_MS       5000
#define CLOSE_MS       1000
#define SERVE_EVERY_MS 50
#define LATE_US        1000000 /* later than this: the clock is set anew instead of a burst */
#define EARLY_US       15000   /* due this soon: now; sound and picture share one wake */

struct worker {
    const struct sl_worker_options *options;
    const struct sl_encspec *spec;
    struct sl_status status;
    struct sl_control control;
    struct sl_input *input;
    struct sl_pipeline pipeline;
    struct sl_publish publish;
    bool closing, going, once;          /* going: the anchor is set; once: was live before */
    int64_t served_at, deadline;        /* ms */
    int64_t anchor;                     /* CLOCK_MONOTONIC µs at which due 0 is now */
    int64_t next_try, backoff, live_at; /* ms */
};

static int64_t now_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* libav waits inside its own calls: this is how we go on living there. */
static int interrupt(void *arg)
{
    struct worker *w = arg;
    int64_t now = sl_now_mono();

    sl_publish_tune(&w->publish);
    if (now - w->served_at >= SERVE_EVERY_MS) {
        w->served_at = now;
        sl_control_serve(&w->control, 0);
    }
    if (w->deadline && now >= w->deadline)
        return 1;
    return w->control.stop && !w->closing;
}

static void end(struct worker *w, const char *reason, const char *message)
{
    sl_status_tell(&w->status, SL_ENC_ENDED, reason, "%s", message);
}

/* Opens input and pipeline, waiting for a file that is not there yet. 0: open; else exit status. */
static int open_input(struct worker *w)
{
    AVIOInterruptCB cb = {.callback = interrupt, .opaque = w};

    while (!w->control.stop) {
        struct sl_err err = {0};
        int rc;

        w->input = sl_input_new(w->spec, cb);
        rc = w->input->class->open(w->input, w->spec, &err);
        if (rc >= 0)
            rc = sl_pipeline_open(&w->pipeline, w->input, w->spec, &err);
        if (rc >= 0)
            return 0;
        sl_pipeline_close(&w->pipeline);
        sl_input_free(w->input);
        w->input = NULL;
        if (err.class != SL_ERR_TRANSIENT) {
            end(w, err.code, err.text);
            return SL_EXIT_HUMAN;
        }
        if (w->control.stop)
            break;
        sl_status_tell(&w->status, SL_ENC_STARTING, err.code, "%s", err.text);
        sl_control_serve(&w->control, RETRY_FILE_MS * 1000);
    }
    return 0;
}

static void tell_facts(struct worker *w)
{
    struct sl_record *r = &w->status.record;

    r->facts = w->pipeline.facts;
    snprintf(r->codec, sizeof(r->codec), "%s", w->pipeline.facts.track[0].codec);
    snprintf(r->hwaccel, sizeof(r->hwaccel), "%s", w->pipeline.out[0].class->name);
}

static int sink(void *arg, const struct sl_out_track *t, AVPacket *packet)
{
    struct worker *w = arg;
    struct sl_stats_data *d = &w->status.data;
    int64_t us = av_rescale_q(packet->dts, t->time_base, AV_TIME_BASE_Q);
    int rc, size = packet->size;

    if (!w->publish.out) {
        d->dropped++;
        return 0;
    }
    w->deadline = sl_now_mono() + WRITE_MS;
    rc = sl_publish_write(&w->publish, t, packet);
    w->deadline = 0;
    if (rc < 0)
        return rc;
    d->packets++;
    d->bytes += (uint64_t)size;
    d->frames += t->media == SL_VIDEO;
    d->last_packet = sl_now_mono();
    if (us / 1000 > d->media_ms)
        d->media_ms = us / 1000;
    if (w->status.record.state != SL_ENC_LIVE) {
        w->once = true;
        w->live_at = sl_now_mono();
        sl_status_tell(&w->status, SL_ENC_LIVE, "", "%s", "");
    }
    return 0;
}

static void drop_connection(struct worker *w)
{
    w->closing = true;
    w->deadline = sl_now_mono() + CLOSE_MS;
    sl_publish_close(&w->publish);
    w->deadline = 0;
    w->closing = false;
}

static void lost(struct worker *w, int rc)
{
    int64_t now = sl_now_mono();

    sl_status_tell(&w->status, SL_ENC_CONNECTING, "EngineUnreachable",
                   "the connection to MediaMTX was lost (%s)", sl_av_text(rc));
    drop_connection(w);
    w->status.data.reconnects++;
    /* a connection that was good heals at once; one that is taken away again and again (another
     * publisher, a path that is made anew) is not fought for at full speed */
    if (now - w->live_at > CALM_MS)
        w->backoff = BACKOFF_MIN_MS;
    w->next_try = now + w->backoff;
    w->backoff = w->backoff * 2 > BACKOFF_MAX_MS ? BACKOFF_MAX_MS : w->backoff * 2;
}

/* One try to publish from `due` on. */
static int connect_now(struct worker *w, int64_t due, struct sl_err *err)
{
    AVIOInterruptCB cb = {.callback = interrupt, .opaque = w};
    int64_t now = now_us();
    int rc;

    if (!w->going || now - (w->anchor + due) > 0)
        w->anchor = now - due; /* the time line stood still while nobody took it */
    w->going = true;
    w->deadline = sl_now_mono() + CONNECT_MS;
    rc = sl_publish_open(&w->publish, &w->pipeline, w->spec, cb,
                         av_gettime() - (now_us() - w->anchor), err);
    w->deadline = 0;
    if (rc < 0)
        return -1;
    if (w->once)
        sl_pipeline_want_key(&w->pipeline);
    return 0;
}

/* Waits for the connection, standing at this item. False: stop, or no file output. */
static bool connected(struct worker *w, int64_t due)
{
    while (!w->publish.out && !w->control.stop) {
        struct sl_err err = {0};
        int64_t wait;

        if (w->control.go) {
            w->control.go = false;
            w->next_try = 0;
        }
        wait = w->next_try - sl_now_mono();
        if (wait > 0) {
            sl_control_serve(&w->control, wait * 1000);
            continue;
        }
        if (connect_now(w, due, &err) >= 0)
            return true;
        if (err.class == SL_ERR_HUMAN) {
            end(w, err.code, err.text);
            return false;
        }
        if (!w->control.stop)
            sl_status_tell(&w->status, SL_ENC_CONNECTING, err.code, "%s", err.text);
        w->next_try = sl_now_mono() + w->backoff;
        w->backoff = w->backoff * 2 > BACKOFF_MAX_MS ? BACKOFF_MAX_MS : w->backoff * 2;
    }
    return w->publish.out != NULL;
}

static void pace(struct worker *w, int64_t due)
{
    if (w->options->fast) {
        interrupt(w);
        return;
    }
    for (;;) {
        int64_t wait = w->anchor + due - now_us();

        if (wait < -LATE_US) {
            sl_bridge_log(SL_LOG_WARN, "%lld ms behind real time: the clock is set anew",
                          (long long)(-wait / 1000));
            w->anchor = now_us() - due;
        }
        if (wait <= EARLY_US || w->control.stop)
            break;
        sl_control_serve(&w->control, wait > 1000000 ? 1000000 : wait);
    }
    if (sl_now_mono() - w->served_at >= SERVE_EVERY_MS)
        interrupt(w);
}

/* The source gives nothing now: say so and come back. */
static void silent(struct worker *w, const struct sl_err *err)
{
    if (w->control.stop)
        return;
    sl_status_tell(&w->status, SL_ENC_SILENT, err->code, "%s", err->text);
    sl_control_serve(&w->control, RETRY_FILE_MS * 1000);
}

static int play(struct worker *w)
{
    struct sl_item item = {0};

    while (!w->control.stop) {
        struct sl_err err = {0};
        int rc = w->input->class->read(w->input, &item, &err);

        w->status.data.rounds = w->input->rounds;
        if (rc < 0) {
            silent(w, &err);
            continue;
        }
        if (rc == 0 || (w->options->duration && item.due >= w->options->duration * 1000)) {
            sl_item_free(&item);
            (void)!sl_pipeline_flush(&w->pipeline, sink, w);
            end(w, "EndOfFile", "the source ended");
            return SL_EXIT_OK;
        }
        if (!w->publish.out) {
            if (!sl_pipeline_may_start(&w->pipeline, &item)) {
                w->status.data.dropped++;
                sl_item_free(&item);
                if (sl_now_mono() - w->served_at >= SERVE_EVERY_MS)
                    interrupt(w);
                continue;
            }
            if (!connected(w, item.due))
                break;
        }
        pace(w, item.due);
        if (w->control.stop)
            break;
        rc = sl_pipeline_push(&w->pipeline, &item, sink, w);
        if (rc < 0 && !w->control.stop) {
            if (w->options->fast || w->publish.file) {
                end(w, "OutputFailed", sl_av_text(rc));
                break;
            }
            lost(w, rc);
        }
    }
    sl_item_free(&item);
    return w->status.record.state == SL_ENC_ENDED ? SL_EXIT_HUMAN : SL_EXIT_OK;
}

static void hold(struct worker *w)
{
    sl_status_tell(&w->status, SL_ENC_HELD, "", "%s", "");
    while (!w->control.go && !w->control.stop)
        sl_control_serve(&w->control, 1000000);
    w->control.go = false;
}

static int run(struct worker *w)
{
    int status = open_input(w);

    if (status != 0 || w->control.stop)
        return status;
    tell_facts(w);
    if (w->spec->hold)
        hold(w);
    if (w->control.stop)
        return SL_EXIT_OK;
    sl_status_tell(&w->status, SL_ENC_CONNECTING, "", "%s", "");
    w->backoff = BACKOFF_MIN_MS;
    return play(w);
}

static void confine(const struct sl_encspec *spec)
{
    struct rlimit none = {0, 0};
    char name[16];

    snprintf(name, sizeof(name), "enc:%.11s", spec->name);
    prctl(PR_SET_NAME, name);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    prctl(PR_SET_TIMERSLACK, 500000); /* ns: wakes of many encoders may be joined */
    setrlimit(RLIMIT_CORE, &none);
}

int sl_worker_run(const struct sl_worker_options *options, const struct sl_encspec *spec)
{
    struct worker w = {.options = options, .spec = spec};
    struct sl_err err = {0};
    int status;

    confine(spec);
    sl_bridge_open(NULL, options->foreground);
    sl_bridge_secret(spec->publish.password);
    if (sl_status_open(&w.status, options->runtime, spec, &err) < 0 ||
        sl_control_open(&w.control, &w.status, &err) < 0) {
        sl_log(SL_LOG_ERROR, err.text, "stream", spec->name, NULL);
        return sl_streq(err.code, "Busy") ? SL_EXIT_BUSY : SL_EXIT_FAILED;
    }
    sl_bridge_open(w.status.ring, options->foreground);
    status = run(&w);
    drop_connection(&w);
    if (w.status.record.state != SL_ENC_ENDED)
        end(&w, "Stopped", "told to stop");
    sl_status_tick(&w.status, sl_now_mono());
    if (options->foreground && status != SL_EXIT_OK)
        sl_log(SL_LOG_ERROR, w.status.record.message, "stream", spec->name, "reason",
               w.status.record.reason, NULL);
    sl_control_close(&w.control);
    sl_pipeline_close(&w.pipeline);
    sl_input_free(w.input);
    return status;
}

void sl_worker_warm(void)
{
    static const char *const names[] = {"libx264", "aac", "libopus"};

    avformat_network_init();
    (void)!(av_find_input_format("mov") && av_guess_format("rtsp", NULL, NULL));
    for (size_t i = 0; i < SL_COUNT(names); i++)
        (void)avcodec_find_encoder_by_name(names[i]);
    (void)avcodec_find_decoder(AV_CODEC_ID_H264);
    (void)avcodec_find_decoder(AV_CODEC_ID_AAC);
}
