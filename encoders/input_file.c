/* SPDX-License-Identifier: GPL-2.0-or-later
 * Input: a media file, played once or round after round without a gap. Packets are queued a track
 * and given out by dts, so a badly interleaved file is paced well; the next round is read while
 * the last packets of this one still wait, so the seam is paced well too.
 * Layer: encoders. Never decodes; opens nothing but the one file (protocol and format lists).
 */
#include "encoders/av_bridge.h"
#include "encoders/input.h"
#include "encoders/queue.h"
#include "encoders/timeline.h"
#include "encoders/tracks.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define QUEUE_PACKETS 4096
#define QUEUE_BYTES   (8 << 20)
#define GAP_US        10000000 /* in a container whose clock may jump, a longer step is a jump */
#define FRESH_SECONDS 2        /* a file written to this recently may be incomplete */

static const char formats[] = "mov,matroska,webm,mpegts,mpeg,avi,flv,ogg,mp3,wav,aac,h264,hevc,ivf,"
                              "mp4,m4a,3gp,3g2,mj2,mpegvideo,m4v,asf,flac,mxf";

struct file {
    char *path;
    bool loop, eof, shifted, seekable;
    AVFormatContext *format;
    int stream[SL_MEDIA_COUNT]; /* -1: none */
    struct sl_queue queue[SL_MEDIA_COUNT];
    struct sl_seam seam;
    struct sl_timeline line; /* of this round, when the container's clock may jump */
    bool jumpy;
    bool broken;                   /* the disk failed: the file must be opened anew */
    int64_t shift[SL_MEDIA_COUNT]; /* added so that the first dts is not negative */
    int64_t last_dts[SL_MEDIA_COUNT];
    int64_t newest[SL_MEDIA_COUNT]; /* dts of the packet queued last */
    int64_t resume[SL_MEDIA_COUNT]; /* up to this dts all is known already */
    uint64_t read;                  /* packets in this round */
};

/* Whether the demuxer told all there is to know, so that no packet need be probed. */
static bool told_all(const AVFormatContext *format)
{
    if (!strstr(format->iformat->name, "mp4"))
        return false;
    for (unsigned i = 0; i < format->nb_streams; i++) {
        const AVCodecParameters *par = format->streams[i]->codecpar;

        if (par->codec_type == AVMEDIA_TYPE_VIDEO &&
            !(par->codec_id == AV_CODEC_ID_H264 || par->codec_id == AV_CODEC_ID_HEVC))
            return false;
        if (par->codec_type == AVMEDIA_TYPE_AUDIO &&
            (par->codec_id != AV_CODEC_ID_AAC || !par->sample_rate || !par->ch_layout.nb_channels))
            return false;
        if ((par->codec_type == AVMEDIA_TYPE_VIDEO || par->codec_type == AVMEDIA_TYPE_AUDIO) &&
            (par->extradata_size < 2 || (par->codec_type == AVMEDIA_TYPE_VIDEO && !par->width)))
            return false;
    }
    return format->nb_streams > 0;
}

/* The disk, or the network behind it, fails: tried again. */
static int unreadable(const struct file *f, int rc, struct sl_err *err)
{
    return sl_err_set(err, SL_ERR_TRANSIENT, EIO, "FileUnreadable",
                      "reading %s failed (%s); look at its disk. Trying again", f->path,
                      sl_av_text(rc));
}

static bool fresh(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && time(NULL) - st.st_mtime < FRESH_SECONDS;
}

/* Where the file must end at the earliest, by the demuxer's index; 0: it has none. */
static int64_t indexed_end(const AVFormatContext *format)
{
    int64_t end = 0;

    for (unsigned i = 0; i < format->nb_streams; i++) {
        AVStream *s = format->streams[i];
        int n = avformat_index_get_entries_count(s);

        for (int k = n > 8 ? n - 8 : 0; k < n; k++) {
            const AVIndexEntry *e = avformat_index_get_entry(s, k);

            if (e && e->pos + e->size > end)
                end = e->pos + e->size;
        }
    }
    return end;
}

