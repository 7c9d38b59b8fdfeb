/* libuv, as far as the line uses it: whatever may happen next is a choice.
 *
 * More disorder than libuv allows is fine (two timers that are due, in either order), less is not.
 * A worker's part runs at once, somewhere between two callbacks of the loop: what must not happen
 * meanwhile is kept out by the code's own rules, not by a mutex. The state's writer thread is a
 * function that waits for a condition: it is left by a longjmp where it would wait, and called anew
 * when it is woken, for it keeps nothing on its stack from one commit to the next. */
#include "tests/sim/sim.h"

#include <string.h>

#define HANDLES_MAX 64
#define WORKS_MAX 64
#define THREADS_MAX 4

struct handle {
    uv_handle_t *handle; /* NULL: free */
    bool active, closing;
    void *callback;
    int64_t due_ms, repeat_ms;
    uv_close_cb closed;
};

struct work {
    uv_work_t *work; /* NULL: free */
    uv_work_cb run;
    uv_after_work_cb after;
    bool ran;
};

struct thread {
    bool used, woken;
    uv_thread_cb run;
    void *arg;
    jmp_buf out;
};

static struct {
    uv_loop_t loop;
    struct handle handles[HANDLES_MAX]; /* [handle_count], with holes */
    int handle_count;
    struct work works[WORKS_MAX];
    int work_count;
    struct thread threads[THREADS_MAX];
    struct thread *running; /* a thread's function is on the stack */
    bool joining;
    uint32_t locked; /* mutexes */
} world;

uv_loop_t *loop_of(void)
{
    return &world.loop;
}

/* -- handles ----------------------------------------------------------------------------------- */

static struct handle *of(const void *handle)
{
    struct handle *at = &world.handles[((const uv_handle_t *)handle)->u.fd];
    sim_check(at->handle == handle, "a handle is used that was never begun, or is closed");
    return at;
}

static int begin(void *handle, uv_handle_type type)
{
    uv_handle_t *base = handle;
    int place = 0;
    while (place < HANDLES_MAX && world.handles[place].handle != NULL)
        place++;
    sim_check(place < HANDLES_MAX, "too many handles");
    if (place >= world.handle_count)
        world.handle_count = place + 1;
    base->loop = &world.loop;
    base->type = type;
    base->u.fd = place;
    world.handles[place] = (struct handle){.handle = base};
    return 0;
}

static void start(void *handle, void *callback, int64_t due_ms, int64_t repeat_ms)
{
    struct handle *at = of(handle);
    if (at->closing)
        return;
    at->active = true;
    at->callback = callback;
    at->due_ms = due_ms;
    at->repeat_ms = repeat_ms;
}

int uv_idle_init(uv_loop_t *loop, uv_idle_t *idle)
{
    (void)loop;
    return begin(idle, UV_IDLE);
}

int uv_idle_start(uv_idle_t *idle, uv_idle_cb callback)
{
    if (!of(idle)->active)
        start(idle, (void *)callback, 0, 0);
    return 0;
}

int uv_idle_stop(uv_idle_t *idle)
{
    of(idle)->active = false;
    return 0;
}

int uv_timer_init(uv_loop_t *loop, uv_timer_t *timer)
{
    (void)loop;
    return begin(timer, UV_TIMER);
}

int uv_timer_start(uv_timer_t *timer, uv_timer_cb callback, uint64_t in_ms, uint64_t repeat_ms)
{
    start(timer, (void *)callback, sim_now_ms() + (int64_t)in_ms, (int64_t)repeat_ms);
    return 0;
}

int uv_timer_stop(uv_timer_t *timer)
{
    of(timer)->active = false;
    return 0;
}

int uv_async_init(uv_loop_t *loop, uv_async_t *async, uv_async_cb callback)
{
    (void)loop;
    begin(async, UV_ASYNC);
    of(async)->callback = (void *)callback;
    return 0;
}

int uv_async_send(uv_async_t *async)
{
    of(async)->active = !of(async)->closing;
    return 0;
}

void uv_ref(uv_handle_t *handle)
{
    (void)handle;
}

void uv_unref(uv_handle_t *handle)
{
    (void)handle;
}

int uv_is_closing(const uv_handle_t *handle)
{
    return of(handle)->closing;
}

int uv_is_active(const uv_handle_t *handle)
{
    return of(handle)->active;
}

void uv_close(uv_handle_t *handle, uv_close_cb closed)
{
    struct handle *at = of(handle);
    sim_check(!at->closing, "a handle is closed twice");
    at->active = false;
    at->closing = true;
    at->closed = closed;
}

const char *uv_strerror(int code)
{
    (void)code;
    return "an error of libuv";
}

static void finish_close(int place)
{
    struct handle *at = &world.handles[place];
    uv_handle_t *handle = at->handle;
    uv_close_cb closed = at->closed;
    *at = (struct handle){0};
    if (closed != NULL)
        closed(handle);
}

static void run_idle(int place)
{
    struct handle *at = &world.handles[place];
    ((uv_idle_cb)at->callback)((uv_idle_t *)at->handle);
}

static void run_timer(int place)
{
    struct handle *at = &world.handles[place];
    at->active = at->repeat_ms > 0;
    at->due_ms = sim_now_ms() + at->repeat_ms;
    ((uv_timer_cb)at->callback)((uv_timer_t *)at->handle);
}

static void run_async(int place)
{
    struct handle *at = &world.handles[place];
    at->active = false;
    ((uv_async_cb)at->callback)((uv_async_t *)at->handle);
}

