/* SPDX-License-Identifier: GPL-2.0-or-later
 * `sluice run`: host settings, set-up, signals, take-down. What it does in between is the pass.
 * SIGTERM and SIGINT detach: encoders and MediaMTX go on, unless onExit says stop. SIGHUP reads
 * the directory again at once.
 */
#include "cmd/sluice/daemon.h"
#include "cmd/sluice/verbs.h"

#include <errno.h>
#include <signal.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#define DEFAULT_CONFIG "/etc/sluice/sluice.yaml"

static void usage(FILE *out)
{
    struct sl_buf text = {0};
    sl_buf_puts(&text,
                "usage: sluice run [--config FILE] [SETTING…]\n"
                "Runs the daemon: manifests in, streams out, until it is told to stop.\n"
                "example: sluice run --manifests ./streams --media ./media --on-exit stop\n\n"
                "settings (flag, environment, default):\n");
    sl_settings_help(&text);
    fputs(text.data, out);
    sl_buf_free(&text);
}

static void refuse(const struct sl_err *err)
{
    sl_log(SL_LOG_ERROR, err->text, "code", err->code[0] ? err->code : NULL, NULL);
}

void sl_daemon_look(struct sl_daemon *daemon)
{
    /* At once, unless passes follow each other: then they get at most a third of the time, and
     * each takes in what came meanwhile. */
    daemon->look_again = true;
    int64_t pause = 2 * daemon->pass_ms < 30 ? 2 * daemon->pass_ms : 30;
    sl_timer_at(daemon->pass_timer, daemon->pass_end + pause + 1);
}

static void on_pass(void *user)
{
    sl_daemon_pass(user);
}

static void on_learnt(void *user)
{
    sl_daemon_look(user);
}

/* An encoder told something, so its path changes too: ask at once. */
static void on_fleet_learnt(void *user)
{
    struct sl_daemon *daemon = user;
    sl_engine_look(daemon->engine, daemon->looking_fast);
    sl_daemon_look(daemon);
}

static void on_settled(void *user)
{
    sl_daemon_snapshot(user);
}

static int64_t spread(struct sl_daemon *daemon, int64_t ms, int percent)
{
    daemon->jitter = daemon->jitter * 6364136223846793005u + 1442695040888963407u;
    int64_t width = ms * percent / 100;
    return ms - width + (int64_t)((daemon->jitter >> 33) % (uint64_t)(2 * width + 1));
}

static void on_resync(void *user)
{
    struct sl_daemon *daemon = user;
    sl_daemon_snapshot(daemon);
    sl_timer_at(daemon->resync_timer,
                sl_now_mono() + spread(daemon, daemon->settings->timing.resync, 10));
}

static void on_drift(void *user)
{
    struct sl_daemon *daemon = user;
    sl_fleet_rescan(daemon->fleet);
    sl_daemon_look(daemon);
    sl_timer_at(daemon->drift_timer,
                sl_now_mono() + spread(daemon, daemon->settings->timing.drift, 20));
}

static int on_signal(sd_event_source *source, const struct signalfd_siginfo *info, void *user)
{
    (void)source;
    struct sl_daemon *daemon = user;
    if (info->ssi_signo == SIGHUP) {
        sl_log(SL_LOG_INFO, "reading the manifests again", "reason", "SIGHUP", NULL);
        sl_daemon_snapshot(daemon);
    } else {
        sl_log(SL_LOG_INFO, "leaving", "signal", info->ssi_signo == SIGINT ? "SIGINT" : "SIGTERM",
               "onExit", daemon->settings->on_exit, NULL);
        sl_loop_exit(daemon->loop, 0);
    }
    return 0;
}

static int restore(struct sl_daemon *daemon, struct sl_err *err)
{
    struct sl_arena *arena = sl_arena_new();
    struct sl_state_accepted *list = NULL;
    size_t count = 0;
    int r = sl_state_accepted(daemon->state, arena, &list, &count, err);
    for (size_t i = 0; i < count && r == 0; i++) {
        if (!sl_memory_restore(&daemon->memory, list[i].name, list[i].file, list[i].file_sha,
                               list[i].generation, list[i].bytes, strlen(list[i].bytes))) {
            sl_log(SL_LOG_WARN,
                   "a saved manifest is not accepted any more, its stream is left as it is",
                   "stream", list[i].name, "file", list[i].file, NULL);
        }
    }
    sl_arena_free(arena);
    if (r < 0) {
        return -1;
    }
    return sl_state_history(daemon->state, &daemon->history, err);
}