/* Other files of that name are taken for MP4, too. */
static bool begins_as_mp4(const char *path)
{
    static const char *const boxes[] = {"ftyp", "mdat", "free", "wide", "skip", "styp", "moov"};
    sl_autofd int fd = open(path, O_RDONLY | O_CLOEXEC);
    char head[8];

    if (fd < 0 || read(fd, head, sizeof(head)) != (ssize_t)sizeof(head))
        return false;
    for (size_t i = 0; i < SL_COUNT(boxes); i++) {
        if (memcmp(head + 4, boxes[i], 4) == 0)
            return true;
    }
    return false;
}

static int not_media(const char *path, off_t size, int rc, struct sl_err *err)
{
    const char *said = sl_bridge_last();

    if (fresh(path))
        return sl_err_set(err, SL_ERR_TRANSIENT, 0, "FileIncomplete",
                          "%s is still being written; waiting for its end", path);
    if (size == 0)
        return sl_err_set(err, SL_ERR_HUMAN, 0, "NotMedia", "%s is empty; replace it", path);
    if (strstr(said, "moov atom not found") && begins_as_mp4(path))
        return sl_err_set(err, SL_ERR_HUMAN, 0, "Truncated",
                          "%s is cut off: its index, at the end, is missing; replace it", path);
    if (strstr(said, "whitelist"))
        return sl_err_set(err, SL_ERR_HUMAN, 0, "NotMedia",
                          "%s is of a kind that is not played (a picture, a playlist, …); replace "
                          "it with a video or sound file",
                          path);
    return sl_err_set(err, SL_ERR_HUMAN, 0, "NotMedia",
                      "%s is no media file that can be read (%s%s%s); replace it", path,
                      sl_av_text(rc), *said ? ": " : "", said);
}

static int check_whole(const struct file *f, off_t size, struct sl_err *err)
{
    int64_t end = strstr(f->format->iformat->name, "mp4") ? indexed_end(f->format) : 0;

    if (end <= size)
        return 0;
    if (fresh(f->path))
        return sl_err_set(err, SL_ERR_TRANSIENT, 0, "FileIncomplete",
                          "%s is still being written; waiting for its end", f->path);
    return sl_err_set(err, SL_ERR_HUMAN, 0, "Truncated",
                      "%s is cut off: %lld of at least %lld bytes are there; replace it", f->path,
                      (long long)size, (long long)end);
}

