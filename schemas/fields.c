/* SPDX-License-Identifier: GPL-2.0-or-later
 * THE table of manifest fields. A new field is a member in manifest.h and a row here.
 */
#include "schemas/field.h"
#include "schemas/manifest.h"

#define ROWS(a)                .rows = (a), .count = SL_COUNT(a)
#define AT(type, member)       .offset = offsetof(struct type, member)
#define COUNT_AT(type, member) .count_offset = offsetof(struct type, member)

static const char *const kinds[] = {"Stream", "Config", NULL};
static const char *const patterns[] = {"smpte", "bars", "counter", NULL};
static const char *const transports[] = {"tcp", "udp", NULL};
static const char *const rtsp_schemes[] = {"rtsp", "rtsps", NULL};
static const char *const pull_schemes[] = {"srt", "rtmp", "rtmps", "http", "https", "udp", NULL};
static const char *const protocols[] = {"rtmp", "srt", "rtsp", "whip", NULL};
static const char *const vcodecs[] = {"h264", "h265", NULL};
static const char *const acodecs[] = {"aac", "opus", "copy", "none", NULL};
static const char *const webrtc_audio[] = {"opus", "none", NULL};
static const char *const presets[] = {"ultrafast", "superfast", "veryfast", "faster",   "fast",
                                      "medium",    "slow",      "slower",   "veryslow", NULL};
static const char *const profiles[] = {"baseline", "main", "high", NULL};

/* clang-format off */
static const struct sl_field file_rows[] = {
    {"path", SL_T_PATH, SL_IMPACT_SWAP, AT(sl_src_file, path), .required = true,
     .doc = "media file, relative to the media root; waited for until it is there and complete"},
    {"loop", SL_T_BOOL, SL_IMPACT_SWAP, AT(sl_src_file, loop), .def = "true",
     .doc = "begin again at the end"},
    {"startAt", SL_T_DURATION, SL_IMPACT_SWAP, AT(sl_src_file, start_at), .def = "0s",
     .min = 0, .max = 604800000, .doc = "where the first round begins"},
};
static const struct sl_table file_table = {"file", sizeof(struct sl_src_file), ROWS(file_rows)};

static const struct sl_field test_rows[] = {
    {"pattern", SL_T_ENUM, SL_IMPACT_SWAP, AT(sl_src_test, pattern), .values = patterns,
     .def = "smpte", .doc = "picture: SMPTE bars, plain bars, or a counter"},
    {"size", SL_T_SIZE, SL_IMPACT_SWAP, AT(sl_src_test, size), .def = "1280x720",
     .min = 16, .max = 7680, .doc = "width x height, even numbers"},
    {"rate", SL_T_REAL, SL_IMPACT_SWAP, AT(sl_src_test, rate), .def = "30", .min = 1, .max = 120,
     .doc = "frames per second"},
    {"tone", SL_T_INT, SL_IMPACT_SWAP, AT(sl_src_test, tone), .def = "440", .min = 0, .max = 20000,
     .doc = "Hz; 0: no sound"},
};
static const struct sl_table test_table = {"test", sizeof(struct sl_src_test), ROWS(test_rows)};

#define NAME_OF_FILE   "^[A-Za-z0-9][A-Za-z0-9._-]*$"
#define NAME_SAYS      "letters, digits, '.', '_', '-'; a letter or digit first"
#define REF_ROWS(best)                                                                             \
    {"name", SL_T_STRING, best, AT(sl_ref, name), .required = true, .pattern = NAME_OF_FILE,       \
     .pattern_says = NAME_SAYS,                                                                    \
     .doc = "name of the secret: a file, or a directory of keys, below a secrets directory"},          \
    {"key", SL_T_STRING, best, AT(sl_ref, key), .pattern = NAME_OF_FILE,                           \
     .pattern_says = NAME_SAYS, .doc = "which key of a secret that holds several"}
static const struct sl_field ref_rows[] = {REF_ROWS(SL_IMPACT_SWAP)};
static const struct sl_table ref_table = {"ref", sizeof(struct sl_ref), ROWS(ref_rows)};
static const struct sl_field publish_ref_rows[] = {REF_ROWS(SL_IMPACT_HOT)};
static const struct sl_table publish_ref_table = {
    "ref", sizeof(struct sl_ref), ROWS(publish_ref_rows)};

/* The user names of others; our own, below, are written into URLs by those who publish. */
#define USER_PATTERN "^[^:]{1,64}$"
#define USER_SAYS    "1 to 64 characters, no ':'"

