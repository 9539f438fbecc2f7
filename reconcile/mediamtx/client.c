/* SPDX-License-Identifier: GPL-2.0-or-later
 * Calls under way and credentials. What answers mean is in answer.c. Layer: mediamtx.
 */
#include "reconcile/mediamtx/client.h"

#define QUEUE      41 /* jobs of this room keep their order */
#define TIMEOUT_MS 10000
#define INFO_MS    5000 /* the cheapest call: a wrong password alone costs 2 s */
#define MAX_BODY   (256u << 20)
#define MAX_AUTH   2

struct call {
    struct sl_mtx_client *client; /* NULL: the client was freed while a worker parses */
    struct call *next;
    struct sl_http *http;
    sl_mtx_parse_fn *parse;
    sl_mtx_answer_fn *fn;
    void *user, *parsed;
    char *body;
    size_t len;
    long status;
    int auth;
};

struct sl_mtx_client {
    struct sl_loop *loop;
    char *url;
    struct {
        char *username, *password;
    } auth[MAX_AUTH];
    int auths, current;
    struct call *calls;
};

struct sl_mtx_client *sl_mtx_client_new(struct sl_loop *loop, const char *url,
                                        const struct sl_mtx_auth *auth, int count)
{
    struct sl_mtx_client *client = sl_alloc(sizeof(*client));
    size_t len = strlen(url);

    json_object_seed(0); /* before two threads could */
    client->loop = loop;
    client->url = sl_strdup(url);
    while (len && client->url[len - 1] == '/')
        client->url[--len] = 0;
    for (int i = 0; i < count && i < MAX_AUTH; i++) {
        client->auth[i].username = sl_strdup(auth[i].username);
        client->auth[i].password = sl_strdup(auth[i].password);
        client->auths++;
    }
    return client;
}

static void drop(struct call **at)
{
    struct call *call = *at;

    *at = call->next;
    call->client = NULL;
    if (!call->http)
        return; /* a worker parses: done() frees it */
    sl_http_cancel(call->http);
    free(call);
}

void sl_mtx_cancel(struct sl_mtx_client *client, const void *user)
{
    for (struct call **at = &client->calls; *at;) {
        if ((*at)->user == user)
            drop(at);
        else
            at = &(*at)->next;
    }
}

void sl_mtx_client_free(struct sl_mtx_client *client)
{
    if (!client)
        return;
    while (client->calls)
        drop(&client->calls);
    for (int i = 0; i < client->auths; i++) {
        free(client->auth[i].username);
        free(client->auth[i].password);
    }
    free(client->url);
    free(client);
}

static void unlink_call(struct call *call)
{
    struct call **at = &call->client->calls;

    while (*at != call)
        at = &(*at)->next;
    *at = call->next;
}

static void work(void *user)
{
    struct call *call = user;

    call->parsed = call->parse(call->body, call->len);
}

static void finish(struct call *call, const char *error)
{
    sl_mtx_answer_fn *fn = call->fn;
    void *user = call->user, *parsed = call->parsed;
    long status = call->status;

    unlink_call(call);
    free(call->body);
    free(call);
    fn(user, status, parsed, error);
}

static void done(void *user)
{
    struct call *call = user;

    if (!call->client) {
        free(call->parsed);
        free(call->body);
        free(call);
        return;
    }
    if (!call->parsed)
        call->status = 0;
    finish(call, call->parsed ? NULL : "an answer that is not MediaMTX's");
}

/* {"status":"error","error":"TEXT"} */
static void error_text(long status, const char *body, size_t len, char *ret, size_t size)
{
    json_t *object = json_loadb(body, len, 0, NULL);
    const char *text = json_string_value(json_object_get(object, "error"));

    snprintf(ret, size, "HTTP %ld%s%.300s", status, text ? ": " : "", text ? text : "");
    json_decref(object);
}

static void answered(void *user, long status, const char *body, size_t len,
                     const struct sl_err *err)
{
    struct call *call = user;
    struct sl_mtx_client *client = call->client;
    char text[400] = "";

    call->http = NULL;
    call->status = status;
    if (status == 200 && call->parse) {
        call->body = sl_alloc(len + 1);
        memcpy(call->body, body, len);
        call->len = len;
        sl_loop_job(client->loop, QUEUE, work, done, call);
        return;
    }
    if (status == 401 && call->auth == client->current)
        client->current = (client->current + 1) % client->auths;
    if (status == 0)
        snprintf(text, sizeof(text), "%.390s", err ? err->text : "no answer");
    else if (status != 200)
        error_text(status, body ? body : "", len, text, sizeof(text));
    finish(call, *text ? text : NULL);
}

void sl_mtx_call(struct sl_mtx_client *client, const char *method, const char *target,
                 const char *body, sl_mtx_parse_fn *parse, sl_mtx_answer_fn *fn, void *user)
{
    struct call *call = sl_alloc(sizeof(*call));
    sl_autofree char *url = sl_asprintf("%s%s", client->url, target);
    struct sl_http_request request = {
        .method = method,
        .url = url,
        .username = client->auth[client->current].username,
        .password = client->auth[client->current].password,
        .body = body,
        .timeout_ms = parse == sl_mtx_parse_info ? INFO_MS : TIMEOUT_MS,
        .max_body = MAX_BODY,
    };

    *call = (struct call){.client = client,
                          .next = client->calls,
                          .parse = parse,
                          .fn = fn,
                          .user = user,
                          .auth = client->current};
    client->calls = call;
    call->http = sl_http_start(client->loop, &request, answered, call);
}

void sl_mtx_call_kick(struct sl_mtx_client *client, const char *kind, const char *id,
                      sl_mtx_answer_fn *fn, void *user)
{
    sl_autofree char *target = sl_asprintf("/v3/%s/kick/%s", kind, id);

    sl_mtx_call(client, "POST", target, NULL, NULL, fn, user);
}

static char *target_of(const char *prefix, const char *name)
{
    struct sl_buf out = {0};

    sl_buf_puts(&out, prefix);
    for (const char *c = name; *c; c++) {
        bool plain = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') ||
                     (*c >= '0' && *c <= '9') || strchr("_.-/", *c);

        sl_buf_printf(&out, plain ? "%c" : "%%%02X", (unsigned char)*c);
    }
    return sl_buf_steal(&out);
}

void sl_mtx_call_replace(struct sl_mtx_client *client, const struct sl_path_conf *conf,
                         sl_mtx_answer_fn *fn, void *user)
{
    sl_autofree char *target = target_of("/v3/config/paths/replace/", conf->name);
    json_t *object = sl_mtx_path_to_json(conf);
    char *body = json_dumps(object, JSON_COMPACT);

    sl_mtx_call(client, "POST", target, body, NULL, fn, user);
    free(body);
    json_decref(object);
}

void sl_mtx_call_delete(struct sl_mtx_client *client, const char *name, sl_mtx_answer_fn *fn,
                        void *user)
{
    sl_autofree char *target = target_of("/v3/config/paths/delete/", name);

    sl_mtx_call(client, "DELETE", target, NULL, NULL, fn, user);
}

void sl_mtx_call_get(struct sl_mtx_client *client, const char *name, sl_mtx_answer_fn *fn,
                     void *user)
{
    sl_autofree char *target = target_of("/v3/config/paths/get/", name);

    sl_mtx_call(client, "GET", target, NULL, sl_mtx_parse_conf, fn, user);
}
