#include "monitor/hits.h"

const double hits_value_from[HITS_VALUES] = {0, 1, 2,  3,  4,  5,   6,   7,
                                             8, 9, 10, 20, 50, 100, 500, 1000};

const char *const attribution_names[ATTRIBUTION_COUNT] = {"none", "hit", "stale", "mismatched",
                                                          "foreign"};

static int slice_of_value(double value)
{
    int slice = HITS_VALUES - 1;
    while (slice > 0 && value < hits_value_from[slice])
        slice--;
    return slice;
}

void hits_add(struct hits *hits, const struct hits_event *event)
{
    struct accuracy_count *type = hits->types[event->event->type];
    accuracy_count(&hits->counts[ACCURACY_ALL], event->rank);
    accuracy_count(&type[ACCURACY_ALL], event->rank);
    hits->attribution[event->attribution]++;
    if (!event->is_new)
        return;
    accuracy_count(&hits->counts[ACCURACY_NEW], event->rank);
    accuracy_count(&type[ACCURACY_NEW], event->rank);
    accuracy_count(&hits->values[slice_of_value(event->event->value)], event->rank);
    if (event->is_chosen)
        accuracy_count(&hits->chosen, event->rank);
}

/* -- attribution ------------------------------------------------------------------------------- */

static bool stands_there(const struct user_record *record, int32_t pos, uint32_t item)
{
    return pos >= 1 && (uint32_t)pos <= record->list_count && user_list(record)[pos - 1] == item;
}

/* Below 0: older than the acknowledged list; 0: that list; above: newer. */
static int compare_to_acked(const struct version *version, const struct user_record *record)
{
    if (version->next_offset != record->acked_offset)
        return version->next_offset < record->acked_offset ? -1 : 1;
    if (version->swap != record->acked_swap)
        return version->swap < record->acked_swap ? -1 : 1;
    return 0;
}

enum attribution attribution_of(const struct event *event, const struct user_record *before,
                                uint32_t item, uint32_t epoch)
{
    struct version version;
    if (event->list.length == 0)
        return ATTRIBUTION_NONE;
    if (!version_parse(&version, event->list) || before == NULL || before->acked_offset < 0 ||
        version.epoch != epoch || version.partition != event->partition)
        return ATTRIBUTION_FOREIGN;
    int order = compare_to_acked(&version, before);
    if (order > 0)
        return ATTRIBUTION_FOREIGN;
    if (stands_there(before, event->pos, item))
        return ATTRIBUTION_HIT;
    return order < 0 ? ATTRIBUTION_STALE : ATTRIBUTION_MISMATCHED;
}