static void handle_choice(struct choices *choices, int place)
{
    const struct handle *at = &world.handles[place];
    if (at->handle == NULL)
        return;
    if (at->closing)
        choices_add(choices, sim.mood.loop, "close", finish_close, place);
    else if (!at->active)
        return;
    else if (at->handle->type == UV_IDLE)
        choices_add(choices, sim.mood.loop, "idle", run_idle, place);
    else if (at->handle->type == UV_ASYNC)
        choices_add(choices, sim.mood.loop, "async", run_async, place);
    else if (at->due_ms <= sim_now_ms())
        choices_add(choices, sim.mood.loop, "timer", run_timer, place);
}

/* -- workers ----------------------------------------------------------------------------------- */

int uv_queue_work(uv_loop_t *loop, uv_work_t *work, uv_work_cb run, uv_after_work_cb after)
{
    (void)loop;
    int place = 0;
    while (place < WORKS_MAX && world.works[place].work != NULL)
        sim_check(world.works[place++].work != work, "a request is queued twice");
    sim_check(place < WORKS_MAX, "too many requests");
    if (place >= world.work_count)
        world.work_count = place + 1;
    world.works[place] = (struct work){work, run, after, false};
    return 0;
}

static void run_work(int place)
{
    struct work *at = &world.works[place];
    at->ran = true;
    at->run(at->work);
}

static void after_work(int place)
{
    struct work at = world.works[place];
    world.works[place].work = NULL;
    at.after(at.work, 0);
}

static void work_choice(struct choices *choices, int place)
{
    const struct work *at = &world.works[place];
    if (at->work != NULL && at->ran)
        choices_add(choices, sim.mood.loop, "work done", after_work, place);
    else if (at->work != NULL)
        choices_add(choices, sim.mood.worker, "work", run_work, place);
}

/* -- the writer thread ------------------------------------------------------------------------- */

int uv_mutex_init(uv_mutex_t *mutex)
{
    memset(mutex, 0, sizeof *mutex);
    return 0;
}

void uv_mutex_destroy(uv_mutex_t *mutex)
{
    (void)mutex;
}

static bool *is_locked(uv_mutex_t *mutex)
{
    return (bool *)mutex;
}

void uv_mutex_lock(uv_mutex_t *mutex)
{
    sim_check(!*is_locked(mutex), "a mutex is locked by who has it");
    *is_locked(mutex) = true;
    world.locked++;
}

int uv_mutex_trylock(uv_mutex_t *mutex)
{
    if (*is_locked(mutex))
        return UV_EBUSY;
    uv_mutex_lock(mutex);
    return 0;
}

void uv_mutex_unlock(uv_mutex_t *mutex)
{
    sim_check(*is_locked(mutex), "a mutex is unlocked that is not locked");
    *is_locked(mutex) = false;
    world.locked--;
}

int uv_cond_init(uv_cond_t *cond)
{
    memset(cond, 0, sizeof *cond);
    return 0;
}

void uv_cond_destroy(uv_cond_t *cond)
{
    (void)cond;
}

void uv_cond_wait(uv_cond_t *cond, uv_mutex_t *mutex)
{
    (void)cond;
    uv_mutex_unlock(mutex);
    sim_check(world.running != NULL && !world.joining, "a thread waits for what nobody will do");
    longjmp(world.running->out, 1);
}

void uv_cond_signal(uv_cond_t *cond)
{
    (void)cond;
    for (int i = 0; i < THREADS_MAX; i++)
        world.threads[i].woken |= world.threads[i].used;
}

int uv_thread_create(uv_thread_t *thread, uv_thread_cb run, void *arg)
{
    int place = 0;
    while (place < THREADS_MAX && world.threads[place].used)
        place++;
    sim_check(place < THREADS_MAX, "too many threads");
    world.threads[place] = (struct thread){.used = true, .woken = true, .run = run, .arg = arg};
    *thread = (uv_thread_t)place;
    return 0;
}

static void run_thread(int place)
{
    struct thread *thread = &world.threads[place];
    thread->woken = false;
    world.running = thread;
    if (setjmp(thread->out) == 0)
        thread->run(thread->arg);
    world.running = NULL;
}

int uv_thread_join(uv_thread_t *thread)
{
    world.joining = true;
    run_thread((int)*thread);
    world.joining = false;
    world.threads[(int)*thread].used = false;
    return 0;
}

/* -- together ---------------------------------------------------------------------------------- */

void loop_choices(struct choices *choices)
{
    sim_check(world.locked == 0, "a mutex stays locked from one callback to the next");
    for (int i = 0; i < world.handle_count; i++)
        handle_choice(choices, i);
    for (int i = 0; i < world.work_count; i++)
        work_choice(choices, i);
    for (int i = 0; i < THREADS_MAX; i++)
        if (world.threads[i].used && world.threads[i].woken)
            choices_add(choices, sim.mood.disk, "writer", run_thread, i);
}

void loop_drop(void)
{
    memset(&world, 0, sizeof world);
}

bool loop_is_empty(void)
{
    for (int i = 0; i < world.handle_count; i++)
        if (world.handles[i].handle != NULL)
            return false;
    for (int i = 0; i < world.work_count; i++)
        if (world.works[i].work != NULL)
            return false;
    return true;
}

bool loop_is_idle(void)
{
    struct choices choices = {.count = 0};
    loop_choices(&choices);
    return choices.count == 0;
}

int64_t loop_next_timer_ms(void)
{
    int64_t next_ms = INT64_MAX;
    for (int i = 0; i < world.handle_count; i++) {
        const struct handle *at = &world.handles[i];
        if (at->handle != NULL && at->active && at->handle->type == UV_TIMER &&
            at->due_ms < next_ms)
            next_ms = at->due_ms;
    }
    return next_ms;
}
