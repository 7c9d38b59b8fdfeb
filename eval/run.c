#include "eval/run.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define CHOICE_SALT 0x63686f696365u /* so that the draws have nothing to do with each other */

const char *const protocol_names[PROTOCOL_COUNT] = {"prequential", "split", "leave-last-out"};

/* -- drawing ----------------------------------------------------------------------------------- */

void run_draw(bool *drawn, const size_t *of, size_t of_count, size_t count, uint64_t seed)
{
    size_t *left = mem_array(NULL, of_count, sizeof *left);
    for (size_t i = 0; i < of_count; i++)
        left[i] = of[i];
    for (size_t i = 0; i < count && i < of_count; i++) {
        size_t other = i + eval_random_below(&seed, of_count - i);
        drawn[left[other]] = true;
        left[other] = left[i];
    }
    free(left);
}

void run_draw_choice(struct run *run, size_t end, const bool *skip)
{
    size_t begin = end - (size_t)(CHOICE_SHARE * (double)end), count = 0;
    size_t *candidates = mem_array(NULL, end - begin, sizeof *candidates);
    for (size_t at = begin; at < end; at++)
        if (run->stream->events[at].is_new && (skip == NULL || !skip[at]))
            candidates[count++] = at;
    run_draw(run->to_choose, candidates, count, CHOICE_EVENTS_MAX,
             run->settings->seed ^ CHOICE_SALT);
    free(candidates);
    if (count == 0)
        return;
    count = count < CHOICE_EVENTS_MAX ? count : CHOICE_EVENTS_MAX;
    run->choice = choice_new(run->stage, &run->settings->scorer, run->settings->methods);
    run->work_total += (double)(count * choice_candidates(run->choice) * WORK_LIST);
}

/* -- going on ---------------------------------------------------------------------------------- */

static double main_ndcg(const struct run *run)
{
    const struct figures *figures = &run->result->figures;
    const struct figures_settings *settings = &figures->settings;
    uint32_t metric = figures_metric(figures, METRIC_NDCG, settings->k_count - 1);
    if (figures->units == 0)
        return NAN;
    return figures->methods[settings->methods - 1].totals[metric] / (double)figures->units;
}

void run_report(struct run *run, double work)
{
    const struct eval_settings *settings = run->settings;
    run->work += work;
    if (settings->progress == NULL)
        return;
    double share = run->work_total > 0 ? run->work / run->work_total : 0;
    settings->progress(&(struct eval_progress){.share = share < 1 ? share : 1,
                                               .stage = run->stage_name,
                                               .events = run->at,
                                               .judged = run->result->figures.units,
                                               .ndcg = main_ndcg(run)},
                       settings->arg);
}

int run_learn(struct run *run, struct error *err)
{
    const struct stream_event *event = &run->stream->events[run->at];
    if (stage_go_on(run->stage, err) != 0)
        return err->code;
    if (run->choice != NULL && run->to_choose[run->at]) {
        run->stage_name = "choosing baselines";
        if (choice_judge(run->choice, event, err) != 0)
            return err->code;
        run_report(run, (double)choice_candidates(run->choice) * WORK_LIST);
    }
    run->at++;
    run->result->learned++;
    run_report(run, 1);
    return panel_learn(&run->panel, event, err);
}

int run_begin_methods(struct run *run, struct error *err)
{
    run->result->choice = run->choice != NULL ? choice_make(run->choice) : choice_default();
    choice_free(run->choice);
    run->choice = NULL;
    return panel_begin(&run->panel, &run->result->choice, err);
}

int run_train(struct run *run, struct error *err)
{
    struct eval_result *result = run->result;
    struct generation *generation;
    bool live;
    const char *before = run->stage_name;
    run->stage_name = "training";
    run_report(run, 0);
    if (stage_train(run->stage, NULL, &generation, err) != 0)
        return err->code;
    run->stage_name = before;
    run_report(run, WORK_TRAINING + (double)run->at * WORK_TRAINING_EVENT);
    if (generation == NULL) {
        result->skipped++;
        return 0;
    }
    if (stage_make_live(run->stage, generation, &live, err) != 0) {
        generation_free(generation);
        return err->code;
    }
    result->trainings++;
    if (!live) {
        result->refused++;
        generation_free(generation);
        return 0;
    }
    result->weights = generation->weights;
    return panel_take(&run->panel, generation, err);
}

/* -- the dump ---------------------------------------------------------------------------------- */

static void dump_ids(struct json_writer *w, const char *key, const struct stream *stream,
                     const uint32_t *list, uint32_t count)
{
    json_begin_array(w, key);
    for (uint32_t i = 0; i < count; i++)
        json_string(w, NULL, ids_text(&stream->items, list[i]));
    json_end_array(w);
}

