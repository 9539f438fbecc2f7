/* SPDX-License-Identifier: GPL-2.0-or-later
 * The digest that decides whether an encoder must be restarted. Layer: core.
 */
#include "reconcile/core/desired.h"
#include "reconcile/base/buf.h"
#include "reconcile/base/hash.h"
#include "schemas/field.h"

static void free_buf(struct sl_buf *buf)
{
    sl_buf_free(buf);
}

enum sl_carrier sl_carrier_of(const struct sl_stream_spec *spec)
{
    const struct sl_source *source = &spec->source;
    bool copy = spec->encode.transcode == NULL;

    if (source->publish)
        return copy ? SL_CARRIER_PUBLISH : SL_CARRIER_INGEST;
    if (source->rtsp && copy)
        return SL_CARRIER_PULL;
    if (source->pull && copy) {
        /* MediaMTX does not pull MPEG-TS over HTTP, and loses HLS every few seconds where
         * segments are short (docs/adr/0008): our encoder copies both. */
        bool http = strncmp(source->pull->url, "http", 4) == 0;

        return http ? SL_CARRIER_ENCODER : SL_CARRIER_PULL;
    }
    return SL_CARRIER_ENCODER;
}

static void print_secret(const struct sl_secret_seen *secret, const char *field, struct sl_buf *out)
{
    if (secret->name)
        sl_buf_printf(out, "secret %s %s\n", field, secret->digest ? secret->digest : "");
}

void sl_enc_hash(const struct sl_desired_stream *stream, const char *publish_url, char ret[80])
{
    SL_CLEAN(free_buf) struct sl_buf text = {0};
    struct sl_stream_spec carried = *stream->spec; /* a new field restarts unless cleared here */
    struct sl_src_publish anybody = {0};
    struct sl_src_rtsp rtsp;
    bool ingest = sl_carrier_of(stream->spec) == SL_CARRIER_INGEST;
    char hex[SL_SHA_HEX];

    carried.suspend = false;
    carried.protect = false;
    if (ingest) /* who publishes is nothing to the encoder: it reads NAME/ingest */
        carried.source.publish = &anybody;
    if (carried.source.rtsp) {
        rtsp = *carried.source.rtsp;
        rtsp.exclusive = false;
        carried.source.rtsp = &rtsp;
    }
    sl_table_print(&sl_table_stream_spec, &carried, &text);
    sl_buf_printf(&text, "\nmedia %s\npublish %s\n", stream->media.id,
                  publish_url ? publish_url : "");
    if (!ingest) {
        print_secret(&stream->password, "password", &text);
        print_secret(&stream->passphrase, "passphrase", &text);
        print_secret(&stream->stream_id, "streamId", &text);
    }
    sl_sha256_hex(text.data, text.len, hex);
    snprintf(ret, 80, "sha:%s", hex);
}
