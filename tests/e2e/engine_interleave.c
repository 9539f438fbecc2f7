/* SPDX-License-Identifier: GPL-2.0-or-later
 * Drives a real MediaMTX through sl_engine, for tests/e2e/test_engine_interleave.py:
 *   engine_interleave DIR MEDIAMTX TEMPLATE API_URL interleave ROUNDS SEED
 *   engine_interleave DIR MEDIAMTX TEMPLATE API_URL bench PATHS
 *   engine_interleave DIR MEDIAMTX TEMPLATE API_URL run SECONDS
 *   engine_interleave DIR MEDIAMTX TEMPLATE API_URL drive
 * MEDIAMTX "-": somebody else's runs already; TEMPLATE "-": and only its API is there, else it
 * loads DIR/mediamtx/mediamtx.yml and its users are ours too. Prints "READY URL USER PASSWORD" once
 * reachable, waits for a line on stdin (interleave), and ends with one line of JSON.
 * DRIFT_MS, PUBLISH_URL and INSECURE set what the settings of those names do.
 * drive (engine_drive.h) is for tests that play the daemon: commands in, observations out.
 */
#include "reconcile/base/log.h"
#include "reconcile/base/time.h"
#include "reconcile/mediamtx/engine.h"

#include "tests/e2e/engine_drive.h"

#define STABLE   3
#define VOLATILE 60
#define LIMIT_MS 60000

static struct sl_loop *loop;
static struct sl_engine *engine;
static struct sl_path_conf *paths;
static size_t count;
static bool on[VOLATILE];
static int readers[VOLATILE];
static struct sl_publish_user *users; /* of every second volatile path that is on */
static size_t users_count;

static void changed(void *user)
{
    (void)user;
}

static void spin(int64_t ms)
{
    int64_t end = sl_now_mono() + ms, left;

    while ((left = end - sl_now_mono()) > 0)
        sd_event_run(sl_loop_event(loop), (uint64_t)left * 1000);
}

static struct sl_seen_engine seen(void)
{
    const struct sl_seen_path *list;
    struct sl_seen_engine now;
    size_t n;

    sl_engine_observed(engine, &now, &list, &n);
    return now;
}

static struct sl_path_conf conf(const char *name)
{
    struct sl_path_conf c = {.source = "publisher", .override_publisher = true};

    snprintf(c.name, sizeof(c.name), "%s", name);
    return c;
}

static void fill(size_t n)
{
    paths = sl_realloc(paths, (n + 1) * sizeof(*paths));
    for (count = 0; count < n; count++) {
        char name[32];

        snprintf(name, sizeof(name), "s/%05zu", count);
        paths[count] = conf(name);
    }
}

/* Is what MediaMTX shows exactly what is wanted? */
static bool agrees(void)
{
    const struct sl_seen_path *list;
    struct sl_seen_engine now;
    size_t n, configured = 0, equal = 0;

    sl_engine_observed(engine, &now, &list, &n);
    if (!now.configs_known || now.writing)
        return false;
    for (size_t i = 0; i < n; i++)
        configured += list[i].configured;
    for (size_t i = 0, k = 0; i < count; i++) {
        while (k < n && strcmp(list[k].name, paths[i].name) < 0)
            k++;
        equal += k < n && list[k].configured && sl_path_conf_equal(&list[k].conf, &paths[i]);
    }
    return configured == count && equal == count;
}

static void want(char **removed, size_t removed_count)
{
    sl_engine_want_users(engine, users, users_count);
    sl_engine_want(engine, paths, count, (const char *const *)removed, removed_count);
}

/* ms until MediaMTX has it, -1: not within a minute. */
static int64_t bring(char **removed, size_t removed_count)
{
    int64_t began = sl_now_mono();

    want(removed, removed_count);
    while (!agrees()) {
        if (sl_now_mono() - began > LIMIT_MS)
            return -1;
        sd_event_run(sl_loop_event(loop), 50000);
    }
    return sl_now_mono() - began;
}

