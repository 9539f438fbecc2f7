/* SPDX-License-Identifier: GPL-2.0-or-later
 * An engine driven from outside, for tests/e2e/test_engine_*.py. Lines of JSON on stdin change what
 * is wanted: {"paths": [{"name", "source", "transport", "override", "always", "tracks"}], "users":
 * [{"path", "name", "password"}], "removed": [NAME], "fast": BOOL, "kick": {"path", "type", "id"},
 * "seq": N}, each key optional. A line of JSON on stdout for each new observation. End of input:
 * the end.
 */
#pragma once
#include "reconcile/base/time.h"
#include "reconcile/mediamtx/engine.h"
#include <sys/epoll.h>
#include <unistd.h>

#define DRIVE_MAX 200

static struct drive {
    struct sl_engine *engine;
    struct sl_path_conf paths[DRIVE_MAX];
    struct sl_publish_user users[DRIVE_MAX];
    char *removed[DRIVE_MAX];
    size_t count, users_count, removed_count;
    bool given, ended;
    json_int_t seq;
    char line[65536];
    size_t len;
} drive;

static const char *drive_text(const json_t *o, const char *key)
{
    const char *text = json_string_value(json_object_get(o, key));

    return text ? text : "";
}

static void drive_path(const json_t *o, struct sl_path_conf *ret)
{
    const char *source = drive_text(o, "source");
    struct sl_path_conf path = {.override_publisher = json_is_true(json_object_get(o, "override")),
                                .always_available = json_is_true(json_object_get(o, "always"))};

    snprintf(path.name, sizeof(path.name), "%s", drive_text(o, "name"));
    snprintf(path.source, sizeof(path.source), "%s", *source ? source : "publisher");
    snprintf(path.rtsp_transport, sizeof(path.rtsp_transport), "%s", drive_text(o, "transport"));
    if (path.always_available && sl_facts_from_json(json_object_get(o, "tracks"), &path.tracks) < 0)
        abort();
    *ret = path;
}

static void drive_kick(const json_t *o)
{
    struct sl_kick kick = {drive_text(o, "path"), drive_text(o, "type"), drive_text(o, "id"),
                           "the test asks for it"};

    if (o)
        sl_engine_kick(drive.engine, &kick);
}

static void drive_command(const char *line)
{
    json_t *o = json_loads(line, 0, NULL), *list;

    if (!o)
        abort();
    if ((list = json_object_get(o, "paths"))) {
        drive.given = true;
        for (drive.count = 0; drive.count < json_array_size(list); drive.count++)
            drive_path(json_array_get(list, drive.count), &drive.paths[drive.count]);
    }
    if ((list = json_object_get(o, "users")))
        for (drive.users_count = 0; drive.users_count < json_array_size(list);
             drive.users_count++) {
            const json_t *user = json_array_get(list, drive.users_count);
            struct sl_publish_user *to = &drive.users[drive.users_count];

            snprintf(to->path, sizeof(to->path), "%s", drive_text(user, "path"));
            snprintf(to->name, sizeof(to->name), "%s", drive_text(user, "name"));
            snprintf(to->password, sizeof(to->password), "%s", drive_text(user, "password"));
        }
    if ((list = json_object_get(o, "removed"))) {
        while (drive.removed_count)
            free(drive.removed[--drive.removed_count]);
        for (; drive.removed_count < json_array_size(list); drive.removed_count++)
            drive.removed[drive.removed_count] =
                sl_strdup(json_string_value(json_array_get(list, drive.removed_count)));
    }
    if ((list = json_object_get(o, "seq")))
        drive.seq = json_integer_value(list);
    if ((list = json_object_get(o, "fast")))
        sl_engine_look(drive.engine, json_is_true(list));
    drive_kick(json_object_get(o, "kick"));
    json_decref(o);
}

