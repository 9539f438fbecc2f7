/* SPDX-License-Identifier: GPL-2.0-or-later
 * sluice-encoder: the table of verbs. Layer: cmd.
 */
#include "cmd/sluice-encoder/verbs.h"
#include "encoders/host.h"
#include "reconcile/base/log.h"
#include <errno.h>
#include <getopt.h>
#include <unistd.h>

static const struct {
    const char *name, *help;
    int (*run)(int argc, char **argv);
} verbs[] = {
    {"host", "host --runtime DIR             fork an encoder for every start order", verb_host},
    {"run",
     "run SPEC.json|- [--runtime DIR] [--output FILE] [--duration SECONDS]\n"
     "                                 one encoder in the foreground; --output writes a\n"
     "                                 file as fast as it can",
     verb_run},
    {"probe",
     "probe FILE|URL|-               what a file holds and whether it can be copied; -: a\n"
     "                                 spec on standard input says what to open",
     verb_probe},
    {"list", "list --runtime DIR             the encoders of a runtime directory", verb_list},
};

static void usage(FILE *to)
{
    fprintf(to, "usage: sluice-encoder VERB …\n\n");
    for (size_t i = 0; i < SL_COUNT(verbs); i++)
        fprintf(to, "  %s\n", verbs[i].help);
    fprintf(to, "\nExit status: 0 done, 1 failed, 3 the spec or its file needs an edit, 64 usage,\n"
                "75 another process is at it.\n");
}

int verb_host(int argc, char **argv)
{
    static const struct option options[] = {{"runtime", required_argument, NULL, 'r'}, {0}};
    const char *runtime = NULL;
    int o;

    while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (o != 'r')
            return EXIT_USAGE;
        runtime = optarg;
    }
    if (!runtime || optind != argc) {
        fprintf(stderr, "sluice-encoder host: --runtime DIR is needed, and nothing else\n");
        return EXIT_USAGE;
    }
    return sl_keeper_run(runtime);
}

/* libopenblas starts a thread while it is loaded, before main: the environment must be right
 * from the beginning, so the program starts itself once more. */
static void quiet_libraries(char **argv)
{
    if (getenv("OPENBLAS_NUM_THREADS") && getenv("OMP_NUM_THREADS"))
        return;
    setenv("OPENBLAS_NUM_THREADS", "1", 1);
    setenv("OMP_NUM_THREADS", "1", 1);
    execv("/proc/self/exe", argv);
    sl_log(SL_LOG_WARN, "cannot start myself again", "error", strerror(errno), NULL);
}

int main(int argc, char **argv)
{
    sl_log_name("sluice-encoder");
    if (argc >= 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0)) {
        usage(stdout);
        return 0;
    }
    for (size_t i = 0; argc >= 2 && i < SL_COUNT(verbs); i++) {
        if (strcmp(argv[1], verbs[i].name) != 0)
            continue;
        for (int a = 2; a < argc; a++) {
            if (strcmp(argv[a], "--help") == 0) {
                printf("usage: sluice-encoder %s\n", verbs[i].help);
                return 0;
            }
        }
        if (verbs[i].run == verb_host)
            quiet_libraries(argv);
        return verbs[i].run(argc - 1, argv + 1);
    }
    usage(stderr);
    return EXIT_USAGE;
}