static const struct sl_field rtsp_rows[] = {
    {"url", SL_T_STRING, SL_IMPACT_SWAP, AT(sl_src_rtsp, url), .required = true,
     .schemes = rtsp_schemes, .doc = "rtsp://HOST[:PORT]/PATH or rtsps://…, without credentials"},
    {"transport", SL_T_ENUM, SL_IMPACT_SWAP, AT(sl_src_rtsp, transport), .values = transports,
     .def = "tcp", .doc = "how media comes; tcp passes firewalls and loses nothing"},
    {"username", SL_T_STRING, SL_IMPACT_SWAP, AT(sl_src_rtsp, username), .pattern = USER_PATTERN,
     .pattern_says = USER_SAYS, .doc = "user at the camera"},
    {"passwordRef", SL_T_VARIANT, SL_IMPACT_SWAP, AT(sl_src_rtsp, password_ref), .sub = &ref_table,
     .doc = "the secret that holds the user's password"},
    {"exclusive", SL_T_BOOL, SL_IMPACT_NONE, AT(sl_src_rtsp, exclusive), .def = "false",
     .doc = "true: the camera serves one client only, so never open it twice"},
};
static const struct sl_table rtsp_table = {"rtsp", sizeof(struct sl_src_rtsp), ROWS(rtsp_rows)};

static const struct sl_field pull_rows[] = {
    {"url", SL_T_STRING, SL_IMPACT_SWAP, AT(sl_src_pull, url), .required = true,
     .schemes = pull_schemes,
     .doc = "srt, rtmp, rtmps; http and https (HLS, MPEG-TS); udp (MPEG-TS); no credentials"},
    {"username", SL_T_STRING, SL_IMPACT_SWAP, AT(sl_src_pull, username), .pattern = USER_PATTERN,
     .pattern_says = USER_SAYS, .doc = "user at the server; rtmp, rtmps, http, https"},
    {"passwordRef", SL_T_VARIANT, SL_IMPACT_SWAP, AT(sl_src_pull, password_ref), .sub = &ref_table,
     .doc = "the secret that holds the user's password"},
    {"passphraseRef", SL_T_VARIANT, SL_IMPACT_SWAP, AT(sl_src_pull, passphrase_ref),
     .sub = &ref_table, .doc = "srt: the secret that holds the encryption's passphrase"},
    {"streamIdRef", SL_T_VARIANT, SL_IMPACT_SWAP, AT(sl_src_pull, stream_id_ref),
     .sub = &ref_table, .doc = "srt: the secret that holds the stream id"},
};
static const struct sl_table pull_table = {"pull", sizeof(struct sl_src_pull), ROWS(pull_rows)};

/* Viewers stay with all of these: the publisher's session goes on, or ends as one would. */
static const struct sl_field publish_rows[] = {
    {"protocols", SL_T_STRINGS, SL_IMPACT_HOT, AT(sl_src_publish, protocols),
     COUNT_AT(sl_src_publish, protocols_count), .values = protocols,
     .doc = "by which one may publish; absent: by each of them"},
    {"username", SL_T_STRING, SL_IMPACT_HOT, AT(sl_src_publish, username),
     .pattern = "^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$",
     .pattern_says = "letters, digits, '_', '.', '-', 64 at most: it becomes part of URLs",
     .doc = "who may publish; absent: anybody"},
    {"passwordRef", SL_T_VARIANT, SL_IMPACT_HOT, AT(sl_src_publish, password_ref),
     .sub = &publish_ref_table, .doc = "the secret that holds the publisher's password"},
};
static const struct sl_table publish_table = {
    "publish", sizeof(struct sl_src_publish), ROWS(publish_rows)};

static const struct sl_field source_rows[] = {
    {"file", SL_T_VARIANT, SL_IMPACT_SWAP, AT(sl_source, file), .sub = &file_table,
     .implies = "encode.copy", .doc = "a media file"},
    {"rtsp", SL_T_VARIANT, SL_IMPACT_SWAP, AT(sl_source, rtsp), .sub = &rtsp_table,
     .implies = "encode.copy", .doc = "a camera, or any RTSP server"},
    {"pull", SL_T_VARIANT, SL_IMPACT_SWAP, AT(sl_source, pull), .sub = &pull_table,
     .implies = "encode.copy", .doc = "a server or sender that we read from: SRT, RTMP, HTTP, UDP"},
    {"publish", SL_T_VARIANT, SL_IMPACT_BREAK, AT(sl_source, publish), .sub = &publish_table,
     .implies = "encode.copy", .doc = "somebody sends to us: OBS Studio and other publishers"},
    {"test", SL_T_VARIANT, SL_IMPACT_SWAP, AT(sl_source, test), .sub = &test_table,
     .implies = "encode.transcode", .doc = "a generated test picture and tone"},
};
static const struct sl_table source_table = {
    "source", sizeof(struct sl_source), ROWS(source_rows), .one_of = true};

