/* SPDX-License-Identifier: GPL-2.0-or-later
 * The record of an encoder: record.json, the stats page and the log ring, both sides of each.
 * Layer: schemas. Readers treat all of it as untrusted: sizes and values are checked.
 */
#include "schemas/record.h"
#include "reconcile/base/file.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define RECORD_MAX  16384
#define STATS_MAGIC "sluicest"
#define RING_MAGIC  "sluicelg"

static const char *const state_names[SL_ENC_STATE_COUNT] = {
    [SL_ENC_STARTING] = "Starting", [SL_ENC_HELD] = "Held",     [SL_ENC_CONNECTING] = "Connecting",
    [SL_ENC_LIVE] = "Live",         [SL_ENC_SILENT] = "Silent", [SL_ENC_ENDED] = "Ended",
};

const char *sl_enc_state_name(enum sl_enc_state state)
{
    return (unsigned)state < SL_ENC_STATE_COUNT ? state_names[state] : "Unknown";
}

void sl_pidns(char ret[48])
{
    struct stat st;

    ret[0] = 0;
    if (stat("/proc/self/ns/pid", &st) == 0)
        snprintf(ret, 48, "%llu:%llu", (unsigned long long)st.st_dev,
                 (unsigned long long)st.st_ino);
}

char *sl_record_to_json(const struct sl_record *r)
{
    json_t *o = json_object();
    char *text;

    json_object_set_new(o, "layout", json_integer(SL_RECORD_LAYOUT));
    json_object_set_new(o, "uid", json_string(r->uid));
    json_object_set_new(o, "name", json_string(r->name));
    json_object_set_new(o, "specHash", json_string(r->spec_hash));
    json_object_set_new(o, "bootId", json_string(r->boot_id));
    json_object_set_new(o, "generation", json_integer((json_int_t)r->generation));
    json_object_set_new(o, "pid", json_integer(r->pid));
    json_object_set_new(o, "pidStart", json_integer((json_int_t)r->pid_start));
    json_object_set_new(o, "pidNs", json_string(r->pidns));
    json_object_set_new(o, "since", json_integer(r->since));
    json_object_set_new(o, "state", json_string(sl_enc_state_name(r->state)));
    json_object_set_new(o, "stateSince", json_integer(r->state_since));
    json_object_set_new(o, "reason", json_string(r->reason));
    /* a file name in another encoding must not cost the record */
    json_t *message = json_string(r->message);
    json_object_set_new(o, "message", message ? message : json_string("(text is not UTF-8)"));
    json_object_set_new(o, "facts", sl_facts_to_json(&r->facts));
    json_object_set_new(o, "codec", json_string(r->codec));
    json_object_set_new(o, "hwaccel", json_string(r->hwaccel));
    if (r->exited) {
        json_object_set_new(o, "exited", json_true());
        json_object_set_new(o, "exitStatus", json_integer(r->exit_status));
        json_object_set_new(o, "exitSignal", json_integer(r->exit_signal));
        json_object_set_new(o, "exitAt", json_integer(r->exit_at));
    }
    text = json_dumps(o, JSON_COMPACT);
    json_decref(o);
    if (!text)
        abort();
    return text;
}

static int get_string(const json_t *o, const char *key, char *to, size_t size)
{
    const json_t *v = json_object_get(o, key);

    if (!v)
        return 0;
    if (!json_is_string(v) || json_string_length(v) >= size ||
        strlen(json_string_value(v)) != json_string_length(v))
        return -1;
    strcpy(to, json_string_value(v));
    return 0;
}

static int get_int(const json_t *o, const char *key, int64_t *to)
{
    const json_t *v = json_object_get(o, key);

    if (!v)
        return 0;
    if (!json_is_integer(v))
        return -1;
    *to = json_integer_value(v);
    return 0;
}