static int make_directories(const struct sl_settings *settings, struct sl_err *err)
{
    sl_autofree char *log = sl_asprintf("%s/log", settings->runtime);
    sl_autofree char *enc = sl_asprintf("%s/enc", settings->runtime);
    if (sl_mkdir_p(settings->state, 0750, err) < 0) {
        return sl_err_wrap(err, "the state directory (setting state)");
    }
    if (sl_mkdir_p(settings->runtime, 0755, err) < 0 || sl_mkdir_p(log, 0755, err) < 0 ||
        sl_mkdir_p(enc, 02775, err) < 0) {
        return sl_err_wrap(err, "the runtime directory (setting runtime)");
    }
    return 0;
}

static int open_state(struct sl_daemon *daemon, struct sl_err *err)
{
    const struct sl_settings *settings = daemon->settings;
    if (make_directories(settings, err) < 0) {
        return -1;
    }
    int r = sl_state_open(settings->state, &daemon->state, err);
    if (r < 0) {
        return -1;
    }
    if (r > 0) {
        sl_log(SL_LOG_ERROR,
               "the state database was corrupt and was set aside; running encoders are adopted, "
               "nothing is deleted",
               "detail", err->text, NULL);
    }
    if (sl_state_secret(settings->state, "internal-user", &daemon->secret, err) < 0) {
        return -1;
    }
    sl_autofree char *key = NULL;
    if (sl_state_secret(settings->state, "digest-key", &key, err) < 0) {
        return -1;
    }
    daemon->secrets = sl_secrets_new(settings->secrets, settings->secrets_count, key);
    daemon->publish_url = sl_state_value(daemon->state, "publishUrl");
    return restore(daemon, err);
}

static int set_up(struct sl_daemon *daemon, struct sl_err *err)
{
    const struct sl_settings *settings = daemon->settings;
    struct sl_watch_timing timing = {settings->timing.settle, settings->timing.storm,
                                     settings->timing.storm_cap, 10000};
    if (sl_loop_new(&daemon->loop, err) < 0 ||
        sl_watch_new(daemon->loop, &timing, on_settled, daemon, &daemon->watch, err) < 0 ||
        open_state(daemon, err) < 0 || sl_web_new(daemon->loop, settings, &daemon->web, err) < 0) {
        return -1;
    }
    daemon->media = sl_media_new();
    daemon->machine = sl_machine_new(daemon->loop, settings->recordings, settings->state);
    daemon->pass_timer = sl_timer_new(daemon->loop, on_pass, daemon);
    daemon->resync_timer = sl_timer_new(daemon->loop, on_resync, daemon);
    daemon->drift_timer = sl_timer_new(daemon->loop, on_drift, daemon);
    daemon->retry_timer = sl_timer_new(daemon->loop, on_settled, daemon);
    if (sl_engine_new(daemon->loop, settings, settings->node.name, daemon->secret, on_learnt,
                      daemon, &daemon->engine, err) < 0 ||
        sl_fleet_new(daemon->loop, settings, on_fleet_learnt, daemon, &daemon->fleet, err) < 0) {
        return -1;
    }
    sd_event *event = sl_loop_event(daemon->loop);
    static const int signals[] = {SIGTERM, SIGINT, SIGHUP};
    for (size_t i = 0; i < SL_COUNT(signals); i++) {
        int r = sd_event_add_signal(event, NULL, signals[i], on_signal, daemon);
        if (r < 0) {
            return sl_err_os(err, -r, "cannot watch for signals");
        }
    }
    sd_event_set_watchdog(event, true);
    int64_t now = sl_now_mono();
    sl_timer_at(daemon->resync_timer, now + spread(daemon, settings->timing.resync, 10));
    sl_timer_at(daemon->drift_timer, now + spread(daemon, settings->timing.drift, 20));
    return 0;
}

