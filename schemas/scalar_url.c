/* SPDX-License-Identifier: GPL-2.0-or-later
 * URLs: scheme, host and port as they must be, and no secret in them.
 */
#include "schemas/scalar_parts.h"
#include "schemas/secret.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdarg.h>

#define URL_MAX    512 /* with its credentials it must fit MediaMTX's `source` as we keep it */
#define OWN_BEFORE "and put the secret into a file of that name below a secrets directory"

struct url {
    char scheme[12];
    const char *user, *host, *port, *rest; /* not ended by NUL; rest: path, query, fragment */
    size_t user_len, host_len, port_len, authority_len;
    bool has_user, has_port, bracket;
};

static bool split(const char *text, struct url *ret)
{
    const char *mark = strstr(text, "://"), *p, *end, *at = NULL, *colon;
    size_t len = mark ? (size_t)(mark - text) : 0;

    memset(ret, 0, sizeof(*ret));
    if (!mark || len >= sizeof(ret->scheme))
        return false;
    memcpy(ret->scheme, text, len);
    p = mark + 3;
    ret->authority_len = strcspn(p, "/?#");
    end = p + ret->authority_len;
    ret->rest = end;
    for (const char *q = p; q < end; q++)
        if (*q == '@')
            at = q;
    if (at) {
        ret->has_user = true;
        ret->user = p;
        ret->user_len = (size_t)(at - p);
        p = at + 1;
    }
    ret->host = p;
    if (*p == '[' && (colon = memchr(p, ']', (size_t)(end - p)))) {
        ret->bracket = true;
        ret->host = p + 1;
        ret->host_len = (size_t)(colon - p - 1);
        colon++;
    } else {
        colon = memchr(p, ':', (size_t)(end - p));
        ret->host_len = (size_t)((colon ? colon : end) - p);
    }
    if (colon && colon < end) {
        ret->has_port = true;
        ret->port = colon + (*colon == ':');
        ret->port_len = (size_t)(end - ret->port);
    }
    return true;
}

static bool takes(const struct sl_field *f, const char *scheme)
{
    for (const char *const *s = f->schemes; *s; s++)
        if (sl_streq(*s, scheme))
            return true;
    return false;
}

static int bad_scheme(const struct sl_field *f, const struct url *u, struct sl_scalar_err *err)
{
    static const char *const pull[] = {"srt", "rtmp", "rtmps", "http", "https", "udp", NULL};
    const struct sl_field rtsp = {.schemes = (const char *const[]){"rtsp", "rtsps", NULL}};
    const struct sl_field others = {.schemes = pull};
    char all[120], lower[sizeof(u->scheme)];
    size_t n = 0;

    for (const char *const *s = f->schemes; *s && n < sizeof(all); s++)
        n += (size_t)snprintf(all + n, sizeof(all) - n, "%s%s://",
                              !n     ? ""
                              : s[1] ? ", "
                                     : " or ",
                              *s);
    sl_scalar_fail(err, "E113", "%s must begin with %s", f->name, all);
    for (n = 0; n < sizeof(lower); n++)
        lower[n] = (char)tolower((unsigned char)u->scheme[n]);
    if (*lower && takes(f, lower))
        sl_scalar_hint(err, "write %s:// in small letters", lower);
    else if (f->required && takes(&rtsp, lower)) /* a manifest's row; settings have defaults */
        sl_scalar_hint(err, "a source of that kind is source.rtsp");
    else if (f->required && takes(&others, lower))
        sl_scalar_hint(err, "a source of that kind is source.pull");
    else if (!*lower && *f->schemes)
        sl_scalar_hint(err, "for example %s://HOST/PATH", f->schemes[0]);
    else if (f->required && sl_streq(lower, "file"))
        sl_scalar_hint(err, "a file is source.file: {path: …}");
    return -1;
}

/* ---- secrets ---- */

static int secret(struct sl_scalar_err *err, const char *hint, const char *format, ...)
    SL_PRINTF(3, 4);
static int secret(struct sl_scalar_err *err, const char *hint, const char *format, ...)
{
    va_list ap;

    err->code = "InlineSecret";
    va_start(ap, format);
    vsnprintf(err->message, sizeof(err->message), format, ap);
    va_end(ap);
    sl_scalar_hint(err, "%s", hint);
    return -1;
}

