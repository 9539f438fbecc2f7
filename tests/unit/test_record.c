/* SPDX-License-Identifier: GPL-2.0-or-later
 * Record, stats, log ring, facts and encoder spec: what is written is read back, and what is
 * damaged is refused.
 */
#include "reconcile/base/file.h"
#include "schemas/encspec.h"
#include "schemas/record.h"
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

static char place[] = "/tmp/sluice-test-record-XXXXXX";
static int dir = -1;

static int setup(void **state)
{
    (void)state;
    if (!mkdtemp(place))
        return -1;
    dir = open(place, O_RDONLY | O_DIRECTORY);
    return dir < 0 ? -1 : 0;
}

static int teardown(void **state)
{
    struct sl_err err;

    (void)state;
    close(dir);
    return sl_rmdir_flat(AT_FDCWD, place, &err);
}

static struct sl_record sample(void)
{
    struct sl_record r = {.layout = SL_RECORD_LAYOUT,
                          .uid = "0123456789abcdef",
                          .name = "site/lobby",
                          .spec_hash = "abc",
                          .boot_id = "b",
                          .generation = 7,
                          .pid = 4242,
                          .pid_start = 99,
                          .since = 1000,
                          .state = SL_ENC_SILENT,
                          .state_since = 2000,
                          .reason = "FileMissing",
                          .message = "no \"file\" \xc3\xa4",
                          .codec = "H264",
                          .hwaccel = "copy"};

    strcpy(r.pidns, "4:4026531836");
    r.facts.count = 2;
    strcpy(r.facts.track[0].codec, "H264");
    r.facts.track[0].b_frames = true;
    strcpy(r.facts.track[1].codec, "MPEG4Audio");
    r.facts.track[1].sample_rate = 48000;
    r.facts.track[1].channels = 2;
    return r;
}

static void record_round_trip(void **state)
{
    struct sl_record in = sample(), out;
    struct sl_err err;

    (void)state;
    assert_int_equal(sl_record_write(dir, &in, &err), 0);
    assert_int_equal(sl_record_read(dir, &out, &err), 0);
    assert_memory_equal(&in, &out, sizeof(in));
    in.exited = true;
    in.exit_signal = 9;
    in.exit_at = 3000;
    assert_int_equal(sl_record_write(dir, &in, &err), 0);
    assert_int_equal(sl_record_read(dir, &out, &err), 0);
    assert_memory_equal(&in, &out, sizeof(in));
}

static void every_state_has_a_name_and_returns(void **state)
{
    (void)state;
    for (int i = 0; i < SL_ENC_STATE_COUNT; i++) {
        struct sl_record in = sample(), out;
        struct sl_err err;

        in.state = (enum sl_enc_state)i;
        sl_autofree char *text = sl_record_to_json(&in);
        assert_int_equal(sl_record_from_json(text, strlen(text), &out, &err), 0);
        assert_int_equal(out.state, i);
    }
}

static void newer_layout_keeps_its_identity(void **state)
{
    static const char text[] =
        "{\"layout\":2,\"uid\":\"0123456789abcdef\",\"name\":\"x\",\"pid\":5,"
        "\"state\":\"Dancing\"}";
    struct sl_record out;
    struct sl_err err;

    (void)state;
    assert_int_equal(sl_record_from_json(text, strlen(text), &out, &err), -1);
    assert_string_equal(err.code, "NewerLayout");
    assert_string_equal(out.uid, "0123456789abcdef");
    assert_string_equal(out.name, "x");
    assert_int_equal(out.pid, 5);
}

static void damaged_records_are_refused(void **state)
{
    static const char *const texts[] = {
        "",
        "[]",
        "{}",
        "{\"layout\":0}",
        "{\"layout\":1,\"uid\":\"a\",\"pid\":-1}",
        "{\"layout\":1,\"uid\":\"0123456789abcdefX\",\"pid\":1}",
        "{\"layout\":1,\"uid\":\"a\",\"pid\":1,\"state\":\"Live\",\"facts\":{}}",
        "{\"layout\":1,\"uid\":\"a\",\"pid\":1,\"state\":\"Alive\",\"facts\":[]}",
        "{\"layout\":1,\"uid\":\"a\",\"pid\":1,\"state\":\"Live\",\"facts\":[{\"codec\":\"\"}]}",
    };

    (void)state;
    for (size_t i = 0; i < SL_COUNT(texts); i++) {
        struct sl_record out;
        struct sl_err err;

        assert_int_equal(sl_record_from_json(texts[i], strlen(texts[i]), &out, &err), -1);
        assert_string_equal(err.code, "BadRecord");
    }
}

