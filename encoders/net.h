/* SPDX-License-Identifier: GPL-2.0-or-later
 * One connection to a source in the network: which scheme may do what, credentials, names, time
 * limits, and what its failures mean in words. Layer: encoders. Credentials go into memory that is
 * wiped, never into a log. Never retries: the input does.
 */
#pragma once
#include "encoders/input.h"

struct sl_net_scheme {
    const char *scheme;    /* "rtsp" */
    const char *format;    /* libavformat's demuxer; NULL: found by content */
    const char *protocols; /* which protocols the source may reach, by itself too */
    const char *formats;   /* with format NULL: what may be found at the top */
    int port;
    bool stream_socket; /* TCP underneath */
};

const struct sl_net_scheme *sl_net_scheme(const char *url); /* NULL: none of ours */

struct sl_net_probe { /* what the opener needs to know of an earlier failure */
    bool knock;       /* the host did not answer: first see that it is there at all */
    int64_t patience; /* ms that this try may take: SRT cannot be interrupted */
    bool query;       /* RTMP: credentials are taken as ?user=…&pass=… only (MediaMTX) */
};

/* Opens and looks into the streams. `interrupt` ends it, and says when time is up.
 * Codes (all transient but BadSpec): SourceUnreachable, SourceAuthFailed, SourceNotFound, NoFrames,
 * NotMedia, Stopped. */
int sl_net_open(AVFormatContext **ret, const struct sl_encspec *spec, AVIOInterruptCB interrupt,
                struct sl_net_probe *probe, struct sl_err *err) SL_MUST;
/* What a failed read means; the same codes. */
int sl_net_failed(int rc, const struct sl_encspec *spec, struct sl_err *err);