static int user_info(const struct sl_field *f, const struct url *u, struct sl_scalar_err *err)
{
    const char *colon = memchr(u->user, ':', u->user_len);
    int name = colon ? (int)(colon - u->user) : 0;
    char hint[sizeof(err->hint)], user[48] = "USER";

    if (u->user_len == 0) {
        sl_scalar_fail(err, "E113", "%s has nothing before its '@'", f->name);
        sl_scalar_hint(err, "leave the '@' out");
        return -1;
    }
    for (int i = 0; i < name; i++) /* shown only if it is a plain name, and not the password */
        if (!isalnum((unsigned char)u->user[i]) && !strchr("._-", u->user[i]))
            name = 0;
    if (name > 0 && name < (int)sizeof(user))
        snprintf(user, sizeof(user), "%.*s", name, u->user);
    if (!f->required)
        snprintf(hint, sizeof(hint), "leave user and password out: everybody sees this address");
    else if (sl_streq(u->scheme, "srt"))
        snprintf(hint, sizeof(hint),
                 "write streamIdRef or passphraseRef: {name: SECRET}, " OWN_BEFORE);
    else if (sl_streq(u->scheme, "udp"))
        snprintf(hint, sizeof(hint), "leave it out: UDP has no user names");
    else
        snprintf(hint, sizeof(hint),
                 "write username: %s and passwordRef: {name: SECRET}, " OWN_BEFORE, user);
    return secret(err, hint, "%s must not hold a user name or password", f->name);
}

static char hex_digit(char c)
{
    return (char)(isdigit((unsigned char)c) ? c - '0' : tolower((unsigned char)c) - 'a' + 10);
}

static bool encoded(const char *p)
{
    return p[0] == '%' && isxdigit((unsigned char)p[1]) && isxdigit((unsigned char)p[2]);
}

static void decode(const char *text, char *ret, size_t size)
{
    size_t n = 0;

    for (; *text && n + 1 < size; text++) {
        if (encoded(text)) {
            ret[n++] = (char)(hex_digit(text[1]) << 4 | hex_digit(text[2]));
            text += 2;
        } else {
            ret[n++] = *text;
        }
    }
    ret[n] = '\0';
}

static int secret_of_key(const struct sl_field *f, const struct url *u, const char *key, size_t len,
                         struct sl_scalar_err *err)
{
    bool srt = sl_streq(u->scheme, "srt");
    const char *hint;

    if (!f->required)
        hint = "leave it out: everybody sees this address";
    else if (srt && len == 10 && strncasecmp(key, "passphrase", len) == 0)
        hint = "write passphraseRef: {name: SECRET}, " OWN_BEFORE;
    else if (srt)
        hint = "write streamIdRef: {name: SECRET}, " OWN_BEFORE;
    else if (strncasecmp(key, "pass", 4) == 0 || strncasecmp(key, "pwd", 3) == 0)
        hint = "write username: USER and passwordRef: {name: SECRET}, " OWN_BEFORE;
    else
        hint =
            "a server that takes username and passwordRef: {name: SECRET} in its place is needed";
    return secret(err, hint, "%s must not hold a secret, but has '%.*s='", f->name, (int)len, key);
}

/* Keys of path and query; some cameras write them with '_' between: user=a_password=b_channel=1 */
static int no_secret_key(const struct sl_field *f, const struct url *u, struct sl_scalar_err *err)
{
    char text[URL_MAX + 1];

    decode(u->rest, text, sizeof(text));
    for (const char *equals = text; (equals = strchr(equals, '=')); equals++) {
        const char *key = equals;
        size_t len;

        while (key > text && isalnum((unsigned char)key[-1]))
            key--;
        len = (size_t)(equals - key);
        if (len == 8 && strncasecmp(key, "streamid", len) == 0) {
            char id[URL_MAX + 1];

            snprintf(id, sizeof(id), "%.*s", (int)strcspn(equals + 1, "&"), equals + 1);
            if (sl_secret_stream_id(id))
                return secret_of_key(f, u, key, len, err);
        } else if (equals[1] && !strchr("&;/_?#", equals[1]) && sl_secret_key(key, len)) {
            return secret_of_key(f, u, key, len, err);
        }
    }
    return 0;
}

/* ---- form ---- */

static int characters(const struct sl_field *f, const char *text, struct sl_scalar_err *err)
{
    for (const char *p = text; *p; p++) {
        unsigned char c = (unsigned char)*p;

        if (c == ' ' || c >= 0x80 || strchr("\"<>\\^`{|}", c)) {
            sl_scalar_fail(err, "E113",
                           c == ' '    ? "%s contains a space"
                           : c >= 0x80 ? "%s contains a character outside ASCII"
                                       : "%s contains a character that must be percent-encoded",
                           f->name);
            if (c == ' ')
                sl_scalar_hint(err, "write %%20");
            else if (c < 0x80)
                sl_scalar_hint(err, "write %%%02X for '%c'", c, c);
            else
                sl_scalar_hint(err, "percent-encode it; host names in their xn-- form");
            return -1;
        }
        if (c == '%' && !encoded(p)) {
            sl_scalar_fail(err, "E113", "%s has a '%%' without two hexadecimal digits", f->name);
            sl_scalar_hint(err, "write %%25 for a '%%'");
            return -1;
        }
        if (c == '%' && (hex_digit(p[1]) < 2 || strncasecmp(p, "%7f", 3) == 0))
            return sl_scalar_fail(err, "E114", "%s contains a control character", f->name);
    }
    return 0;
}

