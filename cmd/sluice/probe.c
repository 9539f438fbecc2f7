/* SPDX-License-Identifier: GPL-2.0-or-later
 * `sluice probe`: what a URL or file holds, where it would play and why not, and a manifest ready
 * to be committed. Opens the source by `sluice-encoder probe` (this program links no media
 * library); what it may log in with goes there by a descriptor. Changes nothing. Layer: cmd.
 */
#include "cmd/sluice/verbs.h"
#include "reconcile/base/file.h"
#include "reconcile/base/time.h"
#include "reconcile/core/judge.h"
#include "schemas/encspec.h"
#include "schemas/load.h"
#include "schemas/scalar.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define WAIT       30000 /* ms for the whole probe */
#define ANSWER_MAX (1u << 20)
#define PROTOCOLS  5

extern char **environ;

struct options {
    const char *what, *media, *username, *transport;
    const char *password_file, *passphrase_file, *stream_id_file;
    bool json, help;
};

/* One probe: what was asked and what came back. */
struct probe {
    struct sl_arena *arena;
    const struct options *options;
    const char *scheme; /* "rtsp" …; NULL: a file */
    const char *path;   /* of the file, absolute */
    const char *name, *manifest;
    json_t *answer;
    struct sl_facts facts;
    bool copy; /* can be passed on as it is */
    struct sl_status_stream as_copy, as_transcode;
};

static const char *const protocols[PROTOCOLS] = {"rtsp", "rtmp", "hls", "webrtc", "srt"};

static void usage(FILE *out)
{
    fputs("usage: sluice probe URL|FILE [--media DIR] [-o text|json] [--transport tcp|udp]\n"
          "                    [--username NAME] [--password-file FILE]\n"
          "                    [--passphrase-file FILE] [--stream-id-file FILE]\n"
          "What a camera, a stream of another server or a file holds, where it plays and why not,\n"
          "and a manifest for it. FILE may be relative to --media, the media directory.\n"
          "exits: 0, 1 it cannot be opened\n"
          "example: sluice probe rtsp://10.0.0.12/s0 --username admin --password-file cam-pass\n",
          out);
}

static int wrong(const char *what, const char *word)
{
    fprintf(stderr, "sluice probe: %s%s%s\n", what, word ? " " : "", word ? word : "");
    usage(stderr);
    return -1;
}

static int parse(int argc, char **argv, struct options *ret)
{
    for (int i = 1; i < argc; i++) {
        const char *arg = argv[i];
        const char **value = sl_streq(arg, "--media")             ? &ret->media
                             : sl_streq(arg, "--username")        ? &ret->username
                             : sl_streq(arg, "--password-file")   ? &ret->password_file
                             : sl_streq(arg, "--passphrase-file") ? &ret->passphrase_file
                             : sl_streq(arg, "--stream-id-file")  ? &ret->stream_id_file
                             : sl_streq(arg, "--transport")       ? &ret->transport
                                                                  : NULL;
        if (value || sl_streq(arg, "-o")) {
            if (++i == argc) {
                return wrong("a value is missing after", arg);
            }
            if (value) {
                *value = argv[i];
            } else if (sl_streq(argv[i], "json") || sl_streq(argv[i], "text")) {
                ret->json = sl_streq(argv[i], "json");
            } else {
                return wrong("-o is text or json, not", argv[i]);
            }
        } else if (sl_streq(arg, "--help") || sl_streq(arg, "-h")) {
            ret->help = true;
        } else if (arg[0] == '-') {
            return wrong("unknown option", arg);
        } else if (ret->what) {
            return wrong("one URL or FILE only, not also", arg);
        } else {
            ret->what = arg;
        }
    }
    if (ret->help) {
        return 0;
    }
    if (!ret->what) {
        return wrong("which URL or FILE?", NULL);
    }
    if (ret->transport && !sl_streq(ret->transport, "tcp") && !sl_streq(ret->transport, "udp")) {
        return wrong("--transport is tcp or udp, not", ret->transport);
    }
    return 0;
}

static bool is_rtsp(const struct probe *probe)
{
    return sl_streq(probe->scheme, "rtsp") || sl_streq(probe->scheme, "rtsps");
}

