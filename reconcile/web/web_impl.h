/* SPDX-License-Identifier: GPL-2.0-or-later
 * What the files of the page share. Private to reconcile/web. Everything here is a pure function
 * of the status, except server.c. Layer: web.
 */
#pragma once
#include "reconcile/base/buf.h"
#include "reconcile/base/time.h"
#include "reconcile/web/web.h"
#include <jansson.h>
#include <sys/types.h>

struct web_asset {
    const char *name, *type;
    const unsigned char *data, *end;
};
extern const struct web_asset web_assets[];
extern const size_t web_assets_count;

extern const char *const web_protocols[5]; /* "rtsp" … as in the JSON */
extern const char *const web_publish_protocols[SL_PUBLISH_PROTOCOL_COUNT]; /* "rtmp" … */

/* status_json.c */
json_t *web_stream_json(const struct sl_status *status, const struct sl_status_stream *stream);
char *web_stream_text(const struct sl_status *status, const char *name); /* NULL: no such stream */
const char *web_source_kind(const struct sl_status_stream *stream);      /* "rtsp"; "orphan" */
/* A path in MediaMTX that is no stream's, nor the ingest of one. */
bool web_foreign(const struct sl_status *status, const struct sl_seen_path *path);
bool web_path_live(const struct sl_seen_path *path); /* NULL: false */

/* text.c */
/* What a publisher's program asks for: its server (for RTMP without the name, which is in the key)
 * and its stream key or bearer token, "" when there is none. NULL: not by this protocol. The caller
 * frees both. */
char *web_publish_server(const struct sl_status_stream *stream, enum sl_publish_protocol protocol,
                         char **ret_key);
/* A message without user info of URLs and queries that name a secret. The caller frees; NULL stays
 * NULL. */
char *web_message(const char *text);
/* A source line fit to be shown: what follows a key that names a secret, and user info of a URL,
 * are left out. The caller frees; NULL stays NULL. */
char *web_excerpt(const char *line);

/* page.c; NULL status: nothing is known yet */
void web_escape(struct sl_buf *out, const char *text); /* for text and quoted attributes */
void web_fragment(const struct sl_status *status, struct sl_buf *out);
/* A whole document around a fragment; `from` is where page.js fetches the fragment again. */
void web_page(const struct sl_status *status, const char *title, const char *from,
              const char *fragment, struct sl_buf *out);

/* stream_page.c */
bool web_stream_fragment(const struct sl_status *status, const char *name, struct sl_buf *out);

/* cells.c: pieces of the page that both share */
void web_element(struct sl_buf *out, const char *tag, const char *class, const char *text);
void web_message_text(struct sl_buf *out, const char *text); /* web_message, escaped */
void web_time(struct sl_buf *out, int64_t wall);
void web_bitrate(struct sl_buf *out, uint64_t bits);
void web_revision(struct sl_buf *out, const char *revision); /* long ones shortened, with title */
void web_health_cell(const struct sl_status_stream *stream, struct sl_buf *out);
void web_reason_cell(const struct sl_status_stream *stream, struct sl_buf *out);
void web_source_cell(const struct sl_status_stream *stream, struct sl_buf *out);
void web_viewers(const struct sl_seen_path *path, struct sl_buf *out); /* NULL: 0 */
void web_links(const struct sl_status_stream *stream, struct sl_buf *out);
void web_publish_table(const struct sl_status_stream *stream, struct sl_buf *out);
void web_name(struct sl_buf *out, const char *name); /* may break behind / and - only */
void web_name_link(struct sl_buf *out, const char *name);

/* listen.c */
int web_listen_tcp(const struct sl_settings *settings, int *ret_fd, struct sl_err *err) SL_MUST;
struct web_users { /* beside root and ourselves */
    uid_t encoders;
    gid_t group; /* of the socket */
};
int web_listen_local(const char *runtime, int *ret_fd, struct web_users *ret_users,
                     struct sl_err *err) SL_MUST;
bool web_peer_ok(int fd, const struct web_users *users); /* who is at the other end of http.sock */
char *web_listen_address(int fd);                        /* http://HOST:PORT; the caller frees */

/* metrics.c */
void web_metrics(const struct sl_status *status, struct sl_buf *out);