static int body_from_json(const json_t *o, struct sl_record *r)
{
    int64_t generation = 0, start = 0, status = 0, sig = 0;
    const char *state = json_string_value(json_object_get(o, "state"));
    int i;

    if (get_string(o, "specHash", r->spec_hash, sizeof(r->spec_hash)) < 0 ||
        get_string(o, "bootId", r->boot_id, sizeof(r->boot_id)) < 0 ||
        get_string(o, "pidNs", r->pidns, sizeof(r->pidns)) < 0 ||
        get_string(o, "reason", r->reason, sizeof(r->reason)) < 0 ||
        get_string(o, "message", r->message, sizeof(r->message)) < 0 ||
        get_string(o, "codec", r->codec, sizeof(r->codec)) < 0 ||
        get_string(o, "hwaccel", r->hwaccel, sizeof(r->hwaccel)) < 0)
        return -1;
    if (get_int(o, "generation", &generation) < 0 || get_int(o, "pidStart", &start) < 0 ||
        get_int(o, "since", &r->since) < 0 || get_int(o, "stateSince", &r->state_since) < 0 ||
        get_int(o, "exitStatus", &status) < 0 || get_int(o, "exitSignal", &sig) < 0 ||
        get_int(o, "exitAt", &r->exit_at) < 0)
        return -1;
    if (sl_facts_from_json(json_object_get(o, "facts"), &r->facts) < 0)
        return -1;
    for (i = 0; i < SL_ENC_STATE_COUNT; i++) {
        if (sl_streq(state, state_names[i]))
            break;
    }
    if (i == SL_ENC_STATE_COUNT)
        return -1;
    r->state = (enum sl_enc_state)i;
    r->generation = (uint64_t)generation;
    r->pid_start = (uint64_t)start;
    r->exited = json_is_true(json_object_get(o, "exited"));
    r->exit_status = (int)status;
    r->exit_signal = (int)sig;
    return 0;
}

int sl_record_from_json(const char *text, size_t len, struct sl_record *ret, struct sl_err *err)
{
    struct sl_record r = {0};
    int64_t layout = 0, pid = 0;
    json_error_t at;
    json_t *o = json_loadb(text, len, 0, &at);

    if (!json_is_object(o) || get_int(o, "layout", &layout) < 0 || layout < 1 ||
        layout > INT32_MAX || get_string(o, "uid", r.uid, sizeof(r.uid)) < 0 ||
        get_string(o, "name", r.name, sizeof(r.name)) < 0 || get_int(o, "pid", &pid) < 0 ||
        pid < 0 || pid > INT32_MAX)
        goto bad;
    r.layout = (int)layout;
    r.pid = (int)pid;
    if (layout > SL_RECORD_LAYOUT) {
        *ret = r;
        json_decref(o);
        return sl_err_set(err, SL_ERR_HUMAN, 0, "NewerLayout",
                          "record of %s has layout %d, this program knows %d: upgrade it", r.name,
                          r.layout, SL_RECORD_LAYOUT);
    }
    if (body_from_json(o, &r) < 0)
        goto bad;
    json_decref(o);
    *ret = r;
    return 0;
bad:
    json_decref(o);
    return sl_err_set(err, SL_ERR_TRANSIENT, 0, "BadRecord", "record.json is malformed");
}

int sl_record_write(int dirfd, const struct sl_record *record, struct sl_err *err)
{
    sl_autofree char *text = sl_record_to_json(record);

    return sl_file_replace(dirfd, "record.json", text, strlen(text), 0640, 0, err);
}

int sl_record_read(int dirfd, struct sl_record *ret, struct sl_err *err)
{
    sl_autofree char *text = NULL;
    size_t len;

    if (sl_file_read(dirfd, "record.json", RECORD_MAX, &text, &len, err) < 0)
        return -1;
    return sl_record_from_json(text, len, ret, err);
}

/* A file of fixed size with its blocks allocated, mapped shared: no later write can meet ENOSPC. */
static int map_file(int dirfd, const char *name, size_t size, void **ret, struct sl_err *err)
{
    sl_autofd int fd = openat(dirfd, name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
    void *map;
    int rc;

    if (fd < 0)
        return sl_err_os(err, errno, "cannot create %s", name);
    rc = posix_fallocate(fd, 0, (off_t)size);
    if (rc != 0)
        return sl_err_os(err, rc, "cannot allocate %s", name);
    map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED)
        return sl_err_os(err, errno, "cannot map %s", name);
    *ret = map;
    return 0;
}

