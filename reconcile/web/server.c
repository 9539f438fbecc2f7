/* SPDX-License-Identifier: GPL-2.0-or-later
 * HTTP on the daemon's loop: libmicrohttpd with external epoll, one listener on TCP and one on
 * runtime/http.sock. GET and HEAD only. Answers are rendered from the published status when first
 * asked for and kept until the next one. Layer: web. Never writes anything but its sockets.
 */
#include "reconcile/base/log.h"
#include "reconcile/web/web_impl.h"
#include "schemas/load.h"
#include <errno.h>
#include <microhttpd.h>
#include <unistd.h>

#define CONNECTIONS  256
#define PER_ADDRESS  128 /* a reverse proxy is one address */
#define TIMEOUT_S    30
#define POOL         16384
#define LIVE_WITHIN  60000 /* ms: the daemon passes at least this often */
#define WATCH_WITHIN 10000

enum kept {
    KEPT_PAGE,
    KEPT_FRAGMENT,
    KEPT_STATUS,
    KEPT_PLAN,
    KEPT_DESIRED,
    KEPT_METRICS,
    KEPT_COUNT
};

struct listener {
    struct sl_web *web;
    struct MHD_Daemon *daemon;
    sd_event_source *io;
    struct sl_timer *timer;
    bool running;
};

struct sl_web {
    struct sl_loop *loop;
    struct listener tcp, local;
    struct web_users users; /* of local */
    struct sl_status *status;
    struct MHD_Response *kept[KEPT_COUNT], *schema;
    char *address;
    bool ready;
    int64_t beat, looked;
};

/* --- answers --- */

static void header(struct MHD_Response *r, const char *name, const char *value)
{
    if (MHD_add_response_header(r, name, value) != MHD_YES)
        abort(); /* memory is out */
}

/* Takes `body` (malloc'ed). */
static struct MHD_Response *response(char *body, size_t len, const char *type)
{
    struct MHD_Response *r = MHD_create_response_from_buffer(
        len, body, body ? MHD_RESPMEM_MUST_FREE : MHD_RESPMEM_PERSISTENT);

    if (!r)
        abort();
    header(r, "Content-Type", type);
    header(r, "X-Content-Type-Options", "nosniff");
    header(r, "Referrer-Policy", "no-referrer");
    header(r, "X-Frame-Options", "DENY");
    header(r, "Cross-Origin-Resource-Policy", "same-origin");
    header(r, "Content-Security-Policy",
           "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
           "object-src 'none'");
    header(r, "Cache-Control", "no-cache");
    return r;
}

static struct MHD_Response *plain(const char *text)
{
    return response(sl_strdup(text), strlen(text), "text/plain; charset=utf-8");
}

static enum MHD_Result answer(struct MHD_Connection *c, unsigned status, struct MHD_Response *r)
{
    enum MHD_Result rc = MHD_queue_response(c, status, r);

    MHD_destroy_response(r);
    return rc;
}

static enum MHD_Result json_error(struct MHD_Connection *c, unsigned status, const char *text)
{
    json_t *o = json_pack("{s:s}", "error", text);
    char *body = json_dumps(o, JSON_COMPACT);

    json_decref(o);
    if (!body)
        abort();
    return answer(c, status, response(body, strlen(body), "application/json"));
}

/* --- what is rendered once a status --- */

static void etag_of(const struct sl_web *web, char *buf, size_t size)
{
    snprintf(buf, size, "\"%.40s-%llu\"", web->status->boot_id ? web->status->boot_id : "",
             (unsigned long long)web->status->seq);
}

static struct MHD_Response *render(struct sl_web *web, enum kept kind)
{
    struct sl_status *st = web->status;
    struct sl_buf out = {0}, fragment = {0};
    const char *type = "text/html; charset=utf-8";
    char *body = NULL;
    size_t len;