/* A URL with one of our schemes and no secret in it, or a file that is there. */
static int find_source(struct probe *probe)
{
    static const char *const schemes[] = {"rtsp",  "rtsps", "srt",   "rtmp",
                                          "rtmps", "http",  "https", "udp"};
    const char *what = probe->options->what, *colon = strstr(what, "://");
    sl_autofree char *full = NULL;
    char real[PATH_MAX];
    if (colon) {
        for (size_t i = 0; i < SL_COUNT(schemes) && !probe->scheme; i++) {
            if (strlen(schemes[i]) == (size_t)(colon - what) &&
                strncmp(schemes[i], what, strlen(schemes[i])) == 0) {
                probe->scheme = schemes[i];
            }
        }
        if (!probe->scheme) {
            fprintf(stderr, "sluice probe: no such source: a URL begins with rtsp, rtsps, srt, "
                            "rtmp, rtmps, http, https or udp\n");
            return -1;
        }
        if (memchr(colon + 3, '@', strcspn(colon + 3, "/?#"))) {
            fprintf(stderr, "sluice probe: the URL holds a user or password, which a manifest must "
                            "not: give --username NAME and --password-file FILE\n");
            return -1;
        }
        return 0;
    }
    full = probe->options->media && what[0] != '/'
               ? sl_asprintf("%s/%s", probe->options->media, what)
               : sl_strdup(what);
    if (!realpath(full, real)) {
        fprintf(stderr, "sluice probe: %s: %s\n", full, strerror(errno));
        return -1;
    }
    probe->path = sl_arena_strdup(probe->arena, real);
    return 0;
}

/* The content of a file with a secret, without the newline at its end; "" when none was given. */
static int read_secret(const char *file, char **ret)
{
    struct sl_err err;
    size_t len = 0;
    if (!file) {
        *ret = sl_strdup("");
        return 0;
    }
    if (sl_file_read(AT_FDCWD, file, 65536, ret, &len, &err) < 0) {
        fprintf(stderr, "sluice probe: %s\n", err.text);
        return -1;
    }
    (*ret)[strcspn(*ret, "\r\n")] = '\0';
    return 0;
}

/* --- the encoder's probe --- */

static int spec_fd(const struct probe *probe)
{
    const struct options *options = probe->options;
    struct sl_encspec *spec = sl_alloc(sizeof(*spec));
    int fd = -1;
    spec->uid = sl_strdup("0000000000000000");
    spec->name = sl_strdup("probe");
    spec->mode = SL_ENC_COPY;
    spec->source = probe->scheme ? SL_ENC_NET : SL_ENC_FILE;
    spec->file.path = sl_strdup(probe->path ? probe->path : "");
    spec->net.url = sl_strdup(probe->scheme ? options->what : "");
    spec->net.transport = sl_strdup(!is_rtsp(probe)      ? ""
                                    : options->transport ? options->transport
                                                         : "tcp");
    spec->net.username = sl_strdup(options->username ? options->username : "");
    spec->net.silence = 5000;
    spec->publish.url = sl_strdup("rtsp://127.0.0.1/probe");
    if (read_secret(options->password_file, &spec->net.password) == 0 &&
        read_secret(options->passphrase_file, &spec->net.passphrase) == 0 &&
        read_secret(options->stream_id_file, &spec->net.stream_id) == 0) {
        char *text = sl_encspec_to_json(spec);
        size_t len = strlen(text);
        fd = memfd_create("sluice-probe", MFD_CLOEXEC);
        if (fd < 0 || write(fd, text, len) != (ssize_t)len || lseek(fd, 0, SEEK_SET) != 0) {
            fprintf(stderr, "sluice probe: no memory for the encoder's spec\n");
            sl_closep(&fd);
            fd = -1;
        }
        explicit_bzero(text, len);
        free(text);
    }
    sl_encspec_free(spec);
    return fd;
}

/* Beside this program, else in PATH. */
static char *find_encoder(void)
{
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    char *slash, *path;
    self[n > 0 ? n : 0] = '\0';
    slash = strrchr(self, '/');
    if (slash) {
        *slash = '\0';
        path = sl_asprintf("%s/sluice-encoder", self);
        if (access(path, X_OK) == 0) {
            return path;
        }
        free(path);
    }
    return sl_strdup("sluice-encoder");
}

