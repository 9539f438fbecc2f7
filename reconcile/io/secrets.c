/* SPDX-License-Identifier: GPL-2.0-or-later
 * Secrets: read by name out of directories, or made once and kept. Errors name the secret and the
 * place, never its bytes.
 */
#include "reconcile/base/file.h"
#include "reconcile/io/state.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/random.h>

#define SECRET_MAX   65536
#define RANDOM_BYTES 16

static bool name_ok(const char *name)
{
    return name && name[0] && name[0] != '.' && !strchr(name, '/') && strlen(name) <= 200;
}

static void cut_newline(char *text)
{
    size_t len = strlen(text);

    if (len > 0 && text[len - 1] == '\n')
        text[--len] = '\0';
    if (len > 0 && text[len - 1] == '\r')
        text[--len] = '\0';
}

/* 1: found; 0: not there; -1: err */
static int read_one(const char *dir, const char *name, char **ret, struct sl_err *err)
{
    sl_autofree char *path = sl_asprintf("%s/%s", dir, name);
    sl_autofree char *text = NULL;
    struct sl_err why = {0};
    size_t len = 0;

    if (sl_file_read(AT_FDCWD, path, SECRET_MAX, &text, &len, &why) < 0) {
        if (why.os == ENOENT || why.os == ENOTDIR)
            return 0;
        if (err)
            *err = why;
        return -1;
    }
    if (strlen(text) != len)
        return sl_err_set(err, SL_ERR_HUMAN, 0, "SecretInvalid", "the secret %s holds a NUL byte",
                          path);
    cut_newline(text);
    if (!*text)
        return sl_err_set(err, SL_ERR_HUMAN, 0, "SecretInvalid", "the secret %s is empty", path);
    *ret = text;
    text = NULL;
    return 1;
}

int sl_secret_read(char *const *dirs, size_t count, const char *name, char **ret,
                   struct sl_err *err)
{
    if (!name_ok(name))
        return sl_err_set(err, SL_ERR_HUMAN, 0, "SecretInvalid",
                          "not the name of a secret: it must be a plain file name");
    for (size_t i = 0; i < count; i++) {
        int r = read_one(dirs[i], name, ret, err);

        if (r != 0)
            return r < 0 ? -1 : 0;
    }
    return sl_err_set(err, SL_ERR_HUMAN, ENOENT, "SecretMissing",
                      "the secret %s is in none of the %zu secret directories", name, count);
}

int sl_state_secret(const char *dir, const char *name, char **ret, struct sl_err *err)
{
    sl_autofree char *path = NULL;
    unsigned char bytes[RANDOM_BYTES];
    char text[2 * RANDOM_BYTES + 2];
    struct sl_err why = {0};
    int r;

    if (!name_ok(name))
        return sl_err_set(err, SL_ERR_BUG, 0, "SecretInvalid", "not the name of a secret");
    r = read_one(dir, name, ret, &why);
    if (r > 0)
        return 0;
    if (r < 0 && strcmp(why.code, "SecretInvalid") != 0) {
        if (err)
            *err = why;
        return -1;
    }
    if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes))
        return sl_err_os(err, errno, "cannot get random bytes");
    for (size_t i = 0; i < sizeof(bytes); i++)
        snprintf(text + 2 * i, 3, "%02x", bytes[i]);
    path = sl_asprintf("%s/%s", dir, name);
    if (sl_file_replace(AT_FDCWD, path, text, 2 * RANDOM_BYTES, 0600, SL_FILE_SYNC, err) < 0)
        return -1;
    *ret = sl_strdup(text);
    return 0;
}
