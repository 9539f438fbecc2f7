/* SPDX-License-Identifier: GPL-2.0-or-later
 * The plan's actions carried out, each once: a request under way is not made again when the next
 * pass gives the same action. Layer: fleet. Never forgets what lives: the lock is taken first.
 */
#include "reconcile/fleet/fleet_impl.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/random.h>
#include <unistd.h>

#define NET_SILENCE 5000 /* ms without a packet (decisions 10) */

static const char *const patterns[SL_PATTERN_COUNT] = {
    [SL_PATTERN_SMPTE] = "smpte", [SL_PATTERN_BARS] = "bars", [SL_PATTERN_COUNTER] = "counter"};
static const char *const transports[SL_TRANSPORT_COUNT] = {
    [SL_TRANSPORT_TCP] = "tcp", [SL_TRANSPORT_UDP] = "udp"};
static const char *const vcodecs[SL_VCODEC_COUNT] = {
    [SL_VCODEC_H264] = "h264", [SL_VCODEC_H265] = "h265"};
static const char *const acodecs[SL_ACODEC_COUNT] = {[SL_ACODEC_AAC] = "aac",
                                                     [SL_ACODEC_OPUS] = "opus",
                                                     [SL_ACODEC_COPY] = "copy",
                                                     [SL_ACODEC_NONE] = "none"};

static const char *pick(const char *const *names, int count, int value)
{
    return value >= 0 && value < count ? names[value] : names[0];
}

static void size_of(const char *text, int *width, int *height)
{
    int w, h;

    if (text && sscanf(text, "%dx%d", &w, &h) == 2 && w > 0 && h > 0) {
        *width = w;
        *height = h;
    }
}

static char *text_or(const char *s, const char *otherwise)
{
    return sl_strdup(s && *s ? s : otherwise);
}

static void encspec_encode(struct sl_encspec *out, const struct sl_transcode *t)
{
    static const struct sl_transcode plain = {
        .video = {.codec = SL_VCODEC_H264, .keyframe_interval = 2000, .preset = (char *)"veryfast"},
        .audio = {.codec = SL_ACODEC_AAC, .webrtc = SL_WEBRTC_OPUS}};

    if (!t)
        t = &plain;
    out->video.codec = sl_strdup(pick(vcodecs, SL_VCODEC_COUNT, t->video.codec));
    out->video.preset = text_or(t->video.preset, "");
    out->video.profile = text_or(t->video.profile, "");
    out->video.bitrate = t->video.bitrate;
    out->video.max_bitrate = t->video.max_bitrate;
    size_of(t->video.size, &out->video.width, &out->video.height);
    out->video.rate = t->video.rate;
    out->video.keyframe_interval = t->video.keyframe_interval ? t->video.keyframe_interval : 2000;
    out->video.b_frames = (int)t->video.b_frames;
    out->audio.codec = sl_strdup(pick(acodecs, SL_ACODEC_COUNT, t->audio.codec));
    out->audio.bitrate = t->audio.bitrate;
    out->audio.channels = (int)t->audio.channels;
    out->audio.sample_rate = (int)t->audio.sample_rate;
    out->audio.webrtc_opus = t->audio.webrtc == SL_WEBRTC_OPUS && t->audio.codec == SL_ACODEC_AAC;
}

/* Where an encoder reads what does not lie on this machine: a camera, a server, or what somebody
 * publishes on NAME/ingest, which the internal user may read. */
static void encspec_net(struct sl_encspec *out, const struct sl_desired_stream *desired,
                        const struct sl_publisher *publisher)
{
    const struct sl_source *source = &desired->spec->source;
    const char *url = "", *transport = "", *username = "", *password = desired->password.value;

    if (source->rtsp) {
        url = source->rtsp->url;
        transport = pick(transports, SL_TRANSPORT_COUNT, source->rtsp->transport);
        username = source->rtsp->username;
    } else if (source->pull) {
        url = source->pull->url;
        username = source->pull->username;
    } else if (source->publish) {
        transport = "tcp";
        username = publisher->username;
        password = publisher->password;
    }
    out->net.url = source->publish
                       ? sl_asprintf("%s/%s/ingest", publisher->url, desired->accepted->name)
                       : sl_strdup(url);
    out->net.transport = sl_strdup(transport);
    out->net.username = text_or(username, "");
    out->net.password = text_or(password, "");
    out->net.passphrase = text_or(source->pull ? desired->passphrase.value : NULL, "");
    out->net.stream_id = text_or(source->pull ? desired->stream_id.value : NULL, "");
    out->net.silence = NET_SILENCE;
}

static bool is_net(const struct sl_source *source)
{
    return source->rtsp || source->pull || source->publish;
}

