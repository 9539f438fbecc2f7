/* SPDX-License-Identifier: GPL-2.0-or-later
 * Are the ports that MediaMTX will listen at free? Asked before its first start, so that a busy one
 * is named at once and not found in its log. Layer: mediamtx (does I/O).
 */
#pragma once
#include "reconcile/mediamtx/file.h"

/* Code PortInUse: names the port, the key and its server. */
int sl_mtx_ports_check(const struct sl_mtx_file *file, struct sl_err *err) SL_MUST;