static void stats_round_trip(void **state)
{
    struct sl_stats_data in = {.loops = 3, .packets = 4, .bytes = 5, .fps_milli = 25000}, out;
    struct sl_stats *map;
    struct sl_err err;
    int fd;

    (void)state;
    assert_int_equal(sl_stats_create(dir, &map, &err), 0);
    fd = openat(dir, "stats", O_RDWR);
    sl_stats_publish(map, &in);
    assert_int_equal(sl_stats_read(fd, &out), 0);
    assert_memory_equal(&in, &out, sizeof(in));
    map->seq++; /* a writer that died in the middle */
    assert_int_equal(sl_stats_read(fd, &out), -1);
    map->seq++;
    map->version = 2;
    assert_int_equal(sl_stats_read(fd, &out), -1);
    assert_int_equal(ftruncate(fd, 20), 0);
    assert_int_equal(sl_stats_read(fd, &out), -1);
    close(fd);
}

static void ring_keeps_the_newest_whole_lines(void **state)
{
    struct sl_ring *ring;
    struct sl_buf out = {0};
    struct sl_err err;
    char line[64];
    int fd;

    (void)state;
    assert_int_equal(sl_ring_create(dir, &ring, &err), 0);
    fd = openat(dir, "log", O_RDONLY);
    assert_int_equal(sl_ring_read(fd, &out), 0);
    assert_int_equal(out.len, 0);
    sl_ring_write(ring, "one\n", 4);
    assert_int_equal(sl_ring_read(fd, &out), 0);
    assert_string_equal(out.data, "one\n");
    sl_buf_free(&out);
    for (int i = 0; i < 20000; i++)
        sl_ring_write(ring, line, (size_t)snprintf(line, sizeof(line), "line number %d\n", i));
    assert_int_equal(lseek(fd, 0, SEEK_END), SL_RING_SIZE);
    assert_int_equal(sl_ring_read(fd, &out), 0);
    assert_memory_equal(out.data, "line number ", 12);
    assert_string_equal(out.data + out.len - strlen("line number 19999\n"), "line number 19999\n");
    assert_true(out.len > SL_RING_SIZE - 128);
    sl_buf_free(&out);
    close(fd);
}

static void facts_print_and_compare(void **state)
{
    struct sl_record r = sample();
    struct sl_facts other = r.facts, none = {0};
    char text[100], small[8];

    (void)state;
    sl_facts_print(&r.facts, text, sizeof(text));
    assert_string_equal(text, "H264, MPEG4Audio 48000 Hz 2 ch");
    sl_facts_print(&r.facts, small, sizeof(small));
    assert_string_equal(small, "H264, M");
    sl_facts_print(&none, text, sizeof(text));
    assert_string_equal(text, "unknown");
    assert_true(sl_facts_equal(&r.facts, &other));
    other.track[0].b_frames = false; /* MediaMTX cannot tell, so it is no difference */
    assert_true(sl_facts_equal(&r.facts, &other));
    other.track[1].channels = 1;
    assert_false(sl_facts_equal(&r.facts, &other));
}

static const char spec_text[] =
    "{\"uid\":\"0123456789abcdef\",\"name\":\"a/b\",\"specHash\":\"h\",\"generation\":3,"
    "\"hold\":true,\"source\":\"file\",\"mode\":\"transcode\",\"file\":{\"path\":\"/x.mp4\","
    "\"loop\":false,\"startAt\":1500},\"video\":{\"codec\":\"h264\",\"rate\":29.97,"
    "\"keyframeInterval\":1000,\"bFrames\":2},\"audio\":{\"codec\":\"aac\",\"webrtcOpus\":true},"
    "\"publish\":{\"url\":\"rtsp://127.0.0.1/a/b\",\"username\":\"u\",\"password\":\"p\\\"w\"}}";

