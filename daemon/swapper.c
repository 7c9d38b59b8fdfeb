#include "daemon/swapper.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "base/mem.h"

#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>

#define REFUSALS_ALARM 3

struct swapper {
    uv_loop_t *loop;
    const char *state_dir;
    size_t keep;
    struct swapper_parts parts;

    bool busy, loading, look_again, forced;
    void (*freed)(void *arg);
    void *freed_arg;
    uint64_t series, number;      /* being considered */
    struct generation *candidate; /* read, not yet installed; NULL: other arms */
    struct error error;
    swapper_cb done;
    void *done_arg;
    void (*apply)(void *arg); /* NULL: the arms stay */
    void *apply_arg;
    uv_work_t work;
};

static void next(struct swapper *swapper);

static int load(struct swapper *swapper, uint64_t series, uint64_t number,
                struct generation **generation, struct error *err)
{
    char path[PATH_MAX];
    generation_path(path, sizeof path, swapper->state_dir, series, number);
    if (FAILPOINT_FAILS("swap.load"))
        return error_set(err, ERR_IO, "%s: a failpoint", path);
    if (generation_read(generation, path, err) != 0)
        return err->code;
    if (generation_prepare(*generation, err) == 0)
        return 0;
    generation_free(*generation);
    *generation = NULL;
    return error_wrap(err, "%s", path);
}

/* -- at start, and for new arms ---------------------------------------------------------------- */

static struct generation *live_generation(struct swapper *swapper, uint64_t series,
                                          const struct scorers *old)
{
    const struct state_series *live = history_series(swapper->parts.history, series);
    struct generation *generation = NULL;
    struct error err = {0};
    if (old != NULL && (generation = scorers_share_generation(old, series)) != NULL)
        return generation;
    if (live == NULL || live->generation == 0)
        return NULL;
    if (load(swapper, series, live->generation, &generation, &err) != 0)
        log_error("%s; lists are trend lists until the next generation", err.text);
    else
        log_info("generation %" PRIu64 ": %zu items, rank %d", live->generation, generation->items,
                 generation->hyper.rank);
    return generation;
}

void swapper_restore(struct swapper *swapper, struct scorers *scorers, const struct scorers *old)
{
    for (uint32_t arm = 0; arm < scorers_count(scorers); arm++) {
        uint64_t series = scorers_series_of(scorers, arm);
        if (scorers_generation(scorers, series) == NULL)
            scorers_install(scorers, series, live_generation(swapper, series, old));
    }
    uint64_t control = scorers_series_of(scorers, scorers_control(scorers));
    const struct state_series *live = history_series(swapper->parts.history, control);
    if (live != NULL)
        publisher_set_generation(swapper->parts.publisher, live->generation);
}

void swapper_set_scorers(struct swapper *swapper, struct scorers *scorers)
{
    swapper->parts.scorers = scorers;
}

/* -- the swap ---------------------------------------------------------------------------------- */

static void finish(struct swapper *swapper, const struct error *err)
{
    swapper->busy = false;
    if (err != NULL)
        log_error("generation %" PRIu64 " stays out: %s", swapper->number, err->text);
    swapper_cb done = swapper->done;
    swapper->done = NULL;
    if (done != NULL)
        done(err, swapper->done_arg);
    next(swapper);
}

static void prune(struct swapper *swapper)
{
    struct error err = {0};
    const struct state_series *series = history_series(swapper->parts.history, swapper->series);
    if (generation_prune(swapper->state_dir, swapper->series, swapper->keep, series->generation,
                         &err) != 0)
        log_warn("old generations: %s", err.text);
}

/* The candidate becomes the series' generation; the users move, and by how much is told of every
 * arm of the series, for they would move alike. */
static void hand_over(struct swapper *swapper)
{
    struct scorers *scorers = swapper->parts.scorers;
    uint32_t first = 0, count = (uint32_t)scorers_count(scorers);
    while (first < count && scorers_series_of(scorers, first) != swapper->series)
        first++;
    struct shift *shift = first < count ? shift_begin(scorers_at(scorers, first)) : NULL;
    scorers_install(scorers, swapper->series, swapper->candidate);
    if (shift == NULL)
        return;
    struct shift_figures figures;
    shift_end(shift, scorers_at(scorers, first), &figures);
    for (uint32_t arm = first; arm < count; arm++)
        if (scorers_series_of(scorers, arm) == swapper->series)
            watch_shift(swapper->parts.watch, arm, &figures);
}