static const struct sl_field video_rows[] = {
    {"codec", SL_T_ENUM, SL_IMPACT_SWAP, AT(sl_video, codec), .values = vcodecs, .def = "h264",
     .doc = "video codec; h265 does not reach every viewer"},
    {"bitrate", SL_T_RATE, SL_IMPACT_SWAP, AT(sl_video, bitrate), .min = 10000, .max = 200000000,
     .doc = "average bits per second; absent: by quality"},
    {"maxBitrate", SL_T_RATE, SL_IMPACT_SWAP, AT(sl_video, max_bitrate), .min = 10000,
     .max = 200000000, .doc = "peak bits per second; at least bitrate"},
    {"size", SL_T_SIZE, SL_IMPACT_SWAP, AT(sl_video, size), .min = 16, .max = 7680,
     .doc = "width x height, even numbers; absent: the source's"},
    {"rate", SL_T_REAL, SL_IMPACT_SWAP, AT(sl_video, rate), .min = 1, .max = 120,
     .doc = "frames per second; absent: the source's"},
    {"keyframeInterval", SL_T_DURATION, SL_IMPACT_SWAP, AT(sl_video, keyframe_interval),
     .def = "2s", .min = 100, .max = 60000, .doc = "time between keyframes"},
    {"preset", SL_T_STRING, SL_IMPACT_SWAP, AT(sl_video, preset), .values = presets,
     .def = "veryfast", .doc = "x264's speed against size"},
    {"profile", SL_T_STRING, SL_IMPACT_SWAP, AT(sl_video, profile), .values = profiles,
     .doc = "absent: the encoder's choice; h265 has main only"},
    {"bFrames", SL_T_INT, SL_IMPACT_SWAP, AT(sl_video, b_frames), .def = "0", .min = 0, .max = 8,
     .doc = "B-frames between two others; above 0, WebRTC refuses the stream"},
};
static const struct sl_table video_table = {"video", sizeof(struct sl_video), ROWS(video_rows)};

static const struct sl_field audio_rows[] = {
    {"codec", SL_T_ENUM, SL_IMPACT_SWAP, AT(sl_audio, codec), .values = acodecs, .def = "aac",
     .doc = "audio codec; copy: as it comes, none: no sound"},
    {"bitrate", SL_T_RATE, SL_IMPACT_SWAP, AT(sl_audio, bitrate), .def = "128k", .min = 6000,
     .max = 512000, .doc = "bits per second"},
    {"channels", SL_T_INT, SL_IMPACT_SWAP, AT(sl_audio, channels), .min = 1, .max = 8,
     .doc = "absent: the source's"},
    {"sampleRate", SL_T_INT, SL_IMPACT_SWAP, AT(sl_audio, sample_rate), .min = 8000, .max = 96000,
     .doc = "Hz; absent: the source's"},
    {"webrtc", SL_T_ENUM, SL_IMPACT_SWAP, AT(sl_audio, webrtc), .values = webrtc_audio,
     .def = "opus", .doc = "opus: a second track that WebRTC viewers can hear"},
};
static const struct sl_table audio_table = {"audio", sizeof(struct sl_audio), ROWS(audio_rows)};

static const struct sl_field transcode_rows[] = {
    {"video", SL_T_MAP, SL_IMPACT_SWAP, AT(sl_transcode, video), .sub = &video_table,
     .doc = "the picture"},
    {"audio", SL_T_MAP, SL_IMPACT_SWAP, AT(sl_transcode, audio), .sub = &audio_table,
     .doc = "the sound"},
};
static const struct sl_table transcode_table = {
    "transcode", sizeof(struct sl_transcode), ROWS(transcode_rows)};
static const struct sl_table copy_table = {.name = "copy", .size = sizeof(struct sl_copy)};

static const struct sl_field encode_rows[] = {
    {"copy", SL_T_VARIANT, SL_IMPACT_SWAP, AT(sl_encode, copy), .sub = &copy_table,
     .doc = "pass the encoded media on, at next to no CPU"},
    {"transcode", SL_T_VARIANT, SL_IMPACT_SWAP, AT(sl_encode, transcode), .sub = &transcode_table,
     .doc = "decode and encode anew"},
};
static const struct sl_table encode_table = {"encode", sizeof(struct sl_encode),
    ROWS(encode_rows), .one_of = true, .one_of_default = "copy"};