/* All that it prints until it ends; NULL: it took too long. */
static char *read_answer(int fd)
{
    struct sl_buf out = {0};
    int64_t end = sl_now_mono() + WAIT;
    for (;;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        int64_t left = end - sl_now_mono();
        char buf[4096];
        ssize_t n;
        if (left <= 0 || (poll(&p, 1, (int)left) == 0)) {
            sl_buf_free(&out);
            return NULL;
        }
        n = read(fd, buf, sizeof(buf));
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0 || out.len > ANSWER_MAX) {
            return sl_buf_steal(&out);
        }
        sl_buf_add(&out, buf, (size_t)n);
    }
}

static int run_encoder(struct probe *probe)
{
    sl_autofree char *binary = find_encoder();
    char *argv[] = {binary, (char *)"probe", (char *)"-", NULL};
    sl_autofd int spec = spec_fd(probe);
    posix_spawn_file_actions_t files;
    int out[2], rc, status = 0;
    pid_t pid;
    if (spec < 0 || pipe2(out, O_CLOEXEC) < 0) {
        return -1;
    }
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_adddup2(&files, spec, 0);
    posix_spawn_file_actions_adddup2(&files, out[1], 1);
    posix_spawn_file_actions_addopen(&files, 2, "/dev/null", O_WRONLY, 0); /* it says why in JSON */
    rc = posix_spawnp(&pid, binary, &files, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&files);
    close(out[1]);
    if (rc != 0) {
        fprintf(stderr, "sluice probe: cannot start %s: %s\n", binary, strerror(rc));
        close(out[0]);
        return -1;
    }
    sl_autofree char *text = read_answer(out[0]);
    close(out[0]);
    if (!text) {
        kill(pid, SIGKILL);
    }
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    probe->answer = text ? json_loads(text, 0, NULL) : NULL;
    if (!json_is_object(probe->answer)) {
        fprintf(stderr, "sluice probe: %s %s\n", binary,
                text ? "gave no answer: it is of another version, or was killed"
                     : "found nothing within 30 s");
        return -1;
    }
    return 0;
}

/* --- what it means --- */

static void judge(struct probe *probe, const struct sl_facts *facts, struct sl_status_stream *ret)
{
    struct sl_status status = {.arena = probe->arena};
    struct sl_seen_engine *engine = &status.observed.engine;
    engine->rtsp_port = engine->rtmp_port = engine->hls_port = 1; /* as if all were on */
    engine->webrtc_port = engine->srt_port = 1;
    ret->name = "probe";
    sl_judge_urls(&status, ret, facts, NULL);
}

/* What `encode: {transcode: {}}` publishes of it. */
static void transcoded(const struct sl_facts *from, struct sl_facts *ret)
{
    bool video = false, audio = false;
    for (int i = 0; i < from->count; i++) {
        bool sound = from->track[i].sample_rate > 0;
        audio |= sound;
        video |= !sound;
    }
    if (video) {
        snprintf(ret->track[ret->count++].codec, sizeof(ret->track[0].codec), "H264");
    }
    if (audio) {
        snprintf(ret->track[ret->count++].codec, sizeof(ret->track[0].codec), "MPEG4Audio");
        snprintf(ret->track[ret->count++].codec, sizeof(ret->track[0].codec), "Opus");
    }
}

static bool plays_everywhere(const struct sl_status_stream *stream)
{
    for (int i = 0; i < PROTOCOLS; i++) {
        if (!stream->urls[i].plays || *stream->urls[i].why) {
            return false;
        }
    }
    return true;
}