static void install(struct swapper *swapper)
{
    struct scorers *scorers = swapper->parts.scorers;
    const struct generation *generation = swapper->candidate;
    struct slice arm = scorers_name_of(scorers, swapper->series);
    log_info("generation %" PRIu64 " is live (arm %.*s): %zu items, ndcg@20 %.4f on the tail "
             "(recent alone %.4f)",
             swapper->number, SLICE_ARG(arm), generation->items, generation->figures.ndcg20,
             generation->figures.ndcg20_recent);
    if (swapper->series == scorers_series_of(scorers, scorers_control(scorers)))
        publisher_set_generation(swapper->parts.publisher, swapper->number);
    hand_over(swapper);
    swapper->candidate = NULL;
}

static void apply_arms(struct swapper *swapper)
{
    void (*apply)(void *arg) = swapper->apply;
    swapper->apply = NULL;
    if (apply != NULL)
        apply(swapper->apply_arg);
}

/* The line stands still for this turn of the loop alone. */
static void line_held(void *arg)
{
    struct swapper *swapper = arg;
    bool arms = swapper->candidate == NULL;
    FAILPOINT("swap.held");
    history_take_swap(swapper->parts.history);
    if (arms)
        apply_arms(swapper);
    else
        install(swapper);
    const struct state_meta *meta = history_meta(swapper->parts.history);
    publisher_set_place(swapper->parts.publisher, &(struct meta_place){meta->epoch, meta->swap});
    FAILPOINT("swap.installed");
    line_release(swapper->parts.line);
    renewal_start(swapper->parts.renewal, arms ? CAUSE_ARMS : CAUSE_GENERATION, false);
    FAILPOINT("swap.owed");
    if (!arms)
        prune(swapper);
    FAILPOINT("swap.pruned");
    finish(swapper, NULL);
}

static void swap_durable(const struct error *err, void *arg)
{
    struct swapper *swapper = arg;
    struct settling *settling = line_settling(swapper->parts.line);
    FAILPOINT("swap.durable");
    if (err == NULL)
        line_hold(swapper->parts.line, line_held, swapper);
    else if (!settling_is_closed(settling)) /* not on the disk: once more */
        settling_commit(settling, swap_durable, swapper);
}

static void make_durable(struct swapper *swapper)
{
    settling_commit(line_settling(swapper->parts.line), swap_durable, swapper);
}

/* -- candidates -------------------------------------------------------------------------------- */

static struct state_series series_now(const struct swapper *swapper)
{
    const struct state_series *series = history_series(swapper->parts.history, swapper->series);
    return series != NULL ? *series : (struct state_series){.key = swapper->series};
}

static void drop_candidate(struct swapper *swapper, const struct error *err)
{
    generation_free(swapper->candidate);
    swapper->candidate = NULL;
    finish(swapper, err);
}

/* Lists go on under the old generation until the swap is on the disk. */
static void announce(struct swapper *swapper)
{
    struct error err = {0};
    uint64_t newest = series_now(swapper).newest_generation;
    newest = swapper->number > newest ? swapper->number : newest;
    if (history_announce_swap(swapper->parts.history, swapper->series, swapper->number, newest)) {
        FAILPOINT("swap.announced");
        make_durable(swapper);
        return;
    }
    error_set(&err, ERR_SETTINGS, "the state has no room for another series of generations");
    drop_candidate(swapper, &err);
}

static void refuse(struct swapper *swapper)
{
    struct state_series series = series_now(swapper);
    const struct generation_figures *figures = &swapper->candidate->figures;
    uint32_t refusals = series.gate_refusals + 1;
    log_warn("generation %" PRIu64 " refused by the gate: ndcg@20 %.4f, the live one %.4f",
             swapper->number, figures->ndcg20, figures->ndcg20_live);
    if (refusals >= REFUSALS_ALARM)
        log_error("%" PRIu32 " generations refused in a row: look at the events and train.*",
                  refusals);
    history_set_generation(swapper->parts.history, swapper->series, series.generation,
                           swapper->number, refusals);
    drop_candidate(swapper, NULL);
}

