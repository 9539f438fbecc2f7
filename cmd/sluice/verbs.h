/* SPDX-License-Identifier: GPL-2.0-or-later
 * The verbs of `sluice`, one file each. argv[0] is the verb's own name; the result is the exit
 * code (contract 3): 64 a usage error, 78 bad host settings. Layer: cmd.
 */
#pragma once
#include "reconcile/base/base.h"

#define SL_EXIT_USAGE  64
#define SL_EXIT_CONFIG 78

int sl_verb_run(int argc, char **argv);
int sl_verb_validate(int argc, char **argv);
int sl_verb_plan(int argc, char **argv);
int sl_verb_status(int argc, char **argv);
int sl_verb_probe(int argc, char **argv);
int sl_verb_schema(int argc, char **argv);
int sl_verb_version(int argc, char **argv);