    switch (kind) {
    case KEPT_PAGE:
        web_fragment(st, &fragment);
        web_page(st, "Sluice", "/fragment", fragment.data, &out);
        sl_buf_free(&fragment);
        break;
    case KEPT_FRAGMENT:
        web_fragment(st, &out);
        break;
    case KEPT_STATUS:
        body = sl_status_json(st);
        type = "application/json";
        break;
    case KEPT_PLAN:
        body = sl_plan_json(st);
        type = "application/json";
        break;
    case KEPT_DESIRED:
        body = sl_desired_json(st);
        type = "application/json";
        break;
    case KEPT_METRICS:
        web_metrics(st, &out);
        type = "text/plain; version=0.0.4; charset=utf-8";
        break;
    case KEPT_COUNT:
        break;
    }
    len = body ? strlen(body) : out.len;
    if (!body)
        body = sl_buf_steal(&out);
    return response(body, len, type);
}

static enum MHD_Result send_kept(struct sl_web *web, struct MHD_Connection *c, enum kept kind)
{
    const char *have = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "If-None-Match");
    char etag[80];

    if (!web->status) {
        if (kind == KEPT_PAGE || kind == KEPT_FRAGMENT || kind == KEPT_METRICS)
            return answer(c, MHD_HTTP_OK, render(web, kind));
        return json_error(c, MHD_HTTP_SERVICE_UNAVAILABLE,
                          "Sluice is starting: no snapshot was applied yet");
    }
    etag_of(web, etag, sizeof(etag));
    if (have && strstr(have, etag)) {
        struct MHD_Response *r = response(NULL, 0, "text/plain");

        header(r, "ETag", etag);
        return answer(c, MHD_HTTP_NOT_MODIFIED, r);
    }
    if (!web->kept[kind]) {
        web->kept[kind] = render(web, kind);
        header(web->kept[kind], "ETag", etag);
    }
    return MHD_queue_response(c, MHD_HTTP_OK, web->kept[kind]);
}

static void forget_kept(struct sl_web *web)
{
    for (int i = 0; i < KEPT_COUNT; i++) {
        if (web->kept[i])
            MHD_destroy_response(web->kept[i]); /* those being sent hold their own reference */
        web->kept[i] = NULL;
    }
}

/* --- routes --- */

static const char *below(const char *url, const char *prefix)
{
    size_t n = strlen(prefix);

    return strncmp(url, prefix, n) == 0 && url[n] ? url + n : NULL;
}

static enum MHD_Result send_asset(struct MHD_Connection *c, const char *name)
{
    for (size_t i = 0; i < web_assets_count; i++) {
        const struct web_asset *a = &web_assets[i];
        size_t len = (size_t)(a->end - a->data);
        char *copy;

        if (strcmp(a->name, name) != 0)
            continue;
        copy = sl_alloc(len + 1);
        memcpy(copy, a->data, len);
        return answer(c, MHD_HTTP_OK, response(copy, len, a->type));
    }
    return answer(c, MHD_HTTP_NOT_FOUND, plain("no such file\n"));
}

static enum MHD_Result send_stream(struct sl_web *web, struct MHD_Connection *c, const char *name,
                                   bool whole)
{
    struct sl_buf fragment = {0}, out = {0};
    size_t len;

    if (!web_stream_fragment(web->status, name, &fragment)) {
        sl_buf_puts(&fragment, "<p><a href=\"/\">All streams</a></p><p>There is no stream <code>");
        web_escape(&fragment, name);
        sl_buf_puts(&fragment, "</code>.</p>");
        web_page(web->status, "Sluice: no such stream", "/fragment", fragment.data, &out);
        sl_buf_free(&fragment);
        len = out.len;
        return answer(c, MHD_HTTP_NOT_FOUND,
                      response(sl_buf_steal(&out), len, "text/html; charset=utf-8"));
    }
    if (whole) {
        sl_autofree char *title = sl_asprintf("Sluice: %s", name);
        sl_autofree char *from = sl_asprintf("/fragment/streams/%s", name);

        web_page(web->status, title, from, fragment.data, &out);
        sl_buf_free(&fragment);
    } else {
        out = fragment;
    }
    len = out.len;
    return answer(c, MHD_HTTP_OK, response(sl_buf_steal(&out), len, "text/html; charset=utf-8"));
}

