/* SPDX-License-Identifier: GPL-2.0-or-later
 * sluice-encoder probe FILE|URL: JSON of what it holds. `-`: a spec on standard input says which
 * file or URL, so that no password stands in the arguments. Layer: cmd.
 */
#define _GNU_SOURCE 1
#include "cmd/sluice-encoder/details.h"
#include "cmd/sluice-encoder/verbs.h"
#include "encoders/av_bridge.h"
#include "encoders/carry.h"
#include "encoders/pipeline.h"
#include "encoders/worker.h"
#include "reconcile/base/time.h"
#include <limits.h>
#include <unistd.h>

#define SPEC_MAX 65536
#define GIVE_UP  15000 /* ms: a camera that says nothing */

static int64_t deadline; /* CLOCK_MONOTONIC ms */

static int late(void *arg)
{
    (void)arg;
    return sl_now_mono() > deadline;
}

static int read_spec(struct sl_encspec **ret, struct sl_err *err)
{
    char text[SPEC_MAX];
    size_t len = 0;
    ssize_t n;
    int rc;

    while (len < sizeof(text) && (n = read(STDIN_FILENO, text + len, sizeof(text) - len)) > 0)
        len += (size_t)n;
    rc = sl_encspec_from_json(text, len, ret, err);
    explicit_bzero(text, len);
    return rc;
}

/* A URL typed by hand may hold user and password: they become the spec's. */
static void take_url(struct sl_encspec *spec, const char *url)
{
    const char *after = strstr(url, "://") + 3, *rest = after + strcspn(after, "/?#");
    const char *at = memrchr(after, '@', (size_t)(rest - after));
    const char *colon = at ? memchr(after, ':', (size_t)(at - after)) : NULL;
    const char *end = colon ? colon : at ? at : after;

    spec->net.url = sl_asprintf("%.*s%s", (int)(after - url), url, at ? at + 1 : after);
    spec->net.username = sl_asprintf("%.*s", (int)(end - after), after);
    spec->net.password =
        colon ? sl_asprintf("%.*s", (int)(at - colon - 1), colon + 1) : sl_strdup("");
    spec->net.transport = sl_strdup("tcp");
    spec->net.passphrase = sl_strdup("");
    spec->net.stream_id = sl_strdup("");
    spec->net.silence = 5000;
}

static struct sl_encspec *file_spec(const char *file)
{
    struct sl_encspec *spec = sl_alloc(sizeof(*spec));
    char path[PATH_MAX];

    spec->source = strstr(file, "://") ? SL_ENC_NET : SL_ENC_FILE;
    spec->mode = SL_ENC_COPY;
    if (spec->source == SL_ENC_NET)
        take_url(spec, file);
    spec->file.path = sl_strdup(realpath(file, path) ? path : file);
    spec->publish.url = sl_strdup("rtsp://127.0.0.1/probe");
    spec->audio.codec = sl_strdup("");
    spec->video.codec = sl_strdup("");
    return spec;
}

static void print(json_t *o)
{
    char *text = json_dumps(o, JSON_INDENT(2));

    if (text)
        puts(text);
    free(text);
    json_decref(o);
}

/* What a transcoder would see: facts of the source, and why `copy` cannot be (or NULL). */
static json_t *describe(struct sl_input *input, const char *why)
{
    struct sl_facts facts = {0};

    for (int m = 0; m < SL_MEDIA_COUNT; m++) {
        if (input->track[m].present)
            sl_carry_track(input->track[m].par, &facts.track[facts.count++]);
    }
    return json_pack("{s:f,s:o,s:b,s:s?}", "duration", (double)input->duration / 1e6, "tracks",
                     sl_facts_to_json(&facts), "copy", why == NULL, "why", why);
}

int verb_probe(int argc, char **argv)
{
    struct sl_encspec *spec = NULL;
    struct sl_pipeline pipeline = {0};
    struct sl_input *input;
    struct sl_err err = {0};
    json_t *o;
    int status = 0;

    if (argc != 2) {
        fprintf(stderr, "sluice-encoder probe: one FILE or URL, or -, is needed\n");
        return EXIT_USAGE;
    }
    if (strcmp(argv[1], "-") != 0) {
        spec = file_spec(argv[1]);
    } else if (read_spec(&spec, &err) < 0) {
        fprintf(stderr, "sluice-encoder probe: %s\n", err.text);
        return SL_EXIT_HUMAN;
    }
    deadline = sl_now_mono() + GIVE_UP;
    sl_bridge_open(NULL, false);
    input = sl_input_new(spec, (AVIOInterruptCB){.callback = late});
    if (input->class->open(input, spec, &err) < 0) {
        o = json_pack("{s:[],s:b,s:s,s:s}", "tracks", "copy", 0, "reason", err.code, "why",
                      err.text);
        status = 3;
    } else {
        bool copy = sl_pipeline_open(&pipeline, input, spec, &err) >= 0;

        o = describe(input, copy ? NULL : err.text);
        details_add(o, input);
    }
    json_object_set_new(o, "file",
                        json_string(spec->source == SL_ENC_NET ? spec->net.url : argv[1]));
    print(o);
    sl_pipeline_close(&pipeline);
    sl_input_free(input);
    sl_encspec_free(spec);
    return status;
}
