/* SPDX-License-Identifier: GPL-2.0-or-later
 * Where the page listens: TCP as the host settings say, and runtime/http.sock for the CLI. Layer:
 * web.
 */
#include "reconcile/base/file.h"
#include "reconcile/web/web_impl.h"
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* "HOST:PORT", "[V6]:PORT", ":PORT" or a port alone. */
static int split_listen(const char *listen, char host[256], char port[8], struct sl_err *err)
{
    const char *colon = strrchr(listen, ':'), *p = colon ? colon + 1 : listen;
    size_t n = colon ? (size_t)(colon - listen) : 0;
    char *end;
    long number = strtol(p, &end, 10);
    const char *from = listen;

    if (!*p || *end || number < 0 || number > 65535 || n >= 255)
        return sl_err_set(err, SL_ERR_HUMAN, 0, "BadListen",
                          "listen: '%.100s' is not HOST:PORT, e.g. 127.0.0.1:8080", listen);
    if (n >= 2 && listen[0] == '[' && listen[n - 1] == ']') {
        from++;
        n -= 2;
    } else if (memchr(listen, ':', n)) {
        return sl_err_set(err, SL_ERR_HUMAN, 0, "BadListen",
                          "listen: an IPv6 address stands in brackets: [::1]:8080");
    }
    memcpy(host, from, n);
    host[n] = 0;
    snprintf(port, 8, "%ld", number);
    return 0;
}

static bool is_loopback(const struct sockaddr *a)
{
    if (a->sa_family == AF_INET)
        return (ntohl(((const struct sockaddr_in *)(const void *)a)->sin_addr.s_addr) >> 24) == 127;
    return a->sa_family == AF_INET6 &&
           IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)(const void *)a)->sin6_addr);
}

char *web_listen_address(int fd)
{
    struct sockaddr_storage a;
    socklen_t len = sizeof(a);
    char host[128], port[8];

    if (getsockname(fd, (struct sockaddr *)&a, &len) < 0 ||
        getnameinfo((struct sockaddr *)&a, len, host, sizeof(host), port, sizeof(port),
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        return sl_strdup("");
    return sl_asprintf(a.ss_family == AF_INET6 ? "http://[%s]:%s" : "http://%s:%s", host, port);
}

int web_listen_tcp(const struct sl_settings *settings, int *ret_fd, struct sl_err *err)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *list = NULL;
    char host[256], port[8];
    int one = 1, os, rc, fd;

    if (split_listen(settings->listen, host, port, err) < 0)
        return -1;
    rc = getaddrinfo(*host ? host : NULL, port, &hints, &list);
    if (rc != 0)
        return sl_err_set(err, SL_ERR_HUMAN, 0, "BadListen", "listen: %s: %s", host,
                          gai_strerror(rc));
    if (!is_loopback(list->ai_addr) && !settings->page.public_) {
        freeaddrinfo(list);
        return sl_err_set(err, SL_ERR_HUMAN, 0, "BadListen",
                          "listen: %s is not a loopback address, and the page has no password: "
                          "set page.public: true to let anybody see it",
                          settings->listen);
    }
    fd = socket(list->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    rc = fd < 0 || bind(fd, list->ai_addr, list->ai_addrlen) < 0 || listen(fd, 128) < 0;
    os = errno;
    freeaddrinfo(list);
    if (!rc) {
        *ret_fd = fd;
        return 0;
    }
    sl_closep(&fd);
    if (os == EADDRINUSE)
        return sl_err_set(err, SL_ERR_HUMAN, os, "PortInUse",
                          "listen: %s is in use by another program; choose another port or end it",
                          settings->listen);
    sl_err_os(err, os, "listen: %s", settings->listen);
    if (err)
        snprintf(err->code, sizeof(err->code), "BadListen");
    return -1;
}

/* Bound under a temporary name and renamed: the socket of a daemon before us never blocks. */
int web_listen_local(const char *runtime, int *ret_fd, struct web_users *ret_users,
                     struct sl_err *err)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    sl_autofd int dir = -1;
    struct stat st;
    char temp[40];
    int fd, os;

    if (sl_mkdir_p(runtime, 0755, err) < 0)
        return -1;
    dir = open(runtime, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    fd = dir < 0 ? -1 : socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return sl_err_os(err, errno, "%s", runtime);
    snprintf(temp, sizeof(temp), "http.%d.tmp", (int)getpid());
    snprintf(a.sun_path, sizeof(a.sun_path), "/proc/self/fd/%d/%s", dir, temp);
    unlinkat(dir, temp, 0);
    if (bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0 && fchmodat(dir, temp, 0660, 0) == 0 &&
        listen(fd, 64) == 0 && renameat(dir, temp, dir, "http.sock") == 0) {
        if (fstatat(dir, "http.sock", &st, 0) == 0)
            ret_users->group = st.st_gid;
        ret_users->encoders = fstatat(dir, "enc", &st, 0) == 0 ? st.st_uid : geteuid();
        *ret_fd = fd;
        return 0;
    }
    os = errno;
    unlinkat(dir, temp, 0);
    close(fd);
    return sl_err_os(err, os, "cannot listen on %s/http.sock", runtime);
}

/* The mode of the socket chose already, when it was connected to; this holds also when somebody
 * opened it to all. */
bool web_peer_ok(int fd, const struct web_users *users)
{
    struct ucred peer;
    gid_t groups[256];
    socklen_t len = sizeof(peer);

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
        return false;
    if (peer.uid == 0 || peer.uid == geteuid() || peer.uid == users->encoders ||
        peer.gid == users->group)
        return true;
    len = sizeof(groups);
    if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len) < 0)
        return false;
    for (size_t i = 0; i < len / sizeof(groups[0]); i++) {
        if (groups[i] == users->group)
            return true;
    }
    return false;
}
