/* SPDX-License-Identifier: GPL-2.0-or-later
 * Where encoders publish, and that nothing goes in clear to another host (decisions 14).
 * Layer: mediamtx.
 */
#include "reconcile/mediamtx/engine_impl.h"

bool engine_host_near(const char *host)
{
    return strncmp(host, "127.", 4) == 0 || strcmp(host, "[::1]") == 0 ||
           strcmp(host, "::1") == 0 || strcmp(host, "localhost") == 0;
}

char *engine_host_of(const char *url)
{
    const char *host = strstr(url, "://"), *at;
    size_t len;

    host = host ? host + 3 : url;
    at = memchr(host, '@', strcspn(host, "/?#"));
    host = at ? at + 1 : host;
    len = *host == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":/?#");
    if (len == strlen("localhost") && strncmp(host, "localhost", len) == 0)
        return sl_strdup("127.0.0.1");
    return sl_asprintf("%.*s", (int)len, host);
}

int engine_publish_check(const char *url, bool insecure, struct sl_err *err)
{
    sl_autofree char *host = engine_host_of(url);

    if (insecure || strncmp(url, "rtsps://", 8) == 0 || engine_host_near(host))
        return 0;
    return sl_err_set(
        err, SL_ERR_HUMAN, 0, "PublishInsecure",
        "encoders would publish to %s in clear, with their password: give "
        "mediamtx.publishUrl an rtsps:// address (rtspEncryption in MediaMTX), or set "
        "mediamtx.insecure: true",
        host);
}

static bool is_any(const char *address, size_t len)
{
    return len == 0 || (len == 7 && strncmp(address, "0.0.0.0", 7) == 0) ||
           (len == 4 && strncmp(address, "[::]", 4) == 0);
}

/* Its own host when it has one (127.0.0.1), else the one that its API is asked at. */
static char *derive(const struct sl_engine *e, const struct sl_mtx_global *global)
{
    const char *address = global->rtsp_address, *colon = strrchr(address, ':');
    size_t len = colon ? (size_t)(colon - address) : 0;
    sl_autofree char *host =
        is_any(address, len) ? sl_strdup(e->publish_host) : sl_asprintf("%.*s", (int)len, address);

    if (global->encrypted && (!global->plain || !engine_host_near(host)))
        return sl_asprintf("rtsps://%.100s:%d", host, sl_mtx_port(global->rtsps_address));
    return sl_asprintf("rtsp://%.100s:%d", host, global->rtsp);
}

int engine_publish_at(struct sl_engine *e, const struct sl_mtx_global *global, struct sl_err *err)
{
    sl_autofree char *url = e->publish_url ? sl_strdup(e->publish_url) : derive(e, global);

    if (engine_publish_check(url, e->insecure, err) < 0)
        return -1;
    snprintf(e->seen.rtsp_publish_url, sizeof(e->seen.rtsp_publish_url), "%s", url);
    return 0;
}
