/* SPDX-License-Identifier: GPL-2.0-or-later
 * What probe tells of a source beyond the facts: for people. Layer: cmd.
 */
#pragma once
#include "encoders/input.h"
#include <jansson.h>

/* Adds "streams" (one object a track: codec, profile, size, rate, bitrate …) and "notes" (texts:
 * what `copy` cannot do for this source). */
void details_add(json_t *o, const struct sl_input *input);