struct sl_encspec *fleet_encspec(const struct sl_desired_stream *desired,
                                 const struct sl_publisher *publisher, const char *uid)
{
    const struct sl_stream_spec *spec = desired->spec;
    struct sl_encspec *out = sl_alloc(sizeof(*out));
    bool copy = spec->encode.copy || (!spec->encode.transcode && !spec->source.test);

    out->uid = sl_strdup(uid);
    out->name = sl_strdup(desired->accepted->name);
    out->spec_hash = sl_strdup(desired->enc_hash);
    out->generation = desired->accepted->generation;
    out->hold = true;
    out->source = spec->source.test       ? SL_ENC_TEST
                  : is_net(&spec->source) ? SL_ENC_NET
                                          : SL_ENC_FILE;
    out->file.path = text_or(desired->media_path, "");
    out->test.pattern = sl_strdup("");
    if (spec->source.file) {
        out->file.loop = spec->source.file->loop;
        out->file.start_at = spec->source.file->start_at;
    }
    if (spec->source.test) {
        free(out->test.pattern);
        out->test.pattern = sl_strdup(pick(patterns, SL_PATTERN_COUNT, spec->source.test->pattern));
        out->test.width = 1280;
        out->test.height = 720;
        size_of(spec->source.test->size, &out->test.width, &out->test.height);
        out->test.rate = spec->source.test->rate > 0 ? spec->source.test->rate : 25;
        out->test.tone = (int)spec->source.test->tone;
    }
    encspec_net(out, desired, publisher);
    out->mode = copy ? SL_ENC_COPY : SL_ENC_TRANSCODE;
    encspec_encode(out, spec->encode.transcode);
    out->publish.url = sl_asprintf("%s/%s", publisher->url, desired->accepted->name);
    out->publish.username = text_or(publisher->username, "");
    out->publish.password = text_or(publisher->password, "");
    return out;
}

/* The spec holds a password: it lies in memory only and goes by descriptor. */
static int spec_memfd(const struct sl_encspec *spec)
{
    sl_autofree char *text = sl_encspec_to_json(spec);
    size_t len = strlen(text), done = 0;
    int fd = memfd_create("sluice-encspec", MFD_CLOEXEC);

    while (fd >= 0 && done < len) {
        ssize_t n = write(fd, text + done, len - done);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            sl_closep(&fd);
            fd = -1;
            break;
        }
        done += (size_t)n;
    }
    if (fd >= 0)
        lseek(fd, 0, SEEK_SET);
    explicit_bzero(text, len);
    return fd;
}

/* A reference to a secret that is not there: no encoder can open its source. */
static bool secret_missing(const struct sl_desired_stream *desired)
{
    const struct sl_secret_seen *const list[] = {&desired->password, &desired->passphrase,
                                                 &desired->stream_id};

    for (size_t i = 0; i < SL_COUNT(list); i++) {
        if (list[i]->name && !list[i]->value)
            return true;
    }
    return false;
}

static bool start_under_way(struct sl_fleet *fleet, const struct sl_desired_stream *desired)
{
    for (size_t i = 0; i < fleet->count; i++) {
        const struct fleet_enc *enc = fleet->encs[i];

        if (enc->seen.alive && !enc->seen.stop_asked && !enc->killed &&
            strcmp(enc->seen.record.name, desired->accepted->name) == 0 &&
            strcmp(enc->seen.record.spec_hash, desired->enc_hash) == 0)
            return true;
    }
    return false;
}

static void refuse(struct fleet_enc *enc, const char *error)
{
    struct sl_record *r = &enc->seen.record;

    enc->refused = true;
    enc->seen.alive = false;
    r->state = SL_ENC_ENDED;
    r->state_since = sl_now_wall();
    snprintf(r->reason, sizeof(r->reason), "StartRefused");
    snprintf(r->message, sizeof(r->message), "the encoder host: %s", error);
    sl_log(SL_LOG_WARN, "encoder not started", "stream", r->name, "gen",
           sl_num((long long)r->generation), "reason", enc->reason, "error", error, NULL);
}

