/* SPDX-License-Identifier: GPL-2.0-or-later
 * sluice-encoder probe FILE: JSON of what it holds. Layer: cmd.
 */
#include "cmd/sluice-encoder/verbs.h"
#include "encoders/av_bridge.h"
#include "encoders/carry.h"
#include "encoders/pipeline.h"
#include <limits.h>

static int never(void *arg)
{
    (void)arg;
    return 0;
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
    struct sl_encspec spec = {.source = SL_ENC_FILE, .mode = SL_ENC_COPY};
    struct sl_pipeline pipeline = {0};
    struct sl_input *input;
    struct sl_err err = {0};
    char path[PATH_MAX];
    json_t *o;
    int status = 0;

    if (argc != 2) {
        fprintf(stderr, "sluice-encoder probe: one FILE is needed\n");
        return EXIT_USAGE;
    }
    if (!realpath(argv[1], path))
        snprintf(path, sizeof(path), "%s", argv[1]);
    char empty[] = "", rtsp[] = "rtsp://127.0.0.1/probe";
    spec.file.path = path;
    spec.publish.url = rtsp;
    spec.audio.codec = spec.video.codec = empty;
    sl_bridge_open(NULL, false);
    input = sl_input_new(&spec, (AVIOInterruptCB){.callback = never});
    if (input->class->open(input, &spec, &err) < 0) {
        o = json_pack("{s:[],s:b,s:s,s:s}", "tracks", "copy", 0, "reason", err.code, "why",
                      err.text);
        status = 3;
    } else {
        bool copy = sl_pipeline_open(&pipeline, input, &spec, &err) >= 0;

        o = describe(input, copy ? NULL : err.text);
    }
    json_object_set_new(o, "file", json_string(argv[1]));
    print(o);
    sl_pipeline_close(&pipeline);
    sl_input_free(input);
    return status;
}