void run_dump(const struct run *run, uint32_t method, const struct unit *unit,
              const struct asked *asked, const char *key)
{
    FILE *out = run->settings->dump;
    struct buffer line = {0};
    struct json_writer w = {.out = &line};
    if (out == NULL)
        return;
    json_begin_object(&w, NULL);
    json_int(&w, "event", (int64_t)run->at);
    json_string(&w, "user", ids_text(&run->stream->users, unit->user));
    json_text(&w, "method", method_names[run->result->methods[method]]);
    dump_ids(&w, key, run->stream, asked->list, asked->count);
    json_end_object(&w);
    buffer_byte(&line, '\n');
    fwrite(line.data, 1, line.length, out);
    buffer_deinit(&line);
}

/* -- judging ----------------------------------------------------------------------------------- */

void run_judge(struct run *run, const struct unit *unit)
{
    struct figures *figures = &run->result->figures;
    struct shelf shelf = panel_shelf(&run->panel);
    figures_unit(figures, unit);
    for (uint32_t m = 0; m < run->result->method_count; m++) {
        const struct asked *asked = &run->asked[m];
        figures_judge(figures, m, unit, asked->list, asked->count);
        figures_list(figures, m, unit->user, asked->list, asked->count, &shelf);
        run_dump(run, m, unit, asked, "list");
    }
}

void run_judge_all(struct run *run, const struct unit *unit)
{
    struct figures *figures = &run->result->figures;
    figures_all_unit(figures);
    for (uint32_t m = 0; m < run->result->method_count; m++)
        figures_judge_all(figures, m, unit, run->asked[m].list, run->asked[m].count);
}

/* -- all of it --------------------------------------------------------------------------------- */

static void init_result(struct eval_result *result, const struct stream *stream,
                        const struct eval_settings *settings)
{
    *result = (struct eval_result){.choice = choice_default()};
    for (int m = 0; m < METHOD_COUNT; m++)
        if ((settings->methods >> m & 1) != 0)
            result->methods[result->method_count++] = (enum method)m;
    struct figures_settings figures = {.k_count = settings->k_count,
                                       .depth = FIGURES_MRR_DEPTH,
                                       .methods = result->method_count,
                                       .users = stream->users.count,
                                       .items = stream->items.count};
    memcpy(figures.ks, settings->ks, sizeof figures.ks);
    if (settings->ks[settings->k_count - 1] > figures.depth)
        figures.depth = settings->ks[settings->k_count - 1];
    figures_init(&result->figures, &figures);
}

static int run_all(struct run *run, struct error *err)
{
    struct scorer_settings scorer = run->settings->scorer;
    scorer.finishing.n = run->result->figures.settings.depth;
    if (stage_open(&run->stage, run->stream, &run->settings->stage, err) != 0)
        return err->code;
    panel_init(&run->panel, run->stage, run->stream, &scorer, run->settings->methods);
    int failed = run->settings->protocol == PROTOCOL_PREQUENTIAL ? prequential_run(run, err)
                                                                 : frozen_run(run, err);
    if (!failed)
        failed = stage_commit(run->stage, err); /* says whether anything could not be learned */
    if (!failed)
        run->result->items = items_count(history_items(stage_history(run->stage)));
    choice_free(run->choice);
    panel_deinit(&run->panel);
    stage_close(run->stage);
    return failed;
}

int eval_run(const struct stream *stream, const struct eval_settings *settings,
             struct eval_result *result, struct error *err)
{
    int64_t began_ns = clock_monotonic_ns();
    assert(settings->from <= settings->to && settings->to <= stream->count);
    init_result(result, stream, settings);
    uint32_t depth = result->figures.settings.depth;
    struct run run = {
        .stream = stream, .settings = settings, .result = result, .stage_name = "learning"};
    run.to_choose = mem_zalloc(stream->count * sizeof *run.to_choose + 1);
    run.lists = mem_array(NULL, (size_t)METHOD_COUNT * depth, sizeof *run.lists);
    run.lists_after = mem_array(NULL, (size_t)METHOD_COUNT * depth, sizeof *run.lists_after);
    int failed = run_all(&run, err);
    free(run.to_choose);
    free(run.lists);
    free(run.lists_after);
    result->seconds = (double)(clock_monotonic_ns() - began_ns) * 1e-9;
    if (failed)
        eval_result_deinit(result);
    return failed;
}

void eval_result_deinit(struct eval_result *result)
{
    figures_deinit(&result->figures);
}
