/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "schemas/secret.h"

#include <ctype.h>

#define GONE '\001' /* a byte of a character that is masked already */

static bool same(const char *word, const char *text, size_t len)
{
    return strlen(word) == len && strncasecmp(word, text, len) == 0;
}

bool sl_secret_key(const char *key, size_t len)
{
    static const char *const whole[] = {
        "pass",   "pw",      "psk",       "auth",      "sig",       "hmac",     "jwt",       "key",
        "apikey", "authkey", "accesskey", "secretkey", "streamkey", "userpass", "credential"};
    static const char *const ends[] = {"password", "passwd", "pwd",      "passphrase",
                                       "secret",   "token",  "signature"};

    for (size_t i = 0; i < SL_COUNT(whole); i++)
        if (same(whole[i], key, len))
            return true;
    for (size_t i = 0; i < SL_COUNT(ends); i++) {
        size_t end = strlen(ends[i]);

        if (len >= end && strncasecmp(key + len - end, ends[i], end) == 0)
            return true;
    }
    return false;
}

bool sl_secret_stream_id(const char *id)
{
    int colons = 0;

    if (strncmp(id, "#!::", 4) == 0) { /* #!::m=read,r=yard,u=USER,s=PASSWORD */
        for (const char *p = id + 4; *p; p += strcspn(p, ","), p += *p == ',') {
            size_t len = strcspn(p, "=,");

            if (p[len] == '=' && p[len + 1] && p[len + 1] != ',' &&
                (same("s", p, len) || sl_secret_key(p, len)))
                return true;
        }
        return false;
    }
    for (const char *p = id; *p; p++)
        colons += *p == ':';
    return colons >= 2; /* read:yard:USER:PASSWORD */
}

static void blank(char *from, const char *to)
{
    for (; from < to; from++)
        *from = ((unsigned char)*from & 0xc0) == 0x80 ? GONE : '*';
}

static char *last_at(char *from, const char *to)
{
    char *at = NULL;

    for (; from < to; from++)
        if (*from == '@')
            at = from;
    return at;
}

/* What stands between "://" and the last '@' that may belong to it. */
static void mask_user(char *text)
{
    size_t authority = strcspn(text, "/?# \t\"'"), word = strcspn(text, " \t\"'");
    const char *colon = text[0] == '[' ? NULL : memchr(text, ':', authority);
    bool user = memchr(text, '@', authority) != NULL;
    bool port = colon && strspn(colon + 1, "0123456789") == authority - (size_t)(colon + 1 - text);
    char *at;

    if (user || (colon && !port)) { /* not a port: a password with a '/', '#' or space in it */
        at = last_at(text, text + word);
        if (!at && !user)
            at = last_at(text, text + strlen(text));
        if (at)
            blank(text, at);
        else if (strstr(text, "…"))
            blank(text, text + word); /* the line is cut, perhaps before the '@' */
    }
}

/* user:password@host, its scheme forgotten */
static void mask_bare(char *line)
{
    static const char between[] = " \t\"'{,";

    for (char *p = line + strspn(line, "["); *p;) {
        size_t len = strcspn(p, between);
        char *at = last_at(p, p + len), *colon = memchr(p, ':', len);

        if (at && colon && colon + 1 < at && strncmp(colon, "://", 3) != 0)
            blank(p, at);
        p += len;
        p += strspn(p, between);
        p += strspn(p, "[");
    }
}

static bool yaml_word(const char *key, size_t len)
{
    static const char *const words[] = {"pass",  "password", "passwd",   "pwd",      "passphrase",
                                        "token", "secret",   "streamid", "streamkey"};

    for (size_t i = 0; i < SL_COUNT(words); i++)
        if (same(words[i], key, len))
            return true;
    return false;
}

/* `p` stands behind the colon of a key that should have been a reference. */
static void mask_yaml_value(char *p)
{
    size_t len;

    p += strspn(p, " ");
    if (*p == '"' || *p == '\'') {
        char quote[2] = {*p++, '\0'};

        blank(p, p + strcspn(p, quote));
    } else if (*p && !strchr("{[", *p)) {
        len = strcspn(p, ",}");
        blank(p, p + len);
    }
}

static void mask_values(char *line)
{
    for (char *p = line; *p;) {
        size_t len = 0;
        char *end;

        while (isalnum((unsigned char)p[len]))
            len++;
        if (len == 0) {
            p++;
            continue;
        }
        end = p + len;
        if (*end == '=' && (sl_secret_key(p, len) || same("streamid", p, len)))
            blank(end + 1, end + 1 + strcspn(end + 1, "& \t\"'"));
        end += *end == '"' || *end == '\'';
        end += strspn(end, " ");
        if (*end == ':' && (end[1] == ' ' || end[1] == '\0') && yaml_word(p, len))
            mask_yaml_value(end + 1);
        p += len;
    }
}

void sl_secret_mask(char *line)
{
    char *to = line;

    for (char *p = line; (p = strstr(p, "://")); p += 3)
        mask_user(p + 3);
    mask_bare(line);
    mask_values(line);
    for (const char *from = line; *from; from++)
        if (*from != GONE)
            *to++ = *from;
    *to = '\0';
}
