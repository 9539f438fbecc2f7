/* SPDX-License-Identifier: GPL-2.0-or-later
 * sluice-encoder run: one encoder in the foreground. Layer: cmd.
 */
#include "cmd/sluice-encoder/verbs.h"
#include "encoders/worker.h"
#include "reconcile/base/buf.h"
#include "reconcile/base/file.h"
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <unistd.h>

#define SPEC_MAX 65536

static int read_text(const char *path, char **ret, size_t *ret_len, struct sl_err *err)
{
    struct sl_buf buf = {0};
    char block[4096];
    ssize_t n;

    if (strcmp(path, "-") != 0)
        return sl_file_read(AT_FDCWD, path, SPEC_MAX, ret, ret_len, err);
    while ((n = read(STDIN_FILENO, block, sizeof(block))) > 0 && buf.len <= SPEC_MAX)
        sl_buf_add(&buf, block, (size_t)n);
    *ret_len = buf.len;
    *ret = sl_buf_steal(&buf);
    return n < 0 ? sl_err_os(err, errno, "cannot read standard input") : 0;
}

int verb_run(int argc, char **argv)
{
    static const struct option options[] = {{"runtime", required_argument, NULL, 'r'},
                                            {"output", required_argument, NULL, 'o'},
                                            {"duration", required_argument, NULL, 'd'},
                                            {"quiet", no_argument, NULL, 'q'},
                                            {0}};
    struct sl_worker_options run = {.foreground = true};
    struct sl_encspec *spec;
    struct sl_err err;
    const char *output = NULL;
    char *text = NULL, *end;
    size_t len;
    int o, rc;

    while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (o == 'r') {
            run.runtime = optarg;
        } else if (o == 'o') {
            output = optarg;
        } else if (o == 'q') {
            run.foreground = false;
        } else if (o == 'd') {
            double seconds = strtod(optarg, &end);

            if (*end || !(seconds > 0 && seconds < 1e9)) {
                fprintf(stderr, "sluice-encoder run: --duration takes seconds\n");
                return EXIT_USAGE;
            }
            run.duration = (int64_t)(seconds * 1000);
        } else {
            return EXIT_USAGE;
        }
    }
    if (optind + 1 != argc) {
        fprintf(stderr, "sluice-encoder run: one SPEC.json, or -, is needed\n");
        return EXIT_USAGE;
    }
    rc = read_text(argv[optind], &text, &len, &err);
    if (rc >= 0) {
        rc = sl_encspec_from_json(text, len, &spec, &err);
        explicit_bzero(text, len);
    }
    free(text);
    if (rc >= 0 && run.runtime && !*spec->uid)
        rc = sl_err_set(&err, SL_ERR_HUMAN, 0, "BadSpec", "encoder spec: --runtime needs a uid");
    if (rc < 0) {
        fprintf(stderr, "sluice-encoder run: %s\n", err.text);
        return SL_EXIT_HUMAN;
    }
    if (output) {
        free(spec->publish.url);
        spec->publish.url = sl_strdup(output);
        run.fast = true;
    }
    rc = sl_worker_run(&run, spec);
    sl_encspec_free(spec);
    fflush(NULL);
    _exit(rc); /* an encoder library may hang in its exit handler */
}