static bool settle(void)
{
    int64_t began = sl_now_mono();

    while (!sl_engine_settled(engine) || !agrees()) {
        if (sl_now_mono() - began > LIMIT_MS)
            return false;
        sd_event_run(sl_loop_event(loop), 50000);
    }
    return true;
}

static void ready(void)
{
    printf("READY %s %s %s\n", seen().rtsp_publish_url, sl_engine_user(engine),
           sl_engine_password(engine));
    fflush(stdout);
}

static void make_round(char **removed, size_t *ret_removed)
{
    char name[32];

    count = users_count = 0;
    *ret_removed = 0;
    for (int i = 0; i < STABLE; i++) {
        snprintf(name, sizeof(name), "cam/%d", i);
        paths[count++] = conf(name);
    }
    for (int i = 0; i < VOLATILE; i++) {
        snprintf(name, sizeof(name), "x/%02d", i);
        if (!on[i]) {
            removed[(*ret_removed)++] = sl_strdup(name);
            continue;
        }
        paths[count] = conf(name);
        paths[count++].max_readers = readers[i];
        if (i % 2 == 0)
            continue;
        users[users_count] = (struct sl_publish_user){.name = "obs"};
        snprintf(users[users_count].path, sizeof(users->path), "%s", name);
        snprintf(users[users_count++].password, sizeof(users->password), "pass-%d", readers[i]);
    }
}

static int interleave(int rounds, unsigned seed)
{
    char *removed[VOLATILE], line[16];
    size_t n = 0;
    int ways[SL_ENGINE_WAY_COUNT] = {0};
    int64_t began;
    bool good;

    paths = sl_alloc((STABLE + VOLATILE) * sizeof(*paths));
    users = sl_alloc(VOLATILE * sizeof(*users));
    make_round(removed, &n);
    if (bring(NULL, 0) < 0)
        return 1;
    ready();
    if (!fgets(line, sizeof(line), stdin))
        return 1;
    began = sl_now_mono();
    for (int round = 0; round < rounds; round++) {
        enum sl_engine_way way = (enum sl_engine_way)(rand_r(&seed) % SL_ENGINE_WAY_COUNT);

        for (int k = rand_r(&seed) % 5; k >= 0; k--) {
            int i = rand_r(&seed) % VOLATILE;

            on[i] = !on[i];
            readers[i] = rand_r(&seed) % 3;
        }
        while (n)
            free(removed[--n]);
        make_round(removed, &n);
        sl_engine_force(engine, way);
        ways[way]++;
        want(removed, n);
        /* Either it is left to finish, or the next change comes in the middle of it. */
        if (rand_r(&seed) % 2)
            spin(rand_r(&seed) % 60);
        else if (bring(removed, n) < 0)
            break;
    }
    sl_engine_force(engine, SL_ENGINE_AUTO);
    want(removed, n);
    good = settle();
    while (n)
        free(removed[--n]);
    printf("{\"rounds\": %d, \"auto\": %d, \"api\": %d, \"file\": %d, \"ms\": %lld, "
           "\"agrees\": %s, \"restarts\": %llu, \"error\": \"%s\"}\n",
           rounds, ways[0], ways[1], ways[2], (long long)(sl_now_mono() - began),
           good ? "true" : "false", (unsigned long long)sl_engine_restarts(engine), seen().error);
    fflush(stdout);
    return !fgets(line, sizeof(line), stdin); /* looked at, then stopped */
}

/* The last `n` paths differ once more; mean of `times`. */
static double change(size_t n, enum sl_engine_way way, int times)
{
    int64_t sum = 0;

    for (int t = 0; t < times; t++) {
        int64_t ms;

        sl_engine_force(engine, SL_ENGINE_AUTO);
        settle();
        spin(1100); /* MediaMTX hears of files again */
        sl_engine_force(engine, way);
        for (size_t i = count - n; i < count; i++)
            paths[i].max_readers++;
        ms = bring(NULL, 0);
        if (ms < 0)
            return -1;
        sum += ms;
    }
    return (double)sum / times;
}

