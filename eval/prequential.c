/* Each judged event is ranked in the list live just before it, then learned. */
#include "base/mem.h"
#include "eval/run.h"

#include <stdlib.h>
#include <string.h>

#define ANSWERS_MAX 2000 /* judged events after which lists are made again */
#define SAMPLE_SALT 0x73616d706c65u
#define ANSWER_SALT 0x616e73776572u

struct walk {
    struct run *run;
    bool *judged;   /* [events]: to be judged */
    bool *answered; /* [events]: and looked at again when learned */
    bool all_hide;  /* an item met is off the list, whatever the type */
    int64_t next_training_ms;
    size_t next_cut; /* of `retrains` */
};

/* -- what is to be judged ---------------------------------------------------------------------- */

static void draw_judged(struct walk *walk)
{
    const struct eval_settings *settings = walk->run->settings;
    size_t count = settings->to - settings->from, judged = 0;
    size_t *places = mem_array(NULL, count, sizeof *places);
    for (size_t i = 0; i < count; i++)
        places[i] = settings->from + i;
    size_t sample = settings->sample != 0 ? settings->sample : count;
    run_draw(walk->judged, places, count, sample, settings->seed ^ SAMPLE_SALT);
    for (size_t at = settings->from; at < settings->to; at++)
        if (walk->judged[at] && walk->run->stream->events[at].is_new)
            places[judged++] = at;
    run_draw(walk->answered, places, judged, ANSWERS_MAX, settings->seed ^ ANSWER_SALT);
    free(places);
}

static void gather_values(struct walk *walk)
{
    const struct eval_settings *settings = walk->run->settings;
    const struct stream *stream = walk->run->stream;
    double *values = mem_array(NULL, settings->to - settings->from, sizeof *values);
    size_t count = 0;
    for (size_t at = settings->from; at < settings->to; at++)
        if (walk->judged[at] && stream->events[at].is_new)
            values[count++] = stream->events[at].value;
    figures_values(&walk->run->result->figures, values, count, settings->chr_min);
    free(values);
}

/* -- judging ----------------------------------------------------------------------------------- */

/* An event with an item that is off the list, since its user has met it, is a miss. */
static int judge_repeat(struct walk *walk, const struct unit *unit, struct error *err)
{
    struct run *run = walk->run;
    bool seen = false;
    for (uint32_t m = 0; m < run->result->method_count; m++)
        run->asked[m].count = 0;
    if (walk->all_hide &&
        stage_has_seen(run->stage, unit->user, unit->relevant[0].item, &seen, err) != 0)
        return err->code;
    if (!seen && panel_lists(&run->panel, unit->user, run->lists, run->asked, err) != 0)
        return err->code;
    run_judge_all(run, unit);
    return 0;
}

static int judge_new(struct walk *walk, const struct unit *unit, struct error *err)
{
    struct run *run = walk->run;
    if (panel_lists(&run->panel, unit->user, run->lists, run->asked, err) != 0)
        return err->code;
    run_judge(run, unit);
    run_judge_all(run, unit);
    return 0;
}

static int score_taste(struct walk *walk, const struct unit *unit, double *scores,
                       struct error *err)
{
    struct run *run = walk->run;
    for (uint32_t m = 0; m < run->result->method_count; m++)
        if (panel_taste(&run->panel, m, unit->user, unit->relevant[0].item, &scores[m], err) != 0)
            return err->code;
    return 0;
}

/* The lists again, now that the event is learned. */
static int look_again(struct walk *walk, const struct unit *unit, struct error *err)
{
    struct run *run = walk->run;
    double scores[METHOD_COUNT];
    if (panel_lists(&run->panel, unit->user, run->lists_after, run->asked_after, err) != 0 ||
        score_taste(walk, unit, scores, err) != 0)
        return err->code;
    for (uint32_t m = 0; m < run->result->method_count; m++) {
        const struct asked *before = &run->asked[m], *after = &run->asked_after[m];
        bool changed = after->count != before->count ||
                       memcmp(before->list, after->list, after->count * sizeof *after->list) != 0;
        figures_answer(&run->result->figures, m, changed, run->scores[m], scores[m]);
        run_dump(run, m, unit, after, "after");
    }
    return 0;
}