static void spec_round_trip(void **state)
{
    struct sl_encspec *one, *two;
    struct sl_err err;

    (void)state;
    assert_int_equal(sl_encspec_from_json(spec_text, strlen(spec_text), &one, &err), 0);
    assert_int_equal(one->file.start_at, 1500);
    assert_false(one->file.loop);
    assert_true(one->hold);
    assert_true(one->audio.webrtc_opus);
    assert_string_equal(one->publish.password, "p\"w");
    sl_autofree char *text = sl_encspec_to_json(one);
    assert_int_equal(sl_encspec_from_json(text, strlen(text), &two, &err), 0);
    sl_autofree char *again = sl_encspec_to_json(two);
    assert_string_equal(text, again);
    sl_encspec_free(one);
    sl_encspec_free(two);
    sl_encspec_free(NULL);
}

static const char net_text[] =
    "{\"source\":\"net\",\"net\":{\"url\":\"rtsp://cam/1\",\"transport\":\"udp\","
    "\"username\":\"u\",\"password\":\"p\",\"passphrase\":\"ten "
    "letters\",\"streamId\":\"read:x\"}}";

static void net_spec_round_trip(void **state)
{
    struct sl_encspec *one, *two;
    struct sl_err err;

    (void)state;
    assert_int_equal(sl_encspec_from_json(net_text, strlen(net_text), &one, &err), 0);
    assert_int_equal(one->source, SL_ENC_NET);
    assert_int_equal(one->net.silence, 5000);
    assert_string_equal(one->net.transport, "udp");
    sl_autofree char *text = sl_encspec_to_json(one);
    assert_int_equal(sl_encspec_from_json(text, strlen(text), &two, &err), 0);
    assert_string_equal(two->net.passphrase, "ten letters");
    assert_string_equal(two->net.stream_id, "read:x");
    sl_encspec_free(one);
    sl_encspec_free(two);
}

static void own_namespace_is_told(void **state)
{
    char one[48], two[48];

    (void)state;
    sl_pidns(one);
    sl_pidns(two);
    assert_non_null(strchr(one, ':'));
    assert_string_equal(one, two);
}

static void bad_specs_are_refused_without_quoting_them(void **state)
{
    static const char *const texts[] = {
        "",
        "[1]",
        "{\"publish\":{\"password\":\"secretword\" oops",
        "{\"nosuch\":1}",
        "{\"publish\":{\"passwort\":\"secretword\"}}",
        "{\"uid\":\"short\"}",
        "{\"uid\":\"0123456789ABCDEF\"}",
        "{\"mode\":\"magic\"}",
        "{\"source\":\"file\",\"file\":{\"path\":\"relative\"}}",
        "{\"test\":{\"width\":-1}}",
        "{\"source\":\"net\"}",
        "{\"source\":\"net\",\"net\":{\"url\":\"rtsp://u:secretword@cam/1\"}}",
        "{\"source\":\"net\",\"net\":{\"url\":\"/etc/passwd\"}}",
        "{\"source\":\"net\",\"net\":{\"url\":\"file:///etc/passwd\"}}",
        "{\"test\":{\"width\":99999999999}}",
        "{\"name\":\"a\\u0000b\"}",
        "{\"hold\":1}",
        "{\"name\":\"a\",\"name\":\"b\"}",
    };

    (void)state;
    for (size_t i = 0; i < SL_COUNT(texts); i++) {
        struct sl_encspec *spec = NULL;
        struct sl_err err;

        assert_int_equal(sl_encspec_from_json(texts[i], strlen(texts[i]), &spec, &err), -1);
        assert_string_equal(err.code, "BadSpec");
        assert_null(strstr(err.text, "secretword"));
        assert_null(spec);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(record_round_trip),
        cmocka_unit_test(every_state_has_a_name_and_returns),
        cmocka_unit_test(newer_layout_keeps_its_identity),
        cmocka_unit_test(damaged_records_are_refused),
        cmocka_unit_test(stats_round_trip),
        cmocka_unit_test(ring_keeps_the_newest_whole_lines),
        cmocka_unit_test(facts_print_and_compare),
        cmocka_unit_test(spec_round_trip),
        cmocka_unit_test(net_spec_round_trip),
        cmocka_unit_test(own_namespace_is_told),
        cmocka_unit_test(bad_specs_are_refused_without_quoting_them),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
