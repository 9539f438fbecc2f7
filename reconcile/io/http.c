/* SPDX-License-Identifier: GPL-2.0-or-later
 * libcurl's multi on sd-event (docs/adr/0003): the timer is exact, sockets leave the loop before
 * curl closes them, easy handles go only outside of curl's own callbacks.
 */
#include "reconcile/io/http.h"

#include "reconcile/base/buf.h"

#include <errno.h>
#include <time.h>

#define DEFAULT_TIMEOUT_MS 10000
#define DEFAULT_MAX_BODY   (1 << 20)

struct sl_multi {
    sd_event *event;
    CURLM *curl;
    sd_event_source *timer;
    struct sl_http *first;
};

struct transfer {
    CURL *easy;
    struct curl_slist *headers;
    struct sl_buf body;
    size_t max_body;
    bool too_long;
    char text[CURL_ERROR_SIZE];
};

struct sl_http {
    struct sl_multi *multi;
    struct sl_http *next, **link;
    struct transfer transfer;
    sl_http_fn *fn;
    void *user;
};

static size_t on_body(char *data, size_t size, size_t n, void *user)
{
    struct transfer *transfer = user;

    (void)size; /* always 1 */
    if (n > transfer->max_body - transfer->body.len) {
        transfer->too_long = true;
        return 0;
    }
    sl_buf_add(&transfer->body, data, n);
    return n;
}

static void must(CURLcode code)
{
    if (code == CURLE_OUT_OF_MEMORY)
        abort();
}

static void transfer_init(struct transfer *transfer, const struct sl_http_request *request)
{
    CURL *easy = curl_easy_init();
    const char *method = request->method ? request->method : "GET";
    long timeout = request->timeout_ms > 0 ? request->timeout_ms : DEFAULT_TIMEOUT_MS;

    if (!easy)
        abort();
    memset(transfer, 0, sizeof(*transfer));
    transfer->easy = easy;
    transfer->max_body = request->max_body ? request->max_body : DEFAULT_MAX_BODY;
    must(curl_easy_setopt(easy, CURLOPT_URL, request->url));
    must(curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L));
    must(curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https"));
    must(curl_easy_setopt(easy, CURLOPT_PROXY, ""));
    must(curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, timeout));
    must(curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->text));
    must(curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body));
    must(curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer));
    must(curl_easy_setopt(easy, CURLOPT_USERAGENT, "sluice"));
    if (request->unix_socket)
        must(curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, request->unix_socket));
    if (request->username) {
        must(curl_easy_setopt(easy, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC));
        must(curl_easy_setopt(easy, CURLOPT_USERNAME, request->username));
        must(curl_easy_setopt(easy, CURLOPT_PASSWORD, request->password ? request->password : ""));
    }
    if (strcmp(method, "HEAD") == 0)
        must(curl_easy_setopt(easy, CURLOPT_NOBODY, 1L));
    else if (strcmp(method, "GET") != 0 || request->body)
        must(curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, method));
    if (request->body) {
        /* "Expect:" would cost a round of up to a second where the server ignores it. */
        transfer->headers = curl_slist_append(NULL, "Content-Type: application/json");
        transfer->headers = curl_slist_append(transfer->headers, "Expect:");
        must(curl_easy_setopt(easy, CURLOPT_HTTPHEADER, transfer->headers));
        must(curl_easy_setopt(easy, CURLOPT_COPYPOSTFIELDS, request->body));
    }
}

static void transfer_free(struct transfer *transfer)
{
    curl_easy_cleanup(transfer->easy);
    curl_slist_free_all(transfer->headers);
    sl_buf_free(&transfer->body);
}

/* The status, or 0 with err set. */
static long transfer_result(const struct transfer *transfer, CURLcode code, struct sl_err *err)
{
    const char *text = transfer->text[0] ? transfer->text : curl_easy_strerror(code);
    long status = 0, os = 0;

    if (code == CURLE_OK) {
        curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
        if (status != 0)
            return status;
        text = "no status line";
    }
    curl_easy_getinfo(transfer->easy, CURLINFO_OS_ERRNO, &os);
    if (transfer->too_long)
        sl_err_set(err, SL_ERR_TRANSIENT, EFBIG, "AnswerTooLong",
                   "the answer is longer than %zu bytes", transfer->max_body);
    else if (code == CURLE_OPERATION_TIMEDOUT)
        sl_err_set(err, SL_ERR_TRANSIENT, ETIMEDOUT, "Timeout", "no answer in time: %s", text);
    else if (code == CURLE_URL_MALFORMAT || code == CURLE_UNSUPPORTED_PROTOCOL)
        sl_err_set(err, SL_ERR_HUMAN, EINVAL, "BadRequest", "not a URL that can be asked: %s",
                   text);
    else
        sl_err_set(err, SL_ERR_TRANSIENT, (int)os, "Unreachable", "%s", text);
    return 0;
}

static const char *transfer_body(const struct transfer *transfer)
{
    return transfer->body.data ? transfer->body.data : "";
}

static void http_free(struct sl_http *http)
{
    *http->link = http->next;
    if (http->next)
        http->next->link = http->link;
    curl_multi_remove_handle(http->multi->curl, http->transfer.easy);
    transfer_free(&http->transfer);
    free(http);
}

static void report(struct sl_http *http, CURLcode code)
{
    struct sl_err err = {0};
    long status = transfer_result(&http->transfer, code, &err);
    sl_http_fn *fn = http->fn;
    void *user = http->user;
    size_t len = http->transfer.body.len;
    sl_autofree char *body = sl_strdup("");

    if (status != 0 && len > 0) {
        free(body);
        body = sl_buf_steal(&http->transfer.body);
    }
    http_free(http); /* before fn: it may start the next request or free the loop's users */
    fn(user, status, body, status != 0 ? len : 0, &err);
}