static enum MHD_Result send_stream_json(struct sl_web *web, struct MHD_Connection *c,
                                        const char *name)
{
    char *body = web->status ? web_stream_text(web->status, name) : NULL;

    if (!body)
        return json_error(c, MHD_HTTP_NOT_FOUND, "no such stream");
    return answer(c, MHD_HTTP_OK, response(body, strlen(body), "application/json"));
}

static enum MHD_Result send_health(const struct sl_web *web, struct MHD_Connection *c, bool live)
{
    bool good = live ? !web->beat || sl_now_mono() - web->beat < LIVE_WITHIN : web->ready;

    return answer(c, good ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE,
                  plain(good   ? "ok\n"
                        : live ? "the loop stands\n"
                               : "not ready\n"));
}

static enum MHD_Result send_schema(struct sl_web *web, struct MHD_Connection *c)
{
    if (!web->schema) {
        char *body = sl_json_schema();

        web->schema = response(body, strlen(body), "application/schema+json");
    }
    return MHD_queue_response(c, MHD_HTTP_OK, web->schema);
}

static enum MHD_Result route(struct sl_web *web, struct MHD_Connection *c, const char *url)
{
    static const struct {
        const char *url;
        enum kept kind;
        bool watched;
    } kept[] = {
        {"/", KEPT_PAGE, true},
        {"/fragment", KEPT_FRAGMENT, true},
        {"/api/v1/status", KEPT_STATUS, true},
        {"/api/v1/plan", KEPT_PLAN, false},
        {"/api/v1/desired", KEPT_DESIRED, false},
        {"/metrics", KEPT_METRICS, false},
    };
    const char *name;

    for (size_t i = 0; i < SL_COUNT(kept); i++) {
        if (strcmp(url, kept[i].url) != 0)
            continue;
        if (kept[i].watched)
            web->looked = sl_now_mono();
        return send_kept(web, c, kept[i].kind);
    }
    if (strcmp(url, "/livez") == 0 || strcmp(url, "/readyz") == 0)
        return send_health(web, c, url[1] == 'l');
    if (strcmp(url, "/schema/v1.json") == 0)
        return send_schema(web, c);
    if ((name = below(url, "/static/")))
        return send_asset(c, name);
    if ((name = below(url, "/api/v1/streams/"))) {
        web->looked = sl_now_mono();
        return send_stream_json(web, c, name);
    }
    if ((name = below(url, "/streams/")) || (name = below(url, "/fragment/streams/"))) {
        web->looked = sl_now_mono();
        return send_stream(web, c, name, url[1] == 's');
    }
    if (strncmp(url, "/api/", 5) == 0)
        return json_error(c, MHD_HTTP_NOT_FOUND, "no such route");
    return answer(c, MHD_HTTP_NOT_FOUND, plain("There is no such page.\n"));
}

static bool peer_ok(const struct sl_web *web, struct MHD_Connection *c)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);

    return info && web_peer_ok(info->connect_fd, &web->users);
}

static enum MHD_Result on_request(void *user, struct MHD_Connection *c, const char *url,
                                  const char *method, const char *version, const char *data,
                                  size_t *data_size, void **con_cls)
{
    struct listener *l = user;

    (void)version;
    (void)data;
    (void)con_cls;
    if (l == &l->web->local && !peer_ok(l->web, c))
        return answer(c, MHD_HTTP_FORBIDDEN,
                      plain("You are neither root nor in the group of this socket.\n"));
    if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0) {
        struct MHD_Response *r =
            plain("This page is read-only. Change the manifests instead: edit, commit, merge.\n");

        header(r, "Allow", "GET, HEAD");
        return answer(c, MHD_HTTP_METHOD_NOT_ALLOWED, r);
    }
    if (*data_size) { /* a body with a GET: not read */
        *data_size = 0;
        return MHD_YES;
    }
    return route(l->web, c, url);
}

/* --- the loop --- */