static bool name_char(char c)
{
    return (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') || c == '_' || c == '-';
}

/* A name out of the file's, or the host and path of the URL; free of what a name may not hold. */
static const char *make_name(const struct probe *probe)
{
    const char *from =
        probe->scheme ? strstr(probe->options->what, "://") + 3 : strrchr(probe->path, '/') + 1;
    size_t len = strcspn(from, "?#"), n = 0;
    char *name = sl_arena_alloc(probe->arena, 64);
    const char *dot = probe->scheme ? NULL : strrchr(from, '.');
    if (dot && dot > from) {
        len = (size_t)(dot - from);
    }
    for (size_t i = 0; i < len && n < 60; i++) {
        if (name_char(from[i])) {
            name[n++] = from[i];
        } else if (n > 0 && name[n - 1] != '-') {
            name[n++] = '-';
        }
    }
    while (n > 0 && name[n - 1] == '-') {
        n--;
    }
    name[n] = '\0';
    if (!n || name[0] == '-' || sl_streq(name, "all") || sl_streq(name, "all_others") ||
        sl_streq(name, "_sluice")) {
        return "stream";
    }
    return name;
}

static void line(struct sl_buf *out, const char *key, const char *value)
{
    sl_buf_printf(out, "      %s: ", key);
    sl_scalar_quote(value, out);
    sl_buf_puts(out, "\n");
}

/* "passwordRef: {name: cam-pass}" with the file's own name, when it can be a secret's. */
static void reference(const struct probe *probe, const char *key, const char *file,
                      struct sl_buf *out)
{
    const char *slash = file ? strrchr(file, '/') : NULL, *name = slash ? slash + 1 : file;
    if (!file) {
        return;
    }
    for (const char *p = name; *p; p++) {
        if (!name_char(*p) && (*p != '.' || p == name)) {
            name = sl_arena_printf(probe->arena, "%s-%s", probe->name, key);
            break;
        }
    }
    sl_buf_printf(out, "      %s: {name: %s} # a file of this name in a secrets directory\n", key,
                  name);
}

static void file_lines(const struct probe *probe, struct sl_buf *out)
{
    const char *media = probe->options->media, *path = probe->path;
    char root[PATH_MAX];
    if (media && realpath(media, root) && strncmp(path, root, strlen(root)) == 0 &&
        path[strlen(root)] == '/') {
        path += strlen(root) + 1;
    } else {
        path = strrchr(path, '/') + 1;
        sl_buf_printf(out, "    # the file must lie in the media directory\n");
    }
    sl_buf_puts(out, "    file:\n");
    line(out, "path", path);
}

static void make_manifest(struct probe *probe)
{
    const struct options *options = probe->options;
    struct sl_buf out = {0};
    probe->name = make_name(probe);
    sl_buf_puts(&out, "apiVersion: sluice/v1\nkind: Stream\nmetadata:\n  name: ");
    sl_scalar_quote(probe->name, &out);
    sl_buf_puts(&out, "\nspec:\n  source:\n");
    if (probe->scheme) {
        sl_buf_printf(&out, "    %s:\n", is_rtsp(probe) ? "rtsp" : "pull");
        line(&out, "url", options->what);
        if (is_rtsp(probe) && options->transport) {
            line(&out, "transport", options->transport);
        }
        if (options->username) {
            line(&out, "username", options->username);
        }
        reference(probe, "passwordRef", options->password_file, &out);
        if (!is_rtsp(probe)) {
            reference(probe, "passphraseRef", options->passphrase_file, &out);
            reference(probe, "streamIdRef", options->stream_id_file, &out);
        }
    } else {
        file_lines(probe, &out);
    }
    if (!probe->copy) {
        sl_buf_puts(&out, "  encode:\n    transcode: {}\n");
    } else if (plays_everywhere(&probe->as_copy)) {
        sl_buf_puts(&out, "  encode:\n    copy: {}\n");
    } else {
        sl_buf_puts(&out,
                    "  encode:\n    copy: {} # transcode: {} plays everywhere, and costs CPU\n");
    }
    probe->manifest = sl_arena_strdup(probe->arena, out.data);
    sl_buf_free(&out);
}

/* The manifest under the same checks as `sluice validate`. True: it may be committed. */
static bool check_manifest(const struct probe *probe)
{
    struct sl_loaded_file file = {0};
    struct sl_buf text = {0};
    sl_load_file(probe->arena, "the manifest", probe->manifest, strlen(probe->manifest), &file);
    for (size_t i = 0; i < file.diags.count; i++) {
        sl_diag_print(&file.diags.list[i], false, &text);
    }
    fputs(text.data ? text.data : "", stderr);
    sl_buf_free(&text);
    return file.diags.errors == 0;
}

/* A text of the answer; what a server said may stand in it and must not steer the terminal. */
static const char *word(const struct probe *probe, const char *key)
{
    const char *text = json_string_value(json_object_get(probe->answer, key));
    char *copy = sl_arena_strdup(probe->arena, text ? text : "");
    for (char *p = copy; *p; p++) {
        if ((unsigned char)*p < 0x20 || *p == 0x7f) {
            *p = ' ';
        }
    }
    return copy;
}

static json_t *plays_json(const struct sl_status_stream *stream)
{
    json_t *o = json_object();
    for (int i = 0; i < PROTOCOLS; i++) {
        json_object_set_new(
            o, protocols[i],
            json_pack("{s:b,s:s}", "plays", stream->urls[i].plays, "why", stream->urls[i].why));
    }
    return o;
}

static void print_json(const struct probe *probe)
{
    json_t *o = json_pack("{s:s,s:s,s:s,s:O,s:b,s:s,s:s}", "apiVersion", "sluice/v1", "kind",
                          "Probe", "source", probe->options->what, "tracks",
                          json_object_get(probe->answer, "tracks"), "copy", probe->copy, "reason",
                          word(probe, "reason"), "why", word(probe, "why"));
    json_t *duration = json_object_get(probe->answer, "duration");
    sl_autofree char *text = NULL;
    if (duration) {
        json_object_set(o, "duration", duration);
    }
    if (probe->manifest) {
        json_object_set_new(o, "plays",
                            json_pack("{s:o?,s:o}", "copy",
                                      probe->copy ? plays_json(&probe->as_copy) : NULL, "transcode",
                                      plays_json(&probe->as_transcode)));
        json_object_set_new(o, "manifest", json_string(probe->manifest));
    }
    text = json_dumps(o, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
    printf("%s\n", text ? text : "{}");
    json_decref(o);
}

static void print_plays(const char *how, const struct sl_status_stream *stream)
{
    printf("\nwith %s:\n", how);
    for (int i = 0; i < PROTOCOLS; i++) {
        printf("  %-7s %s%s%s\n", protocols[i], stream->urls[i].plays ? "plays" : "does not play",
               *stream->urls[i].why ? ": " : "", stream->urls[i].why);
    }
}

static void print_text(const struct probe *probe)
{
    double duration = json_number_value(json_object_get(probe->answer, "duration"));
    char tracks[512];
    sl_facts_print(&probe->facts, tracks, sizeof(tracks));
    printf("tracks: %s\n", tracks);
    if (duration > 0) {
        printf("duration: %.2f s\n", duration);
    }
    if (probe->copy) {
        print_plays("copy", &probe->as_copy);
    } else {
        printf("\ncopy is not possible: %s\n", word(probe, "why"));
    }
    if (!probe->copy || !plays_everywhere(&probe->as_copy)) {
        print_plays("transcode", &probe->as_transcode);
    }
    printf("\n%s", probe->manifest);
}

static int answer(struct probe *probe)
{
    struct sl_facts made = {0};
    bool good = true;
    probe->copy = json_is_true(json_object_get(probe->answer, "copy"));
    if (sl_facts_from_json(json_object_get(probe->answer, "tracks"), &probe->facts) < 0 ||
        probe->facts.count == 0) {
        if (probe->options->json) {
            print_json(probe);
        } else {
            fprintf(stderr, "sluice probe: %s cannot be opened: %s%s%s\n", probe->options->what,
                    word(probe, "reason"), *word(probe, "reason") ? ": " : "", word(probe, "why"));
        }
        return 1;
    }
    judge(probe, &probe->facts, &probe->as_copy);
    transcoded(&probe->facts, &made);
    judge(probe, &made, &probe->as_transcode);
    make_manifest(probe);
    good = check_manifest(probe);
    if (probe->options->json) {
        print_json(probe);
    } else {
        print_text(probe);
    }
    return good ? 0 : 1;
}

int sl_verb_probe(int argc, char **argv)
{
    struct options options = {0};
    if (parse(argc, argv, &options) < 0) {
        return SL_EXIT_USAGE;
    }
    if (options.help) {
        usage(stdout);
        return 0;
    }
    struct probe probe = {.arena = sl_arena_new(), .options = &options};
    int code = 1;
    if (find_source(&probe) == 0 && run_encoder(&probe) == 0) {
        code = answer(&probe);
    }
    json_decref(probe.answer);
    sl_arena_free(probe.arena);
    return code;
}