static void act_start(struct sl_fleet *fleet, const struct sl_action *action,
                      const struct sl_publisher *publisher)
{
    const struct sl_desired_stream *desired = action->desired;
    uint8_t raw[SL_UID_LEN / 2];
    char uid[SL_UID_LEN + 1];
    struct fleet_enc *enc;
    struct sl_record *r;
    struct sl_encspec *spec;
    int memfd;

    if (!desired || !publisher || !publisher->url || !fleet->host.up ||
        start_under_way(fleet, desired) || secret_missing(desired))
        return; /* the plan asks again */
    if (getrandom(raw, sizeof(raw), 0) != (ssize_t)sizeof(raw))
        return;
    for (size_t i = 0; i < sizeof(raw); i++)
        snprintf(uid + 2 * i, 3, "%02x", raw[i]);
    spec = fleet_encspec(desired, publisher, uid);
    memfd = spec_memfd(spec);
    sl_encspec_free(spec);
    enc = fleet_add(fleet, uid);
    r = &enc->seen.record;
    r->layout = SL_RECORD_LAYOUT;
    snprintf(r->name, sizeof(r->name), "%s", desired->accepted->name);
    snprintf(r->spec_hash, sizeof(r->spec_hash), "%s", desired->enc_hash);
    snprintf(r->boot_id, sizeof(r->boot_id), "%s", sl_boot_id());
    r->generation = desired->accepted->generation;
    r->since = r->state_since = sl_now_wall();
    r->state = SL_ENC_STARTING;
    enc->seen.alive = true;
    enc->asked_at = sl_now_mono();
    enc->reason = sl_strdup(action->reason ? action->reason : "wanted");
    if (memfd < 0) {
        refuse(enc, "no memory for the encoder's spec");
        return;
    }
    fleet_host_start(fleet, uid, memfd);
}

void fleet_started(struct sl_fleet *fleet, const char *uid, int pid, int pidfd, const char *error)
{
    struct fleet_enc *enc = fleet_find(fleet, uid);
    bool dropped;

    if (!enc) {
        sl_closep(&pidfd);
        return;
    }
    enc->answered_at = sl_now_mono();
    if (error) {
        sl_closep(&pidfd);
        refuse(enc, error);
        fleet->fn(fleet->user);
        return;
    }
    if (!enc->known)
        enc->seen.record.pid = pid;
    fleet_take_pidfd(fleet, enc, pidfd);
    sl_log(SL_LOG_INFO, "encoder started", "stream", enc->seen.record.name, "gen",
           sl_num((long long)enc->seen.record.generation), "pid", sl_num(pid), "reason",
           enc->reason, NULL);
    fleet_wake_at(fleet, enc->answered_at + FLEET_RECORD_WAIT);
    if (fleet_refresh(fleet, uid, &dropped))
        fleet->fn(fleet->user);
    enc = fleet_find(fleet, uid);
    if (enc && enc->seen.stop_asked) /* asked while the start was under way */
        fleet_ctl(fleet, enc, FLEET_STOP);
}

bool fleet_signal(struct sl_fleet *fleet, struct fleet_enc *enc, int sig)
{
    if (enc->pidfd >= 0 || fleet_same_process(enc)) {
        if ((enc->pidfd >= 0 ? pidfd_send_signal(enc->pidfd, sig, NULL, 0)
                             : kill(enc->seen.record.pid, sig)) == 0)
            return true;
        if (errno != EPERM && errno != EINVAL)
            return false;
    }
    return fleet_host_signal(fleet, enc->seen.record.uid, sig);
}

static void out_of_reach(struct fleet_enc *enc, const char *why)
{
    if (!enc->unkillable)
        sl_log(SL_LOG_ERROR, "cannot end an encoder: its process is out of reach", "stream",
               enc->seen.record.name, "pid", sl_num(enc->seen.record.pid), "error", why, NULL);
    enc->unkillable = true;
}

void fleet_signal_refused(struct sl_fleet *fleet, const char *uid, int sig, const char *error)
{
    struct fleet_enc *enc = fleet_find(fleet, uid);
    bool dropped;

    if (fleet_refresh(fleet, uid, &dropped))
        fleet->fn(fleet->user);
    if (dropped || !enc || !enc->seen.alive || sig != SIGKILL)
        return;
    enc->killed = false;
    out_of_reach(enc, error);
}

static void log_act(const struct sl_action *action, const struct fleet_enc *enc, const char *what)
{
    sl_log(SL_LOG_INFO, what, "stream", enc->seen.record.name, "gen",
           sl_num((long long)enc->seen.record.generation), "pid", sl_num(enc->seen.record.pid),
           "reason", action->reason, NULL);
}

static void kill_now(struct sl_fleet *fleet, struct fleet_enc *enc)
{
    if (fleet_signal(fleet, enc, SIGKILL)) {
        enc->killed = true;
        fleet_wake_at(fleet, sl_now_mono() + 50);
        return;
    }
    if (fleet->host.up)
        out_of_reach(enc, NULL);
    else
        fleet_wake_at(fleet, sl_now_mono() + 1000); /* it may be asked when it is back */
}