static int judge(struct walk *walk, struct error *err)
{
    struct run *run = walk->run;
    size_t at = run->at;
    const struct stream_event *event = &run->stream->events[at];
    struct relevant relevant = {event->item, event->value};
    struct unit unit = {event->user, &relevant, 1};
    run->stage_name = "judging";
    int failed = event->is_new ? judge_new(walk, &unit, err) : judge_repeat(walk, &unit, err);
    run_report(run, (double)run->result->method_count * WORK_LIST);
    if (!failed && walk->answered[at])
        failed = score_taste(walk, &unit, run->scores, err);
    if (!failed)
        failed = run_learn(run, err);
    if (failed || !walk->answered[at])
        return failed;
    run->at = at; /* the line of the dump is the event's */
    failed = look_again(walk, &unit, err);
    run->at = at + 1;
    return failed;
}

/* -- the schedule ------------------------------------------------------------------------------ */

static size_t cut_at(const struct walk *walk, size_t cut)
{
    const struct run *run = walk->run;
    return (size_t)((double)run->stream->count * (double)cut / (double)run->settings->retrains);
}

static bool training_is_due(struct walk *walk)
{
    const struct run *run = walk->run;
    int64_t every_ms = run->settings->every_ms, ts_ms = run->stream->events[run->at].ts_ms;
    if (every_ms == 0) {
        if (walk->next_cut >= run->settings->retrains || run->at < cut_at(walk, walk->next_cut))
            return false;
        while (cut_at(walk, walk->next_cut) <= run->at && walk->next_cut < run->settings->retrains)
            walk->next_cut++;
        return run->at > 0;
    }
    if (run->at == 0)
        walk->next_training_ms = ts_ms + every_ms;
    if (ts_ms < walk->next_training_ms)
        return false;
    walk->next_training_ms += (ts_ms - walk->next_training_ms) / every_ms * every_ms + every_ms;
    return true;
}

static void plan_work(struct walk *walk)
{
    struct run *run = walk->run;
    const struct eval_settings *settings = run->settings;
    size_t judged = settings->to - settings->from;
    if (settings->sample != 0 && settings->sample < judged)
        judged = settings->sample;
    double trainings = (double)settings->retrains;
    if (settings->every_ms > 0 && run->stream->count > 0)
        trainings = (double)((run->stream->events[run->stream->count - 1].ts_ms -
                              run->stream->events[0].ts_ms) /
                             settings->every_ms);
    double share = (double)settings->to / (double)run->stream->count;
    run->work_total +=
        (double)settings->to + (double)(judged * run->result->method_count * WORK_LIST) +
        trainings * share * (WORK_TRAINING + (double)settings->to * WORK_TRAINING_EVENT / 2);
}

static int go(struct walk *walk, struct error *err)
{
    struct run *run = walk->run;
    while (run->at < run->settings->to) {
        run->stage_name = "learning";
        if (training_is_due(walk) && run_train(run, err) != 0)
            return err->code;
        if (run->at == run->settings->from && run_begin_methods(run, err) != 0)
            return err->code;
        int failed = walk->judged[run->at] ? judge(walk, err) : run_learn(run, err);
        if (failed)
            return failed;
    }
    return 0;
}

static bool all_hide(const struct scorer_settings *settings)
{
    for (uint32_t i = 0; i < settings->type_count; i++)
        if (!settings->types[i].hides)
            return false;
    return true;
}

int prequential_run(struct run *run, struct error *err)
{
    struct walk walk = {.run = run, .all_hide = all_hide(&run->settings->scorer), .next_cut = 1};
    walk.judged = mem_zalloc(run->stream->count * sizeof *walk.judged + 1);
    walk.answered = mem_zalloc(run->stream->count * sizeof *walk.answered + 1);
    draw_judged(&walk);
    gather_values(&walk);
    run_draw_choice(run, run->settings->from, NULL);
    plan_work(&walk);
    int failed = go(&walk, err);
    free(walk.judged);
    free(walk.answered);
    return failed;
}
