#include "daemon/swapper.h"
#include "base/log.h"
#include "base/mem.h"

#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>

#define REFUSALS_ALARM 3
#define SERIES 0 /* the base's */

struct swapper {
    uv_loop_t *loop;
    const char *state_dir;
    size_t keep;
    struct line *line;
    struct history *history;
    struct scorer *scorer;
    struct publisher *publisher;
    struct renewal *renewal;

    bool busy, loading, look_again, forced;
    void (*freed)(void *arg);
    void *freed_arg;
    uint64_t number;              /* being considered */
    struct generation *candidate; /* read, not yet installed */
    struct error error;
    swapper_cb done;
    void *done_arg;
    uv_work_t work;
};

static int load(struct swapper *swapper, uint64_t number, struct generation **generation,
                struct error *err)
{
    char path[PATH_MAX];
    generation_path(path, sizeof path, swapper->state_dir, SERIES, number);
    if (generation_read(generation, path, err) != 0)
        return err->code;
    if (generation_prepare(*generation, err) == 0)
        return 0;
    generation_free(*generation);
    *generation = NULL;
    return error_wrap(err, "%s", path);
}

void swapper_restore(struct swapper *swapper)
{
    uint64_t number = history_series(swapper->history, SERIES)->generation;
    struct generation *generation = NULL;
    struct error err = {0};
    if (number == 0)
        return;
    if (load(swapper, number, &generation, &err) != 0) {
        log_error("%s; lists are trend lists until the next generation", err.text);
        return;
    }
    scorer_install(swapper->scorer, generation);
    publisher_set_generation(swapper->publisher, number);
    log_info("generation %" PRIu64 ": %zu items, rank %d", number, generation->items,
             generation->hyper.rank);
}

static void finish(struct swapper *swapper, const struct error *err)
{
    swapper->busy = false;
    if (err != NULL)
        log_error("generation %" PRIu64 " stays out: %s", swapper->number, err->text);
    swapper_cb done = swapper->done;
    swapper->done = NULL;
    if (done != NULL)
        done(err, swapper->done_arg);
    if (swapper->look_again)
        swapper_look(swapper);
}

static void prune(struct swapper *swapper)
{
    struct error err = {0};
    uint64_t live = history_series(swapper->history, SERIES)->generation;
    if (generation_prune(swapper->state_dir, SERIES, swapper->keep, live, &err) != 0)
        log_warn("old generations: %s", err.text);
}

/* The line stands still for this turn of the loop alone. */
static void line_held(void *arg)
{
    struct swapper *swapper = arg;
    const struct generation *generation = swapper->candidate;
    history_take_swap(swapper->history);
    scorer_install(swapper->scorer, swapper->candidate);
    swapper->candidate = NULL;
    publisher_set_generation(swapper->publisher, swapper->number);
    log_info("generation %" PRIu64 " is live: %zu items, ndcg@20 %.4f on the tail "
             "(recent alone %.4f)",
             swapper->number, generation->items, generation->figures.ndcg20,
             generation->figures.ndcg20_recent);
    line_release(swapper->line);
    renewal_start(swapper->renewal, CAUSE_GENERATION, false);
    prune(swapper);
    finish(swapper, NULL);
}

static void swap_durable(const struct error *err, void *arg)
{
    struct swapper *swapper = arg;
    if (err == NULL)
        line_hold(swapper->line, line_held, swapper);
    else if (!settling_is_closed(line_settling(swapper->line))) /* not on the disk: once more */
        settling_commit(line_settling(swapper->line), swap_durable, swapper);
}

/* Lists go on under the old generation until the swap is on the disk. */
static void announce(struct swapper *swapper)
{
    const struct state_series *series = history_series(swapper->history, SERIES);
    uint64_t newest =
        swapper->number > series->newest_generation ? swapper->number : series->newest_generation;
    history_announce_swap(swapper->history, SERIES, swapper->number, newest);
    settling_commit(line_settling(swapper->line), swap_durable, swapper);
}

