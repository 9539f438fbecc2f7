/* SPDX-License-Identifier: GPL-2.0-or-later
 * One published track and what makes its packets. A backend is one file and a row in pipeline.c.
 * A backend that takes frames filters them to its needs itself (filter.h). Owned by the pipeline.
 * Layer: encoders. Never touches the network or a clock.
 */
#pragma once
#include "encoders/input.h"

struct sl_encoder_class;
struct sl_out_track {
    const struct sl_encoder_class *class;
    enum sl_media media;
    const char *codec;      /* of the spec: "h264", "aac", "opus"; "copy" */
    AVCodecParameters *par; /* owned; filled by open */
    AVRational time_base;   /* of the packets it gives */
    int index;              /* of the output's stream */
    void *priv;
};

struct sl_encoder_class {
    const char *name; /* "copy", "software": told as hwaccel */
    bool takes_packets;
    /* Codes: CodecNotCarried, NoEncoder (human). `first`: a packet of the source, or NULL. */
    int (*open)(struct sl_out_track *track, const struct sl_in_track *in,
                const struct sl_encspec *spec, const AVPacket *first, struct sl_err *err);
    /* Borrows the packet or frame; both NULL: flush. AVERROR or 0. */
    int (*send)(struct sl_out_track *track, const AVPacket *packet, const AVFrame *frame);
    int (*receive)(struct sl_out_track *track, AVPacket *ret); /* AVERROR(EAGAIN): none now */
    /* NULL: never. Whether this packet begins with other parameters; par is new then. */
    bool (*renews)(struct sl_out_track *track, const AVPacket *packet);
    /* NULL: nothing to do. The source pauses at this time (µs): keep viewers supplied. */
    int (*idle)(struct sl_out_track *track, int64_t us);
    void (*want_key)(struct sl_out_track *track); /* the next picture begins anew */
    void (*close)(struct sl_out_track *track);
};

extern const struct sl_encoder_class sl_enc_copy, sl_enc_software;
