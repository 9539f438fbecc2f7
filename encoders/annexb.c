/* SPDX-License-Identifier: GPL-2.0-or-later
 * Parameter sets. Layer: encoders.
 */
#include "encoders/annexb.h"

enum kind { OTHER, VPS, SPS, PPS, SLICE };

static enum kind kind_of(enum AVCodecID codec, uint8_t head)
{
    int type = codec == AV_CODEC_ID_HEVC ? head >> 1 & 0x3f : head & 0x1f;

    if (codec == AV_CODEC_ID_HEVC)
        return type == 32 ? VPS : type == 33 ? SPS : type == 34 ? PPS : type < 32 ? SLICE : OTHER;
    return type == 7 ? SPS : type == 8 ? PPS : type >= 1 && type <= 5 ? SLICE : OTHER;
}

/* The place behind the next 00 00 01, or NULL. */
static const uint8_t *start_code(const uint8_t *at, const uint8_t *end)
{
    for (; end - at >= 3; at++) {
        at = memchr(at, 0, (size_t)(end - at) - 2);
        if (!at)
            return NULL;
        if (at[1] == 0 && at[2] == 1)
            return at + 3;
    }
    return NULL;
}

void sl_params_read(enum AVCodecID codec, const uint8_t *data, size_t size, struct sl_params *ret)
{
    const uint8_t *end = data + size, *nal = start_code(data, end), *next;
    bool seen[SLICE + 1] = {false};

    *ret = (struct sl_params){0};
    for (; nal && nal < end; nal = next) {
        const uint8_t *stop;
        enum kind kind = kind_of(codec, *nal);

        if (kind == SLICE)
            break;
        next = start_code(nal, end);
        stop = next ? next - 3 : end;
        while (stop > nal && stop[-1] == 0)
            stop--;
        if (kind == OTHER || stop == nal)
            continue;
        seen[kind] = true;
        sl_buf_add(&ret->all, "\0\0\0\1", 4);
        sl_buf_add(&ret->all, (const char *)nal, (size_t)(stop - nal));
        if (kind == SPS)
            sl_buf_add(&ret->sps, (const char *)nal, (size_t)(stop - nal));
    }
    ret->complete = seen[SPS] && seen[PPS] && (codec != AV_CODEC_ID_HEVC || seen[VPS]);
}

void sl_params_free(struct sl_params *params)
{
    sl_buf_free(&params->all);
    sl_buf_free(&params->sps);
}