static void refuse(struct swapper *swapper)
{
    const struct state_series *series = history_series(swapper->history, SERIES);
    const struct generation_figures *figures = &swapper->candidate->figures;
    uint32_t refusals = series->gate_refusals + 1;
    log_warn("generation %" PRIu64 " refused by the gate: ndcg@20 %.4f, the live one %.4f",
             swapper->number, figures->ndcg20, figures->ndcg20_live);
    if (refusals >= REFUSALS_ALARM)
        log_error("%" PRIu32 " generations refused in a row: look at the events and train.*",
                  refusals);
    history_set_generation(swapper->history, SERIES, series->generation, swapper->number, refusals);
    generation_free(swapper->candidate);
    swapper->candidate = NULL;
    finish(swapper, NULL);
}

static void free_now(struct swapper *swapper);

static void load_on_worker(uv_work_t *work)
{
    struct swapper *swapper = work->data;
    swapper->error = (struct error){0};
    load(swapper, swapper->number, &swapper->candidate, &swapper->error);
}

static void loaded(uv_work_t *work, int status)
{
    struct swapper *swapper = work->data;
    (void)status;
    swapper->loading = false;
    if (swapper->freed != NULL) {
        free_now(swapper);
        return;
    }
    if (swapper->candidate == NULL) {
        const struct state_series *series = history_series(swapper->history, SERIES);
        if (!swapper->forced) /* do not try a broken file for ever */
            history_set_generation(swapper->history, SERIES, series->generation, swapper->number,
                                   series->gate_refusals);
        finish(swapper, &swapper->error);
    } else if (swapper->candidate->gate == GATE_REFUSED && !swapper->forced) {
        refuse(swapper);
    } else {
        announce(swapper);
    }
}

static void consider(struct swapper *swapper, uint64_t number, bool forced)
{
    swapper->busy = swapper->loading = true;
    swapper->number = number;
    swapper->forced = forced;
    swapper->candidate = NULL;
    swapper->work.data = swapper;
    uv_queue_work(swapper->loop, &swapper->work, load_on_worker, loaded);
}

void swapper_look(struct swapper *swapper)
{
    swapper->look_again = swapper->busy;
    if (swapper->busy)
        return;
    uint64_t *numbers = NULL;
    size_t count = 0;
    struct error err = {0};
    if (generation_list(swapper->state_dir, SERIES, &numbers, &count, &err) != 0)
        log_error("generations: %s", err.text);
    else if (count > 0 &&
             numbers[count - 1] > history_series(swapper->history, SERIES)->newest_generation)
        consider(swapper, numbers[count - 1], false);
    free(numbers);
}

void swapper_force(struct swapper *swapper, uint64_t number, swapper_cb done, void *arg)
{
    if (swapper->busy) {
        struct error err = {0};
        error_set(&err, ERR_DOWN, "another generation is being swapped in; try again");
        done(&err, arg);
        return;
    }
    swapper->done = done;
    swapper->done_arg = arg;
    consider(swapper, number, true);
}

bool swapper_busy(const struct swapper *swapper)
{
    return swapper->busy;
}

struct swapper *swapper_new(uv_loop_t *loop, const char *state_dir, size_t keep, struct line *line,
                            struct history *history, struct scorer *scorer,
                            struct publisher *publisher, struct renewal *renewal)
{
    struct swapper *swapper = mem_zalloc(sizeof *swapper);
    *swapper = (struct swapper){.loop = loop,
                                .state_dir = state_dir,
                                .keep = keep,
                                .line = line,
                                .history = history,
                                .scorer = scorer,
                                .publisher = publisher,
                                .renewal = renewal};
    return swapper;
}

static void free_now(struct swapper *swapper)
{
    void (*freed)(void *arg) = swapper->freed;
    void *arg = swapper->freed_arg;
    struct error err = {0};
    error_set(&err, ERR_DOWN, "the daemon is stopping");
    if (swapper->done != NULL)
        swapper->done(&err, swapper->done_arg);
    generation_free(swapper->candidate);
    free(swapper);
    freed(arg);
}

void swapper_free(struct swapper *swapper, void (*freed)(void *arg), void *arg)
{
    swapper->freed = freed;
    swapper->freed_arg = arg;
    if (!swapper->loading) /* else the worker still writes to it */
        free_now(swapper);
}
