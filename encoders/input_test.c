/* SPDX-License-Identifier: GPL-2.0-or-later
 * Input: a test picture and a tone, made by libavfilter's sources. Gives raw frames without end.
 * Layer: encoders.
 */
#include "encoders/av_bridge.h"
#include "encoders/input.h"
#include <libavfilter/avfilter.h>
#include <libavfilter/buffersink.h>

#define TONE_RATE 48000

struct test {
    AVFilterGraph *graph[SL_MEDIA_COUNT];
    AVFilterContext *sink[SL_MEDIA_COUNT];
    AVFrame *next[SL_MEDIA_COUNT];
};

static const struct {
    const char *pattern, *source;
} patterns[] = {
    {"smpte", "smptebars"},
    {"bars", "pal75bars"},
    {"counter", "testsrc2"},
};

static int build(struct test *t, enum sl_media m, const char *text, struct sl_err *err)
{
    AVFilterInOut *in = NULL, *out = NULL;
    int rc;

    t->graph[m] = avfilter_graph_alloc();
    if (!t->graph[m])
        abort();
    t->graph[m]->nb_threads = 1;
    rc = avfilter_graph_create_filter(
        &t->sink[m], avfilter_get_by_name(m == SL_VIDEO ? "buffersink" : "abuffersink"), "out",
        NULL, NULL, t->graph[m]);
    if (rc >= 0)
        rc = avfilter_graph_parse2(t->graph[m], text, &in, &out);
    if (rc >= 0 && out)
        rc = avfilter_link(out->filter_ctx, (unsigned)out->pad_idx, t->sink[m], 0);
    if (rc >= 0)
        rc = avfilter_graph_config(t->graph[m], NULL);
    avfilter_inout_free(&in);
    avfilter_inout_free(&out);
    if (rc < 0)
        return sl_err_set(err, SL_ERR_BUG, 0, "InputFailed", "test source \"%s\": %s", text,
                          sl_av_text(rc));
    return 0;
}

static int test_open(struct sl_input *input, const struct sl_encspec *spec, struct sl_err *err)
{
    struct test *t = sl_alloc(sizeof(*t));
    struct sl_in_track *v = &input->track[SL_VIDEO], *a = &input->track[SL_AUDIO];
    const char *source = NULL;
    int width = spec->test.width & ~1, height = spec->test.height & ~1;

    input->priv = t;
    for (size_t i = 0; i < SL_COUNT(patterns); i++) {
        if (sl_streq(patterns[i].pattern, *spec->test.pattern ? spec->test.pattern : "smpte"))
            source = patterns[i].source;
    }
    if (!source)
        return sl_err_set(err, SL_ERR_HUMAN, 0, "BadSpec",
                          "test pattern \"%s\" is none of smpte, bars, counter",
                          spec->test.pattern);
    if (width < 16 || height < 16 || width > 8192 || height > 8192 || spec->test.rate < 1 ||
        spec->test.rate > 240)
        return sl_err_set(err, SL_ERR_HUMAN, 0, "BadSpec",
                          "test source of %dx%d at %g frames/s is out of range", width, height,
                          spec->test.rate);
    v->rate = av_d2q(spec->test.rate, 1001000);
    sl_autofree char *text = sl_asprintf("%s=s=%dx%d:r=%d/%d,format=yuv420p", source, width, height,
                                         v->rate.num, v->rate.den);
    if (build(t, SL_VIDEO, text, err) < 0)
        return -1;
    v->present = v->raw = true;
    v->time_base = av_buffersink_get_time_base(t->sink[SL_VIDEO]);
    v->par = avcodec_parameters_alloc();
    if (!v->par)
        abort();
    v->par->codec_type = AVMEDIA_TYPE_VIDEO;
    v->par->format = AV_PIX_FMT_YUV420P;
    v->par->width = width;
    v->par->height = height;
    if (spec->test.tone <= 0)
        return 0;
    sl_autofree char *tone = sl_asprintf(
        "sine=f=%d:r=%d:samples_per_frame=1024,volume=0.5,aformat=channel_layouts=stereo",
        spec->test.tone, TONE_RATE);
    if (build(t, SL_AUDIO, tone, err) < 0)
        return -1;
    a->present = a->raw = true;
    a->time_base = av_buffersink_get_time_base(t->sink[SL_AUDIO]);
    a->par = avcodec_parameters_alloc();
    if (!a->par)
        abort();
    a->par->codec_type = AVMEDIA_TYPE_AUDIO;
    a->par->format = av_buffersink_get_format(t->sink[SL_AUDIO]);
    a->par->sample_rate = TONE_RATE;
    av_channel_layout_default(&a->par->ch_layout, 2);
    return 0;
}

static int test_read(struct sl_input *input, struct sl_item *ret, struct sl_err *err)
{
    struct test *t = input->priv;
    int64_t due[SL_MEDIA_COUNT] = {INT64_MAX, INT64_MAX};
    enum sl_media m;

    for (int i = 0; i < SL_MEDIA_COUNT; i++) {
        if (!t->sink[i])
            continue;
        if (!t->next[i]) {
            int rc;

            t->next[i] = av_frame_alloc();
            if (!t->next[i])
                abort();
            rc = av_buffersink_get_frame(t->sink[i], t->next[i]);
            if (rc < 0) {
                av_frame_free(&t->next[i]);
                return sl_err_set(err, SL_ERR_TRANSIENT, 0, "InputFailed", "test source: %s",
                                  sl_av_text(rc));
            }
        }
        due[i] = av_rescale_q(t->next[i]->pts, input->track[i].time_base, AV_TIME_BASE_Q);
    }
    m = due[SL_VIDEO] <= due[SL_AUDIO] ? SL_VIDEO : SL_AUDIO;
    *ret = (struct sl_item){.media = m, .frame = t->next[m], .due = due[m]};
    t->next[m] = NULL;
    return 1;
}

static const AVPacket *test_peek(struct sl_input *input, enum sl_media media)
{
    (void)input;
    (void)media;
    return NULL;
}

static void test_close(struct sl_input *input)
{
    struct test *t = input->priv;

    if (!t)
        return;
    for (int m = 0; m < SL_MEDIA_COUNT; m++) {
        av_frame_free(&t->next[m]);
        avfilter_graph_free(&t->graph[m]);
    }
    free(t);
    input->priv = NULL;
}

const struct sl_input_class sl_input_test = {
    .name = "test",
    .open = test_open,
    .read = test_read,
    .peek = test_peek,
    .close = test_close,
};
