/* SPDX-License-Identifier: GPL-2.0-or-later
 * Sizes that keep their shape, parameter sets out of bytes, schemes and what they may reach.
 */
#include "encoders/annexb.h"
#include "encoders/geometry.h"
#include "encoders/net.h"
#include "encoders/rtsp_auth.h"
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const AVRational square = {1, 1};

static void size_is(struct sl_size size, int width, int height)
{
    assert_int_equal(size.width, width);
    assert_int_equal(size.height, height);
}

static void sizes_keep_the_shape(void **state)
{
    struct sl_size hd = {1920, 1080}, pal = {720, 576}, none = {0, 0}, odd = {321, 181};

    (void)state;
    size_is(sl_geometry_out(hd, square, 0, none), 1920, 1080);
    size_is(sl_geometry_out(hd, (AVRational){0, 1}, 0, none), 1920, 1080);
    size_is(sl_geometry_out(pal, (AVRational){16, 11}, 0, none), 1048, 576);
    size_is(sl_geometry_out(hd, square, 90, none), 1080, 1920);
    size_is(sl_geometry_out(hd, square, 0, (struct sl_size){1280, 0}), 1280, 720);
    size_is(sl_geometry_out(hd, square, 270, (struct sl_size){0, 640}), 360, 640);
    size_is(sl_geometry_out(odd, square, 0, none), 322, 182);
    size_is(sl_geometry_out((struct sl_size){0, 0}, square, 0, none), 16, 16);
}

static void pictures_are_fitted_not_stretched(void **state)
{
    struct sl_size hd = {1920, 1080}, box = {640, 640}, wide = {1280, 720};

    (void)state;
    size_is(sl_geometry_fit(hd, square, 0, box), 640, 360);
    size_is(sl_geometry_fit(hd, square, 90, box), 360, 640);
    size_is(sl_geometry_fit(hd, square, 0, wide), 1280, 720);
    size_is(sl_geometry_fit((struct sl_size){1920, 1088}, square, 0, wide), 1280, 720); /* < 1 % */
    size_is(sl_geometry_fit((struct sl_size){720, 576}, (AVRational){16, 15}, 0, wide), 960, 720);
    size_is(sl_geometry_fit((struct sl_size){8, 8}, square, 0, wide), 720, 720);
}

static const uint8_t h264[] = {0, 0, 0,    1, 0x09, 0xf0, 0, 0,    0,    1, 0x67, 1, 2,    3, 0,
                               0, 1, 0x68, 9, 0,    0,    1, 0x65, 0x88, 0, 0,    1, 0x67, 7, 7};

static void parameter_sets_before_the_first_slice(void **state)
{
    struct sl_params p;
    static const uint8_t all[] = {0, 0, 0, 1, 0x67, 1, 2, 3, 0, 0, 0, 1, 0x68, 9};

    (void)state;
    sl_params_read(AV_CODEC_ID_H264, h264, sizeof(h264), &p);
    assert_true(p.complete);
    assert_int_equal(p.all.len, sizeof(all));
    assert_memory_equal(p.all.data, all, sizeof(all));
    assert_int_equal(p.sps.len, 4);
    sl_params_free(&p);
    sl_params_read(AV_CODEC_ID_HEVC, (const uint8_t *)"\0\0\1\x40\1\0\0\1\x42\1\0\0\1\x44\1", 15,
                   &p);
    assert_true(p.complete);
    sl_params_free(&p);
    sl_params_read(AV_CODEC_ID_HEVC, (const uint8_t *)"\0\0\1\x42\1\0\0\1\x44\1", 10, &p);
    assert_false(p.complete); /* no VPS */
    sl_params_free(&p);
}

/* Every cut of it, in memory of exactly that size: a sanitizer sees a read behind the end. */
static void any_bytes_are_read_safely(void **state)
{
    (void)state;
    for (size_t size = 0; size <= sizeof(h264); size++) {
        uint8_t *copy = malloc(size ? size : 1);
        struct sl_params p;

        memcpy(copy, h264, size);
        sl_params_read(AV_CODEC_ID_H264, copy, size, &p);
        assert_int_equal(p.complete, size >= 18);
        sl_params_free(&p);
        free(copy);
    }
}

static void schemes_reach_only_what_they_must(void **state)
{
    static const char *const urls[] = {"rtsp://h/x",  "rtsps://h/x", "srt://h:1",   "rtmp://h/x",
                                       "rtmps://h/x", "http://h/x",  "HTTPS://h/x", "udp://h:1"};

    (void)state;
    for (size_t i = 0; i < SL_COUNT(urls); i++) {
        const struct sl_net_scheme *s = sl_net_scheme(urls[i]);

        assert_non_null(s);
        assert_null(strstr(s->protocols, "file"));
        assert_null(strstr(s->protocols, "concat"));
        assert_null(strstr(s->protocols, "data"));
        assert_null(strstr(s->protocols, "pipe"));
    }
    assert_null(strstr(sl_net_scheme("https://h/x")->protocols, "http,"));
    assert_null(sl_net_scheme("file:///etc/passwd"));
    assert_null(sl_net_scheme("concat:a|b"));
    assert_null(sl_net_scheme("/etc/passwd"));
    assert_null(sl_net_scheme("rtspx://h"));
    assert_null(sl_net_scheme("ftp://h/x"));
}

static const char both[] =
    "RTSP/1.0 401 Unauthorized\r\nWWW-Authenticate: Digest realm=\"Sluice\", "
    "nonce=\"abc123\"\r\nWWW-Authenticate: Basic realm=\"Sluice\"\r\n\r\n";

static void credentials_as_the_server_asks(void **state)
{
    char challenge[512];

    (void)state;
    assert_true(sl_rtsp_challenge(both, challenge, sizeof(challenge)));
    assert_string_equal(challenge, "Basic realm=\"Sluice\"");
    sl_autofree char *basic = sl_rtsp_authorize(challenge, "ANNOUNCE", "x", "cam", "p w");
    assert_string_equal(basic, "Authorization: Basic Y2FtOnAgdw==\r\n");
    sl_autofree char *digest = sl_rtsp_authorize("Digest realm=\"Sluice\", nonce=\"abc123\"",
                                                 "ANNOUNCE", "rtsp://127.0.0.1/x", "cam", "p w");
    assert_non_null(strstr(digest, "response=\"959d2d9c76e8bb23d36e62beeda81571\""));
    assert_null(strstr(digest, "p w"));
    assert_null(sl_rtsp_authorize("Digest realm=\"x\"", "ANNOUNCE", "x", "cam", "p"));
    assert_false(sl_rtsp_challenge("RTSP/1.0 401 No\r\n\r\n", challenge, sizeof(challenge)));
    assert_false(sl_rtsp_challenge("RTSP/1.0 401 No\r\nWWW-Authenticate: Bearer x\r\n\r\n",
                                   challenge, sizeof(challenge)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_keep_the_shape),
        cmocka_unit_test(pictures_are_fitted_not_stretched),
        cmocka_unit_test(parameter_sets_before_the_first_slice),
        cmocka_unit_test(any_bytes_are_read_safely),
        cmocka_unit_test(credentials_as_the_server_asks),
        cmocka_unit_test(schemes_reach_only_what_they_must),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
