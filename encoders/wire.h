/* SPDX-License-Identifier: GPL-2.0-or-later
 * SOCK_SEQPACKET sockets with JSON packets: what host.sock and ctl share. Layer: encoders.
 * Never blocks: a client that does not read loses its answer.
 */
#pragma once
#include "reconcile/base/err.h"
#include <jansson.h>

/* Listens at dir/name, mode 0660, placed by rename; the fd or -1. */
int sl_wire_listen(int dir_fd, const char *name, struct sl_err *err) SL_MUST;
/* Sends the answer (reference taken) and, when >= 0, a copy of pass_fd. */
void sl_wire_reply(int fd, json_t *answer, int pass_fd);
/* One packet; *ret_fd is -1 or a descriptor that came with it. 0: the peer left; -1: errno. */
long sl_wire_receive(int fd, char *text, size_t size, int *ret_fd);