static int drive_input(sd_event_source *source, int fd, uint32_t events, void *user)
{
    ssize_t n = read(fd, drive.line + drive.len, sizeof(drive.line) - 1 - drive.len);
    char *end;

    (void)events;
    (void)user;
    if (n <= 0) {
        drive.ended = true;
        sd_event_source_set_enabled(source, SD_EVENT_OFF);
        return 0;
    }
    drive.len += (size_t)n;
    drive.line[drive.len] = 0;
    while ((end = strchr(drive.line, '\n'))) {
        *end = 0;
        drive_command(drive.line);
        drive.len -= (size_t)(end + 1 - drive.line);
        memmove(drive.line, end + 1, drive.len + 1);
    }
    return 0;
}

static const struct sl_path_conf *drive_wanted(const char *name)
{
    for (size_t i = 0; i < drive.count; i++)
        if (strcmp(drive.paths[i].name, name) == 0)
            return &drive.paths[i];
    return NULL;
}

static json_t *drive_seen(const struct sl_seen_path *path)
{
    const struct sl_path_conf *wanted = drive_wanted(path->name);
    json_t *o = json_pack("{s:b, s:b, s:b, s:b, s:b, s:b, s:s, s:s, s:s, s:I, s:I, s:i}",
                          "configured", path->configured, "wanted", wanted != NULL, "equal",
                          wanted && path->configured && sl_path_conf_equal(wanted, &path->conf),
                          "listed", path->listed, "online", path->online, "available",
                          path->available, "type", path->source_type, "id", path->source_id,
                          "error", path->source_error, "inBytes", (json_int_t)path->in_bytes,
                          "inMoved", (json_int_t)path->in_moved, "readers", path->readers);
    json_t *by = json_array();

    for (size_t i = 0; i < SL_COUNT(path->readers_by); i++)
        json_array_append_new(by, json_integer(path->readers_by[i]));
    json_object_set_new(o, "readersBy", by);
    json_object_set_new(o, "tracks", sl_facts_to_json(&path->tracks));
    return o;
}

static char *drive_observation(void)
{
    const struct sl_seen_path *list;
    struct sl_seen_engine now;
    json_t *o, *paths = json_object();
    char *text;
    size_t n;

    sl_engine_observed(drive.engine, &now, &list, &n);
    for (size_t i = 0; i < n; i++)
        json_object_set_new(paths, list[i].name, drive_seen(&list[i]));
    o = json_pack(
        "{s:b, s:b, s:b, s:b, s:s, s:s, s:s, s:s, s:s, s:I, s:s, s:s, s:o, s:I}", "reachable",
        now.reachable, "known", now.configs_known, "writing", now.writing, "settled",
        sl_engine_settled(drive.engine), "code", sl_engine_error_code(drive.engine), "error",
        now.error, "url", now.rtsp_publish_url, "user", sl_engine_user(drive.engine), "password",
        sl_engine_password(drive.engine), "restarts", (json_int_t)sl_engine_restarts(drive.engine),
        "rejected", now.rejected_path ? now.rejected_path : "", "why",
        now.rejected_text ? now.rejected_text : "", "paths", paths, "seq", drive.seq);
    text = json_dumps(o, JSON_COMPACT);
    json_decref(o);
    return text;
}

static int engine_drive(struct sl_loop *loop, struct sl_engine *engine)
{
    char *last = NULL, *now;

    drive.engine = engine;
    if (sd_event_add_io(sl_loop_event(loop), NULL, 0, EPOLLIN, drive_input, NULL) < 0)
        return 1;
    while (!drive.ended) {
        if (drive.given) { /* as a pass does */
            sl_engine_want_users(engine, drive.users, drive.users_count);
            sl_engine_want(engine, drive.paths, drive.count, (const char *const *)drive.removed,
                           drive.removed_count);
        }
        now = drive_observation();
        if (!last || strcmp(now, last) != 0)
            puts(now);
        fflush(stdout);
        free(last);
        last = now;
        sd_event_run(sl_loop_event(loop), 20000);
    }
    free(last);
    while (drive.removed_count)
        free(drive.removed[--drive.removed_count]);
    return 0;
}
