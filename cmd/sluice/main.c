/* SPDX-License-Identifier: GPL-2.0-or-later
 * `sluice`: the table of verbs. None of them changes the world; `run` is the daemon.
 */
#include "cmd/sluice/verbs.h"
#include "reconcile/base/base.h"

int sl_verb_version(int argc, char **argv)
{
    (void)argv;
    if (argc > 1) {
        fprintf(stderr, "usage: sluice version\n");
        return SL_EXIT_USAGE;
    }
    printf("sluice %s\n", SL_VERSION);
    return 0;
}

static const struct verb {
    const char *name, *does;
    int (*fn)(int argc, char **argv);
} verbs[] = {
    {"run", "the daemon: watches a directory of manifests and keeps its streams running",
     sl_verb_run},
    {"validate", "checks manifests offline, every error with its place and its fix",
     sl_verb_validate},
    {"plan", "what would happen: against the running daemon, or between two trees", sl_verb_plan},
    {"status", "table of streams, as the running daemon sees them", sl_verb_status},
    {"probe", "what a camera, server or file holds, where it plays, and a manifest for it",
     sl_verb_probe},
    {"schema", "the JSON Schema of manifests, for editors", sl_verb_schema},
    {"version", "prints the version", sl_verb_version},
};

static void usage(FILE *out)
{
    fprintf(out, "usage: sluice VERB [ARGUMENT…]\n\n");
    for (size_t i = 0; i < SL_COUNT(verbs); i++) {
        fprintf(out, "  %-10s %s\n", verbs[i].name, verbs[i].does);
    }
    fprintf(out, "\nsluice VERB --help tells more. Example: sluice validate streams/\n");
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        usage(stderr);
        return SL_EXIT_USAGE;
    }
    for (size_t i = 0; i < SL_COUNT(verbs); i++) {
        if (sl_streq(argv[1], verbs[i].name)) {
            return verbs[i].fn(argc - 1, argv + 1);
        }
    }
    if (sl_streq(argv[1], "--help") || sl_streq(argv[1], "-h") || sl_streq(argv[1], "help")) {
        usage(stdout);
        return 0;
    }
    if (sl_streq(argv[1], "--version")) {
        return sl_verb_version(1, argv);
    }
    fprintf(stderr, "sluice: there is no verb '%s'\n\n", argv[1]);
    usage(stderr);
    return SL_EXIT_USAGE;
}
