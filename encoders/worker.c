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
#define EARLY_US       2000    /* a picture due this soon: now */
#define SLACK_US       20000 /* sound goes with the nearest picture, so that they share one wake */
#define GAP_LOOK_US    250000
#define RETRY_LONG_MS  10000   /* a source that gives what cannot be published */
#define STALE_US       2000000 /* live: this late after a stall is thrown away … */
#define CAUGHT_UP_US   1000000 /* … up to a keyframe that is no later than this */
#define HELD_MS        1000    /* live: as long as sockets keep what comes while nobody says go */

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
    int64_t filled;                     /* µs: gaps of the source were looked for up to here */
    uint64_t connects;                  /* of the input, when the pipeline was made */
    bool unfit;                         /* what the source gives now cannot be published */
    bool stale;                         /* live: throwing away what is too late */
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

/* Waits that long for orders; ends with a stop. */
static void rest(struct worker *w, int64_t ms)
{
    int64_t end = sl_now_mono() + ms, left = ms;

    for (; left > 0 && !w->control.stop; left = end - sl_now_mono())
        sl_control_serve(&w->control, (left > 500 ? 500 : left) * 1000);
}

/* Whether the source may become right by itself: a camera is set anew by others. */
static bool may_heal(const struct worker *w, const struct sl_err *err)
{
    static const char *const codes[] = {"CodecNotCarried", "NoDecoder", "NoTracks", "Encrypted"};

    for (size_t i = 0; w->input->live && i < SL_COUNT(codes); i++) {
        if (sl_streq(err->code, codes[i]))
            return true;
    }
    return err->class == SL_ERR_TRANSIENT;
}

/* Opens input and pipeline, waiting for a source that is not there yet. 0: open; else exit status.
 */