/* Opens the one file and chooses its tracks; on failure nothing is open. */
static int open_format(struct sl_input *input, struct sl_err *err)
{
    struct file *f = input->priv;
    AVDictionary *options = NULL;
    struct stat st;
    int rc;

    if (stat(f->path, &st) < 0 && (errno == ENOENT || errno == ENOTDIR))
        return sl_err_set(err, SL_ERR_TRANSIENT, errno, "FileMissing",
                          "%s does not exist; waiting for it", f->path);
    if (access(f->path, R_OK) < 0)
        return sl_err_set(err, SL_ERR_TRANSIENT, errno, "FileUnreadable",
                          "%s cannot be read (%s); give the user of sluice-encoder read permission",
                          f->path, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return sl_err_set(err, SL_ERR_HUMAN, 0, "NotMedia", "%s is not a regular file", f->path);
    f->format = avformat_alloc_context();
    if (!f->format)
        abort();
    f->format->interrupt_callback = input->interrupt;
    f->format->probesize = 2 << 20;
    f->format->max_analyze_duration = 3 * AV_TIME_BASE;
    av_dict_set(&options, "protocol_whitelist", "file", 0);
    av_dict_set(&options, "format_whitelist", formats, 0);
    sl_bridge_forget();
    sl_autofree char *url = sl_asprintf("file:%s", f->path);
    rc = avformat_open_input(&f->format, url, NULL, &options);
    av_dict_free(&options);
    if (rc >= 0 && !told_all(f->format)) {
        rc = avformat_find_stream_info(f->format, NULL);
        if (rc < 0)
            avformat_close_input(&f->format);
    }
    if (rc == AVERROR_EXIT)
        return sl_err_set(err, SL_ERR_TRANSIENT, EINTR, "Stopped", "stopped while opening %s",
                          f->path);
    if (rc == AVERROR(EIO))
        return unreadable(f, rc, err);
    if (rc < 0)
        return not_media(f->path, st.st_size, rc, err);
    if (check_whole(f, st.st_size, err) < 0 ||
        sl_tracks_choose(f->format, f->path, f->stream, err) < 0) {
        avformat_close_input(&f->format);
        return -1;
    }
    return 0;
}

/* Matroska tells no dts for a round's first pictures when there are B-frames: they count back from
 * the first that is told. INT64_MIN: none came, so they stand in the order of their pts. */
static void settle_dts(struct file *f, enum sl_media m, int64_t next)
{
    struct sl_queue *q = &f->queue[m];

    for (size_t i = q->count; i > 0; i--) {
        AVPacket *packet = sl_queue_at(q, i - 1);

        if (packet->dts != AV_NOPTS_VALUE)
            break;
        next =
            next == INT64_MIN ? packet->pts : next - (f->seam.frame[m] > 0 ? f->seam.frame[m] : 1);
        packet->dts = next;
    }
}

/* One packet from the demuxer onto its queue. 1: done (or dropped); 0: end of the round; -1: it
 * cannot be read now. */
static int demux(struct sl_input *input, struct sl_err *err)
{
    struct file *f = input->priv;
    AVPacket *packet = av_packet_alloc();
    enum sl_media m;
    int rc;

    if (!packet)
        abort();
    rc = av_read_frame(f->format, packet);
    if (rc < 0) {
        int disk = f->format->pb ? f->format->pb->error : 0;

        av_packet_free(&packet);
        if (rc == AVERROR_EXIT)
            return sl_err_set(err, SL_ERR_TRANSIENT, EINTR, "Stopped", "stopped");
        if (disk < 0 && disk != AVERROR_EOF)
            return unreadable(f, disk, err);
        if (rc != AVERROR_EOF)
            sl_bridge_log(SL_LOG_WARN, "reading %s: %s; taken as its end", f->path, sl_av_text(rc));
        return 0;
    }
    m = packet->stream_index == f->stream[SL_VIDEO] ? SL_VIDEO : SL_AUDIO;
    if (packet->stream_index != f->stream[m] || packet->size == 0)
        goto drop;
    if (packet->dts == AV_NOPTS_VALUE && m == SL_AUDIO)
        packet->dts = packet->pts;
    if (packet->dts == AV_NOPTS_VALUE && packet->pts == AV_NOPTS_VALUE) {
        /* a raw stream: counted */
        const AVPacket *before =
            f->queue[m].count
                ? f->queue[m].list[(f->queue[m].first + f->queue[m].count - 1) % f->queue[m].cap]
                : NULL;
        int64_t step = f->seam.frame[m] > 0 ? f->seam.frame[m] : 1;
        int64_t past = f->last_dts[m] == INT64_MIN ? -step : f->last_dts[m];

        packet->dts =
            (before ? before->dts : past) + step - sl_seam_offset(&f->seam, m) - f->shift[m];
    }
    if (packet->pts == AV_NOPTS_VALUE)
        packet->pts = packet->dts;
    if (sl_tracks_encrypted(packet)) {
        av_packet_free(&packet);
        return sl_err_set(err, SL_ERR_HUMAN, 0, "Encrypted",
                          "%s is encrypted: replace it with one that is not", f->path);
    }
    if (f->jumpy && packet->dts != AV_NOPTS_VALUE)
        sl_timeline_map(&f->line, m, &packet->dts, &packet->pts, packet->duration);
    if (packet->flags & AV_PKT_FLAG_DISCARD) {
        /* priming: heard by the decoder in the first round only, never copied */
        if (m == SL_AUDIO && (input->copy || input->rounds > 0))
            goto drop;
    } else {
        sl_seam_see(&f->seam, m, packet->pts, packet->duration);
    }
    if (m == SL_AUDIO && input->rounds > 0) { /* the decoder is warm: nothing to skip at a seam */
        size_t size;
        uint8_t *skip = av_packet_get_side_data(packet, AV_PKT_DATA_SKIP_SAMPLES, &size);

        if (skip)
            memset(skip, 0, size);
    }
    if (packet->duration <= 0)
        packet->duration = f->seam.frame[m];
    packet->pts += sl_seam_offset(&f->seam, m) + f->shift[m];
    if (packet->dts != AV_NOPTS_VALUE) {
        packet->dts += sl_seam_offset(&f->seam, m) + f->shift[m];
        settle_dts(f, m, packet->dts);
    }
    if (packet->dts != AV_NOPTS_VALUE) {
        if (packet->dts <= f->resume[m])
            goto drop;
        f->resume[m] = INT64_MIN;
        f->newest[m] = packet->dts;
    }
    f->read++;
    sl_queue_push(&f->queue[m], packet);
    return 1;
drop:
    av_packet_free(&packet);
    return 1;
}

static void rewind_file(struct sl_input *input)
{
    struct file *f = input->priv;
    int ref = f->stream[SL_VIDEO] >= 0 ? f->stream[SL_VIDEO] : f->stream[SL_AUDIO];
    struct sl_err err;

    if (f->seekable && av_seek_frame(f->format, ref, INT64_MIN / 4, AVSEEK_FLAG_BACKWARD) >= 0)
        return;
    avformat_close_input(&f->format);
    if (open_format(input, &err) < 0) {
        sl_bridge_log(SL_LOG_WARN, "cannot play another round: %s", err.text);
        avformat_close_input(&f->format);
    }
}

/* A round's time stamps are the file's, but for jumps: the first packet says where it begins. */
static void begin_round(struct file *f)
{
    struct sl_timeline fresh_line;

    sl_timeline_begin(&fresh_line, GAP_US);
    fresh_line.fresh = false;
    for (int m = 0; m < SL_MEDIA_COUNT; m++) {
        if (f->stream[m] >= 0)
            sl_timeline_add(&fresh_line, (enum sl_media)m, f->line.base[m], f->line.frame[m]);
    }
    f->line = fresh_line;
}

/* The round ended: leaves out sound that reaches into the next, and starts it. */
static void turn(struct sl_input *input)
{
    struct file *f = input->priv;
    struct sl_queue *q = &f->queue[SL_AUDIO];
    int64_t next = sl_seam_next(&f->seam);

    while (q->count) {
        AVPacket *last = sl_queue_at(q, q->count - 1);

        if (sl_seam_keeps(&f->seam, last->pts - f->shift[SL_AUDIO], last->duration, next))
            break;
        last = sl_queue_last(q);
        av_packet_free(&last);
    }
    input->rounds++;
    f->read = 0;
    begin_round(f);
    rewind_file(input);
}

/* The disk gives again: on from where it failed, or from the next round's beginning. What was read
 * twice is left out by its time stamps. */
static void go_on(struct sl_input *input)
{
    struct file *f = input->priv;
    enum sl_media ref = f->stream[SL_VIDEO] >= 0 ? SL_VIDEO : SL_AUDIO;

    f->broken = false;
    if (f->seam.end[ref] == INT64_MIN)
        return;
    if (f->jumpy ||
        av_seek_frame(f->format, f->stream[ref], f->seam.end[ref], AVSEEK_FLAG_BACKWARD) < 0)
        turn(input);
    else
        memcpy(f->resume, f->newest, sizeof(f->resume));
}

static bool wants_more(const struct file *f)
{
    bool empty = false;
    size_t count = 0;

    for (int m = 0; m < SL_MEDIA_COUNT; m++) {
        if (f->stream[m] >= 0) {
            empty |= f->queue[m].count == 0 || sl_queue_head(&f->queue[m])->dts == AV_NOPTS_VALUE;
            count += f->queue[m].count;
        }
    }
    return empty && count < QUEUE_PACKETS &&
           f->queue[SL_VIDEO].bytes + f->queue[SL_AUDIO].bytes < QUEUE_BYTES;
}

/* Fills the queues until each track has a packet. -1: the file cannot be read now. */
static int fill(struct sl_input *input, struct sl_err *err)
{
    struct file *f = input->priv;

    while (!f->eof && wants_more(f)) {
        uint64_t had = f->read;
        int rc;

        if (!f->format) { /* it went away between two rounds, or the disk failed */
            if (open_format(input, err) < 0)
                return -1;
            if (f->broken)
                go_on(input);
        }
        rc = demux(input, err);
        if (rc < 0 && sl_streq(err->code, "FileUnreadable")) {
            f->broken = true;
            avformat_close_input(&f->format);
        }
        if (rc < 0)
            return -1;
        if (rc > 0)
            continue;
        settle_dts(f, SL_VIDEO, INT64_MIN);
        if (!f->loop || had == 0)
            f->eof = true; /* also: a round without a packet would spin for ever */
        else
            turn(input);
    }
    settle_dts(f, SL_VIDEO, INT64_MIN); /* the queue is full and still none was told */
    return 0;
}

static int64_t to_us(const struct sl_input *input, enum sl_media m, int64_t ts)
{
    return av_rescale_q(ts, input->track[m].time_base, AV_TIME_BASE_Q);
}

/* The first dts of each track is known: moves the time line so that none is negative. */
static void shift_start(struct sl_input *input)
{
    struct file *f = input->priv;
    int64_t low = INT64_MAX;

    for (int m = 0; m < SL_MEDIA_COUNT; m++) {
        const AVPacket *head = sl_queue_head(&f->queue[m]);

        if (head && to_us(input, (enum sl_media)m, head->dts) < low)
            low = to_us(input, (enum sl_media)m, head->dts);
    }
    if (low == INT64_MAX)
        return;
    for (int m = 0; m < SL_MEDIA_COUNT; m++) {
        struct sl_queue *q = &f->queue[m];

        if (f->stream[m] < 0)
            continue;
        f->shift[m] =
            av_rescale_q_rnd(-low, AV_TIME_BASE_Q, input->track[m].time_base, AV_ROUND_UP);
        for (size_t i = 0; i < q->count; i++) {
            sl_queue_at(q, i)->pts += f->shift[m];
            sl_queue_at(q, i)->dts += f->shift[m];
        }
    }
}

/* After a seek that may have landed anywhere (MPEG-TS): begins with a keyframe, and with no sound
 * from before it. */
static int enter_at_key(struct sl_input *input, struct sl_err *err)
{
    struct file *f = input->priv;

    for (;;) {
        const AVPacket *v, *a;
        enum sl_media drop = SL_MEDIA_COUNT;
        AVPacket *packet;

        if (fill(input, err) < 0)
            return -1;
        v = sl_queue_head(&f->queue[SL_VIDEO]);
        a = sl_queue_head(&f->queue[SL_AUDIO]);
        if (v && !(v->flags & AV_PKT_FLAG_KEY))
            drop = SL_VIDEO;
        else if (v && a && to_us(input, SL_AUDIO, a->pts) < to_us(input, SL_VIDEO, v->dts))
            drop = SL_AUDIO;
        if (drop == SL_MEDIA_COUNT)
            return 0;
        packet = sl_queue_pop(&f->queue[drop]);
        av_packet_free(&packet);
    }
}

static int start_at(struct sl_input *input, int64_t ms, struct sl_err *err)
{
    struct file *f = input->priv;
    int ref = f->stream[SL_VIDEO] >= 0 ? SL_VIDEO : SL_AUDIO;
    int64_t ts =
        f->seam.origin[ref] + av_rescale_q(ms, (AVRational){1, 1000}, input->track[ref].time_base);

    if (av_seek_frame(f->format, f->stream[ref], ts, AVSEEK_FLAG_BACKWARD) < 0) {
        sl_bridge_log(SL_LOG_WARN, "cannot seek in %s: it starts at its beginning", f->path);
        return 0;
    }
    for (int m = 0; m < SL_MEDIA_COUNT; m++) {
        sl_queue_clear(&f->queue[m]);
        f->seam.end[m] = INT64_MIN;
    }
    f->eof = false;
    f->read = 1;
    return enter_at_key(input, err);
}

static int file_open(struct sl_input *input, const struct sl_encspec *spec, struct sl_err *err)
{
    struct file *f = sl_alloc(sizeof(*f));

    input->priv = f;
    f->path = sl_strdup(spec->file.path);
    f->loop = spec->file.loop;
    if (open_format(input, err) < 0)
        return -1;
    f->seekable = strstr(f->format->iformat->name, "mp4") != NULL;
    input->duration = f->format->duration > 0 ? f->format->duration : 0;
    for (int m = 0; m < SL_MEDIA_COUNT; m++) {
        AVStream *s;
        int64_t frame = 0;

        f->last_dts[m] = f->newest[m] = f->resume[m] = INT64_MIN;
        if (f->stream[m] < 0)
            continue;
        s = f->format->streams[f->stream[m]];
        sl_tracks_describe(f->format, f->stream[m], (enum sl_media)m, &input->track[m]);
        frame = sl_tracks_frame(f->format, f->stream[m], &input->track[m]);
        sl_timeline_add(&f->line, (enum sl_media)m, s->time_base, frame);
        sl_seam_add(&f->seam, (enum sl_media)m, s->time_base, frame);
    }
    f->jumpy = f->format->iformat->flags & AVFMT_TS_DISCONT;
    begin_round(f);
    if (fill(input, err) < 0)
        return -1;
    if (spec->file.start_at > 0 && start_at(input, spec->file.start_at, err) < 0)
        return -1;
    shift_start(input);
    if (!sl_queue_head(&f->queue[SL_VIDEO]) && !sl_queue_head(&f->queue[SL_AUDIO]))
        return sl_err_set(err, SL_ERR_HUMAN, 0, "NoTracks", "%s holds no packet", f->path);
    return 0;
}

static int file_read(struct sl_input *input, struct sl_item *ret, struct sl_err *err)
{
    struct file *f = input->priv;

    for (;;) {
        const AVPacket *v, *a;
        AVPacket *packet;
        enum sl_media m;

        if (fill(input, err) < 0)
            return -1;
        v = sl_queue_head(&f->queue[SL_VIDEO]);
        a = sl_queue_head(&f->queue[SL_AUDIO]);
        if (!v && !a)
            return 0;
        m = !a || (v && to_us(input, SL_VIDEO, v->dts) <= to_us(input, SL_AUDIO, a->dts))
                ? SL_VIDEO
                : SL_AUDIO;
        packet = sl_queue_pop(&f->queue[m]);
        if (packet->dts <= f->last_dts[m]) {
            if (m == SL_AUDIO) {
                av_packet_free(&packet);
                continue;
            }
            packet->dts = f->last_dts[m] + 1;
            if (packet->pts < packet->dts)
                packet->pts = packet->dts;
        }
        f->last_dts[m] = packet->dts;
        *ret = (struct sl_item){.media = m, .packet = packet, .due = to_us(input, m, packet->dts)};
        return 1;
    }
}

static const AVPacket *file_peek(struct sl_input *input, enum sl_media media)
{
    struct file *f = input->priv;

    return sl_queue_head(&f->queue[media]);
}

static void file_close(struct sl_input *input)
{
    struct file *f = input->priv;

    if (!f)
        return;
    for (int m = 0; m < SL_MEDIA_COUNT; m++) {
        sl_queue_free(&f->queue[m]);
    }
    avformat_close_input(&f->format);
    free(f->path);
    free(f);
    input->priv = NULL;
}

const struct sl_input_class sl_input_file = {
    .name = "file",
    .open = file_open,
    .read = file_read,
    .peek = file_peek,
    .close = file_close,
};
