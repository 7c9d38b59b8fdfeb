#include "monitor/response.h"
#include "model/user.h"

#include <math.h>

static void add(struct response_mean *mean, double value)
{
    if (isnan(value))
        return;
    mean->count++;
    mean->sum += value;
}

static void add_change(struct response *response, const struct slate_list *list)
{
    const struct user_record *record = list->record;
    bool counts = list->cause == CAUSE_EVENT && list->changed && !list->change.first &&
                  record->events > record->changed_events;
    if (!counts)
        return;
    uint64_t events = record->events - record->changed_events;
    response->changes[events < RESPONSE_EVENTS_MAX ? events : RESPONSE_EVENTS_MAX]++;
    add(&response->to_change, (double)events);
}

void response_add(struct response *response, const struct slate_list *list, int64_t wall_ms)
{
    if (list->oldest_event_ms > 0) {
        histogram_add(&response->record_ms, (double)(wall_ms - list->oldest_event_ms));
        histogram_add(&response->ts_ms, (double)(wall_ms - list->oldest_ts_ms));
    }
    add_change(response, list);
}

void response_add_probe(struct response *response, const struct slate_list *list)
{
    if (!list->probe.made)
        return;
    add(&response->gap_closed, (double)list->probe.gap_closed);
    add(&response->neighbour_lift, (double)list->probe.neighbour_lift);
    add(&response->drift, (double)list->probe.drift);
}

double response_mean(const struct response_mean *mean)
{
    return mean->count > 0 ? mean->sum / (double)mean->count : NAN;
}