/* ctl first, then SIGTERM, then SIGKILL: libav may hang in its end (spikes.md, SVT-AV1). */
void fleet_stop_tick(struct sl_fleet *fleet, struct fleet_enc *enc, int64_t now)
{
    int64_t age = now - enc->seen.stop_since;

    if (!enc->seen.stop_asked || !enc->seen.alive || enc->killed || enc->unkillable ||
        enc->died_at || (enc->asked_at && !enc->answered_at))
        return;
    if (!enc->termed && (enc->stop_failed || age >= FLEET_GRACE_TERM)) {
        fleet_signal(fleet, enc, SIGTERM);
        enc->termed = true;
    }
    if (age >= FLEET_GRACE_KILL)
        kill_now(fleet, enc);
    else
        fleet_wake_at(fleet,
                      enc->seen.stop_since + (enc->termed ? FLEET_GRACE_KILL : FLEET_GRACE_TERM));
}

int fleet_forget(struct sl_fleet *fleet, const char *uid, struct sl_err *err)
{
    struct fleet_enc *enc = fleet_find(fleet, uid);
    struct pollfd p = {.fd = enc ? enc->pidfd : -1, .events = POLLIN};
    sl_autofd int dir = -1;
    sl_autofd int lock = -1;

    if (!fleet_uid_ok(uid))
        return sl_err_set(err, SL_ERR_BUG, 0, "", "not an encoder's uid");
    if (enc && (enc->seen.newer_layout || (enc->asked_at && !enc->answered_at) ||
                (enc->pidfd >= 0 && poll(&p, 1, 0) == 0)))
        return sl_err_set(err, SL_ERR_BUG, EBUSY, "Alive", "encoder %s is not dead", uid);
    dir = openat(fleet->enc_fd, uid, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (dir >= 0) {
        if (fleet_probe(dir, &lock) == FLEET_LOCK_HELD)
            return sl_err_set(err, SL_ERR_BUG, EBUSY, "Alive", "encoder %s holds its lock", uid);
        if (sl_rmdir_flat(fleet->enc_fd, uid, err) < 0)
            return -1;
    }
    if (enc)
        fleet_drop(fleet, enc);
    return 0;
}

static void act_stop(struct sl_fleet *fleet, const struct sl_action *action, struct fleet_enc *enc)
{
    if (enc->seen.stop_asked || !enc->seen.alive || enc->seen.newer_layout)
        return;
    enc->seen.stop_asked = true;
    enc->seen.stop_since = sl_now_mono();
    log_act(action, enc, "stopping encoder");
    fleet_wake_at(fleet, enc->seen.stop_since + FLEET_GRACE_TERM);
    if (!enc->asked_at || enc->answered_at) /* else: when the host has answered */
        fleet_ctl(fleet, enc, FLEET_STOP);
}

static void act_go(struct sl_fleet *fleet, const struct sl_action *action, struct fleet_enc *enc)
{
    int64_t now = sl_now_mono();

    if (enc->pending[FLEET_GO] || !enc->seen.alive || enc->seen.stop_asked ||
        (enc->retry_at && now < enc->retry_at) || (enc->go_at && now - enc->go_at < 1000))
        return;
    if (!enc->go_at)
        log_act(action, enc, "encoder may publish");
    fleet_ctl(fleet, enc, FLEET_GO);
    if (enc->pending[FLEET_GO])
        enc->go_at = now;
}

void sl_fleet_apply(struct sl_fleet *fleet, const struct sl_action *actions, size_t count,
                    const struct sl_publisher *publisher)
{
    for (size_t i = 0; i < count; i++) {
        const struct sl_action *action = &actions[i];
        struct fleet_enc *enc = fleet_find(fleet, action->uid);
        struct sl_err err = {0};

        if (!enc && action->kind != SL_ACT_START)
            continue; /* gone already */
        switch (action->kind) {
        case SL_ACT_START:
            act_start(fleet, action, publisher);
            break;
        case SL_ACT_GO:
            act_go(fleet, action, enc);
            break;
        case SL_ACT_STOP:
            act_stop(fleet, action, enc);
            break;
        case SL_ACT_KILL:
            if (enc->killed || enc->unkillable || !enc->seen.alive || enc->seen.newer_layout)
                break;
            log_act(action, enc, "killing encoder");
            kill_now(fleet, enc);
            break;
        case SL_ACT_FORGET:
            if (enc->seen.alive || enc->seen.newer_layout)
                break;
            log_act(action, enc, "forgetting a dead encoder");
            if (fleet_forget(fleet, action->uid, &err) < 0)
                sl_log(SL_LOG_WARN, "cannot forget a dead encoder", "stream", action->stream,
                       "error", err.text, NULL);
            break;
        case SL_ACT_COUNT:
            break;
        }
    }
}