static int open_input(struct worker *w)
{
    AVIOInterruptCB cb = {.callback = interrupt, .opaque = w};

    while (!w->control.stop) {
        struct sl_err err = {0};
        int64_t wait = RETRY_FILE_MS;
        int rc;

        if (!w->input)
            w->input = sl_input_new(w->spec, cb);
        rc = w->input->class->open(w->input, w->spec, &err);
        if (rc >= 0)
            rc = sl_pipeline_open(&w->pipeline, w->input, w->spec, &err);
        w->connects = w->input->connects;
        if (rc >= 0)
            return 0;
        sl_pipeline_close(&w->pipeline);
        if (!may_heal(w, &err)) {
            end(w, err.code, err.text);
            return SL_EXIT_HUMAN;
        }
        if (w->control.stop)
            break;
        sl_status_tell(&w->status, SL_ENC_STARTING, err.code, "%s", err.text);
        if (w->input->live) { /* it remembers its tries */
            wait = w->input->retry_at - sl_now_mono();
            if (err.class != SL_ERR_TRANSIENT)
                wait = RETRY_LONG_MS;
        } else {
            sl_input_free(w->input);
            w->input = NULL;
        }
        rest(w, wait);
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

    if (!w->publish.open) {
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
    if (!w->publish.open)
        return;
    w->control.watch_fd = -1;
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

    if (!w->going || (now - (w->anchor + due) > 0 && (!w->input->live || w->input->burst)))
        w->anchor = now - due; /* the time line stood still while nobody took it */
    w->going = true;
    w->deadline = sl_now_mono() + CONNECT_MS;
    rc = sl_publish_open(&w->publish, &w->pipeline, w->spec, cb,
                         av_gettime() - (now_us() - w->anchor), err);
    w->deadline = 0;
    if (rc < 0)
        return -1;
    w->control.watch_fd = sl_publish_fd(&w->publish);
    w->control.watched = false;
    if (w->once)
        sl_pipeline_want_key(&w->pipeline);
    return 0;
}

/* 1: connected; 0: not now; -1: never, the reason is told. */
static int try_connect(struct worker *w, int64_t due)
{
    struct sl_err err = {0};

    if (w->control.go) {
        w->control.go = false;
        w->next_try = 0;
    }
    if (sl_now_mono() < w->next_try)
        return 0;
    if (connect_now(w, due, &err) >= 0)
        return 1;
    if (err.class == SL_ERR_HUMAN) {
        end(w, err.code, err.text);
        return -1;
    }
    if (!w->control.stop)
        sl_status_tell(&w->status, SL_ENC_CONNECTING, err.code, "%s", err.text);
    w->next_try = sl_now_mono() + w->backoff;
    w->backoff = w->backoff * 2 > BACKOFF_MAX_MS ? BACKOFF_MAX_MS : w->backoff * 2;
    return 0;
}

/* Waits for the connection, standing at this item. False: stop, or no file output. */
static bool connected(struct worker *w, int64_t due)
{
    while (!w->publish.open && !w->control.stop) {
        int64_t wait = w->control.go ? 0 : w->next_try - sl_now_mono();

        if (wait > 0)
            sl_control_serve(&w->control, (wait > 500 ? 500 : wait) * 1000);
        else if (try_connect(w, due) < 0)
            return false;
    }
    return w->publish.open;
}

/* A live source's item came now: how late is it, measured by those that came without delay? The
 * measure gives way slowly, for clocks that run apart. False: it is thrown away. */
static bool fresh_enough(struct worker *w, const struct sl_item *item)
{
    int64_t now = now_us(), late = now - (w->anchor + item->due), blocked;
    bool key = item->packet && (item->packet->flags & AV_PKT_FLAG_KEY) &&
               (item->media == SL_VIDEO || !w->input->track[SL_VIDEO].present);

    if (!w->going || late < 0) {
        w->anchor = now - item->due;
        w->going = true;
        late = 0;
    }
    w->anchor += late / 4096;
    blocked = sl_publish_blocked(&w->publish);
    if (blocked && now / 1000 - blocked > STALE_US / 1000)
        late = STALE_US + 1; /* MediaMTX takes nothing: what waits for it is enough */
    if (late > STALE_US && !w->stale) {
        sl_bridge_log(SL_LOG_WARN, "%lld ms behind: dropping up to a keyframe",
                      (long long)(late / 1000));
        w->stale = true;
    }
    if (w->stale && key && late < CAUGHT_UP_US) {
        w->stale = false;
        sl_pipeline_want_key(&w->pipeline);
    }
    return !w->stale;
}

/* Sends what was written, and hears what the server has to say. */
static int flush(struct worker *w)
{
    int rc = sl_publish_flush(&w->publish);

    if (rc >= 0 && w->control.watched) {
        rc = sl_publish_listen(&w->publish);
        w->control.watched = false;
    }
    w->control.watch_out = sl_publish_blocked(&w->publish) != 0;
    return rc;
}

/* A picture that stays away leaves viewers without keyframes, or MediaMTX without any packet. */
static int fill_gaps(struct worker *w, int64_t reached)
{
    if (reached - w->filled < GAP_LOOK_US)
        return 0;
    w->filled = reached;
    return sl_pipeline_idle(&w->pipeline, reached, sink, w);
}

/* When sound due at this time goes: with the next picture, if that is near. MediaMTX stamps what
 * it passes on by arrival, so neither may stray far. */
static int64_t with_picture(const struct worker *w, int64_t due)
{
    const AVPacket *next = w->input->class->peek(w->input, SL_VIDEO);
    int64_t picture;

    if (!next || next->dts == AV_NOPTS_VALUE)
        return due;
    picture = av_rescale_q(next->dts, w->input->track[SL_VIDEO].time_base, AV_TIME_BASE_Q);
    return picture >= due && picture - due <= SLACK_US ? picture : due;
}

/* AVERROR of the publisher while it waited, or 0. */
static int pace(struct worker *w, const struct sl_item *item)
{
    int64_t due = item->due, at = due, early = item->media == SL_AUDIO ? SLACK_US : EARLY_US;
    int rc = 0;

    if (w->options->fast || (w->input->live && !w->input->burst)) {
        if (sl_now_mono() - w->served_at >= SERVE_EVERY_MS)
            interrupt(w);
        return fill_gaps(w, due);
    }
    if (item->media == SL_AUDIO)
        at = with_picture(w, due);
    for (;;) {
        int64_t wait = w->anchor + at - now_us();

        if (wait < -LATE_US) {
            sl_bridge_log(SL_LOG_WARN, "%lld ms behind real time: the clock is set anew",
                          (long long)(-wait / 1000));
            w->anchor = now_us() - at;
        }
        if (wait <= early || w->control.stop || rc < 0)
            break;
        rc = fill_gaps(w, at - wait);
        if (rc >= 0)
            rc = flush(w);
        if (rc < 0)
            break;
        sl_control_serve(&w->control, wait > 500000 ? 500000 : wait);
        w->served_at = sl_now_mono();
    }
    if (rc >= 0)
        rc = fill_gaps(w, due);
    if (sl_now_mono() - w->served_at >= SERVE_EVERY_MS)
        interrupt(w);
    return rc;
}

/* The source gives nothing now: say so and come back. One in the network may be away for a while
 * (net.silence) before the publisher is closed. */
static void silent(struct worker *w, const struct sl_err *err)
{
    int64_t now = sl_now_mono(), wait = RETRY_FILE_MS;

    if (w->control.stop)
        return;
    if (w->input->live) {
        int64_t left = w->input->came_at + w->spec->net.silence - now;

        wait = w->input->retry_at - now;
        if (w->publish.open && left > 0) {
            sl_bridge_log(SL_LOG_WARN, "%s: %s", err->code, err->text);
            rest(w, wait < left ? wait : left);
            return;
        }
        drop_connection(w);
    }
    sl_status_tell(&w->status, SL_ENC_SILENT, err->code, "%s", err->text);
    rest(w, wait);
}

static void published_anew(struct worker *w, const char *why)
{
    if (!w->publish.open)
        return;
    sl_status_tell(&w->status, SL_ENC_CONNECTING, "SourceChanged", "%s", why);
    drop_connection(w);
    w->next_try = 0;
}

/* The source was connected again, perhaps with other tracks. Decoders begin anew; the publisher
 * stays while what is published stays the same. */
static void renew(struct worker *w)
{
    char before[SL_SIGNATURE], after[SL_SIGNATURE];
    struct sl_err err = {0};

    if (w->connects == w->input->connects)
        return;
    w->connects = w->input->connects;
    if (!w->input->changed && !w->unfit && w->spec->mode == SL_ENC_COPY)
        return;
    w->input->changed = false;
    sl_pipeline_signature(&w->pipeline, before);
    if (w->publish.open)
        (void)!sl_pipeline_flush(&w->pipeline, sink, w);
    sl_pipeline_close(&w->pipeline);
    w->unfit = sl_pipeline_open(&w->pipeline, w->input, w->spec, &err) < 0;
    if (w->unfit) {
        sl_pipeline_close(&w->pipeline);
        drop_connection(w);
        sl_status_tell(&w->status, SL_ENC_SILENT, err.code, "%s", err.text);
        return;
    }
    sl_pipeline_signature(&w->pipeline, after);
    tell_facts(w);
    if (strcmp(before, after) == 0)
        sl_status_write(&w->status);
    else
        published_anew(w, "the source came back with other tracks: published anew");
}

/* Whether this item goes out now; else it is to be freed. -1: the reason to end is told. */
static int admit(struct worker *w, struct sl_item *item)
{
    bool live = w->input->live && !w->input->burst;

    if (w->input->live)
        renew(w);
    if (w->unfit || (live && !fresh_enough(w, item)))
        return 0;
    if (sl_pipeline_renews(&w->pipeline, item) && !w->publish.file) {
        tell_facts(w);
        published_anew(w, "the source's picture changed its form: published anew");
    }
    if (w->publish.open)
        return 1;
    if (!sl_pipeline_may_start(&w->pipeline, item))
        return 0;
    if (live)
        return try_connect(w, item->due);
    return connected(w, item->due) ? 1 : -1;
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
        rc = admit(w, &item);
        if (rc < 0)
            break;
        if (rc == 0) {
            w->status.data.dropped++;
            sl_item_free(&item);
            rc = w->stale ? flush(w) : 0;
            if (rc < 0)
                lost(w, rc);
            if (sl_now_mono() - w->served_at >= SERVE_EVERY_MS)
                interrupt(w);
            continue;
        }
        rc = pace(w, &item);
        if (w->control.stop)
            break;
        if (rc >= 0)
            rc = sl_pipeline_push(&w->pipeline, &item, sink, w);
        else
            sl_item_free(&item);
        if (rc >= 0 && w->input->live && !w->input->burst)
            rc = flush(w);
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
    int64_t since = sl_now_mono();

    sl_status_tell(&w->status, SL_ENC_HELD, "", "%s", "");
    while (!w->control.go && !w->control.stop) {
        struct sl_item item = {0};
        struct sl_err err;

        if (!w->input->live || sl_now_mono() - since < HELD_MS)
            sl_control_serve(&w->control, 500000);
        else if (w->input->class->read(w->input, &item, &err) > 0)
            sl_item_free(&item); /* what waits in sockets would be old */
        else
            rest(w, RETRY_FILE_MS);
    }
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
    static const char *const names[] = {"libx264", "libx265", "aac", "libopus"};

    avformat_network_init();
    (void)!(av_find_input_format("mov") && av_guess_format("rtsp", NULL, NULL));
    for (size_t i = 0; i < SL_COUNT(names); i++)
        (void)avcodec_find_encoder_by_name(names[i]);
    (void)avcodec_find_decoder(AV_CODEC_ID_H264);
    (void)avcodec_find_decoder(AV_CODEC_ID_AAC);
}
