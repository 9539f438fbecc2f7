/* SPDX-License-Identifier: GPL-2.0-or-later
 * Which streams of a demuxer are played, and what they are: shared by inputs that demux.
 * Layer: encoders. Owns nothing.
 */
#pragma once
#include "encoders/input.h"

/* The first picture (no cover art) and the first sound; -1: none. The others are discarded.
 * Code NoTracks when neither is there; Encrypted. `where` is named in the text. */
int sl_tracks_choose(AVFormatContext *format, const char *where, int ret_stream[SL_MEDIA_COUNT],
                     struct sl_err *err) SL_MUST;
void sl_tracks_describe(AVFormatContext *format, int stream, enum sl_media media,
                        struct sl_in_track *ret);
/* Length of one picture or sound frame in the stream's time base, 0: unknown. */
int64_t sl_tracks_frame(const AVFormatContext *format, int stream, const struct sl_in_track *track);
/* Whether packets of one are packets of the other: codec, parameters, size or sampling. */
bool sl_tracks_same(const struct sl_in_track *a, const struct sl_in_track *b);
/* Whether a packet says that it is encrypted and no key is there. */
bool sl_tracks_encrypted(const AVPacket *packet);
