/* SPDX-License-Identifier: GPL-2.0-or-later
 * Template + users + paths = the file that MediaMTX loads. Layer: mediamtx.
 */
#include "reconcile/mediamtx/file.h"

#include "reconcile/base/file.h"
#include "reconcile/base/hash.h"
#include "reconcile/mediamtx/template.h"
#include <fcntl.h>

#define MAX_TEMPLATE (1 << 20)
#define MAX_RENDERED (64 << 20)
#define BASIS        "# basis: "

struct sl_mtx_file {
    struct sl_mtx_template template;
    char *config, *api_address, *user;
    char pass[SL_MTX_HASH];
    char basis[SL_SHA_HEX]; /* over template and users */
    uint64_t generation;
    bool current;
};

static const char own_template[] = "logLevel: info\n"
                                   "api: yes\n"
                                   "rtsp: yes\n"
                                   "rtspTransports: [tcp]\n"
                                   "rtmp: yes\n"
                                   "hls: yes\n"
                                   "webrtc: yes\n"
                                   "srt: yes\n"
                                   "moq: no\n";

int sl_mtx_port(const char *address)
{
    const char *host = address ? strstr(address, "://") : NULL;
    const char *colon, *end;
    int port = 0;

    host = host ? host + 3 : address;
    if (!host)
        return 0;
    end = host + strcspn(host, "/");
    for (colon = end; colon > host && colon[-1] != ':' && colon[-1] != ']';)
        colon--;
    if (colon > host && colon[-1] == ':')
        port = atoi(colon);
    else if (host != address)
        port = strncmp(address, "https", 5) == 0 ? 443 : 80;
    return port > 0 && port < 65536 ? port : 0;
}

/* "http://127.0.0.1:9997/" -> "127.0.0.1:9997"; localhost is no address. */
static char *address_of(const char *url)
{
    const char *host = strstr(url, "://");
    int n;

    host = host ? host + 3 : url;
    n = (int)strcspn(host, "/");
    if (strncmp(host, "localhost:", 10) == 0)
        return sl_asprintf("127.0.0.1:%.*s", n - 10, host + 10);
    return sl_asprintf("%.*s", n, host);
}

static int make_parent(const char *path, struct sl_err *err)
{
    sl_autofree char *dir = sl_strdup(path);
    char *slash = strrchr(dir, '/');

    if (!slash || slash == dir)
        return 0;
    *slash = 0;
    return sl_mkdir_p(dir, 0750, err);
}

/* What the last daemon left: its generation goes on, and an equal basis needs no new file. */
static void look_back(struct sl_mtx_file *f)
{
    sl_autofree char *text = NULL;
    const char *at;
    size_t len;

    if (sl_file_read(AT_FDCWD, f->config, MAX_RENDERED, &text, &len, NULL) < 0)
        return;
    at = strstr(text, "user: \"sluice-gen-");
    if (at)
        f->generation = sl_mtx_generation(at + strlen("user: \""));
    at = strstr(text, BASIS);
    f->current = at && strncmp(at + strlen(BASIS), f->basis, strlen(f->basis)) == 0;
}

static int check_api(struct sl_mtx_file *f, const char *url, struct sl_err *err)
{
    const struct sl_mtx_value *api = sl_mtx_template_value(&f->template, "apiAddress");

    if (!api->text || sl_mtx_port(api->text) == sl_mtx_port(url))
        return 0;
    return sl_err_set(err, SL_ERR_HUMAN, 0, "TemplateRefused",
                      "%s:%d: apiAddress %s is not where mediamtx.api (%s) looks for it",
                      f->template.name, api->line, api->text, url);
}

int sl_mtx_file_new(const struct sl_mtx_file_options *options, struct sl_mtx_file **ret,
                    struct sl_err *err)
{
    struct sl_mtx_file *f = sl_alloc(sizeof(*f));
    sl_autofree char *text = NULL, *basis = NULL;
    size_t len;
    int r = 0;

    f->config = sl_strdup(options->config);
    f->api_address = address_of(options->api_url);
    f->user = sl_strdup(options->user);
    if (options->user)
        sl_mtx_hash(options->password, f->pass);
    if (options->template_) {
        r = sl_file_read(AT_FDCWD, options->template_, MAX_TEMPLATE, &text, &len, err);
        if (r < 0)
            sl_err_wrap(err, "mediamtx.template");
    } else {
        text = sl_strdup(own_template);
        len = strlen(text);
    }
    if (r == 0)
        r = sl_mtx_template_read(&f->template, options->template_ ? options->template_ : "built-in",
                                 text, len, err);
    if (r == 0)
        r = check_api(f, options->api_url, err);
    if (r == 0)
        r = make_parent(options->config, err);
    if (r < 0) {
        sl_mtx_file_free(f);
        return -1;
    }
    basis = sl_asprintf("2\n%s\n%s\n%s\n%s", f->api_address, f->user ? f->user : "", f->pass, text);
    sl_sha256_hex(basis, strlen(basis), f->basis);
    look_back(f);
    *ret = f;
    return 0;
}

