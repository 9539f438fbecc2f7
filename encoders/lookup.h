/* SPDX-License-Identifier: GPL-2.0-or-later
 * Names into addresses, and whether somebody is there, without going deaf: libav's own resolving
 * cannot be interrupted. Layer: encoders. The one place with a second thread: it only asks for a
 * name, owns what it writes, and may outlive the question.
 */
#pragma once
#include "reconcile/base/err.h"
#include <libavformat/avio.h>
#include <sys/socket.h>

struct sl_address {
    struct sockaddr_storage at;
    socklen_t len;
    char text[64]; /* numeric, no brackets */
};

/* Code SourceUnreachable; Stopped. */
int sl_lookup(const char *name, int port, AVIOInterruptCB interrupt, struct sl_address *ret,
              struct sl_err *err) SL_MUST;
/* Connects and closes again, within 2 s: a SYN is sent at once and after 1 s, so a host that comes
 * back is met within a second. Code SourceUnreachable; Stopped. */
int sl_knock(const struct sl_address *address, AVIOInterruptCB interrupt,
             struct sl_err *err) SL_MUST;