static void take_down(struct sl_daemon *daemon)
{
    daemon->closing = true;
    bool stop = daemon->settings && sl_streq(daemon->settings->on_exit, "stop");
    if (stop && daemon->fleet) {
        sl_fleet_stop_all(daemon->fleet);
    }
    if (stop && daemon->engine) {
        sl_engine_stop(daemon->engine);
    }
    sl_web_free(daemon->web);
    sl_fleet_free(daemon->fleet);
    sl_engine_free(daemon->engine);
    sl_watch_free(daemon->watch);
    sl_timer_free(daemon->pass_timer);
    sl_timer_free(daemon->resync_timer);
    sl_timer_free(daemon->drift_timer);
    sl_timer_free(daemon->retry_timer);
    sl_media_free(daemon->media);
    sl_loop_free(daemon->loop);
    sl_machine_free(daemon->machine);
    sl_intake_free(daemon->intake);
    sl_memory_free(&daemon->memory);
    sl_history_free(&daemon->history);
    sl_state_close(daemon->state);
    sl_secrets_free(daemon->secrets);
    free(daemon->secret);
    free(daemon->publish_url);
    free(daemon->last_applied);
    free(daemon->plan_logged);
    sl_arena_free(daemon->settings_arena);
}

/* 0: go on; else the exit code plus one. */
static int read_settings(struct sl_daemon *daemon, int argc, char **argv)
{
    struct sl_setting_flag flags[64];
    size_t count = 0;
    const char *config = getenv("SLUICE_CONFIG");
    for (int i = 1; i < argc; i++) {
        if (sl_streq(argv[i], "--help") || sl_streq(argv[i], "-h")) {
            usage(stdout);
            return 1;
        }
        if (sl_streq(argv[i], "--config") && i + 1 < argc) {
            config = argv[++i];
            continue;
        }
        if (strncmp(argv[i], "--config=", 9) == 0) {
            config = argv[i] + 9;
            continue;
        }
        int taken = count < SL_COUNT(flags) ? sl_settings_flag(argc, argv, &i, &flags[count]) : 0;
        if (taken <= 0) {
            fprintf(stderr, "sluice run: %s '%s'; see sluice run --help\n",
                    taken < 0 ? "no value behind" : "unknown argument", argv[i]);
            return SL_EXIT_USAGE + 1;
        }
        count++;
    }
    struct sl_settings *settings = NULL;
    struct sl_diags diags = {.arena = daemon->settings_arena};
    int r = sl_settings_load(daemon->settings_arena, config ? config : DEFAULT_CONFIG,
                             config != NULL, flags, count, &settings, &diags);
    for (size_t i = 0; i < diags.count; i++) {
        struct sl_buf text = {0};
        sl_diag_print(&diags.list[i], isatty(STDERR_FILENO) && !getenv("NO_COLOR"), &text);
        fputs(text.data, stderr);
        sl_buf_free(&text);
    }
    daemon->settings = settings;
    return r < 0 ? SL_EXIT_CONFIG + 1 : 0;
}

int sl_verb_run(int argc, char **argv)
{
    struct sl_daemon daemon = {.settings_arena = sl_arena_new()};
    daemon.jitter = (uint64_t)sl_now_wall() * 2654435761u + (uint64_t)getpid();
    int code = read_settings(&daemon, argc, argv);
    if (code != 0) {
        sl_arena_free(daemon.settings_arena);
        return code - 1;
    }
    static const char *const levels[SL_LEVEL_COUNT] = {"error", "warn", "info", "debug"};
    for (int i = 0; i < SL_LEVEL_COUNT; i++) {
        if (sl_streq(daemon.settings->log_level, levels[i])) {
            sl_log_level((enum sl_level)i);
        }
    }
    sigset_t mask;
    sigemptyset(&mask);
    sigaddset(&mask, SIGTERM);
    sigaddset(&mask, SIGINT);
    sigaddset(&mask, SIGHUP);
    sigprocmask(SIG_BLOCK, &mask, NULL);
    signal(SIGPIPE, SIG_IGN);
    umask(0027);

    struct sl_err err = {0};
    if (set_up(&daemon, &err) < 0) {
        refuse(&err);
        take_down(&daemon);
        return err.class == SL_ERR_HUMAN ? SL_EXIT_CONFIG : 1;
    }
    sl_log(SL_LOG_INFO, "sluice runs", "version", SL_VERSION, "page", sl_web_address(daemon.web),
           "manifests", daemon.settings->manifests, NULL);
    sl_daemon_snapshot(&daemon);
    code = sl_loop_run(daemon.loop);
    sd_notify(0, "STOPPING=1");
    take_down(&daemon);
    return code < 0 ? 1 : code;
}
