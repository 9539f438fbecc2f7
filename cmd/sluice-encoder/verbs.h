/* SPDX-License-Identifier: GPL-2.0-or-later
 * The verbs of sluice-encoder. Each returns the exit status; 64 is a usage error. Layer: cmd.
 */
#pragma once

#define EXIT_USAGE 64

int verb_host(int argc, char **argv);
int verb_run(int argc, char **argv);
int verb_probe(int argc, char **argv);
int verb_list(int argc, char **argv);