static void drop_log(void *user, const char *format, va_list args)
{
    (void)user; /* two lines for every client that left: of no use to anybody */
    (void)format;
    (void)args;
}

/* Nothing wakes MHD but its epoll fd and this: it must be asked when it wants to run again. */
static void run(struct listener *l)
{
    MHD_UNSIGNED_LONG_LONG timeout;

    if (l->running)
        return;
    l->running = true;
    MHD_run(l->daemon);
    l->running = false;
    if (MHD_get_timeout(l->daemon, &timeout) == MHD_YES)
        sl_timer_at(l->timer, sl_now_mono() + (int64_t)(timeout > 600000 ? 600000 : timeout));
    else
        sl_timer_at(l->timer, 0);
}

static void on_timer(void *user)
{
    run(user);
}

static int on_io(sd_event_source *source, int fd, uint32_t events, void *user)
{
    (void)source;
    (void)fd;
    (void)events;
    run(user);
    return 0;
}

static int listener_start(struct sl_web *web, struct listener *l, int fd, struct sl_err *err)
{
    const union MHD_DaemonInfo *info;

    l->web = web;
    /* the logger first: options before it would log to stderr */
    l->daemon = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_USE_ERROR_LOG, 0, NULL, NULL, on_request, l, MHD_OPTION_EXTERNAL_LOGGER,
        drop_log, NULL, MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)CONNECTIONS, MHD_OPTION_PER_IP_CONNECTION_LIMIT, (unsigned)PER_ADDRESS,
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)TIMEOUT_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)POOL, MHD_OPTION_END);
    if (!l->daemon) {
        close(fd);
        return sl_err_set(err, SL_ERR_BUG, errno, "", "the page's server does not start");
    }
    l->timer = sl_timer_new(web->loop, on_timer, l);
    info = MHD_get_daemon_info(l->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    if (!info ||
        sd_event_add_io(sl_loop_event(web->loop), &l->io, info->epoll_fd, EPOLLIN, on_io, l) < 0)
        return sl_err_set(err, SL_ERR_BUG, 0, "", "the page's server cannot be watched");
    return 0;
}

static void listener_stop(struct listener *l)
{
    sd_event_source_disable_unref(l->io);
    sl_timer_free(l->timer);
    if (l->daemon)
        MHD_stop_daemon(l->daemon); /* closes its sockets; nothing is ever suspended here */
}

int sl_web_new(struct sl_loop *loop, const struct sl_settings *settings, struct sl_web **ret,
               struct sl_err *err)
{
    struct sl_web *web = sl_alloc(sizeof(*web));
    int tcp = -1, local = -1;

    web->loop = loop;
    if (web_listen_tcp(settings, &tcp, err) < 0)
        goto fail;
    web->address = web_listen_address(tcp);
    if (listener_start(web, &web->tcp, tcp, err) < 0)
        goto fail;
    if (web_listen_local(settings->runtime, &local, &web->users, err) < 0)
        goto fail;
    if (listener_start(web, &web->local, local, err) < 0)
        goto fail;
    *ret = web;
    return 0;
fail:
    sl_web_free(web);
    return -1;
}

void sl_web_free(struct sl_web *web)
{
    if (!web)
        return;
    listener_stop(&web->tcp);
    listener_stop(&web->local);
    forget_kept(web);
    if (web->schema)
        MHD_destroy_response(web->schema);
    sl_status_free(web->status);
    free(web->address);
    free(web);
}

const char *sl_web_address(const struct sl_web *web)
{
    return web->address;
}

void sl_web_publish(struct sl_web *web, struct sl_status *status)
{
    forget_kept(web);
    sl_status_free(web->status);
    web->status = status;
}

void sl_web_ready(struct sl_web *web, bool ready)
{
    web->ready = ready;
}

void sl_web_beat(struct sl_web *web, int64_t mono)
{
    web->beat = mono;
}

bool sl_web_watched(const struct sl_web *web)
{
    return web->looked && sl_now_mono() - web->looked < WATCH_WITHIN;
}
