/* SPDX-License-Identifier: GPL-2.0-or-later
 * Where pictures and sound come from. An input gives items (a packet, or a raw frame) in the order
 * of their due time, on one time line that never steps back, whatever the source does. A new kind
 * is one file, one row in input.c and its fields in encspec. Owned by the worker.
 * Layer: encoders. Never waits for real time: pacing is the worker's.
 */
#pragma once
#include "encoders/seam.h"
#include "schemas/encspec.h"
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>

struct sl_in_track {
    bool present, raw;      /* raw: items are frames */
    AVCodecParameters *par; /* owned; raw: format, size or sample rate and layout */
    AVRational time_base, rate;
    int rotation; /* degrees clockwise the picture must be turned to stand upright */
};

struct sl_item {
    enum sl_media media;
    AVPacket *packet; /* one of the two; the taker frees */
    AVFrame *frame;
    int64_t due; /* µs on the time line */
};

struct sl_input;
struct sl_input_class {
    const char *name;
    /* Codes: FileMissing, FileUnreadable, FileIncomplete (transient), NotMedia, NoTracks,
     * Truncated, Encrypted (human); those of net.h. */
    int (*open)(struct sl_input *input, const struct sl_encspec *spec, struct sl_err *err);
    /* 1: an item; 0: the end; -1: failed, may be tried again. */
    int (*read)(struct sl_input *input, struct sl_item *ret, struct sl_err *err);
    /* A packet of this track without taking it (parameters hide in it), or NULL. */
    const AVPacket *(*peek)(struct sl_input *input, enum sl_media media);
    void (*close)(struct sl_input *input);
};

struct sl_input {
    const struct sl_input_class *class;
    struct sl_in_track track[SL_MEDIA_COUNT];
    AVIOInterruptCB interrupt; /* set by the worker before open */
    uint64_t rounds;           /* of a file, completed */
    int64_t duration;          /* µs of one round, 0: unknown */
    bool copy;                 /* packets go out as they are */
    /* of a source in the network only */
    bool live;         /* gives when it has: its items are not paced */
    bool burst;        /* gives many at once (HLS): paced all the same */
    bool changed;      /* its tracks are others than before: cleared by who has seen it */
    int64_t came_at;   /* CLOCK_MONOTONIC ms of the last sign of life */
    int64_t retry_at;  /* ms: before that a read that failed fails again at once */
    uint64_t connects; /* how often it was connected */
    void *priv;
};

extern const struct sl_input_class sl_input_file, sl_input_test, sl_input_net;
/* How a text names the source: its path or URL. */
const char *sl_input_label(const struct sl_encspec *spec);
/* NULL-safe; a new input of the spec's kind, not yet open. */
struct sl_input *sl_input_new(const struct sl_encspec *spec, AVIOInterruptCB interrupt);
void sl_input_free(struct sl_input *input);
