#include "eval/crew.h"
#include "base/mem.h"

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>

struct crew {
    pthread_mutex_t mutex;
    pthread_cond_t begun, ended;
    pthread_t threads[CREW_MAX];
    size_t thread_count; /* beside the caller's */
    void (*work)(size_t number, void *arg);
    void *arg;
    size_t count, next, busy; /* pieces in all, the next one to take, being done */
    bool stop;
};

/* With the mutex held, which is let go while working. */
static void work_on(struct crew *crew)
{
    while (crew->next < crew->count) {
        size_t number = crew->next++;
        crew->busy++;
        pthread_mutex_unlock(&crew->mutex);
        crew->work(number, crew->arg);
        pthread_mutex_lock(&crew->mutex);
        crew->busy--;
    }
    if (crew->busy == 0)
        pthread_cond_signal(&crew->ended);
}

static void *serve(void *arg)
{
    struct crew *crew = arg;
    pthread_mutex_lock(&crew->mutex);
    while (!crew->stop) {
        work_on(crew);
        if (!crew->stop)
            pthread_cond_wait(&crew->begun, &crew->mutex);
    }
    pthread_mutex_unlock(&crew->mutex);
    return NULL;
}

/* Signals are the caller's to take. */
struct crew *crew_new(size_t threads)
{
    struct crew *crew = mem_zalloc(sizeof *crew);
    sigset_t all, before;
    threads = threads < CREW_MAX ? threads : CREW_MAX;
    pthread_mutex_init(&crew->mutex, NULL);
    pthread_cond_init(&crew->begun, NULL);
    pthread_cond_init(&crew->ended, NULL);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (crew->thread_count + 1 < threads &&
           pthread_create(&crew->threads[crew->thread_count], NULL, serve, crew) == 0)
        crew->thread_count++;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return crew;
}

void crew_free(struct crew *crew)
{
    if (crew == NULL)
        return;
    pthread_mutex_lock(&crew->mutex);
    crew->stop = true;
    pthread_cond_broadcast(&crew->begun);
    pthread_mutex_unlock(&crew->mutex);
    for (size_t i = 0; i < crew->thread_count; i++)
        pthread_join(crew->threads[i], NULL);
    pthread_cond_destroy(&crew->begun);
    pthread_cond_destroy(&crew->ended);
    pthread_mutex_destroy(&crew->mutex);
    free(crew);
}

void crew_run(struct crew *crew, size_t count, void (*work)(size_t number, void *arg), void *arg)
{
    pthread_mutex_lock(&crew->mutex);
    crew->work = work;
    crew->arg = arg;
    crew->next = 0;
    crew->count = count;
    if (count > 1)
        pthread_cond_broadcast(&crew->begun);
    work_on(crew);
    while (crew->busy > 0)
        pthread_cond_wait(&crew->ended, &crew->mutex);
    crew->count = 0;
    pthread_mutex_unlock(&crew->mutex);
}