static const struct sl_field stream_spec_rows[] = {
    {"suspend", SL_T_BOOL, SL_IMPACT_BREAK, AT(sl_stream_spec, suspend), .def = "false",
     .doc = "true: keep the stream, but off the air"},
    {"protect", SL_T_BOOL, SL_IMPACT_NONE, AT(sl_stream_spec, protect), .def = "false",
     .doc = "true: deleting it needs a commit that first sets this to false"},
    {"restartToken", SL_T_STRING, SL_IMPACT_SWAP, AT(sl_stream_spec, restart_token), .def = "",
     .doc = "change it to force a restart, in git"},
    {"source", SL_T_MAP, SL_IMPACT_SWAP, AT(sl_stream_spec, source), .required = true,
     .sub = &source_table, .doc = "where the media comes from: exactly one of"},
    {"encode", SL_T_MAP, SL_IMPACT_SWAP, AT(sl_stream_spec, encode), .sub = &encode_table,
     .doc = "exactly one of; absent: transcode for test, copy for all others"},
};
const struct sl_table sl_table_stream_spec = {
    "spec", sizeof(struct sl_stream_spec), ROWS(stream_spec_rows)};

#define DELETION_SIZE sizeof(((struct sl_config_spec *)0)->deletion)
#define DELETION_AT(member)                                                                        \
    (offsetof(struct sl_config_spec, deletion.member) - offsetof(struct sl_config_spec, deletion))
static const struct sl_field deletion_rows[] = {
    {"approve", SL_T_STRINGS, SL_IMPACT_NONE, .offset = DELETION_AT(approve),
     .count_offset = DELETION_AT(approve_count), .pattern = "^[0-9a-f]{12}$",
     .doc = "plan ids whose held deletions are released"},
};
static const struct sl_table deletion_table = {"deletion", DELETION_SIZE, ROWS(deletion_rows)};

static const struct sl_field config_spec_rows[] = {
    {"deletion", SL_T_MAP, SL_IMPACT_NONE, AT(sl_config_spec, deletion), .sub = &deletion_table,
     .doc = "the guard against mass deletion"},
};
const struct sl_table sl_table_config_spec = {
    "spec", sizeof(struct sl_config_spec), ROWS(config_spec_rows)};

static const struct sl_field metadata_rows[] = {
    {"name", SL_T_NAME, SL_IMPACT_NONE, AT(sl_metadata, name), .required = true, .max = 200,
     .doc = "unique in the whole tree; a stream's name is its path in MediaMTX"},
    {"labels", SL_T_LABELS, SL_IMPACT_NONE, AT(sl_metadata, labels),
     COUNT_AT(sl_metadata, labels_count), .doc = "free pairs to select streams by"},
};
static const struct sl_table metadata_table = {
    "metadata", sizeof(struct sl_metadata), ROWS(metadata_rows)};

#define HEAD                                                                                       \
    {"apiVersion", SL_T_STRING, SL_IMPACT_NONE, AT(sl_object, api_version), .required = true,     \
     .pattern = "^sluice/v1$", .doc = "always sluice/v1"},                                         \
    {"kind", SL_T_ENUM, SL_IMPACT_NONE, AT(sl_object, kind), .required = true, .values = kinds,   \
     .doc = "what the document describes"},                                                        \
    {"metadata", SL_T_MAP, SL_IMPACT_NONE, AT(sl_object, metadata), .required = true,             \
     .sub = &metadata_table, .doc = "name and labels"}

static const struct sl_field object_stream_rows[] = {
    HEAD,
    {"spec", SL_T_VARIANT, SL_IMPACT_SWAP, AT(sl_object, stream), .required = true,
     .sub = &sl_table_stream_spec, .doc = "what is streamed, and how"},
};
const struct sl_table sl_table_object_stream = {
    "Stream", sizeof(struct sl_object), ROWS(object_stream_rows)};

static const struct sl_field object_config_rows[] = {
    HEAD,
    {"spec", SL_T_VARIANT, SL_IMPACT_NONE, AT(sl_object, config), .required = true,
     .sub = &sl_table_config_spec, .doc = "settings of the tree as a whole"},
};
const struct sl_table sl_table_object_config = {
    "Config", sizeof(struct sl_object), ROWS(object_config_rows)};
/* clang-format on */

const struct sl_table *sl_table_of_kind(int kind)
{
    static const struct sl_table *const tables[SL_KIND_COUNT] = {
        [SL_KIND_STREAM] = &sl_table_object_stream,
        [SL_KIND_CONFIG] = &sl_table_object_config,
    };

    return kind >= 0 && kind < SL_KIND_COUNT ? tables[kind] : NULL;
}