static void free_now(struct swapper *swapper);

static void load_on_worker(uv_work_t *work)
{
    struct swapper *swapper = work->data;
    swapper->error = (struct error){0};
    mem_trim(); /* once a generation: what the swap before and bursts since then have left */
    load(swapper, swapper->series, swapper->number, &swapper->candidate, &swapper->error);
}

static void loaded(uv_work_t *work, int status)
{
    struct swapper *swapper = work->data;
    (void)status;
    FAILPOINT("swap.loaded");
    swapper->loading = false;
    if (swapper->freed != NULL) {
        free_now(swapper);
        return;
    }
    if (swapper->candidate == NULL) {
        struct state_series series = series_now(swapper);
        if (!swapper->forced) /* do not try a broken file for ever */
            history_set_generation(swapper->parts.history, swapper->series, series.generation,
                                   swapper->number, series.gate_refusals);
        finish(swapper, &swapper->error);
    } else if (swapper->candidate->gate == GATE_REFUSED && !swapper->forced) {
        refuse(swapper);
    } else {
        announce(swapper);
    }
}

static void consider(struct swapper *swapper, uint64_t series, uint64_t number, bool forced)
{
    swapper->busy = swapper->loading = true;
    swapper->series = series;
    swapper->number = number;
    swapper->forced = forced;
    swapper->candidate = NULL;
    swapper->work.data = swapper;
    uv_queue_work(swapper->loop, &swapper->work, load_on_worker, loaded);
}

/* Considers the newest file of the series, if it is news. */
static bool look_at(struct swapper *swapper, uint64_t series)
{
    uint64_t *numbers = NULL;
    size_t count = 0;
    struct error err = {0};
    const struct state_series *known = history_series(swapper->parts.history, series);
    uint64_t newest = known != NULL ? known->newest_generation : 0;
    if (generation_list(swapper->state_dir, series, &numbers, &count, &err) != 0)
        log_error("generations: %s", err.text);
    bool is_news = count > 0 && numbers[count - 1] > newest;
    if (is_news)
        consider(swapper, series, numbers[count - 1], false);
    free(numbers);
    return is_news;
}

/* -- what is asked ----------------------------------------------------------------------------- */

/* Arms first: what is considered after them is of the series that they have. */
static void next(struct swapper *swapper)
{
    if (swapper->busy)
        return;
    if (swapper->apply != NULL) {
        swapper->busy = true;
        history_announce_arms_swap(swapper->parts.history);
        make_durable(swapper);
        return;
    }
    if (!swapper->look_again)
        return;
    swapper->look_again = false;
    const struct scorers *scorers = swapper->parts.scorers;
    for (uint32_t arm = 0; arm < scorers_count(scorers) && !swapper->busy; arm++)
        swapper->look_again = look_at(swapper, scorers_series_of(scorers, arm));
}

void swapper_look(struct swapper *swapper)
{
    swapper->look_again = true;
    next(swapper);
}

void swapper_change_arms(struct swapper *swapper, void (*apply)(void *arg), void *arg)
{
    swapper->apply = apply;
    swapper->apply_arg = arg;
    next(swapper);
}

void swapper_force(struct swapper *swapper, uint64_t series, uint64_t number, swapper_cb done,
                   void *arg)
{
    if (swapper->busy) {
        struct error err = {0};
        error_set(&err, ERR_DOWN, "another generation is being swapped in; try again");
        done(&err, arg);
        return;
    }
    swapper->done = done;
    swapper->done_arg = arg;
    consider(swapper, series, number, true);
}

bool swapper_busy(const struct swapper *swapper)
{
    return swapper->busy;
}

struct swapper *swapper_new(uv_loop_t *loop, const char *state_dir, size_t keep,
                            const struct swapper_parts *parts)
{
    struct swapper *swapper = mem_zalloc(sizeof *swapper);
    *swapper =
        (struct swapper){.loop = loop, .state_dir = state_dir, .keep = keep, .parts = *parts};
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
