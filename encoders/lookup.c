/* SPDX-License-Identifier: GPL-2.0-or-later
 * Names and knocking. Layer: encoders.
 */
#define _GNU_SOURCE 1
#include "encoders/lookup.h"
#include "reconcile/base/time.h"
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#define LOOKUP_MS 5000
#define KNOCK_MS  2000
#define STEP_MS   50

struct question {
    int done[2]; /* a pipe: one byte when the answer is there */
    int rc, refs;
    char name[256], port[8];
    struct sl_address answer;
};

static void drop(struct question *q)
{
    if (__atomic_sub_fetch(&q->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    sl_closep(&q->done[0]);
    sl_closep(&q->done[1]);
    free(q);
}

static void *ask(void *arg)
{
    struct question *q = arg;
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
    struct addrinfo *list = NULL;

    q->rc = getaddrinfo(q->name, q->port, &hints, &list);
    if (q->rc == 0) {
        memcpy(&q->answer.at, list->ai_addr, list->ai_addrlen);
        q->answer.len = list->ai_addrlen;
        q->rc = getnameinfo(list->ai_addr, list->ai_addrlen, q->answer.text, sizeof(q->answer.text),
                            NULL, 0, NI_NUMERICHOST);
        freeaddrinfo(list);
    }
    (void)!write(q->done[1], "", 1);
    drop(q);
    return NULL;
}

/* 1: ready; 0: time is up; -1: told to stop. */
static int await(int fd, short events, int64_t ms, AVIOInterruptCB interrupt)
{
    int64_t end = sl_now_mono() + ms;

    for (;;) {
        struct pollfd p = {.fd = fd, .events = events};

        if (poll(&p, 1, STEP_MS) > 0)
            return 1;
        if (interrupt.callback && interrupt.callback(interrupt.opaque))
            return -1;
        if (sl_now_mono() >= end)
            return 0;
    }
}

static int stopped(struct sl_err *err)
{
    return sl_err_set(err, SL_ERR_TRANSIENT, EINTR, "Stopped", "stopped");
}

/* An address in figures needs nobody to be asked. */
static bool numeric(const char *name, int port, struct sl_address *ret)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST};
    struct addrinfo *list;
    char text[8];

    snprintf(text, sizeof(text), "%d", port);
    if (getaddrinfo(name, text, &hints, &list) != 0)
        return false;
    memcpy(&ret->at, list->ai_addr, list->ai_addrlen);
    ret->len = list->ai_addrlen;
    snprintf(ret->text, sizeof(ret->text), "%s", name);
    freeaddrinfo(list);
    return true;
}

int sl_lookup(const char *name, int port, AVIOInterruptCB interrupt, struct sl_address *ret,
              struct sl_err *err)
{
    struct question *q;
    pthread_t thread;
    sigset_t all, old;
    int rc, status;

    if (numeric(name, port, ret))
        return 0;
    q = sl_alloc(sizeof(*q));
    q->done[0] = q->done[1] = -1;
    q->refs = 2;
    snprintf(q->name, sizeof(q->name), "%s", name);
    snprintf(q->port, sizeof(q->port), "%d", port);
    if (pipe2(q->done, O_CLOEXEC) < 0) {
        free(q);
        return sl_err_os(err, errno, "cannot make a pipe");
    }
    sigfillset(&all); /* signals are the worker's */
    pthread_sigmask(SIG_SETMASK, &all, &old);
    rc = pthread_create(&thread, NULL, ask, q);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (rc != 0) {
        drop(q);
        drop(q);
        return sl_err_os(err, rc, "cannot start a thread");
    }
    pthread_detach(thread);
    rc = await(q->done[0], POLLIN, LOOKUP_MS, interrupt);
    status = rc > 0 ? q->rc : EAI_AGAIN;
    if (rc > 0)
        *ret = q->answer;
    drop(q);
    if (rc < 0)
        return stopped(err);
    if (status != 0)
        return sl_err_set(err, SL_ERR_TRANSIENT, 0, "SourceUnreachable",
                          "the name %s cannot be resolved: %s", name, gai_strerror(status));
    return 0;
}

int sl_knock(const struct sl_address *address, AVIOInterruptCB interrupt, struct sl_err *err)
{
    sl_autofd int fd = socket(address->at.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int os = 0, rc;
    socklen_t len = sizeof(os);

    if (fd < 0)
        return sl_err_os(err, errno, "cannot make a socket");
    if (connect(fd, (const struct sockaddr *)&address->at, address->len) < 0 &&
        errno != EINPROGRESS)
        os = errno;
    if (!os) {
        rc = await(fd, POLLOUT, KNOCK_MS, interrupt);
        if (rc < 0)
            return stopped(err);
        if (rc == 0)
            os = ETIMEDOUT;
        else
            getsockopt(fd, SOL_SOCKET, SO_ERROR, &os, &len);
    }
    if (os)
        return sl_err_set(err, SL_ERR_TRANSIENT, os, "SourceUnreachable", "%s", strerror(os));
    return 0;
}
