/* Lists of one moment, judged by what came after (split) or was held out (leave-last-out). */
#include "base/mem.h"
#include "eval/run.h"

#include <stdlib.h>
#include <string.h>

#define NONE UINT32_MAX
#define SAMPLE_SALT 0x73616d706c65u

struct frozen {
    struct run *run;
    bool *skip;     /* [events]: not learned */
    size_t *events; /* [event_count]: the relevant ones, a user's together, in stream order */
    size_t event_count;
    size_t learn_to; /* events before are learned */
};

/* -- what is relevant -------------------------------------------------------------------------- */

static void choose_split(struct frozen *frozen)
{
    const struct eval_settings *settings = frozen->run->settings;
    frozen->learn_to = settings->from;
    for (size_t at = settings->from; at < settings->to; at++)
        if (frozen->run->stream->events[at].is_new)
            frozen->events[frozen->event_count++] = at;
}

/* A user with one item is left alone: nothing would be known of him. */
static void choose_last(struct frozen *frozen)
{
    const struct stream *stream = frozen->run->stream;
    const struct eval_settings *settings = frozen->run->settings;
    size_t *last = mem_array(NULL, stream->users.count, sizeof *last);
    uint32_t *items = mem_zalloc(stream->users.count * sizeof *items + 1);
    frozen->learn_to = stream->count;
    for (size_t at = 0; at < stream->count; at++)
        if (stream->events[at].is_new) {
            last[stream->events[at].user] = at;
            items[stream->events[at].user]++;
        }
    for (uint32_t user = 0; user < stream->users.count; user++)
        if (items[user] > 1 && last[user] >= settings->from && last[user] < settings->to)
            frozen->events[frozen->event_count++] = last[user];
        else
            items[user] = 0;
    for (size_t at = 0; at < stream->count; at++) {
        const struct stream_event *event = &stream->events[at];
        frozen->skip[at] =
            items[event->user] > 0 && event->item == stream->events[last[event->user]].item;
    }
    free(items);
    free(last);
}

struct place {
    uint32_t user;
    size_t at;
};

static int compare_places(const void *left, const void *right)
{
    const struct place *a = left, *b = right;
    if (a->user != b->user)
        return a->user < b->user ? -1 : 1;
    return (a->at > b->at) - (a->at < b->at);
}

static void sort_by_user(struct frozen *frozen)
{
    struct place *places = mem_array(NULL, frozen->event_count, sizeof *places);
    for (size_t i = 0; i < frozen->event_count; i++)
        places[i] =
            (struct place){frozen->run->stream->events[frozen->events[i]].user, frozen->events[i]};
    if (frozen->event_count > 0)
        qsort(places, frozen->event_count, sizeof *places, compare_places);
    for (size_t i = 0; i < frozen->event_count; i++)
        frozen->events[i] = places[i].at;
    free(places);
}

/* Keeps the events of `sample` users. */
static void draw_users(struct frozen *frozen)
{
    const struct stream *stream = frozen->run->stream;
    const struct eval_settings *settings = frozen->run->settings;
    size_t *users = mem_array(NULL, frozen->event_count, sizeof *users), count = 0, kept = 0;
    bool *drawn = mem_zalloc(stream->users.count * sizeof *drawn + 1);
    for (size_t i = 0; i < frozen->event_count; i++) {
        size_t user = stream->events[frozen->events[i]].user;
        if (count == 0 || users[count - 1] != user)
            users[count++] = user;
    }
    run_draw(drawn, users, count, settings->sample != 0 ? settings->sample : count,
             settings->seed ^ SAMPLE_SALT);
    for (size_t i = 0; i < frozen->event_count; i++)
        if (drawn[stream->events[frozen->events[i]].user])
            frozen->events[kept++] = frozen->events[i];
    frozen->event_count = kept;
    free(users);
    free(drawn);
}

static void gather_values(struct frozen *frozen)
{
    double *values = mem_array(NULL, frozen->event_count, sizeof *values);
    for (size_t i = 0; i < frozen->event_count; i++)
        values[i] = frozen->run->stream->events[frozen->events[i]].value;
    figures_values(&frozen->run->result->figures, values, frozen->event_count,
                   frozen->run->settings->chr_min);
    free(values);
}

/* -- judging ----------------------------------------------------------------------------------- */

static int judge(struct frozen *frozen, const struct unit *unit, struct error *err)
{
    struct run *run = frozen->run;
    if (panel_lists(&run->panel, unit->user, run->lists, run->asked, err) != 0)
        return err->code;
    run_judge(run, unit);
    run_judge_all(run, unit);
    run_report(run, (double)run->result->method_count * WORK_LIST);
    return stage_go_on(run->stage, err);
}

static int judge_users(struct frozen *frozen, struct error *err)
{
    const struct stream_event *events = frozen->run->stream->events;
    struct relevant *relevant = mem_array(NULL, frozen->event_count, sizeof *relevant);
    int failed = 0;
    frozen->run->stage_name = "judging";
    for (size_t i = 0; i < frozen->event_count && !failed;) {
        struct unit unit = {.user = events[frozen->events[i]].user, .relevant = relevant};
        for (; i < frozen->event_count && events[frozen->events[i]].user == unit.user; i++) {
            const struct stream_event *event = &events[frozen->events[i]];
            relevant[unit.relevant_count++] = (struct relevant){event->item, event->value};
        }
        failed = judge(frozen, &unit, err);
    }
    free(relevant);
    return failed;
}

static int learn_all(struct frozen *frozen, struct error *err)
{
    struct run *run = frozen->run;
    while (run->at < frozen->learn_to) {
        if (frozen->skip[run->at])
            run->at++;
        else if (run_learn(run, err) != 0)
            return err->code;
    }
    if (run_train(run, err) != 0)
        return err->code;
    return run_begin_methods(run, err);
}

int frozen_run(struct run *run, struct error *err)
{
    struct frozen frozen = {.run = run};
    frozen.skip = mem_zalloc(run->stream->count * sizeof *frozen.skip + 1);
    frozen.events = mem_array(NULL, run->stream->count, sizeof *frozen.events);
    if (run->settings->protocol == PROTOCOL_SPLIT)
        choose_split(&frozen);
    else
        choose_last(&frozen);
    sort_by_user(&frozen);
    draw_users(&frozen);
    gather_values(&frozen);
    run_draw_choice(run, frozen.learn_to, frozen.skip);
    run->work_total += (double)frozen.learn_to + WORK_TRAINING +
                       (double)frozen.learn_to * WORK_TRAINING_EVENT +
                       (double)(frozen.event_count * run->result->method_count * WORK_LIST);
    int failed = learn_all(&frozen, err);
    if (!failed)
        failed = judge_users(&frozen, err);
    free(frozen.skip);
    free(frozen.events);
    return failed;
}