void sl_mtx_file_free(struct sl_mtx_file *f)
{
    if (!f)
        return;
    sl_mtx_template_clear(&f->template);
    free(f->config);
    free(f->api_address);
    free(f->user);
    free(f);
}

const char *sl_mtx_file_name(const struct sl_mtx_file *f)
{
    return f->config;
}

uint64_t sl_mtx_file_generation(const struct sl_mtx_file *f)
{
    return f->generation;
}

bool sl_mtx_file_current(const struct sl_mtx_file *f)
{
    return f->current;
}

const char *sl_mtx_file_address(const struct sl_mtx_file *f, const char *key)
{
    const struct sl_mtx_value *value = sl_mtx_template_value(&f->template, key);

    if (!value)
        return NULL;
    if (value->text)
        return value->text;
    return strcmp(key, "apiAddress") == 0 ? f->api_address : value->fallback;
}

static void make_users(const struct sl_mtx_file *f, const struct sl_mtx_content *content,
                       struct sl_mtx_users *ret)
{
    *ret = (struct sl_mtx_users){.user = f->user,
                                 .list = content->users,
                                 .count = content->users_count,
                                 .generation = content->generation};
    memcpy(ret->pass, f->pass, sizeof(ret->pass));
    snprintf(ret->marker, sizeof(ret->marker), "%s", content->marker);
}

json_t *sl_mtx_file_users(const struct sl_mtx_file *f, const struct sl_mtx_content *content)
{
    struct sl_mtx_users users;

    if (!f->user)
        return NULL;
    make_users(f, content, &users);
    return sl_mtx_users_to_json(&users);
}

static void print_users(const struct sl_mtx_file *f, const struct sl_mtx_content *content,
                        struct sl_buf *out)
{
    const struct sl_mtx_template *t = &f->template;
    struct sl_mtx_users users;
    int indent = f->user ? 2 : t->users_indent;

    make_users(f, content, &users);
    sl_buf_puts(out, "authInternalUsers:\n");
    if (!f->user && t->users_body.end > t->users_body.first)
        sl_mtx_template_lines(t, t->users_body.first, t->users_body.end, out);
    else if (!f->user)
        sl_mtx_users_default(indent, out);
    sl_mtx_users_print(&users, indent, out);
}

static void print_paths(const struct sl_mtx_file *f, const struct sl_path_conf *paths, size_t count,
                        struct sl_buf *out)
{
    const struct sl_mtx_template *t = &f->template;
    size_t kept = 0;

    for (size_t i = 0; i < t->named_count; i++) {
        if (sl_mtx_path_find(paths, count, t->named[i].name))
            continue;
        sl_buf_puts(out, kept++ ? "" : "paths:\n");
        sl_mtx_template_lines(t, t->named[i].span.first, t->named[i].span.end, out);
    }
    if (kept + count == 0)
        sl_buf_puts(out, "paths: {}\n");
    else if (kept == 0)
        sl_buf_puts(out, "paths:\n");
    for (size_t i = 0; i < count; i++)
        sl_mtx_path_to_yaml(&paths[i], t->paths_indent, out);
}

char *sl_mtx_file_render(const struct sl_mtx_file *f, const struct sl_mtx_content *content)
{
    const struct sl_mtx_template *t = &f->template;
    struct sl_mtx_span low = t->paths, high = t->users;
    struct sl_buf out = {0};

    if (high.end > high.first && (low.end == low.first || high.first < low.first)) {
        low = t->users;
        high = t->paths;
    }
    sl_buf_printf(&out, "# Rendered by Sluice from %s: what is edited here is lost.\n" BASIS "%s\n",
                  t->name, f->basis);
    sl_mtx_template_lines(t, 0, low.end > low.first ? low.first : t->lines, &out);
    if (low.end > low.first) {
        sl_mtx_template_lines(t, low.end, high.end > high.first ? high.first : t->lines, &out);
        if (high.end > high.first)
            sl_mtx_template_lines(t, high.end, t->lines, &out);
    }
    if (!t->has_api)
        sl_buf_puts(&out, "api: yes\n");
    if (!sl_mtx_template_value(t, "apiAddress")->text)
        sl_buf_printf(&out, "apiAddress: \"%s\"\n", f->api_address);
    print_users(f, content, &out);
    print_paths(f, content->paths, content->count, &out);
    return sl_buf_steal(&out);
}
