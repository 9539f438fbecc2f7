/* SPDX-License-Identifier: GPL-2.0-or-later
 * Binds each address once, without listening. Layer: mediamtx.
 */
#include "reconcile/mediamtx/ports.h"

#include <errno.h>
#include <netdb.h>
#include <sys/socket.h>

static const struct {
    const char *key, *name;
    int type;
} servers[] = {
    {"apiAddress", "API", SOCK_STREAM},       {"rtspAddress", "RTSP", SOCK_STREAM},
    {"rtmpAddress", "RTMP", SOCK_STREAM},     {"hlsAddress", "HLS", SOCK_STREAM},
    {"webrtcAddress", "WebRTC", SOCK_STREAM}, {"srtAddress", "SRT", SOCK_DGRAM},
};

static bool busy(const char *host, int port, int type)
{
    struct addrinfo hints = {.ai_family = *host ? AF_UNSPEC : AF_INET6,
                             .ai_socktype = type,
                             .ai_flags = AI_PASSIVE | AI_NUMERICHOST | AI_NUMERICSERV};
    struct addrinfo *list = NULL;
    sl_autofd int fd = -1;
    char service[12];
    bool r = false;
    int one = 1, zero = 0;

    snprintf(service, sizeof(service), "%d", port);
    if (getaddrinfo(*host ? host : NULL, service, &hints, &list) != 0 || !list)
        return false; /* a name: MediaMTX will tell */
    fd = socket(list->ai_family, type | SOCK_CLOEXEC, 0);
    if (fd >= 0) {
        if (type == SOCK_STREAM)
            setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
        if (list->ai_family == AF_INET6)
            setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero));
        r = bind(fd, list->ai_addr, list->ai_addrlen) < 0 && errno == EADDRINUSE;
    }
    freeaddrinfo(list);
    return r;
}

/* "[::1]:80" -> "::1", ":80" -> "" */
static void host_of(const char *address, char *ret, size_t size)
{
    const char *end = strrchr(address, ':');

    if (*address == '[')
        end = strchr(++address, ']');
    snprintf(ret, size, "%.*s", end ? (int)(end - address) : 0, address);
}

int sl_mtx_ports_check(const struct sl_mtx_file *file, struct sl_err *err)
{
    for (size_t i = 0; i < SL_COUNT(servers); i++) {
        const char *address = sl_mtx_file_address(file, servers[i].key);
        int port = sl_mtx_port(address);
        char host[128];

        if (!port)
            continue;
        host_of(address, host, sizeof(host));
        if (busy(host, port, servers[i].type))
            return sl_err_set(err, SL_ERR_HUMAN, EADDRINUSE, "PortInUse",
                              "port %d, which MediaMTX needs for %s (%s: %s), is in use by another "
                              "program: end that one, or give another address in the template",
                              port, servers[i].name, servers[i].key, address);
    }
    return 0;
}
