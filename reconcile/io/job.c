/* SPDX-License-Identifier: GPL-2.0-or-later
 * The worker pool. One list of waiting jobs; a worker takes the first whose queue is idle, so that
 * a queue keeps its order; finished jobs go to a second list and an eventfd wakes the loop.
 */
#include "reconcile/io/job.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define WORKERS 2
#define IDLE    (-1)

struct job {
    struct job *next;
    int queue;
    void (*work)(void *);
    void (*done)(void *);
    void *user;
};

struct list {
    struct job *head, **tail;
};

struct worker {
    struct sl_jobs *jobs;
    pthread_t thread;
    bool started, busy;
    int queue; /* of the job under way, while busy */
};

struct sl_jobs {
    pthread_mutex_t lock;
    pthread_cond_t more;
    struct list waiting, finished;
    struct worker workers[WORKERS];
    bool stop;    /* workers leave when nothing waits; under the lock */
    bool closing; /* loop's thread only: no new jobs */
    int wake;     /* eventfd */
    sd_event_source *source;
};

static void list_init(struct list *list)
{
    list->head = NULL;
    list->tail = &list->head;
}

static void list_add(struct list *list, struct job *job)
{
    job->next = NULL;
    *list->tail = job;
    list->tail = &job->next;
}

static bool queue_busy(const struct sl_jobs *jobs, int queue)
{
    for (size_t i = 0; i < WORKERS; i++)
        if (jobs->workers[i].busy && jobs->workers[i].queue == queue)
            return true;
    return false;
}

static struct job *take(struct sl_jobs *jobs)
{
    for (struct job **at = &jobs->waiting.head; *at; at = &(*at)->next) {
        struct job *job = *at;

        if (queue_busy(jobs, job->queue))
            continue;
        *at = job->next;
        if (!*at)
            jobs->waiting.tail = at;
        return job;
    }
    return NULL;
}

static void *worker_main(void *user)
{
    struct worker *self = user;
    struct sl_jobs *jobs = self->jobs;

    pthread_mutex_lock(&jobs->lock);
    for (;;) {
        struct job *job = take(jobs);
        uint64_t one = 1;

        if (!job) {
            if (jobs->stop && !jobs->waiting.head)
                break;
            pthread_cond_wait(&jobs->more, &jobs->lock);
            continue;
        }
        self->busy = true;
        self->queue = job->queue;
        pthread_mutex_unlock(&jobs->lock);
        job->work(job->user);
        pthread_mutex_lock(&jobs->lock);
        self->busy = false;
        list_add(&jobs->finished, job);
        if (write(jobs->wake, &one, sizeof(one)) < 0) {
            /* EAGAIN: the counter is full, so the loop is about to wake anyhow. */
        }
        pthread_cond_broadcast(&jobs->more); /* the queue is free again */
    }
    pthread_mutex_unlock(&jobs->lock);
    return NULL;
}

static void finish_all(struct sl_jobs *jobs)
{
    struct job *job;

    pthread_mutex_lock(&jobs->lock);
    job = jobs->finished.head;
    list_init(&jobs->finished);
    pthread_mutex_unlock(&jobs->lock);
    while (job) {
        struct job *next = job->next;

        if (job->done)
            job->done(job->user);
        free(job);
        job = next;
    }
}

static int on_wake(sd_event_source *source, int fd, uint32_t revents, void *user)
{
    uint64_t count;

    (void)source;
    (void)revents;
    if (read(fd, &count, sizeof(count)) < 0) {
        /* EAGAIN: an earlier round took these jobs already. */
    }
    finish_all(user);
    return 0;
}

static int start_workers(struct sl_jobs *jobs)
{
    sigset_t all, old;
    int r = 0;

    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &old);
    for (size_t i = 0; i < WORKERS && r == 0; i++) {
        struct worker *worker = &jobs->workers[i];

        worker->jobs = jobs;
        worker->queue = IDLE;
        r = pthread_create(&worker->thread, NULL, worker_main, worker);
        worker->started = r == 0;
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return r;
}

int sl_jobs_new(sd_event *event, struct sl_jobs **ret, struct sl_err *err)
{
    struct sl_jobs *jobs = sl_alloc(sizeof(*jobs));
    int r;

    pthread_mutex_init(&jobs->lock, NULL);
    pthread_cond_init(&jobs->more, NULL);
    list_init(&jobs->waiting);
    list_init(&jobs->finished);
    jobs->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (jobs->wake < 0)
        r = errno;
    else
        r = -sd_event_add_io(event, &jobs->source, jobs->wake, EPOLLIN, on_wake, jobs);
    if (r == 0) {
        sd_event_source_set_description(jobs->source, "jobs");
        sd_event_source_set_exit_on_failure(jobs->source, true);
        r = start_workers(jobs);
    }
    if (r != 0) {
        sl_jobs_free(jobs);
        return sl_err_os(err, r, "cannot start the worker threads");
    }
    *ret = jobs;
    return 0;
}

void sl_jobs_free(struct sl_jobs *jobs)
{
    if (!jobs)
        return;
    jobs->closing = true;
    pthread_mutex_lock(&jobs->lock);
    jobs->stop = true;
    pthread_cond_broadcast(&jobs->more);
    pthread_mutex_unlock(&jobs->lock);
    for (size_t i = 0; i < WORKERS; i++)
        if (jobs->workers[i].started)
            pthread_join(jobs->workers[i].thread, NULL);
    finish_all(jobs);
    sd_event_source_disable_unref(jobs->source);
    sl_closep(&jobs->wake);
    pthread_cond_destroy(&jobs->more);
    pthread_mutex_destroy(&jobs->lock);
    free(jobs);
}

void sl_jobs_add(struct sl_jobs *jobs, int queue, void (*work)(void *), void (*done)(void *),
                 void *user)
{
    struct job *job;

    if (jobs->closing)
        return;
    job = sl_alloc(sizeof(*job));
    job->queue = queue;
    job->work = work;
    job->done = done;
    job->user = user;
    pthread_mutex_lock(&jobs->lock);
    list_add(&jobs->waiting, job);
    pthread_cond_signal(&jobs->more);
    pthread_mutex_unlock(&jobs->lock);
}
