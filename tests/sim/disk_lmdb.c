/* The disk as it is: model/state.c and LMDB, in a directory in memory. What a crash leaves open is
 * closed here, without what was handed to the writer: the file is all that survives. */
#include "model/state.h"
#include "tests/sim/sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define VIEWS_MAX 8

static char dir[64];
static struct state *open_state;
static struct state_view *views[VIEWS_MAX];
static bool crashing;

int __real_state_open_writer(struct state **state, uv_loop_t *loop,
                             const struct state_settings *settings, struct error *err);
int __wrap_state_open_writer(struct state **state, uv_loop_t *loop,
                             const struct state_settings *settings, struct error *err);
void __real_state_close(struct state *state);
void __wrap_state_close(struct state *state);
int __real_state_view_open(struct state_view **view, struct state *state, struct error *err);
int __wrap_state_view_open(struct state_view **view, struct state *state, struct error *err);
void __real_state_view_close(struct state_view *view);
void __wrap_state_view_close(struct state_view *view);

int __wrap_state_open_writer(struct state **state, uv_loop_t *loop,
                             const struct state_settings *settings, struct error *err)
{
    struct state_settings own = {.dir = dir, .map_bytes = settings->map_bytes};
    int status = __real_state_open_writer(state, loop, &own, err);
    open_state = status == 0 ? *state : NULL;
    return status;
}

void __wrap_state_close(struct state *state)
{
    open_state = NULL;
    __real_state_close(state);
}

int __wrap_state_view_open(struct state_view **view, struct state *state, struct error *err)
{
    int status = __real_state_view_open(view, state, err);
    for (int i = 0; i < VIEWS_MAX && status == 0; i++)
        if (views[i] == NULL) {
            views[i] = *view;
            break;
        }
    return status;
}

void __wrap_state_view_close(struct state_view *view)
{
    for (int i = 0; i < VIEWS_MAX; i++)
        if (views[i] == view)
            views[i] = NULL;
    __real_state_view_close(view);
}

void disk_begin(void)
{
    char path[96];
    snprintf(dir, sizeof dir, "/dev/shm/freshet-sim-%d", (int)getpid());
    static const char *const files[] = {"data.mdb", "lock.mdb", "lock"};
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, files[i]);
        unlink(path);
    }
    rmdir(dir);
}

bool disk_is_crashing(void)
{
    return crashing;
}

void disk_crash(void)
{
    crashing = true;
    for (int i = 0; i < VIEWS_MAX; i++)
        if (views[i] != NULL)
            __wrap_state_view_close(views[i]);
    if (open_state != NULL)
        __wrap_state_close(open_state);
    crashing = false;
}

struct state *disk_state(void)
{
    return open_state;
}