int sl_stats_create(int dirfd, struct sl_stats **ret_map, struct sl_err *err)
{
    struct sl_stats *map;
    void *at;

    if (map_file(dirfd, "stats", sizeof(*map), &at, err) < 0)
        return -1;
    map = at;
    memcpy(map->magic, STATS_MAGIC, sizeof(map->magic));
    map->version = 1;
    map->size = sizeof(*map);
    *ret_map = map;
    return 0;
}

void sl_stats_publish(struct sl_stats *map, const struct sl_stats_data *data)
{
    uint32_t seq = __atomic_load_n(&map->seq, __ATOMIC_RELAXED);

    __atomic_store_n(&map->seq, seq + 1, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    memcpy(&map->data, data, sizeof(*data));
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    __atomic_store_n(&map->seq, seq + 2, __ATOMIC_RELAXED);
}

/* pread copies while the writer may write: two equal even numbers around a copy prove it whole. */
int sl_stats_read(int fd, struct sl_stats_data *ret)
{
    for (int i = 0; i < 8; i++) {
        struct sl_stats s;
        uint32_t after;

        if (pread(fd, &s, sizeof(s), 0) != (ssize_t)sizeof(s))
            return -1;
        if (memcmp(s.magic, STATS_MAGIC, sizeof(s.magic)) != 0 || s.version != 1 ||
            s.size != sizeof(s))
            return -1;
        if (pread(fd, &after, sizeof(after), offsetof(struct sl_stats, seq)) != sizeof(after))
            return -1;
        if ((s.seq & 1) == 0 && s.seq == after) {
            *ret = s.data;
            return 0;
        }
    }
    return -1;
}

int sl_ring_create(int dirfd, struct sl_ring **ret_map, struct sl_err *err)
{
    struct sl_ring *ring;
    void *at;

    if (map_file(dirfd, "log", SL_RING_SIZE, &at, err) < 0)
        return -1;
    ring = at;
    memcpy(ring->magic, RING_MAGIC, sizeof(ring->magic));
    ring->version = 1;
    ring->size = SL_RING_SIZE;
    *ret_map = ring;
    return 0;
}

void sl_ring_write(struct sl_ring *ring, const char *data, size_t len)
{
    const size_t room = SL_RING_SIZE - sizeof(*ring);
    uint64_t head = __atomic_load_n(&ring->head, __ATOMIC_RELAXED);

    if (len > room)
        len = room;
    for (size_t done = 0; done < len;) {
        size_t at = (size_t)((head + done) % room);
        size_t n = len - done < room - at ? len - done : room - at;

        memcpy(ring->data + at, data + done, n);
        done += n;
    }
    __atomic_store_n(&ring->head, head + len, __ATOMIC_RELEASE);
}

int sl_ring_read(int fd, struct sl_buf *out)
{
    const size_t room = SL_RING_SIZE - sizeof(struct sl_ring);
    sl_autofree struct sl_ring *ring = sl_alloc(SL_RING_SIZE);
    uint64_t head, from;
    const char *start, *line;
    struct sl_buf text = {0};

    if (pread(fd, ring, SL_RING_SIZE, 0) != SL_RING_SIZE)
        return -1;
    if (memcmp(ring->magic, RING_MAGIC, sizeof(ring->magic)) != 0 || ring->version != 1 ||
        ring->size != SL_RING_SIZE)
        return -1;
    head = ring->head;
    from = head > room ? head - room : 0;
    while (from < head) {
        size_t at = (size_t)(from % room);
        size_t n = head - from < room - at ? (size_t)(head - from) : room - at;

        sl_buf_add(&text, ring->data + at, n);
        from += n;
    }
    if (text.len) {
        start = text.data;
        line = head > room ? memchr(start, '\n', text.len) : NULL;
        if (line)
            start = line + 1; /* the oldest line is cut: leave it out */
        sl_buf_add(out, start, text.len - (size_t)(start - text.data));
    }
    sl_buf_free(&text);
    return 0;
}
