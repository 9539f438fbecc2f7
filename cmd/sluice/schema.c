/* SPDX-License-Identifier: GPL-2.0-or-later
 * `sluice schema`: the JSON Schema of the manifests, for editors.
 */
#include "cmd/sluice/verbs.h"
#include "schemas/load.h"

int sl_verb_schema(int argc, char **argv)
{
    sl_autofree char *text = NULL;

    if (argc > 1) {
        bool help = sl_streq(argv[1], "--help") || sl_streq(argv[1], "-h");

        fprintf(help ? stdout : stderr,
                "usage: sluice schema\nPrints the JSON Schema (draft-07) of the manifests.\n");
        return help ? 0 : SL_EXIT_USAGE;
    }
    text = sl_json_schema();
    if (puts(text) == EOF || fflush(stdout) != 0) {
        fprintf(stderr, "sluice schema: cannot write\n");
        return 1;
    }
    return 0;
}
