/* SPDX-License-Identifier: GPL-2.0-or-later
 * Preloaded into encoders by tests: a disk that fails. Reads of a file whose name has "diskfault"
 * in it go wrong once they pass 1,000 bytes while the file FAULT (environment) exists: its first
 * letter says how: 'e' the read fails with EIO, 'h' it hangs.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char wanted(void)
{
    const char *path = getenv("FAULT");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    ssize_t (*next)(int, void *, size_t) = dlsym(RTLD_NEXT, "read");
    char letter = 0;

    if (fd < 0)
        return 0;
    if (next(fd, &letter, 1) != 1)
        letter = 0;
    close(fd);
    return letter;
}

ssize_t read(int fd, void *data, size_t size)
{
    ssize_t (*next)(int, void *, size_t) = dlsym(RTLD_NEXT, "read");
    char link[64], path[512];
    ssize_t length;

    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    length = readlink(link, path, sizeof(path) - 1);
    if (length > 0) {
        path[length] = 0;
        if (strstr(path, "diskfault") && lseek(fd, 0, SEEK_CUR) > 1000) {
            for (;;) {
                char letter = wanted();

                if (letter == 'e') {
                    errno = EIO;
                    return -1;
                }
                if (letter != 'h')
                    break;
                usleep(20000);
            }
        }
    }
    return next(fd, data, size);
}
