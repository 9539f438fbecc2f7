/* SPDX-License-Identifier: GPL-2.0-or-later
 * Media facts: the tracks an encoder publishes, in SDP order. Observed and told by the encoder
 * that opened the input, stored by the daemon, never guessed (docs/adr/0001).
 * Codec names are MediaMTX's: "H264", "H265", "AV1", "VP9", "MPEG4Audio", "Opus", "G711", "LPCM",
 * "MPEG-1/2 Audio" …. Layer: schemas.
 */
#pragma once
#include "reconcile/base/base.h"
#include <jansson.h>

#define SL_TRACKS_MAX 8

struct sl_track {
    char codec[32];
    int sample_rate, channels; /* audio only, else 0 */
    bool mulaw;                /* G711 only */
    bool b_frames;             /* H264, H265: pictures come out of order; WebRTC refuses them */
};

struct sl_facts {
    int count; /* 0: not known */
    struct sl_track track[SL_TRACKS_MAX];
};

/* Whether MediaMTX takes one for the other: b_frames does not count, it cannot tell. */
bool sl_facts_equal(const struct sl_facts *a, const struct sl_facts *b);
json_t *sl_facts_to_json(const struct sl_facts *facts);                    /* array */
int sl_facts_from_json(const json_t *array, struct sl_facts *ret) SL_MUST; /* -1: malformed */
/* "H264, MPEG4Audio 48000 Hz 2 ch"; "unknown" when count is 0. */
void sl_facts_print(const struct sl_facts *facts, char *buf, size_t size);
