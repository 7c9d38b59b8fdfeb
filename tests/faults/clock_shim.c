/* For row_clock.py: libfaketime knows pthread_cond_timedwait, but not C11's name for it, which
 * librdkafka uses. Without this its waits for a time of the other clock would end at once, or
 * never. In glibc both are one type and one function. */
#include <errno.h>
#include <pthread.h>
#include <threads.h>

int cnd_timedwait(cnd_t *condition, mtx_t *mutex, const struct timespec *until);

int cnd_timedwait(cnd_t *condition, mtx_t *mutex, const struct timespec *until)
{
    int status =
        pthread_cond_timedwait((pthread_cond_t *)condition, (pthread_mutex_t *)mutex, until);
    return status == 0 ? thrd_success : status == ETIMEDOUT ? thrd_timedout : thrd_error;
}