static bool is_address(const struct url *u, bool *ret_looks_so)
{
    char host[64];
    unsigned char raw[16];
    bool digits = true;

    for (size_t i = 0; i < u->host_len; i++)
        digits = digits && (isdigit((unsigned char)u->host[i]) || u->host[i] == '.');
    *ret_looks_so = u->bracket || digits;
    if (u->host_len >= sizeof(host))
        return false;
    snprintf(host, sizeof(host), "%.*s", (int)u->host_len, u->host);
    return inet_pton(u->bracket ? AF_INET6 : AF_INET, host, raw) == 1;
}

static int host(const struct sl_field *f, const struct url *u, struct sl_scalar_err *err)
{
    bool looks, address = is_address(u, &looks);
    char shown[64], text[64];

    snprintf(text, sizeof(text), "%.*s", (int)(u->host_len < 63 ? u->host_len : 63), u->host);
    if (u->host_len == 0) {
        sl_scalar_fail(err, "E113", "%s has no host", f->name);
        if (sl_streq(u->scheme, "udp") && u->has_port)
            sl_scalar_hint(err, "write 0.0.0.0 to receive on every address");
        else if (sl_streq(u->scheme, "srt") && u->has_port)
            sl_scalar_hint(err, "a source is called, it does not call; to receive, use "
                                "source.publish");
        return -1;
    }
    if (looks && !address)
        return sl_scalar_fail(err, "E113", "'%s' in %s is not an IP address",
                              sl_scalar_shown(text, shown), f->name);
    if (address)
        return 0;
    for (size_t i = 0; i < u->host_len; i++) {
        char c = u->host[i];

        bool first = i == 0 || u->host[i - 1] == '.'; /* of a label */

        if (!isalnum((unsigned char)c) && (!strchr("._-", c) || (first && c != '_')))
            return sl_scalar_fail(err, "E113", "'%s' in %s is not a host name",
                                  sl_scalar_shown(text, shown), f->name);
    }
    if (u->host_len > 253)
        return sl_scalar_fail(err, "E113", "the host in %s is too long", f->name);
    return 0;
}

static int port(const struct sl_field *f, const struct url *u, struct sl_scalar_err *err)
{
    long value = 0;

    for (size_t i = 0; i < u->port_len && value <= 65535; i++)
        value = isdigit((unsigned char)u->port[i]) ? value * 10 + (u->port[i] - '0') : 65536;
    if (!u->has_port || (value > 0 && value <= 65535))
        return 0;
    sl_scalar_fail(err, "E113", "the port in %s must be a number from 1 to 65535", f->name);
    if (!u->bracket && memchr(u->port, ':', u->port_len))
        sl_scalar_hint(err, "an IPv6 address stands in brackets: [2001:db8::1]");
    return -1;
}

/* What is a place to receive at, or has no port by itself. */
static int special(const struct sl_field *f, const struct url *u, struct sl_scalar_err *err)
{
    bool looks, srt = sl_streq(u->scheme, "srt"), udp = sl_streq(u->scheme, "udp");

    if ((srt || udp) && !u->has_port) {
        sl_scalar_fail(err, "E113", "%s has no port", f->name);
        sl_scalar_hint(err, "%s has none by default: write %s://%.*s:PORT", srt ? "SRT" : "UDP",
                       u->scheme, (int)(u->host_len < 100 ? u->host_len : 4),
                       u->host_len < 100 ? u->host : "HOST");
        return -1;
    }
    if (udp && !is_address(u, &looks)) {
        sl_scalar_fail(err, "E113", "%s needs an address to receive at, not a name", f->name);
        sl_scalar_hint(err, "a multicast group such as 239.0.0.1, an address of this machine, or "
                            "0.0.0.0");
        return -1;
    }
    return 0;
}

int sl_scalar_read_url(const struct sl_field *f, const char *text, bool plain,
                       struct sl_scalar_err *err)
{
    const char *fragment;
    struct url u;

    if (!*text && f->def && !*f->def)
        return 0;
    if (sl_scalar_read_text(f, text, plain, err) < 0)
        return -1;
    if (!split(text, &u) || !takes(f, u.scheme))
        return bad_scheme(f, &u, err);
    if (strlen(text) > URL_MAX)
        return sl_scalar_fail(err, "E111", "%s is longer than %d characters", f->name, URL_MAX);
    if (u.has_user)
        return user_info(f, &u, err);
    if (port(f, &u, err) < 0) {
        if (!strchr(u.rest, '@'))
            return -1;
        u.user = u.host; /* a password with '/', '?' or '#' in it */
        u.user_len = u.authority_len;
        return user_info(f, &u, err);
    }
    if (no_secret_key(f, &u, err) < 0 || characters(f, text, err) < 0 || host(f, &u, err) < 0)
        return -1;
    fragment = strchr(u.rest, '#');
    if (fragment) {
        sl_scalar_fail(err, "E113", "%s must not have a '#'", f->name);
        sl_scalar_hint(err, "leave out what begins there, or write %%23 for it");
        return -1;
    }
    return special(f, &u, err);
}