static void collect(struct sl_multi *multi)
{
    CURLMsg *msg;
    int left;

    while ((msg = curl_multi_info_read(multi->curl, &left))) {
        struct sl_http *http = NULL;

        if (msg->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, (char **)&http);
        report(http, msg->data.result);
    }
}

static int on_io(sd_event_source *source, int fd, uint32_t revents, void *user)
{
    struct sl_multi *multi = user;
    int flags = 0, running;

    (void)source;
    if (revents & (EPOLLIN | EPOLLHUP))
        flags |= CURL_CSELECT_IN;
    if (revents & EPOLLOUT)
        flags |= CURL_CSELECT_OUT;
    if (revents & EPOLLERR)
        flags |= CURL_CSELECT_ERR;
    curl_multi_socket_action(multi->curl, fd, flags, &running);
    collect(multi);
    return 0;
}

static int on_time(sd_event_source *source, uint64_t usec, void *user)
{
    struct sl_multi *multi = user;
    int running;

    (void)source;
    (void)usec;
    curl_multi_socket_action(multi->curl, CURL_SOCKET_TIMEOUT, 0, &running);
    collect(multi);
    return 0;
}

static int socket_changed(CURL *easy, curl_socket_t fd, int what, void *user, void *of_socket)
{
    struct sl_multi *multi = user;
    sd_event_source *source = of_socket;
    uint32_t events = 0;

    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        sd_event_source_disable_unref(source);
        curl_multi_assign(multi->curl, fd, NULL);
        return 0;
    }
    if (what & CURL_POLL_IN)
        events |= EPOLLIN;
    if (what & CURL_POLL_OUT)
        events |= EPOLLOUT;
    if (source)
        return sd_event_source_set_io_events(source, events) < 0 ? -1 : 0;
    if (sd_event_add_io(multi->event, &source, fd, events, on_io, multi) < 0)
        return -1;
    sd_event_source_set_description(source, "http");
    curl_multi_assign(multi->curl, fd, source);
    return 0;
}

static int timer_changed(CURLM *curl, long ms, void *user)
{
    struct sl_multi *multi = user;
    uint64_t now = 0;

    (void)curl;
    if (ms < 0)
        return sd_event_source_set_enabled(multi->timer, SD_EVENT_OFF) < 0 ? -1 : 0;
    if (ms > 0) {
        struct timespec ts;

        clock_gettime(CLOCK_MONOTONIC, &ts); /* sd_event_now is as old as the iteration */
        now = (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
    }
    sd_event_source_set_time(multi->timer, now + (uint64_t)ms * 1000);
    return sd_event_source_set_enabled(multi->timer, SD_EVENT_ONESHOT) < 0 ? -1 : 0;
}

int sl_multi_new(sd_event *event, struct sl_multi **ret, struct sl_err *err)
{
    struct sl_multi *multi = sl_alloc(sizeof(*multi));
    int r;

    must(curl_global_init(CURL_GLOBAL_DEFAULT));
    multi->event = sd_event_ref(event);
    multi->curl = curl_multi_init();
    if (!multi->curl)
        abort();
    r = sd_event_add_time(event, &multi->timer, CLOCK_MONOTONIC, UINT64_MAX, 1, on_time, multi);
    if (r < 0) {
        sl_multi_free(multi);
        return sl_err_os(err, -r, "cannot add a timer to the event loop");
    }
    sd_event_source_set_enabled(multi->timer, SD_EVENT_OFF);
    sd_event_source_set_exit_on_failure(multi->timer, true);
    curl_multi_setopt(multi->curl, CURLMOPT_SOCKETFUNCTION, socket_changed);
    curl_multi_setopt(multi->curl, CURLMOPT_SOCKETDATA, multi);
    curl_multi_setopt(multi->curl, CURLMOPT_TIMERFUNCTION, timer_changed);
    curl_multi_setopt(multi->curl, CURLMOPT_TIMERDATA, multi);
    *ret = multi;
    return 0;
}

void sl_multi_free(struct sl_multi *multi)
{
    if (!multi)
        return;
    while (multi->first)
        http_free(multi->first);
    curl_multi_cleanup(multi->curl);
    sd_event_source_disable_unref(multi->timer);
    sd_event_unref(multi->event);
    curl_global_cleanup();
    free(multi);
}

struct sl_http *sl_http_start(struct sl_loop *loop, const struct sl_http_request *request,
                              sl_http_fn *fn, void *user)
{
    struct sl_multi *multi = sl_loop_multi(loop);
    struct sl_http *http = sl_alloc(sizeof(*http));

    http->multi = multi;
    http->fn = fn;
    http->user = user;
    transfer_init(&http->transfer, request);
    must(curl_easy_setopt(http->transfer.easy, CURLOPT_PRIVATE, (char *)http));
    http->next = multi->first;
    http->link = &multi->first;
    if (http->next)
        http->next->link = &http->next;
    multi->first = http;
    if (curl_multi_add_handle(multi->curl, http->transfer.easy) != CURLM_OK)
        abort(); /* memory, or a handle added twice */
    return http;
}

void sl_http_cancel(struct sl_http *http)
{
    if (http)
        http_free(http);
}

int sl_http_get(const struct sl_http_request *request, long *ret_status, char **ret_body,
                struct sl_err *err)
{
    struct transfer transfer;
    long status;

    transfer_init(&transfer, request);
    status = transfer_result(&transfer, curl_easy_perform(transfer.easy), err);
    if (status != 0) {
        *ret_status = status;
        *ret_body = sl_strdup(transfer_body(&transfer));
    }
    transfer_free(&transfer);
    return status != 0 ? 0 : -1;
}