static int bench(size_t n)
{
    int64_t first, all;
    double api1, api4, file1;

    fill(0);
    first = bring(NULL, 0);
    settle();
    spin(1100);
    sl_engine_force(engine, SL_ENGINE_FILE);
    fill(n);
    all = bring(NULL, 0);
    api1 = change(1, SL_ENGINE_API, 5);
    api4 = change(4, SL_ENGINE_API, 3);
    file1 = change(1, SL_ENGINE_FILE, 5);
    printf("{\"paths\": %zu, \"start_ms\": %lld, \"all_by_file_ms\": %lld, \"api_1_ms\": %.1f, "
           "\"api_4_ms\": %.1f, \"file_ms\": %.1f}\n",
           n, (long long)first, (long long)all, api1, api4, file1);
    return 0;
}

static int run(int seconds)
{
    int64_t end = sl_now_mono() + 1000 * (int64_t)seconds;
    char last[400] = "";

    fill(3);
    sl_engine_look(engine, true);
    while (sl_now_mono() < end) {
        char now[400];
        struct sl_seen_engine s = seen();

        snprintf(now, sizeof(now), "%s|%s|%s|%s|%llu", s.reachable ? "up" : "down",
                 sl_engine_error_code(engine), s.error, agrees() ? "agrees" : "differs",
                 (unsigned long long)sl_engine_restarts(engine));
        if (strcmp(now, last) != 0)
            printf("%s\n", now);
        fflush(stdout);
        snprintf(last, sizeof(last), "%s", now);
        sl_engine_want(engine, paths, count, NULL, 0);
        spin(20);
    }
    return 0;
}

int main(int argc, char **argv)
{
    struct sl_settings settings = {0};
    struct sl_err err = {0};
    char *config = NULL, own[] = "own";
    int code = 2;

    if (argc < 6)
        return 2;
    if (getenv("DEBUG"))
        sl_log_level(SL_LOG_DEBUG);
    settings.state = argv[1];
    settings.runtime = argv[1];
    settings.mediamtx.managed = strcmp(argv[2], "-") != 0;
    settings.mediamtx.binary = argv[2];
    if (strcmp(argv[3], "-") != 0) {
        settings.mediamtx.template_ = argv[3];
        settings.mediamtx.config = config = sl_asprintf("%s/mediamtx/mediamtx.yml", argv[1]);
        settings.mediamtx.users = own;
    }
    settings.mediamtx.api.url = argv[4];
    settings.timing.drift = getenv("DRIFT_MS") ? atoi(getenv("DRIFT_MS")) : 15000;
    settings.mediamtx.publish_url = getenv("PUBLISH_URL");
    settings.mediamtx.insecure = getenv("INSECURE") != NULL;
    if (sl_loop_new(&loop, &err) < 0 ||
        sl_engine_new(loop, &settings, "test", "0123456789abcdef0123456789abcdef", changed, NULL,
                      &engine, &err) < 0) {
        fprintf(stderr, "%s: %s\n", err.code, err.text);
        return 1;
    }
    if (strcmp(argv[5], "interleave") == 0 && argc > 7)
        code = interleave(atoi(argv[6]), (unsigned)atoi(argv[7]));
    else if (strcmp(argv[5], "bench") == 0 && argc > 6)
        code = bench((size_t)atoi(argv[6]));
    else if (strcmp(argv[5], "run") == 0 && argc > 6)
        code = run(atoi(argv[6]));
    else if (strcmp(argv[5], "drive") == 0)
        code = engine_drive(loop, engine);
    sl_engine_stop(engine);
    sl_engine_free(engine);
    sl_loop_free(loop);
    free(paths);
    free(users);
    free(config);
    return code;
}
