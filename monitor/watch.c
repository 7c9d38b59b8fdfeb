#include "monitor/watch.h"
#include "base/clock.h"
#include "base/mem.h"

#include <stdlib.h>

struct watch {
    struct history *history;
    struct watch_arm arms[ARMS_MAX];
    size_t arm_count;
    struct accuracy accuracy;
    struct histogram event_to_list;
};

struct watch *watch_new(struct history *history, const struct watch_arm *arms, size_t count)
{
    struct watch *watch = mem_zalloc(sizeof *watch);
    watch->history = history;
    watch_set_arms(watch, arms, count);
    return watch;
}

void watch_free(struct watch *watch)
{
    if (watch == NULL)
        return;
    accuracy_deinit(&watch->accuracy);
    free(watch);
}

void watch_set_arms(struct watch *watch, const struct watch_arm *arms, size_t count)
{
    watch->arm_count = count;
    for (size_t i = 0; i < count; i++)
        watch->arms[i] = arms[i];
}

void watch_batch(struct watch *watch)
{
    accuracy_renew(&watch->accuracy, watch->history, items_count(history_items(watch->history)));
}

struct outcome watch_event(struct watch *watch, const struct event *event,
                           const struct user_record *before, uint32_t item, uint32_t arm)
{
    accuracy_observe(&watch->accuracy, event, before, item,
                     history_type_counts(watch->history, event->type));
    return (struct outcome){0};
}

void watch_list(struct watch *watch, const struct slate_list *list)
{
    if (list->oldest_event_ms > 0 && list->outcome == SLATE_STORED)
        histogram_add(&watch->event_to_list, (double)(clock_wall_ms() - list->oldest_event_ms));
}

void watch_popular(struct watch *watch, const uint32_t *items, uint32_t count)
{
    accuracy_set_popular(&watch->accuracy, items, count);
}

void watch_forget_baselines(struct watch *watch)
{
    accuracy_forget_baselines(&watch->accuracy);
}

double watch_recent_churn(const struct watch *watch, uint32_t arm)
{
    return 0;
}

const struct accuracy *watch_accuracy(const struct watch *watch)
{
    return &watch->accuracy;
}

const struct histogram *watch_event_to_list(const struct watch *watch)
{
    return &watch->event_to_list;
}
